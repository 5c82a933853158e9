package runtime

import (
	"context"
	"fmt"
	"slices"

	"github.com/tidemark-io/tidemark/format"
	"github.com/tidemark-io/tidemark/rescale"
	"github.com/tidemark-io/tidemark/writer"
)

// Pairs hands over a broadcast state; keys ascend. The pairs must not be changed
// afterwards.
func (s *Snapshot) Pairs(spec StateSpec, pairs []format.Pair) {
	s.Add(spec, func(_ context.Context, sl *writer.Slice) error {
		for i := range pairs {
			if err := sl.Pair(pairs[i].Key, pairs[i].Value); err != nil {
				return err
			}
		}
		return nil
	}, nil)
}

// RestoreBroadcast returns the copy of a broadcast state that this subtask gets,
// keys ascending. The copies of all subtasks are equal, since barriers do not
// overtake what is broadcast.
func (e *Env) RestoreBroadcast(spec StateSpec) ([]format.Pair, error) {
	if found, err := e.declare(spec); !found {
		return nil, err
	}
	ck := e.attempt.restored.ck
	copies, err := ck.Copies(e.Context(), e.UID, spec.Name)
	if err != nil || len(copies) == 0 {
		return nil, err
	}
	from := copies[rescale.Broadcast(len(copies), e.Parallelism)[e.Subtask]]
	m := e.attempt.restored.migration(e.UID, spec)
	var pairs []format.Pair
	for p, err := range ck.Pairs(e.Context(), e.UID, spec.Name, from) {
		if err != nil {
			return nil, fmt.Errorf("restoring state %q: %w", spec.Name, err)
		}
		value, err := m.value(nil, p.Row.Value)
		if err != nil {
			return nil, fmt.Errorf("restoring state %q: %w", spec.Name, err)
		}
		pairs = append(pairs, format.Pair{Key: slices.Clone(p.Row.Key), Value: value})
	}
	return pairs, nil
}
