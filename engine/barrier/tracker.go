package barrier

import (
	"fmt"
	"slices"
	"strings"
)

// trackedCheckpoints bounds how many unfinished checkpoints a Tracker counts
// barriers of, as in Flink: the oldest is forgotten.
const trackedCheckpoints = 50

// Tracker is the handler of a job that promises at least once: it only counts
// barriers. No channel ever stands still, so that records behind a barrier get
// into the state that the barrier belongs to, and come again after a restore.
// It does what Flink's CheckpointBarrierTracker does. Like [State] it has no
// clock and no goroutine; unlike it, it is changed by Step.
type Tracker struct {
	channels int
	newest   uint64 // largest id of which anything was seen
	pending  []tracked
	ended    set
	aborted  idSet // ids above newest that the coordinator gave up
}

// tracked is one checkpoint of which some barriers are missing. An aborted one
// is kept until they are there, so that they do not begin it anew.
type tracked struct {
	id        uint64
	barrier   Barrier // as first seen
	delivered set     // channels that delivered it, or its cancellation
	aborted   bool
}

// NewTracker returns the tracker of a task with the given number of input
// channels, counted over all its gates.
func NewTracker(channels int) *Tracker { return &Tracker{channels: max(channels, 0)} }

// Pending returns the ids whose barriers are being counted, aborted ones
// included, in ascending order.
func (t *Tracker) Pending() []uint64 {
	ids := make([]uint64, len(t.pending))
	for i, p := range t.pending {
		ids[i] = p.id
	}
	return ids
}

// Newest returns the largest id of which the tracker has seen anything.
func (t *Tracker) Newest() uint64 { return t.newest }

// String is the tracker as a line of a transcript.
func (t *Tracker) String() string {
	var sb strings.Builder
	fmt.Fprintf(&sb, "newest=%d", t.newest)
	for _, p := range t.pending {
		fmt.Fprintf(&sb, " %d:%v", p.id, p.delivered)
		if p.aborted {
			sb.WriteString(",aborted")
		}
	}
	if t.ended != "" {
		fmt.Fprintf(&sb, " ended=%v", t.ended)
	}
	return sb.String()
}

// Step takes an event and appends what is to be done to acts: First, Last,
// Snapshot, Abort and ForwardCancel as for Step of a State, and Resume where a
// barrier came that blocks although it should not.
func (t *Tracker) Step(e Event, acts []Action) []Action {
	ofChannel := e.Kind == BarrierArrived || e.Kind == CancelArrived || e.Kind == PartitionEnded
	if ofChannel && (e.Channel < 0 || e.Channel >= t.channels || t.ended.has(e.Channel)) {
		return acts
	}
	switch e.Kind {
	case BarrierArrived:
		acts = resume(e, acts)
		return t.arrived(e, acts)
	case TriggerOrdered:
		return t.arrived(e, acts)
	case CancelArrived:
		return t.cancelled(e, acts)
	case PartitionEnded:
		t.ended = t.ended.with(e.Channel)
		return t.finish(e.Channel, acts)
	case AbortOrdered:
		return t.abortOrdered(e.ID, acts)
	}
	return acts
}

func (t *Tracker) arrived(e Event, acts []Action) []Action {
	i := t.find(e.ID)
	switch {
	case i < 0 && e.ID <= t.newest: // complete, given up, or overtaken by a complete one
		return acts
	case i < 0:
		i, acts = t.begin(e, acts)
	}
	p := &t.pending[i]
	if e.Channel >= 0 {
		p.delivered = p.delivered.with(e.Channel)
	}
	if e.Barrier.Priority() { // it overtook data that belongs to nobody's snapshot
		acts = t.abort(p, ReasonUnsupported, acts)
	}
	return t.finish(e.Channel, acts)
}

// begin adds a checkpoint that is newer than all others.
func (t *Tracker) begin(e Event, acts []Action) (int, []Action) {
	given := t.aborted.has(e.ID)
	t.newest, t.aborted = e.ID, t.aborted.above(e.ID)
	t.pending = append(t.pending, tracked{id: e.ID, barrier: e.Barrier, aborted: given})
	if len(t.pending) > trackedCheckpoints {
		t.pending = slices.Delete(t.pending, 0, 1)
	}
	if given {
		acts = append(acts, Action{Kind: ForwardCancel, Channel: -1, ID: e.ID})
	} else {
		acts = append(acts, Action{Kind: First, Channel: e.Channel, ID: e.ID, Barrier: e.Barrier})
	}
	return len(t.pending) - 1, acts
}

// finish ends the newest checkpoint of which every channel delivered its
// barrier or ended, and forgets all older ones.
func (t *Tracker) finish(channel int, acts []Action) []Action {
	for i := len(t.pending) - 1; i >= 0; i-- {
		p := t.pending[i]
		if !t.complete(p.delivered) {
			continue
		}
		t.pending = slices.Delete(t.pending, 0, i+1)
		if p.aborted {
			return acts
		}
		if p.id == t.newest { // the alignment of an older one is not measured any more
			acts = append(acts, Action{Kind: Last, Channel: channel, ID: p.id})
		}
		return append(acts, Action{Kind: Snapshot, Channel: -1, ID: p.id, Barrier: p.barrier})
	}
	return acts
}

// complete reports whether each channel is in the set or has ended.
func (t *Tracker) complete(delivered set) bool {
	n := t.ended.len()
	for ch := range t.channels {
		if delivered.has(ch) && !t.ended.has(ch) {
			n++
		}
	}
	return n == t.channels
}

// cancelled gives up the checkpoint that a channel cancels, and all older ones:
// their barriers cannot come behind it.
func (t *Tracker) cancelled(e Event, acts []Action) []Action {
	for len(t.pending) > 0 && t.pending[0].id < e.ID {
		acts = t.abort(&t.pending[0], ReasonCancelled, acts)
		t.pending = slices.Delete(t.pending, 0, 1)
	}
	i := t.find(e.ID)
	if i < 0 {
		if e.ID <= t.newest {
			return acts
		}
		t.newest = e.ID
		known := t.aborted.has(e.ID)
		t.aborted = t.aborted.above(e.ID)
		t.pending = append(t.pending, tracked{id: e.ID, aborted: known})
		i = len(t.pending) - 1
		if known {
			acts = append(acts, Action{Kind: ForwardCancel, Channel: -1, ID: e.ID})
		}
	}
	p := &t.pending[i]
	p.delivered = p.delivered.with(e.Channel)
	acts = t.abort(p, ReasonCancelled, acts)
	return t.finish(e.Channel, acts)
}

// abortOrdered gives a checkpoint up that the coordinator does not want.
func (t *Tracker) abortOrdered(id uint64, acts []Action) []Action {
	if i := t.find(id); i >= 0 {
		return t.abort(&t.pending[i], ReasonCoordinator, acts)
	}
	if id > t.newest {
		t.aborted = t.aborted.add(id)
	}
	return acts
}

// abort marks a checkpoint and says so, once.
func (t *Tracker) abort(p *tracked, why Reason, acts []Action) []Action {
	if p.aborted {
		return acts
	}
	p.aborted = true
	return append(acts, Action{Kind: Abort, Channel: -1, ID: p.id, Reason: why}, Action{Kind: ForwardCancel, Channel: -1, ID: p.id})
}

// find returns where a checkpoint is in pending, -1 if it is not.
func (t *Tracker) find(id uint64) int {
	return slices.IndexFunc(t.pending, func(p tracked) bool { return p.id == id })
}
