package exchange

// Piece is a run of a channel's bytes that was captured for a checkpoint: a
// whole buffer, the unread end of one, or the begin of a frame that a receiver
// had gathered from earlier ones. Its bytes do not change.
//
// The pieces of a channel can be joined by three numbers (rule R8). Sequence
// is that of the buffer in which the piece's last byte lies; from one piece to
// the next of the same channel it grows by one, from the last piece of the
// receiver's input part to the first of the sender's output part too.
// Continuation is how many leading bytes belong to a frame that began in an
// earlier piece, FirstRecord where the first frame begins. A reader that holds
// an open frame which lacks m bytes goes on in the next piece of length n if
// the sequence is the next one and Continuation is min(m, n); otherwise it
// drops the open frame and looks for the next FirstRecord. A piece that was a
// frame's begin (continuation 0) opens one; the channel's stream as a whole
// ends at the end of a frame.
type Piece struct {
	buf *Buffer    // nil if the bytes are not in a buffer
	ext *elsewhere // nil if the piece is the whole of buf
}

// elsewhere describes a piece that is not a whole buffer.
type elsewhere struct {
	seq  uint64
	from int // of the first byte, in the piece's buffer
	size int
	cont int
	data []byte     // of the piece's own
	file *spillFile // if there is neither buffer nor data
	at   place
}

// retained returns a piece that is a whole buffer.
func retained(b *Buffer) Piece {
	b.Retain()
	return Piece{buf: b}
}

// Sequence returns the number in the channel of the buffer in which the piece
// ends.
func (p *Piece) Sequence() uint64 {
	switch {
	case p.ext != nil:
		return p.ext.seq
	case p.buf != nil:
		return p.buf.seq
	}
	return 0
}

// Len returns the number of bytes.
func (p *Piece) Len() int {
	switch {
	case p.ext != nil:
		return p.ext.size
	case p.buf != nil:
		return len(p.buf.data)
	}
	return 0
}

// Continuation returns how many leading bytes belong to a frame that began in
// an earlier piece.
func (p *Piece) Continuation() int {
	switch {
	case p.ext != nil:
		return p.ext.cont
	case p.buf != nil:
		return p.buf.cont
	}
	return 0
}

// FirstRecord returns the offset at which the first frame begins, -1 if none
// begins in this piece.
func (p *Piece) FirstRecord() int {
	if cont := p.Continuation(); cont < p.Len() {
		return cont
	}
	return -1
}

// Bytes returns the piece's bytes: to be read only, and valid until Release
// or, if they had to be read from a spill file, as long as scratch, which is
// used for that if it is long enough. Any goroutine may call it. An error has
// ErrSpill as its cause.
func (p *Piece) Bytes(scratch []byte) ([]byte, error) {
	e := p.ext
	switch {
	case e == nil && p.buf == nil:
		return nil, nil // released
	case e == nil:
		return p.buf.data, nil
	case p.buf != nil:
		return p.buf.data[e.from : e.from+e.size], nil
	case e.data != nil:
		return e.data, nil
	}
	if cap(scratch) < e.size {
		scratch = make([]byte, e.size)
	}
	scratch = scratch[:e.size]
	if err := e.file.read(e.at, scratch); err != nil {
		return nil, err
	}
	return scratch, nil
}

// memory returns how many bytes of memory the piece holds.
func (p *Piece) memory() int64 {
	switch {
	case p.buf != nil:
		return int64(cap(p.buf.data))
	case p.ext != nil:
		return int64(len(p.ext.data))
	}
	return 0
}

// release gives back what the piece holds, except for its charge.
func (p *Piece) release() {
	switch {
	case p.buf != nil:
		p.buf.Release()
	case p.ext != nil && p.ext.file != nil:
		_ = p.ext.file.drop() // a file that cannot be emptied is removed with its directory
	}
	p.buf, p.ext = nil, nil
}

// Captured is what one channel had in flight for a checkpoint, in order: the
// sender's output part or the receiver's input part. It is empty if there was
// nothing. Whoever gets it calls Release when it is written or not wanted.
type Captured struct {
	Channel int // of the partition or of the gate
	Pieces  []Piece
	pin     *pin // of the first pieces, nil if all are retained
	pool    *SnapshotPool
	charged int64
	spilled int64
}

// Size returns the number of bytes captured.
func (c *Captured) Size() (n int64) {
	for i := range c.Pieces {
		n += int64(c.Pieces[i].Len())
	}
	return n
}

// Release gives back the buffers, the place in the spill file and the charge
// to the pool. Any goroutine may call it; a second call does nothing.
func (c *Captured) Release() {
	mine := c.pin.end()
	for i := range c.Pieces {
		if c.pin == nil || i < mine || i >= c.pin.n {
			c.Pieces[i].release()
		} else {
			c.Pieces[i] = Piece{} // still queued, and only there
		}
	}
	c.Pieces, c.pin = nil, nil
	c.pool.giveBack(c.charged, c.spilled)
	c.charged, c.spilled = 0, 0
}

// chargeQueued charges what was captured of a queue, buffers of size bytes.
func (c *Captured) chargeQueued(size int) {
	total := int64(size) * int64(c.pin.n)
	for i := c.pin.n; i < len(c.Pieces); i++ {
		total += c.Pieces[i].memory()
	}
	if c.pool.Charge(total) {
		c.charged += total
		return
	}
	c.pin.settle(c.Pieces)
	c.pin = nil
	c.charge(0)
}

// charge charges the pieces from index i on, all retained, to the pool. Those
// for which it has no room are copied to its spill file.
func (c *Captured) charge(i int) {
	for k := i; k < len(c.Pieces); k++ {
		p := &c.Pieces[k]
		m := p.memory()
		if m == 0 {
			continue
		}
		if c.pool.Charge(m) {
			c.charged += m
		} else if n := c.pool.spill(p); n > 0 {
			c.spilled += n
		} else { // there is no room on disk either: data never waits
			c.pool.force(m)
			c.charged += m
		}
	}
}

// ReleaseAll releases each.
func ReleaseAll(parts []Captured) {
	for i := range parts {
		parts[i].Release()
	}
}
