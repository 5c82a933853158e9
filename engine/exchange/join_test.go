package exchange

import (
	"bytes"
	"encoding/binary"
	"fmt"
)

// verify compares one channel's share of a checkpoint with what was sent.
func (s *sim) verify(c *simCheckpoint, snd *simSender, i int, r *simReceiver) error {
	flat := snd.edge.first + snd.number
	in := c.input[r][flat]
	pieces := append([]Piece(nil), in.Pieces...)
	out := c.output[snd][i]
	if len(out) > 1 {
		return fmt.Errorf("%d output parts", len(out))
	}
	for _, p := range out {
		pieces = append(pieces, p.Pieces...)
	}
	if len(pieces) > 0 && snd.edge.alignedOnly {
		return fmt.Errorf("%d pieces of an aligned-only edge", len(pieces))
	}
	next := c.states[r][flat]
	numbers, err := joinPieces(pieces)
	if err != nil {
		return err
	}
	for _, n := range numbers {
		if n != next {
			return fmt.Errorf("record %d where %d was due; state %d, sent %d", n, next, c.states[r][flat], c.sent[snd][i])
		}
		next++
	}
	if next != c.sent[snd][i] {
		return fmt.Errorf("state and parts reach to %d (%d of them in flight), sent %d", next, len(numbers), c.sent[snd][i])
	}
	s.inflight += len(numbers)
	if len(numbers) == 0 {
		s.empty++
	}
	for k := range pieces {
		s.bytes += int64(pieces[k].Len())
	}
	return nil
}

// joinPieces reads the records of a channel's pieces, in the strict way: there
// must be no gap, and no half record at either end.
func joinPieces(pieces []Piece) (numbers []uint64, err error) {
	var open []byte // an open frame
	for i := range pieces {
		p := &pieces[i]
		if i > 0 && p.Sequence() != pieces[i-1].Sequence()+1 {
			return nil, fmt.Errorf("piece %d has sequence %d behind %d", i, p.Sequence(), pieces[i-1].Sequence())
		}
		data, err := p.Bytes(nil)
		if err != nil {
			return nil, err
		}
		if len(data) != p.Len() {
			return nil, fmt.Errorf("piece %d: %d bytes, length %d", i, len(data), p.Len())
		}
		if i == 0 && p.Continuation() != 0 {
			return nil, fmt.Errorf("the first piece begins with %d bytes of a frame", p.Continuation())
		}
		if n := lacks(open); len(open) == 0 && p.Continuation() != 0 || n >= 0 && p.Continuation() != min(n, len(data)) {
			return nil, fmt.Errorf("piece %d: continuation %d of %d bytes, the open frame has %d and lacks %d", i, p.Continuation(), len(data), len(open), n)
		}
		if f := p.FirstRecord(); f >= 0 && f != p.Continuation() || f < 0 && p.Continuation() != len(data) {
			return nil, fmt.Errorf("piece %d: first record at %d, continuation %d of %d bytes", i, f, p.Continuation(), len(data))
		}
		open = append(open, data...)
		for lacks(open) == 0 {
			n := lengthSize + int(binary.LittleEndian.Uint32(open))
			f, ok := parseBody(open[lengthSize:n])
			if !ok || !bytes.Equal(f.Payload, appendPayload(nil, uint64(f.Timestamp), len(f.Payload))) {
				return nil, fmt.Errorf("piece %d: record %d is damaged", i, f.Timestamp)
			}
			numbers = append(numbers, uint64(f.Timestamp))
			open = append([]byte(nil), open[n:]...)
		}
	}
	if len(open) > 0 {
		return nil, fmt.Errorf("%d bytes of a frame are left", len(open))
	}
	return numbers, nil
}

// lacks returns how many bytes the first frame of data lacks, 0 if it is
// whole, -1 if its length is not known yet.
func lacks(data []byte) int {
	if len(data) < lengthSize {
		return -1
	}
	return max(0, lengthSize+int(binary.LittleEndian.Uint32(data))-len(data))
}
