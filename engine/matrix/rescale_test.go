package matrix_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/tidemark-io/tidemark/engine"
	"github.com/tidemark-io/tidemark/engine/connector/collect"
	"github.com/tidemark-io/tidemark/store/mem"
)

// stream is what travels in most tests: sealed numbers.
type stream = engine.Stream[int64]

var noTime engine.Watermarks[int64]

// rescaleJob is a job of UnalignedCheckpointRescaleITCase at one parallelism.
type rescaleJob struct {
	g    *engine.Graph
	p    int // parallelism
	pump *pump
	trip *trip
	mill *mill
	slow bool // hardly any backpressure

	// fail decides when the failing map does.
	fail func() bool
}

// mill notes which subtask sees which key.
type mill struct {
	mu    sync.Mutex
	where map[[2]int64]int // subtask by attempt and key
}

func (m *mill) see(attempt, key int64, subtask int) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	at := [2]int64{attempt, key}
	if before, ok := m.where[at]; ok && before != subtask {
		return fmt.Errorf("key %d was at subtask %d and is at %d", key, before, subtask)
	}
	m.where[at] = subtask
	return nil
}

// same checks a word.
func same(word int64) int64 { return seal(open(word)) }

// checked is a keyed function that checks that a key keeps its subtask and its
// state its key.
type checked struct {
	j       *rescaleJob
	subtask int
	key     engine.Value[int64]
}

func (c *checked) Open(b *engine.Binder) error {
	c.subtask = b.Subtask()
	return c.key.Bind(b, "key")
}

func (c *checked) Process(ctx *engine.Context[int64], word int64, out *engine.Output[int64]) error {
	if k, known := c.key.Lookup(); known && k != ctx.Key() {
		return fmt.Errorf("the state of key %d is that of key %d", ctx.Key(), k)
	}
	c.key.Set(ctx.Key())
	if open(word)%100 != ctx.Key() {
		return fmt.Errorf("number %d came with key %d", open(word), ctx.Key())
	}
	if !c.j.slow {
		drag(2)
	}
	out.Emit(word)
	return c.j.mill.see(c.j.trip.attempt.Load(), ctx.Key(), c.subtask)
}

func mod100(word int64) int64 { return open(word) % 100 }

// source is a source of the numbers that keep chooses.
func (j *rescaleJob) source(uid string, parallelism int, keep func(v int64) bool) stream {
	s := engine.From(j.g, uid, words(j.pump), noTime, engine.Parallelism(parallelism))
	return s.Filter(func(word int64) bool { return keep(open(word)) }, engine.Parallelism(parallelism))
}

// pipeline is the way of the numbers from one source: every partitioner, at many
// parallelisms.
func (j *rescaleJob) pipeline(name string, keep func(v int64) bool) stream {
	s := engine.Map(j.source(name+"-source", j.p, keep).Global(), same)
	s = engine.Map(s.Rebalance(), same, engine.Parallelism(j.p+1))
	s = engine.Map(s.Shuffle(), same, engine.Parallelism(2*j.p))
	s = engine.Map(s.Shuffle(), same, engine.Parallelism(j.p+1))
	s = engine.Apply(engine.KeyBy(s, mod100), name+"-keyed", j.check)
	return engine.Map(s.Rescale(), same, engine.Parallelism(max(j.p+1, 3*j.p/2)))
}

func (j *rescaleJob) check() engine.Process[int64, int64, int64] { return &checked{j: j} }

// tail is shuffle → failing map → shuffle → sink.
func (j *rescaleJob) tail(s stream, out engine.Sink[int64]) {
	s = engine.Map(s.Shuffle(), func(word int64) int64 {
		if j.fail() {
			panic(errPlanned)
		}
		if !j.slow {
			drag(1)
		}
		return same(word)
	})
	s.Shuffle().To("out", out, engine.Parallelism(1))
}

func everything(int64) bool { return true }

// third keeps every third number.
func third(i int64) func(int64) bool { return func(v int64) bool { return v%3 == i } }

// meeting is a keyed function of two inputs.
type meeting struct{ checked }

func (m *meeting) Process1(ctx *engine.Context[int64], word int64, out *engine.Output[int64]) error {
	return m.Process(ctx, word, out)
}

func (m *meeting) Process2(ctx *engine.Context[int64], word int64, out *engine.Output[int64]) error {
	return m.Process(ctx, word, out)
}

