package state

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"

	"github.com/tidemark-io/tidemark/keygroup/keyhash"
)

// fill8 makes a table with the keys mix(0) … mix(n−1) and values of 8 bytes.
func fill8(tb testing.TB, n int) *Table {
	table := mustTable(tb, Options{Groups: 128, Range: whole(128), KeyWidth: 8, ValueWidth: 8})
	var k [8]byte
	for i := range n {
		binary.LittleEndian.PutUint64(k[:], mix(uint64(i)))
		if _, err := table.Set(keyhash.Sum64(k[:]), k[:], nil, k[:]); err != nil {
			tb.Fatal(err)
		}
	}
	return table
}

// mix spreads small numbers over all keys; it is a bijection.
func mix(x uint64) uint64 {
	x *= 0x9e3779b97f4a7c15
	return x ^ x>>32
}

// updates is a sequence of random keys below n.
func updates(n int) []uint64 {
	r := rand.New(rand.NewPCG(1, 2))
	keys := make([]uint64, 1<<18)
	for i := range keys {
		keys[i] = mix(r.Uint64N(uint64(n)))
	}
	return keys
}

// BenchmarkUpdate compares counting in a table with counting in a Go map of
// the same process; x/map is how many times quicker the table is.
func BenchmarkUpdate(b *testing.B) {
	for _, n := range []int{1000, 100_000, 1_000_000} {
		keys := updates(n)
		var perMap float64
		b.Run(fmt.Sprintf("map/%d", n), func(b *testing.B) {
			groups := make([]map[uint64]uint64, 128)
			for i := range groups {
				groups[i] = map[uint64]uint64{}
			}
			var k [8]byte
			group := func(key uint64) map[uint64]uint64 {
				binary.LittleEndian.PutUint64(k[:], key)
				return groups[keyhash.Sum64(k[:])>>57]
			}
			for i := range n {
				group(mix(uint64(i)))[mix(uint64(i))] = 1
			}
			b.ResetTimer()
			for i := range b.N {
				key := keys[i&(len(keys)-1)]
				group(key)[key]++
			}
			perMap = float64(b.Elapsed().Nanoseconds()) / float64(b.N)
		})
		table := fill8(b, n)
		b.Run(fmt.Sprintf("table/%d", n), func(b *testing.B) {
			count(table, keys, b.N)
			b.ReportMetric(perMap*float64(b.N)/float64(b.Elapsed().Nanoseconds()), "x/map")
		})
		b.Run(fmt.Sprintf("touched/%d", n), func(b *testing.B) {
			countTouched(table, keys, b.N)
			b.ReportMetric(perMap*float64(b.N)/float64(b.Elapsed().Nanoseconds()), "x/map")
		})
	}
}

// count increments the values of n of the keys.
func count(table *Table, keys []uint64, n int) {
	var k [8]byte
	for i := range n {
		binary.LittleEndian.PutUint64(k[:], keys[i&(len(keys)-1)])
		r, ok := table.Find(keyhash.Sum64(k[:]), k[:], nil)
		if ok {
			v := table.Mutable(r)
			binary.LittleEndian.PutUint64(v, binary.LittleEndian.Uint64(v)+1)
		}
	}
}

// countTouched is count in batches that are touched first.
func countTouched(table *Table, keys []uint64, n int) {
	const batch = 256
	var k [8]byte
	var sums [batch]uint64
	for i := 0; i < n; i += batch {
		part := keys[i&(len(keys)-1):][:min(batch, n-i)]
		for j, key := range part {
			binary.LittleEndian.PutUint64(k[:], key)
			sums[j] = keyhash.Sum64(k[:])
			table.Touch(sums[j])
		}
		for j, key := range part {
			binary.LittleEndian.PutUint64(k[:], key)
			r, ok := table.Find(sums[j], k[:], nil)
			if ok {
				v := table.Mutable(r)
				binary.LittleEndian.PutUint64(v, binary.LittleEndian.Uint64(v)+1)
			}
		}
	}
}

// BenchmarkUpdateStrings is BenchmarkUpdate with keys such as "user-0000017".
func BenchmarkUpdateStrings(b *testing.B) {
	const n = 100_000
	table := mustTable(b, Options{Groups: 128, Range: whole(128), KeyWidth: Variable, ValueWidth: 8})
	reference := map[string]int64{}
	keys := make([][]byte, 1<<17)
	r := rand.New(rand.NewPCG(1, 2))
	for i := range keys {
		keys[i] = fmt.Appendf(nil, "user-%07d", r.IntN(n))
		if _, err := table.Set(keyhash.Sum64(keys[i]), keys[i], nil, key8(0)); err != nil {
			b.Fatal(err)
		}
		reference[string(keys[i])] = 0
	}
	var perMap float64
	b.Run("map", func(b *testing.B) {
		for i := range b.N {
			reference[string(keys[i&(len(keys)-1)])]++
		}
		perMap = float64(b.Elapsed().Nanoseconds()) / float64(b.N)
	})
	b.Run("table", func(b *testing.B) {
		for i := range b.N {
			k := keys[i&(len(keys)-1)]
			if r, ok := table.Find(keyhash.Sum64(k), k, nil); ok {
				v := table.Mutable(r)
				binary.LittleEndian.PutUint64(v, binary.LittleEndian.Uint64(v)+1)
			}
		}
		b.ReportMetric(perMap*float64(b.N)/float64(b.Elapsed().Nanoseconds()), "x/map")
	})
}

