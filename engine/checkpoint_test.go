package engine_test

import (
	"errors"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tidemark-io/tidemark/engine"
	"github.com/tidemark-io/tidemark/format"
	"github.com/tidemark-io/tidemark/reader"
	"github.com/tidemark-io/tidemark/store"
	"github.com/tidemark-io/tidemark/store/faults"
	"github.com/tidemark-io/tidemark/store/mem"
)

// faulty is a memory that a fault expression disturbs.
func faulty(t *testing.T, expression string) *faults.Store {
	t.Helper()
	st, err := faults.Wrap(mem.New(), expression)
	if err != nil {
		t.Fatal(err)
	}
	return st
}

// names lists what a store holds below a prefix.
func names(t *testing.T, st store.Store, prefix string) []string {
	t.Helper()
	var list []string
	for info, err := range st.List(t.Context(), prefix) {
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, info.Name)
	}
	return list
}

// committed lists the checkpoints and savepoints of a store.
func committed(t *testing.T, st store.Store) []string {
	t.Helper()
	dirs, err := reader.Dirs(t.Context(), st, "")
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, d := range dirs {
		if d.Manifest {
			list = append(list, d.Path)
		}
	}
	return list
}

// take takes a checkpoint that must succeed.
func take(t *testing.T, job *engine.Job) engine.Result {
	t.Helper()
	res, err := job.Checkpoint(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return res
}

// A checkpoint that fails leaves nothing, and the next one includes its output.
func TestFailedCheckpointsAreTolerated(t *testing.T) {
	for _, fault := range []string{
		`(error EIO (op create) (name "chk-2/*.data") (count 1))`,
		`(error ENOSPC (op write) (name "chk-2/*.data") (count 1))`,
		`(error EIO (op commit) (name "chk-2/*.data") (count 1))`,
		`(error EIO (op commit) (name "chk-2/MANIFEST"))`,
		`(error EIO (op commit) (name "chk-2/MANIFEST.copy"))`,
		`(lost (op commit) (name "chk-2/MANIFEST"))`,
	} {
		t.Run(fault, func(t *testing.T) {
			t.Parallel()
			st := faulty(t, fault)
			src, out, rec := numbers(2, 3000, 500), newLedger[counted](), &recorder{}
			cfg := engine.Config{Parallelism: 2, Observer: rec}
			cfg.Checkpoints = engine.CheckpointConfig{Store: st, TolerableFailures: 1, Retained: 10}
			job := start(t, countJob(src, out, nil), cfg)
			take(t, job)
			src.raise(500)
			_, err := job.Checkpoint(t.Context())
			if unfired := st.Faults().Unfired(); len(unfired) > 0 {
				t.Fatalf("never happened: %v", unfired)
			}
			failed := eventsOf[engine.CheckpointFailed](rec)
			if err == nil { // the lost reply was found out about
				if len(failed) != 0 || !slices.Contains(committed(t, st), "chk-2") {
					t.Errorf("it failed silently: %v", failed)
				}
			} else if len(failed) != 1 || failed[0].ID != 2 || !errors.Is(err, faults.ErrInjected) {
				t.Errorf("error %v, events %v", err, failed)
			} else if left := names(t, st, "chk-2/"); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
			src.free()
			take(t, job)
			if err := job.Wait(); err != nil {
				t.Fatal(err)
			}
			checkCounted(t, out.records(), 2, 3000)
		})
	}
}

func TestUntoleratedFailureEndsTheJob(t *testing.T) {
	for tolerated := range 3 {
		st := faulty(t, `(error EIO (op commit) (name "*/MANIFEST"))`)
		rec := &recorder{}
		cfg := engine.Config{Observer: rec, Checkpoints: engine.CheckpointConfig{Store: st, TolerableFailures: tolerated, Interval: time.Millisecond}}
		err := start(t, countJob(numbers(2, 3000, 500), newLedger[counted](), nil), cfg).Wait()
		if !errors.Is(err, faults.ErrInjected) || len(eventsOf[engine.CheckpointFailed](rec)) != tolerated+1 {
			t.Errorf("%d tolerated: error %v after %d failures", tolerated, err, len(eventsOf[engine.CheckpointFailed](rec)))
		}
		if left := names(t, st, "chk-"); len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
	}
}

// The final checkpoint is tried again, as often as failures are tolerated, and
// by the restart after that.
func TestFinalCheckpointIsRetried(t *testing.T) {
	for _, test := range []struct{ tolerated, restarts int }{{2, 0}, {0, 2}, {1, 1}} {
		st := faulty(t, `(error EIO (op commit) (name "*/MANIFEST") (count 2))`)
		out, rec := newLedger[counted](), &recorder{}
		cfg := engine.Config{Parallelism: 2, Observer: rec, Restart: engine.RestartConfig{Attempts: test.restarts}}
		cfg.Checkpoints = engine.CheckpointConfig{Store: st, TolerableFailures: test.tolerated}
		run(t, countJob(numbers(2, 1000, all), out, nil), cfg)
		checkCounted(t, out.records(), 2, 1000)
		if n := len(eventsOf[engine.CheckpointFailed](rec)); n != 2 {
			t.Errorf("%d failures, want 2", n)
		}
		if list := committed(t, st); !slices.Equal(list, []string{"chk-3"}) {
			t.Errorf("committed: %v", list)
		}
	}
}

// A checkpoint that takes longer than its timeout is given up, and does not
// become visible later.
func TestCheckpointTimeout(t *testing.T) {
	for _, slow := range []string{"*.data", "*/MANIFEST"} {
		st := faulty(t, `(delay 1h (op commit) (id 1) (name "`+slow+`") (count 1))`)
		src, out, rec, clock := numbers(2, 3000, 500), newLedger[counted](), &recorder{}, newManualClock()
		// The clock is moved when the delay has begun.
		st.Faults().OnFire(func(faults.Event) { go clock.advance(time.Minute) })
		cfg := engine.Config{Parallelism: 2, Observer: rec, Clock: clock}
		cfg.Checkpoints = engine.CheckpointConfig{Store: st, TolerableFailures: 1, Timeout: time.Minute}
		job := start(t, countJob(src, out, nil), cfg)
		_, err := job.Checkpoint(t.Context())
		if err == nil || !strings.Contains(err.Error(), "timeout") {
			t.Errorf("%s: error %v", slow, err)
		}
		clock.run() // from here on time passes by itself
		src.raise(500)
		take(t, job)
		if list := committed(t, st); !slices.Equal(list, []string{"chk-2"}) {
			t.Errorf("%s: committed %v", slow, list)
		}
		if left := names(t, st, "chk-1/"); len(left) > 0 {
			t.Errorf("%s: left behind: %v", slow, left)
		}
		src.free()
		if err := job.Wait(); err != nil {
			t.Fatal(err)
		}
		checkCounted(t, out.records(), 2, 3000)
	}
}

// The newest checkpoints are kept, those of earlier runs of the lineage counted,
// and savepoints are not touched.
func TestRetention(t *testing.T) {
	st, out := mem.New(), newLedger[counted]()
	cfg := engine.Config{Parallelism: 2, Checkpoints: engine.CheckpointConfig{Store: st, Retained: 2}}
	cfg.Restore.From = "latest"
	for run := range 2 {
		src := numbers(2, 3000, int64(500+1000*run))
		rec := &recorder{}
		cfg.Observer = rec
		job := start(t, countJob(src, out, nil), cfg)
		take(t, job)
		if _, err := job.Savepoint(t.Context()); err != nil {
			t.Fatal(err)
		}
		take(t, job)
		last := take(t, job)
		job.Stop()
		if err := job.Wait(); err != nil {
			t.Fatal(err)
		}
		want := [][]string{{"savepoint-2", "chk-4", "chk-5"}, {"savepoint-2", "savepoint-7", "chk-9", "chk-10"}}[run]
		if got := committed(t, st); !slices.Equal(got, want) || last.Path != want[len(want)-2] {
			t.Errorf("run %d: kept %v, want %v", run+1, got, want)
		}
		if removed := eventsOf[engine.CheckpointRemoved](rec); len(removed) != 2+2*run {
			t.Errorf("run %d: removed %v", run+1, removed)
		}
	}
	for _, dir := range []string{"chk-1/", "chk-3/", "chk-6/"} {
		if left := names(t, st, dir); len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
	}
}

// A savepoint neither publishes output nor counts as the latest state.
func TestSavepoint(t *testing.T) {
	st, out := mem.New(), newLedger[counted]()
	cfg := engine.Config{Parallelism: 2, Checkpoints: engine.CheckpointConfig{Store: st}}
	src := numbers(2, 3000, 500)
	job := start(t, countJob(src, out, nil), cfg)
	src.rest()
	take(t, job)
	src.raise(500)
	src.rest()
	save, err := job.Savepoint(t.Context())
	if err != nil || save.Path != "savepoint-2" {
		t.Fatal(save, err)
	}
	// The records up to the checkpoint may be visible already.
	if n := len(out.records()); n > 2*500 {
		t.Errorf("the savepoint made records visible: %d", n)
	}
	ck, err := reader.Open(t.Context(), st, save.Path)
	if err != nil {
		t.Fatal(err)
	}
	if s := ck.Summary(); s.Kind != format.Savepoint || s.Ending != format.WentOn || s.Lineage == "" || s.Run != 1 {
		t.Errorf("summary %+v", s)
	}
	if err := ck.Close(); err != nil {
		t.Fatal(err)
	}
	why := errors.New("killed")
	job.Cancel(why)
	if err := job.Wait(); !errors.Is(err, why) {
		t.Fatal(err)
	}
	rec := &recorder{}
	cfg.Restore.From, cfg.Observer = "latest", rec
	run(t, countJob(numbers(2, 3000, all), out, nil), cfg)
	if e := eventsOf[engine.RunStarted](rec); len(e) != 1 || e[0].Restored != "chk-1" || e[0].Run != 2 {
		t.Errorf("restored %v", e)
	}
	checkCounted(t, out.records(), 2, 3000)
}

// Restoring a savepoint of which nothing later was published is exact, too.
func TestRestoreSavepoint(t *testing.T) {
	st, out := mem.New(), newLedger[counted]()
	cfg := engine.Config{Parallelism: 2, Checkpoints: engine.CheckpointConfig{Store: st}}
	src := numbers(2, 3000, 500)
	job := start(t, countJob(src, out, nil), cfg)
	take(t, job)
	src.raise(500)
	save, err := job.Savepoint(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	job.Cancel(nil)
	<-job.Done()
	cfg.Restore.From, cfg.Parallelism = save.Path, 3
	run(t, countJob(numbers(2, 3000, all), out, nil), cfg)
	checkCounted(t, out.records(), 2, 3000)
}

func TestStopWithSavepoint(t *testing.T) {
	st, out := mem.New(), newLedger[counted]()
	cfg := engine.Config{Parallelism: 2, Checkpoints: engine.CheckpointConfig{Store: st}}
	job := start(t, countJob(numbers(2, 3000, 500), out, nil), cfg)
	take(t, job)
	save, err := job.StopWithSavepoint(t.Context())
	if err != nil || save.Path != "savepoint-2" {
		t.Fatal(save, err)
	}
	if err := job.Wait(); err != nil {
		t.Fatal(err)
	}
	cfg.Restore.From, cfg.Parallelism = save.Path, 1
	run(t, countJob(numbers(2, 3000, all), out, nil), cfg)
	checkCounted(t, out.records(), 2, 3000)
}

// If the savepoint fails, the job goes on.
func TestStopWithSavepointThatFails(t *testing.T) {
	st := faulty(t, `(error EIO (op commit) (name "savepoint-1/MANIFEST"))`)
	out := newLedger[counted]()
	cfg := engine.Config{Parallelism: 2, Checkpoints: engine.CheckpointConfig{Store: st}}
	src := numbers(2, 3000, 500)
	job := start(t, countJob(src, out, nil), cfg)
	if _, err := job.StopWithSavepoint(t.Context()); !errors.Is(err, faults.ErrInjected) {
		t.Errorf("error %v", err)
	}
	src.free()
	if err := job.Wait(); err != nil {
		t.Fatal(err)
	}
	checkCounted(t, out.records(), 2, 3000)
}

// A savepoint that is asked for when all data is processed does not replace the
// final checkpoint.
func TestSavepointAtTheEnd(t *testing.T) {
	st := faulty(t, `(delay 50ms (op commit) (name "chk-1/MANIFEST"))`)
	out, rec := newLedger[counted](), &recorder{}
	asked := make(chan error, 1)
	var job *engine.Job
	started := make(chan struct{})
	rec.on = func(e engine.Event) {
		if e, ok := e.(engine.CheckpointTriggered); ok && e.ID == 1 {
			go func() {
				<-started
				_, err := job.Savepoint(t.Context())
				asked <- err
			}()
		}
	}
	cfg := engine.Config{Parallelism: 2, Observer: rec, Checkpoints: engine.CheckpointConfig{Store: st}}
	job = start(t, countJob(numbers(2, 100, all), out, nil), cfg)
	close(started)
	err := job.Wait()
	if answer := <-asked; err != nil {
		t.Fatal(err, answer)
	}
	if list := committed(t, st); !slices.Contains(list, "chk-1") {
		t.Errorf("committed %v", list)
	}
	checkCounted(t, out.records(), 2, 100)
}

// Without a checkpoint directory, requests are refused and a stop still lets
// what the sources emitted arrive.
func TestStopWithoutCheckpoints(t *testing.T) {
	src, out := numbers(2, 1<<40, all), &plain[counted]{}
	job := start(t, countJob(src, out, nil), engine.Config{Parallelism: 3})
	if _, err := job.Checkpoint(t.Context()); err == nil || !strings.Contains(err.Error(), "no checkpoint directory") {
		t.Errorf("error %v", err)
	}
	for n := 0; n < 10000; n = out.count() {
		runtime.Gosched()
	}
	job.Stop()
	if err := job.Wait(); err != nil {
		t.Fatal(err)
	}
	seen := map[[2]int64]bool{}
	for _, r := range out.got {
		seen[[2]int64{r.Split, r.Seq}] = true
	}
	for _, r := range out.got {
		if r.Seq > 0 && !seen[[2]int64{r.Split, r.Seq - 1}] {
			t.Fatalf("record %d of split %d arrived, the one before did not", r.Seq, r.Split)
		}
	}
}
