package main

import (
	"context"
	"encoding/binary"

	"github.com/tidemark-io/tidemark/format"
	"github.com/tidemark-io/tidemark/keygroup"
	"github.com/tidemark-io/tidemark/store/local"
	"github.com/tidemark-io/tidemark/writer"
)

// The synthetic checkpoint that `inspect` is measured with.
const (
	wideSubtasks = 10_000
	wideStates   = 10
	wideGroups   = keygroup.MaxGroups
)

// prepareWide writes checkpoint 1 of many subtasks and states with about one
// entry for each key group and state.
func prepareWide(ctx context.Context, p params) (figures, error) {
	st, err := local.Open(p.Dir, local.WithCreate())
	if err != nil {
		return nil, err
	}
	defer st.Close()
	pairs := sortedPairs(wideGroups)
	m := manifest(wideSubtasks, wideGroups, wideStates, uint64Schema, uint64Schema)
	err = publish(ctx, st, 1, writer.CompressNone, m, func(w *writer.Writer) ([]format.Slice, error) {
		var all []format.Slice
		for state := range wideStates {
			// Every state has the same keys; subtasks take them in order.
			left := pairs
			for subtask := range wideSubtasks {
				sl, err := w.Slice(ctx, sliceOf(m, state, subtask))
				if err != nil {
					return nil, err
				}
				if left, err = writePairs(sl, left, keygroup.IntervalOf(subtask, wideGroups, wideSubtasks), 8); err != nil {
					sl.Abandon()
					return nil, err
				}
				row, err := sl.Close()
				if err != nil {
					return nil, err
				}
				all = append(all, row)
			}
		}
		return all, nil
	})
	return figures{"slices": float64(len(m.Slices))}, err
}

// writePairs writes the entries that lie in the interval, which are the first
// ones, with values made of the key, and returns the rest.
func writePairs(sl *writer.Slice, pairs []pair, iv keygroup.Interval, valueSize int) ([]pair, error) {
	var key [8]byte
	value := make([]byte, valueSize)
	for len(pairs) > 0 && iv.Contains(keygroup.Hash(pairs[0].sum>>32)) {
		x := pairs[0].key
		binary.LittleEndian.PutUint64(key[:], x)
		// Each number of the value follows from the one before it.
		for i := 0; i+8 <= len(value); i += 8 {
			x = keyOf(x + uint64(i))
			binary.LittleEndian.PutUint64(value[i:], x)
		}
		if err := sl.Keyed(keygroup.Hash(pairs[0].sum>>32), key[:], nil, value); err != nil {
			return nil, err
		}
		pairs = pairs[1:]
	}
	return pairs, nil
}
