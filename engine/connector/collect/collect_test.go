package collect

import (
	"context"
	"slices"
	"testing"

	"github.com/tidemark-io/tidemark/engine"
)

var ctx = context.Background()

func open(t *testing.T, s *Sink[int], sc engine.SinkContext) *writer[int] {
	t.Helper()
	sc.UID, sc.Lineage = "out", "abc"
	w, err := s.Open(ctx, sc)
	if err != nil {
		t.Fatal(err)
	}
	return w.(*writer[int])
}

func prepare(t *testing.T, w engine.Committer, id uint64) [][]byte {
	t.Helper()
	finish, err := w.Prepare(id)
	if err != nil {
		t.Fatal(err)
	}
	items, err := finish(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return items
}

func check(t *testing.T, s *Sink[int], pending int, want ...int) {
	t.Helper()
	got := s.Records()
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("visible %v, want %v", got, want)
	}
	if n := s.Pending(); n != pending {
		t.Errorf("%d pending, want %d", n, pending)
	}
}

func TestExactlyOnce(t *testing.T) {
	s := New[int]()
	var items [][]byte
	for i := range 3 {
		w := open(t, s, engine.SinkContext{Run: 1, Subtask: i, Parallelism: 3})
		if err := w.Recover(ctx, nil); err != nil {
			t.Fatal(err)
		}
		_ = w.Write(i, 5)
		prepare(t, w, 1) // given up
		_ = w.Write(10+i, 6)
		items = append(items, prepare(t, w, 2)...)
		if i == 0 {
			for range 2 {
				if err := w.Publish(ctx, 2); err != nil {
					t.Fatal(err)
				}
			}
		}
		_ = w.Write(20+i, 7)
		prepare(t, w, 3) // never committed
		_ = w.Write(30+i, 8)
	}
	check(t, s, 7, 0, 10)
	for i := range 2 {
		w := open(t, s, engine.SinkContext{Run: 2, Subtask: i, Parallelism: 2, Restored: 2})
		share := items[i*4 : min(i*4+4, len(items))]
		for range 2 {
			if err := w.Recover(ctx, share); err != nil {
				t.Fatal(err)
			}
		}
	}
	check(t, s, 0, 0, 1, 2, 10, 11, 12)
	for _, e := range s.Entries() {
		if want := uint64(1 + e.Record/10); e.ID != want || e.Subtask != e.Record%10 || e.Timestamp != int64(4+want) {
			t.Errorf("%+v", e)
		}
	}
	if got, _ := s.VisibleAfter("abc", 1); len(got) != 3 {
		t.Errorf("visible after 1: %v", got)
	}
	w := open(t, s, engine.SinkContext{Run: 3, Parallelism: 1, Restored: 2})
	if err := w.Recover(ctx, [][]byte{[]byte(`{"lineage":"abc","id":9}`)}); err == nil {
		t.Error("output that never was could be recovered")
	}
}

func TestWithoutCheckpoints(t *testing.T) {
	s := New[int]()
	w, err := s.Open(ctx, engine.SinkContext{Parallelism: 1})
	if err != nil {
		t.Fatal(err)
	}
	_ = w.Write(7, 1)
	check(t, s, 0, 7)
}
