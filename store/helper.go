package store

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
)

// copyBuffer is the size of the pieces in which objects are read, in bytes.
const copyBuffer = 256 << 10

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// ReadAll returns the bytes of an object, which become the caller's. An object
// larger than limit bytes is refused with an error that is [ErrTooLarge] before
// anything is read, so the limit also bounds the memory.
func ReadAll(ctx context.Context, s Store, name string, limit int64) (data []byte, err error) {
	o, err := s.Open(ctx, name)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, o.Close()) }()
	size := o.Info().Size
	if size > limit {
		return nil, &Error{Op: "read", Name: name, Err: fmt.Errorf("%w: it has %d bytes, the limit is %d", ErrTooLarge, size, limit)}
	}
	data = make([]byte, size)
	// An object may not end before its size: ReadAt says io.EOF then.
	if n, err := o.ReadAt(data, 0); n < len(data) {
		return nil, &Error{Op: "read", Name: name, Transient: IsTransient(err), Err: shortRead(err, int64(n), size)}
	}
	return data, ctx.Err()
}

// WriteAll creates an object with the given bytes. Its errors are those of
// [Store].Create and [Upload].Commit; data is not kept.
func WriteAll(ctx context.Context, s Store, name string, data []byte) (Info, error) {
	up, err := s.Create(ctx, name)
	if err != nil {
		return Info{}, err
	}
	if _, err := up.Write(data); err != nil {
		return Info{}, errors.Join(err, up.Abort())
	}
	return up.Commit()
}

// Copy makes the object dstName in dst from srcName in src: it reads the one
// and creates the other, conditionally as Create does. It is the fallback of
// [Linker], works between any two stores and takes a fixed amount of memory.
func Copy(ctx context.Context, dst Store, dstName string, src Store, srcName string) (info Info, err error) {
	o, err := src.Open(ctx, srcName)
	if err != nil {
		return Info{}, err
	}
	defer func() { err = errors.Join(err, o.Close()) }()
	up, err := dst.Create(ctx, dstName)
	if err != nil {
		return Info{}, err
	}
	if err := pour(ctx, up, o, srcName); err != nil {
		return Info{}, errors.Join(err, up.Abort())
	}
	return up.Commit()
}

// LinkOrCopy makes a second object with the bytes of the first: with the
// store's [Linker] if that can, else by [Copy].
func LinkOrCopy(ctx context.Context, s Store, from, to string) error {
	if l, ok := As[Linker](s); ok {
		if err := l.Link(ctx, from, to); !errors.Is(err, ErrUnsupported) {
			return err
		}
	}
	_, err := Copy(ctx, s, to, s, from)
	return err
}

// Checksum returns the CRC-32C of an object: the one that the store keeps if it
// is a [Checksummer], else by reading all of it in bounded memory.
func Checksum(ctx context.Context, s Store, name string) (crc32c uint32, err error) {
	if c, ok := As[Checksummer](s); ok {
		if sum, err := c.Checksum(ctx, name); !errors.Is(err, ErrUnsupported) {
			return sum, err
		}
	}
	o, err := s.Open(ctx, name)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, o.Close()) }()
	h := crc32.New(castagnoli)
	if err := pour(ctx, h, o, name); err != nil {
		return 0, err
	}
	return h.Sum32(), nil
}

// pour writes an object's bytes to w, no more and no fewer than its size says.
func pour(ctx context.Context, w io.Writer, o Object, name string) error {
	size := o.Info().Size
	buf := make([]byte, min(copyBuffer, size))
	for off := int64(0); off < size; {
		if err := ctx.Err(); err != nil {
			return &Error{Op: "read", Name: name, Err: err}
		}
		piece := buf[:min(int64(len(buf)), size-off)]
		n, err := o.ReadAt(piece, off)
		if n < len(piece) {
			return &Error{Op: "read", Name: name, Transient: IsTransient(err), Err: shortRead(err, off+int64(n), size)}
		}
		if _, err := w.Write(piece); err != nil {
			return err
		}
		off += int64(n)
	}
	return nil
}

// shortRead says where an object ended although it is said to be longer. A
// reader that gives too little without an error breaks the contract of
// io.ReaderAt; that is reported as an unexpected end too.
func shortRead(err error, at, size int64) error {
	if err == nil || errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("at offset %d of %d: %w", at, size, err)
}
