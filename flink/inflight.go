package flink

import (
	"cmp"
	"context"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"iter"
	"slices"
	"strconv"

	"github.com/tidemark-io/tidemark/checkpoint"
	"github.com/tidemark-io/tidemark/flink/metadata"
	"github.com/tidemark-io/tidemark/flink/wire"
)

var _ checkpoint.Joiner = (*Checkpoint)(nil)

// flow is the in-flight data of one channel on one of its sides.
type flow struct {
	metadata.Channel
	row     *contentRow
	subtask int32
	handle  metadata.StreamHandle
	end     Framer // how it ends, begun at an element
	err     error  // it does not read
	mate    *flow  // the other side, if an element lies in both
}

func (f *flow) output() bool { return f.row.role == metadata.RoleOutput }

// torn reports whether the data, taken by itself, is not whole elements.
func (f *flow) torn() bool { return f.err == nil && !f.end.Whole() }

// ends are the subtasks at the two ends: the n-th channel of a gate mostly comes from
// the n-th subtask, the n-th subpartition goes to the n-th.
func (f *flow) ends() (sender, receiver int32) {
	if f.output() {
		return f.subtask, f.Channel.Channel
	}
	return f.Channel.Channel, f.subtask
}

// gate is what selectors call the gate or partition.
func (f *flow) gate() string {
	if f.output() {
		return "partition" + strconv.Itoa(int(f.Gate))
	}
	return "gate" + strconv.Itoa(int(f.Gate))
}

// selected reports whether a selector selects the data.
func (f *flow) selected(sel checkpoint.Selector) bool {
	return sel.Takes(f.row.State) && sel.Subtasks.Contains(uint64(f.subtask)) &&
		(sel.Channel == nil || sel.Channel.Gate == f.gate() && sel.Channel.Index.Contains(uint64(f.Channel.Channel)))
}

// Records yields the elements of in-flight data, joined over buffers. Flink stores no
// job graph: that an output continues an input is known only by an element that lies in
// both and is whole together. What is not whole elements comes as torn: of an input what
// follows the last whole one, of an output all, since it may begin within an element.
// Each channel is read twice; elements are at most 64 MiB. Channels are ordered by
// operator, side, subtask, gate and channel.
func (c *Checkpoint) Records(ctx context.Context, sel checkpoint.Selector) iter.Seq2[checkpoint.Record, error] {
	return func(yield func(checkpoint.Record, error) bool) {
		all, err := c.flows(ctx, sel)
		if err != nil {
			yield(checkpoint.Record{}, err)
			return
		}
		y := &elements{c: c, ctx: ctx, take: func(r *checkpoint.Record) bool { return yield(*r, nil) }}
		defer y.close()
		for _, f := range all {
			if !f.selected(sel) {
				continue
			}
			if err := y.flow(f); err != nil {
				if err != errEnough { //nolint:errorlint // it is our own, as it is
					yield(checkpoint.Record{}, err)
				}
				return
			}
		}
	}
}

// flows lists all in-flight data, if something of it is selected, and finds the pairs.
func (c *Checkpoint) flows(ctx context.Context, sel checkpoint.Selector) ([]*flow, error) {
	known, err := c.contents(ctx)
	if err != nil {
		return nil, err
	}
	var all []*flow
	for _, row := range known.rows {
		if !row.Kind.InFlight() {
			continue
		}
		from := len(all)
		for i := range row.op.Subtasks {
			task := &row.op.Subtasks[i]
			if task.State == nil {
				continue
			}
			list := task.State.Input
			if row.role == metadata.RoleOutput {
				list = task.State.Output
			}
			for _, h := range list {
				for _, ch := range h.Channels {
					f := &flow{Channel: ch, row: row, subtask: task.Index, handle: h.Delegate}
					f.end.Strict = true
					all = append(all, f)
				}
			}
		}
		slices.SortStableFunc(all[from:], func(a, b *flow) int {
			return cmp.Or(cmp.Compare(a.subtask, b.subtask), cmp.Compare(a.Gate, b.Gate), cmp.Compare(a.Channel.Channel, b.Channel.Channel))
		})
	}
	if !slices.ContainsFunc(all, func(f *flow) bool { return f.selected(sel) }) {
		return nil, nil
	}
	return all, c.pair(ctx, all)
}

