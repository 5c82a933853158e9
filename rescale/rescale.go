// Package rescale computes who gets which part of a checkpoint when the
// parallelism or the number of key groups changes.
//
// Everything here is a pure function of small numbers: no I/O, no clock, no
// goroutine, no error. Callers validate their input ([Layout.Valid]); invalid
// input gives empty plans, never a panic. Tools print the same plans that the
// engine executes.
//
//   - keyed state, timers and floors: [Keyed], [Sources] — hash intervals;
//   - lists: [Split] (redistributed item by item), [Union] (everybody gets
//     all), [Broadcast] (copy i mod n);
//   - channel state: [Plan] — the mappings of an edge's two ends.
//
// Non-goals: moving bytes, and deciding about records inside in-flight buffers
// (the receiver filters those by hash).
package rescale

import "github.com/tidemark-io/tidemark/keygroup"

// Layout is how an operator is spread: its number of key groups and its
// parallelism.
type Layout struct {
	Groups      int // 1 … keygroup.MaxGroups
	Parallelism int // 1 … Groups
}

// Valid reports whether every subtask of the layout can own a key group.
func (l Layout) Valid() bool {
	return keygroup.Valid(l.Groups) && l.Parallelism >= 1 && l.Parallelism <= l.Groups
}

// Interval is the interval of hashes that one subtask owns; it is empty for a
// subtask that does not exist.
func (l Layout) Interval(subtask int) keygroup.Interval {
	if !l.Valid() || subtask < 0 || subtask >= l.Parallelism {
		return keygroup.Interval{}
	}
	return keygroup.IntervalOf(subtask, l.Groups, l.Parallelism)
}

// Intervals are the intervals of all subtasks in their order.
func (l Layout) Intervals() []keygroup.Interval {
	if !l.Valid() {
		return nil
	}
	all := make([]keygroup.Interval, l.Parallelism)
	for i := range all {
		all[i] = l.Interval(i)
	}
	return all
}

// SameCuts reports whether both layouts give every subtask the same interval.
// Only then may an edge's channel state be kept verbatim: a change of the
// number of key groups moves boundaries even at an unchanged parallelism (R6).
func SameCuts(a, b Layout) bool {
	if a.Parallelism != b.Parallelism || !a.Valid() || !b.Valid() {
		return false
	}
	for i := range a.Parallelism {
		if a.Interval(i) != b.Interval(i) {
			return false
		}
	}
	return true
}

// Part is what a new subtask takes of an old one: the hashes of an interval.
type Part struct {
	Old      int // index of the old subtask, or of the old interval
	Interval keygroup.Interval
}

// Keyed tells for every new subtask which parts of which old subtasks it takes,
// ascending by hash. The parts of all new subtasks together are the whole hash
// space once.
func Keyed(old, next Layout) [][]Part {
	if !old.Valid() || !next.Valid() {
		return nil
	}
	plan := make([][]Part, next.Parallelism)
	for i := range plan {
		wanted := next.Interval(i)
		first := keygroup.OwnerOfHash(keygroup.Hash(wanted.Lo), old.Groups, old.Parallelism)
		last := keygroup.OwnerOfHash(keygroup.Hash(wanted.Hi-1), old.Groups, old.Parallelism)
		for o := first; o <= last; o++ {
			plan[i] = append(plan[i], Part{Old: o, Interval: wanted.Intersect(old.Interval(o))})
		}
	}
	return plan
}

// Sources tells which of the given intervals, in their order, hold hashes of
// the wanted one, and which hashes those are. The intervals may overlap and may
// come in any order; empty ones are never chosen.
func Sources(wanted keygroup.Interval, of []keygroup.Interval) []Part {
	var parts []Part
	for i, iv := range of {
		if both := wanted.Intersect(iv); !both.Empty() {
			parts = append(parts, Part{Old: i, Interval: both})
		}
	}
	return parts
}
