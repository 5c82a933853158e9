package engine_test

import (
	"errors"
	"fmt"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/tidemark-io/tidemark/checkpoint"
	"github.com/tidemark-io/tidemark/engine"
	"github.com/tidemark-io/tidemark/engine/codec"
	"github.com/tidemark-io/tidemark/keygroup"
	"github.com/tidemark-io/tidemark/keygroup/keyhash"
	"github.com/tidemark-io/tidemark/native"
	"github.com/tidemark-io/tidemark/recovery"
	"github.com/tidemark-io/tidemark/store"
	"github.com/tidemark-io/tidemark/store/mem"
)

// byKeyTopologies are graphs with pointwise connections of which some can be by
// key.
func byKeyTopologies() map[string]func(g *engine.Graph) {
	type stream = engine.Stream[counted]
	same := func(r counted) counted { return r }
	from := func(g *engine.Graph, uid string) engine.Stream[numbered] {
		return engine.From(g, uid, engine.Source[numbered](numbers(2, 50, all)), engine.BoundedDisorder(seqTime, 0))
	}
	count := func(g *engine.Graph, uid string) stream {
		return engine.Apply(engine.KeyBy(from(g, uid+"-source"), func(r numbered) int64 { return r.Key }), uid, newCounter)
	}
	sink := func() engine.Sink[counted] { return newLedger[counted]() }
	return map[string]func(g *engine.Graph){
		"forward":          func(g *engine.Graph) { engine.Map(count(g, "count"), same).To("out", sink()) },
		"forward, chained": func(g *engine.Graph) { engine.Map(count(g, "count"), same).To("out", sink()) },
		"rescale":          func(g *engine.Graph) { engine.Map(count(g, "count").Rescale(), same).To("out", sink()) },
		"unequal parallelism": func(g *engine.Graph) {
			engine.Map(engine.Map(count(g, "count").Rescale(), same, engine.Parallelism(3)), same, engine.Parallelism(3)).To("out", sink())
		},
		"behind a source": func(g *engine.Graph) {
			engine.Map(from(g, "numbers"), func(r numbered) counted { return counted{} }).To("out", sink())
		},
		"behind a rebalance": func(g *engine.Graph) {
			engine.Map(engine.Map(count(g, "count").Rebalance(), same), same).To("out", sink())
		},
		"keys of two operators": func(g *engine.Graph) {
			engine.Map(engine.Union(count(g, "a"), count(g, "b")), same).To("out", sink())
		},
		"diamond": func(g *engine.Graph) {
			c := count(g, "count")
			engine.Map(engine.Union(engine.Map(c, same), engine.Map(c, same)), same).To("out", sink())
		},
		"keyed broadcast": func(g *engine.Graph) { engine.Map(rulingOf(g, 2, 50, all), same).To("out", sink()) },
		"broadcast": func(g *engine.Graph) {
			s := engine.ApplyBroadcast(count(g, "count"), from(g, "rules"), "listen",
				func() engine.BroadcastProcess[counted, numbered, counted] { return nil })
			engine.Map(s, same).To("out", sink())
		},
		"resumable": func(g *engine.Graph) {
			f := func(r counted, _ int64, out *engine.Output[counted]) (int64, bool, error) { return 0, true, nil }
			engine.Map(engine.FlatMapResumable(count(g, "count"), "unroll", f), same).To("out", sink())
		},
	}
}

// TestPlansByKey compares the plans with what they were, with the reasons of what
// is refused.
func TestPlansByKey(t *testing.T) {
	graphs := byKeyTopologies()
	var b strings.Builder
	for _, name := range sortedKeys(graphs) {
		g := engine.NewGraph("plan")
		graphs[name](g)
		cfg := engine.Config{Parallelism: 2, DisableChaining: !strings.HasSuffix(name, "chained"),
			Checkpoints: engine.CheckpointConfig{Unaligned: true, PointwiseByKey: true}}
		p, err := engine.Explain(g, cfg)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		fmt.Fprintf(&b, "-- %s --\n%v", name, p)
	}
	golden(t, "plans_bykey.txt", b.String())
}

// ruling counts the records of each key, and says what rules it hears, without a
// key.
type ruling struct {
	keyCounter
	subtask int64
}

func (r *ruling) Open(b *engine.Binder) error {
	r.subtask = int64(b.Subtask())
	return r.keyCounter.Open(b)
}

func (r *ruling) Process(ctx *engine.Context[int64], in numbered, out *engine.Output[counted]) error {
	ctx.RegisterTimer(in.Seq)
	return r.keyCounter.Process(ctx, in, out)
}

