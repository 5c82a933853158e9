package edit

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/tidemark-io/tidemark/checkpoint"
	"github.com/tidemark-io/tidemark/flink"
	"github.com/tidemark-io/tidemark/flink/metadata"
	"github.com/tidemark-io/tidemark/flink/state"
	"github.com/tidemark-io/tidemark/flink/wire"
	"github.com/tidemark-io/tidemark/store"
)

// mendedLists is the operator state of one subtask, which is written anew without what
// is damaged.
type mendedLists struct {
	op      *metadata.Operator
	subtask int32
	raw     bool
	header  *state.OperatorHeader // nil of raw state
	states  []mendedList
}

// mendedList is one state of it.
type mendedList struct {
	name     string
	mode     metadata.Mode
	elements []mendedElement
}

// mendedElement is an element, which is copied as it is.
type mendedElement struct {
	handle   metadata.StreamHandle
	from, to int64
}

// snappyIdentifier begins a stream of snappy frames. In a compressed file of operator
// state it stands once, behind the header.
var snappyIdentifier = []byte("\xff\x06\x00\x00sNaPpY")

// salvageLists finds damaged operator state. Elements that do not decode are left out;
// of broadcast state, of which every subtask has a copy, another one's copy stands in.
func (j *job) salvageLists() error {
	for i := range j.m.Operators {
		op := &j.m.Operators[i]
		for k := range op.Subtasks {
			s := op.Subtasks[k].State
			if s == nil {
				continue
			}
			for _, side := range []struct {
				h    **metadata.OperatorHandle
				role metadata.Role
			}{{&s.ManagedOperator, metadata.RoleManagedOperator}, {&s.RawOperator, metadata.RoleRawOperator}} {
				if *side.h == nil {
					continue
				}
				f, err := j.damage(op, op.Subtasks[k].Index, side.role)
				if err != nil {
					return err
				}
				if f == nil && side.role == metadata.RoleManagedOperator {
					f, err = j.strangeLists(op, op.Subtasks[k].Index, *side.h)
				}
				if err != nil {
					return err
				}
				if f == nil {
					continue
				}
				l := &mendedLists{op: op, subtask: op.Subtasks[k].Index, raw: side.role == metadata.RoleRawOperator}
				if err := j.mendLists(l, *side.h, f); err != nil {
					return err
				}
				j.lists = append(j.lists, l)
			}
		}
	}
	// Only now: others may have lent a copy.
	for _, l := range j.lists {
		l.handle(nil)
	}
	return nil
}

