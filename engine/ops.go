package engine

import (
	"fmt"

	"github.com/tidemark-io/tidemark/engine/runtime"
)

// stateless is what the operators without state share.
type stateless[Out any] struct {
	env *runtime.Env
	out Output[Out]
}

func (s *stateless[Out]) Open(env *runtime.Env) error {
	s.env, s.out.env = env, env
	return nil
}

func (s *stateless[Out]) Close() error { return nil }

func (s *stateless[Out]) addConsumer(r receiver[Out]) { s.out.addConsumer(r) }

func (s *stateless[Out]) sideOutputs() *[]sideOutput { return &s.out.sides }

type mapOp[A, B any] struct {
	stateless[B]
	f func(A) B
}

func (m *mapOp[A, B]) push(record A, timestamp int64) {
	m.env.Enter()
	m.out.EmitAt(m.f(record), timestamp)
}

type filterOp[T any] struct {
	stateless[T]
	keep func(T) bool
}

func (f *filterOp[T]) push(record T, timestamp int64) {
	f.env.Enter()
	if f.keep(record) {
		f.out.EmitAt(record, timestamp)
	}
}

type flatMapOp[A, B any] struct {
	stateless[B]
	f func(A, *Output[B])
}

func (m *flatMapOp[A, B]) push(record A, timestamp int64) {
	m.env.Enter()
	m.out.timestamp = timestamp
	m.f(record, &m.out)
}

// errTrailing is the error of a record that is longer than its encoding.
func errTrailing(used, length int) error {
	return fmt.Errorf("record of %d bytes: its decoder took only %d", length, used)
}