// pair finds inputs that end within an element, and the outputs that continue them.
func (c *Checkpoint) pair(ctx context.Context, all []*flow) error {
	y := &elements{c: c, ctx: ctx}
	defer y.close()
	outputs := map[int32][]*flow{} // by receiving subtask
	for _, f := range all {
		f.err = y.pieces(f, func(b []byte) error { _, err := f.end.Write(b); return err })
		if f.err != nil && !tolerable(f.err) {
			return f.err
		}
		if f.output() && f.torn() {
			outputs[f.Channel.Channel] = append(outputs[f.Channel.Channel], f)
		}
	}
	for _, same := range []bool{true, false} {
		for _, in := range all {
			if in.output() || in.mate != nil || in.end.Bad || !in.torn() {
				continue
			}
			for _, out := range outputs[in.subtask] {
				if out.mate != nil || same != (out.subtask == in.Channel.Channel) {
					continue
				}
				joined := in.end
				if err := y.pieces(out, func(b []byte) error { _, err := joined.Write(b); return err }); err != nil {
					return err
				}
				if joined.Whole() {
					in.mate, out.mate = out, in
					break
				}
			}
		}
	}
	return nil
}

// elements yields the elements of channels; streams stay open from one to the next.
type elements struct {
	c    *Checkpoint
	ctx  context.Context //nolint:containedctx // lives as long as one call
	take func(*checkpoint.Record) bool
	src  *Source
	of   metadata.StreamHandle
	part []byte

	framer Framer
	open   []byte // the element that is not complete yet, with its length
	record checkpoint.Record
}

func (y *elements) close() {
	if y.src != nil {
		y.src.Close()
		y.src, y.of = nil, nil
	}
}

// pieces passes on the bytes of a channel, in pieces.
func (y *elements) pieces(f *flow, take func([]byte) error) error {
	if y.src == nil || y.of != f.handle {
		y.close()
		src, err := y.c.OpenHandle(y.ctx, f.handle)
		if err != nil {
			return err
		}
		y.src, y.of = src, f.handle
	}
	if y.part == nil {
		y.part = make([]byte, 32<<10)
	}
	for _, off := range f.Offsets {
		if y.ctx.Err() != nil {
			return context.Cause(y.ctx)
		}
		n, err := chunk(y.src, off)
		if err != nil {
			return err
		}
		for at := off + channelHeader; n > 0; {
			part := y.part[:min(int64(len(y.part)), n)]
			if _, err := io.ReadFull(io.NewSectionReader(y.src, at, int64(len(part))), part); err != nil {
				return err
			}
			if err := take(part); err != nil {
				return err
			}
			at, n = at+int64(len(part)), n-int64(len(part))
		}
	}
	return nil
}

// flow yields the elements that end in a channel's side.
func (y *elements) flow(f *flow) error {
	y.framer, y.open = Framer{Strict: true}, y.open[:0]
	if f.output() && f.mate != nil { // what its other side begins with
		if err := y.pieces(f.mate, func(b []byte) error { return y.split(f.mate, b, 0, false) }); err != nil {
			return err
		}
	}
	sender, receiver := f.ends()
	y.record = checkpoint.Record{State: f.row.State, Subtask: uint32(f.subtask), Sender: uint32(sender), Receiver: uint32(receiver)}
	whole := ^uint64(0) // elements that are
	if f.torn() && f.mate == nil {
		if whole = f.end.Records - 1; f.output() {
			whole = 0
		}
	}
	if err := y.pieces(f, func(b []byte) error { return y.split(f, b, whole, true) }); err != nil {
		return err
	}
	if whole != ^uint64(0) && len(y.open) > 0 {
		return y.emitTorn(f)
	}
	return nil
}

