// Package store names the few operations that checkpoints need of a place to
// keep objects: a directory, a bucket, memory.
//
// An object is created once, whole, and never changed. Create is conditional:
// of all attempts to create a name exactly one succeeds, which is what makes a
// manifest's appearance the commit of a checkpoint. Names are paths with "/"
// as separator, relative to the store's root; see [CheckName].
//
// What only some stores can do (hard links, locks, checksums kept by the store)
// is an ability: an interface of one method, found with [As] through any
// wrappers, each with a plain fallback.
//
// Non-goals: appending, renaming, overwriting, and directories as things of
// their own.
package store

import (
	"context"
	"io"
	"iter"
	"time"
)

// Store keeps immutable objects by name. All methods may be called from several
// goroutines at once. Errors are of type [*Error].
type Store interface {
	// Open returns the object for ranged reads. The caller closes it.
	Open(ctx context.Context, name string) (Object, error)

	// Create begins to write a new object. Nothing is visible under the name
	// before [Upload.Commit] returns. An existing name is reported by Commit
	// at the latest, with an error that is [ErrExist].
	Create(ctx context.Context, name string) (Upload, error)

	// List yields the objects whose names begin with the prefix, in ascending
	// order of their names. After an error the iteration ends. Temporary
	// files of unfinished uploads are not listed.
	List(ctx context.Context, prefix string) iter.Seq2[Info, error]

	// Stat describes one object.
	Stat(ctx context.Context, name string) (Info, error)

	// Remove deletes the object if it still has the given version; the empty
	// version matches any. A name that is absent is an error that is
	// [ErrNotExist], another version one that is [ErrChanged].
	Remove(ctx context.Context, name, version string) error
}

// Object is an object opened for reading. ReadAt may be called from several
// goroutines at once and follows the contract of [io.ReaderAt].
type Object interface {
	io.ReaderAt
	io.Closer
	// Info describes the object as it was when opened.
	Info() Info
}

// Upload is an object being written. After the first error every further call
// returns that error. Exactly one of Commit and Abort ends an upload; closing
// nothing is not publishing.
type Upload interface {
	io.Writer
	// Commit makes the object durable and visible, if the name is still free.
	// If it returns nil the object is there, whole, and survives a power cut.
	// If it returns an error that is [ErrExist], another one was first. After
	// any other error the object is absent or whole, never partial; Stat
	// tells which.
	Commit() (Info, error)
	// Abort gives the upload up and removes what it left. It never publishes.
	// Abort after Commit does nothing.
	Abort() error
}

// Info describes an object.
type Info struct {
	Name     string
	Size     int64     // bytes
	Modified time.Time // by the store's clock
	Version  string    // changes when the name is removed and created anew
}
