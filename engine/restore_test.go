package engine_test

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tidemark-io/tidemark/engine"
	"github.com/tidemark-io/tidemark/store"
	"github.com/tidemark-io/tidemark/store/mem"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// golden compares text with a file in testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(strings.ReplaceAll(string(want), "\r\n", "\n"), got); d != "" {
		t.Errorf("%s (rewrite with -update):\n%s", path, d)
	}
}

// shape is a job whose operators differ from test to test.
type shape struct {
	p, groups int
	build     func(g *engine.Graph, s engine.Stream[numbered])
}

// bound is a Process that binds what it is told to.
type bound[K any] struct {
	bind func(*engine.Binder) error
}

func (b *bound[K]) Open(x *engine.Binder) error { return b.bind(x) }
func (b *bound[K]) Process(*engine.Context[K], numbered, *engine.Output[numbered]) error {
	return nil
}

// holding is a keyed operator with some state.
func holding[K any](uid string, key func(numbered) K, bind func(*engine.Binder) error) func(*engine.Graph, engine.Stream[numbered]) {
	return func(_ *engine.Graph, s engine.Stream[numbered]) {
		engine.Apply(engine.KeyBy(s, key), uid, func() engine.Process[K, numbered, numbered] { return &bound[K]{bind: bind} }).
			To(uid+"-out", newLedger[numbered]())
	}
}

func byKey(r numbered) int64 { return r.Key }

// keeper writes a value and lists, so that checkpoints hold some.
type keeper struct {
	value engine.Value[int64]
	items engine.SplitList[string]
	all   engine.UnionList[string]
}

func (k *keeper) Open(b *engine.Binder) error {
	k.items.Items = nil
	return errors.Join(k.value.Bind(b, "value"), k.items.Bind(b, "items"), k.all.Bind(b, "all"))
}

func (k *keeper) Process(_ *engine.Context[int64], r numbered, _ *engine.Output[numbered]) error {
	k.value.Set(r.Seq)
	k.items.Items = []string{"item"}
	k.all.Own = []string{"own"}
	return nil
}

// old is the job that wrote the checkpoint.
func old(_ *engine.Graph, s engine.Stream[numbered]) {
	engine.Apply(engine.KeyBy(s, byKey), "keeper", func() engine.Process[int64, numbered, numbered] { return &keeper{} }).
		To("keeper-out", newLedger[numbered]())
}

func (s shape) run(t *testing.T, st store.Store, restore engine.RestoreConfig) error {
	t.Helper()
	g := engine.NewGraph("shapes")
	s.build(g, engine.From(g, "numbers", numbers(2, 200, all), ordered()))
	cfg := engine.Config{Parallelism: s.p, KeyGroups: s.groups, Restore: restore, Checkpoints: engine.CheckpointConfig{Store: st}}
	return start(t, g, cfg).Wait()
}

// What does not fit is refused before the first record, all of it at once, with
// what helps.
func TestRestoreChecks(t *testing.T) {
	values := func(b *engine.Binder) error {
		var v engine.Value[int64]
		var items engine.SplitList[string]
		var all engine.UnionList[string]
		return errors.Join(v.Bind(b, "value"), items.Bind(b, "items"), all.Bind(b, "all"))
	}
	var report strings.Builder
	for _, test := range []struct {
		name string
		to   shape
	}{
		{"the same job", shape{2, 0, old}},
		{"another parallelism", shape{3, 0, old}},
		{"renamed operator", shape{2, 0, holding("other", byKey, values)}},
		{"dropped state", shape{2, 0, holding("keeper", byKey, func(b *engine.Binder) error {
			var items engine.SplitList[string]
			return items.Bind(b, "items")
		})}},
		{"new state", shape{2, 0, holding("keeper", byKey, func(b *engine.Binder) error {
			var v engine.Value[string]
			return errors.Join(values(b), v.Bind(b, "new"))
		})}},
		{"other key type", shape{2, 0, holding("keeper", func(r numbered) string { return "x" }, values)}},
		{"other key groups", shape{2, 16, old}},
		{"other kinds", shape{2, 0, holding("keeper", byKey, func(b *engine.Binder) error {
			var v engine.Value[int64]
			var items engine.UnionList[string]
			var all engine.SplitList[string]
			return errors.Join(items.Bind(b, "value"), v.Bind(b, "items"), all.Bind(b, "all"))
		})}},
		{"other value types", shape{2, 0, holding("keeper", byKey, func(b *engine.Binder) error {
			var v engine.Value[string]
			var items engine.SplitList[int64]
			var all engine.UnionList[numbered]
			return errors.Join(v.Bind(b, "value"), items.Bind(b, "items"), all.Bind(b, "all"))
		})}},
		{"everything", shape{2, 16, func(g *engine.Graph, s engine.Stream[numbered]) {
			holding("keeper", func(r numbered) string { return "x" }, func(b *engine.Binder) error {
				var v engine.Value[string]
				var items engine.UnionList[string]
				return errors.Join(v.Bind(b, "value"), items.Bind(b, "items"))
			})(g, s)
		}}},
	} {
		st := mem.New()
		if err := (shape{2, 0, old}).run(t, st, engine.RestoreConfig{}); err != nil {
			t.Fatal(err)
		}
		err := test.to.run(t, st, latest)
		var problems *engine.RestoreError
		report.WriteString("== " + test.name + "\n")
		switch {
		case err == nil:
			report.WriteString("fits\n")
		case errors.As(err, &problems):
			report.WriteString(problems.Error() + "\n")
		default:
			t.Errorf("%s: %v", test.name, err)
		}
	}
	golden(t, "restore_checks.txt", report.String())
}

