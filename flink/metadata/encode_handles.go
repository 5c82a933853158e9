package metadata

func (e *encoder) stream(h StreamHandle) {
	if h == nil {
		e.u8(TagNull)
		return
	}
	e.u8(h.streamTag())
	switch h := h.(type) {
	case *ByteStream:
		e.text(h.Name)
		e.bytes(h.Data)
	case *File:
		e.i64(h.Size)
		e.text(h.Path)
	case *RelativeFile:
		e.text(h.Path)
		e.i64(h.Size)
	case *KeyGroupsStream:
		e.rangeOffsets(h.Range, h.Offsets)
		e.stream(h.Delegate)
	case *Segment:
		e.i64(h.Start)
		e.i64(h.Size)
		e.i32(int32(h.Scope))
		e.text(h.Path)
		e.text(h.LogicalFile)
	case *EmptySegment:
	}
}

func (e *encoder) keyRange(r KeyGroupRange) {
	if r.Start < 0 || r.Count < 0 || r.Start > MaxKeyGroups || r.Count > MaxKeyGroups-r.Start {
		e.fail("%d key groups from %d", r.Count, r.Start)
	}
	e.i32(r.Start)
	e.i32(r.Count)
}

func (e *encoder) rangeOffsets(r KeyGroupRange, offsets []int64) {
	e.keyRange(r)
	if len(offsets) != int(r.Count) {
		e.fail("%d offsets of %d key groups", len(offsets), r.Count)
	}
	e.offsets(offsets)
}

func (e *encoder) keyed(h KeyedHandle) {
	if h == nil {
		e.u8(TagNull)
		return
	}
	e.u8(h.keyedTag())
	switch h := h.(type) {
	case *KeyGroupsHandle:
		if h.Tag != TagKeyGroups && h.Tag != TagSavepoint && h.Tag != TagKeyGroupsV2 {
			e.fail("tag %d of a handle of key groups", h.Tag)
		}
		e.rangeOffsets(h.Range, h.Offsets)
		e.stream(h.Delegate)
		e.only(h.Tag == TagKeyGroupsV2, h.StateID, "state id")
	case *IncrementalHandle:
		e.incremental(h)
	case *ChangelogHandle:
		e.changelog(h)
	case *MemoryChangelog:
		e.keyRange(h.Range)
		e.i64(h.From)
		e.i64(h.To)
		e.count(len(h.Changes))
		for _, c := range h.Changes {
			e.i32(c.KeyGroup)
			e.bytes(c.Data)
		}
		e.text(h.StateID)
	case *StreamChangelog:
		e.streamChangelog(h)
	}
}

// only writes a text that has a place with some tags only.
func (e *encoder) only(place bool, s, what string) {
	if place {
		e.text(s)
	} else if s != "" {
		e.fail("%s %q with a tag that has none", what, s)
	}
}

func (e *encoder) incremental(h *IncrementalHandle) {
	if h.Tag != TagIncremental && h.Tag != TagIncrementalV2 {
		e.fail("tag %d of an incremental handle", h.Tag)
	}
	e.i64(h.CheckpointID)
	e.text(h.BackendID)
	e.keyRange(h.Range)
	if h.Tag == TagIncrementalV2 {
		e.i64(h.CheckpointedSize)
	}
	e.stream(h.Meta)
	e.files(h.Shared)
	e.files(h.Private)
	e.only(h.Tag == TagIncrementalV2, h.StateID, "state id")
}

func (e *encoder) files(list []NamedFile) {
	e.count(len(list))
	for _, f := range list {
		e.text(f.Name)
		e.stream(f.Handle)
	}
}

func (e *encoder) changelog(h *ChangelogHandle) {
	if h.Tag != TagChangelog && h.Tag != TagChangelogV2 {
		e.fail("tag %d of a changelog handle", h.Tag)
	}
	e.keyRange(h.Range)
	e.i64(h.CheckpointedSize)
	for _, list := range [][]KeyedHandle{h.Materialized, h.Deltas} {
		e.count(len(list))
		for _, k := range list {
			e.keyed(k)
		}
	}
	e.i64(h.MaterializationID)
	if h.Tag == TagChangelogV2 {
		e.i64(h.CheckpointID)
	}
	e.text(h.StateID)
}

func (e *encoder) streamChangelog(h *StreamChangelog) {
	if h.Tag != TagStreamChangelog && h.Tag != TagStreamChangelogV2 {
		e.fail("tag %d of a handle of changes", h.Tag)
	}
	e.keyRange(h.Range)
	e.count(len(h.Streams))
	for _, s := range h.Streams {
		e.i64(s.Offset)
		e.stream(s.Handle)
	}
	e.i64(h.Size)
	e.i64(h.CheckpointedSize)
	e.text(h.StateID)
	e.only(h.Tag == TagStreamChangelogV2, h.Storage, "storage")
}

// operatorHandle writes whether there is a handle, and the handle.
func (e *encoder) operatorHandle(h *OperatorHandle) {
	if h == nil {
		e.i32(0)
		return
	}
	e.i32(1)
	e.u8(h.Tag)
	e.count(len(h.States))
	for i := range h.States {
		s := &h.States[i]
		e.text(s.Name)
		e.u8(byte(s.Mode))
		e.count(len(s.Offsets))
		e.offsets(s.Offsets)
	}
	switch h.Tag {
	case TagOperator:
		if h.TaskOwnedDir != "" || h.SharedDir != "" || h.Empty {
			e.fail("folders of merged files in a handle with tag %d", h.Tag)
		}
	case TagFileMergingOperator:
		e.text(h.TaskOwnedDir)
		e.text(h.SharedDir)
		e.flag(h.Empty)
		switch h.Delegate.(type) {
		case *Segment, *EmptySegment:
		default:
			e.fail("operator state of merged files that lies in something else than a segment")
		}
	default:
		e.fail("tag %d of an operator state handle", h.Tag)
	}
	e.stream(h.Delegate)
}

// channels writes the channel handles of one direction; tag is that of a plain one.
func (e *encoder) channels(list []ChannelHandle, tag byte) {
	e.count(len(list))
	for i := range list {
		h := &list[i]
		e.since(Version6, h.Merged, "a merged channel handle")
		if h.Merged {
			e.u8(tag + tagMergedInput - tagInput)
			e.merged(h)
			continue
		}
		if e.version >= Version6 {
			e.u8(tag)
		}
		if len(h.Channels) != 1 || h.Size != h.Channels[0].Size {
			e.fail("a plain channel handle of %d channels and %d bytes", len(h.Channels), h.Size)
			return
		}
		c := &h.Channels[0]
		e.i32(h.Subtask)
		e.i32(c.Gate)
		e.i32(c.Channel)
		e.count(len(c.Offsets))
		e.offsets(c.Offsets)
		e.i64(c.Size)
		e.stream(h.Delegate)
	}
}

func (e *encoder) merged(h *ChannelHandle) {
	e.i32(h.Subtask)
	e.i64(h.Size)
	e.stream(h.Delegate)
	at := len(e.out)
	e.i32(0)
	e.count(len(h.Channels))
	for i := range h.Channels {
		c := &h.Channels[i]
		e.i32(c.Gate)
		e.i32(c.Channel)
		e.i64(c.Size)
		e.count(len(c.Offsets))
		e.offsets(c.Offsets)
	}
	e.patch(at)
}
