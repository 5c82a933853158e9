package reader

import (
	"cmp"
	"context"
	"errors"
	"iter"
	"slices"

	"github.com/tidemark-io/tidemark/checkpoint"
	"github.com/tidemark-io/tidemark/format"
	"github.com/tidemark-io/tidemark/keygroup"
)

// Records yields the in-flight records, edge by edge: first those that end in
// what the receivers had taken, then those that end in what was queued at the
// senders (SPEC.md, "Channels"). Memory is bounded by one unfinished record for
// each sub-stream.
func (m *Model) Records(ctx context.Context, sel checkpoint.Selector) iter.Seq2[checkpoint.Record, error] {
	return func(yield func(checkpoint.Record, error) bool) {
		edges, err := m.c.Edges()
		if err != nil {
			yield(checkpoint.Record{}, err)
			return
		}
		for edge := range edges {
			j := joiner{m: m, sel: sel, limit: m.c.limits.Block, flows: map[flowID]*flow{}, yield: yield}
			if err := j.edge(ctx, edge, edges[edge]); err != nil {
				if !errors.Is(err, errStopped) {
					yield(checkpoint.Record{}, err)
				}
				return
			}
		}
	}
}

// errStopped: the consumer wants no more.
var errStopped = errors.New("stopped")

// flowID names a sub-stream of an edge.
type flowID struct {
	receiver, sender uint32
	generation       uint64
}

// flow is how far a sub-stream has been joined.
type flow struct {
	next  uint64 // sequence number that continues it
	open  []byte // of the record that is not complete yet
	began uint64 // sequence number of the buffer in which that record begins
	last  origin // of what came last
}

// origin is where a part of a sub-stream is stored.
type origin struct {
	side    channelSide
	subtask uint32
}

// channelSide is a state that holds one side of an edge's channels.
type channelSide struct {
	row    int
	kind   format.Kind
	state  checkpoint.State
	wanted bool // by the selector's operator, state and gate
	index  *checkpoint.Span
}

// joiner puts the records of one edge together (R8).
type joiner struct {
	m      *Model
	sel    checkpoint.Selector
	edgeID string
	groups uint32 // of the receiving operator
	limit  uint64 // bytes of a record
	flows  map[flowID]*flow
	yield  func(checkpoint.Record, error) bool
	// sequence is the number of the buffer in which the record that is yielded
	// begins.
	sequence uint64
}

// edge walks the states of one edge.
func (j *joiner) edge(ctx context.Context, row int, e format.Edge) error {
	operators, err := j.m.c.Operators()
	if err != nil {
		return err
	}
	j.edgeID = e.ID
	if e.To < len(operators) {
		j.groups = operators[e.To].KeyGroups
	}
	sides, wanted, err := j.sides(row)
	if err != nil || !wanted {
		return err
	}
	for _, side := range sides {
		for r, err := range rowsOf(ctx, j.m.c, side.row, side.kind, every, openBuffers) {
			if err != nil {
				return err
			}
			if err := j.buffer(origin{side, r.Subtask}, &r.Row); err != nil {
				return err
			}
		}
	}
	return j.end()
}

// end yields what is open at the ends of the sub-streams.
func (j *joiner) end() error {
	ids := make([]flowID, 0, len(j.flows))
	for id, f := range j.flows {
		if len(f.open) > 0 {
			ids = append(ids, id)
		}
	}
	slices.SortFunc(ids, func(a, b flowID) int {
		return cmp.Or(cmp.Compare(a.receiver, b.receiver), cmp.Compare(a.sender, b.sender), cmp.Compare(a.generation, b.generation))
	})
	for _, id := range ids {
		f := j.flows[id]
		if err := j.torn(id, f.last, f.began, f.open); err != nil {
			return err
		}
	}
	return nil
}

// sides lists the channel states of an edge, the receiver's first, and tells
// whether the selector wants any.
func (j *joiner) sides(edge int) (list []channelSide, wanted bool, err error) {
	states, err := j.m.c.States()
	if err != nil {
		return nil, false, err
	}
	for _, kind := range []format.Kind{format.KindInputChannel, format.KindOutputChannel} {
		for row, s := range states {
			if s.Kind != kind || s.Edge != edge {
				continue
			}
			st, err := j.m.state(row, s)
			if err != nil {
				return nil, false, err
			}
			side := channelSide{row: row, kind: kind, state: st, wanted: j.sel.Takes(st)}
			if c := j.sel.Channel; c != nil {
				gate, err := j.m.gate(s)
				if err != nil {
					return nil, false, err
				}
				side.wanted = side.wanted && (c.Gate == st.Edge || c.Gate == gate)
				side.index = c.Index
			}
			list, wanted = append(list, side), wanted || side.wanted
		}
	}
	return list, wanted, nil
}

