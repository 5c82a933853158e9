package recovery

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"

	"github.com/tidemark-io/tidemark/checkpoint"
)

// Change says how two checkpoints differ in one thing.
type Change string

// Changes.
const (
	OnlyA   Change = "only-a"
	OnlyB   Change = "only-b"
	Changed Change = "changed"
)

// Difference is one thing in which two checkpoints differ. What it points to is
// valid until the iterator's next step.
type Difference struct {
	Change Change
	State  checkpoint.State // of A if it has it, else of B; its kind is "" for an operator
	// Problem says in words what differs, if that is no entry and no record.
	Problem string
	A, B    Content
	Count   uint64 // how many equal ones are on one side only; 1 for entries with a key
}

// Group is the key group that the difference is in, in A's numbering if A has
// it; NoKeyGroup if there is none.
func (d *Difference) Group() uint32 {
	for _, c := range []Content{d.A, d.B} {
		if c.Entry != nil {
			return c.Entry.KeyGroup
		}
	}
	return checkpoint.NoKeyGroup
}

// StateDiff counts what was compared of one state, or of the in-flight data of
// one edge. The counts are of entries, items of lists, or records.
type StateDiff struct {
	State                        checkpoint.State
	A, B                         uint64
	Equal, OnlyA, OnlyB, Changed uint64
	Problems                     uint64            // differences that are no entry
	Groups                       map[uint32]uint64 // differences by key group
}

// Same reports whether nothing differs.
func (s *StateDiff) Same() bool { return s.OnlyA+s.OnlyB+s.Changed+s.Problems == 0 }

// DiffOptions configure Diff.
type DiffOptions struct {
	Select checkpoint.Selector // operator, state, kind, key groups
	// Done is called after each state, in order, on the goroutine that
	// iterates; nil is none.
	Done func(StateDiff)
	// Progress is called with the bytes compared since the last call.
	Progress func(bytes uint64)
}

// Diff compares the contents of two checkpoints, not their layout: a checkpoint
// and what rescaling made of it are equal. Compared are
//
//   - operators, and the types of their keys and states
//   - keyed state and timers, entry by entry; by merging them where both
//     checkpoints keep them in the order of their keys
//   - lists as multisets of items, since they are distributed anew; one copy of
//     broadcast state, and whether the subtasks have the same
//   - floors as a function of the hash, watermarks of a source's splits
//   - in-flight records as a multiset for each edge, and in their order where
//     both have the same channels
//
// Watermarks of subtasks and channels belong to the layout and are compared only
// if the selector names their kind.
//
// Memory is bounded whatever the size of the state, except for floors, of which
// there are few. What is not in order is read up to four times.
func Diff(ctx context.Context, a, b checkpoint.Checkpoint, opts DiffOptions) iter.Seq2[Difference, error] {
	return func(yield func(Difference, error) bool) {
		d := &differ{ctx: ctx, a: a, b: b, opts: opts, yield: yield, table: diffTable}
		if err := d.run(); err != nil && !errors.Is(err, errEnough) {
			yield(Difference{}, err)
		}
	}
}

// differ is one comparison.
type differ struct {
	ctx   context.Context //nolint:containedctx // lives as long as one call
	a, b  checkpoint.Checkpoint
	opts  DiffOptions
	yield func(Difference, error) bool
	now   StateDiff
	table uint64 // rows that a comparison by buckets may keep
	// buckets are those of the two sides, used again for each state.
	buckets [2][]bucket
}

// stateID tells states apart, whatever their row.
type stateID struct {
	operator, name string
	kind           checkpoint.StateKind
	edge           string
}

func idOf(s checkpoint.State) stateID { return stateID{s.Operator, s.Name, s.Kind, s.Edge} }

