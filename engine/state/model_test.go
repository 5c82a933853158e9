package state

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"iter"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/tidemark-io/tidemark/keygroup"
	"github.com/tidemark-io/tidemark/keygroup/keyhash"
)

// model is the plain Go map that tables are compared with.
type model map[modelKey]string

type modelKey struct {
	hash    keygroup.Hash
	key, ns string
}

func (k modelKey) String() string { return fmt.Sprintf("%08x/%x/%x", uint32(k.hash), k.key, k.ns) }

func compareModelKeys(a, b modelKey) int {
	return cmp.Or(cmp.Compare(a.hash, b.hash), cmp.Compare(a.key, b.key), cmp.Compare(a.ns, b.ns))
}

// sorted is the model in the order of a snapshot.
func (m model) sorted() []modelKey { return slices.SortedFunc(maps.Keys(m), compareModelKeys) }

// compareSnapshot takes entries one by one and compares them with the model as
// it was.
type comparison struct {
	want model
	keys []modelKey
	next func() (Entry, bool)
	stop func()
	snap *Snapshot
}

func compareWith(m model, s *Snapshot) *comparison {
	c := &comparison{want: maps.Clone(m), snap: s}
	c.keys = c.want.sorted()
	c.next, c.stop = iter.Pull(s.Entries())
	return c
}

// step compares one entry and reports whether the snapshot goes on.
func (c *comparison) step() (bool, error) {
	e, ok := c.next()
	if !ok {
		if len(c.keys) > 0 {
			return false, fmt.Errorf("snapshot ends, %d entries are missing, first %v", len(c.keys), c.keys[0])
		}
		return false, nil
	}
	got := modelKey{e.Hash, string(e.Key), string(e.Namespace)}
	if len(c.keys) == 0 || c.keys[0] != got {
		return false, fmt.Errorf("snapshot has %x/%x with hash %08x, want %x", got.key, got.ns, got.hash, c.keys[:min(1, len(c.keys))])
	}
	if v := c.want[got]; v != string(e.Value) {
		return false, fmt.Errorf("snapshot of %x/%x is %x, want %x", got.key, got.ns, e.Value, v)
	}
	c.keys = c.keys[1:]
	return true, nil
}

// end compares the rest and releases the snapshot.
func (c *comparison) end() error {
	for {
		more, err := c.step()
		if err != nil || !more {
			c.stop()
			c.snap.Release()
			return err
		}
	}
}

// checkTable verifies what a table promises itself: slots sorted and in the
// places that follow from the entries, the last one empty, counts right.
func checkTable(t *Table) error {
	total, bytesUsed := 0, int64(0)
	for i := range t.groups {
		g := &t.groups[i]
		next, n, last := 0, 0, uint64(0)
		for slot := range int(g.slots) {
			w := wordAt(g.slab, slot*t.stride)
			if w == 0 {
				if tail := g.slab[slot*t.stride : (slot+1)*t.stride]; len(bytes.Trim(tail, "\x00")) > 0 {
					return fmt.Errorf("group %d: empty slot %d holds %x", i, slot, tail)
				}
				continue
			}
			if want := max(next, t.home(g, w)); slot != want || w < last {
				return fmt.Errorf("group %d: word %x in slot %d, want %d; the last was %x", i, w, slot, want, last)
			}
			next, last = slot+1, w
			n++
		}
		if n != int(g.n) || next >= int(g.slots) || t.heads[i].cap != uint64(g.cap) || g.waste > len(g.arena) {
			return fmt.Errorf("group %d: %d entries, next %d, %+v", i, n, next, g.index)
		}
		total += n
		bytesUsed += t.footprint(g)
	}
	if total != t.Len() || bytesUsed != t.Bytes() {
		return fmt.Errorf("%d entries and %d bytes, Len %d, Bytes %d", total, bytesUsed, t.Len(), t.Bytes())
	}
	return nil
}

// source makes the operations of a model test.
type source struct {
	r    *rand.Rand
	o    Options
	keys int
	// collide maps all hashes to this many.
	collide int
	// n counts operations: tables grow for 800 of them, then shrink.
	n int
}

func (s *source) data(width, variety int, long bool) []byte {
	n := width
	if width == Variable {
		n = s.r.IntN(18)
		if long && s.r.IntN(4) == 0 {
			n = s.r.IntN(400)
		}
	}
	b := make([]byte, n)
	x := mix(s.r.Uint64N(uint64(variety)))
	for i := range b {
		b[i] = byte(x >> (8 * (i % 8)))
	}
	return b
}

func (s *source) key() []byte { return s.data(s.o.KeyWidth, s.keys, true) }
func (s *source) ns() []byte  { return s.data(s.o.NamespaceWidth, 4, false) }

// sum is the hash of the key, or one of few sums if keys shall collide.
func (s *source) sum(key []byte) uint64 {
	sum := keyhash.Sum64(key)
	if s.collide == 0 {
		return sum
	}
	h := sum >> 32 % uint64(s.collide)
	return h*0x01234567<<32 | sum&3
}

