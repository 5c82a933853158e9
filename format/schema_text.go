package format

import (
	"bytes"
	"strconv"
	"strings"
)

// typeNames are the names of types in text. SPEC.md lists them.
var typeNames = [...]string{
	TypeBool: "bool", TypeInt8: "int8", TypeInt16: "int16", TypeInt32: "int32", TypeInt64: "int64",
	TypeUint8: "uint8", TypeUint16: "uint16", TypeUint32: "uint32", TypeUint64: "uint64",
	TypeFloat32: "float32", TypeFloat64: "float64", TypeString: "string", TypeBytes: "bytes",
	TypeTime: "time", TypeStruct: "struct", TypeArray: "array", TypeSlice: "slice", TypeMap: "map",
	TypeOptional: "optional", TypeJSON: "json", TypeProtobuf: "protobuf", TypeRaw: "raw", TypeDuration: "duration", TypeOpaque: "opaque",
}

// String is the name of the type.
func (t Type) String() string {
	if int(t) < len(typeNames) && typeNames[t] != "" {
		return typeNames[t]
	}
	return "type " + strconv.Itoa(int(t))
}

// maxSchemaText bounds what String prints.
const maxSchemaText = 4 << 10

// String shows the schema in the manner of a Go type:
// "struct{origin string; count int64}", "[]map[string]float64", "?time",
// "protobuf(tidemark.Flight)", "opaque(jobs.Flight)". Longer text than 4 KiB is cut and ends in "…".
func (s *Schema) String() string {
	var b strings.Builder
	s.text(&b, 0)
	return b.String()
}

// text appends the text of s, down to the nesting that is allowed.
func (s *Schema) text(b *strings.Builder, depth int) {
	if s == nil || depth >= MaxNesting || b.Len() > maxSchemaText || len(s.Elems) != s.Type.elemsOf() {
		b.WriteString("…")
		return
	}
	switch s.Type {
	case TypeStruct:
		b.WriteString("struct{")
		for i := range s.Fields {
			if i > 0 {
				b.WriteString("; ")
			}
			if b.Len() > maxSchemaText {
				b.WriteString("…")
				break
			}
			b.WriteString(s.Fields[i].Name)
			b.WriteByte(' ')
			s.Fields[i].Schema.text(b, depth+1)
		}
		b.WriteByte('}')
	case TypeArray:
		b.WriteString("[" + strconv.FormatUint(uint64(s.Len), 10) + "]")
		s.Elems[0].text(b, depth+1)
	case TypeSlice:
		b.WriteString("[]")
		s.Elems[0].text(b, depth+1)
	case TypeOptional:
		b.WriteByte('?')
		s.Elems[0].text(b, depth+1)
	case TypeMap:
		b.WriteString("map[")
		s.Elems[0].text(b, depth+1)
		b.WriteByte(']')
		s.Elems[1].text(b, depth+1)
	case TypeProtobuf, TypeOpaque:
		b.WriteString(s.Type.String() + "(" + s.Name + ")")
	default:
		b.WriteString(s.Type.String())
	}
}

// Fingerprint identifies what a value of the schema means: the CRC-32C and the
// length of the encoding with the names of structs left out. Equal schemas have
// equal fingerprints. It is 0 for an invalid schema.
func (s *Schema) Fingerprint() uint64 {
	enc, err := AppendSchema(nil, s.anonymous(0))
	if err != nil {
		return 0
	}
	return uint64(len(enc))<<32 | uint64(Checksum(enc))
}

// Equal reports whether values of both schemas mean the same: all but the names
// of structs agree. Two absent schemas are equal.
func (s *Schema) Equal(o *Schema) bool {
	if s == nil || o == nil {
		return s == o
	}
	a, err := AppendSchema(nil, s.anonymous(0))
	if err != nil {
		return false
	}
	b, err := AppendSchema(nil, o.anonymous(0))
	return err == nil && bytes.Equal(a, b)
}

// anonymous is a copy of the schema without the names of structs, cut at the
// allowed nesting.
func (s *Schema) anonymous(depth int) *Schema {
	if s == nil || depth > MaxNesting {
		return s
	}
	c := &Schema{Type: s.Type, Len: s.Len}
	if s.Type != TypeStruct {
		c.Name = s.Name
	}
	for _, f := range s.Fields {
		c.Fields = append(c.Fields, Field{Name: f.Name, Schema: f.Schema.anonymous(depth + 1)})
	}
	for _, e := range s.Elems {
		c.Elems = append(c.Elems, e.anonymous(depth+1))
	}
	return c
}
