package recovery

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/tidemark-io/tidemark/checkpoint"
	"github.com/tidemark-io/tidemark/store"
)

// Usage says how much the checkpoints of a root take, and why.
type Usage struct {
	Checkpoints []CheckpointUsage
	Stored      uint64 // bytes of everything below the root
	Referenced  uint64 // of what any readable checkpoint uses, each object once
	// Orphaned are the bytes of objects that no checkpoint uses. What lies in a
	// directory that was never committed, or whose manifest does not read, is
	// not among them.
	Orphaned   uint64
	Incomplete uint64 // in directories that were never committed
	Unreadable uint64 // in directories whose manifest does not read
	Other      uint64 // records of runs, of history: what belongs to no checkpoint
	// Certain is false if a checkpoint could not be read: it may use objects
	// that are counted as orphaned.
	Certain bool
	Orphans []store.Info // ascending by name
}

// CheckpointUsage says how much one checkpoint takes.
type CheckpointUsage struct {
	Info       checkpoint.Info
	Objects    int
	Metadata   uint64 // manifests, and the lost-and-found of a salvage
	Referenced uint64 // objects that it uses, and metadata
	Shared     uint64 // of these, used by another checkpoint too
	Exclusive  uint64 // of these, used by no other: what deleting it would free
	InFlight   uint64 // stored in-flight data, part of Referenced
	Orphaned   uint64 // in its directory, used by no checkpoint
	Missing    int    // objects that it names and that are not there
	Problem    error  // why it could not be read; the rest is unknown then
}

// Opener opens one of the checkpoints of a root by its path.
type Opener func(ctx context.Context, path string) (checkpoint.Checkpoint, error)

// MeasureUsage measures all checkpoints of a root. Infos are those of all its
// checkpoints, since what is shared or orphaned is known only from all of them.
// Memory is proportional to the number of objects. The error is that of the
// storage; a checkpoint that does not read is a Problem of its own.
func MeasureUsage(ctx context.Context, st store.Store, infos []checkpoint.Info, open Opener) (*Usage, error) {
	m := measure{sizes: map[string]store.Info{}, users: map[string]int{}, uses: make([][]string, len(infos))}
	m.Certain = true
	for info, err := range st.List(ctx, "") {
		if err != nil {
			return nil, err
		}
		m.sizes[info.Name] = info
		m.Stored += uint64(max(info.Size, 0))
	}
	m.Checkpoints = make([]CheckpointUsage, len(infos))
	for i, info := range infos {
		m.Checkpoints[i] = CheckpointUsage{Info: info}
		if info.Status == checkpoint.Incomplete {
			m.Checkpoints[i].Problem = cmp.Or(info.Reason, checkpoint.ErrIncomplete)
			continue
		}
		if err := m.read(ctx, i, open); err != nil {
			if ctx.Err() != nil {
				return nil, context.Cause(ctx)
			}
			m.Checkpoints[i].Problem = err
			m.Certain = false
		}
	}
	m.sum()
	return &m.Usage, nil
}

// measure is one measurement.
type measure struct {
	Usage
	sizes map[string]store.Info
	users map[string]int // of each object: how many checkpoints use it
	uses  [][]string     // by checkpoint
}

