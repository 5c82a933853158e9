package runtime

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/tidemark-io/tidemark/checkpoint"
	"github.com/tidemark-io/tidemark/checkpoint/layout"
	"github.com/tidemark-io/tidemark/format"
	"github.com/tidemark-io/tidemark/keygroup"
	"github.com/tidemark-io/tidemark/keygroup/keyhash"
	"github.com/tidemark-io/tidemark/reader"
	"github.com/tidemark-io/tidemark/rescale"
	"github.com/tidemark-io/tidemark/store"
)

// restorePoint names a checkpoint to start from.
type restorePoint struct {
	id       uint64
	path     string
	external store.Store // nil: the job's root
}

// restored is an open checkpoint from which an attempt takes its state. Tasks
// use it at the same time.
type restored struct {
	restorePoint
	external bool
	ck       *reader.Checkpoint
	summary  format.Summary
	ops      map[string]format.Operator
	states   map[string][]format.State // by uid
	schemas  []*format.Schema

	// What is done about damaged in-flight data: salvage leaves out what touches
	// the damage, dropAll everything in flight. losses is what that costs, for
	// the next manifest.
	salvage, dropAll bool
	damage           *ChannelDamage // nil if nobody looked, or nothing is damaged
	losses           []format.Loss

	mu       sync.Mutex
	problems []Problem
	times    map[string][]format.SubtaskWatermark // by uid, as they are read
	own      []bool                               // see ownTimes, nil until it is asked
}

// openRestored opens a checkpoint and reads what it says of the job graph.
func openRestored(ctx context.Context, st store.Store, at restorePoint) (r *restored, err error) {
	r = &restored{restorePoint: at, external: at.external != nil, ops: map[string]format.Operator{}, states: map[string][]format.State{}, times: map[string][]format.SubtaskWatermark{}}
	if r.external {
		st = at.external
	}
	ck, err := reader.Open(ctx, st, at.path)
	if err != nil {
		return nil, fmt.Errorf("restoring %s: %w", at.path, err)
	}
	r.ck = ck
	defer func() {
		if err != nil { // r is nil by now
			r, err = nil, errors.Join(fmt.Errorf("restoring %s: %w", at.path, err), ck.Close())
		}
	}()
	r.summary = r.ck.Summary()
	r.id = r.summary.ID
	operators, err := r.ck.Operators()
	if err != nil {
		return nil, err
	}
	states, err := r.ck.States()
	if err != nil {
		return nil, err
	}
	if r.schemas, err = r.ck.Schemas(); err != nil {
		return nil, err
	}
	for _, op := range operators {
		r.ops[op.UID] = op
	}
	for _, s := range states {
		uid := operators[s.Operator].UID
		r.states[uid] = append(r.states[uid], s)
	}
	return r, nil
}

// readAll reads all data of the checkpoint and returns the first damage. Tasks
// find it too late to go back to another checkpoint.
func (r *restored) readAll(ctx context.Context) error {
	manifest := layout.Join(r.path, layout.Manifest)
	var first error
	report := func(f checkpoint.Finding) {
		if first == nil && f.Severity == checkpoint.Error {
			unit, _, _ := strings.Cut(f.Problem, " is ")
			first = fmt.Errorf("restoring %s: %w", r.path, &format.CorruptError{Object: f.Place.Object, Offset: f.Place.Offset,
				Unit: unit, Err: cmp.Or(f.Err, format.ErrMalformed)})
		}
	}
	for c, err := range reader.NewModel(r.ck).Checks(ctx, checkpoint.LevelChecksums) {
		if err != nil {
			return err
		}
		if c.Name == manifest { // read already, and one of its two copies is enough
			continue
		}
		if err := c.Run(ctx, report); err != nil {
			return err
		}
		if first != nil {
			return first
		}
	}
	return nil
}

// close ends the use of the checkpoint.
func (r *restored) close() error {
	if r == nil {
		return nil
	}
	return r.ck.Close()
}

// groups is the number of key groups an operator had, 0 if it is not there.
func (r *restored) groups(uid string) int {
	if r == nil {
		return 0
	}
	return int(r.ops[uid].KeyGroups)
}

