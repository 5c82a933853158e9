package recovery

import (
	"cmp"
	"context"
	"strconv"

	"github.com/tidemark-io/tidemark/checkpoint"
	"github.com/tidemark-io/tidemark/keygroup"
	"github.com/tidemark-io/tidemark/rescale"
)

// parallelismSetting is the configuration key of the parallelism that operators
// have unless the job gives them one of their own.
const parallelismSetting = "parallelism.default"

// Rescaling is a new parallelism or number of key groups. Zero values change
// nothing.
type Rescaling struct {
	// Parallelism is that of all operators but those to which the job gave one
	// of their own, as far as the recorded configuration tells.
	Parallelism uint32
	Operators   map[string]uint32 // parallelism by uid; counts before Parallelism
	KeyGroups   uint32            // of all operators with keys
	GroupsOf    map[string]uint32 // key groups by uid; counts before KeyGroups
	// Strip selects in-flight data to leave out, for connections whose data
	// cannot be redistributed.
	Strip []checkpoint.Selector
	// KeyHash is as in [checkpoint.Edit].
	KeyHash map[string]string
}

// Rescale makes a checkpoint as if the job had run at another parallelism, or
// with another number of key groups. If in-flight data of a connection cannot be
// redistributed the error is a [checkpoint.RefusedError].
func Rescale(ctx context.Context, src checkpoint.Checkpoint, r Rescaling, to Target) (*Result, error) {
	edit, err := r.edit(ctx, src)
	if err != nil {
		return nil, err
	}
	return to.apply(ctx, src, edit)
}

// edit turns the wish into new layouts.
func (r *Rescaling) edit(ctx context.Context, src checkpoint.Checkpoint) (checkpoint.Edit, error) {
	edit := checkpoint.Edit{Command: "rescale", Layouts: map[string]checkpoint.Layout{}, External: checkpoint.ExternalKeep, KeyHash: r.KeyHash}
	if r.Parallelism == 0 && len(r.Operators) == 0 && r.KeyGroups == 0 && len(r.GroupsOf) == 0 {
		return edit, &checkpoint.EditError{Mistakes: []string{"neither a parallelism nor a number of key groups is named"}}
	}
	usual, err := recordedParallelism(ctx, src)
	if err != nil {
		return edit, err
	}
	for op, err := range src.Operators(ctx) {
		if err != nil {
			return edit, err
		}
		var l checkpoint.Layout
		if usual == 0 || op.Parallelism == usual {
			l.Parallelism = r.Parallelism
		}
		if op.KeyGroups > 0 {
			l.KeyGroups = r.KeyGroups
		}
		l.Parallelism, l.KeyGroups = cmp.Or(r.Operators[op.UID], l.Parallelism), cmp.Or(r.GroupsOf[op.UID], l.KeyGroups)
		if l != (checkpoint.Layout{}) {
			edit.Layouts[op.UID] = l
		}
	}
	// What is named and not there is for the check of the edit to say.
	for uid, p := range r.Operators {
		edit.Layouts[uid] = checkpoint.Layout{Parallelism: p, KeyGroups: edit.Layouts[uid].KeyGroups}
	}
	for uid, m := range r.GroupsOf {
		edit.Layouts[uid] = checkpoint.Layout{Parallelism: edit.Layouts[uid].Parallelism, KeyGroups: m}
	}
	if r.Parallelism != 0 { // so that the next rescale knows what is usual
		edit.Settings = map[string]string{parallelismSetting: strconv.FormatUint(uint64(r.Parallelism), 10)}
	}
	for _, sel := range r.Strip {
		edit.Drop = append(edit.Drop, checkpoint.Drop{Kind: checkpoint.DropInFlight, Selector: sel})
	}
	return edit, nil
}

// recordedParallelism is the parallelism that the configuration of the job gives
// to operators without one of their own, 0 if that is not known.
func recordedParallelism(ctx context.Context, src checkpoint.Checkpoint) (uint32, error) {
	c, ok := src.(checkpoint.Configured)
	if !ok {
		return 0, nil
	}
	for s, err := range c.Settings(ctx) {
		if err != nil {
			return 0, err
		}
		if s.Key == parallelismSetting {
			n, _ := strconv.ParseUint(s.Value, 10, 32) // 0 if it is no number: not known
			return uint32(n), nil
		}
	}
	return 0, nil
}

// layoutPlans describes the operators whose layout an edit changes.
func layoutPlans(ctx context.Context, src checkpoint.Checkpoint, edit checkpoint.Edit) ([]OperatorPlan, error) {
	if len(edit.Layouts) == 0 {
		return nil, nil
	}
	kind := src.Info().Kind
	hashed := kind != checkpoint.KindFlinkCheckpoint && kind != checkpoint.KindFlinkSavepoint
	var plans []OperatorPlan
	for op, err := range src.Operators(ctx) {
		if err != nil {
			return nil, err
		}
		l, ok := edit.Layouts[op.UID]
		if l = l.Of(op); !ok || l == (checkpoint.Layout{Parallelism: op.Parallelism, KeyGroups: op.KeyGroups}) {
			continue
		}
		p := OperatorPlan{UID: op.UID, Hashed: hashed, Old: rescale.Layout{Groups: int(op.KeyGroups), Parallelism: int(op.Parallelism)},
			New: rescale.Layout{Groups: int(l.KeyGroups), Parallelism: int(l.Parallelism)}}
		if layered, ok := src.(checkpoint.Layered); ok && op.KeyGroups > 0 {
			weights, err := p.weights(ctx, layered)
			if err != nil {
				return nil, err
			}
			p.Before = rescale.Shares(weights, p.Old)
			if !p.Hashed && p.Old.Groups != p.New.Groups { // its keys go anywhere
				for i := range weights {
					weights[i].Interval = keygroup.All()
				}
			}
			p.After = rescale.Shares(weights, p.New)
		}
		plans = append(plans, p)
	}
	return plans, nil
}

// weights tells where an operator's keyed state and timers lie. Where key groups
// are no intervals of hashes, those of equal place stand for them: so shares come
// out right as long as the number of key groups is the same.
func (p *OperatorPlan) weights(ctx context.Context, c checkpoint.Layered) ([]rescale.Weight, error) {
	var weights []rescale.Weight
	for part, err := range c.Parts(ctx, checkpoint.Selector{Operator: p.UID}) {
		if err != nil {
			return nil, err
		}
		if part.State.Kind != checkpoint.Keyed && part.State.Kind != checkpoint.Timers {
			continue
		}
		if !p.Hashed {
			part.Interval = p.Old.Interval(int(part.Subtask))
		}
		if n, ok := part.Bytes.Known(); ok {
			weights = append(weights, rescale.Weight{Interval: part.Interval, Amount: n})
		}
	}
	return weights, nil
}
