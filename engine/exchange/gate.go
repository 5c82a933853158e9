package exchange

import (
	"sync"
	"sync/atomic"
)

// Gate is the receiving end of an edge at one subtask. Its channels are
// numbered from 0, one per sender. All methods except Queued and Ready belong
// to the receiver's goroutine; senders enter through their partitions.
type Gate struct {
	wake func()

	mu     sync.Mutex
	queues []queue
	remote *remote // nil: the senders fill queues themselves
	// ready lists channels that have something to deliver, in the order of
	// their turns, as a ring of len(queues); urgent those with priority.
	ready  []int
	head   int
	n      int
	urgent []int
	bufs   int
	bytes  int64
	closed bool

	want atomic.Int32 // bytes to which senders are to fill their next buffers, 0 for all

	some atomic.Bool // n + len(urgent) > 0, to be read without the lock
	rush atomic.Bool // len(urgent) > 0, likewise
}

// NewGate makes a gate of the given number of channels. wake is called,
// without a lock held, by any goroutine, when the gate has something to
// deliver after it had nothing, and when an element with priority arrives.
// nil is allowed.
func NewGate(channels int, wake func()) *Gate {
	if wake == nil {
		wake = func() {}
	}
	return &Gate{
		wake:   wake,
		queues: make([]queue, max(channels, 0)),
		ready:  make([]int, max(channels, 1)),
	}
}

// Resize announces to the senders how many bytes their next buffers are to
// hold; 0 is all that a buffer has. A frame that would fit the buffer is not
// split for it, and a sender short of buffers fills them to the end.
func (g *Gate) Resize(size int) { g.want.Store(int32(size)) }

// size returns what was announced to the senders.
func (g *Gate) size() int { return int(g.want.Load()) }

// Channels returns the number of channels.
func (g *Gate) Channels() int { return len(g.queues) }

// Ready reports, without a lock, whether Poll has something to deliver.
func (g *Gate) Ready() bool { return g.some.Load() }

// Queued returns the buffers and bytes that wait in the gate's queues,
// blocked channels included.
func (g *Gate) Queued() (buffers int, bytes int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.bufs, g.bytes
}

// Poll takes the next element: of a channel with priority if there is one,
// else of the channel whose turn it is. A buffer belongs to the receiver
// until Recycle. Behind an event that blocks, the channel delivers nothing
// until Resume.
func (g *Gate) Poll() (el Element, ok bool) {
	g.mu.Lock()
	el, ok = g.poll()
	g.refresh()
	g.mu.Unlock()
	if el.Event != nil && g.remote == nil {
		el.Event.passage.through()
	}
	return el, ok
}

// PollPriority takes the next element with priority, and nothing else. It is
// for a receiver that cannot go on with data, as its own outputs are full or
// it works on timers or replays: barriers that overtake still reach it.
func (g *Gate) PollPriority() (el Element, ok bool) {
	if !g.rush.Load() {
		return el, false
	}
	g.mu.Lock()
	if ok = len(g.urgent) > 0; ok {
		el = g.pollUrgent()
	}
	g.refresh()
	g.mu.Unlock()
	return el, ok
}

// PollFrom is Poll for one channel, out of turn, for a receiver that takes its
// channels in an order of its own. Elements with priority come first.
func (g *Gate) PollFrom(channel int) (el Element, ok bool) {
	g.mu.Lock()
	switch q := &g.queues[channel]; {
	case len(g.urgent) > 0:
		el, ok = g.pollUrgent(), true
	case q.n > 0 && !q.blocked && !q.held:
		el, ok = g.take(channel), true // if it is listed it will be found empty
	}
	g.refresh()
	g.mu.Unlock()
	if el.Event != nil && g.remote == nil {
		el.Event.passage.through()
	}
	return el, ok
}

// Urgent reports, without a lock, whether PollPriority has something to
// deliver.
func (g *Gate) Urgent() bool { return g.rush.Load() }

// pollUrgent takes the first element with priority; there must be one.
func (g *Gate) pollUrgent() Element {
	ch := g.urgent[0]
	g.urgent = append(g.urgent[:0], g.urgent[1:]...)
	g.rush.Store(len(g.urgent) > 0)
	return g.take(ch)
}

// pushUrgent adds an element with priority.
func (g *Gate) pushUrgent(ch int, e element, m *moved) {
	if g.remote != nil {
		g.remote.queues[ch].pushPriority(e)
		g.move(ch, m)
		return
	}
	g.queues[ch].pushPriority(e)
	g.urgent = append(g.urgent, ch)
	g.rush.Store(true)
}

func (g *Gate) poll() (el Element, ok bool) {
	if len(g.urgent) > 0 {
		return g.pollUrgent(), true
	}
	for g.n > 0 {
		ch := g.ready[g.head]
		g.head++
		if g.head == len(g.ready) {
			g.head = 0
		}
		g.n--
		q := &g.queues[ch]
		q.listed = false
		if q.blocked || q.held || q.n == 0 {
			continue // since it was listed: its barrier was converted, or overtook
		}
		el := g.take(ch)
		g.list(ch, q)
		return el, true
	}
	return Element{}, false
}

// take removes the first element of a channel that has one.
func (g *Gate) take(ch int) Element {
	q := &g.queues[ch]
	e := q.pop()
	if e.buf != nil {
		g.bufs--
		g.bytes -= int64(len(e.buf.data))
	} else if e.ev.Blocks() {
		q.blocked = true
	}
	return Element{Channel: ch, Buffer: e.buf, Event: e.ev}
}

