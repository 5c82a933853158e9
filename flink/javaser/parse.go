package javaser

import (
	"github.com/tidemark-io/tidemark/flink/wire"
)

// Limits bound what is accepted. A zero field stands for the default.
type Limits struct {
	Depth  int    // of values within values; 64
	Values uint64 // values, fields and classes of a stream; 1,000,000
}

// DefaultLimits are the limits that a zero [Limits] stands for.
func DefaultLimits() Limits { return Limits{Depth: 64, Values: 1_000_000} }

// Magic numbers of the stream (java.io.ObjectStreamConstants).
const (
	streamMagic   = 0xACED
	streamVersion = 5
	firstHandle   = 0x7E0000
)

// Type codes of the stream (ObjectStreamConstants).
const (
	tcNull           = 0x70
	tcReference      = 0x71
	tcClassDesc      = 0x72
	tcObject         = 0x73
	tcString         = 0x74
	tcArray          = 0x75
	tcClass          = 0x76
	tcBlockData      = 0x77
	tcEndBlockData   = 0x78
	tcReset          = 0x79
	tcBlockDataLong  = 0x7A
	tcException      = 0x7B
	tcLongString     = 0x7C
	tcProxyClassDesc = 0x7D
	tcEnum           = 0x7E
)

// Parse reads data, which lies at an offset of the named object, as a stream that
// holds exactly one value. Errors are *[wire.Error].
func Parse(object string, offset int64, data []byte, limits *Limits) (Value, error) {
	r := wire.NewBytes(object, offset, data)
	v, err := Read(r, limits)
	if err == nil {
		err = r.End("Java object")
	}
	if err != nil {
		return nil, err
	}
	return v, nil
}

// Read reads a stream that holds one value: its header and that value, and not
// what may follow. The error is that of the Reader.
func Read(r *wire.Reader, limits *Limits) (Value, error) {
	p := parser{Reader: r, left: DefaultLimits().Values, most: DefaultLimits().Values, depth: DefaultLimits().Depth}
	if limits != nil && limits.Depth != 0 {
		p.depth = limits.Depth
	}
	if limits != nil && limits.Values != 0 {
		p.left, p.most = limits.Values, limits.Values
	}
	at := r.Offset()
	if magic := r.U16("header of Java stream"); magic != streamMagic && r.Err() == nil {
		r.FailAt(at, "header of Java stream", wire.Malformed("%#04x, such a stream begins with %#04x", magic, streamMagic))
	}
	if v := r.U16("version of Java stream"); v != streamVersion && r.Err() == nil {
		r.FailAt(at+2, "version of Java stream", wire.Unsupported("version %d, version %d is known", v, streamVersion))
	}
	v := p.value(0)
	if err := r.Err(); err != nil {
		return nil, err
	}
	return v, nil
}

// parser reads one stream. It descends by recursion, as deep as depth allows.
type parser struct {
	*wire.Reader
	handles    []Value // what references mean
	left, most uint64  // values that may still come
	depth      int
}

// spend accounts for n values.
func (p *parser) spend(n int) bool {
	if p.Err() != nil {
		return false
	}
	if uint64(n) > p.left {
		p.Fail("Java values", wire.OverLimit(p.most-p.left+uint64(n), p.most))
		return false
	}
	p.left -= uint64(n)
	return true
}

// enter accounts for one value at a depth.
func (p *parser) enter(depth int) bool {
	if depth > p.depth {
		p.Fail("Java value", wire.OverLimit(uint64(depth), uint64(p.depth)))
	}
	return p.spend(1)
}

// remember gives a value the next handle.
func (p *parser) remember(v Value) { p.handles = append(p.handles, v) }

// value reads one value.
func (p *parser) value(depth int) Value {
	at := p.Offset()
	return p.coded(p.U8("type code"), at, depth)
}

