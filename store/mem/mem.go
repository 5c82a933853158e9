// Package mem keeps objects in memory, with the semantics of every other store:
// objects appear whole, names are taken once, removal is conditional. Tests and
// small tools use it; what it keeps ends with the process. For what survives a
// crash see package crashsim.
package mem

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"iter"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/tidemark-io/tidemark/store"
)

// Store is a set of objects in memory. The zero value is not ready; see [New].
type Store struct {
	clock func() time.Time

	mu      sync.RWMutex
	objects map[string]*entry
	below   map[string]int // number of objects below each "directory"
	created uint64         // objects ever created, for versions
	locked  bool
}

// entry is a published object. It is never changed.
type entry struct {
	info store.Info
	data []byte
	sum  uint32
}

var (
	_ store.Store       = (*Store)(nil)
	_ store.Linker      = (*Store)(nil)
	_ store.Locker      = (*Store)(nil)
	_ store.Checksummer = (*Store)(nil)
)

var (
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
	errEnded   = fmt.Errorf("the upload has ended: %w", fs.ErrClosed)
)

// New returns an empty store.
func New() *Store { return NewWithClock(time.Now) }

// NewWithClock returns an empty store whose objects are stamped by now.
func NewWithClock(now func() time.Time) *Store {
	return &Store{clock: now, objects: make(map[string]*entry), below: make(map[string]int)}
}

// begin is what every operation does first.
func begin(ctx context.Context, op, name string) error {
	err := store.CheckName(name)
	if err == nil {
		err = ctx.Err()
	}
	return failure(op, name, err)
}

func failure(op, name string, err error) error {
	if err == nil {
		return nil
	}
	return &store.Error{Op: op, Name: name, Err: err}
}

// find returns an object. The caller holds the lock.
func (s *Store) find(op, name string) (*entry, error) {
	if e := s.objects[name]; e != nil {
		return e, nil
	}
	return nil, failure(op, name, store.ErrNotExist)
}

// Open opens an object. It stays readable after it is removed.
func (s *Store) Open(ctx context.Context, name string) (store.Object, error) {
	e, err := s.lookup(ctx, "open", name)
	if err != nil {
		return nil, err
	}
	return &object{entry: e}, nil
}

// Stat describes an object.
func (s *Store) Stat(ctx context.Context, name string) (store.Info, error) {
	e, err := s.lookup(ctx, "stat", name)
	if err != nil {
		return store.Info{}, err
	}
	return e.info, nil
}

// Checksum returns the CRC-32C that is kept of an object.
func (s *Store) Checksum(ctx context.Context, name string) (uint32, error) {
	e, err := s.lookup(ctx, "checksum", name)
	if err != nil {
		return 0, err
	}
	return e.sum, nil
}

func (s *Store) lookup(ctx context.Context, op, name string) (*entry, error) {
	if err := begin(ctx, op, name); err != nil {
		return nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.find(op, name)
}

// List yields the objects of the moment at which the iteration began.
func (s *Store) List(ctx context.Context, prefix string) iter.Seq2[store.Info, error] {
	return func(yield func(store.Info, error) bool) {
		if err := store.CheckPrefix(prefix); err != nil {
			yield(store.Info{}, failure("list", prefix, err))
			return
		}
		s.mu.RLock()
		var infos []store.Info
		for name, e := range s.objects {
			if strings.HasPrefix(name, prefix) {
				infos = append(infos, e.info)
			}
		}
		s.mu.RUnlock()
		slices.SortFunc(infos, func(a, b store.Info) int { return strings.Compare(a.Name, b.Name) })
		for _, info := range infos {
			if err := ctx.Err(); err != nil {
				yield(store.Info{}, failure("list", prefix, err))
				return
			}
			if !yield(info, nil) {
				return
			}
		}
	}
}

// Remove deletes an object if it has the version, or any if that is empty.
func (s *Store) Remove(ctx context.Context, name, version string) error {
	if err := begin(ctx, "remove", name); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	e, err := s.find("remove", name)
	if err != nil {
		return err
	}
	if version != "" && version != e.info.Version {
		return failure("remove", name, fmt.Errorf("%w: it has version %q, not %q", store.ErrChanged, e.info.Version, version))
	}
	delete(s.objects, name)
	for dir := range parents(name) {
		if s.below[dir]--; s.below[dir] == 0 {
			delete(s.below, dir)
		}
	}
	return nil
}

// Link gives an object a second name; both share the bytes.
func (s *Store) Link(ctx context.Context, from, to string) error {
	if err := errors.Join(begin(ctx, "link", from), begin(ctx, "link", to)); err != nil {
		return failure("link", to, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	e, err := s.find("link", from)
	if err != nil {
		return err
	}
	_, err = s.publish("link", to, e.data, e.sum)
	return err
}

// Lock holds the store until release is called.
func (s *Store) Lock(ctx context.Context) (release func() error, err error) {
	if err := ctx.Err(); err != nil {
		return nil, failure("lock", "", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.locked {
		return nil, failure("lock", "", fmt.Errorf("%w: held by this process", store.ErrLocked))
	}
	s.locked = true
	return sync.OnceValue(func() error {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.locked = false
		return nil
	}), nil
}

// publish adds an object. The caller holds the lock for writing. As in a
// directory, a name is either an object or leads to objects, never both.
func (s *Store) publish(op, name string, data []byte, sum uint32) (store.Info, error) {
	if err := s.free(name); err != nil {
		return store.Info{}, failure(op, name, err)
	}
	s.created++
	info := store.Info{
		Name: name, Size: int64(len(data)), Modified: s.clock(),
		Version: strconv.FormatUint(s.created, 10),
	}
	s.objects[name] = &entry{info: info, data: data, sum: sum}
	for dir := range parents(name) {
		s.below[dir]++
	}
	return info, nil
}

// free returns nil if an object of the name can be made.
func (s *Store) free(name string) error {
	if s.objects[name] != nil || s.below[name] > 0 {
		return store.ErrExist
	}
	for dir := range parents(name) {
		if s.objects[dir] != nil {
			return fmt.Errorf("%w: %q is an object, so nothing can be below it", store.ErrNotObject, dir)
		}
	}
	return nil
}

// parents yields "a" and "a/b" for "a/b/c".
func parents(name string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for i := range len(name) {
			if name[i] == '/' && !yield(name[:i]) {
				return
			}
		}
	}
}

type object struct {
	*entry
	closed bool
}

func (o *object) Info() store.Info { return o.info }

func (o *object) ReadAt(p []byte, off int64) (int, error) {
	switch {
	case o.closed:
		return 0, failure("read", o.info.Name, fs.ErrClosed)
	case off < 0:
		return 0, failure("read", o.info.Name, fmt.Errorf("offset %d is negative", off))
	case off >= int64(len(o.data)):
		return 0, io.EOF
	}
	n := copy(p, o.data[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// Close must not be called while a ReadAt runs.
func (o *object) Close() error {
	if o.closed {
		return failure("close", o.info.Name, fs.ErrClosed)
	}
	o.closed = true
	return nil
}
