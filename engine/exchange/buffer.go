package exchange

import (
	"sync"
	"sync/atomic"
)

// Buffer is a piece of a channel's bytes. The sender fills it; once it is
// queued it does not change until it was given up by everybody: the receiver
// (Gate.Recycle) and whoever called Retain.
type Buffer struct {
	data    []byte // what is filled; its capacity is how much is to be filled
	full    []byte // all memory of the buffer, of the pool's size
	seq     uint64
	cont    int
	owner   *Partition
	gate    *Gate // holds its credit, behind a move; owner is nil then
	pool    *Pool
	channel int  // of the owner
	credit  bool // counts against the owner's credits
	refs    atomic.Int32
}

// Bytes returns what the buffer holds. Read it only.
func (b *Buffer) Bytes() []byte { return b.data }

// Sequence returns the number of the buffer in its channel, from 0 without a
// gap.
func (b *Buffer) Sequence() uint64 { return b.seq }

// Continuation returns how many leading bytes belong to a frame that began in
// an earlier buffer.
func (b *Buffer) Continuation() int { return b.cont }

// FirstRecord returns the offset at which the first frame begins, -1 if none
// begins in this buffer.
func (b *Buffer) FirstRecord() int {
	if b.cont < len(b.data) {
		return b.cont
	}
	return -1
}

// Retain keeps the buffer and its bytes until a Release more, beyond the
// receiver's Recycle. It does not hold the credit back. (What a barrier
// overtakes in a queue is kept by a pin, and retained when it is taken.)
func (b *Buffer) Retain() { b.refs.Add(1) }

// Release ends a Retain, from any goroutine.
func (b *Buffer) Release() {
	if b.refs.Add(-1) == 0 {
		b.pool.put(b)
	}
}

// Pool keeps the buffers of a job. It has no limit of its own: the credits of
// the partitions bound what is out.
type Pool struct {
	size int
	mu   sync.Mutex
	free []*Buffer
	out  int
	made int
}

// NewPool makes a pool of buffers of size bytes.
func NewPool(size int) *Pool { return &Pool{size: max(size, minBufferSize)} }

// BufferSize returns the size of each buffer in bytes.
func (p *Pool) BufferSize() int { return p.size }

// Outstanding returns how many buffers are not in the pool, 0 when all
// partitions and gates are closed and all retained buffers released.
func (p *Pool) Outstanding() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.out
}

// Allocated returns how many buffers were ever made.
func (p *Pool) Allocated() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.made
}

// get returns an empty buffer with one reference.
func (p *Pool) get() *Buffer {
	p.mu.Lock()
	p.out++
	var b *Buffer
	if n := len(p.free); n > 0 {
		b, p.free[n-1] = p.free[n-1], nil
		p.free = p.free[:n-1]
	} else {
		p.made++
	}
	p.mu.Unlock()
	if b == nil {
		full := make([]byte, 0, p.size)
		b = &Buffer{pool: p, data: full, full: full}
	}
	b.refs.Store(1)
	return b
}

// put takes back a buffer without references.
func (p *Pool) put(b *Buffer) {
	b.reset()
	p.mu.Lock()
	p.out--
	p.free = append(p.free, b)
	p.mu.Unlock()
}

// limit sets how far an empty buffer is to be filled, at most to its end.
func (b *Buffer) limit(n int) { b.data = b.full[:0:min(n, cap(b.full))] }

// extend allows a buffer that is being filled all of its memory.
func (b *Buffer) extend() { b.data = b.full[:len(b.data)] }

func (b *Buffer) reset() {
	b.data = b.full
	b.gate = nil
	b.owner, b.seq, b.cont, b.channel, b.credit = nil, 0, 0, 0, false
}
