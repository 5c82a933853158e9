package serde

import (
	"math"
	"math/big"

	"github.com/tidemark-io/tidemark/flink/wire"
)

// Append appends a value in the type's encoding, the inverse of Decode. It fails,
// with dst as it was, if the value does not fit the type (wire.ErrMalformed) or
// the kind cannot be written (wire.ErrUnsupported).
func (t *Type) Append(dst []byte, v any) ([]byte, error) {
	e := encoder{out: dst}
	e.value(t, v)
	if e.err != nil {
		return dst, e.err
	}
	return e.out, nil
}

// encoder appends one value; after its first failure it does nothing.
type encoder struct {
	out []byte
	err error
}

func (e *encoder) fail(t *Type, v any) {
	if e.err == nil {
		e.err = wire.Malformed("a %T is no value of %s", v, t)
	}
}

func (e *encoder) value(t *Type, v any) {
	switch {
	case e.err != nil:
	case t == nil:
		e.err = wire.Malformed("a value without a type")
	case e.scalar(t, v), e.moment(t, v), e.container(t, v):
	default:
		e.err = wire.Unsupported("writing values of %s", t)
	}
}

// scalar appends values without parts. It returns false for other kinds.
func (e *encoder) scalar(t *Type, v any) bool {
	switch t.Kind {
	case KindString:
		e.str(t, v)
	case KindLong:
		e.integer(t, v, 8, math.MinInt64, math.MaxInt64)
	case KindInt:
		e.integer(t, v, 4, math.MinInt32, math.MaxInt32)
	case KindShort:
		e.integer(t, v, 2, math.MinInt16, math.MaxInt16)
	case KindByte:
		e.integer(t, v, 1, math.MinInt8, math.MaxInt8)
	case KindChar:
		e.integer(t, v, 2, 0, math.MaxUint16)
	case KindBoolean:
		b, ok := v.(bool)
		if !ok {
			e.fail(t, v)
		}
		e.out = wire.AppendBool(e.out, b)
	case KindDouble:
		f, ok := v.(float64)
		if !ok {
			e.fail(t, v)
		}
		e.out = wire.AppendI64(e.out, int64(math.Float64bits(f)))
	case KindFloat:
		f, ok := v.(float32)
		if !ok {
			e.fail(t, v)
		}
		e.out = wire.AppendI32(e.out, int32(math.Float32bits(f)))
	case KindBytes:
		b, ok := v.([]byte)
		if !ok {
			e.fail(t, v)
		}
		e.bytes(b)
	case KindBigInteger:
		e.bigInteger(t, v)
	case KindBigDecimal:
		e.bigDecimal(t, v)
	case KindVoid, KindVoidNamespace, KindGlobalWindow, KindNull:
		if v != nil {
			e.fail(t, v)
		}
		e.out = append(e.out, 0)
	case KindEnum:
		e.enum(t, v)
	default:
		return false
	}
	return true
}

func (e *encoder) bytes(b []byte) {
	if out, err := wire.AppendBytes32(e.out, b); err != nil {
		e.err = err
	} else {
		e.out = out
	}
}

func (e *encoder) str(t *Type, v any) {
	switch v := v.(type) {
	case nil:
		e.out = append(e.out, 0)
	case string:
		e.out = wire.AppendStr(e.out, v)
	default:
		e.fail(t, v)
	}
}

// integer appends a number of the given bytes, which must lie in its range.
func (e *encoder) integer(t *Type, v any, width int, least, most int64) {
	n, ok := v.(int64)
	if !ok {
		e.fail(t, v)
		return
	}
	if n < least || n > most {
		e.err = wire.Malformed("%d is no value of %s", n, t)
		return
	}
	for shift := 8 * (width - 1); shift >= 0; shift -= 8 {
		e.out = append(e.out, byte(n>>shift))
	}
}

func (e *encoder) enum(t *Type, v any) {
	name, _ := v.(string)
	for i, n := range t.Names {
		if n == name {
			e.out = wire.AppendI32(e.out, int32(i))
			return
		}
	}
	e.fail(t, v)
}

