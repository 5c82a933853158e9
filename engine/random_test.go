package engine_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tidemark-io/tidemark/engine"
	"github.com/tidemark-io/tidemark/engine/exchange"
	"github.com/tidemark-io/tidemark/reader"
	"github.com/tidemark-io/tidemark/store"
	"github.com/tidemark-io/tidemark/store/mem"
)

// scenario is a random topology, and the runs that take it from the first record
// to the last.
type scenario struct {
	t        topology
	step     int64 // records of each split between two checkpoints
	runs     []leg
	chaining bool
	small    bool   // buffers
	credit   bool   // exchange with credits
	mode     string // of checkpoints: "aligned", "unaligned", "timeout", "by key"
	held     int64  // records in flight in a first checkpoint, 0 if there is none
}

// leg is one run of the job.
type leg struct {
	parallelism int
	fails       []int64 // numbers of the calls of functions that fail
	panics      bool
	every       int64  // calls between two requests for a checkpoint
	end         string // "cancel", "stop" or "savepoint" after some checkpoints, "finish"
	after       int    // how many
}

func randomScenario(r *rand.Rand) scenario {
	s := scenario{chaining: r.IntN(3) > 0, small: r.IntN(2) > 0, credit: r.IntN(3) == 0}
	s.mode = []string{"aligned", "unaligned", "timeout", "by key"}[r.IntN(4)]
	s.chaining = s.chaining && s.mode != "by key" // which would leave little to overtake
	splits, n := 1+r.IntN(4), 50+r.Int64N(400)
	s.step = 20 + r.Int64N(n/2)
	// By chance few jobs have 1, 2, or at least 1,000 records in flight: three of
	// five have a first run that ends at a checkpoint with them.
	switch r.IntN(5) {
	case 0:
		s.held = 1
	case 1:
		s.held = 2
	case 2:
		s.held = 1000 + r.Int64N(500)
	}
	if 0 < s.held && s.held < 1000 {
		splits = 1
	}
	s.t = randomTopology(r, splits, n+s.held, s.held > 0, s.mode)
	for i := range 1 + r.IntN(4) {
		l := leg{parallelism: 1 + r.IntN(5), every: 50 + r.Int64N(500), end: []string{"cancel", "stop", "savepoint"}[r.IntN(3)], after: r.IntN(4), panics: r.IntN(2) > 0}
		if r.IntN(8) == 0 {
			l.parallelism = 1 + r.IntN(12)
		}
		for range r.IntN(3) {
			l.fails = append(l.fails, 1+r.Int64N(8*n))
		}
		if i == 0 {
			l.end = "finish"
		}
		s.runs = append(s.runs, l)
	}
	slices.Reverse(s.runs) // the last one finishes
	return s
}

// heldLeg is the parallelism of the first run, and how far each split is read:
// each subtask of the gate holds one record, the others are in flight.
func (s *scenario) heldLeg() (parallelism int, limit int64) {
	if s.held < 1000 {
		return 1, s.held + 1
	}
	parallelism = s.runs[0].parallelism
	return parallelism, (s.held+int64(parallelism))/int64(s.t[0].splits) + 1
}

// parallelisms are those of all runs.
func (s *scenario) parallelisms() (list []int) {
	for _, l := range s.runs {
		list = append(list, l.parallelism)
	}
	if s.held > 0 {
		p, _ := s.heldLeg()
		list = append(list, p)
	}
	return list
}

func (s scenario) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "step %d, chaining=%v small=%v credit=%v held=%d %s:%v", s.step, s.chaining, s.small, s.credit, s.held, s.mode, s.t)
	for _, l := range s.runs {
		fmt.Fprintf(&b, "\n  p=%d %s after %d, fails at %v", l.parallelism, l.end, l.after, l.fails)
	}
	return b.String()
}

// first is the run that ends at a checkpoint with records in flight.
func (s scenario) first(t *testing.T, cfg engine.Config) {
	t.Helper()
	b := newBrake()
	cfg.Parallelism, _ = s.heldLeg()
	cfg.Checkpoints.Unaligned, cfg.Checkpoints.AlignedTimeout, cfg.Checkpoints.Interval = true, 0, 0
	cfg.Exchange = exchange.Config{} // all fits in
	cfg.Observer = &recorder{on: func(e engine.Event) {
		if _, ok := e.(engine.CheckpointTriggered); ok {
			close(b.off)
		}
	}}
	job := start(t, s.t.build(&probe{t: s.t, brake: b}), cfg)
	s.t[0].series.rest()
	<-b.entered
	take(t, job)
	job.Cancel(nil)
	<-job.Done()
	s.t.raise(s.step)
}

