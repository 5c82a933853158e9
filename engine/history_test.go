package engine_test

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tidemark-io/tidemark/engine"
	"github.com/tidemark-io/tidemark/history"
	"github.com/tidemark-io/tidemark/store"
	"github.com/tidemark-io/tidemark/store/mem"
)

// branches is a job with a fast and a slow branch that meet in one task, whose
// alignment waits for the slow one:
//
//	fast ───────┐
//	slow → map-1 ┴ map-2 → out
//
// The slow one says that it has entered its only record, and waits to be released.
func branches(entered chan<- struct{}, release <-chan struct{}) *engine.Graph {
	g := engine.NewGraph("branches")
	ordered := engine.BoundedDisorder(seqTime, 0)
	fast := engine.From(g, "fast", numbers(1, 1<<40, 0), ordered).Rebalance()
	slow := engine.Map(engine.From(g, "slow", numbers(1, 1<<40, 1), ordered).Rebalance(), func(r numbered) numbered {
		close(entered)
		<-release
		return r
	}).Rebalance()
	engine.Map(engine.Union(fast, slow), func(r numbered) numbered { return r }).To("out", newLedger[numbered]())
	return g
}

// recordsOf reads all records of a root, oldest first.
func recordsOf(t *testing.T, st store.Store) []*history.Attempt {
	t.Helper()
	refs, err := history.List(t.Context(), st)
	if err != nil {
		t.Fatal(err)
	}
	var list []*history.Attempt
	for _, r := range refs {
		a, err := history.Read(t.Context(), st, r)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, a)
	}
	return list
}

// part finds the one subtask of a task by an operator of its.
func part(t *testing.T, a *history.Attempt, uid string) *history.Subtask {
	t.Helper()
	for _, task := range a.Tasks {
		if slices.Contains(task.Operators, uid) {
			return &task.Subtasks[0]
		}
	}
	t.Fatalf("no task has %q: %+v", uid, a.Tasks)
	return nil
}

func text(m *history.Millis) string {
	if m == nil {
		return "-"
	}
	return m.Duration().String()
}

// TestHistoryMeasures: a checkpoint is triggered while the slow branch has three
// more seconds to work. The job's clock stands still but for that, so start delay,
// alignment, busy and idle time are known to the nanosecond.
func TestHistoryMeasures(t *testing.T) {
	for _, test := range []struct {
		name               string
		cfg                engine.CheckpointConfig
		status             history.Status
		cause              history.Cause
		slow, join         string // start delay/alignment
		took               time.Duration
		processed, inFight bool
	}{
		{"aligned", engine.CheckpointConfig{}, history.Completed, "", "3s/0s", "0s/3s", 3 * time.Second, true, false},
		{"unaligned", engine.CheckpointConfig{Unaligned: true}, history.Completed, "", "3s/0s", "0s/3s", 3 * time.Second, false, true},
		{"timed out", engine.CheckpointConfig{Timeout: time.Second, TolerableFailures: 1}, history.Failed, history.TimedOut, "-/-", "0s/1s", time.Second, false, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			st, rec, clock := mem.New(), &recorder{}, newManualClock()
			cfg := engine.Config{Checkpoints: test.cfg, Observer: rec, BufferTimeout: -1, Clock: clock}
			cfg.Checkpoints.Store = st
			entered, release := make(chan struct{}), make(chan struct{})
			job := start(t, branches(entered, release), cfg)
			<-entered
			clock.advance(2 * time.Second)
			ended := make(chan error, 1)
			go func() {
				_, err := job.Checkpoint(t.Context())
				ended <- err
			}()
			// Two sources take part at once, and the join waits for the slow one.
			until(t, func() bool { s := statsOf(job, "map-2"); return s.Aligning && s.StartDelay == 0 })
			clock.advance(test.took)
			if test.status == history.Completed {
				close(release)
			}
			if err := <-ended; (err != nil) != (test.status == history.Failed) {
				t.Fatal(err)
			}
			if test.status == history.Failed {
				close(release)
			}
			job.Cancel(errEnough)
			if err := job.Wait(); !errors.Is(err, errEnough) {
				t.Fatal(err)
			}
			got := recordsOf(t, st)
			if len(got) != 1 {
				t.Fatalf("%d records", len(got))
			}
			checkBranches(t, got[0], test.status, test.cause, test.took, test.slow, test.join)
			if (got[0].Processed > 0) != test.processed || (got[0].Persisted > 0) != test.inFight {
				t.Errorf("%d bytes processed, %d persisted", got[0].Processed, got[0].Persisted)
			}
			if e := eventsOf[engine.CheckpointCompleted](rec); len(e) == 1 && (e[0].Record.ID != 1 || e[0].Record.Alignment.Duration() != e[0].MaxAlignment) {
				t.Errorf("the event has the record %+v", e[0].Record)
			}
			t.Logf("RESULT TestHistoryMeasures mode=%q processed=%d persisted=%d", test.name, got[0].Processed, got[0].Persisted)
		})
	}
}

// statsOf is the picture of the task that begins with an operator.
func statsOf(job *engine.Job, uid string) engine.TaskStats {
	for _, s := range job.Stats().Tasks {
		if s.UID == uid {
			return s
		}
	}
	return engine.TaskStats{}
}

