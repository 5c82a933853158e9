package format

import (
	"iter"

	"github.com/tidemark-io/tidemark/keygroup"
)

// rowOf is what the types of rows have in common: [Item], [Pair], [Floor],
// [SubtaskWatermark], [ChannelWatermark], [SplitWatermark] and [Buffer].
type rowOf[R any] interface {
	*R
	// fits reports whether blocks of the kind have such rows.
	fits(kind Kind) bool
	// cells states the columns.
	cells(c *rowCodec)
	// first is what BlockRef.First says of a block that begins with the row.
	first() uint64
	// check applies the rules for the row behind prev, which is nil for the
	// first row of a slice of the interval.
	check(prev *R, interval keygroup.Interval) error
	// keep makes the row independent of its block.
	keep()
}

// AppendRow appends a row to a builder of a kind that has such rows. Byte
// slices are copied. That the row keeps its rules is checked by the decoder
// only.
func AppendRow[R any, P rowOf[R]](b *Builder, row P) {
	if !row.fits(b.kind) {
		b.err = invalid("%T in a block of %v", *row, b.kind)
		return
	}
	if b.rows == 0 {
		b.first = row.first()
	}
	c := rowCodec{build: b}
	row.cells(&c)
	b.endRow()
}

// Rows walks the rows of the blocks of one slice, one block after the other,
// and refuses rows that break the order or another rule. (Keyed state and
// timers have [KeyedRows].)
type Rows[R any, P rowOf[R]] struct {
	interval keygroup.Interval
	reader   rowReader
	row      R
	prev     R
	some     bool
}

// NewRows returns a walk over a slice of the interval:
//
//	rows := format.NewRows[format.Floor](slice.Interval)
//	for floor, err := range rows.Of(&block) {
func NewRows[R any, P rowOf[R]](interval keygroup.Interval) *Rows[R, P] {
	return &Rows[R, P]{interval: interval}
}

// Of yields the rows of the next block of the slice. The row and its byte
// slices, which alias the block, hold until the next one. After an error, of
// the class [ErrMalformed], the iteration ends; see [Damage].
func (r *Rows[R, P]) Of(b *Block) iter.Seq2[*R, error] {
	return func(yield func(*R, error) bool) {
		if !P(&r.row).fits(b.kind) {
			yield(nil, invalid("%T of a block of %v", r.row, b.kind))
			return
		}
		r.reader.start(b)
		for n := 0; r.reader.left > 0; n++ {
			var next R
			c := rowCodec{read: &r.reader}
			P(&next).cells(&c)
			r.reader.left--
			err := r.reader.err
			if err == nil {
				var prev *R
				if r.some {
					prev = &r.prev
				}
				if err = P(&next).check(prev, r.interval); err != nil {
					err = malformed("row %d of the block: %v", n, err)
				}
			}
			if err != nil {
				yield(nil, err)
				return
			}
			r.prev, r.row, r.some = next, next, true
			if r.reader.left == 0 {
				P(&r.prev).keep()
			}
			if !yield(&r.row, nil) {
				P(&r.prev).keep()
				return
			}
		}
	}
}
