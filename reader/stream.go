package reader

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/tidemark-io/tidemark/format"
	"github.com/tidemark-io/tidemark/keygroup"
)

// chunkSize is how much of a slice is read at once: blocks that follow each
// other are fetched together. One larger block is fetched alone.
const chunkSize = 256 << 10

// stream reads the blocks of one slice one after the other, in bounded memory:
// a chunk and a decoded block.
type stream struct {
	c     *Checkpoint
	h     *handle
	slice format.Slice
	kind  format.Kind
	refs  []format.BlockRef // not yet read
	chunk []byte
	from  uint64 // offset of the chunk in the object
	block format.Block
	ref   format.BlockRef // of block
	raw   []byte          // its bytes, valid until the next step
}

// openStream reads the block index of a slice and keeps the blocks that can hold
// hashes of the interval, all of them for state that is not in hash order.
func (c *Checkpoint) openStream(ctx context.Context, s format.Slice, kind format.Kind, iv keygroup.Interval) (*stream, error) {
	row, err := c.objectRow(s.Object)
	if err != nil {
		return nil, err
	}
	return c.openStreamAt(ctx, row, s, kind, iv)
}

// openStreamAt is openStream for a slice that lies in the given object.
func (c *Checkpoint) openStreamAt(ctx context.Context, row format.Object, s format.Slice, kind format.Kind, iv keygroup.Interval) (*stream, error) {
	if s.Offset+uint64(s.Length) > row.Length || uint64(s.Length) > c.limits.Block+format.MaxHeader {
		return nil, &format.CorruptError{Object: row.Name, Offset: int64(min(s.Offset, math.MaxInt64)), Unit: "block-index block",
			Err: fmt.Errorf("%w: %d bytes in an object of %d", format.ErrMalformed, s.Length, row.Length)}
	}
	h, err := c.handles.acquire(ctx, row)
	if err != nil {
		return nil, err
	}
	st := &stream{c: c, h: h, slice: s, kind: kind}
	if err := st.readIndex(ctx, iv); err != nil {
		st.close()
		return nil, err
	}
	return st, nil
}

// close gives the object back.
func (s *stream) close() {
	if s.h != nil {
		s.c.handles.release(s.h)
		s.h = nil
	}
}

// readIndex reads the index and chooses the blocks.
func (s *stream) readIndex(ctx context.Context, iv keygroup.Interval) error {
	data := make([]byte, s.slice.Length)
	if err := s.readAt(ctx, data, s.slice.Offset, "block-index block"); err != nil {
		return err
	}
	var index format.Index
	if err := index.Decode(s.h.name, data, s.slice, s.kind, &s.c.limits); err != nil {
		return err
	}
	byHash := s.kind == format.KindKeyed || s.kind == format.KindTimer
	for ref, err := range index.Blocks() {
		if err != nil {
			return err
		}
		if byHash && ref.First >= iv.Hi {
			break
		}
		// The block before this one may end with the hash that this one
		// begins with, so it is left out only if that lies below iv.
		if byHash && len(s.refs) == 1 && ref.First < iv.Lo {
			s.refs = s.refs[:0]
		}
		s.refs = append(s.refs, ref)
	}
	return nil
}

// next reads and decodes the next block. ok is false at the end. What the block
// before held is not valid any more.
func (s *stream) next(ctx context.Context) (ok bool, err error) {
	if ok, err = s.load(ctx); !ok || err != nil {
		return false, err
	}
	return true, s.decode()
}

// load reads the next block without looking at it.
func (s *stream) load(ctx context.Context) (ok bool, err error) {
	if len(s.refs) == 0 {
		return false, nil
	}
	ref := s.refs[0]
	if ref.Offset < s.from || ref.End() > s.from+uint64(len(s.chunk)) {
		if err := s.fetch(ctx); err != nil {
			return false, err
		}
	}
	at := ref.Offset - s.from
	s.ref, s.refs, s.raw = ref, s.refs[1:], s.chunk[at:at+uint64(ref.Length)]
	return true, nil
}

// decode decodes the block that was loaded.
func (s *stream) decode() error {
	return s.block.Decode(s.h.name, s.raw, s.kind, s.ref, &s.c.limits)
}

// fetch reads the next block and those that directly follow it.
func (s *stream) fetch(ctx context.Context) error {
	first := s.refs[0]
	end := first.End()
	for _, ref := range s.refs[1:] {
		if ref.Offset != end || ref.End()-first.Offset > chunkSize {
			break
		}
		end = ref.End()
	}
	size := end - first.Offset
	if limit := s.c.limits.Block + format.MaxHeader; size > limit && size > chunkSize {
		return format.Damage(s.h.name, s.kind, first, fmt.Errorf("%w: block of %d bytes, at most %d allowed", format.ErrLimit, size, limit))
	}
	if uint64(cap(s.chunk)) < size {
		s.chunk = make([]byte, max(size, min(chunkSize, s.slice.Bytes)))
	}
	s.chunk, s.from = s.chunk[:size], first.Offset
	if err := s.readAt(ctx, s.chunk, s.from, s.kind.String()+" block"); err != nil {
		s.chunk = s.chunk[:0]
		return err
	}
	return nil
}

// readAt fills buf. An early end is damage; an error of the storage stays one.
func (s *stream) readAt(ctx context.Context, buf []byte, at uint64, unit string) error {
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	n, err := s.h.ReadAt(buf, int64(at))
	switch {
	case n == len(buf):
		return nil
	case err == nil || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		return &format.CorruptError{Object: s.h.name, Offset: int64(at), Unit: unit,
			Err: fmt.Errorf("%w: %d bytes of %d", format.ErrTruncated, n, len(buf))}
	}
	return fmt.Errorf("%s: read %s at offset %d: %w", s.h.name, unit, at, err)
}
