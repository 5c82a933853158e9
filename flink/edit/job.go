package edit

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/tidemark-io/tidemark/checkpoint"
	"github.com/tidemark-io/tidemark/checkpoint/layout"
	"github.com/tidemark-io/tidemark/flink"
	"github.com/tidemark-io/tidemark/flink/metadata"
	"github.com/tidemark-io/tidemark/flink/serde"
	"github.com/tidemark-io/tidemark/store"
)

// job is one edit: first what follows from the source alone, then the writing.
type job struct {
	ctx      context.Context
	src      *flink.Checkpoint
	m        *metadata.Metadata // the result's, a copy of the source's at first
	edit     checkpoint.Edit
	st       store.Store // of the destination
	dst      string
	progress func(checkpoint.Progress)
	done     uint64
	total    uint64

	hints     map[string]map[string]serde.Formula // of hash codes, by operator and class
	losses    []checkpoint.Loss
	channels  []checkpoint.ChannelOutcome
	external  []string
	files     files
	rewritten checkpoint.Volume
	anew      []*rewrite // operators whose state is written again
	made      []string   // objects that were made, to take back
	mend
}

// prepare decides everything that does not need the data, and reads the data
// that decides about losses. The result's metadata is complete then, but for
// what is written again.
func (f *Format) prepare(ctx context.Context, src checkpoint.Checkpoint, edit checkpoint.Edit, dst string) (*job, error) {
	c, ok := src.(*flink.Checkpoint)
	if !ok {
		return nil, fmt.Errorf("%s: %w: it is no checkpoint of Flink", src.Info().Path, checkpoint.ErrUnsupported)
	}
	m, err := clone(c.Metadata())
	if err != nil {
		return nil, err
	}
	j := &job{ctx: ctx, src: c, m: m, edit: edit, st: f.st, dst: dst}
	if edit.Salvage != nil {
		return j, j.prepareSalvage()
	}
	if err := j.resolve(); err != nil {
		return nil, err
	}
	for _, step := range []func() error{
		j.checkDestination, j.dropInFlight, j.dropOperators, j.dropStates, j.decideLayouts, j.decideVersion, j.decideRewrites, j.checkWritable, j.decideFiles, j.rename,
	} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	return j, nil
}

// clone copies metadata, by way of its bytes.
func clone(m *metadata.Metadata) (*metadata.Metadata, error) {
	b, err := metadata.Append(nil, m)
	if err != nil {
		return nil, err
	}
	return metadata.Decode(flink.MetadataName, b, nil)
}

// checkDestination requires that nothing is at the destination, and that its
// name is not one that says something else than what will be there.
func (j *job) checkDestination() error {
	if err := store.CheckName(layout.Join(j.dst, flink.MetadataName)); j.dst == "" || err != nil {
		return &checkpoint.EditError{Mistakes: []string{fmt.Sprintf("%q cannot be the name of a checkpoint: lower-case letters, digits, dots, hyphens and underscores can", j.dst)}}
	}
	id, savepoint, named := layout.ParseDir(j.dst)
	if named && !savepoint && (!j.edit.KeepKind || id != uint64(j.m.CheckpointID)) {
		return &checkpoint.EditError{Mistakes: []string{fmt.Sprintf("%q is the name of a checkpoint that a job takes; the result is like a savepoint, so call it %s or something else",
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

// loss begins a row of the loss report of this edit.
func (j *job) loss(operator, state, why string) checkpoint.Loss {
	return checkpoint.Loss{Tool: cmp.Or(j.edit.Command, "edit"), Created: time.Now().UTC(), Operator: operator, State: state, Reason: why,
		Place: checkpoint.Selector{Operator: operator, State: state}.String(), MinTime: checkpoint.UnknownTime, MaxTime: checkpoint.UnknownTime}
}

// name is what an operator is called in messages.
func (j *job) name(op *metadata.Operator) string { return j.src.OperatorName(op.ID) }

// run writes the checkpoint. Whatever goes wrong, what was made is removed
// again.
func (j *job) run() (err error) {
	defer func() {
		if err != nil {
			err = j.takeBack(err)
		}
	}()
	for _, step := range []func() error{j.moveFiles, j.writeAnew, j.writeMended, j.writeLosses, j.writeMetadata} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// writeLosses writes the loss report: what earlier tools lost and what this one
// does.
func (j *job) writeLosses() error {
	var all []checkpoint.Loss
	for l, err := range j.src.Losses(j.ctx) {
		if err != nil {
			return err
		}
		all = append(all, l)
	}
	if all = append(all, j.losses...); len(all) == 0 {
		return nil
	}
	b, err := flink.AppendLosses(nil, all)
	if err != nil {
		return err
	}
	return j.write(flink.LossesName, b)
}

// writeMetadata commits the result.
func (j *job) writeMetadata() error {
	b, err := metadata.Append(nil, j.m)
	if errors.Is(err, metadata.ErrInvalid) {
		return checkpoint.Refuse(checkpoint.At(flink.MetadataName), err.Error(), "the same command with other options")
	}
	if err != nil {
		return err
	}
	return j.write(flink.MetadataName, b)
}

// write makes an object of the destination.
func (j *job) write(name string, data []byte) error {
	name = layout.Join(j.dst, name)
	_, err := store.WriteAll(j.ctx, j.st, name, data)
	j.note(name, err)
	return err
}

// note remembers an object to take back, also when only the reply about it may
// have been lost.
func (j *job) note(name string, err error) {
	if !errors.Is(err, store.ErrExist) {
		j.made = append(j.made, name)
	}
}

// takeBack removes what an edit that failed has made, the metadata first.
func (j *job) takeBack(cause error) error {
	if j.ctx.Err() != nil {
		cause = context.Cause(j.ctx)
	}
	ctx := context.WithoutCancel(j.ctx)
	for i := len(j.made) - 1; i >= 0; i-- {
		if err := j.st.Remove(ctx, j.made[i], ""); err != nil && !errors.Is(err, store.ErrNotExist) {
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
func (j *job) outcome() checkpoint.Outcome {
	out := checkpoint.Outcome{Losses: j.losses, Channels: j.channels, External: j.external, Rewritten: j.rewritten, Salvaged: j.salvaged(), KeyHash: map[string]string{}}
	for _, r := range j.anew {
		if r.keyed == nil {
			continue
		}
		var of []string
		for _, class := range slices.Sorted(maps.Keys(r.keyed.KeyHash())) {
			of = append(of, class+": "+r.keyed.KeyHash()[class].String())
		}
		if of != nil {
			out.KeyHash[j.name(&r.from)] = strings.Join(of, "; ")
		}
	}
	for _, f := range j.files.list {
		v := &out.Copied
		if f.linked {
			v = &out.Linked
		}
		v.Objects++
		v.Bytes += uint64(max(f.size, 0))
	}
	return out
}
