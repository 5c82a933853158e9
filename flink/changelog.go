package flink

import (
	"context"
	"iter"

	"github.com/tidemark-io/tidemark/flink/metadata"
	"github.com/tidemark-io/tidemark/flink/state"
	"github.com/tidemark-io/tidemark/flink/wire"
)

// changes yields the changes of a changelog handle, in order.
func (c *Checkpoint) changes(ctx context.Context, k *metadata.ChangelogHandle) iter.Seq2[state.Change, error] {
	return func(yield func(state.Change, error) bool) {
		for _, d := range k.Deltas {
			switch d := d.(type) {
			case nil:
			case *metadata.MemoryChangelog:
				for i := range d.Changes {
					if !yield(state.Change{KeyGroup: d.Changes[i].KeyGroup, Data: d.Changes[i].Data}, nil) {
						return
					}
				}
			case *metadata.StreamChangelog:
				for i := range d.Streams {
					if !c.streamChanges(ctx, &d.Streams[i], yield) {
						return
					}
				}
			default:
				yield(state.Change{}, &wire.Error{Object: c.name, What: "changes", Err: wire.Unsupported("a handle of tag %T", d)})
				return
			}
		}
	}
}

// streamChanges yields the changes of one file. It returns false if the consumer has
// had enough or after an error.
func (c *Checkpoint) streamChanges(ctx context.Context, s *metadata.OffsetStream, yield func(state.Change, error) bool) bool {
	src, err := c.OpenHandle(ctx, s.Handle)
	if err != nil {
		yield(state.Change{}, err)
		return false
	}
	defer src.Close()
	for x, err := range state.Changes(state.ChangeFile{Object: src.Object, Data: src, Size: src.Size(), Offset: s.Offset}) {
		if !yield(x, err) || err != nil {
			return false
		}
	}
	return true
}

// materialized is the header of the state that a changelog goes on from; nil if
// there is none.
func (c *Checkpoint) materialized(ctx context.Context, k *metadata.ChangelogHandle) (*state.KeyedHeader, error) {
	var all *state.KeyedHeader
	for _, m := range k.Materialized {
		var h *state.KeyedHeader
		var err error
		switch m := m.(type) {
		case *metadata.KeyGroupsHandle:
			h, err = c.keyedHeader(ctx, m.Delegate)
		case *metadata.IncrementalHandle:
			h, err = c.keyedHeader(ctx, m.Meta)
		}
		if err != nil {
			return nil, err
		}
		if h != nil && all == nil {
			all = h
		}
	}
	return all, nil
}

// changedStates is a header of the states that the changes describe; nil if they
// describe none.
func (c *Checkpoint) changedStates(ctx context.Context, k *metadata.ChangelogHandle) (*state.KeyedHeader, error) {
	h, err := c.materialized(ctx, k)
	if err != nil {
		return nil, err
	}
	o := state.NewOverlay(h, rangeOf(k.Range))
	for x, err := range c.changes(ctx, k) {
		if err != nil {
			return nil, err
		}
		if _, ok, err := state.Described(c.name, x); err != nil {
			return nil, err
		} else if ok {
			if err := o.Apply(c.name, x); err != nil {
				return nil, err
			}
		}
	}
	switch {
	case len(o.Header.States) == 0:
		return nil, nil
	case o.Header.Key == nil:
		return nil, &wire.Error{Object: c.name, What: "changes", Err: wire.Unsupported("nothing says how keys are encoded, since no state was materialised and there are no timers")}
	}
	return o.Header, nil
}

// changelogEntries yields the entries of a state with changes: those that were
// materialised, as the changes left them, and those that came since. The changes are
// held in memory.
func (c *Checkpoint) changelogEntries(ctx context.Context, op *metadata.Operator, k *metadata.ChangelogHandle, w wanted, yield func(keyedEntry, error) bool) {
	h, err := c.materialized(ctx, k)
	if err != nil {
		yield(keyedEntry{}, err)
		return
	}
	o := state.NewOverlay(h, rangeOf(k.Range))
	for x, err := range c.changes(ctx, k) {
		if err == nil {
			err = o.Apply(c.name, x)
		}
		if err != nil {
			yield(keyedEntry{}, err)
			return
		}
	}
	before := func(yield func(*state.Entry, error) bool) {
		for _, m := range k.Materialized {
			for e, err := range c.keyedEntries(ctx, op, m, wanted{take: w.take, groups: w.groups}) {
				if err == nil {
					// Indices are those of the overlay's header from here on.
					e.State = o.Index(e.meta)
				}
				if !yield(e.Entry, err) {
					return
				}
			}
		}
	}
	for e, err := range o.Over(before, int(op.MaxParallelism)) {
		out := keyedEntry{Entry: e, header: o.Header, object: c.name}
		if err == nil {
			if out.meta = &o.Header.States[e.State]; !w.takes(out.meta) || !w.groups.Contains(uint64(e.KeyGroup)) {
				continue
			}
		}
		if !yield(out, err) {
			return
		}
	}
}

// Changelog describes the state of a changelog handle, and yields its entries with
// the changes applied; the State of an entry is its index in the header. The entries
// are in no order. A nil header says that there is no state. The changes are held
// in memory. Errors are those of the store and *[wire.Error].
func (c *Checkpoint) Changelog(ctx context.Context, op *metadata.Operator, k *metadata.ChangelogHandle) (*state.KeyedHeader, iter.Seq2[*state.Entry, error], error) {
	h, err := c.changedStates(ctx, k)
	if h == nil || err != nil {
		return nil, nil, err
	}
	index := make(map[string]int, len(h.States))
	for i := range h.States {
		index[h.States[i].Name] = i
	}
	return h, func(yield func(*state.Entry, error) bool) {
		for e, err := range c.keyedEntries(ctx, op, k, wanted{}) {
			if err != nil {
				if !yield(nil, err) {
					return
				}
				continue
			}
			i, ok := index[e.meta.Name]
			if !ok {
				yield(nil, &wire.Error{Object: c.name, What: "changes", Err: wire.Unsupported("state %.200q is not in every part that was materialised", e.meta.Name)})
				return
			}
			e.State = i
			if !yield(e.Entry, nil) {
				return
			}
		}
	}, nil
}
