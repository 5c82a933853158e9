package reader

import (
	"fmt"
	"iter"

	"github.com/tidemark-io/tidemark/format"
	"github.com/tidemark-io/tidemark/keygroup/keyhash"
)

// recordWalk looks into the blocks of one slice: order, place and types of the
// entries.
type recordWalk struct {
	block func(*format.Block, format.BlockRef) error
}

// newRecordWalk returns the walk over a slice from any of its blocks on. hashed
// says whether the hashes are those of [keyhash].
func newRecordWalk(s *sliceCheck, types schemas, hashed bool) recordWalk {
	iv := s.Interval
	switch s.kind {
	case format.KindKeyed, format.KindTimer:
		return recordWalk{types.keyed(format.NewKeyedRows(iv), hashed)}
	case format.KindSplitList, format.KindUnionList:
		return walkRows(openItems(iv), func(r *format.Item) error { return validate("item", types.value, r.Value) })
	case format.KindBroadcast:
		return walkRows(openPairs(iv), func(r *format.Pair) error { return validate("value", types.value, r.Value) })
	case format.KindFloor:
		return walkRows(openFloors(iv), nothing[format.Floor])
	case format.KindSubtaskWatermark:
		return walkRows(openSubtaskWatermarks(iv), nothing[format.SubtaskWatermark])
	case format.KindChannelWatermark:
		return walkRows(openChannelWatermarks(iv), nothing[format.ChannelWatermark])
	case format.KindSplitWatermark:
		return walkRows(openSplitWatermarks(iv), nothing[format.SplitWatermark])
	default:
		return walkRows(openBuffers(iv), nothing[format.Buffer])
	}
}

// schemas are the types of a state's entries, nil where none is stored.
type schemas struct{ key, namespace, value *format.Schema }

// typesOf finds the schemas of a slice's state. A slice that the manifest does
// not name has none, and neither has one whose schemas are damaged, which the
// manifest's own check says.
func typesOf(c *Checkpoint, s *sliceCheck) (t schemas, err error) {
	if !s.referenced {
		return t, nil
	}
	defer func() {
		if isDamage(err) {
			t, err = schemas{}, nil
		}
	}()
	states, err := c.States()
	if err != nil {
		return t, err
	}
	operators, err := c.Operators()
	if err != nil {
		return t, err
	}
	st := states[s.State]
	if s.kind.ByHash() {
		if t.key, err = c.schema(operators[st.Operator].KeySchema); err != nil {
			return t, err
		}
	}
	if t.namespace, err = c.schema(st.Namespace); err != nil {
		return t, err
	}
	t.value, err = c.schema(st.Value)
	return t, err
}

// keyed checks keyed state and timers.
func (t schemas) keyed(rows *format.KeyedRows, hashed bool) func(*format.Block, format.BlockRef) error {
	return func(b *format.Block, ref format.BlockRef) error {
		rows.Start(b)
		for n := 0; rows.Next(); n++ {
			if n == 0 && uint64(rows.Hash) != ref.First {
				return fmt.Errorf("%w: the block begins with hash %08x, its index says %08x", format.ErrMalformed, uint32(rows.Hash), ref.First)
			}
			if hashed {
				if h := keyhash.Of(rows.Key); h != rows.Hash {
					return fmt.Errorf("%w: row %d has hash %08x, its key has %08x", format.ErrMalformed, n, uint32(rows.Hash), uint32(h))
				}
			}
			err := validate("key", t.key, rows.Key)
			if err == nil {
				err = validate("namespace", t.namespace, rows.Namespace)
			}
			if err == nil && b.Kind() == format.KindKeyed {
				err = validate("value", t.value, rows.Value)
			}
			if err != nil {
				return fmt.Errorf("row %d: %w", n, err)
			}
		}
		return rows.Err()
	}
}

// walkRows checks the rows of other kinds.
func walkRows[R any](of func(*format.Block) iter.Seq2[*R, error], check func(*R) error) recordWalk {
	return recordWalk{func(b *format.Block, _ format.BlockRef) error {
		n := 0
		for row, err := range of(b) {
			if err == nil {
				err = check(row)
			}
			if err != nil {
				return fmt.Errorf("row %d: %w", n, err)
			}
			n++
		}
		return nil
	}}
}

// nothing accepts every row: its own rules are all there are.
func nothing[R any](*R) error { return nil }
