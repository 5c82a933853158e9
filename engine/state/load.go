package state

import (
	"encoding/binary"
	"fmt"
	"math"
)

const (
	// loadAhead bounds the memory that a Loader sets aside on the word of the
	// expected number of entries, before it has seen entries of that size in
	// bulk: the number may come from a damaged or hostile file.
	loadAhead = 16 << 20
	// loadTrust is how many times the memory of the entries seen may be set
	// aside besides.
	loadTrust = 4
)

// Loader fills a table, usually an empty one, with the entries of a snapshot.
// Entries in the order that [Snapshot.Entries] gives are written sequentially;
// entries in another order are stored too, at the cost of ordinary inserts.
type Loader struct {
	t      *Table
	share  uint64 // expected entries per group
	group  uint64 // index of the group being filled
	ready  bool   // group is being filled sequentially
	next   int    // first slot behind the last entry
	last   uint64 // word of the last entry
	loaded int64  // bytes of slots filled
	ahead  int64  // bytes of slots set aside
}

// Load begins a restore. expected is about how many entries will come, so that
// slabs have their size from the beginning; 0 if unknown. A wrong number costs
// time or memory, within bounds.
func (t *Table) Load(expected int) *Loader {
	l := &Loader{t: t}
	if n := len(t.groups); n > 0 && expected > 0 {
		// Three standard deviations of a random spread above the mean.
		mean := uint64(expected) / uint64(n)
		l.share = mean + 3*uint64(math.Sqrt(float64(mean))) + 1
	}
	return l
}

// Append stores one entry and copies its bytes. sum is the 64-bit hash of key;
// comparing its upper half with the hash in the checkpoint is the caller's
// matter. It fails with [ErrWidth], [ErrNotOwned] or [ErrDuplicate]; the table
// keeps the entries so far.
func (l *Loader) Append(sum uint64, key, ns, value []byte) error {
	t := l.t
	i, product := t.locate(sum)
	if t.pair && l.ready && i == l.group && l.appendPair(sum, product, key, ns, value) {
		return nil
	}
	word := t.word(sum, ns)
	if i != l.group || !l.ready {
		if i >= uint64(len(t.groups)) || !l.begin(i) {
			return l.insert(sum, key, ns, value)
		}
	} else if word <= l.last {
		return l.insert(sum, key, ns, value)
	}
	g := &t.groups[i]
	slot := max(t.home(g, word), l.next)
	if g.n >= g.limit || slot >= int(g.slots)-1 || t.snap != nil {
		return l.insert(sum, key, ns, value)
	}
	if err := t.check(Ref{group: uint32(i)}, key, ns, value); err != nil {
		return err
	}
	off := slot * t.stride
	s := g.slab[off : off+t.stride : off+t.stride]
	putWord(s, 0, word)
	t.fill(g, s, key, ns, value)
	g.n++
	t.n++
	l.next, l.last = slot+1, word
	l.loaded += int64(t.stride)
	t.structure++
	return nil
}

// appendPair is Append for the most frequent layout, for an entry that follows
// the last one in the same group and for which there is room. It reports
// whether it has stored the entry; what is not so simple is left to Append.
func (l *Loader) appendPair(sum, product uint64, key, ns, value []byte) bool {
	t := l.t
	g, word := &t.groups[l.group], sum|1
	slot := max(int(uint64(uint32(product))*uint64(g.cap)>>32), l.next)
	if word <= l.last || g.n >= g.limit || slot >= int(g.slots)-1 || t.snap != nil ||
		len(key) != 8 || len(ns) != 0 || len(value) != 8 {
		return false
	}
	const stride = 3 * wordSize
	s := g.slab[slot*stride : slot*stride+stride : slot*stride+stride]
	binary.LittleEndian.PutUint64(s, word)
	*(*[8]byte)(s[wordSize:]) = [8]byte(key)
	*(*[8]byte)(s[2*wordSize:]) = [8]byte(value)
	g.n++
	t.n++
	l.next, l.last = slot+1, word
	l.loaded += stride
	t.structure++
	return true
}

// begin prepares the sequential filling of group i and reports whether that is
// possible.
func (l *Loader) begin(i uint64) bool {
	t := l.t
	g := &t.groups[i]
	l.ready = false
	if g.n > 0 || t.namespaced || t.snap != nil {
		// Mixed slots do not come in order; but the size is known.
		if g.cap == 0 {
			l.reserve(g)
		}
		return false
	}
	if g.cap == 0 {
		l.reserve(g)
	}
	l.group, l.next, l.last, l.ready = i, 0, 0, true
	return true
}

// reserve gives an empty group a slab for its share of the expected entries.
func (l *Loader) reserve(g *group) {
	t := l.t
	allowed := max(loadAhead+loadTrust*l.loaded-l.ahead, 0) / int64(t.stride)
	want := min(l.share, uint64(allowed), 1<<30)
	want += want/3 + 1 // load ¾
	capacity := uint32(max(want, minSlots))
	t.makeSlab(g, capacity, tailOf(capacity))
	t.bytes += t.footprint(g)
	l.ahead += int64(capacity) * int64(t.stride)
}

// insert stores an entry at any place of its group.
func (l *Loader) insert(sum uint64, key, ns, value []byte) error {
	t := l.t
	r, ok := t.Find(sum, key, ns)
	if ok {
		return fmt.Errorf("%w: hash %08x, key of %d bytes, namespace of %d bytes", ErrDuplicate, sum>>32, len(key), len(ns))
	}
	r, err := t.Insert(r, sum, key, ns, value)
	if err != nil {
		return err
	}
	l.loaded += int64(t.stride)
	if !l.ready || uint64(r.group) != l.group {
		return nil
	}
	// Go on behind the greatest entry of the group, if that is this one.
	g := &t.groups[r.group]
	if word := t.word(sum, ns); word >= l.last {
		l.last, l.next = word, int(r.slot)+1
	} else {
		l.next = t.place(g, l.last)
	}
	return nil
}
