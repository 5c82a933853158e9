package exchange

// pin keeps the first n buffers of a queue for a checkpoint without touching
// any of them, which for a long queue would cost a cache miss each: while they
// are queued they cannot go away, and when the receiver takes one it retains
// it for the pin. The gate's lock guards it; n does not change.
type pin struct {
	gate    *Gate
	channel int
	n       int
	taken   int // of these, retained since they left the queue
}

// pinFirst pins the first n buffers of a channel's queue. g.mu is held.
func (g *Gate) pinFirst(ch, n int) *pin {
	p := &pin{gate: g, channel: ch, n: n}
	if n > 0 {
		q := g.outgoing(ch)
		q.pins = append(q.pins, p)
	}
	return p
}

// taking retains a buffer that is being popped for the queue's pins.
func (q *queue) taking(b *Buffer) {
	left := q.pins[:0]
	for _, p := range q.pins {
		b.refs.Add(1)
		if p.taken++; p.taken < p.n {
			left = append(left, p)
		}
	}
	clear(q.pins[len(left):])
	q.pins = left
}

// end takes the pin off the queue and returns how many buffers, the first
// ones, it has retained: they are to be released by the caller.
func (p *pin) end() int {
	if p == nil {
		return 0
	}
	p.gate.mu.Lock()
	defer p.gate.mu.Unlock()
	return p.endLocked()
}

func (p *pin) endLocked() int {
	q := p.gate.outgoing(p.channel)
	for i, o := range q.pins {
		if o == p {
			q.pins = append(q.pins[:i], q.pins[i+1:]...)
			q.pins[:len(q.pins)+1][len(q.pins)] = nil
			break
		}
	}
	return p.taken
}

// settle ends the pin, and retains the buffers that it has not; they are those
// of the first pieces.
func (p *pin) settle(pieces []Piece) {
	p.gate.mu.Lock()
	defer p.gate.mu.Unlock()
	for i := p.endLocked(); i < p.n; i++ {
		pieces[i].buf.Retain()
	}
}
