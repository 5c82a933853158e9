package state

import (
	"encoding/binary"
	"slices"
	"testing"

	"github.com/tidemark-io/tidemark/keygroup"
	"github.com/tidemark-io/tidemark/keygroup/keyhash"
)

// A snapshot of what has changed since an earlier one holds the key groups in
// which an entry was inserted, given another value, written in place or removed
// since, whatever snapshots came between and became of it, and no others.
func TestGenerations(t *testing.T) {
	const groups = 16
	table, err := NewTable(Options{Groups: groups, Range: keygroup.Range{First: 4, Last: 11}, KeyWidth: 8, ValueWidth: 8})
	if err != nil {
		t.Fatal(err)
	}
	key := func(group, n int) []byte { // the n-th key of a group
		for k := uint64(0); ; k++ {
			b := binary.LittleEndian.AppendUint64(nil, k)
			if keygroup.Of(keyhash.Of(b), groups) == group {
				if n--; n < 0 {
					return b
				}
			}
		}
	}
	value := make([]byte, 8)
	set := func(group, n int) Ref {
		k := key(group, n)
		r, err := table.Set(keyhash.Sum64(k), k, nil, value)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	since := func(generation uint64) (got []int, next uint64) {
		s, err := table.SnapshotOf(func(_ int, changed uint64) bool { return changed >= generation })
		if err != nil {
			t.Fatal(err)
		}
		defer s.Release()
		n := 0
		for b := range s.Batches() {
			for _, h := range b.Hashes {
				n++
				if g := keygroup.Of(h, groups); len(got) == 0 || got[len(got)-1] != g {
					got = append(got, g)
				}
			}
		}
		if n != s.Len() {
			t.Errorf("%d entries, the snapshot says %d", n, s.Len())
		}
		return got, s.Generation()
	}
	for g := 4; g <= 11; g++ {
		set(g, 0)
		set(g, 1)
	}
	first := table.Generation()
	if got, _ := since(first); len(got) != 0 {
		t.Errorf("nothing has changed, got %v", got)
	}
	change := []func(){
		func() { set(5, 7) },                // inserted
		func() { set(6, 1) },                // another value
		func() { table.Mutable(set(4, 0)) }, // in place
		func() { k := key(9, 0); table.Delete(keyhash.Sum64(k), k, nil) }, // removed
	}
	want := [][]int{{5}, {5, 6}, {4, 5, 6}, {4, 5, 6, 9}}
	for i, f := range change {
		before := table.Generation()
		f()
		got, _ := since(first)
		if !slices.Equal(got, want[i]) {
			t.Errorf("change %d: groups %v, want %v", i, got, want[i])
		}
		if got, _ := since(before); len(got) != 1 {
			t.Errorf("change %d: groups %v since the one before", i, got)
		}
	}
	_, next := since(0)
	table.Clear()
	set(8, 0)
	if got, _ := since(next); !slices.Equal(got, []int{8}) {
		t.Errorf("after clearing: groups %v", got)
	}
}
