package exchange

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
)

// Target is the other end of a channel.
type Target struct {
	Gate    *Gate
	Channel int // of the gate
}

// Hooks are called by a partition; each may be nil.
type Hooks struct {
	// Wake is called by any goroutine, without a lock held, when the
	// partition may have become available.
	Wake func()
	// Passed is called by a receiver's goroutine, without a lock held, when a
	// timeoutable barrier that was emitted has left the queues of all
	// channels: Convert would find nothing any more. It may be called while
	// Convert runs or has run.
	Passed func(id uint64)
	// Hard is called by the sender's goroutine with true before it waits in
	// the middle of a record, since all spill space is used (hard
	// backpressure), and with false when it goes on.
	Hard func(waiting bool)
}

// ErrClosed says that the partition was closed or cancelled.
var ErrClosed = errors.New("exchange: partition is closed")

// Partition is the sending end of an edge at one subtask. Its channels are
// numbered from 0, one per receiver that it reaches. Except for Cancel,
// Stats and HardBackpressured all methods belong to the sender's goroutine.
//
// An error that a call returned is final: all later calls return it too.
type Partition struct {
	cfg   Config
	pool  *Pool
	hooks Hooks

	channels []channel
	scratch  []byte // for frames that begin where the open buffer has little room
	hint     int    // about the longest recent frame
	newest   uint64 // id of the last barrier
	err      error
	count    Stats // the sender's own; published is for others
	spill    spill

	available atomic.Bool
	hard      atomic.Bool

	// mu guards what receivers change too: the credits.
	mu       sync.Mutex
	returned sync.Cond // a credit came back, or cancelled
	credits
	published Stats
}

// channel is the sender's end of one channel.
type channel struct {
	gate   *Gate
	index  int     // in the gate
	open   *Buffer // being filled, nil if none
	seq    uint64  // of the next buffer
	behind backlog // what could not be queued yet
}

// NewPartition makes the sending end of one edge at one subtask. The pool
// must have cfg.BufferSize.
func NewPartition(pool *Pool, cfg Config, targets []Target, hooks Hooks) (*Partition, error) {
	if err := cfg.Check(); err != nil {
		return nil, err
	}
	if pool.BufferSize() != cfg.BufferSize {
		return nil, fmt.Errorf("%w: buffer size %d, but the pool has %d", ErrConfig, cfg.BufferSize, pool.BufferSize())
	}
	if hooks.Wake == nil {
		hooks.Wake = func() {}
	}
	if hooks.Hard == nil {
		hooks.Hard = func(bool) {}
	}
	p := &Partition{cfg: cfg, pool: pool, hooks: hooks, channels: make([]channel, len(targets)), hint: minHint}
	p.returned.L = &p.mu
	p.target = len(targets)*cfg.BuffersPerChannel + cfg.FloatingPerGate
	p.used = make([]int, len(targets))
	for i, t := range targets {
		if t.Gate == nil || t.Channel < 0 || t.Channel >= t.Gate.Channels() {
			return nil, fmt.Errorf("%w: target %d is channel %d of a gate that does not have it", ErrConfig, i, t.Channel)
		}
		p.channels[i] = channel{gate: t.Gate, index: t.Channel}
	}
	p.available.Store(true)
	return p, nil
}

// Channels returns the number of channels.
func (p *Partition) Channels() int { return len(p.channels) }

// minHint is the room below which a frame is not begun in the open buffer.
const minHint = 64

// maxScratch is the largest scratch slice that is kept for the next frame.
const maxScratch = 1 << 20

// Begin returns an empty slice to which exactly one frame is to be appended
// and which then goes to End. Appending to it often writes right into the
// channel's open buffer. It is valid until End; no other call of the
// partition may come between.
func (p *Partition) Begin(ch int) []byte {
	if b := p.channels[ch].open; b != nil && cap(b.data)-len(b.data) >= p.hint {
		return b.data[len(b.data):len(b.data):cap(b.data)]
	}
	return p.scratch[:0]
}

// End sends the frame that was appended to the slice of Begin(ch). The slice
// belongs to the partition again. End waits only if all spill space is used.
func (p *Partition) End(ch int, b []byte) error {
	c := &p.channels[ch]
	if o := c.open; o != nil && len(o.data) < cap(o.data) && len(b) > lengthSize &&
		&b[0] == &o.data[:len(o.data)+1][len(o.data)] && p.err == nil {
		// The frame lies in the open buffer. (Had append moved it, it would
		// begin elsewhere.)
		o.data = o.data[:len(o.data)+len(b)]
		p.count.Frames++
		p.count.Bytes += uint64(len(b))
		if len(b) > p.hint {
			p.hint = len(b)
		}
		if len(o.data) == cap(o.data) {
			p.filled(ch)
		}
		return nil
	}
	return p.endCopied(ch, b)
}

// endCopied sends a frame that lies outside of the open buffer.
func (p *Partition) endCopied(ch int, b []byte) error {
	err := p.write(ch, b)
	p.hint = max(minHint, len(b), p.hint-(p.hint-len(b))/8)
	if err == nil && cap(b) > cap(p.scratch) && cap(b) <= maxScratch {
		p.scratch = b[:0]
	}
	return err
}

// Broadcast sends a complete frame to all channels: watermarks and statuses.
func (p *Partition) Broadcast(frame []byte) error {
	for ch := range p.channels {
		if err := p.write(ch, frame); err != nil {
			return err
		}
	}
	return p.err
}

