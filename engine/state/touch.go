package state

// Touch brings the slot where the search for a key without namespace begins
// into the cache. A batch loop calls it for a few hundred keys before it looks
// them up: the memory accesses then overlap. Built with the tag
// tidemark_prefetch on amd64 it issues a prefetch, which does not wait; else it
// reads a byte.
func (t *Table) Touch(sum uint64) {
	i, product := t.locate(sum)
	if i >= uint64(len(t.groups)) {
		return
	}
	g := &t.groups[i]
	slot := uint64(uint32(product)) * uint64(g.cap) >> 32
	t.touched += prefetch(&g.slab[int(slot)*t.stride])
}
