package edit

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/tidemark-io/tidemark/checkpoint"
	"github.com/tidemark-io/tidemark/checkpoint/layout"
	"github.com/tidemark-io/tidemark/flink/canonical"
	"github.com/tidemark-io/tidemark/flink/metadata"
	"github.com/tidemark-io/tidemark/store"
)

// rewrite is an operator whose state is written again.
type rewrite struct {
	op      *metadata.Operator // in the result
	from    metadata.Operator  // as it was
	without []string           // keyed states that are left out
	losses  []int              // their rows in the loss report
	layout  bool               // its parallelism or its number of key groups changes

	keyed      *canonical.Keyed
	lists, raw *canonical.Lists            // of another parallelism
	holes      map[string][]canonical.Hole // of a salvage, by state
}

// rewriteOf is the row of an operator, a new one if there is none yet.
func (j *job) rewriteOf(op *metadata.Operator) *rewrite {
	for _, r := range j.anew {
		if r.op == op {
			return r
		}
	}
	r := &rewrite{op: op}
	j.anew = append(j.anew, r)
	return r
}

// dropKeyed leaves out a state of a keyed backend.
func (j *job) dropKeyed(op *metadata.Operator, name string) error {
	k, err := canonical.OpenKeyed(j.ctx, j.src, op, canonical.Options{Parallelism: int(op.Parallelism), KeyGroups: int(op.MaxParallelism)})
	if err != nil {
		return err
	}
	if !slices.Contains(k.States(), name) {
		return noState(j.name(op), name)
	}
	r := j.rewriteOf(op)
	r.without = append(r.without, name)
	r.losses = append(r.losses, len(j.losses)) // how much it is turns out when the rest is written
	j.losses = append(j.losses, j.loss(j.name(op), name, "the state was left out as asked for"))
	return nil
}

// decideLayouts gives operators their new parallelism and number of key groups.
// Operators without keys follow the others in the latter, where these agree: to a
// job it is one number, its maximum parallelism.
func (j *job) decideLayouts() error {
	follow := map[int32]int32{} // from the old number to the new one, 0: more than one
	for i := range j.m.Operators {
		op := &j.m.Operators[i]
		l := j.edit.Layouts[j.name(op)]
		if to := int32(cmp.Or(l.KeyGroups, uint32(op.MaxParallelism))); hasKeys(op) {
			if known, ok := follow[op.MaxParallelism]; ok && known != to {
				to = 0
			}
			follow[op.MaxParallelism] = to
		}
	}
	for i := range j.m.Operators {
		op := &j.m.Operators[i]
		l := j.edit.Layouts[j.name(op)]
		p, groups := int32(cmp.Or(l.Parallelism, uint32(op.Parallelism))), int32(cmp.Or(l.KeyGroups, uint32(op.MaxParallelism)))
		if to := follow[op.MaxParallelism]; !hasKeys(op) && l.KeyGroups == 0 && to >= p {
			groups = to
		}
		if p == op.Parallelism && groups == op.MaxParallelism {
			continue
		}
		if name := j.inFlight(); name != "" {
			place := checkpoint.Nowhere()
			place.Operator = name
			return checkpoint.Refuse(place, "it has in-flight data, which cannot go to other receivers: Flink does not store how its records are serialised",
				"the same command with --strip all, or take a savepoint")
		}
		r := j.rewriteOf(op)
		r.layout, r.from = true, *op
		op.Parallelism, op.MaxParallelism = p, groups
	}
	return nil
}

// hasKeys reports whether an operator has keyed state.
func hasKeys(op *metadata.Operator) bool {
	return slices.ContainsFunc(op.Subtasks, func(s metadata.Subtask) bool {
		return s.State != nil && (s.State.ManagedKeyed != nil || s.State.RawKeyed != nil)
	})
}

// decideRewrites takes what is written again out of the metadata, and decides
// whether it can be.
func (j *job) decideRewrites() error {
	for _, r := range j.anew {
		if !r.layout {
			r.from = *r.op
		}
		old := r.from.Parallelism
		if r.op.Finished {
			continue // there is nothing but the numbers
		}
		subtasks := slices.Clone(r.from.Subtasks)
		r.op.Subtasks = nil
		for _, s := range subtasks {
			if s.State != nil && s.State.HasReference {
				return fmt.Errorf("%s: %w: the state of operator %s is that of another checkpoint", j.src.Dir(), checkpoint.ErrUnsupported, j.name(r.op))
			}
			if old != r.op.Parallelism {
				continue
			}
			if s.State != nil {
				rest := *s.State
				rest.ManagedKeyed, rest.RawKeyed = nil, nil
				s.State = &rest
			}
			r.op.Subtasks = append(r.op.Subtasks, s)
		}
		if err := j.openRewrite(r, old != r.op.Parallelism); err != nil {
			return err
		}
	}
	return nil
}

