package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/tidemark-io/tidemark/store"
	"github.com/tidemark-io/tidemark/store/faults"
)

func testList(t *testing.T, s store.Store) {
	// In ascending order of whole names, which is not that of directories: "-"
	// and "." come before "/", digits and letters behind it.
	all := []string{
		".x", "0", "a-b", "a-b-c/x", "a.b", "a/b", "a/c/d", "a/c-d", "a0", "aa/a", "ab", "b",
		"chk-1/MANIFEST", "chk-1/data", "chk-10/data", "chk-2/data",
	}
	slices.Sort(all)
	for _, i := range rand.Perm(len(all)) {
		put(t, s, all[i], []byte(all[i]))
	}
	prefixes := []string{"", "a", "a/", "a/c", "a/c/", "a-", "chk-1", "chk-1/", "chk-1/MANIFEST", "chk-1/MANIFESTS", "zz", "zz/y", "b/", "0/1"}
	for _, prefix := range prefixes {
		var want []string
		for _, name := range all {
			if strings.HasPrefix(name, prefix) {
				want = append(want, name)
			}
		}
		if got := names(t, s, prefix); !slices.Equal(got, want) {
			t.Errorf("list %q:\n got %q\nwant %q", prefix, got, want)
		}
	}
	for info, err := range s.List(t.Context(), "") {
		stat, serr := s.Stat(t.Context(), info.Name)
		if err != nil || serr != nil || stat != info {
			t.Errorf("list says %+v, %v, stat %+v, %v", info, err, stat, serr)
		}
	}
	for range s.List(t.Context(), "") {
		break // ending early is allowed
	}
	for _, prefix := range []string{"../", "/", "a//", "x/../a", "A/b"} {
		n := 0
		for _, err := range s.List(t.Context(), prefix) {
			wantErr(t, "list of a bad prefix", err, store.ErrName)
			n++
		}
		if n != 1 {
			t.Errorf("list %q yielded %d times", prefix, n)
		}
	}
}

func testListMany(t *testing.T, s store.Store) {
	const n, writers = 1000, 20 // writers, so that a disk can sync for several at once
	want := make([]string, n)
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := w; i < n; i += writers {
				want[i] = fmt.Sprintf("dir-%d/object-%04d", i%7, i)
				if _, err := store.WriteAll(t.Context(), s, want[i], nil); err != nil {
					t.Errorf("create: %v", err)
				}
			}
		})
	}
	wg.Wait()
	slices.Sort(want)
	if got := names(t, s, ""); !slices.Equal(got, want) {
		t.Errorf("%d listed, %d created", len(got), n)
	}
	if got := names(t, s, "dir-3/object-00"); len(got) != 14 { // 3, 10, … 94
		t.Errorf("%d listed below a prefix, want 14", len(got))
	}
}

func testRemove(t *testing.T, s store.Store) {
	ctx := t.Context()
	info := put(t, s, "chk-1/object", []byte("x"))
	other := put(t, s, "chk-1/other", []byte("y"))
	wantErr(t, "remove of another version", s.Remove(ctx, "chk-1/object", other.Version+"x"), store.ErrChanged)
	get(t, s, "chk-1/object")
	if err := s.Remove(ctx, "chk-1/object", info.Version); err != nil {
		t.Fatal(err)
	}
	absent(t, s, "chk-1/object")
	get(t, s, "chk-1/other")
	if err := s.Remove(ctx, "chk-1/other", ""); err != nil {
		t.Fatal(err)
	}
	wantErr(t, "second remove", s.Remove(ctx, "chk-1/other", ""), store.ErrNotExist)
	wantErr(t, "remove of what only leads to objects", s.Remove(ctx, "chk-1", ""), store.ErrNotExist)
	put(t, s, "chk-1", []byte("an object of that name")) // nothing is in the way any more
}

