package exchange

import "encoding/binary"

// Cursor takes the frames of one channel out of its buffers, in order. A
// frame that lies within one buffer is returned where it lies, without a
// copy; one that spans buffers is joined in memory of the cursor. The
// receiver may stop after any frame and go on later.
//
// The zero Cursor is ready, with the default limit. A cursor belongs to one
// goroutine.
type Cursor struct {
	data []byte // the current buffer
	pos  int    // of the next unread byte in it

	partial []byte // the begin of a frame that earlier buffers left open
	joined  bool   // partial was returned as a frame; drop it at the next call
	special bool   // partial is not empty: the quick path must not be taken
	limit   int
	read    int64 // bytes of the buffers before the current one
	err     error
}

// NewCursor returns a cursor that refuses to join frames of more than limit
// bytes; 0 means the limit of DefaultConfig.
func NewCursor(limit int) *Cursor { return &Cursor{limit: limit} }

// Feed gives the cursor the channel's next buffer, which must not change
// until Next has returned false. Feed it when Next has returned false for the
// one before; otherwise what is unread of that is copied in front of data.
func (c *Cursor) Feed(data []byte) {
	c.drop()
	if rest := c.data[c.pos:]; len(rest) > 0 && c.err == nil {
		data = append(append(make([]byte, 0, len(rest)+len(data)), rest...), data...)
	}
	c.read += int64(c.pos)
	c.data, c.pos = data, 0
}

// Next returns the next frame, or false at the end of the current buffer or
// after an error. The payload is valid until the next call of Next or Feed,
// and no longer than the buffer.
func (c *Cursor) Next() (f Frame, ok bool) {
	f.Payload, f.Timestamp, f.Hash, f.Tag, ok = c.Read()
	return f, ok
}

// Read is Next with the fields of the frame one by one: they stay in
// registers, which makes it several times as quick.
func (c *Cursor) Read() (payload []byte, timestamp int64, hash uint32, tag byte, ok bool) {
	rest := c.data[c.pos:]
	if len(rest) >= lengthSize+keyedHeader && !c.special {
		n := binary.LittleEndian.Uint32(rest)
		if uint64(n) <= uint64(len(rest)-lengthSize) && n >= keyedHeader && rest[lengthSize] == tagKeyed {
			c.pos += lengthSize + int(n)
			return rest[lengthSize+keyedHeader : lengthSize+int(n)],
				int64(binary.LittleEndian.Uint64(rest[lengthSize+5:])),
				binary.LittleEndian.Uint32(rest[lengthSize+1:]), tagKeyed, true
		}
	}
	f, ok := c.next()
	return f.Payload, f.Timestamp, f.Hash, f.Tag, ok
}

// next is Read for all kinds of frames.
func (c *Cursor) next() (f Frame, ok bool) {
	if c.err != nil {
		return f, false
	}
	c.drop()
	rest := c.data[c.pos:]
	if !c.special && len(rest) > lengthSize {
		n := binary.LittleEndian.Uint32(rest)
		if uint64(n) <= uint64(len(rest)-lengthSize) {
			if f, ok = parseBody(rest[lengthSize : lengthSize+int(n)]); ok {
				c.pos += lengthSize + int(n)
				return f, true
			}
		}
	}
	return c.join()
}

// join handles frames that span buffers, and errors.
func (c *Cursor) join() (f Frame, ok bool) {
	start := c.read + int64(c.pos) - int64(len(c.partial))
	if !c.fill(lengthSize) {
		return f, false
	}
	n := binary.LittleEndian.Uint32(c.partial)
	if uint64(n) > uint64(c.maxFrame()) {
		c.err = &FrameError{Offset: start, Length: n, Err: ErrFrameLimit}
		return f, false
	}
	if !c.fill(lengthSize + int(n)) {
		return f, false
	}
	f, ok = parseBody(c.partial[lengthSize:])
	if !ok {
		err := &FrameError{Offset: start, Length: n, Err: ErrFrame}
		if n > 0 {
			err.Tag = c.partial[lengthSize]
		}
		c.err = err
		return Frame{}, false
	}
	c.joined = true
	return f, true
}

// fill moves bytes of the current buffer to partial until it has n, and
// reports whether it has. The slice grows with the bytes that arrive, never
// by a length that was only announced.
func (c *Cursor) fill(n int) bool {
	if take := min(n-len(c.partial), len(c.data)-c.pos); take > 0 {
		c.special = true
		c.partial = append(c.partial, c.data[c.pos:c.pos+take]...)
		c.pos += take
	}
	return len(c.partial) >= n
}

// drop forgets a joined frame that was returned.
func (c *Cursor) drop() {
	if !c.joined {
		return
	}
	c.joined, c.special = false, false
	if cap(c.partial) > maxScratch {
		c.partial = nil
	}
	c.partial = c.partial[:0]
}

func (c *Cursor) maxFrame() int {
	if c.limit > 0 {
		return c.limit
	}
	return DefaultConfig().MaxFrame
}

// Err returns the error that made Next stop for good, nil if none: a
// *FrameError.
func (c *Cursor) Err() error { return c.err }

// Partial returns the bytes of the frame that earlier buffers left open. They
// are valid until the next call of Next or Feed.
func (c *Cursor) Partial() []byte {
	if c.joined {
		return nil
	}
	return c.partial
}

// Rest returns the bytes of the current buffer that were not read yet.
func (c *Cursor) Rest() []byte { return c.data[c.pos:] }

// Ahead appends the hashes of the keyed records that come next in the current
// buffer, as many as dst has room for, and reads nothing. A receiver uses it to
// bring the state of those records into the cache while it works on others.
func (c *Cursor) Ahead(dst []uint32) []uint32 {
	for rest := c.data[c.pos:]; len(dst) < cap(dst) && len(rest) >= lengthSize+keyedHeader; {
		n := binary.LittleEndian.Uint32(rest)
		if uint64(n) > uint64(len(rest)-lengthSize) {
			break
		}
		if n >= keyedHeader && rest[lengthSize] == tagKeyed {
			dst = append(dst, binary.LittleEndian.Uint32(rest[lengthSize+1:]))
		}
		rest = rest[lengthSize+int(n):]
	}
	return dst
}
