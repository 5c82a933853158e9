package engine_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/tidemark-io/tidemark/engine"
	"github.com/tidemark-io/tidemark/format"
	"github.com/tidemark-io/tidemark/store"
	"github.com/tidemark-io/tidemark/store/mem"
)

// bySplit is a custom partitioner: a pure function of the record and n.
func bySplit(r numbered, n int) int { return int(r.Split*31+r.Key) % n }

// chosen is numbers → partitioning → slow map → count per key → sink.
func chosen(part func(engine.Stream[numbered]) engine.Stream[numbered], sink engine.Sink[counted], rounds int) *engine.Graph {
	g := engine.NewGraph("chosen")
	s := engine.From(g, "numbers", engine.Source[numbered](numbers(4, 3000, all)), engine.BoundedDisorder(seqTime, 0))
	slow := engine.Map(part(s), func(r numbered) numbered { return spin(rounds)(r) }, engine.Named("slow"))
	engine.Apply(engine.KeyBy(slow, func(r numbered) int64 { return r.Key }), "count", newCounter).To("out", sink)
	return g
}

func customly(s engine.Stream[numbered]) engine.Stream[numbered] { return s.PartitionCustom(bySplit) }

// chosenEdge is the connection of the newest checkpoint that the function
// partitions.
func chosenEdge(t *testing.T, st store.Store) format.Edge {
	t.Helper()
	ck := openNewest(t, st)
	edges, err := ck.Edges()
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range edges {
		if strings.HasPrefix(e.ID, "numbers>") {
			return e
		}
	}
	t.Fatal("no edge behind the source")
	return format.Edge{}
}

// TestCustomPartitioner: a connection with a custom partitioner is aligned unless
// that is forced off; then what is in flight on it is restored at any parallelism
// by asking the function again. Order per split and key is kept (a key and a
// split take one way).
func TestCustomPartitioner(t *testing.T) {
	for _, forced := range []bool{false, true} {
		for _, chain := range [][]int{{2, 3}, {3, 1}, {2, 2}, {1, 4}} {
			st, out := mem.New(), newLedger[counted]()
			var inFlight uint64
			for i, p := range append(chain, chain[0]) {
				cfg := engine.Config{Parallelism: p, Exchange: smallBuffers(), Restore: engine.RestoreConfig{From: "latest"}}
				cfg.Checkpoints = engine.CheckpointConfig{Store: st, Interval: 2 * time.Millisecond, Unaligned: true, ForceUnaligned: forced}
				limit := 3
				if i == len(chain) {
					limit = -1
				}
				rounds := 20_000
				if limit < 0 {
					rounds = 0
				}
				if untilCheckpoints(t, chosen(customly, out, rounds), cfg, limit) {
					break
				}
				inFlight += chosenEdge(t, st).InFlightRecords
			}
			checkCounted(t, out.records(), 4, 3000)
			if (inFlight > 0) != forced {
				t.Errorf("forced=%v, %v: %d records in flight behind the partitioner", forced, chain, inFlight)
			}
			t.Logf("RESULT TestCustomPartitioner forced=%v chain=%v in-flight=%d", forced, chain, inFlight)
		}
	}
}

// TestChangedPartitioner: what is in flight behind a function cannot be sent by
// another partitioner, and not the other way round.
func TestChangedPartitioner(t *testing.T) {
	rebalanced := func(s engine.Stream[numbered]) engine.Stream[numbered] { return s.Rebalance() }
	for name, c := range map[string][2]func(engine.Stream[numbered]) engine.Stream[numbered]{
		"custom to rebalance": {customly, rebalanced}, "rebalance to custom": {rebalanced, customly},
	} {
		st, out := mem.New(), newLedger[counted]()
		cfg := engine.Config{Parallelism: 2, Exchange: smallBuffers()}
		cfg.Checkpoints = engine.CheckpointConfig{Store: st, Interval: 2 * time.Millisecond, Unaligned: true, ForceUnaligned: true}
		if untilCheckpoints(t, chosen(c[0], out, 20_000), cfg, 3) {
			t.Fatal("the job ended before it could be interrupted")
		}
		lost := chosenEdge(t, st).InFlightRecords
		if lost == 0 {
			t.Fatal("nothing was in flight")
		}
		cfg.Restore.From = "latest"
		err := engine.Run(t.Context(), chosen(c[1], out, 0), cfg)
		var misfit *engine.RestoreError
		if !errors.As(err, &misfit) || !strings.Contains(err.Error(), "it was") {
			t.Fatalf("%s: got %v", name, err)
		}
		cfg.Restore.AllowNonRestoredState = true
		if err := engine.Run(t.Context(), chosen(c[1], out, 0), cfg); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if got := uint64(4*3000 - len(out.records())); got > lost || got+2 < lost {
			t.Errorf("%s: %d records are lost, %d were in flight", name, got, lost)
		}
	}
}
