package engine_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/tidemark-io/tidemark/engine"
	"github.com/tidemark-io/tidemark/format"
)

// arrivals is a sink that keeps the records of each subtask apart.
type arrivals struct {
	mu  sync.Mutex
	got [][]numbered
}

type arrivalsWriter struct {
	a       *arrivals
	subtask int
}

func (a *arrivals) Open(_ context.Context, sc engine.SinkContext) (engine.SinkWriter[numbered], error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.got == nil {
		a.got = make([][]numbered, sc.Parallelism)
	}
	return arrivalsWriter{a, sc.Subtask}, nil
}

func (w arrivalsWriter) Write(r numbered, _ int64) error {
	w.a.mu.Lock()
	defer w.a.mu.Unlock()
	w.a.got[w.subtask] = append(w.a.got[w.subtask], r)
	return nil
}

func (w arrivalsWriter) Flush() error { return nil }
func (w arrivalsWriter) Close() error { return nil }

// bySplit puts the records of a subtask in the order of their splits, within
// which the order is that of arrival.
func (a *arrivals) bySplit(subtask int) [][]int64 {
	var splits [][]int64
	for _, r := range a.got[subtask] {
		for int(r.Split) >= len(splits) {
			splits = append(splits, nil)
		}
		splits[r.Split] = append(splits[r.Split], r.Seq)
	}
	return splits
}

// spread runs split i → source subtask i → partitioner → sink.
func spread(t *testing.T, from, to int, by func(engine.Stream[numbered]) engine.Stream[numbered]) *arrivals {
	t.Helper()
	const n = 1200
	out := &arrivals{}
	g := engine.NewGraph("spread")
	s := engine.From(g, "numbers", numbers(from, n, all), ordered(), engine.Parallelism(from))
	by(s).To("out", out, engine.Parallelism(to))
	run(t, g, engine.Config{})
	return out
}

// Each record arrives at exactly the subtasks that its partitioner says, those
// of one split in their order.
func TestPartitioners(t *testing.T) {
	const n = 1200
	all := func(from, to int) int { return from * n / to }
	tests := []struct {
		name string
		by   func(engine.Stream[numbered]) engine.Stream[numbered]
		// belongs says whether a record may arrive at a subtask.
		belongs func(r numbered, subtask, from, to int) bool
		total   func(from, to int) int // at the first subtask, -1 for any number
	}{
		{"rebalance", engine.Stream[numbered].Rebalance,
			func(r numbered, subtask, _, to int) bool { return (int(r.Split)+int(r.Seq))%to == subtask }, all},
		{"global", engine.Stream[numbered].Global,
			func(_ numbered, subtask, _, _ int) bool { return subtask == 0 }, func(from, _ int) int { return from * n }},
		{"broadcast", engine.Stream[numbered].Broadcast,
			func(numbered, int, int, int) bool { return true }, func(from, _ int) int { return from * n }},
		{"shuffle", engine.Stream[numbered].Shuffle,
			func(numbered, int, int, int) bool { return true }, func(int, int) int { return -1 }},
		{"custom", func(s engine.Stream[numbered]) engine.Stream[numbered] {
			return s.PartitionCustom(func(r numbered, n int) int { return int(r.Key) % n })
		}, func(r numbered, subtask, _, to int) bool { return int(r.Key)%to == subtask }, func(int, int) int { return -1 }},
		{"rescale", engine.Stream[numbered].Rescale, func(r numbered, subtask, from, to int) bool {
			if from >= to {
				return subtask*from/to <= int(r.Split) && int(r.Split) < (subtask+1)*from/to
			}
			first := (int(r.Split)*to + from - 1) / from
			n := ((int(r.Split)+1)*to+from-1)/from - first
			return first+int(r.Seq)%n == subtask
		}, func(int, int) int { return -1 }},
	}
	for _, test := range tests {
		for _, size := range [][2]int{{1, 1}, {1, 3}, {3, 1}, {2, 4}, {4, 2}, {3, 4}, {5, 3}} {
			from, to := size[0], size[1]
			t.Run(fmt.Sprintf("%s/%d-to-%d", test.name, from, to), func(t *testing.T) {
				t.Parallel()
				out := spread(t, from, to, test.by)
				total := 0
				for subtask := range to {
					for split, list := range out.bySplit(subtask) {
						total += len(list)
						if !slices.IsSorted(list) {
							t.Errorf("subtask %d: the records of split %d are out of order", subtask, split)
						}
						for _, seq := range list {
							r := numbered{int64(split), seq, keyOf(split, uint64(seq))}
							if !test.belongs(r, subtask, from, to) {
								t.Fatalf("%v arrived at subtask %d", r, subtask)
							}
						}
					}
				}
				want := from * n
				if test.name == "broadcast" {
					want *= to
				}
				if total != want {
					t.Errorf("%d records, want %d", total, want)
				}
				if want := test.total(from, to); want >= 0 && len(out.got[0]) != want {
					t.Errorf("%d records at the first subtask, want %d", len(out.got[0]), want)
				}
			})
		}
	}
}

