// Command bench measures speed and memory and compares them with the goals. It
// is what `make bench` runs; it ends with a table goal | measured | met.
//
// Figures of the engine are taken through its public API only. Speed per core
// is work per second of processor time (user and system), so that others on the
// machine disturb little. What is compared is measured in pairs in one run, in
// alternating order, and each measurement is made by a process of its own. A
// figure is the median with an interval that covers it with 95 % probability. A
// missed goal is followed by a processor profile.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if len(os.Args) == 3 && os.Args[1] == childFlag {
		os.Exit(child(ctx, os.Args[2]))
	}
	pairs := flag.Int("pairs", 20, "how often each pair is measured")
	quick := flag.Bool("quick", false, "3 pairs, to try it out")
	only := flag.String("only", "", "rows to measure, names or their beginnings with commas: "+strings.Join(names(), " "))
	states := flag.String("states", "256MiB,1GiB,4GiB", "`sizes` of the states that the memory of commands is measured with")
	tools := flag.String("size", "1GiB", "`size` of the state that the speed of commands is measured with")
	compared := flag.String("compare", "1GiB,4GiB", "two `sizes` of states that rescale by reference is compared at")
	report := flag.String("report", "", "also write the results to this `file`, as Markdown")
	pressure := flag.String("backpressure", "", "measure checkpoints under backpressure instead, and write backpressure.md and its plot into this `folder`")
	flag.Parse()
	b := &bench{pairs: max(*pairs, 1), size: usual, profile: true, settled: true, progress: os.Stderr}
	if *quick {
		b.pairs = 3
	}
	if err := b.size.set(*states, *tools, *compared); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(2)
	}
	run := func() error { return b.main(ctx, os.Stdout, *only, *report) }
	if *pressure != "" {
		run = func() error { return b.pressureMain(ctx, *pressure) }
	}
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// bench is one run of the program.
type bench struct {
	pairs    int
	size     size
	profile  bool   // what missed its goal
	settled  bool   // copies are timed on a file system at rest
	dir      string // for everything that is written, removed at the end
	progress io.Writer
	serial   int
}

// size is how much is measured; tests take less.
type size struct {
	count   time.Duration // section of the engine, with a checkpoint each second
	channel time.Duration // section of the peer
	// pressure is the section under backpressure without checkpoints; that with
	// them is at most twice as long, and at least two of them.
	pressure time.Duration
	entries  int     // of a state that snapshots are taken of
	written  int     // entries written and restored
	repeat   int     // snapshots in one measurement
	states   []int64 // bytes of the states that memory is measured with
	tools    int64   // and of those that the speed of commands is measured with
	compared []int64 // two, for rescale by reference
}

var usual = size{count: 3 * time.Second, channel: 1500 * time.Millisecond, pressure: 2 * time.Second, entries: 1_000_000, written: 4_000_000, repeat: 10}

// set takes the sizes of states over from the command line.
func (s *size) set(states, tools, compared string) (err error) {
	if s.states, err = parseSizes(states); err != nil {
		return err
	}
	if s.compared, err = parseSizes(compared); err != nil {
		return err
	}
	if len(s.compared) != 2 || s.compared[0] >= s.compared[1] {
		return fmt.Errorf("-compare %s: give two sizes, the smaller first, as in 1GiB,4GiB", compared)
	}
	s.tools, err = parseSize(tools)
	return err
}

// parseSizes reads sizes with commas between them.
func parseSizes(text string) ([]int64, error) {
	var all []int64
	for one := range strings.SplitSeq(text, ",") {
		n, err := parseSize(one)
		if err != nil {
			return nil, err
		}
		all = append(all, n)
	}
	return all, nil
}

// parseSize reads a number of MiB or GiB.
func parseSize(text string) (int64, error) {
	for unit, shift := range map[string]int{"MiB": 20, "GiB": 30} {
		if number, ok := strings.CutSuffix(text, unit); ok {
			n, err := strconv.ParseInt(number, 10, 32)
			if err == nil && n > 0 {
				return n << shift, nil
			}
		}
	}
	return 0, fmt.Errorf("%q is no size; give a number of MiB or GiB, as in 256MiB or 10GiB", text)
}

