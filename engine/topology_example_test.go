package engine_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tidemark-io/tidemark/engine"
	"github.com/tidemark-io/tidemark/engine/connector/collect"
	"github.com/tidemark-io/tidemark/engine/connector/slice"
)

// visitsOf is a keyed stream of visits in the order of their time.
func visitsOf(g *engine.Graph, list ...visit) engine.Keyed[string, visit] {
	w := engine.BoundedDisorder(func(v visit) int64 { return v.At }, 0).EveryRecords(1)
	return engine.KeyBy(engine.From(g, "visits", slice.New(list, 1), w), func(v visit) string { return v.User })
}

// printSorted runs a job and prints what it wrote.
func printSorted(g *engine.Graph, out *collect.Sink[string]) {
	if err := engine.Run(context.Background(), g, engine.Config{}); err != nil {
		fmt.Println(err)
	}
	lines := slices.Sorted(slices.Values(out.Records()))
	fmt.Println(strings.Join(lines, "\n"))
}

// Several streams of one type become one.
func ExampleUnion() {
	g, out := engine.NewGraph("union"), collect.New[string]()
	web := engine.From(g, "web", slice.New([]string{"ann", "bob"}, 1), engine.Watermarks[string]{})
	shop := engine.From(g, "shop", slice.New([]string{"cat"}, 1), engine.Watermarks[string]{})
	engine.Union(web, shop).To("out", out)
	printSorted(g, out)
	// Output:
	// ann
	// bob
	// cat
}

// A function chooses the subtask, here so that names with one initial stay
// together.
func ExampleStream_PartitionCustom() {
	g, out := engine.NewGraph("custom"), collect.New[string]()
	names := engine.From(g, "names", slice.New([]string{"ann", "bob", "cat"}, 1), engine.Watermarks[string]{})
	names.PartitionCustom(func(name string, n int) int { return int(name[0]) % n }).To("out", out, engine.Parallelism(2))
	printSorted(g, out)
	// Output:
	// ann
	// bob
	// cat
}

// A function emits what it cannot read to a side output.
func ExampleSideOutput() {
	unread := engine.NewTag[string]("unread")
	g, out, rest := engine.NewGraph("side"), collect.New[string](), collect.New[string]()
	lines := engine.From(g, "lines", slice.New([]string{"7", "x", "35"}, 1), engine.Watermarks[string]{})
	doubled := engine.FlatMap(lines, func(line string, out *engine.Output[string]) {
		var n int
		if _, err := fmt.Sscan(line, &n); err != nil {
			engine.EmitTo(out, unread, line)
			return
		}
		out.Emit(fmt.Sprint(2 * n))
	})
	doubled.To("out", out)
	engine.SideOutput(doubled, unread).To("rest", rest)
	printSorted(g, out)
	fmt.Println("unread:", rest.Records())
	// Output:
	// 14
	// 70
	// unread: [x]
}

// order is what a customer has bought, paid for some time later.
type order struct {
	ID    string
	Price int64
}

// payments matches orders with what was paid for them, whichever comes first.
type payments struct{ order, paid engine.Value[int64] }

func (p *payments) Open(b *engine.Binder) error {
	return errors.Join(p.order.Bind(b, "order"), p.paid.Bind(b, "paid"))
}

func (p *payments) Process1(ctx *engine.Context[string], o order, out *engine.Output[string]) error {
	p.order.Set(o.Price)
	p.match(ctx, out)
	return nil
}

func (p *payments) Process2(ctx *engine.Context[string], o order, out *engine.Output[string]) error {
	p.paid.Set(o.Price)
	p.match(ctx, out)
	return nil
}

func (p *payments) match(ctx *engine.Context[string], out *engine.Output[string]) {
	price, ordered := p.order.Lookup()
	paid, done := p.paid.Lookup()
	if ordered && done {
		out.Emit(fmt.Sprintf("%s: %d of %d paid", ctx.Key(), paid, price))
	}
}

// Two streams meet in the state of their common key.
func ExampleCoApply() {
	g, out := engine.NewGraph("payments"), collect.New[string]()
	byID := func(o order) string { return o.ID }
	orders := engine.From(g, "orders", slice.New([]order{{"a", 10}, {"b", 20}, {"c", 30}}, 1), engine.Watermarks[order]{})
	paid := engine.From(g, "paid", slice.New([]order{{"c", 30}, {"a", 5}}, 1), engine.Watermarks[order]{})
	engine.CoApply(engine.KeyBy(orders, byID), engine.KeyBy(paid, byID), "match",
		func() engine.CoProcess[string, order, order, string] { return &payments{} }).To("out", out)
	printSorted(g, out)
	// Output:
	// a: 5 of 10 paid
	// c: 30 of 30 paid
}

