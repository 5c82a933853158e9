package engine_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/tidemark-io/tidemark/engine"
	"github.com/tidemark-io/tidemark/store"
	"github.com/tidemark-io/tidemark/store/mem"
)

var errUser = errors.New("the user's function has failed")

// fuse fails, or panics, once when a number of records have passed it.
type fuse struct {
	left   atomic.Int64
	panics bool
}

func newFuse(after int64) *fuse {
	f := &fuse{}
	f.left.Store(after)
	return f
}

func (f *fuse) burn() error {
	if f.left.Add(-1) != 0 {
		return nil
	}
	if f.panics {
		panic("the user's function has panicked")
	}
	return errUser
}

// fused is a Process that passes its input through a fuse.
type fused struct {
	keyCounter
	fuse *fuse
}

func (f *fused) Process(ctx *engine.Context[int64], r numbered, out *engine.Output[counted]) error {
	if err := f.fuse.burn(); err != nil {
		return err
	}
	return f.keyCounter.Process(ctx, r, out)
}

func fusedJob(src engine.Source[numbered], sink engine.Sink[counted], f *fuse) *engine.Graph {
	g := engine.NewGraph("fused")
	byKey := engine.KeyBy(engine.From(g, "numbers", src, ordered()), func(r numbered) int64 { return r.Key })
	engine.Apply(byKey, "count", func() engine.Process[int64, numbered, counted] { return &fused{fuse: f} }).To("out", sink)
	return g
}

// A function's error and panic become a TaskError that names the operator, and
// leave nothing running.
func TestFailureNamesTheOperator(t *testing.T) {
	for _, panics := range []bool{false, true} {
		t.Run(fmt.Sprintf("panics=%v", panics), func(t *testing.T) {
			f := newFuse(1000)
			f.panics = panics
			rec := &recorder{}
			cfg := engine.Config{Parallelism: 3, Observer: rec}
			err := start(t, fusedJob(numbers(2, 5000, all), newLedger[counted](), f), cfg).Wait()
			var task *engine.TaskError
			if !errors.As(err, &task) {
				t.Fatalf("error %v, want a TaskError", err)
			}
			if task.UID != "count" || task.Subtask < 0 || task.Subtask > 2 {
				t.Errorf("failure is of operator %q, subtask %d", task.UID, task.Subtask)
			}
			if panics {
				if !strings.Contains(string(task.Stack), "burn") || !strings.Contains(err.Error(), "the user's function has panicked") {
					t.Errorf("error %q with stack\n%s", err, task.Stack)
				}
			} else if !errors.Is(err, errUser) || task.Stack != nil {
				t.Errorf("error %q with stack %q", err, task.Stack)
			}
			if n := len(eventsOf[engine.TaskFailed](rec)); n != 1 {
				t.Errorf("%d events of failed tasks", n)
			}
		})
	}
}

// Code of the user that runs elsewhere than in a record: each is blamed on its
// operator too.
func TestPanicsElsewhere(t *testing.T) {
	boom := func() { panic("boom") }
	type job struct {
		name, uid string
		graph     func() *engine.Graph
	}
	count := func(shape func(engine.Stream[numbered]) engine.Stream[numbered]) func() *engine.Graph {
		return func() *engine.Graph { return countJob(numbers(2, 1000, all), newLedger[counted](), shape) }
	}
	sink := func(at string) func() *engine.Graph {
		return func() *engine.Graph {
			return countJob(numbers(2, 1000, all), &panicSink{ledger: newLedger[counted](), at: at}, nil)
		}
	}
	for _, test := range []job{
		{"map", "map-1", count(func(s engine.Stream[numbered]) engine.Stream[numbered] {
			return engine.Map(s, func(r numbered) numbered { boom(); return r })
		})},
		{"filter behind map", "filter-1", count(func(s engine.Stream[numbered]) engine.Stream[numbered] {
			return engine.Map(s, func(r numbered) numbered { return r }).Filter(func(numbered) bool { boom(); return true })
		})},
		{"key function", "numbers", func() *engine.Graph {
			g := engine.NewGraph("key")
			s := engine.From(g, "numbers", numbers(2, 100, all), ordered())
			byKey := engine.KeyBy(s, func(numbered) int64 { boom(); return 0 })
			engine.Apply(byKey, "count", newCounter).To("out", newLedger[counted]())
			return g
		}},
		{"factory", "count", func() *engine.Graph {
			g := engine.NewGraph("factory")
			byKey := engine.KeyBy(engine.From(g, "numbers", numbers(2, 100, all), ordered()), func(r numbered) int64 { return r.Key })
			engine.Apply(byKey, "count", func() engine.Process[int64, numbered, counted] { boom(); return nil }).To("out", newLedger[counted]())
			return g
		}},
		{"sink's Open", "out", sink("open")},
		{"sink's Prepare", "out", sink("prepare")},
		{"sink's finish", "out", sink("finish")},
		{"sink's Publish", "out", sink("publish")},
		{"sink's Close", "out", sink("close")},
	} {
		t.Run(test.name, func(t *testing.T) {
			cfg := engine.Config{Parallelism: 2, Checkpoints: engine.CheckpointConfig{Store: mem.New()}}
			err := start(t, test.graph(), cfg).Wait()
			var task *engine.TaskError
			if !errors.As(err, &task) || task.UID != test.uid || !strings.Contains(string(task.Stack), "panic") {
				t.Fatalf("error %v, want a TaskError of operator %q with a stack", err, test.uid)
			}
		})
	}
}

