package engine_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/tidemark-io/tidemark/checkpoint/layout"
	"github.com/tidemark-io/tidemark/engine"
	"github.com/tidemark-io/tidemark/store"
	"github.com/tidemark-io/tidemark/store/mem"
)

// stopped is a store, and the clock of a process that is stopped for an hour just
// after it wrote the copy of a manifest. When it goes on no timer has fired yet.
type stopped struct {
	store.Store
	*manualClock
	jumps bool
}

func (s *stopped) AfterFunc(d time.Duration, f func()) func() bool {
	if s.jumps {
		return func() bool { return true }
	}
	return s.manualClock.AfterFunc(d, f)
}

func (s *stopped) Create(ctx context.Context, name string) (store.Upload, error) {
	up, err := s.Store.Create(ctx, name)
	if s.jumps && strings.HasSuffix(name, "/"+layout.ManifestCopy) {
		s.advance(time.Hour)
	}
	return up, err
}

// TestLateCommit: a checkpoint that is older than its timeout does not become
// visible (R12), whether the timer has fired or not.
func TestLateCommit(t *testing.T) {
	for _, jumps := range []bool{false, true} {
		st := mem.New()
		s := &stopped{Store: st, manualClock: newManualClock(), jumps: jumps}
		cfg := engine.Config{Clock: s}
		cfg.Checkpoints = engine.CheckpointConfig{Store: s, Timeout: time.Minute, TolerableFailures: 1, NoLock: true}
		job := start(t, countJob(numbers(1, 3000, 500), newLedger[counted](), nil), cfg)
		_, err := job.Checkpoint(t.Context())
		if late := err != nil && strings.Contains(err.Error(), "longer than its timeout"); late != jumps || !late && err != nil {
			t.Errorf("stopped %v: %v", jumps, err)
		}
		job.Cancel(errEnough)
		if err := job.Wait(); !errors.Is(err, errEnough) {
			t.Error(err)
		}
		if n := len(names(t, st, "chk-1/")); n > 0 == jumps {
			t.Errorf("stopped %v: the checkpoint has %d objects", jumps, n)
		}
		if a := recordsOf(t, st)[0]; (a.Cause == "timeout") != jumps {
			t.Errorf("stopped %v: history says %q", jumps, a.Cause)
		}
	}
}
