package reader

import (
	"context"
	"encoding/hex"
	"fmt"
	"iter"
	"strconv"

	"github.com/tidemark-io/tidemark/checkpoint"
	"github.com/tidemark-io/tidemark/format"
	"github.com/tidemark-io/tidemark/keygroup"
)

// Entries yields the entries that match the selector, state by state. A range of
// key groups selects in states with keys only, a channel in channel state and
// channel watermarks only: gate N is the N-th edge into the operator, or out of
// it for output channels; an edge may also be named by its id.
func (m *Model) Entries(ctx context.Context, sel checkpoint.Selector) iter.Seq2[checkpoint.Entry, error] {
	return func(yield func(checkpoint.Entry, error) bool) {
		states, err := m.c.States()
		if err != nil {
			yield(checkpoint.Entry{}, err)
			return
		}
		for row, fs := range states {
			st, err := m.state(row, fs)
			if err != nil {
				yield(checkpoint.Entry{}, err)
				return
			}
			if !sel.Takes(st) {
				continue
			}
			scope, ok, err := m.scope(fs, st, sel)
			if err != nil {
				yield(checkpoint.Entry{}, err)
				return
			}
			if !ok {
				continue
			}
			for e, err := range m.stateEntries(ctx, row, fs, scope) {
				e.State = st
				if err == nil && !scope.takes(&e) {
					continue
				}
				if !yield(e, err) || err != nil {
					return
				}
			}
		}
	}
}

// scope is what a selector means for one state.
type scope struct {
	iv       keygroup.Interval
	subtasks *checkpoint.Span
	channel  *checkpoint.Span // of the other end's subtask
}

// takes reports whether an entry of a chosen slice is selected.
func (s *scope) takes(e *checkpoint.Entry) bool {
	return s.subtasks.Contains(uint64(e.Subtask)) && (s.channel == nil || s.channel.Contains(channelOf(e)))
}

// channelOf is the number of an entry's channel: the sender on the receiving
// side, the receiver on the sending side.
func channelOf(e *checkpoint.Entry) uint64 {
	name := "sender"
	if e.State.Kind == checkpoint.OutputChannel {
		name = "receiver"
	}
	for _, d := range e.Detail {
		if d.Name == name {
			n, _ := strconv.ParseUint(d.Value, 10, 64) // "all" is channel 0 of none
			return n
		}
	}
	return 0
}

// scope translates a selector for one state. ok is false if it selects nothing
// there.
func (m *Model) scope(fs format.State, st checkpoint.State, sel checkpoint.Selector) (s scope, ok bool, err error) {
	s = scope{iv: keygroup.All(), subtasks: sel.Subtasks}
	if sel.KeyGroups != nil {
		operators, err := m.c.Operators()
		if err != nil {
			return s, false, err
		}
		groups := uint64(operators[fs.Operator].KeyGroups)
		if !fs.Kind.ByHash() || sel.KeyGroups.First >= groups {
			return s, false, nil
		}
		last := min(sel.KeyGroups.Last, groups-1)
		s.iv = keygroup.Range{First: int(sel.KeyGroups.First), Last: int(last)}.Interval(int(groups))
	}
	if sel.Channel != nil {
		gate, err := m.gate(fs)
		if err != nil {
			return s, false, err
		}
		if st.Edge == "" || sel.Channel.Gate != st.Edge && sel.Channel.Gate != gate {
			return s, false, nil
		}
		s.channel = sel.Channel.Index
	}
	return s, true, nil
}

// gate is the name "gateN" of the edge of a channel state.
func (m *Model) gate(fs format.State) (string, error) {
	if fs.Edge == format.None {
		return "", nil
	}
	edges, err := m.c.Edges()
	if err != nil {
		return "", err
	}
	n := 0
	for i, e := range edges {
		end := e.To
		if fs.Kind == format.KindOutputChannel {
			end = e.From
		}
		if i == fs.Edge {
			break
		}
		if end == fs.Operator {
			n++
		}
	}
	return fmt.Sprintf("gate%d", n), nil
}

