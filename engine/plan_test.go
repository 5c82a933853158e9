package engine_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tidemark-io/tidemark/engine"
	"github.com/tidemark-io/tidemark/format"
	"github.com/tidemark-io/tidemark/store/mem"
)

// topologies are the graphs whose plans are golden. Several are those in which
// Flink once lost the unaligned mode of the whole graph, or of too much of it.
func topologies() map[string]func() *engine.Graph {
	type stream = engine.Stream[numbered]
	key := func(r numbered) int64 { return r.Key }
	same := func(r numbered) numbered { return r }
	from := func(g *engine.Graph, uid string, opts ...engine.Option) stream {
		return engine.From(g, uid, engine.Source[numbered](numbers(2, 50, all)), engine.BoundedDisorder(seqTime, 0), opts...)
	}
	count := func(s stream, uid string) engine.Stream[counted] {
		return engine.Apply(engine.KeyBy(s, key), uid, newCounter)
	}
	build := func(f func(g *engine.Graph)) func() *engine.Graph {
		return func() *engine.Graph { g := engine.NewGraph("plan"); f(g); return g }
	}
	sink := func() *ledger[counted] { return newLedger[counted]() }
	return map[string]func() *engine.Graph{
		"pipeline":  build(func(g *engine.Graph) { count(engine.Map(from(g, "a"), same), "count").To("out", sink()) }),
		"rebalance": build(func(g *engine.Graph) { count(engine.Map(from(g, "a").Rebalance(), same), "count").To("out", sink()) }),
		"shuffle":   build(func(g *engine.Graph) { count(engine.Map(from(g, "a").Shuffle(), same), "count").To("out", sink()) }),
		"global":    build(func(g *engine.Graph) { count(engine.Map(from(g, "a").Global(), same), "count").To("out", sink()) }),
		"rescale":   build(func(g *engine.Graph) { count(engine.Map(from(g, "a").Rescale(), same), "count").To("out", sink()) }),
		"broadcast": build(func(g *engine.Graph) { count(engine.Map(from(g, "a").Broadcast(), same), "count").To("out", sink()) }),
		"custom":    build(func(g *engine.Graph) { count(engine.Map(customly(from(g, "a")), same), "count").To("out", sink()) }),
		"implicit rebalance": build(func(g *engine.Graph) {
			count(engine.Map(from(g, "a", engine.Parallelism(1)), same), "count").To("out", sink(), engine.Parallelism(1))
		}),
		"union of forward and shuffled": build(func(g *engine.Graph) {
			count(engine.Map(engine.Union(from(g, "a"), from(g, "b").Shuffle()), same), "count").To("out", sink())
		}),
		"diamond": build(func(g *engine.Graph) {
			a := from(g, "a")
			count(engine.Union(engine.Map(a, same), engine.Map(a.Rebalance(), same)), "count").To("out", sink())
		}),
		"same stream twice": build(func(g *engine.Graph) {
			a := from(g, "a")
			count(engine.Union(a, a), "count").To("out", sink())
		}),
		"resumable": build(func(g *engine.Graph) {
			f := func(r numbered, _ int64, out *engine.Output[numbered]) (int64, bool, error) {
				out.Emit(r)
				return 0, true, nil
			}
			count(engine.FlatMapResumable(from(g, "a"), "unroll", f), "count").To("out", sink())
		}),
		"two sinks": build(func(g *engine.Graph) {
			c := count(from(g, "a"), "count")
			c.To("near", sink())
			c.Rebalance().To("far", sink())
		}),
	}
}

// TestPlans compares the plans of a dozen topologies with what they were. The
// alignment of a connection never changes unnoticed.
func TestPlans(t *testing.T) {
	graphs := topologies()
	var b strings.Builder
	for _, name := range sortedKeys(graphs) {
		for _, mode := range []string{"unaligned", "forced"} {
			if mode == "forced" && name != "custom" {
				continue
			}
			cfg := engine.Config{Parallelism: 2}
			cfg.Checkpoints = engine.CheckpointConfig{Unaligned: true, ForceUnaligned: mode == "forced"}
			p, err := engine.Explain(graphs[name](), cfg)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			fmt.Fprintf(&b, "-- %s, %s --\n%v", name, mode, p)
		}
	}
	path := filepath.Join("testdata", "plans.txt")
	if *update {
		if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if b.String() != string(want) {
		t.Errorf("%s differs (go test -update writes it anew); got\n%s", path, b.String())
	}
	t.Logf("RESULT TestPlans topologies=%d", len(graphs))
}

func sortedKeys[V any](m map[string]V) []string {
	var list []string
	for k := range m {
		list = append(list, k)
	}
	slices.Sort(list)
	return list
}

// TestPlanIsWhatHappens: a checkpoint never says of a connection that barriers
// overtook its data if the plan says that they may not, names the partitioner of
// the plan, and holds nothing in flight on an aligned connection.
func TestPlanIsWhatHappens(t *testing.T) {
	edges, unaligned := 0, 0
	for name, build := range topologies() {
		st := mem.New()
		cfg := engine.Config{Parallelism: 2, Exchange: smallBuffers()}
		cfg.Checkpoints = engine.CheckpointConfig{Store: st, Interval: time.Millisecond, Unaligned: true}
		p, err := engine.Explain(build(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		run(t, build(), cfg)
		ck := openNewest(t, st)
		stored, err := ck.Edges()
		if err != nil {
			t.Fatal(err)
		}
		for i, e := range stored {
			want := p.Edges[i]
			if e.ID != want.ID || e.Partitioner != want.Partitioner || (e.Alignment == format.Chained) != (want.Alignment == format.Chained) ||
				want.Alignment == format.Aligned && (e.Alignment != format.Aligned || e.InFlightRecords > 0) {
				t.Errorf("%s: the plan says %+v, the checkpoint %+v", name, want, e)
			}
			edges++
			if e.Alignment == format.Unaligned {
				unaligned++
			}
		}
	}
	if unaligned == 0 {
		t.Error("no barrier overtook anything")
	}
	t.Logf("RESULT TestPlanIsWhatHappens edges=%d unaligned=%d", edges, unaligned)
}
