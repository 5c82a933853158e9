package gcs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"strconv"
	"strings"

	"cloud.google.com/go/storage"
	"google.golang.org/api/iterator"

	"github.com/tidemark-io/tidemark/store"
)

// info describes an object.
func info(name string, attrs *storage.ObjectAttrs) store.Info {
	return store.Info{Name: name, Size: attrs.Size, Modified: attrs.Created, Version: versionOf(attrs)}
}

// versionOf is the generation as text.
func versionOf(attrs *storage.ObjectAttrs) string { return strconv.FormatInt(attrs.Generation, 10) }

// Open opens an object in its present generation.
func (s *Store) Open(ctx context.Context, name string) (store.Object, error) {
	var reads context.Context
	if s.reads != nil && s.reads.Err() == nil {
		reads = s.reads
		bounded, cancel := context.WithCancel(ctx)
		defer cancel()
		defer context.AfterFunc(reads, cancel)()
		ctx = bounded
	}
	attrs, err := s.attributes(ctx, "open", name)
	if err != nil {
		return nil, err
	}
	o := &object{reads: reads, s: s, info: info(name, attrs), handle: s.object(name).Generation(attrs.Generation).ReadCompressed(true)}
	o.ctx, o.stop = context.WithCancelCause(s.ctx)
	return o, nil
}

// object is a generation of an object. Each ReadAt is a request of its own.
type object struct {
	s      *Store
	info   store.Info
	handle *storage.ObjectHandle
	ctx    context.Context // ends when the object or the store is closed
	stop   context.CancelCauseFunc
	reads  context.Context // nil, or what ends reads too
}

func (o *object) Info() store.Info { return o.info }

// Close gives the object back; reads that are under way fail.
func (o *object) Close() error {
	if o.ctx.Err() != nil {
		return failure("close", o.info.Name, fs.ErrClosed)
	}
	o.stop(fs.ErrClosed)
	return nil
}

// ReadAt reads a range. The client library repeats a request that breaks off,
// from where it broke off and in the same generation.
func (o *object) ReadAt(p []byte, off int64) (n int, err error) {
	switch {
	case o.ctx.Err() != nil:
		return 0, failure("read", o.info.Name, fs.ErrClosed)
	case o.reads != nil && o.reads.Err() != nil:
		return 0, failure("read", o.info.Name, o.reads.Err())
	case off < 0:
		return 0, failure("read", o.info.Name, fmt.Errorf("offset %d is negative", off))
	case off >= o.info.Size:
		return 0, io.EOF
	case len(p) == 0:
		return 0, nil
	}
	short := off+int64(len(p)) > o.info.Size
	p = p[:min(int64(len(p)), o.info.Size-off)]
	ctx, cancel := context.WithTimeoutCause(o.ctx, o.s.patience, errPatience)
	defer cancel()
	if o.reads != nil {
		defer context.AfterFunc(o.reads, cancel)()
	}
	r, err := o.handle.NewRangeReader(ctx, off, int64(len(p)))
	if err == nil {
		n, err = io.ReadFull(r, p)
		err = errors.Join(err, r.Close())
	}
	if err != nil {
		return n, failure("read", o.info.Name, fmt.Errorf("%d bytes at %d: %w", len(p), off, cause(ctx, err)))
	}
	if short {
		return n, io.EOF
	}
	return n, nil
}

// List yields the objects in ascending order of their names, which is the
// service's. Objects whose names this project would not give are passed over,
// the "folders" that the service's console makes among them.
func (s *Store) List(ctx context.Context, prefix string) iter.Seq2[store.Info, error] {
	return func(yield func(store.Info, error) bool) {
		if err := store.CheckPrefix(prefix); err != nil {
			yield(store.Info{}, failure("list", prefix, err))
			return
		}
		query := &storage.Query{Prefix: s.prefix + prefix, Projection: storage.ProjectionNoACL}
		if err := query.SetAttrSelection([]string{"Name", "Size", "Created", "Generation"}); err != nil {
			yield(store.Info{}, failure("list", prefix, err))
			return
		}
		for it := s.bucket.Objects(ctx, query); ; {
			attrs, err := it.Next()
			if err == iterator.Done {
				return
			}
			if err == nil {
				err = ctx.Err() // a page that is at hand is not asked for
			}
			if err != nil {
				yield(store.Info{}, failure("list", prefix, err))
				return
			}
			name := strings.TrimPrefix(attrs.Name, s.prefix)
			if store.CheckName(name) == nil && !yield(info(name, attrs), nil) {
				return
			}
		}
	}
}
