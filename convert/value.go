package convert

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/tidemark-io/tidemark/flink/serde"
	"github.com/tidemark-io/tidemark/format"
)

// errShort: bytes of a value are missing, which a checked block does not have.
var errShort = errors.New("the value ends early")

// toJava appends a native value in the encoding of the Java type. The value must
// be the whole of data.
func (m *match) toJava(dst, data []byte) ([]byte, error) {
	v, rest, err := m.decode(data)
	if err == nil && len(rest) > 0 {
		err = fmt.Errorf("%d bytes behind the value", len(rest))
	}
	if err != nil {
		return dst, fmt.Errorf("%v: %w: %w", m.schema, errUnfit, err)
	}
	if dst, err = m.typ.Append(dst, v); err != nil {
		err = fmt.Errorf("%v: %w: %w", m.schema, errUnfit, err)
	}
	return dst, err
}

// fromJava appends a Java value in the native encoding.
func (m *match) fromJava(dst, data []byte) ([]byte, error) {
	v, err := m.reads.Decode(data)
	if err != nil {
		return dst, err
	}
	return m.fit(dst, v)
}

// fit is encode, with errors of their class.
func (m *match) fit(dst []byte, v any) ([]byte, error) {
	dst, err := m.encode(dst, v)
	if err != nil {
		err = fmt.Errorf("%v: %w: %w", m.schema, errUnfit, err)
	}
	return dst, err
}

// decode reads a native value and returns it as package serde has it, and what is
// behind it.
func (m *match) decode(b []byte) (any, []byte, error) {
	switch s := m.schema; s.Type {
	case format.TypeString, format.TypeJSON, format.TypeBytes, format.TypeRaw, format.TypeProtobuf:
		text, rest, err := sized(b)
		if s.Type == format.TypeString || s.Type == format.TypeJSON {
			return string(text), rest, err
		}
		return slices.Clone(text), rest, err
	case format.TypeOptional:
		if len(b) == 0 || b[0] > 1 {
			return nil, b, errShort
		}
		if b[0] == 0 {
			return nil, b[1:], nil
		}
		return m.args[0].decode(b[1:])
	case format.TypeArray, format.TypeSlice:
		return m.decodeList(b)
	case format.TypeMap:
		return m.decodeMap(b)
	case format.TypeStruct:
		return m.decodeStruct(b)
	}
	width := m.schema.Width()
	if len(b) < width {
		return nil, b, errShort
	}
	v, err := m.number(b[:width])
	return v, b[width:], err
}

func sized(b []byte) (text, rest []byte, err error) {
	n, size := binary.Uvarint(b)
	if size <= 0 || n > uint64(len(b)-size) {
		return nil, b, errShort
	}
	return b[size : size+int(n)], b[size+int(n):], nil
}

// number reads values of a fixed width.
func (m *match) number(b []byte) (any, error) {
	var word [8]byte
	copy(word[:], b)
	u := binary.LittleEndian.Uint64(word[:])
	switch m.schema.Type {
	case format.TypeBool:
		return u != 0, nil
	case format.TypeInt8:
		return int64(int8(u)), nil
	case format.TypeInt16:
		return int64(int16(u)), nil
	case format.TypeInt32:
		return int64(int32(u)), nil
	case format.TypeUint64:
		if u > math.MaxInt64 {
			return nil, fmt.Errorf("%d is larger than any long", u)
		}
		return int64(u), nil
	case format.TypeFloat32:
		return math.Float32frombits(uint32(u)), nil
	case format.TypeFloat64:
		return math.Float64frombits(u), nil
	case format.TypeTime:
		if int64(u) == math.MinInt64 { // stands for Go's zero time
			return m.moment(time.Time{}), nil
		}
		return m.moment(time.Unix(0, int64(u)).UTC()), nil
	}
	return int64(u), nil // of whatever width, a number without sign, or a long
}

// moment is a time as the Java type has it.
func (m *match) moment(t time.Time) any {
	if m.typ.Kind == serde.KindInstant {
		return serde.Instant{Seconds: t.Unix(), Nanos: int32(t.Nanosecond())}
	}
	at := serde.Time{Millis: t.UnixMilli(), Kind: m.typ.Kind}
	switch m.typ.Kind {
	case serde.KindSQLTimestamp:
		at.Nanos = int32(t.Nanosecond())
	case serde.KindTimestampData:
		at.Nanos = int32(t.Nanosecond() % 1e6)
	}
	return at
}