// panicSink panics in one of its methods.
type panicSink struct {
	*ledger[counted]
	at string
}

func (s *panicSink) Open(ctx context.Context, sc engine.SinkContext) (engine.SinkWriter[counted], error) {
	if s.at == "open" {
		panic("open")
	}
	w, err := s.ledger.Open(ctx, sc)
	return &panicWriter{ledgerWriter: w.(*ledgerWriter[counted]), at: s.at}, err
}

type panicWriter struct {
	*ledgerWriter[counted]
	at string
}

func (w *panicWriter) Prepare(id uint64) (func(context.Context) ([][]byte, error), error) {
	if w.at == "prepare" {
		panic("prepare")
	}
	finish, err := w.ledgerWriter.Prepare(id)
	return func(ctx context.Context) ([][]byte, error) {
		if w.at == "finish" {
			panic("finish")
		}
		return finish(ctx)
	}, err
}

func (w *panicWriter) Publish(ctx context.Context, id uint64) error {
	if w.at == "publish" {
		panic("publish")
	}
	return w.ledgerWriter.Publish(ctx, id)
}

func (w *panicWriter) Close() error {
	if w.at == "close" {
		panic("close")
	}
	return w.ledgerWriter.Close()
}

// Failures with restarts: the output is exact, whatever the parallelism and
// whenever the failure.
func TestRestartAfterFailures(t *testing.T) {
	const splits, n = 3, 2000
	for _, p := range upTo(4) {
		for _, after := range []int64{1, 700, 2500, splits*n - 1} {
			t.Run(fmt.Sprintf("parallelism=%d,after=%d", p, after), func(t *testing.T) {
				t.Parallel()
				src := numbers(splits, n, 250)
				out := newLedger[counted]()
				cfg := engine.Config{Parallelism: p, Restart: engine.RestartConfig{Attempts: 1}}
				var rec *recorder
				cfg.Checkpoints, rec = often(mem.New(), src, 250)
				cfg.Observer = rec
				run(t, fusedJob(src, out, newFuse(after)), cfg)
				checkCounted(t, out.records(), splits, n)
				again := eventsOf[engine.Restarting](rec)
				if len(again) != 1 || again[0].Attempt != 1 {
					t.Errorf("restarts: %v", again)
				}
			})
		}
	}
}

// A failure does not wait for a checkpoint that is being written, however long
// the store takes.
func TestFailureDuringSlowCheckpoint(t *testing.T) {
	st := faulty(t, `(delay 1h (op create) (name "*.data"))`)
	src := numbers(2, 3000, 500)
	rec := &recorder{}
	rec.on = func(e engine.Event) {
		if _, ok := e.(engine.CheckpointTriggered); ok {
			src.raise(500)
		}
	}
	cfg := engine.Config{Parallelism: 2, Observer: rec, Checkpoints: engine.CheckpointConfig{Store: st, Interval: time.Millisecond}}
	if err := start(t, fusedJob(src, newLedger[counted](), newFuse(1500)), cfg).Wait(); !errors.Is(err, errUser) {
		t.Errorf("error %v", err)
	}
}

