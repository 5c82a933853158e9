package state

import (
	"fmt"
	"testing"

	"github.com/tidemark-io/tidemark/keygroup"
)

// TestLongRuns crafts runs that do not fit behind the last home: keys with the
// greatest hash of a group, in a table that grows and shrinks.
func TestLongRuns(t *testing.T) {
	for _, groups := range []int{1, 128} {
		table := mustTable(t, Options{Groups: groups, Range: whole(groups), KeyWidth: 8, ValueWidth: 8})
		m := model{}
		const n = 600
		for i := range uint64(n) {
			sum := uint64(1<<32-1)<<32 | i*0x9e3779b1&0xffffffff
			k := key8(i)
			if _, err := table.Set(sum, k, nil, k); err != nil {
				t.Fatal(err)
			}
			m[modelKey{1<<32 - 1, string(k), ""}] = string(k)
			if err := checkTable(table); err != nil {
				t.Fatal(err)
			}
		}
		if err := compareAll(table, m); err != nil {
			t.Fatal(err)
		}
		for i := range uint64(n) {
			sum := uint64(1<<32-1)<<32 | i*0x9e3779b1&0xffffffff
			if !table.Delete(sum, key8(i), nil) {
				t.Fatalf("key %d is not there", i)
			}
			if err := checkTable(table); err != nil {
				t.Fatal(err)
			}
		}
		if table.Len() != 0 || table.Bytes() > 10_000 {
			t.Errorf("%d entries and %d bytes are left", table.Len(), table.Bytes())
		}
		fmt.Printf("RESULT long-runs groups=%d keys=%d\n", groups, n)
	}
}

// TestShrink: memory comes back when entries go, at once in a group that
// empties.
func TestShrink(t *testing.T) {
	for _, o := range []Options{
		{Groups: 1, Range: whole(1), KeyWidth: 8, ValueWidth: 8},
		{Groups: 1, Range: whole(1), KeyWidth: 8, ValueWidth: Variable},
	} {
		table := mustTable(t, o)
		const n = 10_000
		for i := range uint64(n) {
			k, v := key8(i), key8(i)
			if o.ValueWidth == Variable {
				v = make([]byte, 100)
			}
			if _, err := table.Set(mix(i), k, nil, v); err != nil {
				t.Fatal(err)
			}
		}
		full := table.Bytes()
		for i := range uint64(n) {
			if !table.Delete(mix(i), key8(i), nil) {
				t.Fatalf("key %d is not there", i)
			}
			if table.Len() == n/20 && table.Bytes() > full/4 {
				t.Errorf("%d of %d bytes are left for a twentieth of the entries", table.Bytes(), full)
			}
		}
		if table.Bytes() > 3000 {
			t.Errorf("%d bytes are left", table.Bytes())
		}
	}
}

// TestTouch: touching changes nothing, whatever the hash.
func TestTouch(t *testing.T) {
	o := Options{Groups: 8, Range: keygroup.Range{First: 2, Last: 5}, KeyWidth: 8, ValueWidth: 8}
	table := mustTable(t, o)
	for i := range uint64(1000) {
		table.Touch(mix(i))
		if i%2 == 0 && o.Range.Contains(keygroup.Of(keygroup.Hash(mix(i)>>32), 8)) {
			if _, err := table.Set(mix(i), key8(i), nil, key8(i)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := checkTable(table); err != nil {
		t.Fatal(err)
	}
	if table.Options() != o {
		t.Errorf("Options = %+v", table.Options())
	}
}
