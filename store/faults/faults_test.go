package faults_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tidemark-io/tidemark/store"
	"github.com/tidemark-io/tidemark/store/faults"
	"github.com/tidemark-io/tidemark/store/mem"
)

func wrap(t *testing.T, expression string) *faults.Store {
	t.Helper()
	s, err := faults.Wrap(mem.New(), expression)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// good are expressions and how they print.
var good = []struct{ text, printed string }{
	{"", ""},
	{"  \n", ""},
	{`(delay 500ms (and (op create write commit) (name "chk-3/*.data")))`, `(delay 500ms (and (op create write commit) (name "chk-3/*.data")))`},
	{`(crash (write 41))`, `(crash (and (op write) (nth 41)))`},
	{`(error ENOSPC (op commit) (count 1))`, `(error ENOSPC (op commit) (count 1))`},
	{`(transient (op commit)(name *MANIFEST))`, `(transient (op commit) (name "*MANIFEST"))`},
	{"(lost (id 3 4) (not (or (op read) (name `a\"b`))))", `(lost (id 3 4) (not (or (op read) (name "a\"b"))))`},
	{"(delay 0)(crash)", "(delay 0s) (crash)"},
	{"(crash (op))\t(crash (and))(crash (or))(crash (id))", "(crash (op)) (crash (and)) (crash (or)) (crash (id))"},
	{"(crash (op write) (every 7))", "(crash (op write) (every 7))"},
	{"(delay 1h30m)", "(delay 1h30m0s)"},
}

func TestParse(t *testing.T) {
	for _, test := range good {
		f, err := faults.Parse(test.text)
		if err != nil {
			t.Errorf("%q: %v", test.text, err)
			continue
		}
		if f.String() != test.printed {
			t.Errorf("%q prints\n%s, want\n%s", test.text, f, test.printed)
		}
		again, err := faults.Parse(f.String())
		if err != nil || again.String() != f.String() {
			t.Errorf("%q again: %v, %v", f, again, err)
		}
	}
}

// bad are texts that are no expressions, and what the error says.
var bad = []struct{ text, message string }{
	{"x", `byte 0: expected '('`},
	{"(", "byte 1: expected a word"},
	{"()", "byte 1: expected a word"},
	{"(sleep)", `unknown action "sleep"; known are delay error transient lost crash`},
	{"(delay)", "expected a word"},
	{"(delay soon)", `delay "soon"`},
	{"(delay -1s)", "cannot be negative"},
	{"(error EWHAT)", `unknown error "EWHAT"; known are EACCES`},
	{"(crash", "expected ')'"},
	{"(crash) )", "byte 8: expected '('"},
	{"(crash write)", "byte 7: expected '('"},
	{"(crash (write))", "expected a word"},
	{"(crash (write x))", `"x" is no number`},
	{"(crash (write -1))", `"-1" is no number`},
	{"(crash (nth 18446744073709551616))", "is no number"},
	{"(crash (op wriet))", `unknown operation "wriet"; known are [open read`},
	{"(crash (size 3))", `unknown condition "size"`},
	{`(crash (name "a))`, "expected a word"},
	{"(crash (not))", "expected '('"},
	{"(crash (name))", "expected a word"},
	{"(crash (every 0))", "every 0 is never"},
	{"(crash " + strings.Repeat("(not ", 17) + "(op)" + strings.Repeat(")", 17) + ")", "nested more than 16 deep"},
	{strings.Repeat(" ", 1<<16+1), "at most 65536"},
}

func TestParseErrors(t *testing.T) {
	for _, test := range bad {
		_, err := faults.Parse(test.text)
		if err == nil || !strings.Contains(err.Error(), test.message) {
			t.Errorf("%.60q: error %v, want %q in it", test.text, err, test.message)
		}
	}
}

// What parses prints such that it parses to the same.
func FuzzParse(f *testing.F) {
	for _, test := range good {
		f.Add(test.text)
	}
	for _, test := range bad {
		f.Add(test.text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		a, err := faults.Parse(text)
		if err != nil {
			return
		}
		b, err := faults.Parse(a.String())
		if err != nil {
			t.Fatalf("%q prints %q, which does not parse: %v", text, a, err)
		}
		if a.String() != b.String() {
			t.Fatalf("%q prints %q and then %q", text, a, b)
		}
	})
}

func TestErrors(t *testing.T) {
	for _, test := range []struct {
		rule      string
		cause     error
		transient bool
	}{
		{"(error ENOSPC)", syscall.ENOSPC, false},
		{"(error EACCES)", store.ErrPermission, false},
		{"(error EMFILE)", syscall.EMFILE, true},
		{"(error unavailable)", faults.ErrInjected, true},
		{"(error not-exist)", store.ErrNotExist, false},
		{"(transient)", faults.ErrInjected, true},
		{"(lost)", faults.ErrReplyLost, true},
		{"(crash)", faults.ErrCrashed, false},
	} {
		s := wrap(t, test.rule)
		_, err := s.Stat(t.Context(), "name")
		if !errors.Is(err, test.cause) || !errors.Is(err, faults.ErrInjected) || store.IsTransient(err) != test.transient {
			t.Errorf("%s: %v, transient %v", test.rule, err, store.IsTransient(err))
		}
		if s.Faults().Fired() != 1 || len(s.Faults().Unfired()) != 0 {
			t.Errorf("%s: fired %d, unfired %q", test.rule, s.Faults().Fired(), s.Faults().Unfired())
		}
	}
	if len(faults.ErrorNames()) < 10 || !slices.IsSorted(faults.ErrorNames()[:6]) {
		t.Errorf("names: %q", faults.ErrorNames())
	}
}

// Which calls a rule hits: the objects are created one after the other, and
// what could not be created is listed.
func TestConditions(t *testing.T) {
	all := []string{"chk-1/data-1", "chk-1/MANIFEST", "chk-3/data-1", "chk-3/x/data-2", "chk-33/data-1", "savepoint-3/data-1", "runs/3"}
	for _, test := range []struct{ when, hit string }{
		{"", "0 1 2 3 4 5 6"},
		{"(op commit)", "0 1 2 3 4 5 6"},
		{"(op read)", ""},
		{"(op commit) (name chk-3/*)", "2 3"},
		{"(op commit) (name *data-?)", "0 2 3 4 5"},
		{"(op commit) (name *MANIFEST)", "1"},
		{"(op commit) (name *)", "0 1 2 3 4 5 6"},
		{"(op commit) (name chk-?/*-1)", "0 2"},
		{"(op commit) (name **3*/*data**)", "2 3 4 5"},
		{"(op commit) (name ?)", ""},
		{"(op commit) (id 3)", "2 3 5"},
		{"(op commit) (id 1 33)", "0 1 4"},
		{"(op commit) (not (id 3 1))", "4 6"},
		{"(op commit) (or (id 1) (name runs/*))", "0 1 6"},
		{"(commit 3)", "2"},
		{"(op commit) (id 3) (nth 2)", "3"},
		{"(op commit) (id 3) (count 2)", "2 3"},
		{"(op commit) (every 3)", "2 5"},
		{"(op commit) (every 1)", "0 1 2 3 4 5 6"},
		{"(nth 2) (op commit)", ""}, // the second call of all is the first write
		{"(count 0)", ""},
	} {
		s := wrap(t, "(error EIO "+test.when+")")
		var hit []string
		for i, name := range all {
			if _, err := store.WriteAll(t.Context(), s, name, []byte("x")); err != nil {
				hit = append(hit, fmt.Sprint(i))
			}
		}
		if got := strings.Join(hit, " "); got != test.hit {
			t.Errorf("%q hits %q, want %q", test.when, got, test.hit)
		}
	}
}

// A failed commit publishes nothing, one whose reply is lost does.
func TestCommit(t *testing.T) {
	for rule, there := range map[string]bool{
		"(error EIO (op commit))": false, "(lost (op commit))": true, "(crash (op commit))": false,
		"(error EIO (op write))": false, "(lost (op write))": false, "(lost (op create))": false, "(crash (op write))": false,
	} {
		inner := mem.New()
		f, err := faults.Parse(rule)
		if err != nil {
			t.Fatal(err)
		}
		s := faults.New(inner, f)
		if _, err := store.WriteAll(t.Context(), s, "object", []byte("x")); !errors.Is(err, faults.ErrInjected) {
			t.Errorf("%s: %v", rule, err)
		}
		if _, err := inner.Stat(t.Context(), "object"); there != (err == nil) {
			t.Errorf("%s: stat of the object says %v", rule, err)
		}
	}
	// An upload that a fault has hit stays failed.
	s := wrap(t, "(transient (op write) (count 1))")
	up, err := s.Create(t.Context(), "object")
	if err != nil {
		t.Fatal(err)
	}
	_, first := up.Write([]byte("x"))
	_, second := up.Write([]byte("x"))
	_, third := up.Commit()
	if first == nil || second != first || third != first {
		t.Errorf("errors %v, %v, %v", first, second, third)
	}
	if err := up.Abort(); err != nil {
		t.Error(err)
	}
}

// From a crash on, nothing works any more and nothing happens.
func TestCrash(t *testing.T) {
	s := wrap(t, "(crash (write 2))")
	ctx := t.Context()
	if _, err := store.WriteAll(ctx, s, "a", []byte("x")); err != nil {
		t.Fatal(err)
	}
	o, err := s.Open(ctx, "a")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := store.WriteAll(ctx, s, "b", []byte("x")); !errors.Is(err, faults.ErrCrashed) {
		t.Errorf("crash: %v", err)
	}
	if !s.Faults().Crashed() {
		t.Error("not crashed")
	}
	_, readErr := o.ReadAt(make([]byte, 1), 0)
	_, statErr := s.Stat(ctx, "a")
	_, openErr := s.Open(ctx, "a")
	_, createErr := s.Create(ctx, "c")
	_, sumErr := s.Checksum(ctx, "a")
	var listErr error
	for _, listErr = range s.List(ctx, "") {
	}
	for i, err := range []error{readErr, statErr, openErr, createErr, sumErr, listErr, s.Link(ctx, "a", "d"), s.Remove(ctx, "a", "")} {
		if !errors.Is(err, faults.ErrCrashed) {
			t.Errorf("call %d after the crash: %v", i, err)
		}
	}
	if _, err := s.Unwrap().Stat(ctx, "a"); err != nil {
		t.Errorf("the object: %v", err)
	}
}

// Delays take the time of package time, add up, and end with the context.
func TestDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := wrap(t, "(delay 2s (op write) (name chk-3/*)) (delay 1s (op write commit) (id 3)) (delay 5s (op read)) (error EIO (op stat)) (delay 1h (op stat))")
		took := func(fn func()) time.Duration {
			start := time.Now()
			fn()
			return time.Since(start)
		}
		for name, want := range map[string]time.Duration{"chk-3/data": 4 * time.Second, "chk-2/data": 0} {
			if d := took(func() { store.WriteAll(t.Context(), s, name, []byte("x")) }); d != want {
				t.Errorf("%s took %v, want %v", name, d, want)
			}
		}
		if d := took(func() { store.ReadAll(t.Context(), s, "chk-3/data", 10) }); d != 5*time.Second {
			t.Errorf("read took %v", d)
		}
		if d := took(func() { s.Stat(t.Context(), "chk-3/data") }); d != 0 {
			t.Errorf("a call that failed before its delay took %v", d)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		var err error
		d := took(func() { _, err = store.WriteAll(ctx, s, "chk-3/more", []byte("x")) })
		if d != 500*time.Millisecond || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("cut short after %v with %v", d, err)
		}
	})
}

