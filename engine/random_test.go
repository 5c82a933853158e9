package engine_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tidemark-io/tidemark/engine"
	"github.com/tidemark-io/tidemark/engine/connector/collect"
	"github.com/tidemark-io/tidemark/engine/exchange"
	"github.com/tidemark-io/tidemark/reader"
	"github.com/tidemark-io/tidemark/store"
	"github.com/tidemark-io/tidemark/store/mem"
)

// scenario is a random chain of operators, and the runs that take it from the
// first record to the last.
type scenario struct {
	splits   int
	n        int64 // records of each split
	step     int64 // of each split, between two checkpoints
	stages   []stage
	runs     []leg
	chaining bool
	small    bool
	mode     string // of checkpoints: "aligned", "unaligned", "timeout"
	held     int64  // records in flight in a first checkpoint, 0 if there is none
}

// stage is one operator of the chain.
type stage struct {
	kind        string
	parallelism int // 0: the job's
	salt        int64
}

// leg is one run of the job.
type leg struct {
	parallelism int
	failAfter   int64 // records until an operator fails, 0 never
	panics      bool
	every       int64  // records between two requests for a checkpoint
	end         string // "cancel" or "stop" after some checkpoints, "finish"
	after       int    // how many
}

var stageKinds = []string{"map", "filter", "flatmap", "rekey", "rebalance", "shuffle", "global", "bykey", "bysplit"}

func randomScenario(r *rand.Rand) scenario {
	s := scenario{splits: 1 + r.IntN(4), n: 100 + r.Int64N(900), chaining: r.IntN(3) > 0, small: r.IntN(2) > 0}
	s.step = 20 + r.Int64N(s.n/2)
	for range r.IntN(5) {
		st := stage{kind: stageKinds[r.IntN(len(stageKinds))], salt: r.Int64N(1000)}
		if r.IntN(3) == 0 {
			st.parallelism = 1 + r.IntN(4)
		}
		s.stages = append(s.stages, st)
	}
	for i := range 1 + r.IntN(4) {
		l := leg{parallelism: 1 + r.IntN(5), every: 50 + r.Int64N(500), end: []string{"cancel", "stop"}[r.IntN(2)], after: r.IntN(4), panics: r.IntN(2) > 0}
		if r.IntN(2) == 0 {
			l.failAfter = 1 + r.Int64N(s.n)
		}
		if i == 0 {
			l.end = "finish"
		}
		s.runs = append(s.runs, l)
	}
	slices.Reverse(s.runs) // the last one finishes
	s.mode = []string{"aligned", "unaligned", "timeout"}[r.IntN(3)]
	if s.mode != "aligned" {
		// A forward connection of unequal parallelism may hold data in
		// flight and be chained at the next parallelism: that is refused.
		for i := range s.stages {
			s.stages[i].parallelism = 0
		}
	}
	s.hold(r)
	return s
}

// hold gives three of five scenarios a first run that ends at a checkpoint with 1,
// 2, or at least 1,000 records in flight: by chance these are rare.
func (s *scenario) hold(r *rand.Rand) {
	switch r.IntN(5) {
	case 0:
		s.held = 1
	case 1:
		s.held = 2
	case 2:
		s.held = 1000 + r.Int64N(500)
	default:
		return
	}
	if s.held < 1000 {
		s.splits = 1
	}
	s.n += s.held
	s.stages = slices.DeleteFunc(s.stages, func(st stage) bool { return st.kind != "bykey" && st.kind != "bysplit" })
	for i := range s.stages {
		s.stages[i].parallelism = 0
	}
}

// heldLeg is the parallelism of the first run, and how far each split is read:
// each subtask of the last function holds one record, the others are in flight.
func (s *scenario) heldLeg() (parallelism int, limit int64) {
	if s.held < 1000 {
		return 1, s.held + 1
	}
	parallelism = s.runs[0].parallelism
	return parallelism, (s.held+int64(parallelism))/int64(s.splits) + 1
}

func (s scenario) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d splits of %d, step %d, chaining=%v small=%v held=%d %s:", s.splits, s.n, s.step, s.chaining, s.small, s.held, s.mode)
	for _, st := range s.stages {
		fmt.Fprintf(&b, " %s/%d", st.kind, st.parallelism)
	}
	for _, l := range s.runs {
		fmt.Fprintf(&b, "; p=%d %s after %d, fails after %d", l.parallelism, l.end, l.after, l.failAfter)
	}
	return b.String()
}

