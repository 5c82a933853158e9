package runtime

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tidemark-io/tidemark/engine/exchange"
	"github.com/tidemark-io/tidemark/format"
	"github.com/tidemark-io/tidemark/store/mem"
)

// stepClock is moved by the test. Its functions run at once, in the caller.
type stepClock struct {
	mu     sync.Mutex
	now    time.Time
	timers map[int]stepTimer
	made   int
}

type stepTimer struct {
	at time.Time
	f  func()
}

func (c *stepClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *stepClock) AfterFunc(d time.Duration, f func()) func() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.made++
	n := c.made
	c.timers[n] = stepTimer{c.now.Add(d), f}
	return func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		_, ok := c.timers[n]
		delete(c.timers, n)
		return ok
	}
}

func (c *stepClock) advance(d time.Duration) {
	c.mu.Lock()
	c.now = c.now.Add(d)
	var due []int
	for n, t := range c.timers {
		if !t.at.After(c.now) {
			due = append(due, n)
		}
	}
	slices.Sort(due)
	var fs []func()
	for _, n := range due {
		fs = append(fs, c.timers[n].f)
		delete(c.timers, n)
	}
	c.mu.Unlock()
	for _, f := range fs {
		f()
	}
}

// rig is a coordinator whose mails the test runs, of an attempt with one task
// that the test plays.
type rig struct {
	*coordinator
	clock  *stepClock
	began  time.Time
	events []Event
}

func newRig(t *testing.T, cfg CheckpointConfig) *rig {
	t.Helper()
	r := &rig{clock: &stepClock{now: time.Unix(1000, 0), timers: map[int]stepTimer{}}}
	r.began = r.clock.now
	cfg.Store = mem.New()
	full, err := Config{Checkpoints: cfg, Clock: r.clock, Observer: ObserverFunc(func(e Event) { r.events = append(r.events, e) })}.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	g := &Graph{Name: "rig", Nodes: []*Node{{UID: "task", Name: "task"}}}
	p, err := newPlan(g, full, func(string) int { return 0 })
	if err != nil {
		t.Fatal(err)
	}
	j := &Job{cfg: full, graph: g, lineage: "rig", nextID: 1}
	j.root = &root{store: cfg.Store, run: 1}
	a := &attempt{job: j, cfg: &j.cfg, plan: p, root: j.root}
	a.ctx, a.cancel = context.WithCancelCause(t.Context())
	a.tasks = []*Task{{attempt: a, mail: newMailbox(), ops: []opSlot{{env: &Env{UID: "task", node: g.Nodes[0]}}}}}
	a.coord = newCoordinator(a)
	r.coordinator = a.coord
	r.lastEnd = r.clock.now
	return r
}

// turn runs the mails that wait, and then considers.
func (r *rig) turn() {
	for _, mail := range r.mail.take() {
		_ = mail()
	}
	r.consider()
}

// until turns, sleeping while there are no mails, until ok.
func (r *rig) until(ok func() bool) {
	for r.turn(); !ok(); r.turn() {
		r.mail.parked.Store(true)
		if !r.mail.pending.Load() {
			<-r.mail.wakeup
		}
		r.mail.parked.Store(false)
	}
}

// When checkpoints are triggered that take 300 ms each.
func TestTriggerTimes(t *testing.T) {
	for _, test := range []struct {
		interval, pause time.Duration
		want            string
	}{
		{time.Second, 0, "1s 2s 3s 4s 5s"},
		{200 * time.Millisecond, 0, "200ms 500ms 800ms 1.1s 1.4s"},
		{time.Second, 2 * time.Second, "2s 4.3s 6.6s 8.9s 11.2s"},
		{time.Second, 500 * time.Millisecond, "1s 2s 3s 4s 5s"},
	} {
		r := newRig(t, CheckpointConfig{Interval: test.interval, MinPause: test.pause})
		r.tick()
		var at []string
		for len(at) < 5 {
			r.clock.advance(50 * time.Millisecond)
			r.turn()
			if p := r.current.Load(); p != nil && r.clock.Now().Sub(p.triggered) >= 300*time.Millisecond {
				r.acknowledge(p, ack{task: 0, watermarks: []int64{NoWatermark}})
				r.until(func() bool { return r.current.Load() != p })
			}
			at = at[:0]
			for _, e := range r.events {
				if e, ok := e.(CheckpointTriggered); ok {
					at = append(at, e.At.Sub(r.began).String())
				}
			}
		}
		if got := strings.Join(at, " "); got != test.want {
			t.Errorf("interval %v, pause %v: triggered at %s, want %s", test.interval, test.pause, got, test.want)
		}
	}
}

// A timeout, or anything else that gives a checkpoint up, that comes between its
// commit and the news of it: it is completed, once.
func TestGivenUpAfterCommit(t *testing.T) {
	r := newRig(t, CheckpointConfig{})
	answer := make(chan Result, 1)
	r.ask(&request{kind: format.Checkpoint, reply: answer})
	r.turn()
	p := r.current.Load()
	r.acknowledge(p, ack{task: 0, watermarks: []int64{NoWatermark}})
	for !r.mail.pending.Load() {
		r.mail.parked.Store(true)
		if !r.mail.pending.Load() {
			<-r.mail.wakeup
		}
	}
	r.turn() // the news of the commit
	r.abort(p, errExpired)
	r.until(func() bool { return r.current.Load() != p })
	p.writing.Wait()
	r.turn()
	var completed, failed int
	for _, e := range r.events {
		switch e.(type) {
		case CheckpointCompleted:
			completed++
		case CheckpointFailed:
			failed++
		}
	}
	if res := <-answer; completed != 1 || failed != 0 || res.Err != nil {
		t.Errorf("%d completed, %d failed, answer %v", completed, failed, res)
	}
	if len(r.a.job.kept) != 1 {
		t.Errorf("kept %v", r.a.job.kept)
	}
}

// A pool that is full of what earlier checkpoints captured delays the next one,
// also one that is asked for, until there is room (R14).
func TestFullPoolDelays(t *testing.T) {
	r := newRig(t, CheckpointConfig{Interval: time.Second})
	pool := exchange.NewSnapshotPool(100, "")
	r.a.captures = pool
	if !pool.Charge(100) {
		t.Fatal("the pool has no room")
	}
	r.tick()
	r.clock.advance(time.Second)
	for range 5 { // mails meanwhile do not make more timers
		r.post(func() {})
		r.turn()
	}
	r.ask(&request{kind: format.Savepoint, reply: make(chan Result, 1)})
	r.turn()
	if r.current.Load() != nil {
		t.Fatal("a checkpoint was triggered while the pool was full")
	}
	if n := len(r.clock.timers); n != 2 { // the interval's, and the one that looks again
		t.Errorf("%d timers, want 2", n)
	}
	pool.Release(100)
	r.clock.advance(roomPause)
	r.turn()
	if p := r.current.Load(); p == nil || p.kind != format.Savepoint {
		t.Error("nothing was triggered when the pool had room")
	}
}
