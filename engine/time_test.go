package engine_test

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/tidemark-io/tidemark/engine"
	"github.com/tidemark-io/tidemark/engine/codec"
	"github.com/tidemark-io/tidemark/keygroup/keyhash"
	"github.com/tidemark-io/tidemark/store/mem"
)

// stamp says what an operator saw: a record, or a timer of the time At.
type stamp struct {
	Key, Seq, At, Watermark int64
	Timer                   bool
}

// alarms registers some timers for each record, takes some back, and says when
// they fire. A timer at a multiple of 50 registers another one a little later.
type alarms struct{ last engine.Value[int64] }

func (a *alarms) Open(b *engine.Binder) error { return a.last.Bind(b, "last") }

func (a *alarms) Process(c *engine.Context[int64], r numbered, out *engine.Output[stamp]) error {
	r2 := rand.New(rand.NewPCG(uint64(r.Split), uint64(r.Seq)))
	for range 3 {
		c.RegisterTimer(r.Seq + r2.Int64N(200) - 20) // some are in the past
	}
	at := r.Seq + 30
	c.RegisterTimer(at)
	c.RegisterTimer(at) // twice is once
	c.RegisterTimer(1 << 50)
	c.DeleteTimer(1 << 50)
	out.Emit(stamp{r.Key, r.Seq, 0, c.Watermark(), false})
	return nil
}

func (a *alarms) OnTimer(c *engine.Context[int64], at int64, out *engine.Output[stamp]) error {
	n := a.last.Get() + 1
	a.last.Set(n)
	if at%50 == 0 {
		c.RegisterTimer(at + 3)
	}
	out.Emit(stamp{c.Key(), n, at, c.Watermark(), true})
	return nil
}

func alarmJob(src engine.Source[numbered], sink engine.Sink[stamp]) *engine.Graph {
	g := engine.NewGraph("alarms")
	s := engine.From(g, "numbers", src, engine.BoundedDisorder(seqTime, 0).EveryRecords(1))
	byKey := engine.KeyBy(s, func(r numbered) int64 { return r.Key })
	engine.Apply(byKey, "alarms", func() engine.Process[int64, numbered, stamp] { return &alarms{} }).To("out", sink)
	return g
}

// The same job with and without checkpoints, with plenty of interruptions: with
// one sender and one receiver the output is the same, stamp for stamp (R3, R5).
func TestTimersInterrupted(t *testing.T) {
	const n = 3000
	var want []stamp
	for _, step := range []int64{0, 100, 400} {
		src, out := numbers(1, n, all), newLedger[stamp]()
		cfg := engine.Config{Exchange: small()}
		if step > 0 {
			src = numbers(1, n, step)
		}
		var rec *recorder
		cfg.Checkpoints, rec = often(mem.New(), src, step)
		cfg.Observer = rec
		if step == 0 {
			cfg.Checkpoints.Interval = 0
		}
		run(t, alarmJob(src, out), cfg)
		got := out.records()
		if want == nil {
			want = got
			checkTimerOrder(t, got)
		}
		if !slices.Equal(got, want) {
			t.Errorf("step %d: %d stamps differ from the %d of the uninterrupted run", step, len(got), len(want))
		}
	}
}

// checkTimerOrder: between two records timers fire in the order of time, hash
// and key, unless one registered another one that was due.
func checkTimerOrder(t *testing.T, got []stamp) {
	t.Helper()
	keyCodec := codec.MustOf[int64]()
	hash := func(key int64) uint32 { return uint32(keyhash.Of(keyCodec.Append(nil, key))) }
	fired := map[[2]int64]int{}
	timers := 0
	for i, s := range got {
		if !s.Timer {
			continue
		}
		timers++
		fired[[2]int64{s.Key, s.At}]++
		if s.At > s.Watermark {
			t.Fatalf("timer at %d fired at watermark %d", s.At, s.Watermark)
		}
		if i == 0 || !got[i-1].Timer || got[i-1].Watermark != s.Watermark {
			continue
		}
		before := got[i-1]
		if cmp.Or(cmp.Compare(before.At, s.At), cmp.Compare(hash(before.Key), hash(s.Key)), cmp.Compare(before.Key, s.Key)) >= 0 {
			t.Fatalf("timer %+v fired after %+v", s, before)
		}
	}
	if timers < 3000 {
		t.Errorf("only %d timers", timers)
	}
}

// Across restores at other parallelism each timer fires once, and no key sees
// its watermark fall.
func TestTimersAcrossRescaling(t *testing.T) {
	const splits, n = 3, 1200
	count := func(list []stamp) map[[3]int64]int {
		m := map[[3]int64]int{}
		for _, s := range list {
			kind := int64(0)
			if s.Timer {
				kind = 1
			}
			m[[3]int64{kind, s.Key, s.At}]++
		}
		return m
	}
	whole := newLedger[stamp]()
	run(t, alarmJob(numbers(splits, n, all), whole), engine.Config{Checkpoints: engine.CheckpointConfig{Store: mem.New()}})
	want := count(whole.records())
	for _, steps := range [][]int{{1, 2, 3}, {3, 2, 1}, {2, 2, 2}, {4, 1, 5}, {1, 5, 2}} {
		t.Run(fmt.Sprint(steps), func(t *testing.T) {
			t.Parallel()
			st, out := mem.New(), newLedger[stamp]()
			for i, p := range steps {
				src := numbers(splits, n, int64(400*(i+1)))
				job := start(t, alarmJob(src, out), engine.Config{Parallelism: p, Restore: latest, Checkpoints: engine.CheckpointConfig{Store: st}})
				if i < len(steps)-1 {
					src.rest()
					job.Stop()
				}
				if err := job.Wait(); err != nil {
					t.Fatal(err)
				}
			}
			got := out.records()
			last := map[int64]int64{}
			for i, s := range got {
				if w, ok := last[s.Key]; ok && s.Watermark < w {
					t.Fatalf("stamp %d: key %d sees the watermark fall from %d to %d", i, s.Key, w, s.Watermark)
				}
				last[s.Key] = s.Watermark
			}
			// Which timers that were registered in the past coincide with
			// one still waiting depends on the order of the splits; those
			// in the future do not.
			now := count(got)
			for k := range want {
				if now[k] == 0 {
					t.Fatalf("%v never happened", k)
				}
			}
		})
	}
}

