package engine_test

import (
	"cmp"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tidemark-io/tidemark/engine"
	"github.com/tidemark-io/tidemark/format"
	"github.com/tidemark-io/tidemark/reader"
	"github.com/tidemark-io/tidemark/store"
	"github.com/tidemark-io/tidemark/store/mem"
)

// threeRuns are the parallelisms of three runs of a job, each of which goes on
// where the last one stopped.
var threeRuns = [][3]int{{1, 1, 1}, {2, 2, 2}, {3, 3, 3}, {2, 3, 1}, {3, 5, 2}, {1, 4, 3}}

// inThreeRuns runs a job three times on one root. Each of the first two runs
// takes a checkpoint in the middle and stops with one; before, the sources are
// held at a limit, so that there is more to come. build makes the graph of a
// run; limit is how far the sources may read, all in the last run.
func inThreeRuns(t *testing.T, unaligned bool, parallelism [3]int, step int64, build func(limit int64) *engine.Graph) store.Store {
	t.Helper()
	st := mem.New()
	for i, p := range parallelism {
		limit := step * int64(i+1)
		if i == 2 {
			limit = all
		}
		cfg := engine.Config{Parallelism: p, KeyGroups: 16, Checkpoints: engine.CheckpointConfig{Store: st, Unaligned: unaligned}}
		cfg.Restore.From = "latest"
		job := start(t, build(limit), cfg)
		if i < 2 {
			if _, err := job.Checkpoint(t.Context()); err != nil {
				t.Fatal(err, job.Wait())
			}
			job.Stop()
		}
		if err := job.Wait(); err != nil {
			t.Fatal(err)
		}
	}
	return st
}

// eachThreeRuns is inThreeRuns for all parallelisms and both alignments, each a test of its own.
func eachThreeRuns(t *testing.T, f func(t *testing.T, unaligned bool, parallelism [3]int)) {
	list := threeRuns
	if testing.Short() {
		list = [][3]int{{2, 2, 2}, {2, 3, 1}, {1, 4, 3}}
	}
	for _, p := range list {
		for _, unaligned := range []bool{false, true} {
			mode := map[bool]string{false: "aligned", true: "unaligned"}[unaligned]
			t.Run(fmt.Sprintf("%s/%d-%d-%d", mode, p[0], p[1], p[2]), func(t *testing.T) {
				t.Parallel()
				f(t, unaligned, p)
			})
		}
	}
}

// fromNumbers is a source of numbered records, all of the given splits.
func fromNumbers(g *engine.Graph, uid string, splits int, n, limit int64) engine.Stream[numbered] {
	return engine.From(g, uid, numbers(splits, n, limit), ordered())
}

// checkSame compares two lists as multisets.
func checkSame[T any](t *testing.T, got, want []T, compare func(a, b T) int) {
	t.Helper()
	got, want = slices.Clone(got), slices.Clone(want)
	slices.SortFunc(got, compare)
	slices.SortFunc(want, compare)
	if len(got) != len(want) {
		t.Errorf("%d records, want %d", len(got), len(want))
	}
	for i := range min(len(got), len(want)) {
		if compare(got[i], want[i]) != 0 {
			t.Fatalf("record %d in order is %v, want %v", i, got[i], want[i])
		}
	}
}

// edges are the edges of a root's newest checkpoint.
func edges(t *testing.T, st store.Store) map[string]format.Edge {
	t.Helper()
	list := committed(t, st)
	ck, err := reader.Open(t.Context(), st, list[len(list)-1])
	if err != nil {
		t.Fatal(err)
	}
	defer ck.Close()
	found, err := ck.Edges()
	if err != nil {
		t.Fatal(err)
	}
	byID := map[string]format.Edge{}
	for _, e := range found {
		byID[e.ID] = e
	}
	return byID
}

