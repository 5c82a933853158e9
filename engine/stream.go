package engine

import (
	"fmt"
	"reflect"
	"slices"

	"github.com/tidemark-io/tidemark/engine/codec"
	"github.com/tidemark-io/tidemark/engine/runtime"
	"github.com/tidemark-io/tidemark/format"
)

// Stream is a stream of records of type T: the output of an operator, or of
// several (see [Union]), with the way its records reach the next one.
type Stream[T any] struct {
	g    *Graph
	legs []leg[T] // never empty
}

// leg is one output of one operator on its way to the next operator.
type leg[T any] struct {
	node        int
	tag         string // of a side output, "" for the main one
	codec       Codec[T]
	missing     error // why no codec could be derived, if codec is nil
	partitioner format.Partitioner
	choose      func(record T, n int) int // of a custom partitioner, else nil
}

// Keyed is a stream whose records are partitioned by a key of type K: records
// of one key reach one subtask, in order.
type Keyed[K, T any] struct {
	stream Stream[T]
	key    func(T) K
	codec  Codec[K]
}

// newStream is the output of a node. The codec is derived here, once; a type
// without one is an error of the graph as soon as the stream is used.
func newStream[T any](g *Graph, node int) Stream[T] {
	c, err := codec.Of[T]()
	return streamOf(g, leg[T]{node: node, codec: c, missing: err})
}

// streamOf is a stream that nobody has told yet how to partition.
func streamOf[T any](g *Graph, l leg[T]) Stream[T] {
	l.partitioner = pipe
	return Stream[T]{g: g, legs: []leg[T]{l}}
}

// with returns the stream with each of its legs changed.
func (s Stream[T]) with(change func(*leg[T])) Stream[T] {
	s.legs = slices.Clone(s.legs)
	for i := range s.legs {
		change(&s.legs[i])
	}
	return s
}

// uid names the operator that the stream comes from, the first of several.
func (s Stream[T]) uid() string { return s.g.plan.Nodes[s.legs[0].node].UID }

// WithCodec replaces the codec that was derived for the stream's type, or gives
// it one if none can be derived.
func (s Stream[T]) WithCodec(c Codec[T]) Stream[T] {
	return s.with(func(l *leg[T]) { l.codec = c })
}

// KeyBy partitions a stream by a key. The key's type must be a bool, integer,
// float, string, []byte, time, or an array or struct of these; see
// [codec.ForKey]. key must return the same for the same record, always.
func KeyBy[K, T any](s Stream[T], key func(T) K) Keyed[K, T] {
	c, err := codec.ForKey[K]()
	if err != nil {
		s.g.fail("keying the output of %q: %w", s.uid(), err)
	}
	return Keyed[K, T]{stream: s, key: key, codec: c}
}

// Filter keeps the records for which keep is true.
func (s Stream[T]) Filter(keep func(T) bool, opts ...Option) Stream[T] {
	out := attach(s, &runtime.Node{Name: "filter", New: func() runtime.Operator { return &filterOp[T]{keep: keep} }}, opts)
	return streamOf(s.g, leg[T]{node: out, codec: s.legs[0].codec, missing: s.legs[0].missing})
}

// Map turns each record into another one.
func Map[A, B any](s Stream[A], f func(A) B, opts ...Option) Stream[B] {
	return newStream[B](s.g, attach(s, &runtime.Node{Name: "map",
		New: func() runtime.Operator { return &mapOp[A, B]{f: f} }}, opts))
}

// FlatMap turns each record into any number of records.
func FlatMap[A, B any](s Stream[A], f func(in A, out *Output[B]), opts ...Option) Stream[B] {
	node := attach(s, &runtime.Node{Name: "flatmap",
		New: func() runtime.Operator { return &flatMapOp[A, B]{f: f} }}, opts)
	s.g.emits(node)
	return newStream[B](s.g, node)
}

// attach adds an operator behind a stream and returns its index.
func attach[T any](s Stream[T], n *runtime.Node, opts []Option) int {
	node := s.g.add(n, opts)
	s.join(node, input[T])
	return node
}

// attachKeyed adds an operator behind a keyed stream and returns its index.
func attachKeyed[K, T any](k Keyed[K, T], n *runtime.Node, opts []Option) int {
	if k.codec != nil {
		n.KeySchema = k.codec.Schema()
	}
	node := k.stream.g.add(n, opts)
	k.join(node, input[T])
	return node
}

// input is the input of an operator that has only one.
func input[T any](op runtime.Operator) receiver[T] { return op.(receiver[T]) }

// join connects a stream to an input of an operator. An operator with more than
// one edge is not chained.
func (s Stream[T]) join(node int, in func(runtime.Operator) receiver[T]) {
	for _, l := range s.legs {
		l.check(s.g)
		s.g.connect(&runtime.Edge{
			From: l.node, To: node, Partitioner: l.partitioner, Record: l.schema(), Choose: l.chooser(),
			Chain:   func(up, down runtime.Operator) { l.feed(up, in(down)) },
			Send:    func(up runtime.Operator, r runtime.Route) { l.feed(up, newSender(l, r)) },
			Receive: func(down runtime.Operator) runtime.Receiver { return newDecoder(l.codec, in(down), down) },
		})
	}
}

// join connects a keyed stream to an input of an operator.
func (k Keyed[K, T]) join(node int, in func(runtime.Operator) receiver[T]) {
	for _, l := range k.stream.legs {
		l.check(k.stream.g)
		k.stream.g.connect(&runtime.Edge{
			From: l.node, To: node, Partitioner: format.Keyed, Record: l.schema(),
			Send: func(up runtime.Operator, r runtime.Route) {
				l.feed(up, &keyedSender[K, T]{
					env: r.Env, part: r.Partition, codec: l.codec, key: k.key, keyCodec: k.codec,
					groups: r.KeyGroups, owner: r.Owner,
				})
			},
			Receive: func(down runtime.Operator) runtime.Receiver { return newDecoder(l.codec, in(down), down) },
		})
	}
}

// check sees to it that the leg has a codec. It needs one even if it is chained,
// which another parallelism would end.
func (l leg[T]) check(g *Graph) {
	if l.codec == nil {
		g.fail("operator %q: its output cannot cross an exchange without a codec of its own (WithCodec): %w", g.plan.Nodes[l.node].UID, l.missing)
	}
}

// schema describes the leg's records as they cross an exchange. A codec that says
// nothing of its encoding is opaque, under the name of the records' type.
func (l leg[T]) schema() *format.Schema {
	if l.codec == nil {
		return nil
	}
	if s := l.codec.Schema(); s != nil {
		return s
	}
	return &format.Schema{Type: format.TypeOpaque, Name: reflect.TypeFor[T]().String()}
}

// chooser runs the function of a custom partitioner on an encoded record, nil
// for other partitioners.
func (l leg[T]) chooser() func(payload []byte, n int) (int, error) {
	if l.choose == nil {
		return nil
	}
	return func(payload []byte, n int) (int, error) {
		record, used, err := l.codec.Decode(payload)
		if err == nil && used != len(payload) {
			err = errTrailing(used, len(payload))
		}
		if err != nil {
			return 0, err
		}
		channel := l.choose(record, n)
		if channel < 0 || channel >= n {
			return 0, fmt.Errorf("the partitioner chose subtask %d of %d", channel, n)
		}
		return channel, nil
	}
}

// feed makes r a consumer of the output.
func (l leg[T]) feed(up runtime.Operator, r receiver[T]) {
	if l.tag == "" {
		up.(producer[T]).addConsumer(r)
		return
	}
	addSide(up.(sideProducer), l.tag, r)
}
