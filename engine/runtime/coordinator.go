package runtime

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/tidemark-io/tidemark/engine/barrier"
	"github.com/tidemark-io/tidemark/format"
	"github.com/tidemark-io/tidemark/writer"
)

// coordinator takes the checkpoints of one attempt, one at a time, and ends the
// attempt when all its data is processed. Its state belongs to its goroutine;
// others post to its mailbox.
type coordinator struct {
	a    *attempt
	mail *mailbox

	current  atomic.Pointer[pending] // also read by tasks
	requests []*request              // asked for by the user
	due      bool                    // the interval has passed
	stopping bool                    // a final checkpoint without end of data
	ended    int                     // tasks that processed all their data
	failures int                     // in a row
	base     *base                   // newest committed checkpoint that the next may refer to
	lastEnd  time.Time
	spent    []spent // by task, when the last checkpoint ended
	asked    bool    // consider is called again by a timer
	closed   bool    // nothing is triggered any more
	closing  bool    // run returns when nothing is under way
	done     chan struct{}
}

// request is a checkpoint that somebody waits for.
type request struct {
	kind  format.CheckpointKind
	final bool // the job stops afterwards
	reply chan<- Result
}

// Result is how a requested checkpoint ended.
type Result struct {
	ID   uint64
	Path string // below the root
	Err  error
}

// Errors that are the reason why a checkpoint failed.
var (
	errAttempt  = errors.New("the attempt ended")
	errDisabled = errors.New("the job has no checkpoint directory")
)

func newCoordinator(a *attempt) *coordinator {
	return &coordinator{a: a, base: a.base, mail: newMailbox(), done: make(chan struct{})}
}

// run is the coordinator's goroutine. It ends after [coordinator.close].
func (c *coordinator) run() {
	defer close(c.done)
	c.a.cfg.turn(RoleCoordinator, 0)
	c.lastEnd = c.a.cfg.Clock.Now()
	c.tick()
	for {
		for _, mail := range c.mail.take() {
			_ = mail() // the coordinator's mails deal with their errors
		}
		if c.closing && c.current.Load() == nil {
			break
		}
		c.consider()
		c.mail.parked.Store(true)
		if !c.mail.pending.Load() {
			<-c.mail.wakeup
			c.a.cfg.turn(RoleCoordinator, 0)
		}
		c.mail.parked.Store(false)
	}
	for _, mail := range c.mail.close() { // requests that came too late get their answer
		_ = mail()
	}
}

func (c *coordinator) post(f func()) bool {
	return c.mail.post(func() error { f(); return nil })
}

// tick marks a checkpoint as due after each interval.
func (c *coordinator) tick() {
	cfg := &c.a.cfg.Checkpoints
	if cfg.Store == nil || cfg.Interval <= 0 {
		return
	}
	c.a.cfg.Clock.AfterFunc(cfg.Interval, func() {
		c.post(func() {
			c.due = true
			c.tick()
		})
	})
}

// consider triggers the next checkpoint if one is wanted and none is under way.
func (c *coordinator) consider() {
	if c.closed || c.current.Load() != nil || c.a.ctx.Err() != nil {
		return
	}
	allEnded := c.ended == len(c.a.tasks)
	if c.a.cfg.Checkpoints.Store == nil {
		c.withoutCheckpoints(allEnded)
		return
	}
	wanted := len(c.requests) > 0 || allEnded || c.stopping || c.due
	if !wanted || !c.room() {
		return
	}
	switch {
	case len(c.requests) > 0:
		r := c.requests[0]
		c.requests = c.requests[1:]
		// A plain savepoint publishes nothing, so the job cannot end with it.
		c.trigger(r.kind, r.final || allEnded && r.kind == format.Checkpoint, []*request{r})
	case allEnded || c.stopping:
		if c.failures == 0 || c.paused() {
			c.trigger(format.Checkpoint, true, nil)
		}
	case c.due && c.paused():
		c.due = false
		c.trigger(format.Checkpoint, false, nil)
	}
}

// withoutCheckpoints ends a job that has nowhere to put them.
func (c *coordinator) withoutCheckpoints(allEnded bool) {
	for _, r := range c.requests {
		r.reply <- Result{Err: errDisabled}
	}
	c.requests = nil
	if allEnded {
		c.finish()
	}
}

// paused reports whether the minimum pause has passed; if not it asks to be
// considered again when it has.
func (c *coordinator) paused() bool {
	left := c.a.cfg.Checkpoints.MinPause - c.a.cfg.Clock.Now().Sub(c.lastEnd)
	if left <= 0 {
		return true
	}
	c.again(left)
	return false
}

// room reports whether there is memory for what another checkpoint captures. If
// what earlier ones captured fills it, it asks to be considered again soon: a
// full pool delays checkpoints, never the data (R14).
func (c *coordinator) room() bool {
	if !c.a.captures.Full() {
		return true
	}
	c.again(roomPause)
	return false
}

// roomPause is the time between two looks at a full pool.
const roomPause = 10 * time.Millisecond

