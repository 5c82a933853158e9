package barrier

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// The model with data: a task with up to four channels in one or two gates,
// each gate aligned-only or not. A channel is a queue of records and events,
// with its sender at one end, who sends, emits barriers of all kinds, converts
// them later, cancels and ends; the task takes single records from the other
// end, in two steps (poll, process), so that a record may be in its hands when
// a barrier with priority comes. The invariant is that of rule R2: each record
// is in exactly one of the state at the snapshot, the input part, the sender's
// output part, and what was sent behind the barrier.

// item is an element of a channel: a record if ev has no kind.
type item struct {
	record int
	ev     Event
}

type dataChannel struct {
	gate      int
	queue     []item // those with priority first
	sent      int
	script    []func(c *dataChannel) // what the sender does besides sending
	cuts      map[uint64]int         // records sent before the barrier
	output    map[uint64][]int
	input     []int // of the capture that goes on
	capturing bool
	processed int

	blocked, held, ended bool
	delivered            uint64
}

type dataModel struct {
	state    State
	modes    []bool // by channel: may be unaligned
	channels []*dataChannel
	orders   []Event
	timers   []uint64
	hand     int // channel of the record being processed, -1 if none
	trace    []string

	pre        map[uint64][]int // records processed at the snapshot, by channel
	took, over map[uint64]bool  // snapshot taken; complete
	begun      map[uint64]bool
	gone       map[uint64]bool // Abort was said
	dead       map[uint64]bool // must not be taken any more
	capture    uint64
	out        uint64 // newest id sent to the outputs, as barrier or cancellation

	unaligned, aligned, inflight int
}

func newDataModel(choose chooser) *dataModel {
	n := 1 + choose(4)
	m := &dataModel{hand: -1, pre: map[uint64][]int{}, took: map[uint64]bool{}, over: map[uint64]bool{},
		begun: map[uint64]bool{}, gone: map[uint64]bool{}, dead: map[uint64]bool{}}
	gates := []bool{choose(3) != 0, choose(3) != 0}[:1+choose(2)] // whether the gate may be unaligned
	for range n {
		g := choose(len(gates))
		m.channels = append(m.channels, &dataChannel{gate: g, cuts: map[uint64]int{}, output: map[uint64][]int{}})
		m.modes = append(m.modes, gates[g])
	}
	m.state = NewAlternating(m.modes)
	for id := uint64(1); id <= uint64(1+choose(4)); id++ {
		b := Barrier{ID: id}
		switch choose(3) {
		case 1:
			b.Alignment = Unaligned
		case 2:
			b.Timeout = time.Second
		}
		for ch, c := range m.channels {
			m.script(c, m.modes[ch], b, choose)
		}
		switch choose(10) {
		case 1:
			m.orders = append(m.orders, Aborted(id))
		case 2:
			m.orders = append(m.orders, Triggered(b))
		}
	}
	for ch, c := range m.channels {
		c.script = append(c.script, func(c *dataChannel) { c.push(item{ev: Ended(ch)}) })
	}
	return m
}

// script decides what a sender does about one checkpoint.
func (m *dataModel) script(c *dataChannel, unaligned bool, b Barrier, choose chooser) {
	id, ch := b.ID, slices.Index(m.channels, c)
	switch choose(14) {
	case 1:
		return // it ends without it, or failed to send it
	case 2:
		c.script = append(c.script, func(c *dataChannel) { c.push(item{ev: Cancelled(ch, id)}) })
		return
	case 3, 4:
		if b.Timeout > 0 { // timed out upstream
			b = b.Overtaking()
		}
	}
	if !unaligned {
		b = b.Forced()
	}
	c.script = append(c.script, func(c *dataChannel) {
		c.cuts[id] = c.sent
		c.emit(Arrived(ch, b))
	})
	if b.Timeoutable() && choose(3) > 0 {
		c.script = append(c.script, func(c *dataChannel) { c.convert(ch, b) })
	}
}

