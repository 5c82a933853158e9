package runtime

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/tidemark-io/tidemark/checkpoint/layout"
	"github.com/tidemark-io/tidemark/format"
	"github.com/tidemark-io/tidemark/reader"
	"github.com/tidemark-io/tidemark/store"
	"github.com/tidemark-io/tidemark/writer"
)

// shared is what retention knows of the objects in the root's shared folder.
type shared struct {
	// of are the shared objects that checkpoints of this run use, by path: a
	// manifest never changes.
	of map[string][]string
	// orphans were used by checkpoints that have been removed.
	orphans map[string]bool
}

// sharedNames are the names of those objects that lie in the shared folder.
func sharedNames(objects []format.Object) []string {
	var names []string
	for i := range objects {
		if strings.HasPrefix(objects[i].Name, layout.Shared+"/") {
			names = append(names, objects[i].Name)
		}
	}
	return names
}

// committed notes which shared objects a checkpoint uses.
func (j *Job) committed(path string, m *format.Manifest) {
	names := sharedNames(m.Objects)
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.shared.of == nil {
		j.shared.of = map[string][]string{}
	}
	j.shared.of[path] = names
}

// unclaimed reports whether what the run was told to restore is somebody else's,
// and so is what lies beside it.
func (j *Job) unclaimed() bool {
	from := j.cfg.Restore.From
	return from != "" && from != "latest" && j.cfg.Restore.Claim != Claim
}

// foreign reports whether a checkpoint is the one that the run began with and does
// not own: no other may refer to it, since its owner may remove it.
func (j *Job) foreign(r *restored) bool {
	return j.unclaimed() && r.id < j.root.record.First
}

// findKept lists the checkpoints that earlier runs left and that count as
// retained: those of this lineage, as far back as the last run that did not claim
// what it was restored from; and the one that this run claims.
func (j *Job) findKept(ctx context.Context, r *restored) error {
	h, err := loadHistory(ctx, j.root.store)
	if err != nil {
		return err
	}
	var from uint64
	for _, rec := range append(h.runs, j.root.record) { // this run has not begun yet
		if rec.Lineage == j.lineage && rec.Unclaimed {
			from = max(from, rec.First)
		}
	}
	claimed := r != nil && j.cfg.Restore.Claim == Claim && j.cfg.Restore.From != "latest"
	for _, p := range h.points { // a damaged one has no lineage: it is not ours to remove
		_, savepoint, _ := layout.ParseDir(p.path)
		ours := !savepoint && p.lineage == j.lineage && p.id >= from
		if ours || claimed && p.path == r.path {
			j.kept = append(j.kept, p.restorePoint)
		}
	}
	return nil
}

// retain deletes the oldest checkpoints of this lineage beyond the number that
// is kept. What fails here is tried again after the next checkpoint, unless the
// job is fenced: that is the error it returns.
func (j *Job) retain(ctx context.Context) error {
	j.mu.Lock()
	excess := slices.Clone(j.kept[:max(len(j.kept)-j.cfg.Checkpoints.Retained, 0)])
	j.mu.Unlock()
	for _, p := range excess {
		err := j.root.checkFence(ctx)
		if errors.Is(err, ErrFenced) {
			return err
		}
		if err == nil {
			err = j.discard(ctx, p.path)
		}
		if err != nil {
			j.cfg.Logger.Warn("old checkpoint not removed", "path", p.path, "error", err)
			return nil
		}
		j.mu.Lock()
		j.kept = slices.DeleteFunc(j.kept, func(k restorePoint) bool { return k.path == p.path })
		j.mu.Unlock()
		j.observe(CheckpointRemoved{ID: p.id, Path: p.path})
	}
	if len(j.shared.orphans) == 0 {
		return nil
	}
	err := j.root.checkFence(ctx)
	if errors.Is(err, ErrFenced) {
		return err
	}
	if err == nil {
		err = j.removeOrphans(ctx)
	}
	if err != nil {
		j.cfg.Logger.Warn("shared objects not removed", "error", err)
	}
	return nil
}

// discard deletes a checkpoint, its manifest first, and notes the shared objects
// that it used. Of one that cannot be read nothing is noted: that is for gc.
func (j *Job) discard(ctx context.Context, path string) error {
	names, err := j.uses(ctx, path)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil {
		j.cfg.Logger.Warn("a checkpoint that is removed does not say which shared objects it used; \"tidemark gc\" finds them", "path", path, "error", err)
	}
	if err := writer.Discard(ctx, j.root.store, path); err != nil {
		return err
	}
	j.mu.Lock()
	delete(j.shared.of, path)
	j.mu.Unlock()
	if j.shared.orphans == nil {
		j.shared.orphans = map[string]bool{}
	}
	for _, name := range names {
		j.shared.orphans[name] = true
	}
	return nil
}

// uses are the shared objects of a checkpoint: those that its manifest names.
func (j *Job) uses(ctx context.Context, path string) (names []string, err error) {
	j.mu.Lock()
	names, known := j.shared.of[path]
	j.mu.Unlock()
	if known {
		return names, nil
	}
	ck, err := reader.Open(ctx, j.root.store, path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, ck.Close()) }()
	objects, err := ck.Objects()
	return sharedNames(objects), err
}

// removeOrphans deletes the noted objects that no visible checkpoint uses, of
// whatever kind and lineage. No checkpoint is being written now, and the next
// uses only what the newest uses. If one manifest cannot be read nothing is
// deleted, since it may use anything.
func (j *Job) removeOrphans(ctx context.Context) error {
	dirs, err := reader.Dirs(ctx, j.root.store, "")
	if err != nil {
		return err
	}
	used := map[string]bool{}
	for _, d := range dirs {
		if !d.Manifest {
			continue
		}
		names, err := j.uses(ctx, d.Path)
		if err != nil {
			return fmt.Errorf("which of them %s uses cannot be read: %w", d.Path, err)
		}
		for _, name := range names {
			used[name] = true
		}
	}
	var failed error
	for _, name := range slices.Sorted(maps.Keys(j.shared.orphans)) {
		if used[name] {
			delete(j.shared.orphans, name) // noted again when its last user goes
			continue
		}
		if err := j.root.store.Remove(ctx, name, ""); err != nil && !errors.Is(err, store.ErrNotExist) {
			failed = errors.Join(failed, err)
			continue
		}
		delete(j.shared.orphans, name)
	}
	return failed
}
