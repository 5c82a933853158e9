package serde

import (
	"bytes"

	"github.com/tidemark-io/tidemark/flink/wire"
)

// Numbers that stand in snapshots. They are on disk: never change.
const (
	proxyVersion    int32 = 2
	compositeMagic  int32 = 911108
	nestedMagic     int32 = 1333245
	nestedVersion   int32 = 1
	optionalMapMark int64 = 0x000004F2C69A3D70
	simpleVersion   int32 = 3
)

// UnknownError says that a snapshot has a class or version that is not known, so
// that neither the values nor what follows the snapshot can be read. It is of the
// class wire.ErrUnsupported.
type UnknownError struct {
	Class   string // of the snapshot
	Version int32
}

// Error is the message.
func (e *UnknownError) Error() string {
	if Known(e.Class) {
		return "unsupported: the serialiser snapshot " + e.Class + " is not known in version " + itoa(e.Version)
	}
	return "unsupported: the serialiser snapshot class " + e.Class + " is not known, and snapshots have no length"
}

// Unwrap returns wire.ErrUnsupported.
func (e *UnknownError) Unwrap() error { return wire.ErrUnsupported }

// ReadSnapshot reads a snapshot in proxy form, as meta information of states has
// it. On an error, which r keeps too, the type is nil.
func ReadSnapshot(r *wire.Reader) (*Type, error) {
	at := r.Offset()
	if v := r.I32("version of the snapshot's proxy"); r.Err() == nil && v != proxyVersion {
		r.FailAt(at, "version of the snapshot's proxy", wire.Unsupported("%d, only %d is known", v, proxyVersion))
	}
	return ReadVersioned(r)
}

// ReadVersioned reads a snapshot in versioned form, as snapshots inside others
// have it. On an error, which r keeps too, the type is nil.
func ReadVersioned(r *wire.Reader) (*Type, error) {
	p := parser{r: r}
	start := r.Offset()
	r.Mark()
	t := p.versioned()
	raw := bytes.Clone(r.Marked())
	r.Unmark()
	if r.Err() != nil {
		return nil, r.Err()
	}
	p.slice(t, raw, start)
	return t, nil
}

// parser reads one snapshot.
type parser struct {
	r     *wire.Reader
	depth int
}

// slice gives every type its part of the snapshot's bytes.
func (p *parser) slice(t *Type, raw []byte, start int64) {
	if t == nil {
		return
	}
	from, to := t.span[0]-start, t.span[1]-start
	t.raw = raw[from:to:to]
	for _, a := range t.Args {
		p.slice(a, raw, start)
	}
	for _, group := range [][]Field{t.Fields, t.Registered, t.Other} {
		for _, f := range group {
			p.slice(f.Type, raw, start)
		}
	}
}

// versioned reads class, version and body. It returns nil only after a failure.
func (p *parser) versioned() *Type {
	at := p.r.Offset()
	t := &Type{Class: p.r.UTF("class of a serialiser snapshot"), Version: p.r.I32("version of a serialiser snapshot"), Outer: -1}
	if p.r.Err() != nil {
		return nil
	}
	c, ok := classes[t.Class]
	if !ok {
		p.r.FailAt(at, "serialiser snapshot", &UnknownError{t.Class, t.Version})
		return nil
	}
	if p.depth++; p.depth > maxDepth {
		p.r.FailAt(at, "serialiser snapshot", wire.OverLimit(uint64(p.depth), maxDepth))
		return nil
	}
	t.Kind = c.kind
	if !p.body(t, c) && p.r.Err() == nil {
		p.r.FailAt(at, "serialiser snapshot", &UnknownError{t.Class, t.Version})
	}
	p.depth--
	t.span = [2]int64{at, p.r.Offset()}
	if p.r.Err() != nil {
		return nil
	}
	return t
}

