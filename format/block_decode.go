package format

import (
	"encoding/binary"
	"math"
)

// columnData is one decoded column of a block.
type columnData struct {
	typ   ColumnType
	fixed bool
	width int
	data  []byte // of byte strings: without the lengths
	lens  []byte // varints, of byte strings that differ in length
}

// Block is a decoded block: its columns, checked, ready to be walked row by
// row. A Block is reused by decoding the next one into it. It refers to the
// bytes it was decoded from wherever a column is not compressed, so these must
// stay unchanged while it is in use.
type Block struct {
	kind    Kind
	info    *kindInfo
	rows    int
	decoded uint64
	cols    [maxColumns]columnData
	scratch []byte
	data    []byte // the encoded block without its checksum
	head    int    // length of the header
	// revision is that of the file, where a kind had other columns then; 0 stands
	// for this one.
	revision uint16
}

// Kind is the kind of the block.
func (b *Block) Kind() Kind { return b.kind }

// Rows is the number of rows.
func (b *Block) Rows() int { return b.rows }

// Decoded is the sum of the decoded lengths of the columns.
func (b *Block) Decoded() uint64 { return b.decoded }

// Decode reads the block that ref describes from data, which is the whole
// block. Object and ref.Offset name the place in errors, which are
// [*CorruptError]. A nil lim stands for the default limits. It reserves no more
// memory than the decoded length that ref states.
func (b *Block) Decode(object string, data []byte, kind Kind, ref BlockRef, lim *Limits) error {
	if err := b.decode(data, kind, ref, lim.orDefault().Block); err != nil {
		b.rows = 0
		return &CorruptError{object, int64(min(ref.Offset, math.MaxInt64)), kind.String() + " block", err}
	}
	return nil
}

// Check is Decode without the rows: it compares the checksum and what the block's
// header says with ref, and decompresses nothing. The block has no rows then.
func (b *Block) Check(object string, data []byte, kind Kind, ref BlockRef, lim *Limits) error {
	_, _, err := b.open(data, kind, ref, lim.orDefault().Block)
	b.rows = 0
	if err != nil {
		return &CorruptError{object, int64(min(ref.Offset, math.MaxInt64)), kind.String() + " block", err}
	}
	return nil
}

func (b *Block) decode(data []byte, kind Kind, ref BlockRef, limit uint64) error {
	flags, plain, err := b.open(data, kind, ref, limit)
	if err != nil {
		return err
	}
	if err := b.expand(flags[:], plain[:]); err != nil {
		return err
	}
	return b.columns()
}

// open compares the block with what ref states, up to and with its header.
func (b *Block) open(data []byte, kind Kind, ref BlockRef, limit uint64) (flags [maxColumns]byte, plain [maxColumns]uint64, err error) {
	if uint64(len(data)) < uint64(ref.Length) {
		return flags, plain, truncated(uint64(len(data)), uint64(ref.Length))
	}
	if uint64(len(data)) > uint64(ref.Length) {
		return flags, plain, malformed("%d bytes for a block of %d", len(data), ref.Length)
	}
	if ref.Length <= crcSize {
		return flags, plain, malformed("block of %d bytes", ref.Length)
	}
	if ref.Decoded != unstated && uint64(ref.Decoded) > limit {
		return flags, plain, overLimit("decoded length", uint64(ref.Decoded), limit)
	}
	// First the checksum, then the content: nothing below has to cope with
	// accidental damage, only with hostile writers. The stored checksum alone
	// would do for that; the parent's tells whether it is the right block.
	body, crc, stored := splitChecksum(data)
	if crc != stored || crc != ref.CRC {
		return flags, plain, checksumError(crc, stored, ref.CRC)
	}
	if flags, plain, err = b.header(body, kind); err != nil {
		return flags, plain, err
	}
	if b.decoded > limit {
		return flags, plain, overLimit("decoded length", b.decoded, limit)
	}
	if uint64(b.rows) != uint64(ref.Rows) || ref.Decoded != unstated && b.decoded != uint64(ref.Decoded) {
		return flags, plain, malformed("%d rows in %d decoded bytes, the parent states %d in %d",
			b.rows, b.decoded, ref.Rows, ref.Decoded)
	}
	return flags, plain, nil
}

// checksumError tells a damaged block from an intact one at the wrong place.
func checksumError(crc, stored, parent uint32) error {
	if crc == stored {
		return checksumCause("the block is intact, with checksum %08x, but is not the one with %08x that belongs here", crc, parent)
	}
	if stored == parent {
		return checksumCause("read %08x, expected %08x", crc, parent)
	}
	return checksumCause("read %08x, stored %08x, expected %08x", crc, stored, parent)
}