// run executes one leg and returns how many checkpoints and restarts it had, how
// many records were in flight in each checkpoint that was restored, and the
// checkpoint to restore in the next leg.
func (s scenario) run(t *testing.T, cfg engine.Config, l leg) (checkpoints, restarts int, restored []uint64, next string) {
	t.Helper()
	enough := make(chan struct{})
	rec := &recorder{}
	done := 0 // the observer is called by one goroutine at a time
	rec.on = func(e engine.Event) {
		switch e := e.(type) {
		case engine.CheckpointCompleted:
			s.t.raise(s.step)
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
	job := start(t, s.t.build(&probe{t: s.t, fails: l.fails, panics: l.panics, every: l.every, asked: asked}), cfg)
	why := errors.New("cancelled on purpose")
	stopped := make(chan struct{})
	next = latest.From
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
				case "savepoint":
					if at, err := job.StopWithSavepoint(context.Background()); err == nil {
						next = at.Path
						continue
					}
					job.Stop() // it may have failed with the attempt
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
	return len(eventsOf[engine.CheckpointCompleted](rec)), len(eventsOf[engine.Restarting](rec)), restored, next
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

// totals are the figures of many random jobs.
type totals struct {
	legs, checkpoints, restarts, records atomic.Int64
	orders                               [3]atomic.Int64 // sinks by the order that is promised
	kinds                                map[string]*atomic.Int64
	loads                                loads
}

// config is that of a scenario.
func (s scenario) config(seed uint64) engine.Config {
	cfg := engine.Config{DisableChaining: !s.chaining, KeyGroups: 32, Restore: latest,
		Restart:     engine.RestartConfig{Attempts: 3},
		Checkpoints: engine.CheckpointConfig{Store: mem.New(), Interval: 5 * time.Millisecond}}
	cfg.Checkpoints.Incremental = seed%2 == 0
	cfg.Checkpoints.Unaligned = s.mode != "aligned"
	cfg.Checkpoints.PointwiseByKey = s.mode == "by key"
	if s.mode == "timeout" {
		cfg.Checkpoints.AlignedTimeout = time.Millisecond
	}
	if s.small {
		cfg.Exchange = small()
	}
	if s.credit {
		if !s.small {
			cfg.Exchange = exchange.DefaultConfig()
		}
		cfg.Exchange.Exchange = exchange.Credit
	}
	return cfg
}

// runSeed runs the scenario of a seed and compares it with the oracle.
func runSeed(t *testing.T, seed uint64, sum *totals) {
	s := randomScenario(rand.New(rand.NewPCG(seed, 7)))
	defer func() {
		if t.Failed() {
			t.Logf("TIDEMARK_SEED=%d: %v", seed, s)
		}
	}()
	cfg := s.config(seed)
	if s.held > 0 {
		_, limit := s.heldLeg()
		s.t.prepare(limit, 0)
		s.first(t, cfg)
	} else {
		s.t.prepare(s.step, s.step)
	}
	var inFlight []uint64
	defer func() { sum.loads.add(inFlight) }()
	for _, l := range s.runs {
		c, r, restored, next := s.run(t, cfg, l)
		inFlight = append(inFlight, restored...)
		sum.checkpoints.Add(int64(c))
		sum.restarts.Add(int64(r))
		sum.legs.Add(1)
		cfg.Restore.From = next
	}
	records, orders, err := s.t.differences(s.parallelisms())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := verifyAll(t.Context(), cfg.Checkpoints.Store); err != nil && !errors.Is(err, errUnused) {
		t.Error(err)
	}
	sum.records.Add(int64(records))
	for _, o := range orders {
		sum.orders[o].Add(1)
	}
	for _, v := range s.t {
		sum.kinds[v.kind].Add(1)
	}
}

// vertexKinds are all kinds of vertices.
var vertexKinds = slices.Concat(plainKinds, keyedKinds, pairKinds, []string{"source", "gate", "hold", "rules", "late source", "late window", "side", "count", "direct"})

// Random topologies, run with random parallelism, failures, stops and restores,
// give what a loop gives: each record once, in the order that the topology
// promises. TIDEMARK_SEED sets the first seed, TIDEMARK_JOBS their number,
// TIDEMARK_LONG the long form.
func TestRandomJobs(t *testing.T) {
	jobs, first := uint64(100), uint64(1)
	if testing.Short() {
		jobs = 10
	}
	if os.Getenv("TIDEMARK_LONG") != "" {
		jobs = 2000
	}
	for name, n := range map[string]*uint64{"TIDEMARK_SEED": &first, "TIDEMARK_JOBS": &jobs} {
		if s := os.Getenv(name); s != "" {
			var err error
			if *n, err = strconv.ParseUint(s, 10, 64); err != nil {
				t.Fatal(err)
			}
		}
	}
	sum := &totals{kinds: map[string]*atomic.Int64{}}
	for _, k := range vertexKinds {
		sum.kinds[k] = &atomic.Int64{}
	}
	t.Run("seeds", func(t *testing.T) {
		for seed := first; seed < first+jobs; seed++ {
			t.Run(fmt.Sprint(seed), func(t *testing.T) {
				t.Parallel()
				runSeed(t, seed, sum)
			})
		}
	})
	if jobs >= 100 {
		for i, load := range []string{"no", "1", "2", "1,000 or more"} {
			if n := sum.loads[i].Load(); n < int64(jobs/10) {
				t.Errorf("%d of %d jobs were restored with %s records in flight, want a tenth", n, jobs, load)
			}
		}
		for kind, n := range sum.kinds {
			if n.Load() == 0 {
				t.Errorf("no job had a vertex of the kind %q", kind)
			}
		}
	}
	var kinds strings.Builder
	for _, k := range vertexKinds {
		fmt.Fprintf(&kinds, " %s=%d", strings.ReplaceAll(k, " ", "-"), sum.kinds[k].Load())
	}
	t.Logf("RESULT TestRandomJobs jobs=%d first-seed=%d runs=%d checkpoints=%d restarts=%d records=%d sinks-ordered-by-split=%d sinks-ordered-by-split-and-key=%d sinks-unordered=%d in-flight-0=%d in-flight-1=%d in-flight-2=%d in-flight-1000=%d%s lost=0 twice=0 out-of-order=0",
		jobs, first, sum.legs.Load(), sum.checkpoints.Load(), sum.restarts.Load(), sum.records.Load(), sum.orders[perSplit].Load(), sum.orders[perKey].Load(), sum.orders[noOrder].Load(),
		sum.loads[0].Load(), sum.loads[1].Load(), sum.loads[2].Load(), sum.loads[3].Load(), kinds.String())
}