// limits reports who visited too often, by a limit that can be changed while
// the job runs.
type limits struct {
	limit  engine.BroadcastState[string, int64]
	visits engine.Value[int64]
}

func (l *limits) Open(b *engine.Binder) error {
	return errors.Join(l.limit.Bind(b, "limit"), l.visits.Bind(b, "visits"))
}

func (l *limits) ProcessBroadcast(ctx *engine.BroadcastContext, limit int64, _ *engine.Output[string]) error {
	l.limit.Put(ctx, "visits", limit)
	return nil
}

func (l *limits) Process(ctx *engine.Context[string], v visit, _ *engine.Output[string]) error {
	l.visits.Set(l.visits.Get() + 1)
	ctx.RegisterTimer(1_000_000) // event time gets there when both inputs have ended
	return nil
}

func (l *limits) OnTimer(ctx *engine.Context[string], _ int64, out *engine.Output[string]) error {
	if limit, ok := l.limit.Lookup("visits"); ok && l.visits.Get() > limit {
		out.Emit(fmt.Sprintf("%s: %d visits, more than %d", ctx.Key(), l.visits.Get(), limit))
	}
	return nil
}

// Every subtask sees the records of the second stream and keeps them in
// broadcast state.
func ExampleApplyKeyedBroadcast() {
	g, out := engine.NewGraph("limits"), collect.New[string]()
	byUser := visitsOf(g, visit{"ann", 1}, visit{"bob", 2}, visit{"ann", 3}, visit{"ann", 4})
	rules := engine.From(g, "limits", slice.New([]int64{5, 2}, 1), engine.Watermarks[int64]{})
	engine.ApplyKeyedBroadcast(byUser, rules, "check",
		func() engine.KeyedBroadcastProcess[string, visit, int64, string] { return &limits{} }).To("out", out)
	printSorted(g, out)
	// Output:
	// ann: 3 visits, more than 2
}

// Sessions end when nothing comes for a while; what comes too late for its
// session goes to a side output.
func ExampleSession() {
	late := engine.NewTag[visit]("late")
	g, out, missed := engine.NewGraph("sessions"), collect.New[string](), collect.New[visit]()
	byUser := visitsOf(g, visit{"ann", 100}, visit{"ann", 700}, visit{"bob", 900}, visit{"ann", 5000}, visit{"bob", 300})
	perUser := engine.Session(byUser, "sessions", time.Second, engine.Aggregate[string, visit, int64, string]{
		Add:   func(n int64, _ visit) int64 { return n + 1 },
		Merge: func(a, b int64) int64 { return a + b },
		Result: func(user string, w engine.Window, n int64) string {
			return fmt.Sprintf("%s %d–%d: %d", user, w.Start, w.End, n)
		},
	}, engine.LateTo(late))
	perUser.To("out", out)
	engine.SideOutput(perUser, late).To("missed", missed)
	printSorted(g, out)
	fmt.Println("late:", missed.Records())
	// Output:
	// ann 100–1700: 2
	// ann 5000–6000: 1
	// bob 900–1900: 1
	// late: [{bob 300}]
}

// pages remembers when each page was last seen, per user.
type pages struct {
	seen engine.MapState[string, int64]
}

func (p *pages) Open(b *engine.Binder) error { return p.seen.Bind(b, "seen") }

func (p *pages) Process(ctx *engine.Context[string], v visit, out *engine.Output[string]) error {
	page := fmt.Sprint("page-", v.At%3)
	p.seen.Put(page, v.At)
	var b strings.Builder
	for page, at := range p.seen.All() {
		fmt.Fprintf(&b, " %s=%d", page, at)
	}
	out.Emit(ctx.Key() + b.String())
	return nil
}

// A map per key, read and written entry by entry.
func ExampleMapState() {
	g, out := engine.NewGraph("pages"), collect.New[string]()
	byUser := visitsOf(g, visit{"ann", 1}, visit{"bob", 2}, visit{"ann", 3}, visit{"ann", 4})
	engine.Apply(byUser, "pages", func() engine.Process[string, visit, string] { return &pages{} }).To("out", out)
	printSorted(g, out)
	// Output:
	// ann page-0=3 page-1=1
	// ann page-0=3 page-1=4
	// ann page-1=1
	// bob page-2=2
}
