package exchange

import (
	"fmt"
	"sync/atomic"

	"github.com/tidemark-io/tidemark/engine/barrier"
)

// Event is an element of a channel that is not data. Events cost no credit.
// All channels of a partition share one value: do not change it.
type Event struct {
	Kind    EventKind
	ID      uint64          // of the checkpoint: BarrierEvent, CancelBarrier
	Barrier barrier.Barrier // of BarrierEvent
	passage *passage        // of a timeoutable barrier whose sender wants to know
}

// EventKind names an event.
type EventKind uint8

// The events.
const (
	// BarrierEvent carries a checkpoint's barrier.
	BarrierEvent EventKind = iota + 1
	// CancelBarrier says that the barrier of a checkpoint will not come.
	CancelBarrier
	// EndOfData says that no record comes any more; barriers still do.
	EndOfData
	// EndOfPartition is the last element of a channel.
	EndOfPartition
	// RecoveryComplete says that all replayed data lies before it. It blocks
	// its channel like an aligned barrier.
	RecoveryComplete
	// Disorder says that the next buffer, of number ID, is not the one that
	// was due: the exchange is broken.
	Disorder
)

// String is the event's name in lower case.
func (k EventKind) String() string {
	switch k {
	case BarrierEvent:
		return "barrier"
	case CancelBarrier:
		return "cancel"
	case EndOfData:
		return "end of data"
	case EndOfPartition:
		return "end of partition"
	case RecoveryComplete:
		return "recovery complete"
	case Disorder:
		return "disorder"
	}
	return fmt.Sprintf("event(%d)", uint8(k))
}

// NewBarrier returns the event that carries b.
func NewBarrier(b barrier.Barrier) Event {
	return Event{Kind: BarrierEvent, ID: b.ID, Barrier: b}
}

// NewCancel returns the event that cancels the barrier of a checkpoint.
func NewCancel(id uint64) Event { return Event{Kind: CancelBarrier, ID: id} }

// Blocks reports whether a channel delivers nothing behind the event until
// its receiver resumes it.
func (e Event) Blocks() bool {
	return e.Kind == RecoveryComplete || e.Kind == BarrierEvent && e.Barrier.Blocks()
}

// Priority reports whether the event overtakes what is queued.
func (e Event) Priority() bool { return e.Kind == BarrierEvent && e.Barrier.Priority() }

// isTimeoutable reports whether the event is the timeoutable barrier of a
// checkpoint.
func (e *Event) isTimeoutable(id uint64) bool {
	return e.Kind == BarrierEvent && e.ID == id && e.Barrier.Timeoutable()
}

// Element is what a gate delivers: either a buffer or an event of a channel.
type Element struct {
	Channel int
	Buffer  *Buffer
	Event   *Event
}

// passage counts in how many channels a barrier is still queued.
type passage struct {
	id   uint64
	left atomic.Int64
	done func(id uint64)
}

// newPassage returns nil if there is nothing to count: done was called.
func newPassage(id uint64, channels int, done func(uint64)) *passage {
	if channels == 0 {
		done(id)
		return nil
	}
	p := &passage{id: id, done: done}
	p.left.Store(int64(channels))
	return p
}

// through notes that the barrier left one channel's queue.
func (p *passage) through() {
	if p != nil && p.left.Add(-1) == 0 {
		p.done(p.id)
	}
}
