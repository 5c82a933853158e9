package runtime

import (
	"fmt"
	"testing"

	"github.com/tidemark-io/tidemark/format"
)

// The tables follow from Flink's EdgeManagerBuildUtil: with more senders, target
// t reads from [t*s/r, (t+1)*s/r); with more receivers, sender s feeds
// [ceil(s*r/n), ceil((s+1)*r/n)).
func TestPointwiseWiring(t *testing.T) {
	for _, test := range []struct {
		from, to  int
		receivers string // by sender
	}{
		{1, 1, "[[0]]"},
		{3, 3, "[[0] [1] [2]]"},
		{1, 3, "[[0 1 2]]"},
		{2, 4, "[[0 1] [2 3]]"},
		{2, 3, "[[0 1] [2]]"},
		{3, 5, "[[0 1] [2 3] [4]]"},
		{3, 7, "[[0 1 2] [3 4] [5 6]]"},
		{4, 2, "[[0] [0] [1] [1]]"},
		{3, 2, "[[0] [1] [1]]"},
		{5, 3, "[[0] [1] [1] [2] [2]]"},
		{7, 1, "[[0] [0] [0] [0] [0] [0] [0]]"},
	} {
		if _, got := wirePointwise(test.from, test.to); fmt.Sprint(got) != test.receivers {
			t.Errorf("%d to %d: %v, want %s", test.from, test.to, got, test.receivers)
		}
	}
}

// Every subtask is connected, both sides agree, and the numbers of a side are
// consecutive, which connect relies on.
func TestWiringIsConsistent(t *testing.T) {
	partitioners := []format.Partitioner{format.Forward, format.Keyed, format.Rebalance, format.Rescale, format.Broadcast}
	for from := 1; from <= 21; from++ {
		for to := 1; to <= 21; to++ {
			for _, by := range partitioners {
				p := &plan{graph: &Graph{Edges: []*Edge{{From: 0, To: 1}}}, parallelism: []int{from, to}, partitioner: []format.Partitioner{by}}
				senders, receivers := p.wiring(0)
				links := consistent(t, senders, receivers)
				if want := max(from, to); pointwise(by) && links != want {
					t.Errorf("%d to %d: %d connections, want %d", from, to, links, want)
				}
				if !pointwise(by) && links != from*to {
					t.Errorf("%d to %d: %d connections, want all %d", from, to, links, from*to)
				}
			}
		}
	}
}

// consistent checks both views of a wiring against each other and counts the
// connections.
func consistent(t *testing.T, senders, receivers [][]int) int {
	t.Helper()
	links := map[[2]int]bool{}
	for s, list := range receivers {
		for i, r := range list {
			if r != list[0]+i {
				t.Fatalf("the receivers of %d are %v", s, list)
			}
			links[[2]int{s, r}] = true
		}
		if len(list) == 0 {
			t.Fatalf("sender %d has no receiver: %v", s, receivers)
		}
	}
	n := 0
	for r, list := range senders {
		for i, s := range list {
			if s != list[0]+i || !links[[2]int{s, r}] {
				t.Fatalf("the senders of %d are %v, the receivers %v", r, list, receivers)
			}
			n++
		}
		if len(list) == 0 {
			t.Fatalf("receiver %d has no sender: %v", r, senders)
		}
	}
	if n != len(links) {
		t.Fatalf("%d connections from one side, %d from the other", n, len(links))
	}
	return n
}