// A union has the records of all its streams, and one of them twice if it is
// given twice; event time is the least of all, so that no window loses one.
func TestUnion(t *testing.T) {
	const n = 1500
	eachThreeRuns(t, func(t *testing.T, unaligned bool, p [3]int) {
		counts, windows := newLedger[counted](), newLedger[windowSum]()
		inThreeRuns(t, unaligned, p, 400, func(limit int64) *engine.Graph {
			g := engine.NewGraph("union")
			a, b := fromNumbers(g, "a", 2, n, limit), fromNumbers(g, "b", 3, n, limit)
			later := engine.Map(b, func(r numbered) numbered { r.Split += 2; return r })
			byKey := engine.KeyBy(engine.Union(a, later.Rebalance()), func(r numbered) int64 { return r.Key })
			engine.Apply(byKey, "count", newCounter).To("counts", counts)
			twice := engine.KeyBy(engine.Union(a, a), func(r numbered) int64 { return r.Key })
			engine.Tumbling(twice, "windows", 100*time.Millisecond, countPerWindow()).To("sums", windows)
			return g
		})
		var got, want []numbered
		for _, r := range counts.records() {
			got = append(got, numbered{r.Split, r.Seq, r.Key})
		}
		for s := range int64(5) {
			for i := range int64(n) {
				split := s
				if s >= 2 {
					split = s - 2
				}
				want = append(want, numbered{s, i, keyOf(int(split), uint64(i))})
			}
		}
		checkSame(t, got, want, compareNumbered)
		once := windows.records()
		for i := range once {
			if once[i].N%2 != 0 {
				t.Fatalf("%v: an odd number, although each record came twice", once[i])
			}
			once[i].N /= 2
		}
		checkWindows(t, once, 2, n)
	})
}

func compareNumbered(a, b numbered) int {
	return cmp.Or(cmp.Compare(a.Split, b.Split), cmp.Compare(a.Seq, b.Seq), cmp.Compare(a.Key, b.Key))
}

// countPerWindow counts the records of a key and window.
func countPerWindow() engine.Aggregate[int64, numbered, int64, windowSum] {
	return engine.Aggregate[int64, numbered, int64, windowSum]{
		Add:    func(acc int64, _ numbered) int64 { return acc + 1 },
		Result: func(k int64, w engine.Window, acc int64) windowSum { return windowSum{k, w.Start, acc} },
	}
}

// Failures between checkpoints lose and double nothing, whatever the partitioners
// between the operators.
func TestTopologyThroughFailures(t *testing.T) {
	const splits, n = 3, 3000
	for _, unaligned := range []bool{false, true} {
		t.Run(fmt.Sprintf("unaligned=%v", unaligned), func(t *testing.T) {
			t.Parallel()
			var calls atomic.Int64
			src, out := numbers(splits, n, 300), newLedger[counted]()
			cfg := engine.Config{Parallelism: 3, Restart: engine.RestartConfig{Attempts: 5}}
			var rec *recorder
			cfg.Checkpoints, rec = often(mem.New(), src, 300)
			cfg.Checkpoints.Unaligned = unaligned
			cfg.Observer = rec
			g := engine.NewGraph("failures")
			s := engine.From(g, "numbers", src, ordered())
			fragile := func(r numbered) numbered {
				if calls.Add(1)%1700 == 0 && calls.Load() < 9000 {
					panic("induced")
				}
				return r
			}
			even := engine.Map(s.Filter(func(r numbered) bool { return r.Seq%2 == 0 }).Shuffle(), fragile)
			odd := engine.Map(s.Filter(func(r numbered) bool { return r.Seq%2 == 1 }).Rescale(), fragile, engine.Parallelism(2))
			byKey := engine.KeyBy(engine.Union(even, odd.Global()), func(r numbered) int64 { return r.Key })
			engine.Apply(byKey, "count", newCounter).To("out", out)
			run(t, g, cfg)
			var got, want []numbered
			for _, r := range out.records() {
				got = append(got, numbered{r.Split, r.Seq, r.Key})
			}
			for s := range int64(splits) {
				for i := range int64(n) {
					want = append(want, numbered{s, i, keyOf(int(s), uint64(i))})
				}
			}
			checkSame(t, got, want, compareNumbered)
			failed := len(eventsOf[engine.TaskFailed](rec))
			if failed == 0 {
				t.Error("nothing failed")
			}
			t.Logf("RESULT TestTopologyThroughFailures unaligned=%v failures=%d checkpoints=%d records=%d", unaligned, failed,
				len(eventsOf[engine.CheckpointCompleted](rec)), len(got))
		})
	}
}
