package barrier

import "fmt"

// Phase is the state of the machine in the narrow sense: where it stands
// between two checkpoints.
type Phase uint8

const (
	// A0 waits for the first barrier of a checkpoint, aligned.
	A0 Phase = iota
	// A1 collects the others; channels that delivered theirs stand still.
	A1
)

// String is the short name that the design uses: A0, A1.
func (p Phase) String() string {
	switch p {
	case A0:
		return "A0"
	case A1:
		return "A1"
	}
	return fmt.Sprintf("phase(%d)", uint8(p))
}

// input is an event as the table sees it, after the steps that are common to
// all phases: obsolete events are gone, and a barrier that completes its
// checkpoint is told from one that does not.
type input uint8

const (
	inBarrier     input = iota // an aligned barrier, others are missing
	inLastBarrier              // an aligned barrier, nothing is missing now
	inEnd                      // a channel ended, others are missing
	inLastEnd                  // a channel ended, nothing is missing now
	inAbort                    // the pending checkpoint is given up
	inputs
)

// row is one cell of the table: what to do, in this order, and where to go.
type row struct {
	snapshot bool // take the snapshot
	release  bool // resume all channels that stand still
	next     Phase
}

// rows is the machine. The unaligned half adds its phases as lines, its
// inputs (announcement, priority barrier, timeout) as columns, and its effects
// as fields of row; step.go stays as it is.
var rows = map[Phase][inputs]row{
	A0: {
		inBarrier:     {next: A1},
		inLastBarrier: {snapshot: true, release: true, next: A0},
		inEnd:         {next: A0},
		inLastEnd:     {snapshot: true, release: true, next: A0},
		inAbort:       {release: true, next: A0},
	},
	A1: {
		inBarrier:     {next: A1},
		inLastBarrier: {snapshot: true, release: true, next: A0},
		inEnd:         {next: A1},
		inLastEnd:     {snapshot: true, release: true, next: A0},
		inAbort:       {release: true, next: A0},
	},
}

// apply performs the cell of the table for an input.
func (s State) apply(in input, acts []Action) (State, []Action) {
	r := rows[s.phase][in]
	if r.snapshot {
		acts = append(acts, Action{Kind: Snapshot, Channel: -1, ID: s.barrier.ID, Barrier: s.barrier})
	}
	if r.release {
		for ch := range s.channels {
			if s.delivered.has(ch) {
				acts = append(acts, Action{Kind: Resume, Channel: ch, ID: s.barrier.ID})
			}
		}
		s.delivered = ""
		s.finished = s.current
		s.barrier = Barrier{}
	}
	s.phase = r.next
	return s, acts
}
