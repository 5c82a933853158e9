package reader_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/tidemark-io/tidemark/checkpoint"
	"github.com/tidemark-io/tidemark/format"
	"github.com/tidemark-io/tidemark/keygroup"
	"github.com/tidemark-io/tidemark/keygroup/keyhash"
	"github.com/tidemark-io/tidemark/reader"
	"github.com/tidemark-io/tidemark/recovery"
	"github.com/tidemark-io/tidemark/store"
	"github.com/tidemark-io/tidemark/store/local"
	"github.com/tidemark-io/tidemark/store/mem"
	"github.com/tidemark-io/tidemark/writer"
)

// plain is a checkpoint of one keyed state with ascending hashes, made quickly
// and of any size: entries of a key of 8 bytes and a value.
type plain struct {
	entries   int
	valueSize int
}

// write writes and commits it.
func (p plain) write(ctx context.Context, st store.Store) error {
	w, err := writer.New(writer.Options{Store: st, Dir: "chk-1", ID: 1, Objects: 1, Compression: writer.CompressNone})
	if err != nil {
		return err
	}
	m := &format.Manifest{
		// The hashes are not those of the keys, so the function is another.
		Summary:   format.Summary{Kind: format.Checkpoint, Hash: "sequence"},
		Operators: []format.Operator{{UID: "u", Parallelism: 1, KeyGroups: 128, KeySchema: 0}},
		States:    []format.State{{Name: "s", Kind: format.KindKeyed, Edge: format.None, Namespace: format.None, Value: format.None}},
		Schemas:   []*format.Schema{{Type: format.TypeUint64}},
	}
	s, err := w.Slice(ctx, writer.SliceSpec{Operator: "u", Parallelism: 1, KeyGroups: 128, Name: "s", Kind: format.KindKeyed, Interval: keygroup.All()})
	if err != nil {
		return err
	}
	if err := p.fill(s); err != nil {
		return err
	}
	row, err := s.Close()
	if err != nil {
		return err
	}
	m.Slices = append(m.Slices, row)
	if err := w.Seal(ctx); err != nil {
		return err
	}
	return w.Commit(ctx, m)
}

// fill writes the entries, spread over all hashes.
func (p plain) fill(s *writer.Slice) error {
	key, value := make([]byte, 8), make([]byte, p.valueSize)
	for i := range p.entries {
		binary.LittleEndian.PutUint64(key, uint64(i))
		if len(value) >= 8 {
			binary.LittleEndian.PutUint64(value, uint64(i)*0x9e3779b97f4a7c15)
		}
		h := keygroup.Hash(uint64(i) << 32 / uint64(p.entries))
		if err := s.Keyed(h, key, nil, value); err != nil {
			return err
		}
	}
	return nil
}

