package engine_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tidemark-io/tidemark/engine"
	"github.com/tidemark-io/tidemark/engine/codec"
	"github.com/tidemark-io/tidemark/engine/exchange"
	"github.com/tidemark-io/tidemark/format"
	"github.com/tidemark-io/tidemark/reader"
	"github.com/tidemark-io/tidemark/store"
	"github.com/tidemark-io/tidemark/store/mem"
)

// origin is one record of the input, by split and number.
type origin [2]int64

// flown is a stored buffer in flight and the records that touch it.
type flown struct {
	edge    string
	payload []byte
	records map[origin]bool
}

// flight is a checkpoint with data in flight, and where each of its buffers lies.
type flight struct {
	st      *mem.Store
	out     *ledger[counted]
	path    string
	buffers []flown
	all     map[origin]bool
}

const flightSplits, flightRecords = 4, 2500

func flightJob(out *ledger[counted], rounds int) *engine.Graph {
	return backpressured(numbers(flightSplits, flightRecords, all), out, rounds)
}

// takeFlight runs a job into backpressure, takes a checkpoint and finds out by
// itself which records touch which of its buffers.
func takeFlight(t *testing.T) (f *flight) {
	t.Helper()
	slower(t, func(rounds int) bool {
		f = tryFlight(t, rounds)
		return f != nil
	})
	return f
}

// tryFlight is takeFlight at some speed; it returns nil if the job was too quick.
func tryFlight(t *testing.T, rounds int) *flight {
	t.Helper()
	f := &flight{st: mem.New(), out: newLedger[counted](), all: map[origin]bool{}}
	cfg := engine.Config{Parallelism: 2, Exchange: smallBuffers()}
	cfg.Exchange.BufferSize = 1024
	cfg.Checkpoints = engine.CheckpointConfig{Store: f.st, Interval: 2 * time.Millisecond, Unaligned: true, Compression: "none", Objects: 2}
	if untilCheckpoints(t, flightJob(f.out, rounds), cfg, 4) {
		return nil
	}
	f.path = newestInFlight(t, f.st).Path
	ck, err := reader.Open(t.Context(), f.st, f.path)
	if err != nil {
		t.Fatal(err)
	}
	defer ck.Close()
	edges, err := ck.Edges()
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range edges {
		f.readEdge(t, ck, e.ID)
	}
	if len(f.buffers) < 10 || len(f.all) < 50 {
		return nil
	}
	return f
}

// readEdge joins the streams of one edge.
func (f *flight) readEdge(t *testing.T, ck *reader.Checkpoint, edge string) {
	t.Helper()
	type channel struct{ receiver, sender uint32 }
	streams := map[channel][]flown{}
	for _, side := range []format.Kind{format.KindInputChannel, format.KindOutputChannel} {
		for row, err := range ck.Buffers(t.Context(), edge, side) {
			if err != nil {
				t.Fatal(err)
			}
			at := channel{row.Row.Receiver, row.Row.Sender}
			streams[at] = append(streams[at], flown{edge, bytes.Clone(row.Row.Payload), map[origin]bool{}})
		}
	}
	for _, buffers := range streams {
		var stream []byte
		var ends []int
		for _, b := range buffers {
			stream = append(stream, b.payload...)
			ends = append(ends, len(stream))
		}
		for at := 0; at < len(stream); {
			end := at + 4 + int(binary.LittleEndian.Uint32(stream[at:]))
			var cursor exchange.Cursor
			cursor.Feed(stream[at:end])
			if fr, ok := cursor.Next(); !ok {
				t.Fatalf("no frame at %d: %v", at, cursor.Err())
			} else if fr.Kind() == exchange.TagRecord {
				o := originOf(t, edge, fr.Payload)
				f.all[o] = true
				first, _ := slices.BinarySearch(ends, at+1)
				last, _ := slices.BinarySearch(ends, end)
				for _, b := range buffers[first : last+1] {
					b.records[o] = true
				}
			}
			at = end
		}
		f.buffers = append(f.buffers, buffers...)
	}
}

