package rescale

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/tidemark-io/tidemark/checkpoint"
	"github.com/tidemark-io/tidemark/keygroup"
)

// published are the tables that engine-semantics 6.1 gives for Flink.
var published = []struct {
	mapper   Mapper
	old, new int
	want     string
}{
	{Range, 2, 3, "[[0] [0 1] [1]]"},
	{Range, 3, 2, "[[0 1] [1 2]]"},
	{Range, 1, 2, "[[0] [0]]"},
	{Range, 3, 7, "[[0] [0] [0 1] [1] [1 2] [2] [2]]"},
	{Range, 7, 3, "[[0 1 2] [2 3 4] [4 5 6]]"},
	{Range, 4, 8, "[[0] [0] [1] [1] [2] [2] [3] [3]]"},
	{Range, 3, 5, "[[0] [0 1] [1] [1 2] [2]]"},
	{Range, 5, 3, "[[0 1] [1 2 3] [3 4]]"},
	{Range, 12, 7, "[[0 1] [1 2 3] [3 4 5] [5 6] [6 7 8] [8 9 10] [10 11]]"},
	{RoundRobin, 2, 3, "[[0] [1] []]"},
	{RoundRobin, 7, 3, "[[0 3 6] [1 4] [2 5]]"},
	{RoundRobin, 12, 7, "[[0 7] [1 8] [2 9] [3 10] [4 11] [5] [6]]"},
	{First, 3, 2, "[[0 1 2] []]"},
	{Full, 2, 3, "[[0 1] [0 1] [0 1]]"},
	{Unsupported, 2, 3, "[]"},
}

func TestPublishedMappings(t *testing.T) {
	for _, c := range published {
		for _, groups := range []int{128, 4096, keygroup.MaxGroups} {
			old, next := Layout{groups, c.old}, Layout{groups, c.new}
			if got := fmt.Sprint(Plan(c.mapper, old, next)); got != c.want {
				t.Errorf("%v %d→%d with %d groups = %s, want %s", c.mapper, c.old, c.new, groups, got, c.want)
			}
		}
	}
}

func TestMappersOfPartitioners(t *testing.T) {
	want := map[checkpoint.Partitioner]string{
		checkpoint.PartitionKeyed:     "RANGE ROUND_ROBIN",
		checkpoint.PartitionRebalance: "ROUND_ROBIN ROUND_ROBIN",
		checkpoint.PartitionShuffle:   "ROUND_ROBIN ROUND_ROBIN",
		checkpoint.PartitionGlobal:    "FIRST ROUND_ROBIN",
		checkpoint.PartitionCustom:    "FULL ROUND_ROBIN",
		checkpoint.PartitionForward:   "UNSUPPORTED UNSUPPORTED",
		checkpoint.PartitionRescale:   "UNSUPPORTED UNSUPPORTED",
		checkpoint.PartitionBroadcast: "UNSUPPORTED UNSUPPORTED",
	}
	for p, w := range want {
		down, up := MappersOf(p)
		if got := fmt.Sprintf("%v %v", down, up); got != w {
			t.Errorf("MappersOf(%s) = %s, want %s", p, got, w)
		}
	}
}

// TestWorkedExample is engine-semantics 6.4: a keyed edge, 2→3, 128 groups.
func TestWorkedExample(t *testing.T) {
	old, next := Layout{128, 2}, Layout{128, 3}
	down := Plan(Range, old, next)
	if got := fmt.Sprint(down, down.Ambiguous(), down.Identity()); got != "[[0] [0 1] [1]] [0 1] false" {
		t.Errorf("downstream mapping, ambiguous, identity = %s", got)
	}
	up := Plan(RoundRobin, old, next)
	if got := fmt.Sprint(up, up.Ambiguous(), up.Identity()); got != "[[0] [1] []] [] false" {
		t.Errorf("upstream mapping, ambiguous, identity = %s", got)
	}
	if !Plan(Range, old, old).Identity() || !SameCuts(old, old) {
		t.Error("an unchanged layout is not the identity")
	}
}

