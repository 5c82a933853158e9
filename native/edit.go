package native

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path"
	"strings"
	"time"

	"github.com/tidemark-io/tidemark/checkpoint"
	"github.com/tidemark-io/tidemark/checkpoint/layout"
	"github.com/tidemark-io/tidemark/format"
	"github.com/tidemark-io/tidemark/rescale"
	"github.com/tidemark-io/tidemark/store"
	"github.com/tidemark-io/tidemark/writer"
)

// job is one edit: first what follows from the source alone, then the writing.
type job struct {
	ctx      context.Context
	src      *source
	edit     checkpoint.Edit
	st       store.Store // of the destination
	dst      string
	progress func(checkpoint.Progress)
	done     uint64
	total    uint64

	fates    []fate    // by state
	channels []channel // by edge
	losses   []format.Loss
	external []string
	copied   []string     // what was made of them, as they are now
	moves    []move       // by object of the source
	hurt     map[int]bool // objects with damage in what is dropped: the rest of them is written anew

	w         *writer.Writer
	manifest  *format.Manifest
	operators []int // row in the new manifest by row in the source, None if dropped
	states    []int
	edges     []int
	made      []string // objects that were linked or copied, to take back
	rewritten checkpoint.Volume
}

// fate is what becomes of a state.
type fate uint8

// Fates of states.
const (
	kept    fate = iota // its slices stay as they are
	dropped             // not taken over
	anew                // written again with other content
)

// prepare decides everything that does not need the data, and reads the data
// that decides about losses.
func (f *Format) prepare(ctx context.Context, src checkpoint.Checkpoint, edit checkpoint.Edit, dst string) (*job, error) {
	s, err := openSource(ctx, src)
	if err != nil {
		return nil, err
	}
	if err := s.check(ctx, src, edit); err != nil {
		return nil, err
	}
	if edit.External == checkpoint.ExternalCopy && edit.CopyExternal == nil {
		return nil, &checkpoint.EditError{Mistakes: []string{"files outside cannot be copied to this destination"}}
	}
	if edit.Version != "" {
		return nil, &checkpoint.EditError{Mistakes: []string{fmt.Sprintf("a native checkpoint cannot be written in version %q", edit.Version)}}
	}
	if len(edit.KeyHash) > 0 {
		return nil, &checkpoint.EditError{Mistakes: []string{"a native checkpoint stores the hashes of keys; only of Flink's can be said how they are computed"}}
	}
	j := &job{ctx: ctx, src: s, edit: edit, st: f.st, dst: dst, fates: make([]fate, len(s.states)), hurt: map[int]bool{}}
	for _, step := range []func() error{j.checkDestination, j.decideDrops, j.decideLists, j.decideChannels, j.decideExternal, j.decideObjects} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	return j, nil
}

// checkDestination requires that nothing is at the destination, and that its
// name is not one that says something else than what will be there.
func (j *job) checkDestination() error {
	if err := format.CheckName(j.dst); err != nil {
		return &checkpoint.EditError{Mistakes: []string{fmt.Sprintf("%q cannot be the name of a checkpoint: lower-case letters, digits, dots, hyphens and underscores can", j.dst)}}
	}
	id, savepoint, named := layout.ParseDir(j.dst)
	sum := j.src.Summary()
	switch {
	case !named || savepoint:
	case !j.edit.KeepKind || sum.Kind != format.Checkpoint || id != sum.ID:
		return &checkpoint.EditError{Mistakes: []string{fmt.Sprintf("%q is the name of a checkpoint that a job takes; the result is a savepoint, so call it %s or something else",
			path.Base(j.dst), layout.Savepoint(max(id, 1)))}}
	}
	for info, err := range j.st.List(j.ctx, j.dst+"/") {
		if err != nil {
			return err
		}
		return fmt.Errorf("%s: %w: it holds %s", j.dst, checkpoint.ErrExists, path.Base(info.Name))
	}
	return nil
}

// isCheckpoint reports whether the result is a checkpoint and no savepoint.
func (j *job) isCheckpoint() bool {
	_, savepoint, named := layout.ParseDir(j.dst)
	return j.edit.KeepKind && named && !savepoint
}

