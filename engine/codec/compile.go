package codec

import (
	"cmp"
	"encoding/binary"
	"math"
	"reflect"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/tidemark-io/tidemark/format"
)

// usage says where a value stands, which decides what types it may have.
type usage uint8

const (
	asValue  usage = iota
	asKey          // the key of keyed state: canonical bytes (R1)
	asMapKey       // besides, equal for Go's == exactly if the bytes are equal
)

// maxDepth bounds the nesting of types, as the decoders of schemas do.
const maxDepth = 16

// maxName is the longest field name in bytes.
const maxName = 255

var (
	timeType     = reflect.TypeFor[time.Time]()
	durationType = reflect.TypeFor[time.Duration]()
)

// littleEndian tells whether memory and encoding order integers alike, so that
// neighbouring fields can be copied as one.
var littleEndian = binary.NativeEndian.Uint16([]byte{1, 0}) == 1

// compiler turns a type into a program and a schema, once, when a graph is
// built.
type compiler struct {
	merge   bool // adjacent fields become one copy
	use     usage
	open    []reflect.Type // the types around the present one, against recursion
	program *program       // receives the steps
}

// compile derives the program of t.
func compile(t reflect.Type, use usage, merge bool) (*program, *format.Schema, error) {
	c := compiler{merge: merge, use: use}
	return c.nested(t, typeName(t), use)
}

func typeName(t reflect.Type) string {
	if n := t.Name(); n != "" {
		return n
	}
	return t.String()
}

// nested compiles t as a program of its own: the whole value, or what a slice,
// map or pointer refers to.
func (c *compiler) nested(t reflect.Type, path string, use usage) (*program, *format.Schema, error) {
	outer, outerUse := c.program, c.use
	defer func() { c.program, c.use = outer, outerUse }()
	p := &program{size: t.Size()}
	c.program, c.use = p, use
	schema, err := c.add(t, path, 0)
	if err != nil {
		return nil, nil, err
	}
	p.min, p.width = least(schema), schema.Width()
	if c.merge {
		p.ops = mergeCopies(p.ops)
	}
	return p, schema, nil
}

// add appends the steps for a value of type t at off and returns its schema.
func (c *compiler) add(t reflect.Type, path string, off uintptr) (*format.Schema, error) {
	for _, o := range c.open {
		if o == t {
			return nil, unsupported(path, "the recursive type "+t.String()+" is not supported")
		}
	}
	if len(c.open) == maxDepth {
		return nil, unsupported(path, "types nested more than 16 deep are not supported")
	}
	c.open = append(c.open, t)
	defer func() { c.open = c.open[:len(c.open)-1] }()

	switch t {
	case timeType:
		if c.use == asMapKey {
			return nil, unsupported(path, "time.Time as the key of a map is not supported (equal times may differ for Go)")
		}
		return c.step(opTime, path, off, format.TypeTime), nil
	case durationType:
		return c.step(opFixed8, path, off, format.TypeDuration), nil
	}
	if s, ok, err := c.scalar(t, path, off); ok || err != nil {
		return s, err
	}
	switch t.Kind() {
	case reflect.Struct:
		return c.structure(t, path, off)
	case reflect.Array:
		return c.array(t, path, off)
	case reflect.Slice:
		return c.slice(t, path, off)
	case reflect.Map:
		return c.mapping(t, path, off)
	case reflect.Pointer:
		return c.optional(t, path, off)
	}
	return nil, unsupported(path, t.String()+" is not supported")
}

// step appends one step and returns the schema of what it encodes.
func (c *compiler) step(code opcode, path string, off uintptr, t format.Type) *format.Schema {
	c.program.ops = append(c.program.ops, op{code: code, off: off, path: path})
	return &format.Schema{Type: t}
}

// scalars maps kinds to their step and type. Kinds whose step depends on the
// platform or the usage are in scalar.
var scalars = map[reflect.Kind]struct {
	code opcode
	typ  format.Type
}{
	reflect.Bool:   {opBool, format.TypeBool},
	reflect.Int16:  {opFixed2, format.TypeInt16},
	reflect.Int32:  {opFixed4, format.TypeInt32},
	reflect.Int64:  {opFixed8, format.TypeInt64},
	reflect.Uint16: {opFixed2, format.TypeUint16},
	reflect.Uint32: {opFixed4, format.TypeUint32},
	reflect.Uint64: {opFixed8, format.TypeUint64},
	reflect.String: {opString, format.TypeString},
}

