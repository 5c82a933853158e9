package convert_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/tidemark-io/tidemark/engine"
	"github.com/tidemark-io/tidemark/engine/connector/collect"
	"github.com/tidemark-io/tidemark/flink/oracle"
	"github.com/tidemark-io/tidemark/reader"
	"github.com/tidemark-io/tidemark/store"
)

// The job of these tests is the one of package oracle, as far as it has state that
// both sides have: what a record does to the state of its key follows from its
// number.

// The bases of its timers; those of processing time never come due.
const (
	timerBase = 1_000_000
	clockBase = 4_102_444_800_000
)

// ids is a source of the numbers from first to the end, which stops at hold until
// the job ends.
type ids struct {
	first, hold, end int64
	rest             chan struct{}
	once             sync.Once
}

func newIDs(first, hold, end int64) *ids {
	return &ids{first: first, hold: hold, end: end, rest: make(chan struct{})}
}

func (s *ids) Splits(context.Context) ([]engine.Split, error) {
	return []engine.Split{{ID: "ids"}}, nil
}

func (s *ids) Open(_ context.Context, _ engine.Split, position []byte) (engine.SplitReader[int64], error) {
	r := &idReader{s: s, at: s.first}
	if position != nil {
		r.at = int64(binary.BigEndian.Uint64(position))
	}
	return r, nil
}

type idReader struct {
	s  *ids
	at int64
}

func (r *idReader) Read(_ context.Context, batch []int64) (int, error) {
	if r.at >= r.s.end {
		return 0, io.EOF
	}
	if r.at >= r.s.hold {
		r.s.once.Do(func() { close(r.s.rest) })
		return 0, nil
	}
	batch[0] = r.at
	r.at++
	return 1, nil
}

func (r *idReader) Position(dst []byte) []byte {
	return binary.BigEndian.AppendUint64(dst, uint64(r.at))
}
func (r *idReader) Close() error { return nil }

// pairKey is Flink's Tuple2<String, Long>.
type pairKey struct {
	F0 string `tidemark:"f0"`
	F1 int64  `tidemark:"f1"`
}

// pojoKey and ideaKey are the oracle's classes KeyPojo, KeyRecord and KeyIdea.
type pojoKey struct {
	Name   string `tidemark:"name"`
	Number int64  `tidemark:"number"`
}

type ideaKey struct {
	Number int64  `tidemark:"number"`
	Name   string `tidemark:"name"`
	Odd    bool   `tidemark:"odd"`
}

// keyed does what KeyedFunction.java does.
type keyed[K any] struct {
	text  func(K) string
	count engine.Value[int64]
	ids   engine.ListState[int64]
	words engine.MapState[string, int64]
}

func (p *keyed[K]) Open(b *engine.Binder) error {
	if err := p.count.Bind(b, "count"); err != nil {
		return err
	}
	if err := p.ids.Bind(b, "ids"); err != nil {
		return err
	}
	return p.words.Bind(b, "words")
}

func (p *keyed[K]) Process(ctx *engine.Context[K], id int64, out *engine.Output[string]) error {
	n := p.count.Get() + 1
	p.count.Set(n)
	p.ids.Add(id)
	word := fmt.Sprint("w", id%3)
	p.words.Put(word, p.words.Get(word)+id)
	if id%3 == 0 {
		ctx.RegisterTimer(timerBase + id)
	}
	if id%4 == 0 {
		ctx.RegisterProcessingTimer(clockBase + id)
	}
	out.Emit(fmt.Sprintf("r %s %d %d", p.text(ctx.Key()), id, n))
	return nil
}

func (p *keyed[K]) OnTimer(ctx *engine.Context[K], at int64, out *engine.Output[string]) error {
	p.words.Put("fired", p.words.Get("fired")+1)
	out.Emit(fmt.Sprintf("t %s %d %d", p.text(ctx.Key()), at, p.count.Get()))
	return nil
}

func (p *keyed[K]) OnProcessingTimer(*engine.Context[K], int64, *engine.Output[string]) error {
	return nil
}

// keyNames are the texts of the job's keys, which the oracle knows.
func keyNumber(job oracle.Job, id int64) int64 { return (id%int64(job.Keys) - 3) * 10_000_000_019 }

func keyName(job oracle.Job, id int64) string {
	named := job
	named.KeyType = "string"
	return named.Key(id)
}

