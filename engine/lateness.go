package engine

import (
	"errors"
	"fmt"
	"math"
	"time"
)

// AllowedLateness keeps windows for d of event time after they were emitted: a
// record that comes meanwhile is added, and the window is emitted again with
// all its records. It is a setting of windows only.
func AllowedLateness(d time.Duration) Option {
	return func(o *options) { o.windows, o.lateness = true, d }
}

// LateTo sends the records that come too late for their window to a side output
// instead of dropping them; see [SideOutput]. It is a setting of windows only.
func LateTo[In any](tag Tag[In]) Option {
	return func(o *options) { o.windows, o.lateTag = true, tag }
}

// forWindows says that an operator is one of windows.
func forWindows(o *options) { o.windows = false }

// lateness is what an operator of windows does about records behind the
// watermark.
type lateness[In any] struct {
	allowed int64 // ms
	tag     Tag[In]
	aside   bool // late records go to tag
}

func latenessOf[In any](o options) (lateness[In], error) {
	l := lateness[In]{allowed: o.lateness.Milliseconds()}
	if l.allowed < 0 {
		return l, fmt.Errorf("the allowed lateness is %v, it must not be negative", o.lateness)
	}
	if o.lateTag != nil {
		if l.tag, l.aside = o.lateTag.(Tag[In]); !l.aside {
			return l, fmt.Errorf("late records are %T and cannot go to a %T", *new(In), o.lateTag)
		}
		if l.tag.name == "" {
			return l, errors.New("the side output of late records needs a tag with a name")
		}
	}
	return l, nil
}

// end is when a window whose last millisecond is last is forgotten.
func (l lateness[In]) end(last int64) int64 {
	if last > math.MaxInt64-l.allowed {
		return math.MaxInt64
	}
	return last + l.allowed
}
