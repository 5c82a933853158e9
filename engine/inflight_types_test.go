package engine_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/tidemark-io/tidemark/engine"
	"github.com/tidemark-io/tidemark/engine/codec"
	"github.com/tidemark-io/tidemark/engine/connector/discard"
	"github.com/tidemark-io/tidemark/reader"
	"github.com/tidemark-io/tidemark/store"
	"github.com/tidemark-io/tidemark/store/local"
	"github.com/tidemark-io/tidemark/store/mem"
)

// The records in flight on one connection in several generations.
type (
	flight1 struct {
		Key, Seq int64
		Note     string
		Fare     int32
	}
	// Moved, widened, Note removed, Rating added.
	flight2 struct {
		Fare   int64
		Seq    int64
		Rating float64
		Key    int64
	}
	// Fare renamed.
	flight3 struct {
		Key, Seq int64
		Price    int64 `tidemark:"old=Fare"`
		Note     string
	}
	// What flight1 cannot become.
	flight4 struct {
		Key, Seq int64
		Note     bool
		Fare     int16
	}
)

func newFlight1(r numbered) flight1 {
	return flight1{Key: r.Key, Seq: r.Seq, Note: fmt.Sprint("note ", r.Seq), Fare: -int32(r.Seq) - 1}
}

// turnstile lets records through one by one.
type turnstile struct{ pass chan struct{} }

func (s *turnstile) open() { close(s.pass) }

// gated passes what the turnstile lets through on to a log.
type gated[A any] struct {
	gate *turnstile
	log  *lines
}

func (p *gated[A]) Open(*engine.Binder) error { return nil }

func (p *gated[A]) Process(_ *engine.Context[int64], r A, _ *engine.Output[string]) error {
	<-p.gate.pass
	p.log.mu.Lock()
	defer p.log.mu.Unlock()
	p.log.list = append(p.log.list, fmt.Sprintf("%+v", r))
	return nil
}

const typedRecords = 64

// askedSource is a source that says when it is asked for a position: its barrier has
// then been sent.
type askedSource struct {
	*series[numbered]
	asked chan struct{}
}

type askedReader struct {
	engine.SplitReader[numbered]
	asked chan struct{}
}

func (w askedSource) Open(ctx context.Context, sp engine.Split, position []byte) (engine.SplitReader[numbered], error) {
	r, err := w.series.Open(ctx, sp, position)
	return askedReader{r, w.asked}, err
}

func (r askedReader) Position(dst []byte) []byte {
	select {
	case r.asked <- struct{}{}:
	default:
	}
	return r.SplitReader.Position(dst)
}

// typed is numbers → A, sent by keys → turnstile. custom puts a custom partitioner
// in between, whose function has to decode what is in flight.
type typed[A any] struct {
	make func(numbered) A
	key  func(A) int64
	wire func(engine.Stream[A]) engine.Stream[A] // to an operator in between; nil without one
	// codec replaces the derived one.
	codec engine.Codec[A]
}

func (ty typed[A]) graph(src engine.Source[numbered], gate *turnstile, log *lines) *engine.Graph {
	g := engine.NewGraph("typed")
	s := engine.Map(engine.From(g, "numbers", src, engine.BoundedDisorder(seqTime, 0)), ty.make)
	if ty.codec != nil {
		s = s.WithCodec(ty.codec)
	}
	if ty.wire != nil {
		s = engine.Map(ty.wire(s), func(a A) A { <-gate.pass; return a }, engine.Named("slow"))
	}
	engine.Apply(engine.KeyBy(s, ty.key), "keep", func() engine.Process[int64, A, string] { return &gated[A]{gate, log} }).
		To("out", discard.New[string]())
	return g
}

// take runs the job until a checkpoint with records in flight and cancels it.
func (ty typed[A]) take(t *testing.T, parallelism int, from engine.RestoreConfig) (st store.Store, at string) {
	t.Helper()
	for range 20 {
		src, gate := askedSource{numbers(1, all, typedRecords), make(chan struct{}, 1)}, &turnstile{make(chan struct{})}
		root := mem.New()
		job := start(t, ty.graph(src, gate, &lines{}), engine.Config{Parallelism: parallelism, KeyGroups: 8, Exchange: smallBuffers(), Restore: from,
			Checkpoints: engine.CheckpointConfig{Store: root, Unaligned: true, ForceUnaligned: true, Software: "tidemark in-flight types"}})
		src.rest()
		select {
		case <-src.asked:
		default:
		}
		done := make(chan string)
		go func() {
			res, err := job.Checkpoint(t.Context())
			if err != nil {
				t.Error(err)
			}
			done <- res.Path
		}()
		<-src.asked
		for at == "" {
			select {
			case gate.pass <- struct{}{}:
			case at = <-done:
			}
		}
		job.Cancel(errEnough)
		gate.open()
		<-job.Done()
		if s := newestInFlight(t, root); s.InFlightRecords >= 8 {
			return root, at
		}
		at = "" // the records were quicker than the barrier
	}
	t.Fatal("nothing was in flight")
	return nil, ""
}

