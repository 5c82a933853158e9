package engine_test

import (
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/tidemark-io/tidemark/checkpoint"
	"github.com/tidemark-io/tidemark/checkpoint/layout"
	"github.com/tidemark-io/tidemark/engine"
	"github.com/tidemark-io/tidemark/native"
	"github.com/tidemark-io/tidemark/reader"
	"github.com/tidemark-io/tidemark/recovery"
	"github.com/tidemark-io/tidemark/store"
	"github.com/tidemark-io/tidemark/store/mem"
)

// rescaleNewest makes, with the tool, a savepoint of the newest checkpoint at
// another parallelism or with other key groups, and returns its name and the
// records that were in flight. The savepoint must be intact.
func rescaleNewest(t *testing.T, st store.Store, r recovery.Rescaling) (string, uint64) {
	t.Helper()
	highest, err := reader.HighestID(t.Context(), st, "")
	if err != nil {
		t.Fatal(err)
	}
	formats, dst := native.NewFormat(st), layout.Savepoint(highest+1)
	src, err := formats.Open(t.Context(), newestDir(t, st))
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	if _, err := recovery.Rescale(t.Context(), src, r, recovery.Target{Format: formats, Path: dst}); err != nil {
		t.Fatal(err)
	}
	made, err := formats.Open(t.Context(), dst)
	if err != nil {
		t.Fatal(err)
	}
	defer made.Close()
	for f, err := range recovery.Verify(t.Context(), made, recovery.Options{}) {
		if err != nil || f.Severity == checkpoint.Error {
			t.Fatalf("the rescaled checkpoint: %v %v", f, err)
		}
	}
	before, _ := src.Info().InFlight.Records.Known()
	if after, _ := made.Info().InFlight.Records.Known(); after > before || after+uint64(4*21*21) < before { // a watermark may be counted that is cut
		t.Errorf("%d records in flight before, %d behind", before, after)
	}
	return dst, before
}

// newestDir is the newest committed checkpoint.
func newestDir(t *testing.T, st store.Store) string {
	t.Helper()
	dirs, err := reader.Dirs(t.Context(), st, "")
	if err != nil {
		t.Fatal(err)
	}
	dir := ""
	for _, d := range dirs {
		if d.Manifest && !d.Savepoint {
			dir = d.Path
		}
	}
	return dir
}

// TestRescaledOfflineIsExact cancels jobs under backpressure right after a
// checkpoint, rescales it with the tool, in-flight data included, and goes on
// from the result at its parallelism, twice: the second time mostly while the
// first data in flight is still being replayed. Every record comes out once, in
// order by key.
func TestRescaledOfflineIsExact(t *testing.T) {
	pairs := [][2]int{{1, 3}, {3, 1}, {2, 5}, {5, 2}, {21, 4}, {4, 21}}
	if os.Getenv("TIDEMARK_LONG") == "1" {
		pairs = nil
		for p := 1; p <= 21; p++ {
			for q := 1; q <= 21; q++ {
				pairs = append(pairs, [2]int{p, q})
			}
		}
	}
	var inFlight uint64
	for _, pair := range pairs {
		p, q := pair[0], pair[1]
		t.Run(fmt.Sprintf("%d to %d", p, q), func(t *testing.T) {
			inFlight += rescaledChain(t, []int{p, q, (p+q)/2 + 1}, nil)
		})
	}
	if inFlight == 0 {
		t.Error("nothing was in flight in any checkpoint")
	}
	t.Logf("RESULT TestRescaledOfflineIsExact pairs=%d in-flight-records=%d", len(pairs), inFlight)
}

// TestRekeyedOfflineIsExact does so with other numbers of key groups.
func TestRekeyedOfflineIsExact(t *testing.T) {
	inFlight := rescaledChain(t, []int{3, 3, 3, 2}, []uint32{4096, 128, 97})
	t.Logf("RESULT TestRekeyedOfflineIsExact in-flight-records=%d", inFlight)
}

// rescaledChain runs a job at each parallelism, each run but the first from what
// the tool made of the newest checkpoint of the run before.
func rescaledChain(t *testing.T, chain []int, groups []uint32) (inFlight uint64) {
	const splits, n = 4, 3000
	st, out, from := mem.New(), newLedger[counted](), ""
	for i, p := range chain {
		cfg := engine.Config{Parallelism: p, Exchange: smallBuffers()}
		cfg.Checkpoints.Store = st
		cfg.Checkpoints.Interval = 2 * time.Millisecond
		cfg.Checkpoints.Unaligned = true
		cfg.Restore.From = from
		limit := 3
		if i == len(chain)-1 {
			limit = -1
		}
		if untilCheckpoints(t, backpressured(numbers(splits, n, all), out, 2000), cfg, limit) {
			break
		}
		r := recovery.Rescaling{Parallelism: uint32(chain[i+1])}
		if groups != nil {
			r.KeyGroups = groups[i]
		}
		dst, records := rescaleNewest(t, st, r)
		from, inFlight = dst, inFlight+records
	}
	checkCounted(t, out.records(), splits, n)
	return inFlight
}
