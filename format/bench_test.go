package format

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"testing"

	"github.com/tidemark-io/tidemark/keygroup"
)

// benchEntries is the number of 16-byte entries of a benchmark's slice.
const benchEntries = 1 << 16

// fillEntries appends entries with keys of 8 random-looking bytes and values of
// 8 bytes below 1,000, and calls flush for each full block.
func fillEntries(b *KeyedBuilder, flush func()) {
	var key, value [8]byte
	const step = (1 << 32) / benchEntries
	for i := range benchEntries {
		binary.LittleEndian.PutUint64(key[:], uint64(i)*0x9e3779b97f4a7c15)
		binary.LittleEndian.PutUint64(value[:], uint64(i)*7919%1000)
		b.Append(keygroup.Hash(i*step), key[:], nil, value[:])
		if b.Size() >= BlockTarget {
			flush()
		}
	}
	if b.Rows() > 0 {
		flush()
	}
}

// BenchmarkKeyedWrite encodes entries; the keys as they are, the values with
// each codec.
func BenchmarkKeyedWrite(b *testing.B) {
	for _, codec := range allCodecs {
		b.Run(codec.String(), func(b *testing.B) {
			b.SetBytes(16 * benchEntries)
			builder := NewKeyedBuilder()
			builder.Compress(codec, ColValue)
			var out []byte
			total := 0
			for b.Loop() {
				total = 0
				fillEntries(builder, func() {
					var err error
					if out, _, err = builder.AppendBlock(out[:0]); err != nil {
						b.Fatal(err)
					}
					total += len(out)
					builder.Reset()
				})
			}
			b.ReportMetric(float64(total)/benchEntries, "B/entry")
		})
	}
}

// BenchmarkKeyedRead decodes the same and walks the entries.
func BenchmarkKeyedRead(b *testing.B) {
	for _, codec := range allCodecs {
		b.Run(codec.String(), func(b *testing.B) {
			builder := NewKeyedBuilder()
			builder.Compress(codec, ColValue)
			var data []byte
			var refs []BlockRef
			fillEntries(builder, func() {
				at := uint64(len(data))
				var ref BlockRef
				var err error
				if data, ref, err = builder.AppendBlock(data); err != nil {
					b.Fatal(err)
				}
				ref.Offset = at
				refs = append(refs, ref)
				builder.Reset()
			})
			b.SetBytes(16 * benchEntries)
			b.ReportAllocs()
			var block Block
			var sum uint64
			for b.Loop() {
				rows := NewKeyedRows(keygroup.All())
				n := 0
				for _, ref := range refs {
					if err := block.Decode("bench", data[ref.Offset:ref.End()], KindKeyed, ref, nil); err != nil {
						b.Fatal(err)
					}
					for rows.Start(&block); rows.Next(); n++ {
						sum += binary.LittleEndian.Uint64(rows.Value)
					}
				}
				if n != benchEntries || rows.Err() != nil {
					b.Fatal(n, rows.Err())
				}
			}
		})
	}
}

// largeManifest describes 10,000 subtasks × 10 states × 32,768 key groups: ten
// operators of 1,000 subtasks with ten states each.
func largeManifest(b testing.TB) []byte {
	const operators, subtasks, states = 10, 1000, 10
	m := &Manifest{Summary: Summary{Kind: Checkpoint, ID: 7, Path: "chk-7", Hash: "xxh3-64/0"},
		Schemas: []*Schema{of(TypeString), count64}}
	for i := range 64 {
		m.Objects = append(m.Objects, Object{Name: fmt.Sprintf("chk-7/data-%02d", i), Length: 1 << 40, CRC: uint32(i), DirectoryCRC: uint32(i)})
	}
	for op := range operators {
		m.Operators = append(m.Operators, Operator{UID: fmt.Sprintf("operator-%d", op), Name: "window", Parallelism: subtasks, KeyGroups: 32768, Task: uint32(op)})
		for s := range states {
			m.States = append(m.States, State{Operator: op, Name: fmt.Sprintf("state-%d", s), Kind: KindKeyed, Edge: None, Namespace: None, Value: 1})
			for p := range subtasks {
				n := uint64(op*states*subtasks + s*subtasks + p)
				m.Slices = append(m.Slices, Slice{State: op*states + s, Subtask: uint32(p), Object: p % 64, Offset: 1<<20 + n*65536,
					Length: 300, CRC: uint32(n * 2654435761), Blocks: 16, Entries: 60000 + n%977, Bytes: 900000 + n%7919, Decoded: 1000000 + n%7919,
					Interval: keygroup.IntervalOf(p, 32768, subtasks)})
			}
		}
	}
	data, err := AppendManifest(nil, m)
	if err != nil {
		b.Fatal(err)
	}
	return data
}

// BenchmarkManifest opens a manifest of 100,000 slices.
func BenchmarkManifest(b *testing.B) {
	data := largeManifest(b)
	open := func(b *testing.B) *ManifestReader {
		m, err := OpenManifest(bytes.NewReader(data), int64(len(data)), ManifestOptions{Object: "MANIFEST", Path: "chk-7"})
		if err != nil {
			b.Fatal(err)
		}
		return m
	}
	b.Run("totals", func(b *testing.B) {
		for b.Loop() {
			m := open(b)
			n := 0
			for _, err := range m.Operators() {
				n++
				must(b, err)
			}
			for _, err := range m.States() {
				n++
				must(b, err)
			}
			if n != 110 {
				b.Fatal(n)
			}
		}
		b.ReportMetric(float64(len(data)), "B")
	})
	b.Run("one state", func(b *testing.B) {
		for b.Loop() {
			n := 0
			for _, err := range open(b).SlicesOf(57) {
				n++
				must(b, err)
			}
			if n != 1000 {
				b.Fatal(n)
			}
		}
	})
	b.Run("all", func(b *testing.B) {
		for b.Loop() {
			if m, err := open(b).Read(); err != nil || len(m.Slices) != 100_000 {
				b.Fatal(err)
			}
		}
	})
	b.Run("write", func(b *testing.B) {
		m, err := open(b).Read()
		must(b, err)
		for b.Loop() {
			if _, err := AppendManifest(nil, m); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkAppendJSON prints a value of two fields.
func BenchmarkAppendJSON(b *testing.B) {
	value := join(text("ATL"), i64(5))
	var out []byte
	for b.Loop() {
		var err error
		if out, err = AppendJSON(out[:0], count64, value, nil); err != nil {
			b.Fatal(err)
		}
	}
	_, _ = io.Discard.Write(out)
}