// listener counts broadcast records in broadcast state.
type listener struct {
	heard engine.BroadcastState[int64, int64]
}

func (l *listener) Open(b *engine.Binder) error { return l.heard.Bind(b, "heard") }

func (l *listener) Process(_ *engine.RecordContext, word int64, out *engine.Output[int64]) error {
	out.Emit(same(word))
	return nil
}

func (l *listener) ProcessBroadcast(ctx *engine.BroadcastContext, word int64, _ *engine.Output[int64]) error {
	key := mod100(word)
	l.heard.Put(ctx, key, l.heard.Get(key)+1)
	return nil
}

type keyedListener struct {
	checked
	heard engine.BroadcastState[int64, int64]
}

func (l *keyedListener) Open(b *engine.Binder) error {
	return errors.Join(l.checked.Open(b), l.heard.Bind(b, "heard"))
}

func (l *keyedListener) ProcessBroadcast(ctx *engine.BroadcastContext, word int64, _ *engine.Output[int64]) error {
	key := mod100(word)
	l.heard.Put(ctx, key, l.heard.Get(key)+1)
	return nil
}

// rescaleTopologies are those of Flink's test.
var rescaleTopologies = map[string]func(j *rescaleJob) stream{
	"pipeline": func(j *rescaleJob) stream { return j.pipeline("main", everything) },
	"union": func(j *rescaleJob) stream {
		return engine.Union(j.pipeline("a", third(0)), j.pipeline("b", third(1)), j.pipeline("c", third(2)))
	},
	"multi input": func(j *rescaleJob) stream {
		s := j.pipeline("a", third(0))
		for i, name := range []string{"b", "c"} {
			p := engine.Parallelism(max(j.p+1, 3*j.p/2))
			s = engine.CoMap(s, j.pipeline(name, third(int64(i+1))), same, same, p)
		}
		return s
	},
	"keyed different parallelism": func(j *rescaleJob) stream {
		a := j.source("a", max(1, j.p/2), func(v int64) bool { return v%2 == 0 })
		b := j.source("b", max(1, j.p/3), func(v int64) bool { return v%2 != 0 })
		return engine.CoApply(engine.KeyBy(a, mod100), engine.KeyBy(b, mod100), "meeting",
			func() engine.CoProcess[int64, int64, int64, int64] { return &meeting{checked{j: j}} })
	},
	"broadcast": func(j *rescaleJob) stream {
		rules := j.source("rules", j.p, third(1))
		return engine.ApplyBroadcast(j.pipeline("main", everything), rules, "listen",
			func() engine.BroadcastProcess[int64, int64, int64] { return &listener{} }, engine.Parallelism(2*j.p))
	},
	"keyed broadcast": func(j *rescaleJob) stream {
		main := engine.KeyBy(j.source("main", j.p, everything), mod100)
		rules := engine.Union(j.source("r0", 1, third(0)), j.source("r1", 1, third(1)), j.source("r2", 1, third(2)))
		return engine.ApplyKeyedBroadcast(main, rules, "listen",
			func() engine.KeyedBroadcastProcess[int64, int64, int64, int64] {
				return &keyedListener{checked: checked{j: j}}
			}, engine.Parallelism(j.p+2))
	},
}

// rescaleRow is a row of UnalignedCheckpointRescaleITCase.
type rescaleRow struct {
	topology string
	old, new int
	slow     bool // sources are slow: hardly any backpressure, stateless tasks without in-flight data
}

func rescaleRows() (rows []rescaleRow) {
	add := func(topology string, pairs ...[2]int) {
		for _, p := range pairs {
			slow := (p == [2]int{3, 5} || p == [2]int{5, 3})
			rows = append(rows, rescaleRow{topology, p[0], p[1], slow})
		}
	}
	add("pipeline", [][2]int{{1, 2}, {2, 3}, {3, 7}, {4, 8}, {20, 21}, {3, 5}, {2, 1}, {3, 2}, {7, 3}, {8, 4}, {21, 20}, {5, 3}, {1, 1}, {3, 3}, {7, 7}, {20, 20}}...)
	for _, topology := range []string{"union", "multi input"} {
		add(topology, [][2]int{{1, 2}, {2, 3}, {3, 7}, {3, 5}, {2, 1}, {3, 2}, {7, 3}, {5, 3}, {1, 1}, {7, 7}}...)
	}
	add("keyed different parallelism", [][2]int{{12, 7}, {7, 12}, {5, 3}, {3, 5}}...)
	add("broadcast", [][2]int{{5, 2}, {2, 5}, {5, 3}, {3, 5}}...)
	add("keyed broadcast", [][2]int{{7, 2}, {2, 7}, {5, 3}, {3, 5}}...)
	return rows
}

