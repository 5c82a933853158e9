package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tidemark-io/tidemark/engine"
	"github.com/tidemark-io/tidemark/engine/connector/discard"
	"github.com/tidemark-io/tidemark/engine/connector/generate"
	"github.com/tidemark-io/tidemark/keygroup"
	"github.com/tidemark-io/tidemark/reader"
	"github.com/tidemark-io/tidemark/store"
	"github.com/tidemark-io/tidemark/store/local"
)

// The job that is measured: count records by key, at parallelism 2, event time
// by watermarks, a checkpoint each second into a local directory. Beside it the
// usual way in Go: a channel per record, a map per worker, nothing else. Both
// get the same records from the same function.

// record is 24 bytes.
type record struct {
	Key, Value, Time int64
}

const (
	parallelism = 2
	batch       = 256 // records that the generator fills at a time
)

// generator makes records with uniform random keys and ascending times, and
// counts them.
type generator struct {
	keys uint64
	made [parallelism]struct {
		n atomic.Uint64
		_ [56]byte // a cache line each
	}
}

func (g *generator) fill(split int, first uint64, records []record) {
	for i := range records {
		// A multiplication, a shift and a multiplication make random enough
		// keys; the upper half, scaled, is below keys without a division.
		x := (first+uint64(i))*parallelism + uint64(split)
		h := x * 0x9e3779b97f4a7c15
		h ^= h >> 32
		h *= 0xd6e8feb86659fd93
		records[i] = record{Key: int64(h >> 32 * g.keys >> 32), Value: 1, Time: int64(x >> 8)}
	}
	g.made[split].n.Store(first + uint64(len(records)))
}

// total is the number of records made so far.
func (g *generator) total() uint64 {
	var n uint64
	for i := range g.made {
		n += g.made[i].n.Load()
	}
	return n
}

// measure waits until the state is warm, that is almost all keys have been
// seen, and then measures for a while what is being done.
func (g *generator) measure(ctx context.Context, p params) (figures, error) {
	for warm := 4*g.keys + 100_000; g.total() < warm; {
		if err := wait(ctx, 2*time.Millisecond); err != nil {
			return nil, err
		}
	}
	s, err := beginProfiled(p)
	if err != nil {
		return nil, err
	}
	from := g.total()
	err = wait(ctx, p.Section)
	n := float64(g.total() - from)
	cpu, wall := s.end()
	if err != nil {
		return nil, err
	}
	return figures{"rate": n / cpu, "ns": cpu / n * 1e9, "records": n, "cores": cpu / wall}, nil
}

func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// counter counts the records of each key.
type counter struct{ n engine.Value[int64] }

func (c *counter) Open(b *engine.Binder) error { return c.n.Bind(b, "n") }

func (c *counter) Process(_ *engine.Context[int64], _ record, _ *engine.Output[record]) error {
	c.n.Set(c.n.Get() + 1)
	return nil
}

// watcher gathers what the engine tells of its checkpoints.
type watcher struct {
	mu        sync.Mutex
	completed int
	last      string // path
	sync      []float64
	durations []float64
	failed    error
}

func (w *watcher) Observe(e engine.Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch e := e.(type) {
	case engine.CheckpointCompleted:
		w.completed++
		w.last = e.Path
		w.sync = append(w.sync, e.MaxSync.Seconds()*1e3)
		w.durations = append(w.durations, e.Duration.Seconds()*1e3)
	case engine.CheckpointFailed:
		w.failed = e.Reason
	}
}

// countEngine measures the job and compares its last checkpoint with what was
// generated.
func countEngine(ctx context.Context, p params) (figures, error) {
	st, err := local.Open(p.Dir, local.WithCreate())
	if err != nil {
		return nil, err
	}
	defer st.Close()
	gen := &generator{keys: p.Keys}
	g := engine.NewGraph("count")
	events := engine.From(g, "events", generate.NewFill(parallelism, 0, gen.fill),
		engine.BoundedDisorder(func(r record) int64 { return r.Time }, 0))
	byKey := engine.KeyBy(events, func(r record) int64 { return r.Key })
	engine.Apply(byKey, "count", func() engine.Process[int64, record, record] { return &counter{} }).
		To("out", discard.New[record]())
	w := &watcher{}
	every := time.Second
	if p.Quiet {
		every = 0
	}
	job, err := engine.Start(ctx, g, engine.Config{
		Parallelism: parallelism, Observer: w,
		Checkpoints: engine.CheckpointConfig{Store: st, Interval: every, Unaligned: p.Unaligned},
	})
	if err != nil {
		return nil, err
	}
	found, err := gen.measure(ctx, p)
	job.Stop()
	if err := errors.Join(err, job.Wait()); err != nil {
		return nil, err
	}
	// Fewer than two in the section's seconds would not be "each second".
	if w.failed != nil || w.completed < 2 && p.Section > time.Second && !p.Quiet {
		return nil, fmt.Errorf("%d checkpoints completed: %w", w.completed, w.failed)
	}
	found["checkpoints"] = float64(w.completed)
	found["sync"], found["duration"] = estimateOf(w.sync).median, estimateOf(w.durations).median
	counted, err := sumOf(ctx, st, w.last)
	if err != nil {
		return nil, err
	}
	// A batch that was made when the job was stopped may not have been sent.
	if made := gen.total(); counted > made || made-counted > parallelism*batch {
		return nil, fmt.Errorf("%s counts %d records, %d were made", w.last, counted, made)
	}
	return found, nil
}

// sumOf is the sum of all counts in a checkpoint.
func sumOf(ctx context.Context, st store.Store, path string) (sum uint64, err error) {
	c, err := reader.Open(ctx, st, path)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	sum = c.Summary().InFlightRecords // of an unaligned checkpoint: made, not counted yet
	for e, err := range c.Keyed(ctx, "count", "n", keygroup.All()) {
		if err != nil {
			return 0, err
		}
		sum += binary.LittleEndian.Uint64(e.Value)
	}
	return sum, nil
}

// countChannels measures the usual way in Go: the generators send each record
// on the channel of the worker that owns its key. It has no event time and no
// checkpoints.
func countChannels(ctx context.Context, p params) (figures, error) {
	gen := &generator{keys: p.Keys}
	var in [parallelism]chan record
	for i := range in {
		in[i] = make(chan record, p.Capacity)
	}
	work, stop := context.WithCancel(ctx)
	defer stop()
	var senders, workers sync.WaitGroup
	for split := range parallelism {
		senders.Go(func() {
			records := make([]record, batch)
			for n := uint64(0); work.Err() == nil; n += batch {
				gen.fill(split, n, records)
				for _, r := range records {
					in[r.Key%parallelism] <- r
				}
			}
		})
	}
	var sums [parallelism]uint64
	for i := range in {
		workers.Go(func() {
			counts := map[int64]int64{}
			for r := range in[i] {
				counts[r.Key]++
			}
			for _, n := range counts {
				sums[i] += uint64(n)
			}
		})
	}
	found, err := gen.measure(ctx, p)
	// The workers empty the channels, so that everything made is counted.
	stop()
	senders.Wait()
	for _, c := range in {
		close(c)
	}
	workers.Wait()
	if counted, made := sums[0]+sums[1], gen.total(); err == nil && counted != made {
		err = fmt.Errorf("%d records counted, %d made", counted, made)
	}
	return found, err
}
