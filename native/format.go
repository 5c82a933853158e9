// Package native makes checkpoints of Tidemark's own format out of others: it is
// what the tools that write (rescale, strip, remap, cp) do with native
// checkpoints, in the terms of [checkpoint.Edit].
//
// A checkpoint is mostly taken over by reference. Slices of keyed state are
// intervals of hashes, so that another parallelism, another number of key
// groups or another uid only needs a new manifest, and second names for the
// data objects in the new directory: hard links within one store, copies
// otherwise, without decoding. Only what has another content is written anew:
// lists that are split differently, watermarks by subtask, and in-flight data
// that goes to other receivers, which is cut at record boundaries and
// distributed by the hash that each record carries.
//
// The result is the same snapshot in another shape: it keeps the id, the
// lineage and the run of its source, so that a restore still notices output
// that was published later. It is a savepoint, which may lie anywhere.
//
// Memory is bounded by the manifest, an index of the in-flight buffers and a few
// blocks, whatever the size of the state.
//
// Non-goals: deciding what to change, and reading other formats.
package native

import (
	"context"

	"github.com/tidemark-io/tidemark/checkpoint"
	"github.com/tidemark-io/tidemark/reader"
	"github.com/tidemark-io/tidemark/store"
)

// Format is the native format on one store: [reader.Format] with the ability to
// make checkpoints.
type Format struct {
	*reader.Format
	st store.Store
}

var (
	_ checkpoint.Format   = (*Format)(nil)
	_ checkpoint.Lister   = (*Format)(nil)
	_ checkpoint.Editor   = (*Format)(nil)
	_ checkpoint.Salvager = (*Format)(nil)
)

// NewFormat returns the native format on a store. The options are those of every
// checkpoint that it opens.
func NewFormat(st store.Store, opts ...reader.Option) *Format {
	return &Format{Format: reader.NewFormat(st, opts...), st: st}
}

// Plan tells what Apply would do; see [checkpoint.Editor].
func (f *Format) Plan(ctx context.Context, src checkpoint.Checkpoint, edit checkpoint.Edit, dst string) (checkpoint.Outcome, error) {
	if edit.Salvage != nil {
		return f.salvage(ctx, src, edit, dst, false, nil)
	}
	j, err := f.prepare(ctx, src, edit, dst)
	if err != nil {
		return checkpoint.Outcome{}, err
	}
	return j.outcome()
}

// Apply makes a checkpoint; see [checkpoint.Editor].
func (f *Format) Apply(ctx context.Context, src checkpoint.Checkpoint, edit checkpoint.Edit, dst string, progress func(checkpoint.Progress)) (checkpoint.Outcome, error) {
	if edit.Salvage != nil {
		return f.salvage(ctx, src, edit, dst, true, progress)
	}
	j, err := f.prepare(ctx, src, edit, dst)
	if err != nil {
		return checkpoint.Outcome{}, err
	}
	j.progress = progress
	if err := j.run(); err != nil {
		return checkpoint.Outcome{}, err
	}
	return j.outcome()
}
