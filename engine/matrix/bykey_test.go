package matrix_test

import (
	"fmt"
	"testing"

	"github.com/tidemark-io/tidemark/engine"
	"github.com/tidemark-io/tidemark/engine/connector/collect"
	"github.com/tidemark-io/tidemark/format"
	"github.com/tidemark-io/tidemark/reader"
	"github.com/tidemark-io/tidemark/store"
	"github.com/tidemark-io/tidemark/store/mem"
)

// This file has what Flink cannot do: barriers that overtake data on pointwise
// connections, whose records are redistributed by the hash of the key that they
// inherited (tidemark.unaligned.pointwise: by-key).

// turn is a word with its key and how many words of the key came before it.
type turn struct{ Key, N, Word int64 }

// numbering numbers the words of each key.
type numbering struct{ n engine.Value[int64] }

func (p *numbering) Open(b *engine.Binder) error { return p.n.Bind(b, "n") }

func (p *numbering) Process(ctx *engine.Context[int64], word int64, out *engine.Output[turn]) error {
	n := p.n.Get()
	p.n.Set(n + 1)
	out.Emit(turn{ctx.Key(), n, word})
	return nil
}

func slowTurn(r turn) turn {
	drag(3)
	r.Word = same(r.Word)
	return r
}

// byKeyJobs are keyed → pointwise → … → sink. A record never leaves the subtask
// number that owns its key.
var byKeyJobs = map[string]func(s engine.Stream[turn]) engine.Stream[turn]{
	"forward": func(s engine.Stream[turn]) engine.Stream[turn] { return engine.Map(s, slowTurn) },
	"forward twice": func(s engine.Stream[turn]) engine.Stream[turn] {
		return engine.Map(engine.Map(s, slowTurn), slowTurn)
	},
	"rescale": func(s engine.Stream[turn]) engine.Stream[turn] { return engine.Map(s.Rescale(), slowTurn) },
	"diamond": func(s engine.Stream[turn]) engine.Stream[turn] {
		even := engine.Map(s.Filter(func(r turn) bool { return r.Key%2 == 0 }), slowTurn)
		odd := engine.Map(s.Filter(func(r turn) bool { return r.Key%2 != 0 }), slowTurn)
		return engine.Map(engine.Union(even, odd), slowTurn)
	},
}

// byKeyGraph builds one of them.
func byKeyGraph(name string, p *pump, out engine.Sink[turn]) *engine.Graph {
	g := engine.NewGraph("by key")
	keyed := engine.Apply(engine.KeyBy(engine.From(g, "source", words(p), noTime), mod100), "keyed",
		func() engine.Process[int64, int64, turn] { return &numbering{} })
	byKeyJobs[name](keyed).To("out", out)
	return g
}

// inTurn checks that a sink has every number once and the words of each key in
// their order.
func inTurn(t *testing.T, out *collect.Sink[turn], total int64) tally {
	t.Helper()
	var c tally
	var all []int64
	next := map[int64]int64{}
	for _, e := range out.Entries() {
		r := e.Record
		all = append(all, open(r.Word))
		if r.N != next[r.Key] {
			c.disorder++
		}
		next[r.Key] = r.N + 1
	}
	c.count(t, all, total)
	c.check(t)
	return c
}

// overtaken is how many records are in flight on pointwise connections in the
// checkpoints of a root, all of which have the keys of "keyed".
func overtaken(t *testing.T, st store.Store) (n uint64) {
	t.Helper()
	dirs, err := reader.Dirs(t.Context(), st, "")
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range dirs {
		if !d.Manifest {
			continue
		}
		ck, err := reader.Open(t.Context(), st, d.Path)
		if err != nil {
			t.Fatal(err)
		}
		edges, err := ck.Edges()
		operators, err2 := ck.Operators()
		if err != nil || err2 != nil {
			t.Fatal(err, err2)
		}
		for _, e := range edges {
			if e.Partitioner != format.Forward && e.Partitioner != format.Rescale {
				continue
			}
			if e.Keys == format.None || operators[e.Keys].UID != "keyed" || e.Reason != format.NoReason {
				t.Errorf("%s: edge %s has the keys of operator %d, reason %d", d.Path, e.ID, e.Keys, e.Reason)
			}
			n += e.InFlightRecords
		}
		if err := ck.Close(); err != nil {
			t.Error(err)
		}
	}
	return n
}

