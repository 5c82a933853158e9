package flink_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tidemark-io/tidemark/checkpoint"
	"github.com/tidemark-io/tidemark/flink"
	"github.com/tidemark-io/tidemark/flink/metadata"
	"github.com/tidemark-io/tidemark/flink/wire"
	"github.com/tidemark-io/tidemark/recovery"
	"github.com/tidemark-io/tidemark/store/local"
)

const (
	job      = "0123456789abcdef0123456789abcdef"
	own      = "5b5f9f26-060e-41bd-8590-1d4c5a2d2fda" // beside the metadata
	sst      = "91fe2ca5-c23f-493e-8595-3790126989d9" // in "shared"
	gone     = "7a5c3bbf-8a47-4ea2-b0d3-1bfc037cc173"
	hostFile = "/etc/hostname"
)

// write makes a checkpoint of one operator whose incremental state has the given
// files, in a folder with a job's folder, and returns that.
func write(t *testing.T, handles ...metadata.StreamHandle) (root, dir string) {
	t.Helper()
	root = t.TempDir()
	dir = job + "/chk-7"
	files := []metadata.NamedFile{}
	for _, h := range handles {
		files = append(files, metadata.NamedFile{Name: "1.sst", Handle: h})
	}
	m := &metadata.Metadata{Version: metadata.Version4, CheckpointID: 7, Tail: metadata.NullTail, Operators: []metadata.Operator{{
		ID: metadata.IDOfUID("count"), Parallelism: 1, MaxParallelism: 128,
		Subtasks: []metadata.Subtask{{State: &metadata.SubtaskState{ManagedKeyed: &metadata.IncrementalHandle{Tag: metadata.TagIncrementalV2,
			Range: metadata.KeyGroupRange{Count: 128}, Shared: files}}}},
	}}}
	data, err := metadata.Append(nil, m)
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{
		dir + "/_metadata": string(data), dir + "/" + own: "12345", job + "/shared/" + sst: "sst",
	} {
		path := filepath.Join(root, filepath.FromSlash(name))
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(content), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	return root, dir
}

// findings verifies a checkpoint.
func findings(t *testing.T, root, dir string) []checkpoint.Finding {
	t.Helper()
	st, err := local.Open(root)
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	c, err := flink.NewFormat(st, flink.WithRoot(filepath.ToSlash(root)), flink.WithUIDs("other", "count")).Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	for o := range c.Operators(t.Context()) {
		if o.UID != "count" {
			t.Errorf("the operator is called %q", o.UID)
		}
	}
	var all []checkpoint.Finding
	for f, err := range recovery.Verify(t.Context(), c, recovery.Options{Level: checkpoint.LevelRefs, Workers: 1}) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, f)
	}
	return all
}

// What verify says of each way in which a reference can be right or wrong.
func TestReferences(t *testing.T) {
	abs := func(root, name string) string { return "file:" + filepath.ToSlash(root) + "/" + job + "/" + name }
	tests := []struct {
		name     string
		handle   func(root string) metadata.StreamHandle
		severity checkpoint.Severity // 0: no finding
		problem  string
	}{
		{"beside", func(string) metadata.StreamHandle { return &metadata.RelativeFile{Path: own, Size: 5} }, 0, ""},
		{"inline", func(string) metadata.StreamHandle { return &metadata.ByteStream{Name: "x", Data: []byte("y")} }, checkpoint.Note, "does not use"},
		{"shared", func(root string) metadata.StreamHandle {
			return &metadata.File{Path: abs(root, "shared/"+sst), Size: 3}
		}, checkpoint.Note, "does not use"},
		{"segment", func(root string) metadata.StreamHandle {
			return &metadata.Segment{Path: abs(root, "shared/"+sst), Start: 1, Size: 2, Scope: metadata.Shared}
		}, checkpoint.Note, "does not use"},
		{"segment too long", func(root string) metadata.StreamHandle {
			return &metadata.Segment{Path: abs(root, "shared/"+sst), Start: 1, Size: 3}
		}, checkpoint.Error, "has 3 bytes, the metadata needs 4"},
		{"missing", func(string) metadata.StreamHandle { return &metadata.RelativeFile{Path: gone, Size: 5} }, checkpoint.Error, "is missing"},
		{"too short", func(string) metadata.StreamHandle { return &metadata.RelativeFile{Path: own, Size: 6} }, checkpoint.Error, "has 5 bytes, the metadata needs 6"},
		{"too long", func(string) metadata.StreamHandle { return &metadata.RelativeFile{Path: own, Size: 4} }, checkpoint.Error, "has 5 bytes, the metadata states 4"},
		{"moved", func(string) metadata.StreamHandle {
			return &metadata.File{Path: "s3://bucket/old/" + job + "/shared/" + sst, Size: 3}
		}, checkpoint.Warning, "Flink will not find them"},
		{"entropy", func(string) metadata.StreamHandle {
			return &metadata.File{Path: "s3://bucket/a1b2/" + job + "/chk-7/" + own, Size: 5}
		}, checkpoint.Warning, "Flink will not find them"},
		{"outside", func(string) metadata.StreamHandle { return &metadata.File{Path: "file:" + hostFile, Size: 3} }, checkpoint.Warning, "lie outside"},
		{"upwards", func(string) metadata.StreamHandle { return &metadata.RelativeFile{Path: "../../x", Size: 3} }, checkpoint.Error, "none that a file"},
		{"upwards in a URI", func(root string) metadata.StreamHandle { return &metadata.File{Path: abs(root, "../../../x"), Size: 3} }, checkpoint.Error, "none that a file"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			root, dir := write(t)
			again, _ := write(t, tt.handle(root))
			data, err := os.ReadFile(filepath.Join(again, filepath.FromSlash(dir), "_metadata"))
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(root, filepath.FromSlash(dir), "_metadata"), data, 0o600); err != nil {
				t.Fatal(err)
			}
			all := findings(t, root, dir)
			if tt.severity == 0 && len(all) == 0 {
				return
			}
			if !slices.ContainsFunc(all, func(f checkpoint.Finding) bool {
				return f.Severity == tt.severity && strings.Contains(f.Problem, tt.problem) && f.Remedy != ""
			}) {
				t.Errorf("found %v", all)
			}
		})
	}
}

