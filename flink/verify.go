package flink

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"

	"github.com/tidemark-io/tidemark/checkpoint"
	"github.com/tidemark-io/tidemark/checkpoint/layout"
	"github.com/tidemark-io/tidemark/flink/metadata"
	"github.com/tidemark-io/tidemark/flink/wire"
	"github.com/tidemark-io/tidemark/store"
)

// Checks yields what must be checked at a level: the metadata in itself, then the
// files it names, then for each subtask what it wrote. Flink's files have no
// checksums of their own, except where they are compressed or of RocksDB.
func (c *Checkpoint) Checks(ctx context.Context, level checkpoint.Level) iter.Seq2[checkpoint.Check, error] {
	return func(yield func(checkpoint.Check, error) bool) {
		if !yield(checkpoint.Check{Name: c.name, Bytes: uint64(c.size), Run: c.checkStructure}, nil) || level < checkpoint.LevelRefs {
			return
		}
		if !yield(checkpoint.Check{Name: c.place(), Run: c.checkRefs}, nil) || level < checkpoint.LevelChecksums {
			return
		}
		c.contentChecks(level, yield)
	}
}

// place names the checkpoint where the empty path would not.
func (c *Checkpoint) place() string {
	if c.dir == "" {
		return "."
	}
	return c.dir
}

// remedy is a command of the tool on this checkpoint.
func (c *Checkpoint) remedy(verb string, args ...string) string {
	return strings.Join(append([]string{"tidemark", verb, shellWord(c.f.opts.show(c.place()))}, args...), " ")
}

// shellWord quotes a word for a shell if it needs that.
func shellWord(w string) string {
	if w != "" && strings.Trim(w, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-+:@%,") == "" {
		return w
	}
	return "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
}

// checkStructure reads the metadata again, since it may have changed on the disk,
// and checks what the decoder cannot: that its parts agree.
func (c *Checkpoint) checkStructure(ctx context.Context, report func(checkpoint.Finding)) error {
	data, err := c.f.read(ctx, c.name)
	var m *metadata.Metadata
	if err == nil {
		m, err = metadata.Decode(c.name, data, c.f.opts.limits)
	}
	var bad *wire.Error
	switch {
	case errors.As(err, &bad):
		place := checkpoint.At(c.name)
		place.Offset = bad.Offset
		report(checkpoint.Finding{Severity: checkpoint.Error, Place: place, Problem: "the metadata does not read", Err: err, Remedy: c.remedy("inspect")})
		return nil
	case errors.Is(err, store.ErrNotExist):
		report(checkpoint.Finding{Severity: checkpoint.Error, Place: checkpoint.At(c.name), Problem: "the metadata is missing", Err: err, Remedy: c.remedy("inspect")})
		return nil
	case err != nil:
		return err
	}
	if _, err := m.Properties(c.name); err != nil {
		report(checkpoint.Finding{Severity: checkpoint.Note, Place: checkpoint.At(c.name), Problem: "the kind of the checkpoint is of a class that is not known",
			Err: err, Remedy: c.remedy("inspect")})
	}
	s := structure{c: c, report: report}
	for i := range m.Operators {
		s.operator(&m.Operators[i])
	}
	return nil
}

// structure checks one metadata.
type structure struct {
	c      *Checkpoint
	report func(checkpoint.Finding)
	op     *metadata.Operator
	task   *metadata.Subtask
}

// find reports that the parts of the metadata contradict each other.
func (s *structure) find(state, problem string, args ...any) {
	place := checkpoint.At(s.c.name)
	place.Operator, place.State, place.Subtask = s.c.OperatorName(s.op.ID), state, int(s.task.Index)
	s.report(checkpoint.Finding{Severity: checkpoint.Error, Place: place, Problem: fmt.Sprintf(problem, args...),
		Err: wire.ErrMalformed, Remedy: s.c.remedy("salvage", "DST", "--apply")})
}

