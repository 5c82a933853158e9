package metadata_test

import (
	"bytes"
	"os"
	"testing"

	"github.com/tidemark-io/tidemark/flink/metadata"
)

// Handles of the changelog as the serialisers of Flink 1.15 wrote them: tags 8, 9 and
// 10, which no later version writes. The numbers are those of OldTags.java beside the
// file.
func TestOldChangelogTags(t *testing.T) {
	data, err := os.ReadFile("../../testdata/flink/1.15/changelog-tags/_metadata")
	if err != nil {
		t.Fatal(err)
	}
	m, err := metadata.Decode("_metadata", data, nil)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := metadata.Append(nil, m); err != nil || !bytes.Equal(again, data) {
		t.Errorf("written again it differs (%v)", err)
	}
	if m.Version != metadata.Version3 || m.CheckpointID != 42 || len(m.Operators) != 1 || len(m.Operators[0].Subtasks) != 2 {
		t.Fatalf("%+v", m)
	}
	for _, s := range m.Operators[0].Subtasks {
		first := 64 * s.Index
		h, ok := s.State.ManagedKeyed.(*metadata.ChangelogHandle)
		if !ok || h.Tag != metadata.TagChangelog || h.Range != (metadata.KeyGroupRange{Start: first, Count: 64}) || h.CheckpointedSize != 3000 ||
			h.MaterializationID != int64(11+s.Index) || len(h.Materialized) != 1 || len(h.Deltas) != 2 {
			t.Fatalf("subtask %d: %+v", s.Index, s.State.ManagedKeyed)
		}
		stream, ok := h.Deltas[0].(*metadata.StreamChangelog)
		if !ok || stream.Tag != metadata.TagStreamChangelog || stream.Size != 2048 || stream.CheckpointedSize != 1024 || len(stream.Streams) != 2 ||
			stream.Streams[1].Offset != 1024 || stream.Storage != "" {
			t.Errorf("subtask %d: %+v", s.Index, h.Deltas[0])
		}
		memory, ok := h.Deltas[1].(*metadata.MemoryChangelog)
		if !ok || memory.From != 7 || memory.To != 9 || len(memory.Changes) != 2 || memory.Changes[0].KeyGroup != first || memory.Changes[1].KeyGroup != -1 {
			t.Errorf("subtask %d: %+v", s.Index, h.Deltas[1])
		}
	}
}
