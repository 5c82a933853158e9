package engine_test

import (
	"testing"

	"github.com/tidemark-io/tidemark/engine"
	"github.com/tidemark-io/tidemark/store/mem"
)

// TestLatestIsTheSavepointThatEndedTheRun: a job that was stopped with a
// savepoint has published its output, so that is where "latest" goes on.
func TestLatestIsTheSavepointThatEndedTheRun(t *testing.T) {
	const splits, n = 2, 400
	st, out := mem.New(), newLedger[counted]()
	src := numbers(splits, n, n/4)
	cfg := engine.Config{Parallelism: 2, Checkpoints: engine.CheckpointConfig{Store: st}}
	job, err := engine.Start(t.Context(), countJob(src, out, nil), cfg)
	if err != nil {
		t.Fatal(err)
	}
	src.rest()
	take(t, job)
	src.raise(n / 4)
	src.rest()
	stopped, err := job.StopWithSavepoint(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := job.Wait(); err != nil {
		t.Fatal(err)
	}
	cfg.Restore.From = "latest"
	var restored string
	cfg.Observer = engine.ObserverFunc(func(e engine.Event) {
		if s, ok := e.(engine.RunStarted); ok {
			restored = s.Restored
		}
	})
	src.free()
	if err := engine.Run(t.Context(), countJob(src, out, nil), cfg); err != nil {
		t.Fatal(err)
	}
	if restored != stopped.Path {
		t.Errorf("restored %q, want the savepoint %q", restored, stopped.Path)
	}
	checkCounted(t, out.records(), splits, n)
}
