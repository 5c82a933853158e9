package edit_test

import (
	"bytes"
	"encoding/binary"
	"slices"
	"testing"

	"github.com/tidemark-io/tidemark/checkpoint"
	"github.com/tidemark-io/tidemark/flink/metadata"
	"github.com/tidemark-io/tidemark/flink/serde"
	"github.com/tidemark-io/tidemark/flink/state"
	"github.com/tidemark-io/tidemark/keygroup"
)

// keyedFile is a savepoint's file with an entry of each state.
func keyedFile(t *testing.T, names ...string) (data string, h *metadata.KeyGroupsHandle) {
	t.Helper()
	long, key := serde.Of(serde.KindLong), make([]byte, 8)
	header := &state.KeyedHeader{Key: long}
	for _, name := range names {
		header.States = append(header.States, state.Meta{Name: name, Kind: state.KeyValue, Options: []state.Option{{Key: state.OptionStateType, Value: "VALUE"}},
			Serializers: []state.Serializer{{Key: state.SerializerNamespace, Type: serde.Of(serde.KindVoidNamespace)}, {Key: state.SerializerValue, Type: long}}})
	}
	binary.BigEndian.PutUint64(key, 1)
	hash, err := long.HashKey(key)
	must(t, err)
	var b bytes.Buffer
	w, err := state.NewCanonicalWriter(&b, header, keygroup.Range{First: 0, Last: 127}, 128)
	must(t, err)
	for i := range names {
		must(t, w.Add(serde.KeyGroup(hash, 128), i, append(slices.Clone(key), 0), key))
	}
	offsets, size, err := w.Finish()
	must(t, err)
	return b.String(), &metadata.KeyGroupsHandle{Tag: metadata.TagSavepoint, Range: metadata.KeyGroupRange{Count: 128}, Offsets: offsets,
		Delegate: &metadata.RelativeFile{Path: "keyed", Size: size}}
}

// A state of a job may be called as the tools call what has no name in Flink: it is
// left out, and nothing else.
func TestStripStateOfOurNames(t *testing.T) {
	for _, name := range []string{"keyed-state", "coordinator"} {
		t.Run(name, func(t *testing.T) {
			data, h := keyedFile(t, name, "other")
			f, c := small(t, map[string]string{"keyed": data}, metadata.Subtask{State: &metadata.SubtaskState{ManagedKeyed: h}})
			e := checkpoint.Edit{Command: "strip", Drop: []checkpoint.Drop{{Kind: checkpoint.DropState, Selector: checkpoint.Selector{Operator: "op", State: name}}}}
			out, err := f.Apply(t.Context(), c, e, "dst", nil)
			must(t, err)
			if len(out.Losses) != 1 || out.Losses[0].Records != 1 {
				t.Errorf("losses %+v, want one of one entry", out.Losses)
			}
			result, err := f.Open(t.Context(), "dst")
			must(t, err)
			var left []string
			for s, err := range result.(checkpoint.Enumerator).Entries(t.Context(), checkpoint.Selector{}) {
				must(t, err)
				left = append(left, s.State.Name)
			}
			if !slices.Equal(left, []string{"other"}) {
				t.Errorf("entries of %v are left, want one of other", left)
			}
		})
	}
}

// Subtasks with one key group are refused though one without any lies between them.
func TestOverlapAroundEmptyRange(t *testing.T) {
	data, h := keyedFile(t, "s")
	part := func(index, start, count int32) metadata.Subtask {
		k := *h
		k.Range = metadata.KeyGroupRange{Start: start, Count: count}
		k.Offsets = slices.Clone(h.Offsets[start : start+count])
		return metadata.Subtask{Index: index, State: &metadata.SubtaskState{ManagedKeyed: &k}}
	}
	f, c := small(t, map[string]string{"keyed": data}, part(0, 0, 128), part(1, 3, 0), part(2, 5, 2))
	e := checkpoint.Edit{Command: "rescale", Layouts: map[string]checkpoint.Layout{"op": {Parallelism: 1}}}
	if _, err := f.Plan(t.Context(), c, e, "dst"); err == nil {
		t.Error("no error")
	}
}
