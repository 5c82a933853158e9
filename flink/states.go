package flink

import (
	"context"
	"iter"
	"slices"
	"strings"

	"github.com/tidemark-io/tidemark/checkpoint"
	"github.com/tidemark-io/tidemark/flink/metadata"
	"github.com/tidemark-io/tidemark/keygroup"
)

// Names of states that have none in Flink.
const (
	keyedName       = "keyed-state" // all of a keyed backend, until its header is read
	rawKeyedName    = "raw-keyed-state"
	rawOperatorName = "raw-operator-state"
	coordinatorName = "coordinator"
	inputName       = "input"
	outputName      = "output"
)

// stateRow is a row of the states.
type stateRow struct {
	checkpoint.State
	role metadata.Role
}

// piece is what one subtask has of one state in one stream.
type piece struct {
	role    metadata.Role
	kind    checkpoint.StateKind
	name    string
	subtask int32                 // metadata.NoSubtask for that of a coordinator
	handle  metadata.StreamHandle // nil: inline in another form
	offset  int64                 // in the stream
	bytes   checkpoint.Count
	entries checkpoint.Count
}

// modes are the kinds of operator state.
var modes = [...]checkpoint.StateKind{
	metadata.SplitDistribute: checkpoint.SplitList, metadata.Union: checkpoint.UnionList, metadata.Broadcast: checkpoint.BroadcastState,
}

// pieces yields the pieces of an operator, in the order of the file.
func pieces(op *metadata.Operator) iter.Seq[piece] {
	return func(yield func(piece) bool) {
		w := pieceWalker{yield: yield, ok: true, subtask: metadata.NoSubtask}
		if op.Coordinator != nil {
			w.whole(metadata.RoleCoordinator, checkpoint.Coordinator, coordinatorName, op.Coordinator)
		}
		for i := range op.Subtasks {
			s := op.Subtasks[i].State
			if s == nil || !w.ok {
				continue
			}
			w.subtask = op.Subtasks[i].Index
			w.operator(s.ManagedOperator)
			if s.RawOperator != nil {
				w.whole(metadata.RoleRawOperator, checkpoint.RawOperator, rawOperatorName, s.RawOperator.Delegate)
			}
			w.keyed(metadata.RoleManagedKeyed, checkpoint.Keyed, keyedName, s.ManagedKeyed)
			w.keyed(metadata.RoleRawKeyed, checkpoint.RawKeyed, rawKeyedName, s.RawKeyed)
			w.channels(metadata.RoleInput, checkpoint.InputChannel, inputName, s.Input)
			w.channels(metadata.RoleOutput, checkpoint.OutputChannel, outputName, s.Output)
		}
	}
}

// pieceWalker yields the pieces of one subtask after the other.
type pieceWalker struct {
	yield   func(piece) bool
	ok      bool
	subtask int32
	sorted  []int64 // scratch
}

func (w *pieceWalker) add(p piece) {
	if w.ok {
		p.subtask = w.subtask
		w.ok = w.yield(p)
	}
}

// whole adds all of a stream.
func (w *pieceWalker) whole(role metadata.Role, kind checkpoint.StateKind, name string, h metadata.StreamHandle) {
	if h != nil {
		w.add(piece{role: role, kind: kind, name: name, handle: h, bytes: sizeOf(h), entries: checkpoint.UnknownCount})
	}
}

// sizeOf is the number of bytes of a stream.
func sizeOf(h metadata.StreamHandle) checkpoint.Count {
	switch h := h.(type) {
	case *metadata.ByteStream:
		return checkpoint.Count(len(h.Data))
	case *metadata.File:
		return sized(h.Size)
	case *metadata.RelativeFile:
		return sized(h.Size)
	case *metadata.Segment:
		return sized(h.Size)
	case *metadata.KeyGroupsStream:
		return sizeOf(h.Delegate)
	}
	return 0
}

