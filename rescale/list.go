package rescale

// Run is a run of consecutive list items that one old subtask wrote: items
// First, First+1, … First+Count−1 of its list.
type Run struct {
	Old          int // old subtask
	First, Count uint64
}

// Split redistributes a split list: counts[i] is the number of items of old
// subtask i, and the result tells for every new subtask which items it gets,
// in order.
//
// The rule is Flink's. At an unchanged parallelism everybody keeps its own.
// Otherwise the items of all old subtasks, in order, are cut into contiguous
// chunks of ⌊t/n⌋ or, for the first t mod n chunks, one more; chunk i goes to
// subtask (i + start) mod n. The second result is the start for the operator's
// next state, so that the odd items of several states do not all end at
// subtask 0. States are taken in the order of their names, beginning with
// start 0.
func Split(counts []uint64, parallelism, start int) (plan [][]Run, next int) {
	if parallelism < 1 || start < 0 {
		return nil, 0
	}
	start %= parallelism
	if len(counts) == parallelism {
		return keep(counts), start
	}
	var total uint64
	for _, c := range counts {
		total += c
	}
	n := uint64(parallelism)
	base, odd := total/n, total%n
	plan = make([][]Run, parallelism)
	at := cursor{counts: counts}
	for i := range n {
		size := base
		if i < odd {
			size++
		}
		to := (int(i) + start) % parallelism
		plan[to] = at.take(size)
	}
	return plan, (start + int(odd)) % parallelism
}

// keep gives each subtask its own items back.
func keep(counts []uint64) [][]Run {
	plan := make([][]Run, len(counts))
	for i, c := range counts {
		if c > 0 {
			plan[i] = []Run{{Old: i, Count: c}}
		}
	}
	return plan
}

// cursor walks over the items of all old subtasks.
type cursor struct {
	counts []uint64
	old    int
	first  uint64 // next item of old
}

// take returns the next n items as runs.
func (c *cursor) take(n uint64) []Run {
	var runs []Run
	for n > 0 && c.old < len(c.counts) {
		left := c.counts[c.old] - c.first
		if left == 0 {
			c.old, c.first = c.old+1, 0
			continue
		}
		got := min(n, left)
		runs = append(runs, Run{Old: c.old, First: c.first, Count: got})
		c.first += got
		n -= got
	}
	return runs
}

// Union gives every new subtask all items of all old subtasks, in order. This
// holds at an unchanged parallelism too.
func Union(counts []uint64, parallelism int) [][]Run {
	if parallelism < 1 {
		return nil
	}
	var all []Run
	for i, c := range counts {
		if c > 0 {
			all = append(all, Run{Old: i, Count: c})
		}
	}
	plan := make([][]Run, parallelism)
	for i := range plan {
		plan[i] = append([]Run(nil), all...)
	}
	return plan
}

// Broadcast tells for every new subtask whose copy of a broadcast state it
// gets: new subtask i gets copy i mod copies. The copies must be equal; taking
// different ones spreads the reading. The result is nil without copies.
func Broadcast(copies, parallelism int) []int {
	if copies < 1 || parallelism < 1 {
		return nil
	}
	plan := make([]int, parallelism)
	for i := range plan {
		plan[i] = i % copies
	}
	return plan
}
