// Command planted shows that the tests bite: it plants one realistic mistake
// after the other into the code, runs the test that is said to catch it, and
// demands that the test fails. "make planted" calls it.
//
// A mistake, here a fault, is a file of testdata/planted (see [Fault] for its
// form). The tree is never changed: the go command compiles a changed copy of
// the one file in its place (-overlay). A test must pass without the fault, or
// its failure would show nothing.
//
// It must be started in the module's root and needs nothing but Go.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"syscall"
	"time"
)

// faultDir is where the faults are, from the module's root.
const faultDir = "testdata/planted"

func main() {
	only := flag.String("run", "", "plant only the faults whose names match this regular expression")
	patience := flag.Duration("timeout", 2*time.Minute, "how long one test may run")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *only, *patience); err != nil {
		fmt.Fprintln(os.Stderr, "planted:", err)
		os.Exit(1)
	}
}

// run plants all chosen faults, also after one that was not caught, and prints
// what became of each.
func run(ctx context.Context, only string, patience time.Duration) error {
	match, err := regexp.Compile(only)
	if err != nil {
		return err
	}
	faults, err := Load(faultDir)
	if err != nil {
		return err
	}
	scratch, err := os.MkdirTemp("", "planted-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(scratch)
	r := Runner{Root: ".", Scratch: scratch, Patience: patience}
	begin := time.Now()
	planted, caught := 0, 0
	for _, f := range faults {
		if !match.MatchString(f.Name) {
			continue
		}
		planted++
		at := time.Now()
		err := r.Plant(ctx, f)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err == nil {
			caught++
			fmt.Printf("%-40s caught by %s %s, %.1f s\n", f.Name, f.Package, f.Test, time.Since(at).Seconds())
		} else {
			fmt.Printf("%-40s NOT SHOWN: %v\n", f.Name, err)
		}
	}
	fmt.Printf("RESULT planted faults=%d caught=%d tests=%d seconds=%.0f\n", planted, caught, r.Tests(), time.Since(begin).Seconds())
	if planted == 0 {
		return fmt.Errorf("no fault's name matches %q", only)
	}
	if caught < planted {
		return errors.New("a test that does not bite, or a fault that is none; see above")
	}
	return nil
}
