package matrix_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tidemark-io/tidemark/engine"
	"github.com/tidemark-io/tidemark/engine/connector/collect"
	"github.com/tidemark-io/tidemark/history"
	"github.com/tidemark-io/tidemark/store/mem"
)

// blocking is a sink of which one subtask does not return from its snapshot of a
// checkpoint, until it is told to.
type blocking struct {
	*collect.Sink[int64]
	id      uint64
	release chan struct{}
}

func (b *blocking) Open(ctx context.Context, sc engine.SinkContext) (engine.SinkWriter[int64], error) {
	w, err := b.Sink.Open(ctx, sc)
	if sc.Subtask == 1 {
		return &blockingWriter{w, w.(engine.Committer), b}, err
	}
	return w, err
}

type blockingWriter struct {
	engine.SinkWriter[int64]
	engine.Committer
	b *blocking
}

func (w *blockingWriter) Prepare(id uint64) (func(context.Context) ([][]byte, error), error) {
	if id == w.b.id {
		<-w.b.release
	}
	return w.Committer.Prepare(id)
}

// TestCheckpointSyncPhaseTimeoutITCase: a task that does not return from its snapshot,
// the synchronous phase, makes the checkpoint fail at its timeout and not when it
// returns. The error names the task, the operator and the phase, and so does the
// history. Flink's fails the task then, which is not possible here: no other thread
// can end a function. When it has returned checkpoints complete, and nothing is lost.
func TestCheckpointSyncPhaseTimeoutITCase(t *testing.T) {
	const timeout = 50 * time.Millisecond
	for _, mode := range []alignment{aligned, overtaking} {
		t.Run(mode.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				st, out := mem.New(), &blocking{collect.New[int64](), 2, make(chan struct{})}
				p := newPump(2, 200)
				g := engine.NewGraph("sync phase")
				source := engine.From(g, "source", words(p), noTime)
				engine.Apply(engine.KeyBy(source, mod100), "keyed", newPassing).Rebalance().To("out", out)
				cfg := engine.Config{Parallelism: 2, Exchange: tiny(), Checkpoints: engine.CheckpointConfig{Store: st, Timeout: timeout, TolerableFailures: 3}}
				mode.set(&cfg.Checkpoints)
				job, err := engine.Start(t.Context(), g, cfg)
				if err != nil {
					t.Fatal(err)
				}
				take := func() (engine.Result, time.Duration, error) {
					p.raise()
					begin := time.Now()
					r, err := job.Checkpoint(t.Context())
					return r, time.Since(begin), err
				}
				if _, _, err := take(); err != nil {
					t.Fatal(err)
				}
				_, took, err := take()
				for _, part := range []string{"longer than its timeout of 50ms", "out (2/2) is in its snapshot (synchronous phase), in operator \"out\""} {
					if err == nil || !strings.Contains(err.Error(), part) {
						t.Errorf("the error is %v, and does not say %s", err, part)
					}
				}
				if took != timeout {
					t.Errorf("it failed after %v, its timeout is %v", took, timeout)
				}
				if _, took, err := take(); err == nil || took != timeout {
					t.Errorf("the next one, while the snapshot goes on: %v after %v", err, took)
				}
				close(out.release)
				for range 3 {
					if _, _, err := take(); err != nil {
						t.Errorf("when it has returned: %v", err)
					}
				}
				p.finish()
				if err := job.Wait(); err != nil {
					t.Fatal(err)
				}
				got, _ := opened(out.Sink, 2)
				var c tally
				c.count(t, got, p.total())
				c.check(t)
				a, err := history.Read(t.Context(), st, history.Ref{Run: 1, ID: 2})
				if err != nil || history.Cause(a.Cause) != history.TimedOut || !strings.Contains(string(a.Message), "out (2/2) is in its snapshot") {
					t.Errorf("history: %+v, %v", a, err)
				}
				t.Logf("RESULT TestCheckpointSyncPhaseTimeoutITCase mode=%q failed-after=%v records=%d %v", mode.name, took, len(got), c)
			})
			emptyPools()
		})
	}
}
