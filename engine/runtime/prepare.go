package runtime

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tidemark-io/tidemark/checkpoint"
	"github.com/tidemark-io/tidemark/format"
	"github.com/tidemark-io/tidemark/reader"
	"github.com/tidemark-io/tidemark/store"
)

// prepare takes hold of the root, chooses what to restore, plans the graph and
// registers the run. The returned checkpoint is nil if nothing is restored; it
// may be open although there is an error.
func (j *Job) prepare(ctx context.Context) (*plan, *restored, error) {
	if j.cfg.Checkpoints.Store == nil {
		j.lineage = randomID()
		r, err := j.choose(ctx, &history{})
		if err != nil {
			return nil, r, err
		}
		p, err := newPlan(j.graph, j.cfg, r.groups)
		if err == nil {
			err = j.started(ctx, r)
		}
		return p, r, err
	}
	if err := j.lock(ctx); err != nil {
		return nil, nil, err
	}
	p, r, err := j.claim(ctx)
	if err != nil {
		return nil, r, err
	}
	highest, err := reader.HighestID(ctx, j.root.store, "")
	if err != nil {
		return nil, r, err
	}
	j.nextID = highest + 1
	if err := j.findKept(ctx, r); err != nil {
		return nil, r, err
	}
	if s, ok := store.As[store.Sweeper](j.root.store); ok {
		age := time.Duration(0)
		if j.cfg.Checkpoints.NoLock { // somebody else may still be writing
			age = sharedSweepAge
		}
		if _, err := s.Sweep(ctx, age); err != nil {
			j.cfg.Logger.Warn("leftovers of earlier runs were not removed", "error", err)
		}
	}
	return p, r, j.started(ctx, r)
}

// sharedSweepAge is how old an unfinished file must be to be swept from a root
// that nobody holds.
const sharedSweepAge = 24 * time.Hour

// lock takes the store's own lock, where it has one.
func (j *Job) lock(ctx context.Context) error {
	st := j.cfg.Checkpoints.Store
	j.root = &root{store: st}
	locker, ok := store.As[store.Locker](st)
	if !ok || j.cfg.Checkpoints.NoLock {
		return nil
	}
	unlock, err := locker.Lock(ctx)
	j.root.unlock = unlock
	return err
}

// claim chooses what to restore and registers the run. Until a run is
// registered an earlier one may still commit; what was chosen is then chosen
// again.
func (j *Job) claim(ctx context.Context) (*plan, *restored, error) {
	st := j.root.store
	for {
		h, err := loadHistory(ctx, st)
		if err != nil {
			return nil, nil, err
		}
		j.lineage = randomID()
		r, err := j.choose(ctx, h)
		if err != nil {
			return nil, r, err
		}
		p, err := newPlan(j.graph, j.cfg, r.groups)
		if err != nil {
			return nil, r, err
		}
		if _, err := j.outputBehind(h, r); err != nil {
			return nil, r, err
		}
		if err := j.register(ctx, h.newest, r); err != nil {
			return nil, r, err
		}
		now, err := loadHistory(ctx, st)
		if err != nil {
			return nil, r, err
		}
		if slices.Equal(h.latest(), now.latest()) {
			return p, r, j.rollBack(ctx, now, r)
		}
		if err := r.close(); err != nil {
			return nil, nil, err
		}
	}
}

// register creates the record of the run.
func (j *Job) register(ctx context.Context, last uint64, r *restored) error {
	st := j.root.store
	highest, err := reader.HighestID(ctx, st, "")
	if err != nil {
		return err
	}
	rec := runRecord{Lineage: j.lineage, Created: j.cfg.Clock.Now().UTC(), First: highest + 1}
	if r != nil {
		rec.Restored, rec.External, rec.Unclaimed = r.path, r.external, j.unclaimed()
	}
	claimed, err := claim(ctx, st, last, rec)
	if err != nil {
		return err
	}
	claimed.unlock = j.root.unlock
	j.root = claimed
	return nil
}

// started tells the observer.
func (j *Job) started(ctx context.Context, r *restored) error {
	e := RunStarted{Lineage: j.lineage}
	if j.root != nil {
		e.Run = j.root.run
	}
	if r != nil {
		e.Restored, e.ID = r.path, r.id
	}
	dropped, err := r.report(ctx, &j.cfg, e.Run)
	if err != nil {
		return err
	}
	j.observe(e)
	if dropped != nil {
		j.cfg.Logger.Warn("in-flight data of the restored checkpoint is dropped", "checkpoint", dropped.Path,
			"policy", string(dropped.Policy), "records", dropped.Records, "bytes", dropped.Bytes)
		j.observe(*dropped)
	}
	return nil
}

// choose opens the checkpoint to restore, nil if there is none, and decides
// about the lineage (R9): it goes on if the checkpoint is the newest.
func (j *Job) choose(ctx context.Context, h *history) (*restored, error) {
	from, st := j.cfg.Restore.From, j.cfg.Checkpoints.Store
	switch {
	case from == "":
		return nil, nil
	case j.cfg.Restore.External != nil:
		r, err := openRestored(ctx, st, restorePoint{path: from, external: j.cfg.Restore.External})
		if err != nil {
			return nil, err
		}
		return r, r.decide(ctx, j.cfg.Restore.OnCorruptChannelState)
	}
	line, last := h.latest(), h.last()
	var newest string
	if len(line) > 0 {
		newest = line[len(line)-1].path
	} else if last != nil && last.Restored != "" {
		if from == "latest" {
			return nil, fmt.Errorf("the newest run, %d, was restored from %s, which is not there, and has taken no checkpoint: name the one to restore", last.Run, last.Restored)
		}
	}
	if from == "latest" {
		from = newest
	}
	if from == newest && last != nil {
		j.lineage = last.Lineage
	}
	if from == "" {
		return nil, nil
	}
	r, err := openRestored(ctx, st, restorePoint{path: from})
	if err == nil && j.cfg.Restore.Fallback {
		if err = r.readAll(ctx); err != nil {
			err = errors.Join(err, r.close())
		}
	}
	if damaged(err) {
		return j.fallback(ctx, line, from, err)
	}
	if err == nil && from == newest && last == nil {
		j.lineage = r.summary.Lineage
	}
	if err == nil {
		err = r.decide(ctx, j.cfg.Restore.OnCorruptChannelState)
	}
	return r, err
}

