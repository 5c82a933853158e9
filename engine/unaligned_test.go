package engine_test

import (
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tidemark-io/tidemark/engine"
	"github.com/tidemark-io/tidemark/engine/exchange"
	"github.com/tidemark-io/tidemark/format"
	"github.com/tidemark-io/tidemark/reader"
	"github.com/tidemark-io/tidemark/store"
	"github.com/tidemark-io/tidemark/store/mem"
)

// spin costs about as much as an expensive function, so that what comes before
// it is backpressured.
func spin(rounds int) func(numbered) numbered {
	return func(r numbered) numbered {
		x := uint64(r.Seq) | 1
		for range rounds {
			x ^= x << 13
			x ^= x >> 7
			x ^= x << 17
		}
		if x == 0 {
			panic("xorshift reached 0")
		}
		return r
	}
}

// backpressured is source → count per key → slow map → sink, with in-flight data
// on a keyed and on a rebalanced connection. Records of one split and key keep
// their order up to the count.
func backpressured(src engine.Source[numbered], sink engine.Sink[counted], rounds int) *engine.Graph {
	g := engine.NewGraph("backpressured")
	s := engine.From(g, "numbers", src, engine.BoundedDisorder(seqTime, 0))
	byKey := engine.KeyBy(s, func(r numbered) int64 { return r.Key })
	counts := engine.Apply(byKey, "count", newCounter).Rebalance()
	engine.Map(counts, func(c counted) counted {
		spin(rounds)(numbered{Seq: c.Seq})
		return c
	}).To("out", sink)
	return g
}

// smallBuffers make a little data fill the channels.
func smallBuffers() exchange.Config {
	c := exchange.DefaultConfig()
	c.BufferSize = 512
	return c
}

// errEnough ends a job that has taken enough checkpoints.
var errEnough = errors.New("enough checkpoints")

// untilCheckpoints runs a job and cancels it when n checkpoints are complete. It
// reports whether the job ended by itself before.
func untilCheckpoints(t *testing.T, g *engine.Graph, cfg engine.Config, n int) bool {
	t.Helper()
	enough := make(chan struct{}, 1)
	done := 0
	cfg.Observer = engine.ObserverFunc(func(e engine.Event) {
		if _, ok := e.(engine.CheckpointCompleted); ok {
			if done++; done == n {
				enough <- struct{}{}
			}
		}
	})
	job, err := engine.Start(t.Context(), g, cfg)
	if err != nil {
		t.Fatal(err)
	}
	select {
	case <-enough:
		job.Cancel(errEnough)
	case <-job.Done():
	}
	err = job.Wait()
	if err != nil && !errors.Is(err, errEnough) {
		t.Fatal(err)
	}
	return err == nil
}

// slower calls run with a job's rounds of work for each record, more and more
// until run succeeds: how much work makes backpressure depends on how quick the
// checkpoints are meanwhile, on a loaded machine or under the race detector.
func slower(t *testing.T, run func(rounds int) bool) {
	t.Helper()
	for rounds := 20_000; !run(rounds); rounds *= 3 {
		if rounds > 5_000_000 {
			t.Fatal("the job ended before it could be interrupted, or nothing was in flight, however slow it was")
		}
	}
}

// newestInFlight is what the newest checkpoint of a root has in flight; nothing if
// there is none.
func newestInFlight(t *testing.T, st store.Store) format.Summary {
	t.Helper()
	if newestPath(t, st) == "" {
		return format.Summary{}
	}
	return openNewest(t, st).Summary()
}

// openNewest opens the newest checkpoint of a root until the test ends.
func openNewest(t *testing.T, st store.Store) *reader.Checkpoint {
	t.Helper()
	ck, err := reader.Open(t.Context(), st, newestPath(t, st))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ck.Close() })
	return ck
}

// newestPath is where the newest checkpoint of a root lies, "" if it has none.
func newestPath(t *testing.T, st store.Store) string {
	t.Helper()
	dirs, err := reader.Dirs(t.Context(), st, "")
	if err != nil {
		t.Fatal(err)
	}
	for i := len(dirs) - 1; i >= 0; i-- {
		if dirs[i].Manifest {
			return dirs[i].Path
		}
	}
	return ""
}

