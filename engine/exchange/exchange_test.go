package exchange

import (
	"errors"
	"testing"
)

// testConfig has small buffers and no room beyond the credits.
func testConfig() Config {
	c := DefaultConfig()
	c.BufferSize = 256
	c.SpillMemory = 0
	return c
}

// wire is one sender and its receivers, with one channel each.
type wire struct {
	pool  *Pool
	part  *Partition
	gates []*Gate
	curs  []*Cursor
}

func newWire(t testing.TB, cfg Config, receivers int) *wire {
	t.Helper()
	w := &wire{pool: NewPool(cfg.BufferSize)}
	var targets []Target
	for range receivers {
		g := cfg.NewGate(1, nil)
		w.gates = append(w.gates, g)
		w.curs = append(w.curs, NewCursor(cfg.MaxFrame))
		targets = append(targets, Target{Gate: g})
	}
	p, err := NewPartition(w.pool, cfg, targets, Hooks{})
	if err != nil {
		t.Fatal(err)
	}
	w.part = p
	return w
}

// close ends both sides and checks that every buffer is back.
func (w *wire) close(t testing.TB) {
	t.Helper()
	if err := w.part.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	for _, g := range w.gates {
		g.Close()
	}
	if n := w.pool.Outstanding(); n != 0 {
		t.Errorf("%d of %d buffers were not returned", n, w.pool.Allocated())
	}
}

// send sends a record whose payload is n bytes long and begins with seq.
func send(p *Partition, ch int, seq uint64, n int) error {
	b := AppendKeyed(p.Begin(ch), uint32(seq), int64(seq))
	b = appendPayload(b, seq, n)
	EndFrame(b, 0)
	return p.End(ch, b)
}

func appendPayload(b []byte, seq uint64, n int) []byte {
	for i := range n {
		b = append(b, byte(seq)+byte(i))
	}
	return b
}

func checkRecord(t testing.TB, f Frame, seq uint64, n int) {
	t.Helper()
	if f.Tag != TagRecord|FlagHash|FlagTimestamp || f.Hash != uint32(seq) || f.Timestamp != int64(seq) || len(f.Payload) != n {
		t.Fatalf("got tag %#x hash %d timestamp %d, %d bytes; want record %d, %d bytes", f.Tag, f.Hash, f.Timestamp, len(f.Payload), seq, n)
	}
	for i, x := range f.Payload {
		if x != byte(seq)+byte(i) {
			t.Fatalf("record %d: byte %d is %d", seq, i, x)
		}
	}
}

func TestAFrameArrivesAsItWasSent(t *testing.T) {
	w := newWire(t, testConfig(), 1)
	defer w.close(t)
	for i := range 20 {
		if err := send(w.part, 0, uint64(i), i*7); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.part.Broadcast(AppendWatermark(nil, -5)); err != nil {
		t.Fatal(err)
	}
	if err := w.part.Flush(); err != nil {
		t.Fatal(err)
	}
	got := 0
	for {
		el, ok := w.gates[0].Poll()
		if !ok {
			break
		}
		w.curs[0].Feed(el.Buffer.Bytes())
		for f, ok := w.curs[0].Next(); ok; f, ok = w.curs[0].Next() {
			if got < 20 {
				checkRecord(t, f, uint64(got), got*7)
			} else if f.Kind() != TagWatermark || f.Timestamp != -5 {
				t.Fatalf("got %+v, want the watermark", f)
			}
			got++
		}
		w.gates[0].Recycle(el.Buffer)
	}
	if got != 21 || w.curs[0].Err() != nil {
		t.Fatalf("%d frames, error %v", got, w.curs[0].Err())
	}
}

// TestSendingNonsense: what is no frame, or too long, is an error that stays.
func TestSendingNonsense(t *testing.T) {
	cfg := testConfig()
	cfg.MaxFrame, cfg.SpillMemory = 1000, 1<<20
	for _, c := range []struct {
		name string
		n    int
		want error
	}{{"nothing", 0, ErrFrame}, {"a header", lengthSize, ErrFrame}, {"at the limit", 1000 + lengthSize, nil}, {"over the limit", 1001 + lengthSize, ErrFrameLimit}} {
		w := newWire(t, cfg, 1)
		err := w.part.End(0, append(w.part.Begin(0), make([]byte, c.n)...))
		if !errors.Is(err, c.want) || c.want == nil && err != nil {
			t.Errorf("%s: error %v, want %v", c.name, err, c.want)
		}
		if c.want != nil {
			for _, err := range []error{send(w.part, 0, 1, 10), w.part.Flush(), w.part.Emit(NewCancel(1)), w.part.Broadcast(AppendWatermark(nil, 1)), w.part.Err()} {
				if !errors.Is(err, c.want) {
					t.Errorf("%s: a later call returns %v", c.name, err)
				}
			}
		}
		w.close(t)
	}
	// The same with a slice that lies in the open buffer.
	w := newWire(t, cfg, 1)
	if err := send(w.part, 0, 1, 10); err != nil {
		t.Fatal(err)
	}
	if err := w.part.End(0, append(w.part.Begin(0), 1, 2)); !errors.Is(err, ErrFrame) {
		t.Errorf("two bytes: error %v", err)
	}
	o := w.part.channels[0].open.data
	if tail := o[:cap(o)][len(o):]; &append(w.part.scratch[:0], 0)[0] == &tail[0] {
		t.Error("the open buffer was taken for scratch")
	}
	w.close(t)
}

// TestFramesOfAllSizesGoThrough, whatever slice append chose: in the open
// buffer, moved by append, or in scratch; a large one is not kept for ever.
func TestFramesOfAllSizesGoThrough(t *testing.T) {
	cfg := testConfig()
	cfg.SpillMemory = 8 << 20
	w := newWire(t, cfg, 1)
	defer w.close(t)
	var want []int64
	var got []int64
	sizes := []int{0, 1, 60, 61, 200, 239, 240, 250, 2 << 20, 3, 3, 3, 10_000, 5}
	for i := range 400 {
		if err := send(w.part, 0, uint64(i), sizes[i%len(sizes)]%(1+i*50)); err != nil {
			t.Fatal(err)
		}
		want = append(want, int64(i))
		if err := w.part.Flush(); err != nil {
			t.Fatal(err)
		}
		got = append(got, w.drainAll(t, 0)...)
	}
	if err := send(w.part, 0, 400, 2<<20); err != nil {
		t.Fatal(err)
	}
	if err := w.part.Flush(); err != nil {
		t.Fatal(err)
	}
	got = append(got, w.drainAll(t, 0)...)
	if !equal(got, append(want, 400)) {
		t.Errorf("%d records of %d, or another order", len(got), len(want)+1)
	}
	if cap(w.part.scratch) > maxScratch || cap(w.curs[0].partial) > 4<<20 {
		t.Errorf("%d and %d bytes are kept", cap(w.part.scratch), cap(w.curs[0].partial))
	}
}
