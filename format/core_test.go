package format

import (
	"bytes"
	"testing"

	"github.com/tidemark-io/tidemark/keygroup"
)

func TestSmoke(t *testing.T) {
	b := NewKeyedBuilder()
	b.Compress(CodecZstd, ColValue)
	for i := range 1000 {
		b.Append(keygroup.Hash(i*3), []byte{byte(i >> 8), byte(i)}, nil, []byte("value"))
	}
	enc, ref, err := b.AppendBlock(nil)
	if err != nil {
		t.Fatal(err)
	}
	var blk Block
	if err := blk.Decode("o", enc, KindKeyed, ref, nil); err != nil {
		t.Fatal(err)
	}
	r := NewKeyedRows(keygroup.All())
	r.Start(&blk)
	n := 0
	for r.Next() {
		n++
	}
	if n != 1000 || r.Err() != nil {
		t.Fatal(n, r.Err())
	}
	m := &Manifest{Summary: Summary{Kind: Checkpoint, ID: 7, Path: "chk-7", Hash: "xxh3-64/0"},
		Operators: []Operator{{UID: "a", Parallelism: 2, KeyGroups: 128, KeySchema: 0}},
		States:    []State{{Name: "count", Kind: KindKeyed, Edge: None, Namespace: None, Value: None}},
		Objects:   []Object{{Name: "chk-7/a.data", Length: 1000}},
		Schemas:   []*Schema{{Type: TypeString}},
		Slices: []Slice{{Offset: 300, Length: 20, Blocks: 1, Entries: 5, Bytes: 60, Decoded: 70, Interval: keygroup.IntervalOf(1, 128, 2)},
			{Offset: 200, Length: 20, Blocks: 1, Entries: 5, Bytes: 60, Decoded: 70, Interval: keygroup.IntervalOf(0, 128, 2)}},
	}
	enc, err = AppendManifest(nil, m)
	if err != nil {
		t.Fatal(err)
	}
	mr, err := OpenManifest(bytes.NewReader(enc), int64(len(enc)), ManifestOptions{Object: "M", Path: "chk-7"})
	if err != nil {
		t.Fatal(err)
	}
	all, err := mr.Read()
	if err != nil {
		t.Fatal(err)
	}
	for s, err := range mr.SlicesOf(0) {
		t.Log(s, err)
	}
	t.Log(len(enc), all.Schemas[0], all.Summary)
	h, err := AppendObjectHeader(nil, Header{Checkpoint: 7, Name: "chk-7/a.data", Writer: "w"})
	if err != nil {
		t.Fatal(err)
	}
	obj := append([]byte(nil), h...)
	b.Reset()
	b.Append(5, []byte("k"), nil, []byte("v"))
	ref.Offset = uint64(len(obj))
	at := ref.Offset
	obj, ref, err = b.AppendBlock(obj)
	ref.Offset = at
	if err != nil {
		t.Fatal(err)
	}
	at = uint64(len(obj))
	obj, iref, err := AppendIndex(obj, at, []BlockRef{ref})
	if err != nil {
		t.Fatal(err)
	}
	s := Slice{Offset: iref.Offset, Length: iref.Length, CRC: iref.CRC, Blocks: 1, Entries: 1, Bytes: uint64(ref.Length), Decoded: uint64(ref.Decoded), Interval: keygroup.All()}
	obj, crc, err := AppendObjectEnd(obj, uint64(len(obj)), h, []Entry{{Slice: s, Kind: KindKeyed, Operator: "a", Parallelism: 1, State: "x"}})
	if err != nil {
		t.Fatal(err)
	}
	o, err := OpenObject(bytes.NewReader(obj), int64(len(obj)), OpenOptions{Object: "chk-7/a.data", Check: true})
	if err != nil {
		t.Fatal(err)
	}
	if o.EndCRC != crc {
		t.Fatal(crc)
	}
	var x Index
	if err := x.Decode("o", obj[s.Offset:s.Offset+uint64(s.Length)], s, KindKeyed, nil); err != nil {
		t.Fatal(err)
	}
}
