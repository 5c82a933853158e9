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

// Remove deletes an object and makes that durable before it returns: who
// removes a manifest and then its data must not find the manifest again after a
// power cut. It also removes directories that have become empty, never the
// root.
//
// The version is compared and the file removed in one step as far as this
// process is concerned. Against another process that removes and creates the
// same name at the same moment, POSIX offers no such step.
func (s *Store) Remove(ctx context.Context, name, version string) error {
	if err := check(ctx, "remove", name); err != nil {
		return err
	}
	dir := path.Dir(name)
	if err := s.syncs.check(dir); err != nil {
		return failure("remove", name, err)
	}
	err := s.unlink(name, version)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return failure("remove", name, err)
	}
	// Also if the name is absent: an earlier Remove may have come this far and
	// failed, and whoever repeats it must be able to rely on the answer. A
	// directory that is gone was empty, and took the name with it.
	e := s.checkDirs(dir)
	if e == nil {
		e = s.syncs.sync(dir)
	}
	if e != nil && !errors.Is(e, fs.ErrNotExist) {
		return failure("remove", name, e)
	}
	s.prune(dir)
	return failure("remove", name, err)
}

func (s *Store) unlink(name, want string) error {
	s.removing.Lock()
	defer s.removing.Unlock()
	fi, err := s.lstatObject(name)
	if err != nil {
		return err
	}
	if have := version(fi); want != "" && want != have {
		return fmt.Errorf("%w: it has version %q, not %q", store.ErrChanged, have, want)
	}
	return s.fs.Files.Remove(name)
}

// prune removes dir and those above it as long as they are empty. It is never
// synced: an empty directory that comes back harms nobody. Whoever is about to
// put a file there makes it again, see inDir.
func (s *Store) prune(dir string) {
	for ; dir != "."; dir = path.Dir(dir) {
		// Removing a name takes files too, hence the look at it.
		if fi, err := s.fs.Meta.Lstat(dir); err != nil || fi.Kind != dirfs.Directory {
			return
		}
		if s.fs.Files.Remove(dir) != nil {
			return
		}
	}
}
