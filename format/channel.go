package format

import "github.com/tidemark-io/tidemark/keygroup"

// Buffer is an in-flight buffer. Buffers of a slice ascend by receiver, sender,
// generation and sequence number; the first three name a sub-stream of the
// state's edge (R6). Within one the sequence numbers follow each other, a gap
// being a loss that the readers of records must respect (R8).
type Buffer struct {
	Receiver, Sender uint32 // subtasks at the time of the snapshot
	Generation       uint64 // recovery generation
	Sequence         uint64
	// Start is the offset in the payload of the first record that begins in
	// it, None if no record does.
	Start int
	// Continuation is the number of bytes before that, which belong to a
	// record that began in an earlier buffer: Start, or all if Start is None.
	Continuation uint32
	CRC          uint32 // CRC-32C of the payload; set by NewBuffer
	Payload      []byte
}

// NewBuffer returns a buffer with its continuation and its checksum. Payload is
// not copied.
func NewBuffer(receiver, sender uint32, generation, sequence uint64, start int, payload []byte) Buffer {
	b := Buffer{Receiver: receiver, Sender: sender, Generation: generation, Sequence: sequence,
		Start: start, Continuation: uint32(start), CRC: Checksum(payload), Payload: payload}
	if start == None {
		b.Continuation = uint32(len(payload))
	}
	return b
}

func (b *Buffer) fits(kind Kind) bool { return kind.Channel() }

func (b *Buffer) cells(c *rowCodec) {
	c.u32(&b.Receiver)
	c.u32(&b.Sender)
	c.uint(&b.Generation)
	c.uint(&b.Sequence)
	c.optional(&b.Start)
	c.u32(&b.Continuation)
	c.fixed32(&b.CRC)
	c.bytes(&b.Payload)
}

func (b *Buffer) first() uint64 { return b.Sequence }

func (b *Buffer) check(prev *Buffer, _ keygroup.Interval) error {
	if prev != nil && !b.behind(prev) {
		return invalid("buffer %d of (%d, %d, %d) behind %d of (%d, %d, %d)", b.Sequence, b.Receiver, b.Sender,
			b.Generation, prev.Sequence, prev.Receiver, prev.Sender, prev.Generation)
	}
	lead := uint64(len(b.Payload))
	if b.Start != None {
		if uint64(b.Start) >= lead {
			return invalid("first record at %d of %d bytes", b.Start, lead)
		}
		lead = uint64(b.Start)
	}
	if uint64(b.Continuation) != lead {
		return invalid("%d continuation bytes, expected %d", b.Continuation, lead)
	}
	if sum := Checksum(b.Payload); sum != b.CRC {
		return invalid("payload with checksum %08x, expected %08x", sum, b.CRC)
	}
	return nil
}

// behind reports whether the buffer may follow prev.
func (b *Buffer) behind(prev *Buffer) bool {
	was := [3]uint64{uint64(prev.Receiver), uint64(prev.Sender), prev.Generation}
	is := [3]uint64{uint64(b.Receiver), uint64(b.Sender), b.Generation}
	return ascends(was, is) || was == is && b.Sequence > prev.Sequence
}

func (b *Buffer) keep() { b.Payload = nil }
