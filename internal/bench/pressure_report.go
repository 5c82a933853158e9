package main

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// pressureDocument is docs/backpressure.md with its plot.
type pressureDocument struct {
	pairs        int
	where, ended string
	date         time.Time
	rows         []pressureRow
	goals        []result
}

// pressureRow is one combination with its figures, one for each repetition.
type pressureRow struct {
	params params
	found  map[string][]float64
}

func (r pressureRow) median(name string) float64 { return estimateOf(r.found[name]).median }

const pressureHead = `# Checkpoints under backpressure, measured

Written by ` + "`make bench-backpressure`" + `. A source as quick as it can be, a keyed
count with state, a rebalance and a sink that sleeps %v for each record of
about 1 KiB, at parallelism %d: two connections of four channels, all of them
full. Checkpoints are taken one after the other into a local directory with
fsync; then the job is killed and restored from the last of them with a quick
sink. In each of these runs the output of both together held each record of each
split once and a gapless count for each key; a run where it did not would have
ended the measurement.

- buffers: of 32 KiB, for each channel; 8 floating ones for each gate besides
- debloating: target %v, period %v, else the defaults
- timed out: aligned for %v, then unaligned
- checkpoint: from the trigger to the commit; p99 is the largest of fewer than
  100 checkpoints (n)
- capture: until the last subtask has handed its part over, as the sum of the
  largest start delay, alignment and synchronous phase: an upper bound
- stored: in-flight bytes in the checkpoint (median)
- lost: throughput of the sink with checkpoints one after the other, against
  none, in the same run; below zero is noise
- restore: from the start of the restored job to the first record at its sink
- repetitions: %d, each in a process of its own, in alternating order; figures
  are medians of them
- date: %s
- machine: %s
- load average at the end: %s

| checkpoints | debloating | buffers | n | p50, ms | p99, ms | capture, ms | stored, KiB | lost, %% | restore, ms |
|---|---|---|---|---|---|---|---|---|---|
`

const pressureGoalsHead = `
![Time of a checkpoint by buffers per channel](backpressure.svg)

The goals, in %d pairs, each measured right after another; medians with the
interval that covers them with 95 %% probability from 6 pairs on ("many" is %d
buffers for each channel, about 64 MiB in flight, "few" is %d, about 1 MiB with
the floating ones; of aligned checkpoints only the start delay of the last
subtask counts here, which is a lower bound, of unaligned ones the whole capture):

| goal | measured | met |
|---|---|---|
`

// write writes backpressure.md and backpressure.svg into a folder.
func (d *pressureDocument) write(folder string) error {
	var b strings.Builder
	fmt.Fprintf(&b, pressureHead, sinkPause, parallelism, debloatTarget, debloatPeriod, alignedTimeout, d.pairs,
		d.date.Format(time.DateOnly), d.where, d.ended)
	for _, r := range d.rows {
		debloat := "off"
		if r.params.Debloat {
			debloat = "on"
		}
		fmt.Fprintf(&b, "| %s | %s | %d | %.0f | %s | %s | %s | %s | %.1f | %s |\n", r.params.Mode, debloat, r.params.Buffers,
			r.median("n"), figure(r.median("p50")), figure(r.median("p99")), figure(r.median("capture")),
			figure(r.median("stored")/1024), r.median("lost")*100, figure(r.median("restore")))
	}
	fmt.Fprintf(&b, pressureGoalsHead, max(d.pairs, goalPairs), manyBuffers, fewBuffers)
	for _, r := range d.goals {
		fmt.Fprintf(&b, "| %s | %s | %s |\n", strings.Replace(r.goal, "  ", "– ", 1), r.measured, r.met)
	}
	if err := os.WriteFile(filepath.Join(folder, "backpressure.md"), []byte(b.String()), 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(folder, "backpressure.svg"), []byte(d.plot()), 0o644)
}

