package engine

import (
	"time"

	"github.com/tidemark-io/tidemark/engine/runtime"
)

// Watermarks is how a source tells event time and how far it has advanced. The
// zero value gives records no time and no watermarks.
type Watermarks[T any] struct {
	time     func(T) int64
	disorder int64 // ms
	every    int
	idle     time.Duration
}

// defaultWatermarkEvery is the number of records of a split between two
// watermarks: often enough that windows close promptly, seldom enough that
// watermarks cost nothing beside records.
const defaultWatermarkEvery = 256

// BoundedDisorder says that a record's event time, in ms, is timestamp(record),
// and that no record of a split comes more than disorder after a younger one of
// the same split. The watermark of a split is its largest event time − disorder
// − 1 ms (Flink's BoundedOutOfOrdernessWatermarks).
func BoundedDisorder[T any](timestamp func(T) int64, disorder time.Duration) Watermarks[T] {
	return Watermarks[T]{time: timestamp, disorder: disorder.Milliseconds(), every: defaultWatermarkEvery}
}

// EveryRecords sets after how many records of a split its watermark is looked
// at, at least 1; the default is 256. Since it counts records and not time, a
// run gives the same watermarks each time.
func (w Watermarks[T]) EveryRecords(n int) Watermarks[T] {
	w.every = max(n, 1)
	return w
}

// Idle says that a split without a record for d does not hold event time back
// until it has one again.
func (w Watermarks[T]) Idle(d time.Duration) Watermarks[T] {
	w.idle = d
	return w
}

// splitTime is the watermark generator of one split.
type splitTime struct {
	largest int64 // event time seen, NoTimestamp if none
	idle    bool
	active  time.Time // when the last record came
	ended   bool
}

// watermark is what the split alone would emit.
func (s *splitTime) watermark(disorder int64) int64 {
	switch {
	case s.ended:
		return runtime.EndOfTime
	case s.largest == runtime.NoWatermark:
		return runtime.NoWatermark
	default:
		return s.largest - disorder - 1
	}
}
