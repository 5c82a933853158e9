package format

import (
	"cmp"
	"math"
	"slices"
	"strings"

	"github.com/tidemark-io/tidemark/keygroup"
)

// SharedDir is the directory below the root whose objects several checkpoints
// may use.
const SharedDir = "shared"

// counts are the numbers of rows that references may point to.
type counts struct{ operators, states, edges, objects, schemas int }

// counts of the tables in memory.
func (m *Manifest) counts() counts {
	return counts{len(m.Operators), len(m.States), len(m.Edges), len(m.Objects), len(m.Schemas)}
}

// row requires a reference into a table of n rows.
func row(what string, ref, n int) error {
	if ref < 0 || ref >= n {
		return invalid("reference to %s %d of %d", what, ref, n)
	}
	return nil
}

// optionalRow is row for a reference that may be None.
func optionalRow(what string, ref, n int) error {
	if ref == None {
		return nil
	}
	return row(what, ref, n)
}

// first returns the first error of several.
func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// checkWatermarks requires lowest ≤ highest.
func checkWatermarks(lowest, highest int64) error {
	if lowest > highest {
		return invalid("watermarks from %d to %d", lowest, highest)
	}
	return nil
}

// check applies the rules for the summary. Ids only grow within a root (R9), so
// a parent with a higher id, or a cycle of parents, cannot have been written.
func (s *Summary) check() error {
	if s.Kind != Checkpoint && s.Kind != Savepoint {
		return invalid("kind of checkpoint %d", s.Kind)
	}
	if s.Ending > Finished {
		return invalid("ending %d", s.Ending)
	}
	if s.ID == 0 || s.Parent >= s.ID {
		return invalid("checkpoint %d with parent %d", s.ID, s.Parent)
	}
	if s.ParentDir != "" {
		if err := CheckName(s.ParentDir); err != nil {
			return err
		}
		if s.ParentDir == s.Path || s.Parent == 0 {
			return invalid("parent %d at %q of the checkpoint %q", s.Parent, s.ParentDir, s.Path)
		}
	}
	return first(CheckName(s.Path), checkWatermarks(s.MinWatermark, s.MaxWatermark),
		checkText("job", s.Job, MaxText), checkText("lineage", s.Lineage, MaxText),
		checkText("writer id", s.WriterID, MaxName), checkText("software", s.Software, MaxText),
		checkFilled("hash function", s.Hash, MaxText))
}

// check applies the rules for an operator. With fewer key groups than subtasks
// some subtask would own no key; the engine refuses that at restore, so no
// checkpoint has it (R6).
func (o *Operator) check(n counts) error {
	if o.Parallelism < 1 || o.Parallelism > keygroup.MaxGroups {
		return invalid("operator %q has parallelism %d", o.UID, o.Parallelism)
	}
	if o.KeyGroups > keygroup.MaxGroups || o.KeyGroups > 0 && o.KeyGroups < o.Parallelism {
		return invalid("operator %q has %d key groups at parallelism %d", o.UID, o.KeyGroups, o.Parallelism)
	}
	return first(checkFilled("uid", o.UID, MaxText), checkText("operator name", o.Name, MaxText),
		optionalRow("schema", o.KeySchema, n.schemas), checkWatermarks(o.MinWatermark, o.MaxWatermark))
}

// check applies the rules for a state. Only what users declare has to have a
// name; watermarks and channels are found by their kind and their edge.
func (s *State) check(n counts) error {
	if !s.Kind.Data() {
		return invalid("state %q of kind %d", s.Name, s.Kind)
	}
	if s.Kind <= KindBroadcast && s.Name == "" {
		return invalid("%v state without a name", s.Kind)
	}
	if ofEdge := s.Kind.Channel() || s.Kind == KindChannelWatermark; ofEdge != (s.Edge != None) {
		return invalid("%v state %q with edge %d", s.Kind, s.Name, s.Edge)
	}
	return first(row("operator", s.Operator, n.operators), checkText("state name", s.Name, MaxText),
		optionalRow("edge", s.Edge, n.edges), optionalRow("schema", s.Namespace, n.schemas),
		optionalRow("schema", s.Value, n.schemas))
}

// check applies the rules for an edge.
func (e *Edge) check(n counts) error {
	if e.Partitioner < Forward || e.Partitioner > Custom {
		return invalid("edge %q has partitioner %d", e.ID, e.Partitioner)
	}
	if e.Alignment < Chained || e.Alignment > Mixed {
		return invalid("edge %q has alignment %d", e.ID, e.Alignment)
	}
	if e.Reason > ReasonParallelism {
		return invalid("edge %q with reason %d for its alignment", e.ID, e.Reason)
	}
	if e.Keys != None && e.Partitioner != Forward && e.Partitioner != Rescale {
		return invalid("edge %q with partitioner %d has the keys of operator %d", e.ID, e.Partitioner, e.Keys)
	}
	return first(checkFilled("edge id", e.ID, MaxText), row("operator", e.From, n.operators),
		row("operator", e.To, n.operators), optionalRow("operator", e.Keys, n.operators))
}

// checkKeys requires that the keys whose hashes an edge carries are those of a
// keyed operator, and that the edge connects each of its subtasks with one: else
// the owner of a hash would not be the receiver of the record (R7).
func (m *Manifest) checkKeys(e *Edge) error {
	if e.Keys == None {
		return nil
	}
	keyed := &m.Operators[e.Keys]
	if keyed.KeyGroups == 0 {
		return invalid("edge %q has the keys of operator %q, which has no key groups", e.ID, keyed.UID)
	}
	for _, end := range []int{e.From, e.To} {
		if o := &m.Operators[end]; o.Parallelism != keyed.Parallelism {
			return invalid("edge %q has the keys of operator %q of parallelism %d, but operator %q has %d",
				e.ID, keyed.UID, keyed.Parallelism, o.UID, o.Parallelism)
		}
	}
	return nil
}

