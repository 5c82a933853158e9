package engine_test

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tidemark-io/tidemark/engine"
	"github.com/tidemark-io/tidemark/format"
	"github.com/tidemark-io/tidemark/reader"
	"github.com/tidemark-io/tidemark/store/mem"
)

// alarm is a timer of processing time that fired, and how many had for its key.
type alarm struct{ Key, At, N int64 }

func compareAlarms(a, b alarm) int {
	return cmp.Or(cmp.Compare(a.Key, b.Key), cmp.Compare(a.At, b.At), cmp.Compare(a.N, b.N))
}

// waker registers timers some seconds after the start of time, takes every
// fifth back, and tells the test what fires.
type waker struct {
	n       engine.Value[int64]
	start   int64
	arrived chan<- struct{} // one for each record; nil: nobody waits
	fired   chan<- alarm
}

// seconds is when the timer of a record fires after the start.
func seconds(r numbered) int64 { return r.Seq%60 + 1 }

func (a *waker) Open(b *engine.Binder) error { return a.n.Bind(b, "n") }

func (a *waker) Process(ctx *engine.Context[int64], r numbered, _ *engine.Output[alarm]) error {
	at := a.start + 1000*seconds(r)
	ctx.RegisterProcessingTimer(at)
	if r.Seq%5 == 4 {
		ctx.DeleteProcessingTimer(at)
	}
	if a.arrived != nil {
		a.arrived <- struct{}{}
	}
	return nil
}

func (a *waker) OnProcessingTimer(ctx *engine.Context[int64], at int64, out *engine.Output[alarm]) error {
	if ctx.Timestamp() != engine.NoTimestamp || ctx.ProcessingTime() < at {
		return fmt.Errorf("timer %d: timestamp %d, clock %d", at, ctx.Timestamp(), ctx.ProcessingTime())
	}
	a.n.Set(a.n.Get() + 1)
	out.Emit(alarm{ctx.Key(), (at - a.start) / 1000, a.n.Get()})
	a.fired <- alarm{ctx.Key(), (at - a.start) / 1000, a.n.Get()}
	return nil
}

// wakerJob is source → waker → sink.
func wakerJob(src engine.Source[numbered], w waker, out engine.Sink[alarm]) *engine.Graph {
	g := engine.NewGraph("alarms")
	byKey := engine.KeyBy(engine.From(g, "numbers", src, ordered()), func(r numbered) int64 { return r.Key })
	engine.Apply(byKey, "alarms", func() engine.Process[int64, numbered, alarm] { own := w; return &own }).To("out", out)
	return g
}

// expectAlarms computes, second by second, what n records of one split register
// and do not take back.
func expectAlarms(n uint64) (all []alarm, by [62]int) {
	var due [62]map[int64]bool
	for i := range n {
		s := seconds(numbered{Seq: int64(i)})
		if due[s] == nil {
			due[s] = map[int64]bool{}
		}
		if due[s][keyOf(0, i)] = true; i%5 == 4 {
			delete(due[s], keyOf(0, i))
		}
	}
	fired := map[int64]int64{}
	for s := range due {
		for key := range due[s] {
			fired[key]++
			all = append(all, alarm{key, int64(s), fired[key]})
		}
		by[s] = len(due[s])
	}
	return all, by
}

// Timers of processing time fire once, when the clock reaches them, in the order
// of their times; those that became due while the job stood still fire after
// the restore, at the same and at another parallelism.
func TestProcessingTimers(t *testing.T) {
	const n = 1000
	want, by := expectAlarms(n)
	last := alarm{Key: keyOf(0, n), At: seconds(numbered{Seq: n}), N: 1}
	for _, a := range want {
		if a.Key == last.Key {
			last.N++
		}
	}
	for _, p := range [][2]int{{1, 1}, {2, 2}, {2, 3}, {3, 1}} {
		for _, unaligned := range []bool{false, true} {
			t.Run(fmt.Sprintf("%d-%d-unaligned=%v", p[0], p[1], unaligned), func(t *testing.T) {
				t.Parallel()
				clock, st, out := newManualClock(), mem.New(), newLedger[alarm]()
				begin := clock.Now().UnixMilli()
				fired, arrived := make(chan alarm, 2*len(want)), make(chan struct{}, n+1)
				wake := waker{start: begin, arrived: arrived, fired: fired}
				await := func(from, to int) {
					for s := from; s <= to; s++ {
						for range by[s] {
							if a := <-fired; a.At < int64(from) || a.At > int64(to) {
								t.Fatalf("%v fired between %d and %d", a, from, to)
							}
						}
					}
				}
				cfg := engine.Config{Parallelism: p[0], KeyGroups: 16, Clock: clock}
				cfg.Checkpoints = engine.CheckpointConfig{Store: st, Unaligned: unaligned}
				cfg.Restore.From = "latest"
				src := numbers(1, n+1, n)
				job := start(t, wakerJob(src, wake, out), cfg)
				src.rest()
				for range n { // an unaligned checkpoint would not wait for them
					<-arrived
				}
				take(t, job)
				for s := 1; s <= 5; s++ {
					clock.advance(time.Second)
					await(s, s)
				}
				clock.advance(5500 * time.Millisecond)
				await(6, 10)
				job.Stop()
				if err := job.Wait(); err != nil {
					t.Fatal(err)
				}
				clock.advance(20 * time.Second) // to 30.5 s, nobody is there
				if len(fired) > 0 {
					t.Fatalf("%d fired while the job did not run", len(fired))
				}
				cfg.Parallelism = p[1]
				src = numbers(1, n+1, n)
				job = start(t, wakerJob(src, wake, out), cfg)
				await(11, 30)
				clock.advance(time.Minute)
				await(31, 60)
				src.free() // the last record registers one more, which is due
				clock.run()
				if err := job.Wait(); err != nil {
					t.Fatal(err)
				}
				checkSame(t, out.records(), append(slices.Clone(want), last), compareAlarms)
			})
		}
	}
}

