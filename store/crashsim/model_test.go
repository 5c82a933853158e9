package crashsim_test

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"

	"github.com/tidemark-io/tidemark/store"
	"github.com/tidemark-io/tidemark/store/crashsim"
	"github.com/tidemark-io/tidemark/store/internal/dirfs"
	"github.com/tidemark-io/tidemark/store/local"
)

// script runs steps on a disk: "mkdir d", "create f", "write f TEXT",
// "sync f", "syncdir d", "link f g", "rename f g", "remove f". It returns
// the errors by step.
func script(d *crashsim.Disk, text string) (errs []error) {
	fsys, writers := d.FS(), map[string]dirfs.Writer{}
	for line := range strings.Lines(text) {
		w := append(strings.Fields(line), "", "")
		var err error
		switch w[0] {
		case "mkdir":
			err = fsys.Dirs.Mkdir(w[1])
		case "create":
			writers[w[1]], err = fsys.Files.Create(w[1])
		case "write":
			_, err = writers[w[1]].Write([]byte(w[2]))
		case "sync":
			err = writers[w[1]].Sync()
		case "syncdir":
			var dir dirfs.Dir
			if dir, err = fsys.Dirs.OpenDir(w[1]); err == nil {
				err = errors.Join(dir.Sync(), dir.Close())
			}
		case "link":
			err = fsys.Files.Link(w[1], w[2])
		case "rename":
			err = fsys.Files.Rename(w[1], w[2])
		case "remove":
			err = fsys.Files.Remove(w[1])
		}
		errs = append(errs, err)
	}
	for _, w := range writers {
		if w != nil {
			w.Close()
		}
	}
	return errs
}

// What survives, rule by rule, without chance.
func TestSurvival(t *testing.T) {
	for _, test := range []struct{ name, script, none, all string }{
		{"nothing synced", "create f\nwrite f x", "disk:", "disk: f(1)"},
		{"file synced, name not", "create f\nwrite f x\nsync f", "disk:", "disk: f(1)"},
		{"name synced, file not", "create f\nwrite f x\nsyncdir .", "disk: f(0)", "disk: f(1)"},
		{"both synced", "create f\nwrite f x\nsync f\nsyncdir .\nwrite f yz", "disk: f(1)", "disk: f(3)"},
		{"directory not synced in its parent", "mkdir d\ncreate d/f\nsyncdir d", "disk:", "disk: d/f(0)"},
		{"directory synced in its parent, name in it not", "mkdir d\nsyncdir .\ncreate d/f", "disk:", "disk: d/f(0)"},
		{"link", "create f\nwrite f x\nsync f\nsyncdir .\nlink f g", "disk: f(1)", "disk: f(1) g(1)"},
		{"remove", "create f\nsyncdir .\nremove f", "disk: f(0)", "disk:"},
		{"rename", "create f\nsyncdir .\nrename f g", "disk: f(0)", "disk: g(0)"},
		{"rename synced", "create f\ncreate g\nwrite f x\nsync f\nrename f g\nsyncdir .", "disk: g(1)", "disk: g(1)"},
	} {
		d := crashsim.New()
		for i, err := range script(d, test.script) {
			if err != nil {
				t.Errorf("%s: step %d: %v", test.name, i, err)
			}
		}
		d.Crash()
		for rule, want := range map[crashsim.Rule]string{crashsim.KeepNone: test.none, crashsim.KeepAll: test.all} {
			image := d.AfterCrash(rule, 0)
			if image.String() != want {
				t.Errorf("%s, keep %s: %s, want %s", test.name, rule, image, want)
			}
			if again := image.AfterCrash(crashsim.KeepNone, 0); again.String() != want {
				t.Errorf("%s, keep %s: what survived is not durable: %s", test.name, rule, again)
			}
		}
		if err := d.FS().Dirs.Mkdir("new"); !errors.Is(err, crashsim.ErrCrashed) {
			t.Errorf("%s: a call after the crash: %v", test.name, err)
		}
	}
}

// A write of many sectors comes out whole, cut, with holes, or as zeros, each
// under the rules that allow it; and a seed always gives the same.
func TestTorn(t *testing.T) {
	d := crashsim.New()
	text := strings.Repeat("x", 5000)
	script(d, "create f\nsyncdir .\nwrite f "+text)
	seen := map[crashsim.Rule]map[string]int{}
	for _, rule := range crashsim.Rules() {
		seen[rule] = map[string]int{}
		for seed := range uint64(200) {
			got := d.AfterCrash(rule, seed).Files()["f"]
			if again := d.AfterCrash(rule, seed).Files()["f"]; got != again {
				t.Fatalf("%s, seed %d: two different images", rule, seed)
			}
			kind := "whole"
			switch zeros := strings.Count(got, "\x00"); {
			case got == "":
				kind = "empty"
			case zeros == len(got):
				kind = "zeros"
			case zeros > 0:
				kind = "hole"
			case len(got) < len(text):
				kind = "cut"
			}
			seen[rule][kind]++
			if kind == "cut" && len(got)%512 != 0 {
				t.Errorf("%s, seed %d: cut at %d", rule, seed, len(got))
			}
		}
	}
	for rule, want := range map[crashsim.Rule]string{
		crashsim.KeepNone: "empty", crashsim.KeepAll: "whole", crashsim.Keep10: "cut empty hole",
		crashsim.Keep50: "cut hole", crashsim.Torn: "cut empty hole", crashsim.NamesFirst: "empty zeros",
	} {
		for kind := range strings.FieldsSeq(want) {
			if seen[rule][kind] == 0 && !(rule == crashsim.Keep50 && kind == "cut") {
				t.Errorf("keep %s never gave %q: %v", rule, kind, seen[rule])
			}
			delete(seen[rule], kind)
		}
		delete(seen[rule], "whole")
		if len(seen[rule]) != 0 && rule != crashsim.Keep10 && rule != crashsim.Keep50 {
			t.Errorf("keep %s also gave %v", rule, seen[rule])
		}
	}
}