// mix is a number that depends on two others.
func mix(a, b int64) int64 {
	h := (uint64(a)*0x9E3779B97F4A7C15 ^ uint64(b)) * 0xBF58476D1CE4E5B9
	return int64(h >> 34)
}

// apply is what a stage does to one record, without the engine.
func (st stage) apply(r numbered) []numbered {
	switch st.kind {
	case "filter":
		if mix(r.Seq, st.salt)%5 == 0 {
			return nil
		}
	case "flatmap":
		var list []numbered
		for i := range mix(r.Seq, st.salt) % 4 {
			list = append(list, numbered{r.Split, r.Seq*4 + i, r.Key})
		}
		return list
	case "rekey":
		r.Key = mix(r.Key, st.salt) % keys
	}
	return []numbered{r}
}

// build adds the stage to a stream.
func (st stage) build(i int, s engine.Stream[numbered]) engine.Stream[numbered] {
	var opts []engine.Option
	if st.parallelism > 0 {
		opts = append(opts, engine.Parallelism(st.parallelism))
	}
	each := func(r numbered) numbered { return st.apply(r)[0] }
	switch st.kind {
	case "filter":
		return s.Filter(func(r numbered) bool { return len(st.apply(r)) > 0 }, opts...)
	case "flatmap":
		return engine.FlatMap(s, func(r numbered, out *engine.Output[numbered]) {
			for _, o := range st.apply(r) {
				out.Emit(o)
			}
		}, opts...)
	case "rebalance":
		return engine.Map(s.Rebalance(), each, opts...)
	case "shuffle":
		return engine.Map(s.Shuffle(), each, opts...)
	case "global":
		return engine.Map(s.Global(), each, opts...)
	case "bykey":
		byKey := engine.KeyBy(s, func(r numbered) int64 { return r.Key })
		return engine.Apply(byKey, fmt.Sprintf("bykey-%d", i), func() engine.Process[int64, numbered, numbered] { return &through[int64]{} }, opts...)
	case "bysplit":
		bySplit := engine.KeyBy(s, func(r numbered) string { return fmt.Sprint("split ", r.Split) })
		return engine.Apply(bySplit, fmt.Sprintf("bysplit-%d", i), func() engine.Process[string, numbered, numbered] { return &through[string]{} }, opts...)
	default:
		return engine.Map(s, each, opts...)
	}
}

// through lets records through, and fails if its count per key and split was
// lost or doubled: sequence numbers rise if order is kept, else it only counts.
type through[K any] struct{ n engine.Value[int64] }

func (p *through[K]) Open(b *engine.Binder) error { return p.n.Bind(b, "n") }

func (p *through[K]) Process(_ *engine.Context[K], r numbered, out *engine.Output[numbered]) error {
	p.n.Set(p.n.Get() + 1)
	out.Emit(r)
	return nil
}

// keepsOrder computes what the topology guarantees (R15): whether records of
// one split and final key keep their order. A stage that spreads records in
// turn loses it; so does giving records a new key after they were partitioned
// by the old one.
func (s scenario) keepsOrder() bool {
	for _, run := range s.runs {
		at, byKey := run.parallelism, false
		for _, st := range s.stages {
			p := st.parallelism
			if p == 0 {
				p = run.parallelism
			}
			switch {
			case st.kind == "bykey":
				byKey = byKey || p > 1
			case st.kind == "bysplit":
			case p > 1 && (st.kind == "rebalance" || st.kind == "shuffle" || p != at):
				return false
			}
			if st.kind == "rekey" && byKey {
				return false
			}
			at = p
		}
	}
	return true
}

// oracle is the output without an engine.
func (s scenario) oracle() map[numbered]int {
	want := map[numbered]int{}
	for split := range s.splits {
		for i := range uint64(s.n) {
			list := []numbered{{int64(split), int64(i), keyOf(split, i)}}
			for _, st := range s.stages {
				var next []numbered
				for _, r := range list {
					next = append(next, st.apply(r)...)
				}
				list = next
			}
			for _, r := range list {
				want[r]++
			}
		}
	}
	return want
}

// brake lets functions wait at their first record.
type brake struct {
	once    sync.Once
	entered chan struct{} // closed when one waits
	off     chan struct{} // closed when they go on
}

func newBrake() *brake { return &brake{entered: make(chan struct{}), off: make(chan struct{})} }

// braked is a fused function with a brake, which may be nil.
type braked struct {
	fused
	brake *brake
}

func (b *braked) Process(ctx *engine.Context[int64], r numbered, out *engine.Output[counted]) error {
	if b.brake != nil {
		b.brake.once.Do(func() { close(b.brake.entered) })
		<-b.brake.off
		for range 200 { // the barriers overtake meanwhile; how many records they do is counted
			runtime.Gosched()
		}
		b.brake = nil
	}
	return b.fused.Process(ctx, r, out)
}

