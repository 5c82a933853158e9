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
	delivered         set     // channels that delivered it
	blocked           set     // of these, those that stand still at their sender
	held              set     // and those that this task must not read
	ended             set     // channels that ended
	aborted           idSet   // ids above current that the coordinator gave up

	alternating bool // unaligned checkpoints are possible
	unaligned   set  // channels that may be unaligned
}

// New returns the state of a task with the given number of input channels,
// counted over all its gates; 0 for a source.
func New(channels int) State { return State{channels: max(channels, 0)} }

// NewAlternating returns the state of a task in a job with unaligned
// checkpoints. unaligned says of each input channel, over all gates, whether
// it may be unaligned; the others are always aligned. Empty for a source.
func NewAlternating(unaligned []bool) State {
	s := New(len(unaligned))
	s.alternating = true
	for ch, u := range unaligned {
		if u {
			s.unaligned = s.unaligned.with(ch)
		}
	}
	return s
}

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

// Blocked reports whether a channel stands still, at its sender, for the
// pending checkpoint.
func (s State) Blocked(channel int) bool { return channel >= 0 && s.blocked.has(channel) }

// Held reports whether this task must not read a channel, beyond the buffer in
// hand, until the snapshot of the pending checkpoint.
func (s State) Held(channel int) bool { return channel >= 0 && s.held.has(channel) }

// Capturing reports whether what is polled from a channel belongs to the input
// part of the pending checkpoint.
func (s State) Capturing(channel int) bool {
	return s.phase == U1 && channel >= 0 && s.unaligned.has(channel) && !s.delivered.has(channel) && !s.ended.has(channel)
}

// Open returns the number of channels that have not ended.
func (s State) Open() int { return s.channels - s.ended.len() }

// String is the state as a line of a transcript.
func (s State) String() string {
	var sb strings.Builder
	fmt.Fprintf(&sb, "%v newest=%d", s.phase, s.current)
	if id := s.Pending(); id != 0 {
		fmt.Fprintf(&sb, " pending=%d delivered=%v", id, s.delivered)
	}
	if s.held != "" {
		fmt.Fprintf(&sb, " held=%v", s.held)
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
	case TimeoutFired:
		return s.timeoutFired(e, acts)
	}
	return s, acts
}

func (s State) barrierArrived(e Event, acts []Action) (State, []Action) {
	if s.ended.has(e.Channel) {
		return s, acts
	}
	if s.obsolete(e.ID) {
		return s, resume(e, acts)
	}
	starts := e.ID > s.current
	s, acts, started := s.begin(e, acts)
	if !started {
		return s, resume(e, acts)
	}
	if s.delivered.has(e.Channel) { // twice from one channel
		if !s.blocked.has(e.Channel) {
			acts = resume(e, acts)
		}
		return s, acts
	}
	s.delivered = s.delivered.with(e.Channel)
	switch {
	case s.phase == U1: // the snapshot is over: nothing is to be kept back
		if s.unaligned.has(e.Channel) {
			acts = append(acts, Action{Kind: ChannelDone, Channel: e.Channel, ID: e.ID})
		}
		acts = resume(e, acts)
	case e.Barrier.Blocks():
		s.blocked = s.blocked.with(e.Channel)
	}
	s, acts = s.advance(e, acts)
	if s.phase == U0 && e.Barrier.Priority() {
		s.held = s.held.with(e.Channel)
		acts = append(acts, Action{Kind: Hold, Channel: e.Channel, ID: e.ID})
	}
	return s.startTimer(e, starts, acts)
}

// resume lets the channel of a barrier go on for which nobody waits.
func resume(e Event, acts []Action) []Action {
	if !e.Barrier.Blocks() {
		return acts
	}
	return append(acts, Action{Kind: Resume, Channel: e.Channel, ID: e.ID})
}

// advance looks up what the event means for the pending checkpoint.
func (s State) advance(e Event, acts []Action) (State, []Action) {
	if s.complete() {
		acts = append(acts, Action{Kind: Last, Channel: e.Channel, ID: s.current})
	}
	var urgent, timedOut bool
	if s.alternating {
		ofBarrier := e.Kind == BarrierArrived || e.Kind == TriggerOrdered
		urgent = ofBarrier && e.Barrier.Original().Alignment == Unaligned
		timedOut = s.barrier.Timeout > 0 && e.Elapsed > s.barrier.Timeout || e.Kind == TimeoutFired
	}
	return s.apply(s.classify(urgent, timedOut), acts)
}