// A root above the folders of jobs lists what is below it, damaged and incomplete
// checkpoints too; each opens or says why it does not.
func TestListAndOpen(t *testing.T) {
	root, dir := write(t, &metadata.RelativeFile{Path: own, Size: 5})
	folder := filepath.Join(root, job)
	data, err := os.ReadFile(filepath.Join(folder, "chk-7", "_metadata"))
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{
		"chk-8/_metadata": data[:40], "chk-9/" + own: []byte("x"), "chk-10/_metadata": append([]byte("\x49\x60\x67\x2D\x00\x00\x00\x09"), data[8:]...),
	} {
		path := filepath.Join(folder, filepath.FromSlash(name))
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, content, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	st, err := local.Open(root)
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	f := flink.NewFormat(st)
	want := []struct {
		path   string
		status checkpoint.Status
		reason []error
	}{
		{dir, checkpoint.Complete, nil},
		{job + "/chk-8", checkpoint.Damaged, []error{checkpoint.ErrDamaged, wire.ErrMalformed}},
		{job + "/chk-9", checkpoint.Incomplete, []error{checkpoint.ErrIncomplete}},
		{job + "/chk-10", checkpoint.Unreadable, []error{checkpoint.ErrUnsupported, wire.ErrUnsupported}},
	}
	i := 0
	for info, err := range f.List(t.Context(), "") {
		if err != nil || i >= len(want) {
			t.Fatal(info, err)
		}
		w := want[i]
		i++
		if info.Path != w.path || info.Status != w.status || info.Job != job || info.Kind != checkpoint.KindFlinkCheckpoint {
			t.Errorf("listed %+v, want %v", info, w)
		}
		for _, reason := range w.reason {
			if !errors.Is(info.Reason, reason) {
				t.Errorf("%s: %v, want %v", w.path, info.Reason, reason)
			}
		}
		if ok, err := f.Probe(t.Context(), info.Path); !ok || err != nil {
			t.Errorf("%s is not recognised (%v)", info.Path, err)
		}
	}
	if i != len(want) {
		t.Errorf("%d listed", i)
	}
	if _, err := f.Open(context.Background(), "chk-1"); !errors.Is(err, checkpoint.ErrNone) {
		t.Error(err)
	}
	if c, err := f.Open(t.Context(), dir+"/_metadata"); err != nil || c.Info().ID != 7 || c.Info().Path != dir {
		t.Errorf("by the metadata's path: %v", err)
	}
}

// Paths say where files are now: whole segments count, the longest fitting path
// first, and a path without scheme stands for a file's URI; nothing leads upwards.
func TestPaths(t *testing.T) {
	root, dir := write(t, &metadata.RelativeFile{Path: own, Size: 5})
	st, err := local.Open(root)
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	c, err := flink.NewFormat(st, flink.WithPath("s3://b", "all"), flink.WithPath("s3://b/log/", "changes"), flink.WithPath("/mnt/ck", ""), flink.WithBase("gs://b")).
		OpenCheckpoint(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	for uri, want := range map[string]string{
		"s3://b/x/y": "all/x/y", "s3://b/log/y": "changes/y", "s3://b/logs/y": "all/logs/y", "file:/mnt/ck/a": "a", "file:///mnt/ck/a/b": "a/b", "/mnt/ck/a": "a",
		"gs://b/a": "a", "s3://bb/x": "", "hdfs://h/mnt/ck/a": "", "s3://b/../x": "",
	} {
		l, err := c.Locate(t.Context(), &metadata.File{Path: uri, Size: 1})
		if err != nil || l.Name != want || (l.Where == flink.Inside) != (want != "") {
			t.Errorf("%s: %+v, %v, want %q", uri, l, err, want)
		}
	}
}
