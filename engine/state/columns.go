package state

import (
	"bytes"
	"encoding/binary"
	"iter"
	"sort"

	"github.com/tidemark-io/tidemark/keygroup"
)

// Columns is a run of entries whose keys, and whose values, have one width, with
// no namespaces: keys and values lie one behind the other in the order of the
// hashes.
type Columns struct {
	Hashes       []keygroup.Hash
	Keys, Values []byte
}

// batchRows is how many entries a batch has at least, unless it is the last:
// enough that what is done once for a batch costs nothing, and few enough that
// the batch stays in the first-level cache.
const batchRows = 512

// Fixed reports whether the snapshot can be read as columns: there are no
// namespaces, and keys and values have one width each and lie in the slots.
func (s *Snapshot) Fixed() bool { return !s.layout.namespaced && !s.layout.arena }

// Batches yields what [Snapshot.Entries] does, in the same order, in runs of
// some hundred entries. It yields nothing unless [Snapshot.Fixed]. The slices
// are valid until the next step. Of Entries and Batches one can be run once;
// whatever becomes of it, [Snapshot.Release] must follow. It needs memory for a
// page, a batch, and the entries whose hashes are equal.
func (s *Snapshot) Batches() iter.Seq[Columns] {
	return func(yield func(Columns) bool) {
		if s.read || s.done.Load() || !s.Fixed() {
			return
		}
		s.read = true
		var page []byte
		c := columns{layout: &s.layout}
		for i := range s.groups {
			sg := &s.groups[i]
			for p := 0; sg.n > 0 && p < len(sg.pages); p++ {
				c.add(s.load(sg, p, &page))
				if c.n >= batchRows && !c.flush(yield) {
					return
				}
			}
		}
		c.yield(yield, c.n)
	}
}

// columns collects a batch.
type columns struct {
	*layout
	Columns     // longer than n
	n       int // entries
}

// add appends the entries of a page. About each second slot is empty, without a
// pattern: each is copied to where the next entry belongs, and counted if it is
// one, which saves a branch that would often be mispredicted.
func (c *columns) add(page []byte) {
	slots := len(page) / c.stride
	c.reserve(c.n + slots)
	if c.pair {
		c.addPairs(page, slots)
		return
	}
	kw, vw := c.key.width, c.val.width
	for range slots {
		slot := page[:c.stride:c.stride]
		page = page[c.stride:]
		w := binary.LittleEndian.Uint64(slot)
		c.Hashes[c.n] = keygroup.Hash(w >> 32)
		copy(c.Keys[c.n*kw:], slot[c.key.off:c.key.off+kw])
		copy(c.Values[c.n*vw:], slot[c.val.off:c.val.off+vw])
		c.n += int((w | -w) >> 63)
	}
}

// addPairs is add for keys and values of eight bytes.
func (c *columns) addPairs(page []byte, slots int) {
	const stride = 3 * wordSize
	hashes, keys, values := c.Hashes[c.n:], c.Keys[c.n*8:], c.Values[c.n*8:]
	n := 0
	for range slots {
		slot := page[:stride:stride]
		page = page[stride:]
		w := binary.LittleEndian.Uint64(slot)
		hashes[n] = keygroup.Hash(w >> 32)
		binary.LittleEndian.PutUint64(keys[n*8:], binary.LittleEndian.Uint64(slot[wordSize:]))
		binary.LittleEndian.PutUint64(values[n*8:], binary.LittleEndian.Uint64(slot[2*wordSize:]))
		n += int((w | -w) >> 63)
	}
	c.n += n
}

// reserve makes room for so many entries.
func (c *columns) reserve(n int) {
	if n <= len(c.Hashes) {
		return
	}
	n = max(n, 2*batchRows, len(c.Hashes)+len(c.Hashes)/2)
	grow := func(old []byte, width int) []byte {
		b := make([]byte, n*width)
		copy(b, old[:c.n*width])
		return b
	}
	hashes := make([]keygroup.Hash, n)
	copy(hashes, c.Hashes[:c.n])
	c.Hashes, c.Keys, c.Values = hashes, grow(c.Keys, c.key.width), grow(c.Values, c.val.width)
}

// flush yields what is complete: all but the entries with the last hash, since
// the next page may begin with one of them.
func (c *columns) flush(yield func(Columns) bool) bool {
	end := c.n - 1
	for end > 0 && c.Hashes[end-1] == c.Hashes[c.n-1] {
		end--
	}
	if end == 0 {
		return true
	}
	if !c.yield(yield, end) {
		return false
	}
	kw, vw := c.key.width, c.val.width
	copy(c.Hashes, c.Hashes[end:c.n])
	copy(c.Keys, c.Keys[end*kw:c.n*kw])
	copy(c.Values, c.Values[end*vw:c.n*vw])
	c.n -= end
	return true
}

// yield sorts entries with equal hashes by their keys and yields the first n.
func (c *columns) yield(yield func(Columns) bool, n int) bool {
	if n == 0 {
		return true
	}
	for i := 1; i < n; i++ {
		if c.Hashes[i] != c.Hashes[i-1] {
			continue
		}
		from := i - 1
		for i < n && c.Hashes[i] == c.Hashes[from] {
			i++
		}
		sort.Sort(&equalRun{c, from, i})
	}
	kw, vw := c.key.width, c.val.width
	return yield(Columns{c.Hashes[:n:n], c.Keys[: n*kw : n*kw], c.Values[: n*vw : n*vw]})
}

// equalRun sorts entries of one hash by their keys.
type equalRun struct {
	*columns
	from, to int
}

func (r *equalRun) Len() int { return r.to - r.from }

func (r *equalRun) Less(i, j int) bool {
	w := r.key.width
	return bytes.Compare(cell(r.Keys, r.from+i, w), cell(r.Keys, r.from+j, w)) < 0
}

func (r *equalRun) Swap(i, j int) {
	swap(cell(r.Keys, r.from+i, r.key.width), cell(r.Keys, r.from+j, r.key.width))
	swap(cell(r.Values, r.from+i, r.val.width), cell(r.Values, r.from+j, r.val.width))
}

// cell is one cell of a column.
func cell(column []byte, i, width int) []byte { return column[i*width : (i+1)*width] }

// swap exchanges the contents of slices of one length.
func swap(a, b []byte) {
	for i := range a {
		a[i], b[i] = b[i], a[i]
	}
}
