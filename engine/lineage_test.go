package engine_test

import (
	"context"
	"errors"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/tidemark-io/tidemark/engine"
	"github.com/tidemark-io/tidemark/store"
	"github.com/tidemark-io/tidemark/store/mem"
)

// place is a root with the output of the jobs that use it.
type place struct {
	t   *testing.T
	st  store.Store
	out *ledger[counted]
	src *series[numbered] // of the job that began last
}

func newPlace(t *testing.T) *place { return &place{t: t, st: mem.New(), out: newLedger[counted]()} }

const placeSplits, placeRecords = 2, 3000

// begin starts the job at parallelism 2, with the source held at limit.
func (p *place) begin(limit int64, restore engine.RestoreConfig) (*engine.Job, *recorder, error) {
	rec := &recorder{}
	p.src = numbers(placeSplits, placeRecords, limit)
	cfg := engine.Config{Parallelism: 2, Observer: rec, Restore: restore, Checkpoints: engine.CheckpointConfig{Store: p.st, Retained: 100}}
	job, err := engine.Start(p.t.Context(), countJob(p.src, p.out, nil), quick(p.t, cfg))
	return job, rec, err
}

// crash runs a job with some checkpoints and cancels it.
func (p *place) crash(limit int64, restore engine.RestoreConfig, checkpoints int) engine.RunStarted {
	p.t.Helper()
	job, rec, err := p.begin(limit, restore)
	if err != nil {
		p.t.Fatal(err)
	}
	for range checkpoints {
		p.src.rest()
		take(p.t, job)
	}
	// A savepoint comes back when what was published before has been.
	if _, err := job.Savepoint(p.t.Context()); err != nil {
		p.t.Fatal(err)
	}
	job.Cancel(nil)
	<-job.Done()
	return eventsOf[engine.RunStarted](rec)[0]
}

// finish runs a job to its end and checks the output.
func (p *place) finish(restore engine.RestoreConfig) engine.RunStarted {
	p.t.Helper()
	job, rec, err := p.begin(all, restore)
	if err != nil {
		p.t.Fatal(err)
	}
	if err := job.Wait(); err != nil {
		p.t.Fatal(err)
	}
	checkCounted(p.t, p.out.records(), placeSplits, placeRecords)
	return eventsOf[engine.RunStarted](rec)[0]
}

// damage makes an object of a checkpoint unreadable.
func (p *place) damage(name string) { p.change(name, 0, math.MaxInt) }

// flip damages one byte.
func (p *place) flip(name string, at int) { p.change(name, at, at+1) }

func (p *place) change(name string, from, to int) {
	p.t.Helper()
	data, err := store.ReadAll(p.t.Context(), p.st, name, 1<<20)
	if err != nil {
		p.t.Fatal(err)
	}
	if err := p.st.Remove(p.t.Context(), name, ""); err != nil {
		p.t.Fatal(err)
	}
	for i := from; i < min(to, len(data)); i++ {
		data[i] ^= 0x40
	}
	if _, err := store.WriteAll(p.t.Context(), p.st, name, data); err != nil {
		p.t.Fatal(err)
	}
}

var latest = engine.RestoreConfig{From: "latest"}

