package runtime

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/tidemark-io/tidemark/format"
)

// Job is a running job. Its methods may be called from any goroutine.
type Job struct {
	cfg     Config
	graph   *Graph
	root    *root
	lineage string
	cancel  context.CancelCauseFunc
	done    chan struct{}
	err     error // valid when done is closed

	historian *historian // nil if no history is kept
	restores  uint64     // of this run; belongs to the job's goroutine

	observing sync.Mutex

	mu      sync.Mutex
	nextID  uint64
	newest  *restorePoint  // newest completed checkpoint of this run
	kept    []restorePoint // completed checkpoints that the run owns, ascending
	shared  shared         // objects of checkpoints, for retention
	attempt *attempt       // nil between attempts
	waiting []*request     // asked for between attempts
	stopped bool
}

// Start begins to run a graph. It returns when the run is registered and the
// checkpoint to restore is chosen; errors of that are returned here.
func Start(ctx context.Context, g *Graph, cfg Config) (*Job, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	j := &Job{cfg: cfg, graph: g, nextID: 1, done: make(chan struct{})}
	p, r, err := j.prepare(ctx)
	if err != nil {
		return nil, errors.Join(err, r.close(), j.unlock())
	}
	j.historian = newHistorian(ctx, &j.cfg)
	ctx, j.cancel = context.WithCancelCause(ctx)
	go j.run(ctx, p, r)
	return j, nil
}

// run executes attempts until the job ends.
func (j *Job) run(ctx context.Context, p *plan, r *restored) {
	defer close(j.done)
	j.cfg.turn(RoleJob, 0)
	err := j.attempts(ctx, p, r)
	j.cancel(err)
	j.historian.close()
	j.cfg.turn(RoleJob, 0)
	if j.err = err; j.unlock() != nil {
		j.cfg.Logger.Warn("the lock of the checkpoint directory was not given back")
	}
	j.observe(Finished{Err: j.err})
}

// attempts is the fixed-delay restart strategy.
func (j *Job) attempts(ctx context.Context, p *plan, r *restored) error {
	for n := 0; ; n++ {
		a, err := newAttempt(ctx, j, p, r)
		if err == nil {
			j.setAttempt(a)
			err = a.execute()
			j.setAttempt(nil)
		}
		if err != nil && ctx.Err() == nil {
			err = j.blameDamage(ctx, r, err)
		}
		if cerr := r.close(); cerr != nil {
			err = errors.Join(err, cerr)
		}
		if err != nil && ctx.Err() == nil {
			err = j.blameFence(ctx, err)
		}
		// Asked once: a cancellation may come at any time, also just now.
		cause := context.Cause(ctx)
		if err != nil && cause != nil && !errors.Is(err, cause) { // it failed, and was cancelled before it restarted
			err = fmt.Errorf("%w; before that: %w", cause, err)
		}
		if err == nil || cause != nil || n >= j.cfg.Restart.Attempts || final(err) {
			return err
		}
		j.cfg.Logger.Warn("job failed, restarting", "attempt", n+1, "of", j.cfg.Restart.Attempts, "error", err)
		if err := j.pause(ctx); err != nil {
			return err
		}
		var rerr error
		if r, rerr = j.restart(ctx, r); rerr != nil {
			if cause := context.Cause(ctx); cause != nil {
				rerr = cause
			}
			return errors.Join(rerr, err)
		}
		e := Restarting{Attempt: n + 1}
		if r != nil {
			e.From = r.path
		}
		j.observe(e)
	}
}

// blameFence makes a failure ErrFenced if another run has taken the root over:
// that run may have cleaned up what this one missed.
func (j *Job) blameFence(ctx context.Context, err error) error {
	if j.root == nil || errors.Is(err, ErrFenced) {
		return err
	}
	if fence := j.root.checkFence(ctx); errors.Is(fence, ErrFenced) {
		return fmt.Errorf("%w; this one failed: %w", fence, err)
	}
	return err
}

// final reports whether a failure would come again.
func final(err error) bool {
	var restore *RestoreError
	var broken *DamagedError
	return errors.Is(err, ErrFenced) || errors.As(err, &restore) || errors.As(err, &broken)
}

// restart opens the newest checkpoint of this run, or the one the run began
// with. It asks the store: a checkpoint whose commit seemed to fail may be
// there, and then its output belongs to it. What was decided about damage to the
// checkpoint that the run began with holds if it goes back to that one.
func (j *Job) restart(ctx context.Context, began *restored) (*restored, error) {
	r, err := j.reopen(ctx, began)
	if r != nil {
		r.follow(began)
	}
	return r, err
}

