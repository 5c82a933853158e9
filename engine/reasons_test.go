package engine_test

import (
	"testing"
	"time"

	"github.com/tidemark-io/tidemark/checkpoint"
	"github.com/tidemark-io/tidemark/checkpoint/layout"
	"github.com/tidemark-io/tidemark/engine"
	"github.com/tidemark-io/tidemark/native"
	"github.com/tidemark-io/tidemark/store"
	"github.com/tidemark-io/tidemark/store/mem"
)

// TestReasonsAreStored: a checkpoint says of each connection why barriers waited
// there, as the plan does; a savepoint says that it is one.
func TestReasonsAreStored(t *testing.T) {
	for _, c := range []struct {
		topology, edge string
		mode           engine.CheckpointConfig
		want           checkpoint.Reason
	}{
		{"broadcast", "a>map-1#0", engine.CheckpointConfig{Unaligned: true}, checkpoint.ReasonBroadcast},
		{"custom", "a>map-1#0", engine.CheckpointConfig{Unaligned: true}, checkpoint.ReasonCustom},
		{"rescale", "a>map-1#0", engine.CheckpointConfig{Unaligned: true}, checkpoint.ReasonPointwise},
		{"rescale", "a>map-1#0", engine.CheckpointConfig{Unaligned: true, PointwiseByKey: true}, checkpoint.ReasonPointwise},
		{"implicit rebalance", "a>map-1#0", engine.CheckpointConfig{Unaligned: true}, checkpoint.ReasonParallelism},
		{"rebalance", "a>map-1#0", engine.CheckpointConfig{}, checkpoint.ReasonOff},
		{"rebalance", "a>map-1#0", engine.CheckpointConfig{Unaligned: true, AlignedTimeout: time.Hour}, checkpoint.ReasonInTime},
		{"rebalance", "count>out#0", engine.CheckpointConfig{Unaligned: true}, ""},
	} {
		st := mem.New()
		c.mode.Store = st
		job := start(t, topologies()[c.topology](), engine.Config{Parallelism: 2, Checkpoints: c.mode})
		if err := job.Wait(); err != nil {
			t.Fatal(err)
		}
		if got := reasonOf(t, st, newestDir(t, st), c.edge); got != c.want {
			t.Errorf("%s, %s: %q, want %q", c.topology, c.edge, got, c.want)
		}
	}
	st := mem.New()
	src := numbers(2, 100, 50)
	job := start(t, countJob(src, newLedger[counted](), nil), engine.Config{Parallelism: 2, Checkpoints: engine.CheckpointConfig{Store: st, Unaligned: true}})
	src.rest()
	if _, err := job.Savepoint(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := reasonOf(t, st, layout.Savepoint(1), "numbers>count#0"); got != checkpoint.ReasonSavepoint {
		t.Errorf("a savepoint says %q", got)
	}
}

// reasonOf is why barriers waited on a connection.
func reasonOf(t *testing.T, st store.Store, path, edge string) checkpoint.Reason {
	t.Helper()
	ck, err := native.NewFormat(st).Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer ck.Close()
	for e, err := range ck.Edges(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if e.ID == edge {
			return e.Reason
		}
	}
	t.Fatalf("%s has no connection %s", path, edge)
	return ""
}
