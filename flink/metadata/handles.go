package metadata

// StreamHandle says where some bytes lie: *ByteStream, *File, *RelativeFile,
// *KeyGroupsStream, *Segment, *EmptySegment; nil is the null handle (tag 0). Each
// type names its tag, the byte that precedes it in the file.
type StreamHandle interface{ streamTag() byte }

// Tags of stream handles.
const (
	TagNull         byte = 0
	TagByteStream   byte = 1
	TagFile         byte = 2
	TagKeyGroups    byte = 3 // also a keyed handle
	TagRelativeFile byte = 6
	TagSegment      byte = 15 // from Flink 1.20 on
	TagEmptySegment byte = 16 // from Flink 1.20 on
)

// ByteStream is data inline in the file (tag 1, ByteStreamStateHandle). Flink
// tells two of them apart by their name only, so each needs its own.
type ByteStream struct {
	Name string
	Data []byte
}

// File is a file named by an absolute URI (tag 2, FileStateHandle).
type File struct {
	Size int64 // bytes; -1 if unknown
	Path string
}

// RelativeFile is a file beside the metadata (tag 6, RelativeFileStateHandle).
// In the file the path stands before the size, unlike in [File].
type RelativeFile struct {
	Path string // relative to the folder of the metadata
	Size int64  // bytes; -1 if unknown
}

// KeyGroupsStream is a keyed handle used as a stream (tag 3), which old Flinks
// could write.
type KeyGroupsStream struct {
	Range    KeyGroupRange
	Offsets  []int64 // one for each key group
	Delegate StreamHandle
}

// Scope says who may use a file (CheckpointedStateScope, by ordinal).
type Scope int32

// Scopes.
const (
	Exclusive Scope = iota
	Shared
)

// Segment is a part of a file that holds state of several subtasks or checkpoints
// (tag 15, SegmentFileStateHandle).
type Segment struct {
	Start, Size int64 // bytes
	Scope       Scope
	Path        string // of the whole file, an absolute URI
	LogicalFile string // LogicalFileId, the text of a UUID
}

// EmptySegment is no bytes at all, while file merging is on (tag 16,
// EmptySegmentFileStateHandle).
type EmptySegment struct{}

func (*ByteStream) streamTag() byte      { return TagByteStream }
func (*File) streamTag() byte            { return TagFile }
func (*RelativeFile) streamTag() byte    { return TagRelativeFile }
func (*KeyGroupsStream) streamTag() byte { return TagKeyGroups }
func (*Segment) streamTag() byte         { return TagSegment }
func (*EmptySegment) streamTag() byte    { return TagEmptySegment }

// KeyedHandle says where keyed state lies: *KeyGroupsHandle, *IncrementalHandle,
// *ChangelogHandle, *MemoryChangelog, *StreamChangelog; nil is the null handle.
type KeyedHandle interface {
	keyedTag() byte
	// KeyGroups is the range of key groups that the state covers.
	KeyGroups() KeyGroupRange
}

// Tags of keyed handles; [TagNull] and [TagKeyGroups] are two more.
const (
	TagIncremental       byte = 5
	TagSavepoint         byte = 7 // from Flink 1.13 on
	TagChangelog         byte = 8
	TagMemoryChangelog   byte = 9
	TagStreamChangelog   byte = 10
	TagIncrementalV2     byte = 11 // from Flink 1.15 on
	TagKeyGroupsV2       byte = 12 // from Flink 1.15 on
	TagStreamChangelogV2 byte = 13 // from Flink 1.16 on
	TagChangelogV2       byte = 14 // from Flink 1.16 on
)

// KeyGroupRange is a range of key groups, possibly empty.
type KeyGroupRange struct{ Start, Count int32 }

// Contains reports whether a key group is in the range.
func (r KeyGroupRange) Contains(group int32) bool {
	return group >= r.Start && group-r.Start < r.Count
}

