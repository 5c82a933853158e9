package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
)

// What the memory of each command is measured with.
const (
	memoryLimit  = 256 // MiB, of each peak
	memoryApart  = 32  // MiB, between the sizes
	damageEvery  = 64 << 20
	largestFlink = 1 << 30 // bytes of state in a savepoint of Flink
)

// memoryRow measures the largest resident memory of each command on native
// checkpoints of several sizes, as a process. A command that fails is reported;
// the others are measured all the same.
func memoryRow(ctx context.Context, b *bench) ([]result, error) {
	return b.memory(ctx, "", b.size.states, nativeVerbs)
}

// flinkMemoryRow does the same for savepoints of Flink.
func flinkMemoryRow(ctx context.Context, b *bench) ([]result, error) {
	var sizes []int64
	for _, s := range b.size.states {
		if s <= largestFlink {
			sizes = append(sizes, s)
		}
	}
	return b.memory(ctx, "Flink: ", sizes, flinkVerbs)
}

// memory measures a list of commands at several sizes.
func (b *bench) memory(ctx context.Context, prefix string, sizes []int64, list func(places) []verb) ([]result, error) {
	command, err := b.tidemark(ctx)
	if err != nil {
		return nil, err
	}
	peaks := map[string][]float64{}
	failed := map[string]error{}
	var order []string
	for _, size := range sizes {
		fmt.Fprintf(b.progress, "memory: %d MiB of state\n", size>>20)
		err := b.memoryAt(ctx, command, size, list, func(name string, peak float64, err error) {
			if peaks[name] == nil {
				order = append(order, name)
			}
			fmt.Fprintf(b.progress, "memory: %d MiB, %s: %.0f MiB %v\n", size>>20, name, peak, err)
			peaks[name] = append(peaks[name], peak)
			failed[name] = errors.Join(failed[name], err)
		})
		if err != nil {
			return nil, err
		}
	}
	var results []result
	var all error
	for _, name := range order {
		results = append(results, memoryResult(prefix+name, peaks[name], failed[name]))
		all = errors.Join(all, failed[name])
	}
	return results, all
}

// memoryAt measures all commands at one size. What several of them read is made
// when the first needs it and removed when the next one does not, so that the
// disk holds few copies at a time.
func (b *bench) memoryAt(ctx context.Context, command string, size int64, list func(places) []verb, report func(string, float64, error)) error {
	p := places{root: b.fresh(), other: b.fresh(), damaged: b.fresh(), flink: b.fresh()}
	defer func() {
		for _, dir := range []string{p.root, p.other, p.damaged, p.flink} {
			os.RemoveAll(dir)
		}
	}()
	if err := os.Mkdir(p.other, 0o700); err != nil {
		return err
	}
	if _, err := b.once(ctx, params{Task: "sample", Dir: p.root, Bytes: size, Repeat: 2}); err != nil {
		return err
	}
	there := map[string]bool{}
	for _, v := range list(p) {
		if err := p.provide(ctx, b, command, size, v.needs, there); err != nil {
			return err
		}
		r, err := executeTo(ctx, nil, command, v.exits, v.args...)
		report(v.name, r.peak/(1<<20), err)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if v.makes != "" {
			if err := os.RemoveAll(v.makes); err != nil {
				return err
			}
		}
	}
	return nil
}

// provide makes what a command needs and removes what it does not.
func (p *places) provide(ctx context.Context, b *bench, command string, size int64, needs []string, there map[string]bool) error {
	for what, dir := range map[string]string{needDamaged: p.damaged, needOlder: filepath.Join(p.root, "chk-1"), needPlain: filepath.Join(p.root, "plain")} {
		if !there[what] || slices.Contains(needs, what) {
			continue
		}
		if err := os.RemoveAll(dir); err != nil {
			return err
		}
		there[what] = false
	}
	for _, what := range needs {
		if there[what] {
			continue
		}
		there[what] = true
		if err := p.make(ctx, b, command, size, what); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
	}
	return nil
}

func (p *places) make(ctx context.Context, b *bench, command string, size int64, what string) error {
	first := filepath.Join(p.root, "chk-2")
	plain := filepath.Join(p.root, "plain")
	strip := func() error {
		_, err := execute(ctx, command, "strip", "--in-flight", "all", first, plain)
		return err
	}
	switch what {
	case needOlder:
		_, err := b.once(ctx, params{Task: "sample", Dir: p.root, Bytes: size})
		return err
	case needDamaged:
		return damage(ctx, first, filepath.Join(p.damaged, "chk-2"), damageEvery)
	case needPlain:
		return strip()
	}
	if err := errors.Join(strip(), os.Mkdir(p.flink, 0o700)); err != nil {
		return err
	}
	_, err := execute(ctx, command, "convert", "--to", "flink", plain, filepath.Join(p.flink, "savepoint"))
	// The native one is not read again.
	return errors.Join(err, os.RemoveAll(p.root))
}

// executeTo runs a program to its end, which must be one of the exit codes, and
// writes its output to a file, nowhere if that is nil. Of messages only the end
// is kept: what a process has at its start counts as its own memory.
func executeTo(ctx context.Context, out *os.File, program string, exits []int, args ...string) (ran, error) {
	cmd := exec.CommandContext(ctx, program, args...)
	var messages bytes.Buffer
	cmd.Stderr = &messages
	if out != nil {
		cmd.Stdout = out
	}
	r, err := timed(cmd)
	var ended *exec.ExitError
	if err != nil && (!errors.As(err, &ended) || !slices.Contains(exits, ended.ExitCode())) {
		return r, fmt.Errorf("%s %v: %w: %s", filepath.Base(program), args, err, &messages)
	}
	if err == nil && len(exits) > 0 && !slices.Contains(exits, 0) {
		return r, fmt.Errorf("%s %v: exit code 0, expected one of %v", filepath.Base(program), args, exits)
	}
	return r, nil
}

// memoryResult judges the peaks of one command, in MiB.
func memoryResult(name string, peaks []float64, failed error) result {
	spread := slices.Max(peaks) - slices.Min(peaks)
	r := result{goal: name, met: missed}
	if failed != nil {
		r.measured = "failed"
		return r
	}
	for _, p := range peaks {
		r.measured += fmt.Sprintf("%4.0f ", p)
	}
	r.measured += fmt.Sprintf("(%.0f apart)", spread)
	if spread <= memoryApart && slices.Max(peaks) < memoryLimit {
		r.met = met
	}
	return r
}