// stateEntries yields all entries of one state within an interval.
func (m *Model) stateEntries(ctx context.Context, row int, fs format.State, sc scope) iter.Seq2[checkpoint.Entry, error] {
	c := m.c
	groups := 0
	if operators, err := c.Operators(); err == nil && fs.Operator < len(operators) {
		groups = int(operators[fs.Operator].KeyGroups)
	}
	accept := func(s format.Slice) bool {
		return sc.subtasks.Contains(uint64(s.Subtask)) && (!fs.Kind.ByHash() || s.Interval.Overlaps(sc.iv))
	}
	switch fs.Kind {
	case format.KindKeyed, format.KindTimer:
		return translated(entries(c.stateBatches(ctx, row, fs.Kind, sc.iv, accept)), func(e Entry) checkpoint.Entry {
			return checkpoint.Entry{Subtask: e.Subtask, Hash: e.Hash, KeyGroup: uint32(keygroup.Of(e.Hash, groups)), Key: e.Key, Namespace: e.Namespace, Value: e.Value, Time: e.Time}
		})
	case format.KindSplitList, format.KindUnionList:
		return translated(rowsOf(ctx, c, row, fs.Kind, accept, openItems), func(r Row[format.Item]) checkpoint.Entry {
			return checkpoint.Entry{Subtask: r.Subtask, KeyGroup: checkpoint.NoKeyGroup, Value: r.Row.Value}
		})
	case format.KindBroadcast:
		return translated(rowsOf(ctx, c, row, fs.Kind, accept, openPairs), func(r Row[format.Pair]) checkpoint.Entry {
			return checkpoint.Entry{Subtask: r.Subtask, KeyGroup: checkpoint.NoKeyGroup, Key: r.Row.Key, Value: r.Row.Value}
		})
	case format.KindFloor:
		return translated(rowsOf(ctx, c, row, fs.Kind, accept, openFloors), func(r Row[format.Floor]) checkpoint.Entry {
			return checkpoint.Entry{Subtask: r.Subtask, KeyGroup: checkpoint.NoKeyGroup, Interval: r.Row.Interval, Time: r.Row.Watermark,
				Detail: []checkpoint.Detail{mark("drain", r.Row.Drain)}}
		})
	case format.KindSubtaskWatermark:
		return translated(rowsOf(ctx, c, row, fs.Kind, accept, openSubtaskWatermarks), func(r Row[format.SubtaskWatermark]) checkpoint.Entry {
			w := r.Row
			return checkpoint.Entry{Subtask: r.Subtask, KeyGroup: checkpoint.NoKeyGroup, Time: w.Current, Detail: []checkpoint.Detail{
				number("subtask", uint64(w.Subtask)), mark("emitted", w.Emitted), mark("drain", w.Drain), status(w.Status)}}
		})
	case format.KindChannelWatermark:
		return translated(rowsOf(ctx, c, row, fs.Kind, accept, openChannelWatermarks), func(r Row[format.ChannelWatermark]) checkpoint.Entry {
			w := r.Row
			receiver := checkpoint.Detail{Name: "receiver", Value: "all"}
			if w.Receiver != format.AllReceivers {
				receiver = number("receiver", uint64(w.Receiver))
			}
			return checkpoint.Entry{Subtask: r.Subtask, KeyGroup: checkpoint.NoKeyGroup, Time: w.Watermark, Detail: []checkpoint.Detail{
				number("sender", uint64(w.Sender)), receiver, number("generation", w.Generation), status(w.Status)}}
		})
	case format.KindSplitWatermark:
		return translated(rowsOf(ctx, c, row, fs.Kind, accept, openSplitWatermarks), func(r Row[format.SplitWatermark]) checkpoint.Entry {
			w := r.Row
			return checkpoint.Entry{Subtask: r.Subtask, KeyGroup: checkpoint.NoKeyGroup, Key: w.Split, Value: w.Generator, Time: w.Watermark,
				Detail: []checkpoint.Detail{status(w.Status)}}
		})
	default:
		return translated(rowsOf(ctx, c, row, fs.Kind, accept, openBuffers), func(r Row[format.Buffer]) checkpoint.Entry {
			b := r.Row
			start := checkpoint.Detail{Name: "start", Value: "none"}
			if b.Start != format.None {
				start = number("start", uint64(b.Start))
			}
			return checkpoint.Entry{Subtask: r.Subtask, KeyGroup: checkpoint.NoKeyGroup, Value: b.Payload, Detail: []checkpoint.Detail{
				number("receiver", uint64(b.Receiver)), number("sender", uint64(b.Sender)), number("generation", b.Generation),
				number("sequence", b.Sequence), start, number("continuation", uint64(b.Continuation))}}
		})
	}
}

// translated yields rows in the terms of the model.
func translated[From any](rows iter.Seq2[From, error], to func(From) checkpoint.Entry) iter.Seq2[checkpoint.Entry, error] {
	return func(yield func(checkpoint.Entry, error) bool) {
		for row, err := range rows {
			if err != nil {
				yield(checkpoint.Entry{}, err)
				return
			}
			if !yield(to(row), nil) {
				return
			}
		}
	}
}

// number, mark and status make details.
func number(name string, n uint64) checkpoint.Detail {
	return checkpoint.Detail{Name: name, Value: strconv.FormatUint(n, 10)}
}

func mark(name string, ms int64) checkpoint.Detail {
	if ms == format.Unknown {
		return checkpoint.Detail{Name: name, Value: "unknown"}
	}
	return checkpoint.Detail{Name: name, Value: strconv.FormatInt(ms, 10)}
}

func status(s format.Status) checkpoint.Detail {
	if s == format.StatusIdle {
		return checkpoint.Detail{Name: "status", Value: "idle"}
	}
	return checkpoint.Detail{Name: "status", Value: "active"}
}

// AppendValue appends a field of an entry as JSON, by the schema that is stored
// for it; a field without a schema as a string of hexadecimal digits.
func (m *Model) AppendValue(dst []byte, state checkpoint.State, field checkpoint.Field, value []byte) ([]byte, error) {
	schema, err := m.c.fieldSchema(state.Row, field)
	if err != nil {
		return dst, err
	}
	if schema == nil {
		dst = append(dst, '"')
		dst = hex.AppendEncode(dst, value)
		return append(dst, '"'), nil
	}
	return format.AppendJSON(dst, schema, value, &m.c.limits)
}

// fieldSchema is the schema of a field of a state's entries, nil if none is
// stored.
func (c *Checkpoint) fieldSchema(row int, field checkpoint.Field) (*format.Schema, error) {
	states, err := c.States()
	if err != nil {
		return nil, err
	}
	if row < 0 || row >= len(states) {
		return nil, fmt.Errorf("state %d of %d: %w", row, len(states), ErrNoState)
	}
	st := states[row]
	switch field {
	case checkpoint.FieldKey:
		if !st.Kind.ByHash() {
			return nil, nil
		}
		operators, err := c.Operators()
		if err != nil {
			return nil, err
		}
		return c.schema(operators[st.Operator].KeySchema)
	case checkpoint.FieldNamespace:
		return c.schema(st.Namespace)
	default:
		return c.schema(st.Value)
	}
}
