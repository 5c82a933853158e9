package runtime

import (
	"fmt"
	"runtime/debug"
	"time"

	"github.com/tidemark-io/tidemark/engine/barrier"
	"github.com/tidemark-io/tidemark/engine/exchange"
)

// Task is one subtask: a chain of operators, the gates it reads from and the
// partitions it writes to. Everything in it belongs to the task's goroutine,
// except the mailbox.
type Task struct {
	attempt *attempt
	chain   int // index in the plan
	number  int // index in the attempt
	subtask int
	name    string

	ops      []opSlot
	partsOut []*exchange.Partition
	outs     []*outEdge // the same partitions, with their edges
	flight   *flight    // of the newest checkpoint
	input    *input     // nil for a source
	// alternating says that barriers may overtake the input.
	alternating bool
	mail        *mailbox

	current int       // operator whose code runs
	holder  KeyHolder // the first operator, if it is keyed; else the two below
	hash    uint32    // of the key of the record at hand, if its tag says so
	tag     byte
	halted  bool // a watermark or an error waits to be dealt with
	failure *TaskError
	drains  []drain

	ended     bool // all input was processed
	suspended bool // the sources stand still, for a stop
	done      bool // nothing is left to do
	emptyPoll bool // the source had nothing
	stopFlush func() bool
	stopSize  func() bool // of the debloating, nil if there is none

	snapshots snapshots
	times     timeAccount
	place     place
	watch     *watch // nil if nobody watches
}

// opSlot is one operator of the chain.
type opSlot struct {
	op        Operator
	env       *Env
	drainer   Drainer // nil if the operator does nothing as time advances
	children  []int   // operators chained behind it
	parts     []*exchange.Partition
	watermark int64 // what the operator was told
	emitted   int64 // what it told those behind it
	idle      bool
	late      int64 // records dropped, since the last report
	floors    floors
}

// Attention reports whether the task wants to do something other than process
// the next record: mails wait, a watermark is to be dealt with, or an output is
// full. It is asked after each record.
func (t *Task) Attention() bool {
	if t.halted || t.mail.pending.Load() {
		return true
	}
	return !t.available() || t.urgent()
}

// available reports whether every output can take a record. It asks all of
// them, since being asked moves spilled data on.
func (t *Task) available() bool {
	all := true
	for _, p := range t.partsOut {
		all = p.Available() && all
	}
	return all
}

// urgent reports whether a barrier waits that overtook the data.
func (t *Task) urgent() bool { return t.alternating && t.input.urgent() }

// pressing reports whether the task must go on although an output is full, since
// a barrier that overtakes data elsewhere waits here behind data that it must not
// overtake. Whoever would make room may wait for that very barrier: it has
// delivered its own, which came to it by a way on which they overtake, and stands
// still until this task's arrives by another one. What is emitted meanwhile goes
// where the surplus of a long record goes (R4), of which half may be used.
func (t *Task) pressing() bool {
	if !t.alternating || !t.input.pressing() {
		return false
	}
	for _, p := range t.partsOut {
		if !p.CanSpill() {
			return false
		}
	}
	return len(t.drains) > 0 || t.input.pressed()
}

// press does one step towards the barrier.
func (t *Task) press() error {
	if len(t.drains) > 0 {
		return t.drain()
	}
	return t.input.press()
}

// fail records the first failure of the task.
func (t *Task) fail(op int, err error) {
	t.halted = true
	if t.failure == nil {
		t.failure = &TaskError{UID: t.ops[op].env.UID, Subtask: t.subtask, Err: err}
	}
}

// run is the task's goroutine: it opens the operators, waits until all tasks
// are open, and works until the job is done, fails or is cancelled.
func (t *Task) run() {
	t.turn()
	err := t.guard(t.open)
	if t.attempt.opened(t, err) && err == nil {
		if err = t.guard(t.start); err == nil {
			t.schedule()
			err = t.guard(t.work)
			t.unschedule()
			t.reportLate()
		}
	}
	if err != nil {
		t.attempt.fail(err) // before waiting: it ends what is being written
	}
	t.mail.close()
	t.snapshots.wait()
	t.turn()
	if cerr := t.guard(t.close); err == nil {
		err = cerr
	}
	t.attempt.ended(t, err)
}

