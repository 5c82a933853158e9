package format

import (
	"iter"
	"math"
)

// indexRow carries one row of a block index. back is the distance from the
// index to the block: an index has no absolute offsets, so a slice can be moved
// by copying its extent.
func indexRow(c *rowCodec, back *uint64, ref *BlockRef) {
	c.uint(back)
	c.u32(&ref.Length)
	c.fixed32(&ref.CRC)
	c.u32(&ref.Decoded)
	c.u32(&ref.Rows)
	c.uint(&ref.First)
}

// AppendIndex appends the block index of a slice to dst. The index will stand
// at the offset at of the object, behind all its blocks, which ascend by offset
// and do not overlap.
func AppendIndex(dst []byte, at uint64, blocks []BlockRef) ([]byte, BlockRef, error) {
	b := NewBuilder(KindBlockIndex)
	var end uint64
	for i := range blocks {
		ref := blocks[i]
		if ref.Offset < end || ref.End() > at || ref.Length == 0 {
			return dst, BlockRef{}, invalid("block %d at %d of %d bytes, the one before ends at %d, the index is at %d",
				i, ref.Offset, ref.Length, end, at)
		}
		end = ref.End()
		back := at - ref.Offset
		b.encode(func(c *rowCodec) { indexRow(c, &back, &ref) })
	}
	dst, ref, err := b.AppendBlock(dst)
	ref.Offset = at
	return dst, ref, err
}

// Index is the decoded block index of one slice.
type Index struct {
	block  Block
	object string
	slice  Slice
	kind   Kind
}

// Ref describes the slice's block index as its parent states it. The decoded
// length follows from the number of blocks within bounds, so it is not stated.
func (s *Slice) Ref() BlockRef {
	return BlockRef{Offset: s.Offset, Length: s.Length, CRC: s.CRC, Rows: s.Blocks}
}

// Decode reads the index of the slice from data, which are the s.Length bytes
// at s.Offset of the object. kind is the kind of the slice's state. Errors are
// [*CorruptError]. data must stay unchanged while the index is in use; an Index
// is reused by decoding the next one.
func (x *Index) Decode(object string, data []byte, s Slice, kind Kind, lim *Limits) error {
	ref := s.Ref()
	ref.Decoded = unstated
	if err := x.block.Decode(object, data, KindBlockIndex, ref, lim); err != nil {
		return err
	}
	x.object, x.slice, x.kind = object, s, kind
	return x.check()
}

// check compares the sums over all blocks with what the parent states.
func (x *Index) check() error {
	var blocks uint32
	var rows, bytes, decoded uint64
	for ref, err := range x.Blocks() {
		if err != nil {
			return err
		}
		blocks++
		rows += uint64(ref.Rows)
		bytes += uint64(ref.Length)
		decoded += uint64(ref.Decoded)
	}
	s := &x.slice
	if blocks != s.Blocks || rows != s.Entries || bytes != s.Bytes || decoded != s.Decoded {
		return x.damage(malformed("%d rows in %d blocks of %d (decoded %d) bytes, the parent states %d in %d of %d (%d)",
			rows, blocks, bytes, decoded, s.Entries, s.Blocks, s.Bytes, s.Decoded))
	}
	return nil
}

// Len is the number of blocks.
func (x *Index) Len() int { return x.block.rows }

// Blocks yields the blocks in the order of their offsets, which is that of
// their rows. After an error the iteration ends; an index that was decoded
// without error yields none.
func (x *Index) Blocks() iter.Seq2[BlockRef, error] {
	return func(yield func(BlockRef, error) bool) {
		var r rowReader
		r.start(&x.block)
		var end, first, rows uint64
		for row := 0; r.left > 0; row++ {
			var ref BlockRef
			var back uint64
			err := r.next(func(c *rowCodec) { indexRow(c, &back, &ref) })
			ref.Offset = x.slice.Offset - back
			switch {
			case err != nil:
			case back > x.slice.Offset || uint64(ref.Length) > back || ref.Offset < end || ref.Length <= crcSize:
				err = malformed("block %d has %d bytes, %d before the index at %d, behind a block that ends at %d",
					row, ref.Length, back, x.slice.Offset, end)
			case ref.Rows == 0 || ref.Rows > ref.Decoded:
				err = malformed("block %d has %d rows in %d decoded bytes", row, ref.Rows, ref.Decoded)
			case x.kind.ByHash():
				if ref.First < first || !x.holds(ref.First) {
					err = malformed("block %d begins with hash %08x, behind %08x, in the interval %v",
						row, ref.First, first, x.slice.Interval)
				}
			case !x.kind.Channel() && ref.First != rows:
				err = malformed("block %d begins with row %d instead of %d", row, ref.First, rows)
			}
			if err != nil {
				yield(BlockRef{}, x.damage(err))
				return
			}
			end, first = ref.End(), ref.First
			rows += uint64(ref.Rows)
			if !yield(ref, nil) {
				return
			}
		}
	}
}

// holds reports whether a hash lies in the slice's interval.
func (x *Index) holds(hash uint64) bool {
	return x.slice.Interval.Lo <= hash && hash < x.slice.Interval.Hi
}

// damage places a cause in the index.
func (x *Index) damage(cause error) error {
	return Damage(x.object, KindBlockIndex, x.slice.Ref(), cause)
}

// unstated stands for a decoded length that the parent does not give; the
// length in the block, bounded by the limit, is taken.
const unstated = math.MaxUint32
