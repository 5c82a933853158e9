package engine_test

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/tidemark-io/tidemark/engine/connector/collect"
)

// This file says what random jobs must give, without the engine: which records,
// one stream after the other, and in which order (R15).

// timed is a record with its event time.
type timed struct {
	item
	at int64
}

// oracle computes the records of all streams. Those of a source's split are in
// order, all others are multisets.
func (t topology) oracle() [][]timed {
	streams := make([][]timed, len(t))
	for i, v := range t {
		var in []timed
		for _, f := range v.from {
			in = append(in, streams[f]...)
		}
		switch v.kind {
		case "source", "rules":
			for split := range v.splits {
				for k := range uint64(v.n) {
					streams[i] = append(streams[i], timed{sourceItem(i, split, k), int64(k)})
				}
			}
		case "late source":
			for k := range uint64(v.n) {
				r := lateItem(k)
				streams[i] = append(streams[i], timed{r, r.Seq})
			}
		case "gate":
			streams[i] = delayed(in)
		case "side":
			streams[i] = sideOf(t, v, streams)
		case "states":
			streams[i] = append(in, keptOf(i, in)...)
		case "coprocess":
			streams[i] = append(in, metOf(i, streams[v.from[0]], streams[v.from[1]])...)
		case "window":
			streams[i] = v.panesOf(i, in)
		case "late window":
			streams[i], _ = v.latePanes(i, in)
		default:
			for _, r := range in {
				if v.kind == "split" && v.aside(r.item) {
					continue
				}
				for _, o := range v.apply(r.item) {
					streams[i] = append(streams[i], timed{o, r.at})
				}
			}
		}
	}
	return streams
}

// sideOf are the records of a side output.
func sideOf(t topology, v vertex, streams [][]timed) (list []timed) {
	up := t[v.from[0]]
	in := streams[up.from[0]]
	if up.kind == "late window" {
		_, list = up.latePanes(0, in)
		return list
	}
	for _, r := range in {
		if up.aside(r.item) {
			list = append(list, r)
		}
	}
	return list
}

// delayed gives each record the time of the next one of its split.
func delayed(in []timed) []timed {
	list, last := slices.Clone(in), map[int64]int{}
	for i, r := range in {
		if before, ok := last[r.Split]; ok {
			list[before].at = r.at
		}
		last[r.Split] = i
	}
	for _, i := range last {
		list[i].at = atTheEnd
	}
	return list
}

func byItemKey(in []timed) map[int64][]timed {
	keys := map[int64][]timed{}
	for _, r := range in {
		keys[r.Key] = append(keys[r.Key], r)
	}
	return keys
}

// keptOf are the last words of a stateKeeper.
func keptOf(operator int, in []timed) (list []timed) {
	for key, records := range byItemKey(in) {
		k, sum := kept{splits: map[int64]int64{}, top: math.MinInt64}, int64(0)
		for _, r := range records {
			w := r.weight()
			k.n, sum, k.top = k.n+1, sum+w, max(k.top, w)
			k.splits[r.Split] += w
			if w%8 == 0 {
				k.list = append(k.list, w)
			}
		}
		k.mean = mix(sum, k.n)
		list = append(list, timed{k.item(operator, key), atTheEnd})
	}
	return list
}

// metOf are the last words of an operator where two streams meet.
func metOf(operator int, a, b []timed) (list []timed) {
	sums := map[int64][4]int64{}
	for input, in := range [][]timed{a, b} {
		for _, r := range in {
			s := sums[r.Key]
			s[2*input]++
			s[2*input+1] += r.weight()
			sums[r.Key] = s
		}
	}
	for key, s := range sums {
		list = append(list, timed{metItem(operator, key, s), atTheEnd})
	}
	return list
}

// panesOf are the results of windows for which nothing is late.
func (v vertex) panesOf(operator int, in []timed) (list []timed) {
	for key, records := range byItemKey(in) {
		var open []paneSum
		if v.windows.gap > 0 {
			open = sessionsOf(records, v.windows.gap)
		} else {
			open = windowsOf(records, v.windows.size, v.windows.slide)
		}
		for _, p := range open {
			p.Key = key
			list = append(list, timed{pane(operator, p), p.End - 1})
		}
	}
	return list
}

func windowsOf(records []timed, size, slide int64) []paneSum {
	open := map[int64]paneSum{}
	for _, r := range records {
		start := r.at - r.at%slide
		for ; start > r.at-size; start -= slide {
			p := open[start]
			open[start] = paneSum{Start: start, End: start + size, N: p.N + 1, Sum: p.Sum + r.weight()}
		}
	}
	return slices.Collect(maps.Values(open))
}

func sessionsOf(records []timed, gap int64) (list []paneSum) {
	slices.SortFunc(records, func(a, b timed) int { return cmp.Compare(a.at, b.at) })
	for _, r := range records {
		if len(list) == 0 || list[len(list)-1].End < r.at {
			list = append(list, paneSum{Start: r.at})
		}
		p := &list[len(list)-1]
		p.End, p.N, p.Sum = r.at+gap, p.N+1, p.Sum+r.weight()
	}
	return list
}

// latePanes are the results of windows record by record, and the late records.
func (v vertex) latePanes(operator int, in []timed) (panes, late []timed) {
	o, byWeight := v.windows, map[int64]timed{}
	o.watermark = math.MinInt64
	for _, r := range in {
		byWeight[r.weight()] = r
		o.record(numbered{Split: r.weight(), Seq: r.at, Key: r.Key})
	}
	o.advance(1 << 60)
	for _, p := range o.emitted {
		panes = append(panes, timed{pane(operator, p), p.End - 1})
	}
	for _, r := range o.late {
		late = append(late, byWeight[r.Split])
	}
	return panes, late
}