// split cuts bytes at the ends of elements. Behind so many whole ones they are torn.
// If they are not to be told, only what stays open is kept.
func (y *elements) split(f *flow, b []byte, whole uint64, tell bool) error {
	for len(b) > 0 {
		if tell && y.framer.Records >= whole && y.framer.Whole() {
			y.framer.Bad = true
		}
		n, end := y.framer.Next(b)
		if y.framer.Bad && n == 0 {
			n = len(b)
		}
		y.open = append(y.open, b[:n]...)
		b = b[n:]
		switch {
		case end && !tell:
			y.open = y.open[:0]
		case end:
			if err := y.emit(f); err != nil {
				return err
			}
		case len(y.open) > maxRaw && y.framer.Bad && tell:
			if err := y.emitTorn(f); err != nil {
				return err
			}
		case len(y.open) > maxRaw:
			return &wire.Error{Object: y.src.Object, Offset: channelHeader, What: f.row.Name + ", an element", Err: wire.OverLimit(uint64(len(y.open)), maxRaw)}
		}
	}
	return nil
}

// where says where an element lies, in Flink's terms.
func (y *elements) where(f *flow, more ...checkpoint.Detail) []checkpoint.Detail {
	own, other := strconv.Itoa(int(f.subtask)), f.gate()+"/"+strconv.Itoa(int(f.Channel.Channel))
	if !f.output() {
		own, other = other, own
	}
	return append([]checkpoint.Detail{{Name: "sender", Value: own}, {Name: "receiver", Value: other}}, more...)
}

// emitTorn yields bytes that are no elements.
func (y *elements) emitTorn(f *flow) error {
	r := &y.record
	r.Element, r.Time, r.Payload = checkpoint.ElementTorn, checkpoint.UnknownTime, y.open
	r.Detail = y.where(f, checkpoint.Detail{Name: "length", Value: strconv.Itoa(len(y.open))})
	if !y.take(r) {
		return errEnough
	}
	y.open = y.open[:0]
	return nil
}

// emit yields the open element. Its size is one that its tag can have.
func (y *elements) emit(f *flow) error {
	r := &y.record
	tag, b := y.open[channelHeader], y.open[channelHeader+1:]
	r.Time = checkpoint.UnknownTime
	number := func(name string, n int64) checkpoint.Detail {
		return checkpoint.Detail{Name: name, Value: strconv.FormatInt(n, 10)}
	}
	i64 := func(at int) int64 { return int64(binary.BigEndian.Uint64(b[at:])) }
	i32 := func(at int) int64 { return int64(int32(binary.BigEndian.Uint32(b[at:]))) }
	var more checkpoint.Detail
	switch tag {
	case TagTimestamped, TagPlain:
		r.Element = checkpoint.ElementRecord
		if tag == TagTimestamped {
			r.Time, b = i64(0), b[8:]
		}
		more = number("length", int64(len(b)))
	case tagWatermark:
		r.Element, r.Time, b = checkpoint.ElementWatermark, i64(0), nil
	case tagInternalWatermark:
		r.Element, r.Time, more, b = checkpoint.ElementWatermark, i64(4), number("subpartition", i32(0)), nil
	case tagLatency:
		r.Element, r.Time = checkpoint.ElementLatency, i64(0)
		more = checkpoint.Detail{Name: "operator", Value: fmt.Sprintf("%s, subtask %d", hex.EncodeToString(b[8:24]), i32(24))}
	case tagStatus:
		r.Element = checkpoint.ElementStatus
		status := byte(1)
		if i32(0) != 0 {
			status = 2 // idle
		}
		b = append(b[:0], status) // the same bytes in each format
	case tagAttributes:
		r.Element, more = checkpoint.ElementAttributes, number("backlog", int64(b[0]))
	}
	r.Payload, r.Detail = b, y.where(f)
	if more.Name != "" {
		r.Detail = append(r.Detail, more)
	}
	if !y.take(r) {
		return errEnough
	}
	y.open = y.open[:0]
	return nil
}
