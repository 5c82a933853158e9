package matrix_test

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tidemark-io/tidemark/engine"
	"github.com/tidemark-io/tidemark/engine/codec"
	"github.com/tidemark-io/tidemark/engine/connector/collect"
	"github.com/tidemark-io/tidemark/keygroup"
	"github.com/tidemark-io/tidemark/keygroup/keyhash"
	"github.com/tidemark-io/tidemark/store/faults"
	"github.com/tidemark-io/tidemark/store/mem"
)

// TestUnalignedCheckpointCompatibilityITCase: a checkpoint or savepoint of an
// aligned job restores an unaligned one and the other way round.
func TestUnalignedCheckpointCompatibilityITCase(t *testing.T) {
	for _, savepoint := range []bool{false, true} {
		for _, unaligned := range []bool{false, true} {
			t.Run(fmt.Sprintf("savepoint=%v/starts unaligned=%v", savepoint, unaligned), func(t *testing.T) {
				t.Parallel()
				p, out, st := newPump(1, 1000), collect.New[int64](), mem.New()
				build := func() *engine.Graph {
					g := engine.NewGraph("compatibility")
					s := engine.From(g, "source", words(p), noTime)
					engine.Apply(engine.KeyBy(s, mod100), "keyed", newPassing).Rebalance().To("out", out)
					return g
				}
				cfg := engine.Config{Exchange: network(), Checkpoints: engine.CheckpointConfig{Store: st, Unaligned: unaligned, Retained: 1000}}
				f := &trip{}
				from := "latest"
				r := &runner{t: t, pumps: []*pump{p}, trip: f, cancel: 2, loaded: unaligned}
				if savepoint {
					r.started = func(job *engine.Job) {
						<-p.asks
						stopped, err := job.StopWithSavepoint(t.Context())
						if err != nil {
							t.Error(err)
						}
						from = stopped.Path
					}
				}
				if err := r.run(build(), cfg); err != nil {
					t.Fatal(err)
				}
				captured := inFlight(t, st)
				restored := captured[len(captured)-1]
				if (restored > 0) != (unaligned && !savepoint) {
					t.Errorf("%d records are in flight in what is restored", restored)
				}
				cfg.Checkpoints.Unaligned, cfg.Restore.From = !unaligned, from
				if err := (&runner{t: t, pumps: []*pump{p}, trip: &trip{}, until: 2}).run(build(), cfg); err != nil {
					t.Fatal(err)
				}
				got, _ := opened(out, 1)
				var c tally
				c.count(t, got, p.total())
				c.inOrder(got, 1)
				c.check(t)
				t.Logf("RESULT TestUnalignedCheckpointCompatibilityITCase savepoint=%v unaligned=%v records=%d restored-in-flight=%d %v", savepoint, unaligned, len(got), restored, c)
			})
		}
	}
}

// inOrder counts numbers of one residue class that do not come after the one
// before.
func (c *tally) inOrder(list []int64, classes int64) {
	last := map[int64]int64{}
	for _, v := range list {
		if before, ok := last[v%classes]; ok && v < before {
			c.disorder++
		}
		last[v%classes] = v
	}
}

// TestUnalignedCheckpointFailureHandlingITCase: a store that fails at each step
// of an unaligned checkpoint, once. The checkpoint fails, the next one that is
// asked for succeeds, and nothing is lost.
func TestUnalignedCheckpointFailureHandlingITCase(t *testing.T) {
	for _, fault := range []string{
		`(error EIO (op create) (name "chk-2/*.data") (count 1))`,
		`(error EIO (op write) (name "chk-2/*.data") (count 1))`,
		`(error EIO (op commit) (name "chk-2/*.data") (count 1))`,
		`(error EIO (op commit) (name "chk-2/MANIFEST") (count 1))`,
	} {
		t.Run(fault, func(t *testing.T) {
			t.Parallel()
			st, err := faults.Wrap(mem.New(), fault)
			if err != nil {
				t.Fatal(err)
			}
			p, out := newPump(2, 500), collect.New[int64]()
			g := engine.NewGraph("failure handling")
			s := engine.From(g, "source", words(p), noTime)
			engine.Apply(engine.KeyBy(s, mod100), "keyed", newPassing).Rebalance().To("out", out)
			cfg := engine.Config{Parallelism: 2, DisableChaining: true, Exchange: network()}
			cfg.Checkpoints = engine.CheckpointConfig{Store: st, Unaligned: true, TolerableFailures: 1, Retained: 1000}
			r := &runner{t: t, pumps: []*pump{p}, trip: &trip{}, until: 4}
			if err := r.run(g, cfg); err != nil {
				t.Fatal(err)
			}
			if r.aborted != 1 || r.restarted != 0 {
				t.Errorf("%d checkpoints failed and %d restarts, want 1 and 0", r.aborted, r.restarted)
			}
			c := numbersOnce(t, out, p.total())
			t.Logf("RESULT TestUnalignedCheckpointFailureHandlingITCase fault=%q in-flight=%d %v", fault, sum(inFlight(t, st)), c)
		})
	}
}

