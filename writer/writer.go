// Package writer writes checkpoints in Tidemark's own format.
//
// A checkpoint is written by many subtasks at once into a few data objects:
//
//	w, err := writer.New(writer.Options{Store: st, Dir: layout.Checkpoint(7), ID: 7})
//	s, err := w.Slice(ctx, writer.SliceSpec{…})   // once per state and subtask
//	err = s.Keyed(hash, key, nil, value)          // in order
//	row, err := s.Close()                         // goes into Manifest.Slices
//	err = w.Seal(ctx)                             // data durable and verified
//	err = w.Commit(ctx, manifest)                 // now the checkpoint exists
//
// Nothing but Commit makes a checkpoint visible; whatever happens before, or
// instead, a reader sees no checkpoint. Errors are sticky: after the first one
// every further call returns it, and only [Writer.Abort] is left to do. Memory
// is bounded by a few blocks for each open slice, whatever the size of the
// state.
//
// Non-goals: deciding what is written, ids, retention and fencing (a hook only).
package writer

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"sync"

	"github.com/tidemark-io/tidemark/checkpoint/layout"
	"github.com/tidemark-io/tidemark/format"
	"github.com/tidemark-io/tidemark/store"
)

// maxObjects bounds Options.Objects: more would be the swarm of tiny objects
// that the format avoids.
const maxObjects = 256

// Errors of misuse, asked with errors.Is.
var (
	// ErrAbandoned: a slice was given up, so the checkpoint is too.
	ErrAbandoned = errors.New("a slice was abandoned")
	// ErrState: the call does not fit what was done before (a slice after
	// Seal, Commit without Seal, …).
	ErrState = errors.New("call out of order")
)

// Compression says how value columns are stored.
type Compression uint8

// Settings of compression. No setting changes what the data means.
const (
	// CompressAuto samples: a slice's values are stored as s2 while that saves at
	// least an eighth.
	CompressAuto Compression = iota
	CompressNone
	CompressS2
	CompressZstd
)

// Options configure a writer. Store, Dir and ID are required; zero values of the
// others stand for the defaults.
type Options struct {
	Store store.Store
	Dir   string // of the checkpoint below the root: "chk-7", "savepoint-7"
	ID    uint64 // of the checkpoint, as in Dir
	// AnyDir allows a directory of any name, and of any other id than ID: a
	// tool's result is the snapshot that it was made of, wherever it lies.
	AnyDir   bool
	WriterID string // 32 random hexadecimal digits if empty; names the data objects
	// Objects is the number of slices that are written at the same time, which
	// is also the largest number of data objects in the checkpoint's directory,
	// and of those in shared/. Default: GOMAXPROCS, at most 4.
	Objects     int
	Compression Compression
	BlockSize   int // decoded bytes at which a block ends; 64 KiB
	// Fence is called before each step of Commit that others can see. An
	// error stops the commit: another run has taken the root over (R11).
	Fence  func(context.Context) error
	Logger *slog.Logger // nil is silent
}

// withDefaults checks the options and fills in defaults.
func (o Options) withDefaults() (Options, error) {
	id, _, ok := layout.ParseDir(o.Dir)
	switch {
	case o.Store == nil:
		return o, errors.New("writer: no store")
	case o.AnyDir && format.CheckName(o.Dir) != nil:
		return o, fmt.Errorf("writer: %w", format.CheckName(o.Dir))
	case !o.AnyDir && (!ok || id != o.ID):
		return o, fmt.Errorf("writer: %q is not the directory of checkpoint %d", o.Dir, o.ID)
	case o.BlockSize < 0 || uint64(o.BlockSize) > format.DefaultLimits().Block/2:
		return o, fmt.Errorf("writer: block size %d", o.BlockSize)
	case o.Objects < 0 || o.Objects > maxObjects:
		return o, fmt.Errorf("writer: %d objects, at most %d are allowed", o.Objects, maxObjects)
	case o.Compression > CompressZstd:
		return o, fmt.Errorf("writer: unknown compression %d", o.Compression)
	}
	if o.WriterID == "" {
		var random [16]byte
		rand.Read(random[:]) // never fails, says its documentation
		o.WriterID = hex.EncodeToString(random[:])
	}
	if layout.DataWriter(layout.Data(o.Dir, o.WriterID, 0)) != o.WriterID {
		return o, fmt.Errorf("writer: id %q cannot be part of an object's name", o.WriterID)
	}
	o.Objects = cmp.Or(o.Objects, min(runtime.GOMAXPROCS(0), 4))
	o.BlockSize = cmp.Or(o.BlockSize, format.BlockTarget)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o, nil
}

