package engine_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tidemark-io/tidemark/engine"
	"github.com/tidemark-io/tidemark/engine/codec"
	"github.com/tidemark-io/tidemark/engine/connector/collect"
	"github.com/tidemark-io/tidemark/engine/connector/slice"
	"github.com/tidemark-io/tidemark/store"
	"github.com/tidemark-io/tidemark/store/mem"
)

// step is one record of what a resumable function makes of a seed. At counts per
// seed, N per key.
type step struct{ Seed, At, N int64 }

// unroller makes per steps in each call, until there are total. With a key it
// counts them in keyed state, too.
type unroller struct {
	per, total int64
	calls      *atomic.Int64
	failAt     int64 // call in which it fails, if it has not yet
	alone      bool  // see unrollJob
	rounds     int   // that a call takes
	late       bool  // it fails behind the steps of the call
	n          engine.Value[int64]
}

var errPlanned = errors.New("planned")

func (u *unroller) Open(b *engine.Binder) error { return u.n.Bind(b, "n") }

func (u *unroller) next(seed, at int64, emit func(step)) (int64, bool, error) {
	spin(u.rounds)(numbered{Seq: at})
	fails := u.failAt > 0 && u.calls.Add(1) == u.failAt
	if fails && !u.late {
		return 0, false, errPlanned
	}
	for range max(min(u.per, u.total-at), 0) {
		emit(step{Seed: seed, At: at})
		at++
	}
	if fails {
		return 0, false, errPlanned
	}
	return at, at >= u.total, nil
}

func (u *unroller) Process(_ *engine.Context[int64], r numbered, at int64, out *engine.Output[step]) (int64, bool, error) {
	return u.next(r.Seq, at, func(s step) {
		s.N = u.n.Get() + 1
		u.n.Set(s.N)
		out.Emit(s)
	})
}

// unrollJob is seeds → resumable function → sink, with or without keys.
func unrollJob(seeds int64, keyed bool, u *unroller, out engine.Sink[step]) *engine.Graph {
	g := engine.NewGraph("unroll")
	src, w := numbers(1, seeds, all), engine.BoundedDisorder(seqTime, 0)
	if u.alone { // nothing at all follows the first seed
		src, w = numbers(1, seeds+1, seeds), engine.Watermarks[numbered]{}
	}
	s := engine.From(g, "numbers", engine.Source[numbered](src), w)
	if keyed {
		byKey := engine.KeyBy(s, func(r numbered) int64 { return r.Seq })
		engine.ApplyResumable(byKey, "unroll", func() engine.ResumableProcess[int64, numbered, int64, step] {
			return &unroller{per: u.per, total: u.total, calls: u.calls, failAt: u.failAt, late: u.late, rounds: u.rounds}
		}).To("out", out)
		return g
	}
	engine.FlatMapResumable(s.Rebalance(), "unroll", func(r numbered, at int64, out *engine.Output[step]) (int64, bool, error) {
		return u.next(r.Seq, at, func(s step) { out.Emit(s) })
	}).To("out", out)
	return g
}

// checkSteps wants of each seed the steps 0, 1, 2, … in this order, each once;
// all of them if total is not negative.
func checkSteps(t *testing.T, got []step, seeds, total int64, keyed bool) {
	t.Helper()
	next := map[int64]int64{}
	for _, s := range got {
		if s.At != next[s.Seed] || keyed && s.N != s.At+1 {
			t.Fatalf("seed %d: step %d (number %d) where %d belongs", s.Seed, s.At, s.N, next[s.Seed])
		}
		next[s.Seed]++
	}
	for seed := range seeds {
		if total >= 0 && next[seed] != total {
			t.Fatalf("seed %d: %d steps, want %d", seed, next[seed], total)
		}
	}
}

