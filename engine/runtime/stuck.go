package runtime

import (
	"bytes"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// watch finds out that a task does not come back from a call of user code. It
// sends the task a mail from time to time; a task that sleeps, for want of input
// or of room, is woken by it and one that works runs it between two records. One
// that is not run for as long as [Config.StuckAfter] means that one call takes
// that long. No checkpoint can complete meanwhile (R4).
type watch struct {
	task  *Task
	limit time.Duration

	mu     sync.Mutex
	asked  time.Time // when the mail was sent that waits
	waits  bool
	told   bool // that it waits for too long
	ended  bool
	stop   func() bool
	number []byte // of the goroutine, to find its stack
}

// place is where the task's records come from at the moment. The task writes it
// for each buffer, the watch reads it.
type place struct {
	channel  atomic.Int64 // number in the task, or one of the constants below
	sequence atomic.Uint64
}

// Places that are no channels.
const (
	atSource int64 = -1 - iota
	atTime         // timers fire, or work is resumed
	atReplay       // recovered in-flight data
)

// record notes that the buffer of a channel is read.
func (p *place) record(channel int, sequence uint64) {
	p.channel.Store(int64(channel))
	p.sequence.Store(sequence)
}

// scheduleWatch begins to watch the task, on whose goroutine it is called.
func (t *Task) scheduleWatch() {
	limit := t.attempt.cfg.StuckAfter
	if limit <= 0 {
		return
	}
	t.watch = &watch{task: t, limit: limit, number: goroutine()}
	t.watch.mu.Lock()
	defer t.watch.mu.Unlock()
	t.watch.again()
}

// again asks for the next look. Two in the limit find what is stuck at most half
// of the limit too late.
func (w *watch) again() {
	w.stop = w.task.attempt.cfg.Clock.AfterFunc(max(w.limit/2, time.Millisecond), w.look)
}

// look is called by the clock.
func (w *watch) look() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ended {
		return
	}
	now := w.task.attempt.cfg.Clock.Now()
	switch {
	case !w.waits:
		w.waits, w.asked = true, now
		w.task.mail.post(w.answer)
	case !w.told && now.Sub(w.asked) >= w.limit && !w.task.hardBackpressured():
		w.told = true
		w.report(now.Sub(w.asked))
	}
	w.again()
}

// answer is the mail.
func (w *watch) answer() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.told {
		after := w.task.attempt.cfg.Clock.Now().Sub(w.asked)
		slot := w.task.ops[w.task.current].env
		slot.Logger().Warn("the call that did not return has returned", "after", after)
		w.task.attempt.observe(FunctionReturned{UID: slot.UID, Subtask: w.task.subtask, After: after})
	}
	w.waits, w.told = false, false
	return nil
}

// end stops the watch. It is called on the task's goroutine.
func (w *watch) end() {
	if w == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ended = true
	w.stop()
}

// report tells the observer and the log where the task stands. w.mu is held.
func (w *watch) report(since time.Duration) {
	t := w.task
	env := t.ops[t.running()].env
	e := FunctionStuck{UID: env.UID, Subtask: t.subtask, Since: since, Stack: stackOf(w.number)}
	switch at := t.place.channel.Load(); at {
	case atSource:
		e.Place = PlaceSource
	case atTime:
		e.Place = PlaceTime
	case atReplay:
		e.Place = PlaceRecovered
	default:
		g, channel := t.input.gateOf(int(at))
		e.Place, e.Edge, e.Sender, e.Buffer = PlaceChannel, t.attempt.plan.edgeID(g.edge), g.senders[channel], t.place.sequence.Load()
	}
	env.Logger().Warn("a call of user code does not return; no checkpoint completes meanwhile", "for", since, "place", string(e.Place),
		"edge", e.Edge, "sender", e.Sender, "buffer", e.Buffer, "stack", string(e.Stack))
	t.attempt.observe(e)
}

// running is the operator whose code runs, as another goroutine sees it. The
// task writes it, unsynchronised, for each record, and this is a look at a task
// that has not come back for long. A read of one machine word sees some value
// that was written (Go memory model), and each of them is an operator; so the
// race detector is asked to let it pass.
//
//go:norace
func (t *Task) running() int { return t.current }

// hardBackpressured reports whether the task waits for room in the middle of a
// record: then it is not user code that does not return.
func (t *Task) hardBackpressured() bool {
	for _, p := range t.partsOut {
		if p.HardBackpressured() {
			return true
		}
	}
	return false
}

// goroutine is the beginning of the running goroutine's stack, which names it:
// "goroutine 7 ".
func goroutine() []byte {
	var b [64]byte
	head := b[:runtime.Stack(b[:], false)]
	if i := bytes.IndexByte(head, '['); i > 0 {
		return bytes.Clone(head[:i])
	}
	return nil
}

// maxStacks bounds the stacks of all goroutines, in bytes.
const maxStacks = 1 << 20

// stackOf is the stack of a goroutine, nil if it is not found. It stops the
// process for a moment, which is well spent on a task that does.
func stackOf(number []byte) []byte {
	if number == nil {
		return nil
	}
	all := make([]byte, maxStacks)
	for one := range bytes.SplitSeq(all[:runtime.Stack(all, true)], []byte("\n\n")) {
		if bytes.HasPrefix(one, number) {
			return bytes.Clone(one)
		}
	}
	return nil
}