// turn waits until the task's goroutine may go on.
func (t *Task) turn() { t.attempt.cfg.turn(RoleTask, t.number) }

// guard calls f and turns its panic, and its error, into a TaskError.
func (t *Task) guard(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = &TaskError{UID: t.ops[t.current].env.UID, Subtask: t.subtask,
				Err: fmt.Errorf("panic: %v", p), Stack: debug.Stack()}
		}
	}()
	err = f()
	if _, ok := err.(*TaskError); err != nil && !ok {
		err = &TaskError{UID: t.ops[t.current].env.UID, Subtask: t.subtask, Err: err}
	}
	return err
}

// open prepares the operators, the last first, so that an operator may emit
// while it opens.
func (t *Task) open() error {
	if err := t.resumeTime(); err != nil {
		return err
	}
	for i := len(t.ops) - 1; i >= 0; i-- {
		t.current = i
		if err := t.ops[i].op.Open(t.ops[i].env); err != nil {
			return fmt.Errorf("opening: %w", err)
		}
	}
	if t.input == nil {
		return nil
	}
	var err error
	t.input.replay, err = t.loadReplay()
	return err
}

// start lets the operators act that waited for all to be open.
func (t *Task) start() error {
	if err := t.repeatTime(); err != nil {
		return err
	}
	if t.input != nil && t.input.replay == nil {
		if err := t.input.seed(); err != nil {
			return err
		}
	}
	for i := range t.ops {
		t.current = i
		if op, ok := t.ops[i].op.(Starter); ok {
			if err := op.Start(); err != nil {
				return err
			}
		}
	}
	return nil
}

// close releases the operators, the first first.
func (t *Task) close() error {
	var first error
	for i := range t.ops {
		t.current = i
		if err := t.ops[i].op.Close(); err != nil && first == nil {
			first = fmt.Errorf("closing: %w", err)
		}
	}
	return first
}

// release gives back the buffers, when no task of the attempt runs any more:
// first those not yet sent, then those not yet read.
func (t *Task) release() {
	for _, p := range t.partsOut {
		_ = p.Close() // the attempt is over, its spill file is gone or swept later
	}
	if t.input != nil {
		t.input.release()
	}
	if t.flight != nil {
		t.flight.release()
	}
}

// work is the task's loop. Each turn does one thing; mails come first, then
// what event time wants, then a record or a buffer of records.
func (t *Task) work() error {
	for !t.done {
		if err := t.runMails(); err != nil {
			return err
		}
		if t.failure != nil {
			return t.failure
		}
		if t.urgent() {
			if err := t.input.serveUrgent(); err != nil {
				return err
			}
		}
		switch {
		case t.done:
		case !t.available() && t.pressing():
			if err := t.press(); err != nil {
				return err
			}
		case !t.available():
			t.park(backpressured, func() bool { return t.available() || t.urgent() || t.pressing() })
		case len(t.drains) > 0:
			if err := t.drain(); err != nil {
				return err
			}
		default:
			if err := t.step(); err != nil {
				return err
			}
		}
	}
	return nil
}

// runMails runs what others want done.
func (t *Task) runMails() error {
	for _, mail := range t.mail.take() {
		if err := mail(); err != nil {
			return err
		}
	}
	return nil
}

// step processes input, or sleeps until there is some.
func (t *Task) step() error {
	switch {
	case t.input != nil:
		progress, err := t.input.step()
		if err != nil || progress {
			return err
		}
		return t.sleep(t.input.ready)
	case t.ended || t.suspended:
		return t.sleep(func() bool { return false })
	default:
		return t.poll()
	}
}

