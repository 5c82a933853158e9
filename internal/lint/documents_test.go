package lint

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	mdLink   = regexp.MustCompile(`\]\(([^)#\s]+)`)
	testName = regexp.MustCompile("`((?:Test|Fuzz|Example)[A-Z]\\w*)`")
	makeName = regexp.MustCompile("(?m)(?:`|^ {4}|\\$ )make ([a-z-]+)")
)

// documents are the Markdown files of the repository.
func documents(t *testing.T) map[string]string {
	t.Helper()
	texts := map[string]string{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && path != root && strings.HasPrefix(d.Name(), ".") {
			return fs.SkipDir
		}
		if strings.HasSuffix(path, ".md") {
			text, err := os.ReadFile(path)
			texts[path] = string(text)
			return err
		}
		return nil
	})
	if err != nil || len(texts) == 0 {
		t.Fatalf("no documents: %v", err)
	}
	return texts
}

// TestDocumentsNameWhatExists: files, tests and make targets that documents name
// are there.
func TestDocumentsNameWhatExists(t *testing.T) {
	tests := map[string]bool{}
	for _, s := range mustSources(t) {
		if s.isTest() {
			for _, name := range functionNames(s) {
				tests[name] = true
			}
		}
	}
	makefile, err := os.ReadFile(filepath.Join(root, "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	checked := 0
	for path, text := range documents(t) {
		for _, m := range mdLink.FindAllStringSubmatch(text, -1) {
			checked++
			if strings.Contains(m[1], "://") {
				continue
			}
			if _, err := os.Stat(filepath.Join(filepath.Dir(path), m[1])); err != nil {
				t.Errorf("%s links to %s, which is not there", path, m[1])
			}
		}
		for _, m := range testName.FindAllStringSubmatch(text, -1) {
			checked++
			if !tests[m[1]] {
				t.Errorf("%s names the test %s, which is not there", path, m[1])
			}
		}
		for _, m := range makeName.FindAllStringSubmatch(text, -1) {
			checked++
			if !regexp.MustCompile("(?m)^" + m[1] + ":").Match(makefile) {
				t.Errorf("%s names make %s, which is not there", path, m[1])
			}
		}
	}
	t.Logf("RESULT TestDocumentsNameWhatExists documents=%d names=%d", len(documents(t)), checked)
}

// TestMakeListsItsTargets: the targets are those that the documents promise, and
// make alone lists them.
func TestMakeListsItsTargets(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	var listed []string
	for _, m := range regexp.MustCompile(`(?m)^([a-z-]+):.*## `).FindAllSubmatch(text, -1) {
		listed = append(listed, string(m[1]))
	}
	want := []string{"demo", "demo-full", "test", "bench", "bench-backpressure", "fuzz", "long", "planted", "lint", "cross", "dist", "oracle-samples"}
	if !slices.Equal(listed, want) {
		t.Errorf("make lists %v, want %v", listed, want)
	}
	if !strings.Contains(string(text), "\nhelp:") || strings.Index(string(text), "help:") > strings.Index(string(text), "demo:") {
		t.Error("help is not the first target")
	}
}
