package flink

import (
	"context"
	"fmt"
	"iter"
	"strconv"
	"strings"
	"sync"

	"github.com/tidemark-io/tidemark/checkpoint"
	"github.com/tidemark-io/tidemark/flink/metadata"
)

// Checkpoint is an opened checkpoint or savepoint of Flink.
type Checkpoint struct {
	f     *Format
	dir   string // below the store's root, "" for the root itself
	name  string // of the metadata
	size  int64  // of the metadata, bytes
	m     *metadata.Metadata
	info  checkpoint.Info
	names map[metadata.OperatorID]string // uids of operators, else hashes

	states func() []stateRow // of all operators, grouped by them

	mu    sync.Mutex
	there map[string]bool // whether objects exist, as far as it was asked
	known *contents       // nil until the headers are read

	folders map[string]string // see movedFolders; nil until it is asked for
}

var (
	_ checkpoint.Checkpoint = (*Checkpoint)(nil)
	_ checkpoint.Layered    = (*Checkpoint)(nil)
	_ checkpoint.Verifiable = (*Checkpoint)(nil)
)

// newCheckpoint presents decoded metadata.
func newCheckpoint(f *Format, dir, name string, size int64, m *metadata.Metadata) *Checkpoint {
	c := &Checkpoint{f: f, dir: dir, name: name, size: size, m: m, names: make(map[metadata.OperatorID]string, len(m.Operators))}
	given := make(map[metadata.OperatorID]string, len(f.opts.uids))
	for _, uid := range f.opts.uids {
		given[metadata.IDOfUID(uid)] = uid
	}
	for i := range m.Operators {
		op := &m.Operators[i]
		switch uid, ok := given[op.ID]; {
		case ok:
			c.names[op.ID] = uid
		case op.UID != "":
			c.names[op.ID] = op.UID
		default:
			c.names[op.ID] = op.ID.String()
		}
	}
	c.unique()
	c.states = sync.OnceValue(c.allStates)
	c.info = c.describe()
	return c
}

// unique makes sure that no two operators have one name, which files can say
// though Flink refuses such a job: all that share a name are called by their hash.
func (c *Checkpoint) unique() {
	count := map[string]int{}
	for _, name := range c.names {
		count[name]++
	}
	for id, name := range c.names {
		if count[name] > 1 {
			c.names[id] = id.String()
		}
	}
}

// Dir is the folder that was opened, below the store's root; "" is the root.
func (c *Checkpoint) Dir() string { return c.dir }

// Metadata is what was read. It must not be changed; to edit it, decode the file
// again.
func (c *Checkpoint) Metadata() *metadata.Metadata { return c.m }

// OperatorName is what the operator is called: its uid if the file has it or it
// was given and fits, else its hash.
func (c *Checkpoint) OperatorName(id metadata.OperatorID) string {
	if name, ok := c.names[id]; ok {
		return name
	}
	return id.String()
}

// Info describes the checkpoint.
func (c *Checkpoint) Info() checkpoint.Info { return c.info }

// Close releases what is open, which is nothing.
func (c *Checkpoint) Close() error { return nil }

// writers are the versions of Flink that write a version of metadata.
var writers = map[int32]string{
	metadata.Version2: "Flink up to 1.10", metadata.Version3: "Flink 1.11 to 1.15", metadata.Version4: "Flink 1.16 to 1.20",
	metadata.Version5: "Flink 2.0", metadata.Version6: "Flink 2.1 or later", metadata.Version7: "Flink after 2.3",
}

// keyHash names Flink's way from a key to its key group: murmur of Java's hash
// code, modulo the number of key groups.
const keyHash = "flink-murmur"

