package keygroup

import (
	"bufio"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// groupCounts are numbers of key groups that the tests by table go through.
var groupCounts = []int{1, 2, 3, 97, 127, 128, 1000, 4096, 32767, 32768}

func TestDefaultGroups(t *testing.T) {
	for p, want := range map[int]int{1: 128, 85: 128, 86: 256, 100: 256, 171: 256, 172: 512, 1000: 2048,
		10000: 16384, 21845: 32768, 21846: 32768, 32767: 32768, 32768: 32768, 1 << 30: 32768} {
		if got := DefaultGroups(p); got != want {
			t.Errorf("DefaultGroups(%d) = %d, expected %d", p, got, want)
		}
	}
}

func TestValid(t *testing.T) {
	for groups, want := range map[int]bool{-1: false, 0: false, 1: true, 128: true, MaxGroups: true, MaxGroups + 1: false} {
		if Valid(groups) != want {
			t.Errorf("Valid(%d) = %v", groups, !want)
		}
	}
}

// oldOwners are the old subtasks whose groups a new subtask takes over, in a
// space of the given number of groups.
func oldOwners(subtask, groups, old, now int) []int {
	r := RangeOf(subtask, groups, now)
	var owners []int
	for o := Owner(r.First, groups, old); o <= Owner(r.Last, groups, old); o++ {
		owners = append(owners, o)
	}
	return owners
}

// TestFlinkRangeTables are the tables of Flink's RANGE mapper: which old
// subtasks each new one reads, in its virtual space of 32,768 groups.
func TestFlinkRangeTables(t *testing.T) {
	tests := []struct {
		old, now int
		want     [][]int
	}{
		{2, 3, [][]int{{0}, {0, 1}, {1}}},
		{3, 2, [][]int{{0, 1}, {1, 2}}},
		{1, 2, [][]int{{0}, {0}}},
		{3, 7, [][]int{{0}, {0}, {0, 1}, {1}, {1, 2}, {2}, {2}}},
		{7, 3, [][]int{{0, 1, 2}, {2, 3, 4}, {4, 5, 6}}},
		{4, 8, [][]int{{0}, {0}, {1}, {1}, {2}, {2}, {3}, {3}}},
		{3, 5, [][]int{{0}, {0, 1}, {1}, {1, 2}, {2}}},
		{5, 3, [][]int{{0, 1}, {1, 2, 3}, {3, 4}}},
		{12, 7, [][]int{{0, 1}, {1, 2, 3}, {3, 4, 5}, {5, 6}, {6, 7, 8}, {8, 9, 10}, {10, 11}}},
	}
	for _, test := range tests {
		for subtask, want := range test.want {
			if got := oldOwners(subtask, MaxGroups, test.old, test.now); !slices.Equal(got, want) {
				t.Errorf("%d to %d: subtask %d reads %v, expected %v", test.old, test.now, subtask, got, want)
			}
		}
	}
}

// TestRangesPartition goes through all groups: each belongs to exactly one
// subtask, which Owner names.
func TestRangesPartition(t *testing.T) {
	for _, groups := range groupCounts {
		for _, p := range []int{1, 2, 3, 7, 97, 128, 1000, groups} {
			if p > groups {
				continue
			}
			next := 0
			for subtask := range p {
				r := RangeOf(subtask, groups, p)
				if r.First != next || r.Len() < 1 {
					t.Fatalf("M=%d p=%d: subtask %d has %v, expected it to begin at %d", groups, p, subtask, r, next)
				}
				for g := r.First; g <= r.Last; g++ {
					if Owner(g, groups, p) != subtask {
						t.Fatalf("M=%d p=%d: group %d of subtask %d belongs to %d", groups, p, g, subtask, Owner(g, groups, p))
					}
				}
				next = r.Last + 1
			}
			if next != groups {
				t.Fatalf("M=%d p=%d: the ranges end at %d", groups, p, next)
			}
		}
	}
}

// TestProperties are the laws that everything else builds upon.
func TestProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		groups := rapid.IntRange(1, MaxGroups).Draw(t, "groups")
		p := rapid.IntRange(1, groups).Draw(t, "parallelism")
		h := Hash(rapid.Uint32().Draw(t, "hash"))
		g := Of(h, groups)
		if g < 0 || g >= groups {
			t.Fatalf("group %d of %d", g, groups)
		}
		if iv := (Range{g, g}).Interval(groups); !iv.Contains(h) {
			t.Fatalf("hash %08x of group %d is not in its interval %v", uint32(h), g, iv)
		}
		owner := OwnerOfHash(h, groups, p)
		if r := RangeOf(owner, groups, p); !r.Contains(g) {
			t.Fatalf("group %d of subtask %d is not in its range %v", g, owner, r)
		}
		if iv := IntervalOf(owner, groups, p); !iv.Contains(h) {
			t.Fatalf("hash %08x of subtask %d is not in its interval %v", uint32(h), owner, iv)
		}
		other := Hash(rapid.Uint32().Draw(t, "other hash"))
		if h <= other && Of(other, groups) < g {
			t.Fatalf("group %d of %08x is behind group %d of %08x", g, uint32(h), Of(other, groups), uint32(other))
		}
	})
}