// Sizes of the plot, in its units.
const (
	plotWidth, plotHeight    = 720, 420
	plotLeft, plotRight      = 70, 190
	plotTop, plotBottom      = 30, 50
	plotDecades              = 5 // 1 ms to 100 s
	plotFewest, plotDoubling = 2, 6
)

// plot draws the median time of checkpoints over the buffers per channel, both on
// logarithmic scales; lines with debloating are dashed.
func (d *pressureDocument) plot() string {
	x := func(buffers float64) float64 {
		return plotLeft + (plotWidth-plotLeft-plotRight)*math.Log2(buffers/plotFewest)/plotDoubling
	}
	y := func(ms float64) float64 {
		return plotHeight - plotBottom - (plotHeight-plotTop-plotBottom)*math.Log10(max(ms, 1))/plotDecades
	}
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="13">`+"\n", plotWidth, plotHeight)
	fmt.Fprintf(&b, `<rect width="%d" height="%d" fill="white"/>`+"\n", plotWidth, plotHeight)
	for decade := range plotDecades + 1 {
		v := math.Pow10(decade)
		label := fmt.Sprintf("%.0f ms", v)
		if v >= 1000 {
			label = fmt.Sprintf("%.0f s", v/1000)
		}
		fmt.Fprintf(&b, `<line x1="%d" x2="%d" y1="%.1f" y2="%.1f" stroke="#ddd"/><text x="%d" y="%.1f" text-anchor="end">%s</text>`+"\n",
			plotLeft, plotWidth-plotRight, y(v), y(v), plotLeft-8, y(v)+4, label)
	}
	for n := 0; n <= plotDoubling; n++ {
		buffers := math.Ldexp(plotFewest, n)
		fmt.Fprintf(&b, `<text x="%.1f" y="%d" text-anchor="middle">%.0f</text>`+"\n", x(buffers), plotHeight-plotBottom+20, buffers)
	}
	fmt.Fprintf(&b, `<text x="%.1f" y="%d" text-anchor="middle">buffers per channel</text>`+"\n", x(math.Sqrt(plotFewest*math.Ldexp(plotFewest, plotDoubling))), plotHeight-10)
	fmt.Fprintf(&b, `<text x="%d" y="18">time of a checkpoint (median)</text>`+"\n", plotLeft)
	for i, l := range d.lines() {
		var points []string
		for _, r := range l.rows {
			points = append(points, fmt.Sprintf("%.1f,%.1f", x(float64(r.params.Buffers)), y(r.median("p50"))))
		}
		at := plotTop + 20 + 22*i
		fmt.Fprintf(&b, `<polyline points="%s" fill="none" stroke="%s" stroke-width="2"%s/>`+"\n", strings.Join(points, " "), l.colour, l.dash)
		fmt.Fprintf(&b, `<line x1="%d" x2="%d" y1="%d" y2="%d" stroke="%s" stroke-width="2"%s/><text x="%d" y="%d">%s</text>`+"\n",
			plotWidth-plotRight+10, plotWidth-plotRight+40, at, at, l.colour, l.dash, plotWidth-plotRight+46, at+4, l.name)
	}
	b.WriteString("</svg>\n")
	return b.String()
}

// plotLine is one line of the plot.
type plotLine struct {
	name, colour, dash string
	rows               []pressureRow
}

// lines groups the rows by mode and debloating.
func (d *pressureDocument) lines() []plotLine {
	colours := map[string]string{modeAligned: "#c0392b", modeUnaligned: "#1f6fb2", modeTimedOut: "#2e8b57"}
	var lines []plotLine
	for _, debloat := range []bool{false, true} {
		for _, mode := range []string{modeAligned, modeUnaligned, modeTimedOut} {
			l := plotLine{name: mode, colour: colours[mode]}
			if debloat {
				l.name, l.dash = mode+", debloated", ` stroke-dasharray="6 4"`
			}
			for _, r := range d.rows {
				if r.params.Mode == mode && r.params.Debloat == debloat {
					l.rows = append(l.rows, r)
				}
			}
			lines = append(lines, l)
		}
	}
	return lines
}