// A shuffle is as even as chance, the same in each run, and differs between the
// senders.
func TestShuffleIsSeeded(t *testing.T) {
	shuffle := engine.Stream[numbered].Shuffle
	a, b := spread(t, 2, 4, shuffle), spread(t, 2, 4, shuffle)
	for subtask := range 4 {
		x, y := a.bySplit(subtask), b.bySplit(subtask)
		if fmt.Sprint(x) != fmt.Sprint(y) {
			t.Errorf("subtask %d got different records in two runs", subtask)
		}
		if slices.Equal(x[0], x[1]) {
			t.Errorf("both senders chose alike for subtask %d", subtask)
		}
		if n := len(a.got[subtask]); n < 500 || n > 700 { // 600 ± 4.7 standard deviations
			t.Errorf("subtask %d got %d of 2400 records", subtask, n)
		}
	}
}

func TestCustomPartitionerOutOfRange(t *testing.T) {
	for _, wrong := range []int{-1, 2} {
		g := engine.NewGraph("wrong")
		s := engine.From(g, "numbers", numbers(1, 10, all), ordered(), engine.Parallelism(1))
		s.PartitionCustom(func(numbered, int) int { return wrong }).To("out", &arrivals{}, engine.Parallelism(2))
		err := start(t, g, engine.Config{}).Wait()
		if want := fmt.Sprintf("the partitioner chose subtask %d of 2", wrong); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}

// With every partitioner before a keyed count, stopped and restored at other
// parallelisms, each record is counted once, and checkpoints name the
// partitioner.
func TestPartitionersThroughRestores(t *testing.T) {
	const splits, n = 3, 1500
	eachThreeRuns(t, func(t *testing.T, unaligned bool, p [3]int) {
		out := newLedger[counted]()
		st := inThreeRuns(t, unaligned, p, 400, func(limit int64) *engine.Graph {
			g := engine.NewGraph("partitioners")
			s := fromNumbers(g, "numbers", splits, n, limit)
			same := func(r numbered) numbered { return r }
			s = engine.Map(s.Shuffle(), same)
			s = engine.Map(s.Rescale(), same, engine.Parallelism(4))
			s = engine.Map(s.Rescale(), same, engine.Parallelism(3))
			s = engine.Map(s.PartitionCustom(func(r numbered, n int) int { return int(r.Seq) % n }), same)
			s = engine.Map(s.Global(), same)
			s = engine.Map(s.Broadcast(), same, engine.Parallelism(1)) // one copy
			engine.Apply(engine.KeyBy(s, func(r numbered) int64 { return r.Key }), "count", newCounter).To("out", out)
			return g
		})
		var got, want []numbered
		for _, r := range out.records() {
			got = append(got, numbered{r.Split, r.Seq, r.Key})
		}
		for s := range int64(splits) {
			for i := range int64(n) {
				want = append(want, numbered{s, i, keyOf(int(s), uint64(i))})
			}
		}
		checkSame(t, got, want, compareNumbered)
		partitioners := map[string]format.Partitioner{
			"numbers>map-1#0": format.Shuffle, "map-1>map-2#0": format.Rescale, "map-2>map-3#0": format.Rescale,
			"map-3>map-4#0": format.Custom, "map-4>map-5#0": format.Global, "map-5>map-6#0": format.Broadcast,
			"map-6>count#0": format.Keyed,
		}
		found := edges(t, st)
		for id, partitioner := range partitioners {
			if found[id].Partitioner != partitioner {
				t.Errorf("edge %s has partitioner %v, want %v", id, found[id].Partitioner, partitioner)
			}
		}
	})
}
