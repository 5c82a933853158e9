package native

import (
	"testing"

	"github.com/tidemark-io/tidemark/format"
	"github.com/tidemark-io/tidemark/keygroup"
	"github.com/tidemark-io/tidemark/reader"
	"github.com/tidemark-io/tidemark/store/mem"
	"github.com/tidemark-io/tidemark/writer/writertest"
)

// TestScanLargeBlocks looks for blocks that are larger than what is read at once,
// without their index: all are found, and of a damaged one only that is lost.
func TestScanLargeBlocks(t *testing.T) {
	st := mem.New()
	j := writertest.Job{Keys: 6, ValueSize: scanWindow + 50_000, Parallelism: 1}
	m, err := j.Write(t.Context(), st)
	if err != nil {
		t.Fatal(err)
	}
	c, err := reader.Open(t.Context(), st, j.Dir())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	row, _, err := c.FindState(writertest.Count, "counter", format.KindKeyed)
	if err != nil {
		t.Fatal(err)
	}
	for _, sl := range m.Slices {
		if sl.State != row {
			continue
		}
		want, err := c.BlockRefs(t.Context(), sl, format.KindKeyed)
		if err != nil || len(want) != len(j.Keyed(keygroup.All())) {
			t.Fatalf("%d blocks, %v", len(want), err)
		}
		f, err := st.Open(t.Context(), m.Objects[sl.Object].Name)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		s := scanner{f: f, kind: format.KindKeyed, at: sl.Offset - sl.Bytes, end: sl.Offset, work: scanWork * sl.Bytes}
		for i, ref := range want {
			got, data, ok, err := s.next()
			if err != nil || !ok || got.Offset != ref.Offset || got.CRC != ref.CRC || len(data) != int(ref.Length) {
				t.Fatalf("block %d: found %+v, %v, %v; want %+v", i, got, ok, err, ref)
			}
		}
		// From the second byte on the first block is none, whatever its bytes claim.
		s = scanner{f: f, kind: format.KindKeyed, at: want[0].Offset + 1, end: sl.Offset, work: scanWork * sl.Bytes}
		if got, _, ok, err := s.next(); err != nil || !ok || got.Offset != want[1].Offset {
			t.Errorf("behind a damaged block: found %+v, %v, %v; want %+v", got, ok, err, want[1])
		}
	}
}
