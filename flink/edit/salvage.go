package edit

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/tidemark-io/tidemark/checkpoint"
	"github.com/tidemark-io/tidemark/flink"
	"github.com/tidemark-io/tidemark/flink/canonical"
	"github.com/tidemark-io/tidemark/flink/metadata"
	"github.com/tidemark-io/tidemark/flink/wire"
	"github.com/tidemark-io/tidemark/store"
)

// mend is what a salvage decides and has to write.
type mend struct {
	strands []*strand       // in-flight data that is written to a new file
	lists   []*mendedLists  // operator state that is written to a new file
	damaged map[string]bool // objects of which not all reads
}

// prepareSalvage decides what is left of a damaged checkpoint. Damage is what verify
// finds; of everything else the handles stay as they are.
func (j *job) prepareSalvage() error {
	e := &j.edit
	switch {
	case len(e.Layouts)+len(e.Drop)+len(e.Rename)+len(e.Settings) > 0 || e.KeepKind || e.Version != "":
		return &checkpoint.EditError{Mistakes: []string{"a salvage changes nothing else: salvage first, then edit the result"}}
	case e.Salvage.Older != nil:
		return &checkpoint.EditError{Mistakes: []string{"holes in checkpoints of Flink are not filled from an older one: leave out --older"}}
	case e.Salvage.RepairBits:
		return &checkpoint.EditError{Mistakes: []string{"checkpoints of Flink have no checksum of each block by which a bit could be found: leave out --repair-bits"}}
	}
	for _, step := range []func() error{
		j.checkDestination, j.salvageFlight, j.salvageLists, j.salvageKeyed, j.decideRewrites, j.surveyKeyed, j.checkWritable, j.decideFiles,
	} {
		err := step()
		if errors.Is(err, flink.ErrOutside) {
			return checkpoint.Refuse(checkpoint.At(j.src.Dir()), fmt.Sprintf("state that is damaged lies partly outside the folder that was opened: %v", err),
				"move the checkpoint and that file below one folder")
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// damagedObject notes an object of which not all reads.
func (j *job) damagedObject(name string) {
	if name == "" {
		name = j.metadataName()
	}
	if j.damaged == nil {
		j.damaged = map[string]bool{}
	}
	j.damaged[name] = true
}

// metadataName is the name of the source's metadata, where inline data lies.
func (j *job) metadataName() string {
	for o, err := range j.src.Objects(j.ctx) {
		if err == nil {
			return o.Name // the metadata is the first
		}
		break
	}
	return j.src.Dir()
}

// source finds an operator of the copy in the source's own metadata.
func (j *job) source(op *metadata.Operator) *metadata.Operator {
	m := j.src.Metadata()
	for i := range m.Operators {
		if m.Operators[i].ID == op.ID {
			return &m.Operators[i]
		}
	}
	return nil
}

// damage is what is wrong with the state of one role of a subtask, "" if nothing is.
func (j *job) damage(op *metadata.Operator, subtask int32, role metadata.Role) (*checkpoint.Finding, error) {
	from := j.source(op)
	for i := range from.Subtasks {
		if from.Subtasks[i].Index != subtask {
			continue
		}
		f, err := j.src.Damage(j.ctx, from, &from.Subtasks[i], role)
		if f != nil && f.Place.Object != "" {
			j.damagedObject(f.Place.Object)
		}
		return f, err
	}
	return nil, nil
}

// salvageKeyed finds operators with damaged keyed state. All of their keyed state is
// written anew, in the canonical form: a job restores what its subtasks have in one
// form only.
func (j *job) salvageKeyed() error {
	for i := range j.m.Operators {
		op := &j.m.Operators[i]
		hurt := false
		for k := range op.Subtasks {
			s := op.Subtasks[k].State
			if s == nil {
				continue
			}
			if s.ManagedKeyed != nil {
				f, err := j.damage(op, op.Subtasks[k].Index, metadata.RoleManagedKeyed)
				if err != nil {
					return err
				}
				hurt = hurt || f != nil
			}
			is, err := j.salvageRaw(op, op.Subtasks[k].Index, s)
			if err != nil {
				return err
			}
			hurt = hurt || is
		}
		if !hurt && hasKeys(op) {
			is, err := canonical.StrangeHeader(j.ctx, j.src, op)
			if err != nil && !errors.Is(err, store.ErrNotExist) {
				return err
			}
			hurt = is
		}
		if hurt {
			j.rewriteOf(op)
		}
	}
	return nil
}

// salvageRaw decides about raw keyed state: timers that are damaged are written anew
// with everything else, which hurt says; state of the operator's own is left out if
// its file is not whole.
func (j *job) salvageRaw(op *metadata.Operator, subtask int32, s *metadata.SubtaskState) (hurt bool, err error) {
	if s.RawKeyed == nil {
		return false, nil
	}
	f, err := j.damage(op, subtask, metadata.RoleRawKeyed)
	if f == nil || err != nil {
		return false, err
	}
	if errors.As(f.Err, new(*wire.Error)) && f.Place.Object != "" {
		return true, nil
	}
	l := j.loss(j.name(op), rawKeyedName, fmt.Sprintf("%s of subtask %d: %s", rawKeyedName, subtask, problem(f)))
	j.losses = append(j.losses, l)
	s.RawKeyed = nil
	return false, nil
}

// problem is what a finding says, without its place.
func problem(f *checkpoint.Finding) string {
	if f.Err == nil {
		return f.Problem
	}
	return fmt.Sprintf("%s: %v", f.Problem, f.Err)
}

// surveyKeyed reads the keyed state that is written anew, and reports what does not
// read of it.
func (j *job) surveyKeyed() error {
	for _, r := range j.anew {
		if r.keyed == nil {
			continue
		}
		if err := r.keyed.Survey(); err != nil {
			return err
		}
		j.reportHoles(r)
	}
	return nil
}

// reportHoles makes a row of the loss report for each state of an operator that has
// lost entries, and one for those of which nothing says whose they were.
func (j *job) reportHoles(r *rewrite) {
	for _, name := range r.holeStates() {
		list := r.holes[name]
		l := j.loss(j.name(r.op), name, "")
		var groups []checkpoint.Span
		for _, h := range list {
			l.Records, l.Bytes = l.Records+h.Entries, l.Bytes+h.Bytes
			groups = append(groups, checkpoint.Span{First: uint64(h.Groups.First), Last: uint64(h.Groups.Last)})
		}
		merged := merge(groups)
		sel := checkpoint.Selector{Operator: j.name(r.op), State: name, KeyGroups: &checkpoint.Span{First: merged[0].First, Last: merged[len(merged)-1].Last}}
		l.Place = sel.String()
		what := "entries of state " + name
		if name == "" {
			what = "entries of any of the keyed states"
			l.State = keyedName
		}
		l.Reason = fmt.Sprintf("%s do not read in key groups %s: %v", what, spans(merged), list[0].Err)
		if l.Records > 0 {
			l.Reason += fmt.Sprintf("; %d or more of them", l.Records)
		}
		j.losses = append(j.losses, l)
	}
}

// holeStates are the states that have holes, in order.
func (r *rewrite) holeStates() (names []string) {
	for name := range r.holes {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// merge joins spans that touch.
func merge(list []checkpoint.Span) (merged []checkpoint.Span) {
	slices.SortFunc(list, func(a, b checkpoint.Span) int { return cmp.Compare(a.First, b.First) })
	for _, sp := range list {
		if n := len(merged); n > 0 && sp.First <= merged[n-1].Last+1 {
			merged[n-1].Last = max(merged[n-1].Last, sp.Last)
			continue
		}
		merged = append(merged, sp)
	}
	return merged
}

// spans writes spans.
func spans(list []checkpoint.Span) string {
	words := make([]string, len(list))
	for i, sp := range list {
		words[i] = sp.String()
	}
	return named(words)
}

// salvaged says what a salvage found.
func (j *job) salvaged() *checkpoint.Salvaged {
	if j.edit.Salvage == nil {
		return nil
	}
	s := &checkpoint.Salvaged{}
	for name := range j.damaged {
		s.Damaged = append(s.Damaged, name)
	}
	slices.Sort(s.Damaged)
	return s
}

// bufferSize is how much in-flight data is put into one buffer of a new file, in
// bytes: that of a network buffer (taskmanager.memory.segment-size).
const bufferSize = 32 << 10

// writeMended writes what is left of damaged in-flight data and operator state.
func (j *job) writeMended() error {
	for _, l := range j.lists {
		if err := j.writeLists(l); err != nil {
			return err
		}
	}
	left := func(x *strand) bool { return x.total > x.lost }
	if !slices.ContainsFunc(j.strands, left) {
		return nil
	}
	out, err := j.createNamed("in-flight")
	if err != nil {
		return err
	}
	w := &flightWriter{out: bufio.NewWriterSize(out, 256<<10), r: channelReader{ctx: j.ctx, src: j.src}}
	defer w.r.close()
	w.write(wire.AppendI32(nil, 0)) // the version
	delegate := &metadata.RelativeFile{}
	var where []metadata.Channel
	for _, x := range j.strands {
		c := metadata.Channel{Gate: x.Gate, Channel: x.Channel.Channel}
		if left(x) {
			if err := w.strand(x, &c); err != nil {
				return errors.Join(err, out.Abort())
			}
		}
		where = append(where, c)
	}
	if err := w.out.Flush(); err != nil {
		return errors.Join(err, out.Abort())
	}
	delegate.Size = w.at
	if delegate.Path, err = out.Commit(); err != nil {
		return err
	}
	for i, x := range j.strands {
		if len(where[i].Offsets) > 0 {
			j.refer(x, where[i], delegate)
		}
	}
	return nil
}

// refer puts a channel of the new file into the metadata.
func (j *job) refer(x *strand, c metadata.Channel, delegate *metadata.RelativeFile) {
	for k := range x.op.Subtasks {
		if x.op.Subtasks[k].Index != x.subtask {
			continue
		}
		s := x.op.Subtasks[k].State
		list := &s.Input
		if x.output {
			list = &s.Output
		}
		if j.m.Version >= metadata.Version6 {
			for i := range *list {
				if h := &(*list)[i]; h.Merged && h.Delegate == metadata.StreamHandle(delegate) {
					h.Channels, h.Size = append(h.Channels, c), h.Size+c.Size
					return
				}
			}
		}
		*list = append(*list, metadata.ChannelHandle{Subtask: x.subtask, Merged: j.m.Version >= metadata.Version6, Size: c.Size, Channels: []metadata.Channel{c}, Delegate: delegate})
	}
}

// flightWriter writes a file of in-flight data. Its first error stays.
type flightWriter struct {
	out *bufio.Writer
	r   channelReader
	at  int64
	buf []byte
	err error
}

func (w *flightWriter) write(b []byte) {
	if w.err == nil {
		_, w.err = w.out.Write(b)
		w.at += int64(len(b))
	}
}

// strand writes what is left of a strand, and says where.
func (w *flightWriter) strand(x *strand, c *metadata.Channel) error {
	w.buf = w.buf[:0]
	flush := func() {
		if len(w.buf) == 0 {
			return
		}
		c.Offsets = append(c.Offsets, w.at)
		c.Size += channelHeader + int64(len(w.buf))
		w.write(wire.AppendI32(nil, int32(len(w.buf))))
		w.write(w.buf)
		w.buf = w.buf[:0]
	}
	keep := x.keep
	if x.lost == 0 {
		keep = []span{{0, int(x.total)}}
	}
	at := 0
	err := w.r.pieces(x, func(b []byte) error {
		for len(b) > 0 && len(keep) > 0 {
			if at >= keep[0].to {
				keep = keep[1:]
				continue
			}
			skip := min(max(keep[0].from-at, 0), len(b))
			b, at = b[skip:], at+skip
			n := min(len(b), keep[0].to-at, bufferSize-len(w.buf))
			if skip > 0 && n <= 0 {
				continue
			}
			w.buf = append(w.buf, b[:n]...)
			b, at = b[n:], at+n
			if len(w.buf) == bufferSize {
				flush()
			}
		}
		at += len(b)
		return w.err
	}, nil)
	flush()
	return errors.Join(err, w.err)
}