// A key type whose encodings have another length is found before anything of it
// is read.
func TestRestoreOtherKeyWidth(t *testing.T) {
	st := mem.New()
	words := shape{2, 0, func(_ *engine.Graph, s engine.Stream[numbered]) {
		engine.Apply(engine.KeyBy(s, func(r numbered) string { return strings.Repeat("x", int(r.Key)) }), "keeper",
			func() engine.Process[string, numbered, numbered] { return &words{} }).To("keeper-out", newLedger[numbered]())
	}}
	if err := words.run(t, st, engine.RestoreConfig{}); err != nil {
		t.Fatal(err)
	}
	var problems *engine.RestoreError
	if err := (shape{2, 0, old}).run(t, st, latest); !errors.As(err, &problems) || !strings.Contains(err.Error(), "its key is string") {
		t.Errorf("error %v", err)
	}
}

// words keeps a value and timers per string.
type words struct{ value engine.Value[int64] }

func (w *words) Open(b *engine.Binder) error { return w.value.Bind(b, "value") }

func (w *words) Process(c *engine.Context[string], r numbered, _ *engine.Output[numbered]) error {
	w.value.Set(r.Seq)
	c.RegisterTimer(1 << 40)
	return nil
}

func (w *words) OnTimer(*engine.Context[string], int64, *engine.Output[numbered]) error { return nil }

// What the job has no place for is dropped if that is allowed, and only that.
func TestAllowNonRestoredState(t *testing.T) {
	st := mem.New()
	if err := (shape{2, 0, old}).run(t, st, engine.RestoreConfig{}); err != nil {
		t.Fatal(err)
	}
	allow := engine.RestoreConfig{From: "latest", AllowNonRestoredState: true}
	renamed := shape{2, 0, holding("other", byKey, func(b *engine.Binder) error { return nil })}
	if err := renamed.run(t, st, allow); err != nil {
		t.Errorf("dropping an operator: %v", err)
	}
	var problems *engine.RestoreError
	other := shape{2, 0, holding("keeper", func(r numbered) string { return "x" }, func(b *engine.Binder) error { return nil })}
	st = mem.New()
	if err := (shape{2, 0, old}).run(t, st, engine.RestoreConfig{}); err != nil {
		t.Fatal(err)
	}
	if err := other.run(t, st, allow); !errors.As(err, &problems) {
		t.Errorf("another key type: %v", err)
	}
}

// Mistakes in the graph are found when it is built, all at once.
func TestConstructionErrors(t *testing.T) {
	g := engine.NewGraph("mistakes")
	s := engine.From(g, "numbers", numbers(1, 1, all), ordered())
	engine.Apply(engine.KeyBy(s, byKey), "", newCounter).To("out", newLedger[counted]())
	engine.Apply(engine.KeyBy(s, byKey), "numbers", newCounter).To("", newLedger[counted]())
	engine.KeyBy(s, func(numbered) map[string]int { return nil })
	engine.Map(s, func(numbered) chan int { return nil }).Filter(func(chan int) bool { return true })
	engine.Map(s, func(r numbered) numbered { return r }, engine.Parallelism(0))
	_, err := engine.Start(t.Context(), g, engine.Config{})
	if err == nil || err.Error() != g.Err().Error() {
		t.Fatalf("error %v", err)
	}
	golden(t, "construction_errors.txt", err.Error()+"\n")
}

