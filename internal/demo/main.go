// Command demo shows what Tidemark is for, on real flight records: it runs the
// job, kills it with SIGKILL while a checkpoint is half written, restores it at
// another parallelism, and compares the output with an oracle that uses no code
// of the engine. Then it shows the checkpoint.
//
// It is what `make demo` runs. It needs the Go tool and writes to .demo only.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

func main() {
	full := flag.Bool("full", false, "run the 3,000,000 records of the Parquet file; needs npm")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	d := &demo{dir: ".demo"}
	run := d.run
	if *full {
		run = d.runFull
	}
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

// demo is one run of the demonstration.
type demo struct {
	dir string
}

func (d *demo) path(name string) string { return filepath.Join(d.dir, name) }

// say prints a line of the story.
func say(format string, args ...any) { fmt.Printf("\n# "+format+"\n", args...) }

// killed is the checkpoint during which the job is killed.
const killed = "chk-4"

// faults delays the data objects of that checkpoint, the first one a little and
// the others for so long that the kill comes before them. The rule for the
// manifest matters on a machine with one processor, where there is just one
// data object.
const faults = `(delay 200ms (op commit) (name "` + killed + `/*.data") (count 1)) ` +
	`(delay 60s (op commit) (name "` + killed + `/*.data") (not (count 1))) ` +
	`(delay 60s (op commit) (name "` + killed + `/MANIFEST*"))`

func (d *demo) run(ctx context.Context) error {
	const input = "testdata/flights-20k.json"
	if err := d.build(ctx, ""); err != nil {
		return err
	}
	say("run the job flights on %s: hourly departures by airport,", input)
	fmt.Println("# a checkpoint each second; the store is told to be slow with " + killed)
	job := d.job(input, "2500")
	first := append(job, "--parallelism", "2", "-D", "tidemark.store.faults="+faults)
	if err := d.killDuring(ctx, first); err != nil {
		return err
	}
	say("the checkpoints now: %s is not complete, so it is not used", killed)
	if err := d.show(ctx, "ls", d.path("checkpoints")); err != nil {
		return err
	}
	say("restore the newest complete one, at parallelism 3, and run to the end")
	if err := d.finish(ctx, append(job, "--parallelism", "3", "--restore", "latest")); err != nil {
		return err
	}
	if err := d.compare(input); err != nil {
		return err
	}
	return d.inspect(ctx)
}

// job is the command line of the job.
func (d *demo) job(input, rate string) []string {
	args := []string{"run", "flights", "--input", input, "--checkpoint-dir", d.path("checkpoints"),
		"--sink-dir", d.path("output"), "--interval", "1s"}
	if rate != "" {
		args = append(args, "--rate", rate)
	}
	return args[:len(args):len(args)]
}

// build compiles the command, with build tags if any, and clears what an earlier
// run left.
func (d *demo) build(ctx context.Context, tags string) error {
	for _, old := range []string{"checkpoints", "output"} {
		if err := os.RemoveAll(d.path(old)); err != nil {
			return err
		}
	}
	say("build the command")
	// Without what the storage library has for gRPC only, as in a release.
	tags = strings.TrimSuffix("disable_grpc_modules,"+tags, ",")
	return d.exec(ctx, "go", "build", "-tags", tags, "-o", d.path("tidemark"), "./cmd/tidemark")
}

// show prints a command of ours and its output.
func (d *demo) show(ctx context.Context, args ...string) error {
	return d.exec(ctx, d.path("tidemark"), args...)
}

func (d *demo) exec(ctx context.Context, name string, args ...string) error {
	printCommand(name, args)
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stdout
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w", filepath.Base(name), err)
	}
	return nil
}

// finish runs the job to its end and wants it to have dropped nothing as late.
func (d *demo) finish(ctx context.Context, args []string) error {
	printCommand(d.path("tidemark"), args)
	var said strings.Builder
	cmd := exec.CommandContext(ctx, d.path("tidemark"), args...)
	cmd.Stdout, cmd.Stderr = os.Stdout, io.MultiWriter(os.Stdout, &said)
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("tidemark run: %w", err)
	}
	if !strings.Contains(said.String(), "late records dropped: 0") {
		return errors.New("records were dropped as late, although the bound of disorder is the span of the delays")
	}
	return nil
}

func printCommand(name string, args []string) {
	fmt.Printf("$ %s", name)
	for _, a := range args {
		if a == "" || containsSpecial(a) {
			a = "'" + a + "'"
		}
		fmt.Printf(" %s", a)
	}
	fmt.Println()
}

func containsSpecial(s string) bool {
	for _, r := range s {
		if r == ' ' || r == '(' || r == '*' || r == '"' {
			return true
		}
	}
	return false
}

// killDuring starts the job, waits until the first data object of the slow
// checkpoint is visible, and kills the process while the manifest is absent.
func (d *demo) killDuring(ctx context.Context, args []string) error {
	printCommand(d.path("tidemark"), args)
	cmd := exec.CommandContext(ctx, d.path("tidemark"), args...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stdout
	if err := cmd.Start(); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	dir := d.path("checkpoints/" + killed)
	deadline := time.After(time.Minute)
	for {
		if data, _ := filepath.Glob(dir + "/*.data"); len(data) > 0 {
			break
		}
		select {
		case err := <-ended:
			return fmt.Errorf("the job ended before it could be killed: %w", err)
		case <-deadline:
			return errors.Join(fmt.Errorf("no data object of %s after a minute", killed), cmd.Process.Kill())
		case <-time.After(time.Millisecond):
		}
	}
	if err := cmd.Process.Kill(); err != nil {
		return err
	}
	say("a data object of %s is visible: SIGKILL (%v)", killed, <-ended)
	if _, err := os.Stat(dir + "/MANIFEST"); !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("the manifest of %s should be absent: %v", killed, err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	fmt.Printf("$ ls %s\n", dir)
	for _, e := range entries {
		fmt.Println(e.Name())
	}
	fmt.Println("# no MANIFEST")
	return nil
}
