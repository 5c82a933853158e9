package engine_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/tidemark-io/tidemark/engine"
	"github.com/tidemark-io/tidemark/store"
	"github.com/tidemark-io/tidemark/store/mem"
)

// often takes checkpoints one after the other and lets the source go on by step
// records of each split with each.
func often(st store.Store, src interface{ raise(int64) }, step int64) (engine.CheckpointConfig, *recorder) {
	rec := &recorder{}
	rec.on = func(e engine.Event) {
		if _, ok := e.(engine.CheckpointCompleted); ok {
			src.raise(step)
		}
	}
	return engine.CheckpointConfig{Store: st, Interval: time.Millisecond}, rec
}

func TestKeyedCountsWithFrequentCheckpoints(t *testing.T) {
	for _, p := range upTo(4) {
		t.Run(fmt.Sprintf("parallelism=%d", p), func(t *testing.T) {
			t.Parallel()
			const splits, n = 4, 4000
			src := numbers(splits, n, 500)
			out := newLedger[counted]()
			cfg := engine.Config{Parallelism: p}
			var rec *recorder
			cfg.Checkpoints, rec = often(mem.New(), src, 500)
			cfg.Observer = rec
			run(t, countJob(src, out, nil), cfg)
			checkCounted(t, out.records(), splits, n)
			if done := len(eventsOf[engine.CheckpointCompleted](rec)); done < n/500 {
				t.Errorf("%d checkpoints", done)
			}
		})
	}
}

// windowSum is the result of one window.
type windowSum struct {
	Key, Start, N int64
}

// windowJob counts the records per key and 100 ms of event time.
func windowJob(src engine.Source[numbered], sink engine.Sink[windowSum], w engine.Watermarks[numbered]) *engine.Graph {
	g := engine.NewGraph("windows")
	byKey := engine.KeyBy(engine.From(g, "numbers", src, w), func(r numbered) int64 { return r.Key })
	engine.Tumbling(byKey, "windows", 100*time.Millisecond, engine.Aggregate[int64, numbered, int64, windowSum]{
		Add:    func(acc int64, _ numbered) int64 { return acc + 1 },
		Result: func(k int64, w engine.Window, acc int64) windowSum { return windowSum{k, w.Start, acc} },
	}).To("out", sink)
	return g
}

// checkWindows compares with a loop over the records.
func checkWindows(t *testing.T, got []windowSum, splits int, n uint64) {
	t.Helper()
	want := map[[2]int64]int64{}
	for s := range splits {
		for i := range n {
			want[[2]int64{keyOf(s, i), int64(i) / 100 * 100}]++
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d windows, want %d", len(got), len(want))
	}
	for _, w := range got {
		at := [2]int64{w.Key, w.Start}
		if want[at] != w.N {
			t.Fatalf("window %v has %d records, want %d", at, w.N, want[at])
		}
		delete(want, at)
	}
}

// ordered is a bound on disorder under which nothing is late although splits
// are read at different speeds: each split is in order by itself.
func ordered() engine.Watermarks[numbered] {
	return engine.BoundedDisorder(seqTime, 0).EveryRecords(16)
}

func TestWindowsWithFrequentCheckpoints(t *testing.T) {
	for _, p := range upTo(4) {
		t.Run(fmt.Sprintf("parallelism=%d", p), func(t *testing.T) {
			t.Parallel()
			const splits, n = 4, 4000
			src := numbers(splits, n, 500)
			out := newLedger[windowSum]()
			cfg := engine.Config{Parallelism: p}
			var rec *recorder
			cfg.Checkpoints, rec = often(mem.New(), src, 500)
			cfg.Observer = rec
			run(t, windowJob(src, out, ordered()), cfg)
			checkWindows(t, out.records(), splits, n)
			if late := eventsOf[engine.LateRecords](rec); len(late) > 0 {
				t.Errorf("late records: %v", late)
			}
		})
	}
}

func TestWithoutCheckpoints(t *testing.T) {
	out := &plain[counted]{}
	run(t, countJob(numbers(3, 3000, all), out, nil), engine.Config{Parallelism: 3})
	checkCounted(t, out.got, 3, 3000)
}

// Restoring with one parallelism what another one wrote gives the same result,
// both with keyed state and with windows.
func TestRestoreAtAnotherParallelism(t *testing.T) {
	const splits, n = 4, 2000
	for _, p := range upTo(5) {
		for _, q := range upTo(5) {
			t.Run(fmt.Sprintf("%d-to-%d", p, q), func(t *testing.T) {
				t.Parallel()
				st := mem.New()
				counts, windows := newLedger[counted](), newLedger[windowSum]()
				for i, parallelism := range []int{p, q, p} {
					src := numbers(splits, n, int64(300+600*i))
					rec := &recorder{}
					cfg := engine.Config{Parallelism: parallelism, KeyGroups: 16, Observer: rec}
					cfg.Checkpoints.Store = st
					cfg.Restore.From = "latest"
					job := start(t, twoJobs(src, counts, windows), cfg)
					// A checkpoint in the middle, then the source is held
					// at its limit until the stop.
					if _, err := job.Checkpoint(t.Context()); err != nil {
						t.Fatal(err, job.Wait())
					}
					if i < 2 {
						job.Stop()
					} else {
						src.free()
					}
					if err := job.Wait(); err != nil {
						t.Fatal(err)
					}
				}
				checkCounted(t, counts.records(), splits, n)
				checkWindows(t, windows.records(), splits, n)
			})
		}
	}
}

// twoJobs counts per key and per window from one source.
func twoJobs(src engine.Source[numbered], counts engine.Sink[counted], windows engine.Sink[windowSum]) *engine.Graph {
	g := engine.NewGraph("two")
	byKey := engine.KeyBy(engine.From(g, "numbers", src, ordered()), func(r numbered) int64 { return r.Key })
	engine.Apply(byKey, "count", newCounter).To("counts", counts)
	engine.Tumbling(byKey, "windows", 100*time.Millisecond, engine.Aggregate[int64, numbered, int64, windowSum]{
		Add:    func(acc int64, _ numbered) int64 { return acc + 1 },
		Result: func(k int64, w engine.Window, acc int64) windowSum { return windowSum{k, w.Start, acc} },
	}).To("sums", windows)
	return g
}

// A finished job that is restored emits nothing (R10).
func TestFinishedJobEmitsNothingAgain(t *testing.T) {
	for _, p := range []int{2, 3} {
		st := mem.New()
		counts, windows := newLedger[counted](), newLedger[windowSum]()
		for _, parallelism := range []int{2, p} {
			cfg := engine.Config{Parallelism: parallelism, Checkpoints: engine.CheckpointConfig{Store: st}}
			cfg.Restore.From = "latest"
			run(t, twoJobs(numbers(3, 1000, all), counts, windows), cfg)
		}
		checkCounted(t, counts.records(), 3, 1000)
		checkWindows(t, windows.records(), 3, 1000)
	}
}

// plain keeps what it is given, for runs without failures.
type plain[T any] struct {
	mu  sync.Mutex
	got []T
}

func (s *plain[T]) Open(context.Context, engine.SinkContext) (engine.SinkWriter[T], error) {
	return s, nil
}

func (s *plain[T]) Write(r T, _ int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.got = append(s.got, r)
	return nil
}

func (s *plain[T]) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.got)
}

func (s *plain[T]) Flush() error { return nil }
func (s *plain[T]) Close() error { return nil }
