package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/tidemark-io/tidemark/engine/codec"
	"github.com/tidemark-io/tidemark/engine/runtime"
	"github.com/tidemark-io/tidemark/engine/state"
	"github.com/tidemark-io/tidemark/format"
	"github.com/tidemark-io/tidemark/keygroup"
	"github.com/tidemark-io/tidemark/keygroup/keyhash"
	"github.com/tidemark-io/tidemark/reader"
	"github.com/tidemark-io/tidemark/writer"
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
		return &processOp[K, In, Out]{proc: make(), key: k.key, codec: k.codec}
	}}
	return newStream[Out](k.stream.g, attachKeyed(k, n, opts))
}

// processOp runs a Process in one subtask.
type processOp[K, In, Out any] struct {
	keyed
	proc  Process[K, In, Out]
	timer TimerHandler[K, Out]
	key   func(In) K
	codec Codec[K]
	ctx   Context[K]
	out   Output[Out]
	lists []snapshotList
}

func (p *processOp[K, In, Out]) addConsumer(r receiver[Out]) { p.out.addConsumer(r) }

func (p *processOp[K, In, Out]) Open(env *runtime.Env) error {
	p.out.env = env
	p.ctx.keyed = &p.keyed
	p.timer, _ = any(p.proc).(TimerHandler[K, Out])
	p.keyed.init(env, codec.Width(p.codec))
	if o, ok := any(p.proc).(Opener); ok {
		b := &Binder{env: env, keyed: &p.keyed}
		if err := o.Open(b); err != nil {
			return err
		}
		p.lists = b.lists
	}
	return p.keyed.restore(p.timer != nil)
}

func (p *processOp[K, In, Out]) push(in In, timestamp int64) {
	p.env.Enter()
	key := p.key(in)
	p.setKey(p.codec.Append(p.bytes[:0], key))
	p.ctx.key, p.ctx.timestamp, p.out.timestamp = key, timestamp, timestamp
	if err := p.proc.Process(&p.ctx, in, &p.out); err != nil {
		p.env.Fail(err)
	}
}

// Drain fires the timers that a watermark has reached.
func (p *processOp[K, In, Out]) Drain(watermark int64) (bool, error) {
	return p.drain(watermark, p.fire)
}

// CatchUp fires the timers that the restored floors have passed.
func (p *processOp[K, In, Out]) CatchUp(highest int64) (bool, error) {
	return p.catchUp(highest, p.fire)
}

func (p *processOp[K, In, Out]) fire(t state.Timer) error {
	key, _, err := p.codec.Decode(t.Key)
	if err != nil {
		return fmt.Errorf("key of a timer: %w", err)
	}
	p.setKeyOf(t)
	p.ctx.key, p.ctx.timestamp, p.out.timestamp = key, t.Time, t.Time
	return p.timer.OnTimer(&p.ctx, t.Time, &p.out)
}

func (p *processOp[K, In, Out]) Snapshot(s *runtime.Snapshot) error {
	for _, l := range p.lists {
		l.snapshot(s)
	}
	return p.keyed.snapshot(s)
}

func (p *processOp[K, In, Out]) Close() error {
	if c, ok := any(p.proc).(Closer); ok {
		return c.Close()
	}
	return nil
}

// keyed is the state of an operator on a keyed stream: its tables, its timers,
// and the current key.
type keyed struct {
	env    *runtime.Env
	width  int    // of encoded keys, state.Variable if they differ
	bytes  []byte // the current key, encoded
	sum    uint64 // its hash
	turn   uint64 // counts changes of the current key
	tables []*table
	timers *state.Timers
	// namespace is the schema of the timers' namespaces, nil without.
	namespace *format.Schema
}

// table is one keyed state.
type table struct {
	*state.Table
	spec runtime.StateSpec
}

func (k *keyed) init(env *runtime.Env, width int) {
	k.env = env
	k.width = variable(width)
}

// variable is a width as tables want it: 0 from a codec means that lengths
// differ.
func variable(width int) int {
	if width == 0 {
		return state.Variable
	}
	return width
}

// setKey makes key, which is kept, the current key.
func (k *keyed) setKey(key []byte) {
	k.bytes = key
	k.sum = keyhash.Sum64(key)
	k.turn++
}

// setKeyOf makes the key of a timer the current key.
func (k *keyed) setKeyOf(t state.Timer) {
	k.bytes = append(k.bytes[:0], t.Key...)
	k.sum = t.Sum
	k.turn++
}

// cachedState is the size of state, in bytes, that the processor's cache holds
// well enough by itself.
const cachedState = 1 << 20

// warm reports whether touching state ahead of its use is worth while.
func (k *keyed) warm() bool {
	for _, t := range k.tables {
		if t.spec.Namespace == nil && t.Bytes() > cachedState {
			return true
		}
	}
	return false
}

// touch brings the state of keys with these hashes into the cache. The place of
// an entry with a namespace is not known from the key alone.
func (k *keyed) touch(hashes []uint32) {
	for _, t := range k.tables {
		if t.spec.Namespace == nil {
			for _, h := range hashes {
				t.Touch(uint64(h) << 32)
			}
		}
	}
}

