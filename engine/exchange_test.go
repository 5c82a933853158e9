package engine_test

import (
	"bytes"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/tidemark-io/tidemark/engine"
	"github.com/tidemark-io/tidemark/engine/exchange"
	"github.com/tidemark-io/tidemark/store/mem"
)

// small is an exchange of few and small buffers.
func small() exchange.Config {
	c := exchange.DefaultConfig()
	c.BufferSize, c.BuffersPerChannel, c.FloatingPerGate, c.MaxPerChannel, c.MaxOverdraft = 512, 2, 1, 4, 1
	return c
}

// However the operators are spread and connected, the result is the same.
func TestTopologies(t *testing.T) {
	type stream = engine.Stream[numbered]
	keep := func(numbered) bool { return true }
	same := func(r numbered) numbered { return r }
	twice := func(r numbered, out *engine.Output[numbered]) {
		if r.Seq%2 == 0 {
			out.Emit(r)
			r.Seq++
			r.Key = keyOf(int(r.Split), uint64(r.Seq))
			out.Emit(r)
		}
	}
	for name, build := range map[string]func(stream) stream{
		"direct":    nil,
		"chain":     func(s stream) stream { return engine.Map(s, same).Filter(keep) },
		"flatmap":   func(s stream) stream { return engine.FlatMap(s, twice) },
		"rebalance": func(s stream) stream { return engine.Map(s.Rebalance(), same) },
		"narrow":    func(s stream) stream { return engine.Map(s, same, engine.Parallelism(1)).Filter(keep) },
		"wide":      func(s stream) stream { return engine.Map(s, same, engine.Parallelism(5)).Filter(keep) },
		"uneven": func(s stream) stream {
			return engine.Map(engine.Map(s, same, engine.Parallelism(2)), same, engine.Parallelism(3)).Rebalance().Filter(keep)
		},
		"keyed twice": func(s stream) stream {
			byOther := engine.KeyBy(s, func(r numbered) string { return fmt.Sprint(r.Split) })
			return engine.Apply(byOther, "pass", func() engine.Process[string, numbered, numbered] { return pass{} }, engine.Parallelism(2))
		},
	} {
		for _, unchained := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s,unchained=%v", name, unchained), func(t *testing.T) {
				t.Parallel()
				const splits, n = 3, 2000
				src, out := numbers(splits, n, 500), newLedger[counted]()
				cfg := engine.Config{Parallelism: 3, DisableChaining: unchained, Exchange: small()}
				var rec *recorder
				cfg.Checkpoints, rec = often(mem.New(), src, 500)
				cfg.Observer = rec
				run(t, countJob(src, out, build), cfg)
				// A new distribution of records over subtasks may change
				// their order; the rest must hold.
				ordered := !slices.Contains([]string{"rebalance", "narrow", "wide", "uneven"}, name)
				checkRecords(t, out.records(), splits, n, ordered)
			})
		}
	}
}

// pass lets records through.
type pass struct{}

func (pass) Process(_ *engine.Context[string], r numbered, out *engine.Output[numbered]) error {
	out.Emit(r)
	return nil
}

// A function that emits far more than all buffers hold, in one call, neither
// blocks nor loses anything while checkpoints run; what finds no buffer spills.
func TestEmitMoreThanAllBuffers(t *testing.T) {
	const burst = 20000
	src, out := newSeries(2, 10, 2, func(split int, i uint64) numbered {
		return numbered{Split: int64(split), Seq: int64(i)}
	}), newLedger[counted]()
	cfg := engine.Config{Parallelism: 2, Exchange: small()}
	var rec *recorder
	cfg.Checkpoints, rec = often(mem.New(), src, 2)
	cfg.Observer = rec
	var spilled uint64
	job := start(t, countJob(src, out, func(s engine.Stream[numbered]) engine.Stream[numbered] {
		return engine.FlatMap(s, func(r numbered, out *engine.Output[numbered]) {
			first := r.Seq * burst
			for i := range int64(burst) {
				seq := first + i
				out.Emit(numbered{r.Split, seq, keyOf(int(r.Split), uint64(seq))})
			}
		})
	}), cfg)
	for over := false; !over; {
		select {
		case <-job.Done():
			over = true
		default:
			for _, s := range job.Stats().Tasks {
				spilled = max(spilled, s.SpilledBytes)
			}
			time.Sleep(time.Millisecond)
		}
	}
	if err := job.Wait(); err != nil {
		t.Fatal(err)
	}
	checkCounted(t, out.records(), 2, 10*burst)
	if spilled < 1<<16 {
		t.Errorf("only %d bytes spilled: the test shows nothing", spilled)
	}
}

// blob is a record that may be larger than a buffer.
type blob struct {
	Split, Seq, Key int64
	Data            []byte
}

func TestRecordsLargerThanBuffers(t *testing.T) {
	content := func(split int, i uint64) []byte {
		return bytes.Repeat([]byte{byte(i), byte(split), 7}, int(i*i*13%20000))
	}
	const splits, n = 2, 120
	src := newSeries(splits, n, 30, func(split int, i uint64) blob {
		return blob{int64(split), int64(i), keyOf(split, i), content(split, i)}
	})
	out := newLedger[counted]()
	g := engine.NewGraph("blobs")
	s := engine.From(g, "blobs", src, engine.BoundedDisorder(func(b blob) int64 { return b.Seq }, 0))
	whole := engine.Map(engine.Map(s.Rebalance(), func(b blob) blob { return b }), func(b blob) numbered {
		if !bytes.Equal(b.Data, content(int(b.Split), uint64(b.Seq))) {
			panic(fmt.Sprintf("record %d of split %d has other bytes", b.Seq, b.Split))
		}
		return numbered{b.Split, b.Seq, b.Key}
	})
	byKey := engine.KeyBy(whole, func(r numbered) int64 { return r.Key })
	engine.Apply(byKey, "count", newCounter).To("out", out)
	cfg := engine.Config{Parallelism: 2, Exchange: small(), DisableChaining: true}
	var rec *recorder
	cfg.Checkpoints, rec = often(mem.New(), src, 30)
	cfg.Observer = rec
	run(t, g, cfg)
	checkRecords(t, out.records(), splits, n, false)
}

// A stream may have several consumers, chained and not.
func TestSeveralConsumers(t *testing.T) {
	src := numbers(2, 1000, all)
	a, b, c := newLedger[counted](), newLedger[counted](), newLedger[numbered]()
	g := engine.NewGraph("fan-out")
	s := engine.From(g, "numbers", src, ordered())
	byKey := engine.KeyBy(s, func(r numbered) int64 { return r.Key })
	counts := engine.Apply(byKey, "count", newCounter)
	counts.To("a", a)
	counts.Filter(func(counted) bool { return true }).To("b", b, engine.Parallelism(1))
	s.To("c", c)
	run(t, g, engine.Config{Parallelism: 3, Checkpoints: engine.CheckpointConfig{Store: mem.New()}})
	checkCounted(t, a.records(), 2, 1000)
	checkCounted(t, b.records(), 2, 1000)
	if n := len(c.records()); n != 2000 {
		t.Errorf("%d records, want 2000", n)
	}
}
