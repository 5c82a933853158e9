package writer_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/tidemark-io/tidemark/checkpoint"
	"github.com/tidemark-io/tidemark/checkpoint/layout"
	"github.com/tidemark-io/tidemark/keygroup"
	"github.com/tidemark-io/tidemark/reader"
	"github.com/tidemark-io/tidemark/store"
	"github.com/tidemark-io/tidemark/store/crashsim"
	"github.com/tidemark-io/tidemark/writer"
	"github.com/tidemark-io/tidemark/writer/writertest"
)

// crashJob is a checkpoint written in a fixed sequence of calls.
func crashJob(id uint64) writertest.Job {
	return writertest.Job{ID: id, Keys: 20, Parallelism: 1, Options: writer.Options{Objects: 1, WriterID: fmt.Sprintf("w%d", id)}}
}

// told is what a scenario was told about each checkpoint.
type told struct {
	committed map[uint64]bool // Commit returned nil and Discard was not called
	gone      map[uint64]bool // Discard or Abort returned nil
	errs      []error
}

func newTold() *told { return &told{committed: map[uint64]bool{}, gone: map[uint64]bool{}} }

// failed notes an error and reports that the scenario is over.
func (p *told) failed(err error) bool {
	if err != nil {
		p.errs = append(p.errs, err)
	}
	return err != nil
}

// commit writes a checkpoint; if it fails it is aborted, as the engine does.
func (p *told) commit(st store.Store, id uint64) bool {
	ctx := context.Background()
	w, m, err := crashJob(id).Seal(ctx, st)
	if err == nil {
		err = w.Commit(ctx, m)
	}
	if err == nil {
		p.committed[id] = true
		return false
	}
	p.failed(err)
	if w != nil {
		if err := w.Abort(ctx); err == nil {
			p.gone[id] = true
		}
	}
	return true
}

// discard deletes a checkpoint.
func (p *told) discard(st store.Store, id uint64) bool {
	delete(p.committed, id)
	if p.failed(writer.Discard(context.Background(), st, crashJob(id).Dir())) {
		return true
	}
	p.gone[id] = true
	return false
}

// check requires that every visible checkpoint is whole, that what was promised
// is there, and that what is gone stays away. It returns how many are visible.
func (p *told) check(st store.Store) error {
	ctx := context.Background()
	dirs, err := reader.Dirs(ctx, st, "")
	if err != nil {
		return err
	}
	visible := map[uint64]bool{}
	for _, d := range dirs {
		err := whole(ctx, st, d.ID)
		switch {
		case err == nil:
			visible[d.ID] = true
			// The copy comes before the manifest and goes after it.
			if _, err := st.Stat(ctx, layout.Join(d.Path, layout.ManifestCopy)); err != nil {
				return fmt.Errorf("%s is visible without the copy of its manifest: %w", d.Path, err)
			}
		case d.Manifest:
			return fmt.Errorf("%s is visible and not whole: %w", d.Path, err)
		case !errors.Is(err, checkpoint.ErrIncomplete):
			return fmt.Errorf("%s has no manifest, but: %w", d.Path, err)
		}
	}
	for id := range p.committed {
		if !visible[id] {
			return fmt.Errorf("checkpoint %d was acknowledged and is lost", id)
		}
	}
	for id := range p.gone {
		if visible[id] {
			return fmt.Errorf("checkpoint %d was deleted and is back", id)
		}
	}
	return nil
}

// whole reads a checkpoint to the last entry and compares it.
func whole(ctx context.Context, st store.Store, id uint64) error {
	job := crashJob(id)
	c, err := reader.Open(ctx, st, job.Dir())
	if err != nil {
		return err
	}
	defer c.Close()
	want := job.Keyed(keygroup.All())
	for e, err := range c.Keyed(ctx, writertest.Count, "counter", keygroup.All()) {
		if err != nil {
			return err
		}
		if len(want) == 0 || string(want[0].Key) != string(e.Key) || string(want[0].Value) != string(e.Value) {
			return fmt.Errorf("entry %x is wrong", e.Key)
		}
		want = want[1:]
	}
	items := 0
	for _, err := range c.Items(ctx, writertest.Source, "splits") {
		if err != nil {
			return err
		}
		items++
	}
	if len(want) > 0 || items != 1 {
		return fmt.Errorf("%d entries are missing, %d items of 1", len(want), items)
	}
	return nil
}

// leftovers are removed by discarding what is not visible, and then new work
// goes on.
func usable(st store.Store) error {
	ctx := context.Background()
	dirs, err := reader.Dirs(ctx, st, "")
	if err != nil {
		return err
	}
	for _, d := range dirs {
		if !d.Manifest {
			if err := writer.Discard(ctx, st, d.Path); err != nil {
				return fmt.Errorf("leftovers: %w", err)
			}
		}
	}
	next, err := reader.HighestID(ctx, st, "")
	if err != nil {
		return err
	}
	if _, err := crashJob(next+1).Write(ctx, st); err != nil {
		return fmt.Errorf("the next checkpoint: %w", err)
	}
	return whole(ctx, st, next+1)
}

