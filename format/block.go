package format

import (
	"encoding/binary"
	"math"
)

// BlockRef is what the parent of a block knows of it: where it lies, how large
// it is, and its checksum, so that a block which is stale, swapped or misplaced
// is refused although it is intact in itself.
type BlockRef struct {
	Offset  uint64 // in the object
	Length  uint32 // encoded
	CRC     uint32 // CRC-32C of the block without its own checksum
	Decoded uint32 // sum of the decoded lengths of the columns
	Rows    uint32
	// First is the hash of the first row for keyed state, timers and floors,
	// the sequence number of the first buffer for channel state, and the
	// number of rows in the slice's blocks before this one otherwise.
	First uint64
}

// End is the offset behind the block.
func (r BlockRef) End() uint64 { return r.Offset + uint64(r.Length) }

// Flags of a stored column; the low nibble is the codec. On disk: never
// renumber.
const (
	columnCodecMask  = 0x0f
	columnFixedWidth = 0x10 // byte strings of one width, which follows; no lengths
)

// columnBuffer collects the cells of one column.
type columnBuffer struct {
	data   []byte
	lens   []byte // varints, of byte strings
	width  int    // of all byte strings so far
	varied bool   // byte strings differ in width
	prev   uint64 // of a delta column
	codec  Codec
}

// Builder collects the rows of one block and encodes it. Cells are appended in
// the order of the columns, row by row; the builder does not check that, and
// the decoder refuses a block that breaks it. A Builder is reused: with Reset
// for the next block of a slice, with Restart for the first block of another
// slice. It keeps its memory and codecs.
type Builder struct {
	kind Kind
	info *kindInfo
	cols [maxColumns]columnBuffer
	rows uint32
	size int
	tmp  []byte
	err  error

	first  uint64 // hash or sequence number of the first row
	before uint64 // rows in earlier blocks of the slice
}

// NewBuilder returns a builder of blocks of the kind, all columns stored as
// they are.
func NewBuilder(kind Kind) *Builder {
	b := &Builder{kind: kind, info: kinds[kind]}
	if b.info == nil {
		b.info = &kindInfo{}
		b.err = invalid("unknown kind of block %d", kind)
	}
	return b
}

// Compress sets the codec of the given columns, of all if none is named. A
// column that does not get shorter is stored as it is.
func (b *Builder) Compress(codec Codec, columns ...int) {
	if !codec.valid() {
		b.err = invalid("unknown codec %d", codec)
		return
	}
	if len(columns) == 0 {
		for i := range b.cols {
			b.cols[i].codec = codec
		}
	}
	for _, i := range columns {
		b.cols[i].codec = codec
	}
}

// Kind is the kind of block that is being built.
func (b *Builder) Kind() Kind { return b.kind }

// Rows is the number of rows so far.
func (b *Builder) Rows() int { return int(b.rows) }

// Size is the decoded size so far, in bytes; lengths of byte strings count
// although a column of one width does not store them.
func (b *Builder) Size() int { return b.size }

// Restart makes the builder ready for the first block of another slice.
func (b *Builder) Restart() {
	b.Reset()
	b.before = 0
}

// Reset makes the builder ready for the next block of the slice.
func (b *Builder) Reset() {
	b.before += uint64(b.rows)
	for i := range b.info.columns {
		c := &b.cols[i]
		*c = columnBuffer{data: c.data[:0], lens: c.lens[:0], codec: c.codec}
	}
	b.rows, b.size = 0, 0
}

// endRow counts a row.
func (b *Builder) endRow() { b.rows++ }

// putByte appends a cell to a column of single bytes.
func (b *Builder) putByte(col int, v byte) {
	c := &b.cols[col]
	c.data = append(c.data, v)
	b.size++
}

// putUvarint appends a cell to a varint column.
func (b *Builder) putUvarint(col int, v uint64) {
	c := &b.cols[col]
	before := len(c.data)
	c.data = binary.AppendUvarint(c.data, v)
	b.size += len(c.data) - before
}