// timerSplit and ruleSplit mark what a timer and what a rule emitted.
const timerSplit, ruleSplit = -1, -2

func (r *ruling) OnTimer(ctx *engine.Context[int64], at int64, out *engine.Output[counted]) error {
	out.Emit(counted{Split: timerSplit, Seq: at, Key: ctx.Key()})
	return nil
}

func (r *ruling) ProcessBroadcast(_ *engine.BroadcastContext, in numbered, out *engine.Output[counted]) error {
	out.Emit(counted{Split: ruleSplit, Seq: in.Seq, Key: r.subtask})
	return nil
}

// rulingOf is the output of a keyed operator that emits for records, timers and
// broadcast records.
func rulingOf(g *engine.Graph, splits int, n, limit int64) engine.Stream[counted] {
	s := engine.From(g, "numbers", engine.Source[numbered](numbers(splits, n, limit)), engine.BoundedDisorder(seqTime, 0).EveryRecords(10))
	rules := engine.From(g, "rules", engine.Source[numbered](numbers(1, n, limit)), engine.BoundedDisorder(seqTime, 0).EveryRecords(10), engine.Parallelism(1))
	return engine.ApplyKeyedBroadcast(engine.KeyBy(s, func(r numbered) int64 { return r.Key }), rules, "count",
		func() engine.KeyedBroadcastProcess[int64, numbered, numbered, counted] { return &ruling{} })
}

// jam is a map function behind which nothing comes out until a checkpoint is
// triggered: what its operator emits before is in flight then. The sources of its
// job do not end.
type jam struct {
	brake *brake
	seen  atomic.Int64 // by the operator before
}

func (j *jam) hold(r counted) counted {
	if j == nil {
		return r
	}
	j.brake.hold()
	for range 100 { // the barriers overtake meanwhile
		runtime.Gosched()
	}
	return r
}

// jammed runs a job until its operator before the jam has seen so many records,
// and then ends it with a checkpoint.
func jammed(t *testing.T, g *engine.Graph, cfg engine.Config, j *jam, records int64) {
	t.Helper()
	cfg.Observer = engine.ObserverFunc(func(e engine.Event) {
		if _, ok := e.(engine.CheckpointTriggered); ok {
			close(j.brake.off)
		}
	})
	job := start(t, g, cfg)
	<-j.brake.entered
	for j.seen.Load() < records {
		runtime.Gosched()
	}
	take(t, job)
	job.Cancel(errEnough)
	<-job.Done()
}

// byKeyConfig is a job of unchained operators with data in flight wherever it may
// be.
func byKeyConfig(st store.Store, parallelism int) engine.Config {
	return engine.Config{Parallelism: parallelism, KeyGroups: 128, DisableChaining: true, Restore: latest,
		Checkpoints: engine.CheckpointConfig{Store: st, Unaligned: true, PointwiseByKey: true, Retained: 1000}}
}

// TestByKeyRecordsInheritTheirKey: each record in flight on a pointwise connection
// carries the hash of the key that it was emitted for, by a record or a timer, over
// two connections; what was emitted without a key says so and has the lowest hash
// of its subtask. A restore at another parallelism has all of it once.
func TestByKeyRecordsInheritTheirKey(t *testing.T) {
	const splits, n, p = 2, 400, 3
	st, out := mem.New(), newLedger[counted]()
	build := func(j *jam) *engine.Graph {
		g := engine.NewGraph("ruled")
		end := int64(n)
		if j != nil {
			end++
		}
		s := rulingOf(g, splits, end, n)
		if j != nil {
			s = engine.Map(s, func(r counted) counted { j.seen.Add(1); return r })
		} else {
			s = engine.Map(s, func(r counted) counted { return r })
		}
		engine.Map(s, j.hold).To("out", out)
		return g
	}
	j := &jam{brake: newBrake()}
	jammed(t, build(j), byKeyConfig(st, p), j, splits*n+p*n)
	records, timers, rules := inherited(t, st, p)
	if records == 0 || timers == 0 || rules == 0 {
		t.Errorf("%d records, %d of timers and %d without key are in flight; want some of each", records, timers, rules)
	}
	run(t, build(nil), byKeyConfig(st, 5))
	var kept []counted
	fired, heard := map[counted]int{}, map[counted]int{}
	for _, r := range out.records() {
		switch r.Split {
		case timerSplit:
			fired[r]++
		case ruleSplit:
			heard[counted{Seq: r.Seq}]++
		default:
			kept = append(kept, r)
		}
	}
	checkCounted(t, kept, splits, n)
	for r, times := range fired {
		if times != 1 {
			t.Fatalf("timer %+v fired %d times", r, times)
		}
	}
	// A rule that the first run had processed came at 3 subtasks.
	for r, times := range heard {
		if times != p {
			t.Fatalf("rule %d was heard %d times", r.Seq, times)
		}
	}
	t.Logf("RESULT TestByKeyRecordsInheritTheirKey records=%d timers=%d without-key=%d", records, timers, rules)
}

