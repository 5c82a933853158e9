package checkpoint

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// Edit says how a checkpoint that is made from another differs from it. The
// zero Edit makes a plain copy. What it names (uids, selectors) is named as in
// the source, whatever is renamed. An edit is plain data: recovery decides it,
// the format of the destination applies it ([Editor]).
type Edit struct {
	// Command is what the user asked for, for the loss report: "strip".
	Command string
	// Software is what the new manifest names as its writer.
	Software string
	// Layouts are new layouts of operators, by uid.
	Layouts map[string]Layout
	// Drop lists what is left out. What several entries name is left out, and
	// counted, once.
	Drop []Drop
	// Rename gives operators new uids: from the old one to the new one.
	Rename map[string]string
	// Salvage, if it is set, leaves out what does not read instead of failing.
	Salvage *Salvage
	// External says what becomes of files outside the checkpoint that it
	// refers to: output that is complete and not yet published (R10).
	External ExternalFiles
	// CopyExternal is what copies a file with [ExternalCopy].
	CopyExternal CopyExternal
	// Settings replaces values of the job's recorded configuration, by key. Keys
	// that are not recorded are not added.
	Settings map[string]string
	// KeepKind makes the result a checkpoint if the source is one. Otherwise
	// the result is a savepoint: self-contained and never removed by a job.
	KeepKind bool
	// Version is the version of the format that the result has, "" for that of
	// the source: for software that does not read the newest. Formats that are
	// written in one version only refuse another.
	Version string
	// KeyHash says how the hash codes of keys are computed whose class decides
	// that itself, by uid, for formats that store keys by such hash codes (Flink:
	// serde.ParseFormulas). It is needed only where the keys do not tell.
	KeyHash map[string]string
}

// Layout is how an operator is spread. Zero fields stay as they are.
type Layout struct {
	Parallelism uint32
	KeyGroups   uint32
}

// DropKind says what of the selected part is left out.
type DropKind uint8

// Kinds of dropping.
const (
	// DropInFlight leaves out in-flight data: with an empty selector all of
	// it; with an operator what was on its way to it; with subtasks what was
	// on its way to these; with a channel (gate N is the N-th edge into the
	// operator, an edge may also be named by its id; the index is the sending
	// subtask) those sub-streams. Sub-streams are left out whole, both halves
	// (R8).
	DropInFlight DropKind = iota + 1
	// DropState leaves out a state, named by operator and state: all of it, of
	// all subtasks.
	DropState
	// DropOperator leaves out an operator with all its states. Connections
	// that begin or end at it go with it, and the data in flight on them.
	DropOperator
)

// Drop names something to leave out.
type Drop struct {
	Kind     DropKind
	Selector Selector
	// Upstream, with DropInFlight, is the uid of the operator that sends what is
	// selected: the sender's half goes too. It is for formats that do not store
	// the job graph, which have to be told; others know.
	Upstream string
}

// String is the drop as a message names it.
func (d Drop) String() string {
	switch d.Kind {
	case DropInFlight:
		if d.Selector.IsZero() {
			return "all in-flight data"
		}
		return "in-flight data of " + d.Selector.String()
	case DropState:
		return "state " + d.Selector.String()
	case DropOperator:
		return "operator " + d.Selector.String()
	default:
		return "nothing"
	}
}

// Salvage is how to deal with damage: whatever reads is kept. The decision is
// the editor's piece by piece (a block, a buffer, a record); what is lost is in
// its losses.
type Salvage struct {
	// Older, if it is set, fills holes of keyed state with what an older
	// checkpoint of the same job has there.
	Older Checkpoint
	// RepairBits turns a bit back where that one bit explains why a block has
	// not the checksum that is stated of it.
	RepairBits bool
	// LostAndFound is the name of an object, below the destination, for
	// records that no operator can be told for; "" drops them.
	LostAndFound string
}

// ExternalFiles says what becomes of references to files outside.
type ExternalFiles uint8

// What to do with references to files outside the checkpoint.
const (
	ExternalRefuse ExternalFiles = iota // fail with a [RefusedError] if there are any
	ExternalKeep                        // keep the references as they are
	ExternalDrop                        // leave the references out, as a loss
	ExternalCopy                        // copy the files too, and refer to the copies
)

// CopyExternal copies the file outside that an item of an operator's list refers
// to and returns the item that refers to the copy. The slice that it gets is
// valid during the call only.
type CopyExternal func(ctx context.Context, uid string, item []byte) ([]byte, error)

