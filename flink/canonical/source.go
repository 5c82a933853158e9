package canonical

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"

	"github.com/tidemark-io/tidemark/checkpoint"
	"github.com/tidemark-io/tidemark/flink"
	"github.com/tidemark-io/tidemark/flink/metadata"
	"github.com/tidemark-io/tidemark/flink/sst"
	"github.com/tidemark-io/tidemark/flink/state"
	"github.com/tidemark-io/tidemark/flink/wire"
	"github.com/tidemark-io/tidemark/keygroup"
)

// part is one keyed handle of an operator and the key groups that count of it.
type part struct {
	subtask int32
	groups  keygroup.Range
	handle  metadata.KeyedHandle // *KeyGroupsHandle, *IncrementalHandle, or a *ChangelogHandle with changes
	header  *state.KeyedHeader   // nil if there is no state
	// Of a salvage: why nothing of it reads, and that the header is that of another
	// subtask.
	broken error
	lent   bool
}

// rangeOf is a range of the metadata in the other form.
func rangeOf(r metadata.KeyGroupRange) keygroup.Range {
	return keygroup.Range{First: int(r.Start), Last: int(r.Start) + int(r.Count) - 1}
}

// parts lists the handles of an operator by their key groups, which must not
// overlap.
func (k *Keyed) parts() ([]part, error) {
	var list []part
	for i := range k.op.Subtasks {
		s := k.op.Subtasks[i].State
		if s == nil || s.ManagedKeyed == nil {
			continue
		}
		groups := rangeOf(s.ManagedKeyed.KeyGroups())
		handles := []metadata.KeyedHandle{s.ManagedKeyed}
		if c, ok := s.ManagedKeyed.(*metadata.ChangelogHandle); ok {
			if changed(c.Deltas) {
				list = append(list, part{subtask: k.op.Subtasks[i].Index, groups: groups, handle: c})
				continue
			}
			handles = c.Materialized
		}
		for _, h := range handles {
			switch h.(type) {
			case nil:
			case *metadata.KeyGroupsHandle, *metadata.IncrementalHandle:
				p := part{subtask: k.op.Subtasks[i].Index, groups: rangeOf(h.KeyGroups()), handle: h}
				p.groups.First, p.groups.Last = max(p.groups.First, groups.First), min(p.groups.Last, groups.Last)
				list = append(list, p)
			default:
				return nil, k.refuse(k.op.Subtasks[i].Index, fmt.Sprintf("its keyed state lies in a handle of the kind %T, which cannot be written anew", h), "take a canonical savepoint")
			}
		}
	}
	slices.SortStableFunc(list, func(a, b part) int { return a.groups.First - b.groups.First })
	last := -1 // the part with the highest key group so far; some have none
	for i := range list {
		if list[i].groups.Len() <= 0 {
			continue
		}
		if last >= 0 && list[i].groups.First <= list[last].groups.Last {
			return nil, fmt.Errorf("%s: %w: operator %s: subtasks %d and %d both have key group %d", k.src.Dir(), checkpoint.ErrDamaged, k.name(),
				list[last].subtask, list[i].subtask, list[i].groups.First)
		}
		last = i
	}
	return list, nil
}

// changed reports whether there are changes in handles of changes.
func changed(deltas []metadata.KeyedHandle) bool {
	return slices.ContainsFunc(deltas, func(h metadata.KeyedHandle) bool {
		switch h := h.(type) {
		case nil:
			return false
		case *metadata.MemoryChangelog:
			return len(h.Changes) > 0
		case *metadata.StreamChangelog:
			return len(h.Streams) > 0
		}
		return true
	})
}

func (k *Keyed) name() string { return k.src.OperatorName(k.op.ID) }

// refuse is a refusal about a subtask.
func (k *Keyed) refuse(subtask int32, problem, remedy string) error {
	place := checkpoint.Nowhere()
	place.Operator, place.Subtask = k.name(), int(subtask)
	return checkpoint.Refuse(place, problem, remedy)
}

