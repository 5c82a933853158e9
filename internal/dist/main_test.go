package main

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// TestReproducible builds the program from the tree and from a copy of it in
// another folder, and demands the same bytes.
func TestReproducible(t *testing.T) {
	if testing.Short() {
		t.Log("left to the full run: it links the program twice")
		return
	}
	platform := []string{runtime.GOOS + "/" + runtime.GOARCH}
	dir := t.TempDir()
	elsewhere := filepath.Join(dir, "copy", "of", "the", "tree")
	copyTree(t, filepath.Join("..", ".."), elsewhere)
	first, second := filepath.Join(dir, "a"), filepath.Join(dir, "b")
	copied := filepath.Join(dir, "original")
	copyTree(t, filepath.Join("..", ".."), copied) // without .git, as the other
	for root, folder := range map[string]string{copied: first, elsewhere: second} {
		if err := release(t.Context(), root, folder, platform, io.Discard); err != nil {
			t.Fatal(err)
		}
	}
	a, err := os.ReadFile(filepath.Join(first, sums))
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(second, sums))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(a, b) || len(a) < 64 {
		t.Fatalf("two builds differ:\n%s%s", a, b)
	}
	program := filepath.Join(first, strings.Fields(string(a))[1])
	out, err := exec.Command(program, "version").CombinedOutput()
	if err != nil || !strings.HasPrefix(string(out), "tidemark ") {
		t.Fatalf("%s, %v", out, err)
	}
	data, err := os.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(data, []byte(dir)) {
		t.Error("the binary contains the path of the folder it was built in")
	}
}

// copyTree copies what the program is built from.
func copyTree(t *testing.T, from, to string) {
	t.Helper()
	err := filepath.WalkDir(from, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		if d.IsDir() {
			if base := d.Name(); base == "testdata" || rel != "." && strings.HasPrefix(base, ".") {
				return filepath.SkipDir
			}
			return os.MkdirAll(filepath.Join(to, rel), 0o755)
		}
		if ext := filepath.Ext(path); ext != ".go" && ext != ".mod" && ext != ".sum" && ext != ".md" || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, rel), data, 0o644)
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestUnknownPlatform(t *testing.T) {
	if err := release(t.Context(), "../..", t.TempDir(), []string{"amiga"}, io.Discard); err == nil {
		t.Error("a platform without an architecture is accepted")
	}
}
