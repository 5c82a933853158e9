package reader

import (
	"context"
	"fmt"

	"github.com/tidemark-io/tidemark/checkpoint"
	"github.com/tidemark-io/tidemark/format"
)

// maxFrame bounds a record in flight, in bytes: the largest that a job can be
// configured for.
const maxFrame = 1 << 30

// flightChecks are the checks of the records in flight, one for each edge whose
// record type is known. They are apart from those of the objects because a record
// may begin in one object and end in another one. Of a sample they are a share of
// the edges: a record can only be joined if all before it is read.
func (m *Model) flightChecks(sample *sampler) (list []checkpoint.Check, err error) {
	edges, err := m.c.Edges()
	if err != nil {
		return nil, err
	}
	states, err := m.c.States()
	if err != nil {
		return nil, err
	}
	for row, e := range edges {
		sides, _, err := (&joiner{m: m}).sides(row)
		if err != nil {
			return nil, err
		}
		var bytes uint64
		typed := false
		for _, s := range sides {
			bytes += states[s.row].Bytes
			typed = typed || states[s.row].Value != format.None
		}
		if !typed || bytes == 0 || sample != nil && !sample.takes(e.ID, 0) {
			continue
		}
		list = append(list, checkpoint.Check{Name: m.c.dir + ", in flight on " + e.ID, Bytes: bytes,
			Run: func(ctx context.Context, report func(checkpoint.Finding)) error {
				f := &flightCheck{m: m, row: row, edge: e, sides: sides, report: report}
				return f.run(ctx)
			}})
	}
	return list, nil
}

// flightCheck joins the records in flight on one edge and decodes them by their
// type. What is damaged is left out: the checks of the objects name it.
type flightCheck struct {
	m      *Model
	row    int // of Edges
	edge   format.Edge
	sides  []channelSide
	report func(checkpoint.Finding)

	types map[int]*format.Schema // of the states' records, by row of States
	lost  bool                   // something before could not be read
	at    string                 // the object that is being read
}

// run does the check. Errors are failures of the storage.
func (f *flightCheck) run(ctx context.Context) error {
	if err := f.join(ctx); !isDamage(err) {
		return err
	}
	return nil // the manifest's check has said it
}

// join joins both sides of the edge's channels.
func (f *flightCheck) join(ctx context.Context) error {
	f.types = map[int]*format.Schema{}
	states, err := f.m.c.States()
	if err != nil {
		return err
	}
	for _, s := range f.sides {
		if f.types[s.row], err = f.m.c.schema(states[s.row].Value); err != nil {
			return err
		}
	}
	j := &joiner{m: f.m, edgeID: f.edge.ID, flows: map[flowID]*flow{}, limit: maxFrame}
	j.yield = func(r checkpoint.Record, _ error) bool {
		f.record(j.sequence, r)
		return true
	}
	for _, side := range f.sides {
		if err := f.side(ctx, j, side); err != nil {
			return err
		}
	}
	return j.end()
}

// side joins what one side of the channels holds.
func (f *flightCheck) side(ctx context.Context, j *joiner, side channelSide) error {
	objects, err := f.m.c.Objects()
	if err != nil {
		return err
	}
	for sl, err := range f.m.c.Slices(ctx, side.row) {
		if err != nil {
			return err
		}
		if sl.Blocks == 0 {
			continue
		}
		f.at = objects[sl.Object].Name
		var failed error
		f.m.c.survivors(ctx, sl, side.kind, func(LostBuffers) { f.lost = true }, func(r Row[format.Buffer], err error) bool {
			if err == nil {
				err = j.buffer(origin{side, r.Subtask}, &r.Row)
			}
			failed = err
			return err == nil
		})
		if failed != nil {
			return failed
		}
	}
	return nil
}

// record decodes one record that was joined. sequence is that of the buffer in
// which it begins.
func (f *flightCheck) record(sequence uint64, r checkpoint.Record) {
	schema := f.types[r.State.Row]
	if schema == nil {
		return
	}
	switch r.Element {
	case checkpoint.ElementRecord:
		if err := validate("record", schema, r.Payload); err != nil {
			f.finding(sequence, r, "a record in flight is not of the type of its connection", err)
		}
	case checkpoint.ElementTorn:
		if !f.lost { // else it is torn because of what was found damaged
			f.finding(sequence, r, "a part of a record in flight is missing, or is no record",
				fmt.Errorf("%w: %d bytes without the rest", format.ErrMalformed, len(r.Payload)))
		}
	}
}

// finding reports a record.
func (f *flightCheck) finding(sequence uint64, r checkpoint.Record, problem string, err error) {
	place := checkpoint.At(f.at)
	place.Operator, place.State, place.Subtask, place.Edge = r.State.Operator, r.State.Name, int(r.Subtask), f.edge.ID
	f.report(checkpoint.Finding{Severity: checkpoint.Error, Place: place, Err: err, Remedy: f.remedy(r),
		Problem: fmt.Sprintf("%s: on %s, from subtask %d to subtask %d, generation %d, in the buffer with sequence number %d",
			problem, f.edge.ID, r.Sender, r.Receiver, r.Generation, sequence)})
}

// remedy leaves out the record's channel: its bytes are what was written, so that
// nothing can be taken from elsewhere.
func (f *flightCheck) remedy(r checkpoint.Record) string {
	operators, err := f.m.c.Operators()
	if err != nil || f.edge.To < 0 || f.edge.To >= len(operators) {
		return f.m.c.remedy("strip", "DST", "--in-flight", "all")
	}
	gate, err := f.m.gate(format.State{Operator: f.edge.To, Kind: format.KindInputChannel, Edge: f.row})
	if err != nil {
		gate = f.edge.ID
	}
	one := func(n uint32) *checkpoint.Span { return &checkpoint.Span{First: uint64(n), Last: uint64(n)} }
	sel := checkpoint.Selector{Operator: operators[f.edge.To].UID, Subtasks: one(r.Receiver), Channel: &checkpoint.Channel{Gate: gate, Index: one(r.Sender)}}
	return f.m.c.remedy("strip", "DST", "--in-flight", shellWord(sel.String()))
}