// TestChangeOfGroups: R1's example, and R6's that the same parallelism with
// other key groups is not the same cut.
func TestChangeOfGroups(t *testing.T) {
	most := 0
	for g := range 97 {
		wanted := keygroup.Range{First: g, Last: g}.Interval(97)
		first, last := keygroup.Of(keygroup.Hash(wanted.Lo), 128), keygroup.Of(keygroup.Hash(wanted.Hi-1), 128)
		most = max(most, last-first+1)
	}
	if most > 3 {
		t.Errorf("a group of 97 draws from %d groups of 128, want at most 3", most)
	}
	if SameCuts(Layout{128, 3}, Layout{97, 3}) {
		t.Error("3 subtasks of 128 and of 97 key groups have the same cuts")
	}
	if !SameCuts(Layout{128, 4}, Layout{4096, 4}) {
		t.Error("4 subtasks of 128 and of 4096 key groups have different cuts")
	}
}

// layouts draws a valid layout.
func layouts(t *rapid.T, name string) Layout {
	groups := rapid.OneOf(rapid.IntRange(1, 300), rapid.Just(keygroup.MaxGroups)).Draw(t, name+" groups")
	return Layout{Groups: groups, Parallelism: rapid.IntRange(1, min(groups, 40)).Draw(t, name+" parallelism")}
}

// TestKeyedCoversEveryHashOnce: each new subtask's parts are exactly its own
// interval, in order, and each lies in the old subtask that it names.
func TestKeyedCoversEveryHashOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		old, next := layouts(t, "old"), layouts(t, "new")
		at := uint64(0)
		for i, parts := range Keyed(old, next) {
			if byOverlap := Sources(next.Interval(i), old.Intervals()); !slices.Equal(parts, byOverlap) {
				t.Fatalf("subtask %d takes %v, by overlap %v", i, parts, byOverlap)
			}
			if own := next.Interval(i); own.Lo != at {
				t.Fatalf("subtask %d begins at %x, want %x", i, own.Lo, at)
			}
			for _, p := range parts {
				if p.Interval.Lo != at || p.Interval.Empty() {
					t.Fatalf("part %+v of subtask %d does not continue at %x", p, i, at)
				}
				if own := old.Interval(p.Old); own.Intersect(p.Interval) != p.Interval {
					t.Fatalf("part %+v is not in old subtask's %v", p, own)
				}
				at = p.Interval.Hi
			}
		}
		if at != keygroup.All().Hi {
			t.Fatalf("the parts end at %x", at)
		}
	})
}

// TestMappingsLoseNothing: whatever the mapper, an old subtask's channel state
// has a receiver, and a record's new owner is among the receivers of its old
// owner's state.
func TestMappingsLoseNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		old, next := layouts(t, "old"), layouts(t, "new")
		for _, m := range []Mapper{RoundRobin, First, Full, Range} {
			seen := make([]bool, old.Parallelism)
			for _, olds := range Plan(m, old, next) {
				for _, o := range olds {
					seen[o] = true
				}
			}
			for o, ok := range seen {
				if !ok {
					t.Fatalf("%v %+v→%+v: nobody takes old subtask %d", m, old, next, o)
				}
			}
		}
		h := keygroup.Hash(rapid.Uint32().Draw(t, "hash"))
		from := keygroup.OwnerOfHash(h, old.Groups, old.Parallelism)
		to := keygroup.OwnerOfHash(h, next.Groups, next.Parallelism)
		for _, o := range Plan(Range, old, next)[to] {
			if o == from {
				return
			}
		}
		t.Fatalf("hash %x: new owner %d does not receive from old owner %d", h, to, from)
	})
}

func BenchmarkRange10kSubtasks(b *testing.B) {
	old, next := Layout{keygroup.MaxGroups, 10_000}, Layout{keygroup.MaxGroups, 9_001}
	for range b.N {
		Plan(Range, old, next)
	}
}
