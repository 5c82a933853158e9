package edit

import (
	"fmt"
	"strconv"

	"github.com/tidemark-io/tidemark/checkpoint"
	"github.com/tidemark-io/tidemark/flink"
	"github.com/tidemark-io/tidemark/flink/metadata"
)

// decideVersion takes out of the metadata what the wanted version has no place
// for, where that is no loss. Names are
// dropped below version 5, the properties below version 4; merged channel handles
// become plain ones below version 6.
func (j *job) decideVersion() error {
	if j.edit.Version != "" {
		v, err := strconv.ParseInt(j.edit.Version, 10, 32)
		if err != nil || int32(v) < metadata.Version2 || int32(v) > metadata.Version7 {
			return &checkpoint.EditError{Mistakes: []string{fmt.Sprintf("%q is none of the versions of metadata, %d to %d", j.edit.Version, metadata.Version2, metadata.Version7)}}
		}
		j.convert(int32(v))
	}
	return nil
}

// checkWritable requires that the result's version has a place for everything.
func (j *job) checkWritable() error {
	if _, err := metadata.Append(nil, j.m); err != nil {
		return checkpoint.Refuse(checkpoint.At(flink.MetadataName), err.Error(), "a newer version, or strip what it has no place for")
	}
	return nil
}

func (j *job) convert(version int32) {
	m := j.m
	if version < metadata.Version4 {
		m.Tail = nil
	}
	for i := range m.Operators {
		op := &m.Operators[i]
		if version < metadata.Version5 {
			op.Name, op.UID = "", ""
		}
		if version < metadata.Version5 && m.Version >= metadata.Version5 && tables(op) {
			// The RocksDB of Flink 2 writes checksums that the one of Flink 1 does
			// not know.
			j.rewriteOf(op)
		}
		if version == metadata.Version2 && m.Version != version {
			op.ChainLength = 1 // what Flink writes
		}
		for k := range op.Subtasks {
			s := op.Subtasks[k].State
			if s == nil {
				continue
			}
			if version == metadata.Version2 && m.Version != version {
				s.Duration = -1 // what Flink writes
			}
			if version < metadata.Version6 {
				s.Input, s.Output = unmerged(s.Input), unmerged(s.Output)
			}
		}
	}
	m.Version = version
}

// unmerged makes plain channel handles of merged ones.
func unmerged(list []metadata.ChannelHandle) []metadata.ChannelHandle {
	var plain []metadata.ChannelHandle
	for _, h := range list {
		for _, c := range h.Channels {
			plain = append(plain, metadata.ChannelHandle{Subtask: h.Subtask, Size: c.Size, Channels: []metadata.Channel{c}, Delegate: h.Delegate})
		}
	}
	return plain
}

// tables reports whether keyed state of an operator lies in files of RocksDB.
func tables(op *metadata.Operator) bool {
	for i := range op.Subtasks {
		s := op.Subtasks[i].State
		if s == nil {
			continue
		}
		switch h := s.ManagedKeyed.(type) {
		case *metadata.IncrementalHandle:
			return true
		case *metadata.ChangelogHandle:
			for _, inner := range h.Materialized {
				if _, is := inner.(*metadata.IncrementalHandle); is {
					return true
				}
			}
		}
	}
	return false
}
