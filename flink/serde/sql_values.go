package serde

import (
	"encoding/binary"
	"math"
	"math/big"
	"time"

	"github.com/tidemark-io/tidemark/flink/wire"
)

// compactDecimal is the highest precision of decimals held as a long, and
// compactTimestamp that of timestamps held as milliseconds.
const (
	compactDecimal   = 18
	compactTimestamp = 3
)

// sql reads the values of the table runtime.
func (w *walker) sql(t *Type) any {
	switch {
	case t.Kind == KindStringData:
		b, ok := w.bytes().([]byte)
		if !ok {
			return nil
		}
		return string(b)
	case t.Kind == KindDecimalData && t.Size <= compactDecimal:
		return w.decimal(big.NewInt(w.r.I64("decimal")), t.Scale)
	case t.Kind == KindDecimalData:
		b := w.r.Bytes32("decimal")
		if len(b) == 0 && w.r.Err() == nil {
			w.r.Fail("decimal", wire.Malformed("no bytes"))
		}
		return w.decimal(twosComplement(b), t.Scale)
	}
	return w.sized(t)
}

func (w *walker) decimal(unscaled *big.Int, scale int32) any {
	if w.skip {
		return nil
	}
	return &Decimal{unscaled, scale}
}

// sized reads a value that states its size.
func (w *walker) sized(t *Type) any {
	data := w.r.Bytes32(t.Kind.String())
	if w.r.Err() != nil || w.skip && !w.framed {
		return nil
	}
	at := w.r.Offset() - int64(len(data))
	switch t.Kind {
	case KindBinaryRow:
		return &Opaque{Class: "BinaryRowData", Bytes: append([]byte{}, data...)}
	case KindRawValue:
		sub := wire.NewBytes(w.r.Object(), at, data)
		inner := walker{r: sub, framed: true, skip: w.skip, depth: w.depth, nodes: w.nodes}
		v := inner.value(t.Args[0])
		w.nodes = inner.nodes
		if err := sub.End("raw value"); err != nil {
			(&parser{r: w.r}).fail(err)
		}
		return v
	}
	b := &binaryData{data: data, budget: maxNodes - w.nodes}
	var v any
	switch t.Kind {
	case KindRowData:
		v = b.row(t, t.Logical, 0, len(data), 0)
	case KindArrayData:
		v = b.array(t.Logical[0], 0, len(data), 0)
	case KindMapData:
		v = b.mapping(t.Logical[0], t.Logical[1], 0, len(data), 0)
	}
	if b.err != nil {
		w.r.FailAt(at+int64(b.at), t.Kind.String(), b.err)
	}
	if w.skip || b.err != nil {
		return nil
	}
	return v
}

// binaryData decodes Flink's binary rows, which are little-endian inside. Parts
// are (offset, length) relative to the row or array they belong to.
type binaryData struct {
	data   []byte
	budget int
	err    error
	at     int // where err is
}

func (b *binaryData) fail(at int, format string, args ...any) {
	if b.err == nil {
		b.err, b.at = wire.Malformed(format, args...), at
	}
}

// part returns the bytes [from, from+n), which must lie below end.
func (b *binaryData) part(from, n, end int) []byte {
	if b.err != nil {
		return nil
	}
	if from < 0 || n < 0 || n > end-from {
		b.fail(max(from, 0), "a part of %d bytes at %d, the whole ends at %d", n, from, end)
		return nil
	}
	return b.data[from : from+n]
}

// spend counts parts and depth.
func (b *binaryData) spend(n, at, depth int) bool {
	if b.budget -= n; b.budget < 0 && b.err == nil {
		b.err, b.at = wire.OverLimit(uint64(n), maxNodes), at
	}
	if depth > maxDepth && b.err == nil {
		b.err, b.at = wire.OverLimit(uint64(depth), maxDepth), at
	}
	return b.err == nil
}

// row decodes the row in [from, end).
func (b *binaryData) row(t *Type, types []Logical, from, end, depth int) any {
	arity := len(types)
	header := (arity + 63 + 8) / 64 * 8
	head := b.part(from, header+8*arity, end)
	if head == nil || !b.spend(arity+1, from, depth) {
		return nil
	}
	if head[0] > 3 {
		b.fail(from, "row kind %d", head[0])
		return nil
	}
	s := &Struct{Type: t, RowKind: int8(head[0]), Values: make([]any, arity)}
	for i := range types {
		if n := i + 8; head[n/8]&(1<<(n%8)) == 0 {
			s.Values[i] = b.field(types[i], head[header+8*i:header+8*i+8], from, end, depth+1)
		}
	}
	return s
}

