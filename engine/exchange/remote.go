package exchange

// remote is the receiving half of a gate whose channels behave as if the senders
// were on another machine (Mode Credit): besides the queue at the sender each
// channel has one at the receiver, into which elements move in order as far as
// the receiver has announced credits. What is in it belongs to the receiver's
// part of a checkpoint. The move itself is a step under the gate's lock: there
// is no wire that could lose or delay anything.
//
// A channel has credits of its own, and takes of the gate's floating ones while
// its sender has a backlog. A buffer holds a credit from its move until Recycle;
// the sender's own credit is free from the move on. Events need none, and those
// with priority go to the front of both queues.
type remote struct {
	queues    []queue // at the senders
	exclusive int     // credits of each channel
	floating  int     // credits of the gate that are free
	used      []int   // credits in use, by channel
	mark      []uint64
	turn      int // channel that is offered a floating credit next
}

// NewCreditGate makes a gate with a queue at the receiver, fed by credits:
// exclusive ones of each channel and floating ones of the gate. All else is as
// with NewGate.
func NewCreditGate(channels, exclusive, floating int, wake func()) *Gate {
	g := NewGate(channels, wake)
	n := len(g.queues)
	g.remote = &remote{queues: make([]queue, n), exclusive: max(exclusive, 1), floating: max(floating, 0),
		used: make([]int, n), mark: make([]uint64, n)}
	return g
}

// NewGate makes a gate as the configuration's exchange wants it.
func (c Config) NewGate(channels int, wake func()) *Gate {
	if c.Exchange == Credit {
		return NewCreditGate(channels, c.BuffersPerChannel, c.FloatingPerGate, wake)
	}
	return NewGate(channels, wake)
}

// moved is what a move owes to the senders. It is paid without the gate's lock.
type moved struct {
	credits []owed
	passed  []*passage
}

type owed struct {
	part    *Partition
	channel int
}

func (m *moved) pay() {
	for _, o := range m.credits {
		o.part.returnCredit(o.channel)
	}
	for _, p := range m.passed {
		p.through()
	}
}

// outgoing returns the queue that a channel's sender fills.
func (g *Gate) outgoing(ch int) *queue {
	if g.remote != nil {
		return &g.remote.queues[ch]
	}
	return &g.queues[ch]
}

// move takes a channel's elements to the receiver as far as its credits reach.
// g.mu is held.
func (g *Gate) move(ch int, m *moved) {
	r := g.remote
	if r == nil {
		return
	}
	from, to := &r.queues[ch], &g.queues[ch]
	for from.n > 0 && (from.prio > 0 || !from.blocked) {
		if from.at(0).buf != nil && !r.take(ch) {
			break
		}
		urgent := from.prio > 0
		e := from.pop()
		switch {
		case e.buf != nil:
			b := e.buf
			if b.seq != r.mark[ch] {
				to.push(element{ev: &Event{Kind: Disorder, ID: b.seq}})
			}
			r.mark[ch] = b.seq + 1
			m.credits = append(m.credits, owed{b.owner, b.channel})
			b.owner, b.credit, b.gate, b.channel = nil, false, g, ch
			to.push(e)
		case urgent:
			to.pushPriority(e)
			to.before = r.mark[ch]
			g.urgent = append(g.urgent, ch)
			g.rush.Store(true)
		default:
			from.blocked = e.ev.Blocks()
			if e.ev.passage != nil {
				m.passed = append(m.passed, e.ev.passage)
			}
			to.push(e)
		}
	}
	g.list(ch, to)
}

// take takes a credit for a channel, its own before a floating one.
func (r *remote) take(ch int) bool {
	if r.used[ch] >= r.exclusive {
		if r.floating == 0 {
			return false
		}
		r.floating--
	}
	r.used[ch]++
	return true
}

// recycle ends the receiver's use of a buffer that was moved. Its credit goes to
// its channel, or, if it was a floating one, to the next channel in turn that
// has a backlog.
func (g *Gate) recycle(b *Buffer) {
	ch := b.channel
	b.Release()
	var m moved
	g.mu.Lock()
	r := g.remote
	r.used[ch]--
	if r.used[ch] < r.exclusive {
		g.move(ch, &m)
	} else {
		r.floating++
		for range r.queues {
			if r.floating == 0 {
				break
			}
			if r.turn++; r.turn >= len(r.queues) {
				r.turn = 0
			}
			g.move(r.turn, &m)
		}
	}
	wake := g.refresh()
	g.mu.Unlock()
	m.pay()
	if wake {
		g.wake()
	}
}

// expedite makes the timeoutable barrier of a checkpoint, which has been moved to
// the receiver and not been taken yet, one that overtakes: the sender's timer
// stands for the receiver's, which the barrier's announcement would start. g.mu
// is held.
func (g *Gate) expedite(ch int, ev *Event, id uint64, m *moved) bool {
	if g.remote == nil {
		return false
	}
	to := &g.queues[ch]
	i := to.barrierAt(id)
	if i < 0 {
		return false
	}
	to.remove(i)
	to.pushPriority(element{ev: ev})
	to.before = g.remote.mark[ch]
	g.urgent = append(g.urgent, ch)
	g.rush.Store(true)
	g.remote.queues[ch].blocked = false
	g.move(ch, m)
	return true
}

// overtaken returns, retained, the buffers of a channel's queue at the receiver
// that its newest barrier with priority has overtaken. Call it when that barrier
// was taken.
func (g *Gate) overtaken(ch int) (pieces []Piece) {
	if g.remote == nil {
		return nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	q := &g.queues[ch]
	for i := range q.n {
		if b := q.at(i).buf; b != nil && b.seq < q.before {
			pieces = append(pieces, retained(b))
		}
	}
	return pieces
}
