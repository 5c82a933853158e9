package local

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"

	"github.com/tidemark-io/tidemark/store"
	"github.com/tidemark-io/tidemark/store/internal/dirfs"
)

// failure makes the error of an operation: it adds the cause that callers act
// upon and tells transient from permanent. An error that is one already passes.
func failure(op, name string, err error) error {
	var done *store.Error
	if err == nil || errors.As(err, &done) {
		return err
	}
	return &store.Error{Op: op, Name: name, Transient: transient(err), Err: withCause(err)}
}

// permanent is failure for what must not be tried again, whatever the system
// calls it: a failed fsync of a file.
func permanent(op, name string, err error) error {
	return &store.Error{Op: op, Name: name, Err: withCause(err)}
}

// withCause joins the system's error with the one of package store that it
// means.
func withCause(err error) error {
	for _, cause := range []error{store.ErrNotExist, store.ErrExist, store.ErrPermission, store.ErrUnsupported, store.ErrNotObject} {
		if errors.Is(err, cause) {
			return err
		}
	}
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
		return fmt.Errorf("%w: %w", store.ErrNotExist, err)
	case errors.Is(err, fs.ErrExist):
		return fmt.Errorf("%w: %w", store.ErrExist, err)
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		return fmt.Errorf("%w: %w", store.ErrPermission, err)
	case errors.Is(err, errors.ErrUnsupported):
		return fmt.Errorf("%w: %w", store.ErrUnsupported, err)
	}
	return err
}

// transient reports whether the system may change its mind by itself. A full
// disk or quota does not: somebody has to make room.
func transient(err error) bool {
	var dead *syncError
	if errors.As(err, &dead) {
		return false
	}
	for _, e := range []syscall.Errno{
		syscall.EINTR, syscall.EAGAIN, syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM, syscall.EBUSY, syscall.ETIMEDOUT,
	} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// noLinks reports whether a link failed because the file system has none. FAT
// on Linux says EPERM.
func noLinks(err error) bool {
	return errors.Is(err, errors.ErrUnsupported) || errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.ENOSYS)
}

// cannotLink reports whether a link failed for a reason that copying avoids.
func cannotLink(err error) bool {
	return noLinks(err) || errors.Is(err, syscall.EXDEV) || errors.Is(err, syscall.EMLINK)
}

// notRegular is the error for what stands in the place of an object. For a
// directory it is also ErrNotExist: directories are no things of their own, so
// there is just nothing of that name.
func notRegular(fi dirfs.Info) error {
	if fi.Kind == dirfs.Directory {
		return fmt.Errorf("%w: %w: it is a directory", store.ErrNotExist, store.ErrNotObject)
	}
	return fmt.Errorf("%w: it is a %s", store.ErrNotObject, fi.Kind)
}
