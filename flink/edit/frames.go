package edit

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/tidemark-io/tidemark/flink"
	"github.com/tidemark-io/tidemark/flink/metadata"
)

// framer follows records through in-flight data: each is its length and as many
// bytes (RecordWriter.serializeRecord), without regard to buffers. The zero framer
// stands at the beginning of a record.
type framer struct {
	head    [4]byte
	have    int    // bytes of the length that were read
	left    uint64 // bytes of the record that are still to come
	records uint64 // that have begun
	bad     bool   // a length that no record has
	// strict takes a tag that no element has with its length for bad too.
	strict bool
	size   int32 // of the element, if its tag is due
}

// Write takes the next bytes. It never fails.
func (f *framer) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 && !f.bad {
		if f.left > 0 {
			if f.strict && f.size > 0 {
				f.bad, f.size = !isElement(f.size, p[0]), 0
				if f.bad {
					break
				}
			}
			k := min(f.left, uint64(len(p)))
			f.left -= k
			p = p[k:]
			continue
		}
		k := copy(f.head[f.have:], p)
		if f.have == 0 {
			f.records++
		}
		f.have += k
		p = p[k:]
		if f.have == len(f.head) {
			size := int32(binary.BigEndian.Uint32(f.head[:]))
			f.bad = size <= 0 // a record has a tag at least
			f.left, f.have, f.size = uint64(max(size, 0)), 0, size
		}
	}
	return n, nil
}

// whole reports whether everything read so far was whole records.
func (f *framer) whole() bool { return !f.bad && f.have == 0 && f.left == 0 }

// errUnreadable is the error of in-flight data whose chunks do not hang together.
var errUnreadable = errors.New("the buffers do not lie where the metadata says")

// channelReader reads in-flight data of many channels; streams stay open from one
// channel to the next.
type channelReader struct {
	ctx    context.Context
	src    *flink.Checkpoint
	handle metadata.StreamHandle
	open   *flink.Source
	buf    []byte
}

func (r *channelReader) close() {
	if r.open != nil {
		r.open.Close()
		r.open, r.handle = nil, nil
	}
}

// read feeds the bytes of a channel to a framer.
func (r *channelReader) read(h metadata.StreamHandle, c *metadata.Channel, f *framer) error {
	if r.open == nil || r.handle != h {
		r.close()
		src, err := r.src.OpenHandle(r.ctx, h)
		if err != nil {
			return err
		}
		r.open, r.handle = src, h
	}
	if r.buf == nil {
		r.buf = make([]byte, 32<<10)
	}
	for _, off := range c.Offsets {
		if err := r.ctx.Err(); err != nil {
			return err
		}
		var head [4]byte
		if n, err := r.open.ReadAt(head[:], off); n < len(head) {
			return cut(r.open.Object, off, err)
		}
		size := int64(int32(binary.BigEndian.Uint32(head[:])))
		if size < 0 || size > r.open.Size()-off-4 {
			return fmt.Errorf("%s at %d: %w: a buffer of %d bytes", r.open.Object, off, errUnreadable, size)
		}
		for at := int64(0); at < size; {
			part := r.buf[:min(int64(len(r.buf)), size-at)]
			if n, err := r.open.ReadAt(part, off+4+at); n < len(part) {
				return cut(r.open.Object, off, err)
			}
			f.Write(part)
			at += int64(len(part))
		}
	}
	return nil
}

// cut is the error of a buffer that ends too early.
func cut(object string, off int64, err error) error {
	if errors.Is(err, io.EOF) || err == nil {
		return fmt.Errorf("%s at %d: %w: it ends there", object, off, errUnreadable)
	}
	return err
}
