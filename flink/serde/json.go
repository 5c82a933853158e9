package serde

import (
	"encoding/base64"
	"encoding/json"
	"math"
	"math/big"
	"strconv"
	"time"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/tidemark-io/tidemark/flink/wire"
)

// AppendJSON decodes data as Decode does and appends it as AppendValueJSON does.
// On an error dst is returned as it was.
func (t *Type) AppendJSON(dst, data []byte) ([]byte, error) {
	v, err := t.Decode(data)
	if err != nil {
		return dst, err
	}
	return t.AppendValueJSON(dst, v), nil
}

// AppendValueJSON appends a decoded value of the type as JSON: integers of 64 bits
// as strings, smaller ones as numbers; floats as numbers, but "NaN", "Infinity"
// and "-Infinity"; bytes as base64; moments as RFC 3339 in UTC; tuples as arrays,
// what has field names as objects; rows as objects with kind and fields; maps with
// string keys as objects, others as arrays of pairs; bytes of the user's own
// encoding as an object with @class and @bytes. What a terminal could take for a
// command is escaped.
func (t *Type) AppendValueJSON(dst []byte, v any) []byte {
	if n, ok := v.(int64); ok && t != nil && t.small() {
		return strconv.AppendInt(dst, n, 10)
	}
	switch v := v.(type) {
	case nil:
		return append(dst, "null"...)
	case bool:
		return strconv.AppendBool(dst, v)
	case int64:
		return quoted(strconv.AppendInt(append(dst, '"'), v, 10))
	case float32:
		return appendFloat(dst, float64(v), 32)
	case float64:
		return appendFloat(dst, v, 64)
	case string:
		return AppendString(dst, v)
	case []byte:
		return appendBytes(dst, v)
	case *big.Int:
		return quoted(v.Append(append(dst, '"'), 10))
	case *Decimal:
		return quoted(append(append(dst, '"'), v.String()...))
	case Time, Instant, Civil:
		return appendTime(dst, v)
	case *Opaque:
		dst = AppendString(append(dst, `{"@class":`...), v.Class)
		return append(appendBytes(append(dst, `,"@bytes":`...), v.Bytes), '}')
	case *Object:
		return (&objectPrinter{budget: maxObjectParts}).value(dst, v.Value, 0)
	case []any:
		return t.appendList(dst, v)
	case Map:
		return t.appendMap(dst, v)
	case *Struct:
		return v.appendJSON(dst)
	}
	return append(dst, "null"...)
}

func quoted(dst []byte) []byte { return append(dst, '"') }

// small reports whether integers of the type are of fewer than 64 bits.
func (t *Type) small() bool {
	switch t.Kind {
	case KindInt, KindShort, KindByte, KindChar, KindIntArray, KindShortArray, KindCharArray, KindDewey:
		return true
	case KindTTLAware, KindExternal, KindNullable, KindOption:
		return len(t.Args) > 0 && t.Args[0].small()
	}
	return false
}

// arg is a nested type, nil if there is none: values then print by themselves.
func (t *Type) arg(i int) *Type {
	for t != nil && (t.Kind == KindTTLAware || t.Kind == KindExternal || t.Kind == KindNullable || t.Kind == KindOption || t.Kind == KindRawValue) && len(t.Args) == 1 {
		t = t.Args[0]
	}
	if t == nil {
		return nil
	}
	if i < len(t.Args) && t.Kind != KindRowData {
		return t.Args[i]
	}
	if t.Kind == KindIntArray || t.Kind == KindShortArray || t.Kind == KindCharArray || t.Kind == KindDewey {
		return t
	}
	return nil
}

func (t *Type) appendList(dst []byte, items []any) []byte {
	elem := t.arg(0)
	dst = append(dst, '[')
	for i, item := range items {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = elem.AppendValueJSON(dst, item)
	}
	return append(dst, ']')
}

func (t *Type) appendMap(dst []byte, m Map) []byte {
	key, value := t.arg(0), t.arg(1)
	texts := true
	for _, p := range m {
		_, isText := p.Key.(string)
		texts = texts && isText
	}
	open, end := byte('['), byte(']')
	if texts {
		open, end = '{', '}'
	}
	dst = append(dst, open)
	for i, p := range m {
		if i > 0 {
			dst = append(dst, ',')
		}
		if texts {
			dst = append(key.AppendValueJSON(dst, p.Key), ':')
			dst = value.AppendValueJSON(dst, p.Value)
			continue
		}
		dst = append(key.AppendValueJSON(append(dst, '['), p.Key), ',')
		dst = append(value.AppendValueJSON(dst, p.Value), ']')
	}
	return append(dst, end)
}

// rowKinds are the kinds of rows as SQL shows them.
var rowKinds = [4]string{"+I", "-U", "+U", "-D"}

func (s *Struct) appendJSON(dst []byte) []byte {
	named := s.Names != nil || s.Type != nil && s.Type.Kind == KindPojo
	switch {
	case s.RowKind >= 0:
		dst = append(append(append(dst, `{"kind":"`...), rowKinds[s.RowKind&3]...), `","fields":[`...)
	case named:
		dst = append(dst, '{')
	default:
		dst = append(dst, '[')
	}
	for i, v := range s.Values {
		if i > 0 {
			dst = append(dst, ',')
		}
		if named && i < len(s.Names) {
			dst = append(AppendString(dst, s.Names[i]), ':')
		}
		dst = s.field(i).AppendValueJSON(dst, v)
	}
	switch {
	case s.RowKind >= 0:
		return append(dst, ']', '}')
	case named:
		return append(dst, '}')
	}
	return append(dst, ']')
}

