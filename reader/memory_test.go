package reader_test

import (
	"context"
	"flag"
	"fmt"
	"runtime"
	"runtime/metrics"
	"testing"

	"github.com/tidemark-io/tidemark/checkpoint"
	"github.com/tidemark-io/tidemark/keygroup"
	"github.com/tidemark-io/tidemark/reader"
	"github.com/tidemark-io/tidemark/recovery"
	"github.com/tidemark-io/tidemark/store"
	"github.com/tidemark-io/tidemark/store/local"
)

var largeFiles = flag.Bool("large", false, "measure memory with 256 MiB and 1 GiB too")

// allowed is by how much the peaks may differ, whatever the size of the state.
const allowed = 32 << 20

// peak remembers the largest heap that it saw, garbage included.
type peak struct {
	sample []metrics.Sample
	base   uint64
	most   uint64
}

func newPeak() *peak {
	p := &peak{sample: []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}}
	runtime.GC()
	p.look()
	p.base, p.most = p.most, 0
	return p
}

func (p *peak) look() {
	metrics.Read(p.sample)
	p.most = max(p.most, p.sample[0].Value.Uint64())
}

// above is the peak above what there was at the beginning, in KiB.
func (p *peak) above() uint64 { return (max(p.most, p.base) - p.base) >> 10 }

// peeking looks at the heap at every read.
type peeking struct {
	store.Store
	p *peak
}

func (s *peeking) Open(ctx context.Context, name string) (store.Object, error) {
	o, err := s.Store.Open(ctx, name)
	if err != nil {
		return nil, err
	}
	return &peekingObject{o, s.p}, nil
}

type peekingObject struct {
	store.Object
	p *peak
}

func (o *peekingObject) ReadAt(b []byte, at int64) (int, error) {
	n, err := o.Object.ReadAt(b, at)
	o.p.look()
	return n, err
}

// TestMemoryDoesNotGrow: reading and verifying take the same memory whatever the
// size of the state.
func TestMemoryDoesNotGrow(t *testing.T) {
	sizes := []int{8, 64}
	if testing.Short() { // the race detector has a heap of its own
		sizes = []int{2, 4}
	}
	if *largeFiles {
		sizes = append(sizes, 256, 1024)
	}
	var least, most uint64
	for i, mib := range sizes {
		dir := t.TempDir()
		st, err := local.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		p := plain{entries: mib << 20 / 108, valueSize: 100}
		if err := p.write(t.Context(), st); err != nil {
			t.Fatal(err)
		}
		reading := newPeak()
		readAll(t, &peeking{st, reading}, p.entries)
		verifying := newPeak()
		verifyAll(t, &peeking{st, verifying})
		fmt.Printf("RESULT reader-memory state_mib=%d read_peak_kib=%d verify_peak_kib=%d\n", mib, reading.above(), verifying.above())
		for _, kib := range []uint64{reading.above(), verifying.above()} {
			if i == 0 && (least == 0 || kib < least) {
				least = kib
			}
			most = max(most, kib)
		}
	}
	if most > least+allowed>>10 {
		t.Errorf("peaks from %d KiB to %d KiB", least, most)
	}
}

// readAll reads a plain checkpoint to the end.
func readAll(t *testing.T, st store.Store, entries int) {
	t.Helper()
	c, err := reader.Open(t.Context(), st, "chk-1")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, err := range c.Keyed(t.Context(), "u", "s", keygroup.All()) {
		if err != nil {
			t.Fatal(err)
		}
		entries--
	}
	if entries != 0 {
		t.Errorf("%d entries are missing", entries)
	}
}

// verifyAll verifies a checkpoint with one worker, as a peak is not safe for
// several.
func verifyAll(t *testing.T, st store.Store) {
	t.Helper()
	c, err := reader.NewFormat(st).Open(t.Context(), "chk-1")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for f, err := range recovery.Verify(t.Context(), c, recovery.Options{Level: checkpoint.LevelRecords, Workers: 1}) {
		t.Fatal(f, err)
	}
}
