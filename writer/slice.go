package writer

import (
	"context"
	"fmt"

	"github.com/tidemark-io/tidemark/format"
	"github.com/tidemark-io/tidemark/keygroup"
)

// SliceSpec says what a slice is: what one subtask writes of one state. Apart
// from State it is what the data object's own directory states, from which a
// lost manifest can be rebuilt.
type SliceSpec struct {
	State       int    // row of States in the manifest to come
	Operator    string // uid
	Parallelism uint32 // of the operator
	KeyGroups   uint32 // of the operator, 0 if it is not keyed
	Name        string // of the state
	Kind        format.Kind
	Edge        string // id, of channel state and channel watermarks
	Key         *format.Schema
	Namespace   *format.Schema
	Value       *format.Schema
	Subtask     uint32
	Interval    keygroup.Interval // of hashes; All for state without keys
	// Shared puts the slice into an object of shared/, which later checkpoints
	// may refer to, and which outlives this one for as long as one does.
	Shared bool
}

// Slice is a slice being written. It is used by one goroutine. Exactly one of
// Close and Abandon ends it. The methods for entries copy their arguments; each
// belongs to one kind of state and is an error for the others.
type Slice struct {
	w    *Writer
	o    *object
	spec SliceSpec
	enc  encoder

	blocks []format.BlockRef
	sum    format.Slice // totals so far
	buf    []byte
	done   bool
	err    error

	started        bool // an entry was written
	lastHash       keygroup.Hash
	lastKey, lastN kept
	lastTime       int64
}

// Slice begins a slice. It leases a data object until the slice is ended, and
// waits while all are leased; a goroutine that holds a slice open and asks for
// another may therefore wait for ever. ctx bounds the waiting only.
func (w *Writer) Slice(ctx context.Context, spec SliceSpec) (*Slice, error) {
	enc, err := newEncoder(spec.Kind, spec.Interval, w.opts.Compression)
	if err != nil {
		return nil, w.fail(err)
	}
	o, err := w.lease(ctx, spec.Shared)
	if err != nil {
		return nil, err
	}
	if err := o.begin(); err != nil {
		err = w.fail(fmt.Errorf("slice %s: %w", spec.place(), err))
		w.release(o)
		return nil, err
	}
	return &Slice{w: w, o: o, spec: spec, enc: enc}, nil
}

// place names the slice in errors.
func (s *SliceSpec) place() string {
	return fmt.Sprintf("operator=%s,state=%s,subtask=%d", s.Operator, s.Name, s.Subtask)
}

// failed makes an error sticky, for the slice and the writer.
func (s *Slice) failed(format string, args ...any) error {
	err := s.w.fail(fmt.Errorf("%s: %w", s.spec.place(), fmt.Errorf(format, args...)))
	if s.err == nil {
		s.err = err
	}
	return s.err
}

// ready prepares for one more entry of the given size in bytes: it ends the
// block if the entry would make it too large.
func (s *Slice) ready(kind format.Kind, size int) error {
	switch {
	case s.err != nil:
		return s.err
	case s.done:
		return s.failed("entry after the end of the slice: %w", ErrState)
	case kind != s.spec.Kind:
		return s.failed("%v entry in a slice of kind %v: %w", kind, s.spec.Kind, ErrState)
	case uint64(size) > format.DefaultLimits().Block-maxOverhead:
		return s.failed("an entry of %d bytes is over the limit of a block (%d): %w", size, format.DefaultLimits().Block, format.ErrLimit)
	}
	if s.enc.rows.Rows() > 0 && s.enc.rows.Size()+size > s.w.opts.BlockSize {
		return s.emit()
	}
	return nil
}

// maxOverhead is more than the lengths and numbers of one entry take.
const maxOverhead = 1 << 10