// field is the type of a field, nil where the value prints by itself.
func (s *Struct) field(i int) *Type {
	t := s.Type
	switch {
	case t == nil:
		return nil
	case t.Kind == KindPojo && i < len(t.Fields):
		return t.Fields[i].Type
	case t.Kind == KindTTL && i == 1 && len(t.Args) > 1:
		return t.Args[1]
	case (t.Kind == KindTimer) && i >= 1 && i <= len(t.Args):
		return t.Args[i-1]
	case (t.Kind == KindTuple || t.Kind == KindCaseClass || t.Kind == KindRow || t.Kind == KindSharedEdge) && i < len(t.Args):
		return t.Args[i]
	case t.Kind == KindRowData && i < len(t.Logical):
		return logicalType(t.Logical[i])
	case t.Kind == KindEither || t.Kind == KindTry || t.Kind == KindUnion:
		second := len(s.Names) == 1 && (s.Names[0] == "right" || s.Names[0] == "failure" || s.Names[0] == "two")
		if second && len(t.Args) > 1 {
			return t.Args[1]
		}
		return t.arg(0)
	case t.Kind == KindStreamElement && i < len(s.Names) && s.Names[i] == "value":
		return t.arg(0)
	case (t.Kind == KindBufferEntry || t.Kind == KindLockable || t.Kind == KindSharedNode) && i == 1:
		return t.arg(0)
	}
	return nil
}

// intType makes integers print as numbers.
var intType = &Type{Kind: KindInt}

// logicalType is a type that prints values of an SQL type: only the width of
// integers matters.
func logicalType(l Logical) *Type {
	switch l.Root {
	case "TINYINT", "SMALLINT", "INTEGER", "INTERVAL_YEAR_MONTH":
		return intType
	case "ARRAY":
		return &Type{Kind: KindList, Args: []*Type{logicalType(l.Args[0])}}
	case "MAP":
		return &Type{Kind: KindMap, Args: []*Type{logicalType(l.Args[0]), logicalType(l.Args[1])}}
	case "MULTISET":
		return &Type{Kind: KindMap, Args: []*Type{logicalType(l.Args[0]), intType}}
	}
	return nil
}

func appendBytes(dst, b []byte) []byte {
	return quoted(base64.StdEncoding.AppendEncode(append(dst, '"'), b))
}

// appendFloat appends a float. JSON has no text for what is not finite.
func appendFloat(dst []byte, f float64, bits int) []byte {
	switch {
	case math.IsNaN(f):
		return append(dst, `"NaN"`...)
	case math.IsInf(f, 1):
		return append(dst, `"Infinity"`...)
	case math.IsInf(f, -1):
		return append(dst, `"-Infinity"`...)
	}
	if b, err := json.Marshal(f); err == nil && bits == 64 {
		return append(dst, b...)
	}
	b, _ := json.Marshal(float32(f))
	return append(dst, b...)
}

// AppendString appends a string as JSON. Control characters, also those of the
// upper half and of bidirectional text, are escaped, and lone surrogates written
// as such.
func AppendString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && n == 1:
			if u, ok := wire.Surrogate(s[i:]); ok {
				dst, n = escape(dst, u), 3
			} else {
				dst = utf8.AppendRune(dst, utf8.RuneError)
			}
		case r == '"' || r == '\\':
			dst = append(dst, '\\', byte(r))
		case r == '\n':
			dst = append(dst, '\\', 'n')
		case r == '\t':
			dst = append(dst, '\\', 't')
		case !unicode.IsControl(r) && !unicode.Is(unicode.Cf, r) && r != '\u2028' && r != '\u2029':
			dst = append(dst, s[i:i+n]...)
		case r > 0xFFFF:
			hi, lo := utf16.EncodeRune(r)
			dst = escape(escape(dst, uint16(hi)), uint16(lo))
		default:
			dst = escape(dst, uint16(r))
		}
		i += n
	}
	return append(dst, '"')
}

func escape(dst []byte, unit uint16) []byte {
	const hex = "0123456789abcdef"
	return append(dst, '\\', 'u', hex[unit>>12], hex[unit>>8&15], hex[unit>>4&15], hex[unit&15])
}

// appendTime appends moments, dates and times of day.
func appendTime(dst []byte, v any) []byte {
	var at time.Time
	layout := time.RFC3339Nano
	switch v := v.(type) {
	case Time:
		at = time.UnixMilli(v.Millis).UTC()
		switch v.Kind {
		case KindSQLTimestamp:
			at = at.Truncate(time.Second).Add(time.Duration(v.Nanos))
		case KindTimestampData:
			at = at.Add(time.Duration(v.Nanos))
		}
		if y := at.Year(); y < 0 || y > 9999 {
			return quoted(strconv.AppendInt(append(dst, '"'), v.Millis, 10))
		}
	case Instant:
		at = time.Unix(v.Seconds, int64(v.Nanos)).UTC()
		if y := at.Year(); y < 0 || y > 9999 || v.Seconds > 1<<40 || v.Seconds < -1<<40 {
			return quoted(strconv.AppendInt(append(dst, '"'), v.Seconds, 10))
		}
	case Civil:
		at = time.Date(int(v.Year), time.Month(v.Month), int(v.Day), int(v.Hour), int(v.Min), int(v.Sec), int(v.Nano), time.UTC)
		layout = "2006-01-02T15:04:05.999999999"
		if !v.HasDate {
			layout = "15:04:05.999999999"
		} else if !v.HasTime {
			layout = "2006-01-02"
		}
	}
	return quoted(at.AppendFormat(append(dst, '"'), layout))
}
