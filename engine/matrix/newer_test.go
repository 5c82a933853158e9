package matrix_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/tidemark-io/tidemark/engine"
	"github.com/tidemark-io/tidemark/engine/connector/collect"
	"github.com/tidemark-io/tidemark/engine/exchange"
	"github.com/tidemark-io/tidemark/store"
	"github.com/tidemark-io/tidemark/store/mem"
)

// This file has what Flink's tests got since 2.1: connections of several kinds
// between the same operators, other kinds after a restore, large records, and
// input that ends during the recovery.

// slowly lets a word through after a while.
func slowly(word int64) int64 {
	drag(2)
	return same(word)
}

// branch marks a number with the branch that it took, of n.
func branch(n, i int64) func(int64) int64 {
	return func(word int64) int64 { return seal(open(slowly(word))*n + i) }
}

// legs runs a job once for each parallelism, on one root: each but the last one
// is cancelled after a checkpoint, if possible one with records in flight.
func legs(t *testing.T, p *pump, st store.Store, cfg engine.Config, parallelism []int, build func(g *engine.Graph, leg, p int)) {
	t.Helper()
	for i, parallel := range parallelism {
		g := engine.NewGraph("legs")
		build(g, i, parallel)
		cfg := cfg
		cfg.Parallelism, cfg.KeyGroups, cfg.Restore.From = parallel, 128, "latest"
		cfg.Checkpoints.Store, cfg.Checkpoints.Retained = st, 1000
		r := &runner{t: t, pumps: []*pump{p}, trip: &trip{}, cancel: 2, loaded: cfg.Checkpoints.Unaligned}
		if i == len(parallelism)-1 {
			r.cancel, r.until = 0, 2
		}
		if err := r.run(g, cfg); err != nil {
			t.Fatalf("at parallelism %d: %v", parallel, err)
		}
	}
}

// numbersOnce checks that a sink has all numbers of so many branches once.
func numbersOnce(t *testing.T, out *collect.Sink[int64], total int64) tally {
	t.Helper()
	got, _ := opened(out, 64)
	var c tally
	c.count(t, got, total)
	c.check(t)
	return c
}

func tiny() exchange.Config {
	c := network()
	c.BufferSize = 1 << 10
	return c
}

// passing is a keyed function that counts.
type passing struct{ n engine.Value[int64] }

func newPassing() engine.Process[int64, int64, int64] { return &passing{} }

func (p *passing) Open(b *engine.Binder) error { return p.n.Bind(b, "n") }

func (p *passing) Process(_ *engine.Context[int64], word int64, out *engine.Output[int64]) error {
	p.n.Set(p.n.Get() + 1)
	out.Emit(slowly(word))
	return nil
}

// mixed are jobs in which connections that may be unaligned and others meet. Each
// gives every number once per branch.
var mixed = map[string]struct {
	branches int64
	build    func(s stream) stream
}{
	"one source to keyed and forward": {2, func(s stream) stream {
		keyed := engine.Apply(engine.KeyBy(s, mod100), "keyed", newPassing)
		return engine.Union(engine.Map(keyed, branch(2, 0)), engine.Map(s, branch(2, 1)))
	}},
	"rebalance and forward into one": {2, func(s stream) stream {
		return engine.CoMap(s.Rebalance(), engine.Map(s, slowly), branch(2, 0), branch(2, 1))
	}},
	"one source to keyed and rescale": {2, func(s stream) stream {
		keyed := engine.Apply(engine.KeyBy(s, mod100), "keyed", newPassing)
		return engine.Union(engine.Map(keyed, branch(2, 0)), engine.Map(s.Rescale(), branch(2, 1)))
	}},
	"all of them": {4, func(s stream) stream {
		keyed := engine.Apply(engine.KeyBy(s, mod100), "keyed", newPassing)
		both := engine.CoMap(s.Rebalance(), engine.Map(s, slowly), branch(4, 0), branch(4, 1))
		return engine.Union(engine.Map(keyed, branch(4, 2)), engine.Map(s.Rescale(), branch(4, 3)), both)
	}},
}

