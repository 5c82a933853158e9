package checkpoint

import (
	"context"
	"iter"

	"github.com/tidemark-io/tidemark/keygroup"
)

// Element is what an in-flight record is.
type Element string

// Elements of a channel.
const (
	ElementRecord    Element = "record"
	ElementWatermark Element = "watermark"
	ElementStatus    Element = "status" // the payload is one byte
	// ElementTorn is not an element of the channel: the bytes of a record of
	// which a part is missing (R8). Nothing restores it.
	ElementTorn Element = "torn"
	// Elements that only Flink has; their payloads are those of its format.
	ElementLatency    Element = "latency-marker"
	ElementAttributes Element = "record-attributes"
)

// Record is one element of a channel, whole, as its receiver would have taken
// it. The payload is valid until the iterator's next step and must not be
// changed.
type Record struct {
	State            State // channel state in which its last byte lies
	Subtask          uint32
	Edge             string
	Receiver, Sender uint32
	Generation       uint64
	Element          Element
	Hash             keygroup.Hash // that the sender partitioned by, if HasHash
	HasHash          bool
	NoKey            bool  // emitted without a current key (R7)
	Time             int64 // event time in ms, the watermark; UnknownTime if there is none
	Payload          []byte
	// Detail says in the format's own terms where the element lies, as sender and
	// receiver, and what else is known of it; nil if the fields above say everything.
	Detail []Detail
}

// Joiner is the ability to read in-flight data as the records that it consists
// of, over the borders of buffers and the two sides of a channel.
type Joiner interface {
	// Records yields the elements of the edges whose channel states match the
	// selector. The records of one sub-stream (edge, receiver, sender,
	// generation) come in their order; sub-streams may come mixed. Both sides
	// of a channel are read even if the selector names one, since a record
	// may begin in one and end in the other; it belongs to the side in which
	// it ends.
	Records(ctx context.Context, sel Selector) iter.Seq2[Record, error]
}

// Key is a key in the encoding of an operator.
type Key struct {
	Encoded  []byte
	Hash     keygroup.Hash
	KeyGroup uint32 // NoKeyGroup if it cannot be computed
}

// Finder is the ability to find one key without reading everything.
type Finder interface {
	// ParseKey encodes a key that is given as text, by the schema of the
	// operator's keys: as JSON, or the bare text where that is unambiguous.
	ParseKey(ctx context.Context, operator, text string) (Key, error)
	// Lookup yields the entries of one key of a keyed state or of timers.
	Lookup(ctx context.Context, state State, key Key) iter.Seq2[Entry, error]
}

// ColumnType is the type of a column of a table made of entries.
type ColumnType string

// Column types. What has structure of its own is JSON.
const (
	ColumnBool   ColumnType = "bool"
	ColumnInt    ColumnType = "int" // fits 64 bits with sign
	ColumnUint   ColumnType = "uint"
	ColumnFloat  ColumnType = "float"
	ColumnString ColumnType = "string"
	ColumnBytes  ColumnType = "bytes" // printed as base64
	ColumnTime   ColumnType = "time"  // printed as RFC 3339
	ColumnJSON   ColumnType = "json"
	ColumnHex    ColumnType = "hex" // no schema is known: printed as hexadecimal digits
)

// Column is a column of a field of an entry.
type Column struct {
	Name     string // of the struct's field; "" if the field of the entry is one column
	Type     ColumnType
	Optional bool
}

// Tabular is the ability to tell into which columns the fields of a state's
// entries fall: one for each field of a struct, else one.
type Tabular interface {
	// Columns are the columns of what [Printer.AppendValue] prints. None if
	// the state's entries do not have the field.
	Columns(state State, field Field) ([]Column, error)
}

// Ordered is the ability to tell which states can be merged.
type Ordered interface {
	// InOrder reports whether the entries of a state come in the order (hash,
	// key, namespace, time), each but once.
	InOrder(state State) bool
}