// parcel is a record whose payload follows from its number.
type parcel struct {
	Source  int32
	Number  int64
	Payload []byte
}

// pack makes the payload of a source's kind: 1 KiB, 4 KiB, or 1 to 4 KiB.
func pack(source int, v int64) parcel {
	r := rand.New(rand.NewPCG(uint64(source), uint64(v)))
	size := []int{1 << 10, 4 << 10, 1<<10 + r.IntN(3<<10), 1<<10 + r.IntN(3<<10)}[source]
	p := parcel{int32(source), v, make([]byte, size)}
	for i := range len(p.Payload) / 8 {
		binary.LittleEndian.PutUint64(p.Payload[8*i:], r.Uint64())
	}
	return p
}

// intact panics if a parcel is not as it was packed.
func intact(p parcel) parcel {
	if !slices.Equal(p.Payload, pack(int(p.Source), p.Number).Payload) {
		panic(fmt.Sprintf("parcel %d of source %d is damaged", p.Number, p.Source))
	}
	return p
}

// meetParcels joins two streams; hold keeps parcels until a timer of the clock.
type meetParcels struct{ n engine.Value[int64] }

func (m *meetParcels) Open(b *engine.Binder) error { return m.n.Bind(b, "n") }

func (m *meetParcels) Process1(_ *engine.Context[int64], p parcel, out *engine.Output[parcel]) error {
	m.n.Set(m.n.Get() + 1)
	out.Emit(intact(p))
	return nil
}

func (m *meetParcels) Process2(ctx *engine.Context[int64], p parcel, out *engine.Output[parcel]) error {
	return m.Process1(ctx, p, out)
}

type hold struct {
	list engine.ListState[parcel]
	over func() bool // no more timers, they are dropped at the end of the input
}

func (h *hold) Open(b *engine.Binder) error { return h.list.Bind(b, "list") }

func (h *hold) Process(ctx *engine.Context[int64], p parcel, out *engine.Output[parcel]) error {
	h.list.Add(intact(p))
	if h.over() {
		return h.OnProcessingTimer(ctx, 0, out)
	}
	ctx.RegisterProcessingTimer(ctx.ProcessingTime() + 5)
	return nil
}

func (h *hold) OnProcessingTimer(_ *engine.Context[int64], _ int64, out *engine.Output[parcel]) error {
	for p := range h.list.All() {
		out.Emit(intact(p))
	}
	h.list.Clear()
	return nil
}

