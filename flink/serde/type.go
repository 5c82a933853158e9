package serde

import (
	"strconv"
	"strings"
)

// maxDepth is how deep types may nest.
const maxDepth = 48

// Type is what a serialiser's snapshot says about the values it writes. It must
// not be changed after it was made; it may be used by any number of goroutines.
type Type struct {
	Kind  Kind
	Class string // of the snapshot, a binary name such as a.b.C$D
	// Version is the snapshot's, Outer that of a composite's own part.
	Version, Outer int32
	// Name is the user's class: of a tuple, POJO, enum, array's element.
	Name string
	// Args are the nested types: elements, key and value, fields of a tuple.
	Args []*Type
	// Fields are a POJO's, in the order in which values have them.
	Fields []Field
	// Registered and Other are a POJO's subclasses with and without a number.
	Registered, Other []Field
	// Names are the constants of an enum, in the order of their numbers.
	Names []string
	// Flag is the one switch a kind may have: a row's kind, a null mask.
	Flag bool
	// Size is a number of the kind: padding, precision, arity; Scale of decimals.
	Size, Scale int32
	// Logical are the SQL types of a row's fields.
	Logical []Logical
	avro    *avroSchema
	numbers []int32 // of a Scala enumeration's constants
	raw     []byte  // the snapshot in versioned form
	span    [2]int64
}

// Field is a named part of a POJO, or a subclass under its class name.
type Field struct {
	Name, Class string // Class declares the field
	Type        *Type  // nil if the snapshot lacks it
}

// Raw is the snapshot in versioned form, as read or as made. It must not be
// changed.
func (t *Type) Raw() []byte { return t.raw }

// String is the type as one would declare it in Java, without packages.
func (t *Type) String() string {
	if t == nil {
		return "?"
	}
	name := t.Kind.String()
	if t.Name != "" && t.Kind != KindTuple && t.Kind != KindArray && t.Kind != KindTraversable {
		name = short(t.Name)
	}
	if t.Kind == KindTuple {
		name += strconv.Itoa(len(t.Args))
	}
	if len(t.Logical) > 0 {
		parts := make([]string, len(t.Logical))
		for i, l := range t.Logical {
			parts[i] = l.String()
		}
		return name + "(" + strings.Join(parts, ", ") + ")"
	}
	if len(t.Args) == 0 {
		return name
	}
	parts := make([]string, len(t.Args))
	for i, a := range t.Args {
		parts[i] = a.String()
	}
	return name + "<" + strings.Join(parts, ", ") + ">"
}

// short is a class name without its package.
func short(class string) string { return class[strings.LastIndexByte(class, '.')+1:] }

// FixedLength is what Flink's TypeSerializer.getLength answers: the number of
// bytes of every value, or -1 if they differ. It decides whether a key and a
// namespace side by side need their lengths.
func (t *Type) FixedLength() int {
	switch t.Kind {
	case KindTuple, KindCaseClass:
		sum := 0
		for _, a := range t.Args {
			n := a.FixedLength()
			if n <= 0 {
				return -1
			}
			sum += n
		}
		return sum
	case KindTTLAware:
		return t.Args[0].FixedLength()
	}
	if n, ok := fixed[t.Kind]; ok {
		return n
	}
	return -1
}

// fixed are the lengths of kinds without parts.
var fixed = map[Kind]int{
	KindLong: 8, KindInt: 4, KindShort: 2, KindByte: 1, KindBoolean: 1, KindChar: 2, KindFloat: 4, KindDouble: 8,
	KindEnum: 4, KindScalaEnum: 4, KindInstant: 12, KindLocalDate: 6, KindLocalTime: 7, KindLocalDateTime: 13, KindDate: 8,
	KindSQLDate: 8, KindSQLTime: 8, KindSQLTimestamp: 12, KindVoid: 1, KindVoidNamespace: 1, KindTimeWindow: 16,
	KindGlobalWindow: 1, KindTuple0: 1,
}

// Opaque returns the class of the first part of the type whose values are the
// user's own bytes, and whether there is one.
func (t *Type) Opaque() (class string, found bool) {
	if t == nil {
		return "", false
	}
	if t.Kind == KindKryo || t.Kind == KindUserValue {
		return t.Name, true
	}
	for _, a := range t.Args {
		if class, found = a.Opaque(); found {
			return class, true
		}
	}
	for _, group := range [][]Field{t.Fields, t.Registered, t.Other} {
		for _, f := range group {
			if class, found = f.Type.Opaque(); found {
				return class, true
			}
		}
	}
	return "", false
}
