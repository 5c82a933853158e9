package engine_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/tidemark-io/tidemark/engine"
	"github.com/tidemark-io/tidemark/engine/connector/collect"
)

// This file makes random topologies, and jobs of them. What they must give is
// computed by random_oracle_test.go.

// item is the record of random jobs. Split and Seq say where it comes from: items
// of one split begin with rising numbers. Sum is a payload that functions change.
type item struct{ Split, Seq, Key, Sum int64 }

// tally is an item with the number it has among those of its key.
type tally struct{ Split, Seq, Key, Sum, N int64 }

func itemTime(r item) int64 { return r.Seq }

func itemKey(r item) int64 { return r.Key }

// vertex is an operator of a random topology, or a name for several streams
// ("union") or for a side output ("side").
type vertex struct {
	kind        string
	from        []int    // the vertices it reads
	by          []string // how, for each that an exchange may be before
	parallelism int      // 0: the job's
	salt        int64
	splits      int             // of a source
	n           int64           // records of each split
	windows     windowOracle    // the kind of windows
	series      *series[item]   // of a source, made with the first job
	out         *tallies        // of a sink, likewise
	opts        []engine.Option // of the engine's operator
}

type tallies = collect.Sink[tally]

// topology is a random graph: vertices read only what is before them.
type topology []vertex

// Kinds of operators that take one stream and keep nothing.
var plainKinds = []string{"map", "filter", "flatmap", "rekey", "split"}

// Kinds of operators that take one stream by key. A "window" may not follow late
// records.
var keyedKinds = []string{"bykey", "bysplit", "states", "window"}

// Kinds that take two streams.
var pairKinds = []string{"union", "comap", "coprocess", "broadcast", "keyed broadcast"}

var partitioners = []string{"forward", "forward", "rebalance", "shuffle", "global", "rescale"}

// builder grows a topology.
type builder struct {
	r    *rand.Rand
	t    topology
	open []int  // streams that nobody reads yet
	mode string // of checkpoints
}

func (b *builder) add(v vertex) int {
	b.t = append(b.t, v)
	return len(b.t) - 1
}

// randomTopology makes a topology. With a gate the first source is followed by
// an operator that can hold its records in flight.
func randomTopology(r *rand.Rand, splits int, n int64, gate bool, mode string) topology {
	b := &builder{r: r, mode: mode}
	first := b.add(vertex{kind: "source", splits: splits, n: n})
	switch {
	case gate && mode == "by key": // what it holds is in flight on a forward connection
		first = b.add(vertex{kind: "bysplit", from: []int{first}, by: []string{"split"}})
		first = b.add(vertex{kind: "hold", from: []int{first}, by: []string{"forward"}})
	case gate:
		first = b.add(vertex{kind: "gate", from: []int{first}, by: []string{"split"}})
	}
	b.open = append(b.open, first)
	for range r.IntN(3) {
		b.open = append(b.open, b.source("source", 1+r.IntN(3), 20+r.Int64N(150)))
	}
	if r.IntN(4) == 0 {
		b.lateWindow()
	}
	for range 1 + r.IntN(6) {
		b.grow()
	}
	for _, s := range b.open {
		kind := []string{"count", "direct"}[r.IntN(2)]
		if kind == "count" {
			b.unary(kind, s, "key")
		} else {
			b.unary(kind, s, "")
		}
	}
	return b.t
}

// source adds a source, sometimes of a parallelism of its own.
func (b *builder) source(kind string, splits int, n int64) int {
	return b.add(vertex{kind: kind, splits: splits, n: n, parallelism: b.parallelism()})
}

// parallelism is mostly that of the job.
func (b *builder) parallelism() int {
	if b.r.IntN(4) > 0 {
		return 0
	}
	return 1 + b.r.IntN(4)
}

// take chooses a stream that nobody reads yet. Sometimes it stays to be read
// again.
func (b *builder) take() int {
	i := b.r.IntN(len(b.open))
	s := b.open[i]
	if b.r.IntN(5) > 0 {
		b.open = slices.Delete(b.open, i, i+1)
	}
	return s
}

