package recovery

import (
	"fmt"
	"maps"
	"slices"

	"github.com/tidemark-io/tidemark/checkpoint"
)

// step is a piece of the floors of an operator: a watermark for an interval of
// hashes.
type step struct {
	lo, hi      uint64
	time        int64
	drain       string
	description checkpoint.Entry
}

// steps reads floors as a function of the hash: pieces that continue each other
// are one, and what has no floor is no piece.
func (d *differ) steps(c checkpoint.Checkpoint, s checkpoint.State) ([]step, uint64, error) {
	var list []step
	n := uint64(0)
	for e, err := range Entries(d.ctx, c, s, d.opts.Select) {
		if err != nil {
			return nil, 0, err
		}
		n++
		x := step{lo: e.Interval.Lo, hi: e.Interval.Hi, time: e.Time, drain: string(detailBytes(e.Detail)), description: e}
		list = append(list, x)
	}
	slices.SortStableFunc(list, func(a, b step) int {
		if a.lo < b.lo {
			return -1
		}
		if a.lo > b.lo {
			return 1
		}
		return 0
	})
	joined := list[:0]
	for _, x := range list {
		if k := len(joined) - 1; k >= 0 && joined[k].hi == x.lo && joined[k].time == x.time && joined[k].drain == x.drain {
			joined[k].hi = x.hi
			joined[k].description.Interval.Hi = x.hi
			continue
		}
		joined = append(joined, x)
	}
	return joined, n, nil
}

// floors compares two functions of the hash.
func (d *differ) floors(a, b checkpoint.State) error {
	as, n, err := d.steps(d.a, a)
	if err != nil {
		return err
	}
	d.now.A = n
	bs, n, err := d.steps(d.b, b)
	if err != nil {
		return err
	}
	d.now.B = n
	for len(as) > 0 || len(bs) > 0 {
		switch {
		case len(bs) == 0 || len(as) > 0 && as[0].hi <= bs[0].lo:
			if err := d.report(Difference{Change: OnlyA, A: Content{Entry: &as[0].description}}); err != nil {
				return err
			}
			as = as[1:]
		case len(as) == 0 || bs[0].hi <= as[0].lo:
			if err := d.report(Difference{Change: OnlyB, B: Content{Entry: &bs[0].description}}); err != nil {
				return err
			}
			bs = bs[1:]
		default:
			if err := d.overlap(&as[0], &bs[0]); err != nil {
				return err
			}
			end := min(as[0].hi, bs[0].hi)
			as, bs = behind(as, end), behind(bs, end)
		}
	}
	return nil
}

// overlap compares two pieces that have hashes in common.
func (d *differ) overlap(a, b *step) error {
	if a.lo == b.lo && a.time == b.time && a.drain == b.drain {
		d.now.Equal++
		return nil
	}
	return d.report(Difference{Change: Changed, A: Content{Entry: &a.description}, B: Content{Entry: &b.description}})
}

// behind drops what lies below a hash.
func behind(list []step, end uint64) []step {
	if list[0].hi <= end {
		return list[1:]
	}
	list[0].lo = end
	return list
}

// broadcast compares one copy, and whether all copies agree.
func (d *differ) broadcast(a, b checkpoint.State) error {
	copiesA, firstA, err := d.copies(d.a, a)
	if err != nil {
		return err
	}
	copiesB, firstB, err := d.copies(d.b, b)
	if err != nil {
		return err
	}
	before := d.opts.Select.Subtasks
	defer func() { d.opts.Select.Subtasks = before }()
	one := func(subtask uint32) *checkpoint.Span {
		return &checkpoint.Span{First: uint64(subtask), Last: uint64(subtask)}
	}
	err = d.multiset(
		func(yield func(element, error) bool) {
			d.opts.Select.Subtasks = one(firstA)
			d.entries(d.a, a)(yield)
		},
		func(yield func(element, error) bool) {
			d.opts.Select.Subtasks = one(firstB)
			d.entries(d.b, b)(yield)
		})
	if err != nil || !d.now.Same() || maps.Equal(copiesA, copiesB) {
		return err
	}
	return d.report(Difference{Change: Changed, Problem: fmt.Sprintf("the subtasks have %d different copies in A and %d in B", len(copiesA), len(copiesB))})
}

// copies are the digests of the different copies of a broadcast state, and the
// subtask that has the first.
func (d *differ) copies(c checkpoint.Checkpoint, s checkpoint.State) (distinct map[digest]bool, first uint32, err error) {
	sums := map[uint32]digest{}
	first = ^uint32(0)
	for x, err := range d.entries(c, s) {
		if err != nil {
			return nil, 0, err
		}
		subtask := x.content.Entry.Subtask
		first = min(first, subtask)
		sum := sums[subtask]
		sum.add(digest{x.id[0] + x.body[0]*0x9e3779b97f4a7c15, x.id[1] ^ x.body[1]})
		sums[subtask] = sum
	}
	distinct = map[digest]bool{}
	for _, sum := range sums {
		distinct[sum] = true
	}
	return distinct, first, nil
}

// flowID names a sub-stream of an edge.
type flowID struct {
	receiver, sender uint32
	generation       uint64
}

