package engine

import (
	"github.com/tidemark-io/tidemark/engine/runtime"
)

// BroadcastProcess is a function with two inputs: the records of a stream, and
// records that every subtask sees, such as rules for them. What it keeps of the
// rules is [BroadcastState]. Further abilities are [Opener] and [Closer].
type BroadcastProcess[In, B, Out any] interface {
	// Process takes one record of the stream. An error fails the job.
	Process(ctx *RecordContext, in In, out *Output[Out]) error
	// ProcessBroadcast takes one broadcast record. It must do the same to
	// the broadcast state in every subtask. An error fails the job.
	ProcessBroadcast(ctx *BroadcastContext, in B, out *Output[Out]) error
}

// KeyedBroadcastProcess is a [BroadcastProcess] on a keyed stream: Process sees
// the state of the current key, too. [TimerHandler] is a further ability.
type KeyedBroadcastProcess[K, In, B, Out any] interface {
	// Process takes one record of the keyed stream. An error fails the job.
	Process(ctx *Context[K], in In, out *Output[Out]) error
	// ProcessBroadcast takes one broadcast record, without a current key. It
	// must do the same to the broadcast state in every subtask. An error
	// fails the job.
	ProcessBroadcast(ctx *BroadcastContext, in B, out *Output[Out]) error
}

// ApplyBroadcast runs a BroadcastProcess on a stream and a broadcast stream,
// whose partitioner is set by this. The order between the two is open. The
// operator keeps state, so it has a uid.
func ApplyBroadcast[In, B, Out any](s Stream[In], rules Stream[B], uid string, make func() BroadcastProcess[In, B, Out], opts ...Option) Stream[Out] {
	n := &runtime.Node{UID: uid, Name: uid, Stateful: true, New: func() runtime.Operator {
		return &broadcastOp[In, B, Out]{proc: make()}
	}}
	node := s.g.add(n, opts)
	s.g.emits(node)
	if sameGraph(s, rules, uid) {
		s.join(node, firstInput[In])
		rules.Broadcast().join(node, secondInput[B])
	}
	return newStream[Out](s.g, node)
}

// ApplyKeyedBroadcast runs a KeyedBroadcastProcess on a keyed stream and a
// broadcast stream, whose partitioner is set by this. The order between the two
// is open. The operator keeps state, so it has a uid.
func ApplyKeyedBroadcast[K, In, B, Out any](k Keyed[K, In], rules Stream[B], uid string, make func() KeyedBroadcastProcess[K, In, B, Out], opts ...Option) Stream[Out] {
	g := k.stream.g
	n := &runtime.Node{UID: uid, Name: uid, Stateful: true, New: func() runtime.Operator {
		proc := make()
		return &keyedBroadcastOp[K, In, B, Out]{keyedOp: keyedOp[K, Out]{function: proc, codec: k.codec}, proc: proc, key: k.key}
	}}
	if k.codec != nil {
		n.KeySchema = k.codec.Schema()
	}
	node := g.add(n, opts)
	g.emits(node)
	if sameGraph(k.stream, rules, uid) {
		k.join(node, firstInput[In])
		rules.Broadcast().join(node, secondInput[B])
	}
	return newStream[Out](g, node)
}

// broadcastOp runs a BroadcastProcess in one subtask.
type broadcastOp[In, B, Out any] struct {
	stateless[Out]
	proc  BroadcastProcess[In, B, Out]
	ctx   RecordContext
	rule  BroadcastContext
	lists []snapshotList
}

func (p *broadcastOp[In, B, Out]) inputs() (first, second any) {
	return inputFunc[In](p.record), inputFunc[B](p.broadcast)
}

func (p *broadcastOp[In, B, Out]) Open(env *runtime.Env) error {
	p.env, p.out.env, p.ctx.env, p.rule.env = env, env, env, env
	o, ok := p.proc.(Opener)
	if !ok {
		return nil
	}
	b := &Binder{env: env, broadcast: true}
	err := o.Open(b)
	p.lists = b.lists
	return err
}

func (p *broadcastOp[In, B, Out]) record(in In, timestamp int64) {
	p.env.Enter()
	p.ctx.timestamp, p.out.timestamp = timestamp, timestamp
	if err := p.proc.Process(&p.ctx, in, &p.out); err != nil {
		p.env.Fail(err)
	}
}

func (p *broadcastOp[In, B, Out]) broadcast(in B, timestamp int64) {
	p.env.Enter()
	p.out.timestamp = timestamp
	err := p.rule.during(timestamp, func() error { return p.proc.ProcessBroadcast(&p.rule, in, &p.out) })
	if err != nil {
		p.env.Fail(err)
	}
}

func (p *broadcastOp[In, B, Out]) Snapshot(s *runtime.Snapshot) error {
	for _, l := range p.lists {
		l.snapshot(s)
	}
	return nil
}

func (p *broadcastOp[In, B, Out]) Close() error {
	if c, ok := p.proc.(Closer); ok {
		return c.Close()
	}
	return nil
}

// during allows f to write broadcast state.
func (c *BroadcastContext) during(timestamp int64, f func() error) error {
	c.timestamp, c.active = timestamp, true
	err := f()
	c.active = false
	return err
}

// keyedBroadcastOp runs a KeyedBroadcastProcess in one subtask.
type keyedBroadcastOp[K, In, B, Out any] struct {
	keyedOp[K, Out]
	proc KeyedBroadcastProcess[K, In, B, Out]
	key  func(In) K
	rule BroadcastContext
}

func (p *keyedBroadcastOp[K, In, B, Out]) inputs() (first, second any) {
	return inputFunc[In](p.record), inputFunc[B](p.broadcast)
}

func (p *keyedBroadcastOp[K, In, B, Out]) Open(env *runtime.Env) error {
	p.rule.env = env
	return p.open(&Binder{env: env, keyed: &p.keyed, broadcast: true})
}

func (p *keyedBroadcastOp[K, In, B, Out]) record(in In, timestamp int64) {
	p.env.Enter()
	p.begin(p.key(in), timestamp)
	if err := p.proc.Process(&p.ctx, in, &p.out); err != nil {
		p.env.Fail(err)
	}
}

func (p *keyedBroadcastOp[K, In, B, Out]) broadcast(in B, timestamp int64) {
	p.env.Enter()
	p.out.timestamp = timestamp
	p.withoutKey(true)
	err := p.rule.during(timestamp, func() error { return p.proc.ProcessBroadcast(&p.rule, in, &p.out) })
	p.withoutKey(false)
	if err != nil {
		p.env.Fail(err)
	}
}
