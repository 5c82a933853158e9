package matrix_test

import (
	"strings"
	"testing"
	"time"

	"github.com/tidemark-io/tidemark/engine"
	"github.com/tidemark-io/tidemark/engine/connector/collect"
	"github.com/tidemark-io/tidemark/engine/exchange"
	"github.com/tidemark-io/tidemark/format"
	"github.com/tidemark-io/tidemark/reader"
	"github.com/tidemark-io/tidemark/store/mem"
)

// regression is a job in the shape in which Flink had a bug.
type regression struct {
	name     string
	chain    []int // of parallelisms
	step     int64
	timeout  time.Duration
	network  func(*exchange.Config)
	branches int64
	build    func(s stream) stream
}

func keyedOf(s stream, uid string) stream {
	return engine.Apply(engine.KeyBy(s, mod100), uid, newPassing)
}

var regressions = []regression{
	// A checkpoint while one input still replays and the other one is through.
	{name: "FLINK-20654", chain: []int{3, 2, 4, 3, 1}, step: 300, branches: 2, build: func(s stream) stream {
		few := s.Filter(func(word int64) bool { return open(word)%10 == 0 })
		rest := s.Filter(func(word int64) bool { return open(word)%10 != 0 })
		both := engine.CoApply(engine.KeyBy(few, mod100), engine.KeyBy(rest, mod100), "both",
			func() engine.CoProcess[int64, int64, int64, int64] { return &twoBranches{} })
		return engine.FlatMap(both, func(word int64, out *engine.Output[int64]) {
			out.Emit(seal(open(word) / 2 * 2))
			out.Emit(seal(open(word)/2*2 + 1))
		})
	}},
	// Inputs of one operator that are redistributed in different ways.
	{name: "FLINK-22686", chain: []int{3, 5, 2}, step: 200, branches: 2, build: func(s stream) stream {
		return engine.CoMap(s.Global(), engine.Map(s, slowly).Rebalance(), branch(2, 0), branch(2, 1))
	}},
	// A barrier that waits in a full output must notice the timeout there.
	{name: "FLINK-27251", chain: []int{2, 2, 3}, step: 1000, timeout: time.Microsecond, branches: 1, build: func(s stream) stream {
		return engine.Map(keyedOf(s, "keyed").Rebalance(), func(word int64) int64 { drag(4); return same(word) })
	}},
	// Operators without state and with hardly any data, beside ones with some.
	{name: "FLINK-31963", chain: []int{5, 3, 4}, step: 8, branches: 1, build: func(s stream) stream {
		s = engine.Map(engine.Map(s.Shuffle(), same).Rebalance(), same)
		return engine.Map(keyedOf(engine.Map(s.Shuffle(), slowly), "keyed").Rebalance(), slowly)
	}},
	// The smallest buffers.
	{name: "FLINK-33077", chain: []int{2, 3, 2}, step: 200, branches: 1,
		network: func(c *exchange.Config) { c.BufferSize = 256 },
		build:   func(s stream) stream { return engine.Map(keyedOf(s.Rebalance(), "keyed").Rebalance(), slowly) }},
	// Sources go on sending while recovered data fills the few buffers there are.
	{name: "FLINK-39524", chain: []int{3, 1, 4, 2}, step: 400, branches: 1,
		network: func(c *exchange.Config) {
			c.BufferSize, c.BuffersPerChannel, c.FloatingPerGate, c.MaxPerChannel, c.MaxOverdraft = 256, 1, 1, 2, 0
		},
		build: func(s stream) stream { return engine.Map(keyedOf(s, "keyed").Rebalance(), slowly) }},
}

// TestRegressions runs jobs in the shapes in which Flink had bugs.
func TestRegressions(t *testing.T) {
	for _, test := range regressions {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			p, out, st := newPump(3, test.step), collect.New[int64](), mem.New()
			cfg := engine.Config{DisableChaining: true, Exchange: tiny(), Checkpoints: engine.CheckpointConfig{Unaligned: true, AlignedTimeout: test.timeout}}
			if test.network != nil {
				test.network(&cfg.Exchange)
			}
			legs(t, p, st, cfg, test.chain, func(g *engine.Graph, _, _ int) {
				test.build(engine.From(g, "source", words(p), noTime)).To("out", out)
			})
			c := numbersOnce(t, out, p.total()*test.branches)
			captured := inFlight(t, st)
			if sum(captured) == 0 {
				t.Error("nothing was in flight: the test shows nothing")
			}
			t.Logf("RESULT TestRegressions name=%s chain=%v in-flight=%v %v", test.name, test.chain, captured, c)
		})
	}
	// Connections to sinks, and all others beside them, stay what they are.
	t.Run("FLINK-36287", sinkEdges)
}

func sinkEdges(t *testing.T) {
	p, out, forward, st := newPump(3, 300), collect.New[int64](), collect.New[int64](), mem.New()
	cfg := engine.Config{DisableChaining: true, Exchange: tiny(), Checkpoints: engine.CheckpointConfig{Unaligned: true}}
	legs(t, p, st, cfg, []int{2, 3}, func(g *engine.Graph, _, _ int) {
		s := engine.Map(keyedOf(engine.From(g, "source", words(p), noTime), "keyed"), slowly)
		s.To("forward", forward)
		s.Rebalance().To("out", out)
	})
	numbersOnce(t, out, p.total())
	numbersOnce(t, forward, p.total())
	overtaken := map[string]bool{}
	dirs, err := reader.Dirs(t.Context(), st, "")
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range dirs {
		ck, err := reader.Open(t.Context(), st, d.Path)
		if err != nil {
			t.Fatal(err)
		}
		edges, err := ck.Edges()
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range edges {
			if e.Alignment == format.Unaligned {
				overtaken[e.ID] = true
			}
		}
		if err := ck.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for id, want := range map[string]bool{"source>keyed#0": true, "map-1>out#0": true, "map-1>forward#0": false, "keyed>map-1#0": false} {
		if overtaken[id] != want {
			t.Errorf("connection %s: unaligned %v, want %v", id, overtaken[id], want)
		}
	}
	var list []string
	for id := range overtaken {
		list = append(list, id)
	}
	t.Logf("RESULT TestRegressions name=FLINK-36287 unaligned=%s", strings.Join(list, ","))
}