func TestUnalignedCheckpointRescaleWithMixedExchangesITCase(t *testing.T) {
	rounds := 3
	if long() {
		rounds = 12
	}
	r := rand.New(rand.NewPCG(11, 3))
	for _, name := range []string{"one source to keyed and forward", "rebalance and forward into one", "one source to keyed and rescale", "all of them"} {
		for range rounds {
			chain := []int{1 + r.IntN(10), 1 + r.IntN(10), 1 + r.IntN(10)}
			t.Run(fmt.Sprintf("%s/%v", name, chain), func(t *testing.T) {
				t.Parallel()
				p, out, st := newPump(3, 200), collect.New[int64](), mem.New()
				cfg := engine.Config{DisableChaining: true, Exchange: tiny(), Checkpoints: engine.CheckpointConfig{Unaligned: true}}
				legs(t, p, st, cfg, chain, func(g *engine.Graph, _, _ int) {
					mixed[name].build(engine.From(g, "source", words(p), noTime)).To("out", out)
				})
				c := numbersOnce(t, out, p.total()*mixed[name].branches)
				captured := sum(inFlight(t, st))
				if captured == 0 {
					t.Error("nothing was in flight: the test shows nothing")
				}
				t.Logf("RESULT TestUnalignedCheckpointRescaleWithMixedExchangesITCase job=%q chain=%v in-flight=%d %v", name, chain, captured, c)
			})
		}
	}
}

// TestUnalignedCheckpointRescaleSameUpstreamITCase: two connections between the
// same two operators, redistributed in different ways, are told apart
// (FLINK-40269).
func TestUnalignedCheckpointRescaleSameUpstreamITCase(t *testing.T) {
	for _, chain := range [][]int{{3, 5, 2}, {4, 1, 4}, {2, 2, 2}} {
		for name, build := range map[string]func(s stream) stream{
			"keyed and keyed": func(s stream) stream {
				return engine.CoApply(engine.KeyBy(s, mod100), engine.KeyBy(s, func(w int64) int64 { return open(w) % 7 }), "both",
					func() engine.CoProcess[int64, int64, int64, int64] { return &twoBranches{} })
			},
			"rebalance and shuffle": func(s stream) stream {
				return engine.CoMap(s.Rebalance(), s.Shuffle(), branch(2, 0), branch(2, 1))
			},
			"global and rescale": func(s stream) stream {
				return engine.CoMap(s.Global(), s.Rescale(), branch(2, 0), branch(2, 1))
			},
		} {
			t.Run(fmt.Sprintf("%s/%v", name, chain), func(t *testing.T) {
				t.Parallel()
				p, out, st := newPump(3, 200), collect.New[int64](), mem.New()
				cfg := engine.Config{Exchange: tiny(), Checkpoints: engine.CheckpointConfig{Unaligned: true}}
				legs(t, p, st, cfg, chain, func(g *engine.Graph, _, _ int) {
					build(engine.From(g, "source", words(p), noTime)).To("out", out)
				})
				c := numbersOnce(t, out, 2*p.total())
				t.Logf("RESULT TestUnalignedCheckpointRescaleSameUpstreamITCase job=%q chain=%v in-flight=%d %v", name, chain, sum(inFlight(t, st)), c)
			})
		}
	}
}

// twoBranches marks the input that a word came by.
type twoBranches struct{ n engine.Value[int64] }

func (p *twoBranches) Open(b *engine.Binder) error { return p.n.Bind(b, "n") }

func (p *twoBranches) Process1(_ *engine.Context[int64], word int64, out *engine.Output[int64]) error {
	p.n.Set(p.n.Get() + 1)
	out.Emit(branch(2, 0)(word))
	return nil
}

func (p *twoBranches) Process2(_ *engine.Context[int64], word int64, out *engine.Output[int64]) error {
	p.n.Set(p.n.Get() + 1)
	out.Emit(branch(2, 1)(word))
	return nil
}