// again lets consider be called after a while, by one timer at a time.
func (c *coordinator) again(after time.Duration) {
	if c.asked {
		return
	}
	c.asked = true
	c.a.cfg.Clock.AfterFunc(after, func() { c.post(func() { c.asked = false }) })
}

// trigger begins a checkpoint.
func (c *coordinator) trigger(kind format.CheckpointKind, final bool, requests []*request) {
	a := c.a
	id := a.job.takeID()
	p := &pending{
		id: id, kind: kind, path: pathOf(kind, id), final: final, finished: final && c.ended == len(a.tasks), requests: requests,
		triggered: a.cfg.Clock.Now(), rows: map[stateKey]int{}, missing: map[int]bool{}, records: map[int]uint64{},
	}
	p.overtaking = a.cfg.Checkpoints.Unaligned && !a.cfg.Checkpoints.AtLeastOnce && kind == format.Checkpoint && a.cfg.Checkpoints.AlignedTimeout == 0
	p.incremental = a.cfg.Checkpoints.Incremental && kind == format.Checkpoint
	if p.incremental && c.base.visible(a.ctx, a.root.store) == nil {
		p.base = c.base
	}
	w, err := writer.New(writer.Options{
		Store: a.cfg.Checkpoints.Store, Dir: p.path, ID: id, Objects: a.cfg.Checkpoints.Objects,
		Compression: compressions[a.cfg.Checkpoints.Compression], Fence: p.fence(a), Logger: a.cfg.Logger,
	})
	if err != nil {
		err = fmt.Errorf("checkpoint %d: %w", id, err)
		p.reply(err)
		a.fail(err)
		return
	}
	p.writer = w
	p.ctx, p.cancel = context.WithCancelCause(a.ctx)
	for _, t := range a.tasks {
		p.missing[t.number] = true
	}
	p.stopTimer = a.cfg.Clock.AfterFunc(a.cfg.Checkpoints.Timeout, func() { c.post(func() { c.abort(p, c.expired(p)) }) })
	c.current.Store(p)
	a.observe(CheckpointTriggered{ID: id, Path: p.path, At: p.triggered})
	b := barrier.Barrier{ID: id, Timestamp: p.triggered.UnixMilli(), Final: final}
	if kind == format.Savepoint {
		b.Kind = barrier.Savepoint
	}
	switch {
	case a.cfg.Checkpoints.AtLeastOnce:
		b.Alignment = barrier.Passing
	case kind == format.Savepoint:
	case a.cfg.Checkpoints.Unaligned && a.cfg.Checkpoints.AlignedTimeout > 0:
		b.Timeout = a.cfg.Checkpoints.AlignedTimeout
	case p.overtaking:
		b.Alignment = barrier.Unaligned
	}
	for _, t := range a.tasks {
		if t.input == nil {
			t.mail.post(func() error { return t.triggered(b) })
		} else if p.overtaking {
			t.mail.wake() // it may have to press on, see pressing
		}
	}
}

// fence is what must hold until the checkpoint is visible: no later run has begun
// (R11), what the checkpoint refers to still is part of another one, and it is not
// older than its timeout (R12). The timer alone does not see to that: in a process
// that stood still the commit may go on before it fires.
func (p *pending) fence(a *attempt) func(context.Context) error {
	return func(ctx context.Context) error {
		if err := a.root.checkFence(ctx); err != nil {
			return err
		}
		if err := p.base.visible(ctx, a.root.store); err != nil {
			return err
		}
		if a.cfg.Clock.Now().Sub(p.triggered) > a.cfg.Checkpoints.Timeout {
			return fmt.Errorf("%w of %v: it was being published", errExpired, a.cfg.Checkpoints.Timeout)
		}
		return nil
	}
}

// compressions maps the configuration's names to the writer's.
var compressions = map[string]writer.Compression{
	"": writer.CompressAuto, "auto": writer.CompressAuto, "none": writer.CompressNone,
	"s2": writer.CompressS2, "zstd": writer.CompressZstd,
}

// acknowledge takes a task's part.
func (c *coordinator) acknowledge(p *pending, k ack) {
	if c.current.Load() != p {
		return
	}
	if k.err != nil {
		c.abort(p, k.err)
		return
	}
	if p.acknowledge(k) && p.begin() {
		p.committing = true
		go c.commit(p)
	}
}

// commit publishes a checkpoint of which all parts are written.
func (c *coordinator) commit(p *pending) {
	defer p.writing.Done()
	c.a.cfg.turn(RoleCommit, 0)
	err := p.writer.Seal(p.ctx)
	m := p.manifest(c.a)
	if err == nil {
		err = p.writer.Commit(p.ctx, m)
	}
	if err != nil && p.ctx.Err() != nil {
		err = context.Cause(p.ctx)
	}
	if err != nil {
		c.post(func() { c.abort(p, err) })
		return
	}
	p.committed = m
	c.post(func() {
		if !p.ending { // else the one who gave it up finds it committed
			p.ending = true
			go func() {
				p.end(nil)
				c.a.cfg.turn(RoleComplete, 0)
				c.post(func() { c.completed(p, m) })
			}()
		}
	})
}

