package ratelimit

import (
	"context"
	"io"
	"math"
	"testing"
	"time"

	"github.com/tidemark-io/tidemark/engine"
	"github.com/tidemark-io/tidemark/engine/connector/generate"
	"github.com/tidemark-io/tidemark/engine/connector/internal/sourcetest"
	"github.com/tidemark-io/tidemark/engine/connector/slice"
)

// clock is set by the test.
type clock struct{ now time.Time }

func (c *clock) Now() time.Time { return c.now }

func open[T any](t *testing.T, src engine.Source[T]) []engine.SplitReader[T] {
	t.Helper()
	splits, err := src.Splits(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	var out []engine.SplitReader[T]
	for _, s := range splits {
		r, err := src.Open(context.Background(), s, nil)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, r)
	}
	return out
}

func TestRate(t *testing.T) {
	for _, perSecond := range []float64{0.5, 3, 1000, 123456.7} {
		c := &clock{now: time.Unix(1000, 0)}
		src, err := New[uint64](generate.New(3, 0, func(_ int, i uint64) uint64 { return i }), perSecond, c)
		if err != nil {
			t.Fatal(err)
		}
		readers := open(t, src)
		counts := make([]int, len(readers))
		batch := make([]uint64, 256)
		const seconds = 20
		for range seconds * 1000 {
			c.now = c.now.Add(time.Millisecond)
			for i, r := range readers {
				for n := 1; n > 0; {
					if n, err = r.Read(context.Background(), batch); err != nil {
						t.Fatal(err)
					}
					counts[i] += n
				}
			}
		}
		total := counts[0] + counts[1] + counts[2]
		if want := perSecond * seconds; math.Abs(float64(total)-want) > 0.01*want+4 {
			t.Errorf("%v a second: %d records in %d s", perSecond, total, seconds)
		}
		if perSecond >= 100 {
			for i, n := range counts {
				if n < total/3-60 {
					t.Errorf("%v a second: split %d got %d of %d records", perSecond, i, n, total)
				}
			}
		}
		t.Logf("RESULT ratelimit goal=%v measured=%v", perSecond, float64(total)/seconds)
	}
}

// TestBurst: after a long pause only a burst is caught up.
func TestBurst(t *testing.T) {
	c := &clock{now: time.Unix(1000, 0)}
	src, err := New[uint64](generate.New(1, 0, func(_ int, i uint64) uint64 { return i }), 1000, c)
	if err != nil {
		t.Fatal(err)
	}
	r := open(t, src)[0]
	batch := make([]uint64, 4096)
	if n, _ := r.Read(context.Background(), batch); n != 1 {
		t.Errorf("%d records at the start", n)
	}
	c.now = c.now.Add(time.Hour)
	if n, _ := r.Read(context.Background(), batch); n != 50 {
		t.Errorf("%d records after a pause, want 50", n)
	}
	if n, err := r.Read(context.Background(), batch); n != 0 || err != nil {
		t.Errorf("%d records, %v, without budget", n, err)
	}
	c.now = c.now.Add(-time.Minute) // a clock that is set back gives nothing
	if n, err := r.Read(context.Background(), batch); n != 0 || err != nil {
		t.Errorf("%d records, %v, back in time", n, err)
	}
}

// TestEndLeavesItsShare: a split that ended leaves its part to the others, and
// positions are those of the inner source.
func TestEndLeavesItsShare(t *testing.T) {
	c := &clock{now: time.Unix(1000, 0)}
	records := []int{0, 1, 2, 3, 4, 5, 6}
	src, err := New[int](slice.NewContiguous(records, 2), 1e9, c)
	if err != nil {
		t.Fatal(err)
	}
	readers := open(t, src)
	c.now = c.now.Add(time.Second)
	_, _ = readers[0].Read(context.Background(), make([]int, 1))
	c.now = c.now.Add(time.Second)
	if n, err := readers[0].Read(context.Background(), make([]int, 10)); n != 2 || err != io.EOF {
		t.Fatalf("%d, %v", n, err)
	}
	if src.readers.Load() != 1 {
		t.Errorf("%d readers share the budget", src.readers.Load())
	}
	for _, r := range readers {
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if src.readers.Load() != 0 {
		t.Errorf("%d readers after Close", src.readers.Load())
	}
}

// running is a clock that moves at each look.
type running struct{ now time.Time }

func (c *running) Now() time.Time {
	c.now = c.now.Add(time.Millisecond)
	return c.now
}

func TestReplay(t *testing.T) {
	src, err := New[int](slice.New([]int{1, 2, 3, 4, 5}, 2), 1000, &running{now: time.Unix(1000, 0)})
	if err != nil {
		t.Fatal(err)
	}
	splits, _ := src.Splits(context.Background())
	got, positions := sourcetest.ReadAll(t, src, splits[0], nil, 2)
	if len(got) != 3 {
		t.Fatal(got)
	}
	if rest, _ := sourcetest.ReadAll(t, src, splits[0], positions[len(positions)-1], 2); len(rest) != 0 {
		t.Errorf("%v behind the end", rest)
	}
	for _, bad := range []float64{0, -1, math.NaN(), math.Inf(1)} {
		if _, err := New[int](nil, bad, &clock{}); err == nil {
			t.Errorf("a rate of %v was accepted", bad)
		}
	}
}
