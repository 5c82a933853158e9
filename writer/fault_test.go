package writer_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/tidemark-io/tidemark/format"
	"github.com/tidemark-io/tidemark/keygroup"
	"github.com/tidemark-io/tidemark/store"
	"github.com/tidemark-io/tidemark/store/faults"
	"github.com/tidemark-io/tidemark/store/mem"
	"github.com/tidemark-io/tidemark/writer"
	"github.com/tidemark-io/tidemark/writer/writertest"
)

// TestFaultsOfTheStore fails the n-th call of every kind, n = 1, 2, … until
// nothing fails any more: with an error, with one that may go away, and with a
// reply that is lost.
func TestFaultsOfTheStore(t *testing.T) {
	runs, understood := 0, 0
	for _, name := range chosen() {
		scenario := scenarios[name]
		for _, op := range faults.Ops() {
			for _, action := range []string{"error EIO", "transient", "lost"} {
				for n := 1; ; n++ {
					expression := fmt.Sprintf("(%s (op %s) (nth %d))", action, op, n)
					inner := mem.New()
					st, err := faults.Wrap(inner, expression)
					if err != nil {
						t.Fatal(err)
					}
					p := newTold()
					scenario(st, p)
					if len(st.Faults().Unfired()) > 0 {
						break
					}
					runs++
					if len(p.errs) == 0 {
						understood++
					}
					if err := p.check(inner); err != nil {
						t.Errorf("%s with %s: %v", name, expression, err)
					}
					// A single fault that may go away, or a lost reply, at a
					// small object's creation or at a removal is no failure.
					small := action != "error EIO" && (op == faults.Remove || op == faults.Stat)
					if small && len(p.errs) > 0 {
						t.Errorf("%s with %s: %v", name, expression, p.errs)
					}
				}
			}
		}
	}
	fmt.Printf("RESULT writer-faults scenarios=%d runs=%d bad=0 no_error_needed=%d\n", len(chosen()), runs, understood)
}

// TestLostRepliesOfTheManifest: whatever happens to the reply, Commit finds out
// that its manifest is there.
func TestLostRepliesOfTheManifest(t *testing.T) {
	for _, expression := range []string{
		`(lost (op commit) (name "*MANIFEST"))`,
		`(lost (op commit) (name "*MANIFEST.copy"))`,
		`(transient (op commit) (name "*MANIFEST") (count 3))`,
		`(lost (op commit) (name "*.data"))`,
	} {
		inner := mem.New()
		st, err := faults.Wrap(inner, expression)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := crashJob(1).Write(t.Context(), st); err != nil {
			t.Errorf("%s: %v", expression, err)
		}
		if st.Faults().Fired() == 0 {
			t.Errorf("%s did not fire", expression)
		}
		if err := whole(t.Context(), inner, 1); err != nil {
			t.Errorf("%s: %v", expression, err)
		}
		if id, ok, err := writer.Committed(t.Context(), inner, "chk-1"); id != "w1" || !ok || err != nil {
			t.Errorf("%s: Committed says %q, %v, %v", expression, id, ok, err)
		}
	}
}

// TestManyWritersOneWinner: of many writers of one id exactly one commits, and
// the others are told who.
func TestManyWritersOneWinner(t *testing.T) {
	const writers = 8
	rounds := 20
	if testing.Short() {
		rounds = 3
	}
	for round := range rounds {
		st := mem.New()
		var group sync.WaitGroup
		won := make([]bool, writers)
		errs := make([]error, writers)
		for i := range writers {
			group.Go(func() {
				job := writertest.Job{Keys: 5, Seed: uint64(i), Options: writer.Options{Objects: 1, WriterID: fmt.Sprintf("w%d", i)}}
				w, m, err := job.Seal(t.Context(), st)
				if err == nil {
					err = w.Commit(t.Context(), m)
				}
				won[i], errs[i] = err == nil, err
				if err != nil {
					if err := w.Abort(t.Context()); err != nil {
						t.Error(err)
					}
				}
			})
		}
		group.Wait()
		owner, ok, err := writer.Committed(t.Context(), st, "chk-1")
		if err != nil || ok != (count(won) == 1) || count(won) > 1 {
			t.Fatalf("round %d: %d winners, the manifest is of %q, %v", round, count(won), owner, err)
		}
		for i, err := range errs {
			var conflict *writer.ConflictError
			if err != nil && (!errors.Is(err, store.ErrExist) || !errors.As(err, &conflict) || conflict.Ours != fmt.Sprintf("w%d", i)) {
				t.Errorf("writer %d: %v", i, err)
			}
			if err == nil && owner != fmt.Sprintf("w%d", i) {
				t.Errorf("writer %d was told that it won, the manifest is of %q", i, owner)
			}
		}
		for _, name := range names(t, st) {
			if strings.HasSuffix(name, ".data") && !strings.HasPrefix(name, "chk-1/"+owner+"-") {
				t.Errorf("round %d: %s of a loser is left", round, name)
			}
		}
	}
}

// count counts what is true.
func count(list []bool) (n int) {
	for _, b := range list {
		if b {
			n++
		}
	}
	return n
}

