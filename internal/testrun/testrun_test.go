package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// What all parts of a tier may take together on two cores with nothing cached,
// in seconds.
const (
	testBudget = 18 * 60
	longBudget = 80 * 60
)

func TestBudgets(t *testing.T) {
	parts, err := tierParts(context.Background(), "test")
	if err != nil {
		t.Fatal(err)
	}
	if sum := sum(parts); sum > testBudget {
		t.Errorf("the parts of make test may take %d s together, the limit is %d", sum, testBudget)
	}
	if last := parts[len(parts)-1].name; last != "tests" {
		t.Errorf("the last part is %q; the verdicts of the tests must end the log", last)
	}
}

// TestLongBudget: more fuzz targets get less time each.
func TestLongBudget(t *testing.T) {
	for n := range 60 {
		parts := longParts(make([]target, n), time.Unix(1, 0))
		if sum := sum(parts); sum > longBudget {
			t.Errorf("with %d fuzz targets the parts of make long may take %d s together, the limit is %d", n, sum, longBudget)
		}
	}
}

func sum(parts []part) int {
	n := 0
	for _, p := range parts {
		n += p.budget
	}
	return n
}

func TestUnknownTier(t *testing.T) {
	_, err := tierParts(context.Background(), "tests")
	if err == nil || !strings.Contains(err.Error(), "use test, cross, fuzz or long") {
		t.Errorf("got error %v", err)
	}
}

func TestDigest(t *testing.T) {
	events := strings.Join([]string{
		`{"Action":"build-output","ImportPath":"b","Output":"b/x.go:1:1: broken\n"}`,
		`{"Action":"output","Package":"a","Test":"TestGood","Output":"chatter\n"}`,
		`{"Action":"output","Package":"a","Test":"TestGood","Output":"    a_test.go:9: RESULT TestGood n=3\n"}`,
		`{"Action":"pass","Package":"a","Test":"TestGood"}`,
		`{"Action":"output","Package":"a","Test":"TestSkip","Output":"=== RUN   TestSkip\n"}`,
		`{"Action":"output","Package":"a","Test":"TestSkip","Output":"    require.go:24: this test needs strace\n"}`,
		`{"Action":"skip","Package":"a","Test":"TestSkip"}`,
		`{"Action":"output","Package":"a","Test":"TestBad","Output":"    a_test.go:5: got 1, want 2\n"}`,
		`{"Action":"fail","Package":"a","Test":"TestBad"}`,
		`{"Action":"output","Package":"a","Output":"FAIL\ta\t0.1s\n"}`,
		`{"Action":"fail","Package":"a"}`,
		`{"Action":"output","Package":"c","Output":"ok  \tc\t0.2s\n"}`,
		`{"Action":"pass","Package":"c"}`,
		`not an event`,
	}, "\n")
	var w bytes.Buffer
	out, err := digest(strings.NewReader(events), &w)
	if err != nil {
		t.Fatal(err)
	}
	want := "b/x.go:1:1: broken\nRESULT TestGood n=3\nSKIP a TestSkip: require.go:24: this test needs strace\n" +
		"    a_test.go:5: got 1, want 2\nnot an event\n"
	if w.String() != want {
		t.Errorf("wrote\n%s\nwant\n%s", w.String(), want)
	}
	if !slices.Equal(out.results, []string{"RESULT TestGood n=3"}) {
		t.Errorf("results %q", out.results)
	}
	if !slices.Equal(out.closing, []string{"FAIL\ta\t0.1s", "ok  \tc\t0.2s"}) {
		t.Errorf("closing %q", out.closing)
	}
}

func TestFuzzFunctions(t *testing.T) {
	file := filepath.Join(t.TempDir(), "x_test.go")
	text := "package x\nfunc FuzzA(f *testing.F) {}\nfunc (T) FuzzNot() {}\nfunc TestB() {}\nfunc FuzzC(f *testing.F) {}\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := fuzzFunctions(file)
	if err != nil || !slices.Equal(got, []string{"FuzzA", "FuzzC"}) {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestLastExecs(t *testing.T) {
	text := "fuzz: elapsed: 3s, execs: 100 (33/sec)\nfuzz: elapsed: 6s, execs: 250 (50/sec), new interesting: 1\nPASS\n"
	if got := lastExecs(text); got != "250" {
		t.Errorf("got %s", got)
	}
}

func TestSection(t *testing.T) {
	got := section(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), "abc", []string{"RESULT T n=1"})
	if want := "\n## 2026-01-02 03:04, commit abc\n\n- `T n=1`\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
