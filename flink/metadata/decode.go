package metadata

import (
	"encoding/binary"
	"slices"

	"github.com/tidemark-io/tidemark/flink/javaser"
	"github.com/tidemark-io/tidemark/flink/wire"
)

// Limits bound what [Decode] accepts. A zero field stands for the default.
type Limits struct {
	Bytes     uint64 // of the file; 512 MiB
	Operators uint64 // 10,000
	Nesting   int    // of handles within handles; 16
	Memory    uint64 // bytes that the decoded model may take, about; 1 GiB
}

// DefaultLimits are the limits that a zero [Limits] stands for.
func DefaultLimits() Limits {
	return Limits{Bytes: 512 << 20, Operators: 10_000, Nesting: 16, Memory: 1 << 30}
}

// orDefault fills in the defaults; a nil pointer is all of them.
func (l *Limits) orDefault() Limits {
	d := DefaultLimits()
	if l == nil {
		return d
	}
	if l.Bytes != 0 {
		d.Bytes = l.Bytes
	}
	if l.Operators != 0 {
		d.Operators = l.Operators
	}
	if l.Nesting != 0 {
		d.Nesting = l.Nesting
	}
	if l.Memory != 0 {
		d.Memory = l.Memory
	}
	return d
}

// Decode reads a whole file. object names it in errors, which are *[wire.Error]:
// wire.ErrTruncated and wire.ErrMalformed for damage, wire.ErrUnsupported for a
// version or a tag that is not known, wire.ErrLimit. Inline data of the result
// aliases data.
func Decode(object string, data []byte, limits *Limits) (*Metadata, error) {
	lim := limits.orDefault()
	d := decoder{Reader: wire.NewBytes(object, 0, data), lim: lim, memory: lim.Memory, ids: map[OperatorID]bool{}}
	if n := uint64(len(data)); n > lim.Bytes {
		d.FailAt(0, "metadata", wire.OverLimit(n, lim.Bytes))
		return nil, d.Err()
	}
	d.SetLimit(lim.Bytes)
	m := d.metadata()
	if err := d.End("metadata"); err != nil {
		return nil, err
	}
	return m, nil
}

// Head reads the beginning of a file: whether it is one, and its version. A few
// bytes are enough: 8, or 4 for the first question.
func Head(data []byte) (version int32, ok bool) {
	if len(data) < 4 || binary.BigEndian.Uint32(data) != Magic {
		return 0, false
	}
	if len(data) < 8 {
		return 0, true
	}
	return int32(binary.BigEndian.Uint32(data[4:])), true
}

// decoder reads one file. After a failure it reads zeros, so loops over counts
// end at it.
type decoder struct {
	*wire.Reader
	lim     Limits
	version int32
	memory  uint64              // left for the model
	ids     map[OperatorID]bool // of the operators so far
	seen    []uint64            // subtasks of the present operator, as bits
	slab    []int64             // for short runs of offsets
}

// charge accounts for n items of the model, of size bytes each, before they are
// made.
func (d *decoder) charge(n int, size uint64) bool {
	if d.Err() != nil {
		return false
	}
	if need := uint64(n) * size; need <= d.memory {
		d.memory -= need
		return true
	}
	d.Fail("handles", wire.OverLimit(d.lim.Memory-d.memory+uint64(n)*size, d.lim.Memory))
	return false
}

// Sizes that are charged: what a value and what it points to take, about.
const (
	costOperator = 160
	costSubtask  = 16
	costState    = 160
	costHandle   = 160
	costChannel  = 112
	costText     = 16
	costOffset   = 8
)

// enough reports whether n items may be made and d has not failed.
func enough[T any](d *decoder, n int, size uint64) []T {
	if n == 0 || !d.charge(n, size) {
		return nil
	}
	return make([]T, n)
}

// text reads a string.
func (d *decoder) text(what string) string {
	s := d.UTF(what)
	d.charge(1, uint64(len(s))+costText)
	return s
}