// putDelta appends a cell to a delta column. A number below the one before is
// remembered as the builder's error.
func (b *Builder) putDelta(col int, v uint32) {
	c := &b.cols[col]
	if uint64(v) < c.prev {
		b.err = invalid("%s falls from %d to %d", b.info.columns[col].Name, c.prev, v)
		return
	}
	b.putUvarint(col, uint64(v)-c.prev)
	c.prev = uint64(v)
}

// putFixed32 appends a cell to a column of 4 bytes.
func (b *Builder) putFixed32(col int, v uint32) {
	c := &b.cols[col]
	c.data = binary.LittleEndian.AppendUint32(c.data, v)
	b.size += 4
}

// putBytes appends a cell to a column of byte strings.
func (b *Builder) putBytes(col int, v []byte) {
	c := &b.cols[col]
	b.countBytes(c, len(v))
	c.data = append(c.data, v...)
}

// putString is putBytes for a string.
func (b *Builder) putString(col int, v string) {
	c := &b.cols[col]
	b.countBytes(c, len(v))
	c.data = append(c.data, v...)
}

// countBytes notes the length of the next byte string. While all have one
// width their lengths are not written.
func (b *Builder) countBytes(c *columnBuffer, n int) {
	b.size += n + 1
	if c.varied {
		c.lens = binary.AppendUvarint(c.lens, uint64(n))
		return
	}
	if b.rows == 0 {
		c.width = n
	} else if n != c.width {
		c.varied = true
		for range b.rows {
			c.lens = binary.AppendUvarint(c.lens, uint64(c.width))
		}
		c.lens = binary.AppendUvarint(c.lens, uint64(n))
	}
}

// AppendBlock appends the encoded block of the rows so far to dst and describes
// it; the Offset is left to the caller. The builder keeps the rows.
func (b *Builder) AppendBlock(dst []byte) ([]byte, BlockRef, error) {
	if b.err != nil {
		return dst, BlockRef{}, b.err
	}
	from := len(dst)
	// The header's length depends on the encoded lengths, so the columns go
	// to a buffer of their own first if one is compressed.
	head := append(make([]byte, 0, 256), byte(b.kind))
	head = binary.AppendUvarint(head, uint64(b.rows))
	body := b.tmp[:0]
	decoded := 0
	for i, col := range b.info.columns {
		c := &b.cols[i]
		if col.Type == ColBytes && !c.varied && c.width == 0 && b.rows > 0 && !b.info.numeric() {
			c.varied = true
			c.lens = append(c.lens[:0], make([]byte, b.rows)...)
		}
		at := len(body)
		body = append(append(body, c.lens...), c.data...)
		plain := len(body) - at
		codec := CodecNone
		if c.codec != CodecNone {
			out, ok, err := c.codec.compress(body, body[at:])
			if err != nil {
				return dst, BlockRef{}, err
			}
			if ok {
				n := copy(out[at:], out[at+plain:])
				body, codec = out[:at+n], c.codec
			}
		}
		flags := byte(codec)
		if col.Type == ColBytes && !c.varied {
			flags |= columnFixedWidth
		}
		head = append(head, flags)
		if flags&columnFixedWidth != 0 {
			head = binary.AppendUvarint(head, uint64(c.width))
		}
		head = binary.AppendUvarint(head, uint64(plain))
		if codec != CodecNone {
			head = binary.AppendUvarint(head, uint64(len(body)-at))
		}
		decoded += plain
	}
	b.tmp = body
	total := uint64(len(head)) + uint64(len(body)) + crcSize
	if total > math.MaxUint32 || uint64(decoded) > math.MaxUint32 {
		return dst, BlockRef{}, invalid("block of %d bytes does not fit 32 bits", total)
	}
	dst = grow(dst, int(total))
	dst = append(append(dst, head...), body...)
	dst, crc := appendChecksum(dst, from)
	ref := BlockRef{Length: uint32(total), CRC: crc, Decoded: uint32(decoded), Rows: b.rows, First: b.before}
	if b.kind.ByHash() || b.kind.Channel() {
		ref.First = b.first
	}
	return dst, ref, nil
}
