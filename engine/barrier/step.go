package barrier

import (
	"fmt"
	"strings"
)

// State is the state of a task's handler. It is a value: copy it, compare it
// with ==, use it as a key. New makes one.
type State struct {
	phase    Phase
	channels int
	// current is the newest id of which anything was seen, finished the
	// newest that is over, one way or the other; current is pending if it is
	// larger.
	current, finished uint64
	barrier           Barrier // of the pending checkpoint, as first seen
	delivered         set     // channels that delivered it and stand still
	ended             set     // channels that ended
	aborted           idSet   // ids above current that the coordinator gave up
}

// New returns the state of a task with the given number of input channels,
// counted over all its gates; 0 for a source.
func New(channels int) State { return State{channels: max(channels, 0)} }

// Phase returns where the machine stands.
func (s State) Phase() Phase { return s.phase }

// Pending returns the id of the checkpoint that is being collected, 0 if none.
func (s State) Pending() uint64 {
	if s.current > s.finished {
		return s.current
	}
	return 0
}

// Newest returns the largest id of which the handler has seen anything.
func (s State) Newest() uint64 { return s.current }

// Blocked reports whether a channel stands still for the pending checkpoint.
func (s State) Blocked(channel int) bool { return channel >= 0 && s.delivered.has(channel) }

// Open returns the number of channels that have not ended.
func (s State) Open() int { return s.channels - s.ended.len() }

// String is the state as a line of a transcript.
func (s State) String() string {
	var sb strings.Builder
	fmt.Fprintf(&sb, "%v newest=%d", s.phase, s.current)
	if id := s.Pending(); id != 0 {
		fmt.Fprintf(&sb, " pending=%d delivered=%v", id, s.delivered)
	}
	if s.ended != "" {
		fmt.Fprintf(&sb, " ended=%v", s.ended)
	}
	if n := s.aborted.len(); n > 0 {
		fmt.Fprintf(&sb, " aborted=%v", s.aborted[:n])
	}
	return sb.String()
}

// Step says what an event changes and what is to be done. The actions are
// appended to acts, which may be reused from step to step. An event that
// names no channel of the task is ignored.
func Step(s State, e Event, acts []Action) (State, []Action) {
	ofChannel := e.Kind == BarrierArrived || e.Kind == CancelArrived || e.Kind == PartitionEnded
	if ofChannel && (e.Channel < 0 || e.Channel >= s.channels) {
		return s, acts
	}
	switch e.Kind {
	case BarrierArrived:
		return s.barrierArrived(e, acts)
	case TriggerOrdered:
		return s.triggerOrdered(e, acts)
	case CancelArrived:
		return s.cancelArrived(e, acts)
	case PartitionEnded:
		return s.partitionEnded(e, acts)
	case AbortOrdered:
		return s.abortOrdered(e, acts)
	}
	return s, acts
}

func (s State) barrierArrived(e Event, acts []Action) (State, []Action) {
	if s.ended.has(e.Channel) {
		return s, acts
	}
	if s.obsolete(e.ID) {
		// Nobody waits for it any more, but its channel stands still.
		return s, append(acts, Action{Kind: Resume, Channel: e.Channel, ID: e.ID})
	}
	s, acts, started := s.begin(e, acts)
	if !started {
		return s, append(acts, Action{Kind: Resume, Channel: e.Channel, ID: e.ID})
	}
	if s.delivered.has(e.Channel) {
		return s, acts // twice from one channel: it stands still already
	}
	s.delivered = s.delivered.with(e.Channel)
	if !s.complete() {
		return s.apply(inBarrier, acts)
	}
	acts = append(acts, Action{Kind: Last, Channel: e.Channel, ID: s.current})
	return s.apply(inLastBarrier, acts)
}