// write copies a frame into the channel's buffers.
func (p *Partition) write(ch int, frame []byte) error {
	if p.err != nil {
		return p.err
	}
	if len(frame) <= lengthSize {
		return p.fail(fmt.Errorf("%w: %d bytes sent on channel %d", ErrFrame, len(frame), ch))
	}
	if len(frame)-lengthSize > p.cfg.MaxFrame {
		return p.fail(fmt.Errorf("%w: %d bytes sent on channel %d, limit %d", ErrFrameLimit, len(frame), ch, p.cfg.MaxFrame))
	}
	c := &p.channels[ch]
	p.count.Frames++
	p.count.Bytes += uint64(len(frame))
	rest, begun := frame, false
	for len(rest) > 0 {
		if c.open == nil {
			if err := p.acquire(ch, len(rest)); err != nil {
				return p.fail(err)
			}
			if begun {
				c.open.cont = min(len(rest), cap(c.open.data))
			}
		}
		o := c.open
		if len(rest) > cap(o.data)-len(o.data) && !p.available.Load() {
			o.extend() // better than overdraft or spill: as FLINK-33077
		}
		n := min(len(rest), cap(o.data)-len(o.data))
		o.data = append(o.data, rest[:n]...)
		rest, begun = rest[n:], true
		if len(o.data) == cap(o.data) {
			p.filled(ch)
		}
	}
	return p.err
}

func (p *Partition) fail(err error) error {
	if p.err == nil {
		p.err = err
	}
	return p.err
}

// filled deals with an open buffer that holds what it is to hold: it is handed
// over, or filled further if there is no other one.
func (p *Partition) filled(ch int) {
	if o := p.channels[ch].open; cap(o.data) < cap(o.full) && !p.available.Load() {
		o.extend()
		return
	}
	p.finish(ch)
}

// finish hands the channel's open buffer over, if it holds anything.
func (p *Partition) finish(ch int) {
	c := &p.channels[ch]
	b := c.open
	if b == nil || len(b.data) == 0 {
		return
	}
	c.open = nil
	b.seq = c.seq
	c.seq++
	p.count.Buffers++
	if b.credit {
		c.gate.push(c.index, element{buf: b})
		return
	}
	p.spillBuffer(c, b)
}

// Flush hands over what is partly filled, on all channels.
func (p *Partition) Flush() error {
	if p.err != nil {
		return p.err
	}
	for ch := range p.channels {
		p.finish(ch)
	}
	p.publish()
	return p.err
}

// Emit puts an event behind everything that was sent, on all channels; an
// event with priority overtakes it. Emit never waits. What an unaligned
// barrier overtakes is captured only by EmitBarrier.
func (p *Partition) Emit(ev Event) error {
	if err := p.Flush(); err != nil {
		return err
	}
	if ev.Kind == BarrierEvent && ev.Barrier.Timeoutable() && p.hooks.Passed != nil {
		ev.passage = newPassage(ev.ID, len(p.channels), p.hooks.Passed)
	}
	if ev.Kind == BarrierEvent {
		p.newest = ev.ID
	}
	for ch := range p.channels {
		c := &p.channels[ch]
		if c.behind.empty() || ev.Priority() {
			c.gate.push(c.index, element{ev: &ev})
		} else {
			c.behind.push(entry{ev: &ev})
		}
	}
	return nil
}

// Available reports whether the sender may take up another record: a credit
// is free, no channel has reached its cap, nothing is spilled. It is one
// atomic load if so; if not, it first queues what it can of the spill.
func (p *Partition) Available() bool {
	return p.available.Load() || p.drained()
}

// CanSpill reports whether at least half of the memory for spilled data is free.
func (p *Partition) CanSpill() bool { return p.spill.memory <= p.cfg.SpillMemory/2 }

// Drained queues what it can of the spill and reports whether nothing of it is
// left, so that Close loses nothing. While it says false, Hooks.Wake is called
// when it is worth asking again. After an error it says true.
func (p *Partition) Drained() bool {
	p.drained()
	return p.err != nil || p.spilled == 0
}

// HardBackpressured reports whether the sender waits in the middle of a
// record. Any goroutine may ask.
func (p *Partition) HardBackpressured() bool { return p.hard.Load() }

// Err returns the error that ended the partition, nil if it works.
func (p *Partition) Err() error { return p.err }

// Cancel makes a sender that waits within End, and its later calls that would
// wait, return ErrClosed. Any goroutine may call it. It does not call
// Hooks.Wake.
func (p *Partition) Cancel() {
	p.mu.Lock()
	p.cancelled = true
	p.mu.Unlock()
	p.returned.Broadcast()
}

// Close releases what was not handed over, and the spill file. What is queued
// stays with the receivers. To end properly, Emit EndOfPartition and wait
// until Drained before.
func (p *Partition) Close() error {
	p.Cancel()
	for ch := range p.channels {
		c := &p.channels[ch]
		if c.open != nil {
			p.giveBack(c.open)
			c.open = nil
		}
		for !c.behind.empty() {
			switch e := c.behind.pop(); {
			case e.buf != nil:
				p.giveBack(e.buf)
			case e.ev == nil:
				_ = p.spill.file.drop() // closing below says what is wrong
			}
		}
	}
	p.mu.Lock()
	p.closed = true
	free := p.free
	p.free = nil
	p.mu.Unlock()
	for _, b := range free {
		p.pool.put(b)
	}
	p.publish()
	p.fail(ErrClosed)
	return p.spill.file.close()
}
