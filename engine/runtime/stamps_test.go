package runtime_test

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tidemark-io/tidemark/engine"
	"github.com/tidemark-io/tidemark/engine/connector/collect"
	"github.com/tidemark-io/tidemark/engine/connector/slice"
	"github.com/tidemark-io/tidemark/engine/exchange"
	"github.com/tidemark-io/tidemark/engine/runtime"
	"github.com/tidemark-io/tidemark/reader"
	"github.com/tidemark-io/tidemark/store/mem"
)

// reading is a record; a timer of it is one, too.
type reading struct{ At, Key, Sum int64 }

// stamp is what an operator did: with which record or timer, at which watermark,
// after how many others of the key.
type stamp struct {
	At, Key, Sum, Watermark, N int64
	Timer                      bool
}

// stamper emits a stamp for each record, and for a timer somewhat later.
type stamper struct {
	brake *brake
	n     engine.Value[int64]
}

// brake holds up an operator at one of its records until there is a checkpoint.
type brake struct {
	mu      sync.Mutex
	after   int
	entered chan struct{}
	off     chan struct{}
	release sync.Once
}

func (b *brake) wait() {
	if b == nil {
		return
	}
	b.mu.Lock()
	b.after--
	now := b.after == 0
	b.mu.Unlock()
	if now {
		close(b.entered)
		<-b.off
	}
}

func (s *stamper) Open(b *engine.Binder) error { return s.n.Bind(b, "n") }

func (s *stamper) emit(ctx *engine.Context[int64], at, sum int64, timer bool, out *engine.Output[stamp]) {
	n := s.n.Get() + 1
	s.n.Set(n)
	out.Emit(stamp{at, ctx.Key(), sum, ctx.Watermark(), n, timer})
}

func (s *stamper) Process(ctx *engine.Context[int64], r reading, out *engine.Output[stamp]) error {
	s.brake.wait()
	ctx.RegisterTimer(r.At + 7 + r.Sum%40)
	s.emit(ctx, r.At, r.Sum, false, out)
	return nil
}

func (s *stamper) OnTimer(ctx *engine.Context[int64], at int64, out *engine.Output[stamp]) error {
	s.emit(ctx, at, 0, true, out)
	return nil
}

// stampJob is a source of several subtasks → keyed stamps → stamps of these,
// keyed in another way: every subtask has several senders.
func stampJob(p int, records []reading, b *brake, out engine.Sink[stamp]) *engine.Graph {
	g := engine.NewGraph("stamps")
	w := engine.BoundedDisorder(func(r reading) int64 { return r.At }, 20*time.Millisecond).EveryRecords(5)
	s := engine.From(g, "source", slice.New(records, p), w, engine.Parallelism(p))
	first := engine.Apply(engine.KeyBy(s, func(r reading) int64 { return r.Key }), "first",
		func() engine.Process[int64, reading, stamp] { return &stamper{} })
	again := engine.Map(first, func(s stamp) reading { return reading{s.At, s.Key, s.Watermark*31 + s.N} })
	engine.Apply(engine.KeyBy(again, func(r reading) int64 { return (r.Sum&0xffff + r.Key) % 13 }), "second",
		func() engine.Process[int64, reading, stamp] { return &stamper{brake: b} }).To("out", out)
	return g
}

// readings are records whose times are out of order.
func readings(n int) []reading {
	r := rand.New(rand.NewPCG(3, 1))
	list := make([]reading, n)
	for i := range list {
		list[i] = reading{max(0, int64(i)-r.Int64N(30)), r.Int64N(40), int64(i)}
	}
	return list
}

// TestStampsAfterARestore is promise W1 (R3): at an unchanged parallelism a
// restored job is in exactly the state of the cut. The order in which each
// subtask takes the records and watermarks of its senders is recorded, up to the
// snapshot of a checkpoint and on from there in the job that is restored from it;
// a third job without checkpoint and restore takes them in that order, and what
// it emits is the same, byte for byte: each stamp, each timer, in each subtask.
func TestStampsAfterARestore(t *testing.T) {
	modes := map[string]engine.CheckpointConfig{
		"aligned":   {},
		"unaligned": {Unaligned: true},
		"timed out": {Unaligned: true, AlignedTimeout: time.Millisecond},
	}
	var captured atomic.Uint64
	t.Cleanup(func() {
		if captured.Load() == 0 {
			t.Error("nothing was in flight: the test shows nothing")
		}
	})
	for _, mode := range []string{"aligned", "unaligned", "timed out"} {
		for _, p := range []int{1, 2, 3, 5} {
			t.Run(fmt.Sprintf("%s/%d", mode, p), func(t *testing.T) {
				t.Parallel()
				captured.Add(stampsAfterARestore(t, mode, modes[mode], p))
			})
		}
	}
}

