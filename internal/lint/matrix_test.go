package lint

import (
	"go/ast"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// notHere are the reasons for which a test of Flink's does not apply.
var notHere = []string{"ZooKeeper", "changelog", "region failover", "JobManager replacement", "TaskManager replacement",
	"adaptive scheduler", "RocksDB", "file merging"}

var matrixName = regexp.MustCompile("`([a-z0-9/]+)\\.(Test\\w+)(?:/([^`]*))?`")

// testNames are the test functions of each package, and the strings in its
// tests, of which the names of subtests are made.
func testNames(t *testing.T) (functions, literals map[string]map[string]bool) {
	functions, literals = map[string]map[string]bool{}, map[string]map[string]bool{}
	for _, s := range mustSources(t) {
		if !s.isTest() {
			continue
		}
		dir := s.dir()
		if functions[dir] == nil {
			functions[dir], literals[dir] = map[string]bool{}, map[string]bool{}
		}
		for _, name := range functionNames(s) {
			functions[dir][name] = true
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			if l, ok := n.(*ast.BasicLit); ok && l.Kind == token.STRING {
				if text, err := strconv.Unquote(l.Value); err == nil {
					literals[dir][text] = true
				}
			}
			return true
		})
	}
	return functions, literals
}

// part reports whether a name is made of strings that are there, joined by " to ".
func part(name string, literals map[string]bool) bool {
	if literals[name] {
		return true
	}
	from, to, ok := strings.Cut(name, " to ")
	return ok && literals[from] && literals[to]
}

// TestMatrix: each row of docs/matrix.md names tests that exist, or a reason that
// counts, or says that it is missing.
func TestMatrix(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "docs", "matrix.md"))
	if err != nil {
		t.Fatal(err)
	}
	functions, literals := testNames(t)
	covered, missing, elsewhere := 0, 0, 0
	for i, line := range strings.Split(string(text), "\n") {
		cells := strings.Split(strings.Trim(line, "| "), " | ")
		if !strings.HasPrefix(line, "| ") || strings.HasSuffix(cells[len(cells)-1], "Test") {
			continue
		}
		verdict := cells[len(cells)-1]
		names := matrixName.FindAllStringSubmatch(verdict, -1)
		for _, m := range names {
			first, _, _ := strings.Cut(m[3], "/")
			switch {
			case !functions[m[1]][m[2]]:
				t.Errorf("docs/matrix.md:%d names %s.%s, which is not there", i+1, m[1], m[2])
			case m[3] != "" && !part(m[3], literals[m[1]]) && !part(first, literals[m[1]]):
				t.Errorf("docs/matrix.md:%d names the subtest %q of %s.%s, which is not there", i+1, m[3], m[1], m[2])
			}
		}
		reason, not := strings.CutPrefix(verdict, "not applicable: ")
		switch {
		case len(names) > 0:
			covered++
		case strings.HasPrefix(verdict, "missing"):
			missing++
		case not && strings.Contains(strings.Join(notHere, "\n")+"\n", reason+"\n"):
			elsewhere++
		default:
			t.Errorf("docs/matrix.md:%d names no test, no reason that counts, and does not say that it is missing: %s", i+1, line)
		}
	}
	if covered < 150 {
		t.Errorf("%d rows, there should be 150 at least", covered)
	}
	t.Logf("RESULT TestMatrix covered=%d missing=%d not-applicable=%d", covered, missing, elsewhere)
}
