package place

import (
	"context"
	"fmt"

	"github.com/tidemark-io/tidemark/checkpoint"
	"github.com/tidemark-io/tidemark/recovery"
)

// OpenDamaged opens the checkpoint at a path below the root as far as it can be,
// for a salvage, with the format that recognises it.
func (p *Place) OpenDamaged(ctx context.Context, below string) (checkpoint.Checkpoint, error) {
	for _, f := range p.formats {
		ok, err := f.Probe(ctx, below)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", p.Show(below), err)
		}
		if !ok {
			continue
		}
		c, err := recovery.OpenDamaged(ctx, f, below)
		if err != nil {
			return nil, p.named(below, err)
		}
		return c, nil
	}
	return nil, fmt.Errorf("%s: %w", p.Show(below), checkpoint.ErrNone)
}

// Salvages reports whether what lies at a path below the root is of a format that
// can be salvaged.
func (p *Place) Salvages(ctx context.Context, below string) bool {
	_, ok := p.formats[p.formatOf(ctx, below)].(checkpoint.Salvager)
	return ok
}
