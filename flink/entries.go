package flink

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"strconv"

	"github.com/tidemark-io/tidemark/checkpoint"
	"github.com/tidemark-io/tidemark/flink/metadata"
	"github.com/tidemark-io/tidemark/flink/serde"
	"github.com/tidemark-io/tidemark/flink/state"
	"github.com/tidemark-io/tidemark/flink/wire"
	"github.com/tidemark-io/tidemark/keygroup"
)

// maxRaw bounds one piece of bytes that nothing divides further: an operator's own
// state, what a coordinator wrote, a buffer.
const maxRaw = 64 << 20

// Entries yields the entries of the states that the selector selects, state by
// state, subtask by subtask, in the order of the files. An entry of a map state has
// the map's key behind its namespace. In-flight data comes buffer by buffer; its
// channels are called gate0/3 before a subtask and partition0/3 behind it.
func (c *Checkpoint) Entries(ctx context.Context, sel checkpoint.Selector) iter.Seq2[checkpoint.Entry, error] {
	return func(yield func(checkpoint.Entry, error) bool) {
		known, err := c.contents(ctx)
		if err != nil {
			yield(checkpoint.Entry{}, err)
			return
		}
		for _, r := range known.rows {
			if !sel.Takes(r.State) {
				continue
			}
			x := enumeration{c: c, row: r, sel: sel, yield: yield}
			if err := x.run(ctx); err != nil {
				if !errors.Is(err, errEnough) {
					yield(checkpoint.Entry{}, err)
				}
				return
			}
		}
	}
}

// errEnough: the consumer wants no more.
var errEnough = errors.New("enough")

// enumeration yields the entries of one state.
type enumeration struct {
	c     *Checkpoint
	row   *contentRow
	sel   checkpoint.Selector
	yield func(checkpoint.Entry, error) bool
	key   func(*state.Entry) bool // keyed state of this key only; nil for all

	entry checkpoint.Entry
	space []byte
}

// emit yields the entry.
func (x *enumeration) emit() error {
	if !x.yield(x.entry, nil) {
		return errEnough
	}
	return nil
}

// run goes over the subtasks.
func (x *enumeration) run(ctx context.Context) error {
	if x.row.failed != nil {
		return fmt.Errorf("state %q of operator %q: %w", x.row.Name, x.row.Operator, x.row.failed)
	}
	x.entry = checkpoint.Entry{State: x.row.State, KeyGroup: checkpoint.NoKeyGroup, Interval: keygroup.All(), Time: checkpoint.UnknownTime}
	if x.row.role == metadata.RoleCoordinator {
		if !x.sel.Subtasks.Contains(0) {
			return nil
		}
		return x.bytes(ctx, x.row.op.Coordinator)
	}
	for i := range x.row.op.Subtasks {
		task := &x.row.op.Subtasks[i]
		if task.State == nil || !x.sel.Subtasks.Contains(uint64(task.Index)) {
			continue
		}
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		x.entry.Subtask = uint32(task.Index)
		if err := x.subtask(ctx, task.State); err != nil {
			return err
		}
	}
	return nil
}

// subtask yields what one subtask has of the state.
func (x *enumeration) subtask(ctx context.Context, s *metadata.SubtaskState) error {
	switch x.row.role {
	case metadata.RoleManagedKeyed:
		return x.keyed(ctx, s.ManagedKeyed)
	case metadata.RoleRawKeyed:
		if x.row.Kind == checkpoint.Timers {
			return x.rawTimers(ctx, s.RawKeyed)
		}
		return x.rawKeyed(ctx, s.RawKeyed)
	case metadata.RoleManagedOperator:
		return x.operator(ctx, s.ManagedOperator)
	case metadata.RoleRawOperator:
		if s.RawOperator != nil {
			return x.bytes(ctx, s.RawOperator.Delegate)
		}
	case metadata.RoleInput:
		return x.buffers(ctx, "gate", s.Input)
	case metadata.RoleOutput:
		return x.buffers(ctx, "partition", s.Output)
	}
	return nil
}

