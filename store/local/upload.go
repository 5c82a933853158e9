package local

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"

	"github.com/tidemark-io/tidemark/store"
	"github.com/tidemark-io/tidemark/store/internal/dirfs"
)

const (
	tempPrefix  = store.ReservedPrefix + "tmp-"
	guardPrefix = store.ReservedPrefix + "guard-"
)

// makeTries bounds how often a directory is made again that another goroutine
// or process removed as empty before a file was in it.
const makeTries = 100

// upload is a temporary file on its way to a name. After the first error it
// stays failed.
type upload struct {
	s          *Store
	ctx        context.Context
	name, temp string
	w          dirfs.Writer // nil when closed
	size       int64
	err        error // the first error; errEnded after Commit and Abort
}

var errEnded = fmt.Errorf("the upload has ended: %w", fs.ErrClosed)

// Create begins an object. It fails early if the name is taken; two uploads of
// a free name may run at once, and the first to commit has it.
//
// The context also holds for the upload: after it ends, Write and Commit fail
// and publish nothing. An upload is used by one goroutine at a time.
//
// Where the file system has no hard links, Commit takes a guard instead: it
// makes the file .tm-guard-<name> with O_EXCL, looks whether the target is
// absent, renames, and removes the guard. That excludes only those who do the
// same; a guard left by a process that died makes Commit fail with a transient
// error until Sweep removes it.
func (s *Store) Create(ctx context.Context, name string) (store.Upload, error) {
	if err := check(ctx, "create", name); err != nil {
		return nil, err
	}
	if err := s.syncs.check(path.Dir(name)); err != nil {
		return nil, failure("create", name, err)
	}
	switch fi, err := s.lstatObject(name); {
	case err == nil:
		return nil, failure("create", name, fmt.Errorf("%w, with %d bytes", store.ErrExist, fi.Size))
	case errors.Is(err, store.ErrNotObject):
		// Refused below: a parent by makeDirs, the name itself by the link.
	case !errors.Is(err, fs.ErrNotExist):
		return nil, failure("create", name, err)
	}
	u := &upload{s: s, ctx: ctx, name: name, temp: path.Join(path.Dir(name), tempPrefix+randomHex())}
	err := s.inDir(path.Dir(name), func() (err error) {
		u.w, err = s.fs.Files.Create(u.temp)
		return err
	})
	if err != nil {
		s.prune(path.Dir(name))
		return nil, failure("create", name, err)
	}
	s.mu.Lock()
	s.temps[u.temp] = struct{}{}
	s.mu.Unlock()
	return u, nil
}

// randomHex returns 16 digits: enough that two processes never meet.
func randomHex() string {
	var b [8]byte
	rand.Read(b[:]) // never fails, by its documentation
	return hex.EncodeToString(b[:])
}

// inDir makes dir if need be and calls make, which puts a file there. A
// directory may be removed as empty between the two; then both are repeated.
func (s *Store) inDir(dir string, make func() error) error {
	for try := 1; ; try++ {
		err := s.makeDirs(dir)
		if err == nil {
			err = make()
		}
		if try == makeTries || !errors.Is(err, fs.ErrNotExist) || errors.Is(err, store.ErrNotObject) {
			return err
		}
	}
}

// makeDirs makes dir and what is missing above it.
func (s *Store) makeDirs(dir string) error {
	for d := range parents(dir) {
		fi, err := s.fs.Meta.Lstat(d)
		if errors.Is(err, fs.ErrNotExist) {
			if err = s.fs.Dirs.Mkdir(d); err == nil {
				s.syncs.made(d)
				continue
			}
			if errors.Is(err, fs.ErrExist) {
				fi, err = s.fs.Meta.Lstat(d)
			}
		}
		if err != nil {
			return err
		}
		if fi.Kind != dirfs.Directory {
			return fmt.Errorf("%q stands where a directory is needed: %w: it is a %s", d, store.ErrNotObject, fi.Kind)
		}
	}
	return nil
}

// Write appends to the object. The bytes go to the file at once and are not
// kept.
func (u *upload) Write(p []byte) (int, error) {
	if u.err == errEnded {
		return 0, permanent("write", u.name, errEnded)
	}
	if err := u.alive("write"); err != nil {
		return 0, err
	}
	n, err := u.w.Write(p)
	if err == nil && n < len(p) {
		err = io.ErrShortWrite
	}
	if err != nil {
		u.err = failure("write", u.name, fmt.Errorf("at offset %d: %w", u.size+int64(n), err))
	}
	u.size += int64(n)
	return n, u.err
}

// alive returns the error that ended the upload, or that of its context.
func (u *upload) alive(op string) error {
	if u.err == nil {
		if err := u.ctx.Err(); err != nil {
			u.err = failure(op, u.name, err)
		}
	}
	return u.err
}

// Commit publishes the object as the package comment says.
func (u *upload) Commit() (store.Info, error) {
	if u.err == errEnded {
		return store.Info{}, permanent("commit", u.name, errEnded)
	}
	fi, err := u.commit()
	u.discard()
	if err != nil {
		u.s.prune(path.Dir(u.name))
		u.err = err
		return store.Info{}, err
	}
	u.err = errEnded
	return objectInfo(u.name, fi), nil
}

func (u *upload) commit() (dirfs.Info, error) {
	if err := u.alive("commit"); err != nil {
		return dirfs.Info{}, err
	}
	if err := u.s.fs.Meta.Chtimes(u.temp, u.s.stamp()); err != nil {
		return dirfs.Info{}, failure("commit", u.name, err)
	}
	if err := u.w.Sync(); err != nil {
		return dirfs.Info{}, permanent("commit", u.name, fmt.Errorf("fsync failed: %w", err))
	}
	w := u.w
	u.w = nil
	if err := w.Close(); err != nil {
		// Some network file systems tell only now that writing failed.
		return dirfs.Info{}, permanent("commit", u.name, fmt.Errorf("close failed: %w", err))
	}
	fi, err := u.s.fs.Meta.Lstat(u.temp)
	if err != nil {
		return dirfs.Info{}, failure("commit", u.name, err)
	}
	if fi.Size != u.size {
		return dirfs.Info{}, permanent("commit", u.name, fmt.Errorf("the file has %d bytes, %d were written", fi.Size, u.size))
	}
	if err := u.ctx.Err(); err != nil {
		return dirfs.Info{}, failure("commit", u.name, err)
	}
	return fi, u.s.publish("commit", u.temp, u.name, fi, u.dropTemp)
}

// Abort gives the upload up.
func (u *upload) Abort() error {
	if u.err == errEnded {
		return nil
	}
	u.err = errEnded
	err := u.discard()
	u.s.prune(path.Dir(u.name))
	return failure("abort", u.name, err)
}

// discard closes and removes the temporary file, if they are still there. What
// cannot be removed now is left to Sweep.
func (u *upload) discard() error {
	var err error
	if u.w != nil {
		err = u.w.Close()
		u.w = nil
	}
	return errors.Join(err, u.dropTemp())
}

// dropTemp removes the temporary name, once.
func (u *upload) dropTemp() error {
	if u.temp == "" {
		return nil
	}
	err := u.s.fs.Files.Remove(u.temp)
	u.s.mu.Lock()
	delete(u.s.temps, u.temp)
	u.s.mu.Unlock()
	u.temp = ""
	if errors.Is(err, fs.ErrNotExist) { // renamed, or swept
		return nil
	}
	return err
}
