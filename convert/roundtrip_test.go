package convert_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tidemark-io/tidemark/checkpoint"
	"github.com/tidemark-io/tidemark/convert"
	"github.com/tidemark-io/tidemark/engine"
	"github.com/tidemark-io/tidemark/engine/connector/collect"
	"github.com/tidemark-io/tidemark/engine/connector/slice"
	"github.com/tidemark-io/tidemark/flink"
	"github.com/tidemark-io/tidemark/flink/metadata"
	"github.com/tidemark-io/tidemark/flink/oracle"
	"github.com/tidemark-io/tidemark/flink/serde"
	"github.com/tidemark-io/tidemark/flink/state"
	"github.com/tidemark-io/tidemark/keygroup"
	"github.com/tidemark-io/tidemark/reader"
	"github.com/tidemark-io/tidemark/recovery"
	"github.com/tidemark-io/tidemark/store"
	"github.com/tidemark-io/tidemark/store/mem"
	"github.com/tidemark-io/tidemark/writer/writertest"
)

// rich has a field of every type that values can have.
type rich struct {
	Bool    bool
	I8      int8
	I16     int16
	I32     int32
	I64     int64
	U8      uint8
	U16     uint16
	U32     uint32
	U64     uint64
	F32     float32
	F64     float64
	Text    string
	Bytes   []byte
	At      time.Time
	For     time.Duration
	List    []string
	Array   [3]int16
	ByName  map[string]int64
	Nested  nested
	Maybe   *int32
	Nothing *string
}

type nested struct {
	A string
	B []nestedMore
}

type nestedMore struct{ X, Y float64 }

// richKey is a key of several types.
type richKey struct {
	Name string
	N    int32
	F    float64
	When time.Time
}

func richOf(n int64) rich {
	i := int32(n)
	return rich{Bool: n%2 == 0, I8: int8(-n), I16: int16(-n * 3), I32: math.MinInt32 + i, I64: math.MinInt64 + n, U8: uint8(200 + n), U16: math.MaxUint16,
		U32: math.MaxUint32, U64: math.MaxInt64, F32: float32(n) / 3, F64: math.Copysign(0, -1), Text: strings.Repeat("ключ😀\x00", int(n%4)), Bytes: []byte{0, ',', byte(n)},
		At: time.Unix(n, 123456789).UTC(), For: time.Duration(-n), List: []string{"", "a,b", "\x00"}, Array: [3]int16{1, int16(n), -1},
		ByName: map[string]int64{"x": n, "": -n}, Nested: nested{"n", []nestedMore{{1, math.Inf(-1)}, {}}}, Maybe: &i}
}

// collector has every kind of keyed state, with rich values.
type collector struct {
	value engine.Value[rich]
	list  engine.ListState[rich]
	texts engine.ListState[string]
	byKey engine.MapState[richKey, rich]
	times engine.Value[time.Time]
}

func (p *collector) Open(b *engine.Binder) error {
	return errors.Join(p.value.Bind(b, "value"), p.list.Bind(b, "list"), p.texts.Bind(b, "texts"), p.byKey.Bind(b, "by-key"), p.times.Bind(b, "times"))
}

func (p *collector) Process(ctx *engine.Context[richKey], n int64, _ *engine.Output[int64]) error {
	p.value.Set(richOf(n))
	p.list.Add(richOf(n))
	p.texts.Add(strings.Repeat(",", int(n%5)))
	p.byKey.Put(keyOf(n*7), richOf(n+1))
	if n%2 == 0 {
		p.times.Set(time.Time{})
	}
	ctx.RegisterTimer(1e6 + n)
	ctx.RegisterProcessingTimer(4e12 - n)
	return nil
}

func (p *collector) OnTimer(*engine.Context[richKey], int64, *engine.Output[int64]) error { return nil }
func (p *collector) OnProcessingTimer(*engine.Context[richKey], int64, *engine.Output[int64]) error {
	return nil
}

