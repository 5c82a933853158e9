package engine_test

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tidemark-io/tidemark/engine"
	"github.com/tidemark-io/tidemark/store/mem"
)

// snag lets one call of user code wait until it is told to go on.
type snag struct {
	once sync.Once
	free chan struct{}
}

func (s *snag) catch() { s.once.Do(func() { <-s.free }) }

// snagSource waits in a call of its reader.
type snagSource struct {
	engine.Source[numbered]
	snag *snag
}

type snagReader struct {
	engine.SplitReader[numbered]
	snag *snag
	n    int
}

func (s snagSource) Open(ctx context.Context, sp engine.Split, position []byte) (engine.SplitReader[numbered], error) {
	r, err := s.Source.Open(ctx, sp, position)
	return &snagReader{SplitReader: r, snag: s.snag}, err
}

func (r *snagReader) Read(ctx context.Context, batch []numbered) (int, error) {
	if r.n++; r.n == 2 {
		r.snag.catch()
	}
	return r.SplitReader.Read(ctx, batch[:1])
}

// snagTimer waits in a timer.
type snagTimer struct {
	keyCounter
	snag *snag
}

func (s *snagTimer) Process(ctx *engine.Context[int64], r numbered, out *engine.Output[counted]) error {
	ctx.RegisterTimer(r.Seq + 1)
	return s.keyCounter.Process(ctx, r, out)
}

func (s *snagTimer) OnTimer(_ *engine.Context[int64], at int64, _ *engine.Output[counted]) error {
	if at == 40 {
		s.snag.catch()
	}
	return nil
}

// snagged is source → map, chained → count by key → map → sink, where user code at
// one place does not return.
func snagged(place string, s *snag, out engine.Sink[counted]) *engine.Graph {
	g := engine.NewGraph("snagged")
	var src engine.Source[numbered] = numbers(1, 100, all)
	if place == "source" {
		src = snagSource{src, s}
	}
	wait := func(at string, seq int64) {
		if place == at && seq == 70 {
			s.catch()
		}
	}
	in := engine.From(g, "numbers", src, engine.BoundedDisorder(seqTime, 0))
	in = engine.Map(in, func(r numbered) numbered { wait("chained", r.Seq); return r })
	byKey := engine.KeyBy(in, func(r numbered) int64 { return r.Key })
	counter := newCounter
	if place == "timer" {
		counter = func() engine.Process[int64, numbered, counted] { return &snagTimer{snag: s} }
	}
	count := engine.Apply(byKey, "count", counter)
	engine.Map(count, func(r counted) counted { wait("channel", r.Seq); return r }).To("out", out)
	return g
}

// TestStuckFunctions: a call of user code that does not return is reported after
// the configured time, once, with the operator, the place of the record and the
// stack; no checkpoint completes meanwhile. When it returns that is told, too,
// and the job ends as if nothing had been.
func TestStuckFunctions(t *testing.T) {
	const limit = time.Minute
	for place, want := range map[string]engine.FunctionStuck{
		"source":  {UID: "numbers", Place: engine.PlaceSource},
		"chained": {UID: "map-1", Place: engine.PlaceSource},
		"channel": {UID: "map-2", Place: engine.PlaceChannel, Edge: "map-1>count#0"},
		"timer":   {UID: "count", Place: engine.PlaceTime},
	} {
		t.Run(place, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				s, out := &snag{free: make(chan struct{})}, newLedger[counted]()
				var mu sync.Mutex
				var stuck []engine.FunctionStuck
				var returned []engine.FunctionReturned
				var completed int
				var log bytes.Buffer
				cfg := engine.Config{StuckAfter: limit, Logger: slog.New(slog.NewTextHandler(&log, nil))}
				cfg.Checkpoints = engine.CheckpointConfig{Store: mem.New(), Interval: time.Second, Unaligned: true, Timeout: 10 * time.Second, TolerableFailures: 1 << 20}
				cfg.Observer = engine.ObserverFunc(func(e engine.Event) {
					mu.Lock()
					defer mu.Unlock()
					switch e := e.(type) {
					case engine.FunctionStuck:
						stuck = append(stuck, e)
					case engine.FunctionReturned:
						returned = append(returned, e)
					case engine.CheckpointCompleted:
						completed++
					}
				})
				job, err := engine.Start(t.Context(), snagged(place, s, out), cfg)
				if err != nil {
					t.Fatal(err)
				}
				time.Sleep(limit - time.Millisecond)
				if mu.Lock(); len(stuck) > 0 {
					t.Errorf("reported too early: %+v", stuck)
				}
				mu.Unlock()
				time.Sleep(time.Hour)
				mu.Lock()
				if len(stuck) != 1 || len(returned) != 0 || completed != 0 {
					t.Fatalf("%d reports, %d returns, %d checkpoints; want 1, 0, 0", len(stuck), len(returned), completed)
				}
				got := stuck[0]
				if !strings.Contains(string(got.Stack), "(*snag).catch") {
					t.Errorf("the stack does not show the function:\n%s", got.Stack)
				}
				if got.Since < limit || got.Since > limit*3/2 {
					t.Errorf("reported after %v", got.Since)
				}
				got.Since, got.Stack, got.Buffer = 0, nil, 0
				if got.UID != want.UID || got.Place != want.Place || got.Edge != want.Edge || got.Subtask != 0 || got.Sender != 0 {
					t.Errorf("reported %+v, want %+v", got, want)
				}
				mu.Unlock()
				close(s.free)
				if err := job.Wait(); err != nil {
					t.Fatal(err)
				}
				if len(stuck) != 1 || len(returned) != 1 || returned[0].After < time.Hour {
					t.Errorf("at the end %d reports and %+v", len(stuck), returned)
				}
				checkCounted(t, out.records(), 1, 100)
				if text := log.String(); strings.Count(text, "does not return") != 1 || strings.Count(text, "has returned") != 1 {
					t.Errorf("logged:\n%s", text)
				}
			})
		})
	}
}

// TestWaitingIsNotStuck: tasks that wait for input, or for room, for long are not
// reported, nor is anything without a limit.
func TestWaitingIsNotStuck(t *testing.T) {
	for name, limit := range map[string]time.Duration{"watched": 4 * time.Second, "not watched": 0} {
		inBubble(t, func(t *testing.T) {
			src, free := numbers(1, 1<<40, 100), make(chan struct{})
			g := engine.NewGraph("waiting")
			s := engine.From(g, "numbers", src, engine.BoundedDisorder(seqTime, 0)).Rebalance()
			slow := func(r numbered) numbered { // each call returns in time, and there is never room
				if limit > 0 {
					time.Sleep(limit * 9 / 10)
				} else if r.Seq == 10 {
					<-free
				}
				return r
			}
			engine.Map(engine.Map(s, slow).Rebalance(), func(r numbered) numbered { return r }).To("out", newLedger[numbered]())
			var seen []engine.Event
			cfg := engine.Config{StuckAfter: limit, Exchange: smallBuffers()}
			cfg.Observer = engine.ObserverFunc(func(e engine.Event) {
				switch e.(type) {
				case engine.FunctionStuck, engine.FunctionReturned:
					seen = append(seen, e)
				}
			})
			job, err := engine.Start(t.Context(), g, cfg)
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Minute)
			close(free)
			job.Cancel(context.Canceled)
			_ = job.Wait() // the cancellation
			if len(seen) > 0 {
				t.Errorf("%s: reported %+v", name, seen)
			}
		})
	}
}
