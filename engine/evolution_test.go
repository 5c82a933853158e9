package engine_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tidemark-io/tidemark/checkpoint/layout"
	"github.com/tidemark-io/tidemark/engine"
	"github.com/tidemark-io/tidemark/engine/connector/discard"
	"github.com/tidemark-io/tidemark/store"
	"github.com/tidemark-io/tidemark/store/local"
	"github.com/tidemark-io/tidemark/store/mem"
)

// The state of one job in three generations. testdata/evolution has a savepoint
// of each, of revision 2; -update makes one that is missing.
type (
	account1 struct {
		Owner   string
		Balance int32
		Moves   uint16
		Last    time.Time
		Cards   []card1
		Limits  map[string]int16
	}
	card1 struct {
		Number string
		Uses   uint8
	}

	// Moved, widened, Last removed, Rating added.
	account2 struct {
		Moves   uint32
		Limits  map[string]int64
		Owner   string
		Rating  float64
		Balance int64
		Cards   []card2
	}
	card2 struct {
		Blocked bool
		Uses    uint16
		Number  string
	}

	// Owner and the cards' Uses renamed, Since added.
	account3 struct {
		Holder  string `tidemark:"old=Owner"`
		Balance int64
		Moves   int64
		Rating  float64
		Since   time.Time
		Cards   []card3
		Limits  map[string]int64
	}
	card3 struct {
		Number  string
		Count   uint64 `tidemark:"count,old=Uses"`
		Blocked bool
	}

	// What no generation can become.
	account4 struct {
		Owner   int64
		Balance int16
		Moves   float64
		Cards   map[string]card1
		Limits  map[int64]int16
	}
)

// account keeps one struct per key, which bump changes at each record.
type account[A any] struct {
	state engine.Value[A]
	bump  func(*A, numbered)
	log   *lines
}

// lines are what a job said. A sink would have to keep what a savepoint has not
// published.
type lines struct {
	mu   sync.Mutex
	list []string
}

// sorted returns and forgets them.
func (l *lines) sorted() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	list := l.list
	l.list = nil
	slices.Sort(list)
	return list
}

func (a *account[A]) Open(b *engine.Binder) error { return a.state.Bind(b, "account") }

func (a *account[A]) Process(_ *engine.Context[int64], r numbered, _ *engine.Output[string]) error {
	v := a.state.Get()
	a.bump(&v, r)
	a.state.Set(v)
	a.log.mu.Lock()
	defer a.log.mu.Unlock()
	a.log.list = append(a.log.list, fmt.Sprintf("%d %+v", r.Key, v))
	return nil
}

// generation is the job as it is at one time.
type generation func(t *testing.T, n int64, from engine.RestoreConfig) (said []string, st store.Store, path string, err error)

// generationOf makes a job that keeps an A. It reads records up to n, ends with
// a savepoint, and returns what it put out.
func generationOf[A any](bump func(*A, numbered)) generation {
	return func(t *testing.T, n int64, from engine.RestoreConfig) ([]string, store.Store, string, error) {
		src := newSeries(1, 1<<40, n, func(_ int, i uint64) numbered { return numbered{Seq: int64(i), Key: int64(i % 4)} })
		out, st := &lines{}, mem.New()
		job, err := engine.Start(t.Context(), evolving(src, out, bump), quick(t, engine.Config{KeyGroups: 4, Restore: from,
			Checkpoints: engine.CheckpointConfig{Store: st, Software: "tidemark evolution"}}))
		if err != nil {
			return nil, nil, "", err
		}
		ended := make(chan struct{})
		go func() {
			src.rest()
			close(ended)
		}()
		select {
		case <-job.Done():
			src.hold(0, 0) // so that rest returns
			src.mu.Lock()
			src.atRest[0] = true
			src.rested.Broadcast()
			src.mu.Unlock()
			<-ended
			return nil, nil, "", job.Wait()
		case <-ended:
		}
		res, err := job.StopWithSavepoint(t.Context())
		if err != nil {
			return nil, nil, "", err
		}
		if err := job.Wait(); err != nil {
			return nil, nil, "", err
		}
		return out.sorted(), st, res.Path, nil
	}
}

var generations = []generation{
	generationOf(func(a *account1, r numbered) {
		a.Owner, a.Balance, a.Moves = fmt.Sprintf("owner %d", r.Key), a.Balance-int32(r.Seq)-1, a.Moves+40_000
		a.Last = time.Unix(r.Seq, 0).UTC()
		a.Cards = append(a.Cards, card1{fmt.Sprint("card ", r.Seq), 200})
		a.Limits = map[string]int16{"day": -5, "week": 1000}
	}),
	generationOf(func(a *account2, r numbered) {
		a.Balance -= 1 << 40
		a.Moves += 1 << 20
		a.Rating += 0.5
		a.Cards[0].Uses++
		a.Limits["month"] = 1 << 33
	}),
	generationOf(func(a *account3, r numbered) {
		a.Balance--
		a.Moves = -a.Moves
		a.Cards[0].Count += 1 << 30
	}),
	generationOf(func(*account4, numbered) {}),
}

