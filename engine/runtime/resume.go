package runtime

import (
	"fmt"

	"github.com/tidemark-io/tidemark/format"
)

// resumeTime gives the operators back what they knew of event time. At an
// unchanged parallelism that is exactly what it was; otherwise operators with
// keys have their floors, and the others learn it again.
func (t *Task) resumeTime() error {
	r := t.attempt.restored
	if r == nil {
		return nil
	}
	for i := range t.ops {
		rows, err := r.subtaskTimes(t, t.ops[i].env)
		if err != nil {
			return err
		}
		if len(rows) == t.ops[i].env.Parallelism {
			t.ops[i].watermark = rows[t.subtask].Current
		}
	}
	return nil
}

// repeatTime sends on what was sent on before the restore, so that receivers
// whose valves begin anew are not behind (R3): after a change of parallelism the
// least that any active predecessor had sent.
func (t *Task) repeatTime() error {
	r := t.attempt.restored
	if r == nil {
		return nil
	}
	for i := range t.ops {
		rows, err := r.subtaskTimes(t, t.ops[i].env)
		if err != nil {
			return err
		}
		if w := emittedTime(rows, t.subtask, t.ops[i].env.Parallelism); w > NoWatermark {
			t.forwardWatermark(i, w)
		}
	}
	return nil
}

// emittedTime is the watermark that a subtask repeats.
func emittedTime(rows []format.SubtaskWatermark, subtask, parallelism int) int64 {
	if len(rows) == parallelism {
		return rows[subtask].Emitted
	}
	low, active := EndOfTime, false
	for _, row := range rows {
		if row.Status == format.StatusActive {
			low, active = min(low, row.Emitted), true
		}
	}
	if !active {
		return NoWatermark
	}
	return low
}

// subtaskTimes is what each subtask of an operator knew of event time, by
// subtask; nil if the operator is not in the checkpoint.
func (r *restored) subtaskTimes(t *Task, env *Env) ([]format.SubtaskWatermark, error) {
	old, known := r.ops[env.UID]
	if !known {
		return nil, nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if rows, ok := r.times[env.UID]; ok {
		return rows, nil
	}
	rows := make([]format.SubtaskWatermark, old.Parallelism)
	for i := range rows {
		rows[i] = format.SubtaskWatermark{Subtask: uint32(i), Current: NoWatermark, Emitted: NoWatermark, Drain: NoWatermark, Status: format.StatusIdle}
	}
	for row, err := range r.ck.SubtaskWatermarks(t.attempt.ctx, env.UID) {
		if err != nil {
			return nil, fmt.Errorf("restoring watermarks: %w", err)
		}
		if int(row.Row.Subtask) < len(rows) {
			rows[row.Row.Subtask] = row.Row
		}
	}
	r.times[env.UID] = rows
	return rows, nil
}