func keyOf(n int64) richKey {
	return richKey{Name: fmt.Sprint("k\x00", n%31), N: int32(n % 3), F: float64(n%2) / 2, When: time.Unix(n%5, 1).UTC()}
}

// lists has operator state of each kind.
type lists struct {
	split engine.SplitList[rich]
	union engine.UnionList[string]
	rules engine.BroadcastState[string, rich]
}

func (p *lists) Open(b *engine.Binder) error {
	return errors.Join(p.split.Bind(b, "split"), p.union.Bind(b, "union"), p.rules.Bind(b, "rules"))
}

func (p *lists) Process(_ *engine.RecordContext, n int64, out *engine.Output[int64]) error {
	p.split.Items = append(p.split.Items, richOf(n))
	p.union.Own = append(p.union.Own, fmt.Sprint("u", n))
	out.Emit(n)
	return nil
}

func (p *lists) ProcessBroadcast(ctx *engine.BroadcastContext, n int64, _ *engine.Output[int64]) error {
	p.rules.Put(ctx, fmt.Sprint("rule ", n), richOf(n))
	return nil
}

// richCheckpoint runs a job with state of every kind and type up to a savepoint.
func richCheckpoint(t *testing.T, st store.Store, parallelism int) *reader.Checkpoint {
	t.Helper()
	src := newIDs(0, 200, 1<<40)
	g := engine.NewGraph("rich")
	numbers := engine.From(g, "source", engine.Source[int64](src), engine.Watermarks[int64]{})
	rules := engine.From(g, "rules", slice.New([]int64{1, 2, 3}, 1), engine.Watermarks[int64]{})
	through := engine.ApplyBroadcast(numbers, rules, "lists", func() engine.BroadcastProcess[int64, int64, int64] { return &lists{} })
	engine.Apply(engine.KeyBy(through, keyOf), "collector", func() engine.Process[richKey, int64, int64] { return &collector{} }).To("out", collect.New[int64]())
	job, err := engine.Start(t.Context(), g, engine.Config{Parallelism: parallelism, Checkpoints: engine.CheckpointConfig{Store: st}})
	if err != nil {
		t.Fatal(err)
	}
	<-src.rest
	save, err := job.StopWithSavepoint(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := job.Wait(); err != nil {
		t.Fatal(err)
	}
	return open(t, st, save.Path)
}

func openFlink(t *testing.T, st store.Store, dir string, uids ...string) *flink.Checkpoint {
	t.Helper()
	ck, err := flink.NewFormat(st, flink.WithUIDs(uids...)).OpenCheckpoint(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	return ck
}

// State of every kind, with values of every type, comes back as it was: through rows
// and POJOs, in memory and sorted outside it, at other layouts.
func TestThereAndBack(t *testing.T) {
	st := mem.New()
	src := richCheckpoint(t, st, 2)
	mid := mem.New()
	for i, structs := range []map[string]string{nil, {"collector/value": "a.b.Rich", "collector/value.Nested": "tuple", "lists/split": "Rich", "collector": "tuple"}} {
		for _, memory := range []int{1 << 20, 2000} {
			name := fmt.Sprintf("flink-%d-%d", i, memory)
			there, err := convert.ToFlink(t.Context(), src, mid, name, convert.Options{Memory: memory, Structs: structs, Parallelism: uint32(i + 2),
				Drop: drops(t, "operator=source", "operator=rules", "operator=out")})
			if err != nil {
				t.Fatal(err)
			}
			ck := openFlink(t, mid, name, "lists", "collector")
			back, err := convert.ToNative(t.Context(), ck, st, "back-"+name, convert.Options{Memory: memory, Like: src, Parallelism: 3, KeyGroups: uint32(128 - 31*i)})
			if err != nil {
				t.Fatal(err)
			}
			if len(there.States) != 10 || len(back.States) != 10 {
				t.Errorf("%d states there, %d back: %+v", len(there.States), len(back.States), back.States)
			}
			entries := uint64(0)
			for k := range there.States {
				entries += back.States[k].Entries
			}
			for _, uid := range []string{"lists", "collector"} {
				for _, s := range there.States {
					if s.Operator != uid {
						continue
					}
					opts := recovery.DiffOptions{Select: checkpoint.Selector{Operator: uid, State: s.Name}}
					for d, err := range recovery.Diff(t.Context(), model(src), model(open(t, st, "back-"+name)), opts) {
						if err != nil {
							t.Fatal(err)
						}
						t.Errorf("%s %s: %v %s %+v", name, s.Name, d.Change, d.Problem, d.A)
						break
					}
				}
			}
			fmt.Printf("RESULT convert-round-trip structs=%d memory=%d states=%d entries=%d\n", len(structs), memory, len(back.States), entries)
		}
	}
	leftover(t, mid, ".spill/")
	leftover(t, st, ".spill/")
}

// leftover requires that no object has a text in its name.
func leftover(t *testing.T, st store.Store, text string) {
	t.Helper()
	for info, err := range st.List(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(info.Name, text) {
			t.Errorf("%s is left", info.Name)
		}
	}
}

// What an earlier, killed conversion left of runs goes away; what lies at the
// destination does not.
func TestSweep(t *testing.T) {
	st := mem.New()
	src := richCheckpoint(t, st, 1)
	if _, err := store.WriteAll(t.Context(), st, "made.spill/run-000000", []byte("old")); err != nil {
		t.Fatal(err)
	}
	opts := convert.Options{Memory: 1000, Drop: drops(t, "operator=source", "operator=rules", "operator=out")}
	if _, err := convert.ToFlink(t.Context(), src, st, "made", opts); err != nil {
		t.Fatal(err)
	}
	leftover(t, st, ".spill/")
	if _, err := convert.ToFlink(t.Context(), src, st, "made", opts); !errors.Is(err, checkpoint.ErrExists) {
		t.Errorf("%v", err)
	}
}

// All reasons to refuse are named at once, and nothing is written.
func TestRefusedThere(t *testing.T) {
	st := mem.New()
	if _, err := (writertest.Job{Keys: 10}).Write(t.Context(), st); err != nil {
		t.Fatal(err)
	}
	_, err := convert.ToFlink(t.Context(), open(t, st, "chk-1"), st, "no", convert.Options{})
	var refused *checkpoint.RefusedError
	if !errors.As(err, &refused) || len(refused.Reasons) != 3 { // in flight, timers of another name, broadcast state without keys
		t.Fatalf("%v", err)
	}
	for _, r := range refused.Reasons {
		if r.Remedy == "" || r.Problem == "" {
			t.Errorf("%+v", r)
		}
	}
	leftover(t, st, "no/")
}

// canonical writes a savepoint of one operator with one value state, by hand.
func canonical(t *testing.T, st store.Store, key, value *serde.Type, entries map[any]any) *flink.Checkpoint {
	t.Helper()
	h := &state.KeyedHeader{Key: key, States: []state.Meta{{Name: "v", Kind: state.KeyValue, Options: []state.Option{{Key: state.OptionStateType, Value: state.StateTypeValue}},
		Serializers: []state.Serializer{{Key: state.SerializerNamespace, Type: serde.Of(serde.KindVoidNamespace)}, {Key: state.SerializerValue, Type: value}}}}}
	type entry struct {
		group      int
		key, value []byte
	}
	var list []entry
	for k, v := range entries {
		kb, err := key.Append(nil, k)
		if err != nil {
			t.Fatal(err)
		}
		vb, err := value.Append(nil, v)
		if err != nil {
			t.Fatal(err)
		}
		group := 0
		if key.Hashable() == nil {
			code, err := key.HashKey(kb)
			if err != nil {
				t.Fatal(err)
			}
			group = serde.KeyGroup(code, 128)
		}
		list = append(list, entry{group, state.AppendComposite(nil, key, serde.Of(serde.KindVoidNamespace), kb, []byte{0}, nil), vb})
	}
	slices.SortFunc(list, func(a, b entry) int { return a.group - b.group })
	up, err := st.Create(t.Context(), "flink/keyed")
	if err != nil {
		t.Fatal(err)
	}
	w, err := state.NewCanonicalWriter(up, h, keygroup.Range{First: 0, Last: 127}, 128)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range list {
		if err := w.Add(e.group, 0, e.key, e.value); err != nil {
			t.Fatal(err)
		}
	}
	offsets, size, err := w.Finish()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := up.Commit(); err != nil {
		t.Fatal(err)
	}
	m := &metadata.Metadata{Version: metadata.Version3, CheckpointID: 5, Operators: []metadata.Operator{{ID: metadata.IDOfUID("op"), Parallelism: 1, MaxParallelism: 128,
		Subtasks: []metadata.Subtask{{State: &metadata.SubtaskState{ManagedKeyed: &metadata.KeyGroupsHandle{Tag: metadata.TagSavepoint,
			Range: metadata.KeyGroupRange{Count: 128}, Offsets: offsets, Delegate: &metadata.RelativeFile{Path: "keyed", Size: size}}}}}}}}
	data, err := metadata.Append(nil, m)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := store.WriteAll(t.Context(), st, "flink/_metadata", data); err != nil {
		t.Fatal(err)
	}
	return openFlink(t, st, "flink", "op")
}

// Values and keys that have no counterpart are refused, and nothing is left; with
// -0 and 0 as keys that is so wherever the two land.
func TestRefusedBack(t *testing.T) {
	double, text, long := serde.Of(serde.KindDouble), serde.Of(serde.KindString), serde.Of(serde.KindLong)
	row, err := serde.RowOf(true, long)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name       string
		key, value *serde.Type
		entries    map[any]any
		want       string
	}{
		{"zeros", double, long, map[any]any{0.5: int64(3)}, ""},
		{"zeros", double, long, map[any]any{1.5: int64(1), math.Copysign(0, -1): int64(2)}, ""},
		{"null", long, text, map[any]any{int64(1): nil}, "null"},
		{"surrogate", long, text, map[any]any{int64(1): "a\xed\xa0\x80"}, "surrogate"},
		{"decimal", long, serde.Of(serde.KindBigDecimal), map[any]any{}, "cannot be converted"},
		{"insertion", long, row, map[any]any{int64(1): &serde.Struct{Type: row, Values: []any{int64(1)}}}, ""},
		{"retraction", long, row, map[any]any{int64(1): &serde.Struct{Type: row, Values: []any{int64(1)}, RowKind: 1}}, "kind -U"},
		{"far", long, serde.Of(serde.KindInstant), map[any]any{int64(1): serde.Instant{Seconds: 1 << 40}}, "1677"},
	} {
		t.Run(c.name, func(t *testing.T) {
			st := mem.New()
			r, err := convert.ToNative(t.Context(), canonical(t, st, c.key, c.value, c.entries), st, "made", convert.Options{})
			if c.want == "" {
				if err != nil || len(r.States) != 1 {
					t.Fatal(r, err)
				}
				return
			}
			var refused *checkpoint.RefusedError
			if !errors.As(err, &refused) || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("%v", err)
			}
			leftover(t, st, "made/")
		})
	}
}

