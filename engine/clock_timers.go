package engine

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/tidemark-io/tidemark/engine/runtime"
	"github.com/tidemark-io/tidemark/engine/state"
	"github.com/tidemark-io/tidemark/format"
	"github.com/tidemark-io/tidemark/reader"
	"github.com/tidemark-io/tidemark/writer"
)

// ProcessingTimerHandler is a Process with timers of processing time, the time
// of the job's clock.
type ProcessingTimerHandler[K, Out any] interface {
	// OnProcessingTimer is called once for each registered timer when the
	// clock reaches it. at is its time in ms since 1970. Timers that are due
	// together fire in the order of (time, hash of the key, key). What is
	// emitted has no timestamp unless it is given one.
	OnProcessingTimer(ctx *Context[K], at int64, out *Output[Out]) error
}

// ProcessingTime is the time of the job's clock in ms since 1970.
func (c *Context[K]) ProcessingTime() int64 { return c.keyed.env.Now().UnixMilli() }

// RegisterProcessingTimer asks for a call of OnProcessingTimer when the job's
// clock reaches at, in ms since 1970, at once if it has. Asking twice for the
// same key and time is asking once. Timers are part of checkpoints; those that
// became due while the job did not run fire after the restore. Those that are
// left when the input ends are dropped.
func (c *Context[K]) RegisterProcessingTimer(at int64) { c.keyed.registerClock(at) }

// DeleteProcessingTimer takes a timer of this key back.
func (c *Context[K]) DeleteProcessingTimer(at int64) {
	if t := c.keyed.clock; t != nil {
		t.timers.Delete(c.keyed.sum, c.keyed.bytes, nil, at)
	}
}

// clockTimers are the timers of processing time of one subtask. One wake-up is
// asked of the clock, for the first of them.
type clockTimers struct {
	env         *runtime.Env
	timers      *state.Timers
	generations generations
	armed       int64 // when the wake-up comes, unarmed if there is none
	stop        func() bool
	due         bool // the task knows that timers are due
}

// unarmed stands for no wake-up.
const unarmed = math.MaxInt64

// restoreClock makes the timers of processing time and restores them.
func (k *keyed) restoreClock() error {
	timers, err := state.NewTimers(state.Options{Groups: k.env.KeyGroups, Range: k.env.Range, KeyWidth: k.width})
	if err != nil {
		return err
	}
	k.clock = &clockTimers{env: k.env, timers: timers, armed: unarmed}
	var l *state.TimerLoader
	err = k.env.RestoreKeyed(clockSpec(),
		func(expected int) { l = timers.Load(expected) },
		func(sum uint64, b *reader.Batch) error { return l.Append(sum, b.Key, b.Namespace, b.Time) })
	if err != nil {
		return err
	}
	l.Finish()
	k.clock.generations.restored(k.env.RestoredBase(clockSpec()), timers.Generation)
	k.clock.arm()
	return nil
}

// clockSpec is the state that holds timers of processing time.
func clockSpec() runtime.StateSpec {
	return runtime.StateSpec{Name: clockName, Kind: format.KindTimer}
}

func (k *keyed) registerClock(at int64) {
	k.needKey("registering a timer")
	if k.clock == nil {
		k.env.Fail(errors.New("a timer of processing time was registered by a function without OnProcessingTimer"))
		return
	}
	if _, err := k.clock.timers.Register(k.sum, k.bytes, nil, at); err != nil {
		k.env.Fail(fmt.Errorf("registering a timer: %w", err))
		return
	}
	if at < k.clock.armed {
		k.clock.arm()
	}
}

// arm asks to be woken for the first timer, or tells the task if it is due.
func (c *clockTimers) arm() {
	at, ok := c.timers.Next()
	if !ok || c.due {
		return
	}
	now := c.env.Now()
	if at <= now.UnixMilli() {
		c.fire(now)
		return
	}
	if at >= c.armed {
		return
	}
	c.disarm()
	c.armed = at
	c.stop = c.env.After(time.UnixMilli(at).Sub(now), func() {
		c.env.Post(func() error {
			if c.armed == at {
				c.armed = unarmed
			}
			c.arm()
			return nil
		})
	})
	// The delay was counted from now: if the time has passed meanwhile, the
	// wake-up comes as much too late.
	if now = c.env.Now(); at <= now.UnixMilli() {
		c.fire(now)
	}
}

// fire tells the task that timers are due.
func (c *clockTimers) fire(now time.Time) {
	c.disarm()
	c.due = true
	c.env.ClockDue(now.UnixMilli())
}

// disarm takes the wake-up back. One that is under way does no harm.
func (c *clockTimers) disarm() {
	if c.stop != nil {
		c.stop()
		c.stop = nil
	}
	c.armed = unarmed
}

// drain fires the timers that are due at now, at least one, until the task asks
// for attention.
func (c *clockTimers) drain(now int64, fire func(state.Timer) error) (bool, error) {
	for fired := false; ; {
		if fired && c.env.Task().Attention() {
			return false, nil
		}
		t, ok := c.timers.Pop(now)
		if !ok {
			c.due = false
			c.arm()
			return true, nil
		}
		if err := fire(t); err != nil {
			return false, err
		}
		fired = true
	}
}

// finish drops all timers: there is no record left that they could follow.
func (c *clockTimers) finish() {
	c.disarm()
	for {
		if _, ok := c.timers.Pop(math.MaxInt64); !ok {
			return
		}
	}
}

// snapshot hands the timers over.
func (c *clockTimers) snapshot(s *runtime.Snapshot) error {
	return addTimers(s, clockSpec(), c.timers, &c.generations, c.env.KeyGroups)
}

// addTimers hands timers over.
func addTimers(s *runtime.Snapshot, spec runtime.StateSpec, timers *state.Timers, of *generations, groups int) error {
	inc, take := of.begin(s, spec)
	snap, err := timers.SnapshotOf(take)
	if err != nil {
		return fmt.Errorf("timers: %w", err)
	}
	if inc != nil {
		of.note(s, inc, snap.Generation())
		s.AddGroups(spec, inc, writeTimerGroups(snap, groups), snap.Release)
		return nil
	}
	s.Add(spec, func(_ context.Context, sl *writer.Slice) error {
		for e := range snap.Entries() {
			if err := sl.Timer(e.Hash, e.Key, e.Namespace, e.Time); err != nil {
				return err
			}
		}
		return nil
	}, snap.Release)
	return nil
}
