package state

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/tidemark-io/tidemark/keygroup"
	"github.com/tidemark-io/tidemark/keygroup/keyhash"
)

// TestSnapshotBesideUpdates reads snapshots in one goroutine while another
// updates, inserts, deletes and grows; run it with the race detector. All
// values of a round are equal, so a snapshot that mixes two moments shows.
func TestSnapshotBesideUpdates(t *testing.T) {
	const keys, snapshots = 3000, 12
	for _, o := range []Options{
		{Groups: 8, Range: whole(8), KeyWidth: 8, ValueWidth: 8},
		{Groups: 8, Range: whole(8), KeyWidth: Variable, NamespaceWidth: 8, ValueWidth: Variable},
	} {
		table := mustTable(t, o)
		r := rand.New(rand.NewPCG(5, 6))
		entry := func(i uint64) (k, ns []byte) {
			k = key8(mix(i))
			if o.NamespaceWidth > 0 {
				ns = key8(i % 3)
			}
			if o.KeyWidth == Variable {
				k = append(k, "long enough for the arena"...)
			}
			return k, ns
		}
		set := func(i, round uint64) {
			k, ns := entry(i)
			value := key8(round)
			if o.ValueWidth == Variable {
				value = append(value, make([]byte, 20+round%40)...)
			}
			if _, err := table.Set(keyhash.Sum64(k), k, ns, value); err != nil {
				t.Fatal(err)
			}
		}
		for i := range uint64(keys) {
			set(i, 0)
		}
		var saved int
		for round := range uint64(snapshots) {
			snap, err := table.Snapshot()
			if err != nil {
				t.Fatal(err)
			}
			want := snap.Len()
			var wg sync.WaitGroup
			var problem error
			wg.Go(func() { problem = readRound(snap, want, round) })
			for _, i := range r.Perm(keys) {
				set(uint64(i), round+1)
			}
			// Keys that come and go while the snapshot may still be read.
			for i := range uint64(300 * (round%2 + 1)) {
				set(keys+i, round+1)
			}
			for i := range uint64(600) {
				k, ns := entry(keys + i)
				table.Delete(keyhash.Sum64(k), k, ns)
			}
			for range keys / 4 {
				k, ns := entry(r.Uint64N(keys))
				table.Delete(keyhash.Sum64(k), k, ns)
			}
			wg.Wait()
			saved += want
			if problem != nil {
				t.Fatalf("%+v: round %d: %v", o, round, problem)
			}
			if err := checkTable(table); err != nil {
				t.Fatal(err)
			}
		}
		fmt.Printf("RESULT snapshot-beside-updates keywidth=%d snapshots=%d entries=%d mixed=0\n", o.KeyWidth, snapshots, saved)
	}
}

// readRound reads a snapshot of which all values are of one round.
func readRound(snap *Snapshot, want int, round uint64) error {
	defer snap.Release()
	n, last := 0, keygroup.Hash(0)
	if snap.Fixed() && round%2 == 0 {
		for b := range snap.Batches() {
			for i := range b.Hashes {
				if got := binary.LittleEndian.Uint64(b.Values[i*8:]); got != round {
					return fmt.Errorf("value of round %d", got)
				}
			}
			n += len(b.Hashes)
		}
	}
	for e := range snap.Entries() { // none if the snapshot has been read
		if got := binary.LittleEndian.Uint64(e.Value); got != round {
			return fmt.Errorf("value of round %d", got)
		}
		if e.Hash < last || keyhash.Of(e.Key) != e.Hash {
			return fmt.Errorf("hash %08x of %x behind %08x", e.Hash, e.Key, last)
		}
		last = e.Hash
		n++
	}
	if n != want {
		return fmt.Errorf("%d entries, want %d", n, want)
	}
	return nil
}

// TestSnapshotWaits: each side waits while the other copies a page. The test
// plays the side that copies, so the other one must not come to an end.
func TestSnapshotWaits(t *testing.T) {
	for _, c := range []struct {
		name          string
		during, after uint64
		do            func(*Table, *Snapshot)
	}{
		{"owner", pageReading, pageRead, func(table *Table, _ *Snapshot) {
			r, _ := table.Find(1<<32, key8(1), nil)
			copy(table.Mutable(r), key8(2))
		}},
		{"reader", pageSaving, pageSaved, func(_ *Table, s *Snapshot) {
			for e := range s.Entries() {
				if string(e.Value) != string(key8(7)) {
					t.Errorf("value %x is not that of the pre-image", e.Value)
				}
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			table := mustTable(t, Options{Groups: 1, Range: whole(1), KeyWidth: 8, ValueWidth: 8})
			if _, err := table.Set(1<<32, key8(1), nil, key8(7)); err != nil {
				t.Fatal(err)
			}
			s, err := table.Snapshot()
			if err != nil {
				t.Fatal(err)
			}
			sg := &s.groups[0]
			sg.saved = [][]byte{append([]byte(nil), sg.slab...)}
			sg.pages[0].Store(s.epoch<<epochShift | c.during)
			var ended atomic.Bool
			done := make(chan struct{})
			go func() {
				defer close(done)
				c.do(table, s)
				ended.Store(true)
			}()
			for range 1000 {
				runtime.Gosched()
			}
			if ended.Load() {
				t.Error("went on while the page was being copied")
			}
			sg.pages[0].Store(s.epoch<<epochShift | c.after)
			<-done
			s.Release()
		})
	}
}

func TestSnapshotLifeCycle(t *testing.T) {
	table := mustTable(t, Options{Groups: 2, Range: whole(2), KeyWidth: 8, ValueWidth: 8})
	empty, err := table.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	_, err = table.Snapshot()
	checkError(t, "second snapshot", err, ErrSnapshotActive)
	if _, err := table.Set(keyhash.Sum64(key8(1)), key8(1), nil, key8(1)); err != nil {
		t.Fatal(err)
	}
	for e := range empty.Entries() {
		t.Errorf("entry %x in the snapshot of an empty table", e.Key)
	}
	empty.Release()
	empty.Release()
	s, err := table.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	table.Clear()
	if table.Len() != 0 || table.Bytes() != 0 {
		t.Errorf("Clear leaves %d entries, %d bytes", table.Len(), table.Bytes())
	}
	for range 2 { // the second time it has been read
		n := 0
		for range s.Entries() {
			n++
		}
		if want := s.Len(); n != want {
			t.Errorf("%d entries, want %d", n, want)
		}
		s.n = 0
	}
	s.Release()
	for range s.Entries() {
		t.Error("entry after Release")
	}
}
