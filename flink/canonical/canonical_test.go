package canonical

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"testing"

	"github.com/tidemark-io/tidemark/flink/metadata"
)

// Whatever fits into memory, entries come sorted by key group, state and key, and
// nothing stays on disk.
func TestSorter(t *testing.T) {
	for _, c := range []struct{ entries, memory int }{{0, 0}, {1, 1}, {2000, 0}, {2000, 4 << 10}, {2000, 300}} {
		dir := t.TempDir()
		r := rand.New(rand.NewPCG(uint64(c.entries), uint64(c.memory)))
		s := newSorter(c.memory, dir)
		var want, got []string
		for range c.entries {
			group, state := r.IntN(1<<15), r.IntN(3)
			key, value := make([]byte, r.IntN(20)), bytes.Repeat([]byte{1}, r.IntN(50))
			for i := range key {
				key[i] = byte(r.IntN(4))
			}
			want = append(want, fmt.Sprintf("%05d %d %x/%x", group, state, key, value))
			if err := s.add(group, state, key, value); err != nil {
				t.Fatal(err)
			}
		}
		spilled := len(s.runs) > 0
		err := s.each(func(group, state int, key, value []byte) error {
			got = append(got, fmt.Sprintf("%05d %d %x/%x", group, state, key, value))
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if !slices.IsSortedFunc(got, func(a, b string) int { return bytes.Compare([]byte(a[:7]), []byte(b[:7])) }) {
			t.Errorf("%v: not in order", c)
		}
		slices.Sort(want)
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("%v: %d entries, want %d", c, len(got), len(want))
		}
		if err := s.close(); err != nil {
			t.Fatal(err)
		}
		left, err := os.ReadDir(dir)
		if err != nil || len(left) > 0 {
			t.Errorf("%v: %d temporary files are left: %v", c, len(left), err)
		}
		if wantSpill := c.memory > 0 && c.entries > 1; spilled != wantSpill {
			t.Errorf("%v: spilled %v", c, spilled)
		}
	}
}

// The runs that new subtasks get are those of Flink's RoundRobinOperatorStateRepartitioner;
// broadcast state goes to each as one copy.
func TestShare(t *testing.T) {
	sizes := func(n, parallelism int, mode metadata.Mode) []int {
		s := &list{mode: mode}
		for i := range n {
			s.elements = append(s.elements, element{source: i})
		}
		var all []int
		next := 0
		for i := range parallelism {
			share := s.share(i, parallelism)
			all = append(all, len(share))
			for _, e := range share {
				if mode != metadata.Broadcast && e.source != next {
					t.Errorf("%d among %d: subtask %d has element %d, expected %d", n, parallelism, i, e.source, next)
				}
				next++
			}
		}
		return all
	}
	for _, c := range []struct {
		n, parallelism int
		mode           metadata.Mode
		want           []int
	}{
		{10, 3, metadata.SplitDistribute, []int{4, 3, 3}},
		{2, 5, metadata.SplitDistribute, []int{1, 1, 0, 0, 0}},
		{0, 2, metadata.SplitDistribute, []int{0, 0}},
		{7, 2, metadata.Union, []int{4, 3}},
		{3, 5, metadata.Broadcast, []int{1, 1, 1, 1, 1}},
		{3, 2, metadata.Broadcast, []int{1, 1}},
	} {
		if got := sizes(c.n, c.parallelism, c.mode); !slices.Equal(got, c.want) {
			t.Errorf("%d among %d, mode %d: %v, want %v", c.n, c.parallelism, c.mode, got, c.want)
		}
	}
}
