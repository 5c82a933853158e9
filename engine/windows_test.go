package engine_test

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tidemark-io/tidemark/engine"
)

// paneSum is one result of a window: how many records, and the sum of their
// numbers.
type paneSum struct {
	Key, Start, End, N, Sum int64
}

func comparePanes(a, b paneSum) int {
	return cmp.Or(cmp.Compare(a.Key, b.Key), cmp.Compare(a.Start, b.Start), cmp.Compare(a.End, b.End), cmp.Compare(a.N, b.N), cmp.Compare(a.Sum, b.Sum))
}

// disorderly is a series of one split whose times jump back by up to 900 ms,
// with pauses now and then. Seq is the time, Split the number of the record.
func disorderly(n, limit int64) *series[numbered] {
	return newSeries(1, n, limit, func(_ int, i uint64) numbered { return disorderlyRecord(i) })
}

func disorderlyRecord(i uint64) numbered {
	h := (i + 1) * 0x9E3779B97F4A7C15
	at := int64(i)*3 + int64(i/500)*700
	if h>>60 == 0 {
		at -= int64(h>>40) % 900
	}
	return numbered{Split: int64(i), Seq: at, Key: keyOf(3, i) % 10}
}

// allowedDisorder is less than the largest disorder: some records are late.
const allowedDisorder = 60

// watermarkAfter is the watermark that follows a record: they come with each
// record and over one channel, so that it is known what is late (R15).
func watermarkAfter(w int64, r numbered) int64 { return max(w, r.Seq-allowedDisorder-1) }

// fromDisorderly is the keyed stream of the series.
func fromDisorderly(g *engine.Graph, n, limit int64) engine.Keyed[int64, numbered] {
	w := engine.BoundedDisorder(seqTime, allowedDisorder*time.Millisecond).EveryRecords(1)
	return engine.KeyBy(engine.From(g, "numbers", disorderly(n, limit), w, engine.Parallelism(1)), func(r numbered) int64 { return r.Key })
}

// panes sums up the numbers of the records.
func panes() engine.Aggregate[int64, numbered, [2]int64, paneSum] {
	return engine.Aggregate[int64, numbered, [2]int64, paneSum]{
		Add:   func(acc [2]int64, r numbered) [2]int64 { return [2]int64{acc[0] + 1, acc[1] + r.Split} },
		Merge: func(a, b [2]int64) [2]int64 { return [2]int64{a[0] + b[0], a[1] + b[1]} },
		Result: func(k int64, w engine.Window, acc [2]int64) paneSum {
			return paneSum{k, w.Start, w.End, acc[0], acc[1]}
		},
	}
}

// windowOracle computes what windows must emit, record by record.
type windowOracle struct {
	gap, size, slide, lateness int64 // gap for sessions, else size and slide
	open                       []paneSum
	watermark                  int64
	emitted                    []paneSum
	late                       []numbered
}

func (o *windowOracle) record(r numbered) {
	if o.gap > 0 {
		o.sessionRecord(r)
	} else {
		o.windowRecord(r)
	}
	o.advance(watermarkAfter(o.watermark, r))
}

func (o *windowOracle) windowRecord(r numbered) {
	late, covered := true, false
	for start := (r.Seq - o.size - 10*o.slide) / o.slide * o.slide; start <= r.Seq; start += o.slide {
		if r.Seq >= start+o.size {
			continue
		}
		covered = true
		if start+o.size-1+o.lateness <= o.watermark {
			continue
		}
		late = false
		i := slices.IndexFunc(o.open, func(p paneSum) bool { return p.Key == r.Key && p.Start == start })
		if i < 0 {
			i = len(o.open)
			o.open = append(o.open, paneSum{Key: r.Key, Start: start, End: start + o.size})
		}
		o.add(i, r)
	}
	if late && covered {
		o.late = append(o.late, r)
	}
}

// add takes a record into an open window, which is emitted again if it has
// been.
func (o *windowOracle) add(i int, r numbered) {
	o.open[i].N++
	o.open[i].Sum += r.Split
	if o.open[i].End-1 <= o.watermark {
		o.emitted = append(o.emitted, o.open[i])
	}
}

func (o *windowOracle) sessionRecord(r numbered) {
	s := paneSum{Key: r.Key, Start: r.Seq, End: r.Seq + o.gap}
	var rest []paneSum
	merged := false
	for again := true; again; { // until nothing more touches
		again, rest = false, nil
		for _, p := range o.open {
			if p.Key == s.Key && p.Start <= s.End && p.End >= s.Start {
				s = paneSum{s.Key, min(s.Start, p.Start), max(s.End, p.End), s.N + p.N, s.Sum + p.Sum}
				merged, again = true, true
			} else {
				rest = append(rest, p)
			}
		}
		o.open = rest
	}
	if !merged && s.End-1+o.lateness <= o.watermark {
		o.late = append(o.late, r)
		return
	}
	o.open = append(o.open, s)
	o.add(len(o.open)-1, r)
}

func (o *windowOracle) advance(w int64) {
	for _, p := range o.open {
		if p.End-1 > o.watermark && p.End-1 <= w {
			o.emitted = append(o.emitted, p)
		}
	}
	o.open = slices.DeleteFunc(o.open, func(p paneSum) bool { return p.End-1+o.lateness <= w })
	o.watermark = w
}

