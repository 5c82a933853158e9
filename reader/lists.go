package reader

import (
	"context"
	"iter"

	"github.com/tidemark-io/tidemark/format"
	"github.com/tidemark-io/tidemark/keygroup"
)

// Row is a row of a state that is not keyed, with the subtask that wrote it. Its
// byte slices are valid until the iterator's next step and must not be changed.
type Row[R any] struct {
	Subtask uint32
	Row     R
}

// opener makes the walk over one slice's rows; see [format.NewRows].
type opener[R any] func(keygroup.Interval) func(*format.Block) iter.Seq2[*R, error]

// rowsOf yields the rows of the slices of a state, a row of States, that accept
// chooses.
func rowsOf[R any](ctx context.Context, c *Checkpoint, state int, kind format.Kind, accept func(format.Slice) bool, open opener[R]) iter.Seq2[Row[R], error] {
	return func(yield func(Row[R], error) bool) {
		for s, err := range c.Slices(ctx, state) {
			if err != nil {
				yield(Row[R]{}, err)
				return
			}
			if s.Blocks > 0 && accept(s) && !sliceRows(ctx, c, s, kind, open, yield) {
				return
			}
		}
	}
}

// sliceRows yields the rows of one slice. It returns false when the iteration
// is over.
func sliceRows[R any](ctx context.Context, c *Checkpoint, s format.Slice, kind format.Kind, open opener[R], yield func(Row[R], error) bool) bool {
	st, err := c.openStream(ctx, s, kind, keygroup.All())
	if err != nil {
		yield(Row[R]{}, err)
		return false
	}
	defer st.close()
	of := open(s.Interval)
	for {
		ok, err := st.next(ctx)
		if err != nil {
			yield(Row[R]{}, err)
			return false
		}
		if !ok {
			return true
		}
		for row, err := range of(&st.block) {
			if err != nil {
				yield(Row[R]{}, format.Damage(st.h.name, kind, st.ref, err))
				return false
			}
			if !yield(Row[R]{Subtask: s.Subtask, Row: *row}, nil) {
				return false
			}
		}
	}
}

// every accepts all slices.
func every(format.Slice) bool { return true }

// named finds one state by its name and yields its rows.
func named[R any](ctx context.Context, c *Checkpoint, uid, state string, kind format.Kind, accept func(format.Slice) bool, open opener[R]) iter.Seq2[Row[R], error] {
	return func(yield func(Row[R], error) bool) {
		row, _, err := c.FindState(uid, state, kind)
		if err != nil {
			yield(Row[R]{}, err)
			return
		}
		rowsOf(ctx, c, row, kind, accept, open)(yield)
	}
}

// allOf yields the rows of all states of a kind that an operator has, none if it
// has no such state.
func allOf[R any](ctx context.Context, c *Checkpoint, uid string, kind format.Kind, accept func(format.Slice) bool, open opener[R]) iter.Seq2[Row[R], error] {
	return func(yield func(Row[R], error) bool) {
		states, err := c.statesOf(uid, kind)
		if err != nil {
			yield(Row[R]{}, err)
			return
		}
		for _, row := range states {
			for r, err := range rowsOf(ctx, c, row, kind, accept, open) {
				if !yield(r, err) || err != nil {
					return
				}
			}
		}
	}
}

// listKind is the kind of the list of this name: a split list or a union list.
func (c *Checkpoint) listKind(uid, state string) (format.Kind, int, error) {
	if row, _, err := c.FindState(uid, state, format.KindUnionList); err == nil {
		return format.KindUnionList, row, nil
	}
	row, _, err := c.FindState(uid, state, format.KindSplitList)
	return format.KindSplitList, row, err
}

// ItemCounts tells how many items each old subtask wrote of a split or union
// list: the input of the plans of package rescale. Its length is the operator's
// parallelism.
func (c *Checkpoint) ItemCounts(ctx context.Context, uid, state string) ([]uint64, error) {
	_, row, err := c.listKind(uid, state)
	if err != nil {
		return nil, err
	}
	operators, err := c.Operators()
	if err != nil {
		return nil, err
	}
	states, err := c.States()
	if err != nil {
		return nil, err
	}
	counts := make([]uint64, operators[states[row].Operator].Parallelism)
	for s, err := range c.Slices(ctx, row) {
		if err != nil {
			return nil, err
		}
		for uint64(s.Subtask) >= uint64(len(counts)) { // a subtask beyond the parallelism: bounded by the format
			counts = append(counts, 0)
		}
		counts[s.Subtask] += s.Entries
	}
	return counts, nil
}

// Items yields the items of a split or union list, subtask by subtask.
func (c *Checkpoint) Items(ctx context.Context, uid, state string) iter.Seq2[Row[format.Item], error] {
	return c.items(ctx, uid, state, every)
}

func (c *Checkpoint) items(ctx context.Context, uid, state string, accept func(format.Slice) bool) iter.Seq2[Row[format.Item], error] {
	return func(yield func(Row[format.Item], error) bool) {
		kind, row, err := c.listKind(uid, state)
		if err != nil {
			yield(Row[format.Item]{}, err)
			return
		}
		rowsOf(ctx, c, row, kind, accept, openItems)(yield)
	}
}

