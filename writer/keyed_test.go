package writer_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"testing"

	"github.com/tidemark-io/tidemark/format"
	"github.com/tidemark-io/tidemark/keygroup"
	"github.com/tidemark-io/tidemark/store/mem"
	"github.com/tidemark-io/tidemark/writer"
)

// TestKeyedBatch: a slice written in batches has the bytes of one written entry
// by entry, whatever the size of blocks and batches.
func TestKeyedBatch(t *testing.T) {
	const n, width = 5000, 8
	hashes, keys := make([]keygroup.Hash, n), make([]byte, 0, n*width)
	for i := range hashes {
		hashes[i] = keygroup.Hash(i / 3 * 700) // three keys of each hash
		keys = binary.BigEndian.AppendUint64(keys, uint64(i))
	}
	write := func(o writer.Options, batch int) []byte {
		st := mem.New()
		o.Store, o.Dir, o.ID, o.WriterID, o.Objects = st, "chk-1", 1, "w", 1
		w, err := writer.New(o)
		if err != nil {
			t.Fatal(err)
		}
		s, err := w.Slice(t.Context(), writer.SliceSpec{Operator: "u", Parallelism: 1, KeyGroups: 128, Name: "s",
			Kind: format.KindKeyed, Interval: keygroup.All()})
		if err != nil {
			t.Fatal(err)
		}
		for at := 0; at < n; at += max(batch, 1) {
			to := min(at+max(batch, 1), n)
			k := keys[at*width : to*width]
			if batch == 0 {
				err = s.Keyed(hashes[at], k, nil, k)
			} else {
				err = s.KeyedBatch(hashes[at:to], k, k)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		row, err := s.Close()
		if err = errors.Join(err, w.Seal(t.Context())); err != nil || row.Entries != n {
			t.Fatalf("%d entries: %v", row.Entries, err)
		}
		o1, err := st.Open(t.Context(), names(t, st)[0])
		if err != nil {
			t.Fatal(err)
		}
		defer o1.Close()
		data, err := io.ReadAll(io.NewSectionReader(o1, 0, 1<<30))
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	for _, o := range []writer.Options{{}, {BlockSize: 300}, {BlockSize: 1}, {Compression: writer.CompressS2}, {Compression: writer.CompressNone}} {
		want := write(o, 0)
		for _, batch := range []int{1, 7, 512, n} {
			if got := write(o, batch); !bytes.Equal(got, want) {
				t.Errorf("%+v, batches of %d: %d bytes written, one by one %d", o, batch, len(got), len(want))
			}
		}
	}
}

// TestKeyedBatchIsChecked: what Keyed refuses is refused wherever it stands in
// a batch.
func TestKeyedBatchIsChecked(t *testing.T) {
	h := func(h ...keygroup.Hash) []keygroup.Hash { return h }
	for name, c := range map[string]struct {
		hashes []keygroup.Hash
		keys   string
		values string
		kind   format.Kind
		want   error
	}{
		"behind the entry before":    {h(15, 16), "ac", "", format.KindKeyed, format.ErrInvalid},
		"the entry before":           {h(15, 16), "bc", "", format.KindKeyed, format.ErrInvalid},
		"falling hash":               {h(16, 18, 17), "abc", "", format.KindKeyed, format.ErrInvalid},
		"falling key":                {h(16, 16), "ba", "", format.KindKeyed, format.ErrInvalid},
		"the same key":               {h(16, 17, 17), "abb", "", format.KindKeyed, format.ErrInvalid},
		"the same key of no bytes":   {h(17, 17), "", "", format.KindKeyed, format.ErrInvalid},
		"first outside the interval": {h(5, 17), "ab", "", format.KindKeyed, format.ErrInvalid},
		"last outside the interval":  {h(16, 20), "ab", "", format.KindKeyed, format.ErrInvalid},
		"uneven keys":                {h(16, 17), "abc", "", format.KindKeyed, format.ErrInvalid},
		"uneven values":              {h(16, 17), "ab", "x", format.KindKeyed, format.ErrInvalid},
		"another kind":               {h(16, 17), "ab", "xy", format.KindTimer, writer.ErrState},
	} {
		w, err := writer.New(writer.Options{Store: mem.New(), Dir: "chk-1", ID: 1})
		if err != nil {
			t.Fatal(err)
		}
		s, err := w.Slice(t.Context(), writer.SliceSpec{Operator: "u", Parallelism: 1, KeyGroups: 128, Name: "s",
			Kind: c.kind, Interval: keygroup.Interval{Lo: 10, Hi: 20}})
		if err != nil {
			t.Fatal(err)
		}
		if c.kind == format.KindKeyed {
			if err := errors.Join(s.KeyedBatch(h(10, 15), []byte("zb"), nil), s.KeyedBatch(nil, nil, nil)); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.KeyedBatch(c.hashes, []byte(c.keys), []byte(c.values)); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
		if _, err := s.Close(); !errors.Is(err, c.want) {
			t.Errorf("%s: the error is not sticky: %v", name, err)
		}
		if err := w.Abort(t.Context()); err != nil {
			t.Error(err)
		}
	}
}