func (s *structure) operator(op *metadata.Operator) {
	s.op = op
	owners := make([]int32, op.MaxParallelism) // subtask that has the key group, plus one
	for i := range op.Subtasks {
		s.task = &op.Subtasks[i]
		state := s.task.State
		if state == nil {
			continue
		}
		s.operatorState(state.ManagedOperator)
		s.operatorState(state.RawOperator)
		s.keyed(keyedName, state.ManagedKeyed)
		s.keyed(rawKeyedName, state.RawKeyed)
		s.owners(owners, state.ManagedKeyed)
		s.channels(inputName, state.Input)
		s.channels(outputName, state.Output)
	}
}

// owners checks that no key group is in the state of two subtasks.
func (s *structure) owners(owners []int32, h metadata.KeyedHandle) {
	if h == nil {
		return
	}
	r := h.KeyGroups()
	if int(r.Start)+int(r.Count) > len(owners) {
		s.find(keyedName, "key groups %d to %d, but the operator has %d", r.Start, r.Start+r.Count-1, len(owners))
		return
	}
	for g := r.Start; g < r.Start+r.Count; g++ {
		if other := owners[g]; other != 0 {
			s.find(keyedName, "key group %d is in the state of subtask %d too", g, other-1)
			return
		}
		owners[g] = s.task.Index + 1
	}
}

// within reports whether an offset lies in a stream.
func within(offset int64, h metadata.StreamHandle) bool {
	size, known := sizeOf(h).Known()
	return offset >= 0 && (!known || uint64(offset) <= size)
}

func (s *structure) operatorState(h *metadata.OperatorHandle) {
	if h == nil {
		return
	}
	for i := range h.States {
		for _, offset := range h.States[i].Offsets {
			if !within(offset, h.Delegate) {
				s.find(h.States[i].Name, "an element at offset %d of a stream of %d bytes", offset, sizeOf(h.Delegate))
				break
			}
		}
	}
}

func (s *structure) keyed(name string, h metadata.KeyedHandle) {
	switch h := h.(type) {
	case *metadata.KeyGroupsHandle:
		for i, offset := range h.Offsets {
			if offset != -1 && !within(offset, h.Delegate) { // -1: raw state without this key group
				s.find(name, "key group %d at offset %d of a stream of %d bytes", int(h.Range.Start)+i, offset, sizeOf(h.Delegate))
				break
			}
		}
	case *metadata.ChangelogHandle:
		for _, k := range h.Materialized {
			s.keyed(name, k)
		}
		for _, k := range h.Deltas {
			s.keyed(name, k)
		}
	case *metadata.StreamChangelog:
		for _, stream := range h.Streams {
			if !within(stream.Offset, stream.Handle) {
				s.find(name, "changes at offset %d of a stream of %d bytes", stream.Offset, sizeOf(stream.Handle))
			}
		}
	}
}

// channelHeader is the length of the header of a channel state file; chunks lie
// behind it, and each begins with a length of as many bytes.
const channelHeader = 4

func (s *structure) channels(name string, list []metadata.ChannelHandle) {
	for i := range list {
		for _, ch := range list[i].Channels {
			for _, offset := range ch.Offsets {
				if offset < channelHeader || !within(offset+channelHeader, list[i].Delegate) {
					s.find(name, "a buffer of channel %d/%d at offset %d of a stream of %d bytes", ch.Gate, ch.Channel, offset, sizeOf(list[i].Delegate))
					break
				}
			}
		}
	}
}

