package exchange

import (
	"fmt"
	"strings"
	"testing"

	"github.com/tidemark-io/tidemark/engine/barrier"
)

// shape describes pieces: sequence, first record, continuation and length.
func shape(pieces []Piece) string {
	var out []string
	for i := range pieces {
		p := &pieces[i]
		out = append(out, fmt.Sprintf("seq=%d first=%d cont=%d len=%d", p.Sequence(), p.FirstRecord(), p.Continuation(), p.Len()))
	}
	return strings.Join(out, "; ")
}

// TestCaptureAndOutputPartsJoin: records of 600 bytes (617 with their header)
// in buffers of 256. The receiver stops at several places; what it has of the
// channel and what the sender has are the rest of the records, and the numbers
// of the pieces are as their doc says (rule R8).
func TestCaptureAndOutputPartsJoin(t *testing.T) {
	const head = lengthSize + keyedHeader
	for _, c := range []struct {
		name         string
		buffers      int  // that the receiver polls
		readLast     bool // whether it reads the last of them to its end
		records      int  // that it takes from it otherwise
		input        string
		output       string // the first piece
		done, joined string
	}{
		{"nothing was polled", 0, true, 0, "", "seq=0 first=0 cont=0 len=256", "", "0,1,2"},
		{"polled, not read", 1, false, 0, "seq=0 first=0 cont=0 len=256", "seq=1 first=-1 cont=256 len=256", "", "0,1,2"},
		{"inside a record", 1, true, 0, "seq=0 first=0 cont=0 len=256", "seq=1 first=-1 cont=256 len=256", "", "0,1,2"},
		{"two buffers of a record", 2, true, 0, "seq=1 first=0 cont=0 len=512", "seq=2 first=105 cont=105 len=256", "", "0,1,2"},
		{"a partial record and a buffer in hand", 3, false, 0, "seq=1 first=0 cont=0 len=512; seq=2 first=105 cont=105 len=256", "seq=3 first=-1 cont=256 len=256", "", "0,1,2"},
		{"stopped behind a record in the buffer", 3, false, 1, "seq=2 first=0 cont=0 len=151", "seq=3 first=-1 cont=256 len=256", "0", "1,2"},
		{"read to the end of the buffer", 3, true, 0, "seq=2 first=0 cont=0 len=151", "seq=3 first=-1 cont=256 len=256", "0", "1,2"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := testConfig()
			cfg.SpillMemory = 1 << 20
			w := newWire(t, cfg, 1)
			defer w.close(t)
			for i := range uint64(3) {
				if err := send(w.part, 0, i, 617-head); err != nil {
					t.Fatal(err)
				}
			}
			g, cur := w.gates[0], w.curs[0]
			var done []string
			var hand *Buffer
			for i := range c.buffers {
				el, ok := g.Poll()
				if !ok {
					t.Fatal("nothing to poll")
				}
				hand = el.Buffer
				cur.Feed(hand.Bytes())
				n := c.records
				if i < c.buffers-1 || c.readLast {
					n = 1 << 20
				}
				for range n {
					f, ok := cur.Next()
					if !ok {
						g.Recycle(hand)
						hand = nil
						break
					}
					done = append(done, fmt.Sprint(f.Timestamp))
				}
			}
			output, err := w.part.EmitBarrier(unaligned, nil)
			if err != nil {
				t.Fatal(err)
			}
			cp := NewCapture(g, nil)
			cp.Start(1, w.curs, hand, 0)
			if !cp.Active() || cp.ID() != 1 {
				t.Error("not active")
			}
			cp.Done(0)
			input := cp.Stop()
			if cp.Active() {
				t.Error("active after Stop")
			}
			var pieces []Piece
			for _, p := range input {
				pieces = append(pieces, p.Pieces...)
			}
			if got := shape(pieces); got != c.input {
				t.Errorf("input  %s\nwant   %s", got, c.input)
			}
			if got := shape(output[0].Pieces[:1]); got != c.output {
				t.Errorf("output %s\nwant   %s", got, c.output)
			}
			numbers, err := joinPieces(append(pieces, output[0].Pieces...))
			if err != nil {
				t.Error(err)
			}
			joined := strings.ReplaceAll(strings.Trim(fmt.Sprint(numbers), "[]"), " ", ",")
			if joined != c.joined || strings.Join(done, ",") != c.done {
				t.Errorf("processed %v, joined %s; want %s, %s", done, joined, c.done, c.joined)
			}
			if hand != nil {
				g.Recycle(hand)
			}
			ReleaseAll(input)
			ReleaseAll(output)
		})
	}
}