// grow adds an operator.
func (b *builder) grow() {
	switch kinds := b.r.IntN(9); {
	case kinds < 3:
		b.open = append(b.open, b.unary(plainKinds[b.r.IntN(len(plainKinds))], b.take(), ""))
	case kinds < 6:
		kind, s := keyedKinds[b.r.IntN(len(keyedKinds))], b.take()
		if kind == "window" && b.t.late(s) {
			kind = "states"
		}
		by := "key"
		if kind == "bysplit" {
			by = "split"
		}
		b.open = append(b.open, b.unary(kind, s, by))
	case len(b.open) < 2:
		b.pair(pairKinds[3+b.r.IntN(2)])
	default:
		b.pair(pairKinds[b.r.IntN(len(pairKinds))])
	}
	if last := len(b.t) - 1; b.t[last].kind == "split" {
		b.open = append(b.open, b.add(vertex{kind: "side", from: []int{last}}))
	}
}

// unary adds an operator of one input. by is "" if any partitioner will do.
func (b *builder) unary(kind string, from int, by string) int {
	v := vertex{kind: kind, from: []int{from}, parallelism: b.parallelism(), salt: b.r.Int64N(1000)}
	if kind == "window" {
		v.windows = []windowOracle{{size: 16, slide: 16}, {size: 100, slide: 100}, {size: 60, slide: 20}, {size: 25, slide: 40}, {gap: 30}, {gap: 100}}[b.r.IntN(6)]
	}
	if by == "" {
		by = b.partitioner(from, v.parallelism)
	}
	v.by = []string{by}
	return b.add(v)
}

// pair adds an operator of two inputs.
func (b *builder) pair(kind string) {
	v := vertex{kind: kind, parallelism: b.parallelism(), salt: b.r.Int64N(1000)}
	one := b.take()
	switch kind {
	case "union":
		v.from = []int{one, b.open[b.r.IntN(len(b.open))]} // which may be the same
		if two := v.from[1]; two != one {
			b.open = slices.DeleteFunc(b.open, func(s int) bool { return s == two })
		}
	case "comap", "coprocess":
		v.from = []int{one, b.take()}
		for _, s := range v.from {
			v.by = append(v.by, map[bool]string{true: "key"}[kind == "coprocess"])
			if kind == "comap" {
				v.by[len(v.by)-1] = b.partitioner(s, v.parallelism)
			}
		}
	default:
		rules := b.source("rules", 1+b.r.IntN(2), 5+b.r.Int64N(30))
		v.from, v.by = []int{one, rules}, []string{"key", "broadcast"}
		if kind == "broadcast" {
			v.by[0] = b.partitioner(one, v.parallelism)
		}
	}
	b.open = append(b.open, b.add(v))
}

// lateWindow adds a source some of whose records come late, and windows that
// decide about them: one sender, so that it is known which (R15).
func (b *builder) lateWindow() {
	src := b.add(vertex{kind: "late source", splits: 1, n: 200 + b.r.Int64N(800), parallelism: 1})
	kind := []windowOracle{{size: 100, slide: 100}, {size: 100, slide: 100, lateness: 120}, {size: 250, slide: 100, lateness: 70}, {gap: 40}, {gap: 40, lateness: 150}}[b.r.IntN(5)]
	w := b.add(vertex{kind: "late window", from: []int{src}, by: []string{"key"}, windows: kind, parallelism: b.parallelism()})
	b.open = append(b.open, w, b.add(vertex{kind: "side", from: []int{w}}))
}

// partitioner chooses how an operator of some parallelism reads a stream. In an
// unaligned job a forward connection of unequal parallelism, which is rebalanced,
// may hold data in flight and be chained at the next parallelism: that is
// refused, as is any pointwise connection by key that becomes one of unequal
// parallelism.
func (b *builder) partitioner(from, parallelism int) string {
	for {
		by := partitioners[b.r.IntN(len(partitioners))]
		stays := by == "forward" && b.mode != "aligned" || by == "rescale" && b.mode == "by key"
		if !stays || !slices.ContainsFunc(b.t.origins(from), func(v int) bool { return b.t[v].parallelism != parallelism }) {
			return by
		}
	}
}

// origins are the operators that emit a stream.
func (t topology) origins(s int) []int {
	switch v := t[s]; v.kind {
	case "union":
		return slices.Concat(t.origins(v.from[0]), t.origins(v.from[1]))
	case "side":
		return v.from
	}
	return []int{s}
}

// late reports whether a stream has records behind its watermark.
func (t topology) late(s int) bool {
	return t[s].kind == "late source" || slices.ContainsFunc(t[s].from, t.late)
}