// until lets others run until ok.
func until(t *testing.T, ok func() bool) {
	for !ok() {
		if t.Context().Err() != nil {
			t.Fatal("the test is over")
		}
		runtime.Gosched()
	}
}

func checkBranches(t *testing.T, a *history.Attempt, status history.Status, cause history.Cause, took time.Duration, slow, join string) {
	t.Helper()
	if a.Status != status || history.Cause(a.Cause) != cause || a.Duration.Duration() != took || a.ID != 1 || a.Run != 1 || a.Job != "branches" {
		t.Errorf("attempt %d of run %d of %q: %s (%s) in %v: %s", a.ID, a.Run, a.Job, a.Status, a.Cause, a.Duration.Duration(), a.Message)
	}
	for uid, want := range map[string]string{"map-1": slow, "map-2": join, "fast": "0s/0s"} {
		p := part(t, a, uid)
		if got := text(p.StartDelay) + "/" + text(p.Alignment.Duration); got != want {
			t.Errorf("%s: start delay and alignment %s, want %s", uid, got, want)
		}
		if source := uid == "fast"; (p.BufferSize == nil) != source || !source && *p.BufferSize != 32<<10 || p.TimeToConsume != nil {
			t.Errorf("%s: buffer size %v, to consume %v", uid, p.BufferSize, p.TimeToConsume)
		}
		if status == history.Failed && uid == "fast" {
			continue // it may have acknowledged or still be writing
		}
		acked := status == history.Completed
		if (p.Status == history.Acknowledged) != acked || p.Aborted != (status == history.Failed) || (p.Checkpointed != nil) != acked {
			t.Errorf("%s: %+v", uid, p)
		}
	}
	total := 2*time.Second + took
	if p := part(t, a, "map-1"); p.Busy.Duration() != total || p.Idle != 0 {
		t.Errorf("the slow branch was busy for %v, idle for %v", p.Busy.Duration(), p.Idle.Duration())
	}
	if p := part(t, a, "map-2"); (p.Idle+p.Busy).Duration() < took || (p.Idle+p.Busy).Duration() > total { // when its thread began is not known
		t.Errorf("the join was busy for %v, idle for %v", p.Busy.Duration(), p.Idle.Duration())
	}
}

// TestHistoryGoesOn: failed attempts are recorded, the newest ones are kept, over
// runs, and what history cannot be written fails nothing.
func TestHistoryGoesOn(t *testing.T) {
	st := faulty(t, `(error EIO (op commit) (name "chk-2/*.data") (count 1)) (error EIO (op create) (name "history/1-3"))`)
	out := newLedger[counted]()
	for run := range 2 {
		src := numbers(2, 3000, 500+500*int64(run))
		cfg := engine.Config{Parallelism: 2}
		cfg.Checkpoints = engine.CheckpointConfig{Store: st, TolerableFailures: 1, History: 4}
		cfg.Restore.From = "latest"
		job := start(t, countJob(src, out, nil), cfg)
		for i := range 3 {
			src.raise(100)
			if _, err := job.Checkpoint(t.Context()); (err != nil) != (run == 0 && i == 1) {
				t.Fatalf("checkpoint %d: %v", i+1, err)
			}
		}
		job.Cancel(errEnough)
		<-job.Done()
		var got []string
		for _, a := range recordsOf(t, st) {
			got = append(got, fmt.Sprintf("%d-%d %s %s", a.Run, a.ID, a.Status, a.Cause))
			if from := a.Restored; (from != nil) != (a.Run == 2) || from != nil && (from.Number == nil || *from.Number != 1) {
				t.Errorf("%d-%d was restored from %+v", a.Run, a.ID, from)
			}
		}
		want := []string{"1-1 COMPLETED , 1-2 FAILED error", "1-2 FAILED error, 2-4 COMPLETED , 2-5 COMPLETED , 2-6 COMPLETED "}[run]
		if s := strings.Join(got, ", "); s != want {
			t.Errorf("after run %d there are %s, want %s", run+1, s, want)
		}
	}
	if unfired := st.Faults().Unfired(); len(unfired) > 0 {
		t.Fatalf("never happened: %v", unfired)
	}
}

// TestHistoryNeverWaits: a store that takes an hour for a record delays no
// checkpoint, and the end of the job only by a time of grace.
func TestHistoryNeverWaits(t *testing.T) {
	st, clock := faulty(t, `(delay 1h (op create) (name "history/*"))`), newManualClock()
	cfg := engine.Config{Clock: clock}
	cfg.Checkpoints.Store = st
	job := start(t, countJob(numbers(1, 3000, 500), newLedger[counted](), nil), cfg)
	for range 3 {
		take(t, job)
	}
	began := clock.Now()
	job.Cancel(errEnough)
	until(t, func() bool {
		select {
		case <-job.Done():
			return true
		default:
			clock.advance(time.Second)
			return false
		}
	})
	if d := clock.Now().Sub(began); d < 10*time.Second {
		t.Errorf("the job ended after %v, before its time of grace", d)
	}
	if n := len(names(t, st, "history/")); n != 0 {
		t.Errorf("%d records", n)
	}
}
