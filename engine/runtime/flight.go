package runtime

import (
	"context"
	"encoding/binary"
	"runtime"
	"slices"
	"sync/atomic"
	"time"

	"github.com/tidemark-io/tidemark/engine/barrier"
	"github.com/tidemark-io/tidemark/engine/exchange"
	"github.com/tidemark-io/tidemark/format"
	"github.com/tidemark-io/tidemark/writer"
)

// outEdge is the sending end of one edge at one task.
type outEdge struct {
	edge      int
	op        int // operator of the chain that sends
	part      *exchange.Partition
	receivers []int // subtask that receives on each channel
	unaligned bool
	// timeoutable is the output part of the newest checkpoint whose barrier
	// may still time out in the queues.
	timeoutable atomic.Pointer[timedPart]
}

// timedPart is the output part of a checkpoint that may time out.
type timedPart struct {
	id uint64
	*future
}

// passed is called by a receiver when a barrier that could time out has left all
// queues: nothing was overtaken.
func (e *outEdge) passed(id uint64) {
	if w := e.timeoutable.Load(); w != nil && w.id == id {
		w.resolve(nil)
	}
}

// channelSpec describes the in-flight data of one side of an edge and the records
// in it.
func channelSpec(kind format.Kind, record *format.Schema) StateSpec {
	if kind == format.KindInputChannel {
		return StateSpec{Name: "channel.input", Kind: kind, Value: record}
	}
	return StateSpec{Name: "channel.output", Kind: kind, Value: record}
}

// flight is one task's part of a checkpoint that lies in channels.
type flight struct {
	parts []part
	input []*future // by gate; nil where there is nothing to wait for
	// seen is how the barriers of an unaligned checkpoint came; it is set before
	// the last input future.
	seen seen
}

// awaited reports whether there is an input part, which the barriers of the
// inputs that may be overtaken complete. The others are there at the snapshot.
func (f *flight) awaited() bool {
	return slices.ContainsFunc(f.input, func(in *future) bool { return in != nil })
}

func (f *flight) release() {
	for _, pt := range f.parts {
		pt.release()
	}
	f.parts = nil
}

// emitBarrier sends a barrier on all outputs, on each as its edge can have it,
// and returns what the checkpoint must keep of the channels.
func (t *Task) emitBarrier(b barrier.Barrier) (*flight, error) {
	fl := &flight{}
	for i := range t.outs {
		e := t.outs[i]
		if !e.unaligned {
			if _, err := e.part.EmitBarrier(b.Forced(), nil); err != nil {
				return fl, err
			}
			continue
		}
		f := newFuture()
		if b.Timeoutable() {
			e.timeoutable.Store(&timedPart{id: b.ID, future: f})
		}
		captured, err := e.part.EmitBarrier(b, t.attempt.captures)
		if err != nil {
			return fl, err
		}
		switch {
		case b.Priority():
			f.resolve(captured)
		case !b.Timeoutable():
			continue
		}
		fl.parts = append(fl.parts, t.outputPart(e, f))
	}
	if b.Timeoutable() && len(fl.parts) > 0 {
		t.startOutputTimer(b)
	}
	return fl, nil
}

// startOutputTimer turns barriers that still wait in output queues when the
// aligned timeout has passed into ones that overtake.
func (t *Task) startOutputTimer(b barrier.Barrier) {
	left := max(b.Timeout-t.attempt.elapsed(b.ID), 0)
	t.attempt.cfg.Clock.AfterFunc(left, func() {
		t.mail.post(func() error { return t.convert(b.ID) })
	})
}

// convert does so for one checkpoint, unless it is over.
func (t *Task) convert(id uint64) error {
	if p := t.attempt.coord.current.Load(); p == nil || p.id != id {
		return nil
	}
	for _, e := range t.outs {
		w := e.timeoutable.Load()
		if w == nil || w.id != id {
			continue
		}
		captured, err := e.part.Convert(id, t.attempt.elapsed(id), t.attempt.captures)
		if err != nil {
			return err
		}
		w.resolve(captured)
	}
	return nil
}

