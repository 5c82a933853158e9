package exchange

import (
	"fmt"
	"testing"
	"time"

	"github.com/tidemark-io/tidemark/engine/barrier"
)

// creditConfig has channels with 2 credits of their own and 1 floating one at
// the receiver, and plenty at the sender.
func creditConfig() Config {
	cfg := testConfig()
	cfg.Exchange, cfg.BuffersPerChannel, cfg.FloatingPerGate, cfg.MaxPerChannel = Credit, 2, 1, 100
	return cfg
}

// lengths are what lies at the senders and at the receiver, by channel.
func (f *fan) lengths() string {
	f.gate.mu.Lock()
	defer f.gate.mu.Unlock()
	var s string
	for ch := range f.gate.queues {
		s += fmt.Sprintf("%d+%d ", f.gate.remote.queues[ch].n, f.gate.queues[ch].n)
	}
	return s
}

// TestCredits: buffers move while there are credits, first the channel's own,
// then the gate's; a floating one that comes back goes to who has a backlog.
func TestCredits(t *testing.T) {
	f := newFan(t, creditConfig(), 2)
	f.parts[0].cfg.MaxOverdraft, f.parts[1].cfg.MaxOverdraft = 50, 50
	defer f.close(t)
	var held []*Buffer
	step := func(name string, want string) {
		t.Helper()
		if got := f.lengths(); got != want {
			t.Errorf("%s: queues %q, want %q", name, got, want)
		}
	}
	fill := func(ch, n int) {
		t.Helper()
		for i := range n {
			if err := send(f.parts[ch], 0, uint64(i), 256-lengthSize-keyedHeader); err != nil {
				t.Fatal(err)
			}
		}
	}
	take := func(ch int) {
		t.Helper()
		el, ok := f.gate.Poll()
		if !ok || el.Buffer == nil || el.Channel != ch {
			t.Fatalf("got %+v, want a buffer of channel %d", el, ch)
		}
		held = append(held, el.Buffer)
	}
	recycle := func() {
		f.gate.Recycle(held[0])
		held = held[1:]
	}
	fill(0, 5)
	step("three credits", "2+3 0+0 ")
	if used, _ := f.parts[0].InUse(); used != 2 {
		t.Errorf("the sender uses %d credits, want 2: the others came back with the move", used)
	}
	fill(1, 4)
	step("no floating one left", "2+3 2+2 ")
	take(0)
	step("a buffer in hand keeps its credit", "2+2 2+2 ")
	recycle()
	step("the floating credit goes to the next in turn", "2+2 1+3 ")
	take(1)
	recycle()
	step("and back", "1+3 1+2 ")
	for ch := range 2 {
		if err := f.parts[ch].Emit(NewCancel(1)); err != nil {
			t.Fatal(err)
		}
	}
	step("an event keeps its place", "2+3 2+2 ")
	for f.gate.Ready() {
		if el, _ := f.gate.Poll(); el.Buffer != nil {
			f.gate.Recycle(el.Buffer)
		} else if el.Event.Kind != CancelBarrier {
			t.Errorf("event %v", el.Event.Kind)
		}
	}
	step("all taken", "0+0 0+0 ")
	if f.gate.remote.floating != 1 || f.gate.remote.used[0] != 0 {
		t.Errorf("credits at the end: %+v", f.gate.remote)
	}
}

// TestCreditsAndBarriers: an aligned barrier stops its channel at the sender; one
// that overtakes leaves the sender's queue to the sender's part and the
// receiver's to the receiver's, also if it was timeoutable and already there.
func TestCreditsAndBarriers(t *testing.T) {
	for _, c := range []struct {
		name          string
		before        int // buffers sent before the barrier
		b             barrier.Barrier
		convert       bool
		output, input int // buffers of either part
		lengths       string
	}{
		{"aligned", 1, barrier.Barrier{ID: 1}, false, 0, 0, "2+2 "},
		{"aligned, without credit", 4, barrier.Barrier{ID: 1}, false, 0, 0, "4+3 "},
		{"unaligned", 5, barrier.Barrier{ID: 1, Alignment: barrier.Unaligned}, false, 2, 3, "4+4 "},
		{"timed out at the receiver", 2, barrier.Barrier{ID: 1, Timeout: time.Second}, true, 0, 2, "1+4 "},
		{"timed out at the sender", 4, barrier.Barrier{ID: 1, Timeout: time.Second}, true, 1, 3, "3+4 "},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := creditConfig()
			cfg.MaxOverdraft = 50
			f := newFan(t, cfg, 1)
			defer f.close(t)
			fill := func(n int) {
				for i := range n {
					if err := send(f.parts[0], 0, uint64(i), 256-lengthSize-keyedHeader); err != nil {
						t.Fatal(err)
					}
				}
			}
			fill(c.before)
			out, err := f.parts[0].EmitBarrier(c.b, nil)
			if err != nil {
				t.Fatal(err)
			}
			fill(2)
			if c.convert {
				if out, err = f.parts[0].Convert(1, 0, nil); err != nil {
					t.Fatal(err)
				}
			}
			defer ReleaseAll(out)
			if got := f.lengths(); got != c.lengths {
				t.Errorf("queues %q, want %q", got, c.lengths)
			}
			capture := NewCapture(f.gate, nil)
			if el, ok := f.gate.PollPriority(); ok != (c.output+c.input > 0) {
				t.Fatalf("with priority: %v %+v", ok, el)
			} else if ok {
				capture.Start(1, []*Cursor{NewCursor(0)}, nil, 0)
				capture.Done(el.Channel)
			}
			in := capture.Stop()
			defer ReleaseAll(in)
			count := func(parts []Captured) (n int) {
				for _, p := range parts {
					n += len(p.Pieces)
				}
				return n
			}
			if count(out) != c.output || count(in) != c.input {
				t.Errorf("%d buffers in the sender's part and %d in the receiver's, want %d and %d", count(out), count(in), c.output, c.input)
			}
			got := 0
			for {
				el, ok := f.gate.Poll()
				if !ok {
					break
				}
				if el.Buffer == nil {
					f.gate.Resume(el.Channel)
					continue
				}
				if el.Buffer.Sequence() != uint64(got) {
					t.Errorf("buffer %d has number %d", got, el.Buffer.Sequence())
				}
				got++
				f.gate.Recycle(el.Buffer)
			}
			if got != c.before+2 {
				t.Errorf("%d buffers came, want %d", got, c.before+2)
			}
		})
	}
}

// TestDisorder: a buffer that is not the one due is reported before it comes.
func TestDisorder(t *testing.T) {
	f := newFan(t, creditConfig(), 1)
	defer f.close(t)
	f.parts[0].channels[0].seq = 7
	if err := send(f.parts[0], 0, 0, 256-lengthSize-keyedHeader); err != nil {
		t.Fatal(err)
	}
	if el, ok := f.gate.Poll(); !ok || el.Event == nil || el.Event.Kind != Disorder || el.Event.ID != 7 {
		t.Errorf("got %+v", el)
	}
}