// completed follows the commit of a checkpoint.
func (c *coordinator) completed(p *pending, m *format.Manifest) {
	a := c.a
	c.current.Store(nil)
	c.failures = 0
	c.lastEnd = a.cfg.Clock.Now()
	e := CheckpointCompleted{ID: p.id, Path: p.path, Bytes: m.Summary.StateBytes, Entries: m.Summary.Entries, Duration: c.lastEnd.Sub(p.triggered)}
	e.Record = c.record(p, c.lastEnd, nil)
	for _, k := range p.acks {
		e.MaxAlignment, e.MaxStartDelay = max(e.MaxAlignment, k.seen.alignment), max(e.MaxStartDelay, k.seen.startDelay)
		e.MaxSync = max(e.MaxSync, k.sync)
	}
	if p.incremental {
		c.base = newBase(p.id, p.path, m.Operators, m.States, m.Objects, m.Slices)
	}
	a.job.committed(p.path, m)
	publishes := p.kind == format.Checkpoint || p.final
	if publishes {
		a.job.completed(p)
	}
	a.observe(e)
	p.reply(nil)
	if publishes {
		for _, t := range a.tasks {
			t.mail.post(func() error { return t.checkpointComplete(p.id) })
		}
	}
	if err := a.job.retain(a.ctx); err != nil {
		a.fail(err)
	}
	if p.final {
		c.finish()
	}
}

// abort gives a checkpoint up: tasks stop writing it, and what was written is
// removed. Nothing of it ever becomes visible.
func (c *coordinator) abort(p *pending, reason error) {
	if c.current.Load() != p || p.ending {
		return
	}
	p.ending = true
	for _, t := range c.a.tasks {
		t.mail.post(func() error { return t.abortCheckpoint(p.id) })
	}
	writing := !p.committing
	go func() {
		c.a.cfg.turn(RoleAbort, 0)
		// The attempt may have ended, the clean-up is still wanted.
		ctx := context.WithoutCancel(p.ctx)
		p.refuse(reason)
		var early error
		if writing { // ends uploads, however long the store takes for them
			early = p.writer.Abort(ctx)
		}
		p.writing.Wait()
		c.a.cfg.turn(RoleAbort, 0)
		if m := p.committed; m != nil { // it was quicker
			c.post(func() { c.completed(p, m) })
			return
		}
		err := p.writer.Abort(ctx)
		if err != nil && early != nil {
			err = errors.Join(early, err)
		}
		c.post(func() { c.aborted(p, errors.Join(reason, err)) })
	}()
}

// aborted follows the clean-up of a checkpoint that failed.
func (c *coordinator) aborted(p *pending, reason error) {
	a := c.a
	c.current.Store(nil)
	c.lastEnd = a.cfg.Clock.Now()
	a.observe(CheckpointFailed{ID: p.id, Path: p.path, Reason: reason, Record: c.record(p, c.lastEnd, reason)})
	p.reply(reason)
	switch {
	case errors.Is(reason, errAttempt):
		return
	case errors.Is(reason, ErrFenced):
		a.fail(reason)
		return
	case p.kind == format.Savepoint:
		// Its failure concerns the one who asked; the job goes on.
		if p.final && !c.stopping {
			c.suspend(false)
		}
		return
	}
	c.failures++
	if c.failures > a.cfg.Checkpoints.TolerableFailures {
		a.fail(fmt.Errorf("checkpoint %d failed, and %d in a row is more than the %d tolerated: %w",
			p.id, c.failures, a.cfg.Checkpoints.TolerableFailures, reason))
	}
}

// finish lets all tasks end: their data is processed and, with checkpoints, the
// final one is committed.
func (c *coordinator) finish() {
	c.closed = true
	for _, t := range c.a.tasks {
		t.mail.post(func() error { t.done = true; return nil })
	}
}

// close ends the coordinator and waits for what it began. It is called when all
// tasks have ended.
func (c *coordinator) close() {
	c.post(func() {
		c.closed, c.closing = true, true
		over := errAttempt
		if cause := c.a.failed(); cause != nil {
			over = fmt.Errorf("%w: %w", errAttempt, cause)
		}
		for _, r := range c.requests {
			r.reply <- Result{Err: over}
		}
		c.requests = nil
		if p := c.current.Load(); p != nil {
			c.abort(p, over)
		}
	})
	<-c.done
}

// stop ends the job: the sources stand still, a final checkpoint follows.
func (c *coordinator) stop() {
	if c.stopping {
		return
	}
	c.stopping = true
	c.suspend(true)
	if c.a.cfg.Checkpoints.Store != nil {
		return
	}
	for _, t := range c.a.tasks { // what is under way still arrives
		if t.input == nil {
			t.mail.post(func() error { t.endSource(); return nil })
		}
	}
}

// suspend lets the sources stand still, or go on.
func (c *coordinator) suspend(still bool) {
	for _, t := range c.a.tasks {
		if t.input == nil {
			t.mail.post(func() error { t.suspended = still; return nil })
		}
	}
}

// ask takes a request of the user.
func (c *coordinator) ask(r *request) {
	if c.closed {
		r.reply <- Result{Err: errAttempt}
		return
	}
	if r.final {
		c.suspend(true)
	}
	c.requests = append(c.requests, r)
}
