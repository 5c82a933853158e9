package matrix_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/tidemark-io/tidemark/engine"
	"github.com/tidemark-io/tidemark/engine/connector/collect"
	"github.com/tidemark-io/tidemark/store/mem"
)

// stamped is a number with the watermark that its key had when it came.
type stamped struct{ V, Stamp int64 }

// stamper stamps records, and fails if the stamps of a key fall.
type stamper struct{ last engine.Value[int64] }

func (s *stamper) Open(b *engine.Binder) error { return s.last.Bind(b, "last") }

func (s *stamper) Process(ctx *engine.Context[int64], word int64, out *engine.Output[stamped]) error {
	drag(2)
	last, known := s.last.Lookup()
	if known && ctx.Watermark() < last {
		return fmt.Errorf("key %d: watermark %d after %d", ctx.Key(), ctx.Watermark(), last)
	}
	s.last.Set(ctx.Watermark())
	out.Emit(stamped{open(word), ctx.Watermark()})
	return nil
}

// every is a watermark after every so many records, and when there is nothing to
// read; a record's time is its number.
func every(records int) engine.Watermarks[int64] {
	return engine.BoundedDisorder(open, 0).EveryRecords(records)
}

// stampJob is source → keyed stamps → sink.
func stampJob(g *engine.Graph, p *pump, senders int, w engine.Watermarks[int64], out engine.Sink[stamped]) {
	s := engine.From(g, "source", words(p), w, engine.Parallelism(senders))
	engine.Apply(engine.KeyBy(s, mod100), "stamp", func() engine.Process[int64, int64, stamped] { return &stamper{} }).To("out", out)
}

// stamps are the stamps by number, each of which must be there once.
func stamps(t *testing.T, out *collect.Sink[stamped], total int64) map[int64]int64 {
	t.Helper()
	by := map[int64]int64{}
	for _, r := range out.Records() {
		if _, twice := by[r.V]; twice {
			t.Fatalf("number %d came twice", r.V)
		}
		by[r.V] = r.Stamp
	}
	if int64(len(by)) != total {
		t.Fatalf("%d numbers, want %d", len(by), total)
	}
	return by
}

// upTo8 are the parallelisms after a restore; only some in the short form, which
// runs under the race detector.
func upTo8() []int {
	if testing.Short() {
		return []int{1, 8}
	}
	return []int{1, 2, 3, 4, 5, 6, 7, 8}
}

// TestWatermarksAreThoseOfOneSender is promise W3: with one sender the watermark
// that each record sees is that of a run without failures, whatever the
// parallelism before and after a restore, and the mode of the checkpoints. With a
// watermark after each record that is the time before the one before it. At
// unchanged parallelism this is promise W1, too, for one order of consumption.
func TestWatermarksAreThoseOfOneSender(t *testing.T) {
	for _, mode := range []alignment{overtaking, timedOut, aligned} {
		for from := 1; from <= 8; from++ {
			t.Run(fmt.Sprintf("%s/from %d", mode.name, from), func(t *testing.T) {
				t.Parallel()
				records, captured := 0, uint64(0)
				for _, to := range upTo8() {
					p, out, st := newPump(1, 300), collect.New[stamped](), mem.New()
					cfg := engine.Config{Exchange: tiny()}
					mode.set(&cfg.Checkpoints)
					legs(t, p, st, cfg, []int{from, to}, func(g *engine.Graph, _, _ int) { stampJob(g, p, 1, every(1), out) })
					got := stamps(t, out, p.total())
					for v, stamp := range got {
						if want := v - 2; stamp != want && v > 0 {
							t.Fatalf("to %d: number %d was stamped %d, without failures %d", to, v, stamp, want)
						}
					}
					records += len(got)
					captured += sum(inFlight(t, st))
				}
				if mode == overtaking && captured == 0 {
					t.Error("nothing was in flight: the test shows nothing")
				}
				t.Logf("RESULT TestWatermarksAreThoseOfOneSender mode=%q from=%d to=%v records=%d in-flight=%d different=0", mode.name, from, upTo8(), records, captured)
			})
		}
	}
}

