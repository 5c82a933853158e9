package metadata

import "github.com/tidemark-io/tidemark/flink/wire"

// deeper reports whether a handle may stand at this depth.
func (d *decoder) deeper(depth int) bool {
	if depth > d.lim.Nesting {
		d.Fail("handle", wire.OverLimit(uint64(depth), uint64(d.lim.Nesting)))
	}
	return d.Err() == nil
}

// stream reads a stream handle.
func (d *decoder) stream(depth int) StreamHandle {
	if !d.deeper(depth) || !d.charge(1, costHandle) {
		return nil
	}
	at := d.Offset()
	switch tag := d.U8("tag of stream handle"); tag {
	case TagNull:
		return nil
	case TagByteStream:
		return &ByteStream{Name: d.text("name of inline data"), Data: d.Bytes32("inline data")}
	case TagFile:
		return &File{Size: d.size("size of file"), Path: d.text("path of file")}
	case TagRelativeFile:
		return &RelativeFile{Path: d.text("relative path of file"), Size: d.size("size of file")}
	case TagKeyGroups:
		h := new(KeyGroupsStream)
		h.Range, h.Offsets = d.rangeOffsets()
		h.Delegate = d.stream(depth + 1)
		return h
	case TagSegment:
		return d.segment()
	case TagEmptySegment:
		return new(EmptySegment)
	default:
		d.FailAt(at, "stream handle", wire.Unsupported("tag %d; without knowing it nothing behind it can be read", tag))
	}
	return nil
}

func (d *decoder) segment() StreamHandle {
	at := d.Offset()
	h := &Segment{Start: d.I64("start of segment"), Size: d.I64("size of segment"), Scope: Scope(d.I32("scope of segment"))}
	switch {
	case h.Start < 0 || h.Size < 0 || h.Start+h.Size < 0:
		d.FailAt(at, "segment", wire.Malformed("%d bytes from %d", h.Size, h.Start))
	case h.Scope != Exclusive && h.Scope != Shared:
		d.FailAt(at+16, "scope of segment", wire.Malformed("%d, it can be 0 (exclusive) or 1 (shared)", h.Scope))
	}
	h.Path = d.text("path of segment")
	h.LogicalFile = d.text("id of logical file")
	return h
}

// size reads a number of bytes; Flink writes -1 for one it does not know.
func (d *decoder) size(what string) int64 {
	at := d.Offset()
	n := d.I64(what)
	if n < -1 {
		d.FailAt(at, what, wire.Malformed("%d is negative", n))
	}
	return n
}

// keyRange reads a range of key groups.
func (d *decoder) keyRange() KeyGroupRange {
	at := d.Offset()
	r := KeyGroupRange{Start: d.I32("first key group"), Count: d.I32("number of key groups")}
	if r.Start < 0 || r.Count < 0 || r.Start > MaxKeyGroups || r.Count > MaxKeyGroups-r.Start {
		d.FailAt(at, "key groups", wire.Malformed("%d from %d, there are at most %d", r.Count, r.Start, MaxKeyGroups))
		return KeyGroupRange{}
	}
	return r
}

// rangeOffsets reads a range of key groups and an offset for each.
func (d *decoder) rangeOffsets() (KeyGroupRange, []int64) {
	r := d.keyRange()
	return r, d.offsets(int(r.Count), "offsets of key groups")
}

// keyed reads a keyed handle.
func (d *decoder) keyed(depth int) KeyedHandle {
	if !d.deeper(depth) || !d.charge(1, costHandle) {
		return nil
	}
	at := d.Offset()
	switch tag := d.U8("tag of keyed handle"); tag {
	case TagNull:
		return nil
	case TagKeyGroups, TagSavepoint, TagKeyGroupsV2:
		h := &KeyGroupsHandle{Tag: tag}
		h.Range, h.Offsets = d.rangeOffsets()
		h.Delegate = d.stream(depth + 1)
		if tag == TagKeyGroupsV2 {
			h.StateID = d.text("id of state handle")
		}
		return h
	case TagIncremental, TagIncrementalV2:
		return d.incremental(tag, depth)
	case TagChangelog, TagChangelogV2:
		return d.changelog(tag, depth)
	case TagMemoryChangelog:
		return d.memoryChangelog()
	case TagStreamChangelog, TagStreamChangelogV2:
		return d.streamChangelog(tag, depth)
	default:
		d.FailAt(at, "keyed handle", wire.Unsupported("tag %d; without knowing it nothing behind it can be read", tag))
	}
	return nil
}

func (d *decoder) incremental(tag byte, depth int) KeyedHandle {
	h := &IncrementalHandle{Tag: tag, CheckpointID: d.I64("checkpoint of the files"), BackendID: d.text("id of backend"), Range: d.keyRange()}
	if tag == TagIncrementalV2 {
		h.CheckpointedSize = d.I64("checkpointed size")
	}
	h.Meta = d.stream(depth + 1)
	h.Shared = d.files("shared files", depth+1)
	h.Private = d.files("private files", depth+1)
	if tag == TagIncrementalV2 {
		h.StateID = d.text("id of state handle")
	}
	return h
}

func (d *decoder) files(what string, depth int) []NamedFile {
	list := enough[NamedFile](d, d.Count(3, what), 32)
	for i := range list {
		list[i] = NamedFile{Name: d.text("name of file"), Handle: d.stream(depth)}
	}
	return list
}

func (d *decoder) changelog(tag byte, depth int) KeyedHandle {
	h := &ChangelogHandle{Tag: tag, Range: d.keyRange(), CheckpointedSize: d.I64("checkpointed size")}
	h.Materialized = d.keyedList("materialised states", depth+1)
	h.Deltas = d.keyedList("changes", depth+1)
	h.MaterializationID = d.I64("id of materialisation")
	if tag == TagChangelogV2 {
		h.CheckpointID = d.I64("checkpoint of the changelog")
	}
	h.StateID = d.text("id of state handle")
	return h
}

