package reader

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync"

	"github.com/tidemark-io/tidemark/checkpoint"
	"github.com/tidemark-io/tidemark/checkpoint/layout"
	"github.com/tidemark-io/tidemark/format"
	"github.com/tidemark-io/tidemark/store"
)

// Format opens the native checkpoints of one store for the tools.
type Format struct {
	st   store.Store
	opts []Option
}

var (
	_ checkpoint.Format = (*Format)(nil)
	_ checkpoint.Lister = (*Format)(nil)
)

// NewFormat returns the native format on a store. The options are those of every
// checkpoint that it opens.
func NewFormat(st store.Store, opts ...Option) *Format { return &Format{st: st, opts: opts} }

// Name is "tidemark".
func (f *Format) Name() string { return "tidemark" }

// Probe reports whether there is a checkpoint at the path, in whatever state: a
// manifest, its copy, or data objects.
func (f *Format) Probe(ctx context.Context, path string) (bool, error) {
	err := absent(ctx, f.st, path)
	switch {
	case errors.Is(err, checkpoint.ErrIncomplete):
		return true, nil
	case !errors.Is(err, checkpoint.ErrNone):
		return false, err
	}
	name := layout.Join(path, layout.Manifest)
	if store.CheckName(name) != nil {
		return false, nil
	}
	_, err = f.st.Stat(ctx, name)
	if errors.Is(err, store.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// Open opens the checkpoint at the path; see [Open].
func (f *Format) Open(ctx context.Context, path string) (checkpoint.Checkpoint, error) {
	c, err := Open(ctx, f.st, path, f.opts...)
	if err != nil {
		return nil, err
	}
	return NewModel(c), nil
}

// listAtOnce bounds how many manifests a listing reads at the same time: each
// costs some requests one after the other where the store is a bucket.
const listAtOnce = 8

// List yields what lies directly below a path, which may be "" for the root,
// ascending by id. Manifests are read whole, to compare their checksums, but not
// decoded; some at the same time.
func (f *Format) List(ctx context.Context, path string) iter.Seq2[checkpoint.Info, error] {
	return func(yield func(checkpoint.Info, error) bool) {
		dirs, err := Dirs(ctx, f.st, path)
		if err != nil {
			yield(checkpoint.Info{}, err)
			return
		}
		dirs = slices.DeleteFunc(dirs, func(d Dir) bool { // named like a checkpoint, but nothing in it is of this format
			return !d.Manifest && !d.Copy && d.Objects == 0
		})
		type described struct {
			info checkpoint.Info
			err  error
		}
		ctx, cancel := context.WithCancel(ctx)
		var group sync.WaitGroup
		defer group.Wait()
		defer cancel()
		found := make([]chan described, len(dirs))
		for i := range found {
			found[i] = make(chan described, 1)
		}
		group.Go(func() {
			slots := make(chan struct{}, listAtOnce)
			for i, d := range dirs {
				slots <- struct{}{}
				if ctx.Err() != nil {
					found[i] <- described{err: context.Cause(ctx)}
					return // nobody asks for more than the first error
				}
				group.Go(func() {
					defer func() { <-slots }()
					info, err := f.describe(ctx, d)
					found[i] <- described{info, err}
				})
			}
		})
		for _, c := range found {
			d := <-c
			if !yield(d.info, d.err) || d.err != nil {
				return
			}
		}
	}
}

// describe opens one checkpoint of a listing. The error is one of the storage
// only.
func (f *Format) describe(ctx context.Context, d Dir) (checkpoint.Info, error) {
	c, err := Open(ctx, f.st, d.Path, f.opts...)
	if err == nil {
		// Opening has read the two ends of the manifest. A listing must not call
		// complete what no restore can read, so here all of it is looked at.
		damage := c.manifest.CheckBlocks()
		if damage != nil && !isDamage(damage) {
			return checkpoint.Info{}, errors.Join(fmt.Errorf("reading the manifest of %s: %w", d.Path, damage), c.Close())
		}
		info := infoOf(d.Path, c.manifest)
		info.Notes = c.Notes()
		if len(info.Notes) > 0 {
			damage = info.Notes[0].Err
		}
		if damage != nil {
			info.Status, info.Reason = checkpoint.Damaged, damage
		}
		return info, c.Close()
	}
	if cause := ctx.Err(); cause != nil {
		return checkpoint.Info{}, context.Cause(ctx)
	}
	kind := checkpoint.KindCheckpoint
	if d.Savepoint {
		kind = checkpoint.KindSavepoint
	}
	return checkpoint.Info{Path: d.Path, Kind: kind, Status: checkpoint.StatusOf(err), Reason: err, ID: d.ID,
		Subtasks: checkpoint.UnknownCount, Entries: checkpoint.UnknownCount, Bytes: checkpoint.UnknownCount,
		InFlight:   checkpoint.Totals{Bytes: checkpoint.UnknownCount, Records: checkpoint.UnknownCount},
		Watermarks: checkpoint.Watermarks{Min: format.Unknown, Max: format.Unknown}}, nil
}
