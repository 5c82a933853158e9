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

// TestStillSample requires that the checkpoints which rescale is compared with
// are intact, hold nothing in flight, have lists of one length at each size, and
// have equally many blocks in each key group: the size follows the key groups.
func TestStillSample(t *testing.T) {
	var perGroup, items []uint64
	for _, factor := range []int64{1, 4} {
		dir := t.TempDir()
		if _, err := prepareSample(t.Context(), params{Dir: dir, Bytes: factor << 20, Groups: int(factor) * 16, Still: true, Items: 10}); err != nil {
			t.Fatal(err)
		}
		st, err := local.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		defer st.Close()
		c, err := reader.Open(t.Context(), st, layout.Checkpoint(1))
		if err != nil {
			t.Fatal(err)
		}
		m := reader.NewModel(c)
		defer m.Close()
		for f, err := range recovery.Verify(t.Context(), m, recovery.Options{}) {
			t.Errorf("%v, %v", f, err)
		}
		for s, err := range m.States(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			n, _ := s.Entries.Known()
			switch {
			case s.Kind == checkpoint.InputChannel || s.Kind == checkpoint.OutputChannel:
				t.Errorf("a state of kind %s", s.Kind)
			case s.Name == "profiles":
				perGroup = append(perGroup, n/uint64(factor*16))
			case s.Name == "splits":
				items = append(items, n)
			}
		}
	}
	if len(perGroup) != 2 || perGroup[0] == 0 || perGroup[0] != perGroup[1] {
		t.Errorf("keys per group: %v", perGroup)
	}
	if len(items) != 2 || items[0] != 10*sampleTasks || items[0] != items[1] {
		t.Errorf("splits: %v", items)
	}
	t.Logf("RESULT TestStillSample keys-per-group=%v splits=%v", perGroup, items)
}
