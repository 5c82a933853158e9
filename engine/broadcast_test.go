package engine_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/tidemark-io/tidemark/engine"
	"github.com/tidemark-io/tidemark/format"
	"github.com/tidemark-io/tidemark/reader"
	"github.com/tidemark-io/tidemark/store/mem"
)

// rule changes the table of rules: it sets a limit, or removes it if that is
// negative.
type rule struct {
	Name  string
	Limit int64
}

// ruleCount is how many rules there are before the first record; one follows
// that changes nothing.
const ruleCount = 200

func ruleAt(i uint64) rule {
	if i == ruleCount {
		return rule{Name: "never there", Limit: -1}
	}
	r := rule{Name: strings.Repeat("n", int(i*7%31)), Limit: int64(i)}
	if i%5 == 4 {
		r.Limit = -1
	}
	return r
}

// enforcer tells for each record what the rules say of it, and how many records
// its key has had.
type enforcer struct {
	rules engine.BroadcastState[string, rule]
	n     engine.Value[int64]
	keyed bool
}

func (e *enforcer) Open(b *engine.Binder) error {
	if e.keyed {
		if err := e.n.Bind(b, "n"); err != nil {
			return err
		}
	}
	return e.rules.Bind(b, "rules")
}

func (e *enforcer) ProcessBroadcast(ctx *engine.BroadcastContext, r rule, _ *engine.Output[digest]) error {
	if r.Limit < 0 {
		e.rules.Remove(ctx, r.Name)
	} else {
		e.rules.Put(ctx, r.Name, r)
	}
	return nil
}

func (e *enforcer) text() string {
	var b strings.Builder
	for name, r := range e.rules.All() {
		one, ok := e.rules.Lookup(name)
		fmt.Fprintf(&b, "%d=%d%v ", len(name), r.Limit, ok && one == r && e.rules.Get(name) == r)
	}
	_, ok := e.rules.Lookup("never there")
	fmt.Fprintf(&b, "%d %v", e.rules.Len(), ok)
	return b.String()
}

type keyedEnforcer struct{ enforcer }

func (e *keyedEnforcer) Process(ctx *engine.Context[int64], r numbered, out *engine.Output[digest]) error {
	e.n.Set(e.n.Get() + 1)
	out.Emit(digest{ctx.Key(), e.n.Get(), e.text()})
	return nil
}

type plainEnforcer struct{ enforcer }

func (e *plainEnforcer) Process(ctx *engine.RecordContext, r numbered, out *engine.Output[digest]) error {
	out.Emit(digest{r.Key, ctx.Timestamp(), e.text()})
	return nil
}

// Every subtask sees all rules, keeps them across restores at more and at fewer
// subtasks, and stores one equal copy each.
func TestBroadcastState(t *testing.T) {
	const n = 1500
	table := map[string]int64{}
	for i := range uint64(ruleCount) {
		if r := ruleAt(i); r.Limit < 0 {
			delete(table, r.Name)
		} else {
			table[r.Name] = r.Limit
		}
	}
	var names []string
	for name := range table {
		names = append(names, name)
	}
	slices.Sort(names)
	var text strings.Builder
	for _, name := range names {
		fmt.Fprintf(&text, "%d=%dtrue ", len(name), table[name])
	}
	fmt.Fprintf(&text, "%d false", len(table))
	var wantKeyed, wantPlain []digest
	count := map[int64]int64{}
	for i := range uint64(n) {
		k := keyOf(0, i)
		count[k]++
		wantKeyed = append(wantKeyed, digest{k, count[k], text.String()})
		wantPlain = append(wantPlain, digest{k, int64(i), text.String()})
	}
	eachThreeRuns(t, func(t *testing.T, unaligned bool, p [3]int) {
		st, keyed, plain := mem.New(), newLedger[digest](), newLedger[digest]()
		for i, parallelism := range p {
			records := numbers(1, n, []int64{0, 500, all}[i])
			rules := newSeries(1, ruleCount+1, []int64{ruleCount, ruleCount, all}[i], func(_ int, i uint64) rule { return ruleAt(i) })
			g := engine.NewGraph("rules")
			s := engine.From(g, "numbers", records, ordered())
			b := engine.From(g, "rules", rules, engine.BoundedDisorder(func(r rule) int64 { return r.Limit }, 0), engine.Parallelism(1))
			byKey := engine.KeyBy(s, func(r numbered) int64 { return r.Key })
			engine.ApplyKeyedBroadcast(byKey, b, "keyed", func() engine.KeyedBroadcastProcess[int64, numbered, rule, digest] {
				return &keyedEnforcer{enforcer{keyed: true}}
			}).To("keyed-out", keyed)
			engine.ApplyBroadcast(s.Rebalance(), b, "plain", func() engine.BroadcastProcess[numbered, rule, digest] {
				return &plainEnforcer{}
			}).To("plain-out", plain)
			cfg := engine.Config{Parallelism: parallelism, KeyGroups: 16, Checkpoints: engine.CheckpointConfig{Store: st, Unaligned: unaligned}}
			cfg.Restore.From = "latest"
			job := start(t, g, cfg)
			if i < 2 {
				rules.rest()
				take(t, job)
				job.Stop()
			}
			if err := job.Wait(); err != nil {
				t.Fatal(err)
			}
			checkCopies(t, st, parallelism, len(table))
		}
		compare := func(a, b digest) int {
			return slices.Compare([]string{fmt.Sprint(a.Key), fmt.Sprint(a.N), a.Text}, []string{fmt.Sprint(b.Key), fmt.Sprint(b.N), b.Text})
		}
		checkSame(t, keyed.records(), wantKeyed, compare)
		checkSame(t, plain.records(), wantPlain, compare)
	})
}