// operator adds the named states of operator state. An element lies between its
// offset and the next higher one of any state, so that the bytes of each state are
// known without reading them; the header belongs to none.
func (w *pieceWalker) operator(h *metadata.OperatorHandle) {
	if h == nil {
		return
	}
	w.sorted = w.sorted[:0]
	for i := range h.States {
		w.sorted = append(w.sorted, h.States[i].Offsets...)
	}
	slices.Sort(w.sorted)
	end, known := sizeOf(h.Delegate).Known()
	for i := range h.States {
		s := &h.States[i]
		p := piece{role: metadata.RoleManagedOperator, kind: modes[s.Mode], name: s.Name, handle: h.Delegate, entries: checkpoint.Count(len(s.Offsets))}
		if s.Mode == metadata.Broadcast {
			p.entries = checkpoint.UnknownCount // the offset is that of the map, not of its entries
		}
		for _, from := range s.Offsets {
			to := int64(end)
			if j, _ := slices.BinarySearch(w.sorted, from+1); j < len(w.sorted) {
				to = w.sorted[j]
			} else if !known {
				to = from - 1
			}
			p.bytes = sum(p.bytes, sized(to-from))
		}
		if len(s.Offsets) > 0 {
			p.offset = s.Offsets[0]
		}
		w.add(p)
	}
}

// keyed adds the streams of keyed state.
func (w *pieceWalker) keyed(role metadata.Role, kind checkpoint.StateKind, name string, h metadata.KeyedHandle) {
	switch h := h.(type) {
	case *metadata.KeyGroupsHandle:
		w.whole(role, kind, name, h.Delegate)
	case *metadata.IncrementalHandle:
		w.whole(role, kind, name, h.Meta)
		for _, list := range [][]metadata.NamedFile{h.Shared, h.Private} {
			for i := range list {
				w.whole(role, kind, name, list[i].Handle)
			}
		}
	case *metadata.ChangelogHandle:
		for _, list := range [][]metadata.KeyedHandle{h.Materialized, h.Deltas} {
			for _, k := range list {
				w.keyed(role, kind, name, k)
			}
		}
	case *metadata.MemoryChangelog:
		p := piece{role: role, kind: kind, name: name, entries: checkpoint.UnknownCount}
		for i := range h.Changes {
			p.bytes = sum(p.bytes, checkpoint.Count(len(h.Changes[i].Data)))
		}
		w.add(p)
	case *metadata.StreamChangelog:
		for i := range h.Streams {
			w.whole(role, kind, name, h.Streams[i].Handle)
		}
	}
}

// channels adds in-flight data. An entry is a buffer.
func (w *pieceWalker) channels(role metadata.Role, kind checkpoint.StateKind, name string, list []metadata.ChannelHandle) {
	for i := range list {
		h := &list[i]
		p := piece{role: role, kind: kind, name: name, handle: h.Delegate, bytes: sized(h.Size)}
		for j := range h.Channels {
			offsets := h.Channels[j].Offsets
			p.entries = sum(p.entries, checkpoint.Count(len(offsets)))
			if j == 0 && len(offsets) > 0 {
				p.offset = offsets[0]
			}
		}
		w.add(p)
	}
}

// allStates adds the pieces up, for each operator in the order of roles and then
// of names, since the order in the file is that of a Java hash map.
func (c *Checkpoint) allStates() []stateRow {
	type key struct {
		role metadata.Role
		name string
	}
	var all []stateRow
	for i := range c.m.Operators {
		op := &c.m.Operators[i]
		rows := map[key]int{}
		first := len(all)
		for p := range pieces(op) {
			k := key{p.role, p.name}
			row, ok := rows[k]
			if !ok {
				row = len(all)
				rows[k] = row
				all = append(all, stateRow{role: p.role, State: checkpoint.State{Operator: c.names[op.ID], Name: p.name, Kind: p.kind, Decoded: checkpoint.UnknownCount}})
			}
			s := &all[row]
			s.Bytes, s.Entries = sum(s.Bytes, p.bytes), sum(s.Entries, p.entries)
		}
		slices.SortFunc(all[first:], func(a, b stateRow) int {
			if a.role != b.role {
				return int(a.role) - int(b.role)
			}
			return strings.Compare(a.Name, b.Name)
		})
	}
	for i := range all {
		all[i].Row = i
	}
	return all
}

