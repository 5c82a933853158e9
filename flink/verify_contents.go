package flink

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/tidemark-io/tidemark/checkpoint"
	"github.com/tidemark-io/tidemark/flink/metadata"
	"github.com/tidemark-io/tidemark/flink/serde"
	"github.com/tidemark-io/tidemark/flink/state"
	"github.com/tidemark-io/tidemark/flink/wire"
)

// contentChecks yields a check for each subtask that wrote state.
func (c *Checkpoint) contentChecks(level checkpoint.Level, yield func(checkpoint.Check, error) bool) {
	for i := range c.m.Operators {
		op := &c.m.Operators[i]
		bytes := map[int32]checkpoint.Count{}
		for p := range pieces(op) {
			if p.kind.InFlight() && level < checkpoint.LevelRecords {
				continue
			}
			bytes[p.subtask] = sum(bytes[p.subtask], p.bytes)
		}
		for j := range op.Subtasks {
			task := &op.Subtasks[j]
			if task.State == nil {
				continue
			}
			n, _ := bytes[task.Index].Known()
			name := c.OperatorName(op.ID) + ", subtask " + strconv.Itoa(int(task.Index))
			check := checkpoint.Check{Name: name, Bytes: n, Run: func(ctx context.Context, report func(checkpoint.Finding)) error {
				r := contentCheck{c: c, op: op, subtask: task.Index, level: level, report: report}
				return r.run(ctx, task.State)
			}}
			if !yield(check, nil) {
				return
			}
		}
	}
	if level == checkpoint.LevelRecords && slices.ContainsFunc(c.states(), func(s stateRow) bool { return s.Kind.InFlight() }) {
		yield(checkpoint.Check{Name: "in-flight data", Run: c.checkFlows}, nil)
	}
}

// checkFlows checks that what is in flight is whole elements, an input and the output
// that continues it taken together. What does not read, or cannot be reached, is told
// elsewhere; an element may then lie partly in it.
func (c *Checkpoint) checkFlows(ctx context.Context, report func(checkpoint.Finding)) error {
	all, err := c.flows(ctx, checkpoint.Selector{})
	if err != nil {
		return err
	}
	blind := slices.ContainsFunc(all, func(f *flow) bool { return f.err != nil })
	for _, f := range all {
		if !f.torn() || f.mate != nil || blind && (f.output() || !f.end.Bad) {
			continue
		}
		r := contentCheck{c: c, op: f.row.op, subtask: f.subtask}
		place := r.place(f.row.Name, c.name)
		if l, err := c.Locate(ctx, f.handle); err != nil {
			return err
		} else if l.Where != Inline {
			place.Object = l.Name
		}
		report(checkpoint.Finding{Severity: checkpoint.Error, Place: place, Err: wire.ErrMalformed, Remedy: c.remedy("salvage", "DST", "--apply"),
			Problem: fmt.Sprintf("what is in flight on %s/%d is not whole elements, not with what another side has either", f.gate(), f.Channel.Channel)})
	}
	return nil
}

// contentCheck checks what one subtask wrote: at the level of checksums what has
// any, which is RocksDB's tables and what is compressed; at that of records that
// all decodes and is in its place.
type contentCheck struct {
	c       *Checkpoint
	op      *metadata.Operator
	subtask int32
	level   checkpoint.Level
	report  func(checkpoint.Finding)
}

func (r *contentCheck) run(ctx context.Context, s *metadata.SubtaskState) error {
	roles := []metadata.Role{metadata.RoleManagedOperator, metadata.RoleManagedKeyed}
	if r.level == checkpoint.LevelRecords {
		roles = append(roles, metadata.RoleRawKeyed, metadata.RoleInput, metadata.RoleOutput)
	}
	for _, role := range roles {
		if err := r.role(ctx, s, role); err != nil {
			return err
		}
	}
	return nil
}