// outputPart is the part of the checkpoint that the sending side of an edge
// has in its queues.
func (t *Task) outputPart(e *outEdge, f *future) part {
	return t.channelPart(e.op, e.edge, format.KindOutputChannel, f, nil, func(channel int) (receiver, sender uint32) {
		return uint32(e.receivers[channel]), uint32(t.subtask)
	})
}

// inputParts are the parts of the checkpoint that the receiving side has taken
// from its channels and not processed, or takes until their barriers come.
func (t *Task) inputParts(fl *flight) {
	fl.input = make([]*future, len(t.input.gates))
	for i, g := range t.input.gates {
		if g.capture == nil {
			continue
		}
		fl.input[i] = newFuture()
		fl.parts = append(fl.parts, t.channelPart(0, g.edge, format.KindInputChannel, fl.input[i], t.input.replay.left(g, uint32(t.subtask)),
			func(channel int) (receiver, sender uint32) { return uint32(t.subtask), uint32(g.senders[channel]) }))
	}
}

// channelPart is a part whose rows are those of a future, and others.
func (t *Task) channelPart(op, edge int, kind format.Kind, f *future, others []format.Buffer, name func(channel int) (receiver, sender uint32)) part {
	generation := t.attempt.generation
	return part{env: t.ops[op].env, spec: channelSpec(kind, t.attempt.plan.graph.Edges[edge].Record), edge: edge, release: f.drop,
		rows: func(ctx context.Context) ([]inFlight, error) {
			captured, err := f.wait(ctx)
			t.attempt.cfg.turn(RolePart, t.number)
			if err != nil {
				return nil, err
			}
			rows := rowsOf(captured, generation, name)
			for _, b := range others {
				rows = append(rows, inFlight{Buffer: b})
			}
			return rows, nil
		}}
}

// inFlight is a row of in-flight data. What a piece holds is loaded when the row
// is written, since it may lie in a spill file and be more than memory has.
type inFlight struct {
	format.Buffer
	piece *exchange.Piece // nil if the payload is there
}

// rowsOf turns captured channels into rows that are not loaded yet.
func rowsOf(captured []exchange.Captured, generation uint64, name func(channel int) (receiver, sender uint32)) []inFlight {
	var rows []inFlight
	for i := range captured {
		c := &captured[i]
		receiver, sender := name(c.Channel)
		for k := range c.Pieces {
			p := &c.Pieces[k]
			rows = append(rows, inFlight{piece: p,
				Buffer: format.Buffer{Receiver: receiver, Sender: sender, Generation: generation, Sequence: p.Sequence()}})
		}
	}
	return rows
}

// load fetches the payload, into scratch if it has to be read and fits.
func (r *inFlight) load(scratch []byte) error {
	if r.piece == nil {
		return nil
	}
	data, err := r.piece.Bytes(scratch)
	if err != nil {
		return err
	}
	r.Buffer = format.NewBuffer(r.Receiver, r.Sender, r.Generation, r.Sequence, r.piece.FirstRecord(), data)
	return nil
}

// writeBuffers writes the rows of one channel state, in their order, and counts
// the records that begin in them, and the bytes. It holds the payload of two at a
// time.
func writeBuffers(sl *writer.Slice, rows []inFlight) (records, bytes uint64, err error) {
	slices.SortStableFunc(rows, func(a, b inFlight) int {
		return slices.Compare([]uint64{uint64(a.Receiver), uint64(a.Sender), a.Generation, a.Sequence},
			[]uint64{uint64(b.Receiver), uint64(b.Sender), b.Generation, b.Sequence})
	})
	var scratch [2][]byte
	load := func(i int) error {
		if p := rows[i].piece; p != nil && p.Len() > len(scratch[i%2]) {
			scratch[i%2] = make([]byte, p.Len())
		}
		return rows[i].load(scratch[i%2])
	}
	for i := range rows {
		// Writing is work for the processor, and the barriers are still on
		// their way through the graph: tasks that they wake go first.
		runtime.Gosched()
		if i == 0 {
			err = load(0)
		}
		if err == nil && i+1 < len(rows) {
			err = load(i + 1)
		}
		if err != nil {
			return 0, 0, err
		}
		b := &rows[i].Buffer
		if err := sl.Buffer(*b); err != nil {
			return 0, 0, err
		}
		bytes += uint64(len(b.Payload))
		var next []byte
		if i+1 < len(rows) && follows(rows[i+1].Buffer, *b) {
			next = rows[i+1].Payload
		}
		records += recordsIn(*b, next)
		b.Payload = nil // the scratch is used again
	}
	return records, bytes, nil
}

