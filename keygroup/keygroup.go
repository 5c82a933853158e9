// Package keygroup maps key hashes to key groups and key groups to subtasks.
//
// A key's hash is a point in [0, 2³²). With M key groups, group g is the
// interval of hashes h with h·M/2³² = g, so groups are consecutive intervals
// and a subtask, which owns consecutive groups, owns one interval too. A new
// number of groups or a new parallelism only moves cut points; it never
// scatters keys. (Apache Flink takes murmur(hash) mod M instead, which changes
// the group of almost every key when M changes; that rule lives in the package
// flink only.)
//
// The formulas for the range of a subtask and the owner of a group are Flink's
// (KeyGroupRangeAssignment), so that tables published for Flink hold here.
//
// Non-goals: this package does not hash (see keygroup/keyhash), does no I/O and
// returns no errors; callers validate the number of groups with [Valid].
package keygroup

import (
	"fmt"
	"math/bits"
)

// MaxGroups is the largest number of key groups, the bound that Flink uses for
// its maximum parallelism (2¹⁵).
const MaxGroups = 32768

// minDefaultGroups is the least number of groups chosen by [DefaultGroups].
const minDefaultGroups = 128

// Hash is the upper 32 bits of the 64-bit hash of a canonically encoded key.
type Hash uint32

// hashSpace is the number of different hashes.
const hashSpace = uint64(1) << 32

// Valid reports whether groups is a number of key groups this package can work
// with: 1 to [MaxGroups].
func Valid(groups int) bool { return groups >= 1 && groups <= MaxGroups }

// DefaultGroups is the number of key groups for a job that names none: one and
// a half times the parallelism rounded up to a power of two, at least 128 and
// at most [MaxGroups] (Flink's computeDefaultMaxParallelism).
func DefaultGroups(parallelism int) int {
	if parallelism >= MaxGroups {
		return MaxGroups
	}
	want := max(parallelism+parallelism/2, 1)
	return min(max(1<<bits.Len(uint(want-1)), minDefaultGroups), MaxGroups)
}

// Of is the key group of a hash among groups key groups.
func Of(h Hash, groups int) int { return int(uint64(h) * uint64(groups) >> 32) }

// Owner is the subtask, of parallelism many, that owns the key group g.
func Owner(g, groups, parallelism int) int { return g * parallelism / groups }

// OwnerOfHash is the subtask that owns the key group of h.
func OwnerOfHash(h Hash, groups, parallelism int) int {
	return Owner(Of(h, groups), groups, parallelism)
}

// Range is a run of consecutive key groups: First, First+1, … Last. It is empty
// if Last < First.
type Range struct{ First, Last int }

// RangeOf is the range of key groups of one subtask. The ranges of the subtasks
// 0 … parallelism−1 follow each other without gap or overlap; ranges are empty
// only if parallelism exceeds groups.
func RangeOf(subtask, groups, parallelism int) Range {
	return Range{
		First: (subtask*groups + parallelism - 1) / parallelism,
		Last:  ((subtask+1)*groups - 1) / parallelism,
	}
}

// Len is the number of groups in the range.
func (r Range) Len() int { return max(r.Last-r.First+1, 0) }

// Contains reports whether g lies in the range.
func (r Range) Contains(g int) bool { return r.First <= g && g <= r.Last }

// Interval is the set of hashes whose groups lie in the range.
func (r Range) Interval(groups int) Interval {
	if r.Len() == 0 {
		return Interval{}
	}
	return Interval{Lo: lowest(r.First, groups), Hi: lowest(r.Last+1, groups)}
}

// String is "first-last", or "empty".
func (r Range) String() string {
	if r.Len() == 0 {
		return "empty"
	}
	return fmt.Sprintf("%d-%d", r.First, r.Last)
}

// lowest is the least h with Of(h, groups) ≥ g, which is 2³² for g = groups.
func lowest(g, groups int) uint64 {
	return (uint64(g)*hashSpace + uint64(groups) - 1) / uint64(groups)
}

// Interval is the half-open interval [Lo, Hi) of hashes. The bounds are 64 bits
// wide so that Hi can be 2³². The zero Interval is empty.
type Interval struct{ Lo, Hi uint64 }

// All is the interval of all hashes.
func All() Interval { return Interval{Lo: 0, Hi: hashSpace} }

// IntervalOf is the interval of hashes that one subtask owns.
func IntervalOf(subtask, groups, parallelism int) Interval {
	return RangeOf(subtask, groups, parallelism).Interval(groups)
}

// Empty reports whether no hash lies in the interval.
func (i Interval) Empty() bool { return i.Lo >= i.Hi }

// Contains reports whether h lies in the interval.
func (i Interval) Contains(h Hash) bool { return i.Lo <= uint64(h) && uint64(h) < i.Hi }

// Overlaps reports whether a hash lies in both intervals.
func (i Interval) Overlaps(o Interval) bool { return !i.Intersect(o).Empty() }

// Intersect is the set of hashes that lie in both intervals.
func (i Interval) Intersect(o Interval) Interval {
	both := Interval{Lo: max(i.Lo, o.Lo), Hi: min(i.Hi, o.Hi)}
	if both.Empty() {
		return Interval{}
	}
	return both
}

// String shows the bounds in hexadecimal, as "[00000000,80000000)".
func (i Interval) String() string { return fmt.Sprintf("[%08x,%08x)", i.Lo, i.Hi) }
