// Package gcs keeps objects in a bucket of Google Cloud Storage, below a prefix.
// It is a package of its own because the client library links some forty
// modules.
//
// How the promises of package store are kept there:
//
//   - A name is taken once: every upload carries the precondition that the
//     object does not exist. After a refused precondition the object is read
//     back: each upload marks its object with a random number of its own, so a
//     refusal that only answers a repeated request of ours is told from that of
//     an object which somebody else made.
//   - Nothing partial is visible: an upload that is cancelled or given up never
//     sends its last piece.
//   - An object is read in the generation that was opened, never a mixture.
//   - Nothing changes an object, so no name is written twice within the second
//     that the service allows.
//
// Versions are generation numbers. The name space is flat: unlike in a
// directory, an object may be called "a" while others are called "a/b".
// Unfinished uploads leave nothing visible, and the service drops them after a
// week.
package gcs

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"cloud.google.com/go/storage"
	"google.golang.org/api/option"

	"github.com/tidemark-io/tidemark/store"
)

// Scheme begins the addresses of this store: gs://bucket/prefix.
const Scheme = "gs"

const (
	// defaultChunk is the size of the pieces of a resumable upload, in bytes.
	// An upload holds two of them in memory at most; what is smaller goes in
	// one request.
	defaultChunk = 4 << 20
	// minChunk is the unit of pieces that the service accepts.
	minChunk = 256 << 10
	// defaultPatience is how long one call is repeated before it fails.
	defaultPatience = 2 * time.Minute
)

// Store is the objects of a bucket whose names begin with a prefix. The caller
// closes it.
type Store struct {
	client *storage.Client
	bucket *storage.BucketHandle
	name   string // of the bucket
	prefix string // "" or ending in a slash
	chunk  int
	// patience bounds each call, with all its repetitions.
	patience time.Duration

	ctx   context.Context // ends when the store is closed
	stop  context.CancelFunc
	reads context.Context // of reads, which have none of their own; nil for ctx
}

var (
	_ store.Store       = (*Store)(nil)
	_ store.Linker      = (*Store)(nil)
	_ store.Checksummer = (*Store)(nil)
)

// Option changes how a store works.
type Option func(*settings)

type settings struct {
	chunk    int
	patience time.Duration
	reads    context.Context
	client   []option.ClientOption
}

// WithChunk sets the size of the pieces of a resumable upload, in bytes. It is
// rounded up to a multiple of 256 KiB; the default is 4 MiB.
func WithChunk(bytes int) Option { return func(s *settings) { s.chunk = bytes } }

// WithPatience sets for how long a call that fails for a reason which may pass
// is repeated; the default is two minutes.
func WithPatience(d time.Duration) Option { return func(s *settings) { s.patience = d } }

// WithReadsUntil makes reads fail when ctx ends: ReadAt has no context of its own,
// and would otherwise keep a program that was told to end waiting for a service
// that does not answer. What is opened after it, to clean up, is read all the same.
func WithReadsUntil(ctx context.Context) Option { return func(s *settings) { s.reads = ctx } }

// WithClientOptions passes options to the client library: credentials, an
// endpoint, an HTTP client. The default is the application default credentials,
// or none if STORAGE_EMULATOR_HOST names an emulator.
func WithClientOptions(opts ...option.ClientOption) Option {
	return func(s *settings) { s.client = append(s.client, opts...) }
}

// Open returns the store at an address like gs://bucket/prefix. It looks for
// credentials but does not ask the service anything: a bucket that does not
// exist is the error of the first call. ctx is for opening only.
func Open(ctx context.Context, address string, opts ...Option) (*Store, error) {
	bucket, prefix, err := Parse(address)
	if err != nil {
		return nil, err
	}
	set := settings{chunk: defaultChunk, patience: defaultPatience}
	for _, opt := range opts {
		opt(&set)
	}
	client, err := storage.NewClient(context.WithoutCancel(ctx), set.client...)
	if err != nil {
		return nil, &store.Error{Op: "open", Name: address, Err: fmt.Errorf("%w (to log in: gcloud auth application-default login)", err)}
	}
	handle := client.Bucket(bucket).Retryer(storage.WithErrorFunc(repeatable))
	s := &Store{client: client, bucket: handle, name: bucket, prefix: prefix,
		chunk: max(minChunk, (set.chunk+minChunk-1)/minChunk*minChunk), patience: set.patience}
	s.ctx, s.stop = context.WithCancel(context.Background())
	s.reads = set.reads
	return s, nil
}

