package recovery

import (
	"context"
	"errors"
	"fmt"

	"github.com/tidemark-io/tidemark/checkpoint"
	"github.com/tidemark-io/tidemark/keygroup"
	"github.com/tidemark-io/tidemark/rescale"
)

// ErrNotEditable is the error of making a checkpoint in a format that cannot be
// written that way.
var ErrNotEditable = errors.New("checkpoints of this format cannot be made this way")

// Target says where the result of a tool goes.
type Target struct {
	Format   checkpoint.Format // of the result, on its store
	Path     string            // below that store's root; nothing may be there yet
	Software string            // that the result names as its writer
	DryRun   bool              // only plan
	Progress func(checkpoint.Progress)
	// CopyExternal copies files outside, with [checkpoint.ExternalCopy]; nil
	// where that is not possible.
	CopyExternal checkpoint.CopyExternal
}

// Result is what a tool did, or with [Target].DryRun would do.
type Result struct {
	checkpoint.Outcome
	Operators []OperatorPlan // whose layout changes
}

// OperatorPlan is the plan of an operator with a new layout.
type OperatorPlan struct {
	UID      string // as in the source
	Old, New rescale.Layout
	// Hashed: key groups are intervals of hashes, so that each subtask owns one.
	// Flink's are not.
	Hashed bool
	// Before and After are about how much keyed state and timers, in bytes as
	// stored, each subtask has; nil for operators without keys.
	Before, After []uint64
}

// Intervals are the hashes that each new subtask owns, nil without keys and where
// that is no interval.
func (p *OperatorPlan) Intervals() []keygroup.Interval {
	if !p.Hashed {
		return nil
	}
	return p.New.Intervals()
}

// SkewBefore and SkewAfter are the largest share divided by the mean.
func (p *OperatorPlan) SkewBefore() float64 { return rescale.Skew(p.Before) }

// SkewAfter is that of the new layout.
func (p *OperatorPlan) SkewAfter() float64 { return rescale.Skew(p.After) }

// Strip makes a checkpoint without something: in-flight data, states, whole
// operators. What is lost stands in the result's manifest and in the outcome.
func Strip(ctx context.Context, src checkpoint.Checkpoint, drop []checkpoint.Drop, to Target) (*Result, error) {
	if len(drop) == 0 {
		return nil, &checkpoint.EditError{Mistakes: []string{"nothing is named that is to be left out"}}
	}
	return to.apply(ctx, src, checkpoint.Edit{Command: "strip", Drop: drop, External: checkpoint.ExternalKeep})
}

// Remap makes a checkpoint whose operators have other uids: from the old one to
// the new one. Connections are renamed with them.
func Remap(ctx context.Context, src checkpoint.Checkpoint, rename map[string]string, to Target) (*Result, error) {
	if len(rename) == 0 {
		return nil, &checkpoint.EditError{Mistakes: []string{"no uid is named that is to be another"}}
	}
	return to.apply(ctx, src, checkpoint.Edit{Command: "remap", Rename: rename, External: checkpoint.ExternalKeep})
}

// Copy makes a copy that depends on nothing of its source: what the source uses
// of shared objects comes along. A checkpoint that goes to a directory of its
// own name, in another root, stays one; otherwise the copy is a savepoint.
// External says what becomes of files outside that it refers to; with
// [checkpoint.ExternalRefuse] the error is a [checkpoint.RefusedError] if there
// are any.
func Copy(ctx context.Context, src checkpoint.Checkpoint, external checkpoint.ExternalFiles, to Target) (*Result, error) {
	return CopyAs(ctx, src, external, "", to)
}

// CopyAs is Copy into a version of the format, for software that does not read
// the source's; "" stands for that.
func CopyAs(ctx context.Context, src checkpoint.Checkpoint, external checkpoint.ExternalFiles, version string, to Target) (*Result, error) {
	return to.apply(ctx, src, checkpoint.Edit{Command: "cp", External: external, KeepKind: true, Version: version})
}

// apply hands an edit to the format of the destination.
func (to *Target) apply(ctx context.Context, src checkpoint.Checkpoint, edit checkpoint.Edit) (*Result, error) {
	editor, ok := to.Format.(checkpoint.Editor)
	if !ok {
		return nil, fmt.Errorf("%s: %w", to.Path, ErrNotEditable)
	}
	edit.Software, edit.CopyExternal = to.Software, to.CopyExternal
	plans, err := layoutPlans(ctx, src, edit)
	if err != nil {
		return nil, err
	}
	r := &Result{Operators: plans}
	if to.DryRun {
		r.Outcome, err = editor.Plan(ctx, src, edit, to.Path)
	} else {
		r.Outcome, err = editor.Apply(ctx, src, edit, to.Path, to.Progress)
	}
	if err != nil {
		return nil, err
	}
	return r, nil
}