// resume restores the job and returns what was still to come of the input, and
// what was logged.
func (ty typed[A]) resume(t *testing.T, st store.Store, from engine.RestoreConfig, parallelism int) ([]string, string, error) {
	t.Helper()
	src, gate, log := numbers(1, typedRecords, all), &turnstile{make(chan struct{})}, &lines{}
	gate.open()
	var said strings.Builder
	var mu sync.Mutex
	cfg := engine.Config{Parallelism: parallelism, Exchange: smallBuffers(), Restore: from,
		Checkpoints: engine.CheckpointConfig{Store: st, Unaligned: true, ForceUnaligned: true},
		Logger: slog.New(slog.NewTextHandler(writerFunc(func(b []byte) (int, error) {
			mu.Lock()
			defer mu.Unlock()
			return said.Write(b)
		}), &slog.HandlerOptions{Level: slog.LevelWarn}))}
	err := engine.Run(t.Context(), ty.graph(src, gate, log), cfg)
	mu.Lock()
	defer mu.Unlock()
	return log.sorted(), said.String(), err
}

var (
	typed1 = typed[flight1]{make: newFlight1, key: func(f flight1) int64 { return f.Key }}
	typed2 = typed[flight2]{key: func(f flight2) int64 { return f.Key }, make: func(r numbered) flight2 {
		return flight2{Key: r.Key, Seq: r.Seq, Fare: -r.Seq - 1}
	}}
	typed3 = typed[flight3]{key: func(f flight3) int64 { return f.Key }, make: func(r numbered) flight3 {
		f := newFlight1(r)
		return flight3{Key: f.Key, Seq: f.Seq, Price: int64(f.Fare), Note: f.Note}
	}}
	typed4 = typed[flight4]{key: func(f flight4) int64 { return f.Key }, make: func(r numbered) flight4 { return flight4{Key: r.Key, Seq: r.Seq} }}
)

// oldFlight is where a checkpoint of revision 2 with records in flight lies, which
// a program of that revision wrote and no later one can: typed1 at parallelism 2.
var oldFlight = filepath.Join("..", "testdata", "evolution", "in-flight-2")

// seqsOf are the numbers of the records that lines tell of.
func seqsOf(t *testing.T, said []string) (seqs []int64) {
	t.Helper()
	for _, line := range said {
		_, rest, _ := strings.Cut(line, "Seq:")
		var n int64
		if _, err := fmt.Sscan(rest, &n); err != nil {
			t.Fatal(line, err)
		}
		seqs = append(seqs, n)
	}
	return seqs
}

// recordTypes are the types of what a checkpoint has in flight, by connection.
func recordTypes(t *testing.T, st store.Store, at string) map[string]string {
	t.Helper()
	ck, err := reader.Open(t.Context(), st, at)
	if err != nil {
		t.Fatal(err)
	}
	defer ck.Close()
	types := map[string]string{}
	for s, err := range reader.NewModel(ck).States(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if s.Kind.InFlight() {
			types[s.Edge] = s.ValueType
		}
	}
	return types
}

// expect resumes a checkpoint as another generation, at several parallelisms, and
// wants the same records in that generation's form.
func expect[A any](t *testing.T, name string, ty typed[A], st store.Store, at string, seqs []int64, form func(numbered) A) {
	t.Helper()
	var want []string
	for _, n := range seqs {
		want = append(want, fmt.Sprintf("%+v", form(numbered{Seq: n, Key: keyOf(0, uint64(n))})))
	}
	slices.Sort(want)
	for _, parallelism := range []int{1, 2, 3} {
		got, said, err := ty.resume(t, mem.New(), engine.RestoreConfig{From: at, External: st}, parallelism)
		if err != nil || !slices.Equal(got, want) || said != "" {
			t.Errorf("%s at parallelism %d: got %q, %v\n%s\nexpected %q", name, parallelism, got, err, said, want)
		}
	}
}