// Parse cuts an address like gs://bucket/a/b into the bucket and the prefix,
// which is "" or ends in a slash.
func Parse(address string) (bucket, prefix string, err error) {
	rest, ok := strings.CutPrefix(address, Scheme+"://")
	bucket, prefix, _ = strings.Cut(rest, "/")
	if !ok || bucket == "" {
		return "", "", fmt.Errorf("address %q: want gs://BUCKET or gs://BUCKET/PREFIX", address)
	}
	if prefix = strings.Trim(prefix, "/"); prefix == "" {
		return bucket, "", nil
	}
	for segment := range strings.SplitSeq(prefix, "/") {
		if segment == "" || segment == "." || segment == ".." || strings.ContainsFunc(segment, func(r rune) bool { return r < ' ' }) {
			return "", "", fmt.Errorf("address %q: the prefix has a segment %q", address, segment)
		}
	}
	return bucket, prefix + "/", nil
}

// Close ends the store. Reads that are under way fail.
func (s *Store) Close() error {
	s.stop()
	return s.client.Close()
}

// String is the store's address.
func (s *Store) String() string { return Scheme + "://" + s.name + "/" + s.prefix }

// begin is what each call does first: it checks the name and bounds the time.
func (s *Store) begin(ctx context.Context, op, name string) (context.Context, context.CancelFunc, error) {
	err := store.CheckName(name)
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return nil, nil, failure(op, name, err)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, s.patience, errPatience)
	return ctx, cancel, nil
}

// object is the handle of an object.
func (s *Store) object(name string) *storage.ObjectHandle { return s.bucket.Object(s.prefix + name) }

// attributes asks for what is known of an object.
func (s *Store) attributes(ctx context.Context, op, name string) (*storage.ObjectAttrs, error) {
	ctx, cancel, err := s.begin(ctx, op, name)
	if err != nil {
		return nil, err
	}
	defer cancel()
	attrs, err := s.object(name).Attrs(ctx)
	if err != nil {
		return nil, failure(op, name, cause(ctx, err))
	}
	return attrs, nil
}

// Stat describes an object.
func (s *Store) Stat(ctx context.Context, name string) (store.Info, error) {
	attrs, err := s.attributes(ctx, "stat", name)
	if err != nil {
		return store.Info{}, err
	}
	return info(name, attrs), nil
}

// Checksum is the CRC-32C that the service computed of the bytes it received.
// The service promises one for every object, composed ones included.
func (s *Store) Checksum(ctx context.Context, name string) (uint32, error) {
	attrs, err := s.attributes(ctx, "checksum", name)
	if err != nil {
		return 0, err
	}
	return attrs.CRC32C, nil
}

// Remove deletes an object if it has the version. Without a version it first
// asks for the present one, so that each request can be repeated safely.
func (s *Store) Remove(ctx context.Context, name, version string) error {
	ctx, cancel, err := s.begin(ctx, "remove", name)
	if err != nil {
		return err
	}
	defer cancel()
	for {
		attrs, err := s.object(name).Attrs(ctx)
		if err != nil {
			return failure("remove", name, cause(ctx, err))
		}
		found := versionOf(attrs)
		if version != "" && version != found {
			return failure("remove", name, fmt.Errorf("%w: it has version %q, not %q", store.ErrChanged, found, version))
		}
		err = s.object(name).If(storage.Conditions{GenerationMatch: attrs.Generation}).Delete(ctx)
		if code(err) == preconditionFailed && version == "" {
			continue // another one took its place meanwhile
		}
		if code(err) == preconditionFailed {
			err = fmt.Errorf("%w: %w", store.ErrChanged, err)
		}
		return failure("remove", name, cause(ctx, err))
	}
}

// errPatience is the cause of a call that was repeated for too long.
var errPatience = errors.New("the service did not answer in time")