// check requires that the object lies in the checkpoint's own directory or in
// the shared one. This is what keeps a manifest from pointing at the objects of
// another checkpoint, which may be removed at any time, or out of the root.
func (o *Object) check(path string) error {
	if err := CheckName(o.Name); err != nil {
		return err
	}
	if !strings.HasPrefix(o.Name, path+"/") && !strings.HasPrefix(o.Name, SharedDir+"/") {
		return invalid("object %q lies neither in %q nor in %q", o.Name, path, SharedDir)
	}
	if o.Length < headerFixed+FooterSize || o.Length > math.MaxInt64 {
		return invalid("object %q of %d bytes", o.Name, o.Length)
	}
	return nil
}

// checkRow applies the rules for a slice that need the sizes of other tables
// only. The subtask is not compared with the parallelism: after a rescale that
// copies no data a slice still names the subtask that wrote it.
func (s *Slice) checkRow(n counts) error {
	if s.Subtask >= keygroup.MaxGroups {
		return invalid("subtask %d", s.Subtask)
	}
	return first(row("state", s.State, n.states), row("object", s.Object, n.objects), s.check())
}

// checkBehind requires that slice s of a state of the kind may follow prev, nil
// if it is the first of its state. Slices by hash ascend and do not overlap.
func (s *Slice) checkBehind(prev *Slice, kind Kind) error {
	if !kind.ByHash() && s.Interval != keygroup.All() {
		return invalid("slice of %v with the interval %v", kind, s.Interval)
	}
	if kind.ByHash() && s.Interval.Empty() {
		return invalid("slice with the empty interval %v", s.Interval)
	}
	if prev != nil && kind.ByHash() && s.Interval.Lo < prev.Interval.Hi {
		return invalid("slices with the intervals %v and %v", prev.Interval, s.Interval)
	}
	if prev != nil && s.compare(prev, kind) <= 0 {
		return invalid("slice of subtask %d behind one of subtask %d", s.Subtask, prev.Subtask)
	}
	return nil
}

// compare is the order of the slices of a manifest.
func (s *Slice) compare(o *Slice, kind Kind) int {
	byHash := 0
	if kind.ByHash() {
		byHash = cmp.Compare(s.Interval.Lo, o.Interval.Lo)
	}
	return cmp.Or(cmp.Compare(s.State, o.State), byHash, cmp.Compare(s.Subtask, o.Subtask),
		cmp.Compare(s.Object, o.Object), cmp.Compare(s.Offset, o.Offset))
}

// check applies the rules for a setting.
func (s *Setting) check() error {
	return first(checkFilled("setting", s.Key, MaxText), checkText("value of "+s.Key, s.Value, MaxText),
		checkText("origin of "+s.Key, s.Origin, MaxText))
}

// check applies the rules for an entry of the loss report. Its texts reach a
// terminal, so they must be printable like all others.
func (l *Loss) check() error {
	return first(checkText("tool", l.Tool, MaxText), checkText("operator", l.Operator, MaxText),
		checkText("state", l.State, MaxText), checkText("edge", l.Edge, MaxText),
		checkText("place", l.Place, MaxText), checkText("reason", l.Reason, MaxText),
		checkWatermarks(l.MinTime, l.MaxTime))
}

// total sets the sums of the states and of the summary from the other tables.
// Sums saturate: a hostile manifest must not get a plausible total by making it
// wrap around.
func (m *Manifest) total() {
	s := &m.Summary
	s.Subtasks, s.Entries, s.StateBytes, s.InFlightBytes, s.InFlightRecords = 0, 0, 0, 0, 0
	for i := range m.Operators {
		s.Subtasks += uint64(m.Operators[i].Parallelism)
	}
	for i := range m.States {
		m.States[i].Entries, m.States[i].Bytes, m.States[i].Decoded = 0, 0, 0
	}
	for i := range m.Slices {
		p := &m.Slices[i]
		if p.State < 0 || p.State >= len(m.States) {
			continue
		}
		t := &m.States[p.State]
		t.Entries = addSaturating(t.Entries, p.Entries)
		t.Bytes = addSaturating(t.Bytes, p.Bytes)
		t.Decoded = addSaturating(t.Decoded, p.Decoded)
	}
	for i := range m.States {
		if t := &m.States[i]; t.Kind <= KindBroadcast {
			s.Entries = addSaturating(s.Entries, t.Entries)
		}
		if t := &m.States[i]; !t.Kind.Channel() {
			s.StateBytes = addSaturating(s.StateBytes, t.Bytes)
		}
	}
	for i := range m.Edges {
		s.InFlightBytes = addSaturating(s.InFlightBytes, m.Edges[i].InFlightBytes)
		s.InFlightRecords = addSaturating(s.InFlightRecords, m.Edges[i].InFlightRecords)
	}
}

// sortSlices brings the slices into the order of the file.
func (m *Manifest) sortSlices() {
	kind := func(s *Slice) Kind {
		if s.State < 0 || s.State >= len(m.States) {
			return 0
		}
		return m.States[s.State].Kind
	}
	slices.SortFunc(m.Slices, func(a, b Slice) int { return a.compare(&b, kind(&a)) })
}