// poll asks the source for records.
func (t *Task) poll() error {
	t.current = 0
	t.place.channel.Store(atSource)
	result, err := t.ops[0].op.(Poller).Poll()
	if err != nil {
		return err
	}
	switch result {
	case PollEnd:
		t.forwardWatermark(0, EndOfTime)
		t.endSource()
	case PollEmpty:
		t.emptyPoll = true
		stop := t.attempt.cfg.Clock.AfterFunc(sourcePause, func() { t.mail.post(func() error { t.emptyPoll = false; return nil }) })
		defer stop()
		return t.sleep(func() bool { return !t.emptyPoll })
	}
	return nil
}

// endSource ends a source's data behind what it has emitted.
func (t *Task) endSource() {
	if t.ended {
		return
	}
	t.ended = true
	t.drains = append(t.drains, drain{op: endOfInput})
	t.halted = true
}

// sourcePause is how long a source that had nothing is left alone.
const sourcePause = 10 * time.Millisecond

// sleep flushes what was emitted and parks until ready or woken by a mail.
func (t *Task) sleep(ready func() bool) error {
	if err := t.flush(); err != nil {
		return err
	}
	t.park(idle, ready)
	return nil
}

// flush hands partly filled buffers over.
func (t *Task) flush() error {
	for _, p := range t.partsOut {
		if err := p.Flush(); err != nil {
			return err
		}
	}
	return nil
}

// park sleeps until a mail comes or ready returns true. It announces itself
// first and looks again, so that no wake-up is lost.
func (t *Task) park(why activity, ready func() bool) {
	t.mail.parked.Store(true)
	if t.mail.pending.Load() || ready() {
		t.mail.parked.Store(false)
		return
	}
	t.times.enter(why, t.attempt.cfg.Clock.Now())
	<-t.mail.wakeup
	t.turn()
	t.times.enter(busy, t.attempt.cfg.Clock.Now())
}

// schedule starts the regular flush of partly filled buffers.
func (t *Task) schedule() {
	t.times.start(t.attempt.cfg.Clock.Now())
	t.scheduleDebloat()
	t.scheduleWatch()
	if len(t.partsOut) == 0 || t.attempt.cfg.BufferTimeout < 0 {
		return
	}
	var tick func()
	tick = func() {
		t.mail.post(func() error {
			t.stopFlush = t.attempt.cfg.Clock.AfterFunc(t.attempt.cfg.BufferTimeout, tick)
			return t.flush()
		})
	}
	t.stopFlush = t.attempt.cfg.Clock.AfterFunc(t.attempt.cfg.BufferTimeout, tick)
}

func (t *Task) unschedule() {
	t.watch.end()
	if t.stopFlush != nil {
		t.stopFlush()
	}
	if t.stopSize != nil {
		t.stopSize()
	}
}

// reportLate tells the observer of records that were dropped since the last
// call.
func (t *Task) reportLate() {
	for i := range t.ops {
		if slot := &t.ops[i]; slot.late > 0 {
			t.attempt.observe(LateRecords{UID: slot.env.UID, Subtask: t.subtask, Count: slot.late})
			slot.late = 0
		}
	}
}

// emit sends an event on all outputs.
func (t *Task) emit(e exchange.Event) error {
	for _, p := range t.partsOut {
		if err := p.Emit(e); err != nil {
			return err
		}
	}
	return nil
}

// act performs what the barrier handler decided.
func (t *Task) act(actions []barrier.Action) error {
	for _, a := range actions {
		switch a.Kind {
		case barrier.First:
			t.firstBarrier(a.ID)
		case barrier.Last:
			t.lastBarrier()
		case barrier.Snapshot:
			if err := t.snapshot(a.Barrier); err != nil {
				return err
			}
		case barrier.Resume:
			g, c := t.input.gateOf(a.Channel)
			g.gate.Resume(c)
		case barrier.Abort:
			if a.Reason != barrier.ReasonCoordinator {
				t.attempt.decline(a.ID, &declinedError{task: t.name, reason: a.Reason})
			}
		case barrier.ForwardCancel:
			if err := t.emit(exchange.NewCancel(a.ID)); err != nil {
				return err
			}
		default:
			t.input.act(a)
		}
	}
	return nil
}
