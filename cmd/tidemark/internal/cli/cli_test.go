package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"

	"github.com/tidemark-io/tidemark/checkpoint"
	"github.com/tidemark-io/tidemark/cmd/tidemark/internal/place"
	"github.com/tidemark-io/tidemark/engine"
	"github.com/tidemark-io/tidemark/engine/config"
	"github.com/tidemark-io/tidemark/engine/exchange"
	"github.com/tidemark-io/tidemark/format"
	"github.com/tidemark-io/tidemark/history"
	"github.com/tidemark-io/tidemark/store"
)

func TestExitCodes(t *testing.T) {
	tests := []struct {
		err  error
		want int
	}{
		{nil, 0},
		{usage("x"), 2},
		{&config.Error{Err: config.ErrUnknownKey}, 2},
		{errors.Join(&config.Error{Err: config.ErrNotYet}, errors.New("x")), 2},
		{checkpoint.ErrNone, 4},
		{fmt.Errorf("a: %w", checkpoint.ErrIncomplete), 4},
		{&store.Error{Op: "open", Name: "x", Err: store.ErrNotExist}, 7},
		{&fs.PathError{Op: "open", Path: "x", Err: fs.ErrNotExist}, 4},
		{&fs.PathError{Op: "open", Path: "x", Err: fs.ErrPermission}, 7},
		{checkpoint.ErrUnsupported, 5},
		{place.ErrScheme, 5},
		{fmt.Errorf("%w: %w", checkpoint.ErrDamaged, &format.CorruptError{}), 1},
		{&format.CorruptError{}, 1},
		{&format.CorruptError{Err: fmt.Errorf("%w: %w", format.ErrMissing, store.ErrNotExist)}, 1},
		{&store.Error{Op: "lock", Err: store.ErrLocked}, 6},
		{engine.ErrFenced, 6},
		{&engine.RestoreError{}, 6},
		{&engine.RollbackError{}, 6},
		{&engine.DamagedError{Err: checkpoint.ErrDamaged}, 1},
		{&engine.TaskError{Err: errors.New("x")}, 8},
		{&engine.TaskError{Err: engine.ErrFenced}, 6},
		{&store.Error{Op: "write", Err: syscall.ENOSPC}, 7},
		{jobError(errors.New("x")), 8},
		{jobError(&store.Error{Op: "write", Err: syscall.ENOSPC}), 7},
		{signalError{syscall.SIGINT}, 130},
		{signalError{syscall.SIGTERM}, 143},
		{codeError{3, nil}, 3},
		{errors.New("who knows"), 70},
	}
	for _, tt := range tests {
		if got := exitCode(tt.err); got != tt.want {
			t.Errorf("%v: got %d, want %d", tt.err, got, tt.want)
		}
	}
}

func TestWorst(t *testing.T) {
	tests := []struct {
		codes []int
		want  int
	}{{nil, 0}, {[]int{0, 0}, 0}, {[]int{1, 4, 0}, 4}, {[]int{1, 5, 4}, 5}, {[]int{5, 7, 1}, 7}, {[]int{7, 70}, 70}, {[]int{0, 6}, 6}}
	for _, tt := range tests {
		if got := worst(tt.codes); got != tt.want {
			t.Errorf("%v: got %d, want %d", tt.codes, got, tt.want)
		}
	}
}

// TestEveryCodeIsDocumented: the help topic lists every code that the program
// has.
func TestEveryCodeIsDocumented(t *testing.T) {
	for _, code := range []int{exitGood, exitFound, exitUsage, exitPartial, exitNone, exitUnsupported, exitRefused, exitStorage, exitJob, exitInternal, 130} {
		if !strings.Contains(exitCodesText, fmt.Sprintf("\n%5d  ", code)) {
			t.Errorf("help exit-codes does not list %d", code)
		}
	}
}

// TestPanic: a defect ends with 70 and says so, with its text escaped.
func TestPanic(t *testing.T) {
	var stdout, stderr bytes.Buffer
	broken := func(*app) *cobra.Command {
		return &cobra.Command{Use: "broken", Run: func(*cobra.Command, []string) { panic("\x1b[2J") }}
	}
	if code := run([]string{"broken"}, &stdout, &stderr, broken); code != exitInternal {
		t.Errorf("exit code %d", code)
	}
	if !strings.HasPrefix(stderr.String(), `tidemark: internal error: \x1b[2J`) || strings.ContainsRune(stderr.String(), '\x1b') {
		t.Errorf("stderr %q", stderr.String())
	}
}