func (d *decoder) metadata() *Metadata {
	if magic := uint32(d.I32("magic number")); magic != Magic && d.Err() == nil {
		d.FailAt(0, "magic number", wire.Malformed("%#08x, Flink's metadata begins with %#08x", magic, uint32(Magic)))
		return nil
	}
	d.version = d.I32("version")
	if d.Err() == nil && (d.version < Version2 || d.version > Version7) {
		d.FailAt(4, "version", wire.Unsupported("version %d of the metadata, the versions %d to %d are known", d.version, Version2, Version7))
		return nil
	}
	m := &Metadata{Version: d.version}
	at := d.Offset()
	if m.CheckpointID = d.I64("checkpoint id"); m.CheckpointID < 0 {
		d.FailAt(at, "checkpoint id", wire.Malformed("%d is negative", m.CheckpointID))
	}
	m.MasterStates = enough[MasterState](d, d.Count(8+10, "master states"), 64)
	for i := range m.MasterStates {
		m.MasterStates[i] = d.masterState()
	}
	m.Operators = d.operators()
	if d.version >= Version4 {
		at := d.Offset()
		m.Tail = d.Rest("checkpoint properties")
		if d.Err() == nil {
			_, err := javaser.Parse(d.Object(), at, m.Tail, nil)
			d.adopt(err)
		}
	}
	return m
}

// adopt makes the failure of another reader of the same object that of d.
func (d *decoder) adopt(err error) {
	if e, ok := err.(*wire.Error); ok {
		d.FailAt(e.Offset, e.What, e.Err)
	} else if err != nil {
		d.Fail("checkpoint properties", err)
	}
}

func (d *decoder) masterState() (s MasterState) {
	at := d.Offset()
	if magic := uint32(d.I32("master state")); magic != masterMagic {
		d.FailAt(at, "master state", wire.Malformed("it begins with %#08x, not %#08x", magic, uint32(masterMagic)))
	}
	n := d.I32("length of master state")
	begin := d.Offset()
	s.Version = d.I32("version of master state")
	s.Name = d.text("name of master state")
	s.Data = d.Bytes32("data of master state")
	if used := d.Offset() - begin; used != int64(n) {
		d.FailAt(begin-4, "length of master state", wire.Malformed("it says %d bytes, there are %d", n, used))
	}
	return s
}

// operators reads the count and the operators.
func (d *decoder) operators() []Operator {
	least := uint64(29)
	if d.version >= Version5 {
		least += 4
	}
	at := d.Offset()
	n := d.Count(least, "operators")
	if uint64(n) > d.lim.Operators {
		d.FailAt(at, "number of operators", wire.OverLimit(uint64(n), d.lim.Operators))
	}
	ops := enough[Operator](d, n, costOperator)
	for i := range ops {
		d.operator(&ops[i])
		if d.Err() != nil {
			return nil
		}
	}
	return ops
}

func (d *decoder) operator(op *Operator) {
	if d.version >= Version5 {
		op.Name = d.text("name of operator")
		op.UID = d.text("uid of operator")
	}
	at := d.Offset()
	copy(op.ID[:], d.Take(16, "id of operator"))
	if d.ids[op.ID] {
		d.FailAt(at, "id of operator", wire.Malformed("%s is the id of an operator before it too", op.ID))
	}
	d.ids[op.ID] = true
	at = d.Offset()
	op.Parallelism = d.I32("parallelism")
	op.MaxParallelism = d.I32("maximum parallelism")
	if op.Parallelism < 1 || op.Parallelism > op.MaxParallelism || op.MaxParallelism > MaxKeyGroups {
		d.FailAt(at, "parallelism", wire.Malformed("parallelism %d and maximum %d; it must be 1 to the maximum, that at most %d",
			op.Parallelism, op.MaxParallelism, MaxKeyGroups))
	}
	if d.version == Version2 {
		op.ChainLength = d.I32("length of chain")
	} else {
		op.Coordinator = d.coordinator()
	}
	at = d.Offset()
	n := d.I32("number of subtasks")
	switch {
	case n == -1:
		op.Finished = true
		if op.Coordinator != nil || d.version == Version2 {
			d.FailAt(at, "number of subtasks", wire.Malformed("-1 says that the operator had finished, which it cannot have"))
		}
		return
	case n < 0 || n > op.Parallelism:
		d.FailAt(at, "number of subtasks", wire.Malformed("%d, the parallelism is %d", n, op.Parallelism))
		return
	}
	least := int64(4)
	if d.version == Version2 {
		least = 26
	}
	if int64(n) > d.Left()/least {
		d.FailAt(at, "number of subtasks", wire.Malformed("%d, but only %d bytes are left", n, d.Left()))
		return
	}
	op.Subtasks = enough[Subtask](d, int(n), costSubtask)
	d.seen = append(d.seen[:0], make([]uint64, (op.Parallelism+63)/64)...)
	for i := range op.Subtasks {
		d.subtask(&op.Subtasks[i], op.Parallelism)
		if d.Err() != nil {
			return
		}
	}
}