// reported checks a number of lost records. It may be too high by a watermark or
// two whose header is cut where what the receiver had taken ends.
func reported(got uint64, want int) bool { return got >= uint64(want) && got <= uint64(want)+2 }

// originOf decodes a record: numbers come to the count, counted ones leave it.
func originOf(t *testing.T, edge string, payload []byte) origin {
	t.Helper()
	if strings.HasPrefix(edge, "numbers>") {
		c, err := codec.Of[numbered]()
		if err != nil {
			t.Fatal(err)
		}
		r, _, err := c.Decode(payload)
		if err != nil {
			t.Fatal(err)
		}
		return origin{r.Split, r.Seq}
	}
	c, err := codec.Of[counted]()
	if err != nil {
		t.Fatal(err)
	}
	r, _, err := c.Decode(payload)
	if err != nil {
		t.Fatal(err)
	}
	return origin{r.Split, r.Seq}
}

// clone copies a ledger.
func (l *ledger[T]) clone() *ledger[T] {
	return &ledger[T]{parts: maps.Clone(l.parts), visible: maps.Clone(l.visible), made: l.made}
}

// copyStore copies all objects of a store, each changed by change.
func copyStore(t *testing.T, from *mem.Store, change func(name string, data []byte)) *mem.Store {
	t.Helper()
	to := mem.New()
	for info, err := range from.List(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		data, err := store.ReadAll(t.Context(), from, info.Name, 1<<30)
		if err != nil {
			t.Fatal(err)
		}
		data = bytes.Clone(data)
		change(info.Name, data)
		if _, err := store.WriteAll(t.Context(), to, info.Name, data); err != nil {
			t.Fatal(err)
		}
	}
	return to
}

// damage returns a copy of the root with a byte of each of these buffers flipped.
func (f *flight) damage(t *testing.T, at ...int) *mem.Store {
	t.Helper()
	found := 0
	st := copyStore(t, f.st, func(name string, data []byte) {
		if !strings.HasPrefix(name, f.path+"/") {
			return
		}
		for _, i := range at {
			// A block of one buffer ends with its checksum and its payload.
			payload := f.buffers[i].payload
			row := append(binary.LittleEndian.AppendUint32(nil, format.Checksum(payload)), payload...)
			if off := bytes.Index(data, row); off >= 0 {
				data[off+4+len(payload)*(i%7)/7] ^= 0x10
				found++
			}
		}
	})
	if found != len(at) {
		t.Fatalf("%d of %d buffers were found", found, len(at))
	}
	return st
}

// twin reports whether another buffer has the same bytes, so that the test could
// not tell which one it damages: a piece of a few bytes.
func (f *flight) twin(i int) bool {
	return slices.IndexFunc(f.buffers, func(b flown) bool { return bytes.Equal(b.payload, f.buffers[i].payload) }) != i ||
		slices.IndexFunc(f.buffers[i+1:], func(b flown) bool { return bytes.Equal(b.payload, f.buffers[i].payload) }) >= 0
}

// large is the first whole buffer.
func (f *flight) large() int {
	return slices.IndexFunc(f.buffers, func(b flown) bool { return len(b.payload) > 500 })
}

// touching are the records that touch any of these buffers.
func (f *flight) touching(at ...int) map[origin]bool {
	set := map[origin]bool{}
	for _, i := range at {
		maps.Copy(set, f.buffers[i].records)
	}
	return set
}