// follows reports whether a buffer continues another one of the same channel.
func follows(b, prev format.Buffer) bool {
	return b.Receiver == prev.Receiver && b.Sender == prev.Sender && b.Generation == prev.Generation && b.Sequence == prev.Sequence+1
}

// recordsIn counts the records that begin in a buffer; next is what follows in
// the channel, nil if that is not known. One whose header is cut by the end of
// what is known counts, although it might turn out a watermark.
func recordsIn(b format.Buffer, next []byte) (n uint64) {
	if b.Start == format.None {
		return 0
	}
	for rest := b.Payload[b.Start:]; len(rest) > 0; {
		head := rest
		if len(head) <= tagAt && len(next) > tagAt-len(head) {
			head = append(slices.Clone(head), next[:tagAt+1-len(head)]...)
		}
		if len(head) <= tagAt || head[tagAt]&exchange.TagKindMask == exchange.TagRecord {
			n++
		}
		if len(rest) < tagAt {
			return n
		}
		length := uint64(binary.LittleEndian.Uint32(rest)) + tagAt
		if length > uint64(len(rest)) {
			return n
		}
		rest = rest[length:]
	}
	return n
}

// tagAt is where the tag of a frame stands, behind its length.
const tagAt = 4

// act performs the actions that concern channels only.
func (in *input) act(a barrier.Action) {
	switch a.Kind {
	case barrier.StartTimer:
		in.startAlignmentTimer(a.ID, a.After)
	case barrier.Hold:
		g, c := in.gateOf(a.Channel)
		g.gate.Hold(c)
	case barrier.Unhold:
		g, c := in.gateOf(a.Channel)
		g.gate.Unhold(c)
	case barrier.BeginCapture:
		in.beginCapture(a.ID)
	case barrier.ChannelDone:
		if g, c := in.gateOf(a.Channel); g.capture != nil {
			g.capture.Done(c)
		}
	case barrier.StopCapture:
		in.stopCapture()
	case barrier.DropCapture:
		in.dropCapture()
	}
}

// beginCapture starts to keep what belongs to the input part of a checkpoint.
func (in *input) beginCapture(id uint64) {
	for _, g := range in.gates {
		if g.capture == nil {
			continue
		}
		var hand *exchange.Buffer
		if in.open == g {
			hand = g.buffer
		}
		g.capture.Start(id, g.cursors, hand, g.channel)
	}
}

// stopCapture completes the input part.
func (in *input) stopCapture() {
	for i, g := range in.gates {
		if g.capture == nil {
			continue
		}
		captured := g.capture.Stop()
		if fl := in.task.flight; fl != nil && fl.input != nil {
			fl.seen = in.task.snapshots.barriers.of(0)
			fl.input[i].resolve(captured)
		} else {
			exchange.ReleaseAll(captured)
		}
	}
}

// dropCapture gives the input part up.
func (in *input) dropCapture() {
	for _, g := range in.gates {
		if g.capture != nil {
			g.capture.Drop()
		}
	}
}

// gateOf is the gate of a channel of the task and the channel's number there.
func (in *input) gateOf(flat int) (*gateInput, int) {
	for i := len(in.gates) - 1; i > 0; i-- {
		if g := in.gates[i]; flat >= g.first {
			return g, flat - g.first
		}
	}
	return in.gates[0], flat
}

// startAlignmentTimer asks the barrier handler again when the aligned timeout of
// a checkpoint has passed.
func (in *input) startAlignmentTimer(id uint64, after time.Duration) {
	t := in.task
	t.attempt.cfg.Clock.AfterFunc(after, func() {
		t.mail.post(func() error { return in.handle(barrier.TimerFired(id)) })
	})
}