// runModel applies n random operations to a table and a model, with snapshots
// that are read a little at a time in between.
func runModel(s *source, n int) error {
	t, err := NewTable(s.o)
	if err != nil {
		return err
	}
	m := model{}
	var c *comparison
	for i := range n {
		if err := s.step(t, m); err != nil {
			return fmt.Errorf("operation %d: %w", i, err)
		}
		switch {
		case c == nil && s.r.IntN(200) == 0:
			snap, err := t.Snapshot()
			if err != nil {
				return err
			}
			if _, err := t.Snapshot(); err == nil {
				return fmt.Errorf("operation %d: two snapshots at once", i)
			}
			c = compareWith(m, snap)
		case c != nil && s.r.IntN(400) == 0: // abandoned
			c.stop()
			c.snap.Release()
			c = nil
		case c != nil:
			for range s.r.IntN(6) {
				more, err := c.step()
				if err != nil {
					return fmt.Errorf("operation %d: %w", i, err)
				}
				if !more {
					c.stop()
					c.snap.Release()
					c = nil
					break
				}
			}
		}
		if i%193 == 0 {
			if err := checkTable(t); err != nil {
				return fmt.Errorf("operation %d: %w", i, err)
			}
		}
	}
	if c != nil {
		if err := c.end(); err != nil {
			return err
		}
	}
	return compareAll(t, m)
}

// compareAll compares a table with a model by snapshot, All and Namespaces.
func compareAll(t *Table, m model) error {
	if err := checkTable(t); err != nil {
		return err
	}
	if t.Len() != len(m) {
		return fmt.Errorf("Len %d, want %d", t.Len(), len(m))
	}
	n := 0
	for r, e := range t.All() {
		n++
		if v, ok := m[modelKey{e.Hash, string(e.Key), string(e.Namespace)}]; !ok || v != string(t.Value(r)) {
			return fmt.Errorf("All yields %x/%x", e.Key, e.Namespace)
		}
	}
	if n != len(m) {
		return fmt.Errorf("All yields %d entries, want %d", n, len(m))
	}
	snap, err := t.Snapshot()
	if err != nil {
		return err
	}
	if snap.Len() != len(m) {
		return fmt.Errorf("snapshot Len %d, want %d", snap.Len(), len(m))
	}
	return compareWith(m, snap).end()
}

// step does one random operation on both.
func (s *source) step(t *Table, m model) error {
	k, ns := s.key(), s.ns()
	sum := s.sum(k)
	mk := modelKey{keygroup.Hash(sum >> 32), string(k), string(ns)}
	want, had := m[mk]
	r, ok := t.Find(sum, k, ns)
	if ok != had {
		return fmt.Errorf("Find %x/%x: %v, want %v", k, ns, ok, had)
	}
	if ok && string(t.Value(r)) != want {
		return fmt.Errorf("Value %x/%x: %x, want %x", k, ns, t.Value(r), want)
	}
	s.n++
	sets := 60
	if s.n/800%2 == 1 {
		sets = 10
	}
	switch op := s.r.IntN(100); {
	case op < sets:
		v := s.data(s.o.ValueWidth, 1000, true)
		r, err := t.Set(sum, k, ns, v)
		if err != nil {
			return err
		}
		m[mk] = string(v)
		if string(t.Value(r)) != string(v) {
			return fmt.Errorf("the Ref of Set is wrong")
		}
	case op < sets+15 && ok:
		epoch := t.Epoch()
		b := t.Mutable(r)
		if t.Epoch() == epoch && string(t.Value(r)) != want {
			return fmt.Errorf("Mutable lost the value")
		}
		for i := range b {
			b[i] += byte(i + 1)
		}
		m[mk] = string(b)
	case op < 95:
		if t.Delete(sum, k, ns) != had {
			return fmt.Errorf("Delete %x: not %v", k, had)
		}
		delete(m, mk)
	case op < 97:
		n := 0
		for _, e := range t.Namespaces(sum, k) {
			if _, ok := m[modelKey{mk.hash, mk.key, string(e.Namespace)}]; !ok {
				return fmt.Errorf("Namespaces yields %x/%x", e.Key, e.Namespace)
			}
			n++
		}
		for other := range m {
			if other.hash == mk.hash && other.key == mk.key {
				n--
			}
		}
		if n != 0 {
			return fmt.Errorf("Namespaces of %x: %+d entries", k, n)
		}
	}
	return nil
}

