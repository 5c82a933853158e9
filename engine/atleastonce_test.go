package engine_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tidemark-io/tidemark/engine"
	"github.com/tidemark-io/tidemark/store/mem"
)

// watchedSource counts how often a split was polled.
type watchedSource struct {
	*series[numbered]
	polls atomic.Int64
}

func (s *watchedSource) Open(ctx context.Context, sp engine.Split, position []byte) (engine.SplitReader[numbered], error) {
	r, err := s.series.Open(ctx, sp, position)
	return &watchedReader{SplitReader: r, s: s}, err
}

type watchedReader struct {
	engine.SplitReader[numbered]
	s *watchedSource
}

func (r *watchedReader) Position(dst []byte) []byte {
	r.s.polls.Add(1)
	return r.SplitReader.Position(dst)
}

// tallied returns how often each record came, and the largest count of each key.
func tallied(records []counted) (times map[[2]int64]int, most map[int64]int64) {
	times, most = map[[2]int64]int{}, map[int64]int64{}
	for _, r := range records {
		times[[2]int64{r.Split, r.Seq}]++
		most[r.Key] = max(most[r.Key], r.N)
	}
	return times, most
}

// TestAtLeastOnceLosesNothing runs jobs under backpressure, cancels them right
// after a checkpoint, several times, at changing parallelism: every record has to
// come, and every key to be counted at least as often as it occurs.
func TestAtLeastOnceLosesNothing(t *testing.T) {
	const splits, n = 4, 3000
	again := 0
	for _, chain := range [][]int{{1, 1}, {2, 3}, {3, 2}} {
		st, out := mem.New(), newLedger[counted]()
		for i, p := range append(chain, chain[0]) {
			cfg := engine.Config{Parallelism: p, Exchange: smallBuffers()}
			cfg.Checkpoints = engine.CheckpointConfig{Store: st, Interval: 2 * time.Millisecond, AtLeastOnce: true}
			cfg.Restore.From = "latest"
			limit := 3
			if i == len(chain) {
				limit = -1
			}
			if untilCheckpoints(t, backpressured(numbers(splits, n, all), out, 2000), cfg, limit) {
				break
			}
		}
		times, most := tallied(out.records())
		if len(times) != splits*n {
			t.Errorf("%v: %d different records, want %d", chain, len(times), splits*n)
		}
		perKey := map[int64]int64{}
		for split := range splits {
			for i := range uint64(n) {
				perKey[keyOf(split, i)]++
			}
		}
		for key, want := range perKey {
			if most[key] < want {
				t.Errorf("%v: key %d was counted %d times, want at least %d", chain, key, most[key], want)
			}
			again += int(most[key] - want)
		}
	}
	t.Logf("RESULT TestAtLeastOnceLosesNothing lost=0 again=%d", again)
}

// TestAtLeastOnceBlocksNothing lets the barrier come on one input, while it waits
// behind a slow record on the other: records behind it are processed meanwhile,
// and counted again after a restore.
func TestAtLeastOnceBlocksNothing(t *testing.T) {
	const n, behind = 1000, 500
	st, out := mem.New(), newLedger[counted]()
	fast := &watchedSource{series: numbers(1, n, behind)}
	// Its last record is held back, or the job might end by itself.
	slow := newSeries(1, 10, 9, func(_ int, i uint64) numbered {
		return numbered{Split: 1, Seq: int64(i), Key: keyOf(1, i)}
	})
	var seen, reached atomic.Int64
	stuck := make(chan struct{})
	graph := func() *engine.Graph {
		g := engine.NewGraph("two inputs")
		a := engine.From[numbered](g, "fast", fast, engine.BoundedDisorder(seqTime, 0)).Rebalance()
		b := engine.Map(engine.From(g, "slow", slow, engine.BoundedDisorder(seqTime, 0)).Rebalance(), func(r numbered) numbered {
			reached.Add(1)
			<-stuck
			return r
		})
		both := engine.Map(engine.Union(a, b), func(r numbered) numbered {
			seen.Add(1)
			return r
		})
		engine.Apply(engine.KeyBy(both, func(r numbered) int64 { return r.Key }), "count", newCounter).To("out", out)
		return g
	}
	until := func(ok func() bool) {
		t.Helper()
		for deadline := time.Now().Add(30 * time.Second); !ok(); time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal("nothing goes on")
			}
		}
	}
	cfg := engine.Config{BufferTimeout: time.Millisecond}
	cfg.Checkpoints = engine.CheckpointConfig{Store: st, AtLeastOnce: true}
	var triggered atomic.Int64 // polls until the checkpoint was
	cfg.Observer = engine.ObserverFunc(func(e engine.Event) {
		if _, ok := e.(engine.CheckpointTriggered); ok {
			triggered.CompareAndSwap(0, fast.polls.Load())
		}
	})
	job := start(t, graph(), cfg)
	until(func() bool { return reached.Load() == 1 && seen.Load() >= behind })
	result := make(chan error, 1)
	go func() {
		_, err := job.Checkpoint(t.Context())
		result <- err
	}()
	// The source sends its barrier before it polls again, once it was told to.
	until(func() bool { return triggered.Load() > 0 && fast.polls.Load() >= triggered.Load()+10 })
	fast.raise(n) // all of these come behind the barrier
	until(func() bool { return seen.Load() >= n })
	close(stuck)
	if err := <-result; err != nil {
		t.Fatal(err)
	}
	job.Cancel(errEnough)
	if err := job.Wait(); !errors.Is(err, errEnough) {
		t.Fatal(err)
	}
	slow.raise(1)
	cfg.Restore.From = "latest"
	if err := engine.Run(t.Context(), graph(), cfg); err != nil {
		t.Fatal(err)
	}
	times, most := tallied(out.records())
	var sum int64
	for _, n := range most {
		sum += n
	}
	if len(times) != n+10 || sum != n+10+n-behind {
		t.Errorf("%d different records and a count of %d, want %d and %d", len(times), sum, n+10, n+10+n-behind)
	}
}

// TestAtLeastOnceIsNeverUnaligned: as in Flink the one switches the other off,
// and says so.
func TestAtLeastOnceIsNeverUnaligned(t *testing.T) {
	var log bytes.Buffer
	st, out := mem.New(), newLedger[counted]()
	cfg := engine.Config{Parallelism: 2, Exchange: smallBuffers(), Logger: slog.New(slog.NewTextHandler(&log, nil))}
	cfg.Checkpoints = engine.CheckpointConfig{Store: st, Interval: 2 * time.Millisecond, AtLeastOnce: true, Unaligned: true}
	untilCheckpoints(t, backpressured(numbers(4, 3000, all), out, 20_000), cfg, 3)
	if s := newestInFlight(t, st); s.InFlightRecords != 0 {
		t.Errorf("%d records in flight", s.InFlightRecords)
	}
	if !strings.Contains(log.String(), "unaligned checkpoints are switched off") {
		t.Errorf("the log says %q", log.String())
	}
}