// TestCaptureNotes: what is polled belongs to the input part until the
// channel's barrier, of each channel for itself; a dropped capture, and one
// that is begun again, keep nothing.
func TestCaptureNotes(t *testing.T) {
	f := newFan(t, testConfig(), 3)
	defer f.close(t)
	curs := []*Cursor{NewCursor(0), NewCursor(0), NewCursor(0)}
	cp := NewCapture(f.gate, nil)
	poll := func() {
		t.Helper()
		for {
			el, ok := f.gate.Poll()
			if !ok {
				return
			}
			if el.Event != nil {
				cp.Done(el.Channel)
				f.gate.Resume(el.Channel)
				continue
			}
			cp.Note(el.Channel, el.Buffer)
			f.gate.Recycle(el.Buffer)
		}
	}
	f.do(t, "s0=1 s1=1")
	poll() // before it starts
	cp.Start(7, curs, nil, 0)
	cp.Done(2)
	cp.Done(2)
	f.do(t, "s0=2 s1=2 s0=3 b0=7 s0=4 s2=1 s1=3")
	poll()
	if !cp.Active() {
		t.Error("not active, channel 1 is missing")
	}
	f.do(t, "s1=4 b1=7 s1=5")
	poll()
	if cp.Active() {
		t.Error("active")
	}
	if got := describe(t, cp.Stop()); got != "0:2,3 1:2,3,4" {
		t.Errorf("captured %s", got)
	}
	if got := cp.Stop(); got != nil {
		t.Errorf("stopped twice: %d parts", len(got))
	}

	cp.Start(8, curs, nil, 0)
	f.do(t, "s0=5 s1=6")
	poll()
	cp.Start(9, curs, nil, 0)
	f.do(t, "s0=6")
	poll()
	cp.Drop()
	cp.Drop()
	f.do(t, "s0=7")
	poll()
	if got := cp.Stop(); got != nil {
		t.Errorf("after Drop: %d parts", len(got))
	}
}

// TestCaptureOfARefilledCursor: a cursor that was fed before it had read the
// buffer before is captured too, as a copy.
func TestCaptureOfARefilledCursor(t *testing.T) {
	f := newFan(t, testConfig(), 1)
	defer f.close(t)
	f.do(t, "s0=1 s0=2")
	cur := NewCursor(0)
	a, _ := f.gate.Poll()
	b, _ := f.gate.Poll()
	cur.Feed(a.Buffer.Bytes())
	cur.Feed(b.Buffer.Bytes())
	f.gate.Recycle(a.Buffer)
	cp := NewCapture(f.gate, nil)
	cp.Start(1, []*Cursor{cur}, b.Buffer, 0)
	cp.Done(0)
	f.gate.Recycle(b.Buffer)
	parts := cp.Stop()
	if got := shape(parts[0].Pieces); got != "seq=1 first=0 cont=0 len=42" {
		t.Errorf("captured %s", got)
	}
	if got := describe(t, parts); got != "0:1,2" {
		t.Errorf("captured %s", got)
	}
}

// TestPins: several checkpoints keep the same buffers, released in any order,
// before and after they are taken, and when the gate is closed.
func TestPins(t *testing.T) {
	for order := range 6 {
		w := newWire(t, testConfig(), 1)
		w.mustSend(t, 0, true, 0, 1, 2, 3)
		var parts [][]Captured
		for id := uint64(1); id <= 3; id++ {
			parts = append(parts, w.mustEmit(t, barrier.Barrier{ID: id, Alignment: barrier.Unaligned}))
			el, _ := w.gates[0].PollPriority()
			if el.Event == nil || el.Event.ID != id {
				t.Fatalf("polled %+v", el)
			}
			el, _ = w.gates[0].Poll()
			w.gates[0].Recycle(el.Buffer)
		}
		if order%2 == 0 {
			w.gates[0].Close()
		}
		want := []string{"0:0,1,2,3", "0:1,2,3", "0:2,3"}
		for i := range 3 {
			k := []int{0, 1, 2, 0, 2, 1, 1, 0, 2, 1, 2, 0, 2, 0, 1, 2, 1, 0}[order*3+i]
			if got := describe(t, parts[k]); got != want[k] {
				t.Errorf("order %d, checkpoint %d: captured %s, want %s", order, k+1, got, want[k])
			}
		}
		if n := len(w.gates[0].queues[0].pins); n != 0 {
			t.Errorf("order %d: %d pins are left", order, n)
		}
		w.close(t)
	}
}