// TestPointwiseByKeyRescale: a job with data in flight on its pointwise
// connections goes through 2 → 3 → 5 → 1 subtasks, each time from a checkpoint
// with data in flight there.
func TestPointwiseByKeyRescale(t *testing.T) {
	chains := [][]int{{2, 3, 5, 1}, {7, 3}, {1, 4, 4, 2}}
	if long() {
		chains = append(chains, []int{20, 21, 20}, []int{12, 7, 12}, []int{5, 2, 5, 3, 5, 1})
	}
	for name := range byKeyJobs {
		for _, chain := range chains {
			for _, mode := range alignments() {
				t.Run(fmt.Sprintf("%s/%v/%s", name, chain, mode.name), func(t *testing.T) {
					t.Parallel()
					p, out, st := newPump(3, 200), collect.New[turn](), mem.New()
					for i, parallelism := range chain {
						r := &runner{t: t, pumps: []*pump{p}, trip: &trip{}, cancel: 2, loaded: mode == overtaking, edge: "keyed>map-1#0"}
						if name == "diamond" {
							r.edge = ""
						}
						if i == len(chain)-1 {
							r.cancel, r.until, r.loaded = 0, 2, false
						}
						if err := r.run(byKeyGraph(name, p, out), byKeyConfig(st, parallelism, mode)); err != nil {
							t.Fatalf("at parallelism %d: %v", parallelism, err)
						}
					}
					c := inTurn(t, out, p.total())
					n := uint64(0)
					if mode.unaligned {
						n = overtaken(t, st)
					}
					if mode == overtaking && n == 0 {
						t.Error("nothing was in flight on pointwise connections: the test shows nothing")
					}
					t.Logf("RESULT TestPointwiseByKeyRescale job=%q chain=%v mode=%q pointwise-in-flight=%d %v", name, chain, mode.name, n, c)
				})
			}
		}
	}
}

func byKeyConfig(st store.Store, parallelism int, mode alignment) engine.Config {
	cfg := engine.Config{Parallelism: parallelism, KeyGroups: 128, DisableChaining: true, Exchange: tiny()}
	cfg.Checkpoints = engine.CheckpointConfig{Store: st, Retained: 1000, PointwiseByKey: true}
	mode.set(&cfg.Checkpoints)
	cfg.Restore.From = "latest"
	return cfg
}

// TestPointwiseByKeyCrashWhileDraining: each run is restored from a checkpoint
// that was taken while the one before was still processing recovered data, and
// crashes itself on the way.
func TestPointwiseByKeyCrashWhileDraining(t *testing.T) {
	rounds := 1
	if long() {
		rounds = 10
	}
	for round := range rounds {
		for name := range byKeyJobs {
			t.Run(fmt.Sprintf("%s/%d", name, round), func(t *testing.T) {
				t.Parallel()
				p, out, st := newPump(4, 150), collect.New[turn](), mem.New()
				chain := []int{2, 3, 5, 1, 2, 3, 5, 1}
				var crashes int64
				for i, parallelism := range chain {
					f := &trip{}
					g := engine.NewGraph("by key")
					keyed := engine.Apply(engine.KeyBy(engine.From(g, "source", words(p), noTime), mod100), "keyed",
						func() engine.Process[int64, int64, turn] { return &numbering{} })
					s := engine.Map(byKeyJobs[name](keyed), func(r turn) turn {
						if f.due("drain", 0, 1) {
							panic(errPlanned)
						}
						return slowTurn(r)
					})
					s.To("out", out)
					cfg := byKeyConfig(st, parallelism, overtaking)
					cfg.Restart.Attempts = 1
					r := &runner{t: t, pumps: []*pump{p}, trip: f, cancel: 2}
					if i == len(chain)-1 {
						r.cancel, r.until = 0, 3
					}
					if err := r.run(g, cfg); err != nil {
						t.Fatalf("at parallelism %d: %v", parallelism, err)
					}
					crashes += f.failed.Load()
				}
				c := inTurn(t, out, p.total())
				n := overtaken(t, st)
				if n == 0 {
					t.Error("nothing was in flight on pointwise connections: the test shows nothing")
				}
				t.Logf("RESULT TestPointwiseByKeyCrashWhileDraining job=%q chain=%v crashes=%d pointwise-in-flight=%d %v", name, chain, crashes, n, c)
			})
		}
	}
}
