package engine

import (
	"context"
	"sort"

	"github.com/tidemark-io/tidemark/engine/runtime"
	"github.com/tidemark-io/tidemark/engine/state"
	"github.com/tidemark-io/tidemark/keygroup"
	"github.com/tidemark-io/tidemark/writer"
)

// generations remembers, for incremental checkpoints, which generation of a
// table's changes began with which checkpoint. A checkpoint that failed is
// remembered too, and never asked for.
type generations map[uint64]uint64

// restored notes that a table holds what a checkpoint holds, 0 being none.
func (g *generations) restored(id uint64, generation func() uint64) {
	if id != 0 {
		*g = generations{id: generation()}
	}
}

// begin decides about the key groups of a state: take, for a snapshot, is false
// for those that are kept by reference. Both are nil unless the checkpoint is
// incremental.
func (g generations) begin(s *runtime.Snapshot, spec runtime.StateSpec) (inc *runtime.Increment, take func(int, uint64) bool) {
	if inc = s.Increment(spec); inc == nil {
		return nil, nil
	}
	since, known := g[inc.Base()]
	return inc, func(group int, changed uint64) bool {
		return !known || changed >= since || !inc.Keep(group)
	}
}

// note remembers a snapshot. What is older than the base is never asked for
// again.
func (g *generations) note(s *runtime.Snapshot, inc *runtime.Increment, generation uint64) {
	if *g == nil {
		*g = generations{}
	}
	for id := range *g {
		if id < inc.Base() {
			delete(*g, id)
		}
	}
	(*g)[s.ID()] = generation
}

// writeGroups writes a snapshot of a table, each key group into a slice of its
// own.
func writeGroups(snap *state.Snapshot, groups int) func(context.Context, func(int) (*writer.Slice, error)) error {
	return func(_ context.Context, open func(int) (*writer.Slice, error)) error {
		split := splitter{groups: groups, open: open}
		for b := range snap.Batches() { // nothing unless widths are fixed
			kw, vw := len(b.Keys)/len(b.Hashes), len(b.Values)/len(b.Hashes)
			for len(b.Hashes) > 0 {
				sl, err := split.slice(b.Hashes[0])
				if err != nil {
					return err
				}
				n := sort.Search(len(b.Hashes), func(i int) bool { return uint64(b.Hashes[i]) >= split.end })
				if err := sl.KeyedBatch(b.Hashes[:n], b.Keys[:n*kw], b.Values[:n*vw]); err != nil {
					return err
				}
				b.Hashes, b.Keys, b.Values = b.Hashes[n:], b.Keys[n*kw:], b.Values[n*vw:]
			}
		}
		if snap.Fixed() {
			return nil
		}
		for e := range snap.Entries() {
			sl, err := split.slice(e.Hash)
			if err != nil {
				return err
			}
			if err := sl.Keyed(e.Hash, e.Key, e.Namespace, e.Value); err != nil {
				return err
			}
		}
		return nil
	}
}

// writeTimerGroups is writeGroups for timers.
func writeTimerGroups(snap *state.TimerSnapshot, groups int) func(context.Context, func(int) (*writer.Slice, error)) error {
	return func(_ context.Context, open func(int) (*writer.Slice, error)) error {
		split := splitter{groups: groups, open: open}
		for e := range snap.Entries() {
			sl, err := split.slice(e.Hash)
			if err != nil {
				return err
			}
			if err := sl.Timer(e.Hash, e.Key, e.Namespace, e.Time); err != nil {
				return err
			}
		}
		return nil
	}
}

// splitter opens a slice for each key group that entries in ascending order of
// hashes belong to.
type splitter struct {
	groups  int
	open    func(group int) (*writer.Slice, error)
	current *writer.Slice
	end     uint64 // first hash behind the current group
}

// slice is the slice that an entry with this hash belongs to.
func (s *splitter) slice(h keygroup.Hash) (*writer.Slice, error) {
	if s.current != nil && uint64(h) < s.end {
		return s.current, nil
	}
	group := keygroup.Of(h, s.groups)
	s.end = keygroup.Range{First: group, Last: group}.Interval(s.groups).Hi
	var err error
	s.current, err = s.open(group)
	return s.current, err
}