// coordinator reads the state of an operator's coordinator, which is always
// inline.
func (d *decoder) coordinator() StreamHandle {
	at := d.Offset()
	h := d.stream(0)
	switch h.(type) {
	case nil, *ByteStream:
		return h
	}
	d.FailAt(at, "coordinator state", wire.Malformed("a handle with tag %d, Flink stores it inline (tag %d)", h.streamTag(), TagByteStream))
	return nil
}

func (d *decoder) subtask(s *Subtask, parallelism int32) {
	at := d.Offset()
	s.Index = d.I32("index of subtask")
	finished := s.Index < 0 && d.version >= Version3
	if finished {
		s.Index = -(s.Index + 1)
	}
	if s.Index < 0 || s.Index >= parallelism {
		d.FailAt(at, "index of subtask", wire.Malformed("%d, the parallelism is %d", s.Index, parallelism))
		return
	}
	word, bit := &d.seen[s.Index/64], uint64(1)<<(s.Index%64)
	if *word&bit != 0 {
		d.FailAt(at, "index of subtask", wire.Malformed("%d is there twice", s.Index))
		return
	}
	*word |= bit
	if !finished && d.charge(1, costState) {
		s.State = d.subtaskState()
	}
}

func (d *decoder) subtaskState() *SubtaskState {
	s := new(SubtaskState)
	if d.version == Version2 {
		s.Duration = d.I64("duration")
		at := d.Offset()
		if n := d.I32("number of legacy states"); n != 0 {
			d.FailAt(at, "number of legacy states", wire.Unsupported("%d states of the form that Flink 1.2 wrote, none can be read since", n))
		}
	}
	s.ManagedOperator = d.optionalOperatorHandle("managed operator state")
	s.RawOperator = d.optionalOperatorHandle("raw operator state")
	s.ManagedKeyed = d.keyed(0)
	s.RawKeyed = d.keyed(0)
	if d.version >= Version3 {
		s.Input = d.channels("input channel state", tagInput)
		s.Output = d.channels("output channel state", tagOutput)
	}
	if d.version >= Version7 {
		if s.HasReference = d.Bool("reference to a checkpoint"); s.HasReference {
			s.Reference = d.I64("reference to a checkpoint")
		}
	}
	return s
}

// optionalOperatorHandle reads a number that is 1 if a handle follows, and 0 else.
func (d *decoder) optionalOperatorHandle(what string) *OperatorHandle {
	at := d.Offset()
	switch n := d.I32(what); {
	case n == 1:
		return d.operatorHandle(what)
	case n != 0:
		d.FailAt(at, "number of handles of "+what, wire.Malformed("%d, it can be 0 or 1", n))
	}
	return nil
}

// offsets reads n offsets. Short runs share an allocation.
func (d *decoder) offsets(n int, what string) []int64 {
	if n == 0 || !d.charge(n, costOffset) {
		return nil
	}
	b := d.Take(uint64(n)*8, what)
	if b == nil {
		return nil
	}
	if n > cap(d.slab)-len(d.slab) {
		if n > 1024 {
			return appendOffsets(make([]int64, 0, n), b)
		}
		d.slab = make([]int64, 0, 1024)
	}
	at := len(d.slab)
	d.slab = appendOffsets(d.slab, b)
	return slices.Clip(d.slab[at:])
}

func appendOffsets(dst []int64, b []byte) []int64 {
	for ; len(b) >= 8; b = b[8:] {
		dst = append(dst, int64(binary.BigEndian.Uint64(b)))
	}
	return dst
}
