// Package barrier decides when a task takes its part of a checkpoint.
//
// A checkpoint travels through the job as a [Barrier] in every channel. A
// task with several input channels receives it several times; the handler
// here says what to do at each of them. It is a pure function,
//
//	state, actions = Step(state, event, actions[:0])
//
// without a clock, a goroutine or I/O: whoever runs the task performs the
// actions, in their order, and takes the time where an action asks for it.
// So every behaviour is a line of a table or of a transcript, and a test may
// try millions of interleavings.
//
// How to read the source: barrier.go is what travels, event.go what the
// handler is told and answers, step.go what is common to all states, rows.go
// the states themselves, as a table.
//
// [New] makes the handler of a job without unaligned checkpoints, which knows
// only how to align. [NewAlternating] makes the one that can do both, from
// checkpoint to checkpoint and within one, and whose channels may differ
// (rule R2): the aligned-only ones, A, are always waited for, and the state
// is taken once they are there; the others, U, need not have delivered, and
// what they deliver between the snapshot and their barrier is captured.
//
// [Tracker] is the handler of a job that promises at least once: it counts.
//
// Non-goal: talking to the coordinator.
package barrier

import (
	"fmt"
	"time"
)

// Barrier separates, in one channel, the records that belong to a checkpoint
// from those behind it. It is a value and is copied from hop to hop.
type Barrier struct {
	// ID is the number of the checkpoint, from 1, increasing (see rule R9).
	ID uint64
	// Timestamp is when the coordinator triggered it, Unix time in ms, by the
	// coordinator's clock. It is for people and manifests: durations are
	// measured with Elapsed.
	Timestamp int64
	// Elapsed is the time since the trigger when the barrier was sent,
	// summed up hop by hop from monotonic clocks, so that clocks that differ
	// do not disturb it.
	Elapsed time.Duration
	// Kind says what the checkpoint is for.
	Kind Kind
	// Final marks the checkpoint that ends a run (rule R18): nothing is
	// processed behind it.
	Final bool
	// Alignment says how the barrier behaves in this channel.
	Alignment Alignment
	// Timeout is how long after the trigger an aligned barrier may become an
	// unaligned one; 0 means never.
	Timeout time.Duration
}

// Kind says what a checkpoint is for.
type Kind uint8

// The kinds of checkpoints. Savepoints are always aligned.
const (
	Checkpoint Kind = iota
	Savepoint
)

// String is the kind in lower case.
func (k Kind) String() string {
	switch k {
	case Checkpoint:
		return "checkpoint"
	case Savepoint:
		return "savepoint"
	}
	return fmt.Sprintf("kind(%d)", uint8(k))
}

// Alignment says how a barrier behaves in a channel.
type Alignment uint8

const (
	// Aligned barriers wait behind the data before them and block their
	// channel, at the sender, until the receiver has them from all channels.
	Aligned Alignment = iota
	// ForcedAligned is an unaligned (or timeoutable) barrier on an edge that
	// can only be aligned: it behaves as Aligned there, and the receiver
	// restores the original kind for its own outputs.
	ForcedAligned
	// Unaligned barriers overtake the data before them.
	Unaligned
	// Passing barriers wait behind the data before them and block nothing:
	// those of a job that promises at least once. They need a [Tracker].
	Passing
)

// String is the alignment in lower case, as in transcripts.
func (a Alignment) String() string {
	switch a {
	case Aligned:
		return "aligned"
	case ForcedAligned:
		return "forced-aligned"
	case Unaligned:
		return "unaligned"
	case Passing:
		return "passing"
	}
	return fmt.Sprintf("alignment(%d)", uint8(a))
}

// Blocks reports whether the channel stands still behind the barrier until
// the receiver resumes it.
func (b Barrier) Blocks() bool { return b.Alignment == Aligned || b.Alignment == ForcedAligned }

// Priority reports whether the barrier goes in front of the data that is
// already queued.
func (b Barrier) Priority() bool { return b.Alignment == Unaligned }

// Timeoutable reports whether the barrier, still aligned, may become an
// unaligned one when Timeout has passed since the trigger.
func (b Barrier) Timeoutable() bool { return b.Alignment == Aligned && b.Timeout > 0 }

// Forced returns the barrier as it is sent on an edge that can only be
// aligned. It stays as it is unless it is, or may become, unaligned.
func (b Barrier) Forced() Barrier {
	if b.Alignment == Unaligned || b.Timeoutable() {
		b.Alignment = ForcedAligned
	}
	return b
}

// Original undoes Forced: an unaligned barrier has no timeout, so that the
// two can be told apart.
func (b Barrier) Original() Barrier {
	if b.Alignment != ForcedAligned {
		return b
	}
	b.Alignment = Aligned
	if b.Timeout == 0 {
		b.Alignment = Unaligned
	}
	return b
}

// Overtaking returns the barrier as an unaligned one.
func (b Barrier) Overtaking() Barrier {
	b.Alignment, b.Timeout = Unaligned, 0
	return b
}

// String is one line without spaces, for logs and transcripts: the id, then
// what differs from an ordinary aligned checkpoint.
func (b Barrier) String() string {
	s := fmt.Sprintf("%d", b.ID)
	if b.Kind != Checkpoint {
		s += "," + b.Kind.String()
	}
	if b.Final {
		s += ",final"
	}
	if b.Alignment != Aligned {
		s += "," + b.Alignment.String()
	}
	if b.Timeout != 0 {
		s += ",timeout=" + b.Timeout.String()
	}
	return s
}
