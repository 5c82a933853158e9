package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"
)

// The rows that measure the command as a process.

// build compiles a package or file, as for a release, and returns the program.
func (b *bench) build(ctx context.Context, name, what string) (string, error) {
	program := filepath.Join(b.dir, name)
	out, err := exec.CommandContext(ctx, "go", "build", "-tags=disable_grpc_modules", "-o", program, what).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build %s: %w: %s", what, err, out)
	}
	return program, nil
}

// tidemark builds the command, from the directory of the repository.
func (b *bench) tidemark(ctx context.Context) (string, error) {
	return b.build(ctx, "tidemark", "github.com/tidemark-io/tidemark/cmd/tidemark")
}

// ran is what a process took.
type ran struct {
	wall, cpu float64 // ms
	peak      float64 // bytes
}

// execute runs a program to its end; only an error tells what it printed.
func execute(ctx context.Context, program string, args ...string) (ran, error) {
	cmd := exec.CommandContext(ctx, program, args...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	r, err := timed(cmd)
	if err != nil {
		return r, fmt.Errorf("%s %v: %w: %s", filepath.Base(program), args, err, &out)
	}
	return r, nil
}

// timed runs a prepared command.
func timed(cmd *exec.Cmd) (ran, error) {
	began := time.Now()
	err := cmd.Run()
	wall := time.Since(began)
	ps := cmd.ProcessState
	if ps == nil {
		return ran{}, err
	}
	return ran{wall.Seconds() * 1e3, (ps.UserTime() + ps.SystemTime()).Seconds() * 1e3, float64(peakOf(ps))}, err
}

// hello is the least that a Go process costs.
const hello = "package main\n\nimport \"os\"\n\nfunc main() { os.Stdout.WriteString(\"hello\\n\") }\n"

// inspectRow measures `tidemark inspect` of a wide checkpoint beside a process
// that does nothing.
func inspectRow(ctx context.Context, b *bench) ([]result, error) {
	source := filepath.Join(b.dir, "hello.go")
	if err := os.WriteFile(source, []byte(hello), 0o600); err != nil {
		return nil, err
	}
	empty, err := b.build(ctx, "hello", source)
	if err != nil {
		return nil, err
	}
	command, err := b.tidemark(ctx)
	if err != nil {
		return nil, err
	}
	dir := b.fresh()
	fmt.Fprintln(b.progress, "inspect: write a checkpoint")
	if _, err := b.once(ctx, params{Task: "wide", Dir: dir}); err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	var wall, cpu, least []float64
	// A run takes milliseconds, so there can be more of them.
	for n := range b.pairs * 5 {
		var ours, theirs ran
		runs := []func() error{
			func() (err error) {
				ours, err = execute(ctx, command, "inspect", filepath.Join(dir, "chk-1"))
				return err
			},
			func() (err error) { theirs, err = execute(ctx, empty); return err },
		}
		if n%2 == 1 {
			slices.Reverse(runs)
		}
		for _, run := range runs {
			if err := run(); err != nil {
				return nil, err
			}
		}
		wall, cpu, least = append(wall, ours.wall), append(cpu, ours.cpu), append(least, theirs.wall)
	}
	return []result{
		atMost("inspect, 10k x 10 x 32k, process, ms", 10, wall, 1),
		shown("  the quickest of them, ms", []float64{slices.Min(wall)}, 1),
		shown("  CPU of the process, ms", cpu, 1),
		shown("  a Go process that says hello, ms", least, 1),
		shown("  the quickest of them, ms", []float64{slices.Min(least)}, 1),
	}, nil
}