// list gives a channel a turn if it has something to deliver and has none.
// Elements with priority are not counted: they have a list of their own.
func (g *Gate) list(ch int, q *queue) {
	if q.listed || q.blocked || q.held || q.n == q.prio {
		return
	}
	q.listed = true
	i := g.head + g.n
	if i >= len(g.ready) {
		i -= len(g.ready)
	}
	g.ready[i] = ch
	g.n++
}

// refresh makes it known whether there is something to deliver, and reports
// whether there was nothing before.
func (g *Gate) refresh() (first bool) {
	now := g.n > 0 || len(g.urgent) > 0
	if now == g.some.Load() { // an atomic load is free, a store is not
		return false
	}
	g.some.Store(now)
	return now
}

// Resume lets a channel that delivered a blocking event go on. On a channel
// that is not blocked, or not there, it does nothing.
func (g *Gate) Resume(channel int) {
	g.change(channel, func(q *queue) {
		// A channel that is blocked at the sender only has not delivered the
		// event yet: there is nothing to resume.
		if q.blocked {
			q.blocked, g.outgoing(channel).blocked = false, false
		}
	})
}

// Hold makes a channel deliver nothing but elements with priority, until
// Unhold: what follows in it belongs to the sender's part of a checkpoint
// whose snapshot is still to come here (rule R2). It is independent of
// blocking events and Resume.
func (g *Gate) Hold(channel int) {
	g.change(channel, func(q *queue) { q.held = true })
}

// Unhold ends Hold. On a channel that is not held, or not there, it does
// nothing.
func (g *Gate) Unhold(channel int) {
	g.change(channel, func(q *queue) { q.held = false })
}

func (g *Gate) change(channel int, f func(q *queue)) {
	if channel < 0 || channel >= len(g.queues) {
		return
	}
	var m moved
	g.mu.Lock()
	q := &g.queues[channel]
	f(q)
	g.move(channel, &m)
	g.list(channel, q)
	wake := g.refresh()
	g.mu.Unlock()
	m.pay()
	if wake {
		g.wake()
	}
}

// Blocked reports whether a channel stands still.
func (g *Gate) Blocked(channel int) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return channel >= 0 && channel < len(g.queues) && g.queues[channel].blocked
}

// Recycle ends the receiver's use of a buffer that Poll delivered: its sender
// gets the credit back, and the memory is used again unless somebody retained
// the buffer. Call it once per buffer; it may be called after Close.
func (g *Gate) Recycle(b *Buffer) {
	if b.gate != nil {
		b.gate.recycle(b)
		return
	}
	b.owner.giveBack(b)
}

// Close drops what is queued, and whatever is pushed later, giving the
// credits back.
func (g *Gate) Close() {
	g.mu.Lock()
	g.closed = true
	var drop []*Buffer
	for ch := range g.queues {
		for _, q := range []*queue{&g.queues[ch], g.outgoing(ch)} {
			for q.n > 0 {
				if e := q.pop(); e.buf != nil {
					drop = append(drop, e.buf)
				}
			}
			q.prio = 0
		}
	}
	g.n, g.urgent, g.bufs, g.bytes = 0, nil, 0, 0
	g.rush.Store(false)
	g.refresh()
	g.mu.Unlock()
	for _, b := range drop {
		g.Recycle(b)
	}
}

// capacity returns how many buffers are in a channel's queue: only the sender,
// who asks, adds to it.
func (g *Gate) capacity(ch int) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.outgoing(ch).bufs
}

// overtake puts an event with priority in front of a channel's queue, for its
// sender, and adds what it overtakes, pinned, to got: one step for the
// receiver. With a convert id it replaces the timeoutable barrier of that
// checkpoint instead, and overtakes only what is before that; if spilled, the
// barrier is in the sender's backlog, behind the queue. If it is neither there
// nor in the queue it was delivered, and the answer is false.
func (g *Gate) overtake(ch int, ev *Event, convert uint64, spilled bool, got *Captured) bool {
	g.mu.Lock()
	if g.closed {
		g.mu.Unlock()
		return false
	}
	var m moved
	q := g.outgoing(ch)
	n := q.n
	if convert != 0 && !spilled {
		if n = q.barrierAt(convert); n < 0 {
			expedited := g.expedite(ch, ev, convert, &m)
			g.refresh()
			g.mu.Unlock()
			m.pay()
			if expedited {
				g.wake()
			}
			return false
		}
		q.remove(n)
	}
	got.Pieces = q.list(n, got.Pieces)
	got.pin = g.pinFirst(ch, len(got.Pieces))
	g.pushUrgent(ch, element{ev: ev}, &m)
	g.refresh()
	g.mu.Unlock()
	m.pay()
	g.wake()
	return true
}

// sequence returns the number of the buffer that a channel delivers next.
func (g *Gate) sequence(ch int) uint64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.queues[ch].next
}

// push adds an element to a channel's queue, for its sender.
func (g *Gate) push(ch int, e element) {
	g.mu.Lock()
	if g.closed {
		g.mu.Unlock()
		if e.buf != nil {
			e.buf.owner.giveBack(e.buf)
		}
		return
	}
	var m moved
	q := g.outgoing(ch)
	urgent := e.ev != nil && e.ev.Priority()
	if urgent {
		g.pushUrgent(ch, e, &m)
	} else {
		q.push(e)
		if e.buf != nil {
			g.bufs++
			g.bytes += int64(len(e.buf.data))
		}
		g.move(ch, &m)
		g.list(ch, &g.queues[ch])
	}
	wake := g.refresh() || urgent
	g.mu.Unlock()
	m.pay()
	if wake {
		g.wake()
	}
}
