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
func (r *channelReader) read(h metadata.StreamHandle, c *metadata.Channel, f *flink.Framer) error {
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