// stampsAfterARestore returns how many records were in flight in the checkpoint.
func stampsAfterARestore(t *testing.T, name string, mode engine.CheckpointConfig, p int) (captured uint64) {
	records := readings(3000)
	cfg := engine.Config{Parallelism: p, KeyGroups: 32, BufferTimeout: time.Millisecond, Exchange: exchange.DefaultConfig(), Checkpoints: mode}
	cfg.Exchange.BufferSize, cfg.Exchange.BuffersPerChannel, cfg.Exchange.FloatingPerGate = 512, 1, 1
	cfg.Checkpoints.Store, cfg.Restore.From = mem.New(), "latest"
	order, out := runtime.NewConsumption(), collect.New[stamp]()
	order.Use(&cfg)

	// Up to a checkpoint in the middle.
	b := &brake{after: 1500, entered: make(chan struct{}), off: make(chan struct{})}
	first := cfg
	first.Observer = engine.ObserverFunc(func(e engine.Event) {
		if _, ok := e.(engine.CheckpointTriggered); ok {
			b.release.Do(func() { close(b.off) })
		}
	})
	job, err := engine.Start(t.Context(), stampJob(p, records, b, out), first)
	if err != nil {
		t.Fatal(err)
	}
	<-b.entered
	cut, err := job.Checkpoint(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	job.Cancel(context.Canceled)
	<-job.Done()
	if err := order.CutAt(cut.ID); err != nil {
		t.Fatal(err)
	}
	ck, err := reader.Open(t.Context(), cfg.Checkpoints.Store, cut.Path)
	if err != nil {
		t.Fatal(err)
	}
	captured = ck.Summary().InFlightRecords
	if err := ck.Close(); err != nil {
		t.Fatal(err)
	}

	// From there to the end.
	if err := engine.Run(t.Context(), stampJob(p, records, nil, out), cfg); err != nil {
		t.Fatal(err)
	}
	restored := bySubtask(out)

	// The same without a restore. Buffers hold everything, so that no task waits
	// for another one that follows an order, too.
	order.Replay()
	once, plain := cfg, collect.New[stamp]()
	once.Checkpoints = engine.CheckpointConfig{}
	once.Restore.From = ""
	once.Exchange.BuffersPerChannel, once.Exchange.MaxPerChannel = 10_000, 10_000
	if err := engine.Run(t.Context(), stampJob(p, records, nil, plain), once); err != nil {
		t.Fatal(err)
	}
	if left := order.Left(); left > 0 {
		t.Fatalf("%d of %d frames were not taken", left, order.Frames())
	}
	different := 0
	for subtask, want := range bySubtask(plain) {
		got := restored[subtask]
		if len(got) != len(want) {
			t.Errorf("subtask %d: %d stamps, without a restore %d", subtask, len(got), len(want))
		}
		for i := range min(len(got), len(want)) {
			if got[i] != want[i] {
				if different++; different <= 3 {
					t.Errorf("subtask %d, stamp %d of %d: %+v, without a restore %+v", subtask, i, len(want), got[i], want[i])
				}
			}
		}
	}
	t.Logf("RESULT TestStampsAfterARestore mode=%q parallelism=%d stamps=%d frames=%d switches=%d in-flight=%d different=%d", name, p, len(plain.Entries()), order.Frames(), order.Switches(), captured, different)
	return captured
}

// bySubtask are the stamps of each subtask, in order.
func bySubtask(out *collect.Sink[stamp]) map[int][]stamp {
	entries := out.Entries()
	slices.SortStableFunc(entries, func(a, b collect.Entry[stamp]) int { return cmp.Compare(a.ID, b.ID) })
	list := map[int][]stamp{}
	for _, e := range entries {
		list[e.Subtask] = append(list[e.Subtask], e.Record)
	}
	return list
}
