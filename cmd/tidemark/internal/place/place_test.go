package place

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/tidemark-io/tidemark/checkpoint"
	"github.com/tidemark-io/tidemark/store/local"
	"github.com/tidemark-io/tidemark/writer"
	"github.com/tidemark-io/tidemark/writer/writertest"
)

// root makes a directory with checkpoints 1 and 3, savepoint 2, and an
// uncommitted checkpoint 4.
func root(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "ck")
	st, err := local.Open(dir, local.WithCreate())
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	for id := range uint64(3) {
		job := writertest.Job{ID: id + 1, Savepoint: id == 1, Keys: 3, Options: writer.Options{Objects: 1, WriterID: "w"}}
		if _, err := job.Write(context.Background(), st); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "chk-4"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "chk-4", "w-0.data"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestPaths: what each way to name a checkpoint means.
func TestPaths(t *testing.T) {
	dir := root(t)
	tests := []struct{ path, root, below string }{
		{dir, dir, ""},
		{dir + "/", dir, ""},
		{dir + "/chk-1", dir, "chk-1"},
		{dir + "/chk-1/", dir, "chk-1"},
		{dir + "/chk-1/MANIFEST", dir, "chk-1"},
		{dir + "/chk-1/MANIFEST.copy", dir, "chk-1"},
		{dir + "/chk-1/../savepoint-2", dir, "savepoint-2"},
		{dir + "/chk-4", dir, "chk-4"}, // its name tells, even without a manifest
	}
	for _, tt := range tests {
		p, err := Open(t.Context(), tt.path, Flink{})
		if err != nil {
			t.Errorf("%s: %v", tt.path, err)
			continue
		}
		if filepath.Clean(p.Root) != tt.root || p.Path != tt.below {
			t.Errorf("%s: got %s and %q, want %s and %q", tt.path, p.Root, p.Path, tt.root, tt.below)
		}
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	}
	for path, want := range map[string]error{
		dir + "/absent":               checkpoint.ErrNone,
		dir + "/chk-1/w-0.data":       checkpoint.ErrNone,
		"s3://bucket/ck":              ErrScheme,
		dir + "/chk-1/MANIFEST/below": nil, // an error of the file system, whatever its name
	} {
		if _, err := Open(t.Context(), path, Flink{}); err == nil || want != nil && !errors.Is(err, want) {
			t.Errorf("%s: got %v, want %v", path, err, want)
		}
	}
}

// TestHere: "." names the checkpoint that one stands in.
func TestHere(t *testing.T) {
	dir := root(t)
	t.Chdir(filepath.Join(dir, "savepoint-2"))
	p, err := Open(t.Context(), ".", Flink{})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if p.Path != "savepoint-2" {
		t.Errorf("got %q", p.Path)
	}
	if got := p.Show(p.Path); got != filepath.FromSlash("../savepoint-2") {
		t.Errorf("shown as %s", got)
	}
}

// TestMovedSavepoint: a savepoint may lie alone, under any name.
func TestMovedSavepoint(t *testing.T) {
	moved := filepath.Join(t.TempDir(), "before-upgrade")
	if err := os.Rename(filepath.Join(root(t), "savepoint-2"), moved); err != nil {
		t.Fatal(err)
	}
	p, err := Open(t.Context(), moved, Flink{})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	c, err := p.Open(context.Background(), p.Path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if got := c.Info().Kind; got != checkpoint.KindSavepoint {
		t.Errorf("kind %s", got)
	}
}

func TestNewestAndBefore(t *testing.T) {
	ctx := context.Background()
	dir := root(t)
	p, err := Open(t.Context(), dir, Flink{})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	below, skipped, err := p.Newest(ctx)
	if err != nil || below != "chk-3" || skipped != 1 {
		t.Errorf("newest: %s, %d skipped, %v", below, skipped, err)
	}
	for of, want := range map[string]string{"chk-4": "chk-3", "chk-3": "savepoint-2", "chk-1": ""} {
		if got, err := p.Before(ctx, of); err != nil || got != want {
			t.Errorf("before %s: %q, %v; want %q", of, got, err, want)
		}
	}
	if _, err := p.Open(ctx, "chk-4"); !errors.Is(err, checkpoint.ErrIncomplete) {
		t.Errorf("chk-4: %v", err)
	}
	if _, err := p.Open(ctx, "chk-9"); !errors.Is(err, checkpoint.ErrNone) {
		t.Errorf("chk-9: %v", err)
	}
}

func TestRemedy(t *testing.T) {
	p := &Place{Root: "jobs/ck"}
	got := p.Remedy("tidemark verify chk-1 chk-12 chk-1/MANIFEST", "chk-1")
	if want := "tidemark verify " + filepath.FromSlash("jobs/ck/chk-1 chk-12 jobs/ck/chk-1/MANIFEST"); got != want {
		t.Errorf("got %s", got)
	}
}