// inherited checks the hashes of what is in flight in the newest checkpoint behind
// the operator "count" and counts it.
func inherited(t *testing.T, st store.Store, p int) (records, timers, rules int) {
	t.Helper()
	formats := native.NewFormat(st)
	ck, err := formats.Open(t.Context(), newestDir(t, st))
	if err != nil {
		t.Fatal(err)
	}
	defer ck.Close()
	keyCodec, err := codec.ForKey[int64]()
	if err != nil {
		t.Fatal(err)
	}
	values, err := codec.Of[counted]()
	if err != nil {
		t.Fatal(err)
	}
	for r, err := range ck.(checkpoint.Joiner).Records(t.Context(), checkpoint.Selector{}) {
		if err != nil {
			t.Fatal(err)
		}
		if r.Element != checkpoint.ElementRecord || !strings.HasPrefix(r.Edge, "count>") && !strings.HasPrefix(r.Edge, "map-1>") {
			continue
		}
		if r.Receiver != r.Sender || !r.HasHash {
			t.Fatalf("%s: a record from %d to %d, hash %v", r.Edge, r.Sender, r.Receiver, r.HasHash)
		}
		v, _, err := values.Decode(slices.Clone(r.Payload))
		if err != nil {
			t.Fatal(err)
		}
		want, noKey := keyhash.Of(keyCodec.Append(nil, v.Key)), false
		switch v.Split {
		case timerSplit:
			timers++
		case ruleSplit:
			rules++
			want, noKey = keygroup.Hash(keygroup.IntervalOf(int(r.Sender), 128, p).Lo), true
		default:
			records++
		}
		if r.Hash != want || r.NoKey != noKey {
			t.Fatalf("%s: %+v has hash %08x, no key %v; want %08x, %v", r.Edge, v, r.Hash, r.NoKey, want, noKey)
		}
	}
	return records, timers, rules
}

// byKeyCount is numbers → count per key → map → sink, with the map where shape puts
// it.
func byKeyCount(out engine.Sink[counted], j *jam, shape func(s engine.Stream[counted], hold func(counted) counted) engine.Stream[counted]) *engine.Graph {
	g := engine.NewGraph("counts")
	end := int64(500)
	if j != nil {
		end++
	}
	s := engine.From(g, "numbers", engine.Source[numbered](numbers(3, end, 500)), engine.BoundedDisorder(seqTime, 0))
	byKey := engine.KeyBy(s, func(r numbered) int64 { return r.Key })
	counts := engine.Apply(byKey, "count", func() engine.Process[int64, numbered, counted] { return &jamCounter{j: j} })
	shape(counts, j.hold).To("out", out)
	return g
}

// jamCounter tells a jam of its records.
type jamCounter struct {
	keyCounter
	j *jam
}

func (c *jamCounter) Process(ctx *engine.Context[int64], r numbered, out *engine.Output[counted]) error {
	if c.j != nil {
		c.j.seen.Add(1)
	}
	return c.keyCounter.Process(ctx, r, out)
}

func forwarded(s engine.Stream[counted], hold func(counted) counted) engine.Stream[counted] {
	return engine.Map(s, hold)
}

