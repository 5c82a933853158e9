package local

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"

	"github.com/tidemark-io/tidemark/store"
	"github.com/tidemark-io/tidemark/store/internal/dirfs"
)

// publish gives the file from, described by fi, the free name to, and makes
// the name durable. A from that is temporary is removed on the way by drop; an
// object's, which stays, has no drop. If publish returns an error, either to is
// what it was before, or the system refuses to take the name back, and then to
// is the whole file.
func (s *Store) publish(op, from, to string, fi dirfs.Info, drop func() error) error {
	if err := s.syncs.check(path.Dir(to)); err != nil {
		return failure(op, to, err)
	}
	err := s.fs.Files.Link(from, to)
	if noLinks(err) && drop != nil {
		err = s.guardedRename(from, to)
	}
	// A call can take effect and fail, over a network even with "exists". What
	// stands there tells; but not of a link to an object which others may have
	// linked to the same name.
	if err != nil && (drop == nil && errors.Is(err, fs.ErrExist) || !s.is(to, fi)) {
		return failure(op, to, err)
	}
	if drop != nil {
		// Before the fsync, so that a power cut rarely leaves it behind. An
		// error is none of the object's; Sweep comes again.
		_ = drop()
	}
	if err := s.durable(path.Dir(to)); err != nil {
		// It is visible but may not be durable, and there is no second fsync.
		// Visible must mean durable, so it has to go.
		if s.is(to, fi) {
			err = errors.Join(err, s.fs.Files.Remove(to))
		}
		return failure(op, to, err)
	}
	return nil
}

// durable makes the entries of a directory durable, and its own name if this store
// has not done that before: a checkpoint's directory gets many objects.
func (s *Store) durable(dir string) error {
	fi, err := s.fs.Meta.Lstat(dir)
	if err != nil || fi.Kind != dirfs.Directory {
		return s.syncs.upTo(dir)
	}
	if s.syncs.isSettled(dir, fi) {
		return s.syncs.sync(dir)
	}
	if err := s.syncs.upTo(dir); err != nil {
		return err
	}
	s.syncs.settle(dir, fi)
	return nil
}

// is reports whether the name stands for the file that fi describes.
func (s *Store) is(name string, fi dirfs.Info) bool {
	now, err := s.fs.Meta.Lstat(name)
	return err == nil && dirfs.Same(now, fi)
}

// guardedRename is create-if-absent without hard links; see [Store.Create].
func (s *Store) guardedRename(from, to string) error {
	dir, base := path.Split(to)
	guard := dir + guardPrefix + shortened(base)
	w, err := s.fs.Files.Create(guard)
	if errors.Is(err, fs.ErrExist) {
		return &store.Error{Op: "commit", Name: to, Transient: true,
			Err: fmt.Errorf("another upload holds %q; if its process died, sweep", guard)}
	}
	if err != nil {
		return err
	}
	err = w.Close()
	if err == nil {
		if _, e := s.fs.Meta.Lstat(to); e == nil {
			err = fs.ErrExist
		} else if !errors.Is(e, fs.ErrNotExist) {
			err = e
		}
	}
	if err == nil {
		err = s.fs.Files.Rename(from, to)
	}
	_ = s.fs.Files.Remove(guard) // what is left is swept
	return err
}

// shortened keeps guard names within the limit of file systems. Two names that
// share a guard only wait for each other.
func shortened(base string) string {
	return base[:min(len(base), store.MaxSegment-len(guardPrefix))]
}

// Link gives the object from a second name, to, without copying. Both names
// then have one version and one time of modification; removing either leaves
// the other. File systems without links, and too many links of one file, are
// [store.ErrUnsupported]: copy instead.
func (s *Store) Link(ctx context.Context, from, to string) error {
	if err := errors.Join(check(ctx, "link", from), check(ctx, "link", to)); err != nil {
		return failure("link", to, err)
	}
	fi, err := s.lstatObject(from)
	if err != nil {
		return failure("link", from, err)
	}
	err = s.inDir(path.Dir(to), func() error {
		err := s.publish("link", from, to, fi, nil)
		if errors.Is(err, fs.ErrNotExist) && !s.is(from, fi) {
			return failure("link", from, store.ErrNotExist) // not for the lack of a directory
		}
		return err
	})
	if err == nil {
		return nil
	}
	s.prune(path.Dir(to))
	if cannotLink(err) {
		err = fmt.Errorf("%w: %w", store.ErrUnsupported, err)
		return &store.Error{Op: "link", Name: to, Err: err}
	}
	return failure("link", to, err)
}