// Two keys of Java's that are one here are not merged.
func TestZerosDoNotMerge(t *testing.T) {
	// As keys of a Go map the two zeros are one, so they come as one of two fields.
	key, err := serde.TupleOf(serde.Of(serde.KindDouble), serde.Of(serde.KindLong))
	if err != nil {
		t.Fatal(err)
	}
	a := &serde.Struct{Type: key, Values: []any{0.0, int64(1)}, RowKind: -1}
	b := &serde.Struct{Type: key, Values: []any{math.Copysign(0, -1), int64(1)}, RowKind: -1}
	for _, memory := range []int{1 << 20, 1} {
		st := mem.New()
		ck := canonical(t, st, key, serde.Of(serde.KindLong), map[any]any{a: int64(1), b: int64(2)})
		_, err = convert.ToNative(t.Context(), ck, st, "made", convert.Options{Memory: memory})
		var refused *checkpoint.RefusedError
		if !errors.As(err, &refused) || !strings.Contains(err.Error(), "-0") {
			t.Fatalf("%v", err)
		}
		leftover(t, st, "made")
	}
}

// Every sample of a real Flink is converted as a whole as far as its types are
// known, or refused by name.
func TestSamples(t *testing.T) {
	converted, refused, entries := 0, 0, uint64(0)
	for _, s := range oracle.Samples(t) {
		if len(s.InFlight) > 0 {
			continue
		}
		st, ck := mem.New(), openSample(t, s)
		opts := convert.Options{Memory: 1 << 16, Nullable: true, Drop: drops(t, "kind=coordinator", "kind=raw-keyed")}
		r, err := convert.ToNative(t.Context(), ck, st, "savepoint-1", opts)
		var no *checkpoint.RefusedError
		switch {
		case err == nil:
			converted++
			for _, s := range r.States {
				entries += s.Entries
			}
			for f, err := range recovery.Verify(t.Context(), model(open(t, st, "savepoint-1")), recovery.Options{}) {
				if err != nil || f.Severity == checkpoint.Error {
					t.Errorf("%s: %+v %v", s.Name, f, err)
				}
			}
		case errors.As(err, &no):
			refused++
			t.Logf("%s: %v", s.Name, err)
		default:
			t.Errorf("%s: %v", s.Name, err)
		}
	}
	if converted < 44 {
		t.Errorf("%d converted, %d refused", converted, refused)
	}
	fmt.Printf("RESULT convert-samples converted=%d refused=%d entries=%d\n", converted, refused, entries)
}

