package filesink

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/tidemark-io/tidemark/engine"
)

// TestBackground overlaps everything that the engine may overlap: records and
// the next Prepare while earlier checkpoints are made durable, publishing in
// between, and some checkpoints given up. Run it under the race detector.
func TestBackground(t *testing.T) {
	dir := t.TempDir()
	w := open(t, NewJSONL(dir, Options[int]{RollBytes: 40}), engine.SinkContext{})
	if err := w.Recover(ctx, nil); err != nil {
		t.Fatal(err)
	}
	type done struct {
		id  uint64
		err error
	}
	const checkpoints, perCheckpoint = 40, 50
	results := make(chan done, checkpoints)
	committed := func(d done) {
		if d.err != nil {
			t.Fatal(d.err)
		}
		if d.id%3 != 0 || d.id == checkpoints { // every third is given up
			if err := w.Publish(ctx, d.id); err != nil {
				t.Fatal(err)
			}
		}
	}
	running, next := 0, 0
	for id := uint64(1); id <= checkpoints; id++ {
		for range perCheckpoint {
			write(t, w, next)
			next++
		}
		finish, err := w.Prepare(id)
		if err != nil {
			t.Fatal(err)
		}
		running++
		go func() {
			_, err := finish(ctx)
			results <- done{id, err}
		}()
		if running > 2 {
			committed(<-results)
			running--
		}
	}
	last := done{}
	for ; running > 0; running-- {
		d := <-results
		if d.id == checkpoints {
			last = d // its Publish comes last, as the engine's would
			continue
		}
		committed(d)
	}
	committed(last)
	got := visible(t, dir)
	if len(got) != next || got[0] != 0 || got[next-1] != next-1 {
		t.Errorf("%d records are visible, want %d", len(got), next)
	}
	equal(t, "pending", names(t, filepath.Join(dir, pendingDir)))
}

// TestWithdrawAtEveryStep kills the withdrawal before each of its changes and
// repeats it.
func TestWithdrawAtEveryStep(t *testing.T) {
	points := 0
	for at := 0; ; at++ {
		dir := filepath.Join(t.TempDir(), fmt.Sprint(at))
		w := open(t, NewJSONL(dir, Options[int]{}), engine.SinkContext{})
		for id := uint64(1); id <= 3; id++ {
			write(t, w, int(id))
			prepare(t, w, id)
			if err := w.Publish(ctx, id); err != nil {
				t.Fatal(err)
			}
		}
		w.Close()
		d, err := openExisting(dir)
		if err != nil {
			t.Fatal(err)
		}
		m := &machine{t: t, dir: dir, at: at, gone: map[int][]byte{}}
		d.hook = m.hook
		_, err = d.withdraw([]string{"abc"}, 1)
		d.root.Close()
		if _, again := WithdrawAfter(dir, []string{"abc"}, 1); again != nil {
			t.Fatal(again)
		}
		equal(t, "left", visible(t, dir), 1)
		equal(t, "withdrawn", names(t, filepath.Join(dir, withdrawnDir)),
			"abc-out-c00000002-r1-s00-0000.jsonl", "abc-out-c00000003-r1-s00-0000.jsonl")
		if err == nil {
			break
		}
		points++
	}
	fmt.Printf("RESULT filesink-withdraw points=%d lost=0 doubled=0\n", points)
}