func (c *compiler) scalar(t reflect.Type, path string, off uintptr) (*format.Schema, bool, error) {
	if s, ok := scalars[t.Kind()]; ok {
		return c.step(s.code, path, off, s.typ), true, nil
	}
	wide := t.Size() == 8
	switch t.Kind() {
	case reflect.Int8, reflect.Uint8:
		typ := format.TypeInt8
		if t.Kind() == reflect.Uint8 {
			typ = format.TypeUint8
		}
		c.program.ops = append(c.program.ops, op{code: opCopy, off: off, n: 1, path: path})
		return &format.Schema{Type: typ}, true, nil
	case reflect.Int:
		return c.step(pick(wide, opFixed8, opInt), path, off, format.TypeInt64), true, nil
	case reflect.Uint:
		return c.step(pick(wide, opFixed8, opUint), path, off, format.TypeUint64), true, nil
	case reflect.Float32, reflect.Float64:
		if c.use == asMapKey {
			return nil, true, unsupported(path, t.String()+" as the key of a map is not supported (NaN differs from itself)")
		}
		if wide {
			return c.step(pick(c.use == asKey, opFloat64, opFixed8), path, off, format.TypeFloat64), true, nil
		}
		return c.step(pick(c.use == asKey, opFloat32, opFixed4), path, off, format.TypeFloat32), true, nil
	}
	return nil, false, nil
}

func pick(cond bool, yes, no opcode) opcode {
	if cond {
		return yes
	}
	return no
}

// structure adds the fields of a struct to the present program: nesting costs
// nothing at run time.
func (c *compiler) structure(t reflect.Type, path string, off uintptr) (*format.Schema, error) {
	s := &format.Schema{Type: format.TypeStruct, Name: t.Name()}
	seen := make(map[string]bool, t.NumField())
	for i := range t.NumField() {
		f := t.Field(i)
		name, was, skip, err := c.fieldName(f, path)
		if err != nil {
			return nil, err
		}
		if skip {
			continue
		}
		if seen[name] {
			return nil, unsupported(path+"."+f.Name, "a second field is named "+name)
		}
		seen[name] = true
		fs, err := c.add(f.Type, path+"."+f.Name, off+f.Offset)
		if err != nil {
			return nil, err
		}
		s.Fields = append(s.Fields, format.Field{Name: name, Schema: fs})
		if was != "" {
			if s.Renamed == nil {
				s.Renamed = map[string]string{}
			}
			s.Renamed[name] = was
		}
	}
	return s, nil
}

// fieldName reads the tag of a field. Unexported fields are refused rather
// than skipped: what they hold would silently be gone after a restore.
func (c *compiler) fieldName(f reflect.StructField, path string) (name, was string, skip bool, err error) {
	path += "." + f.Name
	tag, tagged := f.Tag.Lookup("tidemark")
	if tag == "-" || f.Name == "_" {
		if c.use == asMapKey {
			return "", "", false, unsupported(path, "a skipped field in the key of a map is not supported")
		}
		return "", "", true, nil
	}
	if !f.IsExported() {
		return "", "", false, unsupported(path, `the field is unexported; export it, or skip it by the tag tidemark:"-"`)
	}
	if !tagged {
		tag = f.Name
	}
	if name, old, ok := strings.Cut(","+tag, ",old="); ok {
		was, tag = old, cmp.Or(strings.TrimPrefix(name, ","), f.Name)
	}
	if tag == "" || len(tag) > maxName || !utf8.ValidString(tag) || strings.ContainsFunc(tag, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return "", "", false, unsupported(path, "a field name must have 1 to 255 bytes of printable UTF-8")
	}
	return tag, was, false, nil
}