// inFlight compares the in-flight records of each edge.
func (d *differ) inFlight() error {
	sel := d.opts.Select
	if sel.Kind != "" && !sel.Kind.InFlight() {
		return nil
	}
	edges, err := d.edges()
	if err != nil {
		return err
	}
	for _, edge := range edges {
		d.begin(edge)
		err := d.edge(edge)
		d.end()
		if err != nil {
			return err
		}
	}
	return nil
}

// edges lists the edges that have in-flight data in either checkpoint, as the
// channel state of the receiving operator.
func (d *differ) edges() ([]checkpoint.State, error) {
	var list []checkpoint.State
	at := map[string]int{}
	for _, c := range []checkpoint.Checkpoint{d.a, d.b} {
		for s, err := range c.States(d.ctx) {
			if err != nil {
				return nil, err
			}
			if !s.Kind.InFlight() || !d.opts.Select.Takes(s) || s.Entries == 0 {
				continue
			}
			name := s.Edge
			if name == "" { // the format has no edges: each state by itself
				name = fmt.Sprintf("%s\x00%s\x00%s", s.Operator, s.Name, s.Kind)
			}
			i, known := at[name]
			if !known {
				at[name] = len(list)
				list = append(list, s)
			} else if list[i].Kind == checkpoint.OutputChannel {
				list[i] = s
			}
		}
	}
	return list, nil
}

// flows selects the records of an edge, or of a state if the format has no edges.
func (d *differ) flows(edge checkpoint.State) checkpoint.Selector {
	if edge.Edge == "" {
		return checkpoint.Selector{Operator: edge.Operator, State: edge.Name, Kind: edge.Kind, Subtasks: d.opts.Select.Subtasks, Channel: d.opts.Select.Channel}
	}
	return checkpoint.Selector{KeyGroups: d.opts.Select.KeyGroups, Channel: &checkpoint.Channel{Gate: edge.Edge}}
}

// edge compares one edge: the records as a multiset, and, if the channels are
// the same, the order in each.
func (d *differ) edge(edge checkpoint.State) error {
	orders := [2]map[flowID]digest{}
	for i, c := range []checkpoint.Checkpoint{d.a, d.b} {
		var err error
		if orders[i], err = d.order(c, edge); err != nil {
			return err
		}
	}
	if err := d.multiset(d.records(d.a, edge), d.records(d.b, edge)); err != nil {
		return err
	}
	if !d.now.Same() || len(orders[0]) != len(orders[1]) {
		return nil
	}
	var moved []flowID
	for id, sum := range orders[0] {
		other, ok := orders[1][id]
		if !ok {
			return nil // other channels: another layout
		}
		if other != sum {
			moved = append(moved, id)
		}
	}
	if len(moved) == 0 {
		return nil
	}
	slices.SortFunc(moved, func(a, b flowID) int {
		return slices.Compare([]uint64{uint64(a.receiver), uint64(a.sender), a.generation}, []uint64{uint64(b.receiver), uint64(b.sender), b.generation})
	})
	return d.report(Difference{Change: Changed, Problem: fmt.Sprintf("the records are the same, in another order or place among watermarks in %d channel(s), first from %d to %d",
		len(moved), moved[0].sender, moved[0].receiver)})
}

// order is a digest of each channel that depends on the order.
func (d *differ) order(c checkpoint.Checkpoint, edge checkpoint.State) (map[flowID]digest, error) {
	joiner, ok := c.(checkpoint.Joiner)
	if !ok {
		return nil, nil
	}
	flows := map[flowID]digest{}
	g := &digester{seeds: seeds}
	for r, err := range joiner.Records(d.ctx, d.flows(edge)) {
		if err != nil {
			return nil, err
		}
		if r.Edge != edge.Edge {
			continue
		}
		id := flowID{r.Receiver, r.Sender, r.Generation}
		before := flows[id]
		sum := g.record(&r)
		flows[id] = g.of([]uint64{before[0], before[1], sum[0], sum[1]})
	}
	return flows, nil
}

// record is the digest of what a record is, wherever it lies.
func (g *digester) record(r *checkpoint.Record) digest {
	flags := uint64(0)
	if r.HasHash {
		flags |= 1
	}
	if r.NoKey {
		flags |= 2
	}
	return g.of([]uint64{flags, uint64(r.Hash), uint64(r.Time)}, []byte(r.Element), r.Payload)
}

// records are the records of one edge. Watermarks and statuses are not counted:
// every receiver of a channel that is split gets a copy.
func (d *differ) records(c checkpoint.Checkpoint, edge checkpoint.State) elements {
	return func(yield func(element, error) bool) {
		joiner, ok := c.(checkpoint.Joiner)
		if !ok {
			yield(element{}, ErrNotReadable)
			return
		}
		g := &digester{seeds: seeds}
		for r, err := range joiner.Records(d.ctx, d.flows(edge)) {
			if err == nil && (r.Edge != edge.Edge || r.Element != checkpoint.ElementRecord && r.Element != checkpoint.ElementTorn) {
				continue
			}
			if !yield(element{id: g.record(&r), size: len(r.Payload), content: Content{Record: &r}}, err) || err != nil {
				return
			}
		}
	}
}
