package recovery

import (
	"context"
	"errors"
	"fmt"

	"github.com/tidemark-io/tidemark/checkpoint"
)

// LostAndFound is the name of the object below a salvaged checkpoint that holds
// what reads but belongs to no operator for certain, one JSON document a line.
const LostAndFound = "lost-and-found.jsonl"

// Salvage makes a checkpoint of everything that reads of a damaged one, which
// stays as it is. What could not be read is in the losses of the result; if there
// are none nothing was lost. Holes of keyed state are filled from older, if that
// is not nil: these keys are then as of the older checkpoint. With
// [Target].DryRun it reads all the same, and writes nothing.
//
// Memory is bounded by the manifest, a few numbers for each block of damaged
// objects and each buffer of damaged edges, and a few blocks.
func Salvage(ctx context.Context, src, older checkpoint.Checkpoint, to Target) (*Result, error) {
	return SalvageWith(ctx, src, checkpoint.Salvage{Older: older, LostAndFound: LostAndFound}, to)
}

// SalvageWith is [Salvage] as the options say.
func SalvageWith(ctx context.Context, src checkpoint.Checkpoint, options checkpoint.Salvage, to Target) (*Result, error) {
	return to.apply(ctx, src, checkpoint.Edit{Command: "salvage", External: checkpoint.ExternalKeep, Salvage: &options})
}

// OpenDamaged opens a checkpoint as far as it can be, for [Salvage]. Formats
// without that ability open it as always.
func OpenDamaged(ctx context.Context, f checkpoint.Format, path string) (checkpoint.Checkpoint, error) {
	if s, ok := f.(checkpoint.Salvager); ok {
		return s.OpenDamaged(ctx, path)
	}
	c, err := f.Open(ctx, path)
	if errors.Is(err, checkpoint.ErrDamaged) {
		return nil, fmt.Errorf("%w; nothing can be rebuilt, since in checkpoints of %s only the metadata says which bytes of which file are whose: go back to another checkpoint", err, f.Name())
	}
	return c, err
}