func TestPrepare(t *testing.T) {
	var conf config.Config
	root := t.TempDir()
	for _, d := range []string{"execution.checkpointing.dir=" + root, "parallelism.default=3", "pipeline.max-parallelism=97", "pipeline.operator-chaining=false",
		"execution.checkpointing.interval=2 s", "execution.buffer-timeout=0", "tidemark.store.faults=(delay 1ms (op write))", "restart-strategy.fixed-delay.attempts=4"} {
		conf.Define(d)
	}
	s, err := conf.Resolve()
	if err != nil {
		t.Fatal(err)
	}
	u, err := prepare(t.Context(), s, conf.Values())
	if err != nil {
		t.Fatal(err)
	}
	defer u.close()
	c := u.config
	got := []any{c.Parallelism, c.KeyGroups, c.DisableChaining, c.Checkpoints.Interval, c.Checkpoints.Retained, c.BufferTimeout, c.Restart, c.Exchange.Check()}
	want := []any{3, 97, true, 2 * time.Second, 3, time.Duration(1), engine.RestartConfig{Attempts: 4, Delay: time.Second}, nil}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
	if _, ok := c.Checkpoints.Store.(store.Unwrapper); !ok {
		t.Errorf("the store is a %T, want one with faults", c.Checkpoints.Store)
	}
	if c.Checkpoints.Location != root || len(c.Settings) == 0 {
		t.Errorf("location %q, %d settings", c.Checkpoints.Location, len(c.Settings))
	}
}