// strangeLists is a finding if the description of one subtask's operator state, and not
// that of another's, has something that is not known.
func (j *job) strangeLists(op *metadata.Operator, subtask int32, h *metadata.OperatorHandle) (*checkpoint.Finding, error) {
	src, err := j.src.OpenHandle(j.ctx, h.Delegate)
	if errors.Is(err, flink.ErrOutside) || h.Empty || h.Delegate == nil {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	defer src.Close()
	_, err = state.ReadOperatorHeader(wire.NewStream(src.Object, 0, src, src.Size()))
	if !errors.Is(err, wire.ErrUnsupported) {
		return nil, nil
	}
	other, lerr := j.listHeader(&mendedLists{op: op, subtask: subtask}, src)
	if other == nil || lerr != nil {
		return nil, lerr
	}
	j.damagedObject(src.Object)
	return &checkpoint.Finding{Severity: checkpoint.Error, Place: checkpoint.At(src.Object), Problem: "the description of its states", Err: err}, nil
}

// handle sets the handle of the state.
func (l *mendedLists) handle(h *metadata.OperatorHandle) {
	for k := range l.op.Subtasks {
		if s := l.op.Subtasks[k].State; s != nil && l.op.Subtasks[k].Index == l.subtask {
			if l.raw {
				s.RawOperator = h
			} else {
				s.ManagedOperator = h
			}
		}
	}
}

// mendLists decides what is left of the operator state of one subtask.
func (j *job) mendLists(l *mendedLists, h *metadata.OperatorHandle, why *checkpoint.Finding) error {
	src, err := j.src.OpenHandle(j.ctx, h.Delegate)
	if errors.Is(err, store.ErrNotExist) || errors.Is(err, store.ErrNotObject) || errors.Is(err, flink.ErrOutside) {
		src = &flink.Source{SectionReader: io.NewSectionReader(nothing{}, 0, 0)}
	} else if err != nil {
		return err
	}
	defer src.Close()
	end := src.Size()
	if where, err := j.src.Locate(j.ctx, h.Delegate); err != nil {
		return err
	} else if where.Size >= 0 {
		end = min(end, where.Size)
	}
	if !l.raw {
		if l.header, err = j.listHeader(l, src); err != nil {
			return err
		}
	}
	var starts []int64
	for _, s := range h.States {
		starts = append(starts, s.Offsets...)
	}
	slices.Sort(starts)
	for _, s := range h.States {
		list := mendedList{name: s.Name, mode: s.Mode}
		loss := j.loss(j.name(l.op), s.Name, "")
		if l.raw {
			loss.State = rawOperatorName
		}
		for _, from := range s.Offsets {
			to, next := end, int64(-1)
			if i, _ := slices.BinarySearch(starts, from+1); i < len(starts) {
				to, next = min(starts[i], end), starts[i]
			}
			whole := from >= 0 && from <= to && (next < 0 || to == next)
			if next < 0 { // the last one: its end is that of the file
				whole = whole && end == sizeOf(h.Delegate, end)
			}
			if whole && !l.raw {
				whole = l.decodes(src, s.Name, from, to)
			}
			if whole {
				list.elements = append(list.elements, mendedElement{h.Delegate, from, to})
				continue
			}
			lent, err := j.lend(l, s)
			if err != nil {
				return err
			}
			if lent != nil {
				list.elements = append(list.elements, *lent)
				continue
			}
			loss.Records++
			loss.Bytes += uint64(max(to-max(from, 0), 0))
		}
		l.states = append(l.states, list)
		if loss.Records > 0 {
			loss.Place += fmt.Sprintf(",subtask=%d", l.subtask)
			loss.Reason = fmt.Sprintf("%d elements of state %s of subtask %d do not read: %s", loss.Records, s.Name, l.subtask, problem(why))
			j.losses = append(j.losses, loss)
		}
	}
	return nil
}

// nothing is no bytes.
type nothing struct{}

func (nothing) ReadAt([]byte, int64) (int, error) { return 0, io.EOF }

// sizeOf is the size that a handle states, or another one if it states none.
func sizeOf(h metadata.StreamHandle, unknown int64) int64 {
	switch h := h.(type) {
	case *metadata.RelativeFile:
		if h.Size >= 0 {
			return h.Size
		}
	case *metadata.File:
		if h.Size >= 0 {
			return h.Size
		}
	case *metadata.Segment:
		return h.Size
	}
	return unknown
}

// listHeader is the description of the states, of another subtask if it does not
// read here: all describe them alike. It is nil if none reads.
func (j *job) listHeader(l *mendedLists, src *flink.Source) (*state.OperatorHeader, error) {
	h, err := state.ReadOperatorHeader(wire.NewStream(src.Object, 0, src, src.Size()))
	if err == nil {
		return h, nil
	}
	if !errors.As(err, new(*wire.Error)) {
		return nil, err
	}
	for k := range l.op.Subtasks {
		s := l.op.Subtasks[k].State
		if s == nil || s.ManagedOperator == nil || l.op.Subtasks[k].Index == l.subtask {
			continue
		}
		other, err := j.src.OpenHandle(j.ctx, s.ManagedOperator.Delegate)
		if err != nil {
			continue
		}
		h, err = state.ReadOperatorHeader(wire.NewStream(other.Object, 0, other, other.Size()))
		if err = errors.Join(err, other.Close()); err == nil {
			return h, nil
		}
	}
	return nil, nil
}

// decodes reports whether an element decodes to its end. What is of an unknown class
// does.
func (l *mendedLists) decodes(src *flink.Source, name string, from, to int64) bool {
	if l.header == nil {
		return false
	}
	header := *l.header
	header.Size = min(header.Size, from) // it may be lent
	ops, err := state.OpenOperator(state.OperatorFile{Object: src.Object, Data: src, Size: to, Header: &header, States: []state.Partitions{{Name: name, Offsets: []int64{from}}}})
	if err != nil {
		return false
	}
	for _, err := range ops.Elements(name) {
		if err != nil && !errors.Is(err, wire.ErrUnsupported) {
			return false
		}
	}
	return true
}

// lend finds the copy of a broadcast state that another subtask has; nil if there is
// none.
func (j *job) lend(l *mendedLists, st metadata.OperatorState) (*mendedElement, error) {
	if l.raw || st.Mode != metadata.Broadcast {
		return nil, nil
	}
	for k := range l.op.Subtasks {
		s := l.op.Subtasks[k].State
		if s == nil || s.ManagedOperator == nil || l.op.Subtasks[k].Index == l.subtask {
			continue
		}
		f, err := j.damage(l.op, l.op.Subtasks[k].Index, metadata.RoleManagedOperator)
		if err != nil {
			return nil, err
		}
		if f != nil {
			continue
		}
		src, err := j.src.OpenHandle(j.ctx, s.ManagedOperator.Delegate)
		if err != nil {
			return nil, err
		}
		h, err := state.ReadOperatorHeader(wire.NewStream(src.Object, 0, src, src.Size()))
		size := src.Size()
		if err = errors.Join(err, src.Close()); err != nil {
			return nil, err
		}
		if l.header == nil {
			l.header = h
		}
		if l.header.Compressed != h.Compressed {
			continue
		}
		end := size
		for _, o := range s.ManagedOperator.States {
			for _, at := range o.Offsets {
				for _, mine := range s.ManagedOperator.States {
					if mine.Name == st.Name && len(mine.Offsets) > 0 && at > mine.Offsets[0] {
						end = min(end, at)
					}
				}
			}
		}
		for _, mine := range s.ManagedOperator.States {
			if mine.Name == st.Name && len(mine.Offsets) > 0 {
				return &mendedElement{s.ManagedOperator.Delegate, mine.Offsets[0], end}, nil
			}
		}
	}
	return nil, nil
}

// writeLists writes the operator state of one subtask.
func (j *job) writeLists(l *mendedLists) error {
	any := slices.ContainsFunc(l.states, func(s mendedList) bool { return len(s.elements) > 0 })
	if !any && (l.raw || l.header == nil) {
		return nil // nothing is left, not even what it was
	}
	what := "operator"
	if l.raw {
		what = "raw"
	}
	out, err := j.create(l.op, what)
	if err != nil {
		return err
	}
	h := &metadata.OperatorHandle{Tag: metadata.TagOperator}
	to := bufio.NewWriterSize(out, 256<<10)
	at, err := j.copyLists(l, h, to)
	if err == nil {
		err = to.Flush()
	}
	if err != nil {
		return errors.Join(err, out.Abort())
	}
	name, err := out.Commit()
	if err != nil {
		return err
	}
	h.Delegate = &metadata.RelativeFile{Path: name, Size: at}
	l.handle(h)
	return nil
}

// copyLists writes the description and copies the elements.
func (j *job) copyLists(l *mendedLists, h *metadata.OperatorHandle, to *bufio.Writer) (at int64, err error) {
	if !l.raw {
		head, err := l.header.Append(nil)
		if err != nil {
			return 0, err
		}
		if l.header.Compressed {
			head = append(head, snappyIdentifier...)
		}
		n, err := to.Write(head)
		if err != nil {
			return 0, err
		}
		at = int64(n)
	}
	for _, s := range l.states {
		st := metadata.OperatorState{Name: s.name, Mode: s.mode}
		for _, e := range s.elements {
			if err := j.ctx.Err(); err != nil {
				return 0, err
			}
			src, err := j.src.OpenHandle(j.ctx, e.handle)
			if err != nil {
				return 0, err
			}
			n, err := io.Copy(to, io.NewSectionReader(src, e.from, e.to-e.from))
			if err == nil && n < e.to-e.from {
				err = fmt.Errorf("%s at %d: %w", src.Object, e.from+n, io.ErrUnexpectedEOF)
			}
			if err = errors.Join(err, src.Close()); err != nil {
				return 0, err
			}
			st.Offsets = append(st.Offsets, at)
			at += n
		}
		if len(st.Offsets) > 0 {
			h.States = append(h.States, st)
		}
	}
	return at, nil
}