// reminder registers a timer in the past, which is due with the next watermark.
type reminder struct{}

func (reminder) Process(c *engine.Context[int64], r numbered, _ *engine.Output[stamp]) error {
	if r.Seq == 99 {
		c.RegisterTimer(5)
	}
	return nil
}

func (reminder) OnTimer(c *engine.Context[int64], at int64, out *engine.Output[stamp]) error {
	out.Emit(stamp{Key: c.Key(), At: at, Watermark: c.Watermark(), Timer: true})
	return nil
}

// Timers at or below the floor of their key are due at once after a restore,
// before any record or watermark.
func TestTimersBelowTheFloor(t *testing.T) {
	for _, p := range []int{1, 2, 3, 4} {
		st, out := mem.New(), newLedger[stamp]()
		build := func(src engine.Source[numbered]) *engine.Graph {
			g := engine.NewGraph("reminders")
			s := engine.From(g, "numbers", src, engine.BoundedDisorder(seqTime, 0).EveryRecords(50))
			byKey := engine.KeyBy(s, func(r numbered) int64 { return r.Key })
			engine.Apply(byKey, "reminders", func() engine.Process[int64, numbered, stamp] { return reminder{} }).To("out", out)
			return g
		}
		cfg := engine.Config{Parallelism: 2, Checkpoints: engine.CheckpointConfig{Store: st}, Restore: latest}
		// Split 1 holds event time at 49 − 1.
		src := numbers(2, 1000, 60)
		src.hold(1, 50)
		job := start(t, build(src), cfg)
		src.rest()
		take(t, job)
		src.raise(40)
		src.rest()
		job.Stop()
		if err := job.Wait(); err != nil {
			t.Fatal(err)
		}
		if len(out.records()) > 0 {
			t.Fatalf("timers fired before: %v", out.records())
		}
		cfg.Parallelism = p
		src = numbers(2, 1000, 100) // nothing more to read
		src.hold(1, 50)
		job = start(t, build(src), cfg)
		src.rest()
		take(t, job)
		job.Stop()
		if err := job.Wait(); err != nil {
			t.Fatal(err)
		}
		got := out.records()
		if len(got) != 1 || got[0].At != 5 || got[0].Watermark != 48 {
			t.Fatalf("parallelism %d: fired %v", p, got)
		}
	}
}

// Records behind the watermark are dropped and counted.
func TestLateRecords(t *testing.T) {
	// Every tenth record is 500 ms behind, with windows of 100 ms.
	const n = 2000
	src := newSeries(1, n, all, func(split int, i uint64) numbered {
		r := numbered{Seq: int64(i), Key: int64(i % 7)}
		if i%10 == 9 && i > 600 {
			r.Seq -= 500
		}
		return r
	})
	out, rec := newLedger[windowSum](), &recorder{}
	// One subtask: another one of the source, without a split, would hold event
	// time back until it has said that it has nothing.
	cfg := engine.Config{Observer: rec, Checkpoints: engine.CheckpointConfig{Store: mem.New()}}
	run(t, windowJob(src, out, engine.BoundedDisorder(seqTime, 0).EveryRecords(1)), cfg)
	var late, kept int64
	for _, e := range eventsOf[engine.LateRecords](rec) {
		late += e.Count
		if e.UID != "windows" {
			t.Errorf("late records at %q", e.UID)
		}
	}
	for _, w := range out.records() {
		kept += w.N
	}
	if late != 140 || late+kept != n {
		t.Errorf("%d late and %d kept of %d, want 140 late", late, kept, n)
	}
}

// A split that is silent holds event time back, unless it is declared idle.
func TestIdleSplits(t *testing.T) {
	for _, idle := range []bool{false, true} {
		src := numbers(2, 5000, 1000)
		src.hold(1, 10)
		out, clock := &plain[windowSum]{}, newManualClock()
		w := ordered()
		if idle {
			w = w.Idle(time.Minute)
		}
		job := start(t, windowJob(src, out, w), engine.Config{Parallelism: 2, Clock: clock})
		for range 3 {
			src.raise(0)
			for !src.atRestNow() {
				clock.advance(10 * time.Millisecond)
				time.Sleep(100 * time.Microsecond)
			}
		}
		if n := out.count(); n > 0 {
			t.Errorf("idle=%v: %d windows ended although a split stands at 10", idle, n)
		}
		if idle {
			for out.count() < 9*keys/2 {
				clock.advance(10 * time.Second)
				time.Sleep(100 * time.Microsecond)
			}
		}
		clock.run()
		src.hold(1, all)
		src.free()
		if !idle {
			if err := job.Wait(); err != nil {
				t.Fatal(err)
			}
			checkWindows(t, out.got, 2, 5000)
		}
	}
}