// checkCopies reads the broadcast states of the newest checkpoint.
func checkCopies(t *testing.T, st *mem.Store, parallelism, size int) {
	t.Helper()
	list := committed(t, st)
	ck, err := reader.Open(t.Context(), st, list[len(list)-1])
	if err != nil {
		t.Fatal(err)
	}
	defer ck.Close()
	for _, uid := range []string{"keyed", "plain"} {
		if _, s, err := ck.FindState(uid, "rules", format.KindBroadcast); err != nil || s.Entries != uint64(size*parallelism) {
			t.Errorf("%s: %d entries, error %v, want %d copies of %d", uid, s.Entries, err, parallelism, size)
		}
		var first []string
		for subtask := range uint32(parallelism) {
			var copied []string
			for pair, err := range ck.Pairs(t.Context(), uid, "rules", subtask) {
				if err != nil {
					t.Fatal(err)
				}
				copied = append(copied, fmt.Sprintf("%x=%x", pair.Row.Key, pair.Row.Value))
			}
			if subtask == 0 {
				first = copied
			}
			if !slices.Equal(first, copied) || !slices.IsSorted(copied) {
				t.Errorf("%s: the copy of subtask %d differs or is unordered", uid, subtask)
			}
		}
	}
}

// misuser does in ProcessBroadcast or Process what is not allowed there.
type misuser struct {
	keyedEnforcer
	last *engine.BroadcastContext
	do   func(m *misuser, ctx *engine.BroadcastContext)
	late func(m *misuser)
}

func (m *misuser) ProcessBroadcast(ctx *engine.BroadcastContext, _ rule, _ *engine.Output[digest]) error {
	m.last = ctx
	if m.do != nil {
		m.do(m, ctx)
	}
	return nil
}

func (m *misuser) Process(*engine.Context[int64], numbered, *engine.Output[digest]) error {
	if m.late != nil && m.last != nil {
		m.late(m)
	}
	return nil
}

func TestBroadcastMistakes(t *testing.T) {
	for want, m := range map[string]*misuser{
		`state "n": a broadcast record has no key`: {do: func(m *misuser, _ *engine.BroadcastContext) { m.n.Set(1) }},
		`written in ProcessBroadcast only`:         {late: func(m *misuser) { m.rules.Put(m.last, "x", rule{}) }},
	} {
		m.keyed = true
		records := numbers(1, 1000, 0)
		rules := newSeries(1, 2, 1, func(int, uint64) rule { return rule{} })
		g := engine.NewGraph("mistakes")
		b := engine.From(g, "rules", rules, engine.Watermarks[rule]{})
		byKey := engine.KeyBy(engine.From(g, "numbers", records, ordered()), func(r numbered) int64 { return r.Key })
		engine.ApplyKeyedBroadcast(byKey, b, "misuse", func() engine.KeyedBroadcastProcess[int64, numbered, rule, digest] { return m }).
			To("out", &plain[digest]{})
		job := start(t, g, engine.Config{Checkpoints: engine.CheckpointConfig{Store: mem.New()}})
		rules.rest()
		if m.late != nil {
			take(t, job) // the rule has arrived
		}
		records.free()
		if err := job.Wait(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}