func (row rescaleRow) String() string {
	name := fmt.Sprintf("%s/%d-to-%d", row.topology, row.old, row.new)
	if row.slow {
		name += "/slow"
	}
	return name
}

// phase runs the job at one parallelism. It fails once: the first phase at a
// snapshot, which ends it, the second one in a map, after which it goes on.
func (row rescaleRow) phase(t *testing.T, second bool, p *pump, out *collect.Sink[int64], cfg engine.Config, n int64) {
	t.Helper()
	j := &rescaleJob{g: engine.NewGraph("rescale"), p: row.old, pump: p, trip: &trip{}, mill: &mill{where: map[[2]int64]int{}}, slow: row.slow}
	j.fail = func() bool { return false }
	var sink engine.Sink[int64] = out
	r := &runner{t: t, pumps: []*pump{p}, trip: j.trip}
	if second {
		j.p, r.until, r.restarts = row.new, n, 1
		j.fail = func() bool { return j.trip.due("map", 0, n/2) }
		cfg.Restart.Attempts, cfg.Restore.From = 1, "latest"
	} else {
		// What is restored had better have something in flight.
		sink = failingSink{out, func() bool {
			wait := cfg.Checkpoints.Unaligned && !row.slow && j.trip.inFlight.Load() == 0 && j.trip.completed.Load() < 10*n
			return !wait && j.trip.due("snapshot", 0, n/2)
		}}
	}
	j.tail(rescaleTopologies[row.topology](j), sink)
	cfg.Parallelism = j.p
	err := r.run(j.g, cfg)
	if second && err != nil {
		t.Fatal(err)
	}
	if !second && (err == nil || !strings.Contains(err.Error(), errPlanned.Error())) {
		t.Fatalf("the first phase ended with %v", err)
	}
	if j.trip.failed.Load() != 1 {
		t.Fatalf("%d planned failures happened, want 1", j.trip.failed.Load())
	}
}

// TestUnalignedCheckpointRescaleITCase: a job that fails is restored at another
// parallelism, fails again and goes on to its end, and has every number once.
func TestUnalignedCheckpointRescaleITCase(t *testing.T) {
	for _, row := range rescaleRows() {
		for _, mode := range alignments() {
			t.Run(fmt.Sprintf("%v/%s", row, mode.name), func(t *testing.T) {
				t.Parallel()
				row.run(t, mode)
			})
		}
	}
}

func (row rescaleRow) run(t *testing.T, mode alignment) {
	n, records := int64(6), int64(600)
	switch {
	case long():
		n, records = 10, 5000
	case testing.Short():
		n, records = 4, 200
	}
	if row.slow {
		records /= 10
	}
	p := newPump(row.old, max(4, records/int64(row.old)))
	out, st := collect.New[int64](), mem.New()
	cfg := engine.Config{KeyGroups: 128, Exchange: network()}
	cfg.Checkpoints = engine.CheckpointConfig{Store: st, Retained: 1000}
	mode.set(&cfg.Checkpoints)
	row.phase(t, false, p, out, cfg, n)
	between := inFlight(t, st)
	row.phase(t, true, p, out, cfg, n)
	got, _ := opened(out, 1)
	var c tally
	c.count(t, got, p.total())
	c.check(t)
	captured := inFlight(t, st)
	if mode == overtaking && !row.slow && between[len(between)-1] == 0 {
		t.Error("nothing was in flight: the test shows nothing")
	}
	t.Logf("RESULT TestUnalignedCheckpointRescaleITCase row=%q records=%d checkpoints=%d in-flight=%d restored-in-flight=%d %v",
		fmt.Sprintf("%v/%s", row, mode.name), len(got), len(captured), sum(captured), between[len(between)-1], c)
}

