package main

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// buffered is the capacity of the quicker peer's channels; more did not make it
// quicker.
const buffered = 128

// countRow measures the keyed count beside a channel per record: the plain one,
// which the goal means, and one with room for many records, which is quicker
// whenever senders and receivers seldom run at the same moment.
func countRow(keys uint64, label string, goal float64) func(context.Context, *bench) ([]result, error) {
	return func(ctx context.Context, b *bench) ([]result, error) {
		engine := params{Task: "count", Keys: keys, Section: b.size.count}
		found, err := b.repeated(ctx, "count of "+label+" keys", engine,
			params{Task: "channels", Keys: keys, Section: b.size.channel},
			params{Task: "channels", Keys: keys, Section: b.size.channel, Capacity: buffered})
		if err != nil {
			return nil, err
		}
		ours, plain, roomy := found[0], found[1]["rate"], found[2]["rate"]
		return []result{
			atLeast("count, "+label+" keys, M rec/s/core", goal, ours["rate"], 1e-6).profiled(engine),
			atLeast("  times a channel per record", 3, ratios(ours["rate"], plain), 1),
			atLeast(fmt.Sprintf("  times one of capacity %d", buffered), 3, ratios(ours["rate"], roomy), 1),
			shown("  the channel itself, M rec/s/core", plain, 1e-6),
			shown(fmt.Sprintf("  that of capacity %d, M rec/s/core", buffered), roomy, 1e-6),
			shown("  CPU per record, ns", ours["ns"], 1),
			atMost("  snapshot sync phase in the job, ms", 1, ours["sync"], 1),
			shown("  checkpoint, trigger to commit, ms", ours["duration"], 1),
		}, nil
	}
}

// unalignedRow measures what it costs that checkpoints could be unaligned while
// none is taken, in the same job.
func unalignedRow(ctx context.Context, b *bench) ([]result, error) {
	off := params{Task: "count", Keys: 1000, Section: b.size.count / 3, Quiet: true}
	on := off
	on.Unaligned = true
	found, err := b.repeated(ctx, "unaligned checkpoints enabled", on, off)
	if err != nil {
		return nil, err
	}
	return []result{
		atLeast("unaligned enabled, none running, times disabled", 0.98, ratios(found[0]["rate"], found[1]["rate"]), 1).profiled(on),
		shown("  enabled, M rec/s/core", found[0]["rate"], 1e-6),
		shown("  disabled, M rec/s/core", found[1]["rate"], 1e-6),
	}, nil
}

// syncRow measures the synchronous phase of the table alone.
func syncRow(ctx context.Context, b *bench) ([]result, error) {
	p := params{Task: "sync", Entries: b.size.entries, Repeat: b.size.repeat}
	found, err := b.repeated(ctx, "synchronous phase", p)
	if err != nil {
		return nil, err
	}
	return []result{
		atMost("snapshot sync phase, 1 M entries, ms", 1, found[0]["sync"], 1).profiled(p),
		shown(fmt.Sprintf("  the longest of %d snapshots, ms", b.size.repeat), found[0]["max"], 1),
	}, nil
}

// writeRow measures how state becomes a durable checkpoint.
func writeRow(ctx context.Context, b *bench) ([]result, error) {
	settings := []string{"none", "s2", "zstd"}
	var of []params
	for _, codec := range settings {
		of = append(of, params{Task: "write", Entries: b.size.written, Codec: codec})
	}
	found, err := b.repeated(ctx, "snapshot write", of...)
	if err != nil {
		return nil, err
	}
	results := []result{atLeast("snapshot write, plain, MB/s/core", 400, found[0]["core"], 1).profiled(of[0])}
	for i, codec := range settings {
		f := found[i]
		if i > 0 {
			results = append(results, shown("snapshot write, "+codec+", MB/s/core", f["core"], 1))
		}
		results = append(results,
			atLeast("  of min(disk, codec x cores), %", 80, f["share"], 100),
			shown("  wall clock, MB/s", f["wall"], 1),
			shown("  disk alone (write + fsync), MB/s", f["disk"], 1),
			shown("  codec and CRC-32C alone, MB/s/core", f["codec"], 1),
			shown("  raw bytes : stored bytes", f["ratio"], 1),
		)
	}
	return results, nil
}

// restoreRow measures the way back.
func restoreRow(ctx context.Context, b *bench) ([]result, error) {
	p := params{Task: "restore", Dir: b.fresh(), Entries: b.size.written}
	prepare := p
	prepare.Task, prepare.Codec = "prepare", "none"
	if _, err := b.once(ctx, prepare); err != nil {
		return nil, err
	}
	found, err := b.repeated(ctx, "restore", p)
	if err != nil {
		return nil, err
	}
	f := found[0]
	return []result{
		atLeast("restore, MB/s/core", 400, f["core"], 1).profiled(p),
		atLeast("  times inserts in random order", 3, f["ratio"], 1),
		shown("  wall clock, one goroutine, MB/s", f["wall"], 1),
		shown("  inserts in random order, MB/s/core", f["random"], 1),
	}, nil
}

// verdict is whether a goal is met; figures without goal have none.
type verdict string

const (
	met    verdict = "yes"
	missed verdict = "no"
	none   verdict = "-"
)

// result is a line of the table.
type result struct {
	goal     string
	measured string
	met      verdict
	again    *params // measured once more with a profile if the goal is missed
}

func (r result) String() string {
	return fmt.Sprintf("%-*s | %-*s | %s", goalWidth, r.goal, measuredWidth, r.measured, r.met)
}

// profileRepeat is how often a profiled task is done, so that a profile of 100
// samples in a second says something about one of a fraction of a second.
const profileRepeat = 10

// profiled says what to profile.
func (r result) profiled(p params) result {
	p.Repeat = profileRepeat
	r.again = &p
	return r
}

// atLeast judges values, each times a factor, by their median.
func atLeast(what string, bound float64, values []float64, factor float64) result {
	return judged(what, ">=", bound, values, factor, func(m float64) bool { return m >= bound })
}

func atMost(what string, bound float64, values []float64, factor float64) result {
	return judged(what, "<=", bound, values, factor, func(m float64) bool { return m <= bound })
}

func judged(what, sign string, bound float64, values []float64, factor float64, good func(float64) bool) result {
	r := shown(what, values, factor)
	r.goal = fmt.Sprintf("%s %s %g", what, sign, bound)
	r.met = missed
	m := estimateOf(values).median * factor
	if good(m) {
		r.met = met
	} else if seen, err := strconv.ParseFloat(figure(m), 64); err == nil && good(seen) {
		// Rounded it would look as if the goal were met.
		r.measured = fmt.Sprintf("%.5g", m) + strings.TrimPrefix(r.measured, figure(m))
	}
	return r
}

// shown is a line without goal.
func shown(what string, values []float64, factor float64) result {
	e := estimateOf(values)
	return result{goal: what, met: none,
		measured: fmt.Sprintf("%s [%s, %s]", figure(e.median*factor), figure(e.low*factor), figure(e.high*factor))}
}

// figure writes a number with three digits that count.
func figure(v float64) string {
	switch a := math.Abs(v); {
	case a >= 100:
		return fmt.Sprintf("%.0f", v)
	case a >= 10:
		return fmt.Sprintf("%.1f", v)
	case a >= 0.1 || a == 0:
		return fmt.Sprintf("%.2f", v)
	default:
		return fmt.Sprintf("%.2g", v)
	}
}
