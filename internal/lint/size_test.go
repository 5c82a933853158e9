package lint

import (
	"bufio"
	"bytes"
	"fmt"
	"go/ast"
	"go/token"
	"os"
	"slices"
	"strings"
	"testing"
)

// Limits that fail the test. The aims beside them are only printed.
const (
	maxFile      = 600 // lines; aim: median 120, p90 350
	maxFunction  = 100 // lines; aim: median 10, p90 35, none over 80
	maxInterface = 5   // methods; aim: median 2
)

// sizes gathers the figures of a tree.
type sizes struct {
	files, functions, interfaces []int
	comment, code                int // lines
	exported, documented         int
	test, other                  map[string]int // lines by folder
}

func TestSizes(t *testing.T) {
	ex := readExceptions(t)
	z := sizes{test: map[string]int{}, other: map[string]int{}}
	for _, s := range mustSources(t) {
		if s.generated() {
			continue
		}
		lines := bytes.Count(s.text, []byte("\n"))
		top, _, _ := strings.Cut(s.dir(), "/")
		if s.isTest() {
			z.test[top] += lines
			continue
		}
		z.other[top] += lines
		z.files = append(z.files, lines)
		if lines > maxFile {
			ex.report(t, "file", s.path, "%d lines, the limit is %d", lines, maxFile)
		}
		z.countLines(s)
		z.functionSizes(t, s, ex)
		z.interfaceSizes(t, s, ex)
		z.docs(t, s, ex)
	}
	for line, used := range ex {
		if !used {
			t.Errorf("exceptions.txt: %q excuses nothing", line)
		}
	}
	z.print(t)
}

func (z *sizes) print(t *testing.T) {
	median, p90, most := spread(z.files)
	t.Logf("RESULT TestSizes files=%d median=%d p90=%d max=%d", len(z.files), median, p90, most)
	median, p90, most = spread(z.functions)
	t.Logf("RESULT TestSizes functions=%d median=%d p90=%d max=%d", len(z.functions), median, p90, most)
	median, p90, most = spread(z.interfaces)
	t.Logf("RESULT TestSizes interfaces=%d median=%d p90=%d max=%d", len(z.interfaces), median, p90, most)
	t.Logf("RESULT TestSizes comment=%d%% documented=%d/%d", 100*z.comment/max(1, z.comment+z.code), z.documented, z.exported)
	var b strings.Builder
	for _, dir := range []string{"format", "reader", "writer", "rescale", "engine", "store", "cmd"} {
		if n := z.other[dir]; n > 0 {
			fmt.Fprintf(&b, " %s=%.2f", dir, float64(z.test[dir])/float64(n))
		}
	}
	t.Logf("RESULT TestSizes test-ratio%s", b.String())
}

// spread returns the median, the 90th percentile and the maximum.
func spread(v []int) (median, p90, most int) {
	if len(v) == 0 {
		return 0, 0, 0
	}
	slices.Sort(v)
	return v[len(v)/2], v[len(v)*9/10], v[len(v)-1]
}

// countLines adds the lines that hold only comment, and those that hold code.
func (z *sizes) countLines(s source) {
	comment := map[int]bool{}
	for _, g := range s.file.Comments {
		for l := s.line(g.Pos()); l <= s.line(g.End()); l++ {
			comment[l] = true
		}
	}
	for i, line := range strings.Split(string(s.text), "\n") {
		line = strings.TrimSpace(line)
		switch {
		case line == "":
		case comment[i+1] && (strings.HasPrefix(line, "//") || strings.HasPrefix(line, "/*")):
			z.comment++
		default:
			z.code++
		}
	}
}

func (s source) line(p token.Pos) int { return s.set.Position(p).Line }

func (z *sizes) functionSizes(t *testing.T, s source, ex exceptions) {
	for _, d := range s.file.Decls {
		fn, ok := d.(*ast.FuncDecl)
		if !ok {
			continue
		}
		n := s.line(fn.End()) - s.line(fn.Pos()) + 1
		z.functions = append(z.functions, n)
		if n > maxFunction {
			ex.report(t, "function", s.path+" "+fn.Name.Name, "%d lines, the limit is %d", n, maxFunction)
		}
	}
}

func (z *sizes) interfaceSizes(t *testing.T, s source, ex exceptions) {
	ast.Inspect(s.file, func(n ast.Node) bool {
		spec, ok := n.(*ast.TypeSpec)
		if !ok {
			return true
		}
		it, ok := spec.Type.(*ast.InterfaceType)
		if !ok {
			return true
		}
		methods := 0
		for _, f := range it.Methods.List {
			if _, ok := f.Type.(*ast.FuncType); ok {
				methods += len(f.Names)
			}
		}
		if len(it.Methods.List) > 0 && methods == 0 {
			return true // a constraint
		}
		z.interfaces = append(z.interfaces, methods)
		if methods > maxInterface {
			ex.report(t, "interface", s.path+" "+spec.Name.Name, "%d methods, the limit is %d", methods, maxInterface)
		}
		return true
	})
}

// exceptions maps "limit place" to whether it was needed.
type exceptions map[string]bool

func readExceptions(t *testing.T) exceptions {
	t.Helper()
	f, err := os.Open("exceptions.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	ex := exceptions{}
	for sc := bufio.NewScanner(f); sc.Scan(); {
		line := sc.Text()
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		rule, reason, ok := strings.Cut(line, ": ")
		if !ok || len(strings.Fields(reason)) < 3 {
			t.Errorf("exceptions.txt: %q has no reason; write \"limit place: reason\"", line)
		}
		ex[rule] = false
	}
	return ex
}

func (ex exceptions) report(t *testing.T, limit, place, format string, args ...any) {
	t.Helper()
	if _, ok := ex[limit+" "+place]; ok {
		ex[limit+" "+place] = true
		return
	}
	t.Errorf("%s: %s", place, fmt.Sprintf(format, args...))
}
