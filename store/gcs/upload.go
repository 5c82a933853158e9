package gcs

import (
	"context"
	"crypto/rand"
	"fmt"
	"hash/crc32"
	"io/fs"

	"cloud.google.com/go/storage"

	"github.com/tidemark-io/tidemark/store"
)

// mark is the key of the metadata under which an upload writes its number.
const mark = "tidemark-upload"

var (
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
	errEnded   = fmt.Errorf("the upload has ended: %w", fs.ErrClosed)
)

// upload is an object being written. Up to a chunk it is held in memory and
// sent in one request with its checksum; beyond, it is sent piece by piece.
type upload struct {
	s      *Store
	ctx    context.Context
	cancel context.CancelFunc
	name   string
	nonce  string
	held   []byte
	w      *storage.Writer // nil while everything is held
	size   int64
	sum    uint32
	err    error // the first error; errEnded after Commit and Abort
}

// Create begins an object. The context also holds for the upload: after it
// ends, nothing is published. An upload is used by one goroutine at a time.
func (s *Store) Create(ctx context.Context, name string) (store.Upload, error) {
	err := store.CheckName(name)
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return nil, failure("create", name, err)
	}
	// A taken name is told early as a courtesy: what counts is the condition of
	// the commit. A service that does not answer now is told then.
	if _, err := s.attributes(ctx, "create", name); err == nil {
		return nil, failure("create", name, store.ErrExist)
	}
	u := &upload{s: s, name: name, nonce: rand.Text()}
	u.ctx, u.cancel = context.WithCancel(ctx)
	return u, nil
}

// open begins to send. chunk is the size of the pieces.
func (u *upload) open(chunk int) *storage.Writer {
	w := u.s.object(u.name).If(storage.Conditions{DoesNotExist: true}).NewWriter(u.ctx)
	w.ChunkSize = chunk
	w.ChunkRetryDeadline = u.s.patience
	w.ContentType = "application/octet-stream"
	w.Metadata = map[string]string{mark: u.nonce}
	return w
}

// fail keeps the first error and stops sending.
func (u *upload) fail(op string, err error) error {
	u.err = failure(op, u.name, err)
	u.stop()
	return u.err
}

// stop ends the requests without publishing: the last piece is sent by a
// successful close only.
func (u *upload) stop() {
	u.cancel()
	if u.w != nil {
		_ = u.w.Close() // waits for the sender; the context has ended, so it fails
	}
	u.held = nil
}

// alive returns the error of an upload that can do nothing more.
func (u *upload) alive(op string) error {
	switch {
	case u.err == errEnded:
		return failure(op, u.name, errEnded)
	case u.err != nil:
		return u.err
	case u.ctx.Err() != nil:
		return u.fail(op, u.ctx.Err())
	}
	return nil
}

// Write appends p. An error of the service may be reported by a later call.
func (u *upload) Write(p []byte) (int, error) {
	if err := u.alive("write"); err != nil {
		return 0, err
	}
	u.size += int64(len(p))
	u.sum = crc32.Update(u.sum, castagnoli, p)
	if u.w == nil {
		if len(u.held)+len(p) <= u.s.chunk {
			u.held = append(u.held, p...)
			return len(p), nil
		}
		u.w = u.open(u.s.chunk)
		if _, err := u.w.Write(u.held); err != nil {
			return 0, u.fail("write", err)
		}
		u.held = nil
	}
	n, err := u.w.Write(p)
	if err != nil {
		return n, u.fail("write", err)
	}
	return n, nil
}

// Commit sends the last piece and checks that the service has what was
// written. If the answer is lost, or says that the name is taken, the object is
// read back: it may be this upload's.
func (u *upload) Commit() (store.Info, error) {
	if err := u.alive("commit"); err != nil {
		return store.Info{}, err
	}
	err := u.send()
	attrs := &storage.ObjectAttrs{}
	if err == nil {
		attrs = u.w.Attrs()
	} else if u.ctx.Err() == nil {
		attrs, err = u.readBack(err)
	}
	if err == nil && (attrs.Size != u.size || attrs.CRC32C != u.sum) {
		err = fmt.Errorf("the service has %d bytes with CRC-32C %08x, written were %d with %08x", attrs.Size, attrs.CRC32C, u.size, u.sum)
	}
	if err != nil {
		return store.Info{}, u.fail("commit", err)
	}
	u.err = errEnded
	u.cancel()
	return info(u.name, attrs), nil
}

// send sends what is left and waits for the answer.
func (u *upload) send() error {
	if u.w == nil {
		// One request, and a buffer that is no larger than it needs to be.
		u.w = u.open(min((len(u.held)/minChunk+1)*minChunk, u.s.chunk+minChunk))
		u.w.CRC32C, u.w.SendCRC32C = u.sum, true
		if _, err := u.w.Write(u.held); err != nil {
			return err
		}
		u.held = nil
	}
	return u.w.Close()
}

// readBack finds out what became of an upload that ended with an error: the
// object is there with this upload's number, or with another one, or not.
func (u *upload) readBack(failed error) (*storage.ObjectAttrs, error) {
	ctx, cancel := context.WithTimeoutCause(u.ctx, u.s.patience, errPatience)
	defer cancel()
	attrs, err := u.s.object(u.name).Attrs(ctx)
	switch {
	case err == nil && attrs.Metadata[mark] == u.nonce:
		return attrs, nil
	case err == nil:
		return nil, fmt.Errorf("%w: by upload %q: %w", store.ErrExist, attrs.Metadata[mark], failed)
	case code(failed) == preconditionFailed:
		// It was there, and was removed meanwhile.
		return nil, fmt.Errorf("%w: %w", store.ErrExist, failed)
	}
	return nil, failed
}

// Abort gives the upload up. It never publishes.
func (u *upload) Abort() error {
	if u.err != errEnded {
		u.stop()
		u.err = errEnded
	}
	return nil
}

// Link makes a second object of the same bytes on the service's side. Both
// names are below this store's prefix.
func (s *Store) Link(ctx context.Context, from, to string) error {
	ctx, cancel, err := s.begin(ctx, "link", to)
	if err != nil {
		return err
	}
	defer cancel()
	attrs, err := s.attributes(ctx, "link", from)
	if err != nil {
		return err
	}
	u := upload{s: s, ctx: ctx, name: to, nonce: rand.Text()}
	source := s.object(from).Generation(attrs.Generation)
	c := s.object(to).If(storage.Conditions{DoesNotExist: true}).CopierFrom(source)
	c.ContentType = attrs.ContentType
	c.Metadata = map[string]string{mark: u.nonce}
	made, err := c.Run(ctx)
	if err != nil && ctx.Err() == nil {
		made, err = u.readBack(err)
	}
	if err == nil && (made.Size != attrs.Size || made.CRC32C != attrs.CRC32C) {
		err = fmt.Errorf("the copy has %d bytes with CRC-32C %08x, the original %d with %08x", made.Size, made.CRC32C, attrs.Size, attrs.CRC32C)
	}
	return failure("link", to, cause(ctx, err))
}
