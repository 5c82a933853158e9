package convert

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"slices"

	"github.com/tidemark-io/tidemark/checkpoint"
	"github.com/tidemark-io/tidemark/flink/metadata"
	"github.com/tidemark-io/tidemark/flink/state"
	"github.com/tidemark-io/tidemark/format"
	"github.com/tidemark-io/tidemark/keygroup"
	"github.com/tidemark-io/tidemark/writer"
)

// write writes the states of all operators, and the manifest at the end.
func (c *toNative) write() (err error) {
	if c.w, err = writer.New(writer.Options{Store: c.st, Dir: c.dst, ID: c.manifest.Summary.ID, AnyDir: true, Objects: 1}); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			if e := c.w.Abort(context.WithoutCancel(c.ctx)); e != nil {
				err = errors.Join(err, e)
			}
		}
	}()
	for _, o := range c.ops {
		if err := c.writeKeyed(o); err != nil {
			return err
		}
		for _, s := range o.order {
			if !s.kind.ByHash() {
				if err := c.writeElements(o, s); err != nil {
					return err
				}
			}
		}
	}
	for _, l := range c.result.Losses {
		c.manifest.Losses = append(c.manifest.Losses, format.Loss{Tool: l.Tool, Created: l.Created.UnixNano(), Operator: l.Operator, State: l.State,
			Place: l.Place, Reason: l.Reason, Bytes: l.Bytes, Records: l.Records, MinTime: l.MinTime, MaxTime: l.MaxTime})
	}
	if err := c.w.Seal(c.ctx); err != nil {
		return err
	}
	for _, o := range c.w.Objects() {
		c.wrote(o.Length)
	}
	if err := c.sweep(c.ctx); err != nil {
		return err
	}
	return c.w.Commit(c.ctx, c.manifest)
}

// slice writes one slice of a state.
func (c *toNative) slice(o *nativeOperator, s *nativeState, subtask uint32, interval keygroup.Interval, fill func(*writer.Slice) error) error {
	op := c.manifest.Operators[o.row]
	sl, err := c.w.Slice(c.ctx, writer.SliceSpec{State: s.row, Operator: o.uid, Parallelism: op.Parallelism, KeyGroups: op.KeyGroups, Name: s.name, Kind: s.kind,
		Key: o.key, Namespace: s.namespace, Value: s.value, Subtask: subtask, Interval: interval})
	if err != nil {
		return err
	}
	if err := fill(sl); err != nil {
		sl.Abandon()
		return fmt.Errorf("operator %q, state %q: %w", o.uid, s.flink, err)
	}
	row, err := sl.Close()
	c.manifest.Slices = append(c.manifest.Slices, row)
	return err
}

// writeKeyed sorts the keyed state and timers of an operator by our hash and writes
// them, state by state and subtask by subtask.
func (c *toNative) writeKeyed(o *nativeOperator) error {
	keyed := slices.DeleteFunc(slices.Clone(o.order), func(s *nativeState) bool { return !s.kind.ByHash() })
	if len(keyed) == 0 {
		return nil
	}
	s := c.newSorter()
	for _, f := range o.files {
		if err := c.scatterFile(o, f, s); err != nil {
			return err
		}
	}
	op := c.manifest.Operators[o.row]
	var last []byte
	var next pair
	var failed error
	pull, stop := iter.Pull2(s.sorted())
	defer stop()
	advance := func() (ok bool) {
		var err error
		if next, err, ok = pull(); ok && err != nil {
			failed, ok = err, false
		}
		return ok
	}
	more := advance()
	for _, st := range keyed {
		for subtask := range op.Parallelism {
			iv := keygroup.IntervalOf(int(subtask), int(op.KeyGroups), int(op.Parallelism))
			err := c.slice(o, st, subtask, iv, func(sl *writer.Slice) error {
				for more && binary.BigEndian.Uint32(next.key) == uint32(st.row) {
					h := keygroup.Hash(binary.BigEndian.Uint32(next.key[4:]))
					if !iv.Contains(h) {
						break
					}
					if bytes.Equal(last, next.key) {
						return c.merges(o, st)
					}
					last = append(last[:0], next.key...)
					if err := put(sl, st, h, next); err != nil {
						return err
					}
					c.result.States[st.report].Entries++
					more = advance()
				}
				return failed
			})
			if err != nil {
				return err
			}
		}
	}
	if more {
		return fmt.Errorf("operator %q: entries behind the last state", o.uid)
	}
	return failed
}