func (t topology) String() string {
	var s strings.Builder
	for i, v := range t {
		fmt.Fprintf(&s, "\n  %d: %s", i, v.kind)
		if v.splits > 0 {
			fmt.Fprintf(&s, " %d×%d", v.splits, v.n)
		}
		if v.windows.gap+v.windows.size > 0 {
			fmt.Fprintf(&s, " size=%d slide=%d gap=%d lateness=%d", v.windows.size, v.windows.slide, v.windows.gap, v.windows.lateness)
		}
		for k, f := range v.from {
			if fmt.Fprintf(&s, " %d", f); k < len(v.by) {
				fmt.Fprintf(&s, ":%s", v.by[k])
			}
		}
		if v.parallelism > 0 {
			fmt.Fprintf(&s, " p=%d", v.parallelism)
		}
	}
	return s.String()
}

// prepare makes the sources and sinks, which outlive the jobs. limit is how far
// the first source may be read at the beginning, others is that of the others.
func (t topology) prepare(limit, others int64) {
	for i := range t {
		switch v := &t[i]; v.kind {
		case "source", "rules":
			v.series = newSeries(v.splits, v.n, others, func(split int, k uint64) item { return sourceItem(i, split, k) })
			if i == 0 {
				v.series.limit = limit
			}
		case "late source":
			v.series = newSeries(1, v.n, others, func(_ int, k uint64) item { return lateItem(k) })
		case "count", "direct":
			v.out = collect.New[tally]()
		}
	}
}

func sourceItem(source, split int, k uint64) item {
	return item{Split: int64(source*10 + split), Seq: int64(k), Key: keyOf(source*10+split, k)}
}

func lateItem(k uint64) item {
	r := disorderlyRecord(k)
	return item{Split: r.Split, Seq: r.Seq, Key: r.Key}
}

// raise lets all sources be read further.
func (t topology) raise(n int64) {
	for _, v := range t {
		if v.series != nil {
			v.series.raise(n)
		}
	}
}

// build makes the graph of a job.
func (t topology) build(p *probe) *engine.Graph {
	g := engine.NewGraph("random")
	streams := make([]engine.Stream[item], len(t))
	for i, v := range t {
		v.opts = nil
		if v.parallelism > 0 {
			v.opts = append(v.opts, engine.Parallelism(v.parallelism))
		}
		uid := fmt.Sprintf("%s-%d", strings.ReplaceAll(v.kind, " ", "-"), i)
		switch v.kind {
		case "source", "rules":
			streams[i] = engine.From(g, uid, v.series, engine.BoundedDisorder(itemTime, 0).EveryRecords(16), v.opts...)
		case "late source":
			w := engine.BoundedDisorder(itemTime, allowedDisorder*time.Millisecond).EveryRecords(1)
			streams[i] = engine.From(g, uid, v.series, w, v.opts...)
		case "count", "direct":
			v.sink(fmt.Sprint(i), streams[v.from[0]], p)
		default:
			streams[i] = v.operator(uid, i, streams, p)
		}
	}
	return g
}

// partitioned says how a stream goes to the next operator.
func partitioned(s engine.Stream[item], by string) engine.Stream[item] {
	switch by {
	case "rebalance":
		return s.Rebalance()
	case "shuffle":
		return s.Shuffle()
	case "global":
		return s.Global()
	case "rescale":
		return s.Rescale()
	}
	return s
}

// late and aside are the side outputs of random jobs.
var lateItems, aside = engine.NewTag[item]("late"), engine.NewTag[item]("aside")

