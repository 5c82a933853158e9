package runtime

import (
	"sync"
	"time"
)

// activity is what a task does with its time.
type activity uint8

const (
	busy activity = iota
	backpressured
	idle
)

// timeAccount adds up a task's time by activity. The task writes, anybody reads.
type timeAccount struct {
	mu    sync.Mutex
	doing activity
	since time.Time // zero before the start
	total spent
}

// spent is time by activity.
type spent [3]time.Duration

func (s spent) minus(t spent) spent {
	for i := range s {
		s[i] = max(s[i]-t[i], 0)
	}
	return s
}

func (a *timeAccount) start(now time.Time) { a.enter(busy, now) }

// enter ends one activity and begins another.
func (a *timeAccount) enter(next activity, now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.since.IsZero() {
		a.total[a.doing] += now.Sub(a.since)
	}
	a.doing, a.since = next, now
}

// until returns the time up to now, what the task is doing included.
func (a *timeAccount) until(now time.Time) spent {
	a.mu.Lock()
	defer a.mu.Unlock()
	s := a.total
	if !a.since.IsZero() {
		s[a.doing] += max(now.Sub(a.since), 0)
	}
	return s
}

// Stats is a picture of a running job.
type Stats struct {
	Tasks []TaskStats
}

// TaskStats is a picture of one subtask.
type TaskStats struct {
	UID     string // of the first operator
	Subtask int
	// Busy, Backpressured and Idle add up to the time since the start.
	Busy, Backpressured, Idle time.Duration
	FramesOut                 uint64 // records and watermarks, once per channel
	BytesOut                  uint64 // of these frames
	SpilledBytes              uint64 // that found no buffer in the middle of a record
	Gates                     []GateStats
	// StartDelay and Alignment are of the newest checkpoint that has reached the
	// subtask: from its trigger to the first barrier here, and from there to the
	// last. While barriers are missing, Aligning, it is what has passed.
	StartDelay, Alignment time.Duration
	Aligning              bool
}

// Stats returns a picture of the present attempt; it is empty between attempts.
func (j *Job) Stats() Stats {
	j.mu.Lock()
	a := j.attempt
	j.mu.Unlock()
	var s Stats
	if a == nil {
		return s
	}
	now := j.cfg.Clock.Now()
	for _, t := range a.tasks {
		doing := t.times.until(now)
		ts := TaskStats{UID: t.ops[0].env.UID, Subtask: t.subtask,
			Busy: doing[busy], Backpressured: doing[backpressured], Idle: doing[idle]}
		for _, p := range t.partsOut {
			st := p.Stats()
			ts.FramesOut += st.Frames
			ts.BytesOut += st.Bytes
			ts.SpilledBytes += st.SpilledBytes
		}
		ts.Gates = t.gateStats()
		b := t.snapshots.barriers.until(0, now)
		ts.StartDelay, ts.Alignment, ts.Aligning = b.startDelay, b.alignment, b.first && !b.last
		s.Tasks = append(s.Tasks, ts)
	}
	return s
}