// sizeText writes a size for the table.
func sizeText(n int64) string {
	if n%(1<<30) == 0 {
		return fmt.Sprint(n>>30, " GiB")
	}
	return fmt.Sprint(n>>20, " MiB")
}

// row is a group of goals that are measured together.
type row struct {
	name    string
	measure func(context.Context, *bench) ([]result, error)
}

var rows = []row{
	{"count-1k", countRow(1000, "1 k", 12)},
	{"count-100k", countRow(100_000, "100 k", 8)},
	{"count-1m", countRow(1_000_000, "1 M", 4)},
	{"unaligned", unalignedRow},
	{"sync", syncRow},
	{"write", writeRow},
	{"restore", restoreRow},
	{"inspect", inspectRow},
	{"memory", memoryRow},
	{"flink-memory", flinkMemoryRow},
	{"verify", verifyRow},
	{"change-rescale", rescaleRow},
	{"change-edit", editRow},
}

func names() []string {
	var all []string
	for _, r := range rows {
		all = append(all, r.name)
	}
	return all
}

// chosen are the rows whose names begin with one of the words, all of them for
// no word.
func chosen(only string) ([]row, error) {
	var found []row
	for _, r := range rows {
		for word := range strings.SplitSeq(only, ",") {
			if strings.HasPrefix(r.name, word) {
				found = append(found, r)
				break
			}
		}
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("no row is called %q; there are %s", only, strings.Join(names(), " "))
	}
	return found, nil
}

func (b *bench) main(ctx context.Context, out io.Writer, only, report string) (err error) {
	if cpuTime() == 0 {
		return fmt.Errorf("this system does not tell the processor time of a process (getrusage)")
	}
	todo, err := chosen(only)
	if err != nil {
		return err
	}
	if b.dir, err = os.MkdirTemp("", "tidemark-bench-"); err != nil {
		return err
	}
	defer os.RemoveAll(b.dir)
	where := machine()
	fmt.Fprintln(out, where)
	var results []result
	var failed []error // the other rows are measured all the same
	for _, r := range todo {
		found, err := r.measure(ctx, b)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil {
			failed = append(failed, fmt.Errorf("%s: %w", r.name, err))
			found = append(found, result{goal: r.name, measured: "failed, see below", met: missed})
		}
		for _, f := range found {
			fmt.Fprintln(b.progress, f)
		}
		results = append(results, found...)
	}
	ended := loadAverage()
	if b.profile {
		if err := b.profiles(ctx, out, results); err != nil {
			failed = append(failed, err)
		}
	}
	fmt.Fprintf(out, "\n%d pairs; median [95 %% interval]; load average %s at the end\n\n", b.pairs, ended)
	printTable(out, results)
	if report != "" {
		failed = append(failed, writeReport(report, b.pairs, where, ended, results))
	}
	return errors.Join(failed...)
}

// fresh is the name of a new directory.
func (b *bench) fresh() string {
	b.serial++
	return filepath.Join(b.dir, fmt.Sprint("d", b.serial))
}

// once makes one measurement in a new directory, or in that of p, and removes
// the new one.
func (b *bench) once(ctx context.Context, p params) (figures, error) {
	if p.Dir == "" {
		p.Dir = b.fresh()
		defer os.RemoveAll(p.Dir)
		if err := os.Mkdir(p.Dir, 0o700); err != nil {
			return nil, err
		}
	}
	return measure(ctx, p)
}

// repeated makes the measurements in turn, each as often as there are pairs,
// forwards and backwards alternately, and returns the figures of each.
func (b *bench) repeated(ctx context.Context, name string, of ...params) ([]map[string][]float64, error) {
	all := make([]map[string][]float64, len(of))
	for i := range all {
		all[i] = map[string][]float64{}
	}
	for n := range b.pairs {
		fmt.Fprintf(b.progress, "%s: %d of %d\n", name, n+1, b.pairs)
		for i := range of {
			// The order alternates, so that what slowly changes on the
			// machine does not favour one of them.
			if n%2 == 1 {
				i = len(of) - 1 - i
			}
			found, err := b.once(ctx, of[i])
			if err != nil {
				return nil, err
			}
			for k, v := range found {
				all[i][k] = append(all[i][k], v)
			}
		}
	}
	return all, nil
}
