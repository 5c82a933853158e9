package state

import "sync/atomic"

// minSlots is the capacity of the first slab of a group.
const minSlots = 8

// limitOf is the number of entries at which a slab of the capacity grows: load
// ¾, where a successful search looks at 2½ slots on average.
func limitOf(capacity uint32) uint32 { return capacity - capacity/4 }

// tailOf is the number of slots behind the last home that a new slab gets. A
// run at the end rarely needs more; if it does the tail doubles.
func tailOf(capacity uint32) uint32 { return min(4+capacity/4, 64) }

// grow makes room for another entry: half as much capacity again, or a longer
// tail when it is the tail that is full and the slab is not. Doubling would copy
// less, but copies are sequential and cheap, and a slab between ½ and ¾ full
// fits into the caches where one between ⅜ and ¾ does not.
func (t *Table) grow(g *group) {
	capacity, tail := g.cap, g.slots-1-g.cap
	switch {
	case capacity == 0:
		capacity, tail = minSlots, tailOf(minSlots)
	case g.n >= g.limit/2:
		capacity += capacity / 2
		tail = max(tail, tailOf(capacity))
	default:
		tail *= 2
	}
	t.rebuild(g, capacity, tail)
	t.structure++
}

// keepSlots is the capacity up to which a slab stays when its entries go, so
// that a group that empties and fills all the time does not allocate.
const keepSlots = 64

// shrink gives memory back after a delete: a slab that is less than an eighth
// full becomes one that is half full.
func (t *Table) shrink(g *group) {
	switch {
	case g.cap > keepSlots && g.n == 0:
		t.drop(g)
	case g.cap > keepSlots && g.n < g.cap/8:
		capacity := g.cap / 4
		t.rebuild(g, capacity, tailOf(capacity))
	case g.n == 0 && len(g.arena) > 0:
		t.bytes -= int64(cap(g.arena))
		g.arena, g.waste, g.frozen = nil, 0, 0
	default:
		t.compact(g)
	}
}

// drop gives the memory of a group back whose entries are gone.
func (t *Table) drop(g *group) {
	t.bytes -= t.footprint(g)
	t.reset(g, g.index)
}

// rebuild moves a group into a new slab. Both are in the order of words, so it
// is a sequential copy. An active snapshot keeps the old slab, which never
// changes again.
func (t *Table) rebuild(g *group, capacity, tail uint32) {
	old := *g
	for !t.copySlab(g, &old, capacity, tail) {
		tail *= 2
	}
	if t.arena && g.waste > wasteAllowed/4 && g.waste > len(g.arena)/4 {
		t.moveArena(g)
	}
	t.bytes += t.footprint(g) - t.footprint(&old)
	t.structure++
}

// copySlab fills a new slab from the old one and reports whether the tail was
// long enough.
func (t *Table) copySlab(g, old *group, capacity, tail uint32) bool {
	t.makeSlab(g, capacity, tail)
	next, last := 0, int(g.slots)-1
	for from := 0; from < len(old.slab); from += t.stride {
		w := wordAt(old.slab, from)
		if w == 0 {
			continue
		}
		slot := max(t.home(g, w), next)
		if slot >= last {
			return false
		}
		to := slot * t.stride
		copy(g.slab[to:to+t.stride], old.slab[from:from+t.stride])
		next = slot + 1
	}
	return true
}

// makeSlab gives the group an empty slab that no snapshot knows.
func (t *Table) makeSlab(g *group, capacity, tail uint32) {
	g.cap, g.slots, g.limit = capacity, capacity+tail+1, limitOf(capacity)
	g.slab = make([]byte, int(g.slots)*t.stride)
	g.pages = make([]atomic.Uint64, (int(g.slots)-1)>>t.pageShift+1)
	g.epoch = 0
	t.heads[g.index] = head{slab: g.slab, cap: uint64(capacity)}
}

// footprint is the memory of a group in bytes.
func (t *Table) footprint(g *group) int64 {
	if g.cap == 0 {
		return 0
	}
	return int64(len(g.slab)) + int64(cap(g.arena)) + int64(len(g.pages))*8
}
