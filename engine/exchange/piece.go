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
	seq  uint64
	buf  *Buffer    // retained; nil if the bytes are elsewhere
	ext  *elsewhere // nil if they are in buf
	from int32      // of the first byte in buf
	size int32
	cont int32
}

// elsewhere is where the bytes of a piece lie that are not in a buffer.
type elsewhere struct {
	data []byte     // of the piece's own
	file *spillFile // if data is nil
	at   place
}

// retained returns a piece that is a whole buffer.
func retained(b *Buffer) Piece {
	b.Retain()
	return Piece{seq: b.seq, buf: b, size: int32(len(b.data)), cont: int32(b.cont)}
}

// Sequence returns the number in the channel of the buffer in which the piece
// ends.
func (p *Piece) Sequence() uint64 { return p.seq }

// Len returns the number of bytes.
func (p *Piece) Len() int { return int(p.size) }

// Continuation returns how many leading bytes belong to a frame that began in
// an earlier piece.
func (p *Piece) Continuation() int { return int(p.cont) }

// FirstRecord returns the offset at which the first frame begins, -1 if none
// begins in this piece.
func (p *Piece) FirstRecord() int {
	if p.cont < p.size {
		return int(p.cont)
	}
	return -1
}

// Bytes returns the piece's bytes: to be read only, and valid until Release
// or, if they had to be read from a spill file, as long as scratch, which is
// used for that if it is long enough. Any goroutine may call it. An error has
// ErrSpill as its cause.
func (p *Piece) Bytes(scratch []byte) ([]byte, error) {
	switch {
	case p.buf != nil:
		return p.buf.data[p.from : p.from+p.size], nil
	case p.ext == nil || p.ext.data != nil:
		if p.ext == nil {
			return nil, nil // released
		}
		return p.ext.data, nil
	}
	if cap(scratch) < int(p.size) {
		scratch = make([]byte, p.size)
	}
	scratch = scratch[:p.size]
	if err := p.ext.file.read(p.ext.at, scratch); err != nil {
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
	pool    *SnapshotPool
	charged int64
	spilled int64
}

// Size returns the number of bytes captured.
func (c *Captured) Size() (n int64) {
	for i := range c.Pieces {
		n += int64(c.Pieces[i].size)
	}
	return n
}

// Release gives back the buffers, the place in the spill file and the charge
// to the pool. Any goroutine may call it; a second call does nothing.
func (c *Captured) Release() {
	for i := range c.Pieces {
		c.Pieces[i].release()
	}
	c.Pieces = nil
	c.pool.giveBack(c.charged, c.spilled)
	c.charged, c.spilled = 0, 0
}

// charge charges the pieces from index i on to the pool. Those for which it
// has no room are copied to its spill file.
func (c *Captured) charge(i int) {
	var total int64
	for k := i; k < len(c.Pieces); k++ {
		total += c.Pieces[k].memory()
	}
	if total == 0 {
		return
	}
	if c.pool.Charge(total) {
		c.charged += total
		return
	}
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
