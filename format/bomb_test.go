package format

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"runtime"
	"testing"
	"time"
)

// bomb is a small input that states something large.
type bomb struct {
	name string
	read func() error
	// legal is a decoded length that the reader may reserve since it is
	// within the limits and stated under a checksum.
	legal uint64
}

// blockBomb reads a forged block of items.
func blockBomb(name string, block []byte, decoded, rows, legal uint64) bomb {
	ref := refOf(block, decoded, rows)
	return bomb{name, func() error {
		var b Block
		if err := b.Decode("bomb", block, Kind(block[0]), ref, nil); err != nil {
			return err
		}
		_, err := walk(&b, b.kind)
		return err
	}, legal}
}

// codecBombs are zeros through the compressions, with stated lengths that are
// wrong up and down, or right and too large.
func codecBombs(t testing.TB) []bomb {
	var all []bomb
	const size = 1 << 20
	for _, codec := range []Codec{CodecS2, CodecZstd} {
		data := compressed(t, codec, size)
		for _, stated := range []uint64{0, 1, size / 2, size - 1, size + 1, size * 64, 1 << 31, 1<<32 - 1, 1 << 32, 1 << 63, math.MaxUint64} {
			column := forgedColumn{byte(codec) | columnFixedWidth, 1, stated, uint64(len(data)), data}
			legal := stated
			if legal > DefaultLimits().Block {
				legal = 0
			}
			all = append(all, blockBomb(fmt.Sprintf("%v: %d zeros stated as %d", codec, size, stated),
				forge(KindSplitList, stated, column), stated, stated, legal))
		}
		large := compressed(t, codec, 128<<20)
		column := forgedColumn{byte(codec) | columnFixedWidth, 1, 128 << 20, uint64(len(large)), large}
		all = append(all, blockBomb(fmt.Sprintf("%v: 128 MiB of zeros from %d bytes", codec, len(large)),
			forge(KindSplitList, 128<<20, column), 128<<20, 128<<20, 0))
		short := forgedColumn{byte(codec) | columnFixedWidth, 1, size, uint64(len(data)), data[:len(data)/2]}
		all = append(all, blockBomb(codec.String()+": half of the compressed bytes", forge(KindSplitList, size, short), size, size, size))
	}
	window := []byte{0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xff, 0x01, 0x00, 0x00}
	all = append(all, blockBomb("zstd: window of 3.75 TiB",
		forge(KindSplitList, 100, forgedColumn{byte(CodecZstd) | columnFixedWidth, 1, 100, uint64(len(window)), window}), 100, 100, 100))
	length := []byte{0xff, 0xff, 0xff, 0xff, 0x0f, 0}
	return append(all, blockBomb("s2: states 4 GiB",
		forge(KindSplitList, 100, forgedColumn{byte(CodecS2) | columnFixedWidth, 1, 100, uint64(len(length)), length}), 100, 100, 100))
}

// headerBombs lie in the header of a block.
func headerBombs() []bomb {
	var all []bomb
	item := forgedColumn{columnFixedWidth, 1, 4, 0, []byte("item")}
	for _, n := range []uint64{5, 1 << 31, 1<<32 - 1, 1 << 32, 1 << 63, math.MaxUint64} {
		lie := item
		lie.plain = n
		all = append(all, blockBomb(fmt.Sprintf("column states %d bytes", n), forge(KindSplitList, 4, lie), n, 4, 0))
		lie = item
		lie.width = n
		all = append(all, blockBomb(fmt.Sprintf("width %d", n), forge(KindSplitList, 4, lie), 4, 4, 0))
		all = append(all, blockBomb(fmt.Sprintf("%d rows", n), forge(KindSplitList, n, item), 4, n, 0))
	}
	lens := binary.AppendUvarint(binary.AppendUvarint(nil, 1<<63), 1<<63)
	sum := forgedColumn{0, 0, uint64(len(lens)), 0, lens}
	long := forgedColumn{0, 0, 11, 0, append(bytes.Repeat([]byte{0x80}, 10), 1)}
	padded := forgedColumn{0, 0, 3, 0, []byte{0x81, 0, 'a'}}
	empty := forgedColumn{columnFixedWidth, 0, 0, 0, nil}
	return append(all,
		blockBomb("lengths that wrap around", forge(KindSplitList, 2, sum), uint64(len(lens)), 2, 0),
		blockBomb("varint of 11 bytes", forge(KindSplitList, 1, long), 11, 1, 0),
		blockBomb("varint with a zero byte behind", forge(KindSplitList, 1, padded), 3, 1, 0),
		blockBomb("a million empty items without a byte", forge(KindSplitList, 1_000_000, empty), 0, 1_000_000, 0),
		blockBomb("2^31 rows of width 2^31", forge(KindSplitList, 1<<31, forgedColumn{columnFixedWidth, 1 << 31, 0, 0, nil}), 0, 1<<31, 0),
	)
}

