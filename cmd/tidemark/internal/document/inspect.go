package document

import (
	"context"
	"fmt"
	"iter"

	"github.com/tidemark-io/tidemark/checkpoint"
	"github.com/tidemark-io/tidemark/keygroup"
)

// InspectSchema names the document of inspect.
const InspectSchema = "tidemark.inspect/1"

// Inspect says what is in a checkpoint.
type Inspect struct {
	Schema string `json:"schema"`
	Head
	Operators []Operator `json:"operators"`
	Edges     []Edge     `json:"edges"`
	Losses    []Loss     `json:"losses"`
	Findings  []Finding  `json:"findings"`

	Settings  *[]Setting  `json:"settings,omitempty"` // with --settings
	Subtasks  *[]Subtask  `json:"subtasks,omitempty"` // with --subtasks
	Objects   *[]Object   `json:"objects,omitempty"`  // with --objects
	KeyGroups *[]KeyGroup `json:"keyGroups,omitempty"`
}

// Head is what the summary of a checkpoint says.
type Head struct {
	Path         string            `json:"path"`
	Kind         checkpoint.Kind   `json:"kind"`
	Version      string            `json:"version"`
	ID           Number            `json:"id"`
	Created      Moment            `json:"created"`
	Status       checkpoint.Status `json:"status"`
	Job          Text              `json:"job"`
	Lineage      Text              `json:"lineage"`
	Run          Number            `json:"run"`
	Parent       Number            `json:"parent"` // id, null if there is none
	Software     Text              `json:"software"`
	KeyHash      Text              `json:"keyHash"`
	Finished     bool              `json:"finished"`
	SubtaskCount Number            `json:"subtaskCount"`
	Entries      Number            `json:"entries"`
	Bytes        Number            `json:"bytes"`
	InFlight     InFlight          `json:"inFlight"`
	Watermarks   Watermarks        `json:"watermarks"`
	info         checkpoint.Info
}

// InFlight is the size of in-flight data.
type InFlight struct {
	Bytes   Number `json:"bytes"`
	Records Number `json:"records"`
}

// Watermarks are the lowest and highest watermark, event time in ms.
type Watermarks struct {
	Min EventTime `json:"min"`
	Max EventTime `json:"max"`
}

// Operator is a node of the job graph with its states.
type Operator struct {
	UID         string     `json:"uid"`
	Name        string     `json:"name"`
	Parallelism uint32     `json:"parallelism"`
	KeyGroups   *uint32    `json:"keyGroups"` // null: not keyed
	KeyType     Text       `json:"keyType"`
	Task        uint32     `json:"task"` // operators of one number ran chained
	Watermarks  Watermarks `json:"watermarks"`
	States      []State    `json:"states"`
}

// State is one named state.
type State struct {
	Name    string               `json:"name"`
	Kind    checkpoint.StateKind `json:"kind"`
	Schema  Types                `json:"schema"`
	Edge    Text                 `json:"edge"`
	Entries Number               `json:"entries"`
	Bytes   Number               `json:"bytes"`
	Decoded Number               `json:"decodedBytes"`
}

// Types are the printed schemas of a state.
type Types struct {
	Key       Text `json:"key"`
	Namespace Text `json:"namespace"`
	Value     Text `json:"value"`
}

// Edge is a connection of the job graph.
type Edge struct {
	ID          string                 `json:"id"`
	From        string                 `json:"from"`
	To          string                 `json:"to"`
	Partitioner checkpoint.Partitioner `json:"partitioner"`
	Alignment   checkpoint.Alignment   `json:"alignment"`
	InFlight    InFlight               `json:"inFlight"`
}

// Loss says what a tool removed.
type Loss struct {
	Tool     string     `json:"tool"`
	Created  Moment     `json:"created"`
	Operator Text       `json:"operator"`
	State    Text       `json:"state"`
	Edge     Text       `json:"edge"`
	Place    Text       `json:"place"`
	Reason   string     `json:"reason"`
	Bytes    Number     `json:"bytes"`
	Records  Number     `json:"records"`
	Times    Watermarks `json:"eventTimes"`
}

// Setting is one configuration value of the job.
type Setting struct {
	Key    string `json:"key"`
	Value  string `json:"value"`
	Origin string `json:"origin"`
}

// Subtask is what one subtask wrote of one state.
type Subtask struct {
	Operator string               `json:"operator"`
	State    string               `json:"state"`
	Kind     checkpoint.StateKind `json:"kind"`
	Subtask  uint32               `json:"subtask"`
	Object   string               `json:"object"`
	Offset   Number               `json:"offset"`
	Entries  Number               `json:"entries"`
	Bytes    Number               `json:"bytes"`
	Decoded  Number               `json:"decodedBytes"`
}

// Object is a stored object.
type Object struct {
	Name   string `json:"name"`
	Bytes  Number `json:"bytes"`
	CRC32C Text   `json:"crc32c"`
	Shared bool   `json:"shared"`
}

// KeyGroup is the key groups that one subtask of a keyed operator owned.
type KeyGroup struct {
	Operator string `json:"operator"`
	Subtask  uint32 `json:"subtask"`
	First    int    `json:"first"`
	Last     int    `json:"last"`
	Entries  Number `json:"entries"`
	Bytes    Number `json:"bytes"`
}