// body reads what follows class and version. It returns false if the version is
// not known.
func (p *parser) body(t *Type, c class) bool {
	switch c.body {
	case bodyEmpty:
		if t.Version == 2 {
			p.r.UTF("serialiser class")
		}
		return t.Version == simpleVersion || t.Version == 2 || t.Version == 1 && t.Kind == KindTimestampData
	case bodyComposite:
		return p.composite(t, c)
	case bodyClass:
		t.Name = p.r.UTF("class of the values")
		return t.Version == 2
	case bodyEnum:
		t.Name = p.r.UTF("enum class")
		for range p.r.Count(2, "enum constants") {
			t.Names = append(t.Names, p.r.UTF("enum constant"))
		}
		return t.Version == simpleVersion || t.Version == 2
	case bodyScalaEnum:
		t.Name = p.r.UTF("enumeration class")
		for range p.r.Count(6, "enumeration constants") {
			t.Names = append(t.Names, p.r.UTF("enumeration constant"))
			t.numbers = append(t.numbers, p.r.I32("number of an enumeration constant"))
		}
		return t.Version == simpleVersion || t.Version == 2
	case bodyPojo:
		return p.pojo(t)
	case bodyKryo:
		return p.kryo(t)
	case bodyAvro:
		return p.avro(t)
	case bodyTTLAware:
		t.Flag = p.r.Bool("whether values have a time to live")
		t.Args = p.args(1)
		return t.Version == 1
	}
	return p.sqlBody(t, c)
}

func (p *parser) args(n int) []*Type {
	var args []*Type
	for i := 0; i < n && p.r.Err() == nil; i++ {
		args = append(args, p.versioned())
	}
	return args
}

// composite reads the header of a composite snapshot, its own part and the nested
// snapshots. Version 2 and below lack the header.
func (p *parser) composite(t *Type, c class) bool {
	switch t.Version {
	case simpleVersion:
		at := p.r.Offset()
		if m := p.r.I32("mark of a composite snapshot"); p.r.Err() == nil && m != compositeMagic {
			p.r.FailAt(at, "mark of a composite snapshot", wire.Malformed("%d, expected %d", m, compositeMagic))
		}
		t.Outer = p.r.I32("outer version")
	case 1, 2:
		t.Outer = t.Version
	default:
		return false
	}
	if !p.outer(t) {
		return false
	}
	t.Args = p.nested(c.args)
	return true
}

// outer reads a composite's own part.
func (p *parser) outer(t *Type) bool {
	switch t.Kind {
	case KindTuple, KindCaseClass:
		t.Name = p.r.UTF("class of the tuple")
	case KindArray:
		t.Name = p.r.UTF("class of the elements")
	case KindTraversable:
		t.Name = p.r.UTF("builder of the collection")
	case KindNullable:
		t.Size = p.r.I32("padding of a null")
		if t.Size < 0 {
			p.r.Fail("padding of a null", wire.Malformed("%d is negative", t.Size))
		}
	case KindRow:
		t.Flag = t.Outer >= 3
		if t.Outer >= 4 {
			t.Flag = p.r.Bool("whether rows have a kind")
		}
		return t.Outer >= 1 && t.Outer <= 4
	case KindLinkedList:
		t.Flag = t.Outer >= 2
		if t.Outer >= 3 {
			t.Flag = p.r.Bool("whether a list has a null mask")
		}
		return t.Outer >= 1 && t.Outer <= 3
	case KindTransactions:
		t.Flag = t.Outer >= 3
		if t.Outer >= 4 {
			t.Flag = p.r.Bool("whether there may be no pending transaction")
		}
		return t.Outer >= 1 && t.Outer <= 4
	case KindNFA:
		if t.Outer >= 2 {
			t.Flag = p.r.Bool("whether states have a previous timestamp")
		}
		return t.Outer == 1 || t.Outer == 2
	case KindExternal:
		if t.Class == nested(pkgSQL, "ExternalSerializer") {
			p.object("data type")
			p.r.Bool("whether input is internal")
		}
	}
	return t.Outer >= 0 && t.Outer <= 2
}