// TestUnalignedIsExact runs jobs under backpressure, cancels them right after a
// checkpoint, several times, each time at another parallelism, and wants every
// record once, in order by key, whatever was in flight.
func TestUnalignedIsExact(t *testing.T) {
	modes := map[string]func(*engine.CheckpointConfig){
		"unaligned": func(c *engine.CheckpointConfig) { c.Unaligned = true },
		"timed out": func(c *engine.CheckpointConfig) { c.Unaligned, c.AlignedTimeout = true, time.Millisecond },
		"aligned":   func(*engine.CheckpointConfig) {},
	}
	for name, mode := range modes {
		for i, chain := range [][]int{{1, 1, 1}, {2, 3, 1}, {3, 2, 4}, {1, 4, 2}, {1, 1, 1}, {2, 3, 1}, {3, 2, 4}, {1, 4, 2}} {
			x := exchange.Local
			if i >= 4 {
				x = exchange.Credit
			}
			t.Run(fmt.Sprintf("%s %s %v", x, name, chain), func(t *testing.T) {
				const splits, n = 4, 3000
				st, out := mem.New(), newLedger[counted]()
				var inFlight uint64
				for i, p := range append(chain, chain[0]) {
					cfg := engine.Config{Parallelism: p, Exchange: smallBuffers()}
					cfg.Exchange.Exchange = x
					cfg.Checkpoints.Store = st
					cfg.Checkpoints.Interval = 2 * time.Millisecond
					mode(&cfg.Checkpoints)
					cfg.Restore.From = "latest"
					limit := 3
					if i == len(chain) {
						limit = -1
					}
					if untilCheckpoints(t, backpressured(numbers(splits, n, all), out, 2000), cfg, limit) {
						break
					}
					inFlight += newestInFlight(t, st).InFlightRecords
				}
				checkCounted(t, out.records(), splits, n)
				t.Logf("RESULT TestUnalignedIsExact mode=%q chain=%v in-flight=%d", name, chain, inFlight)
			})
		}
	}
}

// TestWithoutInFlight: the in-flight data of one named checkpoint is left out.
// Exactly its records are lost, none comes twice, and another id changes
// nothing.
func TestWithoutInFlight(t *testing.T) {
	const splits, n = 4, 3000
	for _, named := range []bool{true, false} {
		t.Run(fmt.Sprintf("named=%v", named), func(t *testing.T) {
			var out *ledger[counted]
			var kept format.Summary
			cfg := engine.Config{Parallelism: 2, Exchange: smallBuffers()}
			slower(t, func(rounds int) bool {
				st := mem.New()
				out = newLedger[counted]()
				cfg.Checkpoints = engine.CheckpointConfig{Store: st, Interval: 2 * time.Millisecond, Unaligned: true}
				if untilCheckpoints(t, backpressured(numbers(splits, n, all), out, rounds), cfg, 6) {
					return false
				}
				kept = newestInFlight(t, st)
				return kept.InFlightRecords > 0
			})
			cfg.Parallelism, cfg.Restore.From = 3, "latest"
			cfg.Restore.WithoutInFlight = kept.ID
			lost := kept.InFlightRecords
			if !named {
				cfg.Restore.WithoutInFlight += 100
				lost = 0
			}
			var dropped uint64
			cfg.Observer = engine.ObserverFunc(func(e engine.Event) {
				if d, ok := e.(engine.InFlightDropped); ok {
					dropped += d.Records
				}
			})
			if err := engine.Run(t.Context(), backpressured(numbers(splits, n, all), out, 0), cfg); err != nil {
				t.Fatal(err)
			}
			seen := map[[2]int64]bool{}
			for _, r := range out.records() {
				if at := [2]int64{r.Split, r.Seq}; seen[at] {
					t.Fatalf("record %d of split %d came twice", r.Seq, r.Split)
				} else {
					seen[at] = true
				}
			}
			if got := uint64(splits*n - len(seen)); got != lost || dropped != lost {
				t.Errorf("%d records are lost and %d reported, want %d", got, dropped, lost)
			}
		})
	}
}

