package runtime

import (
	"math"

	"github.com/tidemark-io/tidemark/engine/exchange"
)

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

// control takes a watermark or a status that came over a channel. It reports
// whether the combined watermark advanced and whether the status of the whole
// input changed.
func (v *valve) control(channel int, f exchange.Frame) (advanced, changed bool) {
	switch f.Kind() {
	case exchange.TagWatermark:
		return v.watermark(channel, f.Timestamp)
	case exchange.TagStatus:
		return v.status(channel, f.Payload[0] == exchange.StatusIdle)
	}
	return false, false
}

// watermark takes a watermark of one channel. It reports whether the combined
// watermark advanced, and whether the status of the whole input changed, which
// the end of a channel may do. A watermark that falls back is ignored.
func (v *valve) watermark(channel int, w int64) (advanced, changed bool) {
	c := &v.channels[channel]
	if w <= c.watermark {
		return false, false
	}
	c.watermark = w
	if w == EndOfTime {
		changed = v.restate()
		return v.advance(), changed
	}
	if c.idle {
		return false, false
	}
	return v.advance(), false
}

// status takes the status of one channel. It reports whether the combined
// watermark advanced and whether the status of the whole input changed.
func (v *valve) status(channel int, idle bool) (advanced, changed bool) {
	c := &v.channels[channel]
	if c.idle == idle {
		return false, false
	}
	c.idle = idle
	changed = v.restate()
	return v.advance(), changed
}

// ended reports whether the channel is at its end, whatever its status was.
func (c *channelTime) ended() bool { return c.watermark == EndOfTime }

// restate recomputes whether all channels are idle, those that have ended
// aside, and reports whether that is news. An input of which all channels have
// ended is not idle: what it makes of the end is still to come.
func (v *valve) restate() (changed bool) {
	before := v.idle
	v.idle = false
	for i := range v.channels {
		c := &v.channels[i]
		if c.ended() {
			continue
		}
		if v.idle = c.idle; !v.idle {
			break
		}
	}
	return v.idle != before
}

// advance recomputes the combined watermark, which never falls: a channel that
// becomes active again behind the others does not turn time back. When all are
// idle nothing holds time back, so that it is the largest watermark of all,
// whichever of them was the last to become idle. Channels that have ended do not
// count, so that the end of time comes when the last one has ended: one that is
// idle may have something to say yet, at its own end for example.
func (v *valve) advance() bool {
	low, high, active, ended := EndOfTime, NoWatermark, false, true
	for i := range v.channels {
		c := &v.channels[i]
		if c.ended() {
			continue
		}
		ended = false
		if !c.idle {
			low = min(low, c.watermark)
			active = true
		}
		high = max(high, c.watermark)
	}
	if !active && !ended {
		low = high
	}
	if low <= v.combined {
		return false
	}
	v.combined = low
	return true
}
