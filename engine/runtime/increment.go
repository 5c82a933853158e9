package runtime

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/tidemark-io/tidemark/checkpoint/layout"
	"github.com/tidemark-io/tidemark/format"
	"github.com/tidemark-io/tidemark/keygroup"
	"github.com/tidemark-io/tidemark/store"
	"github.com/tidemark-io/tidemark/writer"
)

// base is the committed checkpoint whose data an incremental one refers to. It
// does not change.
type base struct {
	id      uint64
	path    string
	objects []format.Object
	parts   map[partKey]map[int]format.Slice // what may be referred to, by key group
}

// partKey names a state.
type partKey struct {
	uid, state string
	kind       format.Kind
}

// errBaseGone: the checkpoint that this one refers to has been removed meanwhile.
var errBaseGone = errors.New("the checkpoint that this one refers to is not there any more")

const (
	// smallObject is what an object may hold besides its slices without
	// counting as mostly unused: header, directory and footer.
	smallObject = 1 << 10
	// maxShared is how many shared objects a checkpoint refers to before the
	// smallest are written anew, so that mergedShared are left: else frequent
	// small checkpoints would end as a swarm of tiny objects.
	maxShared    = 256
	mergedShared = 128
)

// newBase finds out what of a committed checkpoint may be referred to: slices of
// one key group each, in shared objects of which at least half is in use.
func newBase(id uint64, path string, ops []format.Operator, states []format.State, objects []format.Object, all []format.Slice) *base {
	b := &base{id: id, path: path, objects: objects, parts: map[partKey]map[int]format.Slice{}}
	live := make([]uint64, len(objects))
	group := func(s *format.Slice) (int, bool) {
		st := &states[s.State]
		groups := int(ops[st.Operator].KeyGroups)
		if st.Kind != format.KindKeyed && st.Kind != format.KindTimer || groups == 0 || !strings.HasPrefix(objects[s.Object].Name, layout.Shared+"/") {
			return 0, false
		}
		g := keygroup.Of(keygroup.Hash(s.Interval.Lo), groups)
		return g, s.Interval == groupInterval(g, groups)
	}
	for i := range all {
		if _, ok := group(&all[i]); ok {
			live[all[i].Object] += all[i].Bytes + uint64(all[i].Length)
		}
	}
	worn := wornOut(objects, live)
	for i := range all {
		s := &all[i]
		g, ok := group(s)
		if !ok || worn[s.Object] {
			continue
		}
		st := &states[s.State]
		key := partKey{ops[st.Operator].UID, st.Name, st.Kind}
		if b.parts[key] == nil {
			b.parts[key] = map[int]format.Slice{}
		}
		b.parts[key][g] = *s
	}
	return b
}

// wornOut chooses the objects whose contents are written anew: those of which
// less than half is still referred to, and, if there are too many, the smallest.
func wornOut(objects []format.Object, live []uint64) []bool {
	worn := make([]bool, len(objects))
	var rest []int
	for i := range objects {
		if worn[i] = 2*live[i]+smallObject < objects[i].Length; !worn[i] && live[i] > 0 {
			rest = append(rest, i)
		}
	}
	if len(rest) <= maxShared {
		return worn
	}
	slices.SortStableFunc(rest, func(a, b int) int { return cmp.Compare(live[a], live[b]) })
	for _, i := range rest[:len(rest)-mergedShared] {
		worn[i] = true
	}
	return worn
}

func groupInterval(group, groups int) keygroup.Interval {
	return keygroup.Range{First: group, Last: group}.Interval(groups)
}

// visible returns errBaseGone unless the checkpoint is there. An id is used once,
// so it was there all the time before, too (R12).
func (b *base) visible(ctx context.Context, st store.Store) error {
	if b == nil {
		return nil
	}
	_, err := st.Stat(ctx, layout.Join(b.path, layout.Manifest))
	if errors.Is(err, store.ErrNotExist) {
		return fmt.Errorf("%s: %w", b.path, errBaseGone)
	}
	return err
}