// What is left at the end of the input is dropped: a finished job that is
// restored does nothing more (R10).
func TestProcessingTimersEndWithTheInput(t *testing.T) {
	clock, st, out := newManualClock(), mem.New(), newLedger[alarm]()
	fired := make(chan alarm, 1000)
	cfg := engine.Config{Parallelism: 2, Clock: clock, Checkpoints: engine.CheckpointConfig{Store: st}}
	cfg.Restore.From = "latest"
	for range 2 {
		run(t, wakerJob(numbers(1, 500, all), waker{start: clock.Now().UnixMilli(), fired: fired}, out), cfg)
		clock.advance(time.Hour)
	}
	if len(fired) > 0 || len(out.records()) > 0 {
		t.Errorf("%d timers fired, %d records", len(fired), len(out.records()))
	}
	list := committed(t, st)
	ck, err := reader.Open(t.Context(), st, list[len(list)-1])
	if err != nil {
		t.Fatal(err)
	}
	defer ck.Close()
	if _, s, err := ck.FindState("alarms", "timers.processing", format.KindTimer); err != nil || s.Entries != 0 {
		t.Errorf("%d timers are stored, error %v", s.Entries, err)
	}
}

// repeater registers a timer that is due at once, again and again, while records
// and checkpoints go on.
type repeater struct{ left int }

func (r *repeater) Process(ctx *engine.Context[int64], _ numbered, _ *engine.Output[alarm]) error {
	ctx.RegisterProcessingTimer(ctx.ProcessingTime() - 1)
	return nil
}

func (r *repeater) OnProcessingTimer(ctx *engine.Context[int64], at int64, out *engine.Output[alarm]) error {
	out.Emit(alarm{Key: ctx.Key(), At: at})
	if r.left--; r.left > 0 {
		ctx.RegisterProcessingTimer(at - 1)
	}
	return nil
}

func TestProcessingTimersThatAreDueAtOnce(t *testing.T) {
	g, out := engine.NewGraph("repeater"), &plain[alarm]{}
	byKey := engine.KeyBy(fromNumbers(g, "numbers", 1, 1, all), func(r numbered) int64 { return r.Key })
	engine.Apply(byKey, "repeat", func() engine.Process[int64, numbered, alarm] { return &repeater{left: 5000} }).To("out", out)
	run(t, g, engine.Config{})
	if len(out.got) != 5000 {
		t.Errorf("%d fired, want 5000", len(out.got))
	}
}

func TestProcessingTimerWithoutHandler(t *testing.T) {
	g := engine.NewGraph("no handler")
	byKey := engine.KeyBy(fromNumbers(g, "numbers", 1, 1, all), func(r numbered) int64 { return r.Key })
	engine.Apply(byKey, "each", func() engine.Process[int64, numbered, string] {
		return &each{open: func(*engine.Binder) error { return nil }, process: func(ctx *engine.Context[int64], _ numbered) string {
			ctx.DeleteProcessingTimer(1) // there is none
			ctx.RegisterProcessingTimer(1)
			return ""
		}}
	}).To("out", &plain[string]{})
	err := start(t, g, engine.Config{}).Wait()
	if err == nil || !strings.Contains(err.Error(), "without OnProcessingTimer") {
		t.Errorf("error %v", err)
	}
}