// coded reads one value whose type code, at an offset, has been read.
func (p *parser) coded(code byte, at int64, depth int) Value {
	if !p.enter(depth) {
		return nil
	}
	switch code {
	case tcNull:
		return nil
	case tcReference:
		return p.reference()
	case tcString, tcLongString:
		return p.text(code)
	case tcObject:
		return p.object(depth)
	case tcArray:
		return p.array(depth)
	case tcEnum:
		return p.enum(depth)
	case tcClassDesc, tcProxyClassDesc:
		return p.description(code, depth)
	case tcClass:
		c := p.class(depth + 1)
		p.remember(c)
		return c
	case tcBlockData:
		return Block(p.Take(uint64(p.U8("length of block")), "block"))
	case tcBlockDataLong:
		return Block(p.Bytes32("block"))
	case tcReset:
		p.handles = p.handles[:0]
		return p.value(depth + 1)
	case tcException:
		p.FailAt(at, "Java value", wire.Unsupported("the stream was aborted by an exception (type code %#02x)", code))
	default:
		p.FailAt(at, "Java value", wire.Malformed("type code %#02x", code))
	}
	return nil
}

func (p *parser) reference() Value {
	at := p.Offset()
	n := int64(p.I32("reference")) - firstHandle
	if n < 0 || n >= int64(len(p.handles)) {
		p.FailAt(at, "reference", wire.Malformed("to value %d of %d", n, len(p.handles)))
		return nil
	}
	return p.handles[n]
}

func (p *parser) text(code byte) *String {
	s := new(String)
	p.remember(s)
	if code == tcString {
		s.Text = p.UTF("string")
		return s
	}
	at := p.Offset()
	n := p.I64("length of string")
	if n < 0 || uint64(n) > wire.DefaultLimit {
		p.FailAt(at, "length of string", wire.OverLimit(uint64(n), wire.DefaultLimit))
		return s
	}
	b := p.Take(uint64(n), "string")
	text, ok := wire.Modified(b)
	if !ok {
		p.FailAt(at, "string", wire.Malformed("it is not modified UTF-8"))
	}
	s.Text = text
	return s
}

// class reads the description of a class, or null, or a reference to one.
func (p *parser) class(depth int) *Class {
	at := p.Offset()
	code := p.U8("class")
	if !p.enter(depth) {
		return nil
	}
	switch code {
	case tcNull:
		return nil
	case tcReference:
		c, ok := p.reference().(*Class)
		if !ok {
			p.FailAt(at, "class", wire.Malformed("a reference to something that is not a class"))
		}
		return c
	case tcClassDesc, tcProxyClassDesc:
		return p.description(code, depth)
	}
	p.FailAt(at, "class", wire.Malformed("type code %#02x", code))
	return nil
}

// needed is class for places where null is wrong.
func (p *parser) needed(depth int) *Class {
	at := p.Offset()
	c := p.class(depth)
	if c == nil {
		p.FailAt(at, "class", wire.Malformed("an object without a class"))
	}
	return c
}

// description reads the description of a class, whose type code has been read.
func (p *parser) description(code byte, depth int) *Class {
	c := new(Class)
	if code == tcProxyClassDesc {
		p.remember(c)
		n := p.Count(2, "interfaces")
		for i := 0; i < n && p.spend(1); i++ {
			c.Proxy = append(c.Proxy, p.UTF("interface"))
		}
		c.Flags = FlagSerializable
	} else {
		c.Name = p.UTF("name of class")
		c.Version = p.I64("serialVersionUID of " + c.Name)
		p.remember(c)
		c.Flags = p.U8("flags of class")
		p.fields(c, depth)
	}
	c.Annotations = p.annotations(depth)
	at := p.Offset()
	c.Super = p.class(depth + 1)
	// A class can be among its own superclasses by a reference only.
	for s, n := c.Super, 0; s != nil; s, n = s.Super, n+1 {
		if s == c || n > p.depth {
			p.FailAt(at, "class", wire.Malformed("%.60q is its own superclass, or has more than %d", c.Name, p.depth))
			c.Super = nil
			break
		}
	}
	return c
}

func (p *parser) fields(c *Class, depth int) {
	for n := p.U16("number of fields"); n > 0 && p.spend(1); n-- {
		at := p.Offset()
		f := Field{Type: p.U8("type of field"), Name: p.UTF("name of field")}
		switch f.Type {
		case 'B', 'C', 'D', 'F', 'I', 'J', 'S', 'Z':
		case 'L', '[':
			s, ok := p.value(depth + 1).(*String)
			if !ok {
				p.FailAt(at, "type of field "+f.Name, wire.Malformed("it is not a string"))
				return
			}
			f.Class = s.Text
		default:
			p.FailAt(at, "type of field", wire.Malformed("type code %#02x", f.Type))
			return
		}
		c.Fields = append(c.Fields, f)
	}
}