// Writer writes one checkpoint. Slice may be called from many goroutines at
// once; Seal, Commit and Abort follow each other on one.
type Writer struct {
	opts    Options
	leases  chan struct{} // one for each slice that may be open
	stopped chan struct{} // closed at the first error

	mu      sync.Mutex
	stage   stage
	err     error // sticky
	open    int   // slices not yet closed
	objects []*object
	free    [2][]*object // not leased: own, shared
	cancel  context.CancelFunc
	uploads context.Context // of all uploads; outlives the callers' contexts
}

// stage is how far a checkpoint has come.
type stage uint8

const (
	writing stage = iota
	sealed
	committing // a manifest may be visible
	committed
	aborted
)

// New returns a writer. It does no I/O.
func New(opts Options) (*Writer, error) {
	opts, err := opts.withDefaults()
	if err != nil {
		return nil, err
	}
	return &Writer{
		opts:    opts,
		leases:  make(chan struct{}, opts.Objects),
		stopped: make(chan struct{}),
	}, nil
}

// ID is the random id that tells this writer's objects from all others.
func (w *Writer) ID() string { return w.opts.WriterID }

// Err is the first error, nil while all is well.
func (w *Writer) Err() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

// fail makes an error sticky and returns the first one.
func (w *Writer) fail(err error) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.failLocked(err)
}

func (w *Writer) failLocked(err error) error {
	if w.err == nil && err != nil {
		w.err = err
		close(w.stopped)
	}
	return w.err
}

// lease waits for a data object and takes it. It prefers objects that have been
// begun, so that a small checkpoint has few.
func (w *Writer) lease(ctx context.Context, shared bool) (*object, error) {
	if err := w.Err(); err != nil { // select would choose at random
		return nil, err
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	select {
	case w.leases <- struct{}{}:
	case <-w.stopped:
		return nil, w.Err()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	err := w.err
	if err == nil && w.stage != writing {
		err = w.failLocked(fmt.Errorf("writer: slice after Seal: %w", ErrState))
	}
	if err != nil {
		<-w.leases
		return nil, err
	}
	if w.uploads == nil {
		w.uploads, w.cancel = context.WithCancel(context.WithoutCancel(ctx))
	}
	w.open++
	pool, dir := &w.free[0], w.opts.Dir
	if shared {
		pool, dir = &w.free[1], layout.Shared
	}
	if n := len(*pool); n > 0 {
		o := (*pool)[n-1]
		*pool = (*pool)[:n-1]
		return o, nil
	}
	o := &object{w: w, mu: newLock(), row: len(w.objects), name: layout.Data(dir, w.opts.WriterID, len(w.objects)), pool: pool}
	w.objects = append(w.objects, o)
	return o, nil
}

// release gives a data object back.
func (w *Writer) release(o *object) {
	w.mu.Lock()
	w.open--
	*o.pool = append(*o.pool, o)
	w.mu.Unlock()
	<-w.leases
}

// Objects describes the data objects, in the order in which slices refer to
// them. It is complete after Seal.
func (w *Writer) Objects() []format.Object {
	w.mu.Lock()
	defer w.mu.Unlock()
	rows := make([]format.Object, len(w.objects))
	for i, o := range w.objects {
		rows[i] = o.described
	}
	return rows
}