// describe makes the Info.
func (c *Checkpoint) describe() checkpoint.Info {
	info := checkpoint.Info{
		Path: c.dir, Kind: c.kind(), Version: strconv.Itoa(int(c.m.Version)), Status: checkpoint.Complete,
		ID: uint64(c.m.CheckpointID), Job: jobOf(c.dir), Software: writers[c.m.Version], Hash: keyHash, Finished: len(c.m.Operators) > 0,
		Entries: checkpoint.UnknownCount, InFlight: checkpoint.Totals{Records: checkpoint.UnknownCount}, Watermarks: unknownTimes,
	}
	for i := range c.m.Operators {
		op := &c.m.Operators[i]
		info.Subtasks += checkpoint.Count(op.Parallelism)
		info.Finished = info.Finished && ended(op)
	}
	info.Ended = info.Finished
	// What is unknown of one part is unknown of the whole.
	for _, s := range c.states() {
		if s.Kind.InFlight() {
			info.InFlight.Bytes = sum(info.InFlight.Bytes, s.Bytes)
			info.InFlight.Records = checkpoint.UnknownCount
			continue
		}
		info.Bytes = sum(info.Bytes, s.Bytes)
	}
	if info.InFlight.Bytes == 0 {
		info.InFlight.Records = 0
	}
	if n := c.streams(); n > maxHeaders {
		info.Notes = append(info.Notes, checkpoint.Finding{Severity: checkpoint.Note, Place: checkpoint.At(c.name),
			Problem: fmt.Sprintf("of %d streams of state those of the first %d subtasks of each operator are opened for the names and types of states; a state that only later ones have is not listed", n, someHeaders)})
	}
	return info
}

// ended reports whether all subtasks of an operator had ended.
func ended(op *metadata.Operator) bool {
	if op.Finished {
		return true
	}
	count := int32(0)
	for i := range op.Subtasks {
		if op.Subtasks[i].State == nil {
			count++
		}
	}
	return count == op.Parallelism
}

// sum adds counts; unknown stays unknown.
func sum(a, b checkpoint.Count) checkpoint.Count {
	if a == checkpoint.UnknownCount || b == checkpoint.UnknownCount || a+b < a {
		return checkpoint.UnknownCount
	}
	return a + b
}

// sized is a number of bytes of the metadata, where negative means unknown.
func sized(n int64) checkpoint.Count {
	if n < 0 {
		return checkpoint.UnknownCount
	}
	return checkpoint.Count(n)
}

// kind tells a savepoint from a checkpoint. The properties at the end say it; older
// files have none, but a canonical handle or the folder's name tell.
func (c *Checkpoint) kind() checkpoint.Kind {
	p, err := c.m.Properties(c.name)
	switch {
	case err == nil && p != nil && p.Savepoint:
		return checkpoint.KindFlinkSavepoint
	case err == nil && p != nil:
		return checkpoint.KindFlinkCheckpoint
	}
	if _, numbered := checkpointID(c.dir); !numbered {
		if base := lastSegment(c.dir); strings.Contains(base, "savepoint") || c.canonical() {
			return checkpoint.KindFlinkSavepoint
		}
	}
	return checkpoint.KindFlinkCheckpoint
}

// canonical reports whether a handle is one that only savepoints have.
func (c *Checkpoint) canonical() bool {
	for i := range c.m.Operators {
		for _, s := range c.m.Operators[i].Subtasks {
			if s.State == nil {
				continue
			}
			if h, ok := s.State.ManagedKeyed.(*metadata.KeyGroupsHandle); ok && h.Tag == metadata.TagSavepoint {
				return true
			}
		}
	}
	return false
}

// keyed reports whether a subtask of the operator has keyed state.
func keyed(op *metadata.Operator) bool {
	for i := range op.Subtasks {
		if s := op.Subtasks[i].State; s != nil && (s.ManagedKeyed != nil || s.RawKeyed != nil) {
			return true
		}
	}
	return false
}

// Edges yields nothing: Flink does not store the job graph.
func (c *Checkpoint) Edges(ctx context.Context) iter.Seq2[checkpoint.Edge, error] {
	return func(func(checkpoint.Edge, error) bool) {}
}
