// Package checkpoint is the logical model of a checkpoint: operators, states,
// edges, entries, in-flight totals, findings, losses. Tidemark's own format and
// Apache Flink's are both described by it, so that the tools are written once.
//
// A [Checkpoint] is read lazily: opening one reads a summary, everything else
// comes through iterators. What only some checkpoints can do (list entries,
// print them, check themselves) is an ability: a small interface, found by a
// type assertion. A [Format] probes and opens checkpoints of one store; formats
// are passed as a list.
//
// Non-goals: I/O, bytes on disk, and types of a particular format.
package checkpoint

import (
	"context"
	"iter"
)

// Checkpoint is an opened checkpoint. The iterators may be used from several
// goroutines at once; each ends after its first error. Values they yield may be
// kept.
type Checkpoint interface {
	// Info describes the checkpoint; it costs no I/O.
	Info() Info
	// Operators yields the operators in the order of the job graph.
	Operators(ctx context.Context) iter.Seq2[Operator, error]
	// States yields the states of all operators, grouped by operator.
	States(ctx context.Context) iter.Seq2[State, error]
	// Edges yields the connections of the job graph; none if the format does
	// not describe it.
	Edges(ctx context.Context) iter.Seq2[Edge, error]
	// Close releases what is open. Iterators must have ended.
	Close() error
}

// Format recognises and opens checkpoints of one kind in one store; paths are
// relative to that store's root.
type Format interface {
	// Name is the format's name in messages, "tidemark" or "flink".
	Name() string
	// Probe reports whether there is anything of this format at the path,
	// damaged or incomplete included. It reads at most the first kilobytes.
	Probe(ctx context.Context, path string) (bool, error)
	// Open opens the checkpoint at the path. Errors tell the cases apart that
	// a tool answers differently; see [ErrNone] and its neighbours.
	Open(ctx context.Context, path string) (Checkpoint, error)
}

// Lister is the ability of a Format to list what lies below a path: every
// checkpoint with its status, damaged and incomplete ones included, ascending
// by id. A checkpoint that cannot be read is an Info with that status, not an
// error.
type Lister interface {
	List(ctx context.Context, path string) iter.Seq2[Info, error]
}

// Lossy is the ability to tell what tools removed from a checkpoint.
type Lossy interface {
	Losses(ctx context.Context) iter.Seq2[Loss, error]
}

// Configured is the ability to tell the configuration of the job.
type Configured interface {
	Settings(ctx context.Context) iter.Seq2[Setting, error]
}

// Layered is the ability to tell where a checkpoint's bytes lie.
type Layered interface {
	// Parts yields the parts, one per state and writing subtask, that match
	// the selector's operator, state and subtask.
	Parts(ctx context.Context, sel Selector) iter.Seq2[Part, error]
	// Objects yields the stored objects that the checkpoint uses.
	Objects(ctx context.Context) iter.Seq2[Object, error]
}

// Enumerator is the ability to read the contents, state by state.
type Enumerator interface {
	// Entries yields the entries that match the selector. The slices inside
	// an entry are valid until the next step.
	Entries(ctx context.Context, sel Selector) iter.Seq2[Entry, error]
}

// Printer is the ability to show stored bytes as typed values.
type Printer interface {
	// AppendValue appends the printable form of a field of an entry of the
	// given state, as JSON. Bytes that do not decode are an error and are
	// never shown as something else.
	AppendValue(dst []byte, state State, field Field, value []byte) ([]byte, error)
}

// Field is a part of an entry.
type Field uint8

// Fields.
const (
	FieldKey Field = iota + 1
	FieldNamespace
	FieldValue
)

// Verifiable is the ability to be checked piece by piece.
type Verifiable interface {
	// Checks yields the independent pieces of work that together check the
	// checkpoint at a level; each level includes those before it.
	Checks(ctx context.Context, level Level) iter.Seq2[Check, error]
}

// Sampled is the ability to check a part of the data, spread over all of it.
type Sampled interface {
	// SampledChecks is Checks with about a share (0 to 1) of the data, chosen at
	// random by the seed. Metadata is checked whole.
	SampledChecks(ctx context.Context, level Level, share float64, seed uint64) iter.Seq2[Check, error]
}

// Check is one independent piece of checking. Pieces of one checkpoint may run
// at the same time.
type Check struct {
	Name  string // the object or table it checks
	Bytes uint64 // that it will read, for progress
	// Run checks and reports what it finds, in a fixed order. The error says
	// that checking itself failed (storage unreachable, cancelled), not that
	// something is damaged. Memory is bounded whatever the size.
	Run func(ctx context.Context, report func(Finding)) error
}

// Level says how deep a check goes.
type Level uint8

// Levels, each including those before it.
const (
	LevelStructure Level = iota + 1 // the manifest and its copy decode and agree
	LevelRefs                       // every referred object exists with its length, and the checksum that its store keeps, if it does
	LevelChecksums                  // every byte is under its checksum
	LevelRecords                    // every entry decodes, is in order and in its place
)

// levelNames are the levels' names on the command line.
var levelNames = [...]string{
	LevelStructure: "structure",
	LevelRefs:      "refs",
	LevelChecksums: "checksums",
	LevelRecords:   "records",
}

// String is the level's name on the command line.
func (l Level) String() string {
	if int(l) < len(levelNames) && levelNames[l] != "" {
		return levelNames[l]
	}
	return "unknown"
}

// ParseLevel is the inverse of [Level.String].
func ParseLevel(s string) (Level, bool) {
	for l, name := range levelNames {
		if name == s && name != "" {
			return Level(l), true
		}
	}
	return 0, false
}