// layoutOf is the old and the new layout of an operator.
func (j *job) layoutOf(operator int) (old, next rescale.Layout) {
	op := j.src.operators[operator]
	l := j.edit.Layouts[op.UID]
	old = rescale.Layout{Groups: int(op.KeyGroups), Parallelism: int(op.Parallelism)}
	next = rescale.Layout{Groups: int(cmp.Or(l.KeyGroups, op.KeyGroups)), Parallelism: int(cmp.Or(l.Parallelism, op.Parallelism))}
	return old, next
}

// run writes the checkpoint. Whatever goes wrong, what was made is removed
// again.
func (j *job) run() (err error) {
	sum := j.src.Summary()
	j.w, err = writer.New(writer.Options{Store: j.st, Dir: j.dst, ID: sum.ID, AnyDir: true, Objects: 1})
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = j.takeBack(err)
		}
	}()
	for _, step := range []func() error{j.tables, j.writeLists, j.writeTimes, j.writeChannels, j.carry, j.moveObjects} {
		if err := step(); err != nil {
			return err
		}
	}
	if err := j.w.Seal(j.ctx); err != nil {
		return err
	}
	j.keepSlices()
	return j.w.Commit(j.ctx, j.manifest)
}

// takeBack removes what an edit that failed has made. The manifest goes first,
// if it came that far; unless that is certain nothing else is removed.
func (j *job) takeBack(cause error) error {
	if ended := j.ctx.Err(); ended != nil {
		cause = context.Cause(j.ctx)
	}
	ctx := context.WithoutCancel(j.ctx)
	if err := j.w.Abort(ctx); err != nil {
		return errors.Join(cause, err)
	}
	for _, name := range j.made {
		if err := j.st.Remove(ctx, name, ""); err != nil && !errors.Is(err, store.ErrNotExist) {
			cause = errors.Join(cause, err)
		}
	}
	if errors.Is(cause, store.ErrExist) {
		return fmt.Errorf("%s: %w: %w", j.dst, checkpoint.ErrExists, cause)
	}
	return cause
}

// advance reports progress.
func (j *job) advance(bytes uint64) {
	j.done += bytes
	if j.progress != nil {
		j.progress(checkpoint.Progress{Done: j.done, Total: max(j.total, j.done)})
	}
}

// outcome describes what the edit does or has done.
func (j *job) outcome() (checkpoint.Outcome, error) {
	out := checkpoint.Outcome{External: j.external, Rewritten: j.rewritten}
	if len(j.copied) > 0 {
		out.External = j.copied[:min(len(j.copied), maxExternal)]
	}
	if j.w == nil { // planned only: about what is there now
		for row, list := range j.src.slices {
			for _, sl := range list {
				if j.fates[row] == anew || j.fates[row] == kept && j.hurt[sl.Object] {
					out.Rewritten.Objects, out.Rewritten.Bytes = 1, out.Rewritten.Bytes+sl.Bytes
				}
			}
		}
	}
	for _, l := range j.losses {
		out.Losses = append(out.Losses, modelLoss(l))
	}
	for i, m := range j.moves {
		size := j.src.objects[i].Length
		switch {
		case m.uses == 0:
		case m.linked:
			out.Linked.Objects++
			out.Linked.Bytes += size
		default:
			out.Copied.Objects++
			out.Copied.Bytes += size
		}
	}
	for i := range j.channels {
		c := &j.channels[i]
		e := j.src.edges[i]
		o := checkpoint.ChannelOutcome{Edge: e.ID, From: j.src.operators[e.From].UID, To: j.src.operators[e.To].UID, Fate: c.fate(),
			Before: checkpoint.Totals{Bytes: checkpoint.Count(j.src.inFlightBytes(i)), Records: checkpoint.Count(e.InFlightRecords)}}
		o.After = c.after(o.Before)
		out.Channels = append(out.Channels, o)
	}
	return out, nil
}

// modelLoss is a row of the loss report in the terms of the model.
func modelLoss(l format.Loss) checkpoint.Loss {
	return checkpoint.Loss{Tool: l.Tool, Created: time.Unix(0, l.Created).UTC(), Operator: l.Operator, State: l.State, Edge: l.Edge, Place: l.Place,
		Reason: l.Reason, Bytes: l.Bytes, Records: l.Records, MinTime: l.MinTime, MaxTime: l.MaxTime}
}

// text makes user input fit for the manifest.
func text(s string) string {
	s = strings.ToValidUTF8(s, "?")
	if len(s) > 1000 {
		s = strings.ToValidUTF8(s[:1000], "") + "…"
	}
	return s
}