// restore runs the job to its end from a damaged root and returns which records
// are missing.
func (f *flight) restore(t *testing.T, st *mem.Store, parallelism int, policy engine.CorruptPolicy) (missing map[origin]bool, dropped []engine.InFlightDropped, err error) {
	t.Helper()
	out, rec := f.out.clone(), &recorder{}
	cfg := engine.Config{Parallelism: parallelism, Exchange: smallBuffers(), Observer: rec}
	cfg.Checkpoints = engine.CheckpointConfig{Store: st, Unaligned: true}
	cfg.Restore = engine.RestoreConfig{From: f.path, OnCorruptChannelState: policy}
	if err := engine.Run(t.Context(), flightJob(out, 0), cfg); err != nil {
		return nil, nil, err
	}
	missing = map[origin]bool{}
	for split := range int64(flightSplits) {
		for seq := range int64(flightRecords) {
			missing[origin{split, seq}] = true
		}
	}
	for _, r := range out.records() {
		at := origin{r.Split, r.Seq}
		if !missing[at] {
			t.Fatalf("record %d of split %d came twice", r.Seq, r.Split)
		}
		delete(missing, at)
	}
	return missing, eventsOf[engine.InFlightDropped](rec), nil
}

// TestCorruptChannelState flips a byte in each buffer in flight and restores with
// each policy. What is lost is exactly what touches the damage, or exactly all
// that is in flight; what is reported is what is lost.
func TestCorruptChannelState(t *testing.T) {
	f := takeFlight(t)
	step := 1
	if testing.Short() {
		step = len(f.buffers)/8 + 1
	}
	runs, lost := 0, 0
	check := func(parallelism int, at ...int) {
		st := f.damage(t, at...)
		want := f.touching(at...)
		missing, dropped, err := f.restore(t, st, parallelism, engine.DropDamaged)
		if err != nil {
			t.Fatalf("buffers %v: %v", at, err)
		}
		if !maps.Equal(missing, want) {
			t.Fatalf("buffers %v damaged: %d records are lost, want %d", at, len(missing), len(want))
		}
		if len(dropped) != 1 || !reported(dropped[0].Records, len(want)) || dropped[0].Policy != engine.DropDamaged || dropped[0].Channels == 0 {
			t.Fatalf("buffers %v damaged, %d records lost: reported %+v", at, len(want), dropped)
		}
		runs++
		lost += len(missing)
	}
	for i := 0; i < len(f.buffers); i += step {
		if !f.twin(i) {
			check(2+i%2, i)
		}
	}
	var some []int
	for i := range f.buffers {
		if i%3 != 1 && !f.twin(i) && len(some) < 9 {
			some = append(some, i)
		}
	}
	check(3, some...)

	st := f.damage(t, f.large())
	missing, dropped, err := f.restore(t, st, 3, engine.DropAll)
	if err != nil {
		t.Fatal(err)
	}
	if got := newestLosses(t, st); !reported(got, len(f.all)) {
		t.Errorf("the next manifest reports %d records lost, not %d", got, len(f.all))
	}
	if !maps.Equal(missing, f.all) || len(dropped) != 1 || !reported(dropped[0].Records, len(f.all)) {
		t.Errorf("drop-all lost %d of %d records in flight and reported %+v", len(missing), len(f.all), dropped)
	}
	t.Logf("RESULT TestCorruptChannelState buffers=%d in-flight=%d restores=%d lost=%d", len(f.buffers), len(f.all), runs, lost)
}

// TestCorruptChannelStateFails: without a policy the error says what each would
// cost, and intact data is never dropped.
func TestCorruptChannelStateFails(t *testing.T) {
	f := takeFlight(t)
	at := f.large()
	st := f.damage(t, at)
	for _, policy := range []engine.CorruptPolicy{"", engine.FailOnCorrupt} {
		_, _, err := f.restore(t, st, 2, policy)
		var damaged *engine.DamagedError
		if !errors.As(err, &damaged) || damaged.Channels == nil {
			t.Fatalf("got %v", err)
		}
		if got, want := damaged.Channels.Damaged.Records, len(f.touching(at)); !reported(got, want) {
			t.Errorf("drop-damaged is said to cost %d records, not %d", got, want)
		}
		if got, want := damaged.Channels.All.Records, len(f.all); !reported(got, want) {
			t.Errorf("drop-all is said to cost %d records, not %d", got, want)
		}
		for _, want := range []string{"--on-corrupt-channel-state drop-damaged", "--on-corrupt-channel-state drop-all", fmt.Sprintf("%d records", damaged.Channels.All.Records)} {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%q is not in the error:\n%v", want, err)
			}
		}
	}
	for _, policy := range []engine.CorruptPolicy{engine.DropDamaged, engine.DropAll} {
		missing, dropped, err := f.restore(t, copyStore(t, f.st, func(string, []byte) {}), 3, policy)
		if err != nil || len(missing) > 0 || len(dropped) > 0 {
			t.Errorf("%s of intact data: %d records lost, %v reported, %v", policy, len(missing), dropped, err)
		}
	}
}