// Timer writes a timer, due at an event time in ms. Timers ascend by (hash, key,
// namespace, time) without repetition and lie in the slice's interval.
func (s *Slice) Timer(h keygroup.Hash, key, namespace []byte, time int64) error {
	if err := s.ready(format.KindTimer, len(key)+len(namespace)+8); err != nil {
		return err
	}
	if err := s.inOrder(h, key, namespace, time); err != nil {
		return err
	}
	s.enc.keyed.AppendTimer(h, key, namespace, time)
	return nil
}

// Item writes an item of a split list or a union list.
func (s *Slice) Item(value []byte) error {
	kind := s.spec.Kind
	if kind != format.KindUnionList {
		kind = format.KindSplitList
	}
	if err := s.ready(kind, len(value)); err != nil {
		return err
	}
	format.AppendRow(s.enc.rows, &format.Item{Value: value})
	s.enc.values += len(value)
	return nil
}

// Pair writes an entry of broadcast state. Pairs ascend by key without
// repetition.
func (s *Slice) Pair(key, value []byte) error {
	if err := s.ready(format.KindBroadcast, len(key)+len(value)); err != nil {
		return err
	}
	format.AppendRow(s.enc.rows, &format.Pair{Key: key, Value: value})
	s.enc.values += len(value)
	return nil
}

// Floor writes a floor of watermarks. Floors ascend, do not overlap, and lie in
// the slice's interval.
func (s *Slice) Floor(f format.Floor) error {
	if err := s.ready(format.KindFloor, 0); err != nil {
		return err
	}
	format.AppendRow(s.enc.rows, &f)
	return nil
}

// SubtaskWatermark writes the watermarks of a subtask. Rows ascend by subtask.
func (s *Slice) SubtaskWatermark(w format.SubtaskWatermark) error {
	if err := s.ready(format.KindSubtaskWatermark, 0); err != nil {
		return err
	}
	format.AppendRow(s.enc.rows, &w)
	return nil
}

// ChannelWatermark writes the watermark of an input channel. Rows ascend by
// sender, receiver and generation.
func (s *Slice) ChannelWatermark(w format.ChannelWatermark) error {
	if err := s.ready(format.KindChannelWatermark, 0); err != nil {
		return err
	}
	format.AppendRow(s.enc.rows, &w)
	return nil
}

// SplitWatermark writes the watermark of a source split. Rows ascend by split.
func (s *Slice) SplitWatermark(w format.SplitWatermark) error {
	if err := s.ready(format.KindSplitWatermark, len(w.Split)+len(w.Generator)); err != nil {
		return err
	}
	format.AppendRow(s.enc.rows, &w)
	return nil
}

// Buffer writes an in-flight buffer, made by [format.NewBuffer]. Buffers ascend
// by receiver, sender, generation and sequence number. Each has a block of its
// own, so that damage to one costs no other (R8).
func (s *Slice) Buffer(b format.Buffer) error {
	kind := s.spec.Kind
	if kind != format.KindOutputChannel {
		kind = format.KindInputChannel
	}
	if err := s.ready(kind, len(b.Payload)); err != nil {
		return err
	}
	format.AppendRow(s.enc.rows, &b)
	s.enc.values += len(b.Payload)
	return s.emit()
}

// Raw writes a whole block of another slice of the same kind without decoding it:
// data are its bytes, ref what its index says of it, apart from the offset.
// Blocks ascend as their entries would. The checksum is compared; what is in
// the block is for verify to say.
func (s *Slice) Raw(data []byte, ref format.BlockRef) error {
	switch {
	case s.err != nil:
		return s.err
	case s.done:
		return s.failed("block after the end of the slice: %w", ErrState)
	case len(data) != int(ref.Length) || len(data) < 4 || format.Checksum(data[:len(data)-4]) != ref.CRC:
		return s.failed("block of %d bytes, expected %d with checksum %08x: %w", len(data), ref.Length, ref.CRC, format.ErrChecksum)
	}
	if s.enc.rows.Rows() > 0 { // single entries in front of it
		if err := s.emit(); err != nil {
			return err
		}
	}
	return s.put(data, ref)
}

