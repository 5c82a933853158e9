package crashsim_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/tidemark-io/tidemark/store"
	"github.com/tidemark-io/tidemark/store/crashsim"
	"github.com/tidemark-io/tidemark/store/internal/dirfs"
	"github.com/tidemark-io/tidemark/store/local"
)

// promises is what a scenario has been told by the store. Each name is in the
// last of the states that was promised, or in the one that was being entered.
type promises struct {
	want map[string][]byte // promised to be there
	gone map[string]bool   // promised to be absent
	open map[string]bool   // an operation on it has failed: there or not, but whole
	all  map[string][]byte // what each name ever contains
	errs []error
}

func newPromises() *promises {
	return &promises{want: map[string][]byte{}, gone: map[string]bool{}, open: map[string]bool{}, all: map[string][]byte{}}
}

// content is different for each name and longer than two sectors.
func content(name string) []byte { return bytes.Repeat([]byte(name+"\n"), 1400/len(name)) }

// failed notes the error and reports that the scenario is over.
func (p *promises) failed(err error) bool {
	if err != nil {
		p.errs = append(p.errs, err)
	}
	return err != nil
}

func (p *promises) create(s store.Store, name string) bool {
	ctx := context.Background()
	p.all[name] = content(name)
	up, err := s.Create(ctx, name)
	if err != nil {
		return p.failed(err)
	}
	p.open[name] = true
	delete(p.gone, name) // it may be back from now on
	c := content(name)
	for len(c) > 0 {
		n := min(600, len(c))
		if _, err := up.Write(c[:n]); err != nil {
			up.Abort()
			return p.failed(err)
		}
		c = c[n:]
	}
	if _, err := up.Commit(); err != nil {
		return p.failed(err)
	}
	delete(p.open, name)
	p.want[name] = content(name)
	return false
}

func (p *promises) link(s *local.Store, from, to string) bool {
	p.all[to] = p.all[from]
	p.open[to] = true
	if err := s.Link(context.Background(), from, to); err != nil {
		return p.failed(err)
	}
	delete(p.open, to)
	p.want[to] = p.all[from]
	return false
}

func (p *promises) remove(s store.Store, name string) bool {
	delete(p.want, name)
	p.open[name] = true
	if err := s.Remove(context.Background(), name, ""); err != nil {
		return p.failed(err)
	}
	delete(p.open, name)
	p.gone[name] = true
	return false
}

// check compares a store with what was promised.
func (p *promises) check(s *local.Store) error {
	ctx := context.Background()
	listed := map[string]bool{}
	for info, err := range s.List(ctx, "") {
		if err != nil {
			return err
		}
		listed[info.Name] = true
		got, err := store.ReadAll(ctx, s, info.Name, 1<<20)
		if err != nil {
			return fmt.Errorf("listed but not readable: %w", err)
		}
		want, known := p.all[info.Name]
		switch {
		case !known:
			return fmt.Errorf("%q was never created", info.Name)
		case !bytes.Equal(got, want):
			return fmt.Errorf("%q is visible with %d bytes that are not its %d", info.Name, len(got), len(want))
		case p.gone[info.Name]:
			return fmt.Errorf("%q was removed and is back", info.Name)
		}
	}
	for name := range p.want {
		if !listed[name] {
			return fmt.Errorf("%q was promised and is lost", name)
		}
	}
	return nil
}

// usable checks that a store goes on after a crash: leftovers can be swept and
// names that are free be taken.
func usable(d *crashsim.Disk) error {
	s, ctx := d.Store(), context.Background()
	if _, err := s.Sweep(ctx, 0); err != nil {
		return fmt.Errorf("sweep: %w", err)
	}
	objects := 0
	for range s.List(ctx, "") {
		objects++
	}
	if files := len(d.Files()); files != objects {
		return fmt.Errorf("%d files for %d objects after a sweep", files, objects)
	}
	if _, err := store.WriteAll(ctx, s, "chk-9/MANIFEST", []byte("x")); err != nil {
		return fmt.Errorf("a new object: %w", err)
	}
	return nil
}