// TestRefusedChangesOfConnections: a job in which a connection cannot take over
// what is in flight on it is refused, all of it at once, and can be restored as it
// was; the others take it over, each record once.
func TestRefusedChangesOfConnections(t *testing.T) {
	shaped := func(change func(engine.Stream[counted]) engine.Stream[counted], opts ...engine.Option) func(engine.Stream[counted], func(counted) counted) engine.Stream[counted] {
		return func(s engine.Stream[counted], hold func(counted) counted) engine.Stream[counted] {
			return engine.Map(change(s), hold, opts...).Rebalance() // which takes over what may be in flight on it
		}
	}
	type stream = engine.Stream[counted]
	direct := func(s stream) stream { return s }
	custom := func(s stream) stream { return s.PartitionCustom(func(r counted, n int) int { return int(r.Key) % n }) }
	var report strings.Builder
	for _, c := range []struct {
		name   string
		was    func(stream) stream
		to     func(stream, func(counted) counted) stream
		change func(*engine.Config)
	}{
		{"by key, as it was", direct, shaped(direct), nil},
		{"by key at another parallelism", direct, shaped(direct), func(c *engine.Config) { c.Parallelism = 5 }},
		{"by key, then aligned", direct, shaped(direct), func(c *engine.Config) { c.Checkpoints.PointwiseByKey, c.Parallelism = false, 3 }},
		{"by key, then without unaligned checkpoints", direct, shaped(direct), func(c *engine.Config) { c.Checkpoints.Unaligned, c.Parallelism = false, 3 }},
		{"by key to rescale", direct, shaped(stream.Rescale), func(c *engine.Config) { c.Parallelism = 1 }},
		{"by key to rebalance", direct, shaped(stream.Rebalance), func(c *engine.Config) { c.Parallelism = 3 }},
		{"by key, its ends of unequal parallelism", direct, shaped(direct, engine.Parallelism(3)), nil},
		{"by key to rescale of unequal parallelism", direct, shaped(stream.Rescale, engine.Parallelism(3)), nil},
		{"by key, then chained", direct, shaped(direct), func(c *engine.Config) { c.DisableChaining = false }},
		{"by key to broadcast", direct, shaped(stream.Broadcast), nil},
		{"by key to custom", direct, shaped(custom), nil},
		{"by key into an operator that holds records", direct, func(s stream, _ func(counted) counted) stream {
			return engine.FlatMapResumable(s, "map-1", func(r counted, _ int64, out *engine.Output[counted]) (int64, bool, error) {
				out.Emit(r)
				return 0, true, nil
			}).Rebalance()
		}, nil},
		{"rebalance to by key", stream.Rebalance, shaped(direct), func(c *engine.Config) { c.Parallelism = 3 }},
		{"rebalance to rescale of unequal parallelism", stream.Rebalance, shaped(stream.Rescale, engine.Parallelism(3)), nil},
		{"rebalance to broadcast", stream.Rebalance, shaped(stream.Broadcast), nil},
		{"custom to by key", custom, shaped(direct), nil},
		{"custom to rebalance", custom, shaped(stream.Rebalance), nil},
	} {
		st, out, j := mem.New(), newLedger[counted](), &jam{brake: newBrake()}
		cfg := byKeyConfig(st, 2)
		cfg.Checkpoints.ForceUnaligned = true
		jammed(t, byKeyCount(out, j, shaped(c.was)), cfg, j, 1500)
		restored := cfg
		if c.change != nil {
			c.change(&restored)
		}
		fmt.Fprintf(&report, "== %s\n", c.name)
		err := engine.Run(t.Context(), byKeyCount(out, nil, c.to), restored)
		var problems *engine.RestoreError
		switch {
		case err == nil:
			report.WriteString("fits\n")
		case errors.As(err, &problems):
			for _, p := range problems.Problems {
				fmt.Fprintln(&report, regexp.MustCompile(`^\d+ records`).ReplaceAllString(p.What, "N records"))
			}
			run(t, byKeyCount(out, nil, shaped(c.was)), cfg)
		default:
			t.Errorf("%s: %v", c.name, err)
		}
		if got := out.records(); len(got) != 1500 {
			t.Errorf("%s: %d records came, want 1500", c.name, len(got))
		}
		checkCounted(t, out.records(), 3, 500)
	}
	golden(t, "restore_connections.txt", report.String())
}

// TestByKeyRescaledOffline: what is in flight on pointwise connections is
// redistributed by the tool as it is by the engine, at another parallelism and with
// another number of key groups; each record comes once, in order by key.
func TestByKeyRescaledOffline(t *testing.T) {
	var inFlight uint64
	for _, c := range []struct{ chain, groups []int }{
		{[]int{2, 3, 5, 1}, []int{0, 0, 0}}, {[]int{4, 4, 7}, []int{97, 4096}}, {[]int{5, 2, 5}, []int{0, 0}},
	} {
		st, out := mem.New(), newLedger[counted]()
		from := ""
		for i, p := range c.chain {
			j := &jam{brake: newBrake()}
			if i > 0 {
				j = nil
			}
			cfg := byKeyConfig(st, p)
			cfg.KeyGroups, cfg.Restore.From = 0, from
			if i == 0 {
				jammed(t, byKeyCount(out, j, forwarded), cfg, j, 1500)
			}
			if i == len(c.chain)-1 {
				run(t, byKeyCount(out, nil, forwarded), cfg)
				break
			}
			if i > 0 { // a checkpoint while recovered data is processed
				cfg.Checkpoints.Interval = 1
				if untilCheckpoints(t, byKeyCount(out, nil, slowly), cfg, 1) {
					t.Fatal("the job ended before it could be interrupted")
				}
			}
			dst, records := rescaleNewest(t, st, recovery.Rescaling{Parallelism: uint32(c.chain[i+1]), KeyGroups: uint32(c.groups[i])})
			from, inFlight = dst, inFlight+records
		}
		checkCounted(t, out.records(), 3, 500)
		inOrderByKey(t, out.records())
	}
	if inFlight == 0 {
		t.Error("nothing was in flight")
	}
	t.Logf("RESULT TestByKeyRescaledOffline in-flight-records=%d", inFlight)
}