func TestRunsAndLineages(t *testing.T) {
	p := newPlace(t)
	first := p.crash(500, latest, 2) // chk-1 chk-2 savepoint-3
	if first.Run != 1 || first.Restored != "" || first.Lineage == "" {
		t.Errorf("first run: %+v", first)
	}
	second := p.crash(900, latest, 1) // chk-4 savepoint-5
	if second.Run != 2 || second.Restored != "chk-2" || second.Lineage != first.Lineage {
		t.Errorf("second run: %+v", second)
	}
	// Without a checkpoint of its own a run stands at the one it was
	// restored from.
	third := p.crash(1200, latest, 0) // savepoint-6
	fourth := p.crash(1200, latest, 1)
	if third.Restored != "chk-4" || fourth.Restored != "chk-4" || fourth.Run != 4 || fourth.Lineage != first.Lineage {
		t.Errorf("third and fourth run: %+v %+v", third, fourth)
	}
	// Going back begins a new lineage, which latest then follows. What the
	// later checkpoints had published is in the way.
	_, _, err := p.begin(all, engine.RestoreConfig{From: "chk-2"})
	var rollback *engine.RollbackError
	if !errors.As(err, &rollback) || rollback.Path != "chk-2" || len(rollback.Visible) == 0 ||
		!strings.Contains(err.Error(), "--rollback-output") {
		t.Fatalf("error %v", err)
	}
	// The refusal changed nothing.
	if e := p.crash(1200, latest, 0); e.Restored != "chk-7" || e.Lineage != first.Lineage {
		t.Errorf("after a refusal: %+v", e)
	}
	back := p.crash(600, engine.RestoreConfig{From: "chk-2", RollbackOutput: true}, 0)
	if back.Restored != "chk-2" || back.Lineage == first.Lineage {
		t.Errorf("going back: %+v", back)
	}
	again := p.crash(600, latest, 1)
	if again.Restored != "chk-2" || again.Lineage != back.Lineage {
		t.Errorf("after going back: %+v", again)
	}
	// Back to the first lineage: the second one's output is in the way now.
	_, _, err = p.begin(all, engine.RestoreConfig{From: "chk-2"})
	if !errors.As(err, &rollback) {
		t.Errorf("output of a third lineage: error %v", err)
	}
	if e := p.finish(latest); e.Lineage != back.Lineage || e.Restored == "chk-7" {
		t.Errorf("last run: %+v", e)
	}
}

// A restore that does not fit the job leaves no trace in the line of
// checkpoints.
func TestRefusedRestoreIsNoRun(t *testing.T) {
	p := newPlace(t)
	p.crash(500, latest, 2)
	g := engine.NewGraph("other")
	byKey := engine.KeyBy(engine.From(g, "numbers", numbers(placeSplits, placeRecords, all), ordered()), func(r numbered) int64 { return r.Key })
	engine.Apply(byKey, "renamed", newCounter).To("out", newLedger[counted]())
	cfg := engine.Config{Parallelism: 2, Checkpoints: engine.CheckpointConfig{Store: p.st}, Restore: engine.RestoreConfig{From: "chk-1"}}
	var problems *engine.RestoreError
	if err := start(t, g, cfg).Wait(); !errors.As(err, &problems) {
		t.Fatalf("error %v", err)
	}
	if e := p.finish(latest); e.Restored != "chk-2" || e.Run != 3 {
		t.Errorf("restored %+v", e)
	}
}

// Damage to the newest checkpoint is an error that names the one before; going
// back is allowed explicitly, and withdraws output.
func TestDamagedNewest(t *testing.T) {
	p := newPlace(t)
	first := p.crash(500, latest, 2)
	p.crash(900, latest, 1) // chk-4
	p.damage("chk-4/MANIFEST")
	p.damage("chk-4/MANIFEST.copy")
	_, _, err := p.begin(all, latest)
	var damaged *engine.DamagedError
	if !errors.As(err, &damaged) || damaged.Path != "chk-4" || damaged.Intact != "chk-2" || !strings.Contains(err.Error(), "--restore-fallback") {
		t.Fatalf("error %v", err)
	}
	_, _, err = p.begin(all, engine.RestoreConfig{From: "latest", Fallback: true})
	var rollback *engine.RollbackError
	if !errors.As(err, &rollback) {
		t.Fatalf("error %v", err)
	}
	e := p.crash(700, engine.RestoreConfig{From: "latest", Fallback: true, RollbackOutput: true}, 0)
	if e.Restored != "chk-2" || e.Lineage == first.Lineage {
		t.Errorf("fallen back: %+v", e)
	}
	// Having gone back, the damaged one is no longer in the line.
	if e := p.finish(latest); e.Restored != "chk-2" {
		t.Errorf("after the fallback: %+v", e)
	}
}