// Two states of one name in an operator are an error, of whatever kind.
func TestStatesOfOneName(t *testing.T) {
	for name, bind := range map[string]func(*engine.Binder) error{
		"two values": func(b *engine.Binder) error {
			var v, w engine.Value[int64]
			return errors.Join(v.Bind(b, "x"), w.Bind(b, "x"))
		},
		"two lists": func(b *engine.Binder) error {
			var v, w engine.SplitList[int64]
			return errors.Join(v.Bind(b, "x"), w.Bind(b, "x"))
		},
		"two unions": func(b *engine.Binder) error {
			var v, w engine.UnionList[int64]
			return errors.Join(v.Bind(b, "x"), w.Bind(b, "x"))
		},
		"value and list": func(b *engine.Binder) error {
			var v engine.Value[int64]
			var w engine.SplitList[int64]
			return errors.Join(v.Bind(b, "x"), w.Bind(b, "x"))
		},
		"engine's name": func(b *engine.Binder) error {
			var w engine.SplitList[int64]
			return w.Bind(b, "watermark.floor")
		},
	} {
		err := (shape{2, 0, holding("keeper", byKey, bind)}).run(t, mem.New(), engine.RestoreConfig{})
		var task *engine.TaskError
		if !errors.As(err, &task) || task.UID != "keeper" || !strings.Contains(err.Error(), "state") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// listed keeps each record in a split list, and what the union list restored.
type listed struct {
	items  engine.SplitList[numbered]
	shares engine.UnionList[int64]
	b      *engine.Binder
	seen   func(subtask int, items []numbered, shares []int64)
}

func (l *listed) Open(b *engine.Binder) error {
	l.b = b
	err := errors.Join(l.items.Bind(b, "items"), l.shares.Bind(b, "shares"))
	l.seen(b.Subtask(), slices.Clone(l.items.Items), slices.Clone(l.shares.Restored))
	l.shares.Own = []int64{int64(b.Subtask())}
	return err
}

func (l *listed) Process(_ *engine.Context[int64], r numbered, _ *engine.Output[numbered]) error {
	l.items.Items = append(l.items.Items, r)
	return nil
}

// Split lists stay where they are at the same parallelism and are else dealt out
// evenly, each item once; of union lists
// every subtask gets everything.
func TestListsAtAnotherParallelism(t *testing.T) {
	for _, p := range upTo(4) {
		for _, q := range upTo(4) {
			st := mem.New()
			var got [][]numbered
			for i, parallelism := range []int{p, q} {
				type seen struct {
					subtask int
					items   []numbered
					shares  []int64
				}
				all := make(chan seen, parallelism)
				g := engine.NewGraph("lists")
				src := numbers(2, 1000, int64(100+200*i))
				s := engine.From(g, "numbers", src, ordered())
				engine.Apply(engine.KeyBy(s, byKey), "lists", func() engine.Process[int64, numbered, numbered] {
					return &listed{seen: func(subtask int, items []numbered, shares []int64) { all <- seen{subtask, items, shares} }}
				}).To("out", newLedger[numbered]())
				job := start(t, g, engine.Config{Parallelism: parallelism, Restore: latest, Checkpoints: engine.CheckpointConfig{Store: st}})
				src.rest()
				job.Stop()
				if err := job.Wait(); err != nil {
					t.Fatal(err)
				}
				got = make([][]numbered, parallelism)
				for range parallelism {
					one := <-all
					got[one.subtask] = one.items
					want := make([]int64, 0, p)
					for share := range p {
						want = append(want, int64(share))
					}
					if i == 1 && !slices.Equal(one.shares, want) || i == 0 && len(one.shares) > 0 {
						t.Errorf("%d to %d, subtask %d: shares %v", p, q, one.subtask, one.shares)
					}
				}
			}
			seen := map[numbered]bool{}
			for subtask, items := range got {
				if n := len(items); p != q && (n < 200/q || n > 200/q+1) {
					t.Errorf("%d to %d: subtask %d has %d of 200 items", p, q, subtask, n)
				}
				for _, item := range items {
					if seen[item] {
						t.Fatalf("%d to %d: item %v twice", p, q, item)
					}
					seen[item] = true
				}
			}
			if len(seen) != 200 {
				t.Errorf("%d to %d: %d items, want 200", p, q, len(seen))
			}
		}
	}
}
