package lint

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var flinkName = regexp.MustCompile("`([a-z][a-z0-9/]*)\\.(Test\\w+)(?:/([^`]*))?`")

// TestFlinkDoc: every line of the tables of docs/flink.md that has a column of tests
// names one or says that there is none yet, and those that the document names are there.
func TestFlinkDoc(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "docs", "flink.md"))
	if err != nil {
		t.Fatal(err)
	}
	functions, _ := testNames(t)
	proved, named := 0, 0
	table := false
	for i, line := range strings.Split(string(text), "\n") {
		names := flinkName.FindAllStringSubmatch(line, -1)
		for _, m := range names {
			named++
			if !functions[m[1]][m[2]] {
				t.Errorf("docs/flink.md:%d names %s.%s, which is not there", i+1, m[1], m[2])
			}
			if m[1] == "cmd/tidemark" && m[2] == "TestScripts" {
				if _, err := os.Stat(filepath.Join(root, "cmd/tidemark/testdata/script", m[3]+".txtar")); err != nil {
					t.Errorf("docs/flink.md:%d names the script %q, which is not there", i+1, m[3])
				}
			}
		}
		switch {
		case strings.HasSuffix(line, "| Test |"):
			table = true
		case !strings.HasPrefix(line, "|"):
			table = false
		case table && !strings.HasPrefix(line, "|---"):
			proved++
			if len(names) == 0 && !strings.HasSuffix(line, "| none yet |") {
				t.Errorf("docs/flink.md:%d names no test: %s", i+1, line)
			}
		}
	}
	t.Logf("RESULT TestFlinkDoc lines=%d tests=%d", proved, named)
	if proved < 20 {
		t.Errorf("%d lines have a test", proved)
	}
}
