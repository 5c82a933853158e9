package place

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	gopath "path"
	"path/filepath"
	"strings"

	"github.com/tidemark-io/tidemark/checkpoint"
	"github.com/tidemark-io/tidemark/checkpoint/layout"
	"github.com/tidemark-io/tidemark/flink"
	"github.com/tidemark-io/tidemark/store"
	"github.com/tidemark-io/tidemark/store/local"
)

// ErrScheme is the error for an address of a storage that this program does not
// know.
var ErrScheme = errors.New("unknown kind of storage: name a local directory or gs://BUCKET/PREFIX")

// Root is an opened store. Whoever opened it closes it.
type Root interface {
	store.Store
	io.Closer
}

// remote opens the store at an address; the schemes that a program was built
// with stand here.
var remote = map[string]func(ctx context.Context, address string) (Root, error){}

// IsAddress reports whether a path is the address of a storage elsewhere.
func IsAddress(path string) bool { return strings.Contains(path, "://") }

// OpenRoot opens the store at a directory or an address. create makes the
// directory if it is absent; elsewhere there is nothing to make. The caller
// closes it.
func OpenRoot(ctx context.Context, root string, create bool) (Root, error) {
	scheme, _, ok := strings.Cut(root, "://")
	if !ok {
		var opts []local.Option
		if create {
			opts = append(opts, local.WithCreate())
		}
		return local.Open(root, opts...)
	}
	open := remote[scheme]
	if open == nil {
		return nil, fmt.Errorf("%s: %w", root, ErrScheme)
	}
	return open(ctx, root)
}

// Join is the path or the address of something below a root.
func Join(root, below string) string {
	switch {
	case !IsAddress(root):
		return filepath.Join(root, filepath.FromSlash(below))
	case below == "" || below == ".":
		return root
	}
	return strings.TrimRight(root, "/") + "/" + below
}

// Split cuts the path or the address of a checkpoint into the one of its root
// and its name there.
func Split(path string) (root, name string) {
	if !IsAddress(path) {
		return filepath.Dir(path), filepath.Base(path)
	}
	path = strings.TrimRight(path, "/")
	i := strings.LastIndexByte(path, '/')
	return path[:i], path[i+1:]
}

// Clean is the spelling of a path or an address without a manifest at its end.
func Clean(path string) string {
	if !IsAddress(path) {
		path = filepath.Clean(path)
		if base := filepath.Base(path); base == layout.Manifest || base == layout.ManifestCopy {
			return filepath.Dir(path)
		}
		return path
	}
	path = strings.TrimRight(path, "/")
	switch gopath.Base(path) {
	case layout.Manifest, layout.ManifestCopy, flink.MetadataName:
		path = strings.TrimRight(path[:strings.LastIndexByte(path, '/')], "/")
	}
	return path
}

// split cuts a path or an address into a root and what is below it, and opens
// the root.
func split(ctx context.Context, path string) (root, below string, st Root, err error) {
	if IsAddress(path) {
		return splitAddress(ctx, Clean(path))
	}
	if root, below, err = splitPath(path); err == nil {
		st, err = OpenRoot(ctx, root, false)
	}
	return root, below, st, err
}

// splitAddress tells a root from a checkpoint as splitPath does: by its name, or
// by the manifest in it.
func splitAddress(ctx context.Context, address string) (root, below string, st Root, err error) {
	if st, err = OpenRoot(ctx, address, false); err != nil {
		return "", "", nil, err
	}
	parent, name := Split(address)
	_, _, named := layout.ParseDir(name)
	single := false // it has a manifest
	for _, manifest := range []string{layout.Manifest, flink.MetadataName} {
		_, err := st.Stat(ctx, manifest)
		if err != nil && !errors.Is(err, store.ErrNotExist) {
			return "", "", nil, errors.Join(err, st.Close())
		}
		single = single || err == nil
	}
	// A bucket is a root, whatever its name.
	inBucket := strings.Contains(strings.SplitN(address, "://", 2)[1], "/")
	if inBucket && (named || single) && store.CheckName(name) == nil {
		if err := st.Close(); err != nil {
			return "", "", nil, err
		}
		st, err = OpenRoot(ctx, parent, false)
		return parent, name, st, err
	}
	if err := found(ctx, st); err != nil {
		return "", "", nil, errors.Join(fmt.Errorf("%s: %w", address, err), st.Close())
	}
	return address, "", st, nil
}

// found returns nil if a store has an object: a prefix without any is, in a
// bucket, what a missing directory is on a disk.
func found(ctx context.Context, st store.Store) error {
	for _, err := range st.List(ctx, "") {
		return err
	}
	return checkpoint.ErrNone
}

// parentOf is the directory or the address that a new checkpoint is to be in,
// which exists, and the base of its name. Nothing may be at the path yet.
func parentOf(ctx context.Context, path string) (parent, base string, err error) {
	if IsAddress(path) {
		parent, base = Split(path)
		if strings.HasSuffix(parent, ":/") || store.CheckName(base) != nil {
			return "", "", fmt.Errorf("%s: %w: name gs://BUCKET/DIRECTORY", path, ErrParent)
		}
		st, err := OpenRoot(ctx, path, false)
		if err != nil {
			return "", "", err
		}
		err = found(ctx, st)
		switch {
		case err == nil:
			err = fmt.Errorf("%s: %w; a tool never writes in place, so name another DST", path, checkpoint.ErrExists)
		case errors.Is(err, checkpoint.ErrNone):
			err = nil
		}
		return parent, base, errors.Join(err, st.Close())
	}
	if _, err := os.Lstat(path); err == nil {
		return "", "", fmt.Errorf("%s: %w; a tool never writes in place, so name another DST", path, checkpoint.ErrExists)
	} else if !errors.Is(err, os.ErrNotExist) {
		return "", "", err
	}
	parent, err = filepath.EvalSymlinks(filepath.Dir(path))
	if errors.Is(err, os.ErrNotExist) {
		return "", "", fmt.Errorf("%s: %w", path, ErrParent)
	}
	if err == nil {
		parent, err = filepath.Abs(parent)
	}
	return parent, filepath.Base(path), err
}