func (d *differ) run() error {
	if err := d.operators(); err != nil {
		return err
	}
	as, err := d.states(d.a)
	if err != nil {
		return err
	}
	bs, err := d.states(d.b)
	if err != nil {
		return err
	}
	at := map[stateID]checkpoint.State{}
	for _, s := range bs {
		at[idOf(s)] = s
	}
	for _, s := range as {
		other, ok := at[idOf(s)]
		delete(at, idOf(s))
		if ok {
			err = d.state(s, other)
		} else {
			err = d.missing(OnlyA, s)
		}
		if err != nil {
			return err
		}
	}
	for _, s := range bs {
		if _, left := at[idOf(s)]; left {
			if err := d.missing(OnlyB, s); err != nil {
				return err
			}
		}
	}
	return d.inFlight()
}

// states lists the states that are compared one by one.
func (d *differ) states(c checkpoint.Checkpoint) ([]checkpoint.State, error) {
	var list []checkpoint.State
	for s, err := range c.States(d.ctx) {
		if err != nil {
			return nil, err
		}
		layout := s.Kind == checkpoint.SubtaskWatermarks || s.Kind == checkpoint.ChannelWatermarks
		if s.Kind.InFlight() || layout && d.opts.Select.Kind != s.Kind || !d.opts.Select.Takes(s) {
			continue
		}
		list = append(list, s)
	}
	return list, nil
}

// operators compares the operators and the types of their keys.
func (d *differ) operators() error {
	if d.opts.Select.State != "" || d.opts.Select.Kind != "" {
		return nil
	}
	other := map[string]checkpoint.Operator{}
	for o, err := range d.b.Operators(d.ctx) {
		if err != nil {
			return err
		}
		other[o.UID] = o
	}
	report := func(change Change, uid, problem string) error {
		d.begin(checkpoint.State{Operator: uid})
		defer d.end()
		return d.report(Difference{Change: change, Problem: problem})
	}
	for o, err := range d.a.Operators(d.ctx) {
		if err != nil {
			return err
		}
		b, ok := other[o.UID]
		delete(other, o.UID)
		if !d.opts.Select.Matches(o.UID, "") {
			continue
		}
		switch {
		case !ok:
			err = report(OnlyA, o.UID, "the operator is missing in B")
		case o.KeyType != b.KeyType:
			err = report(Changed, o.UID, fmt.Sprintf("keys are of type %q in A and %q in B", o.KeyType, b.KeyType))
		}
		if err != nil {
			return err
		}
	}
	left := make([]string, 0, len(other))
	for uid := range other {
		if d.opts.Select.Matches(uid, "") {
			left = append(left, uid)
		}
	}
	slices.Sort(left)
	for _, uid := range left {
		if err := report(OnlyB, uid, "the operator is missing in A"); err != nil {
			return err
		}
	}
	return nil
}

// begin starts the comparison of one state.
func (d *differ) begin(s checkpoint.State) {
	d.now = StateDiff{State: s, Groups: map[uint32]uint64{}}
}

// end tells what was counted.
func (d *differ) end() {
	if d.opts.Done != nil {
		d.opts.Done(d.now)
	}
}

// report counts and yields a difference.
func (d *differ) report(x Difference) error {
	x.State = d.now.State
	x.Count = max(x.Count, 1)
	switch {
	case x.Problem != "":
		d.now.Problems++
	case x.Change == OnlyA:
		d.now.OnlyA += x.Count
	case x.Change == OnlyB:
		d.now.OnlyB += x.Count
	default:
		d.now.Changed++
	}
	if group := x.Group(); group != checkpoint.NoKeyGroup {
		d.now.Groups[group] += x.Count
	}
	if !d.yield(x, nil) {
		return errEnough
	}
	return nil
}

// progress counts bytes compared.
func (d *differ) progress(n int) {
	if d.opts.Progress != nil {
		d.opts.Progress(uint64(n))
	}
}

