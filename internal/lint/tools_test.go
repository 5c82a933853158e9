package lint

import (
	"bytes"
	"go/ast"
	"go/format"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/tidemark-io/tidemark/internal/testkit"
)

func TestFormatted(t *testing.T) {
	for _, s := range mustSources(t) {
		want, err := format.Source(s.text)
		if err != nil {
			t.Errorf("%s: %v", s.path, err)
		} else if !bytes.Equal(want, s.text) {
			t.Errorf("%s is not formatted; run: gofmt -w %s", s.path, s.path)
		}
	}
}

func TestVet(t *testing.T) {
	if testing.Short() {
		return // the whole run of the tests does it
	}
	runTool(t, "go", "vet", "./...")
}

func TestStaticcheck(t *testing.T) {
	if testing.Short() {
		return // the whole run of the tests does it
	}
	probe := exec.Command("go", "tool", "-modfile=tools/go.mod", "staticcheck", "-version")
	probe.Dir = root
	out, err := probe.CombinedOutput()
	if err != nil {
		t.Logf("%s", out)
	}
	testkit.Require(t, "staticcheck, as pinned in tools/go.mod", err == nil)
	runTool(t, "go", "tool", "-modfile=tools/go.mod", "staticcheck", "./...")
	t.Logf("RESULT TestStaticcheck version=%q", bytes.TrimSpace(out))
}

func runTool(t *testing.T, args ...string) {
	t.Helper()
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Dir = root
	// As make cross does it, so that what that compiled is not compiled again.
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v: %v\n%s", args, err, out)
	}
}

// TestSkipsGoThroughTheHelper: what is skipped on CI is not tested, so skipping
// has one door, which CI closes.
func TestSkipsGoThroughTheHelper(t *testing.T) {
	for _, s := range mustSources(t) {
		if strings.HasPrefix(s.path, "internal/testkit/") || !strings.HasSuffix(s.path, "_test.go") {
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			sel, ok := n.(*ast.SelectorExpr)
			if !ok || !slices.Contains([]string{"Skip", "Skipf", "SkipNow"}, sel.Sel.Name) {
				return true
			}
			if x, ok := sel.X.(*ast.Ident); ok && slices.Contains([]string{"t", "b", "f", "tb"}, x.Name) {
				t.Errorf("%s:%d: skips by itself; use testkit.Require", s.path, s.line(n.Pos()))
			}
			return true
		})
	}
}
