package metadata

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/tidemark-io/tidemark/flink/wire"
)

// ErrInvalid is the error for a model that the file format of its version cannot
// hold.
var ErrInvalid = errors.New("the metadata cannot be written")

// Append appends the file that the model describes. What [Decode] returned gives
// the bytes it was decoded from. The error is [ErrInvalid] and says what does not
// fit: a value the version has no place for is never dropped silently.
func Append(dst []byte, m *Metadata) ([]byte, error) {
	e := encoder{out: dst, version: m.Version}
	e.metadata(m)
	if e.err != nil {
		return dst, fmt.Errorf("%w: %w", ErrInvalid, e.err)
	}
	return e.out, nil
}

// encoder writes one file; after the first failure what it writes is void.
type encoder struct {
	out     []byte
	version int32
	err     error
}

func (e *encoder) fail(format string, args ...any) {
	if e.err == nil {
		e.err = fmt.Errorf(format, args...)
	}
}

// since fails if a value that came with a version is there in an older one.
func (e *encoder) since(version int32, there bool, what string) {
	if there && e.version < version {
		e.fail("%s needs version %d, this is version %d", what, version, e.version)
	}
}

func (e *encoder) u8(v byte)   { e.out = append(e.out, v) }
func (e *encoder) i32(v int32) { e.out = wire.AppendI32(e.out, v) }
func (e *encoder) i64(v int64) { e.out = wire.AppendI64(e.out, v) }
func (e *encoder) flag(v bool) { e.out = wire.AppendBool(e.out, v) }

func (e *encoder) count(n int) {
	if uint64(n) > math.MaxInt32 {
		e.fail("%d elements, at most %d are possible", n, math.MaxInt32)
	}
	e.i32(int32(n))
}

func (e *encoder) text(s string) {
	out, err := wire.AppendUTF(e.out, s)
	if err != nil {
		e.fail("text %.40q…: %w", s, err)
	}
	e.out = out
}

func (e *encoder) bytes(b []byte) {
	e.count(len(b))
	e.out = append(e.out, b...)
}

func (e *encoder) offsets(list []int64) {
	for _, v := range list {
		e.i64(v)
	}
}

func (e *encoder) metadata(m *Metadata) {
	if m.Version < Version2 || m.Version > Version7 {
		e.fail("version %d, the versions %d to %d are known", m.Version, Version2, Version7)
		return
	}
	e.out = wire.AppendI32(e.out, Magic)
	e.i32(m.Version)
	if m.CheckpointID < 0 {
		e.fail("checkpoint id %d is negative", m.CheckpointID)
	}
	e.i64(m.CheckpointID)
	e.count(len(m.MasterStates))
	for i := range m.MasterStates {
		e.masterState(&m.MasterStates[i])
	}
	e.count(len(m.Operators))
	for i := range m.Operators {
		e.operator(&m.Operators[i])
	}
	e.since(Version4, len(m.Tail) > 0, "properties of the checkpoint")
	if m.Version >= Version4 && len(m.Tail) == 0 {
		e.out = append(e.out, NullTail...)
	}
	e.out = append(e.out, m.Tail...)
}

func (e *encoder) masterState(s *MasterState) {
	e.out = binary.BigEndian.AppendUint32(e.out, masterMagic)
	at := len(e.out)
	e.i32(0)
	e.i32(s.Version)
	e.text(s.Name)
	e.bytes(s.Data)
	e.patch(at)
}

// patch sets the number at an index to the number of bytes behind it.
func (e *encoder) patch(at int) {
	n := len(e.out) - at - 4
	if uint64(n) > math.MaxInt32 {
		e.fail("a part of %d bytes, at most %d are possible", n, math.MaxInt32)
	}
	binary.BigEndian.PutUint32(e.out[at:], uint32(n))
}

func (e *encoder) operator(op *Operator) {
	e.since(Version5, op.Name != "" || op.UID != "", "name or uid of operator "+op.ID.String())
	if e.version >= Version5 {
		e.text(op.Name)
		e.text(op.UID)
	}
	e.out = append(e.out, op.ID[:]...)
	if op.Parallelism < 1 || op.Parallelism > op.MaxParallelism || op.MaxParallelism > MaxKeyGroups {
		e.fail("operator %s has parallelism %d of %d", op.ID, op.Parallelism, op.MaxParallelism)
	}
	e.i32(op.Parallelism)
	e.i32(op.MaxParallelism)
	e.since(Version3, op.Coordinator != nil, "coordinator state")
	e.since(Version3, op.Finished, "a finished operator")
	if e.version == Version2 {
		e.i32(op.ChainLength)
	} else {
		if _, ok := op.Coordinator.(*ByteStream); !ok && op.Coordinator != nil {
			e.fail("coordinator state of operator %s is not inline", op.ID)
		}
		e.stream(op.Coordinator)
	}
	if op.Finished {
		if op.Coordinator != nil || len(op.Subtasks) > 0 {
			e.fail("operator %s had finished and has state", op.ID)
		}
		e.i32(-1)
		return
	}
	if len(op.Subtasks) > int(op.Parallelism) {
		e.fail("operator %s has %d subtasks, its parallelism is %d", op.ID, len(op.Subtasks), op.Parallelism)
	}
	e.count(len(op.Subtasks))
	seen := make(map[int32]bool, len(op.Subtasks))
	for i := range op.Subtasks {
		s := &op.Subtasks[i]
		if s.Index < 0 || s.Index >= op.Parallelism || seen[s.Index] {
			e.fail("operator %s has a subtask %d twice or beyond its parallelism", op.ID, s.Index)
		}
		seen[s.Index] = true
		e.since(Version3, s.State == nil, "a finished subtask")
		if s.State == nil {
			e.i32(-s.Index - 1)
			continue
		}
		e.i32(s.Index)
		e.subtaskState(s.State)
	}
}

func (e *encoder) subtaskState(s *SubtaskState) {
	if e.version == Version2 {
		e.i64(s.Duration)
		e.i32(0)
	}
	e.operatorHandle(s.ManagedOperator)
	e.operatorHandle(s.RawOperator)
	e.keyed(s.ManagedKeyed)
	e.keyed(s.RawKeyed)
	e.since(Version3, len(s.Input)+len(s.Output) > 0, "in-flight data")
	e.since(Version7, s.HasReference, "a reference to another checkpoint")
	if e.version >= Version3 {
		e.channels(s.Input, tagInput)
		e.channels(s.Output, tagOutput)
	}
	if e.version >= Version7 {
		e.flag(s.HasReference)
		if s.HasReference {
			e.i64(s.Reference)
		}
	}
}
