// Package sourcetest checks what every source promises to the engine.
package sourcetest

import (
	"context"
	"io"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tidemark-io/tidemark/engine"
)

// ReadAll reads a split from a position in batches of n and returns the
// records, and the position before each of them and at the end. Positions
// within a batch are those of its beginning, so use n = 1 for all positions.
func ReadAll[T any](t testing.TB, src engine.Source[T], split engine.Split, position []byte, n int) (records []T, positions [][]byte) {
	t.Helper()
	r, err := src.Open(context.Background(), split, position)
	if err != nil {
		t.Fatalf("split %s: %v", split.ID, err)
	}
	defer r.Close()
	batch := make([]T, n)
	for idle := 0; ; {
		positions = append(positions, r.Position(nil))
		k, err := r.Read(context.Background(), batch)
		records = append(records, batch[:k]...)
		if err == io.EOF {
			if k > 0 {
				positions = append(positions, r.Position(nil))
			}
			break
		}
		if err != nil {
			t.Fatalf("split %s, after %d records: %v", split.ID, len(records), err)
		}
		if idle++; k > 0 {
			idle = 0
		}
		if idle > 1000 {
			t.Fatalf("split %s: nothing after %d records", split.ID, len(records))
		}
	}
	// The end repeats itself.
	if k, err := r.Read(context.Background(), batch); k != 0 || err != io.EOF {
		t.Errorf("split %s: %d records and %v after the end", split.ID, k, err)
	}
	return records, positions
}

// Replay reads all splits of a source, checks that reading in other batch sizes
// gives the same, and that reading on from every position gives exactly the
// records that are left. It returns the records by split.
func Replay[T any](t testing.TB, src engine.Source[T]) [][]T {
	t.Helper()
	splits, err := src.Splits(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	ids := map[string]bool{}
	out := make([][]T, len(splits))
	for i, split := range splits {
		if ids[split.ID] {
			t.Errorf("two splits are named %s", split.ID)
		}
		ids[split.ID] = true
		all, positions := ReadAll(t, src, split, nil, 1)
		for _, n := range []int{3, 256} {
			got, _ := ReadAll(t, src, split, nil, n)
			if d := cmp.Diff(all, got); d != "" {
				t.Fatalf("split %s in batches of %d: %s", split.ID, n, d)
			}
		}
		for k, p := range positions {
			got, _ := ReadAll(t, src, split, p, 2)
			if len(got) != len(all[min(k, len(all)):]) || len(got) > 0 && !cmp.Equal(got, all[k:]) {
				t.Fatalf("split %s from position %d: %d records, want %d\n%s", split.ID, k, len(got), len(all)-k, cmp.Diff(all[min(k, len(all)):], got))
			}
		}
		out[i] = all
	}
	return out
}
