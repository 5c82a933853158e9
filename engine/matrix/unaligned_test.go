package matrix_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/tidemark-io/tidemark/engine"
	"github.com/tidemark-io/tidemark/engine/connector/collect"
	"github.com/tidemark-io/tidemark/engine/exchange"
	"github.com/tidemark-io/tidemark/store/mem"
)

// unalignedRow is a row of Flink's UnalignedCheckpointITCase.
type unalignedRow struct {
	topology    string // "pipeline", "multi input", "union"
	parallelism int
	channels    string // "local", "remote", "mixed"
	timeout     time.Duration
}

var unalignedRows = []unalignedRow{
	{"pipeline", 1, "local", 0},
	{"pipeline", 1, "remote", 0},
	{"pipeline", 5, "local", 0},
	{"pipeline", 5, "remote", 0},
	{"pipeline", 20, "mixed", 0},
	{"pipeline", 20, "mixed", time.Millisecond},
	{"pipeline", 20, "mixed", 5 * time.Millisecond},
	{"multi input", 5, "mixed", 0},
	{"multi input", 10, "mixed", 0},
	{"union", 5, "mixed", 0},
	{"union", 10, "mixed", 0},
}

// exchangeOf is the network of a row. Where the exchange that works with credits
// is not available the channels are local, and the line of figures says so.
func exchangeOf(channels string) (c exchange.Config, effective string) {
	c = network()
	if channels == "local" {
		return c, channels
	}
	remote := c
	remote.Exchange = exchange.Credit
	if remote.Check() == nil {
		return remote, "remote"
	}
	return c, "local"
}

// failing are the functions of a job that fails five times: a map, a snapshot, a
// map again, a restore, and a close when the input has ended.
type failing struct {
	trip *trip
	n    int64 // checkpoints of the whole run
	p    *pump
}

func (f failing) mapped(word int64) int64 {
	if f.trip.due("first map", 0, f.n/4) || f.trip.due("second map", 2, 3*f.n/4) {
		panic(errPlanned)
	}
	drag(2)
	return seal(open(word))
}

// identity keeps the last number of its key and lets it through.
type identity struct {
	last engine.Value[int64]
	f    failing
}

func (i *identity) Open(b *engine.Binder) error {
	if i.f.trip.due("restore", 3, 0) {
		return errPlanned
	}
	return i.last.Bind(b, "last")
}

func (i *identity) Process(ctx *engine.Context[int64], word int64, out *engine.Output[int64]) error {
	drag(2)
	last, known := i.last.Lookup()
	if v := open(word); known && v != last+i.stride() || !known && v != ctx.Key() {
		return fmt.Errorf("number %d of key %d came after %d", v, ctx.Key(), last)
	}
	i.last.Set(open(word))
	out.Emit(word)
	return nil
}

func (i *identity) stride() int64 { return int64(i.f.p.splits) }

func (i *identity) Close() error {
	if i.f.p.ended() && i.f.trip.due("close", 4, i.f.n) {
		return errPlanned
	}
	return nil
}

// failingSink fails one snapshot.
type failingSink struct {
	engine.Sink[int64]
	due func() bool
}

func (s failingSink) Open(ctx context.Context, sc engine.SinkContext) (engine.SinkWriter[int64], error) {
	w, err := s.Sink.Open(ctx, sc)
	if err != nil {
		return nil, err
	}
	return failingWriter{w, w.(engine.Committer), s.due}, nil
}

type failingWriter struct {
	engine.SinkWriter[int64]
	engine.Committer
	due func() bool
}

func (w failingWriter) Prepare(id uint64) (func(context.Context) ([][]byte, error), error) {
	if w.due() {
		panic(errPlanned) // an error would fail the checkpoint only
	}
	return w.Committer.Prepare(id)
}

// tail is keyBy → stateful identity → shift → failing map → chunks → sink. It
// keeps the order of each split: the shift sends all numbers of a split to one
// subtask, the chunks spread them in turn.
func (f failing) tail(s engine.Stream[int64], out engine.Sink[int64]) {
	n := int64(f.p.splits)
	byResidue := engine.KeyBy(s, func(word int64) int64 { return open(word) % n })
	same := engine.Apply(byResidue, "identity", func() engine.Process[int64, int64, int64] { return &identity{f: f} })
	shifted := same.PartitionCustom(func(word int64, p int) int { return int((open(word) + 1) % int64(p)) })
	engine.Map(shifted, f.mapped).
		PartitionCustom(func(word int64, p int) int { return int(open(word) / int64(p) % int64(p)) }).
		To("out", failingSink{out, func() bool { return f.trip.due("snapshot", 1, f.n/2) }})
}

// minEmit lets a number through when all inputs have reached it. Numbers of one
// key come in order from each.
type minEmit struct {
	sources int
	last    engine.Value[[3]int64] // by source, one more than the number
}

func (m *minEmit) Open(b *engine.Binder) error { return m.last.Bind(b, "last") }