// After a failed fsync, a second one succeeds and writes nothing of what the
// first should have written, although reading still shows it.
func TestFailedSyncLosesData(t *testing.T) {
	for _, fault := range []crashsim.Fault{crashsim.EIO, crashsim.SyncLies} {
		d := crashsim.New()
		script(d, "create f\nsyncdir .")
		calls, _ := d.Calls()
		d.FailCall(2, fault, false) // create, write, sync
		errs := script(d, "create g\nwrite g x\nsync g\nsync g\nwrite g y\nsync g\nsyncdir .")
		for i, err := range errs {
			if (err != nil) != (i == 2) {
				t.Errorf("%s: step %d: %v", fault, i, err)
			}
		}
		if got := d.Files()["g"]; got != "xy" {
			t.Errorf("%s: reading shows %q", fault, got)
		}
		want := "\x00y" // what was written afterwards is synced, the hole remains
		if fault == crashsim.SyncLies {
			want = ""
		}
		if got := d.AfterCrash(crashsim.KeepNone, 0).Files()["g"]; got != want {
			t.Errorf("%s: the crash leaves %q, want %q", fault, got, want)
		}
		if n, op := d.Fired(); n != 1 || op != crashsim.OpSync {
			t.Errorf("%s: fired %d times, at %s", fault, n, op)
		}
		if again := d.SyncedAgain(); len(again) != 2 || again[0] != "g" {
			t.Errorf("%s: synced again: %q", fault, again)
		}
		if now, _ := d.Calls(); now == calls || d.OpenHandles() != 0 {
			t.Errorf("%s: %d calls, %d handles", fault, now, d.OpenHandles())
		}
	}
}

// The errors that a file system gives are given.
func TestFileSystemErrors(t *testing.T) {
	d := crashsim.New()
	errs := script(d, "mkdir d\ncreate d/f\ncreate d/f\nmkdir d\nremove d\nlink x y\nlink d/f d/f\ncreate x/y\nremove x\nremove d/f\nremove d\nrename x y")
	want := []error{nil, nil, fs.ErrExist, fs.ErrExist, fs.ErrExist, fs.ErrNotExist, fs.ErrExist, fs.ErrNotExist, fs.ErrNotExist, nil, nil, fs.ErrNotExist}
	for i, err := range errs {
		if !errors.Is(err, want[i]) || want[i] == nil && err != nil {
			t.Errorf("step %d: %v, want %v", i, err, want[i])
		}
	}
}

// retrying is a disk driver's user who believes a second fsync.
type retrying struct{ dirfs.Files }

func (f retrying) Create(name string) (dirfs.Writer, error) {
	w, err := f.Files.Create(name)
	if err != nil {
		return nil, err
	}
	return secondTry{w}, nil
}

type secondTry struct{ dirfs.Writer }

func (w secondTry) Sync() error {
	if w.Writer.Sync() == nil {
		return nil
	}
	return w.Writer.Sync()
}

// A repeated fsync is found twice: as such, and by the data that it loses.
func TestRepeatedSyncIsFound(t *testing.T) {
	lost := 0
	tally, err := crashsim.Failures(nil, func(d *crashsim.Disk) any {
		fsys := d.FS()
		fsys.Files = retrying{fsys.Files}
		_, err := store.WriteAll(t.Context(), local.New(fsys), "object", content("object"))
		return err == nil
	}, func(f crashsim.Failure) error {
		image := f.Disk.AfterCrash(crashsim.KeepNone, 0).Store()
		if got, err := store.ReadAll(t.Context(), image, "object", 1<<20); f.Result.(bool) && string(got) != string(content("object")) {
			lost++
			return fmt.Errorf("lost: %w", err)
		}
		return nil
	})
	if err == nil || lost == 0 || !strings.Contains(err.Error(), "fsync after a failed fsync") {
		t.Errorf("%d runs, %d lost: %v", tally.Images, lost, err)
	}
	fmt.Printf("RESULT store-planted mistake=%q runs=%d found=%d\n", "fsync repeated", tally.Images, tally.Bad)
}
