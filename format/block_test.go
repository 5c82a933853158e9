package format

import (
	"bytes"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tidemark-io/tidemark/keygroup"
)

// TestBlocks encodes blocks of every kind with every codec and reads them back
// with the same cells.
func TestBlocks(t *testing.T) {
	for _, s := range samples(t, 0) {
		t.Run(s.name, func(t *testing.T) {
			var b Block
			must(t, b.Decode("o", s.data, s.kind, s.ref, nil))
			rows, err := walk(&b, s.kind)
			if err != nil || rows != sampleRows {
				t.Fatalf("read %d rows, %v; expected %d", rows, err, sampleRows)
			}
			again := reencode(&b, s.codec)
			data, ref, err := again.AppendBlock(nil)
			must(t, err)
			ref.First = s.ref.First
			if !bytes.Equal(data, s.data) || ref != s.ref {
				t.Errorf("encoded again: %d bytes %+v, was %d bytes %+v", len(data), ref, len(s.data), s.ref)
			}
		})
	}
}

// reencode builds the block anew from its cells, every column offered to the
// codec.
func reencode(b *Block, codec Codec) *Builder {
	again := NewBuilder(b.kind)
	again.Compress(codec)
	var r rowReader
	r.start(b)
	for range b.rows {
		for i, col := range b.info.columns {
			c := &r.cols[i]
			switch col.Type {
			case ColByte:
				again.putByte(i, c.byte())
			case ColFixed32:
				again.putFixed32(i, c.fixed32())
			case ColDelta:
				again.putDelta(i, c.delta())
			case ColBytes:
				again.putBytes(i, c.bytes())
			default:
				again.putUvarint(i, c.uvarint())
			}
		}
		again.endRow()
	}
	return again
}

func TestManifestRoundTrip(t *testing.T) {
	m := sampleManifest(1)
	data := encodeManifest(t, m)
	got, err := readManifest(data, "chk-7")
	must(t, err)
	if diff := cmp.Diff(m, got); diff != "" {
		t.Errorf("read something else (-written +read):\n%s", diff)
	}
	if again := encodeManifest(t, got); !bytes.Equal(again, data) {
		t.Errorf("encoded again: %d bytes that differ from the %d", len(again), len(data))
	}
}

// TestMovedManifest opens an intact manifest for another checkpoint than it
// states: it lies at the wrong place.
func TestMovedManifest(t *testing.T) {
	data := encodeManifest(t, sampleManifest(1))
	if _, err := readManifest(data, "chk-8"); !errors.Is(err, ErrMalformed) {
		t.Errorf("manifest of chk-7 as chk-8: %v", err)
	}
	_, err := readManifest(data, "")
	must(t, err)
}

func TestObjectRoundTrip(t *testing.T) {
	f := sampleObject(t, 0, sampleRows)
	rows, err := readAll(f.data, &f)
	must(t, err)
	if want := 2 * sampleRows * len(f.slices); rows != want {
		t.Errorf("read %d rows, expected %d", rows, want)
	}
}

// TestSliceMoves copies the extent of a slice to another place of another
// object: it stays readable, since indexes hold distances only.
func TestSliceMoves(t *testing.T) {
	s := makeSample(t, KindKeyed, CodecNone, sampleRows, 0)
	data, slice := appendIndex(t, bytes.Clone(s.data), Slice{Interval: keygroup.All()}, []BlockRef{s.ref})
	for _, shift := range []uint64{1, 48, 1 << 20} {
		moved := append(make([]byte, shift), data...)
		at := slice
		at.Offset += shift
		var extents Extents
		rows, err := readSlice(moved, at, KindKeyed, &extents)
		if err != nil || rows != sampleRows {
			t.Errorf("moved by %d: %d rows, %v", shift, rows, err)
		}
	}
}

func TestBuilderErrors(t *testing.T) {
	tests := []struct {
		name string
		make func() *Builder
	}{
		{"unknown kind", func() *Builder { return NewBuilder(200) }},
		{"unknown codec", func() *Builder { b := NewBuilder(KindKeyed); b.Compress(9); return b }},
		{"hash that falls", func() *Builder {
			b := NewKeyedBuilder()
			b.Append(5, nil, nil, nil)
			b.Append(4, nil, nil, nil)
			return &b.Builder
		}},
		{"row of another kind", func() *Builder { b := NewBuilder(KindKeyed); AppendRow(b, &Floor{}); return b }},
		{"reference that does not fit", func() *Builder {
			b := NewBuilder(KindStates)
			b.encode((&State{Operator: -5}).cells)
			return b
		}},
	}
	for _, test := range tests {
		if _, _, err := test.make().AppendBlock(nil); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v, expected ErrInvalid", test.name, err)
		}
	}
}
