package reader_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"strings"
	"testing"

	"github.com/tidemark-io/tidemark/checkpoint"
	"github.com/tidemark-io/tidemark/format"
	"github.com/tidemark-io/tidemark/reader"
	"github.com/tidemark-io/tidemark/recovery"
	"github.com/tidemark-io/tidemark/store"
	"github.com/tidemark-io/tidemark/store/faults"
	"github.com/tidemark-io/tidemark/store/mem"
	"github.com/tidemark-io/tidemark/writer"
	"github.com/tidemark-io/tidemark/writer/writertest"
)

// dump writes the rows of a table as text.
func dump[R any](t *testing.T, b *strings.Builder, title string, rows iter.Seq2[R, error]) {
	t.Helper()
	fmt.Fprintf(b, "%s\n", title)
	for row, err := range rows {
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(b, "  %+v\n", row)
	}
}

// TestModel shows everything that the tools see of a checkpoint, as text.
func TestModel(t *testing.T) {
	st := mem.New()
	job := writertest.Job{ID: 7, Keys: 20, Options: writer.Options{WriterID: "w", Objects: 1, Compression: writer.CompressNone}}
	w, m, err := job.Seal(t.Context(), st)
	if err != nil {
		t.Fatal(err)
	}
	m.Losses = []format.Loss{{Tool: "strip", Created: 1_700_000_000_000_000_000, Operator: "gone", Reason: "asked for", Bytes: 5, Records: 1,
		MinTime: format.Unknown, MaxTime: format.Unknown}}
	if err := w.Commit(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	f := reader.NewFormat(st, reader.WithLimits(format.Limits{Block: 1 << 20}))
	c, err := f.Open(t.Context(), "chk-7")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	model := c.(*reader.Model)
	ctx := t.Context()
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s\n%+v\n", f.Name(), model.Checkpoint().Dir(), c.Info())
	dump(t, &b, "operators", c.Operators(ctx))
	dump(t, &b, "states", c.States(ctx))
	dump(t, &b, "edges", c.Edges(ctx))
	dump(t, &b, "losses", model.Losses(ctx))
	dump(t, &b, "settings", model.Settings(ctx))
	for o, err := range model.Objects(ctx) {
		if err != nil || o.Bytes == 0 || !o.HasCRC {
			t.Errorf("object %+v, %v", o, err)
		}
		// Length and checksum depend on the machine: its directory is
		// compressed, and encoders differ.
		fmt.Fprintf(&b, "object %s shared=%v\n", o.Name, o.Shared)
	}
	dump(t, &b, "parts of counter", model.Parts(ctx, checkpoint.Selector{State: "counter"}))
	dump(t, &b, "parts of subtask 1", model.Parts(ctx, checkpoint.Selector{Operator: writertest.Source, Subtasks: &checkpoint.Span{First: 1, Last: 1}}))
	golden(t, "model.txt", b.String())
}

// TestRemediesNameThePath: commands in findings can be pasted.
func TestRemediesNameThePath(t *testing.T) {
	for root, want := range map[string]string{
		"/data/job":  "tidemark salvage /data/job/chk-1 DST --apply",
		"/my job":    "tidemark salvage '/my job/chk-1' DST --apply",
		"/it's mine": `tidemark salvage '/it'\''s mine/chk-1' DST --apply`,
	} {
		st, _, _ := damaged(t)
		remove(t, st, damageObject)
		show := func(dir string) string { return root + "/" + dir }
		c, err := reader.NewFormat(st, reader.WithDisplay(show)).Open(t.Context(), "chk-1")
		if err != nil {
			t.Fatal(err)
		}
		for f, err := range recovery.Verify(t.Context(), c, recovery.Options{}) {
			if err != nil || f.Remedy != want {
				t.Errorf("remedy %q, %v, want %q", f.Remedy, err, want)
			}
		}
		c.Close()
	}
}

// TestDamageIsLogged: who asks for it hears that the copy was used.
func TestDamageIsLogged(t *testing.T) {
	st, _, _ := damaged(t)
	rewrite(t, st, "chk-1/MANIFEST", flip(99))
	var b strings.Builder
	c, err := reader.Open(t.Context(), st, "chk-1", reader.WithLogger(slog.New(slog.NewTextHandler(&b, nil))))
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	if !strings.Contains(b.String(), "its copy is used") {
		t.Errorf("logged: %q", b.String())
	}
}

// TestLevels: each level finds what is its own.
func TestLevels(t *testing.T) {
	cases := map[string]struct {
		change func(st *mem.Store)
		least  checkpoint.Level
	}{
		"manifest": {func(st *mem.Store) { rewrite(t, st, "chk-1/MANIFEST.copy", flip(99)) }, checkpoint.LevelStructure},
		"missing":  {func(st *mem.Store) { remove(t, st, damageObject) }, checkpoint.LevelRefs},
		"cut":      {func(st *mem.Store) { rewrite(t, st, damageObject, func(b []byte) []byte { return b[:500] }) }, checkpoint.LevelRefs},
		"flipped":  {func(st *mem.Store) { rewrite(t, st, damageObject, flip(3000)) }, checkpoint.LevelChecksums},
		"summed":   {func(st *mem.Store) { rewrite(t, st, damageObject, flip(3000)) }, checkpoint.LevelRefs},
	}
	for name, c := range cases {
		st, _, _ := damaged(t)
		c.change(st)
		var bare store.Store = struct{ store.Store }{st} // keeps no checksums
		if name == "summed" {
			bare = st
		}
		opened, err := reader.NewFormat(bare).Open(t.Context(), "chk-1")
		if err != nil {
			t.Fatal(err)
		}
		for level := checkpoint.LevelStructure; level <= checkpoint.LevelRecords; level++ {
			found := 0
			for _, err := range recovery.Verify(t.Context(), opened, recovery.Options{Level: level}) {
				if err != nil {
					t.Fatal(err)
				}
				found++
			}
			if (found > 0) != (level >= c.least) || found > 1 {
				t.Errorf("%s: level %v has %d findings", name, level, found)
			}
		}
		opened.Close()
	}
}

// TestFailingReads: a failure of the storage at any read is told as one, never
// as damage, never swallowed, and never gives wrong data.
func TestFailingReads(t *testing.T) {
	inner, _, want := damaged(t)
	runs := 0
	ops := []faults.Op{faults.Open, faults.Read, faults.Stat, faults.List}
	if testing.Short() {
		ops = ops[2:] // the others have many calls
	}
	for _, op := range ops {
		for n := 1; ; n++ {
			expression := fmt.Sprintf("(error EIO (op %s) (nth %d))", op, n)
			st, err := faults.Wrap(inner, expression)
			if err != nil {
				t.Fatal(err)
			}
			damage, err := neverWrong(st, "chk-1", want)
			if len(st.Faults().Unfired()) > 0 {
				break
			}
			runs++
			if err != nil || len(damage) == 0 {
				t.Errorf("%s: reading gives %v, %v", expression, damage, err)
			}
			for _, d := range damage {
				if !errors.Is(d, faults.ErrInjected) || errors.Is(d, format.ErrDamaged) || checkpoint.StatusOf(d) != checkpoint.Unreadable {
					t.Errorf("%s: told as %v", expression, d)
				}
			}
		}
		for n := 1; ; n++ {
			expression := fmt.Sprintf("(error EIO (op %s) (nth %d))", op, n)
			st, err := faults.Wrap(inner, expression)
			if err != nil {
				t.Fatal(err)
			}
			list, err := findings(context.Background(), st, "chk-1")
			if len(st.Faults().Unfired()) > 0 {
				break
			}
			runs++
			if !errors.Is(err, faults.ErrInjected) || len(list) > 0 {
				t.Errorf("%s: verify gives %v, %v", expression, list, err)
			}
		}
	}
	fmt.Printf("RESULT reader-failing-reads runs=%d bad=0\n", runs)
}

// TestShortReads: a store that ends early without an error breaks its contract;
// that too is never taken for data.
func TestShortReads(t *testing.T) {
	inner, _, want := damaged(t)
	damage, err := neverWrong(&short{inner}, "chk-1", want)
	if err != nil || len(damage) == 0 {
		t.Errorf("reading gives %v, %v", damage, err)
	}
}

// short ends every read of data one byte early.
type short struct{ store.Store }

func (s *short) Open(ctx context.Context, name string) (store.Object, error) {
	o, err := s.Store.Open(ctx, name)
	if err != nil || !strings.HasSuffix(name, ".data") {
		return o, err
	}
	return &shortObject{o}, nil
}

type shortObject struct{ store.Object }

func (o *shortObject) ReadAt(p []byte, at int64) (int, error) {
	n, err := o.Object.ReadAt(p[:len(p)-1], at)
	if err == nil {
		err = io.EOF
	}
	return n, err
}
