package exchange

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/tidemark-io/tidemark/engine/barrier"
)

var (
	unaligned   = barrier.Barrier{ID: 1, Alignment: barrier.Unaligned}
	timeoutable = barrier.Barrier{ID: 1, Timeout: time.Second}
)

// parts describes what was captured: "0:3,4 1:7" is records 3 and 4 of
// channel 0 and 7 of channel 1. It releases it.
func describe(t testing.TB, parts []Captured) string {
	t.Helper()
	var out []string
	for i := range parts {
		numbers, err := joinPieces(parts[i].Pieces)
		if err != nil {
			t.Errorf("channel %d: %v", parts[i].Channel, err)
		}
		text := strings.ReplaceAll(strings.Trim(fmt.Sprint(numbers), "[]"), " ", ",")
		out = append(out, fmt.Sprintf("%d:%s", parts[i].Channel, text))
		parts[i].Release()
	}
	return strings.Join(out, " ")
}

// mustSend sends records of four bytes on a channel; flush hands each over in
// a buffer of its own.
func (w *wire) mustSend(t testing.TB, ch int, flush bool, numbers ...uint64) {
	t.Helper()
	for _, n := range numbers {
		if err := send(w.part, ch, n, 4); err != nil {
			t.Fatal(err)
		}
		if flush {
			if err := w.part.Flush(); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func (w *wire) mustEmit(t testing.TB, b barrier.Barrier) []Captured {
	t.Helper()
	parts, err := w.part.EmitBarrier(b, nil)
	if err != nil {
		t.Fatal(err)
	}
	return parts
}

func (w *wire) mustConvert(t testing.TB, id uint64) []Captured {
	t.Helper()
	parts, err := w.part.Convert(id, 3*time.Second, nil)
	if err != nil {
		t.Fatal(err)
	}
	return parts
}

// TestPipelinedSubpartition holds the field's rows about barriers in a queue.
func TestPipelinedSubpartition(t *testing.T) {
	t.Run("an unaligned barrier overtakes queued and open buffers, which are sent all the same", func(t *testing.T) {
		w := newWire(t, testConfig(), 2)
		defer w.close(t)
		w.mustSend(t, 0, true, 0, 1)
		w.mustSend(t, 0, false, 2, 3)
		if got := describe(t, w.mustEmit(t, unaligned)); got != "0:0,1,2,3" {
			t.Errorf("captured %s", got)
		}
		w.mustSend(t, 0, true, 4)
		if got := w.drainAll(t, 0); !equal(got, []int64{-1, 0, 1, 2, 3, 4}) {
			t.Errorf("delivered %v", got)
		}
		if got := w.drainAll(t, 1); !equal(got, []int64{-1}) {
			t.Errorf("delivered %v", got)
		}
	})
	t.Run("aligned and forced barriers overtake nothing", func(t *testing.T) {
		w := newWire(t, testConfig(), 1)
		defer w.close(t)
		w.mustSend(t, 0, true, 0)
		for _, b := range []barrier.Barrier{{ID: 1}, unaligned.Forced(), timeoutable.Forced()} {
			if parts := w.mustEmit(t, b); parts != nil {
				t.Errorf("%v: captured %s", b, describe(t, parts))
			}
			if parts := w.mustConvert(t, 1); parts != nil {
				t.Errorf("%v: converted %s", b, describe(t, parts))
			}
		}
		if got := w.drainAll(t, 0); !equal(got, []int64{0, -1, -1, -1}) {
			t.Errorf("delivered %v", got)
		}
	})
	for _, n := range []int{0, 3} {
		t.Run(fmt.Sprintf("a timeoutable barrier is consumed quickly behind %d buffers", n), func(t *testing.T) {
			w := newWire(t, testConfig(), 1)
			defer w.close(t)
			var want []int64
			for i := range n {
				w.mustSend(t, 0, true, uint64(i))
				want = append(want, int64(i))
			}
			if parts := w.mustEmit(t, timeoutable); parts != nil {
				t.Errorf("captured %s", describe(t, parts))
			}
			w.mustSend(t, 0, true, 9)
			if got := w.drainAll(t, 0); !equal(got, append(want, -1, 9)) {
				t.Errorf("delivered %v", got)
			}
			if parts := w.mustConvert(t, 1); parts != nil {
				t.Errorf("converted %s", describe(t, parts))
			}
			if got := w.drainAll(t, 0); got != nil {
				t.Errorf("delivered again %v", got)
			}
		})
		t.Run(fmt.Sprintf("a timeout with %d buffers: exactly those", n), func(t *testing.T) {
			w := newWire(t, testConfig(), 1)
			defer w.close(t)
			want, text := []int64{-1}, ""
			for i := range n {
				w.mustSend(t, 0, true, uint64(i))
				want = append(want, int64(i))
				text += fmt.Sprintf(",%d", i)
			}
			w.mustEmit(t, timeoutable)
			w.mustSend(t, 0, true, 8, 9)
			parts := w.mustConvert(t, 1)
			if n == 0 != (parts == nil) {
				t.Errorf("%d parts", len(parts))
			}
			if got := describe(t, parts); n > 0 && got != "0:"+text[1:] {
				t.Errorf("converted %s", got)
			}
			if again := w.mustConvert(t, 1); again != nil {
				t.Errorf("converted again %s", describe(t, again))
			}
			el, ok := w.gates[0].PollPriority()
			if !ok || !el.Event.Barrier.Priority() || el.Event.Barrier.Timeout != 0 || el.Event.Barrier.Elapsed != 3*time.Second {
				t.Errorf("delivered %+v", el.Event)
			}
			if got := w.drainAll(t, 0); !equal(got, append(want[1:], 8, 9)) {
				t.Errorf("delivered %v", got)
			}
		})
	}
	t.Run("only the channels that still have it are converted", func(t *testing.T) {
		w := newWire(t, testConfig(), 3)
		defer w.close(t)
		for ch := range 3 {
			w.mustSend(t, ch, true, 0, 1)
		}
		w.mustEmit(t, timeoutable)
		if got := w.drainAll(t, 1); !equal(got, []int64{0, 1, -1}) {
			t.Errorf("delivered %v", got)
		}
		el, _ := w.gates[2].Poll() // one buffer is in the receiver's hands
		if got := describe(t, w.mustConvert(t, 1)); got != "0:0,1 2:1" {
			t.Errorf("converted %s", got)
		}
		w.gates[2].Recycle(el.Buffer)
		if got := w.drainAll(t, 2); !equal(got, []int64{-1, 1}) {
			t.Errorf("delivered %v", got)
		}
	})
	t.Run("a newer barrier overtakes a timeoutable one, which comes later", func(t *testing.T) {
		w := newWire(t, testConfig(), 1)
		defer w.close(t)
		w.mustSend(t, 0, true, 0)
		w.mustEmit(t, timeoutable)
		w.mustSend(t, 0, true, 1)
		if got := describe(t, w.mustEmit(t, barrier.Barrier{ID: 2, Alignment: barrier.Unaligned})); got != "0:0,1" {
			t.Errorf("captured %s", got)
		}
		if parts := w.mustConvert(t, 1); parts != nil {
			t.Error("the older one was converted")
		}
		if got := w.drainAll(t, 0); !equal(got, []int64{-1, 0, -1, 1}) {
			t.Errorf("delivered %v", got)
		}
	})
	t.Run("the queue becomes empty by a conversion", func(t *testing.T) {
		w := newWire(t, testConfig(), 1)
		defer w.close(t)
		w.mustEmit(t, timeoutable)
		w.mustConvert(t, 1)
		g := w.gates[0]
		if !g.Ready() || !g.Urgent() {
			t.Error("nothing is announced")
		}
		if got := w.drainAll(t, 0); !equal(got, []int64{-1}) || g.Ready() || g.Urgent() {
			t.Errorf("delivered %v, ready %v", got, g.Ready())
		}
		w.mustSend(t, 0, true, 0)
		if got := w.drainAll(t, 0); !equal(got, []int64{0}) {
			t.Errorf("then delivered %v", got)
		}
	})
	t.Run("a closed gate, a closed partition", func(t *testing.T) {
		w := newWire(t, testConfig(), 1)
		w.mustSend(t, 0, true, 0)
		w.mustEmit(t, timeoutable)
		w.gates[0].Close()
		if parts := w.mustConvert(t, 1); parts != nil {
			t.Error("converted in a closed gate")
		}
		if parts := w.mustEmit(t, unaligned); parts != nil {
			t.Error("captured in a closed gate")
		}
		w.close(t)
		if _, err := w.part.EmitBarrier(unaligned, nil); err == nil {
			t.Error("emitted after Close")
		}
		if _, err := w.part.Convert(1, 0, nil); err == nil {
			t.Error("converted after Close")
		}
	})
}

// TestSpilledDataIsOutputState: a record far beyond all credits, in memory and
// on disk, is captured whole, stays readable when the partition is closed, and
// the file goes with the last piece.
func TestSpilledDataIsOutputState(t *testing.T) {
	for _, c := range []struct {
		name string
		emit func(t *testing.T, w *wire) []Captured
	}{
		{"overtaking", func(t *testing.T, w *wire) []Captured { return w.mustEmit(t, unaligned) }},
		{"converted", func(t *testing.T, w *wire) []Captured {
			w.mustEmit(t, timeoutable)
			w.mustSend(t, 0, true, 7)
			return w.mustConvert(t, 1)
		}},
	} {
		for _, memory := range []int64{1 << 20, 4 << 10, 0} {
			t.Run(fmt.Sprintf("%s, %d bytes of spill memory", c.name, memory), func(t *testing.T) {
				cfg := testConfig()
				cfg.SpillMemory, cfg.SpillDisk, cfg.SpillDir = memory, 1<<20, t.TempDir()
				w := newWire(t, cfg, 2)
				for i, n := range []int{10, 50_000, 20} {
					if err := send(w.part, 0, uint64(i), n); err != nil {
						t.Fatal(err)
					}
				}
				w.mustSend(t, 1, false, 0)
				parts := c.emit(t, w)
				if len(parts) != 2 || parts[0].Size() < 50_000 {
					t.Fatalf("%d parts", len(parts))
				}
				if el, ok := w.gates[0].PollPriority(); !ok || !el.Event.Priority() {
					t.Fatal("the barrier is not at the front")
				}
				for range 20 { // half way through the queue and the backlog
					if el, ok := w.gates[0].Poll(); ok {
						w.gates[0].Recycle(el.Buffer)
						w.part.Available()
					}
				}
				if err := w.part.Close(); err != nil {
					t.Error(err)
				}
				if got := describe(t, parts); got != "0:0,1,2 1:0" {
					t.Errorf("captured %s", got)
				}
				w.close(t)
				mustBeEmpty(t, cfg.SpillDir)
			})
		}
	}
}

// TestPassed: the sender learns when a timeoutable barrier has left all
// queues, once, and not if it was converted before.
func TestPassed(t *testing.T) {
	var passed []uint64
	cfg := testConfig()
	pool := NewPool(cfg.BufferSize)
	gates := []*Gate{NewGate(1, nil), NewGate(1, nil)}
	p, err := NewPartition(pool, cfg, []Target{{Gate: gates[0]}, {Gate: gates[1]}}, Hooks{Passed: func(id uint64) { passed = append(passed, id) }})
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{pool: pool, part: p, gates: gates, curs: []*Cursor{NewCursor(0), NewCursor(0)}}
	defer w.close(t)
	check := func(want ...uint64) {
		t.Helper()
		if fmt.Sprint(passed) != fmt.Sprint(want) {
			t.Fatalf("passed %v, want %v", passed, want)
		}
	}
	w.mustEmit(t, timeoutable)
	w.drainAll(t, 0)
	check()
	w.drainAll(t, 1)
	check(1)
	for _, b := range []barrier.Barrier{{ID: 2}, {ID: 3, Alignment: barrier.Unaligned}, barrier.Barrier{ID: 4, Timeout: 1}.Forced()} {
		w.mustEmit(t, b)
		w.drainAll(t, 0)
		w.drainAll(t, 1)
		check(1)
	}
	w.mustEmit(t, barrier.Barrier{ID: 5, Timeout: 1})
	w.drainAll(t, 0)
	w.mustConvert(t, 5)
	w.drainAll(t, 1)
	check(1)
	none, err := NewPartition(pool, cfg, nil, Hooks{Passed: func(id uint64) { passed = append(passed, id) }})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := none.EmitBarrier(barrier.Barrier{ID: 6, Timeout: 1}, nil); err != nil {
		t.Fatal(err)
	}
	check(1, 6)
}

// TestHoldAndPriority: what a held channel delivers, and what PollPriority
// does.
func TestHoldAndPriority(t *testing.T) {
	f := newFan(t, testConfig(), 2)
	defer f.close(t)
	priority := func(want bool) {
		t.Helper()
		el, ok := f.gate.PollPriority()
		if ok != want || f.gate.Urgent() || ok && (el.Event == nil || !el.Event.Priority()) {
			t.Fatalf("priority %v, want %v", ok, want)
		}
	}
	check := func(steps, want string) {
		t.Helper()
		if got := f.do(t, steps); got != want {
			t.Fatalf("%s: got %s, want %s", steps, got, want)
		}
	}
	check("s0=1 s0=2 s1=1", "")
	priority(false)
	check("u0=1", "")
	f.gate.Hold(0)
	priority(true)
	check("p p s0=3 p", "1:1 . .")
	f.wakes = 0
	check("u0=2", "")
	if f.wakes != 1 {
		t.Errorf("%d wakes for a barrier with priority on a held channel", f.wakes)
	}
	priority(true)
	f.gate.Resume(0) // is something else
	check("p", ".")
	f.wakes = 0
	f.gate.Unhold(0)
	f.gate.Unhold(0)
	f.gate.Hold(7)
	f.gate.Unhold(-1)
	if f.wakes != 1 {
		t.Errorf("%d wakes for going on", f.wakes)
	}
	check("p p p p", "0:1 0:2 0:3 .")
	// Held and blocked are independent: both must end.
	check("b0=3 s0=4 p", "0:barrier")
	f.gate.Hold(0)
	check("r0 p", ".")
	f.gate.Unhold(0)
	check("p", "0:4")
}

// TestSnapshotPool: charges, the copy to disk above the limit, what is full.
func TestSnapshotPool(t *testing.T) {
	dir := t.TempDir()
	p := NewSnapshotPool(600, dir)
	w := newWire(t, testConfig(), 1)
	defer w.close(t)
	for i := range uint64(4) {
		w.mustSend(t, 0, true, i)
	}
	parts, err := w.part.EmitBarrier(unaligned, p)
	if err != nil {
		t.Fatal(err)
	}
	frame := parts[0].Size() / 4
	if st := p.Stats(); st.Used != 512 || st.Spilled != 2*frame || !p.Full() || st.Peak != 512 || st.Overrun != 0 {
		t.Errorf("stats %+v, full %v", st, p.Full())
	}
	more, err := w.part.EmitBarrier(barrier.Barrier{ID: 2, Alignment: barrier.Unaligned}, p)
	if err != nil {
		t.Fatal(err)
	}
	if st := p.Stats(); st.Used != 512 || st.Spilled != 6*frame {
		t.Errorf("stats %+v", st)
	}
	more[0].Release()
	more[0].Release()
	if st := p.Stats(); st.Used != 512 || st.Spilled != 2*frame {
		t.Errorf("stats %+v", st)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	if got := describe(t, parts); got != "0:0,1,2,3" {
		t.Errorf("captured %s", got)
	}
	if st := p.Stats(); st.Used != 0 || st.Spilled != 0 || p.Full() || st.Total != 6*frame {
		t.Errorf("stats %+v, full %v", st, p.Full())
	}
	mustBeEmpty(t, dir)

	exact := NewSnapshotPool(100, "")
	if !exact.Charge(40) || exact.Full() || exact.Charge(61) || !exact.Charge(60) || !exact.Full() {
		t.Error("the limit is not exact")
	}
	exact.Release(1)
	if exact.Full() {
		t.Error("full with a byte left")
	}
}

// TestSnapshotPoolWithoutRoom: without a directory, or one that cannot be
// written, the data stays in memory beyond the limit.
func TestSnapshotPoolWithoutRoom(t *testing.T) {
	file := t.TempDir() + "/file"
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		dir      string
		failures int
	}{{"", 0}, {file, 2}} {
		p := NewSnapshotPool(300, c.dir)
		w := newWire(t, testConfig(), 1)
		for i := range uint64(3) {
			w.mustSend(t, 0, true, i)
		}
		parts, err := w.part.EmitBarrier(unaligned, p)
		if err != nil {
			t.Fatal(err)
		}
		if st := p.Stats(); st.Used != 768 || st.Overrun != 468 || st.Failures != c.failures || !p.Full() {
			t.Errorf("stats %+v", st)
		}
		if got := describe(t, parts); got != "0:0,1,2" {
			t.Errorf("captured %s", got)
		}
		if err := p.Close(); err != nil {
			t.Error(err)
		}
		w.close(t)
	}
}

// TestDamagedCapture: a changed byte of a spilled piece is an error.
func TestDamagedCapture(t *testing.T) {
	p := NewSnapshotPool(1, t.TempDir())
	w := newWire(t, testConfig(), 1)
	defer w.close(t)
	w.mustSend(t, 0, true, 0)
	parts, err := w.part.EmitBarrier(unaligned, p)
	if err != nil {
		t.Fatal(err)
	}
	defer ReleaseAll(parts)
	if _, err := p.file.file.WriteAt([]byte{0xee}, 5); err != nil {
		t.Fatal(err)
	}
	if _, err := joinPieces(parts[0].Pieces); err == nil || !strings.Contains(err.Error(), "checksum") {
		t.Errorf("error %v", err)
	}
}
