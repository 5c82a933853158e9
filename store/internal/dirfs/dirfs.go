// Package dirfs is the seam between the local store and a file system: the few
// calls of which the store's protocols are made. The operating system stands
// behind it in production, a simulated disk that crashes in tests, so that what
// the tests crash is the real protocol.
//
// Names are relative to the root, with "/" as separator; the root is ".".
// Errors wrap the system's: errors.Is(err, fs.ErrNotExist) and the like hold.
package dirfs

import (
	"io"
	"time"
)

// FS is one directory tree. Locks may be nil: no locks.
type FS struct {
	Files Files
	Dirs  Dirs
	Meta  Meta
	Locks Locks
}

// Files has the calls on files.
type Files interface {
	// Create makes a new file, mode 0600 less the umask; it fails with
	// fs.ErrExist if the name is taken.
	Create(name string) (Writer, error)
	// Open opens a file for reading and never blocks, whatever it is.
	Open(name string) (Reader, error)
	// Link makes a second name; it fails with fs.ErrExist if that is taken.
	Link(from, to string) error
	// Rename moves a name and replaces what has the new one.
	Rename(from, to string) error
	// Remove deletes a name, or a directory if it is empty.
	Remove(name string) error
}

// Dirs has the calls on directories.
type Dirs interface {
	// Mkdir makes a directory, mode 0700 less the umask.
	Mkdir(name string) error
	// ReadDir returns the entries of a directory; only Name and Kind are set.
	ReadDir(name string) ([]Info, error)
	// OpenDir opens a directory to sync its entries.
	OpenDir(name string) (Dir, error)
}

// Meta has the calls on what is known of a file beside its bytes.
type Meta interface {
	// Lstat describes what has the name and follows no link.
	Lstat(name string) (Info, error)
	// Chtimes sets the time of modification.
	Chtimes(name string, modified time.Time) error
}

// Locks has the call that holds a root for one process.
type Locks interface {
	// Lock takes the lock kept in the named file, without waiting, and writes
	// record into it. If another has the lock, release is nil and holder is
	// what that one wrote.
	Lock(name, record string) (release func() error, holder string, err error)
}

// Writer is a file being written.
type Writer interface {
	io.WriteCloser
	Sync() error
}

// Dir is an opened directory. Sync makes its entries durable.
type Dir interface {
	io.Closer
	Sync() error
}

// Reader is a file being read.
type Reader interface {
	io.ReaderAt
	io.Closer
	Stat() (Info, error)
}

// Kind tells files apart as far as the store cares.
type Kind uint8

// The kinds. Anything that is neither a regular file, a directory nor a symbolic link is Other.
const (
	Other Kind = iota
	Regular
	Directory
	Symlink
)

// String names the kind for messages.
func (k Kind) String() string {
	switch k {
	case Regular:
		return "regular file"
	case Directory:
		return "directory"
	case Symlink:
		return "symbolic link"
	}
	return "device, pipe or socket"
}

// Info describes a file.
type Info struct {
	Name     string // last segment
	Kind     Kind
	Size     int64 // bytes
	Modified time.Time
	// ID is equal for two names of one file and differs for two files that
	// exist at the same time. It is empty where the system does not tell.
	ID string
}

// Same reports whether two descriptions are of one file, as far as known.
func Same(a, b Info) bool { return a.ID != "" && a.ID == b.ID }
