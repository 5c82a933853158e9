package main

import (
	"testing"

	"github.com/tidemark-io/tidemark/checkpoint"
	"github.com/tidemark-io/tidemark/checkpoint/layout"
	"github.com/tidemark-io/tidemark/reader"
	"github.com/tidemark-io/tidemark/recovery"
	"github.com/tidemark-io/tidemark/store/local"
)

// TestSample requires that the checkpoint which commands are measured with is
// intact to the last record, has every kind of state, and that another one of
// the job differs in some keys.
func TestSample(t *testing.T) {
	dir := t.TempDir()
	for id := range 2 {
		if _, err := prepareSample(t.Context(), params{Dir: dir, Bytes: 4 << 20, Repeat: id + 1}); err != nil {
			t.Fatal(err)
		}
	}
	st, err := local.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	var both [2]*reader.Model
	for id := range both {
		c, err := reader.Open(t.Context(), st, layout.Checkpoint(uint64(id+1)))
		if err != nil {
			t.Fatal(err)
		}
		both[id] = reader.NewModel(c)
		defer both[id].Close()
	}
	for f, err := range recovery.Verify(t.Context(), both[0], recovery.Options{}) {
		t.Errorf("%v, %v", f, err)
	}
	states := 0
	for s, err := range both[0].States(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if n, known := s.Entries.Known(); !known || n == 0 {
			t.Errorf("state %q (%s) of %s has %v entries", s.Name, s.Kind, s.Operator, s.Entries)
		}
		states++
	}
	var changed, other uint64
	for d, err := range recovery.Diff(t.Context(), both[0], both[1], recovery.DiffOptions{}) {
		if err != nil {
			t.Fatal(err)
		}
		if d.Change == recovery.Changed && d.State.Kind == checkpoint.Keyed {
			changed++
		} else {
			other++
		}
	}
	if keys := uint64(4<<20) / profileSize; changed < keys/150 || changed > keys/50 || other == 0 {
		t.Errorf("of %d keys %d differ, and %d others", keys, changed, other)
	}
	t.Logf("RESULT TestSample states=%d changed=%d other=%d", states, changed, other)
}