// savedGeneration is where the savepoint of a generation lies.
func savedGeneration(n int) string {
	return filepath.Join("..", "testdata", "evolution", fmt.Sprintf("generation-%d", n))
}

// saveGeneration copies a savepoint into testdata, unless there is one: what
// programs of older revisions wrote is there to stay readable.
func saveGeneration(t *testing.T, n int, st store.Store, path string) {
	t.Helper()
	dir := filepath.Join(savedGeneration(n), "savepoint-1")
	if _, err := os.Stat(dir); err == nil {
		return
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for info, err := range st.List(t.Context(), path+"/") {
		if err != nil {
			t.Fatal(err)
		}
		data, err := store.ReadAll(t.Context(), st, info.Name, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, strings.TrimPrefix(info.Name, path+"/")), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// A savepoint of each generation is restored by each later one: fields added,
// removed, moved, widened, renamed by their tags. What cannot be taken over is
// refused, all of it at once.
func TestEvolution(t *testing.T) {
	if *update {
		from := engine.RestoreConfig{}
		for n := 1; n <= 3; n++ {
			_, st, path, err := generations[n-1](t, int64(4*n), from)
			if err != nil {
				t.Fatal(err)
			}
			saveGeneration(t, n, st, path)
			from = engine.RestoreConfig{From: path, External: st}
		}
	}
	var report strings.Builder
	for _, way := range [][]int{{1, 1}, {1, 2}, {1, 3}, {2, 3}, {1, 2, 3}, {1, 4}, {3, 2}} {
		saved, err := local.Open(savedGeneration(way[0]))
		if err != nil {
			t.Fatal(err)
		}
		from := engine.RestoreConfig{From: layout.Savepoint(1), External: saved}
		fmt.Fprintf(&report, "== generation %v\n", way)
		n := int64(4 * way[0])
		for _, g := range way[1:] {
			n += 4
			lines, st, path, err := generations[g-1](t, n, from)
			var refused *engine.RestoreError
			if errors.As(err, &refused) {
				report.WriteString(refused.Error() + "\n")
				break
			}
			if err != nil {
				t.Fatalf("%v: %v", way, err)
			}
			report.WriteString(strings.Join(lines, "\n") + "\n")
			from = engine.RestoreConfig{From: path, External: st}
		}
	}
	golden(t, "evolution.txt", report.String())
}

// What a migration made is not what the restored checkpoint has, so the next
// incremental checkpoint does not refer to it.
func TestEvolutionIsNotReferredTo(t *testing.T) {
	type old struct{ N int32 }
	type wide struct{ N, M int64 }
	st, src := mem.New(), newSeries(1, 1<<40, 8, func(_ int, i uint64) numbered { return numbered{Seq: int64(i), Key: int64(i % 8)} })
	start1 := func(g *engine.Graph) *engine.Job {
		return start(t, g, engine.Config{KeyGroups: 8, Restore: latest, Checkpoints: engine.CheckpointConfig{Store: st, Incremental: true}})
	}
	end := func(job *engine.Job) {
		src.rest()
		take(t, job)
		job.Cancel(nil)
		<-job.Done()
	}
	end(start1(evolving(src, &lines{}, func(a *old, r numbered) { a.N = -int32(r.Seq) - 1 })))
	src.raise(1)
	end(start1(evolving(src, &lines{}, func(a *wide, r numbered) { a.M = 7 })))
	src.raise(8)
	out := &lines{}
	end(start1(evolving(src, out, func(a *wide, r numbered) {})))
	got := out.sorted()
	if want := "0 {N:-1 M:7}|1 {N:-2 M:0}|2 {N:-3 M:0}|3 {N:-4 M:0}|4 {N:-5 M:0}|5 {N:-6 M:0}|6 {N:-7 M:0}|7 {N:-8 M:0}"; strings.Join(got, "|") != want {
		t.Errorf("got %v", got)
	}
	if _, err := verifyAll(context.Background(), st); err != nil {
		t.Error(err)
	}
}

// evolving is the job that keeps an A.
func evolving[A any](src engine.Source[numbered], log *lines, bump func(*A, numbered)) *engine.Graph {
	g := engine.NewGraph("evolving")
	byKey := engine.KeyBy(engine.From(g, "moves", src, engine.BoundedDisorder(seqTime, 0)), func(r numbered) int64 { return r.Key })
	engine.Apply(byKey, "accounts", func() engine.Process[int64, numbered, string] { return &account[A]{bump: bump, log: log} }).To("out", discard.New[string]())
	return g
}
