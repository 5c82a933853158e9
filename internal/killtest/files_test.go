//go:build unix

package killtest

import (
	"bufio"
	"cmp"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tidemark-io/tidemark/checkpoint/layout"
	"github.com/tidemark-io/tidemark/engine/connector/filesink"
)

// phase is where a run stands between two checkpoints, as its files tell.
type phase int

const (
	beforeData    phase = iota // nothing of its first checkpoint is there
	beforeCommit               // data objects and no manifest
	beforePublish              // a manifest, and its output is pending
	published                  // a manifest, and its output is visible
	phases
)

func (p phase) String() string {
	return [...]string{"before-data", "data-to-manifest", "manifest-to-publishing", "after"}[p]
}

// look reads the phase of the run that began when ids up to before were taken.
// newest is the id it stands at.
func look(t *testing.T, dir string, before uint64) (p phase, newest uint64) {
	t.Helper()
	data, manifest := map[uint64]bool{}, map[uint64]bool{}
	for _, name := range list(t, filepath.Join(dir, rootDir)) {
		id, _, ok := layout.ParseDir(name)
		if !ok || id <= before {
			continue
		}
		for _, object := range list(t, filepath.Join(dir, rootDir, name)) {
			switch {
			case object == layout.Manifest:
				manifest[id] = true
			case strings.HasSuffix(object, layout.DataSuffix):
				data[id] = true
			}
		}
		if data[id] || manifest[id] {
			newest = max(newest, id)
		}
	}
	switch {
	case newest == 0:
		return beforeData, 0
	case !manifest[newest]:
		return beforeCommit, newest
	}
	for _, name := range list(t, filepath.Join(dir, outputDir, ".pending")) {
		if part, ok := filesink.ParseName(name); ok && part.ID <= newest {
			return beforePublish, newest
		}
	}
	return published, newest
}

// highest is the largest id of any checkpoint.
func highest(t *testing.T, dir string) uint64 {
	t.Helper()
	var top uint64
	for _, name := range list(t, filepath.Join(dir, rootDir)) {
		if id, _, ok := layout.ParseDir(name); ok {
			top = max(top, id)
		}
	}
	return top
}

// runs is the number of runs that have begun.
func runs(t *testing.T, dir string) int {
	t.Helper()
	n := 0
	for _, name := range list(t, filepath.Join(dir, rootDir, layout.Runs)) {
		if strings.HasSuffix(name, ".begun") {
			n++
		}
	}
	return n
}

// list lists a directory that may be changing, or not be there.
func list(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name()
	}
	return names
}

// output reads the visible lines, in the order of checkpoints.
func output(t *testing.T, dir string) []line {
	t.Helper()
	dir = filepath.Join(dir, outputDir)
	var parts []filesink.Part
	for _, name := range list(t, dir) {
		if p, ok := filesink.ParseName(name); ok {
			parts = append(parts, p)
		}
	}
	slices.SortFunc(parts, func(a, b filesink.Part) int {
		return cmp.Or(cmp.Compare(a.ID, b.ID), cmp.Compare(a.Subtask, b.Subtask), cmp.Compare(a.Counter, b.Counter))
	})
	var lines []line
	for _, p := range parts {
		f, err := os.Open(filepath.Join(dir, p.Name()))
		if err != nil {
			t.Fatal(err)
		}
		scan := bufio.NewScanner(f)
		for scan.Scan() {
			var l line
			if err := json.Unmarshal(scan.Bytes(), &l); err != nil {
				t.Fatalf("%s: %v", p.Name(), err)
			}
			lines = append(lines, l)
		}
		if err := errors.Join(scan.Err(), f.Close()); err != nil {
			t.Fatal(err)
		}
	}
	return lines
}

// check compares the output with the splits: each record once, each key's lines
// numbered through in the order they stand in, and the records of one split and
// key in order.
func check(t *testing.T, lines []line, records int64) {
	t.Helper()
	seen := map[[2]int64]bool{}
	count := map[int64]int64{}
	last := map[[2]int64]int64{}
	for i, l := range lines {
		if l.Key != keyOf(l.Split, l.Seq) {
			t.Fatalf("line %d: record %d of split %d has key %d", i, l.Seq, l.Split, l.Key)
		}
		if seen[[2]int64{l.Split, l.Seq}] {
			t.Fatalf("line %d: record %d of split %d came twice", i, l.Seq, l.Split)
		}
		seen[[2]int64{l.Split, l.Seq}] = true
		if count[l.Key]++; l.N != count[l.Key] {
			t.Fatalf("line %d: number %d of key %d stands at place %d", i, l.N, l.Key, count[l.Key])
		}
		at := [2]int64{l.Split, l.Key}
		if before, ok := last[at]; ok && l.Seq <= before {
			t.Fatalf("line %d: record %d of split %d came after record %d of the same key", i, l.Seq, l.Split, before)
		}
		last[at] = l.Seq
	}
	if want := splits * records; int64(len(lines)) != want {
		t.Fatalf("%d records, want %d", len(lines), want)
	}
}
