// Package local keeps objects as files below one directory.
//
// The object "chk-3/data-7" is the file chk-3/data-7 below the root. How an
// object comes to be:
//
//	create   .tm-tmp-<random> beside the target, O_EXCL, mode 0600
//	write    …
//	chtimes  a time of modification that no other object of this store has
//	fsync    the file
//	close    the file
//	link     the temporary name to the object's name: fails if that is taken
//	unlink   the temporary name
//	fsync    the directory, and each directory above it up to the root
//
// Until the link, nothing is visible; from the link on, all of it is, and its
// bytes are on the disk. The directories above are synced each time, because
// this or another process may just have made one of them.
//
// A failed fsync is final. Linux marks the pages as clean after a failed
// write-back, so that a second fsync succeeds without the data. A file whose
// fsync failed is deleted. A directory whose fsync failed is dead for this
// Store: the operation under way fails, and so does every later one that would
// have to sync that directory.
//
// File systems without hard links (FAT, some FUSE and network ones) get a
// weaker method, see [Store.Create].
//
// Links, pipes, devices and directories in the place of an object are refused
// and never opened; symbolic links are followed nowhere below the root.
// Directories appear with their first object and go with their last.
package local

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/tidemark-io/tidemark/store"
	"github.com/tidemark-io/tidemark/store/internal/dirfs"
)

// Store is a directory of objects. Its methods may be called from several
// goroutines at once, and several processes may use one directory.
type Store struct {
	fs      dirfs.FS
	root    string // as given, for messages
	clock   func() time.Time
	closeFn func() error

	syncs dirSyncs

	// removing serialises look-at-version-and-remove, so that within a process
	// Remove never deletes a version other than the one it was given.
	removing sync.Mutex

	mu    sync.Mutex
	last  time.Time           // the newest time of modification given out
	temps map[string]struct{} // temporary files of uploads under way
}

var (
	_ store.Store   = (*Store)(nil)
	_ store.Linker  = (*Store)(nil)
	_ store.Locker  = (*Store)(nil)
	_ store.Sweeper = (*Store)(nil)
)

// Option changes how a store is opened.
type Option func(*options)

type options struct {
	create bool
	clock  func() time.Time
}

// WithCreate makes the root directory, and those above it, if they are absent.
// They are durable when Open returns.
func WithCreate() Option { return func(o *options) { o.create = true } }

// WithClock sets the clock that stamps objects and ages leftovers; the default
// is [time.Now].
func WithClock(now func() time.Time) Option { return func(o *options) { o.clock = now } }

// Open opens the store in the directory dir, which may itself be reached by a
// symbolic link. If it is absent the error is [store.ErrNotExist], unless
// [WithCreate] is given. The caller closes the store.
//
//	st, err := local.Open("/var/lib/job/checkpoints", local.WithCreate())
//	if err != nil {
//		return err
//	}
//	defer st.Close()
func Open(dir string, opts ...Option) (*Store, error) {
	var o options
	for _, opt := range opts {
		opt(&o)
	}
	if o.create {
		if err := makeRoot(dir); err != nil {
			return nil, failure("open root", dir, err)
		}
	}
	// OpenRoot would wait for the other end if dir were a pipe.
	if fi, err := os.Stat(dir); err != nil {
		return nil, failure("open root", dir, err)
	} else if !fi.IsDir() {
		return nil, failure("open root", dir, fmt.Errorf("%w: it is no directory", store.ErrNotObject))
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, failure("open root", dir, err)
	}
	s := New(dirfs.Root(root))
	s.root, s.closeFn = dir, root.Close
	if o.clock != nil {
		s.clock = o.clock
	}
	return s, nil
}

// New returns a store on a file system of the caller, for tests that simulate
// one; see package crashsim. Everybody else calls [Open].
func New(fsys dirfs.FS) *Store {
	return &Store{
		fs: fsys, root: ".", clock: time.Now, closeFn: func() error { return nil },
		syncs: dirSyncs{dirs: fsys.Dirs}, temps: make(map[string]struct{}),
	}
}

// Root returns the directory as it was given to [Open].
func (s *Store) Root() string { return s.root }

// Close gives the root directory back. Objects that are open stay usable.
func (s *Store) Close() error { return s.closeFn() }

// makeRoot makes dir and what is missing above it, and syncs the parent of
// each directory that it made.
func makeRoot(dir string) error {
	dir = filepath.Clean(dir)
	err := os.Mkdir(dir, 0o700)
	switch {
	case err == nil:
	case errors.Is(err, fs.ErrExist):
		return nil
	case errors.Is(err, fs.ErrNotExist) && filepath.Dir(dir) != dir:
		if err := makeRoot(filepath.Dir(dir)); err != nil {
			return err
		}
		if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	default:
		return err
	}
	parent, err := os.OpenRoot(filepath.Dir(dir))
	if err != nil {
		return err
	}
	syncs := dirSyncs{dirs: dirfs.Root(parent).Dirs}
	return errors.Join(syncs.sync("."), parent.Close())
}

// Stat describes one object.
func (s *Store) Stat(ctx context.Context, name string) (store.Info, error) {
	if err := check(ctx, "stat", name); err != nil {
		return store.Info{}, err
	}
	fi, err := s.lstatObject(name)
	if err != nil {
		return store.Info{}, failure("stat", name, err)
	}
	return objectInfo(name, fi), nil
}

// check is what every operation begins with.
func check(ctx context.Context, op, name string) error {
	err := store.CheckName(name)
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return &store.Error{Op: op, Name: name, Err: err}
	}
	return nil
}

// objectInfo puts a file's description into the words of package store.
func objectInfo(name string, fi dirfs.Info) store.Info {
	return store.Info{Name: name, Size: fi.Size, Modified: fi.Modified, Version: version(fi)}
}

// version changes when a file is made anew: the inode's number alone does not,
// since file systems use it again at once; hence the time of modification,
// which [Store.stamp] makes unique.
func version(fi dirfs.Info) string {
	return fmt.Sprintf("%s-%x-%x", fi.ID, fi.Modified.UnixNano(), fi.Size)
}

// stamp returns the time of modification for a new object: now, but later than
// any that was given out before. The kernel's own stamps are too coarse (4 ms)
// to tell a file from one made right after it. The step is one microsecond,
// since not every file system keeps nanoseconds.
func (s *Store) stamp() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.clock().Truncate(time.Microsecond)
	if !t.After(s.last) {
		t = s.last.Add(time.Microsecond)
	}
	s.last = t
	return t
}