// find reports an error of decoding; others are returned, but for files that are
// not there, of which the check of references has told. What is not known need not
// be damage.
func (r *contentCheck) find(name string, err error) error {
	if absentError(err) {
		return nil
	}
	var bad *wire.Error
	if !errors.As(err, &bad) {
		return err
	}
	f := checkpoint.Finding{Severity: checkpoint.Error, Place: r.place(name, bad.Object), Problem: "an entry does not decode", Err: err, Remedy: r.c.remedy("salvage", "DST", "--apply")}
	if f.Place.Object == bad.Object && !bad.Decoded {
		f.Place.Offset = bad.Offset
	}
	if errors.Is(err, wire.ErrUnsupported) {
		f.Severity, f.Problem, f.Remedy = checkpoint.Note, "entries cannot be decoded, and were not checked", r.c.remedy("inspect")
	}
	r.report(f)
	return nil
}

// place is that of a finding. Objects of errors may say more than the name: that
// data is inline, at an offset that is not known, or the key within a database.
func (r *contentCheck) place(name, object string) checkpoint.Place {
	for _, mark := range []string{inlineSuffix, ", state ", ", a change", " (decompressed"} {
		object, _, _ = strings.Cut(object, mark)
	}
	place := checkpoint.At(object)
	place.Operator, place.State, place.Subtask = r.c.OperatorName(r.op.ID), name, int(r.subtask)
	return place
}

// open opens a stream; nil means that the check of references has said why not.
func (r *contentCheck) open(ctx context.Context, h metadata.StreamHandle) (*Source, error) {
	src, err := r.c.OpenHandle(ctx, h)
	if absentError(err) {
		return nil, nil
	}
	return src, err
}

// operator decodes the elements of operator state.
func (r *contentCheck) operator(ctx context.Context, h *metadata.OperatorHandle) error {
	if h == nil || h.Empty {
		return nil
	}
	src, err := r.open(ctx, h.Delegate)
	if src == nil {
		return err
	}
	defer src.Close()
	ops, err := state.OpenOperator(operatorFile(h, src))
	if err != nil {
		return r.find("", err)
	}
	if r.level < checkpoint.LevelRecords && !ops.Header.Compressed {
		return nil
	}
	for i := range h.States {
		name := h.States[i].Name
		for _, err := range ops.Elements(name) {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			if err == nil {
				continue
			}
			if err := r.find(name, err); err != nil {
				return err
			}
			break // the rest of the state is likely the same
		}
	}
	return nil
}

// keyed checks managed keyed state.
func (r *contentCheck) keyed(ctx context.Context, k metadata.KeyedHandle) error {
	sound := true
	if err := r.tables(ctx, k, &sound); err != nil || !sound {
		return err
	}
	if r.level < checkpoint.LevelRecords {
		compressed, err := r.compressed(ctx, k)
		if err != nil || !compressed {
			return err
		}
	}
	opaque := map[string]bool{} // said once that a state's values do not decode
	for e, err := range r.c.keyedEntries(ctx, r.op, k, wanted{}) {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil {
			if err := r.find("", err); err != nil {
				return err
			}
			if errors.Is(err, wire.ErrUnsupported) || absentError(err) {
				return nil
			}
			continue
		}
		r.group(e.meta.Name, e.object, e.header.Key, e.Entry)
		if opaque[e.meta.Name] || !e.meta.Keyed() {
			continue
		}
		if err := e.meta.CheckValue(e.object, e.Offset, e.Value); err != nil {
			opaque[e.meta.Name] = true
			if err := r.find(e.meta.Name, err); err != nil {
				return err
			}
		}
	}
	return nil
}

// compressed reports whether the streams of a handle are compressed, so that they
// have checksums.
func (r *contentCheck) compressed(ctx context.Context, k metadata.KeyedHandle) (bool, error) {
	switch k := k.(type) {
	case *metadata.KeyGroupsHandle:
		h, err := r.c.keyedHeader(ctx, k.Delegate)
		if err != nil {
			return false, r.find("", err)
		}
		return h != nil && h.Compressed, nil
	case *metadata.ChangelogHandle:
		for _, m := range k.Materialized {
			if is, err := r.compressed(ctx, m); is || err != nil {
				return is, err
			}
		}
	}
	return false, nil
}

