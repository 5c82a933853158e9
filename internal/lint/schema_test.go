package lint

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestEveryDocumentHasASchema: each "tidemark.x/1" that the command prints has
// its file in docs/schema, each of these is printed by some code, and a script
// compares the two.
func TestEveryDocumentHasASchema(t *testing.T) {
	printed := map[string]bool{}
	name := regexp.MustCompile(`"(tidemark\.[a-z]+)/(\d+)"`)
	for _, s := range mustSources(t) {
		if strings.HasPrefix(s.path, "cmd/tidemark/") && !s.isTest() {
			for _, m := range name.FindAllSubmatch(s.text, -1) {
				printed[string(m[1])+"."+string(m[2])] = true
			}
		}
	}
	files, err := filepath.Glob(filepath.Join(root, "docs/schema/*.json"))
	if err != nil {
		t.Fatal(err)
	}
	scripts, err := filepath.Glob(filepath.Join(root, "cmd/tidemark/testdata/script/*.txtar"))
	if err != nil {
		t.Fatal(err)
	}
	var script strings.Builder
	for _, f := range scripts {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		script.Write(text)
	}
	found := map[string]bool{}
	for _, f := range files {
		schema := strings.TrimSuffix(filepath.Base(f), ".json")
		found[schema] = true
		if !printed[schema] {
			t.Errorf("nothing prints the document of %s", f)
		}
		if !strings.Contains(script.String(), "\nschema "+schema+" ") {
			t.Errorf("no script compares a document with %s", f)
		}
	}
	for schema := range printed {
		if !found[schema] {
			t.Errorf("docs/schema has no %s.json", schema)
		}
	}
	t.Logf("RESULT TestEveryDocumentHasASchema schemas=%d", len(found))
}