// Every rule that fires is told, and every call is counted.
func TestCounting(t *testing.T) {
	s := wrap(t, "(delay 0s (op write) (name a)) (lost (op remove)) (crash (name never))")
	var events []string
	s.Faults().OnFire(func(e faults.Event) { events = append(events, fmt.Sprintf("%s %s by %s", e.Op, e.Name, e.Rule)) })
	ctx := t.Context()
	for _, name := range []string{"a", "b"} {
		if _, err := store.WriteAll(ctx, s, name, []byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Link(ctx, "a", "c"); err != nil {
		t.Error(err)
	}
	if _, err := store.Checksum(ctx, s, "c"); err != nil {
		t.Error(err)
	}
	if err := s.Remove(ctx, "a", ""); !errors.Is(err, faults.ErrReplyLost) {
		t.Error(err)
	}
	n := 0
	for range s.List(ctx, "") {
		n++
	}
	if n != 2 {
		t.Errorf("%d objects left", n)
	}
	want := []string{`write a by (delay 0s (op write) (name "a"))`, "remove a by (lost (op remove))"}
	if !slices.Equal(events, want) {
		t.Errorf("events %q", events)
	}
	f := s.Faults()
	if f.Fired() != 2 || !slices.Equal(f.Unfired(), []string{`(crash (name "never"))`}) {
		t.Errorf("fired %d, unfired %q", f.Fired(), f.Unfired())
	}
	for op, want := range map[faults.Op]int{faults.Create: 2, faults.Write: 2, faults.Commit: 2, faults.Link: 1, faults.Checksum: 1, faults.Remove: 1, faults.List: 1, faults.Read: 0} {
		if got := f.Calls(op); got != want {
			t.Errorf("%s was called %d times, want %d", op, got, want)
		}
	}
}

// bare hides what a store can do besides.
type bare struct{ store.Store }

func TestAbilitiesAreFound(t *testing.T) {
	s := wrap(t, "")
	if _, ok := store.As[store.Locker](store.Store(s)); !ok {
		t.Error("the lock is not found through the wrapper")
	}
	without := faults.New(bare{mem.New()}, s.Faults())
	if _, err := store.WriteAll(t.Context(), without, "a", []byte("x")); err != nil {
		t.Fatal(err)
	}
	if err := without.Link(t.Context(), "a", "b"); !errors.Is(err, store.ErrUnsupported) {
		t.Errorf("link: %v", err)
	}
	if _, err := without.Checksum(t.Context(), "a"); !errors.Is(err, store.ErrUnsupported) {
		t.Errorf("checksum: %v", err)
	}
	if sum, err := store.Checksum(t.Context(), without, "a"); sum == 0 || err != nil {
		t.Errorf("checksum by reading: %#x, %v", sum, err)
	}
}

func ExampleWrap() {
	s, err := faults.Wrap(mem.New(), `(error ENOSPC (op commit) (name "*MANIFEST") (count 1))`)
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	for range 2 {
		_, err := store.WriteAll(ctx, s, "chk-1/MANIFEST", []byte("…"))
		fmt.Println(err)
	}
	// Output:
	// commit "chk-1/MANIFEST": injected fault (error ENOSPC (op commit) (name "*MANIFEST") (count 1)): no space left on device
	// <nil>
}