// TestCustomPartitioner is the row CUSTOM_PARTITIONER: records of 11 KB, which
// span three buffers, at 3 and then 2 subtasks before a sink at 3. Flink's test
// allows records that come twice, this one does not.
func TestCustomPartitioner(t *testing.T) {
	for _, mode := range alignments() {
		t.Run(mode.name, func(t *testing.T) {
			t.Parallel()
			n, step := int64(6), int64(20)
			if long() {
				n, step = 20, 200
			}
			big := strings.Repeat("\uFFFF", 3713)
			p, out, st := newPump(3, step), collect.New[string](), mem.New()
			for i, parallelism := range []int{3, 2} {
				f := &trip{}
				g := engine.NewGraph("custom partitioner")
				src := pumped[string]{p, func(v int64) string { return fmt.Sprint(v, big) }}
				s := engine.Map(engine.From(g, "source", src, engine.Watermarks[string]{}).Rebalance(), func(s string) string {
					drag(20)
					if f.due("map", 0, n/2) {
						panic(errPlanned)
					}
					return s
				})
				s.PartitionCustom(func(s string, n int) int { return int(s[0]) % n }).To("out", out, engine.Parallelism(3))
				cfg := engine.Config{Parallelism: parallelism, Exchange: network()}
				cfg.Checkpoints = engine.CheckpointConfig{Store: st, Retained: 1000}
				mode.set(&cfg.Checkpoints)
				cfg.Restore.From = "latest"
				r := &runner{t: t, pumps: []*pump{p}, trip: f}
				if i == 1 {
					cfg.Restart.Attempts, r.until, r.restarts = 1, n, 1
				}
				if err := r.run(g, cfg); i == 1 && err != nil || i == 0 && err == nil {
					t.Fatalf("phase %d ended with %v", i+1, err)
				}
			}
			var got []int64
			for _, s := range out.Records() {
				var v int64
				if _, err := fmt.Sscan(strings.TrimSuffix(s, big), &v); err != nil || len(s) < len(big) {
					t.Fatalf("a damaged record of %d bytes: %v", len(s), err)
				}
				got = append(got, v)
			}
			var c tally
			c.count(t, got, p.total())
			c.check(t)
			t.Logf("RESULT TestCustomPartitioner mode=%q records=%d in-flight=%d %v", mode.name, len(got), sum(inFlight(t, st)), c)
		})
	}
}

// TestRepeatedRescale is Flink's newer form: round after round at a random
// parallelism, each restored from the first checkpoint of the round before, one
// that was taken while recovered data was processed.
func TestRepeatedRescale(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 7))
	rounds := 5
	switch {
	case long():
		rounds = 15
	case testing.Short():
		rounds = 3
	}
	for _, topology := range []string{"pipeline", "union", "multi input", "keyed different parallelism", "broadcast", "keyed broadcast"} {
		var chain []int
		for range rounds {
			chain = append(chain, 1+r.IntN(8))
		}
		t.Run(fmt.Sprintf("%s/%v", topology, chain), func(t *testing.T) {
			t.Parallel()
			p, out, st := newPump(4, 150), collect.New[int64](), mem.New()
			for i, parallelism := range chain {
				j := &rescaleJob{g: engine.NewGraph("rescale"), p: parallelism, pump: p, trip: &trip{}, mill: &mill{where: map[[2]int64]int{}}}
				j.fail = func() bool { return false }
				j.tail(rescaleTopologies[topology](j), out)
				cfg := engine.Config{Parallelism: parallelism, KeyGroups: 128, Exchange: network()}
				cfg.Checkpoints = engine.CheckpointConfig{Store: st, Retained: 1000, Unaligned: true}
				cfg.Restore.From = "latest"
				run := &runner{t: t, pumps: []*pump{p}, trip: j.trip, cancel: 1}
				if i == len(chain)-1 {
					run.cancel, run.until = 0, 3
				}
				if err := run.run(j.g, cfg); err != nil {
					t.Fatal(err)
				}
			}
			got, _ := opened(out, 1)
			var c tally
			c.count(t, got, p.total())
			c.check(t)
			captured := inFlight(t, st)
			if sum(captured) == 0 {
				t.Error("nothing was in flight: the test shows nothing")
			}
			t.Logf("RESULT TestRepeatedRescale topology=%q chain=%v records=%d in-flight=%v %v", topology, chain, len(got), captured, c)
		})
	}
}
