package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"

	"github.com/tidemark-io/tidemark/checkpoint/layout"
	"github.com/tidemark-io/tidemark/engine/state"
	"github.com/tidemark-io/tidemark/keygroup"
	"github.com/tidemark-io/tidemark/keygroup/keyhash"
	"github.com/tidemark-io/tidemark/reader"
	"github.com/tidemark-io/tidemark/store"
	"github.com/tidemark-io/tidemark/store/local"
)

// prepareState writes checkpoint 1 of so many entries of 16 bytes.
func prepareState(ctx context.Context, p params) (figures, error) {
	st, err := local.Open(p.Dir, local.WithCreate())
	if err != nil {
		return nil, err
	}
	defer st.Close()
	tables, err := fill(p.Entries, parallelism)
	if err != nil {
		return nil, err
	}
	return figures{}, writeTables(ctx, st, 1, codecs[p.Codec], tables)
}

// restoreState measures a restore, from opening the checkpoint (whose bytes the
// system has in memory) to a full table, beside inserts of the same entries in
// random order, which is what state that is not stored in hash order costs.
func restoreState(ctx context.Context, p params) (figures, error) {
	st, err := local.Open(p.Dir)
	if err != nil {
		return nil, err
	}
	defer st.Close()
	raw := float64(p.Entries*entrySize) / 1e6
	s, err := beginProfiled(p)
	if err != nil {
		return nil, err
	}
	runs := max(p.Repeat, 1)
	for range runs {
		table, err := restore(ctx, st)
		if err != nil {
			return nil, err
		}
		if table.Len() != p.Entries {
			return nil, fmt.Errorf("%d entries restored of %d", table.Len(), p.Entries)
		}
	}
	cpu, wall := s.end()
	cpu, wall = cpu/float64(runs), wall/float64(runs)
	runtime.GC() // the restored table is not the next section's affair

	s = beginSection()
	tables, err := fill(p.Entries, 1)
	if err != nil {
		return nil, err
	}
	random, _ := s.end()
	runtime.KeepAlive(tables)
	return figures{"core": raw / cpu, "wall": raw / wall, "random": raw / random, "ratio": random / cpu}, nil
}

// restore reads checkpoint 1 into a table of all key groups.
func restore(ctx context.Context, st store.Store) (t *state.Table, err error) {
	c, err := reader.Open(ctx, st, layout.Checkpoint(1))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	if t, err = newTable(0, 1); err != nil {
		return nil, err
	}
	l := t.Load(int(c.Summary().Entries))
	for b, err := range c.KeyedBatches(ctx, uid, stateName, keygroup.All()) {
		if err != nil {
			return nil, err
		}
		for b.Next() {
			// The engine needs the 64-bit hash, too, and compares.
			sum := keyhash.Sum64(b.Key)
			if keygroup.Hash(sum>>32) != b.Hash {
				return nil, fmt.Errorf("key %x is stored with hash %08x", b.Key, b.Hash)
			}
			if err := l.Append(sum, b.Key, b.Namespace, b.Value); err != nil {
				return nil, err
			}
		}
	}
	return t, nil
}