// ItemsOf yields count items of what one subtask wrote of a list, beginning with
// item first: a run of a plan of package rescale.
func (c *Checkpoint) ItemsOf(ctx context.Context, uid, state string, subtask uint32, first, count uint64) iter.Seq2[Row[format.Item], error] {
	all := c.items(ctx, uid, state, func(s format.Slice) bool { return s.Subtask == subtask })
	return func(yield func(Row[format.Item], error) bool) {
		left, skip := count, first
		if left == 0 {
			return
		}
		for r, err := range all {
			if err == nil && skip > 0 {
				skip--
				continue
			}
			if !yield(r, err) || err != nil {
				return
			}
			if left--; left == 0 {
				return
			}
		}
	}
}

// Pairs yields the copy of a broadcast state that one subtask wrote.
func (c *Checkpoint) Pairs(ctx context.Context, uid, state string, subtask uint32) iter.Seq2[Row[format.Pair], error] {
	return named(ctx, c, uid, state, format.KindBroadcast, func(s format.Slice) bool { return s.Subtask == subtask }, openPairs)
}

// Copies lists the subtasks that wrote a copy of a broadcast state, ascending.
func (c *Checkpoint) Copies(ctx context.Context, uid, state string) ([]uint32, error) {
	row, _, err := c.FindState(uid, state, format.KindBroadcast)
	if err != nil {
		return nil, err
	}
	var subtasks []uint32
	for s, err := range c.Slices(ctx, row) {
		if err != nil {
			return nil, err
		}
		if n := len(subtasks); n == 0 || subtasks[n-1] != s.Subtask {
			subtasks = append(subtasks, s.Subtask)
		}
	}
	return subtasks, nil
}

// Floors yields the floors of an operator's union watermark state that overlap
// an interval, ascending, each cut to it.
func (c *Checkpoint) Floors(ctx context.Context, uid string, iv keygroup.Interval) iter.Seq2[Row[format.Floor], error] {
	all := allOf(ctx, c, uid, format.KindFloor, func(s format.Slice) bool { return s.Interval.Overlaps(iv) }, openFloors)
	return func(yield func(Row[format.Floor], error) bool) {
		for r, err := range all {
			if err == nil {
				if r.Row.Interval = r.Row.Interval.Intersect(iv); r.Row.Interval.Empty() {
					continue
				}
			}
			if !yield(r, err) || err != nil {
				return
			}
		}
	}
}

// SubtaskWatermarks yields what the subtasks of an operator knew at the snapshot.
func (c *Checkpoint) SubtaskWatermarks(ctx context.Context, uid string) iter.Seq2[Row[format.SubtaskWatermark], error] {
	return allOf(ctx, c, uid, format.KindSubtaskWatermark, every, openSubtaskWatermarks)
}

// ChannelWatermarks yields the watermarks of one edge's channels at the
// receiving operator.
func (c *Checkpoint) ChannelWatermarks(ctx context.Context, edge string) iter.Seq2[Row[format.ChannelWatermark], error] {
	return ofEdge(ctx, c, edge, format.KindChannelWatermark, openChannelWatermarks)
}

// SplitWatermarks yields the watermarks of a source's splits.
func (c *Checkpoint) SplitWatermarks(ctx context.Context, uid string) iter.Seq2[Row[format.SplitWatermark], error] {
	return allOf(ctx, c, uid, format.KindSplitWatermark, every, openSplitWatermarks)
}

// Buffers yields the in-flight buffers of an edge: the receiving side's for
// [format.KindInputChannel], the sending side's for [format.KindOutputChannel].
func (c *Checkpoint) Buffers(ctx context.Context, edge string, side format.Kind) iter.Seq2[Row[format.Buffer], error] {
	return ofEdge(ctx, c, edge, side, openBuffers)
}

// ofEdge yields the rows of all states of a kind that belong to an edge.
func ofEdge[R any](ctx context.Context, c *Checkpoint, edge string, kind format.Kind, open opener[R]) iter.Seq2[Row[R], error] {
	return func(yield func(Row[R], error) bool) {
		edges, err := c.Edges()
		if err != nil {
			yield(Row[R]{}, err)
			return
		}
		states, err := c.States()
		if err != nil {
			yield(Row[R]{}, err)
			return
		}
		for row, s := range states {
			if s.Kind != kind || s.Edge < 0 || s.Edge >= len(edges) || edges[s.Edge].ID != edge {
				continue
			}
			for r, err := range rowsOf(ctx, c, row, kind, every, open) {
				if !yield(r, err) || err != nil {
					return
				}
			}
		}
	}
}

// The openers of the types of rows.
func openItems(iv keygroup.Interval) func(*format.Block) iter.Seq2[*format.Item, error] {
	return format.NewRows[format.Item](iv).Of
}

func openPairs(iv keygroup.Interval) func(*format.Block) iter.Seq2[*format.Pair, error] {
	return format.NewRows[format.Pair](iv).Of
}

func openFloors(iv keygroup.Interval) func(*format.Block) iter.Seq2[*format.Floor, error] {
	return format.NewRows[format.Floor](iv).Of
}

func openSubtaskWatermarks(iv keygroup.Interval) func(*format.Block) iter.Seq2[*format.SubtaskWatermark, error] {
	return format.NewRows[format.SubtaskWatermark](iv).Of
}

func openChannelWatermarks(iv keygroup.Interval) func(*format.Block) iter.Seq2[*format.ChannelWatermark, error] {
	return format.NewRows[format.ChannelWatermark](iv).Of
}

func openSplitWatermarks(iv keygroup.Interval) func(*format.Block) iter.Seq2[*format.SplitWatermark, error] {
	return format.NewRows[format.SplitWatermark](iv).Of
}

func openBuffers(iv keygroup.Interval) func(*format.Block) iter.Seq2[*format.Buffer, error] {
	return format.NewRows[format.Buffer](iv).Of
}
