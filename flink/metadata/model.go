package metadata

import "encoding/hex"

// Magic is the number that every file begins with (Checkpoints.HEADER_MAGIC_NUMBER).
const Magic = 0x4960672D

// masterMagic begins every master state.
const masterMagic = 0xC96B1696

// Versions of the file, by what they brought.
const (
	Version2 int32 = 2 // the oldest that Flink reads; written up to Flink 1.10
	Version3 int32 = 3 // coordinator state, channel state, finished markers; Flink 1.11 to 1.15
	Version4 int32 = 4 // checkpoint properties at the end; Flink 1.16 to 1.20
	Version5 int32 = 5 // names and uids of operators; Flink 2.0
	Version6 int32 = 6 // typed and merged channel handles; Flink 2.1 and later
	Version7 int32 = 7 // reference of a subtask to an older checkpoint; after Flink 2.3
)

// MaxKeyGroups is Flink's bound on the number of key groups.
const MaxKeyGroups = 1 << 15

// Metadata is the content of a file. Slices and handles in it belong to it;
// inline data aliases the bytes it was decoded from.
type Metadata struct {
	Version      int32
	CheckpointID int64
	MasterStates []MasterState
	Operators    []Operator // in the order of the file, which has no meaning
	// Tail is the Java stream at the end, from version 4 on: the checkpoint's
	// properties as an object, or [NullTail]. It is kept as it was; see
	// [Metadata.Properties].
	Tail []byte
}

// NullTail is the shortest legal tail: a Java stream that holds null.
var NullTail = []byte{0xAC, 0xED, 0x00, 0x05, 0x70}

// MasterState is the state of a hook that runs on the master
// (MasterTriggerRestoreHook), not of an operator.
type MasterState struct {
	Version int32
	Name    string
	Data    []byte
}

// OperatorID identifies an operator: the bytes in the order in which they are
// printed. See [IDOfUID].
type OperatorID [16]byte

// String is the id as Flink prints it: 32 hexadecimal digits.
func (id OperatorID) String() string { return hex.EncodeToString(id[:]) }

// ParseOperatorID is the inverse of [OperatorID.String].
func ParseOperatorID(s string) (id OperatorID, ok bool) {
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != len(id) {
		return id, false
	}
	return OperatorID(b), true
}

// Operator is what the file says of an operator.
type Operator struct {
	Name string // from version 5 on; "" if not known
	UID  string // from version 5 on; "" if none was set or it is not known
	ID   OperatorID

	Parallelism    int32
	MaxParallelism int32 // number of key groups

	ChainLength int32        // version 2 only; Flink writes 1 and ignores it
	Coordinator StreamHandle // from version 3 on; nil, or a *ByteStream
	Finished    bool         // all subtasks had ended; there are no subtasks then
	Subtasks    []Subtask    // those with state, each index once
}

// Subtask is one parallel instance of an operator.
type Subtask struct {
	Index int32
	State *SubtaskState // nil if it had finished (from version 3 on)
}

// SubtaskState is where the state of one subtask lies. The file has room for one
// handle of each kind.
type SubtaskState struct {
	Duration        int64           // version 2 only; Flink writes -1
	ManagedOperator *OperatorHandle // list, union and broadcast state; nil if none
	RawOperator     *OperatorHandle // written by operators as bytes; nil if none
	ManagedKeyed    KeyedHandle     // nil if none
	RawKeyed        KeyedHandle     // nil if none
	Input           []ChannelHandle // in-flight data before the subtask, from version 3 on
	Output          []ChannelHandle // in-flight data behind it, from version 3 on
	HasReference    bool            // version 7 only: the state is that of
	Reference       int64           // this older checkpoint
}

// OperatorHandle tags (the byte before an operator state handle).
const (
	TagOperator            byte = 4  // OperatorStreamStateHandle
	TagFileMergingOperator byte = 17 // FileMergingOperatorStreamStateHandle, from Flink 1.20 on
)

// OperatorHandle is where operator state lies: named lists of elements, each
// element beginning at an offset of one stream.
type OperatorHandle struct {
	Tag          byte // TagOperator or TagFileMergingOperator
	States       []OperatorState
	TaskOwnedDir string // of file merging, as a URI
	SharedDir    string // of file merging, as a URI
	Empty        bool   // of file merging: EmptyFileMergingOperatorStreamStateHandle
	Delegate     StreamHandle
}

// Mode says how operator state is redistributed when the parallelism changes
// (OperatorStateHandle.Mode, by ordinal).
type Mode byte

// Modes.
const (
	SplitDistribute Mode = iota
	Union
	Broadcast
)

// OperatorState is one named state in an [OperatorHandle]. For raw operator state
// the name is "_default_".
type OperatorState struct {
	Name    string
	Mode    Mode
	Offsets []int64 // of elements, in the delegate
}

// ChannelHandle is where in-flight data of some channels of one subtask lies. A
// plain handle is of one channel; a merged one, from version 6 on, of all channels
// that lie in one stream (InputChannelStateHandle, ResultSubpartitionStateHandle
// and their merged forms).
type ChannelHandle struct {
	Subtask  int32 // that wrote it
	Merged   bool
	Size     int64     // bytes; of a plain handle that of its channel
	Channels []Channel // one if not merged
	Delegate StreamHandle
}

// Channel is the in-flight data of one channel.
type Channel struct {
	Gate    int32   // input gate, or result partition
	Channel int32   // input channel, or subpartition
	Size    int64   // bytes, lengths of chunks included
	Offsets []int64 // of chunks, in the delegate; each is a length and data
}
