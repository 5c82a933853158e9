package runtime

import (
	"sync/atomic"
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
	doing activity
	since time.Time
	total [3]atomic.Int64 // nanoseconds
}

func (a *timeAccount) start(now time.Time) { a.doing, a.since = busy, now }

// enter ends one activity and begins another.
func (a *timeAccount) enter(next activity, now time.Time) {
	a.total[a.doing].Add(int64(now.Sub(a.since)))
	a.doing, a.since = next, now
}

// Stats is a picture of a running job.
type Stats struct {
	Tasks []TaskStats
}

// TaskStats is a picture of one subtask. The times cover what ended: the
// present activity is added when it changes.
type TaskStats struct {
	UID     string // of the first operator
	Subtask int
	// Busy, Backpressured and Idle add up to the time since the start.
	Busy, Backpressured, Idle time.Duration
	FramesOut                 uint64 // records and watermarks, once per channel
	BytesOut                  uint64 // of these frames
	SpilledBytes              uint64 // that found no buffer in the middle of a record
	Gates                     []GateStats
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
	for _, t := range a.tasks {
		ts := TaskStats{UID: t.ops[0].env.UID, Subtask: t.subtask,
			Busy:          time.Duration(t.times.total[busy].Load()),
			Backpressured: time.Duration(t.times.total[backpressured].Load()),
			Idle:          time.Duration(t.times.total[idle].Load()),
		}
		for _, p := range t.partsOut {
			st := p.Stats()
			ts.FramesOut += st.Frames
			ts.BytesOut += st.Bytes
			ts.SpilledBytes += st.SpilledBytes
		}
		ts.Gates = t.gateStats()
		s.Tasks = append(s.Tasks, ts)
	}
	return s
}