// merges refuses two entries that have become one.
func (c *toNative) merges(o *nativeOperator, st *nativeState) error {
	place := checkpoint.Nowhere()
	place.Operator, place.State = o.uid, st.flink
	return checkpoint.Refuse(place, errMerge.Error(), dropRemedy(o.uid, st.flink))
}

// put writes an entry from the sorter.
func put(sl *writer.Slice, st *nativeState, h keygroup.Hash, p pair) error {
	key, rest := cutOrdered(nil, p.key[8:])
	ns, rest := cutOrdered(nil, rest)
	if st.kind == format.KindTimer {
		return sl.Timer(h, key, ns, int64(binary.BigEndian.Uint64(rest)^1<<63))
	}
	return sl.Keyed(h, key, ns, p.value)
}

// writeElements writes a list or a broadcast state.
func (c *toNative) writeElements(o *nativeOperator, s *nativeState) error {
	parallelism := c.manifest.Operators[o.row].Parallelism
	subtasks := slices.Clone(o.src.Subtasks)
	slices.SortFunc(subtasks, func(a, b metadata.Subtask) int { return int(a.Index) - int(b.Index) })
	for to := range parallelism {
		err := c.slice(o, s, to, keygroup.All(), func(sl *writer.Slice) error {
			for _, sub := range subtasks {
				if sub.State == nil || sub.State.ManagedOperator == nil || sub.State.ManagedOperator.Empty {
					continue
				}
				mine := scale(sub.Index, o.src.Parallelism, parallelism) == to
				if s.kind == format.KindBroadcast {
					// All subtasks have the same; the first is as good as any.
					return c.broadcast(o, s, sub.State.ManagedOperator, sl, to == 0)
				}
				if mine {
					if err := c.items(s, sub.State.ManagedOperator, sl); err != nil {
						return err
					}
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// operators opens operator state.
func (c *toNative) operators(h *metadata.OperatorHandle, use func(*state.Operators) error) error {
	src, err := c.src.OpenHandle(c.ctx, h.Delegate)
	if err != nil {
		return err
	}
	defer src.Close()
	f := state.OperatorFile{Object: src.Object, Data: src, Size: src.Size()}
	for _, s := range h.States {
		f.States = append(f.States, state.Partitions{Name: s.Name, Offsets: s.Offsets})
	}
	ops, err := state.OpenOperator(f)
	if err != nil {
		return err
	}
	return use(ops)
}

// items writes the elements that one subtask had of a list.
func (c *toNative) items(s *nativeState, h *metadata.OperatorHandle, sl *writer.Slice) error {
	return c.operators(h, func(ops *state.Operators) error {
		meta := ops.Meta(s.flink)
		if meta == nil {
			return nil
		}
		m, err := newMatch(s.value, meta.Type(state.SerializerValue), false)
		if err != nil {
			return err
		}
		var value []byte
		for e, err := range ops.Elements(s.flink) {
			if err == nil {
				value, err = m.fromJava(value[:0], e.Value)
			}
			if err == nil {
				err = sl.Item(value)
			}
			if err != nil {
				return err
			}
			c.result.States[s.report].Entries++
			c.advance(len(value))
		}
		return c.ctx.Err()
	})
}

// broadcast writes a copy of broadcast state.
func (c *toNative) broadcast(o *nativeOperator, s *nativeState, h *metadata.OperatorHandle, sl *writer.Slice, count bool) error {
	var pairs []pair
	err := c.operators(h, func(ops *state.Operators) error {
		meta := ops.Meta(s.flink)
		if meta == nil {
			return nil
		}
		key, err := newMatch(s.namespace, meta.Type(state.SerializerKey), true)
		if err != nil {
			return err
		}
		value, err := newMatch(s.value, meta.Type(state.SerializerValue), false)
		if err != nil {
			return err
		}
		for e, err := range ops.Elements(s.flink) {
			if err != nil {
				return err
			}
			var p pair
			if p.key, err = key.fromJava(nil, e.Key); err != nil {
				return err
			}
			if p.value, err = value.fromJava(nil, e.Value); err != nil {
				return err
			}
			pairs = append(pairs, p)
		}
		return nil
	})
	if err != nil {
		return err
	}
	slices.SortFunc(pairs, func(a, b pair) int { return bytes.Compare(a.key, b.key) })
	for i, p := range pairs {
		if i > 0 && bytes.Equal(p.key, pairs[i-1].key) {
			return c.merges(o, s)
		}
		if err := sl.Pair(p.key, p.value); err != nil {
			return err
		}
	}
	if count {
		c.result.States[s.report].Entries = uint64(len(pairs))
	}
	return nil
}