// TestResumableFailsAtEachCall fails once in each call of a resumable function, in
// turn, with checkpoints as quick as they come, and wants the exact sequence.
func TestResumableFailsAtEachCall(t *testing.T) {
	const seeds, per, total = 5, 7, 40
	calls := seeds * ((total + per - 1) / per)
	runs := 0
	for _, keyed := range []bool{false, true} {
		for _, unaligned := range []bool{false, true} {
			for at := 1; at <= calls; at++ {
				var made atomic.Int64
				out := newLedger[step]()
				u := &unroller{per: per, total: total, calls: &made, failAt: int64(at), late: at%2 == 0}
				cfg := engine.Config{Parallelism: 1 + at%3, Exchange: smallBuffers(), Restart: engine.RestartConfig{Attempts: 1}}
				cfg.Checkpoints = engine.CheckpointConfig{Store: mem.New(), Interval: 20 * time.Microsecond, Unaligned: unaligned}
				run(t, unrollJob(seeds, keyed, u, out), cfg)
				checkSteps(t, out.records(), seeds, total, keyed)
				if made.Load() <= int64(at) {
					t.Fatalf("it did not fail in call %d", at)
				}
				runs++
			}
		}
	}
	t.Logf("RESULT TestResumableFailsAtEachCall runs=%d", runs)
}

// TestResumableRescaled crashes a job right after each of several checkpoints, in
// which records of all subtasks are unfinished, and goes on at another
// parallelism.
func TestResumableRescaled(t *testing.T) {
	const seeds, per, least = 12, 3, 600
	for _, keyed := range []bool{false, true} {
		for _, chain := range [][]int{{3, 1, 4}, {1, 4, 2}, {4, 4, 2}} {
			st, out := mem.New(), newLedger[step]()
			unfinished := 0
			for i, p := range append(chain, chain[0]) {
				cfg := engine.Config{Parallelism: p, Exchange: smallBuffers(), Restore: engine.RestoreConfig{From: "latest"}}
				cfg.Checkpoints = engine.CheckpointConfig{Store: st, Unaligned: true}
				limit, total := 3, int64(1)<<40
				if i == len(chain) {
					limit, total = -1, least // what has gone further ends at once
				}
				cfg.Checkpoints.Interval = 100 * time.Microsecond
				if untilCheckpoints(t, unrollJob(seeds, keyed, &unroller{per: per, total: total, rounds: 10_000}, out), cfg, limit) {
					break
				}
				unfinished += unfinishedIn(t, st)
			}
			got := sorted(out.records())
			checkSteps(t, got, seeds, -1, keyed)
			steps := map[int64]int{}
			for _, s := range got {
				steps[s.Seed]++
			}
			for seed := range int64(seeds) {
				if steps[seed] < least {
					t.Errorf("seed %d has %d steps, want %d at least", seed, steps[seed], least)
				}
			}
			if unfinished == 0 {
				t.Errorf("keyed=%v, %v: no record was unfinished in any checkpoint", keyed, chain)
			}
			t.Logf("RESULT TestResumableRescaled keyed=%v chain=%v unfinished=%d", keyed, chain, unfinished)
		}
	}
}

// sorted brings the steps of different subtasks in order: after a change of
// parallelism a checkpoint publishes them by subtask.
func sorted(list []step) []step {
	slices.SortFunc(list, func(a, b step) int { return cmp.Or(cmp.Compare(a.Seed, b.Seed), cmp.Compare(a.At, b.At)) })
	return list
}

// TestResumableWithoutEnd: behind a record whose work never ends checkpoints
// complete, and stopping the job works; the next run goes on exactly there.
func TestResumableWithoutEnd(t *testing.T) {
	for name, mode := range map[string]engine.CheckpointConfig{
		"aligned": {}, "unaligned": {Unaligned: true}, "timed out": {Unaligned: true, AlignedTimeout: time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			seeds := int64(3)
			if !mode.Unaligned {
				seeds = 1 // an aligned barrier cannot pass the seeds behind
			}
			st, out := mem.New(), newLedger[step]()
			last := 0
			for range 3 {
				cfg := engine.Config{Exchange: smallBuffers(), Restore: engine.RestoreConfig{From: "latest"}}
				cfg.Checkpoints = mode
				cfg.Checkpoints.Store = st
				job := start(t, unrollJob(seeds, false, &unroller{per: 2, total: 20_000_000, rounds: 10_000, alone: !mode.Unaligned}, out), cfg)
				for range 3 {
					take(t, job)
				}
				job.Stop()
				if err := job.Wait(); err != nil {
					t.Fatal(err)
				}
				got := out.records()
				checkSteps(t, got, seeds, -1, false)
				if len(got) <= last {
					t.Errorf("%d steps after %d in the run before", len(got), last)
				}
				last = len(got)
			}
			if got := unfinishedIn(t, st); got != 1 {
				t.Errorf("%d unfinished records in the last checkpoint, want 1", got)
			}
			t.Logf("RESULT TestResumableWithoutEnd mode=%q steps=%d", name, last)
		})
	}
}

