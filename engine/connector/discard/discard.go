// Package discard is a sink that counts records and drops them, for benchmarks.
package discard

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/tidemark-io/tidemark/engine"
)

// Sink counts the records of all its writers.
type Sink[T any] struct {
	mu      sync.Mutex
	writers []*writer[T]
}

// New makes a sink with count 0.
func New[T any]() *Sink[T] { return &Sink[T]{} }

// Open implements [engine.Sink].
func (s *Sink[T]) Open(context.Context, engine.SinkContext) (engine.SinkWriter[T], error) {
	w := &writer[T]{}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writers = append(s.writers, w)
	return w, nil
}

// Count is the number of records of all writers so far, those of attempts that
// failed included. It lags by up to lag records per writer, except after Flush
// and Close.
func (s *Sink[T]) Count() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	var n uint64
	for _, w := range s.writers {
		n += w.shown.Load()
	}
	return n
}

// lag is how many records a writer counts privately before it tells others: an
// atomic operation per record would be a good part of a benchmark's time.
const lag = 1024

type writer[T any] struct {
	n     uint64
	shown atomic.Uint64
	_     [48]byte // writers of several cores do not share a cache line
}

func (w *writer[T]) Write(T, int64) error {
	w.n++
	if w.n%lag == 0 {
		w.shown.Store(w.n)
	}
	return nil
}

func (w *writer[T]) Flush() error {
	w.shown.Store(w.n)
	return nil
}

func (w *writer[T]) Close() error { return w.Flush() }
