package sst

import (
	"bytes"
	"encoding/binary"
	"maps"
	"testing"

	"github.com/tidemark-io/tidemark/flink/serde"
	"github.com/tidemark-io/tidemark/flink/state"
	"github.com/tidemark-io/tidemark/keygroup"
)

// storedKey is a Long as RocksDB has it: key group, key, namespace.
func storedKey(n int) string {
	b := binary.BigEndian.AppendUint64([]byte{byte(n / 10)}, uint64(n))
	return string(append(b, 0))
}

// testDB is a handle of one state whose tables are given.
func testDB(tables [][]byte, metas []tableMeta) *DB {
	header := &state.KeyedHeader{Key: serde.Of(serde.KindLong), States: []state.Meta{{Name: "s", Kind: state.KeyValue, Serializers: []state.Serializer{
		{Key: state.SerializerNamespace, Type: serde.Of(serde.KindVoidNamespace)}, {Key: state.SerializerValue, Type: serde.Of(serde.KindString)}}}}}
	db := &DB{handle: Handle{Header: header, Groups: keygroup.Range{First: 0, Last: 127}, MaxParallelism: 128}, files: map[string]File{}, bad: map[uint64]error{}}
	family := columnFamily{name: "s", tables: map[uint64]tableMeta{}}
	for i, b := range tables {
		metas[i].number = uint64(i)
		family.tables[uint64(i)] = metas[i]
		db.files[tableName(uint64(i))] = File{Name: tableName(uint64(i)), Data: bytes.NewReader(b), Size: int64(len(b))}
	}
	db.families = []columnFamily{family}
	return db
}

// around reads what is around the holes.
func around(t *testing.T, db *DB) (entries map[string]string, holes []Hole) {
	t.Helper()
	holes, err := db.Holes(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	entries = map[string]string{}
	for e, err := range db.EntriesAround(holes, func(int, uint64) {}) {
		if err != nil {
			t.Fatal(err)
		}
		entries[string(byte(e.KeyGroup))+string(e.Composite)] = string(e.Value)
	}
	return entries, holes
}

// Whatever byte of a table is wrong: no value is another than it was, also where an
// older table has an older one, and every key that is missing lies in a hole.
func TestEntriesAround(t *testing.T) {
	var old, newer []item
	for n := range 24 {
		old = append(old, item{storedKey(n), uint64(n + 1), kindPut, "old"})
		if n%3 == 0 && n > 3 && n < 20 {
			kind := []byte{kindPut, kindDelete, kindMerge}[n/3%3]
			newer = append(newer, item{storedKey(n), uint64(n + 100), kind, "new"})
		}
	}
	metas := []tableMeta{metaOf(old), metaOf(newer)}
	flips, missing, spared := 0, 0, 0
	for form := range 4 {
		w := [2]builder{}
		for i := range w {
			w[i] = builder{sum: sumXXH3, delta: form&1 != 0, twoLevel: form&2 != 0, perBlock: 3}
		}
		tables := [][]byte{w[0].build(t, old), w[1].build(t, newer)}
		want, none := around(t, testDB(tables, metas))
		if len(none) > 0 || len(want) < 20 {
			t.Fatalf("undamaged: %d entries, %d holes", len(want), len(none))
		}
		for i := range tables {
			for at := range tables[i] {
				hurt := [][]byte{tables[0], tables[1]}
				hurt[i] = bytes.Clone(tables[i])
				hurt[i][at] ^= 1 << (at % 8)
				got, holes := around(t, testDB(hurt, metas))
				flips++
				for key, value := range got {
					if want[key] != value {
						t.Fatalf("form %d, table %d, byte %d: key %x has %q, it had %q", form, i, at, key, value, want[key])
					}
				}
				for key := range want {
					if _, there := got[key]; there {
						spared++
						continue
					}
					missing++
					in := false
					for k := range holes {
						in = in || holes[k].contains([]byte(key))
					}
					if !in {
						t.Fatalf("form %d, table %d, byte %d: key %x is missing, and in none of %d holes", form, i, at, key, len(holes))
					}
				}
				if len(holes) == 0 && !maps.Equal(got, want) {
					t.Fatalf("form %d, table %d, byte %d: no hole, and %d entries of %d", form, i, at, len(got), len(want))
				}
			}
		}
	}
	t.Logf("RESULT TestEntriesAround flips=%d missing=%d kept=%d", flips, missing, spared)
}

// A table that is not there is a hole from its first key to its last.
func TestMissingTable(t *testing.T) {
	var items []item
	for n := range 9 {
		items = append(items, item{storedKey(n + 10), uint64(n + 1), kindPut, "x"})
	}
	db := testDB([][]byte{nil}, []tableMeta{metaOf(items)})
	got, holes := around(t, db)
	if len(got) > 0 || len(holes) != 1 || !holes[0].contains([]byte(storedKey(10))) || !holes[0].contains([]byte(storedKey(18))) || holes[0].contains([]byte(storedKey(19))) {
		t.Errorf("%d entries, holes %+v", len(got), holes)
	}
}