// TestWatermarkBounds is promise W2: with several senders no record sees a
// watermark beyond what its own split had reached, and those of a key never fall
// (the function fails if they do), through restores at other parallelisms, some
// of which happen while recovered data is processed. With splits that may be
// idle, among them one that never has a record, time goes on all the same.
func TestWatermarkBounds(t *testing.T) {
	for _, idle := range []bool{false, true} {
		for _, chain := range [][]int{{2, 3, 5, 1}, {3, 3, 3, 3}, {4, 1, 2, 4}, {1, 8, 3, 2}} {
			for _, senders := range []int{2, 3} {
				t.Run(fmt.Sprintf("idle=%v/%v/senders=%d", idle, chain, senders), func(t *testing.T) {
					t.Parallel()
					p, out, st := newPump(3, 300), collect.New[stamped](), mem.New()
					cfg := engine.Config{Exchange: tiny(), Checkpoints: engine.CheckpointConfig{Unaligned: true}}
					w := every(4)
					if idle {
						w = w.Idle(time.Millisecond)
						p.silent = 1
					}
					legs(t, p, st, cfg, chain, func(g *engine.Graph, _, _ int) { stampJob(g, p, senders, w, out) })
					past := 0
					for _, r := range out.Records() {
						if !idle && r.Stamp >= r.V {
							t.Fatalf("number %d saw the watermark %d: it was late in its own split", r.V, r.Stamp)
						}
						if r.Stamp > 0 {
							past++
						}
					}
					if past == 0 {
						t.Error("event time stood still")
					}
					captured := inFlight(t, st)
					if sum(captured) == 0 {
						t.Error("nothing was in flight: the test shows nothing")
					}
					t.Logf("RESULT TestWatermarkBounds idle=%v chain=%v senders=%d records=%d in-flight=%v", idle, chain, senders, len(out.Records()), captured)
				})
			}
		}
	}
}

// TestWatermarkCadenceSurvives is promise W1 for one order of consumption: a job
// that looks at its watermark after each 100 records does so at the same records
// after a failure, so that every stamp is that of a run without one.
func TestWatermarkCadenceSurvives(t *testing.T) {
	total := int64(20_000)
	if testing.Short() {
		total = 5000
	}
	for _, mode := range []alignment{overtaking, timedOut, aligned} {
		want, _ := cadence(t, mode, total, false, 1)
		var got map[int64]int64
		restarts := 0
		// All input is there from the beginning, so it depends on the machine
		// how slow a job must be to have checkpoints before it ends.
		for rounds := 1; restarts < 2; rounds *= 4 {
			if rounds > 1<<14 {
				t.Fatal("the job ends before its second checkpoint, however slow it is")
			}
			got, restarts = cadence(t, mode, total, true, rounds)
		}
		for v := range total {
			if got[v] != want[v] {
				t.Fatalf("%s: number %d was stamped %d, without failures %d", mode.name, v, got[v], want[v])
			}
		}
		t.Logf("RESULT TestWatermarkCadenceSurvives mode=%q records=%d restarts=%d different=0", mode.name, total, restarts)
	}
}

// cadence runs the job, with two failures if it has the checkpoints for it, and
// returns the stamps and how often it was restarted.
func cadence(t *testing.T, mode alignment, total int64, fails bool, rounds int) (map[int64]int64, int) {
	t.Helper()
	p, out, f := newPump(1, 1), collect.New[stamped](), &trip{}
	p.limit, p.end = total, total
	g := engine.NewGraph("cadence")
	s := engine.From(g, "source", words(p), every(100))
	checked := engine.Map(s, func(word int64) int64 {
		if fails && (f.due("first", 0, 2) || f.due("second", 1, 4)) {
			panic(errPlanned)
		}
		if drag(1); fails && f.failed.Load() < 2 {
			drag(rounds)
		}
		return word
	})
	engine.Apply(engine.KeyBy(checked, mod100), "stamp", func() engine.Process[int64, int64, stamped] { return &stamper{} }).To("out", out)
	cfg := engine.Config{Exchange: tiny(), Restart: engine.RestartConfig{Attempts: 2}}
	cfg.Checkpoints = engine.CheckpointConfig{Store: mem.New(), Interval: 100 * time.Microsecond, Retained: 1000}
	mode.set(&cfg.Checkpoints)
	r := &runner{t: t, pumps: []*pump{p}, trip: f}
	if err := r.run(g, cfg); err != nil {
		t.Fatal(err)
	}
	return stamps(t, out, total), r.restarted
}
