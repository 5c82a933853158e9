package recovery

import (
	"encoding/binary"
	"hash/maphash"
	"iter"
	"slices"

	"github.com/tidemark-io/tidemark/checkpoint"
)

// How a multiset is compared in bounded memory: first by sums of digests in
// buckets, then, for the buckets that differ, by a table of what is in them, as
// many buckets at a time as the table may hold. With many buckets few of them
// differ, if little does.
const (
	diffBuckets = 1 << 18  // of 24 bytes for each side
	diffTable   = 1 << 19  // rows of the table: at most about 60 MiB
	diffKept    = 16 << 20 // bytes of contents that are kept to be shown
	contentSize = 400      // what a kept content takes besides its bytes
)

// digest stands for bytes: 128 bits with random seeds, so that no input can be
// made to collide.
type digest [2]uint64

func (d *digest) add(o digest) { d[0] += o[0]; d[1] += o[1] }

// element is an element of a multiset: what it is found by, and what may differ
// under it.
type element struct {
	id, body digest
	size     int
	content  Content
}

// elements are read several times.
type elements = iter.Seq2[element, error]

// digester makes digests. It belongs to one goroutine.
type digester struct {
	seeds [2]maphash.Seed
	buf   []byte
}

func newDigester() *digester {
	return &digester{seeds: [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()}}
}

// of is the digest of fields, each with its length in front.
func (g *digester) of(numbers []uint64, fields ...[]byte) digest {
	g.buf = g.buf[:0]
	for _, n := range numbers {
		g.buf = binary.LittleEndian.AppendUint64(g.buf, n)
	}
	for _, f := range fields {
		g.buf = binary.LittleEndian.AppendUint64(g.buf, uint64(len(f)))
		g.buf = append(g.buf, f...)
	}
	return digest{maphash.Bytes(g.seeds[0], g.buf), maphash.Bytes(g.seeds[1], g.buf)}
}

// shared digests of one process: both sides must use the same seeds.
var seeds = newDigester().seeds

// entries are the entries of a state as elements. Keyed state is found by key
// and namespace; a list's item is all of itself.
func (d *differ) entries(c checkpoint.Checkpoint, s checkpoint.State) elements {
	return func(yield func(element, error) bool) {
		g := &digester{seeds: seeds}
		for e, err := range Entries(d.ctx, c, s, d.opts.Select) {
			x := element{size: len(e.Key) + len(e.Namespace) + len(e.Value), content: Content{Entry: &e}}
			switch s.Kind {
			case checkpoint.Keyed, checkpoint.BroadcastState:
				x.id, x.body = g.of(nil, e.Key, e.Namespace), g.of(nil, e.Value)
			case checkpoint.Timers:
				x.id = g.of([]uint64{uint64(e.Time)}, e.Key, e.Namespace)
			case checkpoint.SplitWatermarks:
				x.id, x.body = g.of(nil, e.Key), g.of([]uint64{uint64(e.Time)}, e.Value, detailBytes(e.Detail))
			default:
				x.id = g.of([]uint64{uint64(e.Time)}, e.Value, detailBytes(e.Detail))
			}
			if !yield(x, err) || err != nil {
				return
			}
		}
	}
}

func detailBytes(list []checkpoint.Detail) (text []byte) {
	for _, x := range list {
		text = append(append(append(append(text, x.Name...), 0), x.Value...), 0)
	}
	return text
}

// bucket sums up what falls into it.
type bucket struct {
	sum digest
	n   uint64
}

// sums reads one side. The buckets are those of the last comparison.
func (d *differ) sums(list *[]bucket, all elements) (n uint64, err error) {
	if *list == nil {
		*list = make([]bucket, diffBuckets)
	}
	clear(*list)
	for x, err := range all {
		if err != nil {
			return 0, err
		}
		d.progress(x.size)
		b := &(*list)[x.id[0]%diffBuckets]
		whole := x.id
		// The product binds the body to the id; the sum forgets the order.
		whole[0] += x.body[0] * 0x9e3779b97f4a7c15
		whole[1] ^= x.body[1]
		b.sum.add(whole)
		b.n++
		n++
	}
	return n, nil
}