// TestUnalignedCheckpointStressITCase: large records of four sources of different
// parallelism, through everything, in a loop of failures and restores from the
// checkpoints that were kept. The job dies of the planned failure only, every
// record is intact, and there is each once.
func TestUnalignedCheckpointStressITCase(t *testing.T) {
	loops, step := 4, int64(12)
	switch {
	case long():
		loops, step = 40, 60
	case testing.Short():
		loops, step = 3, 6
	}
	const parallelism, keys = 6, 8
	r := rand.New(rand.NewPCG(2, 4))
	p, out, st := newPump(parallelism, step), collect.New[parcel](), mem.New()
	for i := range loops {
		f, g := &trip{}, engine.NewGraph("stress")
		var src [4]engine.Stream[parcel]
		for s := range src {
			src[s] = engine.From(g, fmt.Sprint("source-", s), pumped[parcel]{p, func(v int64) parcel { return pack(s, v) }},
				engine.Watermarks[parcel]{}, engine.Parallelism(parallelism/(s+1)))
		}
		key := func(p parcel) int64 { return p.Number % keys }
		met := engine.CoApply(engine.KeyBy(engine.Union(src[0], src[1]), key), engine.KeyBy(engine.Union(src[2], src[3]), key), "meet",
			func() engine.CoProcess[int64, parcel, parcel, parcel] { return &meetParcels{} })
		spread := engine.Map(met.Rebalance(), func(p parcel) parcel { drag(5); return intact(p) })
		held := engine.Apply(engine.KeyBy(spread, key), "hold", func() engine.Process[int64, parcel, parcel] { return &hold{over: p.ended} })
		after := 2 + r.Int64N(9)
		engine.Map(held.Rebalance(), func(p parcel) parcel {
			if i < loops-1 && f.due("map", 0, after) {
				panic(errPlanned)
			}
			drag(5)
			return intact(p)
		}, engine.Parallelism(1)).To("out", out, engine.Parallelism(1))
		cfg := engine.Config{Parallelism: parallelism, Exchange: network()}
		cfg.Checkpoints = engine.CheckpointConfig{Store: st, Unaligned: true, Interval: 20 * time.Millisecond, Retained: 1000}
		cfg.Restore.From = "latest"
		run := &runner{t: t, pumps: []*pump{p}, trip: f}
		if i == loops-1 {
			run.until = 2
		}
		err := run.run(g, cfg)
		if planned := err != nil && strings.Contains(err.Error(), errPlanned.Error()); planned != (i < loops-1) || err != nil && !planned {
			t.Fatalf("loop %d ended with %v", i, err)
		}
	}
	var got []int64
	for _, p := range out.Records() {
		got = append(got, 4*p.Number+int64(p.Source))
	}
	var c tally
	c.count(t, got, 4*p.total())
	c.check(t)
	captured := inFlight(t, st)
	if sum(captured) == 0 {
		t.Error("nothing was in flight: the test shows nothing")
	}
	t.Logf("RESULT TestUnalignedCheckpointStressITCase loops=%d records=%d checkpoints=%d in-flight=%d %v", loops, len(got), len(captured), sum(captured), c)
}

// placed is a record with the subtask that a key was at, and how often.
type placed struct {
	Subtask int
	Key, N  int64
}

type placer struct {
	subtask int
	n       engine.Value[int64]
}

func (p *placer) Open(b *engine.Binder) error {
	p.subtask = b.Subtask()
	return p.n.Bind(b, "n")
}

func (p *placer) Process(ctx *engine.Context[int64], _ int64, out *engine.Output[placed]) error {
	p.n.Set(p.n.Get() + 1)
	out.Emit(placed{p.subtask, ctx.Key(), p.n.Get()})
	return nil
}

// TestRescaleCheckpointManuallyITCase: 42 keys in 13 key groups, from 3 to 4
// subtasks and back: each key counts on, at the subtask that owns its group.
func TestRescaleCheckpointManuallyITCase(t *testing.T) {
	const keys, groups = 42, 13
	keyCodec, err := codec.ForKey[int64]()
	if err != nil {
		t.Fatal(err)
	}
	for _, unaligned := range []bool{false, true} {
		for _, size := range [][]int{{3, 4}, {4, 3}} {
			p, st := newPump(3, 500), mem.New()
			counts, out := map[int64]int64{}, collect.New[placed]()
			for i, parallelism := range size {
				g := engine.NewGraph("manually")
				s := engine.From(g, "source", words(p), noTime)
				byKey := engine.KeyBy(s, func(word int64) int64 { return open(word) % keys })
				engine.Apply(byKey, "place", func() engine.Process[int64, int64, placed] { return &placer{} }).To("out", out)
				cfg := engine.Config{Parallelism: parallelism, KeyGroups: groups, Exchange: network()}
				cfg.Checkpoints = engine.CheckpointConfig{Store: st, Unaligned: unaligned, Retained: 1000}
				cfg.Restore.From = "latest"
				r := &runner{t: t, pumps: []*pump{p}, trip: &trip{}, started: func(job *engine.Job) { <-p.asks; job.Stop() }}
				if i == 1 {
					r.started, r.until = nil, 3
				}
				if err := r.run(g, cfg); err != nil {
					t.Fatal(err)
				}
			}
			for _, e := range out.Entries() {
				at := e.Record
				owner := keygroup.OwnerOfHash(keyhash.Of(keyCodec.Append(nil, at.Key)), groups, size[e.Run-1])
				if at.Subtask != owner {
					t.Fatalf("key %d was at subtask %d, its group belongs to %d", at.Key, at.Subtask, owner)
				}
				if counts[at.Key]++; at.N != counts[at.Key] {
					t.Fatalf("key %d counts %d, want %d", at.Key, at.N, counts[at.Key])
				}
			}
			total := int64(0)
			for _, n := range counts {
				total += n
			}
			if total != p.total() || len(counts) != keys {
				t.Errorf("%d records of %d keys, want %d of %d", total, len(counts), p.total(), keys)
			}
			t.Logf("RESULT TestRescaleCheckpointManuallyITCase unaligned=%v from=%d to=%d keys=%d records=%d", unaligned, size[0], size[1], len(counts), total)
		}
	}
}

