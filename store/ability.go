package store

import (
	"context"
	"time"
)

// Unwrapper is implemented by stores that wrap another one.
type Unwrapper interface {
	// Unwrap returns the wrapped store.
	Unwrap() Store
}

// As finds an ability of a store: it looks at the store itself and then through
// its wrappers.
func As[A any](s Store) (A, bool) {
	for s != nil {
		if a, ok := s.(A); ok {
			return a, true
		}
		w, ok := s.(Unwrapper)
		if !ok {
			break
		}
		s = w.Unwrap()
	}
	var none A
	return none, false
}

// Linker makes a second name for an object without copying its bytes.
type Linker interface {
	// Link creates the name to for the object from, conditionally as Create
	// does. A store that cannot link these two returns [ErrUnsupported]; the
	// fallback is to copy ([Copy]).
	Link(ctx context.Context, from, to string) error
}

// Locker holds a store's root for one process. It is a courtesy that fails
// early and names the holder; what protects the data is conditional creation.
// The fallback is no lock.
type Locker interface {
	// Lock returns a function that gives the lock back, or an error that
	// names the holder.
	Lock(ctx context.Context) (release func() error, err error)
}

// Checksummer tells the CRC-32C that the store itself keeps of an object. The
// fallback is to read the object.
type Checksummer interface {
	Checksum(ctx context.Context, name string) (crc32c uint32, err error)
}

// Sweeper removes what uploads left that were never ended, because their
// process died. The fallback is to do nothing: stores without this ability
// leave nothing, or expire it themselves.
type Sweeper interface {
	// Sweep removes leftovers last written to more than olderThan ago and
	// returns how many. Uploads of this process are spared whatever their age.
	Sweep(ctx context.Context, olderThan time.Duration) (removed int, err error)
}