// buffer takes the next buffer.
func (j *joiner) buffer(from origin, b *format.Buffer) error {
	id := flowID{b.Receiver, b.Sender, b.Generation}
	f := j.flows[id]
	if f == nil {
		f = &flow{next: b.Sequence}
		j.flows[id] = f
	}
	gap := f.next != b.Sequence
	f.next, f.last = b.Sequence+1, from
	tail := b.Payload[b.Continuation:]
	whole, err := j.join(id, f, b, gap)
	if err != nil {
		return err
	}
	if whole {
		return nil // the open record takes all of the buffer and goes on
	}
	for len(tail) > 0 {
		frame, n, err := format.DecodeFrame(tail)
		switch {
		case errors.Is(err, format.ErrTruncated) && n <= max(j.limit, uint64(len(tail))):
			f.open, f.began = append(f.open[:0], tail...), b.Sequence
			return nil
		case err != nil:
			return j.torn(id, from, b.Sequence, tail)
		}
		if err := j.frame(id, from, b.Sequence, &frame); err != nil {
			return err
		}
		tail = tail[n:]
	}
	return nil
}

// join completes the open record by the continuation at the front of a buffer.
// goesOn says that not even the whole buffer completed it. A head that does not
// fit is dropped, and so is what it should have continued.
func (j *joiner) join(id flowID, f *flow, b *format.Buffer, gap bool) (goesOn bool, err error) {
	open, head := f.open, b.Payload[:b.Continuation]
	f.open = f.open[:0]
	if len(head) == 0 && len(open) == 0 {
		return false, nil
	}
	if gap || len(open) == 0 || len(head) == 0 {
		return false, errors.Join(j.torn(id, f.last, f.began, open), j.torn(id, f.last, b.Sequence, head))
	}
	open = append(open, head...)
	frame, n, err := format.DecodeFrame(open)
	switch {
	case err == nil && n == uint64(len(open)):
		return false, j.frame(id, f.last, f.began, &frame)
	case errors.Is(err, format.ErrTruncated) && b.Start == format.None && n <= max(j.limit, uint64(len(open))):
		f.open = open
		return true, nil
	}
	return false, j.torn(id, f.last, f.began, open)
}

// torn yields bytes of a record of which a part is missing.
func (j *joiner) torn(id flowID, from origin, sequence uint64, data []byte) error {
	if len(data) == 0 {
		return nil
	}
	j.sequence = sequence
	return j.emit(from.side, checkpoint.Record{Subtask: from.subtask, Receiver: id.receiver, Sender: id.sender, Generation: id.generation,
		Element: checkpoint.ElementTorn, Time: checkpoint.UnknownTime, Payload: data})
}

var elements = map[format.Element]checkpoint.Element{
	format.ElementRecord: checkpoint.ElementRecord, format.ElementWatermark: checkpoint.ElementWatermark, format.ElementStatus: checkpoint.ElementStatus,
}

// frame yields one whole element.
func (j *joiner) frame(id flowID, from origin, sequence uint64, f *format.Frame) error {
	r := checkpoint.Record{Subtask: from.subtask, Receiver: id.receiver, Sender: id.sender, Generation: id.generation, Element: elements[f.Element],
		Hash: f.Hash, HasHash: f.HasHash, NoKey: f.NoKey, Time: checkpoint.UnknownTime, Payload: f.Payload}
	if f.HasTime {
		r.Time = f.Time
	}
	j.sequence = sequence
	return j.emit(from.side, r)
}

// emit yields what the selector wants.
func (j *joiner) emit(side channelSide, r checkpoint.Record) error {
	other := r.Sender
	if side.kind == format.KindOutputChannel {
		other = r.Receiver
	}
	if !side.wanted || !j.sel.Subtasks.Contains(uint64(r.Subtask)) || !side.index.Contains(uint64(other)) {
		return nil
	}
	if j.sel.KeyGroups != nil && (!r.HasHash || j.groups == 0 || !j.sel.KeyGroups.Contains(uint64(keygroup.Of(r.Hash, int(j.groups))))) {
		return nil
	}
	r.State, r.Edge = side.state, j.edgeID
	if !j.yield(r, nil) {
		return errStopped
	}
	return nil
}
