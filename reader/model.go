package reader

import (
	"context"
	"fmt"
	"iter"
	"strings"
	"time"

	"github.com/tidemark-io/tidemark/checkpoint"
	"github.com/tidemark-io/tidemark/format"
)

// Model presents a checkpoint in the terms of package checkpoint. It has all
// abilities of that package.
type Model struct{ c *Checkpoint }

var (
	_ checkpoint.Checkpoint = (*Model)(nil)
	_ checkpoint.Lossy      = (*Model)(nil)
	_ checkpoint.Configured = (*Model)(nil)
	_ checkpoint.Layered    = (*Model)(nil)
	_ checkpoint.Enumerator = (*Model)(nil)
	_ checkpoint.Printer    = (*Model)(nil)
	_ checkpoint.Verifiable = (*Model)(nil)
)

// NewModel presents a checkpoint. Closing the model closes it.
func NewModel(c *Checkpoint) *Model { return &Model{c} }

// Checkpoint is what the model presents.
func (m *Model) Checkpoint() *Checkpoint { return m.c }

// Close releases everything.
func (m *Model) Close() error { return m.c.Close() }

// Info describes the checkpoint; it costs no I/O.
func (m *Model) Info() checkpoint.Info {
	info := infoOf(m.c.dir, m.c.manifest)
	info.Notes = m.c.Notes()
	return info
}

// infoOf translates a summary.
func infoOf(dir string, m *format.ManifestReader) checkpoint.Info {
	s := m.Summary
	kind := checkpoint.KindCheckpoint
	if s.Kind == format.Savepoint {
		kind = checkpoint.KindSavepoint
	}
	return checkpoint.Info{
		Path: dir, Kind: kind, Status: checkpoint.Complete,
		Version: fmt.Sprintf("%d.%d", format.Version, m.Header.Revision),
		ID:      s.ID, Job: s.Job, Created: unixNano(s.Created), Lineage: s.Lineage, Run: s.Run, Parent: s.Parent,
		WriterID: s.WriterID, Software: s.Software, Hash: s.Hash, Finished: s.Ending == format.Finished, Ended: s.Ending != format.WentOn,
		Subtasks: checkpoint.Count(s.Subtasks), Entries: checkpoint.Count(s.Entries), Bytes: checkpoint.Count(s.StateBytes),
		InFlight:   totals(s.InFlightBytes, s.InFlightRecords),
		Watermarks: checkpoint.Watermarks{Min: s.MinWatermark, Max: s.MaxWatermark},
	}
}

// unixNano is a time from its number, the zero time from 0.
func unixNano(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.Unix(0, n).UTC()
}

func totals(bytes, records uint64) checkpoint.Totals {
	return checkpoint.Totals{Bytes: checkpoint.Count(bytes), Records: checkpoint.Count(records)}
}

// each yields the translated rows of a table.
func each[From, To any](read func() ([]From, error), translate func(row int, from From) (To, error)) iter.Seq2[To, error] {
	return func(yield func(To, error) bool) {
		var none To
		list, err := read()
		if err != nil {
			yield(none, err)
			return
		}
		for i, from := range list {
			to, err := translate(i, from)
			if err != nil {
				yield(none, err)
				return
			}
			if !yield(to, nil) {
				return
			}
		}
	}
}

// Operators yields the operators in the order of the job graph.
func (m *Model) Operators(ctx context.Context) iter.Seq2[checkpoint.Operator, error] {
	return each(m.c.Operators, func(_ int, o format.Operator) (checkpoint.Operator, error) {
		key, err := m.typeName(o.KeySchema)
		return checkpoint.Operator{UID: o.UID, Name: o.Name, Parallelism: o.Parallelism, KeyGroups: o.KeyGroups, KeyType: key,
			Task: o.Task, Watermarks: checkpoint.Watermarks{Min: o.MinWatermark, Max: o.MaxWatermark}}, err
	})
}

