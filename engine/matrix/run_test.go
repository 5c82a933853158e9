package matrix_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/tidemark-io/tidemark/engine"
	"github.com/tidemark-io/tidemark/engine/connector/collect"
	"github.com/tidemark-io/tidemark/engine/exchange"
	"github.com/tidemark-io/tidemark/reader"
	"github.com/tidemark-io/tidemark/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// long reports whether the tests run at their long size.
func long() bool { return os.Getenv("TIDEMARK_LONG") != "" }

// alignment is the mode of a job's checkpoints.
type alignment struct {
	name      string
	unaligned bool
	timeout   time.Duration
}

var (
	overtaking = alignment{"unaligned", true, 0}
	timedOut   = alignment{"timed out", true, time.Millisecond}
	aligned    = alignment{"aligned", false, 0}
)

func (a alignment) set(c *engine.CheckpointConfig) {
	c.Unaligned, c.AlignedTimeout = a.unaligned, a.timeout
}

// alignments are those that a test of an unaligned job runs with.
func alignments() []alignment {
	if long() {
		return []alignment{overtaking, timedOut, aligned}
	}
	return []alignment{overtaking}
}

// network are buffers as those of Flink's tests: 4 KiB, so that records often
// lie in two of them.
func network() exchange.Config {
	c := exchange.DefaultConfig()
	c.BufferSize = 4 << 10
	return c
}

// errPlanned is the failure that tests cause.
var errPlanned = errors.New("failed as planned")

// trip fails a job at planned moments. Each happens once.
type trip struct {
	attempt   atomic.Int64
	completed atomic.Int64 // checkpoints of this run
	failed    atomic.Int64 // planned failures that happened
	inFlight  atomic.Int64 // records in flight in the newest checkpoint

	mu   sync.Mutex
	done map[string]bool
}

