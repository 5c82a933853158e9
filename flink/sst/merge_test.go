package sst

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"github.com/tidemark-io/tidemark/flink/wire"
)

// visible merges tables and returns their visible entries as text.
func visible(t testing.TB, tables [][]byte, metas []tableMeta) (string, error) {
	t.Helper()
	for i := range metas {
		metas[i].number = uint64(i)
	}
	f := newFamily(metas, func(m tableMeta) (*table, error) {
		b := tables[m.number]
		return openTable(file{object: fmt.Sprintf("table %d", m.number), data: bytes.NewReader(b), size: int64(len(b))})
	})
	var out bytes.Buffer
	for {
		if err := f.next(); err != nil || !f.ok {
			return out.String(), err
		}
		fmt.Fprintf(&out, "%s=%s ", f.key, f.value)
	}
}

func metaOf(items []item) tableMeta {
	m := tableMeta{smallest: []byte(items[0].key), largest: []byte(items[0].key)}
	for _, i := range items {
		end := i.key
		if i.kind == kindRangeDelete {
			end = i.value
		}
		if i.key < string(m.smallest) {
			m.smallest = []byte(i.key)
		}
		if end > string(m.largest) {
			m.largest, m.largestExcluded = []byte(end), i.kind == kindRangeDelete
		}
		m.largestSeq = max(m.largestSeq, i.seq)
	}
	return m
}

// Versions of keys in several tables become what RocksDB shows, in every form a
// table can have.
func TestMerge(t *testing.T) {
	old := []item{
		{"a", 1, kindPut, "a1"}, {"b", 2, kindPut, "b2"}, {"c", 3, kindMerge, "c3"}, {"d", 4, kindPut, "d4"}, {"e", 5, kindPut, "e5"},
		{"f", 6, kindPut, "f6"}, {"g", 7, kindPut, "g7"}, {"h", 8, kindMerge, "h8"},
	}
	newer := []item{
		{"b", 12, kindDelete, ""}, {"c", 14, kindMerge, "c14"}, {"c", 13, kindMerge, "c13"}, {"d", 15, kindMerge, "d15"},
		{"e", 20, kindRangeDelete, "g"}, {"f", 21, kindPut, "f21"}, {"g", 16, kindSingleDelete, ""}, {"h", 18, kindMerge, "h18"}, {"h", 17, kindDelete, ""}, {"i", 19, kindPut, ""},
	}
	const want = "a=a1 c=c3,c13,c14 d=d4,d15 f=f21 h=h18 i= "
	forms := 0
	for _, sum := range []byte{sumNone, sumCRC, sumXXH64, sumXXH3} {
		for _, compression := range []byte{plainBlock, snappyBlock, lz4Block, zstdBlock} {
			for form := range 8 {
				build := func(items []item) []byte {
					w := builder{sum: sum, compression: compression, delta: form&1 != 0, twoLevel: form&2 != 0, perBlock: 1 + form>>2*3}
					return w.build(t, items)
				}
				got, err := visible(t, [][]byte{build(newer), build(old)}, []tableMeta{metaOf(newer), metaOf(old)})
				if err != nil || got != want {
					t.Fatalf("checksum %d, compression %d, form %d: %q, %v", sum, compression, form, got, err)
				}
				forms++
			}
		}
	}
	t.Logf("RESULT TestMerge forms=%d", forms)
}

// A table's tombstones do not reach beyond its keys: what lies there may have lost
// its sequence number since.
func TestTombstonesAreClipped(t *testing.T) {
	below := []item{{"a", 0, kindPut, "a"}, {"c", 0, kindPut, "c"}}
	above := []item{{"b", 5, kindPut, "b"}, {"a", 9, kindRangeDelete, "z"}}
	m := tableMeta{smallest: []byte("b"), largest: []byte("b")}
	build := func(items []item) []byte { return (&builder{sum: sumCRC, perBlock: 2}).build(t, items) }
	got, err := visible(t, [][]byte{build(above), build(below)}, []tableMeta{m, metaOf(below)})
	if err != nil || got != "a=a c=c " {
		t.Errorf("%q, %v", got, err)
	}
}