// What is being read when it is removed is read whole, or is an error; never
// other bytes.
func testRemoveWhileRead(t *testing.T, s store.Store) {
	want := pattern(50_000)
	put(t, s, "object", want)
	o, err := s.Open(t.Context(), "object")
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	half := make([]byte, 25_000)
	if _, err := o.ReadAt(half, 0); err != nil {
		t.Fatal(err)
	}
	if err := s.Remove(t.Context(), "object", o.Info().Version); err != nil {
		t.Fatal(err)
	}
	put(t, s, "object", bytes.Repeat([]byte("other"), 10_000))
	n, err := o.ReadAt(half, 25_000)
	switch {
	case err == nil || err == io.EOF:
		if n != len(half) || !bytes.Equal(half, want[25_000:]) {
			t.Error("the rest is not that of the removed object")
		}
	case !errors.Is(err, store.ErrNotExist) && !errors.Is(err, store.ErrChanged):
		t.Errorf("reading a removed object: %v", err)
	}
}

func testVersions(t *testing.T, s store.Store) {
	seen := map[string]bool{}
	for range 50 {
		info := put(t, s, "object", []byte("same"))
		if seen[info.Version] {
			t.Fatalf("version %q came twice", info.Version)
		}
		seen[info.Version] = true
		for old := range seen {
			if old != info.Version {
				wantErr(t, "remove of an old version", s.Remove(t.Context(), "object", old), store.ErrChanged)
			}
		}
		if err := s.Remove(t.Context(), "object", info.Version); err != nil {
			t.Fatal(err)
		}
	}
}

func testLink(t *testing.T, s store.Store) {
	want := pattern(5_000)
	put(t, s, "chk-1/data", want)
	for i, s := range []store.Store{s, plain{s}} { // by link, if there is such a thing, and by copy
		to := fmt.Sprintf("shared-%d/data", i)
		if err := store.LinkOrCopy(t.Context(), s, "chk-1/data", to); err != nil {
			t.Fatal(err)
		}
		wantErr(t, "link to a taken name", store.LinkOrCopy(t.Context(), s, "chk-1/data", to), store.ErrExist)
		wantErr(t, "link of nothing", store.LinkOrCopy(t.Context(), s, "chk-1/none", to+"2"), store.ErrNotExist)
		wantErr(t, "link to a bad name", store.LinkOrCopy(t.Context(), s, "chk-1/data", "../x"), store.ErrName)
	}
	if err := s.Remove(t.Context(), "chk-1/data", ""); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"shared-0/data", "shared-1/data"} {
		if !bytes.Equal(get(t, s, name), want) {
			t.Errorf("%q differs", name)
		}
	}
	if got := names(t, s, ""); len(got) != 2 {
		t.Errorf("listed: %q", got)
	}
}

func testLock(t *testing.T, s store.Store) {
	l, ok := store.As[store.Locker](s)
	if !ok {
		return // the fallback is no lock
	}
	release, err := l.Lock(t.Context())
	if errors.Is(err, store.ErrUnsupported) {
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Lock(t.Context()); !errors.Is(err, store.ErrLocked) || !strings.Contains(err.Error(), "held by") {
		t.Errorf("second lock: %v", err)
	}
	put(t, s, "object", nil)
	if got := names(t, s, ""); !slices.Equal(got, []string{"object"}) {
		t.Errorf("listed beside the lock: %q", got)
	}
	if err := release(); err != nil {
		t.Fatal(err)
	}
	release, err = l.Lock(t.Context())
	if err != nil {
		t.Fatalf("lock after release: %v", err)
	}
	if err := release(); err != nil {
		t.Error(err)
	}
}

// A call whose reply is lost may have happened. Asking tells, and repeating is
// safe.
func testLostReplies(t *testing.T, s store.Store) {
	for i, rule := range []string{"(lost (op commit))", "(transient (op commit))", "(lost (op create))", "(lost (op write))"} {
		f, err := faults.Wrap(s, strings.TrimSuffix(rule, ")")+" (count 1))")
		if err != nil {
			t.Fatal(err)
		}
		name := fmt.Sprintf("object-%d", i)
		happened := strings.Contains(rule, "lost (op commit)")
		_, err = store.WriteAll(t.Context(), f, name, []byte("content"))
		if !store.IsTransient(err) {
			t.Fatalf("%s: %v, want a transient error", rule, err)
		}
		if _, err := f.Stat(t.Context(), name); happened != (err == nil) {
			t.Errorf("%s: stat says %v", rule, err)
		}
		if _, err := store.WriteAll(t.Context(), f, name, []byte("content")); happened != errors.Is(err, store.ErrExist) || !happened && err != nil {
			t.Errorf("%s: the second try says %v", rule, err)
		}
		if got := get(t, s, name); string(got) != "content" {
			t.Errorf("%s: the object has %q", rule, got)
		}
	}
	f, err := faults.Wrap(s, "(lost (op remove) (count 1))")
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Remove(t.Context(), "object-0", ""); !store.IsTransient(err) {
		t.Errorf("lost reply of remove: %v", err)
	}
	wantErr(t, "second remove", f.Remove(t.Context(), "object-0", ""), store.ErrNotExist)
}

// Objects are made, read and removed from several goroutines in directories
// that come and go under them.
func testMany(t *testing.T, s store.Store) {
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 20 {
				name := fmt.Sprintf("dir-%d/object-%d", i%3, g)
				info, err := store.WriteAll(t.Context(), s, name, []byte(name))
				if err != nil {
					t.Errorf("create: %v", err)
					return
				}
				if got, err := store.ReadAll(t.Context(), s, name, limit); err != nil || string(got) != name {
					t.Errorf("read %q: %q, %v", name, got, err)
				}
				for _, err := range s.List(t.Context(), "dir-") {
					if err != nil {
						t.Errorf("list: %v", err)
					}
				}
				if err := s.Remove(t.Context(), name, info.Version); err != nil {
					t.Errorf("remove: %v", err)
				}
			}
		})
	}
	wg.Wait()
	if got := names(t, s, ""); len(got) != 0 {
		t.Errorf("left: %q", got)
	}
}

