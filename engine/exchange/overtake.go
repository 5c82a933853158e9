package exchange

import (
	"time"

	"github.com/tidemark-io/tidemark/engine/barrier"
)

// EmitBarrier emits a barrier on all channels. One that is not unaligned goes
// behind everything that was sent, as with Emit, and nothing is captured.
//
// An unaligned barrier goes to the front of each channel's queue. What it
// overtakes, the queue, the spilled data behind it and what was partly filled,
// belongs to the sender's part of the checkpoint and is returned, one Captured
// per channel that had something; it stays queued and is sent all the same.
// Buffers are kept, not copied, and charged to the pool (nil: none); spilled
// ones are referred to by their place in the file.
func (p *Partition) EmitBarrier(b barrier.Barrier, pool *SnapshotPool) ([]Captured, error) {
	ev := NewBarrier(b)
	if !ev.Priority() {
		return nil, p.Emit(ev)
	}
	if err := p.Flush(); err != nil {
		return nil, err
	}
	p.newest = b.ID
	var out []Captured
	for ch := range p.channels {
		c := &p.channels[ch]
		out = p.overtake(out, ch, &ev, 0, len(c.behind.list)-c.behind.head, pool)
	}
	return out, nil
}

// Convert turns the timeoutable barrier of a checkpoint into an unaligned one
// in those channels whose receivers have not taken it yet, and returns what was
// queued before it there. What was sent behind the barrier is not part of it.
// elapsed is the time since the trigger, for the barrier as it goes on; 0
// leaves what it says. In channels where the barrier was delivered, or was
// never sent as timeoutable, nothing changes.
//
// Call it when the timeout has passed, unless the checkpoint is over or
// Hooks.Passed was called for it. When a newer barrier was emitted it does
// nothing.
func (p *Partition) Convert(id uint64, elapsed time.Duration, pool *SnapshotPool) ([]Captured, error) {
	if p.err != nil {
		return nil, p.err
	}
	if id != p.newest {
		return nil, nil
	}
	var out []Captured
	var ev *Event // one for all channels, once the barrier is known
	for ch := range p.channels {
		c := &p.channels[ch]
		spilled := c.behind.barrierAt(id)
		found := spilled >= 0
		if ev == nil {
			b, ok := p.queued(c, spilled, id)
			if !ok {
				continue
			}
			if b = b.Overtaking(); elapsed > 0 {
				b.Elapsed = elapsed
			}
			e := NewBarrier(b)
			ev = &e
		}
		out = p.overtake(out, ch, ev, id, spilled, pool)
		if found {
			c.behind.remove(spilled)
		}
	}
	return out, nil
}

// queued returns the timeoutable barrier of a checkpoint if it is still in the
// channel's queue, or at an index of its backlog.
func (p *Partition) queued(c *channel, spilled int, id uint64) (b barrier.Barrier, ok bool) {
	if spilled >= 0 {
		return c.behind.list[c.behind.head+spilled].ev.Barrier, true
	}
	g := c.gate
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, q := range []*queue{g.outgoing(c.index), &g.queues[c.index]} {
		if i := q.barrierAt(id); i >= 0 {
			return q.at(i).ev.Barrier, true
		}
	}
	return b, false
}

// overtake puts a barrier to the front of one channel and appends what it
// overtakes to out: the queue, or what is in it before the barrier to be
// converted, and the first behind entries of the backlog, if the barrier comes
// behind the whole queue (behind >= 0).
func (p *Partition) overtake(out []Captured, ch int, ev *Event, convert uint64, behind int, pool *SnapshotPool) []Captured {
	c := &p.channels[ch]
	got := Captured{Channel: ch, pool: pool}
	if n := c.gate.capacity(c.index) + max(behind, 0); n > 0 {
		got.Pieces = make([]Piece, 0, n)
	}
	if !c.gate.overtake(c.index, ev, convert, behind >= 0, &got) {
		return out
	}
	for i := range behind {
		e := &c.behind.list[c.behind.head+i]
		switch {
		case e.ev != nil:
		case e.buf != nil:
			got.Pieces = append(got.Pieces, retained(e.buf))
		default:
			p.spill.file.keep(1)
			got.Pieces = append(got.Pieces, Piece{ext: &elsewhere{seq: e.seq, size: e.at.n, cont: e.cont, file: &p.spill.file, at: e.at}})
			pool.hold(int64(e.at.n)) // the file keeps its length until the checkpoint is written
			got.spilled += int64(e.at.n)
		}
	}
	if len(got.Pieces) == 0 {
		return out
	}
	got.chargeQueued(p.cfg.BufferSize)
	return append(out, got)
}

// barrierAt returns the index, from the head, of the timeoutable barrier of a
// checkpoint, -1 if it is not in the backlog.
func (l *backlog) barrierAt(id uint64) int {
	for i, e := range l.list[l.head:] {
		if e.ev != nil && e.ev.isTimeoutable(id) {
			return i
		}
	}
	return -1
}

// remove takes out the entry at an index from the head.
func (l *backlog) remove(i int) {
	i += l.head
	copy(l.list[i:], l.list[i+1:])
	l.list[len(l.list)-1] = entry{}
	l.list = l.list[:len(l.list)-1]
	if l.head == len(l.list) {
		l.list, l.head = l.list[:0], 0
	}
}
