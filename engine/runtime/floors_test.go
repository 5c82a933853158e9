package runtime

import (
	"testing"

	"github.com/tidemark-io/tidemark/format"
	"github.com/tidemark-io/tidemark/keygroup"
)

// A record sees the floor of its hash as long as the operator's watermark is
// below it (R3), in a snapshot too.
func TestFloors(t *testing.T) {
	all := keygroup.All()
	var f floors
	f.set([]format.Floor{
		{Interval: keygroup.Interval{Lo: 200, Hi: 300}, Watermark: 5, Drain: 9},
		{Interval: keygroup.Interval{Lo: 0, Hi: 100}, Watermark: 20, Drain: NoWatermark},
		{Interval: keygroup.Interval{Lo: 400, Hi: 500}, Watermark: NoWatermark, Drain: NoWatermark},
	}, all)
	type at struct {
		hash    keygroup.Hash
		w, want int64
	}
	check := func(step string, cases ...at) {
		t.Helper()
		for _, c := range cases {
			if got := f.at(c.hash, c.w); got != c.want {
				t.Errorf("%s: at %d with watermark %d: %d, want %d", step, c.hash, c.w, got, c.want)
			}
		}
	}
	check("set", at{0, 7, 20}, at{99, 7, 20}, at{100, 7, 7}, at{199, 7, 7}, at{200, 7, 9}, at{299, 7, 9}, at{300, 7, 7}, at{450, 7, 7}, at{50, 21, 21})
	if got := f.highest(); got != 20 {
		t.Errorf("highest %d, want 20", got)
	}
	f.raise(keygroup.Interval{Lo: 50, Hi: 250}, 12)
	check("raised", at{49, 7, 20}, at{50, 7, 20}, at{150, 7, 12}, at{249, 7, 12}, at{250, 7, 9}, at{300, 7, 7})
	end := uint64(0)
	for _, r := range f.snapshot(all, 10, NoWatermark) {
		if r.Interval.Lo != end || r.Watermark != max(10, f.at(keygroup.Hash(r.Interval.Lo), 10)) && max(r.Watermark, r.Drain) != f.at(keygroup.Hash(r.Interval.Lo), 10) {
			t.Errorf("snapshot: %v %d/%d behind %d", r.Interval, r.Watermark, r.Drain, end)
		}
		end = r.Interval.Hi
	}
	if end != all.Hi {
		t.Errorf("the snapshot ends at %d", end)
	}
	f.passed(12)
	check("passed", at{0, 12, 20}, at{150, 12, 12}, at{220, 12, 12})
	if f.passed(20); len(f.runs) != 0 {
		t.Errorf("left: %v", f.runs)
	}
}
