package serde

import (
	"encoding/binary"
	"math"
	"math/big"

	"github.com/tidemark-io/tidemark/flink/wire"
)

// KeyGroup is Flink's key group of a key: murmur(hashCode) mod maxParallelism.
func KeyGroup(hashCode int32, maxParallelism int) int {
	return int(murmur(hashCode)) % maxParallelism
}

// murmur is MathUtils.murmurHash: murmur3 over one word, made non-negative.
func murmur(code int32) int32 {
	h := uint32(code) * 0xCC9E2D51
	h = h<<15 | h>>17
	h *= 0x1B873593
	h = h<<13 | h>>19
	h = h*5 + 0xE6546B64
	h ^= 4
	h = finalMix(h)
	switch c := int32(h); {
	case c >= 0:
		return c
	case c == math.MinInt32:
		return 0
	default:
		return -c
	}
}

func finalMix(h uint32) uint32 {
	h ^= h >> 16
	h *= 0x85EBCA6B
	h ^= h >> 13
	h *= 0xC2B2AE35
	return h ^ h>>16
}

// HashError says that Java's hash code of a key cannot be computed from its bytes.
// It is of the class wire.ErrUnsupported.
type HashError struct {
	Type   string // of the key or of the part of it that stands in the way
	Reason string
}

// Error is the message.
func (e *HashError) Error() string {
	return "unsupported: the hash code of a " + e.Type + " cannot be computed: " + e.Reason
}

// Unwrap returns wire.ErrUnsupported.
func (e *HashError) Unwrap() error { return wire.ErrUnsupported }

// Hashable returns nil if the hash codes of all keys of the type can be computed,
// else a *HashError that names the part which stands in the way.
func (t *Type) Hashable() error { return (&Hasher{typ: t}).hashable(t) }

// HashKey computes Java's hash code of a key from its bytes. Errors are a
// *HashError or, if the bytes are no such key, a *wire.Error.
func (t *Type) HashKey(key []byte) (int32, error) { return (&Hasher{typ: t}).HashKey(key) }

// HashValue computes Java's hash code of a decoded key.
func (t *Type) HashValue(v any) (int32, error) { return (&Hasher{typ: t}).HashValue(t, v) }

// Hasher computes the hash codes of keys among which are objects of users' classes.
// It may be used by any number of goroutines.
type Hasher struct {
	typ  *Type
	user map[string]Formula // by class
}

// Hasher returns a computer of the hash codes of keys of the type. The formulas are
// those of the users' classes in it, by their names. The error is a *HashError if
// there is something in the type whose hash code cannot be computed even so.
func (t *Type) Hasher(user map[string]Formula) (*Hasher, error) {
	h := &Hasher{typ: t, user: user}
	return h, h.hashable(t)
}

// reason is why objects of a type have no hash code, "" if they have one.
func (h *Hasher) reason(t *Type) string {
	switch t.Kind {
	case KindLong, KindInt, KindShort, KindByte, KindBoolean, KindChar, KindDouble, KindFloat, KindString, KindBigInteger,
		KindBigDecimal, KindRowData, KindBinaryRow, KindTuple0, KindTimeWindow, KindInstant, KindDate, KindSQLDate, KindSQLTime,
		KindLocalDate, KindLocalTime, KindLocalDateTime, KindTuple, KindRow:
		return ""
	case KindPojo, KindCaseClass:
		if _, known := h.user[t.Name]; known {
			return ""
		}
		return "its hashCode is a method of the class " + t.Name
	case KindAvro, KindJava, KindKryo, KindUserValue:
		return "its hashCode is a method of the class " + t.Name
	case KindEnum, KindScalaEnum:
		return "an enum's hash code is its identity, which changes from run to run"
	case KindBytes, KindBooleanArray, KindCharArray, KindShortArray, KindIntArray, KindLongArray, KindFloatArray, KindDoubleArray,
		KindStringArray, KindArray:
		return "an array's hash code is its identity, which changes from run to run"
	}
	return "the formula is not known here"
}

// hashable looks for what stands in the way of computing hash codes. Fields of
// users' classes are looked at when their values are: not all of them need count.
func (h *Hasher) hashable(t *Type) error {
	if t == nil {
		return &HashError{Type: "?", Reason: "its type is not known"}
	}
	if why := h.reason(t); why != "" {
		return &HashError{Type: t.String(), Reason: why}
	}
	if t.Kind != KindTuple && t.Kind != KindRow {
		return nil
	}
	for _, a := range t.Args {
		if err := h.hashable(a); err != nil {
			return err
		}
	}
	return nil
}

// HashKey computes the hash code of a key from its bytes; see [Type.HashKey].
func (h *Hasher) HashKey(key []byte) (int32, error) {
	t := h.typ
	if err := h.hashable(t); err != nil {
		return 0, err
	}
	switch {
	case t.Kind == KindLong && len(key) == 8:
		return hashLong(int64(binary.BigEndian.Uint64(key))), nil
	case (t.Kind == KindRowData || t.Kind == KindBinaryRow) && len(key) >= 4:
		return hashRow(key[4:]), nil
	}
	v, err := t.Decode(key)
	if err != nil {
		return 0, err
	}
	return h.HashValue(t, v)
}