// promise is how much order a topology promises.
type promise int

const (
	noOrder  promise = iota
	perKey           // of the records of one split and key
	perSplit         // of the records of one split
)

func (o promise) String() string { return [...]string{"none", "per split and key", "per split"}[o] }

// way is a stream, or a part of a union, as it leaves an operator.
type way struct {
	order   promise
	from    map[int]bool // operators that gave the records their split and number
	senders int          // subtasks
}

// orders computes what a topology promises at each vertex when a job runs at a
// parallelism: at a sink, of what comes in.
func (t topology) orders(parallelism int) []promise {
	ways := make([][]way, len(t))
	list := make([]promise, len(t))
	for i, v := range t {
		p := cmp.Or(v.parallelism, parallelism)
		out := way{order: perSplit, from: map[int]bool{}, senders: p}
		for k, f := range v.from {
			if v.kind == "union" || v.kind == "side" {
				ways[i] = append(ways[i], ways[f]...)
				continue
			}
			for _, w := range ways[f] {
				out.join(w, through(w, v.by[k], p))
			}
		}
		switch v.kind {
		case "union", "side":
			continue
		case "rekey": // records of the new key may come from several old ones
			if out.order == perKey {
				out.order = noOrder
			}
		case "states", "coprocess":
			out.from[i] = true
		case "window":
			out.order, out.from = perKey, map[int]bool{i: true}
		case "source", "rules":
			out.from[i] = true
		case "late source", "late window":
			out.order, out.from[i] = noOrder, true
		}
		ways[i], list[i] = []way{out}, out.order
	}
	return list
}

// join adds an input to those of an operator.
func (w *way) join(in way, o promise) {
	for f := range in.from {
		if w.from[f] {
			o = noOrder // records of one split come by two ways
		}
		w.from[f] = true
	}
	w.order = min(w.order, o)
}

// through is what is left of the order behind a partitioner.
func through(w way, by string, receivers int) promise {
	switch {
	case receivers == 1, by == "global", by == "broadcast", by == "split":
		return w.order
	case by == "key":
		return min(w.order, perKey)
	case by == "forward" && w.senders == receivers, by == "rescale" && w.senders >= receivers:
		return w.order
	}
	return noOrder
}

// promises are the orders at each vertex through runs at several parallelisms.
func (t topology) promises(parallelisms []int) []promise {
	least := slices.Repeat([]promise{perSplit}, len(t))
	for _, p := range parallelisms {
		for i, o := range t.orders(p) {
			least[i] = min(least[i], o)
		}
	}
	return least
}

// differences compares what the sinks have with the oracle. It returns the
// number of records, and what is wrong with them first.
func (t topology) differences(parallelisms []int) (records int, orders []promise, err error) {
	streams, promised := t.oracle(), t.promises(parallelisms)
	for i, v := range t {
		if v.out == nil {
			continue
		}
		got := v.out.Entries()
		slices.SortStableFunc(got, func(a, b collect.Entry[tally]) int { return cmp.Compare(a.ID, b.ID) })
		list := make([]tally, len(got))
		for k, e := range got {
			list[k] = e.Record
		}
		if err := sameItems(list, streams[v.from[0]]); err != nil {
			return 0, nil, fmt.Errorf("sink %d: %w", i, err)
		}
		if v.kind == "count" {
			if err := numberedByKey(list); err != nil {
				return 0, nil, fmt.Errorf("sink %d: %w", i, err)
			}
			promised[i] = min(promised[i], perKey)
		}
		if err := inOrder(list, promised[i]); err != nil {
			return 0, nil, fmt.Errorf("sink %d: order %s: %w", i, promised[i], err)
		}
		records += len(list)
		orders = append(orders, promised[i])
	}
	return records, orders, nil
}

// someDifferences is how many of them are shown.
const someDifferences = 8

// sameItems compares multisets.
func sameItems(got []tally, want []timed) error {
	left := map[item]int{}
	for _, r := range want {
		left[r.item]++
	}
	for _, r := range got {
		left[item{r.Split, r.Seq, r.Key, r.Sum}]--
	}
	var errs []error
	for r, n := range left {
		switch {
		case len(errs) == someDifferences:
			return errors.Join(errs...)
		case n < 0:
			errs = append(errs, fmt.Errorf("record %+v came %d times too often", r, -n))
		case n > 0:
			errs = append(errs, fmt.Errorf("record %+v came %d times too seldom", r, n))
		}
	}
	return errors.Join(errs...)
}

// numberedByKey brings the records of each key into the order of their numbers,
// which must be 1, 2, 3, …
func numberedByKey(list []tally) error {
	slices.SortStableFunc(list, func(a, b tally) int { return cmp.Or(cmp.Compare(a.Key, b.Key), cmp.Compare(a.N, b.N)) })
	last := map[int64]int64{}
	for _, r := range list {
		if last[r.Key]++; r.N != last[r.Key] {
			return fmt.Errorf("key %d: number %d stands at place %d", r.Key, r.N, last[r.Key])
		}
	}
	return nil
}

// inOrder checks the order of records.
func inOrder(list []tally, o promise) error {
	last := map[[2]int64]int64{}
	for _, r := range list {
		at := [2]int64{r.Split, r.Key}
		switch o {
		case noOrder:
			return nil
		case perSplit:
			at[1] = 0
		}
		if before, ok := last[at]; ok && r.Seq < before {
			return fmt.Errorf("record %+v came after number %d", r, before)
		}
		last[at] = r.Seq
	}
	return nil
}
