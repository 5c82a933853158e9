package engine_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/tidemark-io/tidemark/checkpoint"
	"github.com/tidemark-io/tidemark/checkpoint/layout"
	"github.com/tidemark-io/tidemark/engine"
	"github.com/tidemark-io/tidemark/engine/codec"
	"github.com/tidemark-io/tidemark/engine/connector/collect"
	"github.com/tidemark-io/tidemark/engine/connector/discard"
	"github.com/tidemark-io/tidemark/keygroup"
	"github.com/tidemark-io/tidemark/keygroup/keyhash"
	"github.com/tidemark-io/tidemark/reader"
	"github.com/tidemark-io/tidemark/recovery"
	"github.com/tidemark-io/tidemark/store"
	"github.com/tidemark-io/tidemark/store/crashsim"
	"github.com/tidemark-io/tidemark/store/mem"
)

// keysOfGroups sorts the first n keys by their key group.
func keysOfGroups(t *testing.T, n int64, groups int) [][]int64 {
	t.Helper()
	c, err := codec.Of[int64]()
	if err != nil {
		t.Fatal(err)
	}
	by := make([][]int64, groups)
	for k := range n {
		g := keygroup.Of(keyhash.Of(c.Append(nil, k)), groups)
		by[g] = append(by[g], k)
	}
	return by
}

// stored is the number of bytes below a root.
func stored(t *testing.T, st store.Store) (bytes int64) {
	t.Helper()
	for info, err := range st.List(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		bytes += info.Size
	}
	return bytes
}

// verifyAll verifies all visible checkpoints of a root and that nothing lies in
// its shared folder that none of them uses, and returns their paths.
func verifyAll(ctx context.Context, st store.Store) (paths []string, err error) {
	dirs, err := reader.Dirs(ctx, st, "")
	if err != nil {
		return nil, err
	}
	used := map[string]bool{}
	for _, d := range dirs {
		if !d.Manifest {
			continue
		}
		paths = append(paths, d.Path)
		ck, err := reader.Open(ctx, st, d.Path)
		if err != nil {
			return nil, err
		}
		for f, err := range recovery.Verify(ctx, reader.NewModel(ck), recovery.Options{Workers: 1}) {
			if err == nil && f.Severity == checkpoint.Error {
				err = fmt.Errorf("%s: %v %s: %w", d.Path, f.Place, f.Problem, f.Err)
			}
			if err != nil {
				return nil, errors.Join(err, ck.Close())
			}
		}
		objects, err := ck.Objects()
		if err != nil {
			return nil, errors.Join(err, ck.Close())
		}
		for _, o := range objects {
			used[o.Name] = true
			if d.Savepoint && strings.HasPrefix(o.Name, layout.Shared+"/") {
				return nil, fmt.Errorf("%s refers to %s", d.Path, o.Name)
			}
		}
		if err := ck.Close(); err != nil {
			return nil, err
		}
	}
	for info, err := range st.List(ctx, layout.Shared+"/") {
		if err != nil {
			return nil, err
		}
		if !used[info.Name] {
			return paths, fmt.Errorf("%s: %w", info.Name, errUnused)
		}
	}
	return paths, nil
}

var errUnused = errors.New("no checkpoint uses it")