func (d *decoder) keyedList(what string, depth int) []KeyedHandle {
	list := enough[KeyedHandle](d, d.Count(1, what), 16)
	for i := range list {
		list[i] = d.keyed(depth)
	}
	return list
}

func (d *decoder) memoryChangelog() KeyedHandle {
	h := &MemoryChangelog{Range: d.keyRange(), From: d.I64("first change"), To: d.I64("end of changes")}
	h.Changes = enough[Change](d, d.Count(8, "changes"), 32)
	for i := range h.Changes {
		h.Changes[i] = Change{KeyGroup: d.I32("key group of change"), Data: d.Bytes32("change")}
	}
	h.StateID = d.text("id of state handle")
	return h
}

func (d *decoder) streamChangelog(tag byte, depth int) KeyedHandle {
	h := &StreamChangelog{Tag: tag, Range: d.keyRange()}
	h.Streams = enough[OffsetStream](d, d.Count(9, "streams of changes"), 24)
	for i := range h.Streams {
		h.Streams[i] = OffsetStream{Offset: d.I64("offset of changes"), Handle: d.stream(depth + 1)}
	}
	h.Size = d.I64("size of changes")
	h.CheckpointedSize = d.I64("checkpointed size")
	h.StateID = d.text("id of state handle")
	if tag == TagStreamChangelogV2 {
		h.Storage = d.text("storage of changes")
	}
	return h
}

func (d *decoder) operatorHandle(what string) *OperatorHandle {
	if !d.charge(1, costHandle) {
		return nil
	}
	at := d.Offset()
	h := &OperatorHandle{Tag: d.U8("tag of " + what)}
	switch h.Tag {
	case TagOperator, TagFileMergingOperator:
	case TagNull:
		d.FailAt(at, what, wire.Malformed("one handle was announced, and it is the null handle"))
		return nil
	default:
		d.FailAt(at, what, wire.Unsupported("tag %d; without knowing it nothing behind it can be read", h.Tag))
		return nil
	}
	h.States = enough[OperatorState](d, d.Count(7, "states"), 64)
	for i := range h.States {
		s := &h.States[i]
		s.Name = d.text("name of state")
		at := d.Offset()
		if s.Mode = Mode(d.U8("mode of state")); s.Mode > Broadcast {
			d.FailAt(at, "mode of state", wire.Malformed("%d, the modes are 0 to %d", s.Mode, Broadcast))
		}
		s.Offsets = d.offsets(d.Count(8, "offsets of state"), "offsets of state")
	}
	if h.Tag == TagFileMergingOperator {
		h.TaskOwnedDir = d.text("task-owned folder")
		h.SharedDir = d.text("shared folder")
		h.Empty = d.Bool("emptiness of operator state")
	}
	at = d.Offset()
	h.Delegate = d.stream(0)
	if h.Tag == TagFileMergingOperator && d.Err() == nil {
		switch h.Delegate.(type) {
		case *Segment, *EmptySegment:
		default:
			d.FailAt(at, what, wire.Malformed("a handle with tag %d of merged files lies in something else than a segment", h.Tag))
		}
	}
	return h
}

// Tags of channel handles, from version 6 on. Before, there is no tag, and all
// handles are plain.
const (
	tagInput        byte = 1
	tagOutput       byte = 2
	tagMergedInput  byte = 3
	tagMergedOutput byte = 4
)

// channels reads the channel handles of one direction; tag is that of a plain one.
func (d *decoder) channels(what string, tag byte) []ChannelHandle {
	least := uint64(25)
	if d.version >= Version6 {
		least = 22
	}
	list := enough[ChannelHandle](d, d.Count(least, what), costChannel)
	for i := range list {
		h := &list[i]
		if d.version >= Version6 {
			at := d.Offset()
			switch t := d.U8("tag of " + what); t {
			case tag:
			case tag + tagMergedInput - tagInput:
				h.Merged = true
			default:
				d.FailAt(at, what, wire.Unsupported("tag %d, the tags %d and %d are known", t, tag, tag+2))
			}
		}
		h.Subtask = d.I32("subtask of " + what)
		if h.Merged {
			d.merged(h, what)
		} else if d.charge(1, costChannel) {
			h.Channels = []Channel{{Gate: d.I32("gate"), Channel: d.I32("channel")}}
			c := &h.Channels[0]
			c.Offsets = d.offsets(d.Count(8, "offsets of channel"), "offsets of channel")
			c.Size = d.size("size of channel")
			h.Size = c.Size
			h.Delegate = d.stream(0)
		}
		if d.Err() != nil {
			return nil
		}
	}
	return list
}

// merged reads the rest of a merged channel handle.
func (d *decoder) merged(h *ChannelHandle, what string) {
	h.Size = d.size("size of " + what)
	h.Delegate = d.stream(0)
	at := d.Offset()
	n := d.I32("length of channels")
	begin := d.Offset()
	h.Channels = enough[Channel](d, d.Count(20, "channels"), costChannel)
	for i := range h.Channels {
		c := &h.Channels[i]
		c.Gate, c.Channel = d.I32("gate"), d.I32("channel")
		c.Size = d.size("size of channel")
		c.Offsets = d.offsets(d.Count(8, "offsets of channel"), "offsets of channel")
	}
	if used := d.Offset() - begin; used != int64(n) {
		d.FailAt(at, "length of channels", wire.Malformed("it says %d bytes, there are %d", n, used))
	}
}