// modelOptions are the shapes of tables that are tested.
var modelOptions = []Options{
	{Groups: 128, Range: whole(128), KeyWidth: 8, ValueWidth: 8},
	{Groups: 1, Range: whole(1), KeyWidth: 8, ValueWidth: 8},
	{Groups: 3, Range: whole(3), KeyWidth: 4, ValueWidth: 1},
	{Groups: 4, Range: whole(4), KeyWidth: 16, ValueWidth: Variable},
	{Groups: 2, Range: whole(2), KeyWidth: Variable, ValueWidth: 24},
	{Groups: 5, Range: whole(5), KeyWidth: Variable, ValueWidth: Variable},
	{Groups: 2, Range: whole(2), KeyWidth: 8, NamespaceWidth: 8, ValueWidth: 8},
	{Groups: 2, Range: whole(2), KeyWidth: Variable, NamespaceWidth: Variable, ValueWidth: Variable},
	{Groups: 1, Range: whole(1), KeyWidth: 40, NamespaceWidth: 3, ValueWidth: 300},
	{Groups: 32768, Range: whole(32768), KeyWidth: 8, ValueWidth: 0},
}

func TestTableAgainstModel(t *testing.T) {
	const operations = 6_000
	for i, o := range modelOptions {
		for _, collide := range []int{0, 3} {
			for _, keys := range []int{30, 3000} {
				if collide > 0 && keys > 30 && o.NamespaceWidth == 0 {
					keys = 300
				}
				name := fmt.Sprintf("%d/collide=%d/keys=%d", i, collide, keys)
				t.Run(name, func(t *testing.T) {
					n := operations
					if o.Groups > 1000 {
						n /= 20 // checkTable visits each group
					}
					s := &source{r: rand.New(rand.NewPCG(uint64(i), uint64(keys))), o: o, keys: keys, collide: collide}
					if err := runModel(s, n); err != nil {
						t.Fatalf("%+v: %v", o, err)
					}
				})
			}
		}
	}
}

// FuzzTable runs the model test from fuzzed seeds and shapes.
func FuzzTable(f *testing.F) {
	for i := range modelOptions {
		f.Add(uint64(i), byte(i), byte(i%3), uint16(50*i))
	}
	f.Fuzz(func(t *testing.T, seed uint64, shape, collide byte, keys uint16) {
		o := modelOptions[int(shape)%len(modelOptions)]
		if o.Groups > 1000 {
			o.Groups, o.Range = 7, whole(7)
		}
		s := &source{r: rand.New(rand.NewPCG(seed, 0)), o: o, keys: int(keys)%2000 + 1, collide: int(collide) % 8}
		if err := runModel(s, 1500); err != nil {
			t.Fatal(err)
		}
	})
}

func TestTableRefusals(t *testing.T) {
	table := mustTable(t, Options{Groups: 4, Range: keygroup.Range{First: 1, Last: 2}, KeyWidth: 8, NamespaceWidth: 2, ValueWidth: 4})
	inside, outside := uint64(1)<<62, uint64(3)<<62
	for _, c := range []struct {
		name          string
		sum           uint64
		key, ns, data string
		want          error
	}{
		{"short key", inside, "1234567", "ns", "data", ErrWidth},
		{"long key", inside, "123456789", "ns", "data", ErrWidth},
		{"namespace", inside, "12345678", "n", "data", ErrWidth},
		{"value", inside, "12345678", "ns", "dat", ErrWidth},
		{"below", 0, "12345678", "ns", "data", ErrNotOwned},
		{"above", outside, "12345678", "ns", "data", ErrNotOwned},
	} {
		_, err := table.Set(c.sum, []byte(c.key), []byte(c.ns), []byte(c.data))
		checkError(t, c.name, err, c.want)
		err = table.Load(0).Append(c.sum, []byte(c.key), []byte(c.ns), []byte(c.data))
		checkError(t, c.name+", restored", err, c.want)
	}
	if table.Len() != 0 {
		t.Errorf("Len = %d", table.Len())
	}
	r, err := table.Set(inside, []byte("12345678"), []byte("ns"), []byte("data"))
	checkError(t, "right widths", err, nil)
	_, err = table.SetValue(r, []byte("too long"))
	checkError(t, "SetValue", err, ErrWidth)
	err = table.Load(0).Append(inside, []byte("12345678"), []byte("ns"), []byte("data"))
	checkError(t, "twice", err, ErrDuplicate)
	for _, o := range []Options{
		{},
		{Groups: 40000, Range: whole(4)},
		{Groups: 4, Range: whole(5)},
		{Groups: 4, Range: keygroup.Range{First: -1, Last: 2}},
		{Groups: 4, Range: whole(4), KeyWidth: -2},
	} {
		_, err := NewTable(o)
		checkError(t, fmt.Sprintf("%+v", o), err, ErrOptions)
	}
}

// TestWordHash: the hash comes back from the word, and words are never 0.
func TestWordHash(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for _, ns := range []int{0, 8} {
		l := makeLayout(Options{Groups: 128, KeyWidth: 8, NamespaceWidth: ns})
		for range 100_000 {
			sum := r.Uint64()
			w := l.word(sum, binary.LittleEndian.AppendUint64(nil, r.Uint64())[:ns])
			if w == 0 || l.hash(w) != uint32(sum>>32) {
				t.Fatalf("sum %x: word %x, hash %x", sum, w, l.hash(w))
			}
		}
	}
}
