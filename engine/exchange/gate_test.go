package exchange

import (
	"fmt"
	"strings"
	"testing"

	"github.com/tidemark-io/tidemark/engine/barrier"
)

// fan is several senders with one channel each into one gate.
type fan struct {
	pool  *Pool
	gate  *Gate
	parts []*Partition
	wakes int
}

func newFan(t testing.TB, cfg Config, senders int) *fan {
	t.Helper()
	f := &fan{pool: NewPool(cfg.BufferSize)}
	f.gate = cfg.NewGate(senders, func() { f.wakes++ })
	for s := range senders {
		p, err := NewPartition(f.pool, cfg, []Target{{Gate: f.gate, Channel: s}}, Hooks{})
		if err != nil {
			t.Fatal(err)
		}
		f.parts = append(f.parts, p)
	}
	return f
}

func (f *fan) close(t testing.TB) {
	t.Helper()
	for _, p := range f.parts {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	}
	f.gate.Close()
	if n := f.pool.Outstanding(); n != 0 {
		t.Errorf("%d buffers were not returned", n)
	}
}

// do performs steps on the fan and lists what it delivered: "0:3" is a buffer
// of channel 0 that begins with record 3, "1:barrier" an event, "." nothing.
//
//	s0=3   sender 0 sends record 3 and flushes
//	b0=1   sender 0 emits an aligned barrier; u0=1 an unaligned one
//	c0=1   sender 0 emits a cancellation
//	r0     resume channel 0
//	p      poll
func (f *fan) do(t testing.TB, steps string) string {
	t.Helper()
	var out []string
	for _, step := range strings.Fields(steps) {
		var ch int
		var n uint64
		if _, err := fmt.Sscanf(step[1:], "%d=%d", &ch, &n); err != nil && strings.Contains(step, "=") {
			t.Fatal(err)
		}
		p := f.parts[ch]
		var err error
		switch step[0] {
		case 's':
			if err = send(p, 0, n, 4); err == nil {
				err = p.Flush()
			}
		case 'b':
			err = p.Emit(NewBarrier(barrier.Barrier{ID: n}))
		case 'u':
			err = p.Emit(NewBarrier(barrier.Barrier{ID: n, Alignment: barrier.Unaligned}))
		case 'c':
			err = p.Emit(NewCancel(n))
		case 'r':
			f.gate.Resume(ch)
		case 'p':
			out = append(out, f.poll(t))
		}
		if err != nil {
			t.Fatalf("%s: %v", step, err)
		}
	}
	return strings.Join(out, " ")
}

func (f *fan) poll(t testing.TB) string {
	el, ok := f.gate.Poll()
	switch {
	case !ok:
		return "."
	case el.Event != nil:
		return fmt.Sprintf("%d:%v", el.Channel, el.Event.Kind)
	}
	var c Cursor
	c.Feed(el.Buffer.Bytes())
	fr, ok := c.Next()
	if !ok {
		t.Fatalf("channel %d: a buffer without a record: %v", el.Channel, c.Err())
	}
	f.gate.Recycle(el.Buffer)
	return fmt.Sprintf("%d:%d", el.Channel, fr.Timestamp)
}

func TestGate(t *testing.T) {
	for _, c := range []struct{ name, steps, want string }{
		{"an empty gate has nothing", "p", "."},
		{"a channel keeps its order", "s0=1 s0=2 s0=3 p p p p", "0:1 0:2 0:3 ."},
		{"channels take turns", "s0=1 s0=2 s0=3 s1=1 s2=1 s1=2 p p p p p p p", "0:1 1:1 2:1 0:2 1:2 0:3 ."},
		{"a blocked channel delivers nothing until it is resumed",
			"s0=1 b0=1 s0=2 s1=1 p p p p s0=3 p r0 p p p", "0:1 1:1 0:barrier . . 0:2 0:3 ."},
		{"blocking one channel does not touch the others",
			"b0=1 s1=1 p p s1=2 s0=1 p p r0 p", "0:barrier 1:1 1:2 . 0:1"},
		{"a barrier blocks again after a resume", "b0=1 b0=2 s0=1 p r0 p p r0 p", "0:barrier 0:barrier . 0:1"},
		{"resuming a channel that is not blocked does nothing", "r0 s0=1 r0 p p", "0:1 ."},
		{"a cancellation does not block", "c0=1 s0=1 p p", "0:cancel 0:1"},
		{"an unaligned barrier overtakes data, of all channels", "s0=1 s0=2 s1=1 u1=1 p p p p p", "1:barrier 0:1 1:1 0:2 ."},
		{"unaligned barriers keep their order", "s0=1 u0=1 u0=2 c0=9 p p p p p", "0:barrier 0:barrier 0:1 0:cancel ."},
		{"an unaligned barrier passes a blocked channel", "b0=1 s0=1 p u0=2 p p r0 p", "0:barrier 0:barrier . 0:1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFan(t, testConfig(), 3)
			defer f.close(t)
			if got := f.do(t, c.steps); got != c.want {
				t.Errorf("%s\n got %s\nwant %s", c.steps, got, c.want)
			}
		})
	}
}

