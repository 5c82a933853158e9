//go:build unix

package killtest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/tidemark-io/tidemark/checkpoint/layout"
	"github.com/tidemark-io/tidemark/engine"
	"github.com/tidemark-io/tidemark/engine/connector/filesink"
	"github.com/tidemark-io/tidemark/engine/connector/slice"
	"github.com/tidemark-io/tidemark/store/local"
)

// What the child that runs a generator is told besides.
const (
	// envCall is the call in which it kills itself; 0 is never.
	envCall = "TIDEMARK_KILLTEST_CALL"
	// envTotal is where the generator ends, 0 is never.
	envTotal = "TIDEMARK_KILLTEST_TOTAL"
)

const (
	generators = 2
	perCall    = 3
	callTime   = 5 * time.Millisecond // so that checkpoints come between calls
)

// generate runs resumable functions without end, one for each of a few seeds, and
// kills the process in one of their calls: before its output, or behind it.
func generate(dir string) error {
	var number [3]int64
	for i, name := range []string{envCall, envTotal, envParallelism} {
		var err error
		if number[i], err = strconv.ParseInt(os.Getenv(name), 10, 64); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	killAt, total, parallelism := number[0], number[1], int(number[2])
	st, err := local.Open(filepath.Join(dir, rootDir), local.WithCreate())
	if err != nil {
		return err
	}
	defer st.Close()
	var calls atomic.Int64
	die := func() { _ = syscall.Kill(os.Getpid(), syscall.SIGKILL) } // does not return
	g := engine.NewGraph("generators")
	seeds := engine.From(g, "seeds", slice.New([]int64{0, 1}, generators), engine.Watermarks[int64]{}).Rebalance()
	engine.FlatMapResumable(seeds, "generate", func(seed, at int64, out *engine.Output[line]) (int64, bool, error) {
		last := calls.Add(1) == killAt
		if last && killAt%2 == 0 {
			die()
		}
		time.Sleep(callTime)
		for range perCall {
			out.Emit(line{Split: seed, Seq: at})
			at++
		}
		if last {
			die()
		}
		return at, total > 0 && at >= total, nil
	}).To("lines", filesink.NewJSONL[line](filepath.Join(dir, outputDir), filesink.Options[line]{}))
	return engine.Run(context.Background(), g, engine.Config{
		Parallelism: parallelism,
		Checkpoints: engine.CheckpointConfig{Store: st, Interval: 4 * time.Millisecond, Unaligned: true},
		Restore:     engine.RestoreConfig{From: "latest"},
	})
}

// TestKillAtEachCall: a process is killed in each call of resumable functions that
// have no end, first in its first call, the next process in its second, and so on,
// each restored at another parallelism. Checkpoints complete between the calls,
// and the output is the exact sequence of each generator.
func TestKillAtEachCall(t *testing.T) {
	if testing.Short() {
		return // it makes processes
	}
	kills := 30
	if os.Getenv("TIDEMARK_LONG") != "" {
		kills = 150
	}
	began := time.Now()
	dir := t.TempDir()
	child := func(call int, total int64) *process {
		t.Setenv(envCall, strconv.Itoa(call))
		t.Setenv(envTotal, strconv.FormatInt(total, 10))
		return launch(t, dir, settings{parallelism: 1 + call%3})
	}
	resumed := 0
	for call := 1; call <= kills; call++ {
		p := child(call, 0)
		if code := p.end(t); code != -1 {
			t.Fatalf("call %d: the child ended with exit code %d instead of by a signal\n%s", call, code, p.stderr.String())
		}
		if completed(t, dir) > p.before {
			resumed++
		}
	}
	var most int64
	for _, l := range output(t, dir) {
		most = max(most, l.Seq+1)
	}
	total := most + 50*perCall
	if p := child(0, total); p.end(t) != 0 {
		t.Fatalf("the last run failed\n%s", p.stderr.String())
	}
	var next [generators]int64
	for i, l := range output(t, dir) {
		if l.Seq != next[l.Split] {
			t.Fatalf("line %d: number %d of generator %d stands where %d belongs", i, l.Seq, l.Split, next[l.Split])
		}
		next[l.Split]++
	}
	for seed, n := range next {
		if n < total || n > total+int64(kills+1)*perCall {
			t.Errorf("generator %d made %d numbers, want about %d", seed, n, total)
		}
	}
	if resumed*5 < kills {
		t.Errorf("only %d of %d processes completed a checkpoint before they were killed: the test is void", resumed, kills)
	}
	t.Logf("RESULT TestKillAtEachCall kills=%d with-checkpoint=%d numbers=%v lost=0 twice=0 seconds=%.0f", kills, resumed, next, time.Since(began).Seconds())
}

// completed is the largest id of a checkpoint that has a manifest.
func completed(t *testing.T, dir string) (newest uint64) {
	t.Helper()
	for _, name := range list(t, filepath.Join(dir, rootDir)) {
		id, _, ok := layout.ParseDir(name)
		if ok && strings.Contains(strings.Join(list(t, filepath.Join(dir, rootDir, name)), " "), layout.Manifest) {
			newest = max(newest, id)
		}
	}
	return newest
}
