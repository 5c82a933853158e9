package runtime

// ClockDrainer is an operator with timers of processing time.
type ClockDrainer interface {
	// DrainClock fires what is due at now, in ms since 1970, in slices as
	// [Drainer.Drain] does. It is called after [Env.ClockDue].
	DrainClock(now int64) (done bool, err error)
}

// ClockDue asks for calls of the operator's DrainClock, behind what else time
// wants of the task and before the next record. It is called on the subtask's
// goroutine.
func (e *Env) ClockDue(now int64) {
	e.task.drains = append(e.task.drains, drain{op: e.index, watermark: now, clock: true})
	e.task.halted = true
}

// Post runs f on the subtask's goroutine, between two records or two timers. Any
// goroutine may call it; it returns false if the subtask has ended.
func (e *Env) Post(f func() error) bool { return e.task.mail.post(f) }