// TestFence: a run that was fenced publishes nothing.
func TestFence(t *testing.T) {
	fenced := errors.New("a later run holds the root")
	for after := range 2 {
		st := mem.New()
		asked := 0
		job := writertest.Job{Keys: 5, Options: writer.Options{Fence: func(context.Context) error {
			if asked++; asked > after {
				return fenced
			}
			return nil
		}}}
		w, m, err := job.Seal(t.Context(), st)
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Commit(t.Context(), m); !errors.Is(err, fenced) {
			t.Errorf("fenced before step %d: %v", after, err)
		}
		if _, ok, err := writer.Committed(t.Context(), st, "chk-1"); ok || err != nil {
			t.Errorf("fenced before step %d: visible %v, %v", after, ok, err)
		}
		if err := w.Abort(t.Context()); err != nil || len(names(t, st)) > 0 {
			t.Errorf("after the abort: %v, %v", names(t, st), err)
		}
	}
}

// TestAbortWhileWriting: an abort from another goroutine ends all slices, and
// whoever waits for an object is woken.
func TestAbortWhileWriting(t *testing.T) {
	st := mem.New()
	w, err := writer.New(writer.Options{Store: st, Dir: "chk-1", ID: 1, Objects: 2, BlockSize: 1000})
	if err != nil {
		t.Fatal(err)
	}
	spec := writer.SliceSpec{Operator: "u", Parallelism: 1, Name: "s", Kind: format.KindSplitList, Interval: keygroup.All()}
	var group sync.WaitGroup
	begun := make(chan bool, 2)
	for range 5 { // two write, three wait
		group.Go(func() {
			s, err := w.Slice(context.Background(), spec)
			if err != nil {
				return
			}
			begun <- true
			for err == nil {
				err = s.Item(make([]byte, 500))
			}
			if _, err := s.Close(); err == nil {
				t.Error("a slice of an aborted checkpoint was closed without error")
			}
		})
	}
	<-begun
	<-begun
	if err := w.Abort(t.Context()); err != nil {
		t.Error(err)
	}
	group.Wait()
	if err := w.Seal(t.Context()); !errors.Is(err, writer.ErrState) {
		t.Errorf("Seal after Abort: %v", err)
	}
	if left := names(t, st); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

// TestCancelledContexts: waiting for an object ends with the context, and a
// cancelled Seal publishes nothing.
func TestCancelledContexts(t *testing.T) {
	st := mem.New()
	w, err := writer.New(writer.Options{Store: st, Dir: "chk-1", ID: 1, Objects: 1})
	if err != nil {
		t.Fatal(err)
	}
	spec := writer.SliceSpec{Operator: "u", Parallelism: 1, Name: "s", Kind: format.KindSplitList, Interval: keygroup.All()}
	s, err := w.Slice(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := w.Slice(ctx, spec); !errors.Is(err, context.Canceled) {
		t.Errorf("waiting with a cancelled context: %v", err)
	}
	if _, err := s.Close(); err != nil {
		t.Errorf("the waiting of another spoiled the slice: %v", err)
	}
	if err := w.Seal(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Seal with a cancelled context: %v", err)
	}
	if err := w.Abort(t.Context()); err != nil || len(names(t, st)) > 0 {
		t.Errorf("Abort: %v, left %v", err, names(t, st))
	}
}

// TestDiscardIsCareful: only directories of checkpoints, only objects of ours.
func TestDiscardIsCareful(t *testing.T) {
	st := mem.New()
	for id := range uint64(2) {
		if _, err := crashJob(id+1).Write(t.Context(), st); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := store.WriteAll(t.Context(), st, "chk-1/notes.txt", nil); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{"", "chk", "shared", "chk-01", "runs/1"} {
		if err := writer.Discard(t.Context(), st, dir); err == nil {
			t.Errorf("%q was discarded", dir)
		}
	}
	for range 2 { // the second time there is nothing to do
		if err := writer.Discard(t.Context(), st, "chk-1"); err != nil {
			t.Fatal(err)
		}
	}
	if got := strings.Join(names(t, st), " "); got != "chk-1/notes.txt chk-2/MANIFEST chk-2/MANIFEST.copy chk-2/w2-0.data" {
		t.Errorf("left: %s", got)
	}
}

// TestCompression: what compresses is stored smaller, what does not is stored as
// it is, whatever the setting; the contents are the same.
func TestCompression(t *testing.T) {
	sizes := map[writer.Compression]uint64{}
	for _, setting := range []writer.Compression{writer.CompressAuto, writer.CompressNone, writer.CompressS2, writer.CompressZstd} {
		st := mem.New()
		job := writertest.Job{Keys: 2000, ValueSize: 400, Options: writer.Options{Compression: setting}}
		m, err := job.Write(t.Context(), st)
		if err != nil {
			t.Fatal(err)
		}
		sizes[setting] = m.Summary.StateBytes
	}
	if sizes[writer.CompressZstd] >= sizes[writer.CompressNone] || sizes[writer.CompressS2] > sizes[writer.CompressNone] || sizes[writer.CompressAuto] > sizes[writer.CompressNone] {
		t.Errorf("sizes by setting: %v", sizes)
	}
	fmt.Printf("RESULT writer-compression none=%d s2=%d auto=%d zstd=%d\n", sizes[writer.CompressNone], sizes[writer.CompressS2], sizes[writer.CompressAuto], sizes[writer.CompressZstd])
}
