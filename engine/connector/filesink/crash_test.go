package filesink

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tidemark-io/tidemark/engine"
)

var errCrash = errors.New("crash")

// machine counts the changes that the sink makes to a directory and stops all
// of them at one. After a power cut it takes back what no fsync covers.
type machine struct {
	t     *testing.T
	dir   string
	at    int // crash before this step, from 0; negative: never
	power bool
	rnd   *rand.Rand // nil: a power cut takes back everything it may
	done  []step
	gone  map[int][]byte // content of files removed by step i
}

func (m *machine) hook(s step) error {
	if len(m.done) == m.at {
		return errCrash
	}
	switch s.op {
	case "link":
		if _, err := os.Lstat(filepath.Join(m.dir, s.to)); err == nil {
			s.op = "none" // it will fail: there is nothing to take back
		}
	case "remove":
		if b, err := os.ReadFile(filepath.Join(m.dir, s.name)); err == nil {
			m.gone[len(m.done)] = b
		}
	}
	m.done = append(m.done, s)
	return nil
}

func folder(name string) string { return filepath.ToSlash(filepath.Dir(name)) }

// cut takes back, newest first, the changes of names whose folder was not
// fsynced afterwards, and halves files whose content was not.
func (m *machine) cut() {
	if !m.power {
		return
	}
	synced := map[string]bool{} // folders with an fsync later on
	path := func(name string) string { return filepath.Join(m.dir, name) }
	m.halve()
	for i := len(m.done) - 1; i >= 0; i-- {
		s := m.done[i]
		name := s.name
		if s.op == "link" || s.op == "rename" {
			name = s.to
		}
		if s.op == "syncdir" {
			synced[s.name] = true
			continue
		}
		if lost := m.rnd == nil || m.rnd.IntN(2) == 0; synced[folder(name)] || !lost {
			continue
		}
		switch s.op {
		case "create", "link":
			if err := os.Remove(path(name)); !errors.Is(err, fs.ErrNotExist) {
				must(m.t, err)
			}
		case "rename":
			if err := os.Rename(path(s.to), path(s.name)); !errors.Is(err, fs.ErrNotExist) {
				must(m.t, err)
			}
		case "remove":
			if b, ok := m.gone[i]; ok {
				must(m.t, os.WriteFile(path(name), b, 0o600))
			}
		}
	}
}

