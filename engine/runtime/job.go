package runtime

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/tidemark-io/tidemark/checkpoint"
	"github.com/tidemark-io/tidemark/format"
	"github.com/tidemark-io/tidemark/reader"
	"github.com/tidemark-io/tidemark/writer"
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

	observing sync.Mutex

	mu      sync.Mutex
	nextID  uint64
	newest  *restorePoint // newest completed checkpoint of this run
	kept    []uint64      // completed checkpoints of this lineage, ascending
	attempt *attempt      // nil between attempts
	waiting []*request    // asked for between attempts
	stopped bool
}

// Start begins to run a graph. It returns when the run is registered and the
// checkpoint to restore is chosen; errors of that are returned here.
func Start(ctx context.Context, g *Graph, cfg Config) (*Job, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	j := &Job{cfg: cfg, graph: g, lineage: randomID(), nextID: 1, done: make(chan struct{})}
	r, err := j.prepare(ctx)
	if err != nil {
		return nil, errors.Join(err, j.unlock())
	}
	p, err := newPlan(g, cfg, r.groups)
	if err != nil {
		return nil, errors.Join(err, j.unlock())
	}
	ctx, j.cancel = context.WithCancelCause(ctx)
	go j.run(ctx, p, r)
	return j, nil
}

// prepare takes hold of the root, chooses what to restore, and registers the
// run. The returned checkpoint is nil if nothing is restored.
func (j *Job) prepare(ctx context.Context) (*restored, error) {
	st := j.cfg.Checkpoints.Store
	if st == nil {
		if j.cfg.Restore.From == "" {
			return nil, nil
		}
		return j.choose(ctx, nil)
	}
	unlock, err := lockRoot(ctx, st)
	if err != nil {
		return nil, err
	}
	j.root = &root{store: st, unlock: unlock}
	last, err := newestRun(ctx, st)
	if err != nil {
		return nil, err
	}
	r, err := j.choose(ctx, last)
	if err != nil {
		return nil, err
	}
	highest, err := reader.HighestID(ctx, st, "")
	if err != nil {
		return nil, err
	}
	j.nextID = highest + 1
	rec := runRecord{Lineage: j.lineage, Created: j.cfg.Clock.Now().UTC()}
	if r != nil {
		rec.Restored = r.path
	}
	var number uint64
	if last != nil {
		number = last.Run
	}
	claimed, err := claim(ctx, st, number, rec)
	if err != nil {
		return nil, err
	}
	claimed.unlock = unlock
	j.root = claimed
	if err := j.findKept(ctx); err != nil {
		return nil, err
	}
	e := RunStarted{Run: claimed.run, Lineage: j.lineage}
	if r != nil {
		e.Restored, e.ID = r.path, r.id
	}
	j.observe(e)
	return r, nil
}

// findKept lists the checkpoints of this lineage that earlier runs left, which
// count as retained.
func (j *Job) findKept(ctx context.Context) error {
	dirs, err := reader.Dirs(ctx, j.root.store, "")
	if err != nil {
		return err
	}
	for _, d := range dirs {
		if d.Savepoint || !d.Manifest {
			continue
		}
		ck, err := reader.Open(ctx, j.root.store, d.Path)
		if err != nil {
			continue // a damaged one is not ours to remove
		}
		if ck.Summary().Lineage == j.lineage {
			j.kept = append(j.kept, d.ID)
		}
		if err := ck.Close(); err != nil {
			return err
		}
	}
	return nil
}

// run executes attempts until the job ends.
func (j *Job) run(ctx context.Context, p *plan, r *restored) {
	defer close(j.done)
	err := j.attempts(ctx, p, r)
	j.cancel(err)
	j.err = errors.Join(err, j.unlock())
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
		if r != nil {
			err = errors.Join(err, r.ck.Close())
		}
		if err == nil || ctx.Err() != nil || n >= j.cfg.Restart.Attempts || final(err) {
			return err
		}
		j.cfg.Logger.Warn("job failed, restarting", "attempt", n+1, "of", j.cfg.Restart.Attempts, "error", err)
		if err := j.pause(ctx); err != nil {
			return err
		}
		r, err = j.restart(ctx, r)
		if err != nil {
			return err
		}
		e := Restarting{Attempt: n + 1}
		if r != nil {
			e.From = r.path
		}
		j.observe(e)
	}
}

// final reports whether a failure would come again.
func final(err error) bool {
	var restore *RestoreError
	return errors.Is(err, ErrFenced) || errors.As(err, &restore)
}

// restart opens the newest checkpoint of this run, or the one the run began
// with.
func (j *Job) restart(ctx context.Context, began *restored) (*restored, error) {
	j.mu.Lock()
	newest := j.newest
	j.mu.Unlock()
	switch {
	case newest != nil:
		return openRestored(ctx, j.cfg.Checkpoints.Store, *newest)
	case began != nil:
		return openRestored(ctx, j.cfg.Checkpoints.Store, began.restorePoint)
	default:
		return nil, nil
	}
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

// completed notes a committed checkpoint, or a savepoint that the job ends
// with: its output may be visible, so nothing older can be gone back to.
func (j *Job) completed(p *pending) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.newest = &restorePoint{id: p.id, path: p.path}
	if p.kind == format.Checkpoint {
		j.kept = append(j.kept, p.id)
	}
	if p.final && !p.finished {
		j.stopped = true // if publishing fails, the next attempt only does that
	}
}

