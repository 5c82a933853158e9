package serde

import (
	"encoding/json"
	"strconv"

	"github.com/tidemark-io/tidemark/flink/wire"
)

// avroSchema is a schema of Apache Avro, as far as it says how values are encoded.
type avroSchema struct {
	kind   string
	name   string
	items  *avroSchema   // of arrays, values of maps
	fields []string      // of records; symbols of enums
	parts  []*avroSchema // of records and unions
	size   uint64        // of fixed
}

// maxAvroSchema bounds the text of a schema and its nesting.
const (
	maxAvroSchema = 4 << 20
	maxAvroDepth  = 64
)

// avro reads the snapshot of Flink's Avro serialiser: class and schema as texts.
func (p *parser) avro(t *Type) bool {
	at := p.r.Offset()
	var text string
	switch t.Version {
	case 1:
		text = p.r.UTF("Avro schema")
	case 2:
		t.Name, text = p.r.UTF("Avro class"), p.r.UTF("Avro schema")
	case 3:
		t.Name, _ = p.r.Str("Avro class")
		text, _ = p.r.Str("Avro schema")
	default:
		return false
	}
	if p.r.Err() != nil {
		return true
	}
	if len(text) > maxAvroSchema {
		p.r.FailAt(at, "Avro schema", wire.OverLimit(uint64(len(text)), maxAvroSchema))
		return true
	}
	s, err := parseAvro(text)
	if err != nil {
		p.r.FailAt(at, "Avro schema", err)
	}
	t.avro = s
	return true
}

func parseAvro(text string) (*avroSchema, error) {
	var raw any
	if err := json.Unmarshal([]byte(text), &raw); err != nil {
		return nil, wire.Malformed("the schema is not JSON: %v", err)
	}
	return (&avroParser{named: map[string]*avroSchema{}}).schema(raw, "", 0)
}

type avroParser struct{ named map[string]*avroSchema }

// schema makes a schema of a part of the JSON; space is the enclosing namespace.
func (p *avroParser) schema(raw any, space string, depth int) (*avroSchema, error) {
	if depth > maxAvroDepth {
		return nil, wire.OverLimit(uint64(depth), maxAvroDepth)
	}
	switch v := raw.(type) {
	case string:
		switch v {
		case "null", "boolean", "int", "long", "float", "double", "bytes", "string":
			return &avroSchema{kind: v}, nil
		}
		if s, ok := p.named[full(v, space)]; ok {
			return s, nil
		}
		if s, ok := p.named[v]; ok {
			return s, nil
		}
		return nil, wire.Malformed("the schema names an unknown type %.100q", v)
	case []any:
		s := &avroSchema{kind: "union"}
		for _, part := range v {
			sub, err := p.schema(part, space, depth+1)
			if err != nil {
				return nil, err
			}
			s.parts = append(s.parts, sub)
		}
		return s, nil
	case map[string]any:
		return p.object(v, space, depth)
	}
	return nil, wire.Malformed("the schema has a %T where a type stands", raw)
}

// full is a name with its namespace.
func full(name, space string) string {
	if space == "" {
		return name
	}
	for _, c := range name {
		if c == '.' {
			return name
		}
	}
	return space + "." + name
}

func (p *avroParser) object(v map[string]any, space string, depth int) (*avroSchema, error) {
	kind, isName := v["type"].(string)
	if !isName {
		return p.schema(v["type"], space, depth+1)
	}
	s := &avroSchema{kind: kind}
	switch kind {
	case "array", "map":
		key := "items"
		if kind == "map" {
			key = "values"
		}
		var err error
		s.items, err = p.schema(v[key], space, depth+1)
		return s, err
	case "record", "error", "enum", "fixed":
	default:
		return p.schema(kind, space, depth+1)
	}
	name, _ := v["name"].(string)
	if own, ok := v["namespace"].(string); ok {
		space = own
	}
	s.name = full(name, space)
	for i := len(s.name) - 1; i >= 0; i-- {
		if s.name[i] == '.' {
			space = s.name[:i]
			break
		}
	}
	p.named[s.name] = s
	switch kind {
	case "fixed":
		size, ok := v["size"].(float64)
		if !ok || size < 0 || size > 1<<30 {
			return nil, wire.Malformed("the size of %.100q is %v", s.name, v["size"])
		}
		s.size = uint64(size)
	case "enum":
		symbols, _ := v["symbols"].([]any)
		for _, symbol := range symbols {
			text, _ := symbol.(string)
			s.fields = append(s.fields, text)
		}
	default:
		s.kind = "record"
		return s, p.record(s, v["fields"], space, depth)
	}
	return s, nil
}

