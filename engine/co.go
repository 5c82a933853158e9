package engine

import "github.com/tidemark-io/tidemark/engine/runtime"

// CoProcess is a [Process] with two inputs of different types and keys of one
// type: what it keeps of a key is seen by the records of both. The order between
// the inputs is open. Its abilities are those of a Process.
type CoProcess[K, A, B, Out any] interface {
	// Process1 takes one record of the first input. An error fails the job.
	Process1(ctx *Context[K], in A, out *Output[Out]) error
	// Process2 takes one record of the second input. An error fails the job.
	Process2(ctx *Context[K], in B, out *Output[Out]) error
}

// CoApply runs a CoProcess on two keyed streams. Event time is the least of
// both. make is called once for each subtask. The operator keeps state, so it
// has a uid.
func CoApply[K, A, B, Out any](a Keyed[K, A], b Keyed[K, B], uid string, make func() CoProcess[K, A, B, Out], opts ...Option) Stream[Out] {
	g := a.stream.g
	n := &runtime.Node{UID: uid, Name: uid, Stateful: true, New: func() runtime.Operator {
		proc := make()
		return &coProcessOp[K, A, B, Out]{keyedOp: keyedOp[K, Out]{function: proc, codec: a.codec}, proc: proc, keyA: a.key, keyB: b.key}
	}}
	if a.codec != nil {
		n.KeySchema = a.codec.Schema()
	}
	node := g.add(n, opts)
	g.emits(node)
	if sameGraph(a.stream, b.stream, uid) {
		a.join(node, firstInput[A])
		b.join(node, secondInput[B])
	}
	return newStream[Out](g, node)
}

// sameGraph refuses to join streams of two graphs.
func sameGraph[A, B any](a Stream[A], b Stream[B], what string) bool {
	if a.g != b.g {
		a.g.fail("operator %q: its inputs, the outputs of %q and %q, belong to different graphs", what, a.uid(), b.uid())
	}
	return a.g == b.g
}

// twoInputs is an operator instance with two inputs: receivers of their types.
type twoInputs interface {
	inputs() (first, second any)
}

func firstInput[T any](op runtime.Operator) receiver[T] {
	first, _ := op.(twoInputs).inputs()
	return first.(receiver[T])
}

func secondInput[T any](op runtime.Operator) receiver[T] {
	_, second := op.(twoInputs).inputs()
	return second.(receiver[T])
}

// inputFunc is an input that hands its records to a method of the operator.
type inputFunc[T any] func(record T, timestamp int64)

func (f inputFunc[T]) push(record T, timestamp int64) { f(record, timestamp) }

// coProcessOp runs a CoProcess in one subtask.
type coProcessOp[K, A, B, Out any] struct {
	keyedOp[K, Out]
	proc CoProcess[K, A, B, Out]
	keyA func(A) K
	keyB func(B) K
}

func (p *coProcessOp[K, A, B, Out]) inputs() (first, second any) {
	return inputFunc[A](p.first), inputFunc[B](p.second)
}

func (p *coProcessOp[K, A, B, Out]) first(in A, timestamp int64) {
	p.env.Enter()
	p.begin(p.keyA(in), timestamp)
	if err := p.proc.Process1(&p.ctx, in, &p.out); err != nil {
		p.env.Fail(err)
	}
}

func (p *coProcessOp[K, A, B, Out]) second(in B, timestamp int64) {
	p.env.Enter()
	p.begin(p.keyB(in), timestamp)
	if err := p.proc.Process2(&p.ctx, in, &p.out); err != nil {
		p.env.Fail(err)
	}
}

// CoMap turns the records of two streams into records of one type, each by a
// function of its own.
func CoMap[A, B, Out any](a Stream[A], b Stream[B], fa func(A) Out, fb func(B) Out, opts ...Option) Stream[Out] {
	return coFlatMap(a, b, "comap",
		func(in A, out *Output[Out]) { out.Emit(fa(in)) },
		func(in B, out *Output[Out]) { out.Emit(fb(in)) }, opts)
}

// CoFlatMap turns the records of two streams into any number of records of one
// type.
func CoFlatMap[A, B, Out any](a Stream[A], b Stream[B], fa func(in A, out *Output[Out]), fb func(in B, out *Output[Out]), opts ...Option) Stream[Out] {
	return coFlatMap(a, b, "coflatmap", fa, fb, opts)
}

func coFlatMap[A, B, Out any](a Stream[A], b Stream[B], name string, fa func(A, *Output[Out]), fb func(B, *Output[Out]), opts []Option) Stream[Out] {
	g := a.g
	node := g.add(&runtime.Node{Name: name, New: func() runtime.Operator { return &coFlatMapOp[A, B, Out]{fa: fa, fb: fb} }}, opts)
	g.emits(node)
	if sameGraph(a, b, name) {
		a.join(node, firstInput[A])
		b.join(node, secondInput[B])
	}
	return newStream[Out](g, node)
}

type coFlatMapOp[A, B, Out any] struct {
	stateless[Out]
	fa func(A, *Output[Out])
	fb func(B, *Output[Out])
}

func (m *coFlatMapOp[A, B, Out]) inputs() (first, second any) {
	return inputFunc[A](func(in A, timestamp int64) {
			m.env.Enter()
			m.out.timestamp = timestamp
			m.fa(in, &m.out)
		}), inputFunc[B](func(in B, timestamp int64) {
			m.env.Enter()
			m.out.timestamp = timestamp
			m.fb(in, &m.out)
		})
}