// first is the run that ends at a checkpoint with records in flight.
func (s scenario) first(t *testing.T, cfg engine.Config, src *series[numbered], out engine.Sink[counted]) {
	t.Helper()
	b := newBrake()
	l := leg{every: all}
	l.parallelism, _ = s.heldLeg()
	cfg.Parallelism, cfg.Checkpoints.Unaligned, cfg.Checkpoints.AlignedTimeout, cfg.Checkpoints.Interval = l.parallelism, true, 0, 0
	cfg.Exchange = exchange.Config{} // all fits in
	cfg.Observer = &recorder{on: func(e engine.Event) {
		if _, ok := e.(engine.CheckpointTriggered); ok {
			close(b.off)
		}
	}}
	job := start(t, s.graph(src, out, l, nil, b), cfg)
	src.rest()
	<-b.entered
	take(t, job)
	job.Cancel(nil)
	<-job.Done()
	src.raise(s.step)
}

// graph builds the job. asked is sent to after every so many records.
func (s scenario) graph(src engine.Source[numbered], out engine.Sink[counted], l leg, asked chan<- struct{}, b *brake) *engine.Graph {
	g := engine.NewGraph("random")
	f := newFuse(l.failAfter)
	f.panics = l.panics
	var seen atomic.Int64
	stream := engine.Map(engine.From(g, "numbers", src, ordered()), func(r numbered) numbered {
		if seen.Add(1)%l.every == 0 {
			select {
			case asked <- struct{}{}:
			default:
			}
		}
		return r
	})
	for i, st := range s.stages {
		stream = st.build(i, stream)
	}
	byKey := engine.KeyBy(stream, func(r numbered) int64 { return r.Key })
	engine.Apply(byKey, "count", func() engine.Process[int64, numbered, counted] { return &braked{fused{fuse: f}, b} }).To("out", out)
	return g
}

// run executes one leg and returns how many checkpoints and restarts it had, and
// how many records were in flight in each checkpoint that was restored.
func (s scenario) run(t *testing.T, cfg engine.Config, l leg, src *series[numbered], out engine.Sink[counted]) (checkpoints, restarts int, restored []uint64) {
	t.Helper()
	enough := make(chan struct{})
	rec := &recorder{}
	done := 0 // the observer is called by one goroutine at a time
	rec.on = func(e engine.Event) {
		switch e := e.(type) {
		case engine.CheckpointCompleted:
			src.raise(s.step)
			if done++; done == l.after+1 {
				close(enough)
			}
		case engine.RunStarted:
			restored = append(restored, inFlightOf(t, cfg.Checkpoints.Store, e.Restored)...)
		case engine.Restarting:
			restored = append(restored, inFlightOf(t, cfg.Checkpoints.Store, e.From)...)
		}
	}
	cfg.Parallelism, cfg.Observer = l.parallelism, rec
	asked := make(chan struct{}, 1)
	job := start(t, s.graph(src, out, l, asked, nil), cfg)
	why := errors.New("cancelled on purpose")
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-asked:
				_, _ = job.Checkpoint(context.Background()) // it may fail with the attempt
			case <-enough:
				enough = nil
				switch l.end {
				case "cancel":
					job.Cancel(why)
				case "stop":
					job.Stop()
				}
			case <-job.Done():
				return
			}
		}
	}()
	err := job.Wait()
	<-stopped
	if err != nil && !errors.Is(err, why) {
		t.Fatal(err)
	}
	return len(eventsOf[engine.CheckpointCompleted](rec)), len(eventsOf[engine.Restarting](rec)), restored
}

// inFlightOf is how many records a checkpoint has in flight, none if there is no
// checkpoint.
func inFlightOf(t *testing.T, st store.Store, path string) []uint64 {
	if path == "" {
		return nil
	}
	ck, err := reader.Open(t.Context(), st, path)
	if err != nil {
		t.Error(err)
		return nil
	}
	defer ck.Close()
	return []uint64{ck.Summary().InFlightRecords}
}

// loads counts the jobs that were restored with 0, 1, 2 and at least 1,000
// records in flight.
type loads [4]atomic.Int64

func (l *loads) add(restored []uint64) {
	var had [4]bool
	for _, n := range restored {
		if n <= 2 {
			had[n] = true
		}
		had[3] = had[3] || n >= 1000
	}
	for i, h := range had {
		if h {
			l[i].Add(1)
		}
	}
}

