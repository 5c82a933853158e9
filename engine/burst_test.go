package engine_test

import (
	"errors"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tidemark-io/tidemark/engine"
	"github.com/tidemark-io/tidemark/engine/exchange"
	"github.com/tidemark-io/tidemark/store/local"
)

// TestBurstsOverTwoBuffers: a flat map makes a million records of each of its
// own, over two buffers, before a count with state. A checkpoint that is asked for
// in the middle of one has to wait for the function to return, and for nothing
// else: what it made lies in the spill file, is overtaken and becomes part of
// the checkpoint. Memory stays small meanwhile, and the counts are exact, also
// after a restore from that checkpoint.
func TestBurstsOverTwoBuffers(t *testing.T) {
	const bursts, spillMemory = 3, 1 << 20
	outputs := int64(1_000_000)
	if testing.Short() {
		outputs = 100_000
	}
	st, err := local.Open(t.TempDir(), local.WithCreate())
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	out := newLedger[counted]()
	var counts, returned, heap atomic.Int64
	middle, asked, enough := make(chan struct{}), make(chan struct{}), make(chan struct{})
	graph := func(interrupt bool) *engine.Graph {
		g := engine.NewGraph("bursts")
		s := engine.From(g, "numbers", numbers(1, bursts, all), engine.BoundedDisorder(seqTime, 0)).Rebalance()
		burst := engine.FlatMap(s, func(r numbered, out *engine.Output[numbered]) {
			if interrupt && r.Seq == 2 {
				<-enough // the job is not to end by itself
			}
			for i := range outputs {
				if interrupt && r.Seq == 1 && i == outputs/2 {
					close(middle)
					<-asked
				}
				out.Emit(numbered{Split: r.Seq, Seq: i, Key: i % keys})
			}
			if interrupt && r.Seq == 1 {
				returned.Store(time.Now().UnixNano())
				var m runtime.MemStats
				runtime.GC()
				runtime.ReadMemStats(&m)
				heap.Store(int64(m.HeapAlloc))
			}
		})
		byKey := engine.KeyBy(burst, func(r numbered) int64 { return r.Key })
		numberedOf := engine.Apply(byKey, "count", newCounter)
		engine.Map(numberedOf, func(c counted) counted { counts.Add(1); return c }).
			Filter(func(c counted) bool { return c.N > bursts*outputs/keys-2 }).To("out", out)
		return g
	}
	cfg := engine.Config{Exchange: exchange.DefaultConfig()}
	x := &cfg.Exchange
	x.BuffersPerChannel, x.FloatingPerGate, x.MaxOverdraft, x.SpillMemory, x.SpillDisk, x.SpillDir = 2, 0, 0, spillMemory, 1<<30, t.TempDir()
	cfg.Checkpoints = engine.CheckpointConfig{Store: st, Unaligned: true}
	var done engine.CheckpointCompleted
	var triggered time.Time
	cfg.Observer = engine.ObserverFunc(func(e engine.Event) {
		switch e := e.(type) {
		case engine.CheckpointTriggered:
			triggered = time.Now()
			close(asked)
		case engine.CheckpointCompleted:
			done = e
		}
	})
	var before runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	job := start(t, graph(true), cfg)
	<-middle
	took := take(t, job)
	end := time.Now()
	processed := counts.Load()
	var spilled uint64
	for _, ts := range job.Stats().Tasks {
		spilled += ts.SpilledBytes
	}
	job.Cancel(errEnough)
	close(enough)
	if err := job.Wait(); !errors.Is(err, errEnough) {
		t.Fatal(err)
	}
	inFlight := newestInFlight(t, st)
	if took.ID != done.ID || inFlight.InFlightRecords == 0 {
		t.Errorf("checkpoint %d, completed %d, with %d records in flight: the barrier overtook nothing", took.ID, done.ID, inFlight.InFlightRecords)
	}
	grown := heap.Load() - int64(before.HeapAlloc)
	if limit := int64(8 << 20); grown > limit || spilled < uint64(outputs) {
		t.Errorf("the heap grew by %d bytes, limit %d; %d bytes were spilled", grown, limit, spilled)
	}
	t.Logf("RESULT TestBurstsOverTwoBuffers outputs=%d checkpoint=%v function=%v after=%v inflight=%d processed=%d spilled=%d heap=%d",
		outputs, end.Sub(triggered), time.Unix(0, returned.Load()).Sub(triggered), end.Sub(time.Unix(0, returned.Load())), inFlight.InFlightRecords, processed, spilled, grown)

	cfg.Restore.From, cfg.Observer = "latest", nil
	if err := engine.Run(t.Context(), graph(false), cfg); err != nil {
		t.Fatal(err)
	}
	last := map[int64]int64{}
	for _, r := range out.records() {
		last[r.Key] = max(last[r.Key], r.N)
	}
	for key := range int64(keys) {
		if want := bursts * outputs / keys; last[key] != want {
			t.Errorf("key %d was counted %d times, want %d", key, last[key], want)
		}
	}
}