// startTimer asks for the timer of a checkpoint that the event began and that
// may time out.
func (s State) startTimer(e Event, starts bool, acts []Action) (State, []Action) {
	if starts && s.phase == A1 && s.alternating && s.barrier.Timeout > 0 && s.unaligned != "" {
		acts = append(acts, Action{Kind: StartTimer, Channel: -1, ID: e.ID, After: max(0, s.barrier.Timeout-e.Elapsed)})
	}
	return s, acts
}

func (s State) timeoutFired(e Event, acts []Action) (State, []Action) {
	if e.ID != s.Pending() || s.phase != A1 || s.barrier.Timeout == 0 || !s.alternating {
		return s, acts
	}
	return s.advance(e, acts)
}

func (s State) triggerOrdered(e Event, acts []Action) (State, []Action) {
	if s.obsolete(e.ID) {
		return s, acts
	}
	starts := e.ID > s.current
	s, acts, started := s.begin(e, acts)
	if !started {
		return s, acts
	}
	s, acts = s.advance(e, acts)
	return s.startTimer(e, starts, acts)
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
	return s.giveUp(acts)
}

// giveUp ends the current checkpoint without a result. Tasks behind this one
// may already stand still for it: they are told, unless the barrier has gone
// out. Then the coordinator tells them.
func (s State) giveUp(acts []Action) (State, []Action) {
	if s.phase != U1 {
		acts = append(acts, Action{Kind: ForwardCancel, Channel: -1, ID: s.current})
	}
	return s.apply(inAbort, acts)
}

func (s State) partitionEnded(e Event, acts []Action) (State, []Action) {
	if s.ended.has(e.Channel) {
		return s, acts
	}
	captured := s.Capturing(e.Channel)
	s.ended = s.ended.with(e.Channel)
	// A channel that delivered its barrier and then ended still counts, but
	// there is nothing left in it to be resumed.
	s.delivered = s.delivered.without(e.Channel)
	s.blocked = s.blocked.without(e.Channel)
	s.held = s.held.without(e.Channel)
	if s.Pending() == 0 {
		return s, acts
	}
	if captured {
		acts = append(acts, Action{Kind: ChannelDone, Channel: e.Channel, ID: s.current})
	}
	return s.advance(e, acts)
}

func (s State) abortOrdered(e Event, acts []Action) (State, []Action) {
	switch {
	case e.ID > s.current:
		s.aborted = s.aborted.add(e.ID)
		return s, acts
	case e.ID != s.Pending():
		return s, acts
	}
	acts = append(acts, Action{Kind: Abort, Channel: -1, ID: e.ID, Reason: ReasonCoordinator})
	return s.giveUp(acts)
}

// obsolete reports whether a checkpoint is over or was overtaken.
func (s State) obsolete(id uint64) bool {
	return id < s.current || id == s.current && s.Pending() == 0
}

// complete reports whether every channel delivered its barrier or ended.
func (s State) complete() bool { return s.delivered.len()+s.ended.len() == s.channels }

// alignedMissing reports whether a channel is missing that must be aligned.
func (s State) alignedMissing() bool {
	for i := range (s.channels + 7) / 8 {
		have := s.unaligned.byteAt(i) | s.delivered.byteAt(i) | s.ended.byteAt(i)
		if n := s.channels - 8*i; n < 8 {
			have |= 0xff << n
		}
		if have != 0xff {
			return true
		}
	}
	return false
}

// begin makes the event's checkpoint the pending one, unless it is already.
// started is false if it is over at once: the coordinator gave it up before,
// or this handler cannot take it.
func (s State) begin(e Event, acts []Action) (next State, out []Action, started bool) {
	unsupported := e.Barrier.Priority() && (!s.alternating || e.Channel >= 0 && !s.unaligned.has(e.Channel))
	if e.ID == s.current {
		if unsupported {
			acts = append(acts, Action{Kind: Abort, Channel: -1, ID: e.ID, Reason: ReasonUnsupported})
			s, acts = s.giveUp(acts)
		}
		return s, acts, !unsupported
	}
	given := s.aborted.has(e.ID)
	s, acts = s.subsume(e.ID, acts)
	switch {
	case given:
		s.finished = e.ID
		return s, append(acts, Action{Kind: ForwardCancel, Channel: -1, ID: e.ID}), false
	case unsupported:
		acts = append(acts, Action{Kind: Abort, Channel: -1, ID: e.ID, Reason: ReasonUnsupported})
		s, acts = s.giveUp(acts)
		return s, acts, false
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
