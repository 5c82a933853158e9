package main

import (
	"context"
	"encoding/binary"
	"slices"
	"time"

	"github.com/tidemark-io/tidemark/engine/state"
	"github.com/tidemark-io/tidemark/keygroup/keyhash"
)

// syncPhase times [state.Table.Snapshot], the phase of a checkpoint in which no
// record is processed. Uniform updates, the worst case, go on before and while
// each snapshot is read.
func syncPhase(ctx context.Context, p params) (figures, error) {
	tables, err := fill(p.Entries, 1)
	if err != nil {
		return nil, err
	}
	table := tables[0]
	s, err := beginProfiled(p)
	if err != nil {
		return nil, err
	}
	defer s.end()
	var took []float64
	next := uint64(0)
	for range p.Repeat {
		// The updates before make it likely that the snapshot finds the
		// caches as a running job leaves them.
		next = update(table, next, p.Entries)
		began := time.Now()
		snap, err := table.Snapshot()
		took = append(took, time.Since(began).Seconds()*1e3)
		if err != nil {
			return nil, err
		}
		read := make(chan struct{})
		go func() {
			defer close(read)
			defer snap.Release()
			n := 0
			for range snap.Entries() {
				n++
			}
		}()
		// Updates go on until the snapshot is read, so that pages are saved.
		for done := false; !done; {
			next = update(table, next, p.Entries)
			select {
			case <-read:
				done = true
			case <-ctx.Done():
				return nil, context.Cause(ctx)
			default:
			}
		}
	}
	return figures{"sync": estimateOf(took).median, "max": slices.Max(took)}, nil
}

// update adds one to the values of some random keys.
func update(t *state.Table, next uint64, keys int) uint64 {
	var k [8]byte
	for range 10_000 {
		binary.LittleEndian.PutUint64(k[:], keyOf((next*0x2545f4914f6cdd1d>>20)%uint64(keys)))
		next++
		if r, ok := t.Find(keyhash.Sum64(k[:]), k[:], nil); ok {
			v := t.Mutable(r)
			binary.LittleEndian.PutUint64(v, binary.LittleEndian.Uint64(v)+1)
		}
	}
	return next
}
