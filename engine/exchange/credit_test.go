package exchange

import (
	"errors"
	"testing"
)

// TestAvailable is the table of rule R4: when a sender may take up a record.
// With 2 channels, 2 buffers per channel and 3 floating there are 7 credits.
func TestAvailable(t *testing.T) {
	type counts struct {
		credits, spilled int
		available        bool
	}
	cfg := testConfig()
	cfg.FloatingPerGate, cfg.MaxPerChannel, cfg.MaxOverdraft, cfg.SpillMemory = 3, 5, 2, 1<<20
	for _, c := range []struct {
		name string
		fill [2]int // full buffers sent to each channel
		want counts
		take [2]int // buffers that each receiver then gives back
		then counts
	}{
		{"nothing sent", [2]int{0, 0}, counts{0, 0, true}, [2]int{0, 0}, counts{0, 0, true}},
		{"one credit left", [2]int{3, 3}, counts{6, 0, true}, [2]int{3, 3}, counts{0, 0, true}},
		{"no credit left", [2]int{3, 4}, counts{7, 0, false}, [2]int{1, 0}, counts{6, 0, true}},
		{"a channel below its cap", [2]int{4, 0}, counts{4, 0, true}, [2]int{0, 0}, counts{4, 0, true}},
		{"a channel at its cap", [2]int{5, 0}, counts{5, 0, false}, [2]int{1, 0}, counts{4, 0, true}},
		{"the cap is not relieved by another channel", [2]int{5, 1}, counts{6, 0, false}, [2]int{0, 1}, counts{5, 0, false}},
		{"overdraft", [2]int{4, 5}, counts{9, 0, false}, [2]int{2, 0}, counts{7, 0, false}},
		{"overdraft returned", [2]int{4, 5}, counts{9, 0, false}, [2]int{2, 1}, counts{6, 0, true}},
		{"beyond the overdraft", [2]int{4, 8}, counts{9, 3, false}, [2]int{1, 0}, counts{8, 3, false}},
		{"spilled data takes the credits that come back", [2]int{4, 8}, counts{9, 3, false}, [2]int{4, 2}, counts{5, 1, false}},
		{"all of it moved on", [2]int{4, 8}, counts{9, 3, false}, [2]int{4, 4}, counts{4, 0, true}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWire(t, cfg, 2)
			defer w.close(t)
			check := func(when string, want counts) {
				t.Helper()
				available := w.part.Available()
				credits, spilled := w.part.InUse()
				if got := (counts{credits, spilled, available}); got != want {
					t.Errorf("%s: %+v, want %+v", when, got, want)
				}
			}
			for ch, n := range c.fill {
				for i := range n {
					if err := send(w.part, ch, uint64(i), cfg.BufferSize-lengthSize-keyedHeader); err != nil {
						t.Fatal(err)
					}
				}
			}
			check("sent", c.want)
			for r, n := range c.take {
				for range n {
					el, ok := w.gates[r].Poll()
					if !ok {
						t.Fatal("nothing to take")
					}
					w.gates[r].Recycle(el.Buffer)
					w.part.Available()
				}
			}
			check("given back", c.then)
		})
	}
}

// TestPartitionWakes: a sender that found no credit is told when there is one
// again, and when spilled data can move on; not otherwise.
func TestPartitionWakes(t *testing.T) {
	cfg := testConfig()
	cfg.BuffersPerChannel, cfg.FloatingPerGate, cfg.MaxOverdraft, cfg.SpillMemory = 2, 0, 1, 1<<20
	pool, wakes := NewPool(cfg.BufferSize), 0
	g := NewGate(1, nil)
	p, err := NewPartition(pool, cfg, []Target{{Gate: g}}, Hooks{Wake: func() { wakes++ }})
	if err != nil {
		t.Fatal(err)
	}
	full := func(n int) {
		t.Helper()
		for range n {
			if err := send(p, 0, 0, cfg.BufferSize-lengthSize-keyedHeader); err != nil {
				t.Fatal(err)
			}
		}
	}
	take := func(want int) {
		t.Helper()
		wakes = 0
		el, ok := g.Poll()
		if !ok {
			t.Fatal("nothing to take")
		}
		g.Recycle(el.Buffer)
		if wakes != want {
			t.Fatalf("%d wakes, want %d", wakes, want)
		}
	}
	full(1)
	take(0) // was available all the time
	full(2)
	take(1) // 2 -> 1 of 2
	take(0)
	full(3) // one in overdraft
	take(0) // still no ordinary credit
	take(1)
	take(0)
	full(4) // one spilled
	take(0) // overdraft returned, the spill wants an ordinary one
	take(1) // now it can move on
	if !p.Drained() {
		t.Fatal("the spilled buffer was not queued")
	}
	take(1)
	take(0)
	w := &wire{pool: pool, part: p, gates: []*Gate{g}}
	w.close(t)
}