// retain deletes the oldest checkpoints of this lineage beyond the number that
// is kept. What fails here is tried again after the next checkpoint, unless the
// job is fenced: that is the error it returns.
func (j *Job) retain(ctx context.Context) error {
	j.mu.Lock()
	excess := slices.Clone(j.kept[:max(len(j.kept)-j.cfg.Checkpoints.Retained, 0)])
	j.mu.Unlock()
	for _, id := range excess {
		err := j.root.checkFence(ctx)
		if errors.Is(err, ErrFenced) {
			return err
		}
		if err != nil {
			j.cfg.Logger.Warn("old checkpoint not removed", "id", id, "error", err)
			return nil
		}
		path := pathOf(format.Checkpoint, id)
		if err := writer.Discard(ctx, j.root.store, path); err != nil {
			j.cfg.Logger.Warn("old checkpoint not removed", "id", id, "error", err)
			return nil
		}
		j.mu.Lock()
		j.kept = slices.DeleteFunc(j.kept, func(k uint64) bool { return k == id })
		j.mu.Unlock()
		j.observe(CheckpointRemoved{ID: id, Path: path})
	}
	return nil
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

// choose finds the checkpoint to restore and decides about the lineage (R9).
func (j *Job) choose(ctx context.Context, last *runRecord) (*restored, error) {
	from := j.cfg.Restore.From
	if from == "" {
		return nil, nil
	}
	st := j.cfg.Checkpoints.Store
	if j.cfg.Restore.External != nil {
		return openRestored(ctx, st, restorePoint{path: from, external: j.cfg.Restore.External})
	}
	newest, err := j.newestOf(ctx, last)
	if err != nil {
		return nil, err
	}
	if from == "latest" {
		if newest == "" {
			return nil, nil
		}
		from = newest
	}
	r, err := openRestored(ctx, st, restorePoint{path: from})
	if errors.Is(err, checkpoint.ErrDamaged) {
		return j.fallback(ctx, last, from, err)
	}
	if err != nil {
		return nil, err
	}
	return r, j.adopt(r, newest)
}

// adopt continues the restored checkpoint's lineage if it is the newest, and
// begins a new one otherwise; visible output of later ids then stands in the
// way.
func (j *Job) adopt(r *restored, newest string) error {
	if r.path == newest {
		j.lineage = r.summary.Lineage
		return nil
	}
	var visible []string
	for _, n := range j.graph.Nodes {
		if n.Output == nil {
			continue
		}
		list := n.Output.VisibleAfter
		if j.cfg.Restore.RollbackOutput {
			list = n.Output.Withdraw
		}
		files, err := list(r.summary.Lineage, r.id)
		if err != nil {
			return errors.Join(err, r.ck.Close())
		}
		visible = append(visible, files...)
	}
	if len(visible) > 0 && !j.cfg.Restore.RollbackOutput {
		return errors.Join(&RollbackError{Path: r.path, Visible: visible}, r.ck.Close())
	}
	for _, f := range visible {
		j.cfg.Logger.Warn("output withdrawn", "file", f, "restored", r.path)
	}
	return nil
}

// newestOf is the path of the newest checkpoint of the newest lineage, "" if
// there is none. A run that has not completed a checkpoint yet stands at the one
// it was restored from.
func (j *Job) newestOf(ctx context.Context, last *runRecord) (string, error) {
	dirs, err := j.lineageOf(ctx, last)
	if err != nil {
		return "", err
	}
	if len(dirs) > 0 {
		return dirs[len(dirs)-1], nil
	}
	if last != nil {
		return last.Restored, nil
	}
	return "", nil
}

// lineageOf lists the checkpoints of the newest lineage, oldest first. One whose
// manifest cannot be read counts, so that damage to the newest is noticed and
// not passed over.
func (j *Job) lineageOf(ctx context.Context, last *runRecord) ([]string, error) {
	dirs, err := reader.Dirs(ctx, j.cfg.Checkpoints.Store, "")
	if err != nil {
		return nil, err
	}
	var paths []string
	for _, d := range dirs {
		if d.Savepoint || !d.Manifest {
			continue
		}
		ck, err := reader.Open(ctx, j.cfg.Checkpoints.Store, d.Path)
		if err != nil {
			paths = append(paths, d.Path)
			continue
		}
		if last == nil || ck.Summary().Lineage == last.Lineage {
			paths = append(paths, d.Path)
		}
		if err := ck.Close(); err != nil {
			return nil, err
		}
	}
	return paths, nil
}

// fallback deals with a damaged checkpoint: it goes back to the next older one
// that opens if that is allowed, and names it otherwise.
func (j *Job) fallback(ctx context.Context, last *runRecord, damaged string, cause error) (*restored, error) {
	dirs, err := j.lineageOf(ctx, last)
	if err != nil {
		return nil, errors.Join(cause, err)
	}
	at := slices.Index(dirs, damaged)
	for i := at - 1; i >= 0; i-- {
		r, err := openRestored(ctx, j.cfg.Checkpoints.Store, restorePoint{path: dirs[i]})
		if err != nil {
			continue
		}
		if !j.cfg.Restore.Fallback {
			return nil, errors.Join(&DamagedError{Path: damaged, Intact: dirs[i], Err: cause}, r.ck.Close())
		}
		j.cfg.Logger.Warn("falling back to an older checkpoint", "damaged", damaged, "restored", dirs[i], "error", cause)
		return r, j.adopt(r, damaged)
	}
	return nil, &DamagedError{Path: damaged, Err: cause}
}