// Parts yields the parts that match the selector. A state of RocksDB has one for
// each file; the coordinator's counts as that of subtask 0. Inline data lies in the
// metadata, at an offset that is not told.
func (c *Checkpoint) Parts(ctx context.Context, sel checkpoint.Selector) iter.Seq2[checkpoint.Part, error] {
	return func(yield func(checkpoint.Part, error) bool) {
		states := c.states()
		for i := range c.m.Operators {
			op := &c.m.Operators[i]
			name := c.names[op.ID]
			from := slices.IndexFunc(states, func(s stateRow) bool { return s.Operator == name })
			if from < 0 {
				continue
			}
			for p := range pieces(op) {
				subtask := uint32(max(p.subtask, 0))
				if !sel.Matches(name, p.name) || !sel.Subtasks.Contains(uint64(subtask)) {
					continue
				}
				part, err := c.part(ctx, states[from:], p)
				part.Subtask = subtask
				if !yield(part, err) || err != nil {
					return
				}
			}
		}
	}
}

// part makes a part of a piece.
func (c *Checkpoint) part(ctx context.Context, states []stateRow, p piece) (checkpoint.Part, error) {
	part := checkpoint.Part{Object: c.name, Bytes: p.bytes, Decoded: checkpoint.UnknownCount, Entries: p.entries, Interval: keygroup.All()}
	for i := range states {
		if states[i].role == p.role && states[i].Name == p.name {
			part.State = states[i].State
			break
		}
	}
	l, err := c.Locate(ctx, p.handle)
	if err != nil {
		return checkpoint.Part{}, err
	}
	switch l.Where {
	case Inside, Moved:
		part.Object, part.Offset = l.Name, uint64(l.Offset+max(p.offset, 0))
	case Outside, Illegal:
		part.Object, part.Offset = l.URI, uint64(l.Offset+max(p.offset, 0))
	}
	return part, nil
}

// Objects yields the files that the checkpoint uses, its metadata first. A file
// that lies outside the store's root is named by its URI.
func (c *Checkpoint) Objects(ctx context.Context) iter.Seq2[checkpoint.Object, error] {
	return func(yield func(checkpoint.Object, error) bool) {
		if !yield(checkpoint.Object{Name: c.name, Bytes: uint64(c.size)}, nil) {
			return
		}
		files, err := c.files(ctx)
		if err != nil {
			yield(checkpoint.Object{}, err)
			return
		}
		for _, f := range files {
			name := f.loc.Name
			if name == "" {
				name = f.loc.URI
			}
			if !yield(checkpoint.Object{Name: name, Bytes: uint64(max(f.size, 0)), Shared: f.shared}, nil) {
				return
			}
		}
	}
}

// file is a file that handles name.
type file struct {
	loc    Location     // of the first handle
	ref    metadata.Ref // the first handle
	size   int64        // bytes that the file must have, -1 if unknown
	whole  bool         // and no more than that
	shared bool         // other checkpoints may use it
	clash  int64        // another size that a handle states, -1 if none
}

// files gathers the files that handles name, in the order of the metadata.
func (c *Checkpoint) files(ctx context.Context) ([]*file, error) {
	var list []*file
	at := map[string]*file{}
	for ref := range c.m.Handles() {
		l, err := c.Locate(ctx, *ref.Handle)
		if err != nil {
			return nil, err
		}
		if l.Where == Inline {
			continue
		}
		key := l.Name
		if key == "" {
			key = "\x00" + l.URI // no name of the store
		}
		size := l.Size
		if !l.Whole {
			size += l.Offset
		}
		f := at[key]
		if f == nil {
			// What a changelog states of a file leaves out its first byte, which says
			// whether the rest is compressed.
			f = &file{loc: l, ref: ref, size: size, whole: l.Whole && size >= 0 && !ref.Changes, clash: -1}
			at[key] = f
			list = append(list, f)
		}
		f.shared = f.shared || ref.SharedFile || strings.Contains(l.URI, "/"+sharedDir+"/")
		switch {
		case f.whole && l.Whole && size >= 0 && size != f.size:
			f.clash = size
		case f.whole: // a segment beyond the end of a file of known size is found by its own check
			if size > f.size {
				f.clash = size
			}
		case l.Whole && size >= 0 && !ref.Changes:
			f.size, f.whole = max(size, f.size), true
		default:
			f.size = max(size, f.size)
		}
	}
	return list, nil
}