// Windows of every kind emit exactly what a loop over the records computes, late
// firings included, and the side output has exactly the late records.
func TestWindowsOfAllKinds(t *testing.T) {
	const n = 3000
	ms := func(v int64) time.Duration { return time.Duration(v) * time.Millisecond }
	for _, kind := range []windowOracle{
		{size: 100, slide: 100},
		{size: 100, slide: 100, lateness: 120},
		{size: 300, slide: 100},
		{size: 250, slide: 100, lateness: 70},
		{size: 40, slide: 100, lateness: 70},
		{gap: 40},
		{gap: 40, lateness: 150},
		{gap: 5},
	} {
		name := fmt.Sprintf("size=%d,slide=%d,gap=%d,lateness=%d", kind.size, kind.slide, kind.gap, kind.lateness)
		t.Run(name, func(t *testing.T) {
			oracle := kind
			oracle.watermark = math.MinInt64
			for i := range uint64(n) {
				oracle.record(disorderlyRecord(i))
			}
			oracle.advance(1 << 60)
			if len(oracle.late) == 0 {
				t.Fatal("nothing is late")
			}
			t.Logf("RESULT windows kind=%s results=%d late=%d", name, len(oracle.emitted), len(oracle.late))
			eachThreeRuns(t, func(t *testing.T, unaligned bool, p [3]int) {
				out, late := newLedger[paneSum](), newLedger[numbered]()
				inThreeRuns(t, unaligned, p, 900, func(limit int64) *engine.Graph {
					g := engine.NewGraph("windows")
					tag := engine.NewTag[numbered]("late")
					opts := []engine.Option{engine.LateTo(tag), engine.AllowedLateness(ms(oracle.lateness))}
					var s engine.Stream[paneSum]
					switch keyed := fromDisorderly(g, n, limit); {
					case oracle.gap > 0:
						s = engine.Session(keyed, "windows", ms(oracle.gap), panes(), opts...)
					case oracle.size == oracle.slide:
						s = engine.Tumbling(keyed, "windows", ms(oracle.size), panes(), opts...)
					default:
						s = engine.Sliding(keyed, "windows", ms(oracle.size), ms(oracle.slide), panes(), opts...)
					}
					s.To("out", out)
					engine.SideOutput(s, tag).To("late", late)
					return g
				})
				checkSame(t, out.records(), oracle.emitted, comparePanes)
				checkSame(t, late.records(), oracle.late, compareNumbered)
			})
		})
	}
}

// Without a side output late records are counted.
func TestLateRecordsAreCounted(t *testing.T) {
	const n = 3000
	oracle := windowOracle{gap: 40, watermark: math.MinInt64}
	for i := range uint64(n) {
		oracle.record(disorderlyRecord(i))
	}
	oracle.advance(1 << 60)
	g, rec, out := engine.NewGraph("windows"), &recorder{}, &plain[paneSum]{}
	engine.Session(fromDisorderly(g, n, all), "windows", 40*time.Millisecond, panes()).To("out", out)
	run(t, g, engine.Config{Parallelism: 2, Observer: rec})
	checkSame(t, out.got, oracle.emitted, comparePanes)
	var late int64
	for _, e := range eventsOf[engine.LateRecords](rec) {
		late += e.Count
	}
	if int(late) != len(oracle.late) {
		t.Errorf("%d late records were counted, want %d", late, len(oracle.late))
	}
}

func TestWindowMistakes(t *testing.T) {
	noMerge := panes()
	noMerge.Merge = nil
	for want, build := range map[string]func(k engine.Keyed[int64, numbered]){
		"sessions need an aggregate with Merge":  func(k engine.Keyed[int64, numbered]) { engine.Session(k, "w", time.Second, noMerge) },
		"a gap of 1µs between sessions":          func(k engine.Keyed[int64, numbered]) { engine.Session(k, "w", time.Microsecond, panes()) },
		"both must be at least a millisecond":    func(k engine.Keyed[int64, numbered]) { engine.Sliding(k, "w", time.Second, 0, panes()) },
		"a record is in more than 10000 windows": func(k engine.Keyed[int64, numbered]) { engine.Sliding(k, "w", time.Hour, time.Millisecond, panes()) },
		"the allowed lateness is -1s": func(k engine.Keyed[int64, numbered]) {
			engine.Tumbling(k, "w", time.Second, panes(), engine.AllowedLateness(-time.Second))
		},
		"cannot go to a engine.Tag[string]": func(k engine.Keyed[int64, numbered]) {
			engine.Tumbling(k, "w", time.Second, panes(), engine.LateTo(engine.NewTag[string]("late")))
		},
		"late records needs a tag with a name": func(k engine.Keyed[int64, numbered]) {
			engine.Tumbling(k, "w", time.Second, panes(), engine.LateTo(engine.NewTag[numbered]("")))
		},
		"AllowedLateness and LateTo are settings of wi": func(k engine.Keyed[int64, numbered]) { engine.Apply(k, "w", newCounter, engine.AllowedLateness(0)) },
	} {
		g := engine.NewGraph("mistakes")
		build(fromDisorderly(g, 1, all))
		if err := g.Err(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}