// bigInteger appends a number of any length; see walker.bigInteger.
func (e *encoder) bigInteger(t *Type, v any) {
	n, ok := v.(*big.Int)
	switch {
	case v == nil:
		e.out = wire.AppendI32(e.out, 0)
		return
	case !ok:
		e.fail(t, v)
		return
	}
	if n.IsInt64() {
		for code, frequent := range map[int32]int64{1: 0, 2: 1, 3: 10} {
			if n.Int64() == frequent {
				e.out = wire.AppendI32(e.out, code)
				return
			}
		}
	}
	b := bigBytes(n)
	e.out = append(wire.AppendI32(e.out, int32(len(b)+4)), b...)
}

// bigBytes is the shortest two's complement, as BigInteger.toByteArray gives it.
func bigBytes(n *big.Int) []byte {
	if n.Sign() >= 0 {
		b := n.Bytes()
		if len(b) == 0 || b[0]&0x80 != 0 {
			b = append([]byte{0}, b...)
		}
		return b
	}
	bits := new(big.Int).Not(n).BitLen() // of -n-1
	size := bits/8 + 1
	b := new(big.Int).Add(n, new(big.Int).Lsh(big1, uint(size)*8)).Bytes()
	return b
}

func (e *encoder) bigDecimal(t *Type, v any) {
	d, ok := v.(*Decimal)
	switch {
	case v == nil:
		e.out = wire.AppendI32(e.out, 0)
	case !ok || d.Unscaled == nil:
		e.fail(t, v)
	default:
		e.bigInteger(t, d.Unscaled)
		e.out = wire.AppendI32(e.out, d.Scale)
	}
}

// moment appends dates, times and windows. It returns false for other kinds.
func (e *encoder) moment(t *Type, v any) bool {
	switch t.Kind {
	case KindDate, KindSQLDate, KindSQLTime, KindSQLTimestamp, KindTimestampData:
		at, ok := v.(Time)
		if !ok {
			at.Millis = math.MinInt64
			if v != nil || t.Kind == KindTimestampData {
				e.fail(t, v)
			}
		}
		e.out = wire.AppendI64(e.out, at.Millis)
		if t.Kind == KindSQLTimestamp || t.Kind == KindTimestampData && t.Size > compactTimestamp {
			e.out = wire.AppendI32(e.out, at.Nanos)
		}
	case KindInstant:
		at, ok := v.(Instant)
		if !ok {
			at = Instant{math.MinInt64, math.MinInt32}
			if v != nil {
				e.fail(t, v)
			}
		}
		e.out = wire.AppendI32(wire.AppendI64(e.out, at.Seconds), at.Nanos)
	case KindLocalDate, KindLocalTime, KindLocalDateTime:
		e.civil(t, v)
	case KindTimeWindow:
		s, ok := v.(*Struct)
		if !ok || len(s.Values) != 2 {
			e.fail(t, v)
			return true
		}
		for _, end := range s.Values {
			e.integer(t, end, 8, math.MinInt64, math.MaxInt64)
		}
	default:
		return false
	}
	return true
}

// civil appends a date, a time of day, or both; null is the least value of the
// first number of each, and the others 0, as Flink writes them.
func (e *encoder) civil(t *Type, v any) {
	c, ok := v.(Civil)
	if !ok && v != nil {
		e.fail(t, v)
	}
	if t.Kind != KindLocalTime {
		if !c.HasDate {
			c.Year, c.Month, c.Day = math.MinInt32, math.MinInt8, 0 // together the least int and the least short
		}
		e.out = append(wire.AppendI32(e.out, c.Year), byte(c.Month), byte(c.Day))
	}
	if t.Kind != KindLocalDate {
		if !c.HasTime {
			c = Civil{Hour: math.MinInt8}
		}
		e.out = wire.AppendI32(append(e.out, byte(c.Hour), byte(c.Min), byte(c.Sec)), c.Nano)
	}
}
