package engine

import (
	"github.com/tidemark-io/tidemark/engine/codec"
	"github.com/tidemark-io/tidemark/engine/runtime"
	"github.com/tidemark-io/tidemark/format"
)

// Stream is a stream of records of type T: the output of an operator, with the
// way its records reach the next one.
type Stream[T any] struct {
	g           *Graph
	node        int
	codec       Codec[T]
	partitioner format.Partitioner
}

// Keyed is a stream whose records are partitioned by a key of type K: records
// of one key reach one subtask, in order.
type Keyed[K, T any] struct {
	stream Stream[T]
	key    func(T) K
	codec  Codec[K]
}

// newStream is the output of a node. The codec is derived here, once; a type
// without one is an error of the graph.
func newStream[T any](g *Graph, node int) Stream[T] {
	c, err := codec.Of[T]()
	if err != nil {
		g.fail("operator %q: its output cannot cross an exchange: %w", g.plan.Nodes[node].UID, err)
	}
	return Stream[T]{g: g, node: node, codec: c, partitioner: pipe}
}

// WithCodec replaces the codec that was derived for the stream's type.
func (s Stream[T]) WithCodec(c Codec[T]) Stream[T] {
	s.codec = c
	return s
}

// Rebalance spreads the records evenly over the subtasks of the next operator,
// in turn.
func (s Stream[T]) Rebalance() Stream[T] {
	s.partitioner = format.Rebalance
	return s
}

// KeyBy partitions a stream by a key. The key's type must be a bool, integer,
// float, string, []byte, time, or an array or struct of these; see
// [codec.ForKey]. key must return the same for the same record, always.
func KeyBy[K, T any](s Stream[T], key func(T) K) Keyed[K, T] {
	c, err := codec.ForKey[K]()
	if err != nil {
		s.g.fail("keying the output of %q: %w", s.g.plan.Nodes[s.node].UID, err)
	}
	return Keyed[K, T]{stream: s, key: key, codec: c}
}

// Filter keeps the records for which keep is true.
func (s Stream[T]) Filter(keep func(T) bool, opts ...Option) Stream[T] {
	out := attach(s, &runtime.Node{Name: "filter", New: func() runtime.Operator { return &filterOp[T]{keep: keep} }}, opts)
	return Stream[T]{g: s.g, node: out, codec: s.codec, partitioner: pipe}
}

// Map turns each record into another one.
func Map[A, B any](s Stream[A], f func(A) B, opts ...Option) Stream[B] {
	return newStream[B](s.g, attach(s, &runtime.Node{Name: "map",
		New: func() runtime.Operator { return &mapOp[A, B]{f: f} }}, opts))
}

// FlatMap turns each record into any number of records.
func FlatMap[A, B any](s Stream[A], f func(in A, out *Output[B]), opts ...Option) Stream[B] {
	return newStream[B](s.g, attach(s, &runtime.Node{Name: "flatmap",
		New: func() runtime.Operator { return &flatMapOp[A, B]{f: f} }}, opts))
}

// attach adds an operator behind a stream and returns its index.
func attach[T any](s Stream[T], n *runtime.Node, opts []Option) int {
	node := s.g.add(n, opts)
	s.g.connect(&runtime.Edge{
		From: s.node, To: node, Partitioner: s.partitioner,
		Chain: func(up, down runtime.Operator) { up.(producer[T]).addConsumer(down.(receiver[T])) },
		Send: func(up runtime.Operator, r runtime.Route) {
			up.(producer[T]).addConsumer(newSender(s.codec, r))
		},
		Receive: func(down runtime.Operator) runtime.Receiver {
			return newDecoder(s.codec, down)
		},
	})
	return node
}

// attachKeyed adds an operator behind a keyed stream and returns its index.
func attachKeyed[K, T any](k Keyed[K, T], n *runtime.Node, opts []Option) int {
	s := k.stream
	if k.codec != nil {
		n.KeySchema = k.codec.Schema()
	}
	node := s.g.add(n, opts)
	s.g.connect(&runtime.Edge{
		From: s.node, To: node, Partitioner: format.Keyed,
		Send: func(up runtime.Operator, r runtime.Route) {
			up.(producer[T]).addConsumer(&keyedSender[K, T]{
				env: r.Env, part: r.Partition, codec: s.codec, key: k.key, keyCodec: k.codec,
				groups: r.KeyGroups, owner: r.Owner,
			})
		},
		Receive: func(down runtime.Operator) runtime.Receiver {
			return newDecoder(s.codec, down)
		},
	})
	return node
}
