package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/tidemark-io/tidemark/checkpoint"
	"github.com/tidemark-io/tidemark/checkpoint/layout"
	"github.com/tidemark-io/tidemark/cmd/tidemark/internal/place"
	"github.com/tidemark-io/tidemark/engine"
	"github.com/tidemark-io/tidemark/engine/config"
	"github.com/tidemark-io/tidemark/engine/exchange"
	"github.com/tidemark-io/tidemark/format"
	"github.com/tidemark-io/tidemark/store"
	"github.com/tidemark-io/tidemark/store/faults"
)

// setup is a configuration of the engine with what was opened for it.
type setup struct {
	config engine.Config
	stores []place.Root
	// stale are spill files of earlier runs. They can be deleted when this run
	// holds the root.
	stale []string
}

// prepare makes the engine's configuration of the settings and opens the stores
// it names. After an error nothing is left open.
func prepare(ctx context.Context, s config.Settings, values []config.Value) (*setup, error) {
	u := &setup{config: engine.Config{
		Parallelism: s.Job.Parallelism, KeyGroups: s.Job.KeyGroups, DisableChaining: !s.Job.Chaining,
		Exchange: exchange.Config{
			Exchange: exchange.Mode(s.Network.Exchange), BufferSize: int(s.Network.SegmentSize), BuffersPerChannel: s.Network.BuffersPerChannel,
			FloatingPerGate: s.Network.FloatingPerGate, MaxPerChannel: s.Network.MaxPerChannel, MaxOverdraft: s.Network.OverdraftPerGate,
			SpillMemory: s.Spill.Memory, SpillDisk: s.Spill.Disk, SpillDir: spillDir(s.Checkpoints.Dir), MaxFrame: exchange.DefaultConfig().MaxFrame,
			Debloat: debloat(s.Network),
		},
		BufferTimeout: bufferTimeout(s.Network), StuckAfter: s.Job.StuckAfter,
	}}
	if s.Restart.Strategy == "fixed-delay" {
		u.config.Restart = engine.RestartConfig{Attempts: s.Restart.Attempts, Delay: s.Restart.Delay}
	}
	for _, v := range values {
		u.config.Settings = append(u.config.Settings, format.Setting{Key: v.Key, Value: v.Value, Origin: v.Origin.String()})
	}
	if err := u.open(ctx, s); err != nil {
		u.close()
		return nil, err
	}
	return u, nil
}

// debloat bounds the sizes of debloating by that of a buffer, since their
// defaults may be larger than a small one.
func debloat(n config.Network) exchange.Debloat {
	d := n.Debloat
	return exchange.Debloat{
		Enabled: d.Enabled, Target: d.Target, Period: d.Period, Samples: d.Samples, Threshold: d.Threshold,
		MinSize: int(min(d.MinSize, n.SegmentSize)), StartSize: int(min(d.StartSize, n.SegmentSize)),
	}
}

// bufferTimeout turns Flink's meaning of 0, send each record, into the engine's
// smallest time, since there 0 stands for the default.
func bufferTimeout(n config.Network) time.Duration {
	switch {
	case n.BufferTimeoutOff:
		return -1
	case n.BufferTimeout == 0:
		return 1
	}
	return n.BufferTimeout
}

// open opens the checkpoint root, which is created if it is absent, and what is to
// be restored. Without a root the job runs without checkpoints, but may still be
// restored from one.
func (u *setup) open(ctx context.Context, s config.Settings) error {
	c := s.Checkpoints
	if c.Dir == "" {
		if s.Restore.From == "latest" {
			return usage("--restore latest needs --checkpoint-dir")
		}
		return u.restore(ctx, s.Restore, "")
	}
	root, err := u.root(ctx, c.Dir, true)
	if err != nil {
		return err
	}
	var st store.Store = root
	if c.StoreFaults != "" {
		if st, err = faults.Wrap(root, c.StoreFaults); err != nil {
			return usage("tidemark.store.faults: %w", err)
		}
	}
	u.config.Checkpoints = engine.CheckpointConfig{
		Store: st, Interval: c.Interval, Timeout: c.Timeout, MinPause: c.MinPause, TolerableFailures: c.TolerableFailures,
		Unaligned: c.Unaligned, ForceUnaligned: c.Forced, PointwiseByKey: c.PointwiseByKey, AlignedTimeout: c.AlignedTimeout, AtLeastOnce: c.AtLeastOnce,
		Incremental: c.Incremental, Retained: c.NumRetained, History: historySize(c.History), Compression: c.Compression, Software: "tidemark " + newVersion().Version, Location: c.Dir,
	}
	u.stale, _ = filepath.Glob(filepath.Join(spillDir(c.Dir), "exchange-*.spill"))
	return u.restore(ctx, s.Restore, c.Dir)
}

