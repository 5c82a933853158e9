package format

import (
	"bytes"

	"github.com/tidemark-io/tidemark/keygroup"
)

// Status says whether a channel, a split or a subtask takes part in the minimum
// of watermarks. On disk: never renumber.
type Status uint8

// Statuses.
const (
	StatusActive Status = 1
	StatusIdle   Status = 2
)

// check requires a known status.
func (s Status) check() error {
	if s != StatusActive && s != StatusIdle {
		return invalid("status %d", s)
	}
	return nil
}

// Floor is a run of union watermark state: no record of a hash in [Lo, Hi) may
// see a watermark below Watermark, and timers up to Drain were being fired when
// the snapshot was taken (R3 ii, R5). Floors of a slice ascend and do not
// overlap.
type Floor struct {
	Interval  keygroup.Interval
	Watermark int64 // event time, ms
	Drain     int64 // event time, ms; Unknown if no drain was under way
}

func (f *Floor) fits(kind Kind) bool { return kind == KindFloor }

func (f *Floor) cells(c *rowCodec) {
	c.uint(&f.Interval.Lo)
	c.uint(&f.Interval.Hi)
	c.int(&f.Watermark)
	c.int(&f.Drain)
}

func (f *Floor) first() uint64 { return f.Interval.Lo }

func (f *Floor) check(prev *Floor, interval keygroup.Interval) error {
	if f.Interval.Empty() || f.Interval.Lo < interval.Lo || f.Interval.Hi > interval.Hi {
		return invalid("floor of %v in a slice of %v", f.Interval, interval)
	}
	if prev != nil && f.Interval.Lo < prev.Interval.Hi {
		return invalid("floors of %v and %v", prev.Interval, f.Interval)
	}
	return nil
}

func (f *Floor) keep() {}

// SubtaskWatermark is what one subtask knew at the snapshot (R3 ii). Rows of a
// slice ascend by subtask.
type SubtaskWatermark struct {
	Subtask uint32
	Current int64 // combined watermark, event time in ms; Unknown if none yet
	Emitted int64 // last watermark sent on; Unknown if none yet
	Drain   int64 // target of the drain under way; Unknown if none
	Status  Status
}

func (w *SubtaskWatermark) fits(kind Kind) bool { return kind == KindSubtaskWatermark }

func (w *SubtaskWatermark) cells(c *rowCodec) {
	c.u32(&w.Subtask)
	c.int(&w.Current)
	c.int(&w.Emitted)
	c.int(&w.Drain)
	c.byte((*byte)(&w.Status))
}

func (w *SubtaskWatermark) first() uint64 { return 0 }

func (w *SubtaskWatermark) check(prev *SubtaskWatermark, _ keygroup.Interval) error {
	if prev != nil && w.Subtask <= prev.Subtask {
		return invalid("subtask %d behind %d", w.Subtask, prev.Subtask)
	}
	return w.Status.check()
}

func (w *SubtaskWatermark) keep() {}

// AllReceivers in [ChannelWatermark] makes a row the value of a sender at every
// receiver that has no row of its own behind it.
const AllReceivers = None

// ChannelWatermark is the watermark and the status of an input channel before
// its first stored byte (R3 iii). Rows of a slice ascend by sender, receiver
// and generation; a row for all receivers comes first.
type ChannelWatermark struct {
	Sender     uint32
	Receiver   int    // subtask or AllReceivers
	Generation uint64 // recovery generation of the sub-stream (R6)
	Watermark  int64  // event time, ms; Unknown if none yet
	Status     Status
}

func (w *ChannelWatermark) fits(kind Kind) bool { return kind == KindChannelWatermark }

func (w *ChannelWatermark) cells(c *rowCodec) {
	c.u32(&w.Sender)
	c.optional(&w.Receiver)
	c.uint(&w.Generation)
	c.int(&w.Watermark)
	c.byte((*byte)(&w.Status))
}

func (w *ChannelWatermark) first() uint64 { return 0 }

func (w *ChannelWatermark) check(prev *ChannelWatermark, _ keygroup.Interval) error {
	if prev != nil && !ascends(
		[3]uint64{uint64(prev.Sender), uint64(prev.Receiver + 1), prev.Generation},
		[3]uint64{uint64(w.Sender), uint64(w.Receiver + 1), w.Generation}) {
		return invalid("sender %d, receiver %d, generation %d behind %d, %d, %d",
			w.Sender, w.Receiver, w.Generation, prev.Sender, prev.Receiver, prev.Generation)
	}
	return w.Status.check()
}

func (w *ChannelWatermark) keep() {}

// ascends reports whether b is behind a in lexical order.
func ascends(a, b [3]uint64) bool {
	for i := range a {
		if a[i] != b[i] {
			return a[i] < b[i]
		}
	}
	return false
}

// SplitWatermark is what the watermark generator of one source split knew (R3
// i). Rows of a slice ascend by split.
type SplitWatermark struct {
	Split     []byte // id of the split
	Watermark int64  // event time, ms; Unknown if none yet
	Status    Status
	Generator []byte // encoded state of the generator
}

func (w *SplitWatermark) fits(kind Kind) bool { return kind == KindSplitWatermark }

func (w *SplitWatermark) cells(c *rowCodec) {
	c.bytes(&w.Split)
	c.int(&w.Watermark)
	c.byte((*byte)(&w.Status))
	c.bytes(&w.Generator)
}

func (w *SplitWatermark) first() uint64 { return 0 }

func (w *SplitWatermark) check(prev *SplitWatermark, _ keygroup.Interval) error {
	if prev != nil && bytes.Compare(prev.Split, w.Split) >= 0 {
		return invalid("split %x behind %x", clip(w.Split), clip(prev.Split))
	}
	return w.Status.check()
}

func (w *SplitWatermark) keep() { w.Split, w.Generator = bytes.Clone(w.Split), nil }
