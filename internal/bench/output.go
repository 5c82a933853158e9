package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// The table has 80 columns.
const (
	goalWidth     = 43
	measuredWidth = 28
	metWidth      = 3
)

func printTable(out io.Writer, results []result) {
	fmt.Fprintln(out, result{goal: "goal", measured: "measured", met: "met"})
	fmt.Fprintf(out, "%s-|-%s-|-%s\n", strings.Repeat("-", goalWidth), strings.Repeat("-", measuredWidth), strings.Repeat("-", metWidth))
	for _, r := range results {
		fmt.Fprintln(out, r)
	}
}

// profileLines is how much of a profile is printed.
const profileLines = 15

// profiles measures what missed its goal once more, with a profile.
func (b *bench) profiles(ctx context.Context, out io.Writer, results []result) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	for i, r := range results {
		if r.met != missed || r.again == nil {
			continue
		}
		p := *r.again
		p.Profile = filepath.Join(b.dir, fmt.Sprintf("profile-%d", i))
		if _, err := b.once(ctx, p); err != nil {
			return err
		}
		top, err := exec.CommandContext(ctx, "go", "tool", "pprof", "-top", fmt.Sprintf("-nodecount=%d", profileLines), self, p.Profile).Output()
		if err != nil {
			return fmt.Errorf("profile of %q: %w", r.goal, err)
		}
		fmt.Fprintf(out, "\nmissed: %s; where the time goes:\n", r.goal)
		// The lines before that say where the program lies and when it was
		// built, which is of no use to the reader.
		if _, after, ok := strings.Cut(string(top), "Duration:"); ok {
			top = []byte("Duration:" + after)
		}
		fmt.Fprintf(out, "%s", top)
	}
	return nil
}

// machine describes what the figures were taken on.
func machine() string {
	return fmt.Sprintf("%s, %s/%s, %d cores%s, load average %s", runtime.Version(), runtime.GOOS, runtime.GOARCH,
		runtime.NumCPU(), processor(), loadAverage())
}

// processor is the name of the processor if the system tells it.
func processor() string {
	text, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return ""
	}
	for line := range strings.SplitSeq(string(text), "\n") {
		if name, ok := strings.CutPrefix(line, "model name"); ok {
			return " (" + strings.TrimLeft(name, "\t :") + ")"
		}
	}
	return ""
}

// loadAverage is that of the last minute, five and fifteen.
func loadAverage() string {
	text, err := os.ReadFile("/proc/loadavg")
	fields := strings.Fields(string(text))
	if err != nil || len(fields) < 3 {
		return "unknown"
	}
	return strings.Join(fields[:3], " ")
}

// method stands at the head of a report.
const method = `# Benchmarks

Written by ` + "`go run ./internal/bench -report docs/benchmarks.md`" + `; ` + "`make bench`" + ` prints the same.
Every figure is the median of %d measurements with an interval that covers it
with 95 %% probability (order statistics; of memory, and of the quickest run,
there is none). What is compared is measured in one run, in pairs in
alternating order, each measurement in a process of its own. "Per core" is per
second of processor time, user and system. The job counts records of 24 bytes
(key, value, time) by key through the public API, at parallelism 2, with
watermarks by event time and a checkpoint each second into a local directory,
whose last one is read back and must hold every record; the channel per record
has neither watermarks nor checkpoints. State of "write" and "restore" has
entries of 16 bytes; its values are below 1000.
Commands that make a checkpoint of another are compared with cp -r and sync of
the same files, all in the page cache. "By reference" is within the root of the
source, "with copying" is into another root. The rows of change-rescale have
nothing in flight and lists of %d items a subtask at each size, and key groups
in proportion to the size; those of change-edit have a sixteenth of the keyed
state in flight, and longer lists.

- date: %s
- machine: %s
- load average at the end: %s

| goal | measured | met |
|---|---|---|
`

// writeReport writes the results as Markdown.
func writeReport(file string, pairs int, where, ended string, results []result) error {
	var b strings.Builder
	fmt.Fprintf(&b, method, pairs, stillItems, time.Now().UTC().Format(time.DateOnly), where, ended)
	for _, r := range results {
		fmt.Fprintf(&b, "| %s | %s | %s |\n", strings.Replace(r.goal, "  ", "– ", 1), r.measured, r.met)
	}
	return os.WriteFile(file, []byte(b.String()), 0o644)
}
