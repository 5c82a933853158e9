package javaser

// Value is one of
//
//	nil        null
//	bool, int8, Char, int16, int32, int64, float32, float64
//	*String, *Object, *Array, *Enum
//	*Class     a class used as a value (Class.class), or its description
//	Block      bytes written by writeObject
//
// A value that occurs twice in a stream is the same pointer twice; an object may
// contain itself.
type Value any

// Char is a UTF-16 unit.
type Char uint16

// Block is bytes that an object wrote by itself, between its fields and its end.
// It aliases the stream.
type Block []byte

// String is a string. It has an identity of its own in the stream.
type String struct{ Text string }

// Class describes a class as it was when the stream was written.
type Class struct {
	Name        string
	Version     int64 // serialVersionUID
	Flags       byte  // SC_…
	Fields      []Field
	Annotations []Value // written by the stream's annotateClass, normally none
	Super       *Class  // the nearest serialisable one
	Proxy       []string
}

// Flags of a class.
const (
	FlagWriteMethod    byte = 0x01 // SC_WRITE_METHOD: objects have annotations
	FlagSerializable   byte = 0x02 // SC_SERIALIZABLE
	FlagExternalizable byte = 0x04 // SC_EXTERNALIZABLE
	FlagBlockData      byte = 0x08 // SC_BLOCK_DATA
	FlagEnum           byte = 0x10 // SC_ENUM
)

// Field describes a field of a class.
type Field struct {
	Type  byte // B C D F I J S Z, or L for an object and [ for an array
	Name  string
	Class string // of an object or array, as a descriptor: "Ljava/lang/String;"
}

// Object is an object: for each class of its hierarchy, from the top, the fields.
type Object struct {
	Class *Class
	Parts []Part
}

// Part is what one class of the hierarchy wrote of an object.
type Part struct {
	Class       *Class
	Fields      []Value // one for each of Class.Fields
	Annotations []Value // written by its writeObject or writeExternal
}

// Array is an array: bytes for one of primitives, elements for one of objects.
type Array struct {
	Class  *Class // its name is "[I" and the like
	Raw    []byte // of primitives: the elements, big-endian; aliases the stream
	Values []Value
}

// Enum is a constant of an enumeration, by its name.
type Enum struct {
	Class    *Class
	Constant string
}

// Field returns the value of a field by its name, looked for from the object's own
// class upwards.
func (o *Object) Field(name string) (Value, bool) {
	for i := len(o.Parts) - 1; i >= 0; i-- {
		for j, f := range o.Parts[i].Class.Fields {
			if f.Name == name {
				return o.Parts[i].Fields[j], true
			}
		}
	}
	return nil, false
}

// Text returns a field that is a string.
func (o *Object) Text(name string) (string, bool) {
	v, _ := o.Field(name)
	s, ok := v.(*String)
	if !ok {
		return "", false
	}
	return s.Text, true
}

// Bool returns a field that is a boolean.
func (o *Object) Bool(name string) (value, ok bool) {
	v, _ := o.Field(name)
	value, ok = v.(bool)
	return value, ok
}

// Constant returns the name of a field that is a constant of an enumeration.
func (o *Object) Constant(name string) (string, bool) {
	v, _ := o.Field(name)
	e, ok := v.(*Enum)
	if !ok {
		return "", false
	}
	return e.Constant, true
}
