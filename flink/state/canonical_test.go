package state

import (
	"bytes"
	"slices"
	"testing"

	"github.com/tidemark-io/tidemark/flink/metadata"
)

// Entries of any layout, written in the canonical one, are read as they were; what
// was canonical and uncompressed becomes the same bytes.
func TestWrittenAsCanonical(t *testing.T) {
	y := &tally{t: t, refused: map[string]int{}}
	files, identical, entries := 0, 0, 0
	each := func(f KeyedFile) {
		k, err := OpenKeyed(f)
		if err != nil {
			return
		}
		var out bytes.Buffer
		h := *k.Header
		h.Compressed = false
		w, err := NewCanonicalWriter(&out, &h, f.Groups, f.MaxParallelism)
		if err != nil {
			t.Fatal(err)
		}
		var want []Entry
		for e, err := range k.Entries() {
			if err != nil {
				t.Fatal(err)
			}
			if err := w.Add(e.KeyGroup, e.State, e.Composite, e.Value); err != nil {
				t.Fatalf("%s: %v", y.where, err)
			}
			c := *e
			c.Composite, c.Value = bytes.Clone(e.Composite), bytes.Clone(e.Value)
			want = append(want, c)
		}
		offsets, size, err := w.Finish()
		if err != nil || size != int64(out.Len()) {
			t.Fatal(err, size, out.Len())
		}
		files++
		again := f
		again.Data, again.Size, again.Offsets, again.Savepoint = bytes.NewReader(out.Bytes()), size, offsets, true
		k2, err := OpenKeyed(again)
		if err != nil {
			t.Fatal(err)
		}
		i := 0
		for e, err := range k2.Entries() {
			if err != nil || i >= len(want) {
				t.Fatal(y.where, i, err)
			}
			if e.KeyGroup != want[i].KeyGroup || e.State != want[i].State || !bytes.Equal(e.Composite, want[i].Composite) || !bytes.Equal(e.Value, want[i].Value) {
				t.Errorf("%s: entry %d differs", y.where, i)
			}
			i++
		}
		if entries += i; i != len(want) {
			t.Errorf("%s: %d entries of %d", y.where, i, len(want))
		}
		if k.Layout == Canonical && !k.Header.Compressed {
			old := make([]byte, f.Size)
			if _, err := f.Data.ReadAt(old, 0); err != nil {
				t.Fatal(err)
			}
			if identical++; !bytes.Equal(old, out.Bytes()) || !slices.Equal(offsets, f.Offsets) {
				t.Errorf("%s: the canonical file is not the same", y.where)
			}
		}
	}
	eachCheckpoint(t, func(dir string, m *metadata.Metadata) {
		y.where = dir
		for _, op := range m.Operators {
			for _, sub := range op.Subtasks {
				if sub.State == nil {
					continue
				}
				if h, ok := sub.State.ManagedKeyed.(*metadata.KeyGroupsHandle); ok {
					object, data, size := y.open(dir, h.Delegate)
					each(KeyedFile{Object: object, Data: data, Size: size, Groups: rangeOf(h.Range), Offsets: h.Offsets, MaxParallelism: int(op.MaxParallelism), Savepoint: h.Tag == 7})
				}
			}
		}
	})
	if files == 0 || identical == 0 || entries == 0 {
		t.Error("nothing was written")
	}
	t.Logf("RESULT TestWrittenAsCanonical files=%d entries=%d canonical_byte_identical=%d", files, entries, identical)
}
