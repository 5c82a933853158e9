package native

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/tidemark-io/tidemark/checkpoint"
	"github.com/tidemark-io/tidemark/format"
	"github.com/tidemark-io/tidemark/store"
	"github.com/tidemark-io/tidemark/store/faults"
	"github.com/tidemark-io/tidemark/store/local"
	"github.com/tidemark-io/tidemark/store/mem"
	"github.com/tidemark-io/tidemark/writer/writertest"
)

// without removes the lines that have a text in them.
func without(lines []string, text string) []string {
	var rest []string
	for _, l := range lines {
		if !strings.Contains(l, text) {
			rest = append(rest, l)
		}
	}
	return rest
}

func selector(t *testing.T, text string) checkpoint.Selector {
	t.Helper()
	sel, err := checkpoint.ParseSelector(text)
	must(t, err)
	return sel
}

func TestStrip(t *testing.T) {
	st := mem.New()
	j := writertest.Job{Parallelism: 3, Keys: 60, Flight: 60}
	s := sample(t, st, j)
	want := contents(t, open(t, st, j.Dir()))
	drop := func(kind checkpoint.DropKind, sel string) checkpoint.Edit {
		return checkpoint.Edit{Command: "strip", Drop: []checkpoint.Drop{{Kind: kind, Selector: selector(t, sel)}}}
	}
	flight := "in flight " + writertest.Edge
	cases := []struct {
		name   string
		edit   checkpoint.Edit
		want   []string // nil: some of the in-flight data
		losses int
	}{
		{"all", drop(checkpoint.DropInFlight, ""), without(want, flight), 1},
		{"operator", drop(checkpoint.DropInFlight, "operator=count"), without(want, flight), 1},
		{"channel", drop(checkpoint.DropInFlight, "operator=count,channel=gate0/1"), nil, 1},
		{"subtask", drop(checkpoint.DropInFlight, "operator=count,subtask=0-1"), nil, 1},
		{"state", drop(checkpoint.DropState, "operator=count,state=windows"), without(want, "/windows/"), 1},
		{"source", drop(checkpoint.DropOperator, "operator=flights"), without(without(want, "flights/"), flight), 3},
	}
	for _, c := range cases {
		out := apply(t, st, j.Dir(), c.edit, c.name)
		m := open(t, st, c.name)
		verified(t, m)
		got := contents(t, m)
		if c.want != nil {
			same(t, c.name, got, c.want)
		} else {
			same(t, c.name+", state", without(got, flight), without(want, flight))
			left, had := len(got)-len(without(got, flight)), len(want)-len(without(want, flight))
			if left == 0 || uint64(had-left) != out.Losses[0].Records {
				t.Errorf("%s: %d of %d records are left, lost are %d", c.name, left, had, out.Losses[0].Records)
			}
		}
		losses, err := m.Checkpoint().Losses()
		must(t, err)
		if len(losses) != c.losses || len(out.Losses) != c.losses {
			t.Errorf("%s: %d losses in the manifest, %d told: %+v", c.name, len(losses), len(out.Losses), losses)
		}
	}
	all, err := open(t, st, "all").Checkpoint().Losses()
	must(t, err)
	if l := all[0]; l.Records != s.edges[0].InFlightRecords || l.Bytes == 0 || l.MinTime < 1000 || l.MaxTime <= l.MinTime || !strings.Contains(l.Reason, "9 channels") || !strings.Contains(l.Reason, "key groups") {
		t.Errorf("loss of all in-flight data: %+v", l)
	}
}

// TestStripOfDamage: what is left out may be damaged, what is kept is taken over.
func TestStripOfDamage(t *testing.T) {
	st := mem.New()
	j := writertest.Job{Parallelism: 2, Keys: 10} // its buffers hold no frames
	sample(t, st, j)
	if _, err := NewFormat(st).Apply(context.Background(), open(t, st, j.Dir()), to(3, 0), "wide", nil); !errors.Is(err, format.ErrDamaged) {
		t.Fatalf("rescaling torn in-flight data: %v, want damage", err)
	}
	nothingAt(t, st, "wide")
	out := apply(t, st, j.Dir(), checkpoint.Edit{Command: "strip", Drop: []checkpoint.Drop{{Kind: checkpoint.DropInFlight}}}, "clean")
	if !strings.Contains(out.Losses[0].Reason, "damaged") {
		t.Errorf("loss %+v does not speak of damage", out.Losses[0])
	}
	verified(t, open(t, st, "clean"))
	apply(t, st, "clean", to(5, 0), "wide")
	verified(t, open(t, st, "wide"))
}

