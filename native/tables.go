package native

import (
	"cmp"
	"context"
	"strings"

	"github.com/tidemark-io/tidemark/format"
	"github.com/tidemark-io/tidemark/writer"
)

// Names that the engine gives to channel state and channel watermarks.
const (
	inputState     = "channel.input"
	watermarkState = "watermark.channel"
)

// tables makes the manifest of the result, without slices and objects.
func (j *job) tables() error {
	s := j.src
	sum := s.Summary()
	sum.Kind, sum.Software = format.Savepoint, cmp.Or(j.edit.Software, sum.Software)
	if j.isCheckpoint() {
		sum.Kind = format.Checkpoint
	}
	if sum.Ending == format.Stopped { // `latest` never means a tool's result
		sum.Ending = format.WentOn
	}
	if sum.ParentDir == j.dst {
		sum.Parent, sum.ParentDir = 0, ""
	}
	m := &format.Manifest{Summary: sum, Schemas: s.schemas}
	m.Losses = append(append(m.Losses, s.losses...), j.losses...)
	for _, v := range s.settings {
		if value, ok := j.edit.Settings[v.Key]; ok {
			v.Value, v.Origin = value, "tidemark "+j.edit.Command
		}
		m.Settings = append(m.Settings, v)
	}
	j.manifest = m
	j.operators = make([]int, len(s.operators))
	for i, op := range s.operators {
		if j.gone(i) {
			j.operators[i] = format.None
			continue
		}
		_, next := j.layoutOf(i)
		op.Parallelism, op.KeyGroups, op.UID = uint32(next.Parallelism), uint32(next.Groups), j.uid(i)
		j.operators[i] = len(m.Operators)
		m.Operators = append(m.Operators, op)
	}
	j.edges = make([]int, len(s.edges))
	for i, e := range s.edges {
		if j.edges[i] = format.None; j.channels[i].gone {
			continue
		}
		j.edges[i] = len(m.Edges)
		e.ID, e.InFlightRecords = j.edgeID(i), j.channels[i].records
		e.From, e.To, e.Keys = j.operators[e.From], j.operators[e.To], j.keysOf(i)
		m.Edges = append(m.Edges, e)
	}
	j.stateTable()
	return nil
}

// keysOf is the new row of the operator whose keys the records of an edge have,
// None if they follow no keys any more. Nothing is in flight then, see
// decideChannels.
func (j *job) keysOf(edge int) int {
	if !j.inherits(edge) {
		return format.None
	}
	return j.operators[j.src.edges[edge].Keys]
}

// inherits reports whether the records of an edge still follow the keys of an
// operator: it is there, and each subtask of it is connected with one.
func (j *job) inherits(edge int) bool {
	e := j.src.edges[edge]
	if e.Keys == format.None || j.gone(e.Keys) {
		return false
	}
	_, keyed := j.layoutOf(e.Keys)
	_, from := j.layoutOf(e.From)
	_, to := j.layoutOf(e.To)
	return keyed.Parallelism == from.Parallelism && keyed.Parallelism == to.Parallelism
}

// uid is the new uid of an operator.
func (j *job) uid(operator int) string {
	old := j.src.operators[operator].UID
	return cmp.Or(j.edit.Rename[old], old)
}

// edgeID is the new id of an edge: "from>to#n", as far as the old one is made
// that way.
func (j *job) edgeID(edge int) string {
	e := j.src.edges[edge]
	old := j.src.operators[e.From].UID + ">" + j.src.operators[e.To].UID
	if rest, ok := strings.CutPrefix(e.ID, old); ok {
		return j.uid(e.From) + ">" + j.uid(e.To) + rest
	}
	return e.ID
}

