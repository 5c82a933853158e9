package runtime

import (
	"context"
	"sync"

	"github.com/tidemark-io/tidemark/engine/exchange"
)

// future is a part of a checkpoint's in-flight data that will be known later:
// the input part when the last barrier has come, the output part of a barrier
// that may time out when it has left the queues or was turned into one that
// overtakes. Setting it again, or when nobody wants it any more, releases what
// was set.
type future struct {
	ready chan struct{}

	mu    sync.Mutex
	set   bool
	gone  bool
	parts []exchange.Captured
}

func newFuture() *future { return &future{ready: make(chan struct{})} }

// resolve sets the value; the first one counts.
func (f *future) resolve(parts []exchange.Captured) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.set || f.gone {
		exchange.ReleaseAll(parts)
	}
	if !f.set {
		f.set = true
		if !f.gone {
			f.parts = parts
		}
		close(f.ready)
	}
}

// wait returns the value when it is set. The caller still calls drop.
func (f *future) wait(ctx context.Context) ([]exchange.Captured, error) {
	select {
	case <-f.ready:
	default: // of two that are ready select would choose at random
		select {
		case <-f.ready:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.parts, nil
}

// drop releases the value, now or when it is set.
func (f *future) drop() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.gone = true
	exchange.ReleaseAll(f.parts)
	f.parts = nil
}