// scenarios are sequences of operations; each ends at the first error.
var scenarios = map[string]func(s *local.Store, p *promises){
	"create": func(s *local.Store, p *promises) {
		_ = p.create(s, "MANIFEST")
	},
	"create in new directories": func(s *local.Store, p *promises) {
		_ = p.create(s, "a/b/c/data") || p.create(s, "a/b/d")
	},
	"commit a checkpoint": func(s *local.Store, p *promises) {
		_ = p.create(s, "chk-1/data-1") || p.create(s, "chk-1/data-2") || p.create(s, "chk-1/MANIFEST.copy") || p.create(s, "chk-1/MANIFEST")
	},
	"retention": func(s *local.Store, p *promises) {
		_ = p.create(s, "chk-1/data") || p.create(s, "chk-1/MANIFEST") ||
			p.create(s, "chk-2/data") || p.create(s, "chk-2/MANIFEST") ||
			p.remove(s, "chk-1/MANIFEST") || p.remove(s, "chk-1/data")
	},
	"abort": func(s *local.Store, p *promises) {
		up, err := s.Create(context.Background(), "chk-1/data")
		if p.failed(err) {
			return
		}
		if _, err := up.Write([]byte("half")); p.failed(err) {
			up.Abort()
			return
		}
		if p.failed(up.Abort()) {
			return
		}
		_ = p.create(s, "chk-2/data")
	},
	"create, remove, create again": func(s *local.Store, p *promises) {
		_ = p.create(s, "chk-1/MANIFEST") || p.remove(s, "chk-1/MANIFEST") || p.create(s, "chk-1/MANIFEST")
	},
	"link": func(s *local.Store, p *promises) {
		_ = p.create(s, "chk-1/data") || p.link(s, "chk-1/data", "shared/data") || p.remove(s, "chk-1/data")
	},
	"ask after an error": func(s *local.Store, p *promises) {
		// Stat tells whether a commit that failed happened, and what it tells
		// is as good as a promise. Repeating a remove is safe, and "not there"
		// then is a promise too.
		ctx := context.Background()
		name := "chk-1/MANIFEST"
		if p.create(s, name) {
			info, err := s.Stat(ctx, name)
			switch {
			case err == nil && info.Size == int64(len(content(name))):
				p.want[name] = content(name)
			case errors.Is(err, store.ErrNotExist):
				p.gone[name] = true
			default:
				return
			}
		}
		if p.want[name] == nil || !p.remove(s, name) {
			return
		}
		if err := s.Remove(ctx, name, ""); err == nil || errors.Is(err, store.ErrNotExist) {
			p.gone[name] = true
		}
	},
	"abort of a checkpoint": func(s *local.Store, p *promises) {
		_ = p.create(s, "chk-1/data") || p.create(s, "chk-1/MANIFEST") ||
			p.create(s, "chk-2/data-1") || p.create(s, "chk-2/data-2") || p.remove(s, "chk-2/data-1") || p.remove(s, "chk-2/data-2")
	},
	"two uploads at once": func(s *local.Store, p *promises) {
		ctx := context.Background()
		p.all["chk-1/MANIFEST"] = content("chk-1/MANIFEST")
		var ups []store.Upload
		for range 2 {
			up, err := s.Create(ctx, "chk-1/MANIFEST")
			if p.failed(err) {
				break
			}
			defer up.Abort()
			ups = append(ups, up)
			if _, err := up.Write(content("chk-1/MANIFEST")); p.failed(err) {
				return
			}
		}
		for i, up := range ups {
			if _, err := up.Commit(); err == nil {
				p.want["chk-1/MANIFEST"] = content("chk-1/MANIFEST")
			} else if i == 0 || !errors.Is(err, store.ErrExist) {
				p.failed(err)
			}
		}
	},
}

func run(name string) func(d *crashsim.Disk) any {
	return func(d *crashsim.Disk) any {
		p := newPromises()
		scenarios[name](d.Store(), p)
		return p
	}
}