// halve cuts the content of files that were written and not fsynced, whatever
// they are called by now.
func (m *machine) halve() {
	dirty := map[string]bool{} // by the name at the first write
	called := map[string]string{}
	for _, s := range m.done {
		switch s.op {
		case "write":
			dirty[s.name] = true
		case "sync":
			delete(dirty, s.name)
		case "rename", "link":
			called[s.name] = s.to
		}
	}
	for name := range dirty {
		for ; name != ""; name = called[name] {
			path := filepath.Join(m.dir, name)
			if info, err := os.Stat(path); err == nil {
				must(m.t, os.Truncate(path, info.Size()/2))
				break
			}
		}
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// world is what survives a crash: the committed checkpoint.
type world struct {
	dir   string
	id    uint64
	next  int // first record that the checkpoint does not cover
	items [][]byte
	run   uint64
}

// crashEvery is the number of records per checkpoint.
const crashEvery = 4

// The size of the crash tests: records in all, pairs of attempts before and
// after a crash, and which crashes are followed by a second one at the first so
// many steps.
var (
	crashRecords     = 12
	crashParallelism = map[string][][3]int{"kill": {{2, 2, 3}}, "power": {{3, 2, 1}}, "half": {{2, 2, 2}}}
	crashAgainEvery  = 23
	crashAgainSteps  = 14
)

func init() {
	if os.Getenv("TIDEMARK_LONG") == "" {
		return
	}
	crashRecords, crashAgainEvery, crashAgainSteps = 24, 5, 20
	for mode := range crashParallelism {
		crashParallelism[mode] = [][3]int{{1, 1, 1}, {2, 2, 2}, {3, 2, 1}, {1, 2, 3}}
	}
}

// run restores the world at a parallelism and writes the remaining records with
// a checkpoint after every few, the second of which is given up, until the end
// or the crash.
func (w *world) attempt(p int, hook func(step) error) error {
	w.run++
	if err := os.MkdirAll(w.dir, dirMode); err != nil { // without an fsync, for speed
		return err
	}
	s := NewJSONL(w.dir, Options[int]{RollBytes: 5})
	s.hook = hook
	writers := make([]committing, p)
	for i := range writers {
		sw, err := s.Open(ctx, engine.SinkContext{UID: "out", Lineage: "abc", Run: w.run, Subtask: i, Parallelism: p, Restored: w.id})
		if err != nil {
			return err
		}
		writers[i] = sw.(committing)
		defer sw.Close()
	}
	for i, sw := range writers {
		var share [][]byte
		for j := i; j < len(w.items); j += p {
			share = append(share, w.items[j])
		}
		if err := sw.Recover(ctx, share); err != nil {
			return err
		}
	}
	for r := w.next; r < crashRecords; {
		for range crashEvery {
			if err := writers[r%p].Write(r, 0); err != nil {
				return err
			}
			r++
		}
		if err := w.checkpoint(writers, r); err != nil {
			return err
		}
	}
	return nil
}

func (w *world) checkpoint(writers []committing, next int) error {
	id := uint64(next / crashEvery)
	var items [][]byte
	for _, sw := range writers {
		finish, err := sw.Prepare(id)
		if err != nil {
			return err
		}
		got, err := finish(ctx)
		if err != nil {
			return err
		}
		items = append(items, got...)
	}
	if id == 2 {
		return nil // given up: its parts go with checkpoint 3
	}
	w.id, w.next, w.items = id, next, items
	for _, sw := range writers {
		if err := sw.Publish(ctx, id); err != nil {
			return err
		}
	}
	return nil
}

// check requires each record exactly once, and nothing left over.
func (w *world) check(t *testing.T, what string) {
	t.Helper()
	got := visible(t, w.dir)
	want := make([]int, crashRecords)
	for i := range want {
		want[i] = i
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Fatalf("%s: visible %v", what, got)
	}
	for _, name := range names(t, filepath.Join(w.dir, pendingDir)) {
		t.Fatalf("%s: left over: %s", what, name)
	}
}

// crashOnce runs an attempt that crashes at a step; it returns false if the
// attempt ended before that.
func (w *world) crashOnce(t *testing.T, p, at int, power bool, rnd *rand.Rand) bool {
	t.Helper()
	m := &machine{t: t, dir: w.dir, at: at, power: power, rnd: rnd, gone: map[int][]byte{}}
	err := w.attempt(p, m.hook)
	if err == nil {
		return false
	}
	if !errors.Is(err, errCrash) {
		t.Fatalf("step %d: %v", at, err)
	}
	m.cut()
	return true
}

// TestCrashAtEveryStep crashes the sink before each change it makes to the
// directory, in three ways (process killed; power cut that loses all it may;
// or half of it), and again during each recovery, and requires every record
// exactly once in the end.
func TestCrashAtEveryStep(t *testing.T) {
	single, double := 0, 0
	for _, mode := range []string{"kill", "power", "half"} {
		rnd := func(seed int) *rand.Rand {
			if mode == "half" {
				return rand.New(rand.NewPCG(uint64(seed), 1))
			}
			return nil
		}
		for _, p := range crashParallelism[mode] {
			base := t.TempDir()
			for at := 0; ; at++ {
				w := &world{dir: filepath.Join(base, fmt.Sprint(at))}
				crashed := w.crashOnce(t, p[0], at, mode != "kill", rnd(at))
				if crashed && at%crashAgainEvery == len(mode)%crashAgainEvery {
					// A second crash, at each step of the recovery that
					// follows.
					for second := 0; second < crashAgainSteps; second++ {
						v := *w
						v.dir = fmt.Sprintf("%s-%d", w.dir, second)
						must(t, os.CopyFS(v.dir, os.DirFS(w.dir)))
						if v.crashOnce(t, p[1], second, mode != "kill", rnd(second)) {
							double++
						}
						must(t, v.attempt(p[2], noCrash))
						v.check(t, fmt.Sprintf("%s, %v, crashes at %d and %d", mode, p, at, second))
					}
				}
				must(t, w.attempt(p[1], noCrash))
				must(t, w.attempt(p[2], noCrash)) // a restore of the end adds nothing
				w.check(t, fmt.Sprintf("%s, %v, crash at %d", mode, p, at))
				if !crashed {
					break
				}
				single++
			}
		}
	}
	fmt.Printf("RESULT filesink-crash points=%d twice=%d lost=0 duplicated=0\n", single, double)
}

func noCrash(step) error { return nil }

// TestFailureIsNotACrash makes each step fail once, without ending the process:
// the writer must report it at once or at the next checkpoint, and never
// publish anything wrong afterwards.
func TestFailureIsNotACrash(t *testing.T) {
	base := t.TempDir()
	failed := 0
	for at := 0; ; at++ {
		w := &world{dir: filepath.Join(base, fmt.Sprint(at))}
		n := 0
		err := w.attempt(2, func(s step) error {
			n++
			if n-1 == at {
				return fmt.Errorf("no space for %s %s", s.op, s.name)
			}
			return nil
		})
		if err == nil {
			if n > at {
				t.Fatalf("the failure of step %d was not reported", at)
			}
			break
		}
		if !strings.Contains(err.Error(), "no space for") {
			t.Fatalf("step %d: %v", at, err)
		}
		failed++
		must(t, w.attempt(2, noCrash))
		w.check(t, fmt.Sprintf("failure of step %d", at))
	}
	fmt.Printf("RESULT filesink-failures points=%d unreported=0 lost=0 duplicated=0\n", failed)
}
