package format

import "github.com/tidemark-io/tidemark/keygroup"

// None marks an absent reference to a row of another table (an absent schema,
// an edge that a state does not belong to).
const None = -1

// Unknown is the watermark of which nothing is known; it lies below every time.
const Unknown int64 = -1 << 63

// Manifest is the whole description of a checkpoint in memory: what a writer
// hands over to be encoded. A reader never needs it; it opens table by table
// with [OpenManifest].
type Manifest struct {
	Summary   Summary
	Operators []Operator
	States    []State
	Edges     []Edge
	Objects   []Object
	Slices    []Slice
	Schemas   []*Schema // referred to by index; no two are equal
	Settings  []Setting
	Losses    []Loss
}

// Summary is the one row that says what a checkpoint is. Totals are sums over
// the other tables, kept here so that a summary needs no other block.
type Summary struct {
	Kind      CheckpointKind
	ID        uint64 // one sequence for checkpoints and savepoints (R9)
	Path      string // of the checkpoint below the root, "chk-7"
	Job       string
	Created   int64  // Unix time, nanoseconds
	Lineage   string // identifies the line of runs this checkpoint belongs to (R9)
	Run       uint64 // number of the run that wrote it (R11)
	Parent    uint64 // id of the checkpoint this one's run was restored from or refers to; 0 is none
	ParentDir string // path of the parent below the root, "" if none or elsewhere
	WriterID  string // random, names the one writer (R11)
	Software  string // name and version of the program
	Hash      string // identifier of the key hash function
	Ending    Ending // whether the run ended with it

	Subtasks        uint64
	Entries         uint64 // of keyed state, timers and lists
	StateBytes      uint64 // encoded, in-flight data not counted
	InFlightBytes   uint64
	InFlightRecords uint64
	MinWatermark    int64 // over all subtasks, event time in ms; Unknown if none
	MaxWatermark    int64
}

// Operator is a node of the job graph.
type Operator struct {
	UID                        string
	Name                       string
	Parallelism                uint32
	KeyGroups                  uint32 // 0: not keyed
	KeySchema                  int    // row of Schemas or None
	Task                       uint32 // operators of one number ran chained, in this order
	MinWatermark, MaxWatermark int64
}

// State is one named state of an operator.
type State struct {
	Operator  int // row of Operators
	Name      string
	Kind      Kind // KindKeyed … KindOutputChannel
	Edge      int  // row of Edges for channel state and channel watermarks, else None
	Namespace int  // row of Schemas or None
	// Value is the row of Schemas that describes the values, None if none does:
	// of channel state the records in flight, None if their type is unknown.
	Value   int
	Entries uint64
	Bytes   uint64 // encoded
	Decoded uint64 // before compression
}

// Edge is a connection of the job graph with the alignment it really had.
type Edge struct {
	ID              string // stable name: "from>to#n"
	From, To        int    // rows of Operators
	Partitioner     Partitioner
	Alignment       Alignment
	InFlightBytes   uint64
	InFlightRecords uint64
	// Keys is the row of the keyed operator whose key hashes the records of a
	// pointwise connection carry, so that they can be redistributed by its key
	// groups; None if they carry none, and for keyed connections (R7).
	Keys   int
	Reason Reason // why barriers may not overtake its data
}

// Object is a data object that slices lie in.
type Object struct {
	Name   string // below the root
	Length uint64
	CRC    uint32 // CRC-32C of the whole object
	// DirectoryCRC is the checksum of the object's directory and footer
	// (R13), which stand at its end.
	DirectoryCRC uint32
}

// Slice is the part of a state that one subtask wrote: a run of blocks in one
// object, found through their index.
type Slice struct {
	State    int    // row of States
	Subtask  uint32 // that wrote it
	Object   int    // row of Objects
	Offset   uint64 // of the slice's block index in the object
	Length   uint32 // of the block index, encoded
	CRC      uint32 // of the block index, encoded
	Blocks   uint32
	Entries  uint64
	Bytes    uint64 // of the blocks, encoded
	Decoded  uint64
	Interval keygroup.Interval // of hashes; All for state without keys
}

// Setting is one configuration value; secrets are redacted before they get here.
type Setting struct{ Key, Value, Origin string }

// Loss says what a tool removed from the checkpoint.
type Loss struct {
	Tool             string // command that removed it
	Created          int64  // Unix time, nanoseconds
	Operator         string // uid, "" for all
	State            string
	Edge             string
	Place            string // selector of channels, subtasks or key groups
	Reason           string
	Bytes            uint64
	Records          uint64
	MinTime, MaxTime int64 // event time in ms of the lost records; Unknown if not known
}
