package native

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/tidemark-io/tidemark/checkpoint"
	"github.com/tidemark-io/tidemark/format"
	"github.com/tidemark-io/tidemark/keygroup"
	"github.com/tidemark-io/tidemark/reader"
	"github.com/tidemark-io/tidemark/recovery"
	"github.com/tidemark-io/tidemark/rescale"
	"github.com/tidemark-io/tidemark/store"
)

// open opens a checkpoint of a store, until the test ends.
func open(t *testing.T, st store.Store, dir string) *reader.Model {
	t.Helper()
	c, err := NewFormat(st).Open(context.Background(), dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c.(*reader.Model)
}

// verified requires that a checkpoint has no errors.
func verified(t *testing.T, m *reader.Model) {
	t.Helper()
	for f, err := range recovery.Verify(context.Background(), m, recovery.Options{}) {
		if err != nil || f.Severity != checkpoint.Note {
			t.Fatalf("verify: %v %v", f, err)
		}
	}
}

// contents is what a checkpoint holds, whatever its layout: a line for each
// entry. Split lists are sets, in-flight records are in order for each key, and
// each must lie where its hash belongs.
func contents(t *testing.T, m *reader.Model) []string {
	t.Helper()
	ctx, c := context.Background(), m.Checkpoint()
	s, err := openSource(ctx, m)
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	add := func(format string, args ...any) { lines = append(lines, fmt.Sprintf(format, args...)) }
	for row, st := range s.states {
		uid := s.operators[st.Operator].UID
		name := fmt.Sprintf("%s/%s/%v", uid, st.Name, st.Kind)
		switch st.Kind {
		case format.KindKeyed:
			for e, err := range c.Keyed(ctx, uid, st.Name, keygroup.All()) {
				must(t, err)
				add("%s %08x %x %x %x", name, uint32(e.Hash), e.Key, e.Namespace, e.Value)
			}
		case format.KindTimer:
			for e, err := range c.Timers(ctx, uid, st.Name, keygroup.All()) {
				must(t, err)
				add("%s %08x %x %x %d", name, uint32(e.Hash), e.Key, e.Namespace, e.Time)
			}
		case format.KindSplitList, format.KindUnionList:
			for e, err := range c.Items(ctx, uid, st.Name) {
				must(t, err)
				add("%s %x", name, e.Row.Value)
			}
		case format.KindBroadcast:
			copies, err := c.Copies(ctx, uid, st.Name)
			must(t, err)
			for e, err := range c.Pairs(ctx, uid, st.Name, copies[0]) {
				must(t, err)
				add("%s %x %x", name, e.Row.Key, e.Row.Value)
			}
		case format.KindFloor:
			for e, err := range c.Floors(ctx, uid, keygroup.All()) {
				must(t, err)
				add("%s %v %d", name, e.Row.Interval, e.Row.Watermark)
			}
		}
		_ = row
	}
	for i, e := range s.edges {
		lines = append(lines, records(t, s, i, e)...)
	}
	slices.Sort(lines)
	return lines
}

// records are the records in flight on an edge, numbered for each sender's key.
func records(t *testing.T, s *source, edge int, e format.Edge) []string {
	t.Helper()
	j := &job{ctx: context.Background(), src: s}
	f, err := j.openFlight(edge, func(format.Kind, uint32) bool { return false })
	must(t, err)
	op := s.operators[e.To]
	layout := rescale.Layout{Groups: int(op.KeyGroups), Parallelism: int(op.Parallelism)}
	var lines []string
	count := map[keygroup.Hash]int{}
	var total uint64
	for _, key := range f.streams {
		must(t, f.frames(key, func(fr *format.Frame, _ []byte) error {
			if fr.Element != format.ElementRecord {
				return nil
			}
			if e.Partitioner == format.Keyed && !layout.Interval(int(key.receiver)).Contains(fr.Hash) {
				t.Errorf("record with hash %08x is in flight to subtask %d of %+v", uint32(fr.Hash), key.receiver, layout)
			}
			total++
			lines = append(lines, fmt.Sprintf("in flight %s %08x #%d %d %q", e.ID, uint32(fr.Hash), count[fr.Hash], fr.Time, fr.Payload))
			count[fr.Hash]++
			return nil
		}))
	}
	if total != e.InFlightRecords {
		t.Errorf("%d records are in flight on %s, the manifest says %d", total, e.ID, e.InFlightRecords)
	}
	return lines
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// same compares contents.
func same(t *testing.T, what string, got, want []string) {
	t.Helper()
	if slices.Equal(got, want) {
		return
	}
	for i := range max(len(got), len(want)) {
		g, w := at(got, i), at(want, i)
		if g != w {
			t.Fatalf("%s: %d lines, want %d; line %d is\n%s\nwant\n%s", what, len(got), len(want), i, g, w)
		}
	}
}

func at(lines []string, i int) string {
	if i < len(lines) {
		return lines[i]
	}
	return cmp.Or("", "(none)")
}
