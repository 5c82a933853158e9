// Command testrun runs the test programme: make test, cross, fuzz and long call
// it. It runs the parts of a tier one after the other, shows the RESULT lines
// that tests print, the whole output of tests that fail, why tests were
// skipped, and what each part took of its budget.
//
// It must be started in the module's root and needs nothing but Go.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	tier := "test"
	if len(os.Args) > 1 {
		tier = os.Args[1]
	}
	if err := run(ctx, tier); err != nil {
		fmt.Fprintln(os.Stderr, "testrun:", err)
		os.Exit(1)
	}
}

// run runs one tier to its end, even if a part fails, and reports all failures.
func run(ctx context.Context, tier string) error {
	parts, err := tierParts(ctx, tier)
	if err != nil {
		return err
	}
	var failed []string
	var results []string
	for _, p := range parts {
		fmt.Printf("PART %s: %s\n", p.name, p.what)
		begin := time.Now()
		out, err := p.run(ctx)
		results = append(results, out.results...)
		// The time is shown and not judged: a loaded machine is no defect.
		fmt.Printf("PART %s took %.0f s of %d\n", p.name, time.Since(begin).Seconds(), p.budget)
		for _, line := range out.closing {
			fmt.Println(line)
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil {
			fmt.Printf("PART %s FAILED: %v\n", p.name, err)
			failed = append(failed, p.name)
		}
	}
	if tier == "long" && len(failed) == 0 {
		if err := appendResults("testdata/RESULTS.md", results); err != nil {
			return err
		}
	}
	if len(failed) > 0 {
		return fmt.Errorf("failed: %s", strings.Join(failed, ", "))
	}
	return nil
}

// command runs a command and lets it write where testrun writes.
func command(ctx context.Context, env []string, args ...string) error {
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w", strings.Join(append(env, args...), " "), err)
	}
	return nil
}

// each runs f for all items and joins the errors, so that one failing platform
// does not hide the next.
func each[T any](items []T, f func(T) error) error {
	var errs []error
	for _, it := range items {
		errs = append(errs, f(it))
	}
	return errors.Join(errs...)
}