func (c *compiler) array(t reflect.Type, path string, off uintptr) (*format.Schema, error) {
	if uint64(t.Len()) > math.MaxUint32 {
		return nil, unsupported(path, t.String()+" has more than 2^32-1 elements")
	}
	p, es, err := c.nested(t.Elem(), path+"[]", c.use)
	if err != nil {
		return nil, err
	}
	s := &format.Schema{Type: format.TypeArray, Len: uint32(t.Len()), Elems: []*format.Schema{es}}
	if uint64(t.Len())*uint64(least(es)) > math.MaxInt32 {
		return nil, unsupported(path, t.String()+" is encoded as more than 2 GiB")
	}
	w, flat := p.flat()
	switch {
	case flat:
		if t.Len() > 0 {
			c.program.ops = append(c.program.ops, op{code: opCopy, off: off, n: w * t.Len(), path: path})
		}
	case t.Len() > 0 && len(p.ops) > 0:
		c.program.ops = append(c.program.ops, op{code: opArray, off: off, n: t.Len(), elem: p, path: path})
	}
	return s, nil
}

func (c *compiler) slice(t reflect.Type, path string, off uintptr) (*format.Schema, error) {
	if t.Elem().Kind() == reflect.Uint8 {
		return c.step(opBytes, path, off, format.TypeBytes), nil
	}
	if c.use != asValue {
		return nil, unsupported(path, t.String()+" in a key is not supported ([]byte is)")
	}
	p, es, err := c.nested(t.Elem(), path+"[]", asValue)
	if err != nil {
		return nil, err
	}
	// Without a byte per element a short input could demand any number of
	// them.
	if p.min == 0 {
		return nil, unsupported(path, "a slice of elements without any encoded byte is not supported")
	}
	c.program.ops = append(c.program.ops, op{code: opSlice, off: off, elem: p, typ: t, path: path})
	return &format.Schema{Type: format.TypeSlice, Elems: []*format.Schema{es}}, nil
}

func (c *compiler) mapping(t reflect.Type, path string, off uintptr) (*format.Schema, error) {
	if c.use != asValue {
		return nil, unsupported(path, t.String()+" in a key is not supported")
	}
	kp, ks, err := c.nested(t.Key(), path+"[key]", asMapKey)
	if err != nil {
		return nil, err
	}
	ep, es, err := c.nested(t.Elem(), path+"[]", asValue)
	if err != nil {
		return nil, err
	}
	if kp.min == 0 {
		return nil, unsupported(path, "a map whose keys have no encoded byte is not supported")
	}
	c.program.ops = append(c.program.ops, op{code: opMap, off: off, key: kp, elem: ep, typ: t, path: path})
	return &format.Schema{Type: format.TypeMap, Elems: []*format.Schema{ks, es}}, nil
}

func (c *compiler) optional(t reflect.Type, path string, off uintptr) (*format.Schema, error) {
	if c.use != asValue {
		return nil, unsupported(path, "the pointer "+t.String()+" in a key is not supported")
	}
	p, es, err := c.nested(t.Elem(), path, asValue)
	if err != nil {
		return nil, err
	}
	c.program.ops = append(c.program.ops, op{code: opOptional, off: off, elem: p, typ: t, path: path})
	return &format.Schema{Type: format.TypeOptional, Elems: []*format.Schema{es}}, nil
}

// mergeCopies joins steps over neighbouring memory into one copy, where memory
// and encoding are alike: a record of three words becomes one copy of 24 bytes.
func mergeCopies(ops []op) []op {
	var out []op
	for _, o := range ops {
		n := copied(o)
		if n == 0 {
			out = append(out, o)
			continue
		}
		if k := len(out) - 1; k >= 0 {
			if prev := copied(out[k]); prev > 0 && out[k].off+uintptr(prev) == o.off {
				out[k].code, out[k].n = opCopy, prev+n
				continue
			}
		}
		out = append(out, o)
	}
	if len(out) == 1 && copied(out[0]) > 0 {
		// So that flat recognises a single integer as well.
		out[0].code, out[0].n = opCopy, copied(out[0])
	}
	return out
}

// copied is the number of bytes that a step copies unchanged, 0 if it does
// more than that.
func copied(o op) int {
	switch o.code {
	case opCopy:
		return o.n
	case opFixed2:
		return 2
	case opFixed4:
		return 4
	case opFixed8:
		return 8
	}
	return 0
}
