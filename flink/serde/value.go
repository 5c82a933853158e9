package serde

// Values as Go sees them: nil for Java's null; bool; int64 for all integers, char
// included; float32 and float64; string; []byte; *big.Int; *Decimal; []any for
// lists, sets and arrays; Map; *Struct for what has fields; *Opaque for bytes of
// the user's own encoding; *Object for a serialised Java object; and the times
// below.

// Pair is an entry of a map.
type Pair struct{ Key, Value any }

// Map is a map in the order of its bytes.
type Map []Pair

// Struct is a value with fields: a tuple, POJO, row, window, timer.
type Struct struct {
	// Type is the type that had the bytes: of a POJO's subclass its own.
	Type *Type
	// Names are the fields' names, nil for tuples and rows.
	Names []string
	// Values are the fields, in the order of the bytes.
	Values []any
	// RowKind is that of a row: 0 +I, 1 -U, 2 +U, 3 -D; -1 if it has none.
	RowKind int8
}

// Field returns the value of a field by its name.
func (s *Struct) Field(name string) (any, bool) {
	for i, n := range s.Names {
		if n == name && i < len(s.Values) {
			return s.Values[i], true
		}
	}
	return nil, false
}

// Opaque is a value whose encoding is not Flink's. As nothing says where it ends,
// Bytes are all up to the end of the value that holds it.
type Opaque struct {
	Class string
	Bytes []byte
}

// Time is a moment in milliseconds since 1970 and nanoseconds.
type Time struct {
	Millis int64
	// Nanos are those of the second for an SQL timestamp, those of the
	// millisecond for TimestampData.
	Nanos int32
	// Kind is the type that had it.
	Kind Kind
}

// Instant is a moment in seconds since 1970 and nanoseconds of the second.
type Instant struct {
	Seconds int64
	Nanos   int32
}

// Civil is a date and a time of day without zone.
type Civil struct {
	Year       int32
	Month, Day int8
	Hour, Min  int8
	Sec        int8
	Nano       int32
	HasDate    bool
	HasTime    bool
}