// due reports whether a failure is to happen now: in this attempt, when so many
// checkpoints are complete, and not before.
func (f *trip) due(name string, attempt, completed int64) bool {
	if f.attempt.Load() != attempt || f.completed.Load() < completed {
		return false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.done[name] {
		return false
	}
	if f.done == nil {
		f.done = map[string]bool{}
	}
	f.done[name] = true
	f.failed.Add(1)
	return true
}

// runner runs a job and lets its pumps go on.
type runner struct {
	t     *testing.T
	pumps []*pump
	trip  *trip
	// until is how many checkpoints and restarts there must have been before
	// the sources end.
	until, restarts int64
	// cancel ends the run when this many checkpoints are complete, 0 never.
	cancel int64
	// loaded delays that until a checkpoint has records in flight, for a while.
	loaded bool
	edge   string // count only what is in flight on this connection

	// started takes the place of asking for checkpoints if it is set.
	started func(job *engine.Job)

	store store.Store // the job's

	// What happened.
	aborted, restarted int
	late               int64
	newest             string // path of the newest completed checkpoint
}

var errCancelled = errors.New("cancelled as planned")

// observe is the runner as an observer.
func (r *runner) observe(stop func()) engine.ObserverFunc {
	return func(e engine.Event) {
		switch e := e.(type) {
		case engine.CheckpointCompleted:
			r.trip.inFlight.Store(int64(inFlightOf(r.t, r.store, e.Path, r.edge)))
			r.newest = e.Path
			n := r.trip.completed.Add(1)
			for _, p := range r.pumps {
				if r.until > 0 && n >= r.until && r.trip.attempt.Load() >= r.restarts {
					p.finish()
				} else {
					p.raise()
				}
			}
			if r.cancel > 0 && n >= r.cancel && (!r.loaded || r.trip.inFlight.Load() > 0 || n >= 20*r.cancel) {
				stop()
			}
		case engine.CheckpointFailed:
			r.aborted++
		case engine.Restarting:
			r.restarted++
			r.trip.attempt.Store(int64(e.Attempt))
		case engine.LateRecords:
			r.late += e.Count
		}
	}
}

// run runs the job to its end, or to its planned cancellation, and returns why it
// ended.
func (r *runner) run(g *engine.Graph, cfg engine.Config) error {
	r.t.Helper()
	ctx, cancel := context.WithCancelCause(r.t.Context())
	defer cancel(nil)
	r.store = cfg.Checkpoints.Store
	cfg.Observer = r.observe(func() { cancel(errCancelled) })
	cfg.Logger = strict(r.t)
	cfg.Restart.Delay = time.Nanosecond
	if cfg.BufferTimeout == 0 {
		cfg.BufferTimeout = time.Millisecond
	}
	if cfg.Checkpoints.Timeout == 0 {
		cfg.Checkpoints.Timeout = time.Minute
	}
	job, err := engine.Start(ctx, g, cfg)
	if err != nil {
		return err
	}
	asked := make(chan struct{})
	go func() {
		defer close(asked)
		if r.started != nil {
			r.started(job)
			return
		}
		for {
			select {
			case <-r.pumps[0].asks:
				_, _ = job.Checkpoint(ctx) // it may fail with its attempt
			case <-job.Done():
				return
			}
		}
	}()
	err = job.Wait()
	<-asked
	if errors.Is(err, errCancelled) {
		return nil
	}
	return err
}

// strict is a logger that fails the test on errors: the engine logs one if it
// finds that it leaked a buffer.
func strict(t *testing.T) *slog.Logger {
	return slog.New(slog.NewTextHandler(failOn{t}, &slog.HandlerOptions{Level: slog.LevelError}))
}

type failOn struct{ t *testing.T }

func (f failOn) Write(b []byte) (int, error) {
	f.t.Errorf("logged: %s", strings.TrimSpace(string(b)))
	return len(b), nil
}

// drag lets everybody else run first, so that what comes before a function is
// backpressured on any machine, at little cost.
func drag(rounds int) {
	for range rounds {
		runtime.Gosched()
	}
}

// inFlight returns how many records each checkpoint of a root has in flight.
func inFlight(t *testing.T, st store.Store) (list []uint64) {
	t.Helper()
	dirs, err := reader.Dirs(t.Context(), st, "")
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range dirs {
		if !d.Manifest {
			continue
		}
		list = append(list, inFlightOf(t, st, d.Path, ""))
	}
	return list
}

// inFlightOf is that of one checkpoint, on one connection or on all.
func inFlightOf(t *testing.T, st store.Store, path, edge string) (n uint64) {
	t.Helper()
	ck, err := reader.Open(t.Context(), st, path)
	if err != nil {
		t.Error(err)
		return 0
	}
	defer ck.Close()
	edges, err := ck.Edges()
	if err != nil {
		t.Error(err)
	}
	for _, e := range edges {
		if edge == "" || e.ID == edge {
			n += e.InFlightRecords
		}
	}
	return n
}

func sum(list []uint64) (n uint64) {
	for _, v := range list {
		n += v
	}
	return n
}

// tally counts what is lost, double and out of order, and fails the test for
// each.
type tally struct{ lost, twice, disorder int64 }

func (c tally) check(t *testing.T) {
	t.Helper()
	if c.lost != 0 || c.twice != 0 || c.disorder != 0 {
		t.Errorf("%v; all must be 0", c)
	}
}

func (c tally) String() string {
	return fmt.Sprintf("lost=%d duplicated=%d out-of-order=%d", c.lost, c.twice, c.disorder)
}

// count compares the numbers that came with 0 to total−1.
func (c *tally) count(t *testing.T, got []int64, total int64) {
	t.Helper()
	seen := make([]uint64, (total+63)/64)
	for _, v := range got {
		if v < 0 || v >= total {
			t.Fatalf("number %d came, there are only %d", v, total)
		}
		if seen[v/64]>>(v%64)&1 != 0 {
			c.twice++
		}
		seen[v/64] |= 1 << (v % 64)
	}
	c.lost += total - (int64(len(got)) - c.twice)
}

// opened returns the numbers that a sink of words has, by subtask.
func opened(out *collect.Sink[int64], parallelism int) (all []int64, bySubtask [][]int64) {
	bySubtask = make([][]int64, parallelism)
	for _, e := range out.Entries() {
		v := open(e.Record)
		all = append(all, v)
		bySubtask[e.Subtask] = append(bySubtask[e.Subtask], v)
	}
	return all, bySubtask
}
