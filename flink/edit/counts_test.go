package edit_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/tidemark-io/tidemark/checkpoint"
	"github.com/tidemark-io/tidemark/flink"
	"github.com/tidemark-io/tidemark/flink/edit"
	"github.com/tidemark-io/tidemark/flink/metadata"
	"github.com/tidemark-io/tidemark/store/local"
)

// small writes a checkpoint of one operator, and files beside it, and opens it.
func small(t *testing.T, files map[string]string, tasks ...metadata.Subtask) (*edit.Format, checkpoint.Checkpoint) {
	t.Helper()
	dir := t.TempDir()
	b, err := metadata.Append(nil, &metadata.Metadata{Version: metadata.Version3, CheckpointID: 1, Operators: []metadata.Operator{
		{ID: metadata.IDOfUID("op"), Parallelism: int32(len(tasks)), MaxParallelism: 128, Subtasks: tasks}}})
	must(t, err)
	must(t, os.Mkdir(filepath.Join(dir, "src"), 0o700))
	must(t, os.WriteFile(filepath.Join(dir, "src", flink.MetadataName), b, 0o600))
	for name, text := range files {
		must(t, os.WriteFile(filepath.Join(dir, "src", name), []byte(text), 0o600))
	}
	st, err := local.Open(dir)
	must(t, err)
	t.Cleanup(func() { st.Close() })
	f := edit.NewFormat(st, flink.WithUIDs("op"))
	c, err := f.Open(t.Context(), "src")
	must(t, err)
	return f, c
}

// What strip says that it lost are records, not the watermarks between them.
func TestStripCountsRecords(t *testing.T) {
	data := "\x00\x00\x00\x00" + "\x00\x00\x00\x19" + // the version, the length of the buffer
		"\x00\x00\x00\x02\x01a" + "\x00\x00\x00\x09\x02\x00\x00\x00\x00\x00\x00\x00\x07" + "\x00\x00\x00\x02\x01b"
	h := metadata.ChannelHandle{Size: 29, Channels: []metadata.Channel{{Size: 29, Offsets: []int64{4}}}, Delegate: &metadata.ByteStream{Name: "in", Data: []byte(data)}}
	f, c := small(t, nil, metadata.Subtask{State: &metadata.SubtaskState{Input: []metadata.ChannelHandle{h}}})
	out, err := f.Plan(t.Context(), c, stripAll, "dst")
	must(t, err)
	if len(out.Losses) != 1 || out.Losses[0].Records != 2 {
		t.Errorf("losses %+v, want one of 2 records", out.Losses)
	}
}

// A second handle to a file is compared with what the file has, like the first one.
func TestCopySizesOfSharedFile(t *testing.T) {
	task := func(i int32, size int64) metadata.Subtask {
		return metadata.Subtask{Index: i, State: &metadata.SubtaskState{RawOperator: &metadata.OperatorHandle{Tag: metadata.TagOperator,
			States: []metadata.OperatorState{{Name: "_default_", Offsets: []int64{0}}}, Delegate: &metadata.RelativeFile{Path: "file", Size: size}}}}
	}
	for _, tt := range []struct {
		name    string
		second  int64
		damaged bool
	}{{"equal", 4, false}, {"more than there is", 9, true}, {"less than there is", 3, true}} {
		t.Run(tt.name, func(t *testing.T) {
			f, c := small(t, map[string]string{"file": "four"}, task(0, 4), task(1, tt.second))
			_, err := f.Plan(t.Context(), c, checkpoint.Edit{Command: "cp"}, "dst")
			if errors.Is(err, checkpoint.ErrDamaged) != tt.damaged || err != nil && !tt.damaged {
				t.Error(err)
			}
		})
	}
}