func (c *dataChannel) push(i item) { c.queue = append(c.queue, i) }

// emit queues a barrier; one with priority goes to the front, and what it
// overtakes is output state.
func (c *dataChannel) emit(e Event) {
	if !e.Barrier.Priority() {
		c.push(item{ev: e})
		return
	}
	c.overtake(e, len(c.queue))
}

func (c *dataChannel) overtake(e Event, n int) {
	at := 0
	for i, x := range c.queue[:n] {
		if x.ev.Kind == 0 {
			c.output[e.ID] = append(c.output[e.ID], x.record)
		} else if x.ev.Kind == BarrierArrived && x.ev.Barrier.Priority() {
			at = i + 1
		}
	}
	c.queue = slices.Insert(c.queue, at, item{ev: e})
}

func (c *dataChannel) convert(ch int, b Barrier) {
	for i, x := range c.queue {
		if x.ev.Kind == BarrierArrived && x.ev.ID == b.ID {
			c.queue = slices.Delete(c.queue, i, i+1)
			c.overtake(Arrived(ch, b.Overtaking()), i)
			return
		}
	}
}

// run lets things happen until nothing is left.
func (m *dataModel) run(choose chooser) error {
	for step := 0; ; step++ {
		type move struct{ what, ch int }
		var moves []move
		if m.hand >= 0 {
			moves = append(moves, move{0, m.hand})
		}
		for ch, c := range m.channels {
			if len(c.script) > 0 {
				moves = append(moves, move{1, ch})
				if step < 60 {
					moves = append(moves, move{2, ch})
				}
			}
			if len(c.queue) > 0 && (c.first().Priority() || m.hand < 0 && !c.blocked && !c.held) {
				moves = append(moves, move{3, ch}, move{3, ch})
			}
		}
		if len(m.orders) > 0 {
			moves = append(moves, move{4, 0})
		}
		if len(m.timers) > 0 {
			moves = append(moves, move{5, 0})
		}
		if len(moves) == 0 {
			return m.finally()
		}
		var err error
		mv := moves[choose(len(moves))]
		c := m.channels[mv.ch]
		switch mv.what {
		case 0:
			c.processed++
			m.hand = -1
		case 1:
			f := c.script[0]
			c.script = c.script[1:]
			f(c)
		case 2:
			c.push(item{record: c.sent})
			c.sent++
		case 3:
			err = m.poll(mv.ch, choose)
		case 4:
			i := choose(len(m.orders))
			e := m.orders[i]
			m.orders = slices.Delete(m.orders, i, i+1)
			err = m.step(e)
		case 5:
			id := m.timers[0]
			m.timers = m.timers[1:]
			err = m.step(TimerFired(id))
		}
		if err != nil {
			return err
		}
	}
}

// first returns the barrier at the front, if it is one with priority.
func (c *dataChannel) first() Barrier {
	if e := c.queue[0].ev; e.Kind == BarrierArrived && e.Barrier.Priority() {
		return e.Barrier
	}
	return Barrier{}
}

func (m *dataModel) poll(ch int, choose chooser) error {
	c := m.channels[ch]
	x := c.queue[0]
	c.queue = c.queue[1:]
	if x.ev.Kind == 0 {
		m.hand = ch
		if c.capturing {
			c.input = append(c.input, x.record)
		}
		if m.state.Capturing(ch) != c.capturing {
			return fmt.Errorf("channel %d: capturing is %v", ch, m.state.Capturing(ch))
		}
		return nil
	}
	e := x.ev.After(time.Duration(choose(3)) * time.Second)
	switch e.Kind {
	case BarrierArrived:
		c.blocked = c.blocked || e.Barrier.Blocks()
		c.delivered = e.ID
	case PartitionEnded:
		c.ended = true
	}
	return m.step(e)
}

