package format

// Type is the type of a value. On disk: never renumber, never reuse.
type Type uint8

// Types and their encodings. Integers are fixed-width little-endian, so that
// encoded length depends on the type alone; strings, byte slices, JSON,
// protobuf and raw bytes carry a canonical varint length in front.
const (
	TypeBool     Type = 1 // one byte, 0 or 1
	TypeInt8     Type = 2
	TypeInt16    Type = 3
	TypeInt32    Type = 4
	TypeInt64    Type = 5
	TypeUint8    Type = 6
	TypeUint16   Type = 7
	TypeUint32   Type = 8
	TypeUint64   Type = 9
	TypeFloat32  Type = 10 // IEEE 754 bits
	TypeFloat64  Type = 11
	TypeString   Type = 12 // UTF-8
	TypeBytes    Type = 13
	TypeTime     Type = 14 // UTC, int64 nanoseconds since 1970
	TypeStruct   Type = 15 // the fields one after the other
	TypeArray    Type = 16 // Len elements
	TypeSlice    Type = 17 // varint count, elements
	TypeMap      Type = 18 // varint count, then key and value, ascending by encoded key
	TypeOptional Type = 19 // byte 0, or byte 1 and the element (a Go pointer)
	TypeJSON     Type = 20
	TypeProtobuf Type = 21 // Name is the full message name
	TypeRaw      Type = 22
	TypeDuration Type = 23 // int64 nanoseconds
	// TypeOpaque is all bytes of a value, without a length: what a codec made
	// that says nothing of its encoding. Name is that of the Go type. Only a
	// whole value has it.
	TypeOpaque Type = 24
)

// Schema describes how a key, a namespace or a value is encoded, so that tools
// print it without the job's code. Schemas are values: do not change one that
// others may hold.
type Schema struct {
	Type   Type
	Name   string    // of a struct, a protobuf message, an opaque value; only that of a struct does not count as a difference
	Len    uint32    // of an array
	Fields []Field   // of a struct
	Elems  []*Schema // of array, slice, optional: one; of a map: key, value
	// Renamed says, of a struct, which other names fields may have in older
	// checkpoints, by their present names. It is not stored and no difference.
	Renamed map[string]string
}

// Field is a field of a struct.
type Field struct {
	Name   string
	Schema *Schema
}
