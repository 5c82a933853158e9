package runtime

import (
	"context"
	"log/slog"
	"time"

	"github.com/tidemark-io/tidemark/keygroup"
)

// Env is where one operator instance runs. Its methods are called on the
// subtask's goroutine.
type Env struct {
	UID         string
	Name        string
	Subtask     int
	Parallelism int
	// KeyGroups, Range and Interval say which keys are this subtask's; zero
	// for an operator without keys.
	KeyGroups int
	Range     keygroup.Range
	Interval  keygroup.Interval

	task    *Task
	index   int // of the operator in its chain
	attempt *attempt
	node    *Node
	bound   []StateSpec // states the operator declared, in order
}

// Task is the subtask the operator runs in.
func (e *Env) Task() *Task { return e.task }

// Context ends when the attempt does.
func (e *Env) Context() context.Context { return e.attempt.ctx }

// Now is the time of the job's clock.
func (e *Env) Now() time.Time { return e.attempt.cfg.Clock.Now() }

// After calls f in its own goroutine after d, by the job's clock, unless stop is
// called before.
func (e *Env) After(d time.Duration, f func()) (stop func() bool) {
	return e.attempt.cfg.Clock.AfterFunc(d, f)
}

// Sleep waits for d by the job's clock. The error is the cause if the context ends
// before.
func (e *Env) Sleep(ctx context.Context, d time.Duration) error {
	over := make(chan struct{})
	stop := e.After(d, func() { close(over) })
	defer stop()
	select {
	case <-over:
		return nil
	case <-ctx.Done():
		e.task.turn()
		return context.Cause(ctx)
	}
}

// Logger logs with the operator's uid and subtask.
func (e *Env) Logger() *slog.Logger {
	return e.attempt.cfg.Logger.With("operator", e.UID, "subtask", e.Subtask)
}

// Lineage names the line of runs; see [format.Summary].
func (e *Env) Lineage() string { return e.attempt.lineage() }

// Run is the number of the run, 0 without checkpoints.
func (e *Env) Run() uint64 { return e.attempt.run() }

// RestoredID is the id of the restored checkpoint, 0 if none.
func (e *Env) RestoredID() uint64 { return e.attempt.restoredID() }

// CheckFence returns [ErrFenced] if another run has taken over the root. It is
// asked before anything becomes visible outside.
func (e *Env) CheckFence() error {
	if e.attempt.root == nil {
		return nil
	}
	return e.attempt.root.checkFence(e.attempt.ctx)
}

// Enter notes that this operator's code runs from now on, so that a panic is
// blamed on it.
func (e *Env) Enter() { e.task.current = e.index }

// Fail ends the subtask with an error of this operator as soon as the current
// record is done. The first error counts.
func (e *Env) Fail(err error) { e.task.fail(e.index, err) }

// Watermark is event time as the operator knows it.
func (e *Env) Watermark() int64 { return e.task.ops[e.index].watermark }

// EmitWatermark announces the progress of event time behind this operator. A
// source calls it.
func (e *Env) EmitWatermark(w int64) { e.task.forwardWatermark(e.index, w) }

// EmitStatus announces that a source is idle, or active again.
func (e *Env) EmitStatus(idle bool) { e.task.forwardStatus(e.index, idle) }

// Late counts a record that came behind the watermark and was dropped.
func (e *Env) Late() { e.task.ops[e.index].late++ }

// CatchUp asks for a call of the operator's CatchUp before its first record.
func (e *Env) CatchUp(highest int64) {
	e.task.drains = append(e.task.drains, drain{op: e.index, watermark: highest, catchUp: true})
	e.task.halted = true
}

// Resume asks for calls of the operator's Resume until its work is done, before
// the next record.
func (e *Env) Resume() {
	e.task.drains = append(e.task.drains, drain{op: e.index, resume: true})
	e.task.halted = true
}