func (r *restored) problem(p Problem) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !slices.Contains(r.problems, p) {
		r.problems = append(r.problems, p)
	}
}

// schema is a row of the checkpoint's schemas, nil for none.
func (r *restored) schema(row int) *format.Schema {
	if row < 0 || row >= len(r.schemas) {
		return nil
	}
	return r.schemas[row]
}

// check compares the checkpoint with the job when all operators have declared
// their states, and reports all differences at once.
func (r *restored) check(a *attempt) error {
	declared := map[string]map[string]bool{}
	for _, t := range a.tasks {
		for i := range t.ops {
			env := t.ops[i].env
			if declared[env.UID] == nil {
				declared[env.UID] = map[string]bool{}
				r.checkOperator(env)
			}
			for _, s := range env.bound {
				declared[env.UID][s.Name] = true
			}
		}
	}
	if !a.cfg.Restore.AllowNonRestoredState {
		r.checkLeftOver(declared)
		if err := r.checkInFlight(a); err != nil {
			return err
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.problems) == 0 {
		return r.sayRecords(a)
	}
	slices.SortFunc(r.problems, func(a, b Problem) int {
		return slices.Compare([]string{a.UID, a.State, a.What}, []string{b.UID, b.State, b.What})
	})
	return &RestoreError{Path: r.path, Problems: r.problems}
}

// checkOperator compares the keys of one operator.
func (r *restored) checkOperator(env *Env) {
	old, ok := r.ops[env.UID]
	if !ok {
		return
	}
	if int(old.KeyGroups) != env.KeyGroups {
		r.problem(Problem{UID: env.UID,
			What:   fmt.Sprintf("the checkpoint has %d key groups, the job %d", old.KeyGroups, env.KeyGroups),
			Remedy: fmt.Sprintf("-D pipeline.max-parallelism=%d", old.KeyGroups)})
	}
	was, is := r.schema(old.KeySchema), env.node.KeySchema
	if was != nil && is != nil && !was.Equal(is) {
		r.problem(Problem{UID: env.UID,
			What:   fmt.Sprintf("its key is %v in the checkpoint and %v in the job; keys cannot change their type", was, is),
			Remedy: "restore a job with the old key type, or start without this state"})
	}
}

// checkLeftOver finds state that no operator of the job takes.
func (r *restored) checkLeftOver(declared map[string]map[string]bool) {
	const remedy = "--allow-non-restored-state, which drops this state"
	for uid, states := range r.states {
		if declared[uid] == nil {
			if slices.ContainsFunc(states, holdsUserState) {
				r.problem(Problem{UID: uid, What: "the job has no operator of this uid", Remedy: remedy})
			}
			continue
		}
		for _, s := range states {
			if holdsUserState(s) && !declared[uid][s.Name] {
				r.problem(Problem{UID: uid, State: s.Name, What: "the operator does not declare this state", Remedy: remedy})
			}
		}
	}
}

// holdsUserState reports whether a state has entries that would be lost. What
// the engine keeps of event time is not meant.
func holdsUserState(s format.State) bool {
	switch s.Kind {
	case format.KindFloor, format.KindSubtaskWatermark, format.KindChannelWatermark, format.KindSplitWatermark,
		format.KindInputChannel, format.KindOutputChannel: // see checkInFlight
		return false
	default:
		return s.Entries > 0
	}
}

// find is the state of an operator if the checkpoint has it and it fits what
// the operator declares; what does not fit is noted.
func (r *restored) find(uid string, spec StateSpec) (format.State, bool) {
	for _, s := range r.states[uid] {
		if s.Name != spec.Name {
			continue
		}
		if s.Kind != spec.Kind {
			r.problem(Problem{UID: uid, State: spec.Name,
				What: fmt.Sprintf("it is %v in the checkpoint and %v in the job", s.Kind, spec.Kind), Remedy: "give the new state another name"})
			return s, false
		}
		return s, r.sameValue(uid, spec, r.schema(s.Value)) && r.sameSchema(uid, spec.Name, "namespace", r.schema(s.Namespace), spec.Namespace)
	}
	return format.State{}, false
}

func (r *restored) sameSchema(uid, state, what string, was, is *format.Schema) bool {
	if was == nil && is == nil || was != nil && is != nil && was.Equal(is) {
		return true
	}
	r.problem(Problem{UID: uid, State: state, What: fmt.Sprintf("its %s is %v in the checkpoint and %v in the job", what, was, is),
		Remedy: "restore a job with the old type, or give the new state another name"})
	return false
}

// declare notes that an operator has a state, and finds it in the restored
// checkpoint.
func (e *Env) declare(spec StateSpec) (found bool, err error) {
	if strings.HasPrefix(spec.Name, reservedPrefix) {
		return false, fmt.Errorf("state %q: names that begin with %q are the engine's", spec.Name, reservedPrefix)
	}
	if slices.ContainsFunc(e.bound, func(s StateSpec) bool { return s.Name == spec.Name }) {
		return false, fmt.Errorf("state %q: the operator has two states of this name", spec.Name)
	}
	e.bound = append(e.bound, spec)
	r := e.attempt.restored
	if r == nil {
		return false, nil
	}
	_, found = r.find(e.UID, spec)
	return found && r.sameKey(e), nil // check reports another key for the operator
}

// reservedPrefix begins the names of the states that hold event time.
const reservedPrefix = "watermark."

// sameKey reports whether an operator's key is what it was.
func (r *restored) sameKey(e *Env) bool {
	old, ok := r.ops[e.UID]
	was := r.schema(old.KeySchema)
	return !ok || was == nil || e.node.KeySchema == nil || was.Equal(e.node.KeySchema)
}

// RestoreList returns the items of a split list that this subtask gets, and
// whether the operator was in the restored checkpoint at all. Without
// restored state it returns nothing.
func (e *Env) RestoreList(spec StateSpec) (items [][]byte, restored bool, err error) {
	found, err := e.declare(spec)
	r := e.attempt.restored
	if r == nil || err != nil {
		return nil, false, err
	}
	_, known := r.ops[e.UID]
	if !found {
		return nil, known, nil
	}
	start, err := r.splitStart(e.Context(), e.UID, spec.Name, e.Parallelism)
	if err != nil {
		return nil, true, err
	}
	counts, err := r.ck.ItemCounts(e.Context(), e.UID, spec.Name)
	if err != nil {
		return nil, true, err
	}
	plan, _ := rescale.Split(counts, e.Parallelism, start)
	items, err = r.items(e, spec, plan[e.Subtask])
	return items, true, err
}

// RestoreUnion returns all items of a union list.
func (e *Env) RestoreUnion(spec StateSpec) ([][]byte, error) {
	if found, err := e.declare(spec); err != nil || !found {
		return nil, err
	}
	r := e.attempt.restored
	counts, err := r.ck.ItemCounts(e.Context(), e.UID, spec.Name)
	if err != nil {
		return nil, err
	}
	return r.items(e, spec, rescale.Union(counts, e.Parallelism)[e.Subtask])
}

// items reads runs of a list.
func (r *restored) items(e *Env, spec StateSpec, runs []rescale.Run) ([][]byte, error) {
	var items [][]byte
	m := r.migration(e.UID, spec)
	for _, run := range runs {
		for item, err := range r.ck.ItemsOf(e.Context(), e.UID, spec.Name, uint32(run.Old), run.First, run.Count) {
			if err != nil {
				return nil, fmt.Errorf("restoring state %q: %w", spec.Name, err)
			}
			value, err := m.value(nil, item.Row.Value)
			if err != nil {
				return nil, fmt.Errorf("restoring state %q: %w", spec.Name, err)
			}
			items = append(items, value)
		}
	}
	return items, nil
}

// splitStart is where the odd items of a split list begin: it rotates over the
// operator's split lists in the order of their names (see [rescale.Split]).
func (r *restored) splitStart(ctx context.Context, uid, name string, parallelism int) (int, error) {
	var names []string
	for _, s := range r.states[uid] {
		if s.Kind == format.KindSplitList && s.Name < name {
			names = append(names, s.Name)
		}
	}
	slices.Sort(names)
	start := 0
	for _, n := range names {
		counts, err := r.ck.ItemCounts(ctx, uid, n)
		if err != nil {
			return 0, err
		}
		_, start = rescale.Split(counts, parallelism, start)
	}
	return start, nil
}

// RestoredSplitTimes returns the watermark generators of all splits in the
// restored checkpoint, by split.
func (e *Env) RestoredSplitTimes() (map[string]SplitTime, error) {
	r := e.attempt.restored
	if r == nil {
		return nil, nil
	}
	if _, known := r.ops[e.UID]; !known {
		return nil, nil
	}
	times := map[string]SplitTime{}
	for w, err := range r.ck.SplitWatermarks(e.Context(), e.UID) {
		if err != nil {
			return nil, fmt.Errorf("restoring the splits' watermarks: %w", err)
		}
		split := string(w.Row.Split)
		times[split] = SplitTime{Split: split, Largest: w.Row.Watermark, Idle: w.Row.Status == format.StatusIdle}
	}
	return times, nil
}

// RestoreKeyed calls load for each entry of a keyed state, or of timers, that
// this subtask owns, in the order of (hash, key, namespace) as a rule. expected
// is about how many there are. Slices are valid during the call.
func (e *Env) RestoreKeyed(spec StateSpec, begin func(expected int), load func(sum uint64, b *reader.Batch) error) error {
	found, err := e.declare(spec)
	if err != nil {
		return err
	}
	if !found {
		begin(0)
		return nil
	}
	r := e.attempt.restored
	st, _ := r.find(e.UID, spec)
	begin(int(min(st.Entries/uint64(max(e.Parallelism, 1)), 1<<30)))
	m := r.migration(e.UID, spec)
	var buf []byte
	batches := r.ck.KeyedBatches
	if spec.Kind == format.KindTimer {
		batches = r.ck.TimerBatches
	}
	for b, err := range batches(e.Context(), e.UID, spec.Name, e.Interval) {
		if err != nil {
			return fmt.Errorf("restoring state %q: %w", spec.Name, err)
		}
		for b.Next() {
			sum := keyhash.Sum64(b.Key)
			if keygroup.Hash(sum>>32) != b.Hash {
				return fmt.Errorf("restoring state %q: key %x has hash %08x and not the stored %08x", spec.Name, b.Key, sum>>32, uint32(b.Hash))
			}
			if m != nil {
				if buf, err = m.value(buf[:0], b.Value); err != nil {
					return fmt.Errorf("restoring state %q: key %x: %w", spec.Name, b.Key, err)
				}
				b.Value = buf
			}
			if err := load(sum, b); err != nil {
				return fmt.Errorf("restoring state %q: %w", spec.Name, err)
			}
		}
		if err := b.Err(); err != nil {
			return fmt.Errorf("restoring state %q: %w", spec.Name, err)
		}
	}
	return nil
}

// RestoreFloors takes the operator's watermarks by hash interval from the
// restored checkpoint (R3) and returns the highest, NoWatermark if there are
// none.
func (e *Env) RestoreFloors() (int64, error) {
	r := e.attempt.restored
	if r == nil || e.KeyGroups == 0 {
		return NoWatermark, nil
	}
	if _, known := r.ops[e.UID]; !known {
		return NoWatermark, nil
	}
	var runs []format.Floor
	for f, err := range r.ck.Floors(e.Context(), e.UID, e.Interval) {
		if err != nil {
			return 0, fmt.Errorf("restoring watermarks: %w", err)
		}
		runs = append(runs, f.Row)
	}
	floors := &e.task.ops[e.index].floors
	floors.set(runs, e.Interval)
	return floors.highest(), nil
}

// WatermarkOf is event time as a key of this hash sees it: the operator's
// watermark, or the floor that the key was restored with.
func (e *Env) WatermarkOf(h keygroup.Hash) int64 {
	slot := &e.task.ops[e.index]
	if len(slot.floors.runs) == 0 {
		return slot.watermark
	}
	return slot.floors.at(h, slot.watermark)
}

// FloorsPassed drops the floors that event time has reached.
func (e *Env) FloorsPassed(w int64) { e.task.ops[e.index].floors.passed(w) }
