package export

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"math"
	"strconv"
	"time"

	"github.com/klauspost/compress/s2"

	"github.com/tidemark-io/tidemark/checkpoint"
)

// The part of Parquet that flat tables need (github.com/apache/parquet-format):
// optional columns, plain encoding, one page of each column in a row group,
// Snappy. Writing it takes this file; the library for all of Parquet would more
// than double the size of the program and slow down the start of every command.

// groupBytes is about how much of a row group is kept before it is written.
const groupBytes = 16 << 20

// Physical types.
const (
	parquetBoolean   = 0
	parquetInt64     = 2
	parquetDouble    = 5
	parquetByteArray = 6
)

// Converted types.
const (
	parquetNone   = -1
	parquetUTF8   = 0
	parquetUint64 = 14
	parquetJSON   = 19
)

// parquetColumn collects the values of a column of a row group.
type parquetColumn struct {
	name      string
	typ       checkpoint.ColumnType
	physical  int32
	converted int32
	values    []byte
	defined   []bool
	bits      int // of booleans in values
}

// chunk is a column of a row group that was written.
type chunk struct {
	offset, size, raw int64
	values            int64
}

// parquetSink writes a file.
type parquetSink struct {
	w       io.Writer
	at      int64
	columns []*parquetColumn
	kept    int
	rows    int64 // of the group
	groups  [][]chunk
	counts  []int64
	page    []byte
	packed  []byte
}

func newParquet(w io.Writer, columns []column) (*parquetSink, error) {
	s := &parquetSink{w: w}
	for _, c := range columns {
		p := &parquetColumn{name: c.name, typ: c.typ, physical: parquetByteArray, converted: parquetNone}
		switch c.typ {
		case checkpoint.ColumnBool:
			p.physical = parquetBoolean
		case checkpoint.ColumnInt, checkpoint.ColumnTime:
			p.physical = parquetInt64
		case checkpoint.ColumnUint:
			p.physical, p.converted = parquetInt64, parquetUint64
		case checkpoint.ColumnFloat:
			p.physical = parquetDouble
		case checkpoint.ColumnString:
			p.converted = parquetUTF8
		case checkpoint.ColumnJSON:
			p.converted = parquetJSON
		}
		s.columns = append(s.columns, p)
	}
	return s, s.write([]byte("PAR1"))
}

func (s *parquetSink) write(data []byte) error {
	n, err := s.w.Write(data)
	s.at += int64(n)
	return err
}

func (s *parquetSink) row(cells [][]byte) error {
	for i, c := range s.columns {
		before := len(c.values)
		if err := c.add(cells[i]); err != nil {
			return fmt.Errorf("column %s: %w", c.name, err)
		}
		s.kept += len(c.values) - before + 1
	}
	if s.rows++; s.kept >= groupBytes {
		return s.flush()
	}
	return nil
}

// add takes a cell.
func (c *parquetColumn) add(cell []byte) error {
	c.defined = append(c.defined, cell != nil)
	if cell == nil {
		return nil
	}
	data := cell
	if c.typ != checkpoint.ColumnJSON {
		data = unquote(cell)
	}
	switch c.physical {
	case parquetBoolean:
		if c.bits%8 == 0 {
			c.values = append(c.values, 0)
		}
		if string(data) == "true" {
			c.values[len(c.values)-1] |= 1 << (c.bits % 8)
		}
		c.bits++
		return nil
	case parquetInt64:
		n, err := c.integer(string(data))
		c.values = binary.LittleEndian.AppendUint64(c.values, n)
		return err
	case parquetDouble:
		f, err := strconv.ParseFloat(string(data), 64)
		c.values = binary.LittleEndian.AppendUint64(c.values, math.Float64bits(f))
		return err
	}
	var err error
	switch c.typ {
	case checkpoint.ColumnBytes:
		data, err = base64.StdEncoding.DecodeString(string(data))
	case checkpoint.ColumnHex:
		data, err = hex.DecodeString(string(data))
	}
	c.values = append(binary.LittleEndian.AppendUint32(c.values, uint32(len(data))), data...)
	return err
}

// integer parses an integer, or a time as nanoseconds since 1970.
func (c *parquetColumn) integer(text string) (uint64, error) {
	switch c.typ {
	case checkpoint.ColumnTime:
		at, err := time.Parse(time.RFC3339Nano, text)
		return uint64(at.UnixNano()), err
	case checkpoint.ColumnUint:
		return strconv.ParseUint(text, 10, 64)
	}
	n, err := strconv.ParseInt(text, 10, 64)
	return uint64(n), err
}

// flush writes a row group.
func (s *parquetSink) flush() error {
	if s.rows == 0 {
		return nil
	}
	group := make([]chunk, 0, len(s.columns))
	for _, c := range s.columns {
		s.page = appendLevels(s.page[:0], c.defined)
		s.page = append(s.page, c.values...)
		s.packed = s2.EncodeSnappy(s.packed[:cap(s.packed)], s.page)
		var t thrift
		t.i32(1, 0) // data page
		t.i32(2, int32(len(s.page)))
		t.i32(3, int32(len(s.packed)))
		t.begin(5)
		t.i32(1, int32(len(c.defined)))
		t.i32(2, 0) // plain
		t.i32(3, 3) // levels: RLE
		t.i32(4, 3)
		t.end()
		t.stop()
		ch := chunk{offset: s.at, size: int64(len(t.b) + len(s.packed)), raw: int64(len(t.b) + len(s.page)), values: int64(len(c.defined))}
		if err := s.write(t.b); err != nil {
			return err
		}
		if err := s.write(s.packed); err != nil {
			return err
		}
		group = append(group, ch)
		c.values, c.defined, c.bits = c.values[:0], c.defined[:0], 0
	}
	s.groups, s.counts = append(s.groups, group), append(s.counts, s.rows)
	s.rows, s.kept = 0, 0
	return nil
}

