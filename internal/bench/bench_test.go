package main

import (
	"bytes"
	"context"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tidemark-io/tidemark/internal/testkit"
)

// TestMain lets the test program serve as the measuring process, too.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == childFlag {
		os.Exit(child(context.Background(), os.Args[2]))
	}
	os.Exit(m.Run())
}

func TestEstimate(t *testing.T) {
	twenty := make([]float64, 20)
	for i := range twenty {
		twenty[i] = float64((i*7)%20 + 1) // 1 … 20 in some order
	}
	for _, c := range []struct {
		name   string
		values []float64
		want   estimate
	}{
		{"one", []float64{3}, estimate{3, 3, 3, 1}},
		{"even", []float64{4, 1, 3, 2}, estimate{2.5, 1, 4, 4}},
		{"five, too few for 95 %", []float64{5, 1, 4, 2, 3}, estimate{3, 1, 5, 5}},
		{"six, just enough", []float64{6, 5, 4, 3, 2, 1}, estimate{3.5, 1, 6, 6}},
		// The table in textbooks for n = 20: the 6th and the 15th value.
		{"twenty", twenty, estimate{10.5, 6, 15, 20}},
	} {
		if got := estimateOf(c.values); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
	if got := estimateOf(nil); !math.IsNaN(got.median) || got.n != 0 {
		t.Errorf("nothing: %v", got)
	}
}

// TestRank computes the coverage anew: it must reach 95 %, and the next
// narrower interval must not.
func TestRank(t *testing.T) {
	coverage := func(n, k int) float64 {
		c := 0.0
		for x := k; x <= n-k; x++ {
			c += choose(n, x) * math.Pow(0.5, float64(n))
		}
		return c
	}
	least := 1.0
	for n := 6; n <= 200; n++ {
		k := rank(n)
		if got := coverage(n, k); got < 0.95 {
			t.Errorf("n = %d: ranks %d and %d cover %.4f", n, k, n-k+1, got)
		} else {
			least = min(least, got)
		}
		if got := coverage(n, k+1); got >= 0.95 {
			t.Errorf("n = %d: ranks %d and %d would do, they cover %.4f", n, k+1, n-k, got)
		}
	}
	t.Logf("RESULT TestRank least-coverage=%.4f", least)
}

func TestFigure(t *testing.T) {
	for v, want := range map[float64]string{1234.5: "1234", 12.34: "12.3", 1.234: "1.23", 0.1: "0.10", 0.01234: "0.012", 0: "0.00"} {
		if got := figure(v); got != want {
			t.Errorf("%v is written %q, want %q", v, got, want)
		}
	}
}

func TestVerdict(t *testing.T) {
	for _, c := range []struct {
		got  result
		want verdict
		text string
	}{
		{atLeast("speed", 12, []float64{12e6}, 1e-6), met, "12.0 [12.0, 12.0]"},
		{atLeast("speed", 12, []float64{11.98e6}, 1e-6), missed, "11.98 [12.0, 12.0]"},
		{atLeast("speed", 12, []float64{7e6, 9e6}, 1e-6), missed, "8.00 [7.00, 9.00]"},
		{atMost("pause", 1, []float64{1}, 1), met, "1.00 [1.00, 1.00]"},
		{atMost("pause", 1, []float64{2}, 1), missed, "2.00 [2.00, 2.00]"},
		{shown("figure", []float64{2}, 1), none, "2.00 [2.00, 2.00]"},
		{atLeast("nothing measured", 1, nil, 1), missed, "NaN [NaN, NaN]"},
	} {
		if c.got.met != c.want || c.got.measured != c.text {
			t.Errorf("%s: %q %q, want %q %q", c.got.goal, c.got.measured, c.got.met, c.text, c.want)
		}
	}
}

func TestChosen(t *testing.T) {
	all, err := chosen("")
	if err != nil || len(all) != len(rows) {
		t.Errorf("no name chooses %d rows of %d, %v", len(all), len(rows), err)
	}
	some, err := chosen("count,memory")
	if err != nil || len(some) != 4 || some[3].name != "memory" {
		t.Errorf("%v, %v", some, err)
	}
	if _, err := chosen("nothing"); err == nil {
		t.Error("an unknown name chooses something")
	}
}

// TestRun measures next to nothing, each task once or thrice.
func TestRun(t *testing.T) {
	testkit.Require(t, "getrusage", cpuTime() != 0)
	for _, only := range []string{"sync", "count-1k", "write", "restore"} {
		t.Run(only, func(t *testing.T) {
			b := &bench{pairs: 3, progress: io.Discard, size: size{count: 30 * time.Millisecond, channel: 10 * time.Millisecond,
				entries: 10_000, written: 10_000, repeat: 2}}
			var out bytes.Buffer
			report := filepath.Join(t.TempDir(), "report.md")
			if err := b.main(t.Context(), &out, only, report); err != nil {
				t.Fatal(err)
			}
			checkTable(t, out.String())
			text, err := os.ReadFile(report)
			if err != nil || !strings.Contains(string(text), "| goal | measured | met |") {
				t.Errorf("%v, report:\n%s", err, text)
			}
			if left, err := filepath.Glob(filepath.Join(b.dir, "*")); err != nil || len(left) > 0 {
				t.Errorf("left behind: %v, %v", left, err)
			}
		})
	}
}

// TestRunOfCommands does the same with the rows that make checkpoints of others.
func TestRunOfCommands(t *testing.T) {
	testkit.Require(t, "getrusage", cpuTime() != 0)
	for _, tool := range []string{"go", "cp", "sync"} {
		_, err := exec.LookPath(tool)
		testkit.Require(t, tool, err == nil)
	}
	b := &bench{pairs: 1, progress: io.Discard}
	if err := b.size.set("1MiB", "1MiB", "2MiB,4MiB"); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := b.main(t.Context(), &out, "change", ""); err != nil {
		t.Fatal(err)
	}
	checkTable(t, out.String())
	for _, want := range []string{"4 MiB : 2 MiB, equal blocks/group <= 1.2", "salvage with copying"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no line %q in:\n%s", want, out.String())
		}
	}
	if left, err := filepath.Glob(filepath.Join(b.dir, "*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestSizes(t *testing.T) {
	for _, bad := range [][3]string{{"1MB", "1GiB", "1GiB,4GiB"}, {"1MiB", "GiB", "1GiB,4GiB"}, {"1MiB", "1GiB", "1GiB"}, {"1MiB", "1GiB", "4GiB,1GiB"},
		{"1MiB", "1GiB", "0GiB,1GiB"}} {
		if err := new(size).set(bad[0], bad[1], bad[2]); err == nil {
			t.Errorf("%v is accepted", bad)
		}
	}
	var s size
	if err := s.set("256MiB,1GiB", "10GiB", "1GiB,4GiB"); err != nil || s.states[1] != 1<<30 || s.tools != 10<<30 || s.compared[1] != 4<<30 {
		t.Errorf("%+v, %v", s, err)
	}
}

// checkTable requires a table of 80 columns with a goal.
func checkTable(t *testing.T, out string) {
	t.Helper()
	_, table, ok := strings.Cut(out, "\n\ngoal ")
	if !ok {
		t.Fatalf("no table in:\n%s", out)
	}
	goals := 0
	for i, line := range strings.Split(strings.TrimSpace(table), "\n") {
		if len(line) > 80 {
			t.Errorf("line of %d columns: %s", len(line), line)
		}
		if i < 2 {
			continue
		}
		cells := strings.Split(line, " | ")
		if len(cells) != 3 || strings.TrimSpace(cells[1]) == "" {
			t.Errorf("line %q", line)
			continue
		}
		if v := verdict(cells[2]); v == met || v == missed {
			goals++
		}
	}
	if goals == 0 {
		t.Errorf("no goal in:\n%s", table)
	}
}
