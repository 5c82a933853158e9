package engine_test

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/tidemark-io/tidemark/engine"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// numbered is a record that says where it comes from.
type numbered struct {
	Split int64
	Seq   int64
	Key   int64
}

// counted is a record with the number it has among those of its key.
type counted struct {
	Split int64
	Seq   int64
	Key   int64
	N     int64
}

const keys = 50

// keyOf spreads the records of all splits over the keys.
func keyOf(split int, i uint64) int64 {
	h := (uint64(split)*1_000_003 + i + 1) * 0x9E3779B97F4A7C15
	return int64((h >> 33) % keys)
}

func seqTime(r numbered) int64 { return r.Seq }

// keyCounter numbers the records of each key.
type keyCounter struct{ n engine.Value[int64] }

func newCounter() engine.Process[int64, numbered, counted] { return &keyCounter{} }

func (c *keyCounter) Open(b *engine.Binder) error { return c.n.Bind(b, "n") }

func (c *keyCounter) Process(_ *engine.Context[int64], r numbered, out *engine.Output[counted]) error {
	n := c.n.Get() + 1
	c.n.Set(n)
	out.Emit(counted{r.Split, r.Seq, r.Key, n})
	return nil
}

// countJob is source → shape → count per key → sink. shape may be nil.
func countJob(src engine.Source[numbered], sink engine.Sink[counted], shape func(engine.Stream[numbered]) engine.Stream[numbered]) *engine.Graph {
	g := engine.NewGraph("count")
	s := engine.From(g, "numbers", src, engine.BoundedDisorder(seqTime, 0))
	if shape != nil {
		s = shape(s)
	}
	byKey := engine.KeyBy(s, func(r numbered) int64 { return r.Key })
	engine.Apply(byKey, "count", newCounter).To("out", sink)
	return g
}

// checkCounted compares output with what the splits hold: each record once, and
// the numbers of each key 1, 2, 3, … such that records of one split keep their
// order.
func checkCounted(t *testing.T, got []counted, splits int, n uint64) {
	t.Helper()
	checkRecords(t, got, splits, n, true)
}

// checkRecords is checkCounted without the order if the job does not keep it.
func checkRecords(t *testing.T, got []counted, splits int, n uint64, ordered bool) {
	t.Helper()
	if want := uint64(splits) * n; uint64(len(got)) != want {
		t.Errorf("%d records, want %d", len(got), want)
	}
	seen := make([]map[int64]bool, splits)
	for i := range seen {
		seen[i] = map[int64]bool{}
	}
	byKey := map[int64][]counted{}
	for _, r := range got {
		if seen[r.Split][r.Seq] {
			t.Fatalf("record %d of split %d came twice", r.Seq, r.Split)
		}
		seen[r.Split][r.Seq] = true
		if want := keyOf(int(r.Split), uint64(r.Seq)); r.Key != want {
			t.Fatalf("record %d of split %d has key %d, want %d", r.Seq, r.Split, r.Key, want)
		}
		byKey[r.Key] = append(byKey[r.Key], r)
	}
	for key, list := range byKey {
		slices.SortFunc(list, func(a, b counted) int { return cmp.Compare(a.N, b.N) })
		last := make([]int64, splits)
		for i := range last {
			last[i] = -1
		}
		for i, r := range list {
			if r.N != int64(i)+1 {
				t.Fatalf("key %d: number %d stands at place %d", key, r.N, i+1)
			}
			if ordered && r.Seq <= last[r.Split] {
				t.Fatalf("key %d: record %d of split %d came after record %d", key, r.Seq, r.Split, last[r.Split])
			}
			last[r.Split] = r.Seq
		}
	}
}

// ledger is an exactly-once sink in memory. It outlives jobs, as a directory
// would.
type ledger[T any] struct {
	mu      sync.Mutex
	parts   map[string]ledgerPart[T] // prepared or visible, by name
	visible map[string]bool
	made    int
}

type ledgerPart[T any] struct {
	lineage string
	id      uint64
	subtask int
	records []T
}

func newLedger[T any]() *ledger[T] {
	return &ledger[T]{parts: map[string]ledgerPart[T]{}, visible: map[string]bool{}}
}

func (l *ledger[T]) Open(_ context.Context, sc engine.SinkContext) (engine.SinkWriter[T], error) {
	return &ledgerWriter[T]{l: l, sc: sc}, nil
}