// Of several that remove one version, one succeeds, and nobody removes what
// was made after it.
func testRemoveRace(t *testing.T, s store.Store) {
	for range 20 {
		info := put(t, s, "object", []byte("first"))
		var removed atomic.Int32
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				err := s.Remove(t.Context(), "object", info.Version)
				switch {
				case err == nil:
					removed.Add(1)
					if _, err := store.WriteAll(t.Context(), s, "object", []byte("second")); err != nil {
						t.Errorf("create after remove: %v", err)
					}
				case !errors.Is(err, store.ErrNotExist) && !errors.Is(err, store.ErrChanged):
					t.Errorf("remove: %v", err)
				}
			})
		}
		wg.Wait()
		if n := removed.Load(); n != 1 {
			t.Fatalf("%d removed one version", n)
		}
		if got := get(t, s, "object"); string(got) != "second" {
			t.Fatalf("the object has %q", got)
		}
		if err := s.Remove(t.Context(), "object", ""); err != nil {
			t.Fatal(err)
		}
	}
}

// Winners lets writers create one name at the same time, in so many rounds, and
// checks that each round has one winner, that the others learn it, and that the
// object is the winner's. It prints a RESULT line.
func Winners(t *testing.T, s store.Store, label string, writers, rounds int) {
	t.Helper()
	double, none := 0, 0
	for round := range rounds {
		name := fmt.Sprintf("round-%d", round)
		var winner atomic.Int32
		var wins atomic.Int32
		start := make(chan struct{})
		var ready, wg sync.WaitGroup
		ready.Add(writers)
		for w := range writers {
			wg.Go(func() {
				up, err := s.Create(t.Context(), name)
				if err == nil {
					_, err = fmt.Fprintf(up, "writer %d", w)
				}
				ready.Done()
				<-start // all are about to commit
				if err == nil {
					_, err = up.Commit()
				}
				switch {
				case err == nil:
					winner.Store(int32(w))
					wins.Add(1)
				case !errors.Is(err, store.ErrExist):
					t.Errorf("round %d writer %d: %v", round, w, err)
				}
			})
		}
		ready.Wait()
		close(start)
		wg.Wait()
		switch n := wins.Load(); {
		case n > 1:
			double++
		case n == 0:
			none++
		}
		if got, want := string(get(t, s, name)), fmt.Sprintf("writer %d", winner.Load()); got != want {
			t.Fatalf("round %d: the object has %q, the winner is %q", round, got, want)
		}
		if err := s.Remove(t.Context(), name, ""); err != nil {
			t.Fatal(err)
		}
	}
	if double+none > 0 {
		t.Errorf("%d rounds with several winners, %d with none", double, none)
	}
	fmt.Printf("RESULT store-T12 store=%s writers=%d rounds=%d one_winner=%d double=%d none=%d\n",
		label, writers, rounds, rounds-double-none, double, none)
}