// restore finds the checkpoint to start from. One of the job's own root is named
// within it, because restoring an older one starts a new lineage there. One of
// another root is read through a store of its own and never referenced by the
// checkpoints to come (R13).
func (u *setup) restore(ctx context.Context, r config.Restore, dir string) error {
	u.config.Restore = engine.RestoreConfig{Fallback: r.Fallback, RollbackOutput: r.RollbackOutput, AllowNonRestoredState: r.AllowNonRestored, Claim: engine.ClaimMode(r.Claim),
		WithoutInFlight: uint64(max(r.WithoutInFlight, 0)), OnCorruptChannelState: engine.CorruptPolicy(r.OnCorrupt)}
	if r.From == "" || r.From == "latest" {
		u.config.Restore.From = r.From
		return nil
	}
	path := place.Clean(filepath.ToSlash(r.From))
	if !place.IsAddress(path) {
		if err := checkLocal(path, r.From); err != nil {
			return err
		}
		abs, err := filepath.Abs(path)
		if err != nil {
			return err
		}
		path = abs
	}
	parent, name := place.Split(path)
	u.config.Restore.From = name
	if dir != "" && same(parent, dir) {
		return nil
	}
	if u.config.Restore.Claim == engine.Claim {
		return usage("execution.state-recovery.claim-mode: CLAIM is for checkpoints below --checkpoint-dir; %s lies elsewhere and is never referred to or removed: use NO_CLAIM", r.From)
	}
	st, err := u.root(ctx, parent, false)
	if err != nil {
		return err
	}
	u.config.Restore.External = st
	return nil
}

// checkLocal says early what a user often gets wrong about a local path.
func checkLocal(path, given string) error {
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("%s: %w; \"tidemark ls\" lists a root's checkpoints", given, checkpoint.ErrNone)
	}
	if _, _, ok := layout.ParseDir(filepath.Base(path)); !ok && isRoot(path) {
		return usage("%s is a root, not a checkpoint: name one of those that \"tidemark ls %s\" lists, or --checkpoint-dir %s --restore latest", given, path, path)
	}
	return nil
}

// isRoot tells whether a directory holds checkpoints rather than being one.
func isRoot(dir string) bool {
	if _, err := os.Stat(filepath.Join(dir, layout.Manifest)); err == nil {
		return false
	}
	below, _ := filepath.Glob(filepath.Join(dir, "*", layout.Manifest))
	return len(below) > 0
}

// same tells whether two paths are one directory, or two addresses one place.
func same(a, b string) bool {
	if place.IsAddress(a) || place.IsAddress(b) {
		return strings.TrimRight(a, "/") == strings.TrimRight(b, "/")
	}
	x, err := os.Stat(a)
	if err != nil {
		return false
	}
	y, err := os.Stat(b)
	return err == nil && os.SameFile(x, y)
}

// root opens a store that is closed with the setup.
func (u *setup) root(ctx context.Context, dir string, create bool) (store.Store, error) {
	// A signal ends the job gracefully, which takes reading.
	st, err := place.OpenRoot(context.WithoutCancel(ctx), dir, create)
	if err != nil {
		return nil, err
	}
	u.stores = append(u.stores, st)
	return st, nil
}

// sweep deletes what earlier runs spilled. The job has started, so this run
// holds the root and they are gone.
func (u *setup) sweep() {
	for _, f := range u.stale {
		_ = os.Remove(f) // only garbage; the next run tries again
	}
}

func (u *setup) close() {
	for _, st := range u.stores {
		_ = st.Close() // read from or synced already
	}
}

// historySize is the engine's number of records for the user's: 0 stands for none
// here, and for the engine's choice there.
func historySize(n int) int {
	if n == 0 {
		return -1
	}
	return n
}
