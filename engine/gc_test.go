package engine_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/tidemark-io/tidemark/checkpoint"
	"github.com/tidemark-io/tidemark/engine"
	"github.com/tidemark-io/tidemark/engine/config"
	"github.com/tidemark-io/tidemark/engine/connector/discard"
	"github.com/tidemark-io/tidemark/format"
	"github.com/tidemark-io/tidemark/reader"
	"github.com/tidemark-io/tidemark/recovery"
	"github.com/tidemark-io/tidemark/store"
	"github.com/tidemark-io/tidemark/store/mem"
)

// collectGarbage deletes what no checkpoint of a root uses, whatever its age.
func collectGarbage(ctx context.Context, st store.Store) (*recovery.Garbage, error) {
	f := reader.NewFormat(st)
	return recovery.GC(ctx, st, recovery.GCOptions{Apply: true, MinAge: time.Nanosecond, ParseTimeout: config.ParseDuration,
		Open: f.Open,
		List: func(ctx context.Context) (infos []checkpoint.Info, err error) {
			for info, err := range f.List(ctx, "") {
				if err != nil {
					return nil, err
				}
				infos = append(infos, info)
			}
			return infos, nil
		}})
}

// gc runs all the time while an incremental job is started, checkpoints, removes
// old checkpoints and is cancelled in the middle, again and again: what is
// visible never lacks an object, and what runs left behind goes with the next.
func TestCollectBesideAJob(t *testing.T) {
	const groups, n, runs = 16, 400, 6
	src := newSeries(1, 1<<40, n, func(_ int, i uint64) numbered { return numbered{Seq: int64(i), Key: int64(i) % n * int64(i/n+1) % n} })
	st := mem.New()
	ctx, cancel := context.WithCancel(t.Context())
	var passes, deleted, busy int
	var group sync.WaitGroup
	group.Go(func() {
		for ctx.Err() == nil {
			g, err := collectGarbage(ctx, st)
			deleted += g.Deleted
			switch {
			case err == nil:
				passes++
			case errors.Is(err, recovery.ErrBusy):
				busy++
			case errors.Is(err, checkpoint.ErrNone), ctx.Err() != nil:
			default:
				t.Error(err)
				return
			}
		}
	})
	put := func(name string) {
		if _, err := store.WriteAll(t.Context(), st, name, []byte("left behind")); err != nil {
			t.Error(err)
		}
	}
	checkpoints := 0
	for range runs {
		put("shared/" + time.Now().Format("150405.000000000") + "-0.data")
		job := start(t, countJob(src, discard.New[counted](), nil), engine.Config{Parallelism: 2, KeyGroups: groups, Restore: latest,
			Settings:    []format.Setting{{Key: "execution.checkpointing.timeout", Value: "1 ms", Origin: "test"}},
			Checkpoints: engine.CheckpointConfig{Store: st, Incremental: true, Retained: 2}})
		for i := range 5 {
			src.raise(7)
			if _, err := job.Checkpoint(t.Context()); err != nil {
				t.Fatal(err)
			}
			checkpoints++
			if i == 4 {
				src.raise(7)
				go job.Checkpoint(t.Context()) // the end comes in the middle of it
			}
		}
		job.Cancel(nil)
		<-job.Done()
		if _, err := verifyAll(t.Context(), st); err != nil && !errors.Is(err, errUnused) {
			t.Error(err)
		}
	}
	cancel()
	group.Wait()
	if deleted == 0 || passes == 0 {
		t.Errorf("%d objects deleted in %d passes", deleted, passes)
	}
	t.Logf("RESULT TestCollectBesideAJob runs=%d checkpoints=%d passes=%d busy=%d deleted=%d lost=0", runs, checkpoints, passes, busy, deleted)
}