// annotations reads values up to the end of block data.
func (p *parser) annotations(depth int) []Value {
	var list []Value
	for p.Err() == nil {
		at := p.Offset()
		code := p.U8("type code")
		if code == tcEndBlockData {
			break
		}
		list = append(list, p.coded(code, at, depth+1))
	}
	return list
}

func (p *parser) object(depth int) *Object {
	o := &Object{Class: p.needed(depth + 1)}
	p.remember(o)
	var line []*Class // from the object's class upwards
	for c := o.Class; c != nil && p.spend(1); c = c.Super {
		line = append(line, c)
	}
	if p.Err() != nil {
		return o
	}
	o.Parts = make([]Part, 0, len(line))
	for i := len(line) - 1; i >= 0 && p.Err() == nil; i-- {
		o.Parts = append(o.Parts, p.part(line[i], depth))
	}
	return o
}

// part reads what one class of the hierarchy wrote.
func (p *parser) part(c *Class, depth int) Part {
	part := Part{Class: c}
	at := p.Offset()
	switch c.Flags & (FlagSerializable | FlagExternalizable) {
	case FlagSerializable:
		if p.spend(len(c.Fields)) {
			part.Fields = make([]Value, len(c.Fields))
		}
		for i := range part.Fields {
			part.Fields[i] = p.field(c.Fields[i].Type, depth)
		}
		if c.Flags&FlagWriteMethod != 0 {
			part.Annotations = p.annotations(depth)
		}
	case FlagExternalizable:
		if c.Flags&FlagBlockData == 0 {
			p.FailAt(at, "object", wire.Unsupported("class %.200q wrote itself in protocol version 1, which has no lengths", c.Name))
			break
		}
		part.Annotations = p.annotations(depth)
	case 0:
		// A class that is not serialisable writes nothing.
	default:
		p.FailAt(at, "object", wire.Malformed("class %.200q has the flags %#02x", c.Name, c.Flags))
	}
	return part
}

// field reads the value of a field of a type.
func (p *parser) field(kind byte, depth int) Value {
	switch kind {
	case 'B':
		return p.I8("byte")
	case 'C':
		return Char(p.U16("char"))
	case 'D':
		return p.F64("double")
	case 'F':
		return p.F32("float")
	case 'I':
		return p.I32("int")
	case 'J':
		return p.I64("long")
	case 'S':
		return p.I16("short")
	case 'Z':
		return p.Bool("boolean")
	}
	at := p.Offset()
	v := p.value(depth + 1)
	if _, block := v.(Block); block {
		p.FailAt(at, "field", wire.Malformed("it is a block of bytes"))
	}
	return v
}

// widths are the bytes of primitive types.
var widths = map[byte]uint64{'B': 1, 'C': 2, 'D': 8, 'F': 4, 'I': 4, 'J': 8, 'S': 2, 'Z': 1}

func (p *parser) array(depth int) *Array {
	at := p.Offset()
	a := &Array{Class: p.needed(depth + 1)}
	p.remember(a)
	if p.Err() != nil {
		return a
	}
	if len(a.Class.Name) < 2 || a.Class.Name[0] != '[' {
		p.FailAt(at, "array", wire.Malformed("its class is %.60q", a.Class.Name))
		return a
	}
	if width, ok := widths[a.Class.Name[1]]; ok && len(a.Class.Name) == 2 {
		a.Raw = p.Take(uint64(p.Count(width, "elements"))*width, "array")
		return a
	}
	n := p.Count(1, "elements")
	if n > 0 && p.spend(n) {
		a.Values = make([]Value, n)
	}
	for i := range a.Values {
		if a.Values[i] = p.field('L', depth); p.Err() != nil {
			break
		}
	}
	return a
}

func (p *parser) enum(depth int) *Enum {
	e := &Enum{Class: p.needed(depth + 1)}
	p.remember(e)
	at := p.Offset()
	s, ok := p.value(depth + 1).(*String)
	if !ok {
		p.FailAt(at, "constant of an enumeration", wire.Malformed("it is not a string"))
		return e
	}
	e.Constant = s.Text
	return e
}
