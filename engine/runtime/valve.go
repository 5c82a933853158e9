package runtime

import "math"

// Watermarks with a meaning.
const (
	// NoWatermark is below every event time: nothing is known yet.
	NoWatermark int64 = math.MinInt64
	// EndOfTime follows the last record of a bounded input.
	EndOfTime int64 = math.MaxInt64
)

// valve combines the watermarks of the input channels of a subtask: event time
// is the least watermark of the channels that are active.
type valve struct {
	channels []channelTime
	combined int64
	idle     bool // all channels are idle
}

type channelTime struct {
	watermark int64
	idle      bool
}

func newValve(channels int) *valve {
	v := &valve{channels: make([]channelTime, channels), combined: NoWatermark}
	for i := range v.channels {
		v.channels[i].watermark = NoWatermark
	}
	return v
}

// add adds a channel and returns its number.
func (v *valve) add(c channelTime) int {
	v.channels = append(v.channels, c)
	return len(v.channels) - 1
}

// watermark takes a watermark of one channel and reports whether the combined
// one advanced. A watermark that falls back is ignored.
func (v *valve) watermark(channel int, w int64) bool {
	c := &v.channels[channel]
	if w <= c.watermark {
		return false
	}
	c.watermark = w
	if w == EndOfTime {
		c.idle = false // the end of an input counts, whatever its status was
	}
	if c.idle {
		return false
	}
	return v.advance()
}

// status takes the status of one channel. It reports whether the combined
// watermark advanced and whether the status of the whole input changed.
func (v *valve) status(channel int, idle bool) (advanced, changed bool) {
	c := &v.channels[channel]
	if c.idle == idle {
		return false, false
	}
	c.idle = idle
	all := true
	for i := range v.channels {
		all = all && v.channels[i].idle
	}
	changed = all != v.idle
	v.idle = all
	return v.advance(), changed
}

// advance recomputes the combined watermark, which never falls: a channel that
// becomes active again behind the others does not turn time back. When all are
// idle nothing holds time back, so that it is the largest watermark of all,
// whichever of them was the last to become idle.
func (v *valve) advance() bool {
	low, high, active := EndOfTime, NoWatermark, false
	for i := range v.channels {
		if c := &v.channels[i]; !c.idle {
			low = min(low, c.watermark)
			active = true
		}
		high = max(high, v.channels[i].watermark)
	}
	if !active {
		low = high
	}
	if low <= v.combined {
		return false
	}
	v.combined = low
	return true
}
