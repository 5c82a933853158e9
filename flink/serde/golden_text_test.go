package serde

import (
	"bytes"
	"flag"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/tidemark-io/tidemark/flink/wire"
)

var update = flag.Bool("update", false, "rewrite golden files")

// What the golden pairs say, one line for each serialiser, of the newest Flink
// that has it.
func TestGoldenPairsAsText(t *testing.T) {
	version := regexp.MustCompile(`-(\d+)\.(\d+)$`)
	newest := map[string]pair{}
	var names []string
	for _, p := range goldenPairs(t) {
		name := version.ReplaceAllString(p.name, "")
		old, seen := newest[name]
		if !seen {
			names = append(names, name)
		}
		if !seen || later(version.FindStringSubmatch(p.name), version.FindStringSubmatch(old.name)) {
			newest[name] = p
		}
	}
	var out bytes.Buffer
	for _, name := range names {
		p := newest[name]
		typ, err := ReadSnapshot(wire.NewBytes(p.name, 0, p.snapshot))
		if err != nil {
			t.Fatal(err)
		}
		text, err := typ.AppendJSON(nil, p.data)
		if err != nil {
			t.Fatal(err)
		}
		if len(text) > 300 {
			text = append(text[:300], "..."...)
		}
		out.WriteString(p.name + "\n\t" + typ.String() + "\n\t" + string(text) + "\n")
	}
	const file = "testdata/pairs.txt"
	if *update {
		if err := os.WriteFile(file, out.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got := out.String(); got != string(want) {
		g, w := strings.Split(got, "\n"), strings.Split(string(want), "\n")
		for i := range g {
			if i >= len(w) || g[i] != w[i] {
				t.Fatalf("line %d: %s", i+1, g[i])
			}
		}
		t.Error("lines are missing")
	}
}

// later compares two versions of Flink.
func later(a, b []string) bool {
	pad := func(s string) string { return strings.Repeat("0", 4-len(s)) + s }
	return pad(a[1])+pad(a[2]) > pad(b[1])+pad(b[2])
}
