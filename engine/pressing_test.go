package engine_test

import (
	"testing"
	"testing/synctest"

	"github.com/tidemark-io/tidemark/engine"
	"github.com/tidemark-io/tidemark/store/mem"
)

// A barrier that must not overtake waits behind data at a task whose output is
// full, since the task behind it stands still for that very barrier, which it has
// got already by another way on which barriers overtake. The task must go on in
// spite of the full output, or the checkpoint never completes.
//
//	a ──rebalance──┐            ┌─────────rescale─────────┐
//	               ├─ crossing ─┤                         ├─ end
//	b ───rescale───┘            └─rebalance─ way ─rescale─┘
//
// All queues are full when the checkpoint is asked for. One subtask of crossing
// gets nothing from b, so its barrier is soon in way, and behind that in end. Once
// end goes on it comes to that, and reads nothing more of way until it has the
// barriers of crossing, of which the other subtask has full outputs.
func TestBarriersByTwoWays(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		const n, copies = 500, 20
		same := func(r numbered) numbered { return r }
		hold := make(chan struct{})
		out := newLedger[numbered]()
		g := engine.NewGraph("two ways")
		a := engine.From(g, "a", numbers(2, n, all), engine.BoundedDisorder(seqTime, 0))
		b := engine.From(g, "b", numbers(1, n, all), engine.BoundedDisorder(seqTime, 0))
		crossing := engine.FlatMap(engine.Union(a.Rebalance(), b.Rescale()), func(r numbered, out *engine.Output[numbered]) {
			for range copies { // more than there is room for behind crossing
				out.Emit(r)
			}
		}, engine.Named("crossing"))
		way := engine.Map(crossing.Rebalance(), same, engine.Named("way"))
		engine.Map(engine.Union(crossing.Rescale(), way.Rescale()), func(r numbered) numbered { <-hold; return r }, engine.Named("end"), engine.Parallelism(1)).To("out", out)

		cfg := engine.Config{Parallelism: 2, Exchange: small(), DisableChaining: true}
		cfg.Checkpoints = engine.CheckpointConfig{Store: mem.New(), Unaligned: true, Compression: "none"}
		job := start(t, g, cfg)
		synctest.Wait() // everything stands still
		taken := make(chan error)
		go func() {
			_, err := job.Checkpoint(t.Context())
			taken <- err
		}()
		synctest.Wait()
		close(hold)
		if err := <-taken; err != nil {
			t.Error(err)
		}
		if err := job.Wait(); err != nil {
			t.Fatal(err)
		}
		// Each copy comes by both ways.
		if got := len(out.records()); got != 2*copies*3*n {
			t.Errorf("%d records at the end, want %d", got, 2*copies*3*n)
		}
	})
}