// fallback deals with a damaged checkpoint: it goes back to the next older one
// of the line that is intact, if that is allowed, and names it otherwise.
func (j *Job) fallback(ctx context.Context, line []point, path string, cause error) (*restored, error) {
	r := j.intactBefore(ctx, line, path)
	switch {
	case r == nil:
		return nil, &DamagedError{Root: j.cfg.Checkpoints.Location, Path: path, Err: cause}
	case !j.cfg.Restore.Fallback:
		return r, &DamagedError{Root: j.cfg.Checkpoints.Location, Path: path, Intact: r.path, Err: cause}
	}
	j.cfg.Logger.Warn("falling back to an older checkpoint", "damaged", path, "restored", r.path, "error", cause)
	j.lineage = randomID()
	return r, nil
}

// intactBefore opens the newest intact checkpoint of the line before a damaged
// one, nil if there is none.
func (j *Job) intactBefore(ctx context.Context, line []point, path string) *restored {
	at := slices.IndexFunc(line, func(p point) bool { return p.path == path })
	for i := at - 1; i >= 0; i-- {
		r, err := openRestored(ctx, j.cfg.Checkpoints.Store, restorePoint{path: line[i].path})
		if err != nil {
			continue
		}
		if err := r.readAll(ctx); err == nil {
			return r
		}
		_ = r.close() // nothing was written; what is wrong with it has been said
	}
	return nil
}

// blameDamage makes a failure a [DamagedError] if it is damage that a task met in
// the checkpoint that it restored: trying again would meet it again. Without
// Fallback that is how damaged data is found, since nothing reads it twice.
func (j *Job) blameDamage(ctx context.Context, r *restored, err error) error {
	var corrupt *format.CorruptError
	var flying *inFlightError
	switch {
	case r == nil:
		return err
	case errors.As(err, &flying) && (damaged(err) || errors.Is(err, errHalfRecord)):
	case r.external || j.root == nil || !damaged(err) || !errors.As(err, &corrupt) || !strings.HasPrefix(corrupt.Object, r.path+"/"):
		return err
	}
	e := &DamagedError{Root: j.cfg.Checkpoints.Location, Path: r.path, Err: err, External: r.external || j.root == nil}
	if flying != nil {
		if d, aerr := r.assess(ctx); aerr == nil {
			e.Channels = d
		}
	}
	if e.External {
		return e
	}
	h, herr := loadHistory(ctx, j.root.store)
	if herr != nil {
		return err
	}
	if older := j.intactBefore(ctx, h.latest(), r.path); older != nil {
		e.Intact = older.path
		_ = older.close() // only looked at
	}
	return e
}

// damaged tells damage, of a manifest or of data, from other failures.
func damaged(err error) bool {
	return errors.Is(err, checkpoint.ErrDamaged) || errors.Is(err, format.ErrDamaged) || errors.Is(err, format.ErrMissing)
}

// outputBehind lists visible output of later checkpoints than the restored one,
// whatever the lineage: it would be written twice. Unless it may be withdrawn
// that is an error (R9).
func (j *Job) outputBehind(h *history, r *restored) ([]string, error) {
	if r == nil || r.external {
		return nil, nil
	}
	var visible []string
	for _, n := range j.graph.Nodes {
		if n.Output == nil {
			continue
		}
		for _, lineage := range h.lineages() {
			files, err := n.Output.VisibleAfter(lineage, r.id)
			if err != nil {
				return nil, fmt.Errorf("operator %q: looking for visible output: %w", n.UID, err)
			}
			visible = append(visible, files...)
		}
	}
	slices.Sort(visible)
	visible = slices.Compact(visible) // sinks may share a directory
	if len(visible) > 0 && !j.cfg.Restore.RollbackOutput {
		return nil, &RollbackError{Path: r.path, Visible: visible}
	}
	return visible, nil
}

// rollBack withdraws what stands in the way of the restore. The run counts as
// begun before, since no later checkpoint can be restored afterwards.
func (j *Job) rollBack(ctx context.Context, h *history, r *restored) error {
	visible, err := j.outputBehind(h, r)
	if err != nil || len(visible) == 0 {
		return err
	}
	if err := j.root.begin(ctx); err != nil {
		return err
	}
	for _, n := range j.graph.Nodes {
		if n.Output == nil {
			continue
		}
		for _, lineage := range h.lineages() {
			files, err := n.Output.Withdraw(lineage, r.id)
			if err != nil {
				return fmt.Errorf("operator %q: withdrawing output: %w", n.UID, err)
			}
			for _, f := range files {
				j.cfg.Logger.Warn("output withdrawn", "file", f, "restored", r.path)
			}
		}
	}
	return nil
}