// A cursor without a codec is a mistake of the graph.
func TestResumableNeedsCodecs(t *testing.T) {
	g := engine.NewGraph("no codec")
	s := engine.From(g, "numbers", engine.Source[numbered](numbers(1, 1, all)), engine.Watermarks[numbered]{})
	engine.FlatMapResumable(s, "unroll", func(numbered, func(), *engine.Output[step]) (func(), bool, error) {
		return nil, true, nil
	}).To("out", newLedger[step]())
	if err := g.Err(); err == nil || !strings.Contains(err.Error(), `operator "unroll": its cursor needs a codec`) {
		t.Errorf("got %v", err)
	}
}

// A function that counts without an end, one bounded piece in each call, is
// checkpointed between any two calls.
func ExampleFlatMapResumable() {
	g, out := engine.NewGraph("powers"), collect.New[string]()
	bases := engine.From(g, "bases", slice.New([]int64{2, 3}, 1), engine.Watermarks[int64]{})
	powers := engine.FlatMapResumable(bases, "powers", func(base, done int64, out *engine.Output[string]) (int64, bool, error) {
		power := base
		for range done {
			power *= base
		}
		out.Emit(fmt.Sprintf("%d^%d = %d", base, done+1, power))
		return done + 1, done+1 == 3, nil
	})
	powers.To("out", out)
	if err := engine.Run(context.Background(), g, engine.Config{}); err != nil {
		fmt.Println(err)
	}
	fmt.Println(strings.Join(out.Records(), "\n"))
	// Output:
	// 2^1 = 2
	// 2^2 = 4
	// 2^3 = 8
	// 3^1 = 3
	// 3^2 = 9
	// 3^3 = 27
}

// unfinishedIn is how many records are unfinished in the newest checkpoint.
func unfinishedIn(t *testing.T, st store.Store) (n int) {
	t.Helper()
	ck := openNewest(t, st)
	states, err := ck.States()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range states {
		if s.Name == "unfinished" {
			n += int(s.Entries)
		}
	}
	return n
}

// TestResumableOpaqueCodec: a codec of the user's need not describe its bytes;
// then the checkpoint does not describe the unfinished records either, and has
// them all the same.
func TestResumableOpaqueCodec(t *testing.T) {
	const seeds, per, total = 6, 3, 60
	numberedCodec, err := codec.Of[numbered]()
	if err != nil {
		t.Fatal(err)
	}
	opaque := codec.Func(numberedCodec.Append, numberedCodec.Decode, nil)
	for _, keyed := range []bool{false, true} {
		st, out := mem.New(), newLedger[step]()
		build := func(total int64, rounds int) *engine.Graph {
			u := &unroller{per: per, total: total, rounds: rounds}
			g := engine.NewGraph("unroll")
			s := engine.From(g, "numbers", engine.Source[numbered](numbers(1, seeds, all)), engine.BoundedDisorder(seqTime, 0)).WithCodec(opaque)
			if keyed {
				engine.ApplyResumable(engine.KeyBy(s, func(r numbered) int64 { return r.Seq }), "unroll",
					func() engine.ResumableProcess[int64, numbered, int64, step] { return u }).To("out", out)
				return g
			}
			engine.FlatMapResumable(s.Rebalance(), "unroll", func(r numbered, at int64, out *engine.Output[step]) (int64, bool, error) {
				return u.next(r.Seq, at, func(s step) { out.Emit(s) })
			}).To("out", out)
			return g
		}
		cfg := engine.Config{Restore: engine.RestoreConfig{From: "latest"}}
		cfg.Checkpoints = engine.CheckpointConfig{Store: st, Unaligned: true, Interval: 100 * time.Microsecond}
		untilCheckpoints(t, build(1<<40, 10_000), cfg, 3)
		if unfinishedIn(t, st) == 0 {
			t.Errorf("keyed=%v: no record was unfinished", keyed)
		}
		run(t, build(total, 0), cfg)
		checkSteps(t, sorted(out.records()), seeds, -1, keyed)
		if n := len(out.records()); n < seeds*total {
			t.Errorf("keyed=%v: %d steps", keyed, n)
		}
	}
}
