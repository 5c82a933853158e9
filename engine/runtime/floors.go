package runtime

import (
	"slices"

	"github.com/tidemark-io/tidemark/format"
	"github.com/tidemark-io/tidemark/keygroup"
)

// floors is the union watermark state of a keyed operator after a restore: for
// intervals of hashes, the watermark that the keys in them had seen (R3). A
// record sees at least the floor of its hash, even while the combined watermark
// of the new subtask lags behind. Floors that event time has passed are
// dropped; usually there are none.
type floors struct {
	runs []format.Floor // ascending, not overlapping
}

// set takes the floors of an interval, in any order.
func (f *floors) set(runs []format.Floor, within keygroup.Interval) {
	f.runs = nil
	for _, r := range runs {
		r.Interval = r.Interval.Intersect(within)
		if !r.Interval.Empty() && max(r.Watermark, r.Drain) > NoWatermark {
			f.runs = append(f.runs, r)
		}
	}
	slices.SortFunc(f.runs, func(a, b format.Floor) int {
		switch {
		case a.Interval.Lo < b.Interval.Lo:
			return -1
		case a.Interval.Lo > b.Interval.Lo:
			return 1
		default:
			return 0
		}
	})
}

// raise lifts the floor of an interval to at least w.
func (f *floors) raise(iv keygroup.Interval, w int64) {
	if iv.Empty() {
		return
	}
	var runs []format.Floor
	at := iv.Lo // up to here the interval is covered
	for _, r := range f.runs {
		both := r.Interval.Intersect(iv)
		if both.Empty() {
			runs = append(runs, r)
			continue
		}
		if at < both.Lo {
			runs = append(runs, format.Floor{Interval: keygroup.Interval{Lo: at, Hi: both.Lo}, Watermark: w, Drain: NoWatermark})
		}
		for _, part := range []keygroup.Interval{{Lo: r.Interval.Lo, Hi: both.Lo}, both, {Lo: both.Hi, Hi: r.Interval.Hi}} {
			if part.Empty() {
				continue
			}
			cut := r
			cut.Interval = part
			if part == both {
				cut.Watermark = max(cut.Watermark, w)
			}
			runs = append(runs, cut)
		}
		at = both.Hi
	}
	if at < iv.Hi {
		runs = append(runs, format.Floor{Interval: keygroup.Interval{Lo: at, Hi: iv.Hi}, Watermark: w, Drain: NoWatermark})
	}
	f.set(runs, keygroup.All())
}

// at is the watermark that a key of this hash sees while the operator's is w.
func (f *floors) at(h keygroup.Hash, w int64) int64 {
	if len(f.runs) == 0 {
		return w
	}
	i, _ := slices.BinarySearchFunc(f.runs, h, func(r format.Floor, h keygroup.Hash) int {
		switch {
		case r.Interval.Hi <= uint64(h):
			return -1
		case r.Interval.Lo > uint64(h):
			return 1
		default:
			return 0
		}
	})
	if i < len(f.runs) && f.runs[i].Interval.Contains(h) {
		return max(w, f.runs[i].Watermark, f.runs[i].Drain)
	}
	return w
}

// highest is the largest floor, NoWatermark if there is none.
func (f *floors) highest() int64 {
	top := NoWatermark
	for _, r := range f.runs {
		top = max(top, r.Watermark, r.Drain)
	}
	return top
}

// passed drops the floors that w has reached.
func (f *floors) passed(w int64) {
	if len(f.runs) == 0 {
		return
	}
	f.runs = slices.DeleteFunc(f.runs, func(r format.Floor) bool {
		return max(r.Watermark, r.Drain) <= w
	})
}

// snapshot covers the whole interval of a subtask: its floors, and the
// operator's watermark everywhere else.
func (f *floors) snapshot(within keygroup.Interval, w, target int64) []format.Floor {
	var all []format.Floor
	at := within.Lo
	for _, r := range f.runs {
		if at < r.Interval.Lo {
			all = append(all, format.Floor{Interval: keygroup.Interval{Lo: at, Hi: r.Interval.Lo}, Watermark: w, Drain: target})
		}
		r.Watermark, r.Drain = max(r.Watermark, w), max(r.Drain, target)
		all = append(all, r)
		at = r.Interval.Hi
	}
	if at < within.Hi {
		all = append(all, format.Floor{Interval: keygroup.Interval{Lo: at, Hi: within.Hi}, Watermark: w, Drain: target})
	}
	return all
}
