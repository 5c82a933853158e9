package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/tidemark-io/tidemark/format"
	"github.com/tidemark-io/tidemark/reader"
	"github.com/tidemark-io/tidemark/store/local"
)

// pageMark stands in the script in front of what comes from the page.
const pageMark = "# From docs/damaged.md; do not edit.\n"

// TestDamagedPage requires that the script damaged.txtar has the commands of
// docs/damaged.md, with their exit codes and their output: what the page shows is
// what the program does. -update writes the script.
func TestDamagedPage(t *testing.T) {
	page, err := os.ReadFile("../../docs/damaged.md")
	if err != nil {
		t.Fatal(err)
	}
	const name = "testdata/script/damaged.txtar"
	script, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	head, have, ok := strings.Cut(string(script), pageMark)
	want, commands := pageScript(string(page))
	if flag.Lookup("update").Value.String() == "true" {
		if err := os.WriteFile(name, []byte(head+pageMark+want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if !ok || have != want || commands < 6 {
		t.Errorf("%s is not what the page says (go test -run TestDamagedPage -update):\n%s", name, want)
	}
}

// pageScript makes a script of the console blocks of a page: "$ command", its
// output, in which … stands for anything, and "$ echo $?" with its exit code.
func pageScript(page string) (script string, commands int) {
	var b strings.Builder
	for _, block := range strings.Split(page, "```console\n")[1:] {
		block, _, _ = strings.Cut(block, "```")
		steps := strings.Split("\n"+block, "\n$ ")[1:]
		for i, step := range steps {
			command, output, _ := strings.Cut(strings.TrimRight(step, "\n"), "\n")
			if strings.HasPrefix(command, "echo ") {
				continue
			}
			code := "0"
			if i+1 < len(steps) && strings.HasPrefix(steps[i+1], "echo $?") {
				code = strings.TrimSpace(strings.TrimPrefix(steps[i+1], "echo $?"))
			}
			fmt.Fprintf(&b, "exits %s %s\n", code, command)
			commands++
			for _, line := range strings.Split(output, "\n") {
				if strings.TrimSpace(line) == "" || line == "…" {
					continue
				}
				stream := "stdout"
				if strings.HasPrefix(line, "tidemark: ") {
					stream = "stderr"
				}
				pattern := strings.ReplaceAll(regexp.QuoteMeta(line), "…", ".*")
				fmt.Fprintf(&b, "%s '^%s$'\n", stream, strings.ReplaceAll(pattern, "'", "''"))
			}
		}
	}
	return b.String(), commands
}

// hurt damages a byte in the first block of a state: hurt DIR OPERATOR STATE.
func hurt(ts *testscript.TestScript, _ bool, args []string) {
	dir := ts.MkAbs(args[0])
	st, err := local.Open(filepath.Dir(dir))
	ts.Check(err)
	defer st.Close()
	c, err := reader.Open(context.Background(), st, filepath.Base(dir))
	ts.Check(err)
	defer c.Close()
	row, _, err := c.FindState(args[1], args[2], format.KindKeyed)
	ts.Check(err)
	objects, err := c.Objects()
	ts.Check(err)
	for sl, err := range c.Slices(context.Background(), row) {
		ts.Check(err)
		if sl.Blocks == 0 {
			continue
		}
		refs, err := c.BlockRefs(context.Background(), sl, format.KindKeyed)
		ts.Check(err)
		name := filepath.Join(filepath.Dir(dir), filepath.FromSlash(objects[sl.Object].Name))
		data, err := os.ReadFile(name)
		ts.Check(err)
		data[refs[0].Offset+uint64(refs[0].Length)/2] ^= 4
		ts.Check(os.WriteFile(name, data, 0o600))
		return
	}
	ts.Fatalf("%s has no block of %s", args[0], args[2])
}