// TestIntervalsPartition checks that the intervals of all subtasks follow each
// other from 0 to 2³².
func TestIntervalsPartition(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		groups := rapid.IntRange(1, MaxGroups).Draw(t, "groups")
		p := rapid.IntRange(1, min(groups, 500)).Draw(t, "parallelism")
		var next uint64
		for subtask := range p {
			iv := IntervalOf(subtask, groups, p)
			if iv.Lo != next || iv.Empty() {
				t.Fatalf("subtask %d has %v, expected it to begin at %08x", subtask, iv, next)
			}
			next = iv.Hi
		}
		if next != All().Hi {
			t.Fatalf("the intervals end at %08x", next)
		}
	})
}

// TestFewOldGroups is the point of the rule: with a new number of groups each
// new group draws from a few old ones that follow each other (with Flink's
// modulo it draws from all).
func TestFewOldGroups(t *testing.T) {
	most := 0
	for g := range 97 {
		iv := Range{g, g}.Interval(97)
		most = max(most, Of(Hash(iv.Hi-1), 128)-Of(Hash(iv.Lo), 128)+1)
	}
	if most != 3 {
		t.Errorf("a group of 97 draws from up to %d of 128, expected 3", most)
	}
}

func TestMoreSubtasksThanGroups(t *testing.T) {
	total := 0
	for subtask := range 300 {
		r := RangeOf(subtask, 128, 300)
		total += r.Len()
		if iv := r.Interval(128); iv.Empty() != (r.Len() == 0) {
			t.Errorf("subtask %d: range %v, interval %v", subtask, r, iv)
		}
	}
	if total != 128 {
		t.Errorf("%d groups together", total)
	}
}

func TestIntervals(t *testing.T) {
	a, b := Interval{10, 20}, Interval{15, 30}
	if got := a.Intersect(b); got != (Interval{15, 20}) {
		t.Errorf("intersection %v", got)
	}
	if !a.Overlaps(b) || a.Overlaps(Interval{20, 30}) || a.Overlaps(Interval{}) {
		t.Error("overlaps")
	}
	if got := a.Intersect(Interval{20, 25}); got != (Interval{}) {
		t.Errorf("empty intersection %v", got)
	}
	if a.Contains(20) || !a.Contains(10) || a.Contains(9) || !All().Contains(1<<32-1) {
		t.Error("contains")
	}
	if got := All().String(); got != "[00000000,100000000)" {
		t.Errorf("All is %s", got)
	}
	if got := fmt.Sprint(Range{3, 5}, Range{3, 2}); got != "3-5 empty" {
		t.Errorf("ranges are %s", got)
	}
}

// TestSpecIntervals compares the vectors of format/SPEC.md.
func TestSpecIntervals(t *testing.T) {
	rows := specTable(t, "../format/SPEC.md", "intervals")
	for _, row := range rows {
		m, p, subtask := atoi(t, row[0]), atoi(t, row[1]), atoi(t, row[2])
		r := RangeOf(subtask, m, p)
		if got := r.String(); got != row[3] {
			t.Errorf("M=%d p=%d subtask %d: groups %s, SPEC.md has %s", m, p, subtask, got, row[3])
		}
		if got := r.Interval(m).String(); got != row[4] {
			t.Errorf("M=%d p=%d subtask %d: interval %s, SPEC.md has %s", m, p, subtask, got, row[4])
		}
	}
	if len(rows) < 8 {
		t.Errorf("%d vectors", len(rows))
	}
}

func atoi(t *testing.T, s string) int {
	t.Helper()
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// specTable reads a table of SPEC.md, cell by cell, without its head.
func specTable(t *testing.T, path, name string) [][]string {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var rows [][]string
	inside := false
	for lines := bufio.NewScanner(f); lines.Scan(); {
		line := strings.TrimSpace(lines.Text())
		if line == "<!-- table: "+name+" -->" {
			inside = true
			continue
		}
		if inside && !strings.HasPrefix(line, "|") {
			break
		}
		if inside {
			cells := strings.Split(strings.Trim(line, "|"), "|")
			for i := range cells {
				cells[i] = strings.Trim(strings.TrimSpace(cells[i]), "`")
			}
			rows = append(rows, cells)
		}
	}
	if len(rows) < 3 {
		t.Fatalf("no table %q in %s", name, path)
	}
	return rows[2:]
}

// FuzzOwner holds the formulas against each other for any numbers.
func FuzzOwner(f *testing.F) {
	f.Add(uint32(0), uint16(128), uint16(3))
	f.Add(uint32(1<<31), uint16(97), uint16(97))
	f.Add(^uint32(0), uint16(32767), uint16(1))
	f.Fuzz(func(t *testing.T, h uint32, m, p uint16) {
		groups := int(m)%MaxGroups + 1
		parallelism := int(p)%groups + 1
		owner := OwnerOfHash(Hash(h), groups, parallelism)
		if !IntervalOf(owner, groups, parallelism).Contains(Hash(h)) {
			t.Errorf("hash %08x, M=%d, p=%d: subtask %d", h, groups, parallelism, owner)
		}
	})
}