// header reads the header of a block: kind, rows, and for each column codec,
// width and lengths. It leaves the encoded column in cols[i].data.
func (b *Block) header(body []byte, kind Kind) (flags [maxColumns]byte, plain [maxColumns]uint64, err error) {
	d := decoder{data: body}
	b.data = body
	b.kind, b.info = kind, kinds[kind]
	if b.revision == 2 && kind == KindEdges {
		b.info = edges2
	}
	if got := Kind(d.byte("kind")); got != kind || b.info == nil {
		return flags, plain, malformed("block of kind %d (%v) instead of %d (%v)", got, got, kind, kind)
	}
	rows := d.uvarint("rows")
	b.decoded = 0
	var encoded [maxColumns]uint64
	for i, col := range b.info.columns {
		c := &b.cols[i]
		*c = columnData{typ: col.Type}
		flags[i] = d.byte("column flags")
		if flags[i]&columnFixedWidth != 0 {
			c.fixed = true
			width := d.uvarint("width")
			if width > math.MaxInt32 {
				return flags, plain, overLimit("width of column "+col.Name, width, math.MaxInt32)
			}
			c.width = int(width)
		}
		plain[i] = d.uvarint("decoded length")
		encoded[i] = plain[i]
		codec := Codec(flags[i] & columnCodecMask)
		if codec != CodecNone {
			encoded[i] = d.uvarint("encoded length")
			if encoded[i] >= plain[i] {
				return flags, plain, malformed("column %s: %d bytes compressed to %d", col.Name, plain[i], encoded[i])
			}
		}
		if !codec.valid() || flags[i]&^(columnCodecMask|columnFixedWidth) != 0 || c.fixed && col.Type != ColBytes {
			return flags, plain, malformed("column %s has flags %02x", col.Name, flags[i])
		}
		if plain[i] > math.MaxUint32 {
			return flags, plain, malformed("column %s states %d decoded bytes", col.Name, plain[i])
		}
		b.decoded += plain[i]
	}
	if d.err != nil {
		return flags, plain, d.err
	}
	// Each row takes a byte at least, so the rows cost the reader no more
	// than the bytes do.
	if rows > b.decoded || rows > math.MaxInt32 {
		return flags, plain, malformed("%d rows in %d decoded bytes", rows, b.decoded)
	}
	b.rows, b.head = int(rows), d.pos
	for i := range b.info.columns {
		b.cols[i].data = d.take(encoded[i], "column "+b.info.columns[i].Name)
	}
	return flags, plain, d.end("block")
}

// expand decompresses the columns into the scratch buffer, which grows to the
// sum of their declared lengths at most.
func (b *Block) expand(flags []byte, plain []uint64) error {
	var need uint64
	for i := range b.info.columns {
		if flags[i]&columnCodecMask != 0 {
			need += plain[i]
		}
	}
	if need > math.MaxInt32 {
		return overLimit("decoded length", need, math.MaxInt32)
	}
	// One buffer for all compressed columns: a block is decoded without a
	// further allocation once the buffer has grown to the usual size.
	if uint64(cap(b.scratch)) < need {
		b.scratch = make([]byte, need)
	}
	rest := b.scratch[:need]
	for i := range b.info.columns {
		codec := Codec(flags[i] & columnCodecMask)
		if codec == CodecNone {
			continue
		}
		out := rest[:plain[i]:plain[i]]
		rest = rest[plain[i]:]
		if err := codec.decompress(out, b.cols[i].data); err != nil {
			return columnError(b.info.columns[i].Name, err)
		}
		b.cols[i].data = out
	}
	return nil
}

// columns checks every cell: the right number, canonical varints, nothing left.
func (b *Block) columns() error {
	for i := range b.info.columns {
		if err := b.cols[i].check(b.rows, b.info.numeric()); err != nil {
			return columnError(b.info.columns[i].Name, err)
		}
	}
	return nil
}

// check verifies the cells of a column of the given number of rows, all of them
// at once, so that walking needs no error handling for each cell. zeroWidth
// is whether byte strings may have the fixed width 0.
func (c *columnData) check(rows int, zeroWidth bool) error {
	want := uint64(rows)
	switch c.typ {
	case ColByte:
	case ColFixed32:
		want *= 4
	case ColFixed64:
		want *= 8
	case ColBytes:
		return c.checkBytes(rows, zeroWidth)
	default:
		n, sum, err := checkVarints(c.data, rows)
		if err != nil {
			return err
		}
		if c.typ == ColDelta && sum > math.MaxUint32 {
			return malformed("numbers add up to %d, more than 32 bits", sum)
		}
		want = uint64(n)
	}
	if uint64(len(c.data)) != want {
		return malformed("%d bytes for %d rows of type %v, expected %d", len(c.data), rows, c.typ, want)
	}
	return nil
}

