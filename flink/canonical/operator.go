package canonical

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/tidemark-io/tidemark/checkpoint"
	"github.com/tidemark-io/tidemark/flink"
	"github.com/tidemark-io/tidemark/flink/metadata"
	"github.com/tidemark-io/tidemark/flink/state"
	"github.com/tidemark-io/tidemark/flink/wire"
)

// snappyIdentifier begins a stream of snappy frames. In a compressed file of
// operator state it stands once, behind the header.
var snappyIdentifier = []byte("\xff\x06\x00\x00sNaPpY")

// element is one element of operator state, as bytes of an old subtask's stream.
type element struct {
	source   int // among the handles
	from, to int64
}

// list is one operator state of all old subtasks.
type list struct {
	name     string
	mode     metadata.Mode
	elements []element
}

// Lists is operator state that is redistributed among another number of subtasks.
type Lists struct {
	ctx     context.Context
	src     *flink.Checkpoint
	name    string // of the operator
	raw     bool
	sources []metadata.StreamHandle
	lists   []*list
	header  *state.OperatorHeader // nil if raw
}

// OpenLists reads what there is to know of an operator's managed operator state, or
// of its raw one. It is nil if there is none.
func OpenLists(ctx context.Context, src *flink.Checkpoint, op *metadata.Operator, raw bool) (*Lists, error) {
	l := &Lists{ctx: ctx, src: src, name: src.OperatorName(op.ID), raw: raw}
	subtasks := slices.Clone(op.Subtasks)
	slices.SortFunc(subtasks, func(a, b metadata.Subtask) int { return int(a.Index) - int(b.Index) })
	for _, s := range subtasks {
		if s.State == nil {
			continue
		}
		h := s.State.ManagedOperator
		if raw {
			h = s.State.RawOperator
		}
		if h == nil || h.Empty || h.Delegate == nil {
			continue
		}
		if _, none := h.Delegate.(*metadata.EmptySegment); none {
			continue
		}
		if err := l.add(s.Index, h); err != nil {
			return nil, err
		}
	}
	if len(l.sources) == 0 {
		return nil, nil
	}
	return l, nil
}

// add adds the state of one subtask.
func (l *Lists) add(subtask int32, h *metadata.OperatorHandle) error {
	src, err := l.src.OpenHandle(l.ctx, h.Delegate)
	if err != nil {
		return err
	}
	defer src.Close()
	var starts []int64
	for _, s := range h.States {
		starts = append(starts, s.Offsets...)
	}
	slices.Sort(starts)
	if len(starts) > 0 && (starts[0] < 0 || starts[len(starts)-1] > src.Size()) {
		return fmt.Errorf("%s: %w: %s: elements from %d to %d, it has %d bytes", l.src.Dir(), checkpoint.ErrDamaged, src.Object, starts[0], starts[len(starts)-1], src.Size())
	}
	if !l.raw {
		if err := l.merge(subtask, src); err != nil {
			return err
		}
	}
	for _, s := range h.States {
		to := l.list(s.Name, s.Mode)
		if to.mode != s.Mode {
			return l.refuse(subtask, fmt.Sprintf("state %s is distributed otherwise than by other subtasks", s.Name))
		}
		for _, from := range s.Offsets {
			end := src.Size()
			if i, _ := slices.BinarySearch(starts, from+1); i < len(starts) {
				end = starts[i]
			}
			to.elements = append(to.elements, element{len(l.sources), from, end})
		}
	}
	l.sources = append(l.sources, h.Delegate)
	return nil
}

func (l *Lists) refuse(subtask int32, problem string) error {
	place := checkpoint.Nowhere()
	place.Operator, place.Subtask = l.name, int(subtask)
	return checkpoint.Refuse(place, problem, "take a savepoint with the job")
}

// list is the list of a name, a new one if there is none yet.
func (l *Lists) list(name string, mode metadata.Mode) *list {
	for _, s := range l.lists {
		if s.name == name {
			return s
		}
	}
	s := &list{name: name, mode: mode}
	l.lists = append(l.lists, s)
	return s
}