// Lists says which long lists an inspection has.
type Lists struct{ Settings, Subtasks, Objects, KeyGroups bool }

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
		d.Edges = append(d.Edges, Edge{e.ID, e.From, e.To, e.Partitioner, e.Alignment, inFlight(e.InFlight)})
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

// AddLists reads the long lists that are wanted.
func (d *Inspect) AddLists(ctx context.Context, c checkpoint.Checkpoint, want Lists) error {
	var err error
	if want.Settings {
		if d.Settings, err = collect(Settings(ctx, c)); err != nil {
			return err
		}
	}
	if want.Subtasks {
		if d.Subtasks, err = collect(Subtasks(ctx, c)); err != nil {
			return err
		}
	}
	if want.Objects {
		if d.Objects, err = collect(Objects(ctx, c)); err != nil {
			return err
		}
	}
	if want.KeyGroups {
		d.KeyGroups, err = collect(d.KeyGroupRows(ctx, c))
	}
	return err
}

// Settings yields the job's configuration.
func Settings(ctx context.Context, c checkpoint.Checkpoint) iter.Seq2[Setting, error] {
	configured, ok := c.(checkpoint.Configured)
	if !ok {
		return nothing[Setting]
	}
	return convert(configured.Settings(ctx), func(s checkpoint.Setting) Setting { return Setting(s) })
}

// Subtasks yields what each subtask wrote of each state.
func Subtasks(ctx context.Context, c checkpoint.Checkpoint) iter.Seq2[Subtask, error] {
	layered, ok := c.(checkpoint.Layered)
	if !ok {
		return nothing[Subtask]
	}
	return convert(layered.Parts(ctx, checkpoint.Selector{}), func(p checkpoint.Part) Subtask {
		return Subtask{p.State.Operator, p.State.Name, p.State.Kind, p.Subtask, p.Object, Number(p.Offset), Number(p.Entries), Number(p.Bytes), Number(p.Decoded)}
	})
}

// Objects yields the stored objects that the checkpoint uses.
func Objects(ctx context.Context, c checkpoint.Checkpoint) iter.Seq2[Object, error] {
	layered, ok := c.(checkpoint.Layered)
	if !ok {
		return nothing[Object]
	}
	return convert(layered.Objects(ctx), func(o checkpoint.Object) Object {
		crc := ""
		if o.HasCRC {
			crc = fmt.Sprintf("%08x", o.CRC)
		}
		return Object{o.Name, Number(o.Bytes), Text(crc), o.Shared}
	})
}

// KeyGroupRows yields the key groups of each subtask of each keyed operator,
// with the sizes of its keyed states and timers.
func (d *Inspect) KeyGroupRows(ctx context.Context, c checkpoint.Checkpoint) iter.Seq2[KeyGroup, error] {
	layered, ok := c.(checkpoint.Layered)
	if !ok {
		return nothing[KeyGroup]
	}
	return func(yield func(KeyGroup, error) bool) {
		for _, op := range d.Operators {
			if op.KeyGroups == nil || *op.KeyGroups > keygroup.MaxGroups || op.Parallelism > keygroup.MaxGroups {
				continue
			}
			rows, err := keyGroups(layered.Parts(ctx, checkpoint.Selector{Operator: op.UID}), op)
			if err != nil {
				yield(KeyGroup{}, err)
				return
			}
			for _, r := range rows {
				if !yield(r, nil) {
					return
				}
			}
		}
	}
}

// keyGroups sums the parts of one operator by subtask.
func keyGroups(parts iter.Seq2[checkpoint.Part, error], op Operator) ([]KeyGroup, error) {
	var rows []KeyGroup
	at := map[uint32]int{}
	for p, err := range parts {
		if err != nil {
			return nil, err
		}
		keyed := p.State.Kind == checkpoint.Keyed || p.State.Kind == checkpoint.Timers
		if !keyed || p.Subtask >= op.Parallelism {
			continue
		}
		i, ok := at[p.Subtask]
		if !ok {
			i = len(rows)
			at[p.Subtask] = i
			r := keygroup.RangeOf(int(p.Subtask), int(*op.KeyGroups), int(op.Parallelism))
			rows = append(rows, KeyGroup{Operator: op.UID, Subtask: p.Subtask, First: r.First, Last: r.Last})
		}
		rows[i].Entries = add(rows[i].Entries, p.Entries)
		rows[i].Bytes = add(rows[i].Bytes, p.Bytes)
	}
	return rows, nil
}

// add sums counts; unknown stays unknown.
func add(a Number, b checkpoint.Count) Number {
	x, known := checkpoint.Count(a).Known()
	y, also := b.Known()
	if !known || !also || x+y < x {
		return Number(checkpoint.UnknownCount)
	}
	return Number(x + y)
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

func nothing[T any](func(T, error) bool) {}

// convert maps the items of an iteration.
func convert[A, B any](in iter.Seq2[A, error], f func(A) B) iter.Seq2[B, error] {
	return func(yield func(B, error) bool) {
		for a, err := range in {
			if err != nil {
				var none B
				yield(none, err)
				return
			}
			if !yield(f(a), nil) {
				return
			}
		}
	}
}

// collect gathers an iteration into a list that is never nil.
func collect[T any](in iter.Seq2[T, error]) (*[]T, error) {
	all := []T{}
	for v, err := range in {
		if err != nil {
			return nil, err
		}
		all = append(all, v)
	}
	return &all, nil
}