// full is a store that takes no more than so many objects.
type full struct {
	store.Store
	left int
}

var errFull = errors.New("the store is full")

func (f *full) Create(ctx context.Context, name string) (store.Upload, error) {
	if f.left--; f.left < 0 {
		return nil, errFull
	}
	return f.Store.Create(ctx, name)
}

// Whatever object cannot be written, nothing of ours is left, and what another
// conversion to the same place has made is.
func TestNothingIsLeft(t *testing.T) {
	from := mem.New()
	src := richCheckpoint(t, from, 2)
	opts := convert.Options{Memory: 20000, Drop: drops(t, "operator=source", "operator=rules", "operator=out")}
	whole := mem.New()
	if _, err := convert.ToFlink(t.Context(), src, whole, "flink", opts); err != nil {
		t.Fatal(err)
	}
	failures := [2]int{}
	for left := 0; ; left++ {
		there, back := mem.New(), mem.New()
		_, errThere := convert.ToFlink(t.Context(), src, &full{there, left}, "made", opts)
		_, errBack := convert.ToNative(t.Context(), openFlink(t, whole, "flink", "lists", "collector"), &full{back, left}, "made", convert.Options{Memory: 20000, Like: src})
		for i, err := range []error{errThere, errBack} {
			if err != nil && !errors.Is(err, errFull) {
				t.Fatal(err)
			}
			if err != nil {
				failures[i]++
				leftover(t, []store.Store{there, back}[i], "made")
			}
		}
		if errThere == nil && errBack == nil {
			break
		}
	}
	if failures[0] < 5 || failures[1] < 5 {
		t.Errorf("%v failures", failures)
	}
	fmt.Printf("RESULT convert-failures there=%d back=%d\n", failures[0], failures[1])
}