// Damage inside the manifest and damage of data are found too: by the tasks, or
// before they start if going back is allowed. A restart would not help.
func TestDamagedInside(t *testing.T) {
	for what, damage := range map[string]func(p *place){
		"manifest": func(p *place) { p.flip("chk-4/MANIFEST", 100); p.flip("chk-4/MANIFEST.copy", 100) },
		"data": func(p *place) {
			for info, err := range p.st.List(t.Context(), "chk-4/") {
				if err != nil {
					t.Fatal(err)
				}
				if strings.HasSuffix(info.Name, ".data") {
					p.flip(info.Name, 200)
				}
			}
		},
	} {
		t.Run(what, func(t *testing.T) {
			p := newPlace(t)
			p.crash(500, latest, 2)
			p.crash(900, latest, 1) // chk-4
			if err := p.st.Remove(t.Context(), "savepoint-5/MANIFEST", ""); err != nil && !errors.Is(err, store.ErrNotExist) {
				t.Fatal(err)
			}
			damage(p)
			job, _, err := p.begin(all, latest)
			if err == nil {
				err = job.Wait()
			}
			var damaged *engine.DamagedError
			if !errors.As(err, &damaged) || damaged.Path != "chk-4" || damaged.Intact != "chk-2" {
				t.Fatalf("error %v", err)
			}
			e := p.crash(700, engine.RestoreConfig{From: "latest", Fallback: true, RollbackOutput: true}, 0)
			if e.Restored != "chk-2" {
				t.Errorf("fallen back: %+v", e)
			}
			p.finish(latest)
		})
	}
}

// If nothing older is intact the error says so.
func TestNothingIntact(t *testing.T) {
	p := newPlace(t)
	p.crash(500, latest, 1)
	p.damage("chk-1/MANIFEST")
	p.damage("chk-1/MANIFEST.copy")
	_, _, err := p.begin(all, engine.RestoreConfig{From: "latest", Fallback: true})
	var damaged *engine.DamagedError
	if !errors.As(err, &damaged) || damaged.Intact != "" || !strings.Contains(err.Error(), "no older checkpoint is intact") {
		t.Fatalf("error %v", err)
	}
}

// A newest checkpoint that has vanished is not passed over silently either: its
// output is visible.
func TestVanishedNewest(t *testing.T) {
	p := newPlace(t)
	p.crash(500, latest, 1)
	p.crash(900, latest, 1) // chk-3
	for _, name := range names(t, p.st, "chk-3/") {
		if err := p.st.Remove(t.Context(), name, ""); err != nil {
			t.Fatal(err)
		}
	}
	_, _, err := p.begin(all, latest)
	var rollback *engine.RollbackError
	if !errors.As(err, &rollback) || rollback.Path != "chk-1" {
		t.Fatalf("error %v", err)
	}
	p.finish(engine.RestoreConfig{From: "latest", RollbackOutput: true})
}

