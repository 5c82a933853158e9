package state

import (
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"sync/atomic"

	"github.com/tidemark-io/tidemark/keygroup"
)

// Errors of tables; the errors returned wrap them with the figures.
var (
	// ErrWidth: a key, namespace or value has another length than the table
	// was made for, or more than 2³¹−1 bytes.
	ErrWidth = errors.New("state: wrong encoded width")
	// ErrNotOwned: the hash lies outside the key groups of the table.
	ErrNotOwned = errors.New("state: hash outside the owned key groups")
	// ErrDuplicate: a restore met the same entry twice.
	ErrDuplicate = errors.New("state: entry restored twice")
	// ErrSnapshotActive: the previous snapshot has not been released.
	ErrSnapshotActive = errors.New("state: a snapshot is active")
	// ErrOptions: the options of a table make no sense.
	ErrOptions = errors.New("state: invalid table options")
)

// Options describe a table. Widths are lengths of encodings in bytes; 0 means
// that there is nothing to store, [Variable] that lengths differ.
type Options struct {
	Groups         int            // number of key groups of the operator
	Range          keygroup.Range // key groups that the table owns
	KeyWidth       int
	NamespaceWidth int // 0 for a table without namespaces
	ValueWidth     int
}

// Ref names the slot of an entry. It is valid as long as [Table.Epoch] returns
// the same number.
type Ref struct{ group, slot uint32 }

// noGroup is the group of a Ref for a hash that the table does not own.
const noGroup = 1<<32 - 1

// head is all that a lookup reads of a group, apart from the rest so that the
// heads of all groups stay in the first-level cache.
type head struct {
	slab []byte
	cap  uint64
}

// group is the part of a table that holds one key group.
type group struct {
	index uint32 // in Table.groups
	slab  []byte // slots in ascending order of words; the last is always empty
	cap   uint32 // slots that are somebody's home; more follow for overflow
	n     uint32 // entries
	limit uint32 // entries at which the slab grows
	slots uint32 // slots, the last one included
	arena []byte // bytes of variable fields; appended only
	waste int    // bytes of the arena that no slot names
	// frozen is the length of the arena at the last snapshot: while that is
	// active, bytes before it must not change.
	frozen int
	pages  []atomic.Uint64 // state of each page; see snapshot.go
	// epoch is the snapshot that may still read the slab, 0 if none can.
	epoch uint64
}

// Table maps (key, namespace) to a value; see the package comment. It belongs
// to one goroutine.
type Table struct {
	layout
	heads     []head   // slab and cap of each group, for lookups
	changed   []uint64 // generation of each group's last change; see generation.go
	groups    []group
	first     uint64 // number of the first owned group
	total     uint64 // number of groups of the operator
	fast8     bool   // keys of exactly eight bytes, no namespace
	snap      *Snapshot
	structure uint64 // counts inserts, deletes and moves
	snapshots uint64 // counts snapshots; epoch of the last one
	n         int
	bytes     int64
	opts      Options
	empty     []byte      // one empty slot, the slab of groups without entries
	spare     []snapGroup // for the next snapshot
	touched   byte
}

// NewTable makes an empty table. It allocates about 250 bytes per owned key
// group and nothing else.
func NewTable(o Options) (*Table, error) {
	if !keygroup.Valid(o.Groups) || o.Range.Len() > 0 && (o.Range.First < 0 || o.Range.Last >= o.Groups) {
		return nil, fmt.Errorf("%w: range %v of %d key groups", ErrOptions, o.Range, o.Groups)
	}
	for _, w := range [...]int{o.KeyWidth, o.NamespaceWidth, o.ValueWidth} {
		if w < Variable || uint64(max(w, 0)) > maxField {
			return nil, fmt.Errorf("%w: width %d", ErrOptions, w)
		}
	}
	return newTable(o, makeLayout(o)), nil
}

func newTable(o Options, l layout) *Table {
	t := &Table{
		layout: l, opts: o,
		heads:   make([]head, o.Range.Len()),
		changed: make([]uint64, o.Range.Len()),
		groups:  make([]group, o.Range.Len()),
		first:   uint64(o.Range.First), total: uint64(o.Groups),
		empty: make([]byte, l.stride),
	}
	// Having touched this memory now keeps page faults out of the first
	// snapshot, which stops the owner.
	t.spare = make([]snapGroup, len(t.groups))
	clear(t.spare)
	t.fast8 = !l.namespaced && o.KeyWidth == 8
	for i := range t.groups {
		t.reset(&t.groups[i], uint32(i))
	}
	return t
}

// reset makes the group one without entries.
func (t *Table) reset(g *group, index uint32) {
	*g = group{index: index, slab: t.empty, slots: 1}
	t.heads[index] = head{slab: t.empty}
}

// Options returns what the table was made with.
func (t *Table) Options() Options { return t.opts }

// Len is the number of entries.
func (t *Table) Len() int { return t.n }

// Bytes is the memory that slots, arenas and page states take, without
// pre-images of an active snapshot.
func (t *Table) Bytes() int64 { return t.bytes }