// baseOf is what the run's first incremental checkpoint may refer to: the restored
// one if it is a checkpoint of the same root and lineage, else nil.
func (r *restored) baseOf(ctx context.Context, j *Job) (*base, error) {
	if r == nil || !j.cfg.Checkpoints.Incremental || r.external || j.root == nil || j.foreign(r) ||
		r.summary.Kind != format.Checkpoint || r.summary.Lineage != j.lineage {
		return nil, nil
	}
	operators, err := r.ck.Operators()
	if err != nil {
		return nil, err
	}
	states, err := r.ck.States()
	if err != nil {
		return nil, err
	}
	objects, err := r.ck.Objects()
	if err != nil {
		return nil, err
	}
	var all []format.Slice
	for row := range states {
		if k := states[row].Kind; k != format.KindKeyed && k != format.KindTimer {
			continue
		}
		for s, err := range r.ck.Slices(ctx, row) {
			if err != nil {
				return nil, err
			}
			all = append(all, s)
		}
	}
	return newBase(r.id, r.path, operators, states, objects, all), nil
}

// Increment is how one task's part of one keyed state enters an incremental
// checkpoint: key groups that have not changed are kept by reference.
type Increment struct {
	base  uint64
	parts map[int]format.Slice
	kept  []format.Slice
}

// Increment begins the part of a keyed state or of timers in an incremental
// checkpoint; [Snapshot.AddGroups] ends it. It is nil if the checkpoint is to be
// whole: then [Snapshot.Add] is the way.
func (s *Snapshot) Increment(spec StateSpec) *Increment {
	if !s.pending.incremental {
		return nil
	}
	b := s.pending.base
	if b == nil {
		return &Increment{}
	}
	return &Increment{base: b.id, parts: b.parts[partKey{s.task.ops[s.op].env.UID, spec.Name, spec.Kind}]}
}

// Base is the id of the checkpoint that is referred to, 0 if there is none.
func (i *Increment) Base() uint64 { return i.base }

// Keep refers to what the base has of a key group, and reports whether that is
// possible; else the group must be written. The caller knows that the group has
// not changed since.
func (i *Increment) Keep(group int) bool {
	s, ok := i.parts[group]
	if ok {
		i.kept = append(i.kept, s)
	}
	return ok
}

// AddGroups hands over a keyed state of which write writes the key groups that
// were not kept, ascending: it calls open for each, and writes its entries before
// it opens the next. Groups without entries are left out. release is called when
// write has returned or will not be called.
func (s *Snapshot) AddGroups(spec StateSpec, inc *Increment, write func(ctx context.Context, open func(group int) (*writer.Slice, error)) error, release func()) {
	s.parts = append(s.parts, part{env: s.task.ops[s.op].env, spec: spec, edge: format.None, groups: write, inc: inc, release: release})
}

// runGroups writes the part group by group, each as a slice of its own in a
// shared object, so that later checkpoints can refer to it alone.
func (pt *part) runGroups(ctx context.Context, p *pending, subtask int) (written []format.Slice, err error) {
	var current *writer.Slice
	end := func() error {
		if current == nil {
			return nil
		}
		sl, err := current.Close()
		current = nil
		written = append(written, sl)
		return err
	}
	spec := pt.slice(p, subtask)
	spec.Shared = true
	err = pt.groups(ctx, func(group int) (*writer.Slice, error) {
		err := end()
		if err == nil && ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		if err != nil {
			return nil, err
		}
		spec.Interval = groupInterval(group, pt.env.KeyGroups)
		current, err = p.writer.Slice(ctx, spec)
		return current, err
	})
	if err != nil {
		if current != nil {
			current.Abandon()
		}
		return nil, err
	}
	return written, end()
}

// refer adds what the tasks kept to a manifest whose own objects are known.
func (p *pending) refer(m *format.Manifest, renumbered []int) {
	if p.base == nil {
		return
	}
	m.Summary.Parent, m.Summary.ParentDir = p.base.id, p.base.path
	used := make([]bool, len(p.base.objects))
	for _, k := range p.acks {
		for _, sl := range k.kept {
			used[sl.Object] = true
		}
	}
	m.Objects = p.writer.Objects()
	row := make([]int, len(used))
	for i, ok := range used {
		if ok {
			row[i] = len(m.Objects)
			m.Objects = append(m.Objects, p.base.objects[i])
		}
	}
	for _, k := range p.acks {
		for _, sl := range k.kept {
			sl.State, sl.Object = renumbered[sl.State], row[sl.Object]
			m.Slices = append(m.Slices, sl)
		}
	}
}

// RestoredBase is the id of the restored checkpoint if later ones may refer to
// what it has of a state, so that what has changed since counts; else 0. What was
// migrated is not what it has.
func (e *Env) RestoredBase(spec StateSpec) uint64 {
	if b := e.attempt.base; b != nil && e.attempt.restored.migration(e.UID, spec) == nil {
		return b.id
	}
	return 0
}