// schemaBombs are schemas and values.
func schemaBombs() []bomb {
	deep := func(n int) []byte { return append(bytes.Repeat([]byte{byte(TypeSlice)}, n-1), byte(TypeInt8)) }
	schema := func(name string, data []byte) bomb {
		return bomb{name, func() error { _, err := DecodeSchema(data, nil); return err }, 0}
	}
	value := func(name string, s *Schema, data []byte) bomb {
		return bomb{name, func() error { _, err := AppendJSON(nil, s, data, nil); return err }, 0}
	}
	fields := func(n uint64) []byte {
		return append(binary.AppendUvarint([]byte{byte(TypeStruct), 0}, n), 1, 'a', byte(TypeBool))
	}
	ints := &Schema{Type: TypeSlice, Elems: []*Schema{{Type: TypeInt64}}}
	text := &Schema{Type: TypeString}
	wide := []byte{byte(TypeSlice), byte(TypeArray), 0, byte(TypeInt64)}
	return []bomb{
		schema("nesting 17", deep(17)),
		schema("nesting 60,000", deep(60_000)),
		schema("schema of 1 MiB", deep(1<<20)),
		schema("2^63 fields", fields(1<<63)),
		schema("5,000 fields", append(fields(5000), make([]byte, 6000)...)),
		schema("array of 2^32 elements", append(binary.AppendUvarint([]byte{byte(TypeArray)}, 1<<32), byte(TypeBool))),
		schema("slice of elements without bytes", wide),
		schema("field name of 2^63 bytes", append(binary.AppendUvarint([]byte{byte(TypeStruct), 0, 1}, 1<<63), 'a')),
		value("slice of 2^60 elements", ints, binary.AppendUvarint(nil, 1<<60)),
		value("string of 2^63 bytes", text, binary.AppendUvarint(nil, 1<<63)),
		value("array of 2^32-1 arrays of 2^32-1", &Schema{Type: TypeArray, Len: math.MaxUint32, Elems: []*Schema{
			{Type: TypeArray, Len: math.MaxUint32, Elems: []*Schema{{Type: TypeInt64}}}}}, make([]byte, 64)),
		{"text over the limit", func() error {
			s := append(binary.AppendUvarint(nil, 1000), bytes.Repeat([]byte{1}, 1000)...)
			_, err := AppendJSON(nil, text, s, &Limits{JSON: 2000})
			return err
		}, 0},
	}
}

// fileBombs lie in footers, directories and indexes.
func fileBombs(t testing.TB) []bomb {
	intact := encodeManifest(t, sampleManifest(1))
	var all []bomb
	manifest := func(name string, change func(f *forgedManifest)) {
		f := forgeable(t, intact)
		change(f)
		data := f.bytes(t)
		all = append(all, bomb{name, func() error { _, err := readManifest(data, "chk-7"); return err }, 0})
	}
	for _, n := range []uint64{0, 1 << 31, 1<<32 - 1} {
		manifest(fmt.Sprintf("footer: directory of %d bytes", n), func(f *forgedManifest) {
			f.footer = func(foot *footer) { foot.directoryLen = uint32(n) }
		})
		manifest(fmt.Sprintf("footer: directory of %d rows", n), func(f *forgedManifest) {
			f.footer = func(foot *footer) { foot.rows = uint32(n) }
		})
		manifest(fmt.Sprintf("footer: directory of %d decoded bytes", n), func(f *forgedManifest) {
			f.footer = func(foot *footer) { foot.decoded = uint32(n) }
		})
		manifest(fmt.Sprintf("table: %d rows", n), func(f *forgedManifest) {
			f.tables = func(rows []tableRow) []tableRow { rows[0].ref.Rows = uint32(n); return rows }
		})
		manifest(fmt.Sprintf("table: %d decoded bytes", n), func(f *forgedManifest) {
			f.tables = func(rows []tableRow) []tableRow { rows[1].ref.Decoded = uint32(n); return rows }
		})
	}
	for _, n := range []uint64{0, 1, 1 << 31, 1 << 63, math.MaxUint64} {
		manifest(fmt.Sprintf("footer: directory at %d", n), func(f *forgedManifest) {
			f.footer = func(foot *footer) { foot.directory = n }
		})
	}
	manifest("a million empty tables", func(f *forgedManifest) {
		f.tables = func(rows []tableRow) []tableRow {
			for i := range 10_000 {
				rows = append(rows, tableRow{kind: KindLosses, ref: BlockRef{Offset: rows[0].ref.Offset + uint64(i%50)}})
			}
			return rows
		}
	})
	manifest("one block as two tables", func(f *forgedManifest) {
		f.tables = func(rows []tableRow) []tableRow { return append(rows[:1:1], rows...) }
	})
	return append(all, indexBombs(t)...)
}