// appendLevels appends definition levels: runs of 0 and 1, each with its length
// in a varint, behind the size of them all.
func appendLevels(dst []byte, defined []bool) []byte {
	from := len(dst)
	dst = append(dst, 0, 0, 0, 0)
	for i := 0; i < len(defined); {
		n := 1
		for i+n < len(defined) && defined[i+n] == defined[i] {
			n++
		}
		dst = binary.AppendUvarint(dst, uint64(n)<<1)
		level := byte(0)
		if defined[i] {
			level = 1
		}
		dst = append(dst, level)
		i += n
	}
	binary.LittleEndian.PutUint32(dst[from:], uint32(len(dst)-from-4))
	return dst
}

// end writes the footer.
func (s *parquetSink) end() error {
	if err := s.flush(); err != nil {
		return err
	}
	var t thrift
	t.i32(1, 1) // version
	t.list(2, len(s.columns)+1, thriftStruct)
	t.element()
	t.str(4, "entries")
	t.i32(5, int32(len(s.columns)))
	t.end()
	for _, c := range s.columns {
		t.element()
		t.i32(1, c.physical)
		t.i32(3, 1) // optional
		t.str(4, c.name)
		if c.converted != parquetNone {
			t.i32(6, c.converted)
		}
		if c.typ == checkpoint.ColumnTime {
			t.begin(10) // a time stamp in UTC, nanoseconds
			t.begin(8)
			t.bool(1, true)
			t.begin(2)
			t.begin(3)
			t.end()
			t.end()
			t.end()
			t.end()
		}
		t.end()
	}
	total := int64(0)
	for _, n := range s.counts {
		total += n
	}
	t.i64(3, total)
	t.list(4, len(s.groups), thriftStruct)
	for i, group := range s.groups {
		s.group(&t, group, s.counts[i])
	}
	t.str(6, "tidemark")
	t.stop()
	if err := s.write(t.b); err != nil {
		return err
	}
	return s.write(append(binary.LittleEndian.AppendUint32(nil, uint32(len(t.b))), "PAR1"...))
}

// group describes a row group.
func (s *parquetSink) group(t *thrift, chunks []chunk, rows int64) {
	t.element()
	t.list(1, len(chunks), thriftStruct)
	size := int64(0)
	for i, c := range chunks {
		size += c.raw
		t.element()
		t.i64(2, c.offset)
		t.begin(3)
		t.i32(1, s.columns[i].physical)
		t.list(2, 2, thriftI32)
		t.varint(0) // plain
		t.varint(3) // RLE
		t.list(3, 1, thriftBinary)
		t.raw(s.columns[i].name)
		t.i32(4, 1) // Snappy
		t.i64(5, c.values)
		t.i64(6, c.raw)
		t.i64(7, c.size)
		t.i64(9, c.offset)
		t.end()
		t.end()
	}
	t.i64(2, size)
	t.i64(3, rows)
	t.end()
}

// Types of Thrift's compact protocol.
const (
	thriftTrue   = 1
	thriftFalse  = 2
	thriftI32    = 5
	thriftI64    = 6
	thriftBinary = 8
	thriftList   = 9
	thriftStruct = 12
)

// thrift writes the compact protocol, in which the footer and the page headers
// are.
type thrift struct {
	b     []byte
	last  int16 // number of the field before
	outer []int16
}

func (t *thrift) field(id int16, typ byte) {
	t.b = append(t.b, byte(id-t.last)<<4|typ) // fields ascend by less than 16
	t.last = id
}
func (t *thrift) varint(v int64)         { t.b = binary.AppendVarint(t.b, v) }
func (t *thrift) i32(id int16, v int32)  { t.field(id, thriftI32); t.varint(int64(v)) }
func (t *thrift) i64(id int16, v int64)  { t.field(id, thriftI64); t.varint(v) }
func (t *thrift) raw(s string)           { t.b = append(binary.AppendUvarint(t.b, uint64(len(s))), s...) }
func (t *thrift) str(id int16, s string) { t.field(id, thriftBinary); t.raw(s) }
func (t *thrift) bool(id int16, v bool) {
	if v {
		t.field(id, thriftTrue)
	} else {
		t.field(id, thriftFalse)
	}
}
func (t *thrift) list(id int16, n int, typ byte) {
	t.field(id, thriftList)
	if n < 15 {
		t.b = append(t.b, byte(n)<<4|typ)
		return
	}
	t.b = binary.AppendUvarint(append(t.b, 0xf0|typ), uint64(n))
}

// begin opens a struct that is a field, element one that is in a list.
func (t *thrift) begin(id int16) { t.field(id, thriftStruct); t.element() }
func (t *thrift) element()       { t.outer, t.last = append(t.outer, t.last), 0 }
func (t *thrift) end() {
	t.stop()
	t.last, t.outer = t.outer[len(t.outer)-1], t.outer[:len(t.outer)-1]
}
func (t *thrift) stop() { t.b = append(t.b, 0) }