// States yields the states of all operators.
func (m *Model) States(ctx context.Context) iter.Seq2[checkpoint.State, error] {
	return each(m.c.States, m.state)
}

// state translates a row of the states.
func (m *Model) state(row int, s format.State) (checkpoint.State, error) {
	to := checkpoint.State{Name: s.Name, Kind: stateKinds[s.Kind], Entries: checkpoint.Count(s.Entries),
		Bytes: checkpoint.Count(s.Bytes), Decoded: checkpoint.Count(s.Decoded), Row: row}
	operators, err := m.c.Operators()
	if err != nil {
		return to, err
	}
	if s.Operator < len(operators) {
		to.Operator = operators[s.Operator].UID
	}
	if s.Edge != format.None {
		edges, err := m.c.Edges()
		if err != nil {
			return to, err
		}
		if s.Edge < len(edges) {
			to.Edge = edges[s.Edge].ID
		}
	}
	if to.NamespaceType, err = m.typeName(s.Namespace); err != nil {
		return to, err
	}
	to.ValueType, err = m.typeName(s.Value)
	return to, err
}

// typeName prints a row of the schemas, "" for none.
func (m *Model) typeName(row int) (string, error) {
	s, err := m.c.schema(row)
	if s == nil || err != nil {
		return "", err
	}
	return s.String(), nil
}

// schema is a row of the schemas, nil for none.
func (c *Checkpoint) schema(row int) (*format.Schema, error) {
	if row == format.None {
		return nil, nil
	}
	schemas, err := c.Schemas()
	if err != nil {
		return nil, err
	}
	if row < 0 || row >= len(schemas) {
		return nil, &format.CorruptError{Object: c.from, Unit: "schemas",
			Err: fmt.Errorf("%w: reference to schema %d of %d", format.ErrMalformed, row, len(schemas))}
	}
	return schemas[row], nil
}

// Edges yields the connections of the job graph.
func (m *Model) Edges(ctx context.Context) iter.Seq2[checkpoint.Edge, error] {
	return each(m.c.Edges, func(_ int, e format.Edge) (checkpoint.Edge, error) {
		to := checkpoint.Edge{ID: e.ID, Partitioner: partitioners[e.Partitioner], Alignment: alignments[e.Alignment],
			Reason: m.reason(e), InFlight: totals(e.InFlightBytes, e.InFlightRecords)}
		operators, err := m.c.Operators()
		if err == nil && e.From < len(operators) && e.To < len(operators) {
			to.From, to.To = operators[e.From].UID, operators[e.To].UID
		}
		if err == nil && e.Keys >= 0 && e.Keys < len(operators) {
			to.Keys = operators[e.Keys].UID
		}
		return to, err
	})
}

// reason says why barriers waited for the data of an edge. What the job always
// does is stored; the rest follows.
func (m *Model) reason(e format.Edge) checkpoint.Reason {
	switch {
	case e.Alignment != format.Aligned:
		return ""
	case e.Reason != format.NoReason:
		return reasons[e.Reason]
	case m.c.Summary().Kind == format.Savepoint:
		return checkpoint.ReasonSavepoint
	default:
		return checkpoint.ReasonInTime
	}
}

// Losses yields what tools removed.
func (m *Model) Losses(ctx context.Context) iter.Seq2[checkpoint.Loss, error] {
	return each(m.c.Losses, func(_ int, l format.Loss) (checkpoint.Loss, error) {
		return checkpoint.Loss{Tool: l.Tool, Created: unixNano(l.Created), Operator: l.Operator, State: l.State, Edge: l.Edge,
			Place: l.Place, Reason: l.Reason, Bytes: l.Bytes, Records: l.Records, MinTime: l.MinTime, MaxTime: l.MaxTime}, nil
	})
}

