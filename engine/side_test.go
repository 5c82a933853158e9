package engine_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/tidemark-io/tidemark/engine"
)

var (
	evens  = engine.NewTag[int64]("evens")
	bigTag = engine.NewTag[numbered]("big")
)

// splitter counts the records of each key and sends some to side outputs.
type splitter struct{ keyCounter }

func (s *splitter) Process(ctx *engine.Context[int64], r numbered, out *engine.Output[counted]) error {
	if r.Seq%2 == 0 {
		engine.EmitTo(out, evens, r.Seq)
	}
	if r.Seq >= 1000 {
		engine.EmitTo(out, bigTag, r)
	}
	engine.EmitTo(out, engine.NewTag[string]("nobody"), "dropped")
	return s.keyCounter.Process(ctx, r, out)
}

// The stream of a tag has what was emitted to it, with the timestamps of the
// records, and can be keyed, windowed and consumed twice.
func TestSideOutputs(t *testing.T) {
	const splits, n = 3, 1500
	eachThreeRuns(t, func(t *testing.T, unaligned bool, p [3]int) {
		mainOut, evenOut, windows := newLedger[counted](), newLedger[int64](), newLedger[windowSum]()
		inThreeRuns(t, unaligned, p, 400, func(limit int64) *engine.Graph {
			g := engine.NewGraph("sides")
			byKey := engine.KeyBy(fromNumbers(g, "numbers", splits, n, limit), func(r numbered) int64 { return r.Key })
			s := engine.Apply(byKey, "split", func() engine.Process[int64, numbered, counted] { return &splitter{} })
			s.To("main", mainOut)
			engine.SideOutput(s, evens).Filter(func(v int64) bool { return v%4 == 0 }).To("fours", evenOut)
			bigByKey := engine.KeyBy(engine.Union(engine.SideOutput(s, bigTag), engine.SideOutput(s, bigTag)), func(r numbered) int64 { return r.Key })
			engine.Tumbling(bigByKey, "windows", 100*time.Millisecond, countPerWindow()).To("sums", windows)
			return g
		})
		checkCounted(t, mainOut.records(), splits, n)
		seen := map[int64]int{}
		for _, v := range evenOut.records() {
			seen[v]++
		}
		for v := range int64(n) {
			if want := map[bool]int{true: splits}[v%4 == 0]; seen[v] != want {
				t.Fatalf("%d came %d times, want %d", v, seen[v], want)
			}
		}
		got, want := map[[2]int64]int64{}, map[[2]int64]int64{}
		for _, w := range windows.records() {
			got[[2]int64{w.Key, w.Start}] += w.N
		}
		for s := range splits {
			for i := uint64(1000); i < n; i++ {
				want[[2]int64{keyOf(s, i), int64(i) / 100 * 100}] += 2
			}
		}
		if len(got) != len(want) {
			t.Errorf("%d windows, want %d", len(got), len(want))
		}
		for w, n := range want {
			if got[w] != n {
				t.Fatalf("window %v has %d records, want %d", w, got[w], n)
			}
		}
	})
}

// A flat map has side outputs, too.
func TestSideOutputOfFlatMap(t *testing.T) {
	g := engine.NewGraph("flat")
	odd := engine.NewTag[string]("odd")
	s := engine.FlatMap(fromNumbers(g, "numbers", 1, 10, all), func(r numbered, out *engine.Output[int64]) {
		if r.Seq%2 == 1 {
			engine.EmitTo(out, odd, strings.Repeat("x", int(r.Seq)))
			return
		}
		out.Emit(r.Seq)
	})
	numbersOut, words := &plain[int64]{}, &plain[string]{}
	s.To("numbers-out", numbersOut)
	engine.SideOutput(s, odd).To("words", words)
	run(t, g, engine.Config{})
	if len(numbersOut.got) != 5 || len(words.got) != 5 || words.got[4] != "xxxxxxxxx" {
		t.Errorf("got %v and %q", numbersOut.got, words.got)
	}
}

func TestSideOutputMistakes(t *testing.T) {
	type job func(g *engine.Graph, s engine.Stream[numbered])
	flat := func(s engine.Stream[numbered]) engine.Stream[int64] {
		return engine.FlatMap(s, func(numbered, *engine.Output[int64]) {})
	}
	for want, build := range map[string]job{
		`it is not the main output of one operator that can emit to a tag`: func(_ *engine.Graph, s engine.Stream[numbered]) {
			engine.SideOutput(s, evens)
		},
		`side output "evens" of "numbers": it is not the main output`: func(_ *engine.Graph, s engine.Stream[numbered]) {
			engine.SideOutput(s.Filter(func(numbered) bool { return true }), evens)
			engine.SideOutput(s, evens)
		},
		`side output "evens" of "flatmap-1": it is not the main output`: func(_ *engine.Graph, s engine.Stream[numbered]) {
			engine.SideOutput(engine.SideOutput(flat(s), evens), evens)
		},
		`a side output needs a tag with a name`: func(_ *engine.Graph, s engine.Stream[numbered]) {
			engine.SideOutput(flat(s), engine.NewTag[int64](""))
		},
		`side output "evens" is consumed as int64 and as string`: func(_ *engine.Graph, s engine.Stream[numbered]) {
			f := flat(s)
			engine.SideOutput(f, evens)
			engine.SideOutput(f, engine.NewTag[string]("evens"))
		},
	} {
		g := engine.NewGraph("mistakes")
		build(g, fromNumbers(g, "numbers", 1, 1, all))
		if err := g.Err(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
	g := engine.NewGraph("emitted as another type")
	s := engine.FlatMap(fromNumbers(g, "numbers", 1, 1, all), func(_ numbered, out *engine.Output[int64]) {
		engine.EmitTo(out, engine.NewTag[string]("evens"), "no number")
	})
	engine.SideOutput(s, evens).To("out", &plain[int64]{})
	err := start(t, g, engine.Config{}).Wait()
	var task *engine.TaskError
	if !errors.As(err, &task) || task.UID != "flatmap-1" || !strings.Contains(err.Error(), `side output "evens" was given a string`) {
		t.Errorf("error %v", err)
	}
}
