package exchange

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"
)

// TestDebloatAverage are Flink's vectors of BufferSizeEMATest: total bytes and
// buffers in flight, with 3 samples and sizes from 10 to 200.
func TestDebloatAverage(t *testing.T) {
	in := [][2]int64{{111, 13}, {107, 7}, {107, 7}, {107, 7}, {107, 7}, {107, 7}, {107, 13}, {107, 13}, {107, 13},
		{333, 1}, {333, 1}, {333, 1}, {333, 1}, {333, 1}, {333, 1}}
	want := []int{104, 60, 38, 26, 21, 18, 13, 11, 10, 15, 23, 34, 51, 76, 114}
	d := NewDebloater(Debloat{Target: time.Second, Samples: 3, MinSize: 10, StartSize: 200}, 200)
	var got []int
	for _, v := range in {
		got = append(got, d.smooth(v[0], int(v[1])))
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}

// TestDebloater are Flink's vectors of BufferDebloaterTest, with one sample, and
// those of the speed that its defaults allow.
func TestDebloater(t *testing.T) {
	for _, c := range []struct {
		name           string
		target         int64 // ms
		rate           int64
		buffers        int
		least, largest int
		want           int
		announce       bool
		toConsume      int64 // ms
	}{
		{"in the range", 1200, 3333, 16, 50, 1100, 250, true, 1200},
		{"the least", 1200, 3333, 16, 250, 1100, 250, true, 1200},
		{"no throughput", 1200, 0, 16, 50, 1100, 50, true, 800_000},
		{"a short target", 7, 3333, 16, 50, 1100, 50, true, 240},
		{"beyond the largest", 1200, 3333, 16, 50, 248, 248, false, 1190},
		{"just the largest", 1200, 3333, 16, 50, 250, 250, false, 1200},
		{"nothing in flight", 1000, 1200, 0, 50, 2400, 1200, true, 1000},
		{"a rate beyond all numbers", math.MaxInt64 / 1000_000, math.MaxInt64, 1, 50, 1100, 1100, false, 0},
		{"a negative rate", 1000, -1, -1, 50, 1100, 50, true, 50_000},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := Debloat{Target: time.Duration(c.target) * time.Millisecond, Samples: 1, Threshold: 50, MinSize: c.least, StartSize: c.largest}
			d := NewDebloater(cfg, c.largest)
			size, announce := d.Next(c.rate, c.buffers)
			if size != c.want || announce != c.announce || d.Size() != size {
				t.Errorf("got %d announced=%v, want %d %v", size, announce, c.want, c.announce)
			}
			if got := d.TimeToConsume().Milliseconds(); got != c.toConsume {
				t.Errorf("%d ms to consume, want %d", got, c.toConsume)
			}
		})
	}
}

// TestDebloaterSpeed: with Flink's defaults the size takes 39 calculations from
// its begin to the largest, and 49 from there to the least.
func TestDebloaterSpeed(t *testing.T) {
	const largest = 32 << 10
	d := NewDebloater(DefaultDebloat(), largest)
	up, down := 0, 0
	for ; d.Size() < largest; up++ {
		d.Next(1<<40, 1)
	}
	for ; d.Size() > 256; down++ {
		d.Next(0, 10)
	}
	if up < 39 || up > 40 || down < 49 || down > 50 {
		t.Errorf("%d calculations up and %d down, want 39 and 49", up, down)
	}
}

// TestDebloaterThreshold: changes below the threshold add up until they are
// announced; the bounds are announced in any case, and once.
func TestDebloaterThreshold(t *testing.T) {
	d := NewDebloater(Debloat{Target: time.Second, Samples: 1, Threshold: 25, MinSize: 100, StartSize: 1000}, 2000)
	for _, c := range []struct {
		rate     int64
		announce bool
	}{
		{1249, false}, {1250, true}, {1250, false}, {1562, true}, {1249, false}, {1173, false}, {1172, true},
		{1950, true}, {2000, true}, {2000, false}, {1999, false}, {400, true}, {110, true}, {100, true}, {90, false},
	} {
		if size, announce := d.Next(c.rate, 1); announce != c.announce {
			t.Errorf("size %d for %d: announced=%v, want %v", size, c.rate, announce, c.announce)
		}
	}
}

