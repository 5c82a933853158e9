package document

import (
	"context"
	"fmt"

	"github.com/tidemark-io/tidemark/checkpoint"
)

// NewHead describes a checkpoint by what opening it told. The path is the one
// that leads to it from where the command was called.
func NewHead(path string, info checkpoint.Info) Head {
	h := Head{
		Path: path, Kind: info.Kind, Version: info.Version, ID: Number(info.ID), Created: Moment(info.Created), Status: info.Status,
		Job: Text(info.Job), Lineage: Text(info.Lineage), Run: orNone(info.Run), Parent: orNone(info.Parent),
		Software: Text(info.Software), KeyHash: Text(info.Hash), Finished: info.Finished,
		SubtaskCount: Number(info.Subtasks), Entries: Number(info.Entries), Bytes: Number(info.Bytes),
		InFlight: inFlight(info.InFlight), Watermarks: watermarks(info.Watermarks), info: info,
	}
	return h
}

// Info returns what the head was made of.
func (h Head) Info() checkpoint.Info { return h.info }

// NewInspect reads everything but the long lists.
func NewInspect(ctx context.Context, path string, c checkpoint.Checkpoint) (*Inspect, error) {
	d := &Inspect{Schema: InspectSchema, Head: NewHead(path, c.Info()), Operators: []Operator{}, Edges: []Edge{}, Losses: []Loss{}, Findings: []Finding{}}
	at := map[string]int{}
	for o, err := range c.Operators(ctx) {
		if err != nil {
			return nil, err
		}
		at[o.UID] = len(d.Operators)
		d.Operators = append(d.Operators, operator(o))
	}
	for s, err := range c.States(ctx) {
		if err != nil {
			return nil, err
		}
		i, ok := at[s.Operator]
		if !ok {
			return nil, fmt.Errorf("state %q belongs to the operator %q, which is not listed", s.Name, s.Operator)
		}
		op := &d.Operators[i]
		op.States = append(op.States, state(s, op.KeyType))
	}
	for e, err := range c.Edges(ctx) {
		if err != nil {
			return nil, err
		}
		d.Edges = append(d.Edges, Edge{e.ID, e.From, e.To, e.Partitioner, e.Alignment, Text(e.Reason), Text(e.Keys), inFlight(e.InFlight)})
	}
	if l, ok := c.(checkpoint.Lossy); ok {
		for loss, err := range l.Losses(ctx) {
			if err != nil {
				return nil, err
			}
			d.Losses = append(d.Losses, newLoss(loss))
		}
	}
	for _, f := range d.info.Notes {
		d.Findings = append(d.Findings, NewFinding(f))
	}
	return d, nil
}

func operator(o checkpoint.Operator) Operator {
	op := Operator{UID: o.UID, Name: o.Name, Parallelism: o.Parallelism, KeyType: Text(o.KeyType), Task: o.Task, Watermarks: watermarks(o.Watermarks), States: []State{}}
	if o.KeyGroups > 0 {
		op.KeyGroups = &o.KeyGroups
	}
	return op
}

func state(s checkpoint.State, key Text) State {
	t := Types{Namespace: Text(s.NamespaceType), Value: Text(s.ValueType)}
	if s.Kind == checkpoint.Keyed || s.Kind == checkpoint.Timers {
		t.Key = key
	}
	return State{s.Name, s.Kind, t, Text(s.Edge), Number(s.Entries), Number(s.Bytes), Number(s.Decoded)}
}

func newLoss(l checkpoint.Loss) Loss {
	return Loss{Tool: l.Tool, Created: Moment(l.Created), Operator: Text(l.Operator), State: Text(l.State), Edge: Text(l.Edge), Place: Text(l.Place),
		Reason: l.Reason, Bytes: Number(l.Bytes), Records: Number(l.Records), Times: Watermarks{EventTime(l.MinTime), EventTime(l.MaxTime)}}
}

func inFlight(t checkpoint.Totals) InFlight { return InFlight{Number(t.Bytes), Number(t.Records)} }

func watermarks(w checkpoint.Watermarks) Watermarks {
	return Watermarks{EventTime(w.Min), EventTime(w.Max)}
}

// orNone makes the number 0, which stands for none, null.
func orNone(n uint64) Number {
	if n == 0 {
		return Number(checkpoint.UnknownCount)
	}
	return Number(n)
}