// graph is the job for a type of keys.
func graph(job oracle.Job, src *ids, out engine.Sink[string]) *engine.Graph {
	switch job.KeyType {
	case "long":
		return graphOf(src, out, func(id int64) int64 { return keyNumber(job, id) }, func(k int64) string { return fmt.Sprint(k) })
	case "string":
		return graphOf(src, out, func(id int64) string { return keyName(job, id) }, func(k string) string { return k })
	case "pojo", "record":
		return graphOf(src, out, func(id int64) pojoKey { return pojoKey{keyName(job, id), keyNumber(job, id)} },
			func(k pojoKey) string { return fmt.Sprintf("%s,%d", k.Name, k.Number) })
	case "pojo-idea":
		return graphOf(src, out, func(id int64) ideaKey {
			n := keyNumber(job, id)
			return ideaKey{n, keyName(job, id), n%2 != 0}
		}, func(k ideaKey) string { return fmt.Sprintf("%s,%d", k.Name, k.Number) })
	}
	return graphOf(src, out, func(id int64) pairKey { return pairKey{keyName(job, id), keyNumber(job, id)} },
		func(k pairKey) string { return fmt.Sprintf("%s,%d", k.F0, k.F1) })
}

func graphOf[K any](src *ids, out engine.Sink[string], key func(int64) K, text func(K) string) *engine.Graph {
	g := engine.NewGraph("convert")
	numbers := engine.From(g, "source", engine.Source[int64](src), engine.Watermarks[int64]{})
	engine.Apply(engine.KeyBy(numbers, key), "keyed", func() engine.Process[K, int64, string] { return &keyed[K]{text: text} }).To("out", out)
	return g
}

// savepoint runs the job up to a number and stops it with a savepoint.
func savepoint(t *testing.T, st store.Store, job oracle.Job, until int64, parallelism int) *reader.Checkpoint {
	t.Helper()
	src := newIDs(0, until, 1<<40)
	running, err := engine.Start(t.Context(), graph(job, src, collect.New[string]()), engine.Config{Parallelism: parallelism, Checkpoints: engine.CheckpointConfig{Store: st}})
	if err != nil {
		t.Fatal(err)
	}
	<-src.rest
	save, err := running.StopWithSavepoint(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := running.Wait(); err != nil {
		t.Fatal(err)
	}
	return open(t, st, save.Path)
}

func open(t *testing.T, st store.Store, dir string) *reader.Checkpoint {
	t.Helper()
	ck, err := reader.Open(t.Context(), st, dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ck.Close() }) // only read
	return ck
}

// resume runs the job from a savepoint and a number to the end of its input, and
// returns its sorted output.
func resume(t *testing.T, st store.Store, dir string, job oracle.Job, from int64, parallelism int) []string {
	t.Helper()
	out := collect.New[string]()
	cfg := engine.Config{Parallelism: parallelism, Restore: engine.RestoreConfig{From: dir}, Checkpoints: engine.CheckpointConfig{Store: st}}
	if err := engine.Run(t.Context(), graph(job, newIDs(from, 1<<40, job.Records), out), cfg); err != nil {
		t.Fatal(err)
	}
	lines := out.Records()
	slices.Sort(lines)
	return lines
}

// view is the state of the job after the numbers below until, as the oracle tells
// it.
func view(job oracle.Job, until int64) oracle.View {
	// All splits stand at the beginning and the job ends at until; the timers that
	// fire at its end are still to come here.
	job.Records = until
	job.States = slices.DeleteFunc(slices.Clone(job.States), func(s string) bool { return s == "timers" })
	v := oracle.View{Keyed: job.Expect(oracle.View{Positions: map[int]int64{0: 0, 1: 0, 2: 0, 3: 0}}, nil).Final}
	byKey := map[string]*oracle.Entry{}
	for i := range v.Keyed {
		byKey[v.Keyed[i].Key] = &v.Keyed[i]
	}
	for id := int64(0); id < until; id += 3 {
		e := byKey[job.Key(id)]
		e.Timers = append(e.Timers, timerBase+id)
	}
	return v
}

// sameKeyed compares keyed state without the subtasks that hold it.
func sameKeyed(want, got []oracle.Entry) string {
	strip := func(list []oracle.Entry) []oracle.Entry {
		list = slices.Clone(list)
		for i := range list {
			list[i].Subtask = 0
		}
		slices.SortFunc(list, func(a, b oracle.Entry) int { return strings.Compare(a.Key, b.Key) })
		return list
	}
	return oracle.Diff(strip(want), strip(got))
}
