package edit

import (
	"context"

	"github.com/tidemark-io/tidemark/checkpoint"
	"github.com/tidemark-io/tidemark/flink"
	"github.com/tidemark-io/tidemark/store"
)

// Format is Flink's format on one store: [flink.Format] with the ability to make
// checkpoints.
type Format struct {
	*flink.Format
	st store.Store
}

var (
	_ checkpoint.Format = (*Format)(nil)
	_ checkpoint.Lister = (*Format)(nil)
	_ checkpoint.Editor = (*Format)(nil)
)

// NewFormat returns Flink's format on a store.
func NewFormat(st store.Store, opts ...flink.Option) *Format {
	return &Format{Format: flink.NewFormat(st, opts...), st: st}
}

// Plan tells what Apply would do; see [checkpoint.Editor].
func (f *Format) Plan(ctx context.Context, src checkpoint.Checkpoint, edit checkpoint.Edit, dst string) (checkpoint.Outcome, error) {
	j, err := f.prepare(ctx, src, edit, dst)
	if err != nil {
		return checkpoint.Outcome{}, err
	}
	return j.outcome(), nil
}

// Apply makes a checkpoint; see [checkpoint.Editor].
func (f *Format) Apply(ctx context.Context, src checkpoint.Checkpoint, edit checkpoint.Edit, dst string, progress func(checkpoint.Progress)) (checkpoint.Outcome, error) {
	j, err := f.prepare(ctx, src, edit, dst)
	if err != nil {
		return checkpoint.Outcome{}, err
	}
	j.progress = progress
	if err := j.run(); err != nil {
		return checkpoint.Outcome{}, err
	}
	return j.outcome(), nil
}
