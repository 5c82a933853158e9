package barrier

import (
	"fmt"
	"time"
)

// Event is what happens to a task, as the handler is told. Make one with the
// functions below.
type Event struct {
	Kind    EventKind
	Channel int     // flat over all gates of the task, from 0; -1 if of no channel
	ID      uint64  // of the checkpoint; 0 for EndOfPartition
	Barrier Barrier // of BarrierArrived and Triggered
	// Elapsed is the time since the trigger of the checkpoint: of BarrierArrived
	// and Triggered the barrier's own unless After sets it, of PartitionEnded
	// that of the pending checkpoint. It decides whether an aligned checkpoint
	// has timed out.
	Elapsed time.Duration
}

// EventKind names an event.
type EventKind uint8

// The events.
const (
	BarrierArrived EventKind = iota + 1
	CancelArrived
	PartitionEnded
	AbortOrdered
	TriggerOrdered
	TimeoutFired
)

// Arrived is the event that a barrier was taken from a channel. If the
// barrier blocks, the channel stands still until the handler answers Resume.
func Arrived(channel int, b Barrier) Event {
	return Event{Kind: BarrierArrived, Channel: channel, ID: b.ID, Barrier: b, Elapsed: b.Elapsed}
}

// Cancelled is the event that a channel says: the barrier of this checkpoint
// will not come. An upstream task gave it up.
func Cancelled(channel int, id uint64) Event {
	return Event{Kind: CancelArrived, Channel: channel, ID: id}
}

// Ended is the event that a channel ended: nothing comes any more.
func Ended(channel int) Event { return Event{Kind: PartitionEnded, Channel: channel} }

// Aborted is the event that the coordinator gave a checkpoint up. The order
// may come before, between or after its barriers.
func Aborted(id uint64) Event { return Event{Kind: AbortOrdered, Channel: -1, ID: id} }

// Triggered is the event that the coordinator asks this task directly, since
// no upstream task is there to send the barrier: the task is a source, or all
// tasks before it have finished. Channels that have not ended yet are waited
// for: their end stands for the barrier.
func Triggered(b Barrier) Event {
	return Event{Kind: TriggerOrdered, Channel: -1, ID: b.ID, Barrier: b, Elapsed: b.Elapsed}
}

// TimerFired is the event that the time of StartTimer is over. It may come at
// any time: if the checkpoint is not being aligned any more it does nothing.
func TimerFired(id uint64) Event { return Event{Kind: TimeoutFired, Channel: -1, ID: id} }

// After returns the event with the time that has passed since the trigger of
// its checkpoint (for Ended: of the pending one, that is Elapsed of First and
// what has passed since). The handler has no clock: this is how it learns of
// a timeout before the timer fires, or without one.
func (e Event) After(elapsed time.Duration) Event {
	e.Elapsed = elapsed
	return e
}

// String is the event as a line of a transcript.
func (e Event) String() string {
	s := e.name()
	if e.Elapsed != 0 {
		s += " elapsed=" + e.Elapsed.String()
	}
	return s
}

func (e Event) name() string {
	switch e.Kind {
	case BarrierArrived:
		return fmt.Sprintf("barrier ch=%d id=%v", e.Channel, e.Barrier)
	case CancelArrived:
		return fmt.Sprintf("cancel ch=%d id=%d", e.Channel, e.ID)
	case PartitionEnded:
		return fmt.Sprintf("end ch=%d", e.Channel)
	case AbortOrdered:
		return fmt.Sprintf("abort id=%d", e.ID)
	case TriggerOrdered:
		return fmt.Sprintf("trigger id=%v", e.Barrier)
	case TimeoutFired:
		return fmt.Sprintf("timer id=%d", e.ID)
	}
	return fmt.Sprintf("event(%d)", uint8(e.Kind))
}

// Action is one thing for the task to do. Actions of one step are performed
// in their order, between two records.
type Action struct {
	Kind    ActionKind
	Channel int           // of Resume, Hold, Unhold, ChannelDone, First and Last; -1 if of no channel
	ID      uint64        // of the checkpoint; of Resume: of the barrier that blocked
	Barrier Barrier       // of First and Snapshot
	Reason  Reason        // of Abort
	After   time.Duration // of StartTimer
}

// ActionKind names an action.
type ActionKind uint8