// checkRefs compares the files that the metadata names with those that exist.
func (c *Checkpoint) checkRefs(ctx context.Context, report func(checkpoint.Finding)) error {
	files, err := c.files(ctx)
	if err != nil {
		return err
	}
	own := map[string]bool{c.name: true}
	moved, outside := 0, 0
	var firstMoved, firstOutside *file
	for _, f := range files {
		switch f.loc.Where {
		case Outside:
			if outside++; firstOutside == nil {
				firstOutside = f
			}
			continue
		case Illegal:
			report(c.finding(f, checkpoint.Error, fmt.Sprintf("the path %q is none that a file of a checkpoint can have", f.loc.URI), wire.ErrMalformed))
			continue
		case Moved:
			if moved++; firstMoved == nil {
				firstMoved = f
			}
		}
		own[f.loc.Name] = true
		if err := c.checkFile(ctx, f, report); err != nil {
			return err
		}
	}
	if outside > 0 {
		report(c.finding(firstOutside, checkpoint.Warning, fmt.Sprintf("%d file(s) lie outside %s and were not looked for, the first is %q; name the folder above both, or where they are with --path OLD=NEW, to check them",
			outside, c.root(), firstOutside.loc.URI), ErrOutside))
	}
	if moved > 0 {
		report(c.finding(firstMoved, checkpoint.Warning, fmt.Sprintf("%d file(s) are here, but the metadata names another place, the first %q: Flink will not find them",
			moved, firstMoved.loc.URI), nil))
	}
	return c.orphans(ctx, own, report)
}

// root names the store's root.
func (c *Checkpoint) root() string {
	if len(c.f.opts.roots) == 0 {
		return "the checkpoint's root"
	}
	return c.f.opts.roots[0]
}

// finding is one about a file.
func (c *Checkpoint) finding(f *file, severity checkpoint.Severity, problem string, cause error) checkpoint.Finding {
	place := checkpoint.At(f.loc.Name)
	place.Operator = c.OperatorName(f.ref.Operator.ID)
	place.Subtask = int(f.ref.Subtask) // NoSubtask is the same number there
	verb := "salvage"
	if severity < checkpoint.Error && (f.loc.Where == Moved || f.loc.Where == Outside) {
		verb = "cp"
	}
	return checkpoint.Finding{Severity: severity, Place: place, Problem: problem, Err: cause, Remedy: c.remedy(verb, "DST")}
}

// checkFile checks that a file exists with its size.
func (c *Checkpoint) checkFile(ctx context.Context, f *file, report func(checkpoint.Finding)) error {
	what := f.ref.Role.String()
	if f.clash >= 0 {
		report(c.finding(f, checkpoint.Error, fmt.Sprintf("handles of %s state two sizes of it: %d and %d bytes", what, f.size, f.clash), wire.ErrMalformed))
	}
	info, err := c.f.st.Stat(ctx, f.loc.Name)
	switch {
	case errors.Is(err, store.ErrNotExist):
		report(c.finding(f, checkpoint.Error, "the file with "+what+" is missing", err))
	case errors.Is(err, store.ErrNotObject):
		report(c.finding(f, checkpoint.Error, "there is no regular file with "+what+" under this name", err))
	case err != nil:
		return err
	case f.size >= 0 && info.Size < f.size:
		report(c.finding(f, checkpoint.Error, fmt.Sprintf("the file with %s has %d bytes, the metadata needs %d", what, info.Size, f.size), wire.ErrTruncated))
	case f.whole && info.Size > f.size:
		report(c.finding(f, checkpoint.Error, fmt.Sprintf("the file with %s has %d bytes, the metadata states %d", what, info.Size, f.size), wire.ErrMalformed))
	}
	return nil
}

// orphans reports files in the checkpoint's folder that it does not use. If the
// folder is the store's root, only files named as Flink names them are meant.
func (c *Checkpoint) orphans(ctx context.Context, own map[string]bool, report func(checkpoint.Finding)) error {
	prefix := ""
	if c.dir != "" {
		prefix = c.dir + "/"
	}
	for info, err := range c.f.st.List(ctx, prefix) {
		if err != nil {
			return err
		}
		below := info.Name[len(prefix):]
		if own[info.Name] || strings.Contains(below, "/") || prefix == "" && !isUUID(below) || below == layout.Manifest || below == layout.ManifestCopy {
			continue
		}
		report(checkpoint.Finding{Severity: checkpoint.Note, Place: checkpoint.At(info.Name),
			Problem: fmt.Sprintf("a file of %d bytes that the checkpoint does not use", info.Size), Remedy: c.remedy("inspect")})
	}
	return nil
}