// operator adds an operator to a job.
func (v vertex) operator(uid string, number int, streams []engine.Stream[item], p *probe) engine.Stream[item] {
	var in []engine.Stream[item]
	for k, f := range v.from {
		s := streams[f]
		if k < len(v.by) {
			s = partitioned(s, v.by[k])
		}
		in = append(in, s)
	}
	self := func(r item) item { p.must(); return v.apply(r)[0] }
	byKey := func(s engine.Stream[item]) engine.Keyed[int64, item] { return engine.KeyBy(s, itemKey) }
	bySplit := func(s engine.Stream[item]) engine.Keyed[string, item] {
		return engine.KeyBy(s, func(r item) string { return fmt.Sprint("split ", r.Split) })
	}
	switch v.kind {
	case "filter":
		return in[0].Filter(func(r item) bool { p.must(); return len(v.apply(r)) > 0 }, v.opts...)
	case "flatmap", "split":
		return engine.FlatMap(in[0], func(r item, out *engine.Output[item]) {
			p.must()
			if v.kind == "split" && v.aside(r) {
				engine.EmitTo(out, aside, r)
				return
			}
			for _, o := range v.apply(r) {
				out.Emit(o)
			}
		}, v.opts...)
	case "side":
		tag := aside
		if p.t[v.from[0]].kind == "late window" {
			tag = lateItems
		}
		return engine.SideOutput(in[0], tag)
	case "union":
		return engine.Union(in[0], in[1])
	case "comap":
		return engine.CoMap(in[0], in[1], self, self, v.opts...)
	case "bykey":
		return engine.Apply(byKey(in[0]), uid, func() engine.Process[int64, item, item] { return &passOn[int64]{probe: p} }, v.opts...)
	case "bysplit":
		return engine.Apply(bySplit(in[0]), uid, func() engine.Process[string, item, item] { return &passOn[string]{probe: p} }, v.opts...)
	case "gate":
		return engine.Apply(bySplit(in[0]), uid, func() engine.Process[string, item, item] { return &delay{probe: p, brake: p.brake} }, v.opts...)
	case "hold":
		return engine.Map(in[0], func(r item) item { p.brake.hold(); return self(r) }, v.opts...)
	case "states":
		return engine.Apply(byKey(in[0]), uid, func() engine.Process[int64, item, item] { return &stateKeeper{probe: p, number: number} }, v.opts...)
	case "coprocess":
		return engine.CoApply(byKey(in[0]), byKey(in[1]), uid, func() engine.CoProcess[int64, item, item, item] { return &meetItems{probe: p, number: number} }, v.opts...)
	case "broadcast":
		return engine.ApplyBroadcast(in[0], in[1], uid, func() engine.BroadcastProcess[item, item, item] { return &ruled{rules{probe: p}} }, v.opts...)
	case "keyed broadcast":
		return engine.ApplyKeyedBroadcast(byKey(in[0]), in[1], uid, func() engine.KeyedBroadcastProcess[int64, item, item, item] {
			return &keyedRuled{rules: rules{probe: p}}
		}, v.opts...)
	case "window", "late window":
		return v.window(uid, number, byKey(in[0]), p)
	default:
		return engine.Map(in[0], self, v.opts...)
	}
}

func (v vertex) window(uid string, number int, in engine.Keyed[int64, item], p *probe) engine.Stream[item] {
	ms := func(n int64) time.Duration { return time.Duration(n) * time.Millisecond }
	agg := engine.Aggregate[int64, item, [2]int64, item]{
		Add:   func(acc [2]int64, r item) [2]int64 { p.must(); return [2]int64{acc[0] + 1, acc[1] + r.weight()} },
		Merge: func(a, b [2]int64) [2]int64 { return [2]int64{a[0] + b[0], a[1] + b[1]} },
		Result: func(k int64, w engine.Window, acc [2]int64) item {
			return pane(number, paneSum{k, w.Start, w.End, acc[0], acc[1]})
		},
	}
	w, opts := v.windows, v.opts
	if v.kind == "late window" {
		opts = append(slices.Clone(opts), engine.LateTo(lateItems), engine.AllowedLateness(ms(w.lateness)))
	}
	switch {
	case w.gap > 0:
		return engine.Session(in, uid, ms(w.gap), agg, opts...)
	case w.size == w.slide:
		return engine.Tumbling(in, uid, ms(w.size), agg, opts...)
	default:
		return engine.Sliding(in, uid, ms(w.size), ms(w.slide), agg, opts...)
	}
}

// sink ends a stream, after counting its records by key or directly.
func (v vertex) sink(number string, in engine.Stream[item], p *probe) {
	var s engine.Stream[tally]
	if v.kind == "count" {
		s = engine.Apply(engine.KeyBy(in, itemKey), "count-"+number, func() engine.Process[int64, item, tally] { return &tallier{probe: p} }, v.opts...)
	} else {
		s = engine.Map(partitioned(in, v.by[0]), func(r item) tally { p.must(); return tally{r.Split, r.Seq, r.Key, r.Sum, 0} }, v.opts...)
	}
	s.To("out-"+number, v.out, v.opts...)
}