// field decodes one field from its slot of eight bytes; base and end are those of
// the row or array.
func (b *binaryData) field(l Logical, slot []byte, base, end, depth int) any {
	if v, ok := fixedField(l, slot); ok {
		return v
	}
	word := binary.LittleEndian.Uint64(slot)
	offset, size := int64(word>>32), int64(uint32(word))
	if l.Root == "TIMESTAMP" || l.Root == "TIMESTAMP_LTZ" {
		ms := b.at64(base, offset, 8, end)
		if ms == nil {
			return nil
		}
		return Time{Millis: int64(binary.LittleEndian.Uint64(ms)), Nanos: int32(size), Kind: KindTimestampData}
	}
	var data []byte
	inline := slot[7]&0x80 != 0 && (isText(l.Root) || isBinary(l.Root))
	if inline {
		n := int(slot[7] & 0x7F)
		if n > 7 {
			b.fail(base, "%d bytes inside a slot", n)
			return nil
		}
		data = slot[:n]
	} else if data = b.at64(base, offset, size, end); data == nil {
		return nil
	}
	switch {
	case isText(l.Root):
		return string(data)
	case l.Root == "DECIMAL":
		if len(data) == 0 || len(data) > 64 {
			b.fail(base, "a decimal of %d bytes", len(data))
			return nil
		}
		return &Decimal{twosComplement(data), l.Scale}
	}
	start := base + int(offset)
	switch l.Root {
	case "ARRAY":
		return b.array(l.Args[0], start, start+int(size), depth)
	case "MAP":
		return b.mapping(l.Args[0], l.Args[1], start, start+int(size), depth)
	case "MULTISET":
		return b.mapping(l.Args[0], Logical{Root: "INTEGER"}, start, start+int(size), depth)
	case "ROW", "STRUCTURED":
		return b.row(&Type{Kind: KindRowData, Logical: l.Args}, l.Args, start, start+int(size), depth)
	}
	return append([]byte{}, data...)
}

// at64 returns size bytes at an offset from base, as numbers of a slot state them.
func (b *binaryData) at64(base int, offset, size int64, end int) []byte {
	if offset > math.MaxInt32 || size > math.MaxInt32 || offset+int64(base) > math.MaxInt32 {
		b.fail(base, "a part of %d bytes at %d", size, offset)
		return nil
	}
	return b.part(base+int(offset), int(size), end)
}

func isText(root string) bool { return root == "VARCHAR" || root == "CHAR" }

func isBinary(root string) bool { return root == "VARBINARY" || root == "BINARY" }

// fixedField decodes values that fit their slot.
func fixedField(l Logical, slot []byte) (any, bool) {
	word := binary.LittleEndian.Uint64(pad8(slot))
	switch l.Root {
	case "BOOLEAN":
		return slot[0] != 0, true
	case "TINYINT":
		return int64(int8(word)), true
	case "SMALLINT":
		return int64(int16(word)), true
	case "INTEGER", "INTERVAL_YEAR_MONTH":
		return int64(int32(word)), true
	case "BIGINT", "INTERVAL_DAY_TIME":
		return int64(word), true
	case "FLOAT":
		return math.Float32frombits(uint32(word)), true
	case "DOUBLE":
		return math.Float64frombits(word), true
	case "DATE":
		d := time.Unix(int64(int32(word))*86400, 0).UTC()
		return Civil{Year: int32(d.Year()), Month: int8(d.Month()), Day: int8(d.Day()), HasDate: true}, true
	case "TIME":
		ms := int32(word)
		return Civil{Hour: int8(ms / 3_600_000), Min: int8(ms / 60_000 % 60), Sec: int8(ms / 1000 % 60), Nano: ms % 1000 * 1_000_000, HasTime: true}, true
	case "NULL":
		return nil, true
	case "DECIMAL":
		if l.Precision <= compactDecimal {
			return &Decimal{big.NewInt(int64(word)), l.Scale}, true
		}
	case "TIMESTAMP", "TIMESTAMP_LTZ":
		if l.Precision <= compactTimestamp {
			return Time{Millis: int64(word), Kind: KindTimestampData}, true
		}
	}
	return nil, false
}

// pad8 is b with zero bytes up to eight.
func pad8(b []byte) []byte {
	if len(b) >= 8 {
		return b
	}
	var full [8]byte
	copy(full[:], b)
	return full[:]
}

// width is the bytes an element of a binary array takes.
func (l Logical) width() int {
	switch l.Root {
	case "BOOLEAN", "TINYINT":
		return 1
	case "SMALLINT":
		return 2
	case "INTEGER", "FLOAT", "DATE", "TIME", "INTERVAL_YEAR_MONTH":
		return 4
	}
	return 8
}

// array decodes the array in [from, end): its size, null bits in words of four
// bytes, the elements.
func (b *binaryData) array(l Logical, from, end, depth int) any {
	head := b.part(from, 4, end)
	if head == nil {
		return nil
	}
	n := int64(int32(binary.LittleEndian.Uint32(head)))
	width := int64(l.width())
	header := 4 + (n+31)/32*4
	if n < 0 || header+n*width > int64(end-from) {
		b.fail(from, "an array of %d elements in %d bytes", n, end-from)
		return nil
	}
	if !b.spend(int(n)+1, from, depth) {
		return nil
	}
	items := make([]any, n)
	for i := range items {
		if b.data[from+4+i/8]&(1<<(i%8)) != 0 {
			continue
		}
		at := from + int(header) + i*int(width)
		items[i] = b.field(l, b.data[at:at+int(width)], from, end, depth+1)
	}
	return items
}

// mapping decodes the map in [from, end): the size of the keys' array, the arrays
// of keys and of values.
func (b *binaryData) mapping(key, value Logical, from, end, depth int) any {
	head := b.part(from, 4, end)
	if head == nil {
		return nil
	}
	size := int64(int32(binary.LittleEndian.Uint32(head)))
	if size < 0 || size > int64(end-from-4) {
		b.fail(from, "keys of %d bytes in a map of %d", size, end-from)
		return nil
	}
	middle := from + 4 + int(size)
	keys, _ := b.array(key, from+4, middle, depth+1).([]any)
	values, _ := b.array(value, middle, end, depth+1).([]any)
	if b.err != nil {
		return nil
	}
	if len(keys) != len(values) {
		b.fail(from, "%d keys and %d values", len(keys), len(values))
		return nil
	}
	m := make(Map, len(keys))
	for i := range keys {
		m[i] = Pair{keys[i], values[i]}
	}
	return m
}
