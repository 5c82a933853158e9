package engine_test

import (
	"cmp"
	"strings"
	"testing"

	"github.com/tidemark-io/tidemark/engine"
)

// word is the record of the second input.
type word struct {
	Key  int64
	Seq  int64
	Text string
}

// wordSeries is a series of words over the same keys.
func wordSeries(splits int, n, limit int64) *series[word] {
	return newSeries(splits, n, limit, func(split int, i uint64) word {
		return word{Key: keyOf(split+7, i), Seq: int64(i), Text: strings.Repeat("w", int(i%5))}
	})
}

// both is the result of a timer: what a key had on both inputs.
type both struct {
	Key, At                 int64
	Numbers, Words, Letters int64
}

// joiner counts what both inputs have of a key and tells it every 100 ms of
// event time.
type joiner struct {
	numbers, words, letters engine.Value[int64]
}

func (j *joiner) Open(b *engine.Binder) error {
	for name, v := range map[string]*engine.Value[int64]{"numbers": &j.numbers, "words": &j.words, "letters": &j.letters} {
		if err := v.Bind(b, name); err != nil {
			return err
		}
	}
	return nil
}

// slot is the end of the 100 ms that t is in.
func slot(t int64) int64 { return t/100*100 + 99 }

func (j *joiner) Process1(ctx *engine.Context[int64], _ numbered, _ *engine.Output[both]) error {
	j.numbers.Set(j.numbers.Get() + 1)
	ctx.RegisterTimer(slot(ctx.Timestamp()) + 10_000) // behind all records
	return nil
}

func (j *joiner) Process2(ctx *engine.Context[int64], w word, _ *engine.Output[both]) error {
	j.words.Set(j.words.Get() + 1)
	j.letters.Set(j.letters.Get() + int64(len(w.Text)))
	ctx.RegisterTimer(slot(ctx.Timestamp()) + 10_000)
	return nil
}

func (j *joiner) OnTimer(ctx *engine.Context[int64], at int64, out *engine.Output[both]) error {
	out.Emit(both{ctx.Key(), at, j.numbers.Get(), j.words.Get(), j.letters.Get()})
	return nil
}

func compareBoth(a, b both) int {
	return cmp.Or(cmp.Compare(a.Key, b.Key), cmp.Compare(a.At, b.At), cmp.Compare(a.Numbers, b.Numbers),
		cmp.Compare(a.Words, b.Words), cmp.Compare(a.Letters, b.Letters))
}

// Two inputs share the state and the timers of a key. All timers lie behind all
// records, so that what they see does not depend on the order of the inputs.
func TestCoProcess(t *testing.T) {
	const n = 1500
	eachThreeRuns(t, func(t *testing.T, unaligned bool, p [3]int) {
		out := newLedger[both]()
		inThreeRuns(t, unaligned, p, 400, func(limit int64) *engine.Graph {
			g := engine.NewGraph("both")
			a := engine.KeyBy(fromNumbers(g, "numbers", 2, n, limit), func(r numbered) int64 { return r.Key })
			second := engine.From(g, "words", wordSeries(3, n, limit), engine.BoundedDisorder(func(w word) int64 { return w.Seq }, 0))
			b := engine.KeyBy(second, func(w word) int64 { return w.Key })
			engine.CoApply(a, b, "join", func() engine.CoProcess[int64, numbered, word, both] { return &joiner{} }).To("out", out)
			return g
		})
		checkSame(t, out.records(), expectBoth(2, 3, n), compareBoth)
	})
}

// expectBoth is the same by two loops.
func expectBoth(numberSplits, wordSplits int, n uint64) []both {
	totals, slots := map[int64]both{}, map[[2]int64]bool{}
	for s := range numberSplits {
		for i := range n {
			k := keyOf(s, i)
			b := totals[k]
			b.Numbers++
			totals[k] = b
			slots[[2]int64{k, slot(int64(i))}] = true
		}
	}
	for s := range wordSplits {
		for i := range n {
			k := keyOf(s+7, i)
			b := totals[k]
			b.Words++
			b.Letters += int64(i % 5)
			totals[k] = b
			slots[[2]int64{k, slot(int64(i))}] = true
		}
	}
	var want []both
	for s := range slots {
		b := totals[s[0]]
		b.Key, b.At = s[0], s[1]+10_000
		want = append(want, b)
	}
	return want
}

// CoMap and CoFlatMap see each record of both inputs once.
func TestCoMapAndCoFlatMap(t *testing.T) {
	const n = 1200
	eachThreeRuns(t, func(t *testing.T, unaligned bool, p [3]int) {
		out := newLedger[both]()
		inThreeRuns(t, unaligned, p, 400, func(limit int64) *engine.Graph {
			g := engine.NewGraph("co")
			a := fromNumbers(g, "numbers", 2, n, limit)
			b := engine.From(g, "words", wordSeries(2, n, limit), engine.BoundedDisorder(func(w word) int64 { return w.Seq }, 0))
			mapped := engine.CoMap(a.Rebalance(), b,
				func(r numbered) both { return both{Key: r.Key, At: r.Seq, Numbers: 1} },
				func(w word) both { return both{Key: w.Key, At: w.Seq, Words: 1, Letters: int64(len(w.Text))} })
			engine.CoFlatMap(mapped.Shuffle(), b.Rebalance(),
				func(r both, out *engine.Output[both]) { out.Emit(r) },
				func(w word, out *engine.Output[both]) {
					for range w.Text {
						out.Emit(both{Key: w.Key, At: w.Seq, Letters: -1})
					}
				}).To("out", out)
			return g
		})
		var want []both
		for s := range 2 {
			for i := range uint64(n) {
				want = append(want, both{Key: keyOf(s, i), At: int64(i), Numbers: 1},
					both{Key: keyOf(s+7, i), At: int64(i), Words: 1, Letters: int64(i % 5)})
				for range i % 5 {
					want = append(want, both{Key: keyOf(s+7, i), At: int64(i), Letters: -1})
				}
			}
		}
		checkSame(t, out.records(), want, compareBoth)
	})
}

// Streams of two graphs cannot be joined.
func TestJoiningTwoGraphs(t *testing.T) {
	g, other := engine.NewGraph("one"), engine.NewGraph("other")
	a, b := fromNumbers(g, "a", 1, 1, all), fromNumbers(other, "b", 1, 1, all)
	key := func(r numbered) int64 { return r.Key }
	engine.Union(a, b).To("out", &plain[numbered]{})
	same := func(r numbered) numbered { return r }
	engine.CoMap(a, b, same, same)
	engine.CoApply(engine.KeyBy(a, key), engine.KeyBy(b, key), "join", func() engine.CoProcess[int64, numbered, numbered, both] { return nil })
	if err := g.Err(); err == nil || strings.Count(err.Error(), "belong to different graphs") != 3 {
		t.Errorf("error %v", err)
	}
}