const (
	// First says that the first barrier of a checkpoint is being processed:
	// the start delay is the barrier's Elapsed at its arrival, and the
	// alignment begins. Channel is where it came from, -1 for a trigger.
	First ActionKind = iota + 1
	// Last says that nothing is missing any more: the alignment ends.
	// Channel is the one that was waited for. For an aligned checkpoint it
	// comes before Snapshot, so that the snapshot can carry its duration; for
	// an unaligned one before StopCapture, the snapshot being over.
	Last
	// Snapshot tells the task to take its part of the checkpoint now and to
	// send Barrier to all its outputs, as one step. Barrier has the kind that
	// the outputs need: unaligned if the checkpoint is so here, whatever kind
	// arrived, and never forced (Barrier.Forced makes it so per edge).
	Snapshot
	// Resume tells the task to let a channel go on that is blocked behind the
	// barrier it delivered.
	Resume
	// Abort says that this task gave a checkpoint up for which it had seen a
	// barrier (or, for ReasonCancelled, a cancellation). Tell the
	// coordinator, except for ReasonCoordinator.
	Abort
	// ForwardCancel tells the task to send the cancellation of a checkpoint
	// to all its outputs, in place of the barrier.
	ForwardCancel
	// StartTimer asks for TimerFired(ID) when After has passed. Nothing stops
	// the timer: once Last, Abort or BeginCapture was said it has no effect.
	StartTimer
	// Hold tells the task to process nothing more of a channel beyond the
	// buffer that it is reading, until Unhold: its barrier overtook what
	// follows, so that it belongs to the sender's part of the checkpoint and
	// must not get into the state before the snapshot.
	Hold
	// Unhold ends Hold.
	Unhold
	// BeginCapture begins the input part, right before Snapshot: of each
	// channel that may be unaligned, the begin of an open record and the
	// unread rest of the buffer in hand are kept; then what is polled from it
	// until its ChannelDone.
	BeginCapture
	// ChannelDone says that the channel's barrier is there, or that it ended:
	// nothing polled from it from now on belongs to the checkpoint.
	ChannelDone
	// StopCapture says that the input part is complete.
	StopCapture
	// DropCapture says that the input part is not wanted any more. It comes
	// behind the Abort of a checkpoint whose snapshot was already taken.
	DropCapture
)

// Reason says why a checkpoint was aborted. None of them counts as a failure
// of the job.
type Reason uint8

const (
	// ReasonSubsumed: a newer checkpoint began before this one was complete.
	ReasonSubsumed Reason = iota + 1
	// ReasonCancelled: an upstream task gave it up.
	ReasonCancelled
	// ReasonCoordinator: the coordinator gave it up.
	ReasonCoordinator
	// ReasonUnsupported: the barrier asks for what this handler cannot do.
	ReasonUnsupported
)

// String is the reason as a clause: "checkpoint 7: " fits before it.
func (r Reason) String() string {
	switch r {
	case ReasonSubsumed:
		return "subsumed"
	case ReasonCancelled:
		return "cancelled upstream"
	case ReasonCoordinator:
		return "aborted by the coordinator"
	case ReasonUnsupported:
		return "alignment not supported"
	}
	return fmt.Sprintf("reason(%d)", uint8(r))
}

// String is the action as a line of a transcript.
func (a Action) String() string {
	switch a.Kind {
	case First:
		return fmt.Sprintf("first id=%d ch=%d", a.ID, a.Channel)
	case Last:
		return fmt.Sprintf("last id=%d ch=%d", a.ID, a.Channel)
	case Snapshot:
		return fmt.Sprintf("SNAPSHOT id=%v", a.Barrier)
	case Resume:
		return fmt.Sprintf("resume ch=%d", a.Channel)
	case Abort:
		return fmt.Sprintf("abort id=%d: %v", a.ID, a.Reason)
	case ForwardCancel:
		return fmt.Sprintf("forward cancel id=%d", a.ID)
	case StartTimer:
		return fmt.Sprintf("timer id=%d after=%v", a.ID, a.After)
	case Hold:
		return fmt.Sprintf("hold ch=%d", a.Channel)
	case Unhold:
		return fmt.Sprintf("unhold ch=%d", a.Channel)
	case BeginCapture:
		return fmt.Sprintf("CAPTURE id=%d", a.ID)
	case ChannelDone:
		return fmt.Sprintf("done ch=%d", a.Channel)
	case StopCapture:
		return fmt.Sprintf("stop id=%d", a.ID)
	case DropCapture:
		return fmt.Sprintf("drop id=%d", a.ID)
	}
	return fmt.Sprintf("action(%d)", uint8(a.Kind))
}