// TestGateWakes: once when it gets something after it had nothing, and for
// each element with priority.
func TestGateWakes(t *testing.T) {
	f := newFan(t, testConfig(), 2)
	defer f.close(t)
	for _, c := range []struct {
		steps string
		wakes int
	}{
		{"s0=1", 1},          // something after nothing
		{"s0=2 s1=1", 0},     // more of it
		{"p p p", 0},         // taking it
		{"s1=2", 1},          // again
		{"u0=1", 1},          // priority
		{"p p", 0},           // empty
		{"b0=2 p", 1},        // an event counts too
		{"s0=3 s0=4", 0},     // behind a barrier there is nothing to deliver
		{"r0", 1},            // now there is
		{"p p b0=3 p", 1},    // .
		{"b1=3 s1=3 p", 1},   // .
		{"r0", 0},            // nothing queued behind it
		{"r1 p s0=1 p", 2},   // .
		{"s0=1 s0=1 p p", 1}, // .
	} {
		f.wakes = 0
		f.do(t, c.steps)
		if f.wakes != c.wakes {
			t.Fatalf("%s: %d wakes, want %d", c.steps, f.wakes, c.wakes)
		}
		if f.gate.Ready() != (f.gate.n+len(f.gate.urgent) > 0) {
			t.Fatalf("%s: ready is %v", c.steps, f.gate.Ready())
		}
	}
}

func TestQueuedCountsWhatWaits(t *testing.T) {
	f := newFan(t, testConfig(), 2)
	defer f.close(t)
	check := func(buffers int, bytes int64) {
		t.Helper()
		if n, b := f.gate.Queued(); n != buffers || b != bytes {
			t.Fatalf("%d buffers, %d bytes; want %d, %d", n, b, buffers, bytes)
		}
	}
	const frame = lengthSize + keyedHeader + 4
	f.do(t, "s0=1 b0=1 s0=2 s1=1")
	check(3, 3*frame)
	f.do(t, "p p p")
	check(1, frame) // behind the barrier
	if !f.gate.Blocked(0) || f.gate.Blocked(1) {
		t.Error("blocked channels are not known")
	}
	f.do(t, "r0 p")
	check(0, 0)
}

// TestClosedGateTakesNothing: what is sent to it is given back at once.
func TestClosedGateTakesNothing(t *testing.T) {
	f := newFan(t, testConfig(), 1)
	f.do(t, "s0=1 u0=1 s0=2")
	f.gate.Close()
	f.do(t, "s0=3 b0=2 s0=4 u0=3")
	if used, _ := f.parts[0].InUse(); used != 0 {
		t.Errorf("%d credits in use", used)
	}
	if got := f.do(t, "p r0 p"); got != ". ." {
		t.Errorf("a closed gate delivers %s", got)
	}
	f.close(t)
}

// TestQueueAgainstASlice drives the deque with pseudo-random operations.
func TestQueueAgainstASlice(t *testing.T) {
	var q queue
	var want []*Event
	prio := 0
	x := uint64(1)
	for i := range 5000 {
		x = mix(x + 0x9e3779b97f4a7c15)
		e := &Event{ID: uint64(i)}
		switch {
		case x%8 < 3:
			q.push(element{ev: e})
			want = append(want, e)
		case x%8 == 3:
			q.pushPriority(element{ev: e})
			want = append(want[:prio:prio], append([]*Event{e}, want[prio:]...)...)
			prio++
		case len(want) > 0:
			if got := q.pop().ev; got != want[0] {
				t.Fatalf("operation %d: popped %d, want %d", i, got.ID, want[0].ID)
			}
			want = want[1:]
			prio = max(0, prio-1)
		}
		if q.n != len(want) || q.prio != prio {
			t.Fatalf("operation %d: %d elements, %d with priority; want %d, %d", i, q.n, q.prio, len(want), prio)
		}
	}
}

// TestEventsAreNamed: the names stand in logs and errors.
func TestEventsAreNamed(t *testing.T) {
	want := "barrier, cancel, end of data, end of partition, recovery complete, disorder, event(7)"
	var got []string
	for k := BarrierEvent; k <= Disorder+1; k++ {
		got = append(got, k.String())
	}
	if s := strings.Join(got, ", "); s != want {
		t.Errorf("got %s", s)
	}
	for _, c := range []struct {
		ev                Event
		blocks, overtakes bool
	}{
		{NewBarrier(barrier.Barrier{ID: 1}), true, false},
		{NewBarrier(barrier.Barrier{ID: 1, Alignment: barrier.ForcedAligned}), true, false},
		{NewBarrier(barrier.Barrier{ID: 1, Alignment: barrier.Unaligned}), false, true},
		{NewCancel(1), false, false},
		{Event{Kind: EndOfData}, false, false},
		{Event{Kind: EndOfPartition}, false, false},
		{Event{Kind: RecoveryComplete}, true, false},
	} {
		if c.ev.Blocks() != c.blocks || c.ev.Priority() != c.overtakes {
			t.Errorf("%v %v: blocks %v, priority %v", c.ev.Kind, c.ev.Barrier, c.ev.Blocks(), c.ev.Priority())
		}
	}
}
