package state

// wasteAllowed is the garbage that an arena may hold before it is worth
// compacting.
const wasteAllowed = 4096

// put writes data into a field of the slot, into the arena if it must.
func (t *Table) put(g *group, f *field, slot, data []byte) {
	if !f.short || len(data) <= shortMax {
		f.putInline(slot, data)
		return
	}
	off, before := len(g.arena), cap(g.arena)
	// Bytes behind the length belong to nobody: a snapshot that shares the
	// array sees only what lies before.
	g.arena = append(g.arena, data...)
	t.bytes += int64(cap(g.arena) - before)
	f.putFar(slot, off, len(data))
}

// writable reports whether the bytes of the arena from off on may change: no
// snapshot may read them any more.
func (t *Table) writable(g *group, off int) bool {
	return t.snap == nil || off >= g.frozen || !t.active()
}

// compact moves the arena when more than half of it is garbage. The slots are
// rewritten as well, into a new slab, so that an active snapshot keeps the old
// slab and arena together. Entries keep their slots: the place of an entry
// follows from the capacity and the entries alone.
func (t *Table) compact(g *group) {
	if g.waste > wasteAllowed && g.waste > len(g.arena)/2 {
		t.rebuild(g, g.cap, g.slots-1-g.cap)
	}
}

// moveArena copies what the slots of g name from the old arena to a new one.
func (t *Table) moveArena(g *group) {
	old := g.arena
	g.arena = make([]byte, 0, (len(old)-g.waste)+(len(old)-g.waste)/4)
	g.waste, g.frozen = 0, 0
	for off := 0; off < len(g.slab); off += t.stride {
		slot := g.slab[off : off+t.stride]
		if wordAt(slot, 0) == 0 {
			continue
		}
		for _, f := range [...]*field{&t.key, &t.ns, &t.val} {
			if f.isFar(slot) {
				from, n := far(slot[f.off : f.off+shortSize])
				f.putFar(slot, len(g.arena), n)
				g.arena = append(g.arena, old[from:from+n]...)
			}
		}
	}
}
