package metadata_test

import (
	"fmt"

	"github.com/tidemark-io/tidemark/flink/metadata"
)

// streams are one handle of each kind; the texts have what modified UTF-8 spells
// differently.
func streams() []metadata.StreamHandle {
	return []metadata.StreamHandle{
		nil,
		&metadata.ByteStream{Name: "inline\x00é漢😀", Data: []byte("state")},
		&metadata.File{Size: 11, Path: "file:/ck/_entropy_/shared/x"},
		&metadata.File{Size: -1, Path: "s3://bucket/ab12/job/chk-7/y"},
		&metadata.RelativeFile{Path: "5b5f9f26-060e-41bd-8590-1d4c5a2d2fda", Size: 203},
		&metadata.KeyGroupsStream{Range: metadata.KeyGroupRange{Start: 1, Count: 2}, Offsets: []int64{4, 9},
			Delegate: &metadata.RelativeFile{Path: "z", Size: 12}},
		&metadata.Segment{Start: 100, Size: 50, Scope: metadata.Shared, Path: "hdfs://nn/ck/shared/job_op_1/f", LogicalFile: "id"},
		&metadata.EmptySegment{},
	}
}

// keyedHandles are one handle for each tag.
func keyedHandles() []metadata.KeyedHandle {
	r, s := metadata.KeyGroupRange{Start: 2, Count: 2}, streams()
	offsets := []int64{0, 77}
	files := []metadata.NamedFile{{Name: "000012.sst", Handle: s[2]}, {Name: "CURRENT", Handle: s[1]}}
	key := func(tag byte, id string) *metadata.KeyGroupsHandle {
		return &metadata.KeyGroupsHandle{Tag: tag, Range: r, Offsets: offsets, Delegate: s[4], StateID: id}
	}
	list := []metadata.KeyedHandle{
		nil, key(metadata.TagKeyGroups, ""), key(metadata.TagSavepoint, ""), key(metadata.TagKeyGroupsV2, "uuid"),
		&metadata.IncrementalHandle{Tag: metadata.TagIncremental, CheckpointID: 4, BackendID: "b", Range: r, Meta: s[1], Shared: files},
		&metadata.IncrementalHandle{Tag: metadata.TagIncrementalV2, CheckpointID: 4, BackendID: "b", Range: r, CheckpointedSize: 9, Meta: s[6],
			Shared: files, Private: files[:1], StateID: "uuid"},
		&metadata.MemoryChangelog{Range: r, From: 1, To: 3, StateID: "m",
			Changes: []metadata.Change{{KeyGroup: -1, Data: []byte("meta")}, {KeyGroup: 2, Data: nil}}},
		&metadata.StreamChangelog{Tag: metadata.TagStreamChangelog, Range: r, Size: 8, CheckpointedSize: 7, StateID: "c",
			Streams: []metadata.OffsetStream{{Offset: 5, Handle: s[2]}}},
		&metadata.StreamChangelog{Tag: metadata.TagStreamChangelogV2, Range: r, Size: 8, CheckpointedSize: 7, StateID: "c", Storage: "filesystem",
			Streams: []metadata.OffsetStream{{Offset: 5, Handle: s[2]}, {Offset: 6, Handle: s[4]}}},
	}
	return append(list,
		&metadata.ChangelogHandle{Tag: metadata.TagChangelog, Range: r, CheckpointedSize: 1, Materialized: list[1:2], Deltas: list[6:9],
			MaterializationID: 3, StateID: "l"},
		&metadata.ChangelogHandle{Tag: metadata.TagChangelogV2, Range: r, CheckpointedSize: 1, Materialized: list[4:6], Deltas: list[7:9],
			MaterializationID: 3, CheckpointID: 12, StateID: "l"})
}

// operatorHandles are one handle for each tag.
func operatorHandles() []*metadata.OperatorHandle {
	s := streams()
	states := []metadata.OperatorState{{Name: "list", Offsets: []int64{4, 8}}, {Name: "union", Mode: metadata.Union, Offsets: []int64{9}},
		{Name: "map", Mode: metadata.Broadcast, Offsets: []int64{10}}}
	return []*metadata.OperatorHandle{
		nil, {Tag: metadata.TagOperator, States: states, Delegate: s[4]},
		{Tag: metadata.TagFileMergingOperator, States: states, TaskOwnedDir: "file:/t", SharedDir: "file:/s", Delegate: s[6]},
		{Tag: metadata.TagFileMergingOperator, TaskOwnedDir: "file:/t", SharedDir: "file:/s", Empty: true, Delegate: s[7]},
	}
}

// channelHandles are plain ones, and merged ones if the version has them.
func channelHandles(version int32) []metadata.ChannelHandle {
	var list []metadata.ChannelHandle
	for i, s := range streams() {
		c := metadata.Channel{Gate: 1, Channel: int32(i), Size: 10, Offsets: []int64{4, 30}}
		list = append(list, metadata.ChannelHandle{Subtask: 1, Size: 10, Channels: []metadata.Channel{c}, Delegate: s})
		if version >= metadata.Version6 {
			list = append(list, metadata.ChannelHandle{Subtask: 1, Merged: true, Size: 20, Channels: []metadata.Channel{c, c}, Delegate: s})
		}
	}
	return list
}

// sample has every tag that a version has.
func sample(version int32) *metadata.Metadata {
	m := &metadata.Metadata{Version: version, CheckpointID: 42, MasterStates: []metadata.MasterState{{Version: 1, Name: "hook", Data: []byte("x")}}}
	if version >= metadata.Version4 {
		m.Tail = metadata.NullTail
	}
	for i, k := range keyedHandles() {
		uid := fmt.Sprintf("uid-%d", i)
		op := metadata.Operator{ID: metadata.IDOfUID(uid), Parallelism: 4, MaxParallelism: 128}
		if version >= metadata.Version5 {
			op.Name, op.UID = "Map -> Sink", uid
		}
		state := &metadata.SubtaskState{ManagedKeyed: k, RawKeyed: k}
		if version == metadata.Version2 {
			op.ChainLength, state.Duration = 1, -1
		} else {
			op.Coordinator = streams()[i%2]
			if i == 0 {
				state.Input, state.Output = channelHandles(version), channelHandles(version)
			}
		}
		if h := operatorHandles(); i < len(h) {
			state.ManagedOperator, state.RawOperator = h[i], h[len(h)-1-i]
		}
		if version >= metadata.Version7 {
			state.HasReference, state.Reference = true, 41
		}
		op.Subtasks = []metadata.Subtask{{Index: 3, State: state}, {Index: 0, State: &metadata.SubtaskState{Duration: state.Duration}}}
		if version >= metadata.Version3 {
			op.Subtasks = append(op.Subtasks, metadata.Subtask{Index: 1})
		}
		m.Operators = append(m.Operators, op)
	}
	if version >= metadata.Version3 {
		m.Operators = append(m.Operators, metadata.Operator{ID: metadata.IDOfUID("done"), Parallelism: 2, MaxParallelism: 128, Finished: true})
	}
	return m
}