// BenchmarkSnapshotSync is the part of a snapshot that stops the owner.
func BenchmarkSnapshotSync(b *testing.B) {
	table := fill8(b, 1_000_000)
	for b.Loop() {
		s, err := table.Snapshot()
		if err != nil {
			b.Fatal(err)
		}
		s.Release()
	}
}

// BenchmarkSnapshotEntries reads a snapshot of a million entries of 16 bytes
// without updates beside it.
func BenchmarkSnapshotEntries(b *testing.B) {
	const n = 1_000_000
	table := fill8(b, n)
	b.SetBytes(16 * n)
	for b.Loop() {
		s, err := table.Snapshot()
		if err != nil {
			b.Fatal(err)
		}
		var x int
		for e := range s.Entries() {
			x += len(e.Key) + len(e.Value)
		}
		s.Release()
		if x != 16*n {
			b.Fatal(x)
		}
	}
}

// BenchmarkUpdateDuring is a million uniform updates after a snapshot has
// begun that nobody reads, so that each page is saved; ns/op less that of
// "without" is what the snapshot costs the owner.
func BenchmarkUpdateDuring(b *testing.B) {
	const n = 1_000_000
	table := fill8(b, n)
	keys := updates(n)
	b.Run("without", func(b *testing.B) {
		for b.Loop() {
			count(table, keys, n)
		}
	})
	b.Run("with", func(b *testing.B) {
		for b.Loop() {
			s, err := table.Snapshot()
			if err != nil {
				b.Fatal(err)
			}
			count(table, keys, n)
			s.Release()
		}
	})
}

// BenchmarkLoad restores a million entries of 16 bytes in the order of a
// snapshot, and inserts them in random order; x/random is the ratio.
func BenchmarkLoad(b *testing.B) {
	const n = 1_000_000
	source := fill8(b, n)
	s, err := source.Snapshot()
	if err != nil {
		b.Fatal(err)
	}
	ordered := make([]byte, 0, 16*n)
	for e := range s.Entries() {
		ordered = append(append(ordered, e.Key...), e.Value...)
	}
	s.Release()
	var perRandom float64
	b.Run("random", func(b *testing.B) {
		for b.Loop() {
			fill8(b, n)
		}
		perRandom = float64(b.Elapsed().Nanoseconds()) / float64(b.N) / n
		b.ReportMetric(perRandom, "ns/entry")
	})
	b.Run("ordered", func(b *testing.B) {
		b.SetBytes(16 * n)
		for b.Loop() {
			table := mustTable(b, source.Options())
			l := table.Load(n)
			for p := ordered; len(p) > 0; p = p[16:] {
				if err := l.Append(keyhash.Sum64(p[:8]), p[:8], nil, p[8:16]); err != nil {
					b.Fatal(err)
				}
			}
		}
		per := float64(b.Elapsed().Nanoseconds()) / float64(b.N) / n
		b.ReportMetric(per, "ns/entry")
		b.ReportMetric(perRandom/per, "x/random")
	})
}

// BenchmarkTimers registers a million timers with a thousand different times
// and fires them.
func BenchmarkTimers(b *testing.B) {
	const n = 1_000_000
	var registered, fired float64
	for b.Loop() {
		timers, err := NewTimers(Options{Groups: 128, Range: whole(128), KeyWidth: 8, NamespaceWidth: 8})
		if err != nil {
			b.Fatal(err)
		}
		var k [8]byte
		start := b.Elapsed()
		for i := range uint64(n) {
			binary.LittleEndian.PutUint64(k[:], mix(i))
			if _, err := timers.Register(keyhash.Sum64(k[:]), k[:], k[:], int64(mix(i)%1000)); err != nil {
				b.Fatal(err)
			}
		}
		middle := b.Elapsed()
		for range n {
			if _, ok := timers.Pop(1000); !ok {
				b.Fatal("a timer is missing")
			}
		}
		registered += float64((middle - start).Nanoseconds())
		fired += float64((b.Elapsed() - middle).Nanoseconds())
	}
	b.ReportMetric(registered/float64(b.N)/n, "ns/register")
	b.ReportMetric(fired/float64(b.N)/n, "ns/fire")
}

// BenchmarkGC is one cycle of the garbage collector with four million entries.
func BenchmarkGC(b *testing.B) {
	table := fill8(b, 4_000_000)
	for b.Loop() {
		runtime.GC()
	}
	b.ReportMetric(float64(table.Bytes())/float64(table.Len()), "B/entry")
}