// indexBombs are block indexes that state too much.
func indexBombs(t testing.TB) []bomb {
	var all []bomb
	index := func(name string, change func(back *uint64, ref *BlockRef)) {
		b := NewBuilder(KindBlockIndex)
		back, row := uint64(100), BlockRef{Length: 100, Decoded: 50, Rows: 5}
		change(&back, &row)
		b.encode(func(c *rowCodec) { indexRow(c, &back, &row) })
		data, ref, err := b.AppendBlock(nil)
		must(t, err)
		s := Slice{Offset: 1000, Length: ref.Length, CRC: ref.CRC, Blocks: 1, Entries: 5, Bytes: 100, Decoded: 50}
		all = append(all, bomb{"index: " + name, func() error {
			var x Index
			return x.Decode("bomb", data, s, KindSplitList, nil)
		}, 0})
	}
	index("block before the object", func(back *uint64, _ *BlockRef) { *back = math.MaxUint64 })
	index("block behind the index", func(back *uint64, _ *BlockRef) { *back = 0 })
	index("block of 4 GiB", func(_ *uint64, ref *BlockRef) { ref.Length = math.MaxUint32 })
	index("block of no bytes", func(_ *uint64, ref *BlockRef) { ref.Length = 0 })
	index("2^32 rows", func(_ *uint64, ref *BlockRef) { ref.Rows = math.MaxUint32 })
	index("no rows", func(_ *uint64, ref *BlockRef) { ref.Rows = 0 })
	s := makeSample(t, KindBlockIndex, CodecZstd, sampleRows, 0)
	slice := Slice{Offset: 9000, Length: s.ref.Length, CRC: s.ref.CRC, Blocks: sampleRows}
	all = append(all, bomb{"index: over the limit", func() error {
		var x Index
		return x.Decode("bomb", s.data, slice, KindSplitList, &Limits{Block: 100})
	}, 0})
	index("another sum", func(_ *uint64, ref *BlockRef) { ref.Rows = 4 })
	return all
}

// TestBombs is T9: each is refused with a typed error, within the memory of a
// legal block.
func TestBombs(t *testing.T) {
	bombs := append(append(append(codecBombs(t), headerBombs()...), schemaBombs()...), fileBombs(t)...)
	var worst uint64
	var slowest time.Duration
	refused := 0
	// Pools of encoders and decoders are filled before memory is measured.
	for _, codec := range allCodecs {
		s := makeSample(t, KindKeyed, codec, sampleRows, 0)
		var b Block
		must(t, b.Decode("warm", s.data, s.kind, s.ref, nil))
	}
	for _, bomb := range bombs {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		start := time.Now()
		err := bomb.read()
		slowest = max(slowest, time.Since(start))
		runtime.ReadMemStats(&after)
		used := after.TotalAlloc - before.TotalAlloc
		if used > bomb.legal+1<<20 {
			t.Errorf("%s: %d bytes of memory, %d allowed", bomb.name, used, bomb.legal+1<<20)
		}
		if used > bomb.legal {
			worst = max(worst, used-bomb.legal)
		}
		if !errors.Is(err, ErrMalformed) && !errors.Is(err, ErrLimit) && !errors.Is(err, ErrTruncated) {
			t.Errorf("%s: %v", bomb.name, err)
			continue
		}
		refused++
	}
	fmt.Printf("RESULT T9-bombs cases=%d refused=%d extra-memory-max=%d slowest=%v\n", len(bombs), refused, worst, slowest.Round(time.Millisecond))
	if len(bombs) < 40 || refused != len(bombs) {
		t.Errorf("%d of %d refused", refused, len(bombs))
	}
}