func (s State) triggerOrdered(e Event, acts []Action) (State, []Action) {
	if s.obsolete(e.ID) {
		return s, acts
	}
	s, acts, started := s.begin(e, acts)
	if !started {
		return s, acts
	}
	if !s.complete() {
		return s.apply(inBarrier, acts)
	}
	acts = append(acts, Action{Kind: Last, Channel: -1, ID: s.current})
	return s.apply(inLastBarrier, acts)
}

func (s State) cancelArrived(e Event, acts []Action) (State, []Action) {
	if s.obsolete(e.ID) {
		return s, acts
	}
	known := s.aborted.has(e.ID)
	if e.ID > s.current {
		s, acts = s.subsume(e.ID, acts)
	}
	if !known {
		acts = append(acts, Action{Kind: Abort, Channel: -1, ID: e.ID, Reason: ReasonCancelled})
	}
	acts = append(acts, Action{Kind: ForwardCancel, Channel: -1, ID: e.ID})
	return s.apply(inAbort, acts)
}

func (s State) partitionEnded(e Event, acts []Action) (State, []Action) {
	if s.ended.has(e.Channel) {
		return s, acts
	}
	s.ended = s.ended.with(e.Channel)
	// A channel that delivered its barrier and then ended still counts, but
	// there is nothing left in it to be resumed.
	s.delivered = s.delivered.without(e.Channel)
	if s.Pending() == 0 || !s.complete() {
		return s.apply(inEnd, acts)
	}
	acts = append(acts, Action{Kind: Last, Channel: e.Channel, ID: s.current})
	return s.apply(inLastEnd, acts)
}

func (s State) abortOrdered(e Event, acts []Action) (State, []Action) {
	switch {
	case e.ID > s.current:
		s.aborted = s.aborted.add(e.ID)
		return s, acts
	case e.ID != s.Pending():
		return s, acts
	}
	// Tasks behind this one may already stand still for it: tell them.
	acts = append(acts,
		Action{Kind: Abort, Channel: -1, ID: e.ID, Reason: ReasonCoordinator},
		Action{Kind: ForwardCancel, Channel: -1, ID: e.ID})
	return s.apply(inAbort, acts)
}

// obsolete reports whether a checkpoint is over or was overtaken.
func (s State) obsolete(id uint64) bool {
	return id < s.current || id == s.current && s.Pending() == 0
}

// complete reports whether every channel delivered its barrier or ended.
func (s State) complete() bool { return s.delivered.len()+s.ended.len() == s.channels }

// begin makes the event's checkpoint the pending one, unless it is already.
// started is false if it is over at once: the coordinator gave it up before,
// or this handler cannot take it.
func (s State) begin(e Event, acts []Action) (next State, out []Action, started bool) {
	if e.ID == s.current {
		return s, acts, true
	}
	given := s.aborted.has(e.ID)
	s, acts = s.subsume(e.ID, acts)
	switch {
	case given:
		s.finished = e.ID
		return s, append(acts, Action{Kind: ForwardCancel, Channel: -1, ID: e.ID}), false
	case !e.Barrier.Blocks():
		s.finished = e.ID
		return s, append(acts,
			Action{Kind: Abort, Channel: -1, ID: e.ID, Reason: ReasonUnsupported},
			Action{Kind: ForwardCancel, Channel: -1, ID: e.ID}), false
	}
	s.barrier = e.Barrier
	return s, append(acts, Action{Kind: First, Channel: e.Channel, ID: e.ID, Barrier: e.Barrier}), true
}

// subsume makes id the current checkpoint, which gives up an older pending
// one. Its cancellation is not forwarded: the newer id does the same there.
func (s State) subsume(id uint64, acts []Action) (State, []Action) {
	if old := s.Pending(); old != 0 {
		acts = append(acts, Action{Kind: Abort, Channel: -1, ID: old, Reason: ReasonSubsumed})
		s, acts = s.apply(inAbort, acts)
	}
	s.current = id
	s.aborted = s.aborted.above(id)
	return s, acts
}
