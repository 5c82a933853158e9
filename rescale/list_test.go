package rescale

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func TestSplitFollowsFlinksExamples(t *testing.T) {
	cases := []struct {
		counts             []uint64
		parallelism, start int
		want               string
		next               int
	}{
		{[]uint64{3, 4}, 3, 0, "[[{0 0 3}] [{1 0 2}] [{1 2 2}]]", 1},
		{[]uint64{3, 4}, 3, 1, "[[{1 2 2}] [{0 0 3}] [{1 0 2}]]", 2},
		{[]uint64{3, 4}, 3, 2, "[[{1 0 2}] [{1 2 2}] [{0 0 3}]]", 0},
		{[]uint64{2, 0, 1}, 1, 0, "[[{0 0 2} {2 0 1}]]", 0},
		{[]uint64{1}, 3, 0, "[[{0 0 1}] [] []]", 1},
		{[]uint64{1}, 3, 2, "[[] [] [{0 0 1}]]", 0},
		{[]uint64{0, 0}, 3, 2, "[[] [] []]", 2},
		{[]uint64{5, 0, 1}, 3, 1, "[[{0 0 5}] [] [{2 0 1}]]", 1}, // unchanged: everybody keeps its own
		{nil, 2, 0, "[[] []]", 0},
	}
	for _, c := range cases {
		plan, next := Split(c.counts, c.parallelism, c.start)
		if got := fmt.Sprint(plan); got != c.want || next != c.next {
			t.Errorf("Split(%v, %d, %d) = %s, %d; want %s, %d", c.counts, c.parallelism, c.start, got, next, c.want, c.next)
		}
	}
}

// flinkSplit is Flink's loop (RoundRobinOperatorStateRepartitioner), item by
// item and without any arithmetic of ours: an oracle for Split.
func flinkSplit(total, parallelism, start int) (sizes []int, first []int, next int) {
	sizes, first = make([]int, parallelism), make([]int, parallelism)
	base, remainder := total/parallelism, total%parallelism
	next = start
	at := 0
	for i := range parallelism {
		to := (i + start) % parallelism
		n := base
		if remainder > 0 {
			n++
			remainder--
		} else if remainder == 0 {
			next = to
			remainder--
		}
		sizes[to], first[to] = n, at
		at += n
	}
	return sizes, first, next
}

func TestSplitAgainstFlinksLoop(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		counts := rapid.SliceOfN(rapid.Uint64Range(0, 9), 1, 9).Draw(t, "counts")
		p := rapid.IntRange(1, 12).Draw(t, "p")
		start := rapid.IntRange(0, p-1).Draw(t, "start")
		plan, next := Split(counts, p, start)
		if len(counts) == p {
			return
		}
		var items [][2]uint64 // old subtask, item
		for old, c := range counts {
			for i := range c {
				items = append(items, [2]uint64{uint64(old), i})
			}
		}
		sizes, first, wantNext := flinkSplit(len(items), p, start)
		if next != wantNext {
			t.Fatalf("next start %d, Flink has %d", next, wantNext)
		}
		for i, runs := range plan {
			if got, want := expand(runs), items[first[i]:first[i]+sizes[i]]; !slices.Equal(got, want) {
				t.Fatalf("subtask %d gets %v, Flink gives %v", i, got, want)
			}
		}
	})
}

// expand lists the items of runs.
func expand(runs []Run) [][2]uint64 {
	items := [][2]uint64{}
	for _, r := range runs {
		for i := range r.Count {
			items = append(items, [2]uint64{uint64(r.Old), r.First + i})
		}
	}
	return items
}

func TestUnionAndBroadcast(t *testing.T) {
	if got := fmt.Sprint(Union([]uint64{2, 0, 1}, 2)); got != "[[{0 0 2} {2 0 1}] [{0 0 2} {2 0 1}]]" {
		t.Errorf("Union = %s", got)
	}
	if got := fmt.Sprint(Broadcast(2, 5)); got != "[0 1 0 1 0]" {
		t.Errorf("Broadcast = %s", got)
	}
}

func TestInvalidInputGivesEmptyPlans(t *testing.T) {
	if plan, next := Split([]uint64{1}, 0, 0); plan != nil || next != 0 {
		t.Errorf("Split with parallelism 0 = %v, %d", plan, next)
	}
	if plan, _ := Split([]uint64{1}, 2, -1); plan != nil {
		t.Errorf("Split with start -1 = %v", plan)
	}
	if Union([]uint64{1}, 0) != nil || Broadcast(0, 3) != nil || Broadcast(3, 0) != nil {
		t.Error("a plan without subtasks or copies is not empty")
	}
	bad := []Layout{{}, {Groups: 4}, {Groups: 4, Parallelism: 5}, {Groups: 1 << 20, Parallelism: 3}, {Groups: -1, Parallelism: 1}}
	good := Layout{Groups: 8, Parallelism: 2}
	for _, b := range bad {
		if b.Valid() || b.Intervals() != nil || Keyed(b, good) != nil || Keyed(good, b) != nil || SameCuts(b, b) {
			t.Errorf("layout %+v is taken for valid", b)
		}
	}
	if !good.Interval(-1).Empty() || !good.Interval(2).Empty() {
		t.Error("a subtask that does not exist owns hashes")
	}
	if Plan(Range, bad[2], good) != nil || Plan(Full, Layout{}, good) != nil || Plan(Full, good, Layout{}) != nil {
		t.Error("a mapping of nothing is not empty")
	}
}
