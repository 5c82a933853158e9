package edit

import (
	"context"
	"errors"
	"fmt"

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

	_ checkpoint.Salvager = (*Format)(nil)
)

// NewFormat returns Flink's format on a store.
func NewFormat(st store.Store, opts ...flink.Option) *Format {
	return &Format{Format: flink.NewFormat(st, opts...), st: st}
}

// OpenDamaged is Open: of metadata that does not read nothing can be rebuilt, and the
// error says so. See [checkpoint.Salvager].
func (f *Format) OpenDamaged(ctx context.Context, path string) (checkpoint.Checkpoint, error) {
	c, err := f.Open(ctx, path)
	if errors.Is(err, checkpoint.ErrDamaged) {
		return nil, fmt.Errorf("%w; nothing can be rebuilt, since only the metadata says which bytes of which file are whose: go back to another checkpoint", err)
	}
	return c, err
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
