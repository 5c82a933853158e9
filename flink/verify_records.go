package flink

import (
	"context"
	"errors"
	"fmt"

	"github.com/tidemark-io/tidemark/checkpoint"
	"github.com/tidemark-io/tidemark/flink/metadata"
	"github.com/tidemark-io/tidemark/flink/state"
	"github.com/tidemark-io/tidemark/flink/wire"
	"github.com/tidemark-io/tidemark/keygroup"
	"github.com/tidemark-io/tidemark/store"
)

// records checks that the entries of one operator decode.
type records struct {
	c       *Checkpoint
	op      *metadata.Operator
	subtask int32
	report  func(checkpoint.Finding)
	skipped int // streams of kinds that are not decoded
}

// checkRecords decodes what the subtasks of an operator wrote, one stream at a
// time.
func (c *Checkpoint) checkRecords(op *metadata.Operator) func(context.Context, func(checkpoint.Finding)) error {
	return func(ctx context.Context, report func(checkpoint.Finding)) error {
		r := records{c: c, op: op, report: report}
		for i := range op.Subtasks {
			s := op.Subtasks[i].State
			if s == nil {
				continue
			}
			if err := ctx.Err(); err != nil {
				return err
			}
			r.subtask = op.Subtasks[i].Index
			if err := r.operator(ctx, s.ManagedOperator); err != nil {
				return err
			}
			if err := r.keyed(ctx, s.ManagedKeyed); err != nil {
				return err
			}
			r.skipped += len(s.Input) + len(s.Output)
		}
		if r.skipped > 0 {
			place := checkpoint.At(c.name)
			place.Operator = c.OperatorName(op.ID)
			report(checkpoint.Finding{Severity: checkpoint.Note, Place: place, Remedy: c.remedy("inspect"),
				Problem: fmt.Sprintf("%d handles of RocksDB's files, changelogs or in-flight data were not decoded", r.skipped)})
		}
		return nil
	}
}

// find reports an error of decoding; others are returned. What is not known need
// not be damage.
func (r *records) find(name string, err error) error {
	var bad *wire.Error
	if !errors.As(err, &bad) {
		return err
	}
	place := checkpoint.At(bad.Object)
	place.Operator, place.State, place.Subtask = r.c.OperatorName(r.op.ID), name, int(r.subtask)
	f := checkpoint.Finding{Severity: checkpoint.Error, Place: place, Problem: "an entry does not decode", Err: err, Remedy: r.c.remedy("salvage", "DST", "--apply")}
	if bad.Object == r.c.name+inlineSuffix { // its place in the metadata is not known
		f.Place.Object = r.c.name
	} else if !bad.Decoded {
		f.Place.Offset = bad.Offset
	}
	if errors.Is(err, wire.ErrUnsupported) {
		f.Severity, f.Problem, f.Remedy = checkpoint.Note, "entries cannot be decoded, and were not checked", r.c.remedy("inspect")
	}
	r.report(f)
	return nil
}

// open opens a stream; nil means that the check of references has said why not.
func (r *records) open(ctx context.Context, h metadata.StreamHandle) (*Source, error) {
	src, err := r.c.OpenHandle(ctx, h)
	if errors.Is(err, store.ErrNotExist) || errors.Is(err, store.ErrNotObject) || errors.Is(err, ErrOutside) {
		return nil, nil
	}
	return src, err
}

// operator decodes the elements of operator state.
func (r *records) operator(ctx context.Context, h *metadata.OperatorHandle) error {
	if h == nil || h.Empty {
		return nil
	}
	src, err := r.open(ctx, h.Delegate)
	if src == nil {
		return err
	}
	defer src.Close()
	f := state.OperatorFile{Object: src.Object, Data: src, Size: src.Size()}
	for i := range h.States {
		f.States = append(f.States, state.Partitions{Name: h.States[i].Name, Offsets: h.States[i].Offsets})
	}
	ops, err := state.OpenOperator(f)
	if err != nil {
		return r.find("", err)
	}
	for i := range h.States {
		name := h.States[i].Name
		for _, err := range ops.Elements(name) {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if err == nil {
				continue
			}
			if err := r.find(name, err); err != nil || errors.Is(err, wire.ErrUnsupported) {
				return err
			}
			break // the rest of the state is likely the same
		}
	}
	return nil
}

// keyed decodes the entries of keyed state that lies in one stream.
func (r *records) keyed(ctx context.Context, h metadata.KeyedHandle) error {
	k, ok := h.(*metadata.KeyGroupsHandle)
	if !ok {
		if h != nil {
			r.skipped++
		}
		return nil
	}
	src, err := r.open(ctx, k.Delegate)
	if src == nil {
		return err
	}
	defer src.Close()
	groups := keygroup.Range{First: int(k.Range.Start), Last: int(k.Range.Start+k.Range.Count) - 1}
	file, err := state.OpenKeyed(state.KeyedFile{Object: src.Object, Data: src, Size: src.Size(), Groups: groups, Offsets: k.Offsets,
		MaxParallelism: int(r.op.MaxParallelism), Savepoint: k.Tag == metadata.TagSavepoint})
	if err != nil {
		return r.find("", err)
	}
	opaque := make([]bool, len(file.Header.States)) // said once that it does not decode
	for e, err := range file.Entries() {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			if err := r.find("", err); err != nil {
				return err
			}
			if errors.Is(err, wire.ErrUnsupported) {
				return nil
			}
			continue
		}
		meta := &file.Header.States[e.State]
		if opaque[e.State] || !meta.Keyed() {
			continue
		}
		if err := meta.CheckValue(src.Object, e.Offset, e.Value); err != nil {
			opaque[e.State] = true
			if err := r.find(meta.Name, err); err != nil {
				return err
			}
		}
	}
	return nil
}
