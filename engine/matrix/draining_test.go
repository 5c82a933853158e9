package matrix_test

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/tidemark-io/tidemark/engine"
	"github.com/tidemark-io/tidemark/engine/connector/collect"
	"github.com/tidemark-io/tidemark/format"
	"github.com/tidemark-io/tidemark/reader"
	"github.com/tidemark-io/tidemark/store"
	"github.com/tidemark-io/tidemark/store/mem"
)

// stops hold up every subtask of a function at one of its first records until a
// checkpoint is triggered.
type stops struct {
	at      int64 // record of a subtask, counted from 1
	drag    int   // how slow each record is, see drag
	entered chan struct{}
	off     chan struct{}
	first   sync.Once
	release sync.Once
}

func newStops(at int64, drag int) *stops {
	return &stops{at: at, drag: drag, entered: make(chan struct{}), off: make(chan struct{})}
}

// orderly checks the order of each split within a key.
type orderly struct {
	p     *pump
	stops *stops // nil: none
	taken int64
	last  engine.MapState[int64, int64]
}

func (o *orderly) Open(b *engine.Binder) error { return o.last.Bind(b, "last") }

func (o *orderly) Process(ctx *engine.Context[int64], word int64, out *engine.Output[int64]) error {
	if o.taken++; o.stops != nil && o.taken == o.stops.at {
		o.stops.first.Do(func() { close(o.stops.entered) })
		<-o.stops.off
	}
	if o.stops != nil {
		drag(o.stops.drag) // the barriers overtake meanwhile
	}
	v := open(word)
	split := v % int64(o.p.splits)
	if last, known := o.last.Lookup(split); known && v <= last {
		return fmt.Errorf("key %d: number %d came after %d of its split", ctx.Key(), v, last)
	}
	o.last.Put(split, v)
	out.Emit(word)
	return nil
}

// someKeys are few enough for each to have many numbers of each split.
func someKeys(word int64) int64 { return open(word) / 3 % 17 }

// TestCrashesWhileDraining: a chain of crashes, each after a checkpoint that was
// taken while recovered data was processed, at 2 → 3 → 5 → 1 subtasks. Nothing is
// lost or doubled, the records of a split and key keep their order, and what the
// checkpoints have in flight does not grow by being handed on (R6).
func TestCrashesWhileDraining(t *testing.T) {
	for _, chain := range [][]int{{2, 3, 5, 1}, {1, 5, 3, 2}, {3, 3, 3, 3}} {
		for _, fresh := range []int64{0, 20} {
			t.Run(fmt.Sprintf("%v/new=%d", chain, fresh), func(t *testing.T) {
				t.Parallel()
				drag := 50
				for ; !crashesWhileDraining(t, chain, fresh, drag) && drag < 10_000; drag *= 4 {
				}
				if drag >= 10_000 {
					t.Error("everything is processed before a checkpoint, however slow that is")
				}
			})
		}
	}
}

// crashesWhileDraining runs one chain. It returns false if the machine was so slow
// in taking a checkpoint that nothing was in flight any more; records should then
// take longer.
func crashesWhileDraining(t *testing.T, chain []int, fresh int64, slow int) bool {
	p, out, st := newPump(3, 400), collect.New[int64](), mem.New()
	cfg := engine.Config{KeyGroups: 128, Exchange: network(), Logger: strict(t)}
	cfg.Checkpoints = engine.CheckpointConfig{Store: st, Retained: 1000, Unaligned: true}
	cfg.Restore.From = "latest"
	build := func(s *stops) *engine.Graph {
		g := engine.NewGraph("draining")
		src := engine.From(g, "source", words(p), noTime)
		engine.Apply(engine.KeyBy(src, someKeys), "orderly", func() engine.Process[int64, int64, int64] { return &orderly{p: p, stops: s} }).To("out", out)
		return g
	}
	var records, bytes, stored []uint64
	for i, parallelism := range chain {
		s := newStops(int64(5+i), slow)
		cfg.Parallelism = parallelism
		cfg.Observer = engine.ObserverFunc(func(e engine.Event) {
			if _, ok := e.(engine.CheckpointTriggered); ok {
				s.release.Do(func() { close(s.off) })
			}
		})
		job, err := engine.Start(t.Context(), build(s), cfg)
		if err != nil {
			t.Fatal(err)
		}
		<-s.entered
		p.rest()
		at, err := job.Checkpoint(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		job.Cancel(errCancelled)
		if err := job.Wait(); !errors.Is(err, errCancelled) {
			t.Fatalf("the job ended with %v", err)
		}
		n, size, onDisk := inFlightBytes(t, st, at.Path)
		records, bytes, stored = append(records, n), append(bytes, size), append(stored, onDisk)
		if n == 0 {
			return false
		}
		p.more(fresh)
	}
	const frame = 25 // bytes of a number on its way
	for i := range chain {
		// 1.2 of them for the rows is a bound from far: they are compressed.
		if stored[i] > bytes[i]*6/5 {
			t.Errorf("%d records of %d bytes were in flight, which take %d", records[i], bytes[i], stored[i])
		}
		// All that there is has been read before, but for what is new. That has
		// a watermark or two.
		if more := uint64(fresh * int64(p.splits)); i > 0 && (records[i] >= records[i-1]+more || bytes[i] >= bytes[i-1]+more*(frame+7)) {
			t.Errorf("in flight grow from %d records of %d bytes to %d of %d; %d were new", records[i-1], bytes[i-1], records[i], bytes[i], more)
		}
	}
	p.stop()
	cfg.Parallelism, cfg.Observer = 2, nil
	if err := engine.Run(t.Context(), build(nil), cfg); err != nil {
		t.Fatal(err)
	}
	entries := out.Entries()
	slices.SortStableFunc(entries, func(a, b collect.Entry[int64]) int { return cmp.Compare(a.ID, b.ID) })
	var c tally
	var got []int64
	last := map[[2]int64]int64{}
	for _, e := range entries {
		v := open(e.Record)
		got = append(got, v)
		at := [2]int64{v % 3, someKeys(e.Record)}
		if before, ok := last[at]; ok && v < before {
			c.disorder++
		}
		last[at] = v
	}
	c.count(t, got, p.total())
	c.check(t)
	t.Logf("RESULT TestCrashesWhileDraining chain=%v new=%d records=%d in-flight=%v bytes=%v stored=%v %v", chain, fresh, len(got), records, bytes, stored, c)
	return true
}

// inFlightBytes is how many records a checkpoint has in flight, their bytes, and
// those that they take in the checkpoint.
func inFlightBytes(t *testing.T, st store.Store, path string) (records, bytes, stored uint64) {
	t.Helper()
	ck, err := reader.Open(t.Context(), st, path)
	if err != nil {
		t.Fatal(err)
	}
	defer ck.Close()
	edges, err := ck.Edges()
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range edges {
		records, stored = records+e.InFlightRecords, stored+e.InFlightBytes
		for _, side := range []format.Kind{format.KindInputChannel, format.KindOutputChannel} {
			for row, err := range ck.Buffers(t.Context(), e.ID, side) {
				if err != nil {
					t.Fatal(err)
				}
				bytes += uint64(len(row.Row.Payload))
			}
		}
	}
	return records, bytes, stored
}