// reopen opens the checkpoint that a restart goes back to, nil if there is none.
func (j *Job) reopen(ctx context.Context, began *restored) (*restored, error) {
	if j.root == nil || j.ofExternal(began) {
		if began == nil {
			return nil, nil
		}
		return openRestored(ctx, j.cfg.Checkpoints.Store, began.restorePoint)
	}
	j.mu.Lock()
	newest := j.newest
	j.mu.Unlock()
	h, err := loadHistory(ctx, j.root.store)
	if err != nil {
		return nil, err
	}
	line := h.line(j.root.record)
	switch {
	case newest != nil && (len(line) == 0 || line[len(line)-1].id < newest.id): // a final savepoint
		return openRestored(ctx, j.root.store, *newest)
	case len(line) == 0:
		return nil, nil
	default:
		return openRestored(ctx, j.root.store, restorePoint{path: line[len(line)-1].path})
	}
}

// ofExternal reports whether the run still stands at a checkpoint outside its
// root.
func (j *Job) ofExternal(r *restored) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.newest == nil && r != nil && r.external
}

// pause waits for the restart delay.
func (j *Job) pause(ctx context.Context) error {
	wait := make(chan struct{})
	stop := j.cfg.Clock.AfterFunc(j.cfg.Restart.Delay, func() { close(wait) })
	defer stop()
	select {
	case <-wait:
		return nil
	case <-ctx.Done():
		j.cfg.turn(RoleJob, 0)
		return context.Cause(ctx)
	}
}

func (j *Job) setAttempt(a *attempt) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.attempt = a
	if a == nil {
		return
	}
	if j.stopped {
		a.coord.post(func() { a.coord.stop() })
	}
	for _, r := range j.waiting {
		a.coord.post(func() { a.coord.ask(r) })
	}
	j.waiting = nil
}

func (j *Job) unlock() error {
	if j.root == nil || j.root.unlock == nil {
		return nil
	}
	return j.root.unlock()
}

// takeID returns the next checkpoint id.
func (j *Job) takeID() uint64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.nextID++
	return j.nextID - 1
}

// first reports whether this run has not completed a checkpoint yet.
func (j *Job) first() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.newest == nil
}

// completed notes a committed checkpoint, or a savepoint that the job ends
// with: its output may be visible, so nothing older can be gone back to.
func (j *Job) completed(p *pending) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.newest = &restorePoint{id: p.id, path: p.path}
	if p.kind == format.Checkpoint {
		j.kept = append(j.kept, *j.newest)
	}
	if p.final && !p.finished {
		j.stopped = true // if publishing fails, the next attempt only does that
	}
}

func (j *Job) observe(e Event) {
	j.observing.Lock()
	defer j.observing.Unlock()
	j.cfg.Observer.Observe(e)
}

// Wait waits for the end of the job. It returns nil if all input was processed,
// or the job was stopped, and everything is committed.
func (j *Job) Wait() error {
	<-j.done
	return j.err
}

// Done is closed when the job has ended.
func (j *Job) Done() <-chan struct{} { return j.done }

// Cancel ends the job without a checkpoint.
func (j *Job) Cancel(cause error) { j.cancel(cause) }

// Stop lets the sources stand still, takes a final checkpoint, publishes its
// output and ends the job (R18). Use Wait for the end.
func (j *Job) Stop() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.stopped = true
	if a := j.attempt; a != nil {
		a.coord.post(func() { a.coord.stop() })
	}
}

// Checkpoint takes a checkpoint now, or after the present one.
func (j *Job) Checkpoint(ctx context.Context) (Result, error) {
	return j.request(ctx, request{kind: format.Checkpoint})
}

// Savepoint takes a savepoint: self-contained, never removed by retention, and
// without effect on sinks (R10).
func (j *Job) Savepoint(ctx context.Context) (Result, error) {
	return j.request(ctx, request{kind: format.Savepoint})
}

// StopWithSavepoint lets the sources stand still, takes a savepoint, publishes
// its output and ends the job.
func (j *Job) StopWithSavepoint(ctx context.Context) (Result, error) {
	return j.request(ctx, request{kind: format.Savepoint, final: true})
}

// request asks for a checkpoint and waits for it.
func (j *Job) request(ctx context.Context, r request) (Result, error) {
	reply := make(chan Result, 1)
	r.reply = reply
	j.mu.Lock()
	if a := j.attempt; a == nil || !a.coord.post(func() { a.coord.ask(&r) }) {
		j.waiting = append(j.waiting, &r) // the next attempt takes it, if one comes
	}
	j.mu.Unlock()
	select {
	case res := <-reply:
		return res, res.Err
	case <-ctx.Done():
		return Result{}, context.Cause(ctx)
	case <-j.done:
		select {
		case res := <-reply:
			return res, res.Err
		default:
			return Result{}, fmt.Errorf("taking a checkpoint: %w", errAttempt)
		}
	}
}
