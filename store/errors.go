package store

import (
	"errors"
	"fmt"
)

// Causes that callers act upon, asked with errors.Is.
var (
	// ErrNotExist: there is no object of this name.
	ErrNotExist = errors.New("object does not exist")
	// ErrExist: the name is taken.
	ErrExist = errors.New("object already exists")
	// ErrChanged: the object is not the version that was named.
	ErrChanged = errors.New("object has changed")
	// ErrName: the name is not one that this package allows.
	ErrName = errors.New("name is not allowed")
	// ErrPermission: the caller may not do this.
	ErrPermission = errors.New("permission denied")
	// ErrUnsupported: the store lacks the ability.
	ErrUnsupported = errors.New("not supported by this store")
	// ErrLocked: another process holds the store's root.
	ErrLocked = errors.New("locked")
	// ErrNotObject: what stands under the name is a link, a pipe, a device or
	// the like, which this package neither reads nor removes.
	ErrNotObject = errors.New("not a regular file")
	// ErrTooLarge: the object is larger than the caller's limit.
	ErrTooLarge = errors.New("object is too large")
)

// Error is the error of every store operation.
type Error struct {
	Op        string // "open", "create", "write", "commit", …
	Name      string // the object
	Transient bool   // the same call may succeed later
	Err       error
}

// Error names the operation, the object and the cause.
func (e *Error) Error() string { return fmt.Sprintf("%s %q: %v", e.Op, e.Name, e.Err) }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// IsTransient reports whether an error of a store may go away by itself.
func IsTransient(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Transient
}