// Stopped with a savepoint, "latest" does not go behind the published output.
func TestLatestAfterStopWithSavepoint(t *testing.T) {
	p := newPlace(t)
	job, _, err := p.begin(500, latest)
	if err != nil {
		t.Fatal(err)
	}
	take(t, job)
	if _, err := job.StopWithSavepoint(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := job.Wait(); err != nil {
		t.Fatal(err)
	}
	p.finish(engine.RestoreConfig{From: "savepoint-2"})
}

// A restore from another root takes only the state, and begins a new lineage.
func TestRestoreFromElsewhere(t *testing.T) {
	p := newPlace(t)
	elsewhere := newPlace(t)
	elsewhere.out = p.out
	old := elsewhere.crash(500, latest, 1)
	e := p.crash(900, engine.RestoreConfig{From: "chk-1", External: elsewhere.st}, 1)
	if e.Run != 1 || e.Lineage == old.Lineage || e.Restored != "chk-1" {
		t.Errorf("restored %+v", e)
	}
	if e := p.finish(latest); e.Run != 2 || e.Restored != "chk-1" || e.ID != 1 {
		t.Errorf("restored %+v", e)
	}
	if _, _, err := p.begin(all, engine.RestoreConfig{From: "latest", External: elsewhere.st}); err == nil {
		t.Error("the latest of elsewhere was accepted")
	}
}

// unlocked hides the abilities of a store.
type unlocked struct{ store.Store }

// The second of two jobs on one root fences the first: at its next commit, and
// before anything of it is published.
func TestFencing(t *testing.T) {
	p := newPlace(t)
	p.st = unlocked{p.st}
	first, _, err := p.begin(500, latest)
	if err != nil {
		t.Fatal(err)
	}
	take(t, first)
	second, rec, err := p.begin(1500, latest)
	if err != nil {
		t.Fatal(err)
	}
	if e := eventsOf[engine.RunStarted](rec)[0]; e.Run != 2 || e.Restored != "chk-1" {
		t.Errorf("the second run: %+v", e)
	}
	if _, err := first.Checkpoint(t.Context()); !errors.Is(err, engine.ErrFenced) {
		t.Errorf("the first run's checkpoint: %v", err)
	}
	if err := first.Wait(); !errors.Is(err, engine.ErrFenced) {
		t.Errorf("the first run: %v", err)
	}
	take(t, second)
	second.Stop()
	if err := second.Wait(); err != nil {
		t.Fatal(err)
	}
	p.finish(latest)
}

// overtaker lets something happen just before a store commits an object.
type overtaker struct {
	store.Store
	name string
	once sync.Once
	do   func()
}

func (o *overtaker) Create(ctx context.Context, name string) (store.Upload, error) {
	up, err := o.Store.Create(ctx, name)
	if err == nil && name == o.name {
		up = &overtaken{up, o}
	}
	return up, err
}

type overtaken struct {
	store.Upload
	o *overtaker
}

func (u *overtaken) Commit() (store.Info, error) {
	u.o.once.Do(u.o.do)
	return u.Upload.Commit()
}

// A run that stands still between its last look at the fence and the commit of
// its manifest, while another run takes over: the manifest appears, but it is
// not in the line of checkpoints, and its output is never published.
func TestCommitBehindTheFence(t *testing.T) {
	p := newPlace(t)
	inner := p.st
	var second *engine.Job
	var rec *recorder
	q := *p
	q.st = unlocked{inner}
	p.st = &overtaker{Store: unlocked{inner}, name: "chk-2/MANIFEST", do: func() {
		var err error
		if second, rec, err = q.begin(1500, latest); err != nil {
			panic(err)
		}
	}}
	first, _, err := p.begin(500, latest)
	if err != nil {
		t.Fatal(err)
	}
	take(t, first)
	if _, err := first.Checkpoint(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := first.Wait(); !errors.Is(err, engine.ErrFenced) {
		t.Errorf("the first run: %v", err)
	}
	if e := eventsOf[engine.RunStarted](rec)[0]; e.Restored != "chk-1" {
		t.Errorf("the second run: %+v", e)
	}
	q.src.rest()
	second.Cancel(nil) // before it has a checkpoint of its own
	<-second.Done()
	p.st = inner
	if !slices.Contains(committed(t, inner), "chk-2") {
		t.Fatal("chk-2 was not committed: the test shows nothing")
	}
	if e := p.finish(latest); e.Restored != "chk-1" {
		t.Errorf("the third run: %+v", e)
	}
}

// The same with a claim instead of a manifest: a checkpoint that is committed
// after the second run chose what to restore, and before it is registered.
func TestChoiceIsMadeAgain(t *testing.T) {
	p := newPlace(t)
	inner := p.st
	p.st = unlocked{inner}
	first, _, err := p.begin(500, latest)
	if err != nil {
		t.Fatal(err)
	}
	take(t, first)
	q := *p
	q.st = &overtaker{Store: unlocked{inner}, name: "runs/2", do: func() { take(t, first) }}
	second, rec, err := q.begin(all, latest)
	if err != nil {
		t.Fatal(err)
	}
	if e := eventsOf[engine.RunStarted](rec)[0]; e.Restored != "chk-2" {
		t.Errorf("restored %+v", e)
	}
	if err := second.Wait(); err != nil {
		t.Fatal(err)
	}
	first.Cancel(nil)
	<-first.Done()
	checkCounted(t, p.out.records(), placeSplits, placeRecords)
}
