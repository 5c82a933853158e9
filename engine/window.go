package engine

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/tidemark-io/tidemark/engine/codec"
	"github.com/tidemark-io/tidemark/engine/runtime"
	"github.com/tidemark-io/tidemark/engine/state"
	"github.com/tidemark-io/tidemark/format"
	"github.com/tidemark-io/tidemark/keygroup"
)

// Window is an interval [Start, End) of event time, in ms.
type Window struct{ Start, End int64 }

// last is the last millisecond of the window.
func (w Window) last() int64 { return w.End - 1 }

// Aggregate turns the records of one key and window into one result.
type Aggregate[K, In, Acc, Out any] struct {
	// Add takes one record into the accumulator, which begins as the zero
	// value of Acc. It must not keep or change what it was given earlier.
	Add func(acc Acc, in In) Acc
	// Merge makes one accumulator of those of two windows that have become
	// one. Only [Session] needs it.
	Merge func(a, b Acc) Acc
	// Result makes the result when the window ends.
	Result func(key K, w Window, acc Acc) Out
}

// Tumbling cuts event time into windows of the given size, which begin at
// multiples of it, and emits one result per key and window when the watermark
// passes the window's end. The result's timestamp is the last of the window.
//
// A record is late if its window has passed, by more than [AllowedLateness]. It
// is dropped and counted, or goes to the side output of [LateTo].
func Tumbling[K, In, Acc, Out any](k Keyed[K, In], uid string, size time.Duration, agg Aggregate[K, In, Acc, Out], opts ...Option) Stream[Out] {
	return Sliding(k, uid, size, size, agg, opts...)
}

// Sliding is [Tumbling] with windows that begin at multiples of slide and
// overlap if they are longer: a record is in each window that covers its time,
// and in none if it falls between two. It is late if all its windows have
// passed.
func Sliding[K, In, Acc, Out any](k Keyed[K, In], uid string, size, slide time.Duration, agg Aggregate[K, In, Acc, Out], opts ...Option) Stream[Out] {
	if size < time.Millisecond || slide < time.Millisecond {
		k.stream.g.fail("operator %q: windows of %v each %v: both must be at least a millisecond", uid, size, slide)
	}
	if size/max(slide, 1) > maxOverlap {
		k.stream.g.fail("operator %q: windows of %v each %v: a record is in more than %d windows", uid, size, slide, maxOverlap)
	}
	return windows[Out](k, uid, func(late lateness[In]) runtime.Operator {
		return &windowOp[K, In, Acc, Out]{windowed: windowed[K, In, Out]{key: k.key, codec: k.codec, late: late}, agg: agg,
			size: size.Milliseconds(), slide: slide.Milliseconds()}
	}, codec.Of[Acc], opts)
}

// maxOverlap is how many windows a record may be in.
const maxOverlap = 10_000

// windows adds an operator of windows. accumulator is asked only whether
// accumulators can be stored.
func windows[Out, K, In, Acc any](k Keyed[K, In], uid string, make func(late lateness[In]) runtime.Operator, accumulator func() (Codec[Acc], error), opts []Option) Stream[Out] {
	g := k.stream.g
	if _, err := accumulator(); err != nil {
		g.fail("operator %q: the accumulator cannot be stored: %w", uid, err)
	}
	late, err := latenessOf[In](collect(opts))
	if err != nil {
		g.fail("operator %q: %w", uid, err)
	}
	n := &runtime.Node{UID: uid, Name: uid, Stateful: true, New: func() runtime.Operator { return make(late) }}
	node := attachKeyed(k, n, append(opts[:len(opts):len(opts)], forWindows))
	g.emits(node)
	return newStream[Out](g, node)
}

// windowSchema is the schema of the namespace of windowed state: the window's
// start.
var windowSchema = &format.Schema{Type: format.TypeStruct, Name: "window", Fields: []format.Field{
	{Name: "start", Schema: &format.Schema{Type: format.TypeInt64}},
}}

// windowed is what the operators of windows share: the keyed state, the decision
// about late records and the output.
type windowed[K, In, Out any] struct {
	keyed
	key   func(In) K
	codec Codec[K]
	late  lateness[In]
	out   Output[Out]
}

func (w *windowed[K, In, Out]) addConsumer(r receiver[Out]) { w.out.addConsumer(r) }

func (w *windowed[K, In, Out]) sideOutputs() *[]sideOutput { return &w.out.sides }