// Epoch changes whenever a [Ref] may have become invalid: with each insert,
// delete and growth, not with a new value for an existing entry. (A value that
// lies in the arena may make the arena move, which changes the epoch too.)
func (t *Table) Epoch() uint64 { return t.structure }

// locate is the index of the group of a hash and the product of which the low
// half is the fraction inside the group.
func (t *Table) locate(sum uint64) (group, product uint64) {
	product = (sum >> 32) * t.total
	return product>>32 - t.first, product
}

// home is the slot where the search for a word begins: the fraction of the
// hash inside the group (or the upper half of a mixed word) scaled to cap.
func (t *Table) home(g *group, word uint64) int {
	return int(uint64(uint32((word>>32)*t.mul)) * uint64(g.cap) >> 32)
}

// Find looks an entry up: one probe. sum is the 64-bit hash of key
// (keyhash.Sum64). Without the entry it returns false and a Ref that only
// [Table.Insert] may use, as long as [Table.Epoch] stays the same.
func (t *Table) Find(sum uint64, key, ns []byte) (Ref, bool) {
	i, product := t.locate(sum)
	if i >= uint64(len(t.groups)) {
		return Ref{group: noGroup}, false
	}
	slab := t.heads[i].slab
	if t.fast8 && len(key) == 8 {
		// The slab is sorted, so the search ends at the first greater word;
		// w−1 ≥ want is that and, wrapping around, the empty slot in one.
		want, k := sum|1, binary.LittleEndian.Uint64(key)
		slot := int(uint64(uint32(product)) * t.heads[i].cap >> 32)
		for off := slot * t.stride; ; off += t.stride {
			s := slab[off : off+2*wordSize : off+2*wordSize]
			w := binary.LittleEndian.Uint64(s)
			if w == want && binary.LittleEndian.Uint64(s[wordSize:]) == k {
				return Ref{uint32(i), uint32(slot)}, true
			}
			if w-1 >= want {
				return Ref{uint32(i), uint32(slot)}, false
			}
			slot++
		}
	}
	g := &t.groups[i]
	want := t.word(sum, ns)
	slot := t.home(g, want)
	for off := slot * t.stride; ; off += t.stride {
		w := wordAt(slab, off)
		if w == want {
			s := slab[off : off+t.stride : off+t.stride]
			if t.key.equal(s, g.arena, key) && (!t.namespaced || t.ns.equal(s, g.arena, ns)) {
				return Ref{uint32(i), uint32(slot)}, true
			}
		} else if w-1 >= want {
			return Ref{uint32(i), uint32(slot)}, false
		}
		slot++
	}
}

// at is the group and the slot that r names.
func (t *Table) at(r Ref) (*group, []byte) {
	g := &t.groups[r.group]
	off := int(r.slot) * t.stride
	return g, g.slab[off : off+t.stride : off+t.stride]
}

// Value is the value of an entry. The slice is for reading and valid until the
// next change of the table.
func (t *Table) Value(r Ref) []byte {
	g, slot := t.at(r)
	return t.val.bytes(slot, g.arena)
}

// Entry is one key, namespace and value with the hash of the key. Slices are
// for reading; how long they are valid says whoever hands the entry out.
type Entry struct {
	Hash                  keygroup.Hash
	Key, Namespace, Value []byte
}

// entry reads a slot.
func (l *layout) entry(slot, arena []byte) Entry {
	h := keygroup.Hash(l.hash(wordAt(slot, 0)))
	if l.arena {
		return Entry{h, l.key.bytes(slot, arena), l.ns.bytes(slot, arena), l.val.bytes(slot, arena)}
	}
	k, n, v := l.key.off+l.key.width, l.ns.off+l.ns.width, l.val.off+l.val.width
	return Entry{h, slot[l.key.off:k:k], slot[l.ns.off:n:n], slot[l.val.off:v:v]}
}

// All yields the entries, group after group but inside a group in no order that
// may be relied on. The table must not change meanwhile.
func (t *Table) All() iter.Seq2[Ref, Entry] {
	return func(yield func(Ref, Entry) bool) {
		for i := range t.groups {
			if !t.walk(uint64(i), yield) {
				return
			}
		}
	}
}

// Namespaces yields the entries of one key, in no order that may be relied on.
// The table must not change meanwhile. The cost is that of reading the key
// group: with namespaces the entries of a key are spread over it.
func (t *Table) Namespaces(sum uint64, key []byte) iter.Seq2[Ref, Entry] {
	return func(yield func(Ref, Entry) bool) {
		i, _ := t.locate(sum)
		if i >= uint64(len(t.groups)) {
			return
		}
		h := keygroup.Hash(sum >> 32)
		t.walk(i, func(r Ref, e Entry) bool {
			return e.Hash != h || string(e.Key) != string(key) || yield(r, e)
		})
	}
}

// walk yields the entries of one group and reports whether it came to the end.
func (t *Table) walk(i uint64, yield func(Ref, Entry) bool) bool {
	g := &t.groups[i]
	for slot := range g.slots {
		off := int(slot) * t.stride
		if wordAt(g.slab, off) == 0 {
			continue
		}
		if !yield(Ref{uint32(i), slot}, t.entry(g.slab[off:off+t.stride], g.arena)) {
			return false
		}
	}
	return true
}
