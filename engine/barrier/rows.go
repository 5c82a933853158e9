package barrier

import "fmt"

// Phase is the state of the machine in the narrow sense: where it stands
// between two checkpoints, or within one.
type Phase uint8

const (
	// A0 waits for the first barrier of a checkpoint.
	A0 Phase = iota
	// A1 collects the others, aligned; channels that delivered theirs stand
	// still.
	A1
	// U0 knows that the checkpoint is unaligned, but aligned-only channels
	// are missing: the snapshot is still to come. Channels that delivered
	// stand still.
	U0
	// U1 has taken the snapshot and captures what the channels deliver whose
	// barriers are not there yet. All channels run.
	U1
)

// String is the short name that the design uses: A0, A1, U0, U1.
func (p Phase) String() string {
	switch p {
	case A0:
		return "A0"
	case A1:
		return "A1"
	case U0:
		return "U0"
	case U1:
		return "U1"
	}
	return fmt.Sprintf("phase(%d)", uint8(p))
}

// input is an event as the table sees it, after the steps that are common to
// all phases: obsolete events are gone. What is left of an event is whether
// the checkpoint is unaligned from now on (a barrier that overtook, or that
// was forced to align, or a timeout), and what is missing after it.
type input uint8

const (
	inTimeA     input = iota // in time, and aligned-only channels are missing
	inTimeU                  // in time, only others are missing
	inTimeNone               // in time, nothing is missing
	overdueA                 // unaligned from now on, aligned-only channels are missing
	overdueU                 // unaligned from now on, only others are missing
	overdueNone              // unaligned from now on, nothing is missing
	inAbort                  // the pending checkpoint is given up
	inputs
)

// row is one cell of the table: what to do, in this order, and where to go.
type row struct {
	capture  bool // begin the input part, unaligned
	snapshot bool // take the snapshot
	stop     bool // the input part is complete
	drop     bool // the input part is not wanted
	release  bool // let all channels go on that stand still
	next     Phase
}

// The cells, named as in the picture of the test.
var (
	toA0     = row{next: A0, release: true}
	toA1     = row{next: A1}
	toU0     = row{next: U0}
	toU1     = row{next: U1}
	align    = row{snapshot: true, release: true, next: A0}
	begin    = row{capture: true, snapshot: true, release: true, next: U1}
	beginEnd = row{capture: true, snapshot: true, stop: true, release: true, next: A0}
	end      = row{stop: true, next: A0}
	dropped  = row{drop: true, next: A0}
)

// rows is the machine. That a checkpoint is over goes with next being A0. In
// U1 no aligned-only channel is missing: those two cells are not reached.
var rows = [...][inputs]row{
	A0: {inTimeA: toA1, inTimeU: toA1, inTimeNone: align, overdueA: toU0, overdueU: begin, overdueNone: beginEnd, inAbort: toA0},
	A1: {inTimeA: toA1, inTimeU: toA1, inTimeNone: align, overdueA: toU0, overdueU: begin, overdueNone: beginEnd, inAbort: toA0},
	U0: {inTimeA: toU0, inTimeU: begin, inTimeNone: beginEnd, overdueA: toU0, overdueU: begin, overdueNone: beginEnd, inAbort: toA0},
	U1: {inTimeA: toU1, inTimeU: toU1, inTimeNone: end, overdueA: toU1, overdueU: toU1, overdueNone: end, inAbort: dropped},
}

// classify says which column of the table an event is. urgent means that the
// checkpoint must be unaligned; timedOut that it may be, which changes nothing
// when nothing is missing any more.
func (s State) classify(urgent, timedOut bool) input {
	in := inTimeA
	switch {
	case s.complete():
		in = inTimeNone
		timedOut = false
	case !s.alignedMissing():
		in = inTimeU
	}
	if urgent || timedOut {
		in += overdueA - inTimeA
	}
	return in
}

// apply performs the cell of the table for an input.
func (s State) apply(in input, acts []Action) (State, []Action) {
	r := rows[s.phase][in]
	id := s.current
	if r.capture {
		acts = append(acts, Action{Kind: BeginCapture, Channel: -1, ID: id})
		for ch := range s.channels {
			if s.unaligned.has(ch) && (s.delivered.has(ch) || s.ended.has(ch)) {
				acts = append(acts, Action{Kind: ChannelDone, Channel: ch, ID: id})
			}
		}
	}
	if r.snapshot {
		b := s.barrier
		if r.capture {
			b = b.Overtaking()
		} else if s.alternating {
			b = b.Original()
		}
		acts = append(acts, Action{Kind: Snapshot, Channel: -1, ID: id, Barrier: b})
	}
	if r.stop {
		acts = append(acts, Action{Kind: StopCapture, Channel: -1, ID: id})
	}
	if r.drop {
		acts = append(acts, Action{Kind: DropCapture, Channel: -1, ID: id})
	}
	if r.release {
		for ch := range s.channels {
			if s.blocked.has(ch) {
				acts = append(acts, Action{Kind: Resume, Channel: ch, ID: s.barrier.ID})
			}
			if s.held.has(ch) {
				acts = append(acts, Action{Kind: Unhold, Channel: ch, ID: s.barrier.ID})
			}
		}
		s.blocked, s.held = "", ""
	}
	if r.next == A0 {
		s.delivered, s.finished, s.barrier = "", s.current, Barrier{}
	}
	s.phase = r.next
	return s, acts
}
