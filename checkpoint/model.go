package checkpoint

import (
	"time"

	"github.com/tidemark-io/tidemark/keygroup"
)

// Kind tells checkpoints from savepoints, and ours from Flink's.
type Kind string

// Kinds.
const (
	KindCheckpoint      Kind = "checkpoint"
	KindSavepoint       Kind = "savepoint"
	KindFlinkCheckpoint Kind = "flink-checkpoint"
	KindFlinkSavepoint  Kind = "flink-savepoint"
)

// Status says what state a checkpoint is in as far as its metadata shows.
type Status string

// Statuses.
const (
	Complete   Status = "complete"   // the manifest reads
	Incomplete Status = "incomplete" // data without a manifest: never committed, or being written
	Damaged    Status = "damaged"    // the manifest does not read
	Unreadable Status = "unreadable" // too new, or not permitted
)

// Count is a number that may be unknown; unknown is never shown as 0.
type Count uint64

// UnknownCount is the count of which nothing is known.
const UnknownCount Count = 1<<64 - 1

// Known returns the number and whether it is known.
func (c Count) Known() (uint64, bool) { return uint64(c), c != UnknownCount }

// UnknownTime is the event time of which nothing is known; it lies below every
// time.
const UnknownTime int64 = -1 << 63

// Watermarks are the lowest and the highest watermark over some subtasks, event
// time in ms.
type Watermarks struct{ Min, Max int64 }

// Totals are the size of in-flight data.
type Totals struct{ Bytes, Records Count }

// Info is what one line of a listing and the head of an inspection say.
type Info struct {
	Path    string // below the store's root
	Kind    Kind
	Version string // of the format
	Status  Status
	Reason  error     // why the status is not Complete
	Notes   []Finding // what opening found and could live with

	ID       uint64
	Job      string
	Created  time.Time // zero if unknown
	Lineage  string
	Run      uint64
	Parent   uint64 // 0: none
	WriterID string
	Software string
	Hash     string // identifier of the key hash function
	Finished bool   // the job had processed all its input
	Ended    bool   // the run ended with it, finished or stopped

	Subtasks   Count
	Entries    Count
	Bytes      Count // of state as stored, in-flight data not counted
	InFlight   Totals
	Watermarks Watermarks
}

// Operator is a node of the job graph.
type Operator struct {
	UID         string // or the hexadecimal hash, where a format has only that
	Name        string
	Parallelism uint32
	KeyGroups   uint32 // 0: not keyed
	KeyType     string // printed schema, "" if unknown
	Task        uint32 // operators of one number ran chained
	Watermarks  Watermarks
}

// StateKind says how a state is redistributed and what its entries have.
type StateKind string

// Kinds of states.
const (
	Keyed             StateKind = "keyed"
	Timers            StateKind = "timers"
	SplitList         StateKind = "split-list"
	UnionList         StateKind = "union-list"
	BroadcastState    StateKind = "broadcast"
	Floors            StateKind = "floors"
	SubtaskWatermarks StateKind = "subtask-watermarks"
	ChannelWatermarks StateKind = "channel-watermarks"
	SplitWatermarks   StateKind = "split-watermarks"
	InputChannel      StateKind = "input-channel"
	OutputChannel     StateKind = "output-channel"

	// Of Flink only: bytes that an operator or its coordinator wrote by itself.
	Coordinator StateKind = "coordinator"
	RawOperator StateKind = "raw-operator"
	RawKeyed    StateKind = "raw-keyed"
)

// StateKinds are all kinds.
var StateKinds = []StateKind{Keyed, Timers, SplitList, UnionList, BroadcastState, Floors, SubtaskWatermarks, ChannelWatermarks,
	SplitWatermarks, InputChannel, OutputChannel, Coordinator, RawOperator, RawKeyed}

// InFlight reports whether a state of this kind is in-flight data.
func (k StateKind) InFlight() bool { return k == InputChannel || k == OutputChannel }

// State is one named state of an operator.
type State struct {
	Operator      string // uid
	Name          string
	Kind          StateKind
	Edge          string // id, for channel state and channel watermarks
	NamespaceType string // printed schema, "" if there is none
	ValueType     string
	Entries       Count
	Bytes         Count // as stored
	Decoded       Count // before compression
	Row           int   // identifies the state within its checkpoint
}

