package document

import (
	"context"
	"fmt"
	"iter"

	"github.com/tidemark-io/tidemark/checkpoint"
	"github.com/tidemark-io/tidemark/keygroup"
)

// AddLists reads the long lists that are wanted.
func (d *Inspect) AddLists(ctx context.Context, c checkpoint.Checkpoint, want Lists) error {
	var err error
	if want.Settings {
		if d.Settings, err = collect(Settings(ctx, c)); err != nil {
			return err
		}
	}
	if want.Subtasks {
		if d.Subtasks, err = collect(Subtasks(ctx, c)); err != nil {
			return err
		}
	}
	if want.Objects {
		if d.Objects, err = collect(Objects(ctx, c)); err != nil {
			return err
		}
	}
	if want.KeyGroups {
		d.KeyGroups, err = collect(d.KeyGroupRows(ctx, c))
	}
	return err
}

// Settings yields the job's configuration.
func Settings(ctx context.Context, c checkpoint.Checkpoint) iter.Seq2[Setting, error] {
	configured, ok := c.(checkpoint.Configured)
	if !ok {
		return nothing[Setting]
	}
	return convert(configured.Settings(ctx), func(s checkpoint.Setting) Setting { return Setting(s) })
}

// Subtasks yields what each subtask wrote of each state.
func Subtasks(ctx context.Context, c checkpoint.Checkpoint) iter.Seq2[Subtask, error] {
	layered, ok := c.(checkpoint.Layered)
	if !ok {
		return nothing[Subtask]
	}
	return convert(layered.Parts(ctx, checkpoint.Selector{}), func(p checkpoint.Part) Subtask {
		return Subtask{p.State.Operator, p.State.Name, p.State.Kind, p.Subtask, p.Object, Number(p.Offset), Number(p.Entries), Number(p.Bytes), Number(p.Decoded)}
	})
}

// Objects yields the stored objects that the checkpoint uses.
func Objects(ctx context.Context, c checkpoint.Checkpoint) iter.Seq2[Object, error] {
	layered, ok := c.(checkpoint.Layered)
	if !ok {
		return nothing[Object]
	}
	return convert(layered.Objects(ctx), func(o checkpoint.Object) Object {
		crc := ""
		if o.HasCRC {
			crc = fmt.Sprintf("%08x", o.CRC)
		}
		return Object{o.Name, Number(o.Bytes), Text(crc), o.Shared}
	})
}

// KeyGroupRows yields the key groups of each subtask of each keyed operator,
// with the sizes of its keyed states and timers.
func (d *Inspect) KeyGroupRows(ctx context.Context, c checkpoint.Checkpoint) iter.Seq2[KeyGroup, error] {
	layered, ok := c.(checkpoint.Layered)
	if !ok {
		return nothing[KeyGroup]
	}
	return func(yield func(KeyGroup, error) bool) {
		for _, op := range d.Operators {
			if op.KeyGroups == nil || *op.KeyGroups > keygroup.MaxGroups || op.Parallelism > keygroup.MaxGroups {
				continue
			}
			rows, err := keyGroups(layered.Parts(ctx, checkpoint.Selector{Operator: op.UID}), op)
			if err != nil {
				yield(KeyGroup{}, err)
				return
			}
			for _, r := range rows {
				if !yield(r, nil) {
					return
				}
			}
		}
	}
}

// keyGroups sums the parts of one operator by subtask.
func keyGroups(parts iter.Seq2[checkpoint.Part, error], op Operator) ([]KeyGroup, error) {
	var rows []KeyGroup
	at := map[uint32]int{}
	for p, err := range parts {
		if err != nil {
			return nil, err
		}
		keyed := p.State.Kind == checkpoint.Keyed || p.State.Kind == checkpoint.Timers
		if !keyed || p.Subtask >= op.Parallelism {
			continue
		}
		i, ok := at[p.Subtask]
		if !ok {
			i = len(rows)
			at[p.Subtask] = i
			r := keygroup.RangeOf(int(p.Subtask), int(*op.KeyGroups), int(op.Parallelism))
			rows = append(rows, KeyGroup{Operator: op.UID, Subtask: p.Subtask, First: r.First, Last: r.Last})
		}
		rows[i].Entries = add(rows[i].Entries, p.Entries)
		rows[i].Bytes = add(rows[i].Bytes, p.Bytes)
	}
	return rows, nil
}

// add sums counts; unknown stays unknown.
func add(a Number, b checkpoint.Count) Number {
	x, known := checkpoint.Count(a).Known()
	y, also := b.Known()
	if !known || !also || x+y < x {
		return Number(checkpoint.UnknownCount)
	}
	return Number(x + y)
}

// nothing yields no item: the checkpoint does not have the ability.
func nothing[T any](func(T, error) bool) {}

// convert maps the items of an iteration.
func convert[A, B any](in iter.Seq2[A, error], f func(A) B) iter.Seq2[B, error] {
	return func(yield func(B, error) bool) {
		for a, err := range in {
			if err != nil {
				var none B
				yield(none, err)
				return
			}
			if !yield(f(a), nil) {
				return
			}
		}
	}
}

// collect gathers an iteration into a list that is never nil.
func collect[T any](in iter.Seq2[T, error]) (*[]T, error) {
	all := []T{}
	for v, err := range in {
		if err != nil {
			return nil, err
		}
		all = append(all, v)
	}
	return &all, nil
}