func (m *dataModel) step(e Event) error {
	if e.Kind == CancelArrived || e.Kind == AbortOrdered {
		if !m.over[e.ID] {
			m.dead[e.ID] = true
		}
	}
	var acts []Action
	m.state, acts = Step(m.state, e, nil)
	m.trace = append(m.trace, fmt.Sprintf("> %v", e))
	for _, a := range acts {
		m.trace = append(m.trace, fmt.Sprintf("  %v", a))
		if err := m.act(a); err != nil {
			return err
		}
	}
	m.trace = append(m.trace, fmt.Sprintf("  = %v", m.state))
	for ch, c := range m.channels {
		if m.state.Held(ch) != c.held || m.state.Blocked(ch) && !c.blocked {
			return fmt.Errorf("channel %d: held %v, blocked %v, the state says %v, %v", ch, c.held, c.blocked, m.state.Held(ch), m.state.Blocked(ch))
		}
	}
	return nil
}

func (m *dataModel) act(a Action) error {
	bad := func(format string, args ...any) error {
		return fmt.Errorf("%v: %s", a, fmt.Sprintf(format, args...))
	}
	var c *dataChannel
	if a.Channel >= 0 {
		c = m.channels[a.Channel]
	}
	switch a.Kind {
	case First:
		m.begun[a.ID] = true
	case StartTimer:
		m.timers = append(m.timers, a.ID)
	case Resume:
		if !c.blocked {
			return bad("it is not blocked")
		}
		c.blocked = false
	case Hold:
		if c.held || m.took[a.ID] {
			return bad("held %v, snapshot taken %v", c.held, m.took[a.ID])
		}
		c.held = true
	case Unhold:
		if !c.held {
			return bad("it is not held")
		}
		c.held = false
	case BeginCapture:
		if m.capture != 0 || m.took[a.ID] {
			return bad("capture %d goes on, snapshot taken %v", m.capture, m.took[a.ID])
		}
		m.capture = a.ID
		for ch, c := range m.channels {
			c.input, c.capturing = nil, m.modes[ch]
			if m.hand == ch && c.capturing {
				c.input = append(c.input, c.processed)
			}
		}
	case ChannelDone:
		if !c.capturing || a.ID != m.capture || c.delivered != a.ID && !c.ended {
			return bad("capture %d, of the channel %v, it delivered %d", m.capture, c.capturing, c.delivered)
		}
		c.capturing = false
	case Snapshot:
		return m.snapshot(a, bad)
	case StopCapture, DropCapture:
		if m.capture != a.ID {
			return bad("capture %d goes on", m.capture)
		}
		m.capture = 0
		if a.Kind == StopCapture {
			m.unaligned++
			if err := m.complete(a.ID); err != nil {
				return err
			}
		}
		for _, c := range m.channels {
			c.input, c.capturing = nil, false
		}
	case Abort:
		if m.over[a.ID] || m.gone[a.ID] {
			return bad("it is over: complete %v, aborted %v", m.over[a.ID], m.gone[a.ID])
		}
		m.gone[a.ID] = true
	case ForwardCancel:
		if a.ID <= m.out {
			return bad("%d was sent", m.out)
		}
		m.out = a.ID
	}
	return nil
}

func (m *dataModel) snapshot(a Action, bad func(string, ...any) error) error {
	if m.took[a.ID] || m.dead[a.ID] || a.ID <= m.out || a.Barrier.Alignment == ForcedAligned {
		return bad("taken %v, dead %v, sent %d", m.took[a.ID], m.dead[a.ID], m.out)
	}
	unaligned := a.Barrier.Alignment == Unaligned
	m.took[a.ID], m.out = true, a.ID
	pre := make([]int, len(m.channels))
	for ch, c := range m.channels {
		pre[ch] = c.processed
		if (!unaligned || !m.modes[ch]) && !c.ended && c.delivered != a.ID {
			return bad("channel %d is missing", ch)
		}
	}
	m.pre[a.ID] = pre
	if unaligned != (m.capture == a.ID) {
		return bad("capture %d", m.capture)
	}
	if unaligned {
		return nil
	}
	m.aligned++
	return m.complete(a.ID)
}

