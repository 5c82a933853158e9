package engine_test

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/tidemark-io/tidemark/engine"
)

// digest is what all states of a key say after one of its records.
type digest struct {
	Key, N int64
	Text   string
}

// average is an accumulator.
type average struct{ Sum, N int64 }

// allStates keeps the records of a key in every kind of keyed state.
type allStates struct {
	n    engine.Value[int64]
	last engine.MapState[string, int64] // last of each residue, by its name
	set  engine.MapState[int64, struct{}]
	list engine.ListState[string]
	top  engine.ReducingState[int64]
	mean engine.AggregatingState[int64, average, float64]
}

func (a *allStates) Open(b *engine.Binder) error {
	add := func(acc average, v int64) average { return average{acc.Sum + v, acc.N + 1} }
	result := func(acc average) float64 { return float64(acc.Sum) / float64(max(acc.N, 1)) }
	for _, err := range []error{a.n.Bind(b, "n"), a.last.Bind(b, "last"), a.set.Bind(b, "set"), a.list.Bind(b, "list"),
		a.top.Bind(b, "top", func(a, b int64) int64 { return max(a, b) }), a.mean.Bind(b, "mean", add, result)} {
		if err != nil {
			return err
		}
	}
	return nil
}

// residue is the key of a record in the map, of a length that differs.
func residue(v int64) string { return strings.Repeat("r", int(v%7)) }

func (a *allStates) Process(ctx *engine.Context[int64], r numbered, out *engine.Output[digest]) error {
	n := a.n.Get() + 1
	a.n.Set(n)
	v := r.Seq
	a.top.Add(v)
	a.mean.Add(v)
	switch {
	case n%29 == 0:
		a.last.Clear()
		a.list.Clear()
		a.top.Clear()
		a.mean.Clear()
	case n%11 == 0:
		a.last.Remove(residue(v))
		a.list.Set("replaced", fmt.Sprint(v))
	default:
		a.last.Put(residue(v), a.last.Get(residue(v))+v)
		a.list.Add(fmt.Sprint(v))
	}
	if v%3 == 0 {
		a.set.Put(v%100, struct{}{})
	} else {
		a.set.Remove(v % 100)
	}
	out.Emit(digest{ctx.Key(), n, a.text()})
	return nil
}

func (a *allStates) text() string {
	var b strings.Builder
	for k, v := range a.last.All() {
		fmt.Fprintf(&b, "%s=%d ", k, v)
	}
	for v := range a.set.All() {
		fmt.Fprintf(&b, "%d,", v)
	}
	fmt.Fprintf(&b, " %d", a.set.Len())
	for v := range a.list.All() {
		fmt.Fprintf(&b, " %s", v)
	}
	top, ok := a.top.Lookup()
	mean, also := a.mean.Lookup()
	fmt.Fprintf(&b, " | %d %v %v %.3f %.3f %v %d %d", top, ok, a.top.Get() == top, mean, a.mean.Get(), also, a.list.Len(), a.last.Len())
	return b.String()
}

// plainStates is the oracle of allStates: Go's own map and slice.
type plainStates struct {
	n, top  int64
	topSet  bool
	last    map[string]int64
	set     map[int64]bool
	list    []string
	sum, of int64
}

func (p *plainStates) process(v int64) {
	if p.last == nil {
		p.last, p.set = map[string]int64{}, map[int64]bool{}
	}
	p.n++
	if !p.topSet || v > p.top {
		p.top, p.topSet = v, true
	}
	p.sum, p.of = p.sum+v, p.of+1
	switch {
	case p.n%29 == 0:
		p.last, p.list, p.top, p.topSet, p.sum, p.of = map[string]int64{}, nil, 0, false, 0, 0
	case p.n%11 == 0:
		delete(p.last, residue(v))
		p.list = []string{"replaced", fmt.Sprint(v)}
	default:
		p.last[residue(v)] += v
		p.list = append(p.list, fmt.Sprint(v))
	}
	if delete(p.set, v%100); v%3 == 0 {
		p.set[v%100] = true
	}
}

func (p *plainStates) text() string {
	var b strings.Builder
	for _, k := range slices.Sorted(maps.Keys(p.last)) { // residues are encoded in the order of their lengths
		fmt.Fprintf(&b, "%s=%d ", k, p.last[k])
	}
	// Integers are encoded little-endian; these fit into the first byte.
	for _, v := range slices.Sorted(maps.Keys(p.set)) {
		fmt.Fprintf(&b, "%d,", v)
	}
	fmt.Fprintf(&b, " %d", len(p.set))
	for _, v := range p.list {
		fmt.Fprintf(&b, " %s", v)
	}
	mean := float64(p.sum) / float64(max(p.of, 1))
	fmt.Fprintf(&b, " | %d %v true %.3f %.3f %v %d %d", p.top, p.topSet, mean, mean, p.of > 0, len(p.list), len(p.last))
	return b.String()
}

// Every kind of keyed state does what Go's own types do, after each record, at
// every parallelism and across restores. There is one split, so that the order
// per key is known.
func TestKeyedStates(t *testing.T) {
	const n = 4000
	var want []digest
	states := map[int64]*plainStates{}
	for i := range uint64(n) {
		k := keyOf(0, i)
		if states[k] == nil {
			states[k] = &plainStates{}
		}
		states[k].process(int64(i))
		want = append(want, digest{k, states[k].n, states[k].text()})
	}
	eachThreeRuns(t, func(t *testing.T, unaligned bool, p [3]int) {
		out := newLedger[digest]()
		inThreeRuns(t, unaligned, p, 1300, func(limit int64) *engine.Graph {
			g := engine.NewGraph("states")
			byKey := engine.KeyBy(fromNumbers(g, "numbers", 1, n, limit), func(r numbered) int64 { return r.Key })
			engine.Apply(byKey, "states", func() engine.Process[int64, numbered, digest] { return &allStates{} }).To("out", out)
			return g
		})
		checkSame(t, out.records(), want, func(a, b digest) int {
			return cmp.Or(cmp.Compare(a.Key, b.Key), cmp.Compare(a.N, b.N), cmp.Compare(a.Text, b.Text))
		})
	})
}