// T1: a crash before every call, with every rule of what survives.
func TestCrashAtEveryCall(t *testing.T) {
	var sum crashsim.Tally
	seeds := uint64(28)
	if testing.Short() { // under the race detector
		seeds = 4
	}
	for name := range scenarios {
		t.Run(name, func(t *testing.T) {
			tally, err := crashsim.Crashes(seeds, nil, run(name), func(c crashsim.Crash) error {
				if err := c.Result.(*promises).check(c.Disk.Store()); err != nil {
					return err
				}
				return usable(c.Disk)
			})
			if err != nil {
				t.Errorf("%d of %d images are bad:\n%v", tally.Bad, tally.Images, err)
			}
			if tally.Points == 0 {
				t.Error("no call was crashed")
			}
			sum.Points += tally.Points
			sum.Images += tally.Images
			sum.Bad += tally.Bad
		})
	}
	fmt.Printf("RESULT store-T1 scenarios=%d points=%d images=%d bad=%d\n", len(scenarios), sum.Points, sum.Images, sum.Bad)
}

// T2: every call fails in every way, once and for ever. What was promised holds
// at once, and still after a power cut that keeps only what was synced.
func TestFailEveryCall(t *testing.T) {
	var sum crashsim.Tally
	hidden := 0
	for name := range scenarios {
		t.Run(name, func(t *testing.T) {
			tally, err := crashsim.Failures(nil, run(name), func(f crashsim.Failure) error {
				p := f.Result.(*promises)
				if len(p.errs) == 0 {
					hidden++ // survived: tried again, or found out that it took effect
				}
				for _, err := range p.errs {
					var typed *store.Error
					if !errors.As(err, &typed) {
						return fmt.Errorf("error %v is no *store.Error", err)
					}
					if strings.Contains(err.Error(), "fsync failed") && store.IsTransient(err) {
						return fmt.Errorf("a failed fsync is called transient: %w", err)
					}
				}
				if err := p.check(f.Disk.Store()); err != nil {
					return fmt.Errorf("at once: %w", err)
				}
				if err := p.check(f.Disk.AfterCrash(crashsim.KeepNone, 0).Store()); err != nil {
					return fmt.Errorf("after a power cut: %w", err)
				}
				return usable(f.Disk.AfterCrash(crashsim.KeepAll, 0))
			})
			if err != nil {
				t.Errorf("%d of %d runs are bad:\n%v", tally.Bad, tally.Images, err)
			}
			sum.Points += tally.Points
			sum.Images += tally.Images
			sum.Bad += tally.Bad
		})
	}
	fmt.Printf("RESULT store-T2 scenarios=%d calls=%d runs=%d bad=%d no_error_needed=%d\n",
		len(scenarios), sum.Points, sum.Images, sum.Bad, hidden)
}

// After a failed fsync of a directory, nothing is promised below it any more.
func TestDeadDirectory(t *testing.T) {
	for _, op := range []crashsim.Op{crashsim.OpSyncDir} {
		d := crashsim.New()
		s := d.Store()
		p := newPromises()
		if p.create(s, "chk-1/a") {
			t.Fatal(p.errs)
		}
		// Find the fsync of the root in the next create in a new directory, and
		// let it fail.
		probe := d.AfterCrash(crashsim.KeepAll, 0)
		newPromises().create(probe.Store(), "chk-3/b")
		at := -1
		for i, c := range probe.Trace() {
			if c.Op == op && c.Name == "." {
				at = i
			}
		}
		d.FailCall(at, crashsim.SyncLies, false)
		if !p.create(s, "chk-3/b") {
			t.Fatal("a create whose directory could not be synced succeeded")
		}
		if n, _ := d.Fired(); n != 1 {
			t.Fatal("the fault did not happen")
		}
		if !p.create(s, "chk-1/c") || !p.create(s, "chk-2/d") || !p.remove(s, "chk-1/a") {
			t.Error("the store goes on below a directory whose fsync failed")
		}
		for _, err := range p.errs {
			if store.IsTransient(err) {
				t.Errorf("transient: %v", err)
			}
		}
		p.want["chk-1/a"] = content("chk-1/a") // the refused remove did nothing
		delete(p.open, "chk-1/a")
		if err := p.check(d.Store()); err != nil {
			t.Error(err)
		}
		if again := d.SyncedAgain(); len(again) > 0 {
			t.Errorf("synced again: %q", again)
		}
	}
}