// merge adds the descriptions of one subtask to the header. Elements are not
// converted, so that all subtasks must describe a state alike.
func (l *Lists) merge(subtask int32, src *flink.Source) error {
	h, err := state.ReadOperatorHeader(wire.NewStream(src.Object, 0, src, src.Size()))
	if err != nil {
		return damaged(l.src.Dir(), err)
	}
	if l.header == nil {
		l.header = &state.OperatorHeader{Version: h.Version, Compressed: h.Compressed}
	}
	if h.Compressed != l.header.Compressed {
		return l.refuse(subtask, "its operator state is compressed and that of other subtasks is not, or the other way round")
	}
	l.header.Version = max(l.header.Version, h.Version)
	for _, side := range []struct {
		to   *[]state.Meta
		from []state.Meta
	}{{&l.header.Lists, h.Lists}, {&l.header.Broadcasts, h.Broadcasts}} {
		for _, m := range side.from {
			i := slices.IndexFunc(*side.to, func(have state.Meta) bool { return have.Name == m.Name })
			if i < 0 {
				*side.to = append(*side.to, m)
				continue
			}
			have, err := (&state.OperatorHeader{Version: h.Version, Lists: (*side.to)[i : i+1]}).Append(nil)
			if err != nil {
				return err
			}
			comes, err := (&state.OperatorHeader{Version: h.Version, Lists: []state.Meta{m}}).Append(nil)
			if err != nil {
				return err
			}
			if !bytes.Equal(have, comes) {
				return l.refuse(subtask, fmt.Sprintf("state %s is described otherwise than by other subtasks", m.Name))
			}
		}
	}
	return nil
}

// share are the elements that a new subtask gets (RoundRobinOperatorStateRepartitioner):
// of a split list a run of them, the first subtasks one more than the others; of
// broadcast state one copy. A union list is cut like a split one: all of it goes to
// every subtask at the restore, so that each element must be stored once.
func (s *list) share(subtask, parallelism int) []element {
	n := len(s.elements)
	if s.mode == metadata.Broadcast {
		if n == 0 {
			return nil
		}
		return s.elements[subtask%n : subtask%n+1]
	}
	base, more := n/parallelism, n%parallelism
	from := subtask*base + min(subtask, more)
	to := from + base
	if subtask < more {
		to++
	}
	return s.elements[from:to]
}

// Write writes a file for each subtask and returns the handles.
func (l *Lists) Write(parallelism int, create func() (Output, error)) ([]*metadata.OperatorHandle, error) {
	handles := make([]*metadata.OperatorHandle, parallelism)
	for i := range handles {
		if l.raw && l.lists[0].share(i, parallelism) == nil {
			continue
		}
		out, err := create()
		if err != nil {
			return nil, err
		}
		w := &listWriter{l: l, out: bufio.NewWriterSize(out, outputBuffer)}
		h, err := w.write(i, parallelism)
		if err == nil {
			err = w.out.Flush()
		}
		if err != nil {
			return nil, errors.Join(err, out.Abort())
		}
		name, err := out.Commit()
		if err != nil {
			return nil, err
		}
		h.Delegate = &metadata.RelativeFile{Path: name, Size: w.at}
		handles[i] = h
	}
	return handles, nil
}

// listWriter writes the file of one subtask.
type listWriter struct {
	l      *Lists
	out    *bufio.Writer
	at     int64
	open   *flink.Source
	source int
}

func (w *listWriter) write(subtask, parallelism int) (*metadata.OperatorHandle, error) {
	defer w.close()
	if !w.l.raw {
		head, err := w.l.header.Append(nil)
		if err != nil {
			return nil, err
		}
		if w.l.header.Compressed {
			head = append(head, snappyIdentifier...)
		}
		n, err := w.out.Write(head)
		if err != nil {
			return nil, err
		}
		w.at = int64(n)
	}
	h := &metadata.OperatorHandle{Tag: metadata.TagOperator}
	for _, s := range w.l.lists {
		st := metadata.OperatorState{Name: s.name, Mode: s.mode}
		for _, e := range s.share(subtask, parallelism) {
			st.Offsets = append(st.Offsets, w.at)
			if err := w.copy(e); err != nil {
				return nil, err
			}
		}
		h.States = append(h.States, st)
	}
	return h, nil
}

// copy copies an element.
func (w *listWriter) copy(e element) error {
	if err := w.l.ctx.Err(); err != nil {
		return err
	}
	if w.open == nil || w.source != e.source {
		w.close()
		src, err := w.l.src.OpenHandle(w.l.ctx, w.l.sources[e.source])
		if err != nil {
			return err
		}
		w.open, w.source = src, e.source
	}
	n, err := io.Copy(w.out, io.NewSectionReader(w.open, e.from, e.to-e.from))
	w.at += n
	if err == nil && n < e.to-e.from {
		err = fmt.Errorf("%s at %d: %w", w.open.Object, e.from+n, io.ErrUnexpectedEOF)
	}
	return err
}

func (w *listWriter) close() {
	if w.open != nil {
		w.open.Close()
		w.open = nil
	}
}