// each is a Process made of a function, with states to bind.
type each struct {
	open    func(b *engine.Binder) error
	process func(ctx *engine.Context[int64], r numbered) string
}

func (e *each) Open(b *engine.Binder) error { return e.open(b) }

func (e *each) Process(ctx *engine.Context[int64], r numbered, out *engine.Output[string]) error {
	if s := e.process(ctx, r); s != "" {
		out.Emit(s)
	}
	return nil
}

// oneKey runs a function over n records of one key.
func oneKey(t *testing.T, n int64, e *each) []string {
	t.Helper()
	g := engine.NewGraph("one")
	out := &plain[string]{}
	byKey := engine.KeyBy(fromNumbers(g, "numbers", 1, n, all), func(numbered) int64 { return 1 })
	engine.Apply(byKey, "each", func() engine.Process[int64, numbered, string] { return e }).To("out", out)
	run(t, g, engine.Config{})
	return out.got
}

// A list of any length has its elements, found again for each record.
func TestListStateOfManyLengths(t *testing.T) {
	var list, other engine.ListState[int64]
	bad := oneKey(t, 3000, &each{
		open: func(b *engine.Binder) error {
			if err := list.Bind(b, "list"); err != nil {
				return err
			}
			return other.Bind(b, "other")
		},
		process: func(_ *engine.Context[int64], r numbered) string {
			if list.Len() != int(r.Seq) || list.At(int(r.Seq)) != 0 || list.At(-1) != 0 {
				return fmt.Sprintf("length %d at %d", list.Len(), r.Seq)
			}
			list.Add(r.Seq * 10)
			if mid := int(r.Seq / 2); list.At(mid) != int64(mid)*10 || list.At(int(r.Seq)) != r.Seq*10 {
				return fmt.Sprintf("wrong element at %d", r.Seq)
			}
			other.Set(make([]int64, r.Seq%17)...)
			if other.Len() != int(r.Seq%17) {
				return fmt.Sprintf("other has length %d at %d", other.Len(), r.Seq)
			}
			return ""
		},
	})
	if len(bad) > 0 {
		t.Errorf("%d wrong, first: %s", len(bad), bad[0])
	}
}

// A map may be changed while it is iterated over.
func TestMapStateChangedWhileIterating(t *testing.T) {
	var m engine.MapState[[2]byte, []byte]
	got := oneKey(t, 1, &each{
		open: func(b *engine.Binder) error { return m.Bind(b, "map") },
		process: func(*engine.Context[int64], numbered) string {
			for i := range byte(100) {
				m.Put([2]byte{i, 99 - i}, bytes.Repeat([]byte{i}, int(i)))
			}
			var order []string
			for k, v := range m.All() {
				if len(v) != int(k[0]) {
					return fmt.Sprintf("key %v has %d bytes", k, len(v))
				}
				order = append(order, fmt.Sprint(k[0]))
				m.Remove(k)
				m.Put([2]byte{200, k[0]}, nil)
			}
			_, there := m.Lookup([2]byte{5, 94})
			_, added := m.Lookup([2]byte{200, 5})
			if there || !added || m.Len() != 100 {
				return fmt.Sprintf("%v %v %d", there, added, m.Len())
			}
			for range m.All() {
				m.Clear()
				break
			}
			return fmt.Sprint(strings.Join(order[:12], " "), m.Len())
		},
	})
	if want := "0 1 2 3 4 5 6 7 8 9 10 110"; len(got) != 1 || got[0] != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// States that cannot be bound say so when the job starts.
func TestStateMistakes(t *testing.T) {
	for want, open := range map[string]func(b *engine.Binder) error{
		`state "m": `: func(b *engine.Binder) error {
			var m engine.MapState[map[string]int, int]
			return m.Bind(b, "m")
		},
		`state "v": `: func(b *engine.Binder) error {
			var m engine.MapState[string, chan int]
			return m.Bind(b, "v")
		},
		`state "l": `: func(b *engine.Binder) error {
			var l engine.ListState[func()]
			return l.Bind(b, "l")
		},
		`state "same" is bound twice`: func(b *engine.Binder) error {
			var l engine.ListState[int]
			var m engine.MapState[int, int]
			if err := l.Bind(b, "same"); err != nil {
				return err
			}
			return m.Bind(b, "same")
		},
		`the engine's timers have it`: func(b *engine.Binder) error {
			var v engine.ReducingState[int64]
			return v.Bind(b, "timers", func(a, b int64) int64 { return a + b })
		},
		`needs an operator with a broadcast input`: func(b *engine.Binder) error {
			var s engine.BroadcastState[string, int]
			return s.Bind(b, "rules")
		},
	} {
		g := engine.NewGraph("mistakes")
		byKey := engine.KeyBy(fromNumbers(g, "numbers", 1, 1, all), func(r numbered) int64 { return r.Key })
		engine.Apply(byKey, "each", func() engine.Process[int64, numbered, string] { return &each{open: open} }).To("out", &plain[string]{})
		err := start(t, g, engine.Config{}).Wait()
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}
