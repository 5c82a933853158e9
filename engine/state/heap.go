package state

import (
	"bytes"
	"cmp"
	"encoding/binary"
)

// timerHeap orders the timers of one key group by (time, hash, key bytes,
// namespace bytes): a 4-ary heap of fixed entries over an append-only arena
// with the bytes. A timer that was deleted stays until it is at the top or the
// heap is compacted.
type timerHeap struct {
	entries []heapEntry
	arena   []byte
	waste   int // bytes of records that no entry names
}

// heapEntry is one timer; off is the place of its record in the arena.
type heapEntry struct {
	time int64
	off  uint64
	hash uint32
}

// A record is: sum (8 bytes), registration number (8), length of the key (4),
// length of the namespace (4), key, namespace.
const recordHead = 24

// heapArity children per node: half the levels of a binary heap, and the
// children lie in one or two cache lines.
const heapArity = 4

// timerRecord is a decoded record; slices refer to the arena.
type timerRecord struct {
	sum, number uint64
	key, ns     []byte
}

func (h *timerHeap) record(off uint64) timerRecord {
	b := h.arena[off:]
	k := int(binary.LittleEndian.Uint32(b[16:]))
	n := int(binary.LittleEndian.Uint32(b[20:]))
	end := recordHead + k
	return timerRecord{
		sum:    binary.LittleEndian.Uint64(b),
		number: binary.LittleEndian.Uint64(b[8:]),
		key:    b[recordHead:end:end],
		ns:     b[end : end+n : end+n],
	}
}

func (r *timerRecord) size() int { return recordHead + len(r.key) + len(r.ns) }

// add appends a timer without putting it in its place.
func (h *timerHeap) add(time int64, r timerRecord) {
	off := uint64(len(h.arena))
	h.arena = binary.LittleEndian.AppendUint64(h.arena, r.sum)
	h.arena = binary.LittleEndian.AppendUint64(h.arena, r.number)
	h.arena = binary.LittleEndian.AppendUint32(h.arena, uint32(len(r.key)))
	h.arena = binary.LittleEndian.AppendUint32(h.arena, uint32(len(r.ns)))
	h.arena = append(h.arena, r.key...)
	h.arena = append(h.arena, r.ns...)
	h.entries = append(h.entries, heapEntry{time, off, uint32(r.sum >> 32)})
}

// less is the order of firing.
func (h *timerHeap) less(a, b *heapEntry) bool {
	if a.time != b.time {
		return a.time < b.time
	}
	if a.hash != b.hash {
		return a.hash < b.hash
	}
	x, y := h.record(a.off), h.record(b.off)
	return cmp.Or(bytes.Compare(x.key, y.key), bytes.Compare(x.ns, y.ns)) < 0
}

// up moves entry i towards the root until its parent is not greater.
func (h *timerHeap) up(i int) {
	e := h.entries[i]
	for i > 0 {
		parent := (i - 1) / heapArity
		if !h.less(&e, &h.entries[parent]) {
			break
		}
		h.entries[i] = h.entries[parent]
		i = parent
	}
	h.entries[i] = e
}

// down moves entry i away from the root until no child is smaller.
func (h *timerHeap) down(i int) {
	e := h.entries[i]
	for {
		first := i*heapArity + 1
		if first >= len(h.entries) {
			break
		}
		least := first
		for child := first + 1; child < min(first+heapArity, len(h.entries)); child++ {
			if h.less(&h.entries[child], &h.entries[least]) {
				least = child
			}
		}
		if !h.less(&h.entries[least], &e) {
			break
		}
		h.entries[i] = h.entries[least]
		i = least
	}
	h.entries[i] = e
}

// pop removes the root. Its record stays readable until the next compaction.
func (h *timerHeap) pop() {
	r := h.record(h.entries[0].off)
	h.waste += r.size()
	end := len(h.entries) - 1
	h.entries[0] = h.entries[end]
	h.entries = h.entries[:end]
	if end > 1 {
		h.down(0)
	}
}

// order makes a heap of entries in any order.
func (h *timerHeap) order() {
	for i := (len(h.entries) - 2) / heapArity; i >= 0 && len(h.entries) > 1; i-- {
		h.down(i)
	}
}

// compact keeps the entries for which live is true and moves their records to a
// new arena.
func (h *timerHeap) compact(live func(e *heapEntry, r timerRecord) bool) {
	old := timerHeap{entries: h.entries, arena: h.arena}
	*h = timerHeap{entries: h.entries[:0], arena: make([]byte, 0, len(old.arena)-h.waste)}
	for i := range old.entries {
		e := old.entries[i] // add may overwrite it: the entries share their array
		if r := old.record(e.off); live(&e, r) {
			h.add(e.time, r)
		}
	}
	h.order()
}
