package reader

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"

	"github.com/tidemark-io/tidemark/format"
	"github.com/tidemark-io/tidemark/store"
)

// idleHandles is how many objects stay open while nobody reads them.
const idleHandles = 16

// handles keeps data objects open while they are read, and a few after that.
type handles struct {
	st store.Store

	mu   sync.Mutex
	open map[string]*handle
	idle []*handle // open, without users, least recently used first
}

// handle is one open object.
type handle struct {
	store.Object
	name  string
	users int
}

// acquire opens the object or finds it open. The caller calls release.
func (h *handles) acquire(ctx context.Context, row format.Object) (*handle, error) {
	h.mu.Lock()
	if o := h.open[row.Name]; o != nil {
		if o.users == 0 {
			h.unidle(o)
		}
		o.users++
		h.mu.Unlock()
		return o, nil
	}
	h.mu.Unlock()
	object, err := h.st.Open(context.WithoutCancel(ctx), row.Name)
	if err != nil {
		if errors.Is(err, store.ErrNotExist) || errors.Is(err, store.ErrNotObject) {
			err = &format.CorruptError{Object: row.Name, Unit: "data object", Err: fmt.Errorf("%w: %w", format.ErrMissing, err)}
		}
		return nil, err
	}
	if err := checkLength(row, object.Info().Size); err != nil {
		return nil, errors.Join(err, object.Close())
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if o := h.open[row.Name]; o != nil { // somebody else was faster
		if o.users == 0 {
			h.unidle(o)
		}
		o.users++
		return o, object.Close()
	}
	o := &handle{Object: object, name: row.Name, users: 1}
	if h.open == nil {
		h.open = map[string]*handle{}
	}
	h.open[row.Name] = o
	return o, nil
}

// checkLength compares an object's size with what the manifest states.
func checkLength(row format.Object, size int64) error {
	switch {
	case size < 0 || uint64(size) < row.Length:
		return &format.CorruptError{Object: row.Name, Offset: size, Unit: "data object",
			Err: fmt.Errorf("%w: %d bytes, the manifest states %d", format.ErrTruncated, size, row.Length)}
	case uint64(size) > row.Length:
		return &format.CorruptError{Object: row.Name, Offset: int64(min(row.Length, math.MaxInt64)), Unit: "data object",
			Err: fmt.Errorf("%w: %d bytes, the manifest states %d", format.ErrMalformed, size, row.Length)}
	}
	return nil
}

// unidle takes a handle out of the idle list.
func (h *handles) unidle(o *handle) {
	for i, other := range h.idle {
		if other == o {
			h.idle = append(h.idle[:i], h.idle[i+1:]...)
			return
		}
	}
}

// release gives a handle back. A failure to close an object that was only read
// loses nothing and is dropped.
func (h *handles) release(o *handle) {
	h.mu.Lock()
	defer h.mu.Unlock()
	o.users--
	if o.users > 0 {
		return
	}
	h.idle = append(h.idle, o)
	if len(h.idle) > idleHandles {
		oldest := h.idle[0]
		h.idle = h.idle[1:]
		delete(h.open, oldest.name)
		_ = oldest.Close()
	}
}

// close closes everything.
func (h *handles) close() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	var failed error
	for _, o := range h.open {
		failed = errors.Join(failed, o.Close())
	}
	h.open, h.idle = nil, nil
	return failed
}