// scenarios of commit, retention and abort.
var scenarios = map[string]func(store.Store, *told){
	"commit": func(st store.Store, p *told) { _ = p.commit(st, 1) || p.commit(st, 2) },
	"retention": func(st store.Store, p *told) {
		_ = p.commit(st, 1) || p.commit(st, 2) || p.discard(st, 1) || p.commit(st, 3) || p.discard(st, 2)
	},
	"abort": func(st store.Store, p *told) {
		ctx := context.Background()
		w, _, err := crashJob(1).Seal(ctx, st)
		p.failed(err)
		if w != nil && !p.failed(w.Abort(ctx)) {
			p.gone[1] = true
			p.commit(st, 2)
		}
	},
	"two writers": func(st store.Store, p *told) {
		ctx := context.Background()
		loser, m, err := writertest.Job{ID: 1, Keys: 20, Parallelism: 1, Options: writer.Options{Objects: 1, WriterID: "other"}}.Seal(ctx, st)
		if p.failed(err) || p.commit(st, 1) {
			if loser != nil {
				p.failed(loser.Abort(ctx))
			}
			return
		}
		err = loser.Commit(ctx, m)
		var conflict *writer.ConflictError
		if err == nil || errors.Is(err, store.ErrExist) && (!errors.As(err, &conflict) || conflict.Winner != "w1") {
			p.errs = append(p.errs, fmt.Errorf("the loser was told %w", err))
		}
		_ = p.failed(loser.Abort(ctx)) || p.commit(st, 2)
	},
}

// T1: a crash before every change, with every rule of what survives.
func TestT1CrashAtEveryCall(t *testing.T) {
	t.Parallel()
	seeds := uint64(12)
	if testing.Short() { // under the race detector, which one goroutine does not need
		seeds = 1
	}
	var sum crashsim.Tally
	for _, name := range chosen() {
		tally, err := crashsim.Crashes(seeds, nil, func(d *crashsim.Disk) any {
			p := newTold()
			scenarios[name](d.Store(), p)
			return p
		}, func(c crashsim.Crash) error {
			if err := c.Result.(*told).check(c.Disk.Store()); err != nil {
				return err
			}
			if c.Seed > 0 {
				return nil // what is left differs little: once for each rule is enough
			}
			return usable(c.Disk.Store())
		})
		if err != nil || tally.Points == 0 {
			t.Errorf("%s: %d of %d images after %d crashes are bad:\n%.3000v", name, tally.Bad, tally.Images, tally.Points, err)
		}
		sum.Points += tally.Points
		sum.Images += tally.Images
		sum.Bad += tally.Bad
	}
	fmt.Printf("RESULT writer-T1 scenarios=%d points=%d images=%d partial_or_lost=%d\n", len(chosen()), sum.Points, sum.Images, sum.Bad)
}

// T2: every call fails in every way, once and for ever. What was acknowledged
// holds at once and after a power cut; nothing visible is ever partial.
func TestT2FailEveryCall(t *testing.T) {
	if testing.Short() {
		return // takes minutes under the race detector, and has one goroutine
	}
	t.Parallel()
	var sum crashsim.Tally
	quiet := 0
	for _, name := range chosen() {
		tally, err := crashsim.Failures(nil, func(d *crashsim.Disk) any {
			p := newTold()
			scenarios[name](d.Store(), p)
			return p
		}, func(f crashsim.Failure) error {
			p := f.Result.(*told)
			if len(p.errs) == 0 {
				quiet++
			}
			if err := p.check(f.Disk.Store()); err != nil {
				return fmt.Errorf("at once: %w", err)
			}
			if err := p.check(f.Disk.AfterCrash(crashsim.KeepNone, 0).Store()); err != nil {
				return fmt.Errorf("after a power cut: %w", err)
			}
			if f.Forever {
				return nil
			}
			return usable(f.Disk.AfterCrash(crashsim.KeepAll, 0).Store())
		})
		if err != nil || tally.Points == 0 {
			t.Errorf("%s: %d of %d runs are bad:\n%.3000v", name, tally.Bad, tally.Images, err)
		}
		sum.Points += tally.Points
		sum.Images += tally.Images
		sum.Bad += tally.Bad
	}
	fmt.Printf("RESULT writer-T2 scenarios=%d calls=%d runs=%d bad=%d no_error_needed=%d\n", len(chosen()), sum.Points, sum.Images, sum.Bad, quiet)
}

// chosen are the names of the scenarios, in short mode of one.
func chosen() []string {
	if testing.Short() {
		return []string{"abort"}
	}
	return slices.Sorted(maps.Keys(scenarios))
}

// The simulation must find a writer that breaks the rules, or the tests above
// show nothing: data objects deleted before the manifest.
func TestT1FindsDataDeletedFirst(t *testing.T) {
	tally, err := crashsim.Crashes(4, nil, func(d *crashsim.Disk) any {
		p, st, ctx := newTold(), d.Store(), context.Background()
		if p.commit(st, 1) {
			return p
		}
		delete(p.committed, 1)
		for info, err := range st.List(ctx, "chk-1/") {
			if err == nil && strings.HasSuffix(info.Name, ".data") {
				_ = st.Remove(ctx, info.Name, "")
			}
		}
		_ = writer.Discard(ctx, st, "chk-1")
		return p
	}, func(c crashsim.Crash) error { return c.Result.(*told).check(c.Disk.Store()) })
	if err == nil {
		t.Errorf("not found in %d images", tally.Images)
	}
	fmt.Printf("RESULT writer-planted mistake=%q images=%d found=%d\n", "data deleted before the manifest", tally.Images, tally.Bad)
}