// TestNetworkSettingsArrive: each key about buffers reaches the exchange.
func TestNetworkSettingsArrive(t *testing.T) {
	const memory = "taskmanager.network.memory."
	var conf config.Config
	for _, d := range []string{memory + "buffers-per-channel=3", memory + "floating-buffers-per-gate=4", memory + "max-buffers-per-channel=5",
		memory + "max-overdraft-buffers-per-gate=6", "taskmanager.memory.segment-size=700", memory + "buffer-debloat.enabled=true", memory + "buffer-debloat.target=2 s",
		memory + "buffer-debloat.period=3 ms", memory + "buffer-debloat.samples=4", memory + "buffer-debloat.threshold-percentages=50", "taskmanager.memory.min-segment-size=6"} {
		conf.Define(d)
	}
	s, err := conf.Resolve()
	if err != nil {
		t.Fatal(err)
	}
	u, err := prepare(t.Context(), s, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := exchange.DefaultConfig()
	want.BuffersPerChannel, want.FloatingPerGate, want.MaxPerChannel, want.MaxOverdraft, want.BufferSize = 3, 4, 5, 6, 700
	want.Debloat = exchange.Debloat{Enabled: true, Target: 2 * time.Second, Period: 3 * time.Millisecond, Samples: 4, Threshold: 50, MinSize: 6, StartSize: 700}
	want.SpillDir, want.SpillDisk = u.config.Exchange.SpillDir, u.config.Exchange.SpillDisk
	if d := cmp.Diff(want, u.config.Exchange); d != "" || u.config.Exchange.Check() != nil {
		t.Errorf("%v, -want +got\n%s", u.config.Exchange.Check(), d)
	}
}

// TestDefaultsSuitTheEngine: what comes out of an empty configuration is what
// the exchange accepts.
func TestDefaultsSuitTheEngine(t *testing.T) {
	s, err := new(config.Config).Resolve()
	if err != nil {
		t.Fatal(err)
	}
	u, err := prepare(t.Context(), s, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := u.config.Exchange.Check(); err != nil {
		t.Error(err)
	}
	if u.config.Checkpoints.Store != nil {
		t.Error("a store without a directory")
	}
}

func TestStatusLines(t *testing.T) {
	stats := engine.Stats{Tasks: []engine.TaskStats{{UID: "a", FramesOut: 10, Backpressured: time.Second}, {UID: "a", FramesOut: 5}, {UID: "b", FramesOut: 7, Backpressured: time.Second}}}
	records, pressured, tasks := totals(stats)
	if records != 15 || pressured != 2*time.Second || tasks != 3 {
		t.Errorf("got %d %v %d", records, pressured, tasks)
	}
	got := status(100*time.Hour, 1234567.8, "chk-1234: 1023 MiB in 123.456s", 1)
	if want := "100h0m0s  1,234,567 records/s  chk-1234: 1023 MiB in 123.456s  backpressure 100%"; got != want || len(got) > 80 {
		t.Errorf("got %q (%d)", got, len(got))
	}
	if got := summary(false, 1234*time.Millisecond, "no checkpoint yet", 2); got != "ended after 1.2s, no checkpoint, late records dropped: 2" {
		t.Errorf("got %q", got)
	}
	if got := summary(true, time.Second, "chk-1: 2 B in 3ms", 0); got != "failed after 1s, chk-1: 2 B in 3ms, late records dropped: 0" {
		t.Errorf("got %q", got)
	}
}

// TestWatcher shows what each event leaves on stderr.
func TestWatcher(t *testing.T) {
	var stderr bytes.Buffer
	a := &app{stderr: &stderr}
	w := newWatcher(a)
	attempt := &history.Attempt{Path: "chk-4", Status: history.Completed, Duration: history.Millis(1500 * time.Microsecond),
		StartDelay: new(history.Millis(20 * time.Millisecond)), Alignment: new(history.Millis(90 * time.Second)), Sizes: history.Sizes{Checkpointed: 2048, Persisted: 5 << 20},
		Tasks: []history.Task{{Subtasks: []history.Subtask{{Busy: 30, Backpressured: 50, Idle: 20}}}}}
	for _, e := range []engine.Event{
		engine.RunStarted{Run: 2, Lineage: "l", Restored: "chk-3"},
		engine.CheckpointCompleted{Path: "chk-4", Bytes: 2048, Duration: 1500 * time.Microsecond, Record: attempt},
		engine.CheckpointFailed{Path: "chk-5", Reason: context.DeadlineExceeded},
		engine.TaskFailed{Err: errors.New("boom\x1b")},
		engine.Restarting{Attempt: 1},
		engine.LateRecords{Count: 3},
		engine.FunctionStuck{UID: "count", Subtask: 1, Since: 61 * time.Second, Place: engine.PlaceChannel, Edge: "in>count#0", Sender: 2, Buffer: 7},
		engine.FunctionReturned{UID: "count", Subtask: 1, After: 90 * time.Second},
	} {
		w.Observe(e)
	}
	w.Observe(engine.CheckpointFailed{Path: "chk-6", Reason: errors.New("disk full"), Record: &history.Attempt{Status: history.Failed}})
	w.show(engine.Stats{Tasks: []engine.TaskStats{{UID: "a", FramesOut: 100, Backpressured: time.Second}}}, 10*time.Second, 10*time.Second)
	for _, l := range w.ended.summary() {
		w.line("%s", l)
	}
	want := `tidemark: run 2: restored chk-3 (lineage l)
tidemark: chk-4 in 1.5ms: 2.0 KiB, delay 20ms, aligned 1m30s, in flight 5.0 MiB
tidemark: chk-5 failed: context deadline exceeded
tidemark: boom\x1b
tidemark: restart 1, from the beginning
tidemark: operator "count", subtask 1: a call has not returned for 1m1s, at a record of buffer 7 from subtask 2 on in>count#0; no checkpoint completes meanwhile
tidemark: operator "count", subtask 1: the call has returned, after 1m30s
tidemark: chk-6 failed: disk full
tidemark: 10s  10 records/s  chk-4: 2.0 KiB in 2ms  backpressure 10%
tidemark: checkpoints: 1 completed, 1 failed; took 1.5ms (median), 1.5ms at most
tidemark: at most: start delay 20ms, aligned 1m30s, in flight 5.0 MiB
tidemark: tasks: busy 30%, backpressured 50%, idle 20%
`
	if d := cmp.Diff(want, stderr.String()); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
}

// TestLiveLine: on a terminal there is one line, which messages push away.
func TestLiveLine(t *testing.T) {
	var stderr bytes.Buffer
	w := newWatcher(&app{stderr: &stderr})
	w.live = true
	w.show(engine.Stats{Tasks: []engine.TaskStats{{UID: "a", FramesOut: 100}}}, time.Second, time.Second)
	w.Observe(engine.CheckpointFailed{Path: "chk-5", Reason: errors.New("disk full")})
	w.show(engine.Stats{Tasks: []engine.TaskStats{{UID: "a", FramesOut: 300}}}, 2*time.Second, time.Second)
	const clear = "\r\x1b[K"
	want := clear + "1s  100 records/s  no checkpoint yet  backpressure 0%" + clear + "tidemark: chk-5 failed: disk full\n" +
		clear + "2s  200 records/s  no checkpoint yet  backpressure 0%"
	if d := cmp.Diff(want, stderr.String()); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
}