// begin makes the key of a record the current one. It returns event time as the
// key sees it, and false if the record has no time.
func (w *windowed[K, In, Out]) begin(key K, timestamp int64) (watermark int64, ok bool) {
	if timestamp == NoTimestamp {
		w.env.Fail(errors.New("a record without timestamp reached a window: give the source BoundedDisorder watermarks"))
		return 0, false
	}
	w.setKey(w.codec.Append(w.bytes[:0], key))
	return w.env.WatermarkOf(keygroup.Hash(w.sum >> 32)), true
}

// tooLate deals with a late record.
func (w *windowed[K, In, Out]) tooLate(in In, timestamp int64) {
	if w.late.aside {
		emitTo(&w.out, w.late.tag, in, timestamp)
		return
	}
	w.env.Late()
}

func (w *windowed[K, In, Out]) Snapshot(s *runtime.Snapshot) error { return w.keyed.snapshot(s) }

func (w *windowed[K, In, Out]) Close() error { return nil }

// windowOp aggregates the records of one subtask in windows of fixed size. Its
// state is one accumulator per key and window. A timer at the window's last
// millisecond emits it, one behind the allowed lateness removes it.
type windowOp[K, In, Acc, Out any] struct {
	windowed[K, In, Out]
	agg         Aggregate[K, In, Acc, Out]
	size, slide int64
	acc         Value[Acc]
	start       [8]byte
}

func (w *windowOp[K, In, Acc, Out]) Open(env *runtime.Env) error {
	w.out.env = env
	w.keyed.init(env, codec.Width(w.codec))
	w.namespace = windowSchema
	c, err := codec.Of[Acc]()
	if err != nil {
		return err
	}
	if err := w.acc.bind(&Binder{env: env, keyed: &w.keyed}, "window", c, windowSchema); err != nil {
		return err
	}
	return w.keyed.restore(true)
}

func (w *windowOp[K, In, Acc, Out]) push(in In, timestamp int64) {
	w.env.Enter()
	key := w.key(in)
	watermark, ok := w.begin(key, timestamp)
	if !ok {
		return
	}
	windows, late := 0, true
	for start := windowStart(timestamp, w.slide); start > timestamp-w.size; start -= w.slide {
		windows++
		if w.late.end(start+w.size-1) > watermark {
			late = false
			w.add(key, Window{start, start + w.size}, in, watermark)
		}
	}
	if late && windows > 0 {
		w.tooLate(in, timestamp)
	}
}

// add takes a record into one window. A window that has been emitted is emitted
// again.
func (w *windowOp[K, In, Acc, Out]) add(key K, win Window, in In, watermark int64) {
	w.at(win.Start)
	acc, found := w.acc.Lookup()
	acc = w.agg.Add(acc, in)
	w.acc.Set(acc)
	last := win.last()
	if !found {
		if last > watermark {
			w.register(w.start[:], last)
		}
		if end := w.late.end(last); end != last {
			w.register(w.start[:], end)
		}
	}
	if last <= watermark {
		w.out.EmitAt(w.agg.Result(key, win, acc), last)
	}
}

// at makes a window the namespace of the accumulator.
func (w *windowOp[K, In, Acc, Out]) at(start int64) {
	binary.LittleEndian.PutUint64(w.start[:], uint64(start))
	w.acc.within(w.start[:])
}

// windowStart is the largest multiple of size that is at most timestamp.
func windowStart(timestamp, size int64) int64 {
	r := timestamp % size
	if r < 0 {
		r += size
	}
	return timestamp - r
}

func (w *windowOp[K, In, Acc, Out]) Drain(watermark int64) (bool, error) {
	return w.drain(watermark, w.fire)
}

// CatchUp fires the windows that the restored floors have passed.
func (w *windowOp[K, In, Acc, Out]) CatchUp(highest int64) (bool, error) {
	return w.catchUp(highest, w.fire)
}

// fire emits the result of one window or removes the window, or both.
func (w *windowOp[K, In, Acc, Out]) fire(t state.Timer) error {
	if len(t.Namespace) != len(w.start) {
		return fmt.Errorf("timer of a window of %d bytes, it has %d", len(w.start), len(t.Namespace))
	}
	key, _, err := w.codec.Decode(t.Key)
	if err != nil {
		return fmt.Errorf("key of a window: %w", err)
	}
	w.setKeyOf(t)
	start := int64(binary.LittleEndian.Uint64(t.Namespace))
	win := Window{start, start + w.size}
	w.at(start)
	acc, found := w.acc.Lookup()
	if !found {
		return nil
	}
	if t.Time >= w.late.end(win.last()) {
		w.acc.Clear()
	}
	if t.Time == win.last() {
		w.out.EmitAt(w.agg.Result(key, win, acc), t.Time)
	}
	return nil
}