// stateTable numbers the states. Redistributed in-flight data all belongs to the
// receiving side, which may have had none.
func (j *job) stateTable() {
	s := j.src
	j.states = make([]int, len(s.states))
	for row := range s.states {
		j.states[row] = format.None
	}
	for op := range s.operators {
		for row, st := range s.states {
			if st.Operator == op && j.fates[row] != dropped && !(st.Kind == format.KindOutputChannel && j.channels[st.Edge].redistribute && j.channels[st.Edge].bytes > 0) {
				j.states[row] = j.addState(st)
			}
		}
		for edge, e := range s.edges {
			c := &j.channels[edge]
			if e.To != op || c.bytes == 0 || c.whole || !c.redistribute {
				continue
			}
			if len(s.statesOf(edge, format.KindInputChannel)) == 0 {
				input := s.states[s.statesOf(edge, format.KindOutputChannel)[0]] // its records have the same types
				input.Operator, input.Name, input.Kind = op, inputState, format.KindInputChannel
				j.addState(input)
			}
			if len(s.statesOf(edge, format.KindChannelWatermark)) == 0 {
				j.addState(format.State{Operator: op, Name: watermarkState, Kind: format.KindChannelWatermark, Edge: edge, Namespace: format.None, Value: format.None})
			}
		}
	}
}

// addState adds a state whose operator and edge are rows of the source.
func (j *job) addState(st format.State) int {
	st.Operator = j.operators[st.Operator]
	if st.Edge != format.None {
		st.Edge = j.edges[st.Edge]
	}
	st.Entries, st.Bytes, st.Decoded = 0, 0, 0
	j.manifest.States = append(j.manifest.States, st)
	return len(j.manifest.States) - 1
}

// stateOfEdge is the row of a state of an edge in the new manifest.
func (j *job) stateOfEdge(edge int, kind format.Kind) int {
	for row, st := range j.manifest.States {
		if st.Kind == kind && st.Edge == j.edges[edge] {
			return row
		}
	}
	return format.None
}

// spec describes a slice of a state of the new manifest.
func (j *job) spec(row int, subtask uint32) writer.SliceSpec {
	m := j.manifest
	st := m.States[row]
	op := m.Operators[st.Operator]
	spec := writer.SliceSpec{State: row, Operator: op.UID, Parallelism: op.Parallelism, KeyGroups: op.KeyGroups, Name: st.Name, Kind: st.Kind,
		Key: j.src.schema(op.KeySchema), Namespace: j.src.schema(st.Namespace), Value: j.src.schema(st.Value), Subtask: subtask, Interval: everything}
	if st.Edge != format.None {
		spec.Edge = m.Edges[st.Edge].ID
	}
	return spec
}

// writeSlice writes a slice that fill fills; a failure leaves none.
func writeSlice(ctx context.Context, w *writer.Writer, spec writer.SliceSpec, fill func(*writer.Slice) error) (format.Slice, error) {
	sl, err := w.Slice(ctx, spec)
	if err != nil {
		return format.Slice{}, err
	}
	if err := fill(sl); err != nil {
		sl.Abandon()
		return format.Slice{}, err
	}
	return sl.Close()
}

// write writes one slice of a state of the new manifest.
func (j *job) write(row int, subtask uint32, fill func(*writer.Slice) error) error {
	done, err := writeSlice(j.ctx, j.w, j.spec(row, subtask), fill)
	if err != nil {
		return err
	}
	j.manifest.Slices = append(j.manifest.Slices, done)
	j.rewritten.Bytes += done.Bytes
	return nil
}

// keepSlices takes over the slices of all states that stay as they are, and the
// objects they lie in, behind what was written.
func (j *job) keepSlices() {
	m := j.manifest
	m.Objects = j.w.Objects()
	j.rewritten.Objects = len(m.Objects)
	rows := make([]int, len(j.moves))
	for i := range j.moves {
		if rows[i] = format.None; j.moves[i].uses > 0 {
			rows[i] = len(m.Objects)
			o := j.src.objects[i]
			o.Name = j.moves[i].name
			m.Objects = append(m.Objects, o)
		}
	}
	for row, list := range j.src.slices {
		if j.fates[row] != kept {
			continue
		}
		for _, sl := range list {
			if j.hurt[sl.Object] {
				continue // carried
			}
			sl.State, sl.Object = j.states[row], rows[sl.Object]
			m.Slices = append(m.Slices, sl)
		}
	}
}