// openRewrite opens what is written again, and estimates how much it is.
func (j *job) openRewrite(r *rewrite, lists bool) (err error) {
	if hasKeys(&r.from) {
		o := canonical.Options{Parallelism: int(r.op.Parallelism), KeyGroups: int(r.op.MaxParallelism),
			Without: r.without, KeyHash: j.hints[j.name(&r.from)], Create: func() (canonical.Output, error) { return j.create(r.op, "keyed") }}
		if j.edit.Salvage != nil {
			r.holes = map[string][]canonical.Hole{}
			o.Lost = func(h canonical.Hole) { r.holes[h.State] = append(r.holes[h.State], h) }
		}
		r.keyed, err = canonical.OpenKeyed(j.ctx, j.src, &r.from, o)
		if err != nil {
			return err
		}
	}
	if lists {
		if r.lists, err = canonical.OpenLists(j.ctx, j.src, &r.from, false); err != nil {
			return err
		}
		if r.raw, err = canonical.OpenLists(j.ctx, j.src, &r.from, true); err != nil {
			return err
		}
	}
	m := metadata.Metadata{Operators: []metadata.Operator{r.from}}
	for ref := range m.Handles() {
		if l, err := j.src.Locate(j.ctx, *ref.Handle); err == nil && (lists || ref.Role == metadata.RoleManagedKeyed || ref.Role == metadata.RoleRawKeyed) {
			j.rewritten.Bytes += uint64(max(l.Size, 0))
			j.rewritten.Objects++
		}
	}
	j.total += j.rewritten.Bytes
	return nil
}

// writeAnew writes what is written again.
func (j *job) writeAnew() error {
	j.rewritten = checkpoint.Volume{}
	for _, r := range j.anew {
		if r.keyed != nil {
			handles, err := r.keyed.Write()
			if err != nil {
				return err
			}
			for i, h := range handles {
				if j.edit.Salvage != nil && r.finished(int32(i)) {
					continue // it has no state, and stays finished
				}
				r.state(int32(i)).ManagedKeyed = h
			}
			for i, name := range r.without {
				v, l := r.keyed.Dropped[name], &j.losses[r.losses[i]]
				l.Records, l.Bytes = v.Entries, v.Bytes
			}
		}
		for _, side := range []struct {
			lists *canonical.Lists
			what  string
		}{{r.lists, "operator"}, {r.raw, "raw"}} {
			if side.lists == nil {
				continue
			}
			handles, err := side.lists.Write(int(r.op.Parallelism), func() (canonical.Output, error) { return j.create(r.op, side.what) })
			if err != nil {
				return err
			}
			for i, h := range handles {
				switch {
				case h == nil:
				case side.lists == r.lists:
					r.state(int32(i)).ManagedOperator = h
				default:
					r.state(int32(i)).RawOperator = h
				}
			}
		}
	}
	return nil
}

// finished reports whether a subtask had finished.
func (r *rewrite) finished(subtask int32) bool {
	return slices.ContainsFunc(r.op.Subtasks, func(s metadata.Subtask) bool { return s.Index == subtask && s.State == nil })
}

// state is the state of a subtask in the result, a new one if there is none. A
// subtask that had finished is running again if something is put into it.
func (r *rewrite) state(subtask int32) *metadata.SubtaskState {
	for i := range r.op.Subtasks {
		s := &r.op.Subtasks[i]
		if s.Index == subtask {
			if s.State == nil {
				s.State = &metadata.SubtaskState{Duration: -1}
			}
			return s.State
		}
	}
	s := &metadata.SubtaskState{Duration: -1}
	r.op.Subtasks = append(r.op.Subtasks, metadata.Subtask{Index: subtask, State: s})
	return s
}

// output is a file that is written beside the metadata.
type output struct {
	j    *job
	up   store.Upload
	name string
	size uint64
}

// create begins a file with state of an operator.
func (j *job) create(op *metadata.Operator, what string) (canonical.Output, error) {
	return j.createNamed(op.ID.String() + "-" + what)
}

// createNamed begins a file whose name begins in a certain way.
func (j *job) createNamed(what string) (canonical.Output, error) {
	if err := j.ctx.Err(); err != nil {
		return nil, err
	}
	o := &output{j: j}
	for n := 0; ; n++ { // the name says what is in the file, for those who look at it
		if o.name = fmt.Sprintf("%s-%d", what, n); !j.files.taken[o.name] {
			break
		}
	}
	o.name = j.files.free(o.name)
	var err error
	o.up, err = j.st.Create(j.ctx, layout.Join(j.dst, o.name))
	return o, err
}

// Write appends to the file.
func (o *output) Write(p []byte) (int, error) {
	n, err := o.up.Write(p)
	o.size += uint64(n)
	o.j.advance(uint64(n))
	return n, err
}

// Commit completes the file.
func (o *output) Commit() (string, error) {
	_, err := o.up.Commit()
	o.j.note(layout.Join(o.j.dst, o.name), err)
	o.j.rewritten.Objects++
	o.j.rewritten.Bytes += o.size
	return o.name, err
}

// Abort gives the file up.
func (o *output) Abort() error { return o.up.Abort() }