// BenchmarkWrite is the encode side of a snapshot: small and larger entries,
// without the disk. MB/s are of key and value bytes.
func BenchmarkWrite(b *testing.B) {
	for _, size := range []int{8, 100, 1000} {
		p := plain{entries: 16 << 20 / (8 + size), valueSize: size}
		b.Run(fmt.Sprintf("value=%d", size), func(b *testing.B) {
			b.SetBytes(int64(p.entries * (8 + size)))
			for range b.N {
				if err := p.write(b.Context(), mem.New()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkRead is the decode side of a restore, block by block, without a state
// table.
func BenchmarkRead(b *testing.B) {
	for _, size := range []int{8, 100, 1000} {
		p := plain{entries: 16 << 20 / (8 + size), valueSize: size}
		st := mem.New()
		if err := p.write(b.Context(), st); err != nil {
			b.Fatal(err)
		}
		c, err := reader.Open(b.Context(), st, "chk-1")
		if err != nil {
			b.Fatal(err)
		}
		b.Run(fmt.Sprintf("value=%d", size), func(b *testing.B) {
			b.SetBytes(int64(p.entries * (8 + size)))
			for range b.N {
				n := 0
				for batch, err := range c.KeyedBatches(b.Context(), "u", "s", keygroup.All()) {
					if err != nil {
						b.Fatal(err)
					}
					for batch.Next() {
						n++
					}
				}
				if n != p.entries {
					b.Fatal(n)
				}
			}
		})
		c.Close()
	}
}

// BenchmarkVerify reads everything at the two deepest levels.
func BenchmarkVerify(b *testing.B) {
	st := mem.New()
	p := plain{entries: 1 << 20, valueSize: 24}
	if err := p.write(b.Context(), st); err != nil {
		b.Fatal(err)
	}
	for _, level := range []checkpoint.Level{checkpoint.LevelChecksums, checkpoint.LevelRecords} {
		b.Run(level.String(), func(b *testing.B) {
			b.SetBytes(int64(p.entries * 32))
			for range b.N {
				c, err := reader.NewFormat(st).Open(b.Context(), "chk-1")
				if err != nil {
					b.Fatal(err)
				}
				for f, err := range recovery.Verify(b.Context(), c, recovery.Options{Level: level, Workers: 1}) {
					b.Fatal(f, err)
				}
				c.Close()
			}
		})
	}
}

// writeLarge writes the manifest of a job of 10,000 subtasks with 10 states each and
// 32,768 key groups. Its data object exists by name only.
func writeLarge(tb testing.TB, st store.Store) {
	tb.Helper()
	const operators, parallelism, states, groups = 10, 1000, 10, 32768
	m := &format.Manifest{
		Summary: format.Summary{Kind: format.Checkpoint, ID: 1, Path: "chk-1", WriterID: "w", Hash: keyhash.Name},
		Objects: []format.Object{{Name: "chk-1/w-0.data", Length: 1 << 40}},
		Schemas: []*format.Schema{{Type: format.TypeString}},
	}
	at := uint64(100)
	for op := range operators {
		m.Operators = append(m.Operators, format.Operator{UID: fmt.Sprint("operator-", op), Parallelism: parallelism, KeyGroups: groups, KeySchema: 0})
		for s := range states {
			m.States = append(m.States, format.State{Operator: op, Name: fmt.Sprint("state-", s), Kind: format.KindKeyed,
				Edge: format.None, Namespace: format.None, Value: 0})
			for subtask := range parallelism {
				at += 1000
				m.Slices = append(m.Slices, format.Slice{State: len(m.States) - 1, Subtask: uint32(subtask), Offset: at, Length: 50,
					CRC: uint32(at), Blocks: 1, Entries: 10, Bytes: 900, Decoded: 1000,
					Interval: keygroup.IntervalOf(subtask, groups, parallelism)})
				at += 50
			}
		}
	}
	data, err := format.AppendManifest(nil, m)
	if err != nil {
		tb.Fatal(err)
	}
	for _, name := range []string{"chk-1/MANIFEST.copy", "chk-1/MANIFEST"} {
		if _, err := store.WriteAll(tb.Context(), st, name, data); err != nil {
			tb.Fatal(err)
		}
	}
}

// BenchmarkOpenLarge opens the large manifest from a directory: the summary and
// the graph, one state's slices, all slices.
func BenchmarkOpenLarge(b *testing.B) {
	st, err := local.Open(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	writeLarge(b, st)
	info, err := st.Stat(b.Context(), "chk-1/MANIFEST")
	if err != nil {
		b.Fatal(err)
	}
	run := func(name string, rows int, use func(c *reader.Checkpoint) (int, error)) {
		b.Run(name, func(b *testing.B) {
			b.ReportMetric(float64(info.Size), "manifest-bytes")
			for range b.N {
				c, err := reader.Open(b.Context(), st, "chk-1")
				if err != nil {
					b.Fatal(err)
				}
				if n, err := use(c); err != nil || n != rows {
					b.Fatal(n, err)
				}
				c.Close()
			}
		})
	}
	run("summary", 110, func(c *reader.Checkpoint) (int, error) {
		operators, err := c.Operators()
		if err != nil {
			return 0, err
		}
		states, err := c.States()
		return len(operators) + len(states), err
	})
	slices := func(c *reader.Checkpoint, state int) (n int, err error) {
		for _, err := range c.Slices(b.Context(), state) {
			if err != nil {
				return n, err
			}
			n++
		}
		return n, nil
	}
	run("one state", 1000, func(c *reader.Checkpoint) (int, error) { return slices(c, 57) })
	run("all slices", 100_000, func(c *reader.Checkpoint) (int, error) { return slices(c, -1) })
}
