package state

import (
	"bytes"
	"cmp"
	"iter"
	"slices"
)

// Entries yields the entries of the snapshot in ascending order of (hash, key
// bytes, namespace bytes), over all groups of the table. Slices are valid until
// the next step. It can be run once; whatever becomes of it, [Snapshot.Release]
// must follow. It needs memory for one page, for the entries whose hashes are
// equal and, with namespaces, for one key group.
func (s *Snapshot) Entries() iter.Seq[Entry] {
	return func(yield func(Entry) bool) {
		if s.read || s.done.Load() {
			return
		}
		s.read = true
		c := cursor{s: s, yield: yield}
		for i := range s.groups {
			sg := &s.groups[i]
			if sg.n == 0 {
				continue
			}
			var more bool
			if s.layout.namespaced {
				more = c.sorted(sg)
			} else {
				more = c.inOrder(sg)
			}
			if !more {
				return
			}
		}
	}
}

// cursor is the state of one iteration over a snapshot.
type cursor struct {
	s     *Snapshot
	yield func(Entry) bool
	page  []byte
	// held has copies of slots that cannot be yielded yet, because the next
	// slot may have the same hash and a smaller key.
	held  []byte
	order []orderKey
	used  [pageTarget / wordSize]uint16
}

// orderKey is the place of a slot in the copy of a group, with the hash.
type orderKey struct {
	hash uint32
	slot uint32
}

// inOrder yields a group that lies in the order of hashes. Equal hashes have
// one home, so they lie side by side: a slot is held back only if the next one
// has the same hash or is on another page.
func (c *cursor) inOrder(sg *snapGroup) bool {
	l := &c.s.layout
	c.held = c.held[:0]
	for p := range sg.pages {
		page := c.s.load(sg, p, &c.page)
		used := c.occupied(page)
		for i, at := range used {
			off := int(at) * l.stride
			slot := page[off : off+l.stride : off+l.stride]
			h := uint32(wordAt(slot, 0) >> 32)
			if len(c.held) > 0 && uint32(wordAt(c.held, 0)>>32) != h && !c.flush(sg) {
				return false
			}
			alone := i+1 < len(used) && uint32(wordAt(page, int(used[i+1])*l.stride)>>32) != h
			if !alone || len(c.held) > 0 {
				c.held = append(c.held, slot...)
			} else if !c.yield(l.entry(slot, sg.arena)) {
				return false
			}
		}
	}
	return c.flush(sg)
}

// occupied lists the slots of a page that are not empty. About each second one
// is, without a pattern: the branch that this saves would be mispredicted often.
func (c *cursor) occupied(page []byte) []uint16 {
	n, stride := uint(0), c.s.layout.stride
	for slot := range len(page) / stride {
		w := wordAt(page, slot*stride)
		c.used[n%uint(len(c.used))] = uint16(slot)
		n += uint((w | -w) >> 63)
	}
	return c.used[:n]
}

// flush yields the held slots, which have one hash.
func (c *cursor) flush(sg *snapGroup) bool {
	more := true
	switch stride := c.s.layout.stride; len(c.held) {
	case 0:
	case stride:
		more = c.yield(c.s.layout.entry(c.held, sg.arena))
	default:
		more = c.yieldSorted(c.held, sg.arena)
	}
	c.held = c.held[:0]
	return more
}

// sorted yields a group whose slots are mixed.
func (c *cursor) sorted(sg *snapGroup) bool {
	l := &c.s.layout
	c.held = c.held[:0]
	for p := range sg.pages {
		page := c.s.load(sg, p, &c.page)
		for ; len(page) > 0; page = page[l.stride:] {
			if wordAt(page, 0) != 0 {
				c.held = append(c.held, page[:l.stride]...)
			}
		}
	}
	return c.yieldSorted(c.held, sg.arena)
}

// yieldSorted yields the slots, all of them in use, in the order of a
// checkpoint.
func (c *cursor) yieldSorted(slots, arena []byte) bool {
	l := &c.s.layout
	c.order = c.order[:0]
	for i := range len(slots) / l.stride {
		c.order = append(c.order, orderKey{l.hash(wordAt(slots, i*l.stride)), uint32(i)})
	}
	at := func(k orderKey) []byte {
		off := int(k.slot) * l.stride
		return slots[off : off+l.stride : off+l.stride]
	}
	slices.SortFunc(c.order, func(a, b orderKey) int {
		if a.hash != b.hash {
			return cmp.Compare(a.hash, b.hash)
		}
		x, y := at(a), at(b)
		if d := bytes.Compare(l.key.bytes(x, arena), l.key.bytes(y, arena)); d != 0 {
			return d
		}
		return l.compareNamespaces(l.ns.bytes(x, arena), l.ns.bytes(y, arena))
	})
	for _, k := range c.order {
		if !c.yield(l.entry(at(k), arena)) {
			return false
		}
	}
	return true
}

// compareNamespaces orders namespaces by their bytes, the suffix of the layout
// apart and last.
func (l *layout) compareNamespaces(a, b []byte) int {
	i, j := len(a)-l.suffix, len(b)-l.suffix
	if d := bytes.Compare(a[:i], b[:j]); d != 0 {
		return d
	}
	return bytes.Compare(a[i:], b[j:])
}
