package main

import (
	"flag"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write docs/planted.md anew")

const root = "../.."

// minFaults is how many faults there must be at least.
const minFaults = 40

func load(t *testing.T) []Fault {
	t.Helper()
	faults, err := Load(filepath.Join(root, faultDir))
	if err != nil {
		t.Fatal(err)
	}
	return faults
}

// TestFaultsApply: each fault can still be planted, leaves a Go file, and names
// a test that exists. Whether the test notices is for "make planted".
func TestFaultsApply(t *testing.T) {
	faults := load(t)
	if len(faults) < minFaults {
		t.Errorf("%d faults, at least %d are promised", len(faults), minFaults)
	}
	tests := map[string]bool{}
	for _, f := range faults {
		source, err := os.ReadFile(filepath.Join(root, f.File))
		if err != nil {
			t.Errorf("%s: %v", f.Name, err)
			continue
		}
		text, err := f.Apply(string(source))
		if err != nil {
			t.Errorf("%s: %v", f.Name, err)
			continue
		}
		if _, err := parser.ParseFile(token.NewFileSet(), f.File, text, 0); err != nil {
			t.Errorf("%s leaves no Go file: %v", f.Name, err)
		}
		if !hasTest(t, f) {
			t.Errorf("%s names the test %s, which %s does not have", f.Name, f.Test, f.Package)
		}
		tests[f.Package+f.Test] = true
	}
	t.Logf("RESULT TestFaultsApply faults=%d tests=%d", len(faults), len(tests))
}

// hasTest looks for the function of the fault's test in its package.
func hasTest(t *testing.T, f Fault) bool {
	t.Helper()
	name, _, _ := strings.Cut(f.Test, "/")
	declared := regexp.MustCompile(`(?m)^func ` + regexp.QuoteMeta(name) + `\(`)
	files, err := filepath.Glob(filepath.Join(root, f.Package, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if declared.Match(text) {
			return true
		}
	}
	return false
}

// TestTableOfFaults: docs/planted.md lists just the faults that there are.
func TestTableOfFaults(t *testing.T) {
	const path = root + "/docs/planted.md"
	want := Document(load(t))
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("docs/planted.md differs from %s; go test ./internal/planted -update writes it", faultDir)
	}
}

const wholeFault = `what: the sum is off by one
file: sum/sum.go
package: sum
test: TestSum
-- old --
	return a + b
-- new --
	return a + b + 1
`

func TestParse(t *testing.T) {
	f, err := Parse("off-by-one", []byte(wholeFault))
	if err != nil || f.What != "the sum is off by one" || f.Hangs || len(f.Edits) != 1 || f.Edits[0].New != "\treturn a + b + 1\n" {
		t.Errorf("%+v, %v", f, err)
	}
	for name, change := range map[string][2]string{
		"unknown field":   {"what:", "why:"},
		"no value":        {"test: TestSum", "test:"},
		"a field twice":   {"test: TestSum", "test: TestSum\ntest: TestSum"},
		"a field too few": {"test: TestSum\n", ""},
		"no pair":         {"-- new --", ""},
		"wrong order":     {"-- old --", "-- new --"},
		"nothing changed": {" + 1", ""},
		"hangs perhaps":   {"test: TestSum", "test: TestSum\nhangs: perhaps"},
	} {
		if _, err := Parse(name, []byte(strings.Replace(wholeFault, change[0], change[1], 1))); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestApply(t *testing.T) {
	f := Fault{Edits: []Edit{{"b\n", "B\n"}}}
	for source, want := range map[string]string{
		"a\nb\nc\n": "a\nB\nc\n",
		"b\n":       "B\n",
		"a\n":       "", // not there
		"b\nb\n":    "", // twice
		"ab\n":      "", // not a whole line
	} {
		if got, err := f.Apply(source); got != want || (err != nil) != (want == "") {
			t.Errorf("%q: %q, %v", source, got, err)
		}
	}
}

// small is a module with a function, its test, and a test that bites nothing.
var small = map[string]string{
	"go.mod":     "module small\n\ngo 1.26\n",
	"sum/sum.go": "package sum\n\nfunc Sum(a, b int) int {\n\treturn a + b\n}\n",
	"sum/sum_test.go": `package sum

import "testing"

func TestSum(t *testing.T) {
	if Sum(1, 2) != 3 {
		t.Error("wrong")
	}
}

func TestNothing(t *testing.T) { Sum(1, 2) }

func TestWrong(t *testing.T) { t.Fatal("always") }

func TestSkipped(t *testing.T) { t.Skip("always") }
`}

// TestRunnerIsNotFooled: only a test that passes without the fault and fails
// with it counts.
func TestRunnerIsNotFooled(t *testing.T) {
	dir := t.TempDir()
	for name, text := range small {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	r := Runner{Root: dir, Scratch: t.TempDir(), Patience: 2 * time.Second}
	for _, c := range []struct{ name, test, replaced, want string }{
		{"caught", "TestSum", "\treturn a + b + 1\n", ""},
		{"panics", "TestSum", "\tpanic(a + b)\n", ""},
		{"not caught", "TestNothing", "\treturn a + b + 1\n", "passes although"},
		{"does not compile", "TestSum", "\treturn a + c\n", "not compiled"},
		{"hangs", "TestSum", "\tfor {\n\t}\n", "time limit"},
		{"fails anyway", "TestWrong", "\treturn a + b + 1\n", "without any fault: failed"},
		{"skipped", "TestSkipped", "\treturn a + b + 1\n", "without any fault: skipped"},
		{"no such test", "TestSun", "\treturn a + b + 1\n", "without any fault: not run"},
	} {
		f := Fault{Name: c.name, What: c.name, File: "sum/sum.go", Package: "sum", Test: c.test,
			Edits: []Edit{{"\treturn a + b\n", c.replaced}}}
		err := r.Plant(t.Context(), f)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, expected %q", c.name, err, c.want)
		}
		if c.name == "hangs" {
			f.Hangs = true
			if err := r.Plant(t.Context(), f); err != nil {
				t.Errorf("hangs, as the fault says: %v", err)
			}
		}
	}
	if text, err := os.ReadFile(filepath.Join(dir, "sum/sum.go")); err != nil || string(text) != small["sum/sum.go"] {
		t.Errorf("the source was changed: %v\n%s", err, text)
	}
}
