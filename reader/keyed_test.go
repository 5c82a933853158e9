package reader_test

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"slices"
	"testing"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/tidemark-io/tidemark/keygroup"
	"github.com/tidemark-io/tidemark/keygroup/keyhash"
	"github.com/tidemark-io/tidemark/reader"
	"github.com/tidemark-io/tidemark/rescale"
	"github.com/tidemark-io/tidemark/store/mem"
	"github.com/tidemark-io/tidemark/writer"
	"github.com/tidemark-io/tidemark/writer/writertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// open opens a sample checkpoint and closes it at the end of the test.
func open(t testing.TB, st *mem.Store, dir string) *reader.Checkpoint {
	t.Helper()
	c, err := reader.Open(context.Background(), st, dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// same compares what was read with what must be there.
func same(got iter.Seq2[reader.Entry, error], want []writertest.Entry) error {
	i := 0
	for e, err := range got {
		if err != nil {
			return err
		}
		if i == len(want) {
			return fmt.Errorf("more than %d entries", i)
		}
		w := want[i]
		if e.Hash != w.Hash || !bytes.Equal(e.Key, w.Key) || !bytes.Equal(e.Value, w.Value) || e.Time != w.Time ||
			w.Namespace != nil && !bytes.Equal(e.Namespace, w.Namespace) {
			return fmt.Errorf("entry %d is %08x %x %x, want %08x %x %x", i, uint32(e.Hash), e.Key, e.Namespace, uint32(w.Hash), w.Key, w.Namespace)
		}
		i++
	}
	if i < len(want) {
		return fmt.Errorf("%d entries of %d", i, len(want))
	}
	return nil
}

// TestAnyIntervalIsAFilter: what p writers wrote, read by any interval, is the
// filter of everything, in the global order.
func TestAnyIntervalIsAFilter(t *testing.T) {
	most := 400
	if testing.Short() {
		most = 30
	}
	rapid.Check(t, func(rt *rapid.T) {
		job := writertest.Job{
			Parallelism: rapid.IntRange(1, 9).Draw(rt, "p"),
			Groups:      rapid.SampledFrom([]int{9, 128, 1000}).Draw(rt, "groups"),
			Keys:        rapid.IntRange(0, most).Draw(rt, "keys"),
			ValueSize:   rapid.SampledFrom([]int{1, 8, 300}).Draw(rt, "value"),
			Options: writer.Options{
				Objects:     rapid.IntRange(1, 4).Draw(rt, "objects"),
				BlockSize:   rapid.SampledFrom([]int{1, 64, 500, 64 << 10}).Draw(rt, "block"),
				Compression: writer.Compression(rapid.IntRange(0, 3).Draw(rt, "compression")),
			},
		}
		st := mem.New()
		if _, err := job.Write(t.Context(), st); err != nil {
			rt.Fatal(err)
		}
		c, err := reader.Open(t.Context(), st, job.Dir())
		if err != nil {
			rt.Fatal(err)
		}
		defer c.Close()
		intervals := []keygroup.Interval{keygroup.All(), {}}
		next := rescale.Layout{Groups: job.Groups, Parallelism: rapid.IntRange(1, 9).Draw(rt, "p'")}
		intervals = append(intervals, next.Intervals()...)
		lo := rapid.Uint64Range(0, 1<<32).Draw(rt, "lo")
		intervals = append(intervals, keygroup.Interval{Lo: lo, Hi: rapid.Uint64Range(lo, 1<<32).Draw(rt, "hi")})
		if all := job.Keyed(keygroup.All()); len(all) > 0 { // an interval that begins and ends at entries
			h := uint64(all[rapid.IntRange(0, len(all)-1).Draw(rt, "entry")].Hash)
			intervals = append(intervals, keygroup.Interval{Lo: h, Hi: h + 1}, keygroup.Interval{Lo: h + 1, Hi: 1 << 32}, keygroup.Interval{Hi: h})
		}
		for _, iv := range intervals {
			if err := same(c.Keyed(t.Context(), writertest.Count, "counter", iv), job.Keyed(iv)); err != nil {
				rt.Fatalf("counter in %v: %v", iv, err)
			}
			if err := same(c.Keyed(t.Context(), writertest.Count, "windows", iv), job.Windows(iv)); err != nil {
				rt.Fatalf("windows in %v: %v", iv, err)
			}
			if err := same(c.Timers(t.Context(), writertest.Count, "due", iv), job.Timers(iv)); err != nil {
				rt.Fatalf("due in %v: %v", iv, err)
			}
		}
		if list, err := findings(t.Context(), st, job.Dir()); err != nil || len(list) > 0 {
			rt.Fatalf("verify: %v, %v", list, err)
		}
	})
}

func TestLookup(t *testing.T) {
	job := writertest.Job{Keys: 1000, Parallelism: 3, Options: writer.Options{BlockSize: 256}}
	c := open(t, write(t, job), job.Dir())
	for k := range 1000 {
		h := keyhash.Of(writertest.Key(k))
		want := slices.DeleteFunc(job.Windows(keygroup.Interval{Lo: uint64(h), Hi: uint64(h) + 1}), func(e writertest.Entry) bool {
			return !bytes.Equal(e.Key, writertest.Key(k))
		})
		if err := same(c.Lookup(t.Context(), writertest.Count, "windows", writertest.Key(k)), want); err != nil || len(want) != 2 {
			t.Fatalf("key %d: %v", k, err)
		}
	}
	for e, err := range c.Lookup(t.Context(), writertest.Count, "counter", []byte("absent")) {
		t.Errorf("an absent key has %v, %v", e, err)
	}
}

// TestLookupReadsLittle: one key of a large state costs a few reads.
func TestLookupReadsLittle(t *testing.T) {
	job := writertest.Job{Keys: 20_000, ValueSize: 100, Options: writer.Options{Compression: writer.CompressNone}}
	st := &counting{Store: write(t, job)}
	c, err := reader.Open(t.Context(), st, job.Dir())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, err := range c.Lookup(t.Context(), writertest.Count, "counter", writertest.Key(7)) {
		if err != nil {
			t.Fatal(err)
		}
	}
	total := int64(c.Summary().StateBytes)
	if read := st.bytes.Load(); read > total/10 {
		t.Errorf("%d bytes read of %d for one key", read, total)
	} else {
		fmt.Printf("RESULT reader-lookup state_bytes=%d read_bytes=%d reads=%d\n", total, read, st.reads.Load())
	}
}

// TestStoppingEarly: an iteration that is left open nothing.
func TestStoppingEarly(t *testing.T) {
	job := writertest.Job{Keys: 5000, Options: writer.Options{BlockSize: 1000}}
	c := open(t, write(t, job), job.Dir())
	for range 3 {
		for _, err := range c.Keyed(t.Context(), writertest.Count, "counter", keygroup.All()) {
			if err != nil {
				t.Fatal(err)
			}
			break
		}
		n := 0
		for b, err := range c.KeyedBatches(t.Context(), writertest.Count, "counter", keygroup.All()) {
			if err != nil {
				t.Fatal(err)
			}
			if n++; n%2 == 0 {
				b.Next() // an unread rest is fine
			}
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, err := range c.Keyed(ctx, writertest.Count, "counter", keygroup.All()) {
		if err == nil {
			t.Fatal("an entry after the context ended")
		}
	}
}