// nested reads the block of nested snapshots: want of them, at least one if want
// is -1, any number if it is -2.
func (p *parser) nested(want int) []*Type {
	at := p.r.Offset()
	if m := p.r.I32("mark of nested snapshots"); p.r.Err() == nil && m != nestedMagic {
		p.r.FailAt(at, "mark of nested snapshots", wire.Malformed("%d, expected %d", m, nestedMagic))
	}
	if v := p.r.I32("version of nested snapshots"); p.r.Err() == nil && v != nestedVersion {
		p.r.FailAt(at, "version of nested snapshots", wire.Unsupported("%d, only %d is known", v, nestedVersion))
	}
	at = p.r.Offset()
	n := p.r.Count(6, "nested snapshots")
	if p.r.Err() == nil && (want >= 0 && n != want || want == -1 && n == 0) {
		p.r.FailAt(at, "number of nested snapshots", wire.Malformed("%d, expected %d", n, want))
	}
	return p.args(n)
}

// optionalMap reads a linked map whose keys and values may be absent; each has a
// length. value reads one, key its key; both may be nil.
func (p *parser) optionalMap(what string, key func(sub *parser, f *Field), value func(sub *parser, f *Field)) []Field {
	at := p.r.Offset()
	if m := p.r.I64("mark of " + what); p.r.Err() == nil && m != optionalMapMark {
		p.r.FailAt(at, "mark of "+what, wire.Malformed("%d, expected %d", m, optionalMapMark))
	}
	var fields []Field
	for range p.r.Count(4, what) {
		f := Field{Name: p.r.UTF("name in " + what)}
		if p.r.Bool("whether a key is there") {
			p.frame("key in "+what, &f, key)
		}
		if p.r.Bool("whether a value is there") {
			p.frame("value in "+what, &f, value)
		}
		if p.r.Err() != nil {
			return nil
		}
		fields = append(fields, f)
	}
	return fields
}

// frame reads bytes of a stated length with their own reader.
func (p *parser) frame(what string, f *Field, read func(*parser, *Field)) {
	b := p.r.Bytes32(what)
	if read == nil || p.r.Err() != nil {
		return
	}
	sub := parser{r: wire.NewBytes(p.r.Object(), p.r.Offset()-int64(len(b)), b), depth: p.depth}
	read(&sub, f)
	if err := sub.r.End(what); err != nil {
		p.fail(err)
	}
}

// fail records the failure of a part's own reader.
func (p *parser) fail(err error) {
	if e, ok := err.(*wire.Error); ok {
		p.r.FailAt(e.Offset, e.What, e.Err)
		return
	}
	p.r.Fail("serialiser snapshot", err)
}

// pojo reads the snapshot of a class with fields: its fields, its subclasses with
// a number and those without.
func (p *parser) pojo(t *Type) bool {
	t.Name = p.r.UTF("POJO class")
	snapshot := func(sub *parser, f *Field) { f.Type = sub.versioned() }
	t.Fields = p.optionalMap("fields", func(sub *parser, f *Field) {
		f.Class = sub.r.UTF("declaring class")
		f.Name = sub.r.UTF("field")
	}, snapshot)
	t.Registered = p.optionalMap("registered subclasses", nil, snapshot)
	t.Other = p.optionalMap("other subclasses", nil, snapshot)
	return t.Version == 2
}

// kryo reads what a Kryo serialiser registered. Only its class is kept: the
// values are Kryo's own.
func (p *parser) kryo(t *Type) bool {
	t.Name = p.r.UTF("class that Kryo writes")
	p.optionalMap("Kryo registrations", nil, nil)
	p.optionalMap("Kryo default serialisers", nil, nil)
	p.optionalMap("Kryo default serialiser classes", nil, nil)
	return t.Version == 2
}

// AppendSnapshot appends the type's snapshot in proxy form.
func (t *Type) AppendSnapshot(dst []byte) []byte {
	return append(wire.AppendI32(dst, proxyVersion), t.raw...)
}
