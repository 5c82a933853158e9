package slice

import (
	"context"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tidemark-io/tidemark/engine"
	"github.com/tidemark-io/tidemark/engine/connector/internal/sourcetest"
)

func numbers(n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = i
	}
	return out
}

func TestReplay(t *testing.T) {
	for _, n := range []int{0, 1, 2, 3, 7, 24} {
		for _, k := range []int{1, 2, 3, 5, 30} {
			for name, src := range map[string]*Source[int]{"round-robin": New(numbers(n), k), "contiguous": NewContiguous(numbers(n), k)} {
				got := sourcetest.Replay(t, src)
				if len(got) != k {
					t.Fatalf("%d splits, want %d", len(got), k)
				}
				all := []int{}
				for i, s := range got {
					if !slices.IsSorted(s) || len(s) < n/k || len(s) > n/k+1 {
						t.Errorf("%s, split %d of %d: %v", name, i, k, s)
					}
					all = append(all, s...)
				}
				slices.Sort(all)
				if d := cmp.Diff(numbers(n), all); d != "" {
					t.Errorf("%s, %d records in %d splits: %s", name, n, k, d)
				}
			}
		}
	}
	got := sourcetest.Replay(t, New(numbers(5), 2))
	if d := cmp.Diff([][]int{{0, 2, 4}, {1, 3}}, got); d != "" {
		t.Error(d)
	}
}

// TestRestoredSplit: a split keeps its meaning if the job asks for another
// number of splits, and is refused if the records are others.
func TestRestoredSplit(t *testing.T) {
	splits, _ := New(numbers(9), 3).Splits(context.Background())
	got, _ := sourcetest.ReadAll(t, New(numbers(9), 2), splits[1], nil, 2)
	if d := cmp.Diff([]int{1, 4, 7}, got); d != "" {
		t.Error(d)
	}
	bad := []engine.Split{
		{ID: "json", Data: []byte("?")},
		{ID: "index", Data: []byte(`{"index":3,"splits":3,"dealing":"round-robin","records":9}`)},
		{ID: "dealing", Data: []byte(`{"index":0,"splits":3,"dealing":"x","records":9}`)},
		{ID: "records", Data: []byte(`{"index":0,"splits":3,"dealing":"round-robin","records":8}`)},
	}
	for _, s := range bad {
		if _, err := New(numbers(9), 3).Open(context.Background(), s, nil); err == nil {
			t.Errorf("%s was accepted", s.ID)
		}
	}
	for _, p := range [][]byte{{1}, {4, 0, 0, 0, 0, 0, 0, 0}} {
		if _, err := New(numbers(9), 3).Open(context.Background(), splits[0], p); err == nil {
			t.Errorf("position % x was accepted", p)
		}
	}
}

func TestSortedBy(t *testing.T) {
	type flight struct{ date, delay int }
	in := []flight{{1, 5}, {2, 0}, {3, -1}, {4, 0}}
	got := SortedBy(in, func(f flight) int { return f.date + f.delay })
	want := []flight{{2, 0}, {3, -1}, {4, 0}, {1, 5}}
	if !slices.Equal(got, want) || in[0].date != 1 {
		t.Errorf("%v from %v", got, in)
	}
}
