package format

// Kind says what a block holds and so which columns it has. These bytes are on
// disk: never renumber, never reuse.
type Kind uint8

// Kinds of blocks in data objects.
const (
	KindKeyed            Kind = 1  // keyed state: hash, key, namespace, value
	KindTimer            Kind = 2  // timers: hash, key, namespace, time
	KindSplitList        Kind = 3  // operator state, redistributed item by item
	KindUnionList        Kind = 4  // operator state, every subtask gets all
	KindBroadcast        Kind = 5  // operator state, equal at all subtasks: key, value
	KindFloor            Kind = 6  // union watermark state: hash interval, watermark (R3 ii)
	KindSubtaskWatermark Kind = 7  // per subtask: current, last emitted, status, drain target (R3 ii)
	KindChannelWatermark Kind = 8  // per input channel: watermark and status (R3 iii)
	KindSplitWatermark   Kind = 9  // per source split: generator state, idleness (R3 i)
	KindInputChannel     Kind = 10 // in-flight buffers of the receiving side
	KindOutputChannel    Kind = 11 // in-flight buffers of the sending side
)

// Kinds of blocks that describe other blocks.
const (
	KindBlockIndex Kind = 32 // the blocks of one slice
	KindDirectory  Kind = 33 // the slices of one data object
)

// Kinds of blocks in a manifest.
const (
	KindSummary   Kind = 48
	KindOperators Kind = 49
	KindStates    Kind = 50
	KindEdges     Kind = 51
	KindObjects   Kind = 52
	KindSlices    Kind = 53
	KindSchemas   Kind = 54
	KindSettings  Kind = 55
	KindLosses    Kind = 56
	KindTables    Kind = 57 // the directory of a manifest's other blocks
)

// Codec is the compression of one column of a block. On disk: never renumber.
type Codec uint8

// Codecs.
const (
	CodecNone Codec = 0
	CodecS2   Codec = 1
	CodecZstd Codec = 2
)

// CheckpointKind tells checkpoints from savepoints. On disk: never renumber.
type CheckpointKind uint8

// Kinds of checkpoints.
const (
	Checkpoint CheckpointKind = 1
	Savepoint  CheckpointKind = 2
)

// Ending says whether a run ended with a checkpoint. On disk: never renumber.
type Ending uint8

// Endings.
const (
	WentOn   Ending = 0 // the run continued
	Stopped  Ending = 1 // it was stopped, its output up to here is published (R10, R18)
	Finished Ending = 2 // all input was processed and published: a restore emits nothing
)

// Partitioner is how an edge chooses the receiving subtask. On disk: never
// renumber.
type Partitioner uint8

// Partitioners.
const (
	Forward   Partitioner = 1
	Keyed     Partitioner = 2
	Rebalance Partitioner = 3
	Shuffle   Partitioner = 4
	Global    Partitioner = 5
	Rescale   Partitioner = 6
	Broadcast Partitioner = 7
	Custom    Partitioner = 8
)

// Alignment is how the barriers of a checkpoint crossed an edge. On disk: never
// renumber.
type Alignment uint8

// Alignments.
const (
	Chained   Alignment = 1 // no exchange: both ends run in one task
	Aligned   Alignment = 2
	Unaligned Alignment = 3
	Mixed     Alignment = 4 // aligned at some subtasks, unaligned at others
)

// Reason is why barriers may not overtake the data of an edge. On disk: never
// renumber.
type Reason uint8

// Reasons.
const (
	NoReason          Reason = 0 // they may, or there is no exchange, or nobody knows
	ReasonOff         Reason = 1 // unaligned checkpoints are off
	ReasonPointwise   Reason = 2 // nothing in a record says who receives it at another parallelism
	ReasonBroadcast   Reason = 3 // all receivers must have seen the same
	ReasonCustom      Reason = 4 // only the job's own function knows the receiver of a record
	ReasonParallelism Reason = 5 // a forward connection, rebalanced only while its ends differ in parallelism
)