// Editor is the ability of a [Format] to make checkpoints of its kind in its
// store out of others. The source may lie in another store; a format refuses
// sources that it cannot convert.
type Editor interface {
	// Plan tells what Apply would do. It writes nothing, and reads what it has
	// to: of in-flight data that would be redistributed or dropped, all of it.
	Plan(ctx context.Context, src Checkpoint, edit Edit, dst string) (Outcome, error)
	// Apply makes the checkpoint dst, a path below the store's root at which
	// nothing may be yet. The manifest comes last: after an error, or when
	// ctx ends, there is no checkpoint and what was written is removed again.
	// progress, which may be nil, is called now and then on one goroutine.
	//
	// Errors are those of the stores and, to be told apart: [ErrExists],
	// [RefusedError], damage of the source as the format reports it.
	Apply(ctx context.Context, src Checkpoint, edit Edit, dst string, progress func(Progress)) (Outcome, error)
}

// Progress is how far a long operation has come, in bytes of its source.
type Progress struct{ Done, Total uint64 }

// Outcome is what an edit does or did.
type Outcome struct {
	Losses []Loss // of this edit, not those that the source had before
	// Kept, Linked, Copied and Rewritten say how objects came to the
	// destination: left in their place and referred to, by a second name,
	// byte by byte without decoding, or encoded anew.
	Kept, Linked, Copied, Rewritten Volume
	Channels                        []ChannelOutcome
	External                        []string // files outside that are referred to
	// KeyHash is how the hash codes of keys are computed whose class decides that
	// itself, by uid, where the edit depends on it.
	KeyHash  map[string]string
	Salvaged *Salvaged // what a salvage found; nil for other edits
}

// Volume is a number of objects and their bytes as stored.
type Volume struct {
	Objects int
	Bytes   uint64
}

// ChannelOutcome says what becomes of the in-flight data of one edge.
type ChannelOutcome struct {
	Edge   string // id, as in the source
	From   string // uids, as in the source
	To     string
	Before Totals
	After  Totals
	Fate   ChannelFate
}

// ChannelFate is a word for what becomes of in-flight data.
type ChannelFate string

// Fates of in-flight data.
const (
	ChannelsEmpty         ChannelFate = "none"          // there is none
	ChannelsVerbatim      ChannelFate = "verbatim"      // kept as it is
	ChannelsRedistributed ChannelFate = "redistributed" // records go to new receivers
	ChannelsDropped       ChannelFate = "dropped"
	ChannelsPartly        ChannelFate = "partly dropped"
)

// ErrExists: there is something at the destination already.
var ErrExists = errors.New("the destination exists")

// RefusedError says why an edit was refused for safety. Nothing was written.
type RefusedError struct{ Reasons []Finding }

// Refuse is a RefusedError with one reason.
func Refuse(place Place, problem, remedy string) *RefusedError {
	return &RefusedError{Reasons: []Finding{{Severity: Error, Place: place, Problem: problem, Remedy: remedy}}}
}

// Error lists the reasons, one on each line.
func (e *RefusedError) Error() string {
	lines := make([]string, len(e.Reasons))
	for i, r := range e.Reasons {
		lines[i] = "refused: " + r.text()
	}
	return strings.Join(lines, "\n")
}

// text is a finding without its severity.
func (f Finding) text() string {
	_, text, _ := strings.Cut(f.String(), ": ")
	return text
}

// Check requires that an edit can be applied to the operators, states and edges
// of a checkpoint as far as that follows from them alone: that what it names is
// there, that new uids are free, that layouts are possible. It returns all
// mistakes as one [EditError].
func (e Edit) Check(operators []Operator, states []State, edges []Edge) error {
	c := editCheck{operators: map[string]Operator{}, states: states, edges: edges}
	for _, op := range operators {
		c.operators[op.UID] = op
	}
	c.layouts(e.Layouts)
	c.drops(e.Drop)
	c.renames(e.Rename, operators)
	if len(c.mistakes) == 0 {
		return nil
	}
	return &EditError{Mistakes: c.mistakes}
}

// EditError lists what is wrong with an edit: mistakes of the one who asked for
// it, not of the checkpoint.
type EditError struct{ Mistakes []string }

// Error has a line for each mistake.
func (e *EditError) Error() string { return strings.Join(e.Mistakes, "\n") }

// String is a layout as messages name it.
func (l Layout) String() string {
	if l.KeyGroups == 0 {
		return fmt.Sprintf("parallelism %d", l.Parallelism)
	}
	return fmt.Sprintf("parallelism %d, %d key groups", l.Parallelism, l.KeyGroups)
}