func (m *match) decodeList(b []byte) (any, []byte, error) {
	n := uint64(m.schema.Len)
	if m.schema.Type == format.TypeSlice {
		var size int
		if n, size = binary.Uvarint(b); size <= 0 {
			return nil, b, errShort
		}
		b = b[size:]
	}
	if n > uint64(len(b)) { // every element takes a byte at least
		return nil, b, errShort
	}
	if m.typ.Kind == serde.KindBytes {
		return slices.Clone(b[:n]), b[n:], nil
	}
	list := make([]any, n)
	var err error
	for i := range list {
		if list[i], b, err = m.args[0].decode(b); err != nil {
			return nil, b, err
		}
	}
	return list, b, nil
}

func (m *match) decodeMap(b []byte) (any, []byte, error) {
	n, size := binary.Uvarint(b)
	if size <= 0 || n > uint64(len(b)) {
		return nil, b, errShort
	}
	b = b[size:]
	list := make(serde.Map, n)
	var err error
	for i := range list {
		if list[i].Key, b, err = m.args[0].decode(b); err != nil {
			return nil, b, err
		}
		if list[i].Value, b, err = m.args[1].decode(b); err != nil {
			return nil, b, err
		}
	}
	return list, b, nil
}

func (m *match) decodeStruct(b []byte) (any, []byte, error) {
	s := &serde.Struct{Type: m.typ, Values: make([]any, len(m.args))}
	if m.typ.Kind != serde.KindRow {
		s.RowKind = -1
	}
	var err error
	for i, a := range m.args {
		if s.Values[m.places[i]], b, err = a.decode(b); err != nil {
			return nil, b, fmt.Errorf("field %s: %w", m.schema.Fields[i].Name, err)
		}
	}
	return s, b, nil
}

// errNull: the schema has no place for a null.
var errNull = errors.New("it is null, and the type has no place for that (--nullable gives fields one)")

// encode appends a value of package serde in the native encoding.
func (m *match) encode(dst []byte, v any) ([]byte, error) {
	s := m.schema
	if s.Type == format.TypeOptional {
		if v == nil {
			return append(dst, 0), nil
		}
		return m.args[0].encode(append(dst, 1), v)
	}
	if v == nil {
		return dst, errNull
	}
	switch v := v.(type) {
	case bool:
		if v {
			return append(dst, 1), nil
		}
		return append(dst, 0), nil
	case int64:
		return m.encodeInteger(dst, v)
	case float32:
		return m.encodeFloat(dst, float64(v))
	case float64:
		return m.encodeFloat(dst, v)
	case string:
		if !utf8.ValidString(v) {
			return dst, fmt.Errorf("the text %.100q has half of a surrogate pair, which UTF-8 cannot express", v)
		}
		return append(binary.AppendUvarint(dst, uint64(len(v))), v...), nil
	case []byte:
		return m.encodeBytes(dst, v)
	case serde.Instant, serde.Time:
		return encodeMoment(dst, v)
	case []any:
		return m.encodeList(dst, v)
	case serde.Map:
		return m.encodeMap(dst, v)
	case *serde.Struct:
		return m.encodeStruct(dst, v)
	}
	return dst, fmt.Errorf("a %T is no value of %v", v, s)
}

// limits are the least and the largest value of integers.
var limits = map[format.Type][2]int64{
	format.TypeInt8: {math.MinInt8, math.MaxInt8}, format.TypeInt16: {math.MinInt16, math.MaxInt16}, format.TypeInt32: {math.MinInt32, math.MaxInt32},
	format.TypeInt64: {math.MinInt64, math.MaxInt64}, format.TypeDuration: {math.MinInt64, math.MaxInt64}, format.TypeUint8: {0, math.MaxUint8},
	format.TypeUint16: {0, math.MaxUint16}, format.TypeUint32: {0, math.MaxUint32}, format.TypeUint64: {0, math.MaxInt64},
}

func (m *match) encodeInteger(dst []byte, v int64) ([]byte, error) {
	if l, ok := limits[m.schema.Type]; !ok || v < l[0] || v > l[1] {
		return dst, fmt.Errorf("%d is no value of %v", v, m.schema)
	}
	word := binary.LittleEndian.AppendUint64(nil, uint64(v))
	return append(dst, word[:m.schema.Width()]...), nil
}

