package recovery

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/tidemark-io/tidemark/checkpoint"
	"github.com/tidemark-io/tidemark/writer/writertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fake is a checkpoint with the given checks.
type fake struct {
	checkpoint.Checkpoint
	notes  []checkpoint.Finding
	checks []checkpoint.Check
	fail   error // instead of a further check
}

func (f *fake) Info() checkpoint.Info { return checkpoint.Info{Notes: f.notes} }

func (f *fake) Checks(context.Context, checkpoint.Level) iter.Seq2[checkpoint.Check, error] {
	return func(yield func(checkpoint.Check, error) bool) {
		for _, c := range f.checks {
			if !yield(c, nil) {
				return
			}
		}
		if f.fail != nil {
			yield(checkpoint.Check{}, f.fail)
		}
	}
}

// finds is a check that reports n findings named after it.
func finds(name string, n int) checkpoint.Check {
	return checkpoint.Check{Name: name, Run: func(_ context.Context, report func(checkpoint.Finding)) error {
		for i := range n {
			report(checkpoint.Finding{Severity: checkpoint.Error, Place: checkpoint.At(name), Problem: fmt.Sprint(i)})
		}
		return nil
	}}
}

// collect lists the findings and the error.
func collect(seq iter.Seq2[checkpoint.Finding, error]) (list []string, err error) {
	for f, e := range seq {
		if e != nil {
			return list, e
		}
		list = append(list, f.Place.Object+":"+f.Problem)
	}
	return list, nil
}

func TestFindingsComeInOrder(t *testing.T) {
	f := &fake{notes: []checkpoint.Finding{{Problem: "note", Place: checkpoint.At("m")}}}
	want := []string{"m:note"}
	for i := range 50 {
		name := fmt.Sprint("o", i)
		f.checks = append(f.checks, finds(name, i%3))
		for k := range i % 3 {
			want = append(want, fmt.Sprintf("%s:%d", name, k))
		}
	}
	for _, workers := range []int{0, 1, 7} {
		var progress int
		got, err := collect(Verify(t.Context(), f, Options{Workers: workers, Progress: func(checkpoint.Check) { progress++ }}))
		if err != nil || !slices.Equal(got, want) || progress != len(f.checks) {
			t.Fatalf("%d workers: %v after %d checks, %v", workers, got, progress, err)
		}
	}
}

func TestManyFindingsAreCounted(t *testing.T) {
	got, err := collect(Verify(t.Context(), &fake{checks: []checkpoint.Check{finds("o", maxFindings+5)}}, Options{}))
	if err != nil || len(got) != maxFindings+1 || got[maxFindings] != "o:5 further findings here are not listed" {
		t.Fatalf("%d findings, the last %q, %v", len(got), got[len(got)-1], err)
	}
}

func TestErrorsEndTheIteration(t *testing.T) {
	broken := errors.New("unreachable")
	failing := checkpoint.Check{Name: "bad", Run: func(context.Context, func(checkpoint.Finding)) error { return broken }}
	cases := map[string]*fake{
		"a check fails":     {checks: []checkpoint.Check{finds("a", 1), failing, finds("b", 1)}},
		"listing them does": {checks: []checkpoint.Check{finds("a", 1)}, fail: broken},
	}
	for name, f := range cases {
		got, err := collect(Verify(t.Context(), f, Options{}))
		if !errors.Is(err, broken) || !slices.Equal(got, []string{"a:0"}) {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
	if _, err := collect(Verify(t.Context(), struct{ checkpoint.Checkpoint }{}, Options{})); !errors.Is(err, ErrNotVerifiable) {
		t.Errorf("a format without the ability: %v", err)
	}
}

func TestStoppingEarlyLeavesNothing(t *testing.T) {
	f := &fake{}
	for i := range 100 {
		f.checks = append(f.checks, finds(fmt.Sprint(i), 1))
	}
	for range Verify(t.Context(), f, Options{Workers: 3}) {
		break
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := collect(Verify(ctx, f, Options{})); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled verification ends with %v", err)
	}
}

// TestPartOfTheChecks: a sample, checks that are left out, and a time limit that
// ends a check in the middle.
func TestPartOfTheChecks(t *testing.T) {
	f := &fake{}
	for i := range 1000 {
		c := finds(fmt.Sprint(i), 0)
		c.Bytes = 1
		f.checks = append(f.checks, c)
	}
	done := 0
	count := func(checkpoint.Check) { done++ }
	if _, err := collect(Verify(t.Context(), f, Options{Sample: 0.1, Seed: 1, Progress: count})); err != nil || done < 60 || done > 140 {
		t.Errorf("a tenth of 1000 is %d, %v", done, err)
	}
	done = 0
	var skipped int
	opts := Options{Progress: count, Skip: func(c checkpoint.Check) bool { return len(c.Name) == 3 }, Skipped: func(checkpoint.Check) { skipped++ }}
	if _, err := collect(Verify(t.Context(), f, opts)); err != nil || done != 100 || skipped != 900 {
		t.Errorf("%d done, %d skipped, %v", done, skipped, err)
	}
	synctest.Test(t, func(t *testing.T) {
		slow := checkpoint.Check{Name: "slow", Run: func(ctx context.Context, report func(checkpoint.Finding)) error {
			report(checkpoint.Finding{Place: checkpoint.At("slow"), Problem: "x"})
			<-ctx.Done()
			return context.Cause(ctx)
		}}
		var names []string
		f := &fake{checks: []checkpoint.Check{finds("a", 1), slow, finds("b", 1)}}
		got, err := collect(Verify(t.Context(), f, Options{Workers: 1, Until: time.Now().Add(time.Minute), Skipped: func(c checkpoint.Check) { names = append(names, c.Name) }}))
		if err != nil || !slices.Equal(got, []string{"a:0", "slow:x"}) || !slices.Equal(names, []string{"slow", "b"}) {
			t.Errorf("found %v, skipped %v, %v", got, names, err)
		}
	})
}

// TestSampleOfBlocks: a sample of a native checkpoint reads about its share, and
// finds nothing where nothing is.
func TestSampleOfBlocks(t *testing.T) {
	m := native(t, writertest.Job{Keys: 20000, ValueSize: 64, Flight: 2000})
	got, err := collect(Verify(t.Context(), m, Options{Sample: 0.3, Seed: 7}))
	if err != nil || len(got) > 0 {
		t.Errorf("%v, %v", got, err)
	}
}

// A check that panics does not end the program.
func TestVerifyCatchesPanics(t *testing.T) {
	bad := checkpoint.Check{Name: "b", Run: func(context.Context, func(checkpoint.Finding)) error { var none []int; none[1] = 0; return nil }}
	got, err := collect(Verify(t.Context(), &fake{checks: []checkpoint.Check{finds("a", 1), bad, finds("c", 1)}}, Options{Workers: 2}))
	if len(got) != 1 || err == nil || !strings.Contains(err.Error(), "check of b: internal error: runtime error: index out of range") {
		t.Errorf("%v, %v", got, err)
	}
}