// records returns what is visible, ordered by checkpoint and subtask.
func (l *ledger[T]) records() []T {
	l.mu.Lock()
	defer l.mu.Unlock()
	var parts []ledgerPart[T]
	for name := range l.visible {
		parts = append(parts, l.parts[name])
	}
	slices.SortFunc(parts, func(a, b ledgerPart[T]) int {
		return cmp.Or(cmp.Compare(a.id, b.id), cmp.Compare(a.subtask, b.subtask))
	})
	var all []T
	for _, p := range parts {
		all = append(all, p.records...)
	}
	return all
}

// VisibleAfter is the ability to say what a rollback would repeat.
func (l *ledger[T]) VisibleAfter(lineage string, id uint64) ([]string, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var names []string
	for name := range l.visible {
		if p := l.parts[name]; p.lineage == lineage && p.id > id {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, nil
}

// Withdraw takes it back.
func (l *ledger[T]) Withdraw(lineage string, id uint64) ([]string, error) {
	names, err := l.VisibleAfter(lineage, id)
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, name := range names {
		delete(l.visible, name)
		delete(l.parts, name)
	}
	return names, err
}

type ledgerWriter[T any] struct {
	l       *ledger[T]
	sc      engine.SinkContext
	current []T
	pending []string
}

func (w *ledgerWriter[T]) Write(r T, _ int64) error { w.current = append(w.current, r); return nil }
func (w *ledgerWriter[T]) Flush() error             { return nil }
func (w *ledgerWriter[T]) Close() error             { return nil }

func (w *ledgerWriter[T]) Prepare(id uint64) (func(context.Context) ([][]byte, error), error) {
	l := w.l
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(w.current) > 0 {
		l.made++
		name := fmt.Sprintf("%s-%d-%d-%d", w.sc.Lineage, id, w.sc.Subtask, l.made)
		l.parts[name] = ledgerPart[T]{w.sc.Lineage, id, w.sc.Subtask, w.current}
		w.pending = append(w.pending, name)
		w.current = nil
	}
	var items [][]byte
	for _, name := range w.pending {
		items = append(items, []byte(name))
	}
	return func(context.Context) ([][]byte, error) { return items, nil }, nil
}

func (w *ledgerWriter[T]) Publish(_ context.Context, id uint64) error {
	l := w.l
	l.mu.Lock()
	defer l.mu.Unlock()
	w.pending = slices.DeleteFunc(w.pending, func(name string) bool {
		if l.parts[name].id > id {
			return false
		}
		l.visible[name] = true
		return true
	})
	return nil
}

func (w *ledgerWriter[T]) Recover(_ context.Context, items [][]byte) error {
	l := w.l
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, item := range items {
		if _, ok := l.parts[string(item)]; !ok {
			return fmt.Errorf("pending output %q is gone", item)
		}
		l.visible[string(item)] = true
	}
	for name, p := range l.parts {
		if p.lineage == w.sc.Lineage && p.id > w.sc.Restored && !l.visible[name] && p.subtask%w.sc.Parallelism == w.sc.Subtask {
			delete(l.parts, name)
		}
	}
	return nil
}

// series is a source that computes its records and lets each split be read up
// to a limit that the test raises, so that checkpoints happen in the middle
// whatever the speed of the machine.
type series[T any] struct {
	splits int
	n      int64 // records of each split
	make   func(split int, i uint64) T

	mu     sync.Mutex
	limit  int64
	held   map[int]int64 // limits of single splits
	atRest map[int]bool  // splits in which a read found nothing at this limit
	rested *sync.Cond
}

func newSeries[T any](splits int, n, limit int64, make func(split int, i uint64) T) *series[T] {
	s := &series[T]{splits: splits, n: n, limit: limit, make: make, held: map[int]int64{}, atRest: map[int]bool{}}
	s.rested = sync.NewCond(&s.mu)
	return s
}

// numbers is a series of numbered records, whose index is their event time.
func numbers(splits int, n, limit int64) *series[numbered] {
	return newSeries(splits, n, limit, func(split int, i uint64) numbered {
		return numbered{Split: int64(split), Seq: int64(i), Key: keyOf(split, i)}
	})
}

// all is a limit that is none.
const all int64 = 1 << 61

// raise lets n more records of each split be read.
func (s *series[T]) raise(n int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.limit += n
	clear(s.atRest)
}

// rest waits until all that may be read has been read and emitted: a
// checkpoint triggered from then on includes it.
func (s *series[T]) rest() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.atRest) < s.splits {
		s.rested.Wait()
	}
}

// hold gives one split a limit of its own.
func (s *series[T]) hold(split int, limit int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held[split] = limit
	clear(s.atRest)
}

