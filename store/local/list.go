package local

import (
	"context"
	"errors"
	"io/fs"
	"iter"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/tidemark-io/tidemark/store"
	"github.com/tidemark-io/tidemark/store/internal/dirfs"
)

// List yields the objects below the root in order of their names. It holds the
// names of one directory per level in memory. Files that cannot be objects
// (their name is not allowed, or they are links, pipes, devices) are passed
// over. An object removed or created meanwhile may be yielded or not.
func (s *Store) List(ctx context.Context, prefix string) iter.Seq2[store.Info, error] {
	return func(yield func(store.Info, error) bool) {
		if err := store.CheckPrefix(prefix); err != nil {
			yield(store.Info{}, &store.Error{Op: "list", Name: prefix, Err: err})
			return
		}
		start := "."
		if i := strings.LastIndexByte(prefix, '/'); i >= 0 {
			start = prefix[:i]
		}
		err := s.checkDirs(start)
		if err == nil {
			l := lister{s: s, ctx: ctx, prefix: prefix, yield: yield}
			err = l.dir(start)
		}
		if err != nil && err != errStop && !errors.Is(err, fs.ErrNotExist) {
			yield(store.Info{}, failure("list", prefix, err))
		}
	}
}

// errStop ends a walk because the caller wants no more.
var errStop = errors.New("stop")

type lister struct {
	s      *Store
	ctx    context.Context
	prefix string
	yield  func(store.Info, error) bool
}

// dir yields what is below a directory. Names bound the depth: a name has at
// most 16 segments.
func (l *lister) dir(dir string) error {
	entries, err := l.s.entries(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := l.ctx.Err(); err != nil {
			return err
		}
		name := path.Join(dir, e.Name)
		switch {
		case store.CheckName(name) != nil:
			continue
		case e.Kind == dirfs.Directory:
			if p := name + "/"; strings.HasPrefix(p, l.prefix) || strings.HasPrefix(l.prefix, p) {
				err = l.dir(name)
			}
		case e.Kind == dirfs.Regular && strings.HasPrefix(name, l.prefix):
			err = l.object(name)
		}
		// What vanished meanwhile is not there.
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		err = nil
	}
	return nil
}

func (l *lister) object(name string) error {
	fi, err := l.s.fs.Meta.Lstat(name)
	if err != nil {
		return err
	}
	if fi.Kind == dirfs.Regular && !l.yield(objectInfo(name, fi), nil) {
		return errStop
	}
	return nil
}

// entries returns a directory's entries such that walking them in turn gives
// whole names in ascending order: "a-b" is before "a/c", since "-" is before
// "/", although "a" is before "a-b".
func (s *Store) entries(dir string) ([]dirfs.Info, error) {
	entries, err := s.fs.Dirs.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	for i := range entries {
		if entries[i].Kind == dirfs.Directory {
			entries[i].Name += "/"
		}
	}
	slices.SortFunc(entries, func(a, b dirfs.Info) int { return strings.Compare(a.Name, b.Name) })
	for i := range entries {
		entries[i].Name = strings.TrimSuffix(entries[i].Name, "/")
	}
	return entries, nil
}

// Sweep removes temporary files and guards that processes left when they died.
// It goes by the time of the last write and spares uploads of this process. An
// upload of another process that is idle for longer than olderThan is not
// spared: its Commit then fails and publishes nothing.
func (s *Store) Sweep(ctx context.Context, olderThan time.Duration) (removed int, err error) {
	w := sweeper{s: s, ctx: ctx, before: s.clock().Add(-olderThan)}
	err = w.dir(".")
	return w.removed, failure("sweep", "", err)
}

type sweeper struct {
	s       *Store
	ctx     context.Context
	before  time.Time
	removed int
}

// dir sweeps a directory and what is below it; names bound the depth.
func (w *sweeper) dir(dir string) error {
	entries, err := w.s.entries(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := w.ctx.Err(); err != nil {
			return err
		}
		name := path.Join(dir, e.Name)
		switch {
		case e.Kind == dirfs.Directory:
			if store.CheckName(name) != nil {
				continue // no upload was ever here, and it may be closed to us
			}
			err = w.dir(name)
			w.s.prune(name)
		case e.Kind == dirfs.Regular && (strings.HasPrefix(e.Name, tempPrefix) || strings.HasPrefix(e.Name, guardPrefix)):
			err = w.file(name)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// file removes one leftover if it is old enough and nobody's here.
func (w *sweeper) file(name string) error {
	w.s.mu.Lock()
	_, ours := w.s.temps[name]
	w.s.mu.Unlock()
	if ours {
		return nil
	}
	fi, err := w.s.fs.Meta.Lstat(name)
	if err != nil || fi.Kind != dirfs.Regular || fi.Modified.After(w.before) {
		return err
	}
	if err := w.s.fs.Files.Remove(name); err != nil {
		return err
	}
	w.removed++
	return nil
}