// TestUnalignedCheckpointShuffleChangeITCase: a connection is of another kind
// after the restore, and its ends have other parallelisms. What was spread over all
// receivers may go to any, each old channel to one.
func TestUnalignedCheckpointShuffleChangeITCase(t *testing.T) {
	kinds := map[string]func(stream) stream{"rebalance": stream.Rebalance, "shuffle": stream.Shuffle, "global": stream.Global, "rescale": stream.Rescale,
		"forward": func(s stream) stream { return s }}
	sizes := [][4]int{{3, 3, 4, 3}, {3, 3, 11, 3}, {3, 3, 3, 4}, {3, 3, 3, 11}, {4, 3, 3, 3}, {11, 3, 3, 3}, {3, 4, 3, 3}, {3, 11, 3, 3}, {3, 3, 4, 4}, {4, 4, 3, 3}}
	for _, change := range [][2]string{{"rebalance", "rescale"}, {"rescale", "rebalance"}, {"shuffle", "rescale"}, {"shuffle", "forward"}, {"global", "rescale"}, {"rescale", "rescale"}, {"rebalance", "shuffle"}} {
		for _, size := range sizes {
			t.Run(fmt.Sprintf("%s to %s/%v", change[0], change[1], size), func(t *testing.T) {
				t.Parallel()
				p, out, st := newPump(3, 150), collect.New[int64](), mem.New()
				change, size := change, size
				cfg := engine.Config{DisableChaining: true, Exchange: tiny(), Checkpoints: engine.CheckpointConfig{Unaligned: true}}
				build := func(g *engine.Graph, kind string, from, to int) {
					s := engine.From(g, "source", words(p), noTime, engine.Parallelism(from))
					engine.Map(kinds[kind](s), slowly, engine.Parallelism(to)).
						Rebalance().To("out", out, engine.Parallelism(2))
				}
				const changed = "source>map-1#0"
				cfg.Checkpoints.Store, cfg.Checkpoints.Retained = st, 1000
				g := engine.NewGraph("legs")
				build(g, change[0], size[0], size[1])
				spread := change[0] != "rescale" // else nothing is in flight there
				r := &runner{t: t, pumps: []*pump{p}, trip: &trip{}, cancel: 2, loaded: true}
				if spread {
					r.edge = changed
				}
				if err := r.run(g, cfg); err != nil {
					t.Fatal(err)
				}
				if n := inFlightOf(t, st, r.newest, changed); (n > 0) != spread {
					t.Fatalf("%d records are in flight on the connection", n)
				}
				restored := inFlightOf(t, st, r.newest, "")
				g = engine.NewGraph("legs")
				build(g, change[1], size[2], size[3])
				cfg.Restore.From = "latest"
				if err := (&runner{t: t, pumps: []*pump{p}, trip: &trip{}, until: 2}).run(g, cfg); err != nil {
					t.Fatal(err)
				}
				c := numbersOnce(t, out, p.total())
				t.Logf("RESULT TestUnalignedCheckpointShuffleChangeITCase change=%v size=%v restored-in-flight=%d %v", change, size, restored, c)
			})
		}
	}
}

// TestInFlightDataWithoutKeyIsNotTakenForKeyed: a connection that becomes keyed
// cannot take over what was sent without a key, for nothing in it says where it
// belongs. The other way round it can.
func TestInFlightDataWithoutKeyIsNotTakenForKeyed(t *testing.T) {
	p, out, st := newPump(3, 150), collect.New[int64](), mem.New()
	cfg := engine.Config{Parallelism: 2, Exchange: tiny(), Checkpoints: engine.CheckpointConfig{Store: st, Unaligned: true, Retained: 1000}}
	cfg.Restore.From = "latest"
	j := &rescaleJob{trip: &trip{}, mill: &mill{where: map[[2]int64]int{}}}
	run := func(keyed bool, r *runner) error {
		g := engine.NewGraph("listen")
		s, rules := engine.From(g, "source", words(p), noTime), engine.From(g, "rules", words(p), noTime)
		if keyed {
			engine.ApplyKeyedBroadcast(engine.KeyBy(s, mod100), rules, "listen", func() engine.KeyedBroadcastProcess[int64, int64, int64, int64] {
				return &keyedListener{checked: checked{j: j}}
			}).To("out", out)
		} else {
			engine.ApplyBroadcast(s.Rebalance(), rules, "listen", func() engine.BroadcastProcess[int64, int64, int64] { return &listener{} }).To("out", out)
		}
		r.t, r.pumps, r.trip = t, []*pump{p}, &trip{}
		return r.run(g, cfg)
	}
	if err := run(false, &runner{cancel: 2, loaded: true, edge: "source>listen#0"}); err != nil {
		t.Fatal(err)
	}
	cfg.Parallelism = 3
	var problems *engine.RestoreError
	if err := run(true, &runner{}); !errors.As(err, &problems) || !strings.Contains(err.Error(), "source>listen#0") {
		t.Fatalf("the job ended with %v, want a refusal", err)
	}
	if err := run(false, &runner{until: 1}); err != nil {
		t.Fatal(err)
	}
	numbersOnce(t, out, p.total())
}