// atRestNow reports whether rest would return at once.
func (s *series[T]) atRestNow() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.atRest) == s.splits
}

// free lets everything be read.
func (s *series[T]) free() { s.raise(all / 2) }

func (s *series[T]) Splits(context.Context) ([]engine.Split, error) {
	list := make([]engine.Split, s.splits)
	for i := range list {
		list[i] = engine.Split{ID: fmt.Sprintf("split-%d", i), Data: []byte{byte(i)}}
	}
	return list, nil
}

func (s *series[T]) Open(_ context.Context, sp engine.Split, position []byte) (engine.SplitReader[T], error) {
	r := &seriesReader[T]{s: s, split: int(sp.Data[0])}
	if position != nil {
		r.at = int64(binary.BigEndian.Uint64(position))
	}
	return r, nil
}

type seriesReader[T any] struct {
	s     *series[T]
	split int
	at    int64
	over  bool
}

func (r *seriesReader[T]) Read(_ context.Context, batch []T) (int, error) {
	if r.over {
		return 0, errors.New("read after the end")
	}
	r.s.mu.Lock()
	limit := min(r.s.limit, r.s.n)
	if l, ok := r.s.held[r.split]; ok {
		limit = min(limit, l)
	}
	n := max(min(int64(len(batch)), limit-r.at), 0)
	if n == 0 {
		r.s.atRest[r.split] = true
		r.s.rested.Broadcast()
	}
	r.s.mu.Unlock()
	for i := range n {
		batch[i] = r.s.make(r.split, uint64(r.at+i))
	}
	if r.at += n; r.at == r.s.n {
		r.over = true
		return int(n), io.EOF
	}
	return int(n), nil
}

func (r *seriesReader[T]) Position(dst []byte) []byte {
	return binary.BigEndian.AppendUint64(dst, uint64(r.at))
}

func (r *seriesReader[T]) Close() error { return nil }

// upTo are parallelisms from 1 to most; only the ends in the short form, which
// runs under the race detector.
func upTo(most int) []int {
	if testing.Short() {
		return []int{1, most}
	}
	var list []int
	for p := 1; p <= most; p++ {
		list = append(list, p)
	}
	return list
}

// recorder keeps a job's events.
type recorder struct {
	mu     sync.Mutex
	events []engine.Event
	on     func(engine.Event)
}

func (r *recorder) Observe(e engine.Event) {
	r.mu.Lock()
	r.events = append(r.events, e)
	on := r.on
	r.mu.Unlock()
	if on != nil {
		on(e)
	}
}

// eventsOf returns the events of one type.
func eventsOf[E engine.Event](r *recorder) []E {
	r.mu.Lock()
	defer r.mu.Unlock()
	var list []E
	for _, e := range r.events {
		if e, ok := e.(E); ok {
			list = append(list, e)
		}
	}
	return list
}

// strict is a logger that fails the test on errors: the engine logs one if it
// finds that it leaked a buffer.
func strict(t *testing.T) *slog.Logger {
	w := writerFunc(func(b []byte) (int, error) {
		t.Errorf("logged: %s", strings.TrimSpace(string(b)))
		return len(b), nil
	})
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: slog.LevelError}))
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }

var _ io.Writer = writerFunc(nil)

// start begins a job and makes sure that it is over when the test is.
func start(t *testing.T, g *engine.Graph, cfg engine.Config) *engine.Job {
	t.Helper()
	job, err := engine.Start(t.Context(), g, quick(t, cfg))
	if err != nil {
		t.Fatalf("start: %v", err)
	}
	t.Cleanup(func() {
		job.Cancel(errors.New("the test is over"))
		<-job.Done()
	})
	return job
}

// inBubble runs a test with a clock of its own. Compressors that were made in the
// bubble have channels that nothing outside may use, so the pool that they went
// back to is emptied: two collections do that.
func inBubble(t *testing.T, f func(*testing.T)) {
	t.Helper()
	synctest.Test(t, f)
	runtime.GC()
	runtime.GC()
}

// run runs a job to its end.
func run(t *testing.T, g *engine.Graph, cfg engine.Config) {
	t.Helper()
	if err := start(t, g, cfg).Wait(); err != nil {
		t.Fatal(err)
	}
}

// quick fills in what all tests want.
func quick(t *testing.T, cfg engine.Config) engine.Config {
	if cfg.Logger == nil {
		cfg.Logger = strict(t)
	}
	if cfg.Restart.Delay == 0 {
		cfg.Restart.Delay = time.Nanosecond
	}
	return cfg
}
