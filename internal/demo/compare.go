package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
)

// compare checks the visible output against the oracle.
func (d *demo) compare(input string) error {
	say("compare the output, merged and sorted, with a sequential oracle")
	rows, err := readRows(input)
	if err != nil {
		return err
	}
	want, err := oracle(rows)
	if err != nil {
		return err
	}
	return d.compareWith(want, len(rows))
}

func (d *demo) compareWith(want []departures, rows int) error {
	got, files, err := readOutput(d.path("output"))
	if err != nil {
		return err
	}
	sortDepartures(got)
	if !slices.Equal(got, want) {
		for i := range min(len(got), len(want)) {
			if got[i] != want[i] {
				return fmt.Errorf("the output differs: line %d is %+v, the oracle has %+v", i+1, got[i], want[i])
			}
		}
		return fmt.Errorf("the output differs: %d lines, the oracle has %d", len(got), len(want))
	}
	fmt.Printf("EXACT: %d records gave %d lines in %d files, each equal to the oracle's:\nnothing lost, nothing twice, nothing late\n", rows, len(got), files)
	return nil
}

// readOutput reads all visible files of the sink.
func readOutput(dir string) (all []departures, files int, err error) {
	names, err := filepath.Glob(filepath.Join(dir, "*.jsonl"))
	if err != nil {
		return nil, 0, err
	}
	for _, name := range names {
		if all, err = readFile(name, all); err != nil {
			return nil, 0, err
		}
	}
	return all, len(names), nil
}

func readFile(name string, all []departures) ([]departures, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		var d departures
		if err := json.Unmarshal(lines.Bytes(), &d); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		all = append(all, d)
	}
	return all, lines.Err()
}

// inspect shows and verifies a checkpoint: the oldest that was kept, since the
// last one, taken after the end of the input, has nothing left in its windows.
func (d *demo) inspect(ctx context.Context) error {
	oldest, err := d.oldest()
	if err != nil {
		return err
	}
	say("what is in the oldest checkpoint that was kept, and is it intact?")
	if err := d.show(ctx, "inspect", oldest); err != nil {
		return err
	}
	return d.show(ctx, "verify", "--level", "records", oldest)
}

// oldest is the path of the oldest complete checkpoint.
func (d *demo) oldest() (string, error) {
	manifests, err := filepath.Glob(d.path("checkpoints/chk-*/MANIFEST"))
	if err != nil || len(manifests) == 0 {
		return "", fmt.Errorf("no complete checkpoint below %s: %w", d.path("checkpoints"), err)
	}
	id := func(path string) (n int) {
		fmt.Sscanf(filepath.Base(filepath.Dir(path)), "chk-%d", &n)
		return n
	}
	first := slices.MinFunc(manifests, func(a, b string) int { return id(a) - id(b) })
	return filepath.Dir(first), nil
}