// damaged says of an error of decoding what the tools tell cases apart by.
func damaged(dir string, err error) error {
	var bad *wire.Error
	switch {
	case !errors.As(err, &bad):
		return err
	case errors.Is(err, wire.ErrUnsupported), errors.Is(err, wire.ErrLimit):
		return fmt.Errorf("%s: %w: %w", dir, checkpoint.ErrUnsupported, err)
	}
	return fmt.Errorf("%s: %w: %w", dir, checkpoint.ErrDamaged, err)
}

// readHeader reads what a handle says about its states.
func (k *Keyed) readHeader(p *part) error {
	var h metadata.StreamHandle
	switch of := p.handle.(type) {
	case *metadata.KeyGroupsHandle:
		h = of.Delegate
	case *metadata.IncrementalHandle:
		h = of.Meta
	case *metadata.ChangelogHandle:
		header, _, err := k.src.Changelog(k.ctx, k.op, of)
		p.header = header
		k.unordered = true
		return damaged(k.src.Dir(), err)
	}
	src, err := k.src.OpenHandle(k.ctx, h)
	if err != nil {
		return err
	}
	defer src.Close()
	p.header, err = state.ReadKeyedHeader(wire.NewStream(src.Object, 0, src, src.Size()))
	return damaged(k.src.Dir(), err)
}

// opened is a handle whose entries are read.
type opened struct {
	entries iter.Seq2[*state.Entry, error]
	sources []*flink.Source
}

func (o *opened) close() {
	for _, s := range o.sources {
		s.Close()
	}
}

func (o *opened) open(ctx context.Context, c *flink.Checkpoint, h metadata.StreamHandle) (*flink.Source, error) {
	src, err := c.OpenHandle(ctx, h)
	if err == nil {
		o.sources = append(o.sources, src)
	}
	return src, err
}

// open opens the entries of a part. The caller closes it, also after an error.
func (k *Keyed) open(p *part) (*opened, error) {
	o := new(opened)
	switch h := p.handle.(type) {
	case *metadata.KeyGroupsHandle:
		src, err := o.open(k.ctx, k.src, h.Delegate)
		if err != nil {
			return o, err
		}
		file, err := state.OpenKeyed(state.KeyedFile{Object: src.Object, Data: src, Size: src.Size(), Groups: rangeOf(h.Range), Offsets: h.Offsets,
			MaxParallelism: int(k.op.MaxParallelism), Savepoint: h.Tag == metadata.TagSavepoint})
		if err != nil {
			return o, err
		}
		o.entries = within(file, p.groups)
	case *metadata.IncrementalHandle:
		db := sst.Handle{Object: k.src.Dir(), Header: p.header, Groups: p.groups, MaxParallelism: int(k.op.MaxParallelism)}
		for _, list := range [][]metadata.NamedFile{h.Shared, h.Private} {
			for _, f := range list {
				src, err := o.open(k.ctx, k.src, f.Handle)
				if err != nil {
					return o, err
				}
				db.Files = append(db.Files, sst.File{Name: f.Name, Object: src.Object, Data: src, Size: src.Size()})
			}
		}
		opened, err := sst.Open(db)
		if err != nil {
			return o, err
		}
		o.entries = opened.Entries()
	case *metadata.ChangelogHandle:
		_, entries, err := k.src.Changelog(k.ctx, k.op, h)
		if err != nil {
			return o, err
		}
		o.entries = entries
	}
	return o, nil
}

// within yields the entries of some key groups of a file.
func within(file *state.Keyed, groups keygroup.Range) iter.Seq2[*state.Entry, error] {
	return func(yield func(*state.Entry, error) bool) {
		for g := groups.First; g <= groups.Last; g++ {
			for e, err := range file.Group(g) {
				if !yield(e, err) || err != nil {
					return
				}
			}
		}
	}
}