// emit writes the rows collected so far as a block.
func (s *Slice) emit() error {
	var ref format.BlockRef
	var err error
	s.buf, ref, err = s.enc.emit(s.buf[:0])
	if err != nil {
		return s.failed("block %d: %w", len(s.blocks), err)
	}
	err = s.put(s.buf, ref)
	if cap(s.buf) > 4*flushSize { // after a block of one huge entry
		s.buf = nil
	}
	return err
}

// put writes a block and notes it for the index.
func (s *Slice) put(data []byte, ref format.BlockRef) (err error) {
	if ref.Offset, err = s.o.write(data); err != nil {
		return s.failed("%w", err)
	}
	s.blocks = append(s.blocks, ref)
	s.sum.Blocks++
	s.sum.Entries += uint64(ref.Rows)
	s.sum.Bytes += uint64(ref.Length)
	s.sum.Decoded += uint64(ref.Decoded)
	return nil
}

// Close ends the slice: it writes the last block and the block index and gives
// the data object back. The row it returns belongs into Manifest.Slices; its
// Object is the row of the writer's objects.
func (s *Slice) Close() (format.Slice, error) {
	if s.done {
		return format.Slice{}, s.failed("slice closed twice: %w", ErrState)
	}
	defer s.release()
	if s.err == nil {
		s.err = s.w.Err()
	}
	if s.err == nil && s.enc.rows.Rows() > 0 {
		s.err = s.emit()
	}
	if s.err != nil {
		return format.Slice{}, s.err
	}
	entry, err := s.spec.entry()
	if err != nil {
		return format.Slice{}, s.failed("%w", err)
	}
	s.sum.State, s.sum.Subtask, s.sum.Interval, s.sum.Object = s.spec.State, s.spec.Subtask, s.spec.Interval, s.o.row
	entry.Slice = s.sum
	if entry.Slice, err = s.o.endSlice(entry, s.blocks); err != nil {
		return format.Slice{}, s.failed("%w", err)
	}
	return entry.Slice, nil
}

// Abandon gives the slice up, and with it the checkpoint: what was written of it
// stays in the data object until Abort, so Seal fails with [ErrAbandoned].
func (s *Slice) Abandon() {
	if s.done {
		return
	}
	s.failed("%w", ErrAbandoned)
	s.release()
}

// release gives the data object back.
func (s *Slice) release() {
	s.done = true
	s.w.release(s.o)
}

// entry is what the object's directory says of the slice.
func (s *SliceSpec) entry() (format.Entry, error) {
	e := format.Entry{
		Kind: s.Kind, Operator: s.Operator, Parallelism: s.Parallelism, KeyGroups: s.KeyGroups,
		State: s.Name, Edge: s.Edge,
	}
	var err error
	for _, c := range []struct {
		schema *format.Schema
		to     *[]byte
	}{{s.Key, &e.KeySchema}, {s.Namespace, &e.NamespaceSchema}, {s.Value, &e.ValueSchema}} {
		if c.schema != nil {
			if *c.to, err = format.AppendSchema(nil, c.schema); err != nil {
				return e, err
			}
		}
	}
	return e, nil
}

// endSlice writes the block index of a slice and notes the slice for the
// object's directory.
func (o *object) endSlice(e format.Entry, blocks []format.BlockRef) (format.Slice, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return format.Slice{}, errClosed
	}
	index, ref, err := format.AppendIndex(nil, o.at, blocks)
	if err != nil {
		return format.Slice{}, err
	}
	e.Slice.Offset, e.Slice.Length, e.Slice.CRC = ref.Offset, ref.Length, ref.CRC
	if err := o.append(index); err != nil {
		return format.Slice{}, err
	}
	o.entries = append(o.entries, e)
	return e.Slice, nil
}
