package exchange

// Capture keeps the input part of one gate for one checkpoint at a time: what
// the receiver took from a channel before its snapshot and has not processed,
// and what it takes from then on until the channel's barrier. The zero value
// is not ready; NewCapture makes one. It belongs to the receiver's goroutine.
//
//	Start(id, ...)       at BeginCapture
//	Note(channel, b)     for each buffer that Poll delivers while Active
//	Done(channel)        at ChannelDone
//	Stop() or Drop()     at StopCapture, at DropCapture
//
// What is in the queues is the sender's part and is never touched here.
type Capture struct {
	gate  *Gate
	pool  *SnapshotPool
	id    uint64
	open  int // channels of which more may come
	going []bool
	parts []Captured // by channel
}

// NewCapture makes a capture for a gate. pool may be nil.
func NewCapture(g *Gate, pool *SnapshotPool) *Capture {
	return &Capture{gate: g, pool: pool, going: make([]bool, g.Channels())}
}

// Start begins the input part of a checkpoint, for all channels of the gate.
// cursors are theirs; hand is the buffer that the receiver is reading, of
// channel handChannel, nil if none: it must have been given to its cursor.
//
// Of each channel it keeps, as pieces in this order: the begin of the frame
// that is open in the cursor (Cursor.Partial, copied), a piece with
// continuation 0 whose sequence is that of the last buffer read to its end;
// and the unread rest of the buffer in hand (Cursor.Rest, by reference), with
// the buffer's sequence. What was started before and neither stopped nor
// dropped is dropped.
func (c *Capture) Start(id uint64, cursors []*Cursor, hand *Buffer, handChannel int) {
	c.Drop()
	c.id, c.open = id, len(c.going)
	c.parts = make([]Captured, len(c.going))
	for ch := range c.going {
		c.going[ch] = true
		part := &c.parts[ch]
		part.Channel, part.pool = ch, c.pool
		cur := cursors[ch]
		last := c.gate.sequence(ch) - 1 // of the newest buffer that was polled
		var rest Piece
		if hand != nil && ch == handChannel {
			rest = unread(hand, cur)
		}
		if partial := cur.Partial(); len(partial) > 0 {
			if rest.ext != nil {
				last-- // the buffer in hand has not contributed yet
			}
			part.Pieces = append(part.Pieces, Piece{ext: &elsewhere{seq: last, size: len(partial), data: append([]byte(nil), partial...)}})
		}
		if rest.ext != nil {
			part.Pieces = append(part.Pieces, rest)
		}
		part.charge(0)
	}
}

// unread returns what a cursor has not read of a buffer, retained; an empty
// piece if it has read all.
func unread(b *Buffer, cur *Cursor) Piece {
	rest := cur.Rest()
	if len(rest) == 0 {
		return Piece{}
	}
	from := len(b.data) - len(rest)
	if from < 0 || &b.data[from] != &rest[0] {
		// The cursor was fed before it had read the buffer before: it joined
		// the two in memory of its own, where a frame begins first.
		return Piece{ext: &elsewhere{seq: b.seq, size: len(rest), data: append([]byte(nil), rest...)}}
	}
	b.Retain()
	return Piece{buf: b, ext: &elsewhere{seq: b.seq, from: from, size: len(rest), cont: max(0, b.cont-from)}}
}

// Active reports whether buffers of some channel are to be noted.
func (c *Capture) Active() bool { return c.open > 0 }

// Note keeps a buffer that was polled, before it is read, if the channel's
// barrier has not come yet.
func (c *Capture) Note(channel int, b *Buffer) {
	if c.open == 0 || !c.going[channel] {
		return
	}
	part := &c.parts[channel]
	part.Pieces = append(part.Pieces, retained(b))
	part.charge(len(part.Pieces) - 1)
}

// Done says that nothing more of a channel belongs to the checkpoint.
func (c *Capture) Done(channel int) {
	if c.open > 0 && c.going[channel] {
		part := &c.parts[channel]
		from := len(part.Pieces)
		part.Pieces = append(part.Pieces, c.gate.overtaken(channel)...)
		part.charge(from)
		c.going[channel] = false
		c.open--
	}
}

// Stop ends the capture and returns the channels that had anything, in order.
func (c *Capture) Stop() []Captured {
	var out []Captured
	for _, part := range c.parts {
		if len(part.Pieces) > 0 {
			out = append(out, part)
		}
	}
	c.end()
	return out
}

// Drop ends the capture and releases what it kept. Without one going on it
// does nothing.
func (c *Capture) Drop() {
	ReleaseAll(c.parts)
	c.end()
}

func (c *Capture) end() {
	clear(c.going)
	c.open, c.parts = 0, nil
}

// ID returns the checkpoint that was started last.
func (c *Capture) ID() uint64 { return c.id }
