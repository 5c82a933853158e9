package writer_test

import (
	"context"
	"errors"
	"testing"

	"go.uber.org/goleak"

	"github.com/tidemark-io/tidemark/format"
	"github.com/tidemark-io/tidemark/keygroup"
	"github.com/tidemark-io/tidemark/reader"
	"github.com/tidemark-io/tidemark/recovery"
	"github.com/tidemark-io/tidemark/store"
	"github.com/tidemark-io/tidemark/store/mem"
	"github.com/tidemark-io/tidemark/writer"
	"github.com/tidemark-io/tidemark/writer/writertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// names lists the objects of a store.
func names(t testing.TB, st store.Store) []string {
	t.Helper()
	var list []string
	for info, err := range st.List(context.Background(), "") {
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, info.Name)
	}
	return list
}

func TestWriteAndRead(t *testing.T) {
	for _, parallel := range []bool{false, true} {
		st := mem.New()
		job := writertest.Job{Keys: 5000, Parallelism: 3, ValueSize: 100, Parallel: parallel}
		m, err := job.Write(t.Context(), st)
		if err != nil {
			t.Fatal(err)
		}
		if n := len(m.Objects); n < 1 || n > 4 {
			t.Errorf("%d data objects for 3 subtasks × 12 states", n)
		}
		c, err := reader.Open(t.Context(), st, job.Dir())
		if err != nil {
			t.Fatal(err)
		}
		i, want := 0, job.Keyed(keygroup.All())
		for e, err := range c.Keyed(t.Context(), writertest.Count, "counter", keygroup.All()) {
			if err != nil {
				t.Fatal(err)
			}
			if e.Hash != want[i].Hash || string(e.Key) != string(want[i].Key) || string(e.Value) != string(want[i].Value) {
				t.Fatalf("entry %d is %x %x", i, e.Hash, e.Key)
			}
			i++
		}
		if i != len(want) {
			t.Errorf("%d entries of %d", i, len(want))
		}
		if s := c.Summary(); s != m.Summary || s.Subtasks != 6 || s.MinWatermark != 5 || s.MaxWatermark != 20 || s.InFlightRecords != 6 {
			t.Errorf("summary %+v", s)
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestManySubtasksFewObjects: subtasks share a few data objects, each slice in
// one piece.
func TestManySubtasksFewObjects(t *testing.T) {
	st := mem.New()
	job := writertest.Job{Keys: 2000, Parallelism: 40, Parallel: true, Options: writer.Options{Objects: 3, BlockSize: 500}}
	m, err := job.Write(t.Context(), st)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(m.Objects); n > 3 || len(m.Slices) != 40*12 {
		t.Errorf("%d objects for %d slices", n, len(m.Slices))
	}
	c, err := reader.NewFormat(st).Open(t.Context(), job.Dir())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for f, err := range recovery.Verify(t.Context(), c, recovery.Options{}) {
		t.Errorf("found %v, %v", f, err)
	}
}

// TestCheckpointWithoutState: a job that keeps nothing has checkpoints too.
func TestCheckpointWithoutState(t *testing.T) {
	st := mem.New()
	w, err := writer.New(writer.Options{Store: st, Dir: "chk-1", ID: 1})
	if err != nil {
		t.Fatal(err)
	}
	m := &format.Manifest{Summary: format.Summary{Kind: format.Checkpoint, Hash: "none"},
		Operators: []format.Operator{{UID: "a", Parallelism: 2, KeySchema: format.None}}}
	if err := errors.Join(w.Seal(t.Context()), w.Commit(t.Context(), m)); err != nil {
		t.Fatal(err)
	}
	if err := w.Commit(t.Context(), m); !errors.Is(err, writer.ErrState) {
		t.Errorf("the second Commit: %v", err)
	}
	if err := w.Abort(t.Context()); err != nil {
		t.Errorf("Abort after Commit: %v", err)
	}
	c, err := reader.Open(t.Context(), st, "chk-1")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if s := c.Summary(); s.Subtasks != 2 || s.Entries != 0 {
		t.Errorf("summary %+v", s)
	}
}

func TestMisuseIsRefused(t *testing.T) {
	all := keygroup.All()
	spec := writer.SliceSpec{Operator: "u", Parallelism: 1, KeyGroups: 128, Name: "s", Kind: format.KindKeyed, Interval: all}
	cases := map[string]struct {
		run  func(w *writer.Writer) error
		want error
	}{
		"entries out of order": {func(w *writer.Writer) error {
			s, _ := w.Slice(t.Context(), spec)
			defer s.Abandon()
			_ = s.Keyed(5, []byte("k"), nil, nil)
			return s.Keyed(4, []byte("k"), nil, nil)
		}, format.ErrInvalid},
		"the same key twice": {func(w *writer.Writer) error {
			s, _ := w.Slice(t.Context(), spec)
			defer s.Abandon()
			_ = s.Keyed(5, []byte("k"), nil, nil)
			return s.Keyed(5, []byte("k"), nil, nil)
		}, format.ErrInvalid},
		"a hash outside the interval": {func(w *writer.Writer) error {
			other := spec
			other.Interval = keygroup.Interval{Lo: 10, Hi: 20}
			s, _ := w.Slice(t.Context(), other)
			defer s.Abandon()
			return s.Keyed(20, nil, nil, nil)
		}, format.ErrInvalid},
		"an entry of another kind": {func(w *writer.Writer) error {
			s, _ := w.Slice(t.Context(), spec)
			defer s.Abandon()
			return s.Item(nil)
		}, writer.ErrState},
		"an entry after Close": {func(w *writer.Writer) error {
			s, _ := w.Slice(t.Context(), spec)
			_, _ = s.Close()
			return s.Keyed(1, nil, nil, nil)
		}, writer.ErrState},
		"Close twice": {func(w *writer.Writer) error {
			s, _ := w.Slice(t.Context(), spec)
			_, _ = s.Close()
			_, err := s.Close()
			return err
		}, writer.ErrState},
		"Seal with an open slice": {func(w *writer.Writer) error {
			s, _ := w.Slice(t.Context(), spec)
			defer s.Abandon()
			return w.Seal(t.Context())
		}, writer.ErrState},
		"Seal after Abandon": {func(w *writer.Writer) error {
			s, _ := w.Slice(t.Context(), spec)
			s.Abandon()
			return w.Seal(t.Context())
		}, writer.ErrAbandoned},
		"Commit without Seal": {func(w *writer.Writer) error {
			return w.Commit(t.Context(), &format.Manifest{})
		}, writer.ErrState},
		"Slice after Seal": {func(w *writer.Writer) error {
			_ = w.Seal(t.Context())
			_, err := w.Slice(t.Context(), spec)
			return err
		}, writer.ErrState},
		"no kind of state": {func(w *writer.Writer) error {
			_, err := w.Slice(t.Context(), writer.SliceSpec{Kind: 99, Interval: all})
			return err
		}, format.ErrInvalid},
		"pairs out of order": {func(w *writer.Writer) error {
			other := spec
			other.Kind = format.KindBroadcast
			s, _ := w.Slice(t.Context(), other)
			_ = s.Pair([]byte("b"), nil)
			_ = s.Pair([]byte("a"), nil)
			_, err := s.Close()
			return err
		}, format.ErrMalformed},
		"a value over the limit": {func(w *writer.Writer) error {
			s, _ := w.Slice(t.Context(), spec)
			defer s.Abandon()
			return s.Keyed(1, nil, nil, make([]byte, 64<<20))
		}, format.ErrLimit},
		"a wrong manifest": {func(w *writer.Writer) error {
			_ = w.Seal(t.Context())
			return w.Commit(t.Context(), &format.Manifest{})
		}, format.ErrInvalid},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			st := mem.New()
			w, err := writer.New(writer.Options{Store: st, Dir: "chk-1", ID: 1, Objects: 1})
			if err != nil {
				t.Fatal(err)
			}
			if err := c.run(w); !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
			if _, err := w.Slice(t.Context(), spec); err == nil || !errors.Is(err, w.Err()) {
				t.Errorf("the error is not sticky: %v", err)
			}
			if err := w.Abort(t.Context()); err != nil || len(names(t, st)) > 0 {
				t.Errorf("Abort: %v, it leaves %v", err, names(t, st))
			}
		})
	}
}

func TestOptionsAreChecked(t *testing.T) {
	st := mem.New()
	for _, o := range []writer.Options{
		{}, {Store: st}, {Store: st, Dir: "x", ID: 1}, {Store: st, Dir: "chk-2", ID: 1},
		{Store: st, Dir: "chk-1", ID: 1, BlockSize: -1}, {Store: st, Dir: "chk-1", ID: 1, BlockSize: 1 << 30},
		{Store: st, Dir: "chk-1", ID: 1, Objects: 1000}, {Store: st, Dir: "chk-1", ID: 1, Compression: 9},
		{Store: st, Dir: "chk-1", ID: 1, WriterID: "a-b"}, {Store: st, Dir: "chk-1", ID: 1, WriterID: "a/b"},
	} {
		if w, err := writer.New(o); err == nil {
			t.Errorf("options %+v are taken: %v", o, w)
		}
	}
}
