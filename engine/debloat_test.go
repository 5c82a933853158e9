package engine_test

import (
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tidemark-io/tidemark/engine"
	"github.com/tidemark-io/tidemark/engine/exchange"
)

// TestDebloating runs a job whose slow operator changes its speed, and wants what
// is in flight before it to take about the target time, at each speed; without
// debloating it is what fits the buffers.
func TestDebloating(t *testing.T) {
	const target = 500 * time.Millisecond
	for _, debloating := range []bool{true, false} {
		inBubble(t, func(t *testing.T) {
			var perRecord atomic.Int64
			g := engine.NewGraph("speeds")
			s := engine.From(g, "numbers", numbers(1, 1<<40, all), engine.BoundedDisorder(seqTime, 0).EveryRecords(1000)).Rebalance()
			engine.Map(s, func(r numbered) numbered {
				time.Sleep(time.Duration(perRecord.Load()))
				return r
			}).Filter(func(numbered) bool { return false }).To("out", newLedger[numbered]())
			cfg := engine.Config{Exchange: exchange.DefaultConfig(), BufferTimeout: -1}
			cfg.Exchange.Debloat.Enabled, cfg.Exchange.Debloat.Target = debloating, target
			perRecord.Store(int64(100 * time.Microsecond))
			job, err := engine.Start(t.Context(), g, cfg)
			if err != nil {
				t.Fatal(err)
			}
			for i, speed := range []time.Duration{100 * time.Microsecond, 500 * time.Microsecond, 200 * time.Microsecond} {
				perRecord.Store(int64(speed))
				time.Sleep(40 * time.Second)
				// One period may see no buffer, or two: the means of many count.
				const periods = 50
				var gate engine.GateStats
				var bytes, rate int64
				for range periods {
					time.Sleep(cfg.Exchange.Debloat.Period)
					for _, ts := range job.Stats().Tasks {
						if len(ts.Gates) == 1 {
							gate = ts.Gates[0]
							if ts.BufferSize() != gate.BufferSize || ts.TimeToConsume() != gate.TimeToConsume {
								t.Errorf("subtask's figures %d, %v are not the gate's, %+v", ts.BufferSize(), ts.TimeToConsume(), gate)
							}
						}
					}
					bytes, rate = bytes+gate.QueuedBytes, rate+gate.Throughput
				}
				if !debloating {
					if i == 0 && (gate.BufferSize != 32<<10 || gate.TimeToConsume != 0 || gate.QueuedBytes < 4*32<<10) {
						t.Errorf("without debloating: %+v", gate)
					}
					continue
				}
				if rate == 0 || gate.TimeToConsume == 0 {
					t.Fatalf("nothing was measured: %+v", gate)
				}
				inFlight := time.Duration(float64(bytes) / float64(rate) * float64(time.Second))
				t.Logf("RESULT debloat speed=%v size=%d inflight=%v rate=%d", speed, gate.BufferSize, inFlight, rate/periods)
				if low, high := target/2, target*3/2; inFlight < low || inFlight > high {
					t.Errorf("at %v per record: in flight %v, want about %v (%+v)", speed, inFlight, target, gate)
				}
			}
			job.Cancel(errEnough)
			if err := job.Wait(); !errors.Is(err, errEnough) {
				t.Error(err)
			}
		})
	}
}