// KeyGroupsHandle is keyed state in one stream, key group by key group: heap state,
// and savepoints and full checkpoints in the canonical form. The tag tells a
// canonical savepoint (tag 7, KeyGroupsSavepointStateHandle) from the rest (tags 3
// and 12, KeyGroupsStateHandle), which may be in either form.
type KeyGroupsHandle struct {
	Tag      byte // TagKeyGroups, TagSavepoint or TagKeyGroupsV2
	Range    KeyGroupRange
	Offsets  []int64 // one for each key group; 0 (canonical) or -1 (raw) if it is empty
	Delegate StreamHandle
	StateID  string // stateHandleId, with tag 12 only
}

// NamedFile is a file of an [IncrementalHandle]: its name where the backend ran,
// and where it lies now.
type NamedFile struct {
	Name   string
	Handle StreamHandle
}

// IncrementalHandle is the files of a RocksDB instance (tags 5 and 11,
// IncrementalRemoteKeyedStateHandle).
type IncrementalHandle struct {
	Tag              byte // TagIncremental or TagIncrementalV2
	CheckpointID     int64
	BackendID        string // a UUID in newer files
	Range            KeyGroupRange
	CheckpointedSize int64        // tag 11 only; bytes this checkpoint wrote
	Meta             StreamHandle // header that describes the states
	Shared           []NamedFile  // SSTs that other checkpoints may use
	Private          []NamedFile  // the rest
	StateID          string       // tag 11 only
}

// ChangelogHandle is a materialised state and the changes since (tags 8 and 14,
// ChangelogStateBackendHandle).
type ChangelogHandle struct {
	Tag               byte // TagChangelog or TagChangelogV2
	Range             KeyGroupRange
	CheckpointedSize  int64
	Materialized      []KeyedHandle // in order; nil elements are possible
	Deltas            []KeyedHandle
	MaterializationID int64
	CheckpointID      int64 // tag 14 only
	StateID           string
}

// MemoryChangelog is changes inline in the file (tag 9,
// InMemoryChangelogStateHandle).
type MemoryChangelog struct {
	Range    KeyGroupRange
	From, To int64 // sequence numbers, To excluded
	Changes  []Change
	StateID  string
}

// Change is one change of a [MemoryChangelog].
type Change struct {
	KeyGroup int32 // -1: the description of a state, not data
	Data     []byte
}

// StreamChangelog is changes in files (tags 10 and 13,
// ChangelogStateHandleStreamImpl).
type StreamChangelog struct {
	Tag              byte // TagStreamChangelog or TagStreamChangelogV2
	Range            KeyGroupRange
	Streams          []OffsetStream
	Size             int64
	CheckpointedSize int64
	StateID          string
	Storage          string // storageIdentifier, with tag 13 only; else "filesystem"
}

// OffsetStream is a stream whose changes begin at an offset.
type OffsetStream struct {
	Offset int64
	Handle StreamHandle
}

func (h *KeyGroupsHandle) keyedTag() byte   { return h.Tag }
func (h *IncrementalHandle) keyedTag() byte { return h.Tag }
func (h *ChangelogHandle) keyedTag() byte   { return h.Tag }
func (*MemoryChangelog) keyedTag() byte     { return TagMemoryChangelog }
func (h *StreamChangelog) keyedTag() byte   { return h.Tag }

// KeyGroups is the range of key groups that the state covers.
func (h *KeyGroupsHandle) KeyGroups() KeyGroupRange { return h.Range }

// KeyGroups is the range of key groups that the state covers.
func (h *IncrementalHandle) KeyGroups() KeyGroupRange { return h.Range }

// KeyGroups is the range of key groups that the state covers.
func (h *ChangelogHandle) KeyGroups() KeyGroupRange { return h.Range }

// KeyGroups is the range of key groups that the state covers.
func (h *MemoryChangelog) KeyGroups() KeyGroupRange { return h.Range }

// KeyGroups is the range of key groups that the state covers.
func (h *StreamChangelog) KeyGroups() KeyGroupRange { return h.Range }