// check compares the output with the oracle.
func (s scenario) check(t *testing.T, got []counted) {
	t.Helper()
	want := s.oracle()
	perKey := map[int64][]counted{}
	for _, r := range got {
		at := numbered{r.Split, r.Seq, r.Key}
		if want[at]--; want[at] < 0 {
			t.Fatalf("record %+v came too often", at)
		}
		perKey[r.Key] = append(perKey[r.Key], r)
	}
	for r, n := range want {
		if n != 0 {
			t.Fatalf("record %+v came %d times too seldom", r, n)
		}
	}
	ordered := s.keepsOrder()
	for key, list := range perKey {
		slices.SortFunc(list, func(a, b counted) int { return int(a.N - b.N) })
		last := map[int64]int64{}
		for i, r := range list {
			if r.N != int64(i)+1 {
				t.Fatalf("key %d: number %d stands at place %d", key, r.N, i+1)
			}
			if before, ok := last[r.Split]; ok && ordered && r.Seq < before {
				t.Fatalf("key %d: record %d of split %d came after record %d", key, r.Seq, r.Split, before)
			}
			last[r.Split] = r.Seq
		}
	}
}

// Random chains of operators, run with random parallelism, failures, stops and
// restores, give what a loop gives: each record once, in the order that the
// topology guarantees. TIDEMARK_SEED sets the first seed, TIDEMARK_LONG the long
// form.
func TestRandomJobs(t *testing.T) {
	runs, first := 100, uint64(1)
	if testing.Short() {
		runs = 10
	}
	if os.Getenv("TIDEMARK_LONG") != "" {
		runs = 2000
	}
	if s := os.Getenv("TIDEMARK_SEED"); s != "" {
		var err error
		if first, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	var checkpoints, restarts, legs, records, inOrder atomic.Int64
	var quota loads
	t.Run("seeds", func(t *testing.T) {
		for seed := first; seed < first+uint64(runs); seed++ {
			t.Run(fmt.Sprint(seed), func(t *testing.T) {
				t.Parallel()
				s := randomScenario(rand.New(rand.NewPCG(seed, 7)))
				defer func() {
					if t.Failed() {
						t.Logf("TIDEMARK_SEED=%d: %v", seed, s)
					}
				}()
				cfg := engine.Config{DisableChaining: !s.chaining, KeyGroups: 32, Restore: latest,
					Restart:     engine.RestartConfig{Attempts: 3},
					Checkpoints: engine.CheckpointConfig{Store: mem.New(), Interval: 5 * time.Millisecond}}
				cfg.Checkpoints.Incremental = seed%2 == 0
				cfg.Checkpoints.Unaligned = s.mode != "aligned"
				if s.mode == "timeout" {
					cfg.Checkpoints.AlignedTimeout = time.Millisecond
				}
				if s.small {
					cfg.Exchange = small()
				}
				limit := s.step
				if s.held > 0 {
					_, limit = s.heldLeg()
				}
				src, out := numbers(s.splits, s.n, limit), collect.New[counted]()
				if s.held > 0 {
					s.first(t, cfg, src, out)
				}
				var inFlight []uint64
				defer func() { quota.add(inFlight) }()
				for _, l := range s.runs {
					c, r, restored := s.run(t, cfg, l, src, out)
					inFlight = append(inFlight, restored...)
					checkpoints.Add(int64(c))
					restarts.Add(int64(r))
					legs.Add(1)
				}
				got := out.Records()
				s.check(t, got)
				if _, err := verifyAll(t.Context(), cfg.Checkpoints.Store); err != nil && !errors.Is(err, errUnused) {
					t.Error(err)
				}
				records.Add(int64(len(got)))
				if s.keepsOrder() {
					inOrder.Add(1)
				}
			})
		}
	})
	for i, load := range []string{"no", "1", "2", "1,000 or more"} {
		if n := quota[i].Load(); runs >= 100 && n < int64(runs/10) {
			t.Errorf("%d of %d jobs were restored with %s records in flight, want a tenth", n, runs, load)
		}
	}
	t.Logf("RESULT TestRandomJobs jobs=%d first-seed=%d runs=%d checkpoints=%d restarts=%d records=%d in-order=%d in-flight-0=%d in-flight-1=%d in-flight-2=%d in-flight-1000=%d lost=0 twice=0",
		runs, first, legs.Load(), checkpoints.Load(), restarts.Load(), records.Load(), inOrder.Load(), quota[0].Load(), quota[1].Load(), quota[2].Load(), quota[3].Load())
}