// The simulation must find the classic mistakes, or the tests above show
// nothing. Each mistake is planted between the store and the disk.
func TestMistakesAreFound(t *testing.T) {
	mistakes := map[string]func(fs dirfs.FS) dirfs.FS{
		"no fsync of the file": func(fs dirfs.FS) dirfs.FS {
			fs.Files = lazyFiles{fs.Files}
			return fs
		},
		"no fsync of directories": func(fs dirfs.FS) dirfs.FS {
			fs.Dirs = lazyDirs{fs.Dirs, func(string) bool { return true }}
			return fs
		},
		"no fsync of the parent of a new directory": func(fs dirfs.FS) dirfs.FS {
			fs.Dirs = lazyDirs{fs.Dirs, func(name string) bool { return name == "." }}
			return fs
		},
		"written in place": nil,
	}
	for name, plant := range mistakes {
		tally, err := crashsim.Crashes(8, nil, func(d *crashsim.Disk) any {
			p := newPromises()
			if plant == nil {
				_ = writeInPlace(d, p)
			} else {
				scenarios["retention"](local.New(plant(d.FS())), p)
			}
			return p
		}, func(c crashsim.Crash) error { return c.Result.(*promises).check(c.Disk.Store()) })
		if err == nil {
			t.Errorf("%s: not found in %d images", name, tally.Images)
		}
		fmt.Printf("RESULT store-planted mistake=%q images=%d found=%d\n", name, tally.Images, tally.Bad)
	}
}

// writeInPlace is the protocol of a program that knows no better.
func writeInPlace(d *crashsim.Disk, p *promises) error {
	fs := d.FS()
	p.all["MANIFEST"] = content("MANIFEST")
	w, err := fs.Files.Create("MANIFEST")
	if err != nil {
		return err
	}
	defer w.Close()
	if _, err := w.Write(content("MANIFEST")); err != nil {
		return err
	}
	return w.Sync()
}

type lazyFiles struct{ dirfs.Files }

func (f lazyFiles) Create(name string) (dirfs.Writer, error) {
	w, err := f.Files.Create(name)
	if err != nil {
		return nil, err
	}
	return lazyWriter{w}, nil
}

type lazyWriter struct{ dirfs.Writer }

func (lazyWriter) Sync() error { return nil }

type lazyDirs struct {
	dirfs.Dirs
	skip func(name string) bool
}

func (f lazyDirs) OpenDir(name string) (dirfs.Dir, error) {
	d, err := f.Dirs.OpenDir(name)
	if err != nil || !f.skip(name) {
		return d, err
	}
	return lazyDir{d}, nil
}

type lazyDir struct{ dirfs.Dir }

func (lazyDir) Sync() error { return nil }

// A directory that is removed and made again between two objects has a new name,
// which must be durable too, though the store has synced one like it before.
func TestDirectoryMadeAgain(t *testing.T) {
	for _, own := range []bool{true, false} {
		d := crashsim.New()
		s := d.Store()
		p := newPromises()
		other := s
		if !own {
			other = d.Store() // as by another process
		}
		if p.create(s, "chk-1/a") || p.remove(other, "chk-1/a") {
			t.Fatal(p.errs)
		}
		if p.create(s, "chk-1/b") || p.create(s, "chk-1/c") {
			t.Fatal(p.errs)
		}
		if err := p.check(d.AfterCrash(crashsim.KeepNone, 0).Store()); err != nil {
			t.Errorf("own=%v: after a power cut: %v", own, err)
		}
		// The third object found the name of its directory durable.
		roots := 0
		for _, c := range d.Trace() {
			if c.Op == crashsim.OpSyncDir && c.Name == "." {
				roots++
			}
		}
		if roots == 0 || roots > 3 {
			t.Errorf("own=%v: the root was synced %d times", own, roots)
		}
	}
}
