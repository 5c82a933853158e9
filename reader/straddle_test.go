package reader_test

import (
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/tidemark-io/tidemark/format"
	"github.com/tidemark-io/tidemark/keygroup"
	"github.com/tidemark-io/tidemark/store/mem"
	"github.com/tidemark-io/tidemark/writer"
)

// TestEqualHashesOverBlocks: keys of one hash that lie in different blocks, and
// in different reads, are still in order. What is remembered of the row before
// must not lie in memory that the next block overwrites.
func TestEqualHashesOverBlocks(t *testing.T) {
	const entries = 2000
	for _, kind := range []format.Kind{format.KindKeyed, format.KindTimer} {
		for _, compression := range []writer.Compression{writer.CompressNone, writer.CompressZstd} {
			for _, block := range []int{1, 5000, 64 << 10} {
				name := fmt.Sprintf("%v, compression %d, blocks of %d", kind, compression, block)
				st := mem.New()
				w, err := writer.New(writer.Options{Store: st, Dir: "chk-1", ID: 1, BlockSize: block, Compression: compression})
				if err != nil {
					t.Fatal(err)
				}
				s, err := w.Slice(t.Context(), writer.SliceSpec{Operator: "u", Parallelism: 1, KeyGroups: 128, Name: "s", Kind: kind, Interval: keygroup.All()})
				if err != nil {
					t.Fatal(err)
				}
				for i := range entries {
					key := binary.BigEndian.AppendUint32(nil, uint32(i/2)) // ascending, each with two namespaces
					namespace := append([]byte{byte(i % 2)}, make([]byte, 500)...)
					if kind == format.KindTimer {
						err = s.Timer(7, key, namespace, int64(i))
					} else {
						err = s.Keyed(7, key, namespace, namespace)
					}
					if err != nil {
						t.Fatal(err)
					}
				}
				row, err := s.Close()
				if err == nil {
					err = w.Seal(t.Context())
				}
				if err == nil {
					err = w.Commit(t.Context(), &format.Manifest{
						Summary:   format.Summary{Kind: format.Checkpoint, Hash: "constant"},
						Operators: []format.Operator{{UID: "u", Parallelism: 1, KeyGroups: 128, KeySchema: format.None}},
						States:    []format.State{{Name: "s", Kind: kind, Edge: format.None, Namespace: format.None, Value: format.None}},
						Slices:    []format.Slice{row},
					})
				}
				if err != nil {
					t.Fatal(err)
				}
				c := open(t, st, "chk-1")
				got := c.Keyed(t.Context(), "u", "s", keygroup.All())
				if kind == format.KindTimer {
					got = c.Timers(t.Context(), "u", "s", keygroup.All())
				}
				n := 0
				for e, err := range got {
					if err != nil || binary.BigEndian.Uint32(e.Key) != uint32(n/2) {
						t.Fatalf("%s: entry %d is %x, %v", name, n, e.Key, err)
					}
					n++
				}
				if n != entries {
					t.Errorf("%s: %d entries", name, n)
				}
				if list, err := findings(t.Context(), st, "chk-1"); err != nil || len(list) > 0 {
					t.Errorf("%s: verify: %v, %v", name, list, err)
				}
			}
		}
	}
}