// TestCorruptPolicyIsRefused: it is for one checkpoint, named.
func TestCorruptPolicyIsRefused(t *testing.T) {
	for name, r := range map[string]engine.RestoreConfig{
		"latest":   {From: "latest", OnCorruptChannelState: engine.DropDamaged},
		"none":     {OnCorruptChannelState: engine.DropAll},
		"unknown":  {From: "chk-1", OnCorruptChannelState: "drop"},
		"fallback": {From: "chk-1", Fallback: true, OnCorruptChannelState: engine.DropAll},
	} {
		cfg := engine.Config{Restore: r}
		cfg.Checkpoints.Store = mem.New()
		if _, err := engine.Start(t.Context(), flightJob(newLedger[counted](), 0), cfg); err == nil || !strings.Contains(err.Error(), "in-flight data") {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// TestCorruptKeyedState: damage to state is an error whatever the policy, and
// damage to event time of channels leaves only drop-all.
func TestCorruptKeyedState(t *testing.T) {
	f := takeFlight(t)
	ck, err := reader.Open(t.Context(), f.st, f.path)
	if err != nil {
		t.Fatal(err)
	}
	defer ck.Close()
	flip := func(kind format.Kind) *mem.Store {
		states, err := ck.States()
		if err != nil {
			t.Fatal(err)
		}
		row := slices.IndexFunc(states, func(s format.State) bool { return s.Kind == kind && s.Entries > 0 })
		objects, err := ck.Objects()
		if err != nil {
			t.Fatal(err)
		}
		for sl, err := range ck.Slices(t.Context(), row) {
			if err != nil {
				t.Fatal(err)
			}
			return copyStore(t, f.st, func(name string, data []byte) {
				if name == objects[sl.Object].Name {
					data[sl.Offset-1] ^= 1 // the checksum of the last block
				}
			})
		}
		t.Fatalf("no slice of %v", kind)
		return nil
	}
	for _, c := range []struct {
		kind   format.Kind
		policy engine.CorruptPolicy
		ok     bool
	}{
		{format.KindKeyed, engine.DropDamaged, false}, {format.KindKeyed, engine.DropAll, false},
		{format.KindChannelWatermark, engine.DropDamaged, false}, {format.KindChannelWatermark, engine.DropAll, true},
		{format.KindInputChannel, engine.DropDamaged, true},
	} {
		missing, _, err := f.restore(t, flip(c.kind), 2, c.policy)
		var damaged *engine.DamagedError
		switch {
		case c.ok && err != nil:
			t.Errorf("%v, %s: %v", c.kind, c.policy, err)
		case !c.ok && !errors.As(err, &damaged):
			t.Errorf("%v, %s: %d records lost and %v, want the damage", c.kind, c.policy, len(missing), err)
		}
	}
}

// newestLosses is how many lost records the newest checkpoint reports.
func newestLosses(t *testing.T, st store.Store) (records uint64) {
	t.Helper()
	ck := openNewest(t, st)
	losses, err := ck.Losses()
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range losses {
		records += l.Records
	}
	return records
}

// failing is the job of a flight with a function that fails when it is told to.
func failing(out *ledger[counted], rounds int, fail *atomic.Bool) *engine.Graph {
	g := engine.NewGraph("backpressured")
	s := engine.From(g, "numbers", engine.Source[numbered](numbers(flightSplits, flightRecords, all)), engine.BoundedDisorder(seqTime, 0))
	counts := engine.Apply(engine.KeyBy(s, func(r numbered) int64 { return r.Key }), "count", newCounter).Rebalance()
	engine.Map(counts, func(c counted) counted {
		if fail.CompareAndSwap(true, false) {
			panic("planned")
		}
		spin(rounds)(numbered{Seq: c.Seq})
		return c
	}).To("out", out)
	return g
}

// TestCorruptPolicyAndRestarts: going back to the named checkpoint loses the same
// again, not more; going back to a damaged checkpoint of the run itself drops
// nothing and fails.
func TestCorruptPolicyAndRestarts(t *testing.T) {
	f := takeFlight(t)
	cfg := engine.Config{Parallelism: 2, Exchange: smallBuffers(), Restart: engine.RestartConfig{Attempts: 1, Delay: time.Nanosecond}}
	cfg.Restore = engine.RestoreConfig{From: f.path, OnCorruptChannelState: engine.DropDamaged}
	t.Run("named", func(t *testing.T) {
		var fail atomic.Bool
		fail.Store(true)
		out := f.out.clone()
		cfg.Checkpoints = engine.CheckpointConfig{Store: f.damage(t, f.large()), Unaligned: true}
		if err := engine.Run(t.Context(), failing(out, 0, &fail), cfg); err != nil {
			t.Fatal(err)
		}
		got := len(out.records())
		if want := flightSplits*flightRecords - len(f.touching(f.large())); got != want {
			t.Errorf("%d records, want %d", got, want)
		}
	})
	t.Run("its own", func(t *testing.T) {
		slower(t, func(rounds int) bool {
			var fail atomic.Bool
			st := f.damage(t, f.large())
			rec := &recorder{}
			damagedOne := false
			rec.on = func(e engine.Event) {
				if c, ok := e.(engine.CheckpointCompleted); ok && !damagedOne && spoil(t, st, c.Path) {
					damagedOne = true
					fail.Store(true)
				}
			}
			cfg.Observer = rec
			cfg.Checkpoints = engine.CheckpointConfig{Store: st, Unaligned: true, Interval: time.Millisecond, Compression: "none", Retained: 1000}
			err := engine.Run(t.Context(), failing(f.out.clone(), rounds, &fail), cfg)
			if !damagedOne || err == nil && fail.Load() {
				return false // it ended before a checkpoint had data in flight, or before it failed
			}
			var damaged *engine.DamagedError
			if !errors.As(err, &damaged) || damaged.Path == f.path || damaged.Channels == nil {
				t.Errorf("got %v, want damage in a later checkpoint", err)
			}
			return true
		})
	})
}

// spoil damages the in-flight data of a checkpoint, if there is any.
func spoil(t *testing.T, st *mem.Store, path string) bool {
	ck, err := reader.Open(t.Context(), st, path)
	if err != nil {
		t.Error(err)
		return false
	}
	defer ck.Close()
	edges, err := ck.Edges()
	if err != nil {
		t.Error(err)
		return false
	}
	for _, e := range edges {
		for row, err := range ck.Buffers(t.Context(), e.ID, format.KindOutputChannel) {
			if err != nil {
				t.Error(err)
				return false
			}
			return rewriteObject(t, st, path, bytes.Clone(row.Row.Payload))
		}
	}
	return false
}

// rewriteObject flips a bit of the object below path that holds payload.
func rewriteObject(t *testing.T, st *mem.Store, path string, payload []byte) bool {
	for info, err := range st.List(t.Context(), path+"/") {
		if err != nil {
			t.Error(err)
			return false
		}
		data, err := store.ReadAll(t.Context(), st, info.Name, 1<<30)
		if err != nil {
			t.Error(err)
			return false
		}
		if at := bytes.Index(data, payload); at >= 0 {
			data = bytes.Clone(data)
			data[at] ^= 1
			if err := errors.Join(st.Remove(t.Context(), info.Name, ""), func() error {
				_, err := store.WriteAll(t.Context(), st, info.Name, data)
				return err
			}()); err != nil {
				t.Error(err)
			}
			return true
		}
	}
	return false
}
