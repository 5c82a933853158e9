package local

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"

	"github.com/tidemark-io/tidemark/store"
	"github.com/tidemark-io/tidemark/store/internal/dirfs"
)

// openTries bounds how often Open looks again when the file was replaced
// between looking and opening.
const openTries = 3

// Open opens an object. What is no regular file is refused without being
// opened, and what is put in its place at that very moment is not waited for.
func (s *Store) Open(ctx context.Context, name string) (store.Object, error) {
	if err := check(ctx, "open", name); err != nil {
		return nil, err
	}
	for try := 1; ; try++ {
		o, err := s.openOnce(name)
		if err == nil {
			return o, nil
		}
		if !errors.Is(err, store.ErrChanged) || try == openTries {
			return nil, failure("open", name, err)
		}
	}
}

func (s *Store) openOnce(name string) (*object, error) {
	seen, err := s.lstatObject(name)
	if err != nil {
		return nil, err
	}
	f, err := s.fs.Files.Open(name)
	if err != nil {
		return nil, err
	}
	fi, err := f.Stat()
	switch {
	case err != nil:
	case fi.Kind != dirfs.Regular:
		err = notRegular(fi)
	case fi.ID != seen.ID:
		// Removed and made anew, or a symbolic link slipped in between.
		err = fmt.Errorf("%w: it was replaced while being opened", store.ErrChanged)
	default:
		return &object{r: f, info: objectInfo(name, fi)}, nil
	}
	return nil, errors.Join(err, f.Close())
}

// lstatObject describes a regular file all of whose parents are directories.
func (s *Store) lstatObject(name string) (dirfs.Info, error) {
	if err := s.checkDirs(path.Dir(name)); err != nil {
		return dirfs.Info{}, err
	}
	fi, err := s.fs.Meta.Lstat(name)
	if err != nil {
		return dirfs.Info{}, err
	}
	if fi.Kind != dirfs.Regular {
		return dirfs.Info{}, notRegular(fi)
	}
	return fi, nil
}

// checkDirs returns nil if dir and all above it are directories and none a
// symbolic link. A link that is put there afterwards still cannot lead out of
// the root: os.Root sees to that.
func (s *Store) checkDirs(dir string) error {
	for d := range parents(dir) {
		fi, err := s.fs.Meta.Lstat(d)
		if err != nil {
			return err
		}
		if err := wantDir(d, fi); err != nil {
			return err
		}
	}
	return nil
}

// wantDir returns nil for a directory. A regular file in its place means that
// nothing can be below it.
func wantDir(d string, fi dirfs.Info) error {
	switch fi.Kind {
	case dirfs.Directory:
		return nil
	case dirfs.Regular:
		return fmt.Errorf("%q is a file and no directory: %w", d, fs.ErrNotExist)
	}
	return fmt.Errorf("%q: %w", d, notRegular(fi))
}

// parents yields a, a/b, a/b/c for a/b/c, and nothing for the root.
func parents(dir string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		if dir == "." {
			return
		}
		for i := 0; i < len(dir); i++ {
			j := strings.IndexByte(dir[i:], '/')
			if j < 0 {
				break
			}
			i += j
			if !yield(dir[:i]) {
				return
			}
		}
		yield(dir)
	}
}

// object is an open file.
type object struct {
	r    dirfs.Reader
	info store.Info
}

func (o *object) Info() store.Info { return o.info }

// ReadAt follows io.ReaderAt; io.EOF is returned bare, as readers expect.
func (o *object) ReadAt(p []byte, off int64) (int, error) {
	n, err := o.r.ReadAt(p, off)
	if err != nil && err != io.EOF {
		err = failure("read", o.info.Name, fmt.Errorf("at offset %d: %w", off, err))
	}
	return n, err
}

func (o *object) Close() error { return failure("close", o.info.Name, o.r.Close()) }