// keyed yields entries of managed keyed state.
func (x *enumeration) keyed(ctx context.Context, k metadata.KeyedHandle) error {
	w := wanted{take: func(m *state.Meta) bool { return m.Name == x.row.Name }, groups: x.sel.KeyGroups}
	for e, err := range x.c.keyedEntries(ctx, x.row.op, k, w) {
		if err != nil {
			return err
		}
		if x.key != nil && !x.key(e.Entry) {
			continue
		}
		out := &x.entry
		out.Key, out.Value, out.Namespace = e.Key, e.Value, e.Namespace
		if out.Time = checkpoint.UnknownTime; x.row.Kind == checkpoint.Timers {
			out.Time = e.Timestamp
		}
		switch {
		case !e.Split:
			out.Key, out.Namespace = e.Composite, nil
		case e.UserKey != nil:
			x.space = append(append(x.space[:0], e.Namespace...), e.UserKey...)
			out.Namespace = x.space
		case x.row.NamespaceType == "":
			out.Namespace = nil
		}
		out.KeyGroup = uint32(e.KeyGroup)
		x.hash(e.header.Key, e.Split)
		if err := x.emit(); err != nil {
			return err
		}
	}
	return nil
}

// hash fills in Java's hash code of the key, if its formula is known.
func (x *enumeration) hash(typ *serde.Type, split bool) {
	x.entry.Hash, x.entry.NoHash = 0, true
	if split && typ.Hashable() == nil {
		if h, err := typ.HashKey(x.entry.Key); err == nil {
			x.entry.Hash, x.entry.NoHash = keygroup.Hash(uint32(h)), false
		}
	}
}

// rawTimers yields timers of raw keyed state.
func (x *enumeration) rawTimers(ctx context.Context, k metadata.KeyedHandle) error {
	handle, ok := k.(*metadata.KeyGroupsHandle)
	if !ok {
		return nil
	}
	src, err := x.c.OpenHandle(ctx, handle.Delegate)
	if err != nil {
		return err
	}
	defer src.Close()
	for t, err := range state.RawTimers(keyedFile(x.row.op, handle, src)) {
		if err != nil {
			return err
		}
		if t.Service != x.row.service || t.EventTime != x.row.eventTime || !x.sel.KeyGroups.Contains(uint64(t.KeyGroup)) {
			continue
		}
		if x.key != nil && !x.key(&state.Entry{Split: true, Key: t.Key, KeyGroup: t.KeyGroup}) {
			continue
		}
		x.entry.Key, x.entry.Namespace, x.entry.Time, x.entry.KeyGroup = t.Key, t.Namespace, t.Timestamp, uint32(t.KeyGroup)
		if x.row.NamespaceType == "" {
			x.entry.Namespace = nil
		}
		x.hash(t.KeyType, true)
		if err := x.emit(); err != nil {
			return err
		}
	}
	return nil
}

// rawKeyed yields the bytes of each key group.
func (x *enumeration) rawKeyed(ctx context.Context, k metadata.KeyedHandle) error {
	handle, ok := k.(*metadata.KeyGroupsHandle)
	if !ok {
		return nil
	}
	src, err := x.c.OpenHandle(ctx, handle.Delegate)
	if err != nil {
		return err
	}
	defer src.Close()
	for i, from := range handle.Offsets {
		group := uint32(handle.Range.Start) + uint32(i)
		if from < 0 || !x.sel.KeyGroups.Contains(uint64(group)) {
			continue
		}
		to := src.Size()
		for _, other := range handle.Offsets {
			if other > from && other < to {
				to = other
			}
		}
		x.entry.KeyGroup = group
		if err := x.section(src, from, to); err != nil {
			return err
		}
	}
	return nil
}

// section yields a part of a stream as a value.
func (x *enumeration) section(src *Source, from, to int64) error {
	size := to - from
	switch {
	case size < 0 || to > src.Size():
		return &wire.Error{Object: src.Object, Offset: from, What: x.row.Name, Err: wire.Truncated("it should go to %d, there are %d bytes", to, src.Size())}
	case size > maxRaw:
		return &wire.Error{Object: src.Object, Offset: from, What: x.row.Name, Err: wire.OverLimit(uint64(size), maxRaw)}
	}
	if int64(cap(x.space)) < size {
		x.space = make([]byte, size)
	}
	x.entry.Value = x.space[:size]
	if _, err := src.ReadAt(x.entry.Value, from); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	return x.emit()
}

