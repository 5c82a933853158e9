package state

import "fmt"

// Set stores a value, in a new entry or in the existing one, and copies the
// bytes it is given. It fails, changing nothing, with [ErrWidth] or
// [ErrNotOwned].
func (t *Table) Set(sum uint64, key, ns, value []byte) (Ref, error) {
	r, ok := t.Find(sum, key, ns)
	if ok {
		return t.SetValue(r, value)
	}
	return t.Insert(r, sum, key, ns, value)
}

// Insert adds an entry that [Table.Find] has not found: r is what Find returned
// for the same arguments, and [Table.Epoch] is what it was then. It fails as
// [Table.Set] does.
func (t *Table) Insert(r Ref, sum uint64, key, ns, value []byte) (Ref, error) {
	if err := t.check(r, key, ns, value); err != nil {
		return Ref{}, err
	}
	g := &t.groups[r.group]
	word := t.word(sum, ns)
	slot := int(r.slot)
	if g.n >= g.limit {
		t.grow(g)
		slot = t.place(g, word)
	}
	free := t.freeFrom(g, slot)
	for free == int(g.slots)-1 { // the last slot stays empty: searches end there
		t.grow(g)
		slot = t.place(g, word)
		free = t.freeFrom(g, slot)
	}
	t.changed[r.group] = t.snapshots
	t.guard(r.group, slot, free)
	from, to := slot*t.stride, free*t.stride
	copy(g.slab[from+t.stride:to+t.stride], g.slab[from:to])
	s := g.slab[from : from+t.stride : from+t.stride]
	putWord(s, 0, word)
	t.fill(g, s, key, ns, value)
	g.n++
	t.n++
	t.structure++
	return Ref{r.group, uint32(slot)}, nil
}

// check tells why an entry cannot be inserted.
func (t *Table) check(r Ref, key, ns, value []byte) error {
	if t.pair && len(key) == 8 && len(ns) == 0 && len(value) == 8 && r.group != noGroup {
		return nil
	}
	if r.group == noGroup {
		return fmt.Errorf("%w: %v of %d", ErrNotOwned, t.opts.Range, t.opts.Groups)
	}
	switch {
	case !t.key.fits(key):
		return widthError("key", key, t.key.width)
	case !t.ns.fits(ns):
		return widthError("namespace", ns, t.ns.width)
	case !t.val.fits(value):
		return widthError("value", value, t.val.width)
	}
	return nil
}

func widthError(what string, data []byte, want int) error {
	if want == Variable {
		want = maxField
	}
	return fmt.Errorf("%w: %s of %d bytes in a table for %d", ErrWidth, what, len(data), want)
}

// place is the slot where an entry with the word belongs that is not there.
func (t *Table) place(g *group, word uint64) int {
	slot := t.home(g, word)
	for wordAt(g.slab, slot*t.stride)-1 < word {
		slot++
	}
	return slot
}

// freeFrom is the first empty slot at or behind slot.
func (t *Table) freeFrom(g *group, slot int) int {
	for wordAt(g.slab, slot*t.stride) != 0 {
		slot++
	}
	return slot
}

// fill writes key, namespace and value into a slot.
func (t *Table) fill(g *group, slot, key, ns, value []byte) {
	if t.pair {
		*(*[8]byte)(slot[wordSize:]) = [8]byte(key)
		*(*[8]byte)(slot[2*wordSize:]) = [8]byte(value)
		return
	}
	if !t.arena {
		t.key.putInline(slot, key)
		t.ns.putInline(slot, ns)
		t.val.putInline(slot, value)
		return
	}
	t.put(g, &t.key, slot, key)
	t.put(g, &t.ns, slot, ns)
	t.put(g, &t.val, slot, value)
}

// SetValue stores another value in an existing entry: in place if the length
// allows, else in the arena. The Ref returned names the entry afterwards.
func (t *Table) SetValue(r Ref, value []byte) (Ref, error) {
	if !t.val.fits(value) {
		return r, widthError("value", value, t.val.width)
	}
	g, slot := t.at(r)
	t.changed[r.group] = t.snapshots
	t.guard(r.group, int(r.slot), int(r.slot))
	if !t.val.short {
		t.val.putInline(slot, value)
		return r, nil
	}
	if t.val.isFar(slot) {
		field := slot[t.val.off : t.val.off+shortSize]
		off, n := far(field)
		if len(value) > shortMax && len(value) <= n && t.writable(g, off) {
			copy(g.arena[off:], value)
			t.val.putFar(slot, off, len(value))
			g.waste += n - len(value)
			return r, nil
		}
		g.waste += n
	}
	t.put(g, &t.val, slot, value)
	t.compact(g)
	return r, nil
}

// Mutable is the value of an entry for overwriting in place, its length being
// fixed. The slice is valid until the next change of the table and must not be
// written to after the next [Table.Snapshot].
func (t *Table) Mutable(r Ref) []byte {
	t.changed[r.group] = t.snapshots
	if t.snap != nil || t.val.short {
		return t.mutable(r)
	}
	off := int(r.slot)*t.stride + t.val.off
	return t.heads[r.group].slab[off : off+t.val.width]
}

// mutable is Mutable beside a snapshot, or for values that may lie in the
// arena.
func (t *Table) mutable(r Ref) []byte {
	t.guard(r.group, int(r.slot), int(r.slot))
	g, slot := t.at(r)
	if t.val.isFar(slot) {
		off, n := far(slot[t.val.off : t.val.off+shortSize])
		if !t.writable(g, off) {
			g.waste += n
			t.put(g, &t.val, slot, g.arena[off:off+n])
			t.compact(g)
			g, slot = t.at(r)
		}
	}
	return t.val.bytes(slot, g.arena)
}

// Delete removes an entry and reports whether it was there.
func (t *Table) Delete(sum uint64, key, ns []byte) bool {
	r, ok := t.Find(sum, key, ns)
	if ok {
		t.Remove(r)
	}
	return ok
}

// Remove removes the entry that r names.
func (t *Table) Remove(r Ref) {
	g, slot := t.at(r)
	if t.arena {
		for _, f := range [...]*field{&t.key, &t.ns, &t.val} {
			if f.isFar(slot) {
				_, n := far(slot[f.off : f.off+shortSize])
				g.waste += n
			}
		}
	}
	// Shift the rest of the run back by one slot, up to an entry that is at
	// home or an empty slot.
	first := int(r.slot)
	end := first + 1
	for {
		w := wordAt(g.slab, end*t.stride)
		if w == 0 || t.home(g, w) == end {
			break
		}
		end++
	}
	t.changed[r.group] = t.snapshots
	t.guard(r.group, first, end-1)
	copy(g.slab[first*t.stride:], g.slab[(first+1)*t.stride:end*t.stride])
	clear(g.slab[(end-1)*t.stride : end*t.stride])
	g.n--
	t.n--
	t.structure++
	t.shrink(g)
}

// Clear removes all entries.
func (t *Table) Clear() {
	for i := range t.groups {
		t.drop(&t.groups[i])
		t.changed[i] = t.snapshots
	}
	t.n = 0
	t.structure++
}