// A tombstone deletes what was written before it, not what has its own sequence
// number: entries and tombstones of one ingested file share theirs.
func TestTombstoneOfTheSameSequence(t *testing.T) {
	items := []item{{"b", 5, kindPut, "b5"}, {"c", 4, kindPut, "c4"}, {"a", 5, kindRangeDelete, "z"}}
	table := (&builder{sum: sumCRC, perBlock: 2}).build(t, items)
	if got, err := visible(t, [][]byte{table}, []tableMeta{metaOf(items)}); err != nil || got != "b=b5 " {
		t.Errorf("%q, %v", got, err)
	}
}

// No damaged byte of a table that is read is taken for data.
func TestDamage(t *testing.T) {
	items := []item{{"a", 3, kindPut, "one"}, {"b", 2, kindMerge, "two"}, {"c", 1, kindRangeDelete, "d"}}
	runs, unseen := 0, 0
	for _, sum := range []byte{sumCRC, sumXXH64, sumXXH3} {
		data := (&builder{sum: sum, compression: snappyBlock, delta: true, perBlock: 1}).build(t, items)
		want, err := visible(t, [][]byte{data}, []tableMeta{metaOf(items)})
		if err != nil {
			t.Fatal(err)
		}
		for i := range data {
			for _, flip := range []byte{1, 0x10, 0x80} {
				bad := bytes.Clone(data)
				bad[i] ^= flip
				got, err := visible(t, [][]byte{bad}, []tableMeta{metaOf(items)})
				runs++
				var e *wire.Error
				switch {
				case err != nil && !errors.As(err, &e):
					t.Errorf("byte %d: an error without place: %v", i, err)
				case err == nil && got != want:
					t.Errorf("byte %d: %q, want %q", i, got, want)
				case err == nil:
					unseen++ // the footer's padding has no checksum
				}
			}
			if _, err := visible(t, [][]byte{data[:i]}, []tableMeta{metaOf(items)}); err == nil {
				t.Errorf("cut at %d: nothing is said", i)
			}
		}
	}
	t.Logf("RESULT TestDamage runs=%d without_effect=%d", runs, unseen)
}

func FuzzTable(f *testing.F) {
	items := []item{{"a", 3, kindPut, "one"}, {"b", 2, kindMerge, "two"}, {"c", 1, kindRangeDelete, "d"}}
	for form := range 4 {
		// Without checksums, so that the fuzzer reaches what lies behind them.
		f.Add((&builder{sum: sumNone, compression: byte([]byte{plainBlock, snappyBlock, lz4Block, zstdBlock}[form]), delta: form&1 != 0, twoLevel: form&2 != 0, perBlock: 1}).build(f, items))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		_, err := visible(t, [][]byte{data}, []tableMeta{metaOf(items)})
		var e *wire.Error
		if err != nil && !errors.As(err, &e) {
			t.Fatal(err)
		}
	})
}

func FuzzManifest(f *testing.F) {
	// A column family with one table, as NewFile4 says it.
	f.Add([]byte{200, 1, 1, 201, 1, 1, 's'})
	f.Add([]byte{103, 0, 7, 50, 9, 'a', 1, 0, 0, 0, 0, 0, 0, 0, 9, 'b', 1, 0, 0, 0, 0, 0, 0, 0, 1, 2, 1})
	f.Fuzz(func(t *testing.T, edit []byte) {
		m := &manifest{families: map[uint64]*columnFamily{0: {name: "default", tables: map[uint64]tableMeta{}}}}
		_ = m.apply(edit)
		_, err := readManifest("MANIFEST", bytes.NewReader(edit), int64(len(edit)))
		var e *wire.Error
		if err != nil && !errors.As(err, &e) {
			t.Fatal(err)
		}
	})
}