// HashValue computes the hash code of a decoded key or of a part of one.
func (h *Hasher) HashValue(t *Type, v any) (int32, error) {
	if v == nil {
		return 0, nil
	}
	if t == nil {
		return 0, &HashError{Type: "?", Reason: "its type is not known"}
	}
	if s, ok := v.(*Struct); ok && s.Type != nil && s.Type.Kind == KindPojo {
		t = s.Type // of a subclass its own
	}
	if why := h.reason(t); why != "" {
		return 0, &HashError{Type: t.String(), Reason: why}
	}
	switch v := v.(type) {
	case bool:
		if v {
			return javaTrue, nil
		}
		return javaFalse, nil
	case int64:
		if t.Kind == KindLong {
			return hashLong(v), nil
		}
		return int32(v), nil
	case float64:
		if math.IsNaN(v) {
			return 0x7ff80000, nil
		}
		return hashLong(int64(math.Float64bits(v))), nil
	case float32:
		if v != v {
			return 0x7fc00000, nil
		}
		return int32(math.Float32bits(v)), nil
	case string:
		return hashString(v), nil
	case *big.Int:
		return hashBig(v), nil
	case *Decimal:
		return hashDecimal(v), nil
	case Time:
		return hashTime(v), nil
	case Instant:
		return hashLong(v.Seconds) + 51*v.Nanos, nil
	case Civil:
		return hashCivil(v), nil
	case *Struct:
		if f, known := h.user[t.Name]; known && (t.Kind == KindPojo || t.Kind == KindCaseClass) {
			return h.hashObject(t, v, f)
		}
		return h.hashStruct(t, v)
	}
	return 0, &HashError{Type: t.String(), Reason: "the formula is not known here"}
}

func hashLong(v int64) int32 { return int32(v ^ int64(uint64(v)>>32)) }

func hashString(s string) int32 {
	var h int32
	for u := range wire.Units(s) {
		h = 31*h + int32(u)
	}
	return h
}

// hashBig is BigInteger.hashCode: over the magnitude's words, times the sign.
func hashBig(v *big.Int) int32 {
	b := new(big.Int).Abs(v).Bytes()
	for len(b)%4 != 0 {
		b = append([]byte{0}, b...)
	}
	var h int32
	for ; len(b) > 0; b = b[4:] {
		h = 31*h + int32(binary.BigEndian.Uint32(b))
	}
	return h * int32(v.Sign())
}

// hashDecimal is BigDecimal.hashCode: unscaled values that fit a long have a
// formula of their own.
func hashDecimal(d *Decimal) int32 {
	if !d.Unscaled.IsInt64() || d.Unscaled.Int64() == math.MinInt64 {
		return 31*hashBig(d.Unscaled) + d.Scale
	}
	v := d.Unscaled.Int64()
	abs := v
	if v < 0 {
		abs = -v
	}
	h := int32(uint64(abs)>>32)*31 + int32(abs)
	if v < 0 {
		h = -h
	}
	return 31*h + d.Scale
}

func hashTime(v Time) int32 { return hashLong(v.Millis) }

// hashCivil is that of LocalDate, LocalTime or LocalDateTime.
func hashCivil(c Civil) int32 {
	date := (c.Year & -2048) ^ (c.Year<<11 + int32(c.Month)<<6 + int32(c.Day))
	nanos := ((int64(c.Hour)*60+int64(c.Min))*60+int64(c.Sec))*1_000_000_000 + int64(c.Nano)
	switch {
	case !c.HasTime:
		return date
	case !c.HasDate:
		return hashLong(nanos)
	}
	return date ^ hashLong(nanos)
}

// hashStruct is that of tuples, rows and windows.
func (h *Hasher) hashStruct(t *Type, s *Struct) (int32, error) {
	if t.Kind == KindTimeWindow {
		start, _ := s.Values[0].(int64)
		end, _ := s.Values[1].(int64)
		return hashWindow(start, end), nil
	}
	var sum int32
	for i, v := range s.Values {
		code, err := h.HashValue(t.Args[i], v)
		if err != nil {
			return 0, err
		}
		if t.Kind == KindRow {
			if i == 0 {
				sum = 1 // RowUtils.deepHashCodeArray
			}
			if v != nil {
				code += 31 // deepHashCodeInternal wraps a field into an array
			}
		}
		switch {
		case t.Kind == KindTuple && i == 0:
			sum = code
		default:
			sum = 31*sum + code
		}
	}
	if t.Kind == KindRow {
		if len(s.Values) == 0 {
			sum = 1
		}
		return 31*int32(max(s.RowKind, 0)) + sum, nil
	}
	return sum, nil
}

// hashWindow is MathUtils.longToIntWithBitMixing of both ends.
func hashWindow(start, end int64) int32 {
	v := uint64(start + end)
	v = (v ^ v>>30) * 0xbf58476d1ce4e5b9
	v = (v ^ v>>27) * 0x94d049bb133111eb
	return int32(v ^ v>>31)
}

// hashRow is that of a binary row: murmur3 over its words, little-endian, with
// seed 42. Rows are whole words; bytes beyond them do not count.
func hashRow(b []byte) int32 {
	h, size := uint32(42), uint32(len(b))
	for ; len(b) >= 4; b = b[4:] {
		h = mix(h, binary.LittleEndian.Uint32(b))
	}
	return int32(finalMix(h ^ size))
}