// TestCrashesBehindAnotherRoot restores an unaligned checkpoint of another root,
// where ids are higher, and cancels the job time and again while recovered data
// is processed: what came first is still first (R6).
func TestCrashesBehindAnotherRoot(t *testing.T) {
	const splits, n = 4, 2000
	elsewhere, st, out := mem.New(), mem.New(), newLedger[counted]()
	cfg := engine.Config{Parallelism: 2, Exchange: smallBuffers()}
	cfg.Checkpoints = engine.CheckpointConfig{Store: elsewhere, Interval: time.Millisecond, Unaligned: true}
	graph := func(rounds int) *engine.Graph {
		g := engine.NewGraph("slow keys")
		s := engine.From(g, "numbers", numbers(splits, n, all), engine.BoundedDisorder(seqTime, 0))
		counts := engine.Apply(engine.KeyBy(s, func(r numbered) int64 { return r.Key }), "count", newCounter)
		engine.Map(counts, func(c counted) counted {
			spin(rounds)(numbered{Seq: c.Seq})
			return c
		}).To("out", out)
		return g
	}
	crash := func(checkpoints int) {
		if untilCheckpoints(t, graph(100_000), cfg, checkpoints) {
			t.Fatal("the job ended before it could be interrupted")
		}
	}
	crash(6)
	from := newestInFlight(t, elsewhere)
	cfg.Checkpoints.Store = st
	cfg.Restore = engine.RestoreConfig{From: from.Path, External: elsewhere}
	crash(1)
	cfg.Restore = engine.RestoreConfig{From: "latest"}
	for range 3 {
		crash(1)
	}
	newest := newestInFlight(t, st)
	if newest.ID >= from.ID {
		t.Fatalf("checkpoint %d restored, now %d: the ids say nothing", from.ID, newest.ID)
	}
	if err := engine.Run(t.Context(), graph(0), cfg); err != nil {
		t.Fatal(err)
	}
	checkCounted(t, out.records(), splits, n)
	t.Logf("RESULT TestCrashesBehindAnotherRoot in-flight=%d", newest.InFlightRecords)
}

// TestWithoutInFlightOfItsOwn: the id names a checkpoint of an earlier run. If a
// run reaches the same id, an automatic restart from it loses nothing.
func TestWithoutInFlightOfItsOwn(t *testing.T) {
	const splits, n = 4, 3000
	st, out := mem.New(), newLedger[counted]()
	var fail atomic.Bool
	g := engine.NewGraph("backpressured")
	s := engine.From(g, "numbers", engine.Source[numbered](numbers(splits, n, all)), engine.BoundedDisorder(seqTime, 0))
	byKey := engine.KeyBy(s, func(r numbered) int64 { return r.Key })
	counts := engine.Apply(byKey, "count", newCounter).Rebalance()
	engine.Map(counts, func(c counted) counted {
		if fail.CompareAndSwap(true, false) {
			panic("planned")
		}
		spin(2000)(numbered{Seq: c.Seq})
		return c
	}).To("out", out)
	cfg := engine.Config{Parallelism: 2, Exchange: smallBuffers(), Restart: engine.RestartConfig{Attempts: 1, Delay: time.Millisecond}}
	cfg.Checkpoints = engine.CheckpointConfig{Store: st, Unaligned: true}
	cfg.Restore.WithoutInFlight = 1
	job := start(t, g, cfg)
	if got := take(t, job); got.ID != 1 {
		t.Fatalf("the checkpoint has id %d", got.ID)
	}
	fail.Store(true)
	if err := job.Wait(); err != nil {
		t.Fatal(err)
	}
	if fail.Load() {
		t.Fatal("the failure did not happen")
	}
	checkCounted(t, out.records(), splits, n)
}
