package engine

import (
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"github.com/tidemark-io/tidemark/engine/codec"
	"github.com/tidemark-io/tidemark/engine/runtime"
	"github.com/tidemark-io/tidemark/engine/state"
	"github.com/tidemark-io/tidemark/format"
)

// Session gathers the records of a key that follow each other within gap of
// event time, and emits one result per session when the watermark passes its
// end, which is gap after its last record. A record between two sessions makes
// them one, so the aggregate needs Merge. The result's timestamp is the last of
// the session. What is said of late records at [Tumbling] holds; a late record
// that belongs to a session which is still kept is not late.
func Session[K, In, Acc, Out any](k Keyed[K, In], uid string, gap time.Duration, agg Aggregate[K, In, Acc, Out], opts ...Option) Stream[Out] {
	if gap < time.Millisecond {
		k.stream.g.fail("operator %q: a gap of %v between sessions is shorter than a millisecond", uid, gap)
	}
	if agg.Merge == nil {
		k.stream.g.fail("operator %q: sessions need an aggregate with Merge", uid)
	}
	return windows[Out](k, uid, func(late lateness[In]) runtime.Operator {
		return &sessionOp[K, In, Acc, Out]{windowed: windowed[K, In, Out]{key: k.key, codec: k.codec, late: late}, agg: agg, gap: gap.Milliseconds()}
	}, codec.Of[[]session[Acc]], opts)
}

// session is one session of a key, [Start, End) in event time.
type session[Acc any] struct {
	Start int64 `tidemark:"start"`
	End   int64 `tidemark:"end"`
	Acc   Acc   `tidemark:"acc"`
}

func (s *session[Acc]) window() Window { return Window{s.Start, s.End} }

// sessionSchema is the schema of the namespace of the timers of sessions.
var sessionSchema = &format.Schema{Type: format.TypeStruct, Name: "session", Fields: []format.Field{
	{Name: "start", Schema: &format.Schema{Type: format.TypeInt64}},
	{Name: "end", Schema: &format.Schema{Type: format.TypeInt64}},
}}

// sessionOp aggregates the records of one subtask in sessions. Its state is the
// list of the sessions of a key, ascending and apart; usually there is one. Each
// has a timer at its last millisecond, which emits it, and one behind the
// allowed lateness, which removes it.
type sessionOp[K, In, Acc, Out any] struct {
	windowed[K, In, Out]
	agg      Aggregate[K, In, Acc, Out]
	gap      int64
	sessions Value[[]session[Acc]]
	name     [16]byte
}

func (w *sessionOp[K, In, Acc, Out]) Open(env *runtime.Env) error {
	w.out.env = env
	w.keyed.init(env, codec.Width(w.codec))
	w.namespace = sessionSchema
	if err := w.sessions.Bind(&Binder{env: env, keyed: &w.keyed}, "sessions"); err != nil {
		return err
	}
	return w.keyed.restore(true)
}

func (w *sessionOp[K, In, Acc, Out]) push(in In, timestamp int64) {
	w.env.Enter()
	key := w.key(in)
	watermark, ok := w.begin(key, timestamp)
	if !ok {
		return
	}
	list := w.sessions.Get()
	s := session[Acc]{Start: timestamp, End: timestamp + w.gap}
	// Sessions that touch are one, too, as in Flink.
	from, _ := slices.BinarySearchFunc(list, s.Start, func(o session[Acc], start int64) int {
		if o.End < start {
			return -1
		}
		return 1
	})
	to := from
	for to < len(list) && list[to].Start <= s.End {
		to++
	}
	if from == to && w.late.end(s.window().last()) <= watermark {
		w.tooLate(in, timestamp)
		return
	}
	s = w.merge(s, list[from:to], in)
	w.sessions.Set(slices.Replace(list, from, to, s))
	last := s.window().last()
	w.timersOf(s, func(name []byte, at int64) {
		if at > watermark {
			w.register(name, at)
		}
	})
	if last <= watermark {
		w.out.EmitAt(w.agg.Result(key, s.window(), s.Acc), last)
	}
}

// merge makes one session of a record's and those that it joins, and takes their
// timers back.
func (w *sessionOp[K, In, Acc, Out]) merge(s session[Acc], joined []session[Acc], in In) session[Acc] {
	for i, o := range joined {
		s.Start, s.End = min(s.Start, o.Start), max(s.End, o.End)
		if i == 0 {
			s.Acc = o.Acc
		} else {
			s.Acc = w.agg.Merge(s.Acc, o.Acc)
		}
		w.timersOf(o, w.unregister)
	}
	s.Acc = w.agg.Add(s.Acc, in)
	return s
}

// timersOf calls f for each timer of a session.
func (w *sessionOp[K, In, Acc, Out]) timersOf(s session[Acc], f func(name []byte, at int64)) {
	binary.LittleEndian.PutUint64(w.name[:], uint64(s.Start))
	binary.LittleEndian.PutUint64(w.name[8:], uint64(s.End))
	last := s.window().last()
	f(w.name[:], last)
	if end := w.late.end(last); end != last {
		f(w.name[:], end)
	}
}

func (w *sessionOp[K, In, Acc, Out]) Drain(watermark int64) (bool, error) {
	return w.drain(watermark, w.fire)
}

// CatchUp fires the sessions that the restored floors have passed.
func (w *sessionOp[K, In, Acc, Out]) CatchUp(highest int64) (bool, error) {
	return w.catchUp(highest, w.fire)
}

// fire emits the result of one session or removes the session, or both.
func (w *sessionOp[K, In, Acc, Out]) fire(t state.Timer) error {
	if len(t.Namespace) != len(w.name) {
		return fmt.Errorf("timer of a session of %d bytes, it has %d", len(w.name), len(t.Namespace))
	}
	key, _, err := w.codec.Decode(t.Key)
	if err != nil {
		return fmt.Errorf("key of a session: %w", err)
	}
	w.setKeyOf(t)
	win := Window{int64(binary.LittleEndian.Uint64(t.Namespace)), int64(binary.LittleEndian.Uint64(t.Namespace[8:]))}
	list := w.sessions.Get()
	i := slices.IndexFunc(list, func(s session[Acc]) bool { return s.window() == win })
	if i < 0 {
		return nil
	}
	s := list[i]
	if t.Time >= w.late.end(win.last()) {
		if list = slices.Delete(list, i, i+1); len(list) == 0 {
			w.sessions.Clear()
		} else {
			w.sessions.Set(list)
		}
	}
	if t.Time == win.last() {
		w.out.EmitAt(w.agg.Result(key, win, s.Acc), t.Time)
	}
	return nil
}
