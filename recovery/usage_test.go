package recovery

import (
	"context"
	"errors"
	"testing"

	"github.com/tidemark-io/tidemark/checkpoint"
	"github.com/tidemark-io/tidemark/reader"
	"github.com/tidemark-io/tidemark/store"
	"github.com/tidemark-io/tidemark/store/mem"
	"github.com/tidemark-io/tidemark/writer"
	"github.com/tidemark-io/tidemark/writer/writertest"
)

// put creates objects of given sizes.
func put(t *testing.T, st store.Store, sizes map[string]int) {
	t.Helper()
	for name, n := range sizes {
		u, err := st.Create(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := u.Write(make([]byte, n)); err != nil {
			t.Fatal(err)
		}
		if _, err := u.Commit(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestUsageAddsUp: every byte below the root is counted once, under the heading
// that it belongs to.
func TestUsageAddsUp(t *testing.T) {
	st := mem.New()
	put(t, st, map[string]int{
		"chk-1/MANIFEST": 1, "chk-1/MANIFEST.copy": 1, "chk-1/a.data": 10, "chk-1/stray": 100,
		"chk-2/MANIFEST": 2, "chk-2/" + LostAndFound: 5, "chk-2/b.data": 1000,
		"shared/x": 10_000, "shared/y": 20_000, "shared/lost": 40_000,
		"chk-3/c.data": 100_000, "chk-4/MANIFEST": 500_000, "chk-4/d.data": 500_000, "runs/1": 3_000_000,
	})
	models := map[string]*model{
		"chk-1": {objects: []checkpoint.Object{{Name: "chk-1/a.data"}, {Name: "shared/x"}, {Name: "shared/y"}, {Name: "shared/gone"}},
			states: []checkpoint.State{{Kind: checkpoint.InputChannel, Bytes: 7}, {Kind: checkpoint.Keyed, Bytes: 8}}},
		"chk-2": {objects: []checkpoint.Object{{Name: "chk-2/b.data"}, {Name: "shared/x"}, {Name: "shared/x"}}},
	}
	infos := []checkpoint.Info{{Path: "chk-1", Status: checkpoint.Complete}, {Path: "chk-2", Status: checkpoint.Complete}, {Path: "chk-3", Status: checkpoint.Incomplete}}
	open := func(_ context.Context, path string) (checkpoint.Checkpoint, error) {
		if m := models[path]; m != nil {
			return m, nil
		}
		return nil, checkpoint.ErrDamaged
	}
	u, err := MeasureUsage(t.Context(), st, append(infos, checkpoint.Info{Path: "chk-4", Status: checkpoint.Damaged}), open)
	if err != nil {
		t.Fatal(err)
	}
	got := []any{u.Stored, u.Referenced, u.Orphaned, u.Incomplete, u.Unreadable, u.Other, u.Certain, len(u.Orphans)}
	want := []any{uint64(4_171_119), uint64(31_019), uint64(40_100), uint64(100_000), uint64(1_000_000), uint64(3_000_000), false, 2}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("total %d: got %v, want %v", i, got[i], want[i])
		}
	}
	if u.Stored != u.Referenced+u.Orphaned+u.Incomplete+u.Unreadable+u.Other {
		t.Errorf("%+v does not add up", u)
	}
	one, two := u.Checkpoints[0], u.Checkpoints[1]
	if one.Referenced != 30_012 || one.Shared != 10_000 || one.Exclusive != 20_012 || one.Orphaned != 100 || one.Missing != 1 || one.InFlight != 7 || one.Metadata != 2 || one.Objects != 3 {
		t.Errorf("chk-1: %+v", one)
	}
	if two.Referenced != 11_007 || two.Shared != 10_000 || two.Exclusive != 1007 || two.Missing != 0 {
		t.Errorf("chk-2: %+v", two)
	}
	if !errors.Is(u.Checkpoints[2].Problem, checkpoint.ErrIncomplete) || !errors.Is(u.Checkpoints[3].Problem, checkpoint.ErrDamaged) {
		t.Errorf("problems %v and %v", u.Checkpoints[2].Problem, u.Checkpoints[3].Problem)
	}
	if u, err := MeasureUsage(t.Context(), st, infos, open); err != nil || !u.Certain {
		t.Errorf("without the damaged one: %v, %v", u.Certain, err)
	}
}

// TestUsageOfNative: what a written checkpoint is said to take is all there is.
func TestUsageOfNative(t *testing.T) {
	st := mem.New()
	f := reader.NewFormat(st)
	var infos []checkpoint.Info
	for id := range uint64(2) {
		j := writertest.Job{ID: id + 1, Keys: 100, Flight: 20, Options: writer.Options{Objects: 2}}
		if _, err := j.Write(t.Context(), st); err != nil {
			t.Fatal(err)
		}
	}
	for info, err := range f.List(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		infos = append(infos, info)
	}
	u, err := MeasureUsage(t.Context(), st, infos, f.Open)
	if err != nil || u.Stored == 0 || u.Referenced != u.Stored || u.Orphaned != 0 || !u.Certain {
		t.Fatalf("%+v, %v", u, err)
	}
	for _, c := range u.Checkpoints {
		if c.Exclusive != c.Referenced || c.InFlight == 0 || c.Missing != 0 || c.Referenced != u.Stored/2 {
			t.Errorf("%+v", c)
		}
	}
}

func TestGroupSizes(t *testing.T) {
	m := native(t, writertest.Job{Keys: 100, Groups: 16})
	var got []GroupSizes
	n := uint64(0)
	if err := MeasureGroups(t.Context(), m, checkpoint.Selector{State: "counter"}, func(b uint64) { n += b }, func(g GroupSizes) { got = append(got, g) }); err != nil {
		t.Fatal(err)
	}
	entries, bytes := uint64(0), uint64(0)
	for _, g := range got[0].Groups {
		entries, bytes = entries+g.Entries, bytes+g.Bytes
	}
	if len(got) != 1 || entries != 100 || bytes != n || got[0].Of != 16 || got[0].Skew() < 1 {
		t.Errorf("%d entries, %d of %d bytes, %+v", entries, bytes, n, got)
	}
	even := GroupSizes{Of: 4, Groups: []GroupSize{{Bytes: 10}, {Bytes: 30}}}
	if even.Skew() != 3 || (&GroupSizes{}).Skew() != 0 {
		t.Errorf("skew %v", even.Skew())
	}
	broken := keyedModel(true, nil)
	broken.fail = errors.New("unreachable")
	if err := MeasureGroups(t.Context(), broken, checkpoint.Selector{}, nil, nil); !errors.Is(err, broken.fail) {
		t.Errorf("got %v", err)
	}
}