// Records in flight whose type has changed are rewritten as they are restored, at
// any parallelism, also where a function has to look at them first.
func TestInFlightEvolution(t *testing.T) {
	records := 0
	for name, wires := range map[string]struct {
		one func(engine.Stream[flight1]) engine.Stream[flight1]
		two func(engine.Stream[flight2]) engine.Stream[flight2]
	}{
		"keyed": {},
		"custom": {
			func(s engine.Stream[flight1]) engine.Stream[flight1] {
				return s.PartitionCustom(func(f flight1, n int) int { return int(f.Key) % n })
			},
			func(s engine.Stream[flight2]) engine.Stream[flight2] {
				return s.PartitionCustom(func(f flight2, n int) int { return int(f.Key) % n })
			},
		},
		"rebalanced": {engine.Stream[flight1].Rebalance, engine.Stream[flight2].Rebalance},
	} {
		one, two := typed1, typed2
		one.wire, two.wire = wires.one, wires.two
		st, at := one.take(t, 2, engine.RestoreConfig{})
		lines, _, err := one.resume(t, mem.New(), engine.RestoreConfig{From: at, External: st}, 2)
		if err != nil {
			t.Fatal(err)
		}
		seqs := seqsOf(t, lines)
		records += len(seqs)
		if n := newestInFlight(t, st).InFlightRecords; int(n) != len(seqs) {
			t.Errorf("%s: %d records in flight, %d restored", name, n, len(seqs))
		}
		expect(t, name, two, st, at, seqs, two.make)

		// A checkpoint of the job that has taken them over states the new type of
		// what it has not replayed yet.
		again, at := two.take(t, 3, engine.RestoreConfig{From: at, External: st})
		for edge, typ := range recordTypes(t, again, at) {
			if typ != "struct{Fare int64; Seq int64; Rating float64; Key int64}" {
				t.Errorf("%s: records of %s on %s", name, typ, edge)
			}
		}
		lines, _, err = two.resume(t, mem.New(), engine.RestoreConfig{From: at, External: again}, 2)
		if err != nil {
			t.Fatal(err)
		}
		expect(t, name+" again", two, again, at, seqsOf(t, lines), two.make)
	}
	st, at := typed1.take(t, 2, engine.RestoreConfig{})
	lines, _, err := typed1.resume(t, mem.New(), engine.RestoreConfig{From: at, External: st}, 2)
	if err != nil {
		t.Fatal(err)
	}
	expect(t, "renamed", typed3, st, at, seqsOf(t, lines), typed3.make)
	t.Logf("RESULT TestInFlightEvolution records=%d", records+len(lines))
}

// Records in flight of a type that cannot become the job's are refused before the
// job starts, with all differences at once; they are dropped if that is allowed.
func TestInFlightTypeRefused(t *testing.T) {
	opaque := typed1
	opaque.codec = codec.Func(func(dst []byte, f flight1) []byte { return append(dst, byte(f.Key), byte(f.Seq)) },
		func(src []byte) (flight1, int, error) {
			if len(src) < 2 {
				return flight1{}, 0, errors.New("too short")
			}
			return flight1{Key: int64(src[0]), Seq: int64(src[1])}, 2, nil
		}, nil)
	st, at := typed1.take(t, 2, engine.RestoreConfig{})
	said := map[string]error{}
	var lines []string
	lines, _, said["other fields"] = typed4.resume(t, mem.New(), engine.RestoreConfig{From: at, External: st}, 2)
	more, _, err := opaque.resume(t, mem.New(), engine.RestoreConfig{From: at, External: st}, 2)
	said["a codec without a schema"] = err
	if len(lines)+len(more) > 0 {
		t.Errorf("records of a restore that was refused: %q %q", lines, more)
	}
	var report strings.Builder
	for _, name := range sortedKeys(said) {
		var refused *engine.RestoreError
		if !errors.As(said[name], &refused) {
			t.Fatalf("%s: got %v", name, said[name])
		}
		text := regexp.MustCompile(`\d+ records`).ReplaceAllString(said[name].Error(), "N records") // not always the same
		fmt.Fprintf(&report, "== %s\n%s\n", name, text)
	}
	golden(t, "in-flight-types.txt", report.String())

	lines, warned, err := typed4.resume(t, mem.New(), engine.RestoreConfig{From: at, External: st, AllowNonRestoredState: true}, 2)
	if err != nil || len(lines) > 0 || !strings.Contains(warned, "records in flight are dropped") {
		t.Errorf("allowed: %q, %v, %s", lines, err, warned)
	}

	// The same opaque codec is taken as it is.
	st, at = opaque.take(t, 2, engine.RestoreConfig{})
	for edge, typ := range recordTypes(t, st, at) {
		if typ != "opaque(engine_test.flight1)" {
			t.Errorf("records of %s on %s", typ, edge)
		}
	}
	lines, warned, err = opaque.resume(t, mem.New(), engine.RestoreConfig{From: at, External: st}, 3)
	if n := newestInFlight(t, st).InFlightRecords; err != nil || uint64(len(lines)) != n || warned != "" {
		t.Errorf("opaque: %d of %d records, %v, %s", len(lines), n, err, warned)
	}
}

// A checkpoint of revision 2 does not say of which type its records are: they are
// restored as they are, as then, and a warning says so.
func TestInFlightOfRevision2(t *testing.T) {
	st, err := local.Open(oldFlight)
	if err != nil {
		t.Fatal(err)
	}
	for edge, typ := range recordTypes(t, st, "chk-1") {
		if typ != "" {
			t.Errorf("records of %s on %s", typ, edge)
		}
	}
	for _, parallelism := range []int{1, 2, 3} {
		lines, said, err := typed1.resume(t, mem.New(), engine.RestoreConfig{From: "chk-1", External: st}, parallelism)
		if err != nil || len(lines) != 62 || !strings.Contains(said, "does not say of which type") {
			t.Errorf("parallelism %d: %d records, %v\n%s", parallelism, len(lines), err, said)
		}
		for i, n := range seqsOf(t, lines) {
			if want := fmt.Sprintf("%+v", newFlight1(numbered{Seq: n, Key: keyOf(0, uint64(n))})); lines[i] != want {
				t.Errorf("got %s, expected %s", lines[i], want)
			}
		}
	}
}