// multiset compares two sides, of which the order does not count.
func (d *differ) multiset(a, b elements) error {
	var err error
	if d.now.A, err = d.sums(&d.buckets[0], a); err != nil {
		return err
	}
	if d.now.B, err = d.sums(&d.buckets[1], b); err != nil {
		return err
	}
	as, bs := d.buckets[0], d.buckets[1]
	chosen := make([]bool, diffBuckets)
	rows := uint64(0)
	for i := range diffBuckets {
		if as[i] == bs[i] {
			d.now.Equal += as[i].n
			continue
		}
		if rows > 0 && rows+as[i].n+bs[i].n > d.table {
			if err := d.round(a, b, chosen); err != nil {
				return err
			}
			clear(chosen)
			rows = 0
		}
		chosen[i] = true
		rows += as[i].n + bs[i].n
	}
	if rows == 0 {
		return nil
	}
	return d.round(a, b, chosen)
}

// tally is what the two sides have under one id. It has no pointers, and there
// are many of it.
type tally struct {
	a, b  uint64
	bodyA digest // sum of A's bodies, less that of B's
	told  bool
}

// same reports whether the sides have the same under the id.
func (t *tally) same() bool { return t.a == t.b && t.bodyA == digest{} }

// round compares the chosen buckets element by element.
func (d *differ) round(a, b elements, chosen []bool) error {
	table := map[digest]tally{}
	for x, err := range a {
		if err != nil {
			return err
		}
		if chosen[x.id[0]%diffBuckets] {
			t := table[x.id]
			t.a++
			t.bodyA.add(x.body)
			table[x.id] = t
		}
	}
	for x, err := range b {
		if err != nil {
			return err
		}
		if chosen[x.id[0]%diffBuckets] {
			t := table[x.id]
			t.b++
			t.bodyA.add(digest{-x.body[0], -x.body[1]})
			table[x.id] = t
		}
	}
	for id, t := range table {
		if t.same() {
			d.now.Equal += t.a
			delete(table, id)
			continue
		}
		// What is on both sides and not changed.
		if t.a > 0 && t.b > 0 && t.a != t.b {
			d.now.Equal += min(t.a, t.b)
		}
	}
	return d.tell(a, b, table)
}

// tell reads both sides again for what differs. B comes first and is kept, as
// far as memory goes, to be shown beside A.
func (d *differ) tell(a, b elements, table map[digest]tally) error {
	room := diffKept
	others := map[digest]*Content{} // B's, for what is on both sides
	for x, err := range b {
		if err != nil {
			return err
		}
		t, differs := table[x.id]
		switch {
		case !differs || t.told:
		case t.b > t.a:
			t.told = true
			table[x.id] = t
			if err := d.report(Difference{Change: OnlyB, B: x.content, Count: t.b - t.a}); err != nil {
				return err
			}
		case t.a == t.b && room > 0 && others[x.id] == nil:
			room -= x.size + contentSize
			others[x.id] = clone(x.content)
		}
	}
	for x, err := range a {
		if err != nil {
			return err
		}
		t, differs := table[x.id]
		if !differs || t.told {
			continue
		}
		t.told = true
		table[x.id] = t
		diff := Difference{Change: OnlyA, A: x.content, Count: t.a - t.b}
		if t.a == t.b {
			diff.Change = Changed
			if other := others[x.id]; other != nil {
				diff.B = *other
			}
		}
		if err := d.report(diff); err != nil {
			return err
		}
	}
	return nil
}

// clone copies what an iterator will overwrite.
func clone(c Content) *Content {
	var out Content
	if c.Entry != nil {
		e := *c.Entry
		e.Key, e.Namespace, e.Value = slices.Clone(e.Key), slices.Clone(e.Namespace), slices.Clone(e.Value)
		out.Entry = &e
	}
	if c.Record != nil {
		r := *c.Record
		r.Payload = slices.Clone(r.Payload)
		out.Record = &r
	}
	return &out
}
