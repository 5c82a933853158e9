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

// Aggregate turns the records of one key and window into one result.
type Aggregate[K, In, Acc, Out any] struct {
	// Add takes one record into the accumulator, which begins as the zero
	// value of Acc. It must not keep or change what it was given earlier.
	Add func(acc Acc, in In) Acc
	// Result makes the result when the window ends.
	Result func(key K, w Window, acc Acc) Out
}

// Tumbling cuts event time into windows of the given size, which begin at
// multiples of it, and emits one result per key and window when the watermark
// passes the window's end. The result's timestamp is the last of the window.
// Records whose window has passed are dropped and counted as late.
func Tumbling[K, In, Acc, Out any](k Keyed[K, In], uid string, size time.Duration, agg Aggregate[K, In, Acc, Out], opts ...Option) Stream[Out] {
	n := &runtime.Node{UID: uid, Name: uid, Stateful: true, New: func() runtime.Operator {
		return &windowOp[K, In, Acc, Out]{agg: agg, size: size.Milliseconds(), key: k.key, codec: k.codec}
	}}
	if size < time.Millisecond {
		k.stream.g.fail("operator %q: a window of %v is shorter than a millisecond", uid, size)
	}
	if _, err := codec.Of[Acc](); err != nil {
		k.stream.g.fail("operator %q: the accumulator cannot be stored: %w", uid, err)
	}
	return newStream[Out](k.stream.g, attachKeyed(k, n, opts))
}

// windowSchema is the schema of the namespace of windowed state: the window's
// start.
var windowSchema = &format.Schema{Type: format.TypeStruct, Name: "window", Fields: []format.Field{
	{Name: "start", Schema: &format.Schema{Type: format.TypeInt64}},
}}

// windowOp aggregates the records of one subtask. Its state is one accumulator
// per key and window; a timer at the window's last millisecond emits it.
type windowOp[K, In, Acc, Out any] struct {
	keyed
	agg   Aggregate[K, In, Acc, Out]
	size  int64
	key   func(In) K
	codec Codec[K]
	acc   Value[Acc]
	start [8]byte
	out   Output[Out]
}

func (w *windowOp[K, In, Acc, Out]) addConsumer(r receiver[Out]) { w.out.addConsumer(r) }

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
	if timestamp == NoTimestamp {
		w.env.Fail(errors.New("a record without timestamp reached a window: give the source BoundedDisorder watermarks"))
		return
	}
	w.setKey(w.codec.Append(w.bytes[:0], w.key(in)))
	start := windowStart(timestamp, w.size)
	last := start + w.size - 1
	if last <= w.env.WatermarkOf(keygroup.Hash(w.sum>>32)) {
		w.env.Late()
		return
	}
	w.at(start)
	acc, found := w.acc.Lookup()
	w.acc.Set(w.agg.Add(acc, in))
	if !found {
		w.register(w.start[:], last)
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

// fire emits the result of one window.
func (w *windowOp[K, In, Acc, Out]) fire(t state.Timer) error {
	if len(t.Namespace) != len(w.start) {
		return fmt.Errorf("timer of a window of %d bytes, it has %d", len(t.Namespace), len(w.start))
	}
	key, _, err := w.codec.Decode(t.Key)
	if err != nil {
		return fmt.Errorf("key of a window: %w", err)
	}
	w.setKeyOf(t)
	start := int64(binary.LittleEndian.Uint64(t.Namespace))
	w.at(start)
	acc, found := w.acc.Lookup()
	if !found {
		return nil
	}
	w.acc.Clear()
	w.out.EmitAt(w.agg.Result(key, Window{Start: start, End: start + w.size}, acc), t.Time)
	return nil
}

func (w *windowOp[K, In, Acc, Out]) Snapshot(s *runtime.Snapshot) error { return w.keyed.snapshot(s) }

func (w *windowOp[K, In, Acc, Out]) Close() error { return nil }
