package writer

import (
	"context"
	"errors"
	"fmt"

	"github.com/tidemark-io/tidemark/format"
	"github.com/tidemark-io/tidemark/store"
)

// flushSize is how many bytes an object collects before it hands them to the
// store.
const flushSize = 256 << 10

// object is a data object being written. It belongs to the slice that has
// leased it; after all slices are closed, to Seal.
type object struct {
	w    *Writer
	row  int // in the manifest
	name string
	pool *[]*object // where it goes when it is free, under the lock of w

	mu      lock // Abort may come while a slice is being written
	closed  bool // sealed or aborted
	upload  store.Upload
	header  []byte
	pending []byte // bytes not yet handed to the store
	at      uint64 // offset of the next byte, pending ones included
	crc     uint32 // of everything before at
	entries []format.Entry

	described format.Object // after seal
}

// lock is a mutex that is held while the store is called. It is a channel, since on
// the virtual time of testing/synctest who waits for a mutex keeps the time from
// going on, and with it the call.
type lock chan struct{}

func newLock() lock { return make(lock, 1) }

func (l lock) Lock()   { l <- struct{}{} }
func (l lock) Unlock() { <-l }

// begin creates the upload and writes the header, once.
func (o *object) begin() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return errClosed
	}
	if o.upload != nil {
		return nil
	}
	header, err := format.AppendObjectHeader(nil, format.Header{
		Checkpoint: o.w.opts.ID, Writer: o.w.opts.WriterID, Name: o.name,
	})
	if err != nil {
		return err
	}
	o.upload, err = o.w.opts.Store.Create(o.w.uploads, o.name)
	if err != nil {
		return err
	}
	o.header = header
	return o.append(header)
}

// errClosed is what a slice gets from an object that was aborted under it. The
// writer has a sticky error by then, which callers see instead.
var errClosed = fmt.Errorf("writer: the object is closed: %w", ErrState)

// write adds bytes, which are copied, and returns their offset.
func (o *object) write(data []byte) (at uint64, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return 0, errClosed
	}
	at = o.at
	return at, o.append(data)
}

// append is write under the lock.
func (o *object) append(data []byte) error {
	o.crc = format.UpdateChecksum(o.crc, data)
	o.at += uint64(len(data))
	o.pending = append(o.pending, data...)
	if len(o.pending) < flushSize {
		return nil
	}
	return o.flush()
}

// flush hands what is pending to the store.
func (o *object) flush() error {
	if len(o.pending) == 0 {
		return nil
	}
	n, err := o.upload.Write(o.pending)
	if err == nil && n < len(o.pending) {
		err = fmt.Errorf("%s: the store took %d bytes of %d", o.name, n, len(o.pending))
	}
	o.pending = o.pending[:0]
	if cap(o.pending) > 4*flushSize { // after a block of one huge entry
		o.pending = nil
	}
	return err
}

// seal ends the object, makes it durable, and reads back what a reader opens
// first.
func (o *object) seal(ctx context.Context) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return errClosed
	}
	end, crc, err := format.AppendObjectEnd(nil, o.at, o.header, o.entries)
	if err != nil {
		return fmt.Errorf("%s: %w", o.name, err)
	}
	if err := o.append(end); err != nil {
		return err
	}
	if err := o.flush(); err != nil {
		return err
	}
	o.pending = nil
	info, err := o.upload.Commit()
	if store.IsTransient(err) {
		// Perhaps only the reply was lost. The name is ours alone, so what
		// stands there is what we wrote; verify looks at it.
		if there, missing := o.w.opts.Store.Stat(ctx, o.name); missing == nil {
			info, err = there, nil
		}
	}
	if err != nil {
		return err
	}
	if uint64(info.Size) != o.at {
		return fmt.Errorf("%s: the store keeps %d bytes, %d were written", o.name, info.Size, o.at)
	}
	if err := o.verify(ctx, crc); err != nil {
		return fmt.Errorf("%s does not read back as it was written: %w", o.name, err)
	}
	o.w.mu.Lock()
	o.described = format.Object{Name: o.name, Length: o.at, CRC: o.crc, DirectoryCRC: crc}
	o.w.mu.Unlock()
	return nil
}

// verify opens the stored object and compares its header, directory and footer
// with what was written.
func (o *object) verify(ctx context.Context, crc uint32) (err error) {
	stored, err := o.w.opts.Store.Open(ctx, o.name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stored.Close()) }()
	r, err := format.OpenObject(stored, stored.Info().Size, format.OpenOptions{Object: o.name, Check: true})
	if err != nil {
		return err
	}
	if r.EndCRC != crc || r.Len() != len(o.entries) || r.Header.Writer != o.w.opts.WriterID || r.Header.Checkpoint != o.w.opts.ID {
		return fmt.Errorf("%d slices with checksum %08x by %s, written were %d with %08x by %s",
			r.Len(), r.EndCRC, r.Header.Writer, len(o.entries), crc, o.w.opts.WriterID)
	}
	return nil
}

// abort cancels the upload, or deletes the object if it was committed. The name
// carries the writer's random id, so it cannot be anybody else's.
func (o *object) abort(ctx context.Context) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = true
	if o.upload == nil {
		return nil
	}
	err := o.upload.Abort()
	return errors.Join(err, remove(ctx, o.w.opts.Store, o.name, ""))
}