// looker lets something happen when somebody looks at the runs of a root.
type looker struct {
	store.Store
	look func()
}

func (l looker) List(ctx context.Context, prefix string) iter.Seq2[store.Info, error] {
	if prefix == "runs/" {
		l.look()
	}
	return l.Store.List(ctx, prefix)
}

// A job that is cancelled just after a failure, while that is looked into, says
// that it was cancelled.
func TestCancelledAfterAFailure(t *testing.T) {
	why := errors.New("no longer wanted")
	var job atomic.Pointer[engine.Job]
	var failed atomic.Bool
	rec := &recorder{on: func(e engine.Event) {
		if _, ok := e.(engine.TaskFailed); ok {
			failed.Store(true)
		}
	}}
	st := looker{mem.New(), func() {
		if failed.Load() {
			job.Load().Cancel(why)
		}
	}}
	src := numbers(1, 100, 0)
	cfg := engine.Config{Observer: rec, Restart: engine.RestartConfig{Attempts: 3}, Checkpoints: engine.CheckpointConfig{Store: st}}
	job.Store(start(t, fusedJob(src, newLedger[counted](), newFuse(1)), cfg))
	src.free()
	if err := job.Load().Wait(); !errors.Is(err, why) || !errors.Is(err, errUser) {
		t.Errorf("the job ended with %v, want %q and before that %q", err, why, errUser)
	}
}

// When the restarts are used up the last failure is the job's.
func TestRestartsAreCounted(t *testing.T) {
	g := engine.NewGraph("always")
	s := engine.From(g, "numbers", numbers(1, 100, all), ordered())
	byKey := engine.KeyBy(s, func(r numbered) int64 { return r.Key })
	engine.Apply(byKey, "count", func() engine.Process[int64, numbered, counted] { return &fused{fuse: newFuse(1)} }).To("out", newLedger[counted]())
	rec := &recorder{}
	err := start(t, g, engine.Config{Observer: rec, Restart: engine.RestartConfig{Attempts: 3}}).Wait()
	if !errors.Is(err, errUser) || len(eventsOf[engine.Restarting](rec)) != 3 || len(eventsOf[engine.TaskFailed](rec)) != 4 {
		t.Errorf("error %v, events %v", err, rec.events)
	}
}

// Cancelling leaves no goroutine and no buffer (the strict logger sees to the
// latter), and says why the job ended.
func TestCancel(t *testing.T) {
	why := errors.New("no longer wanted")
	for name, stop := range map[string]func(*engine.Job, context.CancelCauseFunc){
		"job":     func(j *engine.Job, _ context.CancelCauseFunc) { j.Cancel(why) },
		"context": func(_ *engine.Job, cancel context.CancelCauseFunc) { cancel(why) },
	} {
		t.Run(name, func(t *testing.T) {
			before := goleak.IgnoreCurrent()
			ctx, cancel := context.WithCancelCause(t.Context())
			src := numbers(4, 1<<40, all)
			out := newLedger[counted]()
			var some atomic.Int64
			enough := make(chan struct{})
			g := countJob(src, out, func(s engine.Stream[numbered]) engine.Stream[numbered] {
				return s.Filter(func(numbered) bool {
					if some.Add(1) == 50000 {
						close(enough)
					}
					return true
				})
			})
			cfg := quick(t, engine.Config{Parallelism: 4, Checkpoints: engine.CheckpointConfig{Store: mem.New(), Interval: time.Millisecond}})
			job, err := engine.Start(ctx, g, cfg)
			if err != nil {
				t.Fatal(err)
			}
			<-enough
			stop(job, cancel)
			if err := job.Wait(); !errors.Is(err, why) {
				t.Errorf("the job ended with %v", err)
			}
			if err := goleak.Find(before); err != nil {
				t.Error(err)
			}
			if s := job.Stats(); len(s.Tasks) != 0 {
				t.Errorf("statistics of a job that is over: %v", s)
			}
		})
	}
}