// checkBytes verifies a column of byte strings and splits lengths from bytes.
func (c *columnData) checkBytes(rows int, zeroWidth bool) error {
	if c.fixed {
		if want := uint64(rows) * uint64(c.width); uint64(len(c.data)) != want {
			return malformed("%d bytes for %d strings of %d", len(c.data), rows, c.width)
		}
		if rows == 0 && c.width != 0 || rows > 0 && c.width == 0 && !zeroWidth {
			return malformed("fixed width %d for %d strings", c.width, rows)
		}
		return nil
	}
	n, sum, err := checkVarints(c.data, rows)
	if err != nil {
		return err
	}
	if have := uint64(len(c.data) - n); sum != have {
		return malformed("strings of %d bytes together, %d are there", sum, have)
	}
	c.lens, c.data = c.data[:n:n], c.data[n:]
	return c.checkVaried(rows, zeroWidth)
}

// checkVaried requires that strings stored with their lengths have no common
// width, so that there is exactly one encoding of a column.
func (c *columnData) checkVaried(rows int, zeroWidth bool) error {
	first, n := uvarint(c.lens)
	if rows > 0 && first == 0 && !zeroWidth {
		return nil
	}
	for at := n; at < len(c.lens); {
		v, k := uvarint(c.lens[at:])
		if v != first {
			return nil
		}
		at += max(k, 1)
	}
	return malformed("lengths of %d strings of one width %d", rows, first)
}

// checkVarints requires rows canonical varints at the front of data. It returns
// the number of bytes that they take and their sum, which saturates.
func checkVarints(data []byte, rows int) (n int, sum uint64, err error) {
	for row := range rows {
		if n < len(data) && data[n] < 0x80 {
			sum = addSaturating(sum, uint64(data[n]))
			n++
			continue
		}
		v, k := uvarint(data[n:])
		if k <= 0 {
			return 0, 0, malformed("row %d is not a canonical varint", row)
		}
		n += k
		sum = addSaturating(sum, v)
	}
	return n, sum, nil
}

// addSaturating adds without wrapping around.
func addSaturating(a, b uint64) uint64 {
	if s := a + b; s >= a {
		return s
	}
	return math.MaxUint64
}

// cursor walks one column of a checked block. Its methods trust the checks, but
// stay within bounds whatever happens: a caller that changes the bytes under a
// block gets wrong cells, not a panic.
type cursor struct {
	columnData
	pos, lenPos int
	prev        uint64
}

// uvarint is the next cell of a varint column.
func (c *cursor) uvarint() uint64 {
	if c.pos < len(c.data) && c.data[c.pos] < 0x80 {
		v := uint64(c.data[c.pos])
		c.pos++
		return v
	}
	v, n := uvarint(c.data[min(c.pos, len(c.data)):])
	c.pos += max(n, 0)
	return v
}

// delta is the next cell of a delta column.
func (c *cursor) delta() uint32 {
	c.prev += c.uvarint()
	return uint32(c.prev)
}

// byte is the next cell of a column of single bytes.
func (c *cursor) byte() byte {
	if c.pos >= len(c.data) {
		return 0
	}
	v := c.data[c.pos]
	c.pos++
	return v
}

// fixed32 is the next cell of a column of 4 bytes.
func (c *cursor) fixed32() uint32 {
	if len(c.data)-c.pos < 4 {
		return 0
	}
	v := binary.LittleEndian.Uint32(c.data[c.pos:])
	c.pos += 4
	return v
}

// cell is bytes for a column of one width.
func (c *cursor) cell() []byte {
	end := c.pos + c.width
	if end > len(c.data) {
		return nil
	}
	b := c.data[c.pos:end:end]
	c.pos = end
	return b
}

// bytes is the next cell of a column of byte strings; it aliases the block.
func (c *cursor) bytes() []byte {
	n := c.width
	if !c.fixed {
		v, k := uvarint(c.lens[min(c.lenPos, len(c.lens)):])
		c.lenPos += max(k, 0)
		if v > uint64(len(c.data)) {
			return nil
		}
		n = int(v)
	}
	if n > len(c.data)-c.pos {
		return nil
	}
	b := c.data[c.pos : c.pos+n : c.pos+n]
	c.pos += n
	return b
}