// bytes yields all of a stream as a value.
func (x *enumeration) bytes(ctx context.Context, h metadata.StreamHandle) error {
	src, err := x.c.OpenHandle(ctx, h)
	if err != nil {
		return err
	}
	defer src.Close()
	return x.section(src, 0, src.Size())
}

// operatorFile is what the metadata says of a stream with operator state.
func operatorFile(h *metadata.OperatorHandle, src *Source) state.OperatorFile {
	f := state.OperatorFile{Object: src.Object, Data: src, Size: src.Size()}
	for i := range h.States {
		f.States = append(f.States, state.Partitions{Name: h.States[i].Name, Offsets: h.States[i].Offsets})
	}
	return f
}

// operator yields the elements of operator state.
func (x *enumeration) operator(ctx context.Context, h *metadata.OperatorHandle) error {
	if h == nil || h.Empty {
		return nil
	}
	src, err := x.c.OpenHandle(ctx, h.Delegate)
	if err != nil {
		return err
	}
	defer src.Close()
	file, err := state.OpenOperator(operatorFile(h, src))
	if err != nil {
		return err
	}
	if file.Meta(x.row.Name) == nil {
		return nil
	}
	for e, err := range file.Elements(x.row.Name) {
		if err != nil {
			return err
		}
		x.entry.Key, x.entry.Value = e.Key, e.Value
		if err := x.emit(); err != nil {
			return err
		}
	}
	return nil
}

// buffers yields in-flight data: each chunk is one network buffer.
func (x *enumeration) buffers(ctx context.Context, side string, list []metadata.ChannelHandle) error {
	for i := range list {
		if err := x.handle(ctx, side, &list[i]); err != nil {
			return err
		}
	}
	return nil
}

func (x *enumeration) handle(ctx context.Context, side string, h *metadata.ChannelHandle) error {
	src, err := x.c.OpenHandle(ctx, h.Delegate)
	if err != nil {
		return err
	}
	defer src.Close()
	own := strconv.Itoa(int(x.entry.Subtask))
	for _, ch := range h.Channels {
		gate := side + strconv.Itoa(int(ch.Gate))
		if sel := x.sel.Channel; sel != nil && (sel.Gate != gate || !sel.Index.Contains(uint64(ch.Channel))) {
			continue
		}
		sender, receiver := gate+"/"+strconv.Itoa(int(ch.Channel)), own
		if x.row.role == metadata.RoleOutput {
			sender, receiver = receiver, sender
		}
		for i, off := range ch.Offsets {
			n, err := chunk(src, off)
			if err != nil {
				return err
			}
			x.entry.Detail = []checkpoint.Detail{{Name: "sender", Value: sender}, {Name: "receiver", Value: receiver}, {Name: "sequence", Value: strconv.Itoa(i)}}
			if err := x.section(src, off+channelHeader, off+channelHeader+n); err != nil {
				return err
			}
		}
	}
	return nil
}

// chunk reads the length of a buffer, which stands in front of it, and requires
// that the stream has so many bytes. Errors are *wire.Error.
func chunk(src *Source, off int64) (int64, error) {
	r := wire.NewStream(src.Object, off, io.NewSectionReader(src, off, 4), 4)
	n := int64(r.I32("length of a buffer"))
	switch {
	case r.Err() != nil:
		return 0, r.Err()
	case n < 0:
		return 0, &wire.Error{Object: src.Object, Offset: off, What: "length of a buffer", Err: wire.Malformed("%d", n)}
	case off+channelHeader+n > src.Size():
		return 0, &wire.Error{Object: src.Object, Offset: off, What: "buffer", Err: wire.Truncated("%d bytes of %d", src.Size()-off-channelHeader, n)}
	}
	return n, nil
}
