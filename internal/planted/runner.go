package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// Runner plants faults into the module at Root.
type Runner struct {
	Root     string        // the module's root
	Scratch  string        // an empty directory for changed copies
	Patience time.Duration // how long one test may run

	sound map[string]error // by test: whether it passes without a fault
}

// Tests is the number of tests that were run without a fault.
func (r *Runner) Tests() int { return len(r.sound) }

// Plant returns nil if the fault's test passes without and fails with it.
func (r *Runner) Plant(ctx context.Context, f Fault) error {
	if err := r.passes(ctx, f); err != nil {
		return err
	}
	overlay, err := r.overlay(f)
	if err != nil {
		return err
	}
	out, err := r.test(ctx, f, "-count=1", "-overlay="+overlay)
	if err != nil {
		return err
	}
	switch got := out.verdict(f.Test); {
	case got == failed, got == timedOut && f.Hangs:
		return nil
	case got == passed:
		return fmt.Errorf("%s %s passes although %s", f.Package, f.Test, f.What)
	default:
		return fmt.Errorf("%s %s with the fault: %s, expected a failure\n%s", f.Package, f.Test, got, out.tail())
	}
}

// passes runs the fault's test without the fault, once for all faults that name
// the test. A result that the go command has kept is as good.
func (r *Runner) passes(ctx context.Context, f Fault) error {
	key := f.Package + " " + f.Test
	if err, ok := r.sound[key]; ok {
		return err
	}
	out, err := r.test(ctx, f)
	if err == nil {
		if got := out.verdict(f.Test); got != passed {
			err = fmt.Errorf("%s without any fault: %s\n%s", key, got, out.tail())
		}
	}
	if r.sound == nil {
		r.sound = map[string]error{}
	}
	r.sound[key] = err
	return err
}

// overlay writes the changed copy and the file that tells the go command of it.
func (r *Runner) overlay(f Fault) (string, error) {
	path, err := filepath.Abs(filepath.Join(r.Root, filepath.FromSlash(f.File)))
	if err != nil {
		return "", err
	}
	source, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	text, err := f.Apply(string(source))
	if err != nil {
		return "", err
	}
	changed := filepath.Join(r.Scratch, f.Name+".go")
	list, err := json.Marshal(map[string]map[string]string{"Replace": {path: changed}})
	if err != nil {
		return "", err
	}
	name := filepath.Join(r.Scratch, f.Name+".json")
	return name, errors.Join(os.WriteFile(changed, []byte(text), 0o644), os.WriteFile(name, list, 0o644))
}

// test runs the fault's test. Whether it passed is told by what it printed; an
// error means that the go command could not be run.
func (r *Runner) test(ctx context.Context, f Fault, flags ...string) (*output, error) {
	args := append([]string{"test", "-json", "-vet=off", "-timeout=" + r.Patience.String(), "-run=" + pattern(f.Test)}, flags...)
	cmd := exec.CommandContext(ctx, "go", append(args, "./"+f.Package)...)
	cmd.Dir = r.Root
	cmd.Env = append(os.Environ(), "RAPID_NOFAILFILE=true") // failures are wanted, and leave nothing behind
	text, err := cmd.CombinedOutput()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		return nil, err
	}
	return parseOutput(text), nil
}

// pattern matches just the one test.
func pattern(test string) string { return "^" + strings.ReplaceAll(test, "/", "$/^") + "$" }

// verdict is what became of a test.
type verdict string

const (
	passed   verdict = "passed"
	failed   verdict = "failed"
	skipped  verdict = "skipped"
	timedOut verdict = "ran into its time limit"
	notBuilt verdict = "not compiled"
	notRun   verdict = "not run"
)

// output is what "go test -json" printed.
type output struct {
	actions map[string]string // by test: the last of pass, fail, skip; by "": of the package
	started map[string]bool
	text    bytes.Buffer
	broken  bool // did not compile
}

func parseOutput(text []byte) *output {
	o := &output{actions: map[string]string{}, started: map[string]bool{}}
	lines := bufio.NewScanner(bytes.NewReader(text))
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		var event struct{ Action, Test, Output string }
		if json.Unmarshal(lines.Bytes(), &event) != nil {
			o.text.Write(append(lines.Bytes(), '\n')) // of the go command itself
			continue
		}
		o.text.WriteString(event.Output)
		switch event.Action {
		case "pass", "fail", "skip":
			o.actions[event.Test] = event.Action
		case "run":
			o.started[event.Test] = true
		case "build-fail":
			o.broken = true
		}
	}
	return o
}

// verdict says what became of the test. A process that died while the test ran,
// of a panic for instance, is a failure of the test.
func (o *output) verdict(test string) verdict {
	switch {
	case o.broken:
		return notBuilt
	case strings.Contains(o.text.String(), "panic: test timed out after"):
		return timedOut
	case o.actions[test] == "fail", o.actions[test] == "" && o.started[test] && o.actions[""] == "fail":
		return failed
	case o.actions[test] == "skip":
		return skipped
	case o.actions[test] == "pass" && o.actions[""] == "pass":
		return passed
	}
	return notRun
}

// tail is the end of what was printed.
func (o *output) tail() string {
	const most = 1500
	text := o.text.String()
	return text[max(0, len(text)-most):]
}