// read lists what a checkpoint uses.
func (m *measure) read(ctx context.Context, i int, open Opener) (err error) {
	u := &m.Checkpoints[i]
	c, err := open(ctx, u.Info.Path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	layered, ok := c.(checkpoint.Layered)
	if !ok {
		return ErrNotReadable
	}
	var names []string
	for o, err := range layered.Objects(ctx) {
		if err != nil {
			return err
		}
		names = append(names, o.Name)
	}
	for s, err := range c.States(ctx) {
		if err != nil {
			return err
		}
		if n, known := s.Bytes.Known(); known && s.Kind.InFlight() {
			u.InFlight += n
		}
	}
	slices.Sort(names)
	m.uses[i] = slices.Compact(names)
	for _, name := range m.uses[i] {
		m.users[name]++
	}
	return nil
}

// sum adds up.
func (m *measure) sum() {
	at := map[string]int{} // checkpoint by directory
	for i := range m.Checkpoints {
		u := &m.Checkpoints[i]
		at[u.Info.Path] = i
		for _, name := range m.uses[i] {
			info, there := m.sizes[name]
			if !there {
				u.Missing++
				continue
			}
			n := uint64(max(info.Size, 0))
			u.Objects++
			u.Referenced += n
			if m.users[name] > 1 {
				u.Shared += n
			} else {
				u.Exclusive += n
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(m.sizes)) {
		info := m.sizes[name]
		n := uint64(max(info.Size, 0))
		if m.users[name] > 0 {
			m.Referenced += n
			continue
		}
		m.unused(name, n, info, at)
	}
}

// unused counts an object that no readable checkpoint uses.
func (m *measure) unused(name string, n uint64, info store.Info, at map[string]int) {
	dir, base := "", name
	if i := strings.LastIndexByte(name, '/'); i >= 0 {
		dir, base = name[:i], name[i+1:]
	}
	i, inside := at[dir]
	switch {
	case inside && m.Checkpoints[i].Info.Status == checkpoint.Incomplete:
		m.Incomplete += n
	case inside && m.Checkpoints[i].Problem != nil:
		m.Unreadable += n
	case inside && (metadata(base) || base == LostAndFound): // nothing refers to these
		u := &m.Checkpoints[i]
		u.Metadata += n
		u.Referenced += n
		u.Exclusive += n
		m.Referenced += n
	case inside || strings.HasPrefix(name, "shared/") || sharedOfJob(name, at):
		m.Orphaned += n
		m.Orphans = append(m.Orphans, info)
		if inside {
			m.Checkpoints[i].Orphaned += n
		}
	default:
		m.Other += n
	}
}

// sharedOfJob reports whether an object lies in the folder that the checkpoints of
// one of Flink's jobs share, beside them.
func sharedOfJob(name string, at map[string]int) bool {
	job, below, ok := strings.Cut(name, "/")
	if !ok || !strings.HasPrefix(below, "shared/") {
		return false
	}
	for dir := range at {
		if strings.HasPrefix(dir, job+"/") {
			return true
		}
	}
	return false
}

// metadata tells the objects that describe a checkpoint: ours, and Flink's.
func metadata(base string) bool {
	return base == "MANIFEST" || base == "MANIFEST.copy" || base == "_metadata"
}

// GroupSize is what one key group of a state takes.
type GroupSize struct {
	Group          uint32
	Entries, Bytes uint64 // decoded: key, namespace and value
}

// GroupSizes are the sizes of the key groups of one keyed state or timers.
type GroupSizes struct {
	State  checkpoint.State
	Groups []GroupSize // those with entries, ascending
	Of     uint32      // number of key groups of the operator
}

// Skew is how many times the largest group is as large as the mean over all
// groups of the operator; 0 without entries.
func (g *GroupSizes) Skew() float64 {
	most, sum := uint64(0), uint64(0)
	for _, x := range g.Groups {
		most, sum = max(most, x.Bytes), sum+x.Bytes
	}
	if sum == 0 || g.Of == 0 {
		return 0
	}
	return float64(most) * float64(g.Of) / float64(sum)
}

// MeasureGroups reads the keyed states and timers that the selector selects, and
// calls done for each. Memory is proportional to the number of key groups.
func MeasureGroups(ctx context.Context, c checkpoint.Checkpoint, sel checkpoint.Selector, progress func(bytes uint64), done func(GroupSizes)) error {
	groups := map[string]uint32{}
	for o, err := range c.Operators(ctx) {
		if err != nil {
			return err
		}
		groups[o.UID] = o.KeyGroups
	}
	for st, err := range c.States(ctx) {
		if err != nil {
			return err
		}
		if !sel.Takes(st) || !fieldsOf(st.Kind).hash {
			continue
		}
		sizes := map[uint32]*GroupSize{}
		for e, err := range Entries(ctx, c, st, sel) {
			if err != nil {
				return fmt.Errorf("state %q of operator %q: %w", st.Name, st.Operator, err)
			}
			g := sizes[e.KeyGroup]
			if g == nil {
				g = &GroupSize{Group: e.KeyGroup}
				sizes[e.KeyGroup] = g
			}
			n := uint64(len(e.Key) + len(e.Namespace) + len(e.Value))
			g.Entries++
			g.Bytes += n
			progress(n)
		}
		list := GroupSizes{State: st, Of: groups[st.Operator]}
		for _, id := range slices.Sorted(maps.Keys(sizes)) {
			list.Groups = append(list.Groups, *sizes[id])
		}
		done(list)
	}
	return nil
}
