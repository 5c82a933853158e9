package state

// Touch brings the slot where the search for a key without namespace begins
// into the cache. A batch loop calls it for a few hundred keys before it looks
// them up: the memory accesses then overlap. Built with the tag
// tidemark_prefetch on amd64 it issues a prefetch, which does not wait; else it
// reads a byte.
func (t *Table) Touch(sum uint64) {
	i, product := t.locate(sum)
	if i >= uint64(len(t.heads)) {
		return
	}
	h := &t.heads[i]
	slot := uint64(uint32(product)) * h.cap >> 32
	t.touched += prefetch(&h.slab[int(slot)*t.stride])
}
