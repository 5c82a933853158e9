// Package ratelimit slows a source down to a number of records per second, for
// demonstrations and for tests under a steady load.
package ratelimit

import (
	"context"
	"fmt"
	"math"
	"sync/atomic"
	"time"

	"github.com/tidemark-io/tidemark/engine"
)

// Clock is where the source takes time from. The engine's clocks have this
// method.
type Clock interface {
	Now() time.Time
}

// burst is how much budget can be saved up, as time: a job that was held up
// does not catch up more than that.
const burst = 50 * time.Millisecond

// Source limits another source.
type Source[T any] struct {
	inner   engine.Source[T]
	clock   Clock
	rate    float64      // records per second, over all readers
	readers atomic.Int64 // open and not at their end
}

// New limits inner to perSecond records a second over all its splits in this
// process: each split that is open and not at its end has an equal part, so
// that no split falls behind and holds back the watermark. What a split does
// not use is not given to others. Readers never sleep: out of budget they
// return no records, and the engine asks again.
func New[T any](inner engine.Source[T], perSecond float64, clock Clock) (*Source[T], error) {
	if !(perSecond > 0) || math.IsInf(perSecond, 0) {
		return nil, fmt.Errorf("ratelimit: %v records per second; a positive number is expected", perSecond)
	}
	return &Source[T]{inner: inner, clock: clock, rate: perSecond}, nil
}

// Splits implements [engine.Source].
func (s *Source[T]) Splits(ctx context.Context) ([]engine.Split, error) { return s.inner.Splits(ctx) }

// Open implements [engine.Source].
func (s *Source[T]) Open(ctx context.Context, split engine.Split, position []byte) (engine.SplitReader[T], error) {
	r, err := s.inner.Open(ctx, split, position)
	if err != nil {
		return nil, err
	}
	s.readers.Add(1)
	// One record at once, so that something is to be seen.
	return &reader[T]{inner: r, src: s, last: s.clock.Now(), budget: 1}, nil
}

// reader is the reader of one split, on one goroutine.
type reader[T any] struct {
	inner  engine.SplitReader[T]
	src    *Source[T]
	last   time.Time // when budget was right
	budget float64   // records that may be read now
	left   bool      // has no part of the rate any more
}

// Read implements [engine.SplitReader].
func (r *reader[T]) Read(ctx context.Context, batch []T) (int, error) {
	if r.left { // at its end: no budget is needed to say so again
		return r.inner.Read(ctx, batch)
	}
	r.earn()
	may := int(min(float64(len(batch)), r.budget))
	if may == 0 {
		return 0, ctx.Err()
	}
	n, err := r.inner.Read(ctx, batch[:may])
	r.budget -= float64(n)
	if err != nil {
		r.leave()
	}
	return n, err
}

// earn adds the budget of the time since the last call.
func (r *reader[T]) earn() {
	now := r.src.clock.Now()
	passed := now.Sub(r.last)
	r.last = now
	if passed <= 0 {
		return
	}
	rate := r.src.rate / float64(max(r.src.readers.Load(), 1))
	// At least one record can be saved up, however slow the rate.
	r.budget = min(max(1, rate*burst.Seconds()), r.budget+rate*passed.Seconds())
}

func (r *reader[T]) leave() {
	if !r.left {
		r.left = true
		r.src.readers.Add(-1)
	}
}

// Position implements [engine.SplitReader]: it is that of the inner source.
func (r *reader[T]) Position(dst []byte) []byte { return r.inner.Position(dst) }

// Close implements [engine.SplitReader].
func (r *reader[T]) Close() error {
	r.leave()
	return r.inner.Close()
}