// One key group in a hundred is touched between two checkpoints: at
// most 3 % of what a whole one takes in a checkpoint, and 5 % in the mean are written,
// over 50 of them the root does not grow beyond a bound, and after each removal of
// an old one all that are visible are intact.
func TestIncrementalBytes(t *testing.T) {
	const n, groups, chain = 100_000, 100, 50
	by := keysOfGroups(t, n, groups)
	const each = 300 // records of one key group between two checkpoints
	src := newSeries(1, n+chain*each+1, n, func(_ int, i uint64) numbered {
		key := int64(i)
		if i >= n {
			g := by[(i-n)/each*37%groups]
			key = g[i%uint64(len(g))]
		}
		return numbered{Seq: int64(i), Key: key}
	})
	st, out := mem.New(), collect.New[counted]()
	cfg := engine.Config{Parallelism: 2, KeyGroups: groups, Checkpoints: engine.CheckpointConfig{Store: st, Incremental: true, Retained: 2}}
	var first, sum, most, full int64
	cfg.Observer = &recorder{on: func(e engine.Event) {
		trigger, ok := e.(engine.CheckpointTriggered)
		if !ok || trigger.ID == 1 {
			return
		}
		// Retention after the one before is over, nothing is written yet.
		paths, err := verifyAll(t.Context(), st)
		if err != nil || len(paths) != min(2, int(trigger.ID)-1) {
			t.Errorf("before %s: %v, %v", trigger.Path, paths, err)
		}
		after := stored(t, st)
		if trigger.ID == 2 {
			full = after
		}
		most = max(most, after)
	}}
	job := start(t, countJob(src, out, nil), cfg)
	src.rest()
	take(t, job)
	for i := range chain {
		src.raise(each)
		src.rest()
		wrote := written(t, st, take(t, job).Path)
		if i == 0 {
			first = wrote
		}
		sum += wrote
	}
	// Some write more: what is left of an object when less than half is used.
	share, mean := float64(first)/float64(full), float64(sum)/chain/float64(full)
	if share > 0.03 || mean > 0.05 {
		t.Errorf("for one key group of %d %.4f, and in the mean %.4f, of the %d bytes of all were written", groups, share, mean, full)
	}
	if most > 2*full+full/2 {
		t.Errorf("the root grew to %d bytes, a whole checkpoint has %d", most, full)
	}
	job.Cancel(nil)
	<-job.Done()
	src.free()
	cfg.Restore, cfg.Observer = latest, nil
	cfg.Parallelism = 3
	job = start(t, countJob(src, out, nil), cfg)
	if err := job.Wait(); err != nil {
		t.Fatal(err)
	}
	seen := map[int64]int64{}
	for _, r := range out.Records() {
		seen[r.Key] = max(seen[r.Key], r.N)
	}
	want := map[int64]int64{}
	for i := range uint64(n + chain*each + 1) {
		want[src.make(0, i).Key]++
	}
	for k, n := range want {
		if seen[k] != n {
			t.Fatalf("key %d was counted to %d, want %d", k, seen[k], n)
		}
	}
	t.Logf("RESULT TestIncrementalBytes whole=%d first-increment=%d share=%.4f mean=%.4f checkpoints=%d most=%d lost=0", full, first, share, mean, chain+1, most)
}

// written is how much a checkpoint wrote itself: its own objects, and those of
// the shared folder that carry its writer's id.
func written(t *testing.T, st store.Store, path string) (bytes int64) {
	t.Helper()
	ck, err := reader.Open(t.Context(), st, path)
	if err != nil {
		t.Fatal(err)
	}
	defer ck.Close()
	for info, err := range st.List(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(info.Name, path+"/") || layout.DataWriter(info.Name) == ck.Summary().WriterID {
			bytes += info.Size
		}
	}
	return bytes
}

