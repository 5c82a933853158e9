package local

import (
	"errors"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"

	"github.com/tidemark-io/tidemark/store/internal/dirfs"
)

// gate is directories whose fsync waits until it is let through.
type gate struct {
	dirfs.Dirs
	syncs atomic.Int32
	pass  chan error
}

func (g *gate) OpenDir(string) (dirfs.Dir, error) { return g, nil }
func (g *gate) Close() error                      { return nil }
func (g *gate) Sync() error {
	g.syncs.Add(1)
	return <-g.pass
}

// Who comes while an fsync runs shares the next one, never the running one.
func TestSharedSync(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &gate{pass: make(chan error)}
		s := &dirSyncs{dirs: g}
		var wg sync.WaitGroup
		var done atomic.Int32
		call := func() {
			wg.Go(func() {
				if err := s.sync("a"); err != nil {
					t.Error(err)
				}
				done.Add(1)
			})
		}
		call()
		synctest.Wait() // it runs
		for range 10 {
			call()
		}
		synctest.Wait()
		if g.syncs.Load() != 1 {
			t.Fatalf("%d fsyncs at once", g.syncs.Load())
		}
		g.pass <- nil
		synctest.Wait()
		if done.Load() != 1 || g.syncs.Load() != 2 {
			t.Fatalf("after the first: %d returned, %d fsyncs begun", done.Load(), g.syncs.Load())
		}
		g.pass <- nil
		wg.Wait()
		if g.syncs.Load() != 2 || len(s.per) != 0 {
			t.Errorf("%d fsyncs, %d directories remembered", g.syncs.Load(), len(s.per))
		}
	})
}

// All who share a failed fsync, wait for it or come later get its error, and
// there is no second one.
func TestFailedSyncIsFinal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &gate{pass: make(chan error)}
		s := &dirSyncs{dirs: g}
		var wg sync.WaitGroup
		for range 5 {
			wg.Go(func() {
				if err := s.sync("a"); !errors.Is(err, syscall.EINTR) {
					t.Errorf("sync: %v", err)
				}
			})
			synctest.Wait()
		}
		g.pass <- syscall.EINTR
		wg.Wait()
		if err := s.sync("a"); !errors.Is(err, syscall.EINTR) || transient(err) {
			t.Errorf("sync again: %v", err)
		}
		if err := s.check("a/b/c"); err == nil {
			t.Error("what lies below it passes")
		}
		if err := s.check("b"); err != nil {
			t.Errorf("another directory: %v", err)
		}
		if g.syncs.Load() != 1 {
			t.Errorf("%d fsyncs", g.syncs.Load())
		}
		s.made("a")
		if err := s.check("a/b/c"); err != nil {
			t.Errorf("below a new directory: %v", err)
		}
	})
}
