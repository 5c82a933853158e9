package state

import (
	"encoding/binary"
	"errors"
	"testing"

	"github.com/tidemark-io/tidemark/keygroup"
	"github.com/tidemark-io/tidemark/keygroup/keyhash"
)

// mustTable makes a table or ends the test.
func mustTable(t testing.TB, o Options) *Table {
	t.Helper()
	table, err := NewTable(o)
	if err != nil {
		t.Fatal(err)
	}
	return table
}

// whole is the range of all groups.
func whole(groups int) keygroup.Range { return keygroup.Range{First: 0, Last: groups - 1} }

func key8(i uint64) []byte { return binary.LittleEndian.AppendUint64(nil, i) }

func TestTableCounts(t *testing.T) {
	table := mustTable(t, Options{Groups: 128, Range: whole(128), KeyWidth: 8, ValueWidth: 8})
	const keys, rounds = 5000, 4
	for i := range uint64(keys * rounds) {
		k := key8(i % keys)
		sum := keyhash.Sum64(k)
		r, ok := table.Find(sum, k, nil)
		if !ok {
			var err error
			if r, err = table.Insert(r, sum, k, nil, key8(0)); err != nil {
				t.Fatal(err)
			}
		}
		v := table.Mutable(r)
		binary.LittleEndian.PutUint64(v, binary.LittleEndian.Uint64(v)+1)
	}
	if table.Len() != keys {
		t.Fatalf("Len = %d, want %d", table.Len(), keys)
	}
	s, err := table.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	var last keygroup.Hash
	n := 0
	for e := range s.Entries() {
		if e.Hash < last || keyhash.Of(e.Key) != e.Hash {
			t.Fatalf("hash %08x behind %08x", e.Hash, last)
		}
		if got := binary.LittleEndian.Uint64(e.Value); got != rounds {
			t.Fatalf("value %d, want %d", got, rounds)
		}
		last = e.Hash
		n++
	}
	s.Release()
	if n != keys || s.Len() != keys {
		t.Fatalf("%d entries, Len %d, want %d", n, s.Len(), keys)
	}
}

// checkError compares an error with the one that it must wrap, or nil.
func checkError(t *testing.T, name string, got, want error) {
	t.Helper()
	if !errors.Is(got, want) || want == nil && got != nil {
		t.Errorf("%s: error %v, want %v", name, got, want)
	}
}
