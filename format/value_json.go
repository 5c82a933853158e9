package format

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"math"
	"strconv"
	"time"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// AppendJSON appends the value, printed as JSON by its schema, to dst:
//
//   - integers of 64 bits and durations (in nanoseconds) as strings, since they
//     may exceed 2^53; smaller ones as numbers; floats as numbers, but "NaN",
//     "Infinity" and "-Infinity" as strings
//   - times as RFC 3339 in UTC
//   - byte strings, protobuf and raw as base64, opaque values as hexadecimal digits
//   - JSON as it is, without white space, or as a string if it is not JSON
//   - structs as objects in the order of the fields, slices and arrays as arrays
//   - maps with strings as keys as objects, others as arrays of [key, value]
//   - an absent optional as null
//
// What a terminal could take for a command (control characters, also those of
// the upper half and of bidirectional text) is escaped; bytes that are not
// UTF-8 become U+FFFD. On an error dst is returned as it was: of the class
// [ErrMalformed] if the bytes are no value of the schema, [ErrLimit] if the
// text gets longer than the limit.
func AppendJSON(dst []byte, s *Schema, value []byte, lim *Limits) ([]byte, error) {
	w, err := beginWalk(s, value)
	if err != nil {
		return dst, err
	}
	defer w.end()
	limit := lim.orDefault().JSON
	out := dst
	for w.next() {
		out = w.json(out)
		if n := uint64(len(out) - len(dst)); n > limit {
			return dst, overLimit("length of the text", n, limit)
		}
	}
	if err := w.dec.end("value"); err != nil {
		return dst, err
	}
	return out, nil
}

// json appends the text of one step.
func (w *valueWalk) json(out []byte) []byte {
	if w.step == stepClose {
		if w.schema.Type == TypeStruct || w.schema.Type == TypeMap && stringKeys(w.schema) {
			out = append(out, '}')
		} else {
			out = append(out, ']')
		}
		return w.afterValue(out)
	}
	out = w.beforeValue(out)
	switch w.step {
	case stepAbsent:
		out = append(out, "null"...)
	case stepOpen:
		if w.schema.Type == TypeStruct || w.schema.Type == TypeMap && stringKeys(w.schema) {
			return append(out, '{')
		}
		return append(out, '[')
	default:
		out = appendScalar(out, w.schema.Type, w.raw)
	}
	return w.afterValue(out)
}

// stringKeys reports whether a map is printed as an object.
func stringKeys(s *Schema) bool { return s.Elems[0].Type == TypeString }

// beforeValue appends what stands between the value before and this one.
func (w *valueWalk) beforeValue(out []byte) []byte {
	p := w.parent
	if p == nil {
		return out
	}
	if p.Type == TypeMap && w.index%2 == 1 {
		if stringKeys(p) {
			return append(out, ':')
		}
		return append(out, ',')
	}
	if w.index > 0 {
		out = append(out, ',')
	}
	switch {
	case p.Type == TypeStruct:
		out = append(appendString(out, p.Fields[w.index].Name), ':')
	case p.Type == TypeMap && !stringKeys(p):
		out = append(out, '[')
	}
	return out
}

// afterValue appends what ends a pair of a map that is printed as an array.
func (w *valueWalk) afterValue(out []byte) []byte {
	if p := w.parent; p != nil && p.Type == TypeMap && w.index%2 == 1 && !stringKeys(p) {
		return append(out, ']')
	}
	return out
}

// appendScalar appends the text of a value without content.
func appendScalar(out []byte, t Type, raw []byte) []byte {
	u := number(t, raw)
	switch t {
	case TypeBool:
		return strconv.AppendBool(out, u == 1)
	case TypeInt8, TypeInt16, TypeInt32:
		return strconv.AppendInt(out, int64(u), 10)
	case TypeUint8, TypeUint16, TypeUint32:
		return strconv.AppendUint(out, u, 10)
	case TypeInt64, TypeDuration:
		return append(strconv.AppendInt(append(out, '"'), int64(u), 10), '"')
	case TypeUint64:
		return append(strconv.AppendUint(append(out, '"'), u, 10), '"')
	case TypeFloat32:
		return appendFloat(out, float64(math.Float32frombits(uint32(u))), 32)
	case TypeFloat64:
		return appendFloat(out, math.Float64frombits(u), 64)
	case TypeTime:
		at := time.Unix(0, 0).UTC().Add(time.Duration(u))
		return append(at.AppendFormat(append(out, '"'), time.RFC3339Nano), '"')
	case TypeString:
		return appendString(out, string(raw))
	case TypeJSON:
		return appendRawJSON(out, raw)
	case TypeOpaque:
		return append(hex.AppendEncode(append(out, '"'), raw), '"')
	}
	out = append(out, '"')
	out = base64.StdEncoding.AppendEncode(out, raw)
	return append(out, '"')
}

// appendFloat appends a float. JSON has no text for what is not finite.
func appendFloat(out []byte, f float64, bits int) []byte {
	switch {
	case math.IsNaN(f):
		return append(out, `"NaN"`...)
	case math.IsInf(f, 1):
		return append(out, `"Infinity"`...)
	case math.IsInf(f, -1):
		return append(out, `"-Infinity"`...)
	}
	text := byte('f')
	if abs := math.Abs(f); abs != 0 && (abs < 1e-6 || abs >= 1e21) {
		text = 'e'
	}
	return strconv.AppendFloat(out, f, text, -1, bits)
}

// appendRawJSON appends a JSON document without white space, its strings
// escaped as ours are. What is no JSON becomes a string.
func appendRawJSON(out, raw []byte) []byte {
	var compact bytes.Buffer
	if json.Compact(&compact, raw) != nil {
		return appendString(out, string(raw))
	}
	// Outside of strings JSON is plain ASCII, so an escape is never wrong.
	return appendEscaped(out, compact.String(), false)
}

// appendString appends a JSON string.
func appendString(out []byte, s string) []byte {
	return append(appendEscaped(append(out, '"'), s, true), '"')
}

// appendEscaped appends s with everything escaped that is not printed by
// itself, and with quotes escaped too if s is not JSON yet.
func appendEscaped(out []byte, s string, quotes bool) []byte {
	for i := 0; i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf {
			switch {
			case (c == '"' || c == '\\') && quotes:
				out = append(out, '\\', c)
			case c < ' ' || c == 0x7f:
				out = appendUnicode(out, rune(c))
			default:
				out = append(out, c)
			}
			i++
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError || unicode.IsGraphic(r) {
			out = utf8.AppendRune(out, r)
		} else {
			out = appendUnicode(out, r)
		}
		i += n
	}
	return out
}

// appendUnicode appends a \u escape, two above the basic plane.
func appendUnicode(out []byte, r rune) []byte {
	if r > 0xffff {
		high, low := utf16.EncodeRune(r)
		return appendUnicode(appendUnicode(out, high), low)
	}
	const digits = "0123456789abcdef"
	return append(out, '\\', 'u', digits[r>>12], digits[r>>8&15], digits[r>>4&15], digits[r&15])
}