// group checks that an entry is in the key group that its key belongs to.
func (r *contentCheck) group(name, object string, t *serde.Type, e *state.Entry) {
	if !e.Split || t == nil || t.Hashable() != nil {
		return
	}
	h, err := t.HashKey(e.Key)
	if err != nil {
		return // that the key decodes was checked before
	}
	want := serde.KeyGroup(h, int(r.op.MaxParallelism))
	if want == e.KeyGroup {
		return
	}
	place := r.place(name, object)
	key, err := t.AppendJSON(nil, e.Key)
	if err != nil {
		key = fmt.Appendf(nil, "%x", e.Key)
	}
	r.report(checkpoint.Finding{Severity: checkpoint.Error, Place: place, Err: wire.ErrMalformed, Remedy: r.c.remedy("salvage", "DST", "--apply"),
		Problem: fmt.Sprintf("the key %.200s is stored in key group %d and belongs to group %d", key, e.KeyGroup, want)})
}

// tables compares the checksums of RocksDB's tables.
func (r *contentCheck) tables(ctx context.Context, k metadata.KeyedHandle, sound *bool) error {
	switch k := k.(type) {
	case *metadata.ChangelogHandle:
		for _, m := range k.Materialized {
			if err := r.tables(ctx, m, sound); err != nil {
				return err
			}
		}
	case *metadata.IncrementalHandle:
		files := newFileSet(ctx, r.c)
		defer files.Close()
		db, err := r.c.openRocks(ctx, r.op, k, files)
		if err != nil {
			*sound = false
			return r.find("", err)
		}
		for _, name := range db.Orphans {
			place := r.place("", r.c.name)
			r.report(checkpoint.Finding{Severity: checkpoint.Note, Place: place, Problem: "the database does not use its table " + name, Remedy: r.c.remedy("inspect")})
		}
		for _, err := range db.Verify() {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			if err == nil {
				continue
			}
			*sound = false
			if err := r.find("", err); err != nil {
				return err
			}
		}
	}
	return nil
}

// raw checks the timers of raw keyed state; other raw state is nothing that could be
// checked.
func (r *contentCheck) raw(ctx context.Context, k metadata.KeyedHandle) error {
	handle, ok := k.(*metadata.KeyGroupsHandle)
	if !ok {
		return nil
	}
	src, err := r.open(ctx, handle.Delegate)
	if src == nil {
		return err
	}
	defer src.Close()
	for t, err := range state.RawTimers(keyedFile(r.op, handle, src)) {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil {
			if err := r.find(rawKeyedName, err); err != nil || errors.Is(err, wire.ErrUnsupported) {
				return err
			}
			continue
		}
		r.group(rawKeyedName, src.Object, t.KeyType, &state.Entry{Split: true, Key: t.Key, KeyGroup: t.KeyGroup})
	}
	return nil
}

// channelVersion stands at the beginning of a channel state file
// (ChannelStateSerializerImpl.SERIALIZATION_VERSION).
const channelVersion = 0

// channels checks that in-flight data is made of buffers, each behind its length,
// which together have the stated size.
func (r *contentCheck) channels(ctx context.Context, name string, h *metadata.ChannelHandle) error {
	src, err := r.open(ctx, h.Delegate)
	if src == nil {
		return err
	}
	defer src.Close()
	head := wire.NewStream(src.Object, 0, io.NewSectionReader(src, 0, channelHeader), channelHeader)
	if v := head.I32("version of channel state"); head.Err() == nil && v != channelVersion {
		head.FailAt(0, "version of channel state", wire.Unsupported("%d, only %d is known", v, channelVersion))
	}
	if head.Err() != nil {
		return r.find(name, head.Err())
	}
	for _, ch := range h.Channels {
		total := int64(0)
		for _, off := range ch.Offsets {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			n, err := chunk(src, off)
			if err != nil {
				return r.find(name, err)
			}
			total += channelHeader + n
		}
		// Inline data counts the header too.
		if ch.Size >= 0 && total != ch.Size && total+channelHeader != ch.Size {
			err := &wire.Error{Object: src.Object, Offset: channelHeader, What: fmt.Sprintf("buffers of channel %d/%d", ch.Gate, ch.Channel),
				Err: wire.Malformed("they have %d bytes, the metadata states %d", total, ch.Size)}
			if len(ch.Offsets) > 0 {
				err.Offset = ch.Offsets[0]
			}
			if err := r.find(name, err); err != nil {
				return err
			}
		}
	}
	return nil
}