func (p *avroParser) record(s *avroSchema, raw any, space string, depth int) error {
	fields, _ := raw.([]any)
	for _, f := range fields {
		field, _ := f.(map[string]any)
		name, _ := field["name"].(string)
		sub, err := p.schema(field["type"], space, depth+1)
		if err != nil {
			return err
		}
		s.fields = append(s.fields, name)
		s.parts = append(s.parts, sub)
	}
	return nil
}

// avro reads a value in Flink's own encoding of Avro, in which numbers have their
// full width and lengths four bytes.
func (w *walker) avro(s *avroSchema) any {
	if !w.ok() {
		return nil
	}
	if w.depth++; w.depth > 4*maxDepth {
		w.r.Fail("Avro value", wire.OverLimit(uint64(w.depth), 4*maxDepth))
		return nil
	}
	defer func() { w.depth-- }()
	switch s.kind {
	case "null":
		return nil
	case "boolean":
		return w.r.Bool("boolean")
	case "int":
		return w.boxed(int64(w.r.I32("int")))
	case "long":
		return w.boxed(w.r.I64("long"))
	case "float":
		return w.r.F32("float")
	case "double":
		return w.boxedFloat(w.r.F64("double"))
	case "bytes":
		return w.bytes()
	case "string":
		b, _ := w.bytes().([]byte)
		if w.skip {
			return nil
		}
		return string(b)
	case "fixed":
		if w.skip {
			w.r.Skip(s.size, "fixed")
			return nil
		}
		return append([]byte{}, w.r.Take(s.size, "fixed")...)
	case "array":
		return w.blocks(func() any { return w.avro(s.items) })
	case "map":
		return w.avroMap(s)
	case "union", "enum":
		return w.avroChoice(s)
	}
	return w.avroRecord(s)
}

func (w *walker) avroRecord(s *avroSchema) any {
	v := &Struct{Type: &Type{Kind: KindAvro, Name: s.name}, Names: s.fields, RowKind: -1}
	for _, part := range s.parts {
		item := w.avro(part)
		if !w.ok() {
			break
		}
		if !w.skip {
			v.Values = append(v.Values, item)
		}
	}
	if w.skip {
		return nil
	}
	return v
}

// avroChoice reads the number of a union's branch, with its value, or of a symbol.
func (w *walker) avroChoice(s *avroSchema) any {
	at := w.r.Offset()
	n := w.r.I32("number of a choice")
	options := len(s.parts)
	if s.kind == "enum" {
		options = len(s.fields)
	}
	if w.r.Err() != nil {
		return nil
	}
	if n < 0 || int(n) >= options {
		w.r.FailAt(at, "number of a choice", wire.Malformed("%s of %d", strconv.Itoa(int(n)), options))
		return nil
	}
	if s.kind == "enum" {
		return s.fields[n]
	}
	return w.avro(s.parts[n])
}

// blocks reads groups of items, each with its count, up to a count of zero.
func (w *walker) blocks(item func() any) any {
	items := []any{}
	for w.ok() {
		n := w.r.VarUint(31, "number of items")
		if n == 0 {
			break
		}
		part, _ := w.list(int(n), item).([]any)
		items = append(items, part...)
	}
	if w.skip {
		return nil
	}
	return items
}

func (w *walker) avroMap(s *avroSchema) any {
	pairs := Map{}
	w.blocks(func() any {
		b, _ := w.bytes().([]byte)
		v := w.avro(s.items)
		if !w.skip {
			pairs = append(pairs, Pair{string(b), v})
		}
		return nil
	})
	if w.skip {
		return nil
	}
	return pairs
}
