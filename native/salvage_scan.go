package native

import (
	"fmt"
	"io"

	"github.com/tidemark-io/tidemark/format"
	"github.com/tidemark-io/tidemark/store"
)

// scanWindow is how much is read at once while blocks are looked for, in bytes.
const scanWindow = 256 << 10

// scanWork bounds the bytes that are checksummed while looking for blocks, as a
// multiple of the slice: data that looks like the beginnings of many long
// blocks must not take for ever.
const scanWork = 16

// scan looks for the blocks of a slice whose index is lost. They lie directly in
// front of the index, which the manifest places, and each states its length and
// ends in its own checksum; behind a damaged one the next is looked for byte by
// byte.
func (s *salvage) scan(r *remains) error {
	kind := s.src.states[r.row].Kind
	f, err := s.over.Open(s.ctx, s.src.objects[r.slice.Object].Name)
	if err != nil {
		return err
	}
	defer f.Close()
	c := scanner{f: f, kind: kind, at: r.slice.Offset - r.slice.Bytes, end: r.slice.Offset, work: scanWork*r.slice.Bytes + scanWindow}
	w := s.walkOf(r.row, r.slice.Interval)
	expected := c.at
	var rows, bytes uint64
	for {
		if err := s.ctx.Err(); err != nil {
			return err
		}
		ref, data, ok, err := c.next()
		if err != nil {
			return err
		}
		if ok {
			if err := s.src.DecodeBlock(&s.block, r.slice, kind, ref, data); err != nil {
				continue // what was skipped shows as a gap
			}
			first, err := w.block(&s.block)
			if err != nil {
				continue
			}
			ref.First = first
		}
		if ref.Offset != expected || !ok && expected != c.end {
			r.damage++
			r.gap()
		}
		if !ok {
			break
		}
		r.keep(kind, ref)
		expected = ref.End()
		rows, bytes = rows+uint64(ref.Rows), bytes+uint64(ref.Length)
	}
	r.rows, r.bytes = r.slice.Entries-min(rows, r.slice.Entries), r.slice.Bytes-min(bytes, r.slice.Bytes)
	if rows > r.slice.Entries || bytes > r.slice.Bytes || uint32(len(r.blocks)) > r.slice.Blocks {
		r.loseAll(fmt.Errorf("%w: more blocks than the manifest states", r.err))
	}
	return nil
}

// scanner finds blocks by themselves.
type scanner struct {
	f       store.Object
	kind    format.Kind
	at, end uint64 // where the next block is looked for, and up to where
	work    uint64 // bytes that may still be checksummed

	window []byte
	from   uint64
	buf    []byte
	piece  []byte // for intact
}

// checksumSize is the size of the checksum at the end of a block, in bytes.
const checksumSize = 4

// next finds the next block whose checksum holds. ref.Offset is c.end if there is
// none. The bytes are valid until the next call.
func (c *scanner) next() (ref format.BlockRef, data []byte, ok bool, err error) {
	for ; c.at < c.end; c.at++ {
		head, err := c.head()
		if err != nil {
			return ref, nil, false, err
		}
		if head[0] != byte(c.kind) {
			continue
		}
		length, _, _, ok := format.StatedLength(head, c.kind)
		limit := format.DefaultLimits().Block + format.MaxHeader
		if !ok || length > c.end-c.at || length > limit || length > c.work {
			continue
		}
		c.work -= length
		if intact, err := c.intact(length); err != nil {
			return ref, nil, false, err
		} else if !intact {
			continue
		}
		if data, err = c.read(length); err != nil {
			return ref, nil, false, err
		}
		if ref, ok = format.SelfRef(data, c.kind); ok {
			ref.Offset = c.at
			c.at += length
			return ref, data, true, nil
		}
	}
	ref.Offset = c.end
	return ref, nil, false, nil
}

// head is what is needed of the bytes at c.at to know a block's length.
func (c *scanner) head() ([]byte, error) {
	want := min(format.MaxBlockHead, c.end-c.at)
	if c.at < c.from || c.at+want > c.from+uint64(len(c.window)) {
		size := min(scanWindow, c.end-c.at)
		if cap(c.window) < scanWindow {
			c.window = make([]byte, scanWindow)
		}
		c.window, c.from = c.window[:size], c.at
		if n, err := c.f.ReadAt(c.window, int64(c.at)); n < len(c.window) {
			return nil, short(err)
		}
	}
	return c.window[c.at-c.from:][:want], nil
}

// intact compares the checksum of what may be a large block before it is read
// whole: any bytes can claim a length, and memory is only for what is true.
func (c *scanner) intact(length uint64) (bool, error) {
	if length <= scanWindow || length < checksumSize {
		return true, nil
	}
	if c.piece == nil {
		c.piece = make([]byte, scanWindow)
	}
	var crc uint32
	for at, end := c.at, c.at+length-checksumSize; at < end; {
		part := c.piece[:min(scanWindow, end-at)]
		if n, err := c.f.ReadAt(part, int64(at)); n < len(part) {
			return false, short(err)
		}
		crc = format.UpdateChecksum(crc, part)
		at += uint64(len(part))
	}
	var stored [checksumSize]byte
	if n, err := c.f.ReadAt(stored[:], int64(c.at+length-checksumSize)); n < len(stored) {
		return false, short(err)
	}
	return format.Sealed(crc, stored), nil
}

// read reads a whole block.
func (c *scanner) read(length uint64) ([]byte, error) {
	if uint64(cap(c.buf)) < length {
		c.buf = make([]byte, length)
	}
	c.buf = c.buf[:length]
	if n, err := c.f.ReadAt(c.buf, int64(c.at)); n < len(c.buf) {
		return nil, short(err)
	}
	return c.buf, nil
}

// short is the error of a read that ended early.
func short(err error) error {
	if err == nil {
		return io.ErrUnexpectedEOF
	}
	return err
}