// A run that continues a line of checkpoints refers to them, at another
// parallelism too; one that begins a new line, or comes from another root, writes
// everything. What changed before a checkpoint that failed is in the next one.
func TestIncrementalAfterRestore(t *testing.T) {
	const n, groups = 5_000, 50
	by := keysOfGroups(t, n, groups)
	src := newSeries(1, 1<<40, n, func(_ int, i uint64) numbered {
		key := int64(i)
		if i >= n {
			key = by[7][i%uint64(len(by[7]))]
		}
		return numbered{Seq: int64(i), Key: key}
	})
	st := mem.New()
	begin := func(from string, external store.Store, parallelism int) *engine.Job {
		cfg := engine.Config{Parallelism: parallelism, KeyGroups: groups,
			Checkpoints: engine.CheckpointConfig{Store: st, Incremental: true, Retained: 20},
			Restore:     engine.RestoreConfig{From: from, External: external}}
		return start(t, countJob(src, discard.New[counted](), nil), cfg)
	}
	next := func(job *engine.Job) (path string, share float64) {
		src.raise(10)
		src.rest()
		path = take(t, job).Path
		return path, float64(written(t, st, path)) / float64(written(t, st, "chk-1"))
	}
	end := func(job *engine.Job) {
		job.Cancel(nil)
		<-job.Done()
	}
	job := begin("", nil, 2)
	src.rest()
	take(t, job)
	if path, share := next(job); share > 0.5 {
		t.Errorf("%s wrote %.2f of a whole checkpoint", path, share)
	}
	save, err := job.Savepoint(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	end(job)
	for _, c := range []struct {
		from        string
		external    store.Store
		parallelism int
		whole       bool
	}{
		{from: "latest", parallelism: 2},
		{from: "latest", parallelism: 5},
		{from: "chk-2", parallelism: 2, whole: true}, // not the newest: another line
		{from: save.Path, parallelism: 2, whole: true},
		{from: "chk-1", external: st, parallelism: 2, whole: true},
	} {
		job := begin(c.from, c.external, c.parallelism)
		path, share := next(job)
		if whole := share > 0.9; whole != c.whole {
			t.Errorf("from %s at parallelism %d: %s wrote %.2f of a whole checkpoint", c.from, c.parallelism, path, share)
		}
		if path, share = next(job); share > 0.5 {
			t.Errorf("from %s: %s wrote %.2f of a whole checkpoint", c.from, path, share)
		}
		end(job)
	}
	if _, err := verifyAll(t.Context(), st); err != nil {
		t.Error(err)
	}
}

// A disk that loses what was not synced, at any call of a job that writes
// incremental checkpoints and removes old ones: all that is visible afterwards is
// whole, and what was promised and not removed is visible.
func TestIncrementalCrashes(t *testing.T) {
	const groups = 8
	type promise struct{ there, removed map[string]bool }
	scenario := func(d *crashsim.Disk) any {
		p := promise{map[string]bool{}, map[string]bool{}}
		rec := &recorder{on: func(e engine.Event) {
			if c, ok := e.(engine.CheckpointCompleted); ok && !d.Crashed() {
				p.there[c.Path] = true
			}
		}}
		src := newSeries(1, 1<<40, 40, func(_ int, i uint64) numbered {
			if i >= 40 {
				return numbered{Seq: int64(i), Key: int64(i / 2 % 3)}
			}
			return numbered{Seq: int64(i), Key: int64(i)}
		})
		cfg := quick(t, engine.Config{KeyGroups: groups, Observer: rec,
			Checkpoints: engine.CheckpointConfig{Store: d.Store(), Incremental: true, Retained: 1, Objects: 1, NoLock: true}})
		job, err := engine.Start(t.Context(), countJob(src, discard.New[counted](), nil), cfg)
		if err != nil {
			return p
		}
		for range 4 {
			if _, err := job.Checkpoint(t.Context()); err != nil {
				break
			}
			src.raise(2)
		}
		job.Cancel(nil)
		<-job.Done()
		return p
	}
	tally, err := crashsim.Crashes(1, nil, scenario, func(c crashsim.Crash) error {
		paths, err := verifyAll(context.Background(), c.Disk.Store())
		if err != nil && !errors.Is(err, errUnused) { // what nobody uses is for gc
			return err
		}
		highest := ""
		for path := range c.Result.(promise).there {
			highest = max(highest, path) // the ids have one digit
		}
		if highest != "" && (len(paths) == 0 || paths[len(paths)-1] < highest) {
			return fmt.Errorf("%s was promised, visible are %v", highest, paths)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	t.Logf("RESULT TestIncrementalCrashes points=%d images=%d bad=%d", tally.Points, tally.Images, tally.Bad)
}