// TestRecoveredStateFilteringLargeRecordITCase: records of eight buffers, with
// restores from checkpoints that were taken while recovered data was processed.
func TestRecoveredStateFilteringLargeRecordITCase(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 9))
	big := strings.Repeat("0123456789abcdef", 2<<10)
	for range 4 {
		chain := []int{1 + r.IntN(8), 1 + r.IntN(8), 1 + r.IntN(8), 1 + r.IntN(8)}
		t.Run(fmt.Sprint(chain), func(t *testing.T) {
			t.Parallel()
			p, out, st := newPump(3, 12), collect.New[string](), mem.New()
			cfg := engine.Config{Exchange: network(), Checkpoints: engine.CheckpointConfig{Unaligned: true}}
			legs(t, p, st, cfg, chain, func(g *engine.Graph, _, _ int) {
				src := pumped[string]{p, func(v int64) string { return fmt.Sprint(v, " ", big) }}
				s := engine.From(g, "source", src, engine.Watermarks[string]{})
				number := func(s string) (v int64) {
					if _, err := fmt.Sscan(s, &v); err != nil || len(s) != len(fmt.Sprint(v, " ", big)) || !strings.HasSuffix(s, big) {
						panic(fmt.Sprintf("a damaged record of %d bytes", len(s)))
					}
					return v
				}
				engine.Apply(engine.KeyBy(s, number), "whole", func() engine.Process[int64, string, string] { return &whole{number: number} }).To("out", out)
			})
			var got []int64
			for _, s := range out.Records() {
				var v int64
				_, _ = fmt.Sscan(s, &v)
				got = append(got, v)
			}
			var c tally
			c.count(t, got, p.total())
			c.check(t)
			captured := inFlight(t, st)
			if sum(captured) == 0 {
				t.Error("nothing was in flight: the test shows nothing")
			}
			t.Logf("RESULT TestRecoveredStateFilteringLargeRecordITCase chain=%v records=%d in-flight=%v %v", chain, len(got), captured, c)
		})
	}
}

// whole lets whole records through.
type whole struct {
	number func(string) int64
	n      engine.Value[int64]
}

func (w *whole) Open(b *engine.Binder) error { return w.n.Bind(b, "n") }

func (w *whole) Process(ctx *engine.Context[int64], s string, out *engine.Output[string]) error {
	drag(50)
	if v := w.number(s); v != ctx.Key() || w.n.Get() != 0 {
		return fmt.Errorf("number %d with key %d for the %d. time", v, ctx.Key(), w.n.Get()+1)
	}
	w.n.Set(1)
	out.Emit(s)
	return nil
}

// TestCdrRecoveryRaceITCase: bounded jobs whose input ends while recovered data is
// processed end properly.
func TestCdrRecoveryRaceITCase(t *testing.T) {
	jobs := 10
	if long() {
		jobs = 100
	}
	var restored uint64
	for i := range jobs {
		p, out, st := newPump(8, 40), collect.New[int64](), mem.New()
		build := func(g *engine.Graph) {
			s := engine.From(g, "source", words(p), noTime)
			engine.Apply(engine.KeyBy(s, mod100), "keyed", newPassing).Rebalance().To("out", out)
		}
		cfg := engine.Config{Parallelism: 8, KeyGroups: 128, Exchange: network()}
		cfg.Checkpoints = engine.CheckpointConfig{Store: st, Retained: 1000, Unaligned: true}
		cfg.Restore.From = "latest"
		g := engine.NewGraph("first")
		build(g)
		if err := (&runner{t: t, pumps: []*pump{p}, trip: &trip{}, cancel: 1, loaded: true}).run(g, cfg); err != nil {
			t.Fatal(err)
		}
		captured := inFlight(t, st)
		restored += captured[len(captured)-1]
		p.stop()
		g = engine.NewGraph("second")
		build(g)
		cfg.Parallelism = 8 - i%8
		if err := (&runner{t: t, pumps: []*pump{p}, trip: &trip{}}).run(g, cfg); err != nil {
			t.Fatal(err)
		}
		numbersOnce(t, out, p.total())
	}
	if restored == 0 {
		t.Error("nothing was in flight: the test shows nothing")
	}
	t.Logf("RESULT TestCdrRecoveryRaceITCase jobs=%d restored-in-flight=%d %v", jobs, restored, tally{})
}
