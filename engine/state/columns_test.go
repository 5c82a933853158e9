package state

import (
	"fmt"
	"slices"
	"testing"
)

// TestBatchesAreEntries: batches hold what Entries yields, in the same order,
// also when many keys have one hash.
func TestBatchesAreEntries(t *testing.T) {
	total := 0
	for _, o := range []Options{
		{KeyWidth: 8, ValueWidth: 8}, {KeyWidth: 8}, {KeyWidth: 4, ValueWidth: 100}, {KeyWidth: 20, ValueWidth: 3},
	} {
		for _, shift := range []uint{0, 22, 32} { // bits of the hash that are dropped
			o.Groups, o.Range = 8, whole(8)
			table := mustTable(t, o)
			const n = 5000
			for i := range uint64(n) {
				key := append(key8(mix(i)), make([]byte, 32)...)[:o.KeyWidth]
				value := append(key8(i), make([]byte, 100)...)[:o.ValueWidth]
				if _, err := table.Set(mix(i)>>32>>shift<<shift<<32|mix(i)&0xffffffff, key, nil, value); err != nil {
					t.Fatal(err)
				}
			}
			want := readEntries(t, table, false)
			got := readEntries(t, table, true)
			if len(want) < n*99/100 || !slices.Equal(got, want) {
				t.Errorf("%+v: %d entries in batches, %d one by one", o, len(got), len(want))
			}
			total += len(got)
		}
	}
	fmt.Printf("RESULT snapshot-batches entries=%d different=0\n", total)
}

// readEntries reads a snapshot as text.
func readEntries(t *testing.T, table *Table, batches bool) (all []string) {
	snap, err := table.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	defer snap.Release()
	if !batches {
		for e := range snap.Entries() {
			all = append(all, fmt.Sprintf("%08x %x %x", e.Hash, e.Key, e.Value))
		}
		return all
	}
	if !snap.Fixed() {
		t.Fatalf("%+v is not of fixed width", table.Options())
	}
	kw, vw := table.Options().KeyWidth, table.Options().ValueWidth
	for b := range snap.Batches() {
		if len(b.Keys) != len(b.Hashes)*kw || len(b.Values) != len(b.Hashes)*vw {
			t.Fatalf("%d hashes, %d bytes of keys, %d of values", len(b.Hashes), len(b.Keys), len(b.Values))
		}
		for i, h := range b.Hashes {
			all = append(all, fmt.Sprintf("%08x %x %x", h, b.Keys[i*kw:(i+1)*kw], b.Values[i*vw:(i+1)*vw]))
		}
	}
	for range snap.Batches() {
		t.Error("a snapshot is read twice")
	}
	return all
}

// TestBatchesEnd: the iteration may be left at any step, and a table of other
// widths has no batches.
func TestBatchesEnd(t *testing.T) {
	table := mustTable(t, Options{Groups: 8, Range: whole(8), KeyWidth: 8, ValueWidth: 8})
	for i := range uint64(5000) {
		if _, err := table.Set(mix(i), key8(i), nil, key8(i)); err != nil {
			t.Fatal(err)
		}
	}
	snap, err := table.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for b := range snap.Batches() {
		n += len(b.Hashes)
		break
	}
	snap.Release()
	if n == 0 || n == 5000 {
		t.Errorf("%d entries in the first batch", n)
	}
	for _, o := range []Options{
		{KeyWidth: Variable}, {KeyWidth: 8, ValueWidth: Variable}, {KeyWidth: 8, ValueWidth: inlineValue + 1}, {KeyWidth: 8, NamespaceWidth: 8},
	} {
		o.Groups, o.Range = 8, whole(8)
		table := mustTable(t, o)
		snap, err := table.Snapshot()
		if err != nil {
			t.Fatal(err)
		}
		if snap.Fixed() {
			t.Errorf("%+v is of fixed width", o)
		}
		for range snap.Batches() {
			t.Errorf("%+v has batches", o)
		}
		snap.Release()
	}
}