// TestSpreadThenByKeyTwice: records that were spread have no hash of a key. A
// connection that has become one by key takes them over, and so does the next
// restore of what it has not processed by then, as a connection by key or spread
// again; nothing is lost, whatever the parallelism.
func TestSpreadThenByKeyTwice(t *testing.T) {
	type stream = engine.Stream[counted]
	type shape = func(stream, func(counted) counted) stream
	// The map's own output is spread, which takes over whatever is in flight on it.
	byKey := func(s stream, hold func(counted) counted) stream { return forwarded(s, hold).Rebalance() }
	spread := func(s stream, hold func(counted) counted) stream { return byKey(s.Rebalance(), hold) }
	byKeySlowly := func(s stream, _ func(counted) counted) stream { return slowly(s, nil).Rebalance() }
	spreadSlowly := func(s stream, _ func(counted) counted) stream { return byKeySlowly(s.Rebalance(), nil) }
	for _, c := range []struct {
		name   string
		shapes []shape
		p      []int
	}{
		{"same parallelism", []shape{spread, byKeySlowly, byKey}, []int{2, 2, 2}},
		{"rescaled", []shape{spread, byKeySlowly, byKeySlowly, byKey}, []int{2, 3, 5, 1}},
		{"there and back", []shape{byKey, spreadSlowly, byKeySlowly, byKeySlowly, byKey}, []int{3, 3, 3, 2, 4}},
	} {
		t.Run(c.name, func(t *testing.T) {
			st, out := mem.New(), newLedger[counted]()
			for i, shape := range c.shapes {
				cfg := byKeyConfig(st, c.p[i])
				switch i {
				case 0:
					j := &jam{brake: newBrake()}
					jammed(t, byKeyCount(out, j, shape), cfg, j, 1500)
				case len(c.shapes) - 1:
					run(t, byKeyCount(out, nil, shape), cfg)
				default: // a checkpoint while recovered data is processed
					cfg.Checkpoints.Interval = 1
					if untilCheckpoints(t, byKeyCount(out, nil, shape), cfg, 1) {
						t.Fatal("the job ended before it could be interrupted")
					}
				}
			}
			checkCounted(t, out.records(), 3, 500)
		})
	}
}

// slowly makes what comes before it wait.
func slowly(s engine.Stream[counted], _ func(counted) counted) engine.Stream[counted] {
	return engine.Map(s, func(c counted) counted {
		spin(20_000)(numbered{Seq: c.Seq})
		return c
	})
}

// inOrderByKey checks that the records of each key came in their order.
func inOrderByKey(t *testing.T, got []counted) {
	t.Helper()
	last := map[int64]int64{}
	for _, r := range got {
		if r.N != last[r.Key]+1 {
			t.Fatalf("key %d: number %d came behind number %d", r.Key, r.N, last[r.Key])
		}
		last[r.Key] = r.N
	}
}

// TestByKeyRefusedOffline: the tool refuses what would tear records from the
// subtask that owns their key.
func TestByKeyRefusedOffline(t *testing.T) {
	st, out, j := mem.New(), newLedger[counted](), &jam{brake: newBrake()}
	twice := func(s engine.Stream[counted], hold func(counted) counted) engine.Stream[counted] {
		return engine.Map(engine.Map(s, func(r counted) counted { return r }), hold)
	}
	jammed(t, byKeyCount(out, j, twice), byKeyConfig(st, 2), j, 1500)
	formats := native.NewFormat(st)
	src, err := formats.Open(t.Context(), newestDir(t, st))
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	for name, edit := range map[string]checkpoint.Edit{
		"differ in parallelism": {Layouts: map[string]checkpoint.Layout{"map-1": {Parallelism: 3}}},
		"which is left out":     {Drop: []checkpoint.Drop{{Kind: checkpoint.DropOperator, Selector: checkpoint.Selector{Operator: "count"}}}},
	} {
		_, err := formats.Apply(t.Context(), src, edit, "savepoint-9", nil)
		var refused *checkpoint.RefusedError
		if !errors.As(err, &refused) || !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), `"count"`) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