// TestThroughput is a script: idle time does not count, backpressured time does.
func TestThroughput(t *testing.T) {
	at := func(ms int64) time.Time { return time.Unix(0, 0).Add(time.Duration(ms) * time.Millisecond) }
	var m Throughput
	rate := func(ms, want int64) {
		t.Helper()
		if got := m.Rate(at(ms)); got != want {
			t.Errorf("at %d ms: %d bytes/s, want %d", ms, got, want)
		}
	}
	rate(100, 0) // idle from the begin
	m.Resume(at(200))
	m.Add(300)
	m.Resume(at(250)) // goes on
	rate(300, 3000)
	m.Add(50)
	m.Pause(at(350))
	m.Pause(at(380)) // several ends of activity count once
	rate(1000, 1000)
	rate(2000, 1000) // nothing happened: the last rate
	m.Resume(at(2000))
	rate(2500, 0) // busy with what it took before
	m.Add(1000)
	m.Pause(at(2600))
	m.Resume(at(2900))
	m.Add(1000)
	rate(3000, 10_000)
	m.Pause(at(3000))
	m.Add(77)
	rate(3000, 10_000)
	rate(4000, 10_000)
	if m.Running() {
		t.Error("runs although it was paused")
	}
}

// TestSendersFillBuffersAsAnnounced: the announced size holds from the next
// buffer on, a frame that fits a buffer is not split for it, and a sender that
// is short of buffers fills them to the end.
func TestSendersFillBuffersAsAnnounced(t *testing.T) {
	cfg := testConfig()
	cfg.BufferSize, cfg.BuffersPerChannel, cfg.FloatingPerGate, cfg.MaxPerChannel, cfg.MaxOverdraft = 1024, 2, 4, 100, 0
	const frame = 100
	for _, c := range []struct {
		name string
		size int // announced
		of   int // payload
		n    int // frames of 100 bytes, or of another size
		want string
	}{
		{"all of the buffer", 0, frame, 13, "[1024 276]"},
		{"as announced", 250, frame, 9, "[250 250 250 150]"},
		{"less than a frame", 60, frame, 3, "[100 100 100]"},
		{"a frame larger than a buffer", 60, 2100, 1, "[1024 1024 52]"},
		{"short of buffers", 200, frame, 20, "[200 200 200 200 200 1000]"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWire(t, cfg, 1)
			defer w.close(t)
			w.gates[0].Resize(c.size)
			for i := range c.n {
				if err := send(w.part, 0, uint64(i), c.of-lengthSize-keyedHeader); err != nil {
					t.Fatal(err)
				}
			}
			if err := w.part.Flush(); err != nil {
				t.Fatal(err)
			}
			var sizes []int
			cur, seq := NewCursor(0), uint64(0)
			for {
				el, ok := w.gates[0].Poll()
				if !ok {
					if w.part.Available(); w.gates[0].Ready() {
						continue
					}
					break
				}
				sizes = append(sizes, len(el.Buffer.Bytes()))
				cur.Feed(el.Buffer.Bytes())
				for f, ok := cur.Next(); ok; f, ok = cur.Next() {
					checkRecord(t, f, seq, c.of-lengthSize-keyedHeader)
					seq++
				}
				w.gates[0].Recycle(el.Buffer)
			}
			if got := fmt.Sprint(sizes); got != c.want || seq != uint64(c.n) {
				t.Errorf("%d frames in buffers of %v, want %s", seq, sizes, c.want)
			}
		})
	}
}

// TestDebloatConfig: nonsense is refused, but only where it is switched on.
func TestDebloatConfig(t *testing.T) {
	for name, change := range map[string]func(*Debloat){
		"target":    func(d *Debloat) { d.Target = 0 },
		"period":    func(d *Debloat) { d.Period = time.Microsecond },
		"samples":   func(d *Debloat) { d.Samples = 0 },
		"threshold": func(d *Debloat) { d.Threshold = 101 },
		"least":     func(d *Debloat) { d.MinSize = 40 << 10 },
		"start":     func(d *Debloat) { d.StartSize = 0 },
	} {
		cfg := DefaultConfig()
		change(&cfg.Debloat)
		if err := cfg.Check(); err != nil {
			t.Errorf("%s, off: %v", name, err)
		}
		cfg.Debloat.Enabled = true
		if err := cfg.Check(); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
