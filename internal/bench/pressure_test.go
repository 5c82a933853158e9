package main

import (
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestUnderPressure makes the measurements of two modes, small, whose output is
// checked by the task itself: with unaligned checkpoints something is in flight,
// with aligned ones nothing.
func TestUnderPressure(t *testing.T) {
	for _, mode := range []string{modeAligned, modeUnaligned} {
		found, err := underPressure(t.Context(), params{Mode: mode, Dir: t.TempDir(), Buffers: 2, Repeat: 2, Section: 100 * time.Millisecond})
		if err != nil {
			t.Fatalf("%s: %v", mode, err)
		}
		if stored := found["stored"]; (stored > 0) != (mode == modeUnaligned) {
			t.Errorf("%s: %.0f bytes stored in flight", mode, stored)
		}
		if found["n"] < 2 || found["p99"] < found["p50"] || found["queued"] == 0 || found["restore"] <= 0 {
			t.Errorf("%s: %v", mode, found)
		}
	}
}

// TestReceipts: a lost record, one that came twice and a wrong count are found.
func TestReceipts(t *testing.T) {
	good := func() []receipt {
		return []receipt{{0, 0, 5, 1}, {1, 0, 5, 2}, {0, 1, 6, 1}, {1, 1, 5, 3}}
	}
	if err := checkReceipts(good(), 2); err != nil {
		t.Error(err)
	}
	for name, spoil := range map[string]func([]receipt) []receipt{
		"lost":        func(r []receipt) []receipt { return r[:3] },
		"twice":       func(r []receipt) []receipt { return append(r, receipt{0, 1, 6, 2}) },
		"count twice": func(r []receipt) []receipt { r[3].N = 2; return r },
		"count gap":   func(r []receipt) []receipt { r[3].N = 4; return r },
		"never made":  func(r []receipt) []receipt { r[2].Seq = 2; return r },
	} {
		if err := checkReceipts(spoil(good()), 2); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// TestPressureDocument: the document has a line for each row, the plot is
// well-formed and has a line for each mode, with and without debloating.
func TestPressureDocument(t *testing.T) {
	d := &pressureDocument{pairs: 1, where: "here", ended: "none", date: time.Now(), goals: []result{{goal: "g", measured: "m", met: met}}}
	for _, debloat := range []bool{false, true} {
		for _, mode := range []string{modeAligned, modeUnaligned, modeTimedOut} {
			for _, buffers := range []int{2, 128} {
				d.rows = append(d.rows, pressureRow{params{Mode: mode, Debloat: debloat, Buffers: buffers}, map[string][]float64{
					"n": {3}, "p50": {float64(buffers)}, "p99": {9}, "capture": {1}, "stored": {2048}, "lost": {0.1}, "restore": {4}}})
			}
		}
	}
	dir := t.TempDir()
	if err := d.write(dir); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, "backpressure.md"))
	if err != nil {
		t.Fatal(err)
	}
	if want := "| timed out | on | 128 | 3 | 128 | 9.00 | 1.00 | 2.00 | 10.0 | 4.00 |\n"; !strings.Contains(string(text), want) || strings.Contains(string(text), "%!") {
		t.Errorf("the document lacks %q:\n%s", want, text)
	}
	plot, err := os.ReadFile(filepath.Join(dir, "backpressure.svg"))
	if err != nil {
		t.Fatal(err)
	}
	lines := 0
	for dec := xml.NewDecoder(strings.NewReader(string(plot))); ; {
		tok, err := dec.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if e, ok := tok.(xml.StartElement); ok && e.Name.Local == "polyline" {
			lines++
		}
	}
	if lines != 6 || strings.Contains(string(plot), "NaN") {
		t.Errorf("%d lines in the plot:\n%s", lines, plot)
	}
}