// TestResumeCheckpointManuallyITCase: a chain of three restores, each from the
// checkpoint that the run before left, by its name.
func TestResumeCheckpointManuallyITCase(t *testing.T) {
	for _, mode := range []alignment{overtaking, aligned} {
		p, out, st := newPump(2, 500), collect.New[int64](), mem.New()
		from := ""
		for i := range 4 {
			g := engine.NewGraph("resume")
			s := engine.From(g, "source", words(p), noTime)
			engine.Apply(engine.KeyBy(s, mod100), "keyed", newPassing).Rebalance().To("out", out)
			cfg := engine.Config{Parallelism: 2, Exchange: network()}
			cfg.Checkpoints = engine.CheckpointConfig{Store: st}
			mode.set(&cfg.Checkpoints)
			cfg.Restore.From = from
			r := &runner{t: t, pumps: []*pump{p}, trip: &trip{}, cancel: 2}
			if i == 3 {
				r.cancel, r.until = 0, 2
			}
			if err := r.run(g, cfg); err != nil {
				t.Fatal(err)
			}
			from = r.newest
		}
		c := numbersOnce(t, out, p.total())
		t.Logf("RESULT TestResumeCheckpointManuallyITCase mode=%q restores=3 %v", mode.name, c)
	}
}

// TestCheckpointAfterAllTasksFinishedITCase: a source that ends early and one
// that goes on: checkpoints go on, and a job that is restored, or that fails,
// after some tasks have finished has every record once.
func TestCheckpointAfterAllTasksFinishedITCase(t *testing.T) {
	for _, mode := range []alignment{overtaking, timedOut, aligned} {
		for _, what := range []string{"immediate", "restore", "failover"} {
			t.Run(mode.name+"/"+what, func(t *testing.T) {
				t.Parallel()
				small, big := newPump(4, 50), newPump(4, 300)
				small.stop()
				out, st, f := collect.New[int64](), mem.New(), &trip{}
				build := func() *engine.Graph {
					g := engine.NewGraph("finished")
					a := engine.Map(engine.From(g, "small", words(small), noTime).Rebalance(), branch(2, 0))
					b := engine.Map(engine.From(g, "big", words(big), noTime).Rebalance(), branch(2, 1))
					all := engine.Apply(engine.KeyBy(engine.Union(a, b), mod100), "keyed", newPassing)
					engine.Map(all, func(word int64) int64 {
						if what == "failover" && f.due("map", 0, 3) {
							panic(errPlanned)
						}
						return same(word)
					}).To("out", out)
					return g
				}
				cfg := engine.Config{Parallelism: 4, Exchange: network(), Restart: engine.RestartConfig{Attempts: 1}}
				cfg.Checkpoints = engine.CheckpointConfig{Store: st, Retained: 1000}
				mode.set(&cfg.Checkpoints)
				cfg.Restore.From = "latest"
				if what == "restore" {
					if err := (&runner{t: t, pumps: []*pump{big}, trip: &trip{}, cancel: 4}).run(build(), cfg); err != nil {
						t.Fatal(err)
					}
					cfg.Parallelism = 3
				}
				r := &runner{t: t, pumps: []*pump{big}, trip: f, until: 5}
				if what == "immediate" {
					big.stop()
				}
				if err := r.run(build(), cfg); err != nil {
					t.Fatal(err)
				}
				want := map[int64]bool{}
				for v := range small.total() {
					want[2*v] = true
				}
				for v := range big.total() {
					want[2*v+1] = true
				}
				var c tally
				got, _ := opened(out, 4)
				for _, v := range got {
					if !want[v] {
						c.twice++
					}
					delete(want, v)
				}
				c.lost = int64(len(want))
				c.check(t)
				t.Logf("RESULT TestCheckpointAfterAllTasksFinishedITCase mode=%q what=%s records=%d %v", mode.name, what, len(got), c)
			})
		}
	}
}