// Settings yields the configuration of the job.
func (m *Model) Settings(ctx context.Context) iter.Seq2[checkpoint.Setting, error] {
	return each(m.c.Settings, func(_ int, s format.Setting) (checkpoint.Setting, error) {
		return checkpoint.Setting{Key: s.Key, Value: s.Value, Origin: s.Origin}, nil
	})
}

// Objects yields the stored objects.
func (m *Model) Objects(ctx context.Context) iter.Seq2[checkpoint.Object, error] {
	return each(m.c.Objects, func(_ int, o format.Object) (checkpoint.Object, error) {
		return checkpoint.Object{Name: o.Name, Bytes: o.Length, CRC: o.CRC, HasCRC: true,
			Shared: strings.HasPrefix(o.Name, format.SharedDir+"/")}, nil
	})
}

// Parts yields the slices that match the selector.
func (m *Model) Parts(ctx context.Context, sel checkpoint.Selector) iter.Seq2[checkpoint.Part, error] {
	return func(yield func(checkpoint.Part, error) bool) {
		var state checkpoint.State
		states, err := m.c.States()
		if err != nil {
			yield(checkpoint.Part{}, err)
			return
		}
		last := -1
		for s, err := range m.c.Slices(ctx, -1) {
			if err == nil && s.State != last {
				last = s.State
				state, err = m.state(s.State, states[s.State])
			}
			var object format.Object
			if err == nil {
				if !sel.Takes(state) || !sel.Subtasks.Contains(uint64(s.Subtask)) {
					continue
				}
				object, err = m.c.objectRow(s.Object)
			}
			if err != nil {
				yield(checkpoint.Part{}, err)
				return
			}
			p := checkpoint.Part{State: state, Subtask: s.Subtask, Object: object.Name, Offset: s.Offset, Interval: s.Interval,
				Bytes: checkpoint.Count(s.Bytes), Decoded: checkpoint.Count(s.Decoded), Entries: checkpoint.Count(s.Entries)}
			if !yield(p, nil) {
				return
			}
		}
	}
}

// Names of the model for the constants of the format.
var (
	stateKinds = map[format.Kind]checkpoint.StateKind{
		format.KindKeyed: checkpoint.Keyed, format.KindTimer: checkpoint.Timers,
		format.KindSplitList: checkpoint.SplitList, format.KindUnionList: checkpoint.UnionList,
		format.KindBroadcast: checkpoint.BroadcastState, format.KindFloor: checkpoint.Floors,
		format.KindSubtaskWatermark: checkpoint.SubtaskWatermarks, format.KindChannelWatermark: checkpoint.ChannelWatermarks,
		format.KindSplitWatermark: checkpoint.SplitWatermarks,
		format.KindInputChannel:   checkpoint.InputChannel, format.KindOutputChannel: checkpoint.OutputChannel,
	}
	partitioners = map[format.Partitioner]checkpoint.Partitioner{
		format.Forward: checkpoint.PartitionForward, format.Keyed: checkpoint.PartitionKeyed,
		format.Rebalance: checkpoint.PartitionRebalance, format.Shuffle: checkpoint.PartitionShuffle,
		format.Global: checkpoint.PartitionGlobal, format.Rescale: checkpoint.PartitionRescale,
		format.Broadcast: checkpoint.PartitionBroadcast, format.Custom: checkpoint.PartitionCustom,
	}
	alignments = map[format.Alignment]checkpoint.Alignment{
		format.Chained: checkpoint.Chained, format.Aligned: checkpoint.Aligned,
		format.Unaligned: checkpoint.Unaligned, format.Mixed: checkpoint.Mixed,
	}
	reasons = map[format.Reason]checkpoint.Reason{
		format.ReasonOff: checkpoint.ReasonOff, format.ReasonPointwise: checkpoint.ReasonPointwise,
		format.ReasonBroadcast: checkpoint.ReasonBroadcast, format.ReasonCustom: checkpoint.ReasonCustom,
		format.ReasonParallelism: checkpoint.ReasonParallelism,
	}
)
