package generate

import (
	"context"
	"testing"

	"github.com/tidemark-io/tidemark/engine"
	"github.com/tidemark-io/tidemark/engine/connector/internal/sourcetest"
)

type event struct{ Split, Index, Square uint64 }

func record(split int, i uint64) event { return event{uint64(split), i, i * i} }

func TestReplay(t *testing.T) {
	for i, records := range sourcetest.Replay(t, New(3, 20, record)) {
		if len(records) != 20 {
			t.Errorf("split %d has %d records", i, len(records))
		}
		for k, r := range records {
			if r != record(i, uint64(k)) {
				t.Errorf("split %d, record %d: %+v", i, k, r)
			}
		}
	}
}

func openFirst(t testing.TB, src *Source[event], position []byte) engine.SplitReader[event] {
	t.Helper()
	splits, err := src.Splits(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	r, err := src.Open(context.Background(), splits[0], position)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestEndless(t *testing.T) {
	r := openFirst(t, New(1, 0, record), []byte{0, 0, 0, 0, 0, 0, 0, 0x40})
	batch := make([]event, 100)
	if n, err := r.Read(context.Background(), batch); n != 100 || err != nil || batch[99].Index != 1<<62+99 {
		t.Errorf("%d, %v, %+v", n, err, batch[99])
	}
	if n := testing.AllocsPerRun(100, func() { _, _ = r.Read(context.Background(), batch) }); n != 0 {
		t.Errorf("%v allocations per batch", n)
	}
}

func TestOpenRefusals(t *testing.T) {
	src := New(1, 5, record)
	splits, _ := src.Splits(context.Background())
	for _, p := range [][]byte{{1}, {6, 0, 0, 0, 0, 0, 0, 0}, {0, 0, 0, 0, 0, 0, 0, 0x80}} {
		if _, err := src.Open(context.Background(), splits[0], p); err == nil {
			t.Errorf("position % x was accepted", p)
		}
	}
	if _, err := src.Open(context.Background(), engine.Split{ID: "x", Data: []byte("?")}, nil); err == nil {
		t.Error("a bad description was accepted")
	}
}

func BenchmarkRead(b *testing.B) {
	r := openFirst(b, New(1, 0, record), nil)
	batch := make([]event, 256)
	for b.Loop() {
		if _, err := r.Read(context.Background(), batch); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/256, "ns/record")
}