func (m *minEmit) take(source int, word int64, out *engine.Output[int64]) error {
	last, v := m.last.Get(), open(word)
	if last[source] > v {
		return fmt.Errorf("number %d of source %d came after %d", v, source, last[source]-1)
	}
	last[source] = v + 1
	m.last.Set(last)
	for _, l := range last[:m.sources] {
		if l < v+1 {
			return nil
		}
	}
	out.Emit(word)
	return nil
}

func (m *minEmit) Process1(_ *engine.Context[int64], word int64, out *engine.Output[int64]) error {
	return m.take(0, word, out)
}

func (m *minEmit) Process2(_ *engine.Context[int64], word int64, out *engine.Output[int64]) error {
	return m.take(1, word, out)
}

// tagged is a word with the number of its source.
type tagged struct {
	Source int32
	Word   int64
}

// Process is that of a union.
func (m *minEmit) Process(_ *engine.Context[int64], r tagged, out *engine.Output[int64]) error {
	return m.take(int(r.Source), r.Word, out)
}

// sources is the part of the topology before the tail.
func (row unalignedRow) sources(g *engine.Graph, p *pump) engine.Stream[int64] {
	n := int64(p.splits)
	residue := func(word int64) int64 { return open(word) % n }
	from := func(i int) engine.Stream[int64] {
		return engine.From(g, fmt.Sprint("source-", i), words(p), engine.Watermarks[int64]{})
	}
	switch row.topology {
	case "multi input":
		s := from(0)
		for i := 1; i < 3; i++ {
			s = engine.CoApply(engine.KeyBy(s, residue), engine.KeyBy(from(i), residue), fmt.Sprint("min-", i),
				func() engine.CoProcess[int64, int64, int64, int64] { return &minEmit{sources: 2} })
		}
		return s
	case "union":
		var list []engine.Stream[tagged]
		for i := range 3 {
			list = append(list, engine.Map(from(i), func(word int64) tagged { return tagged{int32(i), word} }))
		}
		byResidue := engine.KeyBy(engine.Union(list[0], list[1:]...), func(r tagged) int64 { return residue(r.Word) })
		return engine.Apply(byResidue, "min", func() engine.Process[int64, tagged, int64] { return &minEmit{sources: 3} })
	default:
		return engine.Map(from(0), func(word int64) int64 { return seal(open(word)) })
	}
}

// TestUnalignedCheckpointITCase: a job that fails five times, under backpressure,
// has every number once and those of a split in order.
func TestUnalignedCheckpointITCase(t *testing.T) {
	for _, row := range unalignedRows {
		name := fmt.Sprintf("%s/p=%d/%s/timeout=%v", row.topology, row.parallelism, row.channels, row.timeout)
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n, step := int64(10), int64(max(20, 2000/row.parallelism))
			switch {
			case long():
				n, step = 40, 1000
			case testing.Short():
				step = max(20, step/4)
			}
			p, f := newPump(row.parallelism, step), &trip{}
			job := failing{f, n, p}
			out, st := collect.New[int64](), mem.New()
			g := engine.NewGraph("unaligned")
			job.tail(row.sources(g, p), out)
			cfg := engine.Config{Parallelism: row.parallelism, Restart: engine.RestartConfig{Attempts: 5}}
			cfg.Checkpoints = engine.CheckpointConfig{Store: st, Unaligned: true, AlignedTimeout: row.timeout, TolerableFailures: 3, Retained: 1000}
			var channels string
			cfg.Exchange, channels = exchangeOf(row.channels)
			r := &runner{t: t, pumps: []*pump{p}, trip: f, until: n, restarts: 4}
			if err := r.run(g, cfg); err != nil {
				t.Fatal(err)
			}
			if f.failed.Load() != 5 || r.restarted != 5 {
				t.Errorf("%d failures and %d restarts, want 5: %v", f.failed.Load(), r.restarted, f.done)
			}
			got, bySubtask := opened(out, row.parallelism)
			var c tally
			c.count(t, got, p.total())
			c.strictOrder(bySubtask, int64(row.parallelism))
			c.check(t)
			captured := inFlight(t, st)
			if row.timeout == 0 && sum(captured) == 0 {
				t.Error("nothing was in flight: the test shows nothing")
			}
			t.Logf("RESULT TestUnalignedCheckpointITCase row=%q channels=%s records=%d checkpoints=%d failures=%d in-flight=%d %v",
				name, channels, len(got), len(captured), f.failed.Load(), sum(captured), c)
		})
	}
}

// strictOrder counts numbers that do not follow the one before: of each residue
// class a subtask of p gets every p-th number, so they differ by p².
func (c *tally) strictOrder(bySubtask [][]int64, p int64) {
	for _, list := range bySubtask {
		last := map[int64]int64{}
		for _, v := range list {
			if before, ok := last[v%p]; ok && v != before+p*p {
				c.disorder++
			}
			last[v%p] = v
		}
	}
}