// encodeFloat writes keys in their one encoding (R1): -0 as 0, all NaN as one.
func (m *match) encodeFloat(dst []byte, v float64) ([]byte, error) {
	if m.key {
		if v == 0 {
			v = 0
		}
		if v != v {
			v = math.NaN()
		}
	}
	if m.schema.Type == format.TypeFloat32 {
		if m.key && v != v {
			return binary.LittleEndian.AppendUint32(dst, 0x7fc00000), nil
		}
		return binary.LittleEndian.AppendUint32(dst, math.Float32bits(float32(v))), nil
	}
	if m.key && v != v {
		return binary.LittleEndian.AppendUint64(dst, 0x7ff8000000000001), nil
	}
	return binary.LittleEndian.AppendUint64(dst, math.Float64bits(v)), nil
}

func (m *match) encodeBytes(dst, v []byte) ([]byte, error) {
	if m.schema.Type == format.TypeArray {
		if uint64(len(v)) != uint64(m.schema.Len) {
			return dst, fmt.Errorf("%d elements are no value of %v", len(v), m.schema)
		}
		return append(dst, v...), nil
	}
	return append(binary.AppendUvarint(dst, uint64(len(v))), v...), nil
}

// encodeMoment writes nanoseconds since 1970, which reach from 1677 to 2262.
func encodeMoment(dst []byte, v any) ([]byte, error) {
	var at time.Time
	switch v := v.(type) {
	case serde.Instant:
		at = time.Unix(v.Seconds, int64(v.Nanos))
	case serde.Time:
		at = time.UnixMilli(v.Millis)
		switch v.Kind {
		case serde.KindSQLTimestamp:
			at = at.Truncate(time.Second).Add(time.Duration(v.Nanos))
		case serde.KindTimestampData:
			at = at.Add(time.Duration(v.Nanos))
		}
	}
	if at.IsZero() {
		return binary.LittleEndian.AppendUint64(dst, 1<<63), nil
	}
	if !at.After(time.Unix(0, math.MinInt64)) || at.After(time.Unix(0, math.MaxInt64)) {
		return dst, fmt.Errorf("%v is no moment between 1677 and 2262", at)
	}
	return binary.LittleEndian.AppendUint64(dst, uint64(at.UnixNano())), nil
}

func (m *match) encodeList(dst []byte, v []any) ([]byte, error) {
	if m.schema.Type == format.TypeSlice {
		dst = binary.AppendUvarint(dst, uint64(len(v)))
	} else if uint64(len(v)) != uint64(m.schema.Len) {
		return dst, fmt.Errorf("%d elements are no value of %v", len(v), m.schema)
	}
	var err error
	for _, item := range v {
		if dst, err = m.args[0].encode(dst, item); err != nil {
			return dst, err
		}
	}
	return dst, nil
}

// encodeMap writes the entries in the order of their encoded keys.
func (m *match) encodeMap(dst []byte, v serde.Map) ([]byte, error) {
	entries := make([]pair, len(v))
	for i, p := range v {
		var err error
		if entries[i].key, err = m.args[0].encode(nil, p.Key); err != nil {
			return dst, err
		}
		if entries[i].value, err = m.args[1].encode(nil, p.Value); err != nil {
			return dst, err
		}
	}
	slices.SortFunc(entries, func(a, b pair) int { return bytes.Compare(a.key, b.key) })
	dst = binary.AppendUvarint(dst, uint64(len(entries)))
	for i, e := range entries {
		if i > 0 && bytes.Equal(e.key, entries[i-1].key) {
			return dst, errMerge
		}
		dst = append(append(dst, e.key...), e.value...)
	}
	return dst, nil
}

// rowKinds are what a row can be in a changelog, as Flink writes them.
var rowKinds = []string{"+I", "-U", "+U", "-D"}

func (m *match) encodeStruct(dst []byte, v *serde.Struct) ([]byte, error) {
	if v.Type != nil && v.Type != m.typ && v.Type.Kind == serde.KindPojo && v.Type.Name != m.typ.Name {
		return dst, fmt.Errorf("a value of the subclass %s, which %v cannot tell apart", v.Type.Name, m.schema)
	}
	if v.RowKind > 0 {
		return dst, fmt.Errorf("a row of the kind %s, which %v cannot tell from +I", rowKinds[min(int(v.RowKind), len(rowKinds)-1)], m.schema)
	}
	var err error
	for i, a := range m.args {
		if m.places[i] >= len(v.Values) {
			return dst, fmt.Errorf("%d fields are no value of %v", len(v.Values), m.schema)
		}
		if dst, err = a.encode(dst, v.Values[m.places[i]]); err != nil {
			return dst, fmt.Errorf("field %s: %w", m.schema.Fields[i].Name, err)
		}
	}
	return dst, nil
}

// errMerge: two keys of Flink's are one key here.
var errMerge = errors.New("two keys that Flink tells apart are one here: 0 and -0, or two that are not numbers (NaN)")
