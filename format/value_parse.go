package format

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"time"
)

// ParseText encodes a value that is given as text and appends it to dst: as
// [AppendJSON] prints it, or as the bare text where the schema leaves no doubt
// what that means: a string, a number, a time, bytes as 0x and hexadecimal
// digits. The encoding is the canonical one of keys: one NaN, no negative zero.
// Maps, JSON, protobuf and raw values cannot be parsed. The error is of the
// class [ErrInvalid].
func ParseText(dst []byte, s *Schema, text string) ([]byte, error) {
	if err := s.Check(); err != nil {
		return dst, err
	}
	if v, err := decodeJSON(text); err == nil {
		if out, err := appendParsed(dst, s, v); err == nil || s.Type == TypeStruct || s.Type == TypeArray || s.Type == TypeSlice {
			return out, err
		}
	}
	return appendParsed(dst, s, text)
}

// decodeJSON decodes one JSON value with its numbers as text.
func decodeJSON(text string) (v any, err error) {
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	if d.More() {
		return nil, invalid("text behind the value")
	}
	return v, nil
}

// appendParsed encodes a decoded JSON value. It recurses no deeper than the
// schema, whose nesting Check bounds.
func appendParsed(dst []byte, s *Schema, v any) ([]byte, error) {
	from := len(dst)
	out, err := appendParsedValue(dst, s, v)
	if err != nil {
		return dst[:from], err
	}
	return out, nil
}

func appendParsedValue(dst []byte, s *Schema, v any) ([]byte, error) {
	switch s.Type {
	case TypeOptional:
		if v == nil {
			return append(dst, 0), nil
		}
		return appendParsedValue(append(dst, 1), s.Elems[0], v)
	case TypeStruct:
		return appendParsedStruct(dst, s, v)
	case TypeArray, TypeSlice:
		list, ok := v.([]any)
		if !ok || s.Type == TypeArray && uint64(len(list)) != uint64(s.Len) {
			return dst, invalid("%v is not %v", shown(v), s)
		}
		if s.Type == TypeSlice {
			dst = binary.AppendUvarint(dst, uint64(len(list)))
		}
		var err error
		for _, e := range list {
			if dst, err = appendParsedValue(dst, s.Elems[0], e); err != nil {
				return dst, err
			}
		}
		return dst, nil
	case TypeMap, TypeJSON, TypeProtobuf, TypeRaw, TypeOpaque:
		return dst, invalid("a value of type %v cannot be given as text", s)
	case TypeBool:
		switch v {
		case true, "true":
			return append(dst, 1), nil
		case false, "false":
			return append(dst, 0), nil
		}
		return dst, invalid("%v is neither true nor false", shown(v))
	}
	text, ok := v.(string)
	if number, is := v.(json.Number); is {
		text, ok = number.String(), true
	}
	if !ok {
		return dst, invalid("%v is not of type %v", shown(v), s)
	}
	return appendParsedScalar(dst, s.Type, text)
}

// appendParsedStruct wants all fields and no other.
func appendParsedStruct(dst []byte, s *Schema, v any) ([]byte, error) {
	fields, ok := v.(map[string]any)
	if !ok {
		return dst, invalid("%v is not %v", shown(v), s)
	}
	if len(fields) != len(s.Fields) {
		return dst, invalid("%d fields, %v has %d", len(fields), s, len(s.Fields))
	}
	for _, f := range s.Fields {
		value, ok := fields[f.Name]
		if !ok {
			return dst, invalid("no field %q of %v", f.Name, s)
		}
		var err error
		if dst, err = appendParsedValue(dst, f.Schema, value); err != nil {
			return dst, invalid("%s: %v", f.Name, err)
		}
	}
	return dst, nil
}

// appendParsedScalar encodes a scalar.
func appendParsedScalar(dst []byte, t Type, text string) ([]byte, error) {
	switch t {
	case TypeString:
		return append(binary.AppendUvarint(dst, uint64(len(text))), text...), nil
	case TypeBytes:
		raw, err := parseBytes(text)
		if err != nil {
			return dst, err
		}
		return append(binary.AppendUvarint(dst, uint64(len(raw))), raw...), nil
	case TypeTime:
		at, err := time.Parse(time.RFC3339Nano, text)
		if err != nil {
			return dst, invalid("%q is not a time like 2006-01-02T15:04:05Z", text)
		}
		return binary.LittleEndian.AppendUint64(dst, uint64(at.UnixNano())), nil
	case TypeDuration:
		if d, err := time.ParseDuration(text); err == nil {
			return binary.LittleEndian.AppendUint64(dst, uint64(d)), nil
		}
	case TypeFloat32, TypeFloat64:
		return appendParsedFloat(dst, t, text)
	}
	bits := t.Width() * 8
	var u uint64
	var err error
	switch t {
	case TypeUint8, TypeUint16, TypeUint32, TypeUint64:
		u, err = strconv.ParseUint(text, 10, bits)
	default:
		var i int64
		i, err = strconv.ParseInt(text, 10, bits)
		u = uint64(i)
	}
	if err != nil {
		return dst, invalid("%q is not of type %v", text, t)
	}
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], u)
	return append(dst, b[:bits/8]...), nil
}

func appendParsedFloat(dst []byte, t Type, text string) ([]byte, error) {
	bits := t.Width() * 8
	f, err := strconv.ParseFloat(text, bits)
	if err != nil {
		return dst, invalid("%q is not of type %v", text, t)
	}
	if f == 0 {
		f = 0 // the negative one is the same key
	}
	if math.IsNaN(f) {
		f = math.NaN()
	}
	if bits == 32 {
		return binary.LittleEndian.AppendUint32(dst, math.Float32bits(float32(f))), nil
	}
	return binary.LittleEndian.AppendUint64(dst, math.Float64bits(f)), nil
}

// parseBytes reads hexadecimal digits behind 0x, else base64.
func parseBytes(text string) ([]byte, error) {
	if digits, ok := strings.CutPrefix(text, "0x"); ok {
		if raw, err := hex.DecodeString(digits); err == nil {
			return raw, nil
		}
	} else if raw, err := base64.StdEncoding.DecodeString(text); err == nil {
		return raw, nil
	}
	return nil, invalid("%q is neither base64 nor 0x and hexadecimal digits", text)
}

// shown is a JSON value as a message quotes it.
func shown(v any) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	if e.Encode(v) != nil || b.Len() > 200 {
		return "the value"
	}
	return strings.TrimSpace(b.String())
}
