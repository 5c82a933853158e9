package engine

import (
	"context"

	"github.com/tidemark-io/tidemark/engine/runtime"
	"github.com/tidemark-io/tidemark/keygroup"
)

// Process is a function with keyed state and timers: it sees the records of a
// keyed stream one by one, and what it keeps follows the key. One instance runs
// in each subtask, on one goroutine. Further abilities are [Opener],
// [TimerHandler] and [Closer].
type Process[K, In, Out any] interface {
	// Process takes one record. An error fails the job (see [TaskError]).
	Process(ctx *Context[K], in In, out *Output[Out]) error
}

// Opener is a Process that prepares itself, usually by binding its state.
type Opener interface {
	Open(b *Binder) error
}

// TimerHandler is a Process with timers.
type TimerHandler[K, Out any] interface {
	// OnTimer is called once for each registered timer when the watermark
	// reaches it. at is its event time in ms. Timers fire in the order of
	// (time, hash of the key, key).
	OnTimer(ctx *Context[K], at int64, out *Output[Out]) error
}

// Closer is a Process that holds something to release.
type Closer interface {
	Close() error
}

// Context is what a Process knows while it handles a record or a timer. It is
// valid during the call only.
type Context[K any] struct {
	key       K
	timestamp int64
	keyed     *keyed
}

// Key is the key of the record or timer.
func (c *Context[K]) Key() K { return c.key }

// Timestamp is the event time of the record or timer in ms, [NoTimestamp] if a
// record has none.
func (c *Context[K]) Timestamp() int64 { return c.timestamp }

// Watermark is event time: no record of this key with an earlier time is
// expected. After a restore it is never less than what the key had seen before.
func (c *Context[K]) Watermark() int64 {
	return c.keyed.env.WatermarkOf(keygroup.Hash(c.keyed.sum >> 32))
}

// RegisterTimer asks for a call of OnTimer when event time reaches at, in ms.
// Asking twice for the same key and time is asking once. A time that has passed
// fires with the next watermark.
func (c *Context[K]) RegisterTimer(at int64) { c.keyed.register(nil, at) }

// DeleteTimer takes a timer of this key back.
func (c *Context[K]) DeleteTimer(at int64) { c.keyed.unregister(nil, at) }

// Late counts the record as one that came too late and was dropped, for the
// observer.
func (c *Context[K]) Late() { c.keyed.env.Late() }

// Binder binds the states of an operator instance when it opens, and tells it
// where it runs.
type Binder struct {
	env   *runtime.Env
	keyed *keyed // nil for an operator without keys
	lists []snapshotList
	// broadcast says that the operator has a broadcast input.
	broadcast bool
}

// Context ends when the job does.
func (b *Binder) Context() context.Context { return b.env.Context() }

// Subtask is the number of this subtask, from 0, of Parallelism many.
func (b *Binder) Subtask() int { return b.env.Subtask }

// Parallelism is the number of subtasks of the operator.
func (b *Binder) Parallelism() int { return b.env.Parallelism }

// Apply runs a Process on a keyed stream. make is called once for each subtask.
// The operator keeps state, so it has a uid.
func Apply[K, In, Out any](k Keyed[K, In], uid string, make func() Process[K, In, Out], opts ...Option) Stream[Out] {
	n := &runtime.Node{UID: uid, Name: uid, Stateful: true, New: func() runtime.Operator {
		proc := make()
		return &processOp[K, In, Out]{keyedOp: keyedOp[K, Out]{function: proc, codec: k.codec}, proc: proc, key: k.key}
	}}
	node := attachKeyed(k, n, opts)
	k.stream.g.emits(node)
	return newStream[Out](k.stream.g, node)
}

// processOp runs a Process in one subtask.
type processOp[K, In, Out any] struct {
	keyedOp[K, Out]
	proc Process[K, In, Out]
	key  func(In) K
}

func (p *processOp[K, In, Out]) push(in In, timestamp int64) {
	p.env.Enter()
	p.begin(p.key(in), timestamp)
	if err := p.proc.Process(&p.ctx, in, &p.out); err != nil {
		p.env.Fail(err)
	}
}
