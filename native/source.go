package native

import (
	"context"
	"fmt"
	"slices"

	"github.com/tidemark-io/tidemark/checkpoint"
	"github.com/tidemark-io/tidemark/format"
	"github.com/tidemark-io/tidemark/reader"
)

// source is the checkpoint that is taken over, with its manifest in memory.
// Objects have the names they lie under now.
type source struct {
	*reader.Checkpoint
	operators []format.Operator
	states    []format.State
	edges     []format.Edge
	objects   []format.Object
	schemas   []*format.Schema
	settings  []format.Setting
	losses    []format.Loss
	slices    [][]format.Slice // by state
}

// openSource reads the manifest of a checkpoint of this format.
func openSource(ctx context.Context, src checkpoint.Checkpoint) (s *source, err error) {
	m, ok := src.(*reader.Model)
	if !ok {
		return nil, checkpoint.Refuse(checkpoint.At(src.Info().Path),
			fmt.Sprintf("this is a %s of another format, which cannot be taken over as it is", src.Info().Kind), "tidemark convert SRC DST")
	}
	s = &source{Checkpoint: m.Checkpoint()}
	if s.operators, err = s.Operators(); err != nil {
		return nil, err
	}
	if s.states, err = s.States(); err != nil {
		return nil, err
	}
	if s.edges, err = s.Edges(); err != nil {
		return nil, err
	}
	if s.objects, err = s.Objects(); err != nil {
		return nil, err
	}
	if s.schemas, err = s.Schemas(); err != nil {
		return nil, err
	}
	if s.settings, err = s.Settings(); err != nil {
		return nil, err
	}
	if s.losses, err = s.Losses(); err != nil {
		return nil, err
	}
	s.slices = make([][]format.Slice, len(s.states))
	for sl, err := range s.Slices(ctx, -1) {
		if err != nil {
			return nil, err
		}
		s.slices[sl.State] = append(s.slices[sl.State], sl)
	}
	return s, nil
}

// schema is a row of the schemas, nil for none.
func (s *source) schema(row int) *format.Schema {
	if row < 0 || row >= len(s.schemas) {
		return nil
	}
	return s.schemas[row]
}

// statesOf lists the states of an edge of one kind: the row of each.
func (s *source) statesOf(edge int, kind format.Kind) []int {
	var rows []int
	for row, st := range s.states {
		if st.Kind == kind && st.Edge == edge {
			rows = append(rows, row)
		}
	}
	return rows
}

// inFlightBytes is what an edge has in flight as stored.
func (s *source) inFlightBytes(edge int) (bytes uint64) {
	for _, kind := range channelKinds {
		for _, row := range s.statesOf(edge, kind) {
			for _, sl := range s.slices[row] {
				bytes += sl.Bytes
			}
		}
	}
	return bytes
}

// channelKinds are the two halves of in-flight data, in the order in which they
// are joined.
var channelKinds = []format.Kind{format.KindInputChannel, format.KindOutputChannel}

// check compares the edit with what is there.
func (s *source) check(ctx context.Context, src checkpoint.Checkpoint, edit checkpoint.Edit) error {
	operators, err := all(src.Operators(ctx))
	if err != nil {
		return err
	}
	states, err := all(src.States(ctx))
	if err != nil {
		return err
	}
	edges, err := all(src.Edges(ctx))
	if err != nil {
		return err
	}
	return edit.Check(operators, states, edges)
}

// all collects an iteration.
func all[T any](items func(func(T, error) bool)) (list []T, err error) {
	for v, e := range items {
		if e != nil {
			return nil, e
		}
		list = append(list, v)
	}
	return list, nil
}

// counts are the items of a list by the subtask that wrote them: the input of
// the plans of package rescale.
func (s *source) counts(state int) []uint64 {
	counts := make([]uint64, s.operators[s.states[state].Operator].Parallelism)
	for _, sl := range s.slices[state] {
		if grow := int(sl.Subtask) + 1 - len(counts); grow > 0 {
			counts = slices.Concat(counts, make([]uint64, grow))
		}
		counts[sl.Subtask] += sl.Entries
	}
	return counts
}
