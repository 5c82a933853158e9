package engine_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/tidemark-io/tidemark/engine"
	"github.com/tidemark-io/tidemark/reader"
	"github.com/tidemark-io/tidemark/store/mem"
)

// TestSavepointWaitsForUnalignedCheckpoint: a savepoint that is asked for while an
// unaligned checkpoint is under way begins when that has ended. The checkpoint has
// records in flight, the savepoint has none, and restores exactly.
func TestSavepointWaitsForUnalignedCheckpoint(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		st, out := mem.New(), newLedger[counted]()
		var mu sync.Mutex
		var told []string
		free := make(chan struct{})
		graph := func(limit int64) *engine.Graph {
			g := engine.NewGraph("waits")
			s := engine.From(g, "numbers", numbers(2, 2000, limit), engine.BoundedDisorder(seqTime, 0))
			counts := engine.Apply(engine.KeyBy(s, func(r numbered) int64 { return r.Key }), "count", newCounter).Rebalance()
			engine.Map(counts, func(c counted) counted {
				if c.Seq == 300 {
					<-free
				}
				return c
			}).To("out", out)
			return g
		}
		cfg := engine.Config{Parallelism: 2, Exchange: smallBuffers(), Checkpoints: engine.CheckpointConfig{Store: st, Unaligned: true, Timeout: time.Hour}}
		cfg.Observer = engine.ObserverFunc(func(e engine.Event) {
			mu.Lock()
			defer mu.Unlock()
			switch e := e.(type) {
			case engine.CheckpointTriggered:
				told = append(told, "triggered "+e.Path)
			case engine.CheckpointCompleted:
				told = append(told, "completed "+e.Path)
			case engine.CheckpointFailed:
				told = append(told, fmt.Sprintf("failed %s: %v", e.Path, e.Reason))
			}
		})
		job, err := engine.Start(t.Context(), graph(1000), cfg)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute) // until the function is held and the buffers are full
		ended := make(chan error, 2)
		go func() { _, err := job.Checkpoint(t.Context()); ended <- err }()
		time.Sleep(time.Second)
		go func() { _, err := job.Savepoint(t.Context()); ended <- err }()
		time.Sleep(time.Minute)
		mu.Lock()
		if want := []string{"triggered chk-1"}; !slices.Equal(told, want) {
			t.Errorf("while the checkpoint is under way: %q, want %q", told, want)
		}
		mu.Unlock()
		close(free)
		for range 2 {
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
		want := []string{"triggered chk-1", "completed chk-1", "triggered savepoint-2", "completed savepoint-2"}
		mu.Lock()
		if !slices.Equal(told, want) {
			t.Errorf("%q, want %q", told, want)
		}
		mu.Unlock()
		job.Cancel(errEnough)
		<-job.Done()
		for path, some := range map[string]bool{"chk-1": true, "savepoint-2": false} {
			ck, err := reader.Open(t.Context(), st, path)
			if err != nil {
				t.Fatal(err)
			}
			if n := ck.Summary().InFlightRecords; (n > 0) != some {
				t.Errorf("%s has %d records in flight", path, n)
			}
			if err := ck.Close(); err != nil {
				t.Fatal(err)
			}
		}
		cfg.Restore.From = "savepoint-2"
		last, err := engine.Start(t.Context(), graph(all), cfg)
		if err != nil {
			t.Fatal(err)
		}
		if err := last.Wait(); err != nil {
			t.Fatal(err)
		}
		checkRecords(t, out.records(), 2, 2000, false)
	})
}