func TestRemapRenamesConnections(t *testing.T) {
	st := mem.New()
	j := writertest.Job{Parallelism: 2, Keys: 20, Flight: 20}
	sample(t, st, j)
	swap := map[string]string{writertest.Source: writertest.Count, writertest.Count: writertest.Source}
	apply(t, st, j.Dir(), checkpoint.Edit{Rename: swap}, "swapped")
	m := open(t, st, "swapped")
	verified(t, m)
	edges, err := m.Checkpoint().Edges()
	must(t, err)
	if edges[0].ID != "count>flights#0" {
		t.Errorf("the connection is called %q", edges[0].ID)
	}
	apply(t, st, "swapped", checkpoint.Edit{Rename: swap}, "back")
	same(t, "there and back", contents(t, open(t, st, "back")), contents(t, open(t, st, j.Dir())))
}

// TestRefusesWhatCannotBeRedistributed: a connection whose partitioner says
// nothing about receivers, unless its data is stripped.
func TestRefusesWhatCannotBeRedistributed(t *testing.T) {
	for _, p := range []format.Partitioner{format.Forward, format.Rescale, format.Broadcast, format.Custom} {
		st := mem.New()
		j := writertest.Job{Parallelism: 2, Keys: 10, Flight: 20}
		w, m, err := j.Seal(context.Background(), st)
		must(t, err)
		m.Edges[0].Partitioner = p
		must(t, w.Commit(context.Background(), m))
		src, edit := open(t, st, j.Dir()), to(3, 0)
		edit.External = checkpoint.ExternalKeep
		var refused *checkpoint.RefusedError
		if _, err := NewFormat(st).Plan(context.Background(), src, edit, "wide"); !errors.As(err, &refused) || !strings.Contains(err.Error(), "--strip") {
			t.Fatalf("partitioner %d: %v, want a refusal that names --strip", p, err)
		}
		edit.Drop = []checkpoint.Drop{{Kind: checkpoint.DropInFlight, Selector: refused.Reasons[0].Place.Selector()}}
		_, err = NewFormat(st).Apply(context.Background(), src, edit, "wide", nil)
		must(t, err)
		verified(t, open(t, st, "wide"))
	}
}

// nothingAt requires that no object lies below a directory.
func nothingAt(t *testing.T, st store.Store, dir string) {
	t.Helper()
	for info, err := range st.List(context.Background(), dir+"/") {
		must(t, err)
		t.Errorf("%s is left", info.Name)
	}
}

// TestFailuresLeaveNothing fails each operation of the store in turn.
func TestFailuresLeaveNothing(t *testing.T) {
	failed := 0
	for _, rule := range []string{"(error ENOSPC (create %d))", "(error EIO (write %d))", "(error EIO (commit %d))", "(error EIO (link %d))",
		"(error EIO (list %d))", "(error EIO (open %d))", "(lost (commit %d))", "(lost (link %d))"} {
		for nth := 1; nth < 6; nth++ {
			st, err := local.Open(t.TempDir(), local.WithCreate())
			must(t, err)
			j := writertest.Job{Parallelism: 2, Keys: 20, Flight: 20}
			sample(t, st, j)
			bad, err := faults.Wrap(st, fmt.Sprintf(rule, nth))
			if err != nil {
				t.Fatal(err)
			}
			edit := to(3, 0)
			edit.External = checkpoint.ExternalKeep
			src, err := NewFormat(bad).Open(context.Background(), j.Dir())
			if err == nil {
				_, err = NewFormat(bad).Apply(context.Background(), src, edit, "wide", nil)
				must(t, src.Close())
			}
			if err != nil {
				failed++
				nothingAt(t, st, "wide")
			} else {
				verified(t, open(t, st, "wide"))
			}
			t.Cleanup(func() { _ = st.Close() })
		}
	}
	if failed < 8 {
		t.Errorf("only %d operations failed", failed)
	}
	t.Logf("RESULT TestFailuresLeaveNothing failed=%d", failed)
}

// TestCancelLeavesNothing ends the context at each report of progress.
func TestCancelLeavesNothing(t *testing.T) {
	from, into := mem.New(), mem.New()
	j := writertest.Job{Parallelism: 2, Keys: 30_000, ValueSize: 100}
	sample(t, from, j)
	src := open(t, from, j.Dir())
	stop := errors.New("stop")
	for at := 1; ; at++ {
		ctx, cancel := context.WithCancelCause(context.Background())
		n := 0
		_, err := NewFormat(into).Apply(ctx, src, checkpoint.Edit{External: checkpoint.ExternalKeep}, "copy", func(checkpoint.Progress) {
			if n++; n == at {
				cancel(stop)
			}
		})
		cancel(nil)
		if n < at {
			must(t, err)
			verified(t, open(t, into, "copy"))
			t.Logf("RESULT TestCancelLeavesNothing cancelled=%d", at-1)
			return
		}
		if !errors.Is(err, stop) {
			t.Fatalf("cancelled at report %d: %v", at, err)
		}
		nothingAt(t, into, "copy")
	}
}
