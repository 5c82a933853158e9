package format

import (
	"encoding/binary"
	"math"
)

// AppendSchema appends the canonical encoding of a schema to dst. It refuses a
// schema that breaks the rules of SPEC.md with an error of the class
// [ErrInvalid].
func AppendSchema(dst []byte, s *Schema) ([]byte, error) {
	if err := s.Check(); err != nil {
		return dst, err
	}
	w := schemaWalk{}
	w.push(s)
	for n, _ := w.next(); n != nil; n, _ = w.next() {
		if n.field != nil {
			dst = append(binary.AppendUvarint(dst, uint64(len(n.field.Name))), n.field.Name...)
		}
		t := n.schema
		dst = append(dst, byte(t.Type))
		switch t.Type {
		case TypeStruct:
			dst = append(binary.AppendUvarint(dst, uint64(len(t.Name))), t.Name...)
			dst = binary.AppendUvarint(dst, uint64(len(t.Fields)))
		case TypeProtobuf, TypeOpaque:
			dst = append(binary.AppendUvarint(dst, uint64(len(t.Name))), t.Name...)
		case TypeArray:
			dst = binary.AppendUvarint(dst, uint64(t.Len))
		}
	}
	return dst, nil
}

// DecodeSchema reads a schema from its encoding, which it must fill. The error
// is a cause for a [CorruptError], of the class [ErrMalformed] or [ErrLimit].
// The result does not refer to data.
func DecodeSchema(data []byte, lim *Limits) (*Schema, error) {
	if limit := lim.orDefault().Schema; uint64(len(data)) > limit {
		return nil, overLimit("length of a schema", uint64(len(data)), limit)
	}
	d := decoder{data: data}
	root := &Schema{}
	// Schemas whose content is still to be read, innermost last. The bytes
	// decide how deep this goes, so it is a slice and not the call stack.
	stack := make([]*schemaHole, 0, MaxNesting)
	stack = append(stack, d.schema(root))
	for len(stack) > 0 && d.err == nil {
		hole := stack[len(stack)-1]
		if hole.left == 0 {
			stack = stack[:len(stack)-1]
			continue
		}
		hole.left--
		if len(stack) >= MaxNesting {
			return nil, overLimit("nesting", uint64(len(stack)+1), MaxNesting)
		}
		stack = append(stack, d.schema(hole.add(&d)))
	}
	if err := d.end("schema"); err != nil {
		return nil, err
	}
	if err := root.Check(); err != nil {
		return nil, malformed("%v", err)
	}
	return root, nil
}

// schemaHole is a schema that waits for its fields or elements.
type schemaHole struct {
	schema *Schema
	left   uint64
}

// add makes room for the next field or element and returns its schema.
func (h *schemaHole) add(d *decoder) *Schema {
	child := &Schema{}
	if h.schema.Type == TypeStruct {
		name := string(d.bytes(MaxText, "field name"))
		h.schema.Fields = append(h.schema.Fields, Field{Name: name, Schema: child})
	} else {
		h.schema.Elems = append(h.schema.Elems, child)
	}
	return child
}

// schema reads one schema without its content into s.
func (d *decoder) schema(s *Schema) *schemaHole {
	hole := &schemaHole{schema: s}
	s.Type = Type(d.byte("type"))
	switch s.Type {
	case TypeStruct:
		s.Name = string(d.bytes(MaxText, "struct name"))
		hole.left = d.uvarint("number of fields")
		if hole.left > uint64(d.left()) || hole.left > MaxFields {
			d.fail(overLimit("number of fields", hole.left, min(uint64(d.left()), MaxFields)))
		}
	case TypeProtobuf:
		s.Name = string(d.bytes(MaxText, "message name"))
	case TypeOpaque:
		s.Name = string(d.bytes(MaxText, "type name"))
	case TypeArray:
		n := d.uvarint("array length")
		if n > math.MaxUint32 {
			d.fail(overLimit("array length", n, math.MaxUint32))
		}
		s.Len = uint32(n)
		hole.left = 1
	case TypeSlice, TypeOptional:
		hole.left = 1
	case TypeMap:
		hole.left = 2
	}
	return hole
}

// schemaWalk visits a schema and everything in it, parents before their
// content, without recursion.
type schemaWalk struct{ stack []schemaNode }

// schemaNode is one stop of the walk.
type schemaNode struct {
	schema *Schema
	field  *Field // that the schema is the type of, if any
	depth  int    // 1 for the root
}

// push starts a walk.
func (w *schemaWalk) push(s *Schema) {
	w.stack = append(w.stack, schemaNode{schema: s, depth: 1})
}

// next is the next schema of the walk. It does not go deeper than MaxNesting
// and reports whether something lies below that.
func (w *schemaWalk) next() (n *schemaNode, deeper bool) {
	if len(w.stack) == 0 {
		return nil, false
	}
	top := w.stack[len(w.stack)-1]
	w.stack = w.stack[:len(w.stack)-1]
	s := top.schema
	if s == nil {
		return &top, false
	}
	if top.depth >= MaxNesting {
		return &top, len(s.Fields)+len(s.Elems) > 0
	}
	for i := len(s.Elems) - 1; i >= 0; i-- {
		w.stack = append(w.stack, schemaNode{schema: s.Elems[i], depth: top.depth + 1})
	}
	for i := len(s.Fields) - 1; i >= 0; i-- {
		f := &s.Fields[i]
		w.stack = append(w.stack, schemaNode{schema: f.Schema, field: f, depth: top.depth + 1})
	}
	return &top, false
}