// missing handles a state that only one checkpoint has. An empty one is as good
// as none.
func (d *differ) missing(change Change, s checkpoint.State) error {
	if s.Entries == 0 {
		return nil
	}
	d.begin(s)
	defer d.end()
	n, known := s.Entries.Known()
	side, other := &d.now.A, "B"
	if change == OnlyB {
		side, other = &d.now.B, "A"
	}
	problem := fmt.Sprintf("the state is missing in %s", other)
	if known {
		*side = n
		problem += fmt.Sprintf(", with %d entries", n)
	}
	return d.report(Difference{Change: change, Problem: problem})
}

// state compares one state that both have.
func (d *differ) state(a, b checkpoint.State) error {
	d.begin(a)
	defer d.end()
	if a.ValueType != b.ValueType || a.NamespaceType != b.NamespaceType {
		if err := d.report(Difference{Change: Changed, Problem: fmt.Sprintf("the types differ: namespace %q, value %q in A, namespace %q, value %q in B",
			a.NamespaceType, a.ValueType, b.NamespaceType, b.ValueType)}); err != nil {
			return err
		}
	}
	switch a.Kind {
	case checkpoint.Floors:
		return d.floors(a, b)
	case checkpoint.BroadcastState:
		return d.broadcast(a, b)
	}
	if ordered(d.a, a) && ordered(d.b, b) {
		return d.merge(a, b)
	}
	return d.multiset(d.entries(d.a, a), d.entries(d.b, b))
}

func ordered(c checkpoint.Checkpoint, s checkpoint.State) bool {
	o, ok := c.(checkpoint.Ordered)
	return ok && o.InOrder(s)
}

// merge walks two states that are in the same order.
func (d *differ) merge(a, b checkpoint.State) error {
	nextA, stopA := iter.Pull2(Entries(d.ctx, d.a, a, d.opts.Select))
	defer stopA()
	nextB, stopB := iter.Pull2(Entries(d.ctx, d.b, b, d.opts.Select))
	defer stopB()
	ea, okA, err := pull(nextA)
	if err != nil {
		return err
	}
	eb, okB, err := pull(nextB)
	if err != nil {
		return err
	}
	for okA || okB {
		order := -1
		switch {
		case okA && okB:
			order = compareEntries(&ea, &eb)
		case okB:
			order = 1
		}
		if err := d.pair(order, &ea, &eb); err != nil {
			return err
		}
		if order <= 0 {
			d.now.A++
			if ea, okA, err = pull(nextA); err != nil {
				return err
			}
		}
		if order >= 0 {
			d.now.B++
			if eb, okB, err = pull(nextB); err != nil {
				return err
			}
		}
	}
	return nil
}

// pair compares the two entries that a merge has come to.
func (d *differ) pair(order int, a, b *checkpoint.Entry) error {
	switch {
	case order < 0:
		d.progress(len(a.Key) + len(a.Namespace) + len(a.Value))
		return d.report(Difference{Change: OnlyA, A: Content{Entry: a}})
	case order > 0:
		d.progress(len(b.Key) + len(b.Namespace) + len(b.Value))
		return d.report(Difference{Change: OnlyB, B: Content{Entry: b}})
	}
	d.progress(len(a.Key) + len(a.Namespace) + len(a.Value))
	if string(a.Value) != string(b.Value) {
		return d.report(Difference{Change: Changed, A: Content{Entry: a}, B: Content{Entry: b}})
	}
	d.now.Equal++
	return nil
}

// pull takes the next entry.
func pull(next func() (checkpoint.Entry, error, bool)) (checkpoint.Entry, bool, error) {
	e, err, ok := next()
	return e, ok && err == nil, err
}

// compareEntries orders entries by hash, key, namespace and, for timers, time.
func compareEntries(a, b *checkpoint.Entry) int {
	if a.Hash != b.Hash {
		return cmp.Compare(a.Hash, b.Hash)
	}
	if c := cmp.Compare(string(a.Key), string(b.Key)); c != 0 {
		return c
	}
	if c := cmp.Compare(string(a.Namespace), string(b.Namespace)); c != 0 || a.State.Kind != checkpoint.Timers {
		return c
	}
	return cmp.Compare(a.Time, b.Time)
}