// Partitioner is how an edge chooses the receiving subtask.
type Partitioner string

// Partitioners.
const (
	PartitionForward   Partitioner = "forward"
	PartitionKeyed     Partitioner = "keyed"
	PartitionRebalance Partitioner = "rebalance"
	PartitionShuffle   Partitioner = "shuffle"
	PartitionGlobal    Partitioner = "global"
	PartitionRescale   Partitioner = "rescale"
	PartitionBroadcast Partitioner = "broadcast"
	PartitionCustom    Partitioner = "custom"
)

// Alignment is how the barriers of a checkpoint crossed an edge.
type Alignment string

// Alignments.
const (
	Chained          Alignment = "chained"
	Aligned          Alignment = "aligned"
	Unaligned        Alignment = "unaligned"
	Mixed            Alignment = "mixed" // aligned at some subtasks only
	UnknownAlignment Alignment = "unknown"
)

// Reason is why barriers waited for the data of an edge.
type Reason string

// Reasons. The first five say why they always do in that job.
const (
	ReasonOff         Reason = "off"                // unaligned checkpoints are off
	ReasonPointwise   Reason = "pointwise"          // nothing in a record says who receives it at another parallelism
	ReasonBroadcast   Reason = "broadcast"          // all receivers must have seen the same
	ReasonCustom      Reason = "custom-partitioner" // only the job's own function knows the receiver of a record
	ReasonParallelism Reason = "parallelism"        // a forward edge, rebalanced while its ends differ in parallelism
	ReasonSavepoint   Reason = "savepoint"          // a savepoint never has data in flight
	ReasonInTime      Reason = "in-time"            // all came before any had to overtake
)

// Edge is a connection of the job graph, with the alignment it really had.
type Edge struct {
	ID          string
	From, To    string // uids
	Partitioner Partitioner
	Alignment   Alignment
	Reason      Reason // of an aligned edge, "" if unknown or of others
	Keys        string // uid of the keyed operator whose hashes the records of a pointwise edge carry, else ""
	InFlight    Totals
}

// Setting is one configuration value; secrets are redacted.
type Setting struct{ Key, Value, Origin string }

// Part is what one subtask wrote of one state.
type Part struct {
	State    State
	Subtask  uint32
	Object   string // where it lies
	Offset   uint64
	Bytes    Count // as stored
	Decoded  Count
	Entries  Count
	Interval keygroup.Interval // of hashes; all of them for state without keys
}

// Object is a stored object that a checkpoint uses.
type Object struct {
	Name   string // below the root
	Bytes  uint64
	CRC    uint32 // CRC-32C; meaningful if HasCRC
	HasCRC bool
	Shared bool // other checkpoints may use it too
}

// Entry is one element of a state. Which fields are set depends on the state's
// kind. The slices are valid until the iterator's next step and must not be
// changed.
type Entry struct {
	State   State
	Subtask uint32 // that wrote it
	Hash    keygroup.Hash
	// NoHash says that the key's hash is not known, and Hash means nothing.
	NoHash bool
	// KeyGroup is that of keyed state and timers, in the numbering of the
	// operator; NoKeyGroup elsewhere.
	KeyGroup uint32
	// Interval is set instead of Hash for floors.
	Interval              keygroup.Interval
	Key, Namespace, Value []byte
	Time                  int64 // of a timer, watermark of a floor or channel: ms
	// Detail holds further numbers of the kind, by name, in a fixed order.
	Detail []Detail
}

// NoKeyGroup is the key group of what has none.
const NoKeyGroup uint32 = 1<<32 - 1

// Detail is a named number or word of an entry.
type Detail struct{ Name, Value string }

// Loss says what a tool removed from a checkpoint.
type Loss struct {
	Tool             string // command that removed it
	Created          time.Time
	Operator         string // uid, "" for all
	State            string
	Edge             string
	Place            string // selector
	Reason           string
	Bytes            uint64
	Records          uint64
	MinTime, MaxTime int64 // event time in ms; UnknownTime if not known
}
