package reader

import (
	"context"
	"iter"

	"github.com/tidemark-io/tidemark/format"
	"github.com/tidemark-io/tidemark/keygroup"
)

// LostBuffers is in-flight data that cannot be read: a damaged block, or all of a
// slice whose index or object is damaged.
type LostBuffers struct {
	Subtask uint32 // that wrote the slice
	First   uint64 // sequence number of the first lost buffer; only with Known
	Known   bool   // whether First is known: it is not if the index is damaged
	Rows    uint64 // buffers
	Bytes   uint64 // decoded, with the numbers that describe the buffers
	Err     error  // a [*format.CorruptError]
}

// SurvivingBuffers yields the in-flight buffers of an edge as [Checkpoint.Buffers]
// does, but goes on behind damage: it calls lost for what it leaves out, at the
// place where that would have come. Errors of the storage, and of the manifest,
// still end the iteration. What it yields is as well checked as always.
func (c *Checkpoint) SurvivingBuffers(ctx context.Context, edge string, side format.Kind, lost func(LostBuffers)) iter.Seq2[Row[format.Buffer], error] {
	return func(yield func(Row[format.Buffer], error) bool) {
		edges, err := c.Edges()
		if err != nil {
			yield(Row[format.Buffer]{}, err)
			return
		}
		states, err := c.States()
		if err != nil {
			yield(Row[format.Buffer]{}, err)
			return
		}
		for row, s := range states {
			if s.Kind != side || s.Edge < 0 || s.Edge >= len(edges) || edges[s.Edge].ID != edge {
				continue
			}
			for sl, err := range c.Slices(ctx, row) {
				if err != nil {
					yield(Row[format.Buffer]{}, err)
					return
				}
				if sl.Blocks > 0 && !c.survivors(ctx, sl, side, lost, yield) {
					return
				}
			}
		}
	}
}

// survivors yields what is left of one slice. It returns false when the
// iteration is over.
func (c *Checkpoint) survivors(ctx context.Context, s format.Slice, side format.Kind, lost func(LostBuffers), yield func(Row[format.Buffer], error) bool) bool {
	st, err := c.openStream(ctx, s, side, keygroup.All())
	if isDamage(err) {
		lost(LostBuffers{Subtask: s.Subtask, Rows: s.Entries, Bytes: s.Decoded, Err: err})
		return true
	}
	if err != nil {
		yield(Row[format.Buffer]{}, err)
		return false
	}
	defer st.close()
	rows := openBuffers(s.Interval)
	for len(st.refs) > 0 {
		next := st.refs[0]
		_, err := st.next(ctx)
		taken := uint64(0)
		if err == nil {
			for row, rerr := range rows(&st.block) {
				if rerr != nil { // an intact block of a faulty writer
					err = format.Damage(st.h.name, side, st.ref, rerr)
					break
				}
				taken++
				if !yield(Row[format.Buffer]{Subtask: s.Subtask, Row: *row}, nil) {
					return false
				}
			}
		}
		switch {
		case err == nil:
		case !isDamage(err):
			yield(Row[format.Buffer]{}, err)
			return false
		default:
			if len(st.refs) > 0 && st.refs[0] == next { // it could not even be read
				st.refs = st.refs[1:]
			}
			lost(LostBuffers{Subtask: s.Subtask, First: next.First + taken, Known: taken == 0,
				Rows: uint64(next.Rows) - taken, Bytes: uint64(next.Decoded), Err: err})
		}
	}
	return true
}