// complete checks the invariant for a checkpoint of which all is there.
func (m *dataModel) complete(id uint64) error {
	m.over[id] = true
	for ch, c := range m.channels {
		if c.capturing {
			return fmt.Errorf("checkpoint %d is complete, channel %d is not", id, ch)
		}
		cut, ok := c.cuts[id]
		if !ok { // the end stands for the barrier
			cut = c.sent
		}
		next := m.pre[id][ch]
		for _, r := range slices.Concat(c.input, c.output[id]) {
			if r != next {
				return fmt.Errorf("checkpoint %d, channel %d: record %d where %d was due (state %d, input %v, output %v, sent before the barrier %d)",
					id, ch, r, next, m.pre[id][ch], c.input, c.output[id], cut)
			}
			next++
			m.inflight++
		}
		if next != cut {
			return fmt.Errorf("checkpoint %d, channel %d: reaches to %d (state %d, input %v, output %v), sent before the barrier %d",
				id, ch, next, m.pre[id][ch], c.input, c.output[id], cut)
		}
	}
	return nil
}

func (m *dataModel) finally() error {
	for ch, c := range m.channels {
		if len(c.queue) > 0 || c.blocked || c.held || c.processed != c.sent {
			return fmt.Errorf("channel %d stands still for ever: %d elements, blocked %v, held %v, %d of %d records", ch, len(c.queue), c.blocked, c.held, c.processed, c.sent)
		}
	}
	if m.state.Pending() != 0 || m.state.Open() != 0 || m.capture != 0 {
		return fmt.Errorf("at the end: capture %d, state %v", m.capture, m.state)
	}
	for id := range m.begun {
		if !m.over[id] && !m.gone[id] {
			return fmt.Errorf("checkpoint %d was begun, but neither completed nor given up", id)
		}
	}
	return nil
}

func (m *dataModel) report(t *testing.T, err error) {
	t.Helper()
	text := fmt.Sprintf("channels may be unaligned: %v\n", m.modes)
	for _, l := range m.trace {
		text += l + "\n"
	}
	t.Fatalf("%v\n%s", err, text)
}

// TestInFlightModel runs many random interleavings with data.
func TestInFlightModel(t *testing.T) {
	runs := 15000
	if testing.Short() {
		runs = 3000
	}
	rng := rand.New(rand.NewPCG(3, 4))
	var unaligned, aligned, inflight, aborted int
	for range runs {
		m := newDataModel(rng.IntN)
		if err := m.run(rng.IntN); err != nil {
			m.report(t, err)
		}
		unaligned += m.unaligned
		aligned += m.aligned
		inflight += m.inflight
		aborted += len(m.gone)
	}
	if unaligned < runs/3 || aligned < runs/10 || inflight < runs || aborted < runs/10 {
		t.Errorf("%d unaligned, %d aligned, %d records in flight, %d aborted in %d runs: the model does not reach what it is for", unaligned, aligned, inflight, aborted, runs)
	}
	t.Logf("RESULT barrier-inflight-model runs=%d unaligned=%d aligned=%d aborted=%d inflight_records=%d lost=0 duplicated=0", runs, unaligned, aligned, aborted, inflight)
}

// FuzzInFlightModel lets the fuzzer choose.
func FuzzInFlightModel(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{3, 1, 1, 1, 0, 1, 0, 1, 3, 1, 1, 0, 0, 0, 0, 0, 1, 2, 1, 2, 3, 4, 5, 6, 7, 8, 9, 1, 1, 2, 3, 5, 8, 13, 21})
	f.Add([]byte{1, 1, 0, 1, 0, 1, 2, 2, 0, 0, 1, 0, 0, 1, 3, 3, 3, 2, 1, 0, 5, 4, 3, 2, 1, 0, 9, 9, 9, 2, 2, 2})
	f.Fuzz(func(t *testing.T, data []byte) {
		choose := fromBytes(data)
		m := newDataModel(choose)
		if err := m.run(choose); err != nil {
			m.report(t, err)
		}
	})
}
