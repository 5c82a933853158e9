package format

import "math"

// rowCodec carries the cells of one row between a struct and a block, in
// either direction, so that each table states its columns once. The methods
// are called in the order of the columns.
type rowCodec struct {
	build *Builder // writes if set
	read  *rowReader
	col   int
}

// rowReader walks the rows of a block of any kind.
type rowReader struct {
	cols [maxColumns]cursor
	left int
	err  error
}

// start begins a walk over a checked block.
func (r *rowReader) start(b *Block) {
	for i := range b.info.columns {
		r.cols[i] = cursor{columnData: b.cols[i]}
	}
	r.left, r.err = b.rows, nil
}

// uint is a varint or delta cell.
func (c *rowCodec) uint(v *uint64) {
	if c.build != nil {
		c.build.putUvarint(c.col, *v)
	} else {
		*v = c.read.cols[c.col].uvarint()
	}
	c.col++
}

// u32 is a varint cell whose value must fit 32 bits.
func (c *rowCodec) u32(v *uint32) {
	wide := uint64(*v)
	c.uint(&wide)
	if wide > math.MaxUint32 {
		c.fail(wide)
		wide = 0
	}
	*v = uint32(wide)
}

// int is a zigzag cell.
func (c *rowCodec) int(v *int64) {
	wide := zigzag(*v)
	c.uint(&wide)
	*v = unzigzag(wide)
}

// row is a reference to a row of another table; the table's reader checks it.
func (c *rowCodec) row(v *int) {
	wide := uint64(*v)
	if *v < 0 {
		wide = math.MaxUint64 // fails below, whatever the size of an int
	}
	c.uint(&wide)
	if wide > math.MaxInt32 {
		c.fail(wide)
		wide = 0
	}
	*v = int(wide)
}

// optional is a reference or [None], which is stored as 0.
func (c *rowCodec) optional(v *int) {
	next := *v + 1
	c.row(&next)
	*v = next - 1
}

// delta is a cell of a delta column that refers to a row.
func (c *rowCodec) delta(v *int) {
	c.col++
	if c.build != nil {
		if *v < 0 || uint64(*v) > math.MaxInt32 {
			c.fail(uint64(*v))
			return
		}
		c.build.putDelta(c.col-1, uint32(*v))
		return
	}
	wide := c.read.cols[c.col-1].delta()
	if wide > math.MaxInt32 {
		c.fail(uint64(wide))
		wide = 0
	}
	*v = int(wide)
}

// byte is a cell of a single byte.
func (c *rowCodec) byte(v *byte) {
	if c.build != nil {
		c.build.putByte(c.col, *v)
	} else {
		*v = c.read.cols[c.col].byte()
	}
	c.col++
}

// fixed32 is a cell of 4 bytes.
func (c *rowCodec) fixed32(v *uint32) {
	if c.build != nil {
		c.build.putFixed32(c.col, *v)
	} else {
		*v = c.read.cols[c.col].fixed32()
	}
	c.col++
}

// str is a byte string, copied.
func (c *rowCodec) str(v *string) {
	if c.build != nil {
		c.build.putString(c.col, *v)
	} else {
		*v = string(c.read.cols[c.col].bytes())
	}
	c.col++
}

// bytes is a byte string that aliases the block when read.
func (c *rowCodec) bytes(v *[]byte) {
	if c.build != nil {
		c.build.putBytes(c.col, *v)
	} else {
		*v = c.read.cols[c.col].bytes()
	}
	c.col++
}

// fail remembers a cell whose value does not fit its field.
func (c *rowCodec) fail(got uint64) {
	if c.build != nil {
		c.build.err = invalid("column %d cannot hold %d", c.col-1, got)
	} else if c.read.err == nil {
		c.read.err = malformed("column %d holds %d, which does not fit", c.col-1, got)
	}
}

// encode appends one row with the given cells.
func (b *Builder) encode(cells func(*rowCodec)) {
	c := rowCodec{build: b}
	cells(&c)
	b.endRow()
}

// next reads one row with the given cells.
func (r *rowReader) next(cells func(*rowCodec)) error {
	c := rowCodec{read: r}
	cells(&c)
	r.left--
	return r.err
}