// addTable makes and restores the table of one state.
func (k *keyed) addTable(spec runtime.StateSpec, namespaceWidth, valueWidth int) (*table, error) {
	for _, t := range k.tables {
		if t.spec.Name == spec.Name {
			return nil, fmt.Errorf("state %q is bound twice", spec.Name)
		}
	}
	st, err := state.NewTable(state.Options{Groups: k.env.KeyGroups, Range: k.env.Range, KeyWidth: k.width,
		NamespaceWidth: namespaceWidth, ValueWidth: valueWidth})
	if err != nil {
		return nil, err
	}
	t := &table{Table: st, spec: spec}
	k.tables = append(k.tables, t)
	var l *state.Loader
	return t, k.env.RestoreKeyed(spec,
		func(expected int) { l = st.Load(expected) },
		func(sum uint64, b *reader.Batch) error { return l.Append(sum, b.Key, b.Namespace, b.Value) })
}

// timerSpec is the state that holds an operator's timers.
func (k *keyed) timerSpec() runtime.StateSpec {
	return runtime.StateSpec{Name: "timers", Kind: format.KindTimer, Namespace: k.namespace}
}

// restore restores the timers and the floors of event time. Timers that a key
// has already passed are due at once.
func (k *keyed) restore(timers bool) error {
	highest, err := k.env.RestoreFloors()
	if err != nil {
		return err
	}
	if !timers {
		return nil
	}
	width := 0
	if k.namespace != nil {
		width = variable(k.namespace.Width())
	}
	k.timers, err = state.NewTimers(state.Options{Groups: k.env.KeyGroups, Range: k.env.Range, KeyWidth: k.width, NamespaceWidth: width})
	if err != nil {
		return err
	}
	var l *state.TimerLoader
	err = k.env.RestoreKeyed(k.timerSpec(),
		func(expected int) { l = k.timers.Load(expected) },
		func(sum uint64, b *reader.Batch) error { return l.Append(sum, b.Key, b.Namespace, b.Time) })
	if err != nil {
		return err
	}
	l.Finish()
	if highest > NoTimestamp {
		k.env.CatchUp(highest)
	}
	return nil
}

func (k *keyed) register(namespace []byte, at int64) {
	if k.timers == nil {
		k.env.Fail(errors.New("a timer was registered by a function without OnTimer"))
		return
	}
	if _, err := k.timers.Register(k.sum, k.bytes, namespace, at); err != nil {
		k.env.Fail(fmt.Errorf("registering a timer: %w", err))
	}
}

func (k *keyed) unregister(namespace []byte, at int64) {
	if k.timers != nil {
		k.timers.Delete(k.sum, k.bytes, namespace, at)
	}
}

// drain fires timers up to a watermark, at least one, until the task asks for
// attention.
func (k *keyed) drain(watermark int64, fire func(state.Timer) error) (bool, error) {
	if k.timers == nil {
		k.env.FloorsPassed(watermark)
		return true, nil
	}
	for fired := false; ; {
		at, ok := k.timers.Next()
		if !ok || at > watermark {
			k.env.FloorsPassed(watermark)
			return true, nil
		}
		if fired && k.env.Task().Attention() {
			return false, nil
		}
		t, _ := k.timers.Pop(watermark)
		if err := fire(t); err != nil {
			return false, err
		}
		fired = true
	}
}

// catchUp fires the timers up to highest that the floor of their own key has
// reached, at least one if any has, until the task asks for attention (R3). The
// others are put back before it returns, so that a snapshot finds them.
func (k *keyed) catchUp(highest int64, fire func(state.Timer) error) (done bool, err error) {
	var later []state.Timer
	defer func() {
		for _, t := range later {
			if _, rerr := k.timers.Register(t.Sum, t.Key, t.Namespace, t.Time); rerr != nil {
				err = errors.Join(err, rerr)
			}
		}
	}()
	for fired := false; ; {
		if fired && k.env.Task().Attention() {
			return false, nil
		}
		t, ok := k.timers.Pop(highest)
		if !ok {
			return true, nil
		}
		if t.Time > k.env.WatermarkOf(keygroup.Hash(t.Sum>>32)) {
			t.Key, t.Namespace = slices.Clone(t.Key), slices.Clone(t.Namespace)
			later = append(later, t)
			continue
		}
		if err := fire(t); err != nil {
			return false, err
		}
		fired = true
	}
}

// snapshot hands the tables and the timers over.
func (k *keyed) snapshot(s *runtime.Snapshot) error {
	for _, t := range k.tables {
		snap, err := t.Snapshot()
		if err != nil {
			return fmt.Errorf("state %q: %w", t.spec.Name, err)
		}
		s.Add(t.spec, func(ctx context.Context, sl *writer.Slice) error {
			for e := range snap.Entries() {
				if err := sl.Keyed(e.Hash, e.Key, e.Namespace, e.Value); err != nil {
					return err
				}
			}
			return nil
		}, snap.Release)
	}
	if k.timers == nil {
		return nil
	}
	snap, err := k.timers.Snapshot()
	if err != nil {
		return fmt.Errorf("timers: %w", err)
	}
	s.Add(k.timerSpec(), func(ctx context.Context, sl *writer.Slice) error {
		for e := range snap.Entries() {
			if err := sl.Timer(e.Hash, e.Key, e.Namespace, e.Time); err != nil {
				return err
			}
		}
		return nil
	}, snap.Release)
	return nil
}