// TestACappedChannelDoesNotHoldTheOthersBack: what is spilled for a channel
// moves on, and the sender is told so, while another one stands still at its
// cap. Else a barrier in the spill could wait for itself in a circle.
func TestACappedChannelDoesNotHoldTheOthersBack(t *testing.T) {
	cfg := testConfig()
	cfg.BuffersPerChannel, cfg.FloatingPerGate, cfg.MaxPerChannel, cfg.MaxOverdraft, cfg.SpillMemory = 2, 2, 3, 0, 1<<20
	w := newWire(t, cfg, 2)
	wakes := 0
	w.part.hooks.Wake = func() { wakes++ }
	for ch, n := range []int{5, 4} {
		for range n {
			if err := send(w.part, ch, 0, cfg.BufferSize-lengthSize-keyedHeader); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.part.Emit(NewCancel(1)); err != nil {
		t.Fatal(err)
	}
	taken := 0
	for {
		el, ok := w.gates[1].Poll()
		if !ok {
			t.Fatalf("the event did not come, after %d buffers", taken)
		}
		if el.Event != nil {
			break
		}
		wakes = 0
		w.gates[1].Recycle(el.Buffer)
		taken++
		if _, spilled := w.part.InUse(); wakes != min(spilled, 1) {
			t.Fatalf("%d wakes after buffer %d, with %d spilled", wakes, taken, spilled)
		}
		if w.part.Available() {
			t.Fatal("available with a channel at its cap")
		}
	}
	if taken != 4 || len(w.gates[0].queues) != 1 || w.gates[0].bufs != 5 {
		t.Errorf("%d buffers taken, %d queued for the other", taken, w.gates[0].bufs)
	}
	w.close(t)
}

// TestRetainedBuffersKeepTheirBytes: a checkpoint's reference outlives the
// receiver's, and does not hold the credit.
func TestRetainedBuffersKeepTheirBytes(t *testing.T) {
	w := newWire(t, testConfig(), 1)
	if err := send(w.part, 0, 7, 100); err != nil {
		t.Fatal(err)
	}
	if err := w.part.Flush(); err != nil {
		t.Fatal(err)
	}
	el, _ := w.gates[0].Poll()
	el.Buffer.Retain()
	w.gates[0].Recycle(el.Buffer)
	if credits, _ := w.part.InUse(); credits != 0 {
		t.Errorf("%d credits are held by a checkpoint", credits)
	}
	for i := range 50 { // would overwrite it
		if err := send(w.part, 0, uint64(100+i), 200); err != nil {
			t.Fatal(err)
		}
		for next, ok := w.gates[0].Poll(); ok; next, ok = w.gates[0].Poll() {
			w.gates[0].Recycle(next.Buffer)
		}
	}
	var c Cursor
	c.Feed(el.Buffer.Bytes())
	f, ok := c.Next()
	if !ok {
		t.Fatal("no frame in the retained buffer")
	}
	checkRecord(t, f, 7, 100)
	if w.pool.Outstanding() == 0 {
		t.Error("a retained buffer is not counted")
	}
	el.Buffer.Release()
	w.close(t)
}

// TestBuffersSayWhereRecordsStart checks rule R8 on a channel with frames of
// all lengths, some of them through the spill file: numbers without a gap,
// first record, continuation, against the frames of the whole stream.
func TestBuffersSayWhereRecordsStart(t *testing.T) {
	cfg := testConfig()
	cfg.SpillDisk, cfg.SpillDir = 1<<20, t.TempDir()
	w := newWire(t, cfg, 1)
	defer w.close(t)
	type placed struct{ at, n, cont, first int }
	var stream []byte
	var buffers []placed
	take := func() {
		for {
			el, ok := w.gates[0].Poll()
			if !ok && w.part.Drained() {
				if el, ok = w.gates[0].Poll(); !ok {
					return
				}
			}
			if !ok {
				continue
			}
			b := el.Buffer
			if b.Sequence() != uint64(len(buffers)) {
				t.Fatalf("buffer %d has the number %d", len(buffers), b.Sequence())
			}
			buffers = append(buffers, placed{len(stream), len(b.Bytes()), b.Continuation(), b.FirstRecord()})
			stream = append(stream, b.Bytes()...)
			w.gates[0].Recycle(b)
		}
	}
	starts := map[int]bool{} // where frames begin in the stream
	at := 0
	for i := range 300 {
		n := i % 64
		if i%10 == 0 {
			n = i * 17
		}
		starts[at] = true
		at += lengthSize + keyedHeader + n
		if err := send(w.part, 0, uint64(i), n); err != nil {
			t.Fatal(err)
		}
		if i%7 == 0 || i == 299 {
			if err := w.part.Flush(); err != nil {
				t.Fatal(err)
			}
			take()
			if len(stream) != at {
				t.Fatalf("after a flush the receiver has %d bytes, %d were sent", len(stream), at)
			}
		}
	}
	for i, b := range buffers {
		first := 0
		for first < b.n && !starts[b.at+first] {
			first++
		}
		want := placed{b.at, b.n, first, first}
		if first == b.n {
			want.first = -1
		}
		if b != want {
			t.Fatalf("buffer %d: %+v, want %+v", i, b, want)
		}
	}
	if w.part.Stats().SpilledDiskBytes == 0 || len(buffers) < 300 {
		t.Fatalf("%d buffers, stats %+v", len(buffers), w.part.Stats())
	}
}

func TestConfigCheck(t *testing.T) {
	if err := DefaultConfig().Check(); err != nil {
		t.Fatalf("the default is refused: %v", err)
	}
	for name, change := range map[string]func(*Config){
		"unknown exchange":  func(c *Config) { c.Exchange = "remote" },
		"no exchange":       func(c *Config) { c.Exchange = "" },
		"small buffers":     func(c *Config) { c.BufferSize = 255 },
		"no buffers":        func(c *Config) { c.BuffersPerChannel = 0 },
		"stuck with 1 + 0":  func(c *Config) { c.BuffersPerChannel, c.FloatingPerGate = 1, 0 },
		"floating":          func(c *Config) { c.FloatingPerGate = -1 },
		"cap of one":        func(c *Config) { c.MaxPerChannel = 1 },
		"negative spill":    func(c *Config) { c.SpillMemory = -1 },
		"disk without dir":  func(c *Config) { c.SpillDisk = 1 },
		"large frame limit": func(c *Config) { c.MaxFrame = 1<<30 + 1 },
	} {
		c := DefaultConfig()
		change(&c)
		if err := c.Check(); !errors.Is(err, ErrConfig) {
			t.Errorf("%s: error %v", name, err)
		}
		if _, err := NewPartition(NewPool(c.BufferSize), c, nil, Hooks{}); !errors.Is(err, ErrConfig) {
			t.Errorf("%s: a partition was made, error %v", name, err)
		}
	}
	if _, err := NewPartition(NewPool(4096), DefaultConfig(), nil, Hooks{}); !errors.Is(err, ErrConfig) {
		t.Errorf("pool of another size: error %v", err)
	}
	if _, err := NewPartition(NewPool(32<<10), DefaultConfig(), []Target{{Gate: NewGate(1, nil), Channel: 1}}, Hooks{}); !errors.Is(err, ErrConfig) {
		t.Errorf("target that is not there: error %v", err)
	}
}

// TestNoAllocationPerRecord: neither sending nor reading allocates, once the
// buffers are there.
func TestNoAllocationPerRecord(t *testing.T) {
	w := newWire(t, DefaultConfig(), 1)
	defer w.close(t)
	payload := make([]byte, 24)
	round := func() {
		for i := range 5000 {
			b := AppendKeyed(w.part.Begin(0), 1, int64(i))
			b = append(b, payload...)
			EndFrame(b, 0)
			if err := w.part.End(0, b); err != nil {
				t.Fatal(err)
			}
			for el, ok := w.gates[0].Poll(); ok; el, ok = w.gates[0].Poll() {
				w.curs[0].Feed(el.Buffer.Bytes())
				for _, _, _, _, ok := w.curs[0].Read(); ok; _, _, _, _, ok = w.curs[0].Read() {
				}
				w.gates[0].Recycle(el.Buffer)
			}
		}
	}
	round()
	if n := testing.AllocsPerRun(10, round); n > 0 {
		t.Errorf("%v allocations in 5000 records", n)
	}
}
