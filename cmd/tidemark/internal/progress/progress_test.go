package progress

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tidemark-io/tidemark/cmd/tidemark/internal/jsonschema"
)

// show runs steps of one second each and returns what was written.
func show(t *testing.T, o Options, steps ...func(*Progress)) (text string) {
	synctest.Test(t, func(t *testing.T) {
		var b bytes.Buffer
		o.W = &b
		p := Start(o)
		for _, step := range steps {
			step(p)
			time.Sleep(time.Second)
			synctest.Wait()
		}
		p.Stop()
		p.Stop()
		text = b.String()
	})
	return text
}

func add(n uint64) func(*Progress) { return func(p *Progress) { p.Add(n) } }

func TestLive(t *testing.T) {
	const start = "\r\x1b[K"
	got := show(t, Options{Mode: Live, What: "verify \x1b[2J" + strings.Repeat("x", 80), Total: 10 << 20}, add(1<<20), (*Progress).Clear, add(1<<20))
	line := func(text string) string { return start + text }
	if !strings.HasPrefix(got, line(`1.0 MiB of 10.0 MiB (10 %)  1.0 MiB/s  9s left  verify \x1b[2J`)) || !strings.HasSuffix(got, start) {
		t.Errorf("got %q", got)
	}
	for _, l := range strings.Split(got, start) {
		if n := len([]rune(l)); n > 80 || strings.ContainsRune(l, '\x1b') {
			t.Errorf("%d columns: %q", n, l)
		}
	}
	if got := show(t, Options{Mode: Live, What: "quick"}); got != "" {
		t.Errorf("less than a second shows %q", got)
	}
}

func TestLog(t *testing.T) {
	steps := make([]func(*Progress), 21)
	for i := range steps {
		steps[i] = add(1 << 30)
	}
	steps[3] = func(p *Progress) { p.Now("gc ck"); p.AddTotal(100 << 30) }
	want := "tidemark: 9.0 GiB of 100 GiB (9 %)  922 MiB/s  1m41s left  gc ck\n" +
		"tidemark: 19.0 GiB of 100 GiB (19 %)  973 MiB/s  1m25s left  gc ck\n"
	if d := cmp.Diff(want, show(t, Options{Mode: Log, What: "ls ck"}, steps...)); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
}

func TestJSON(t *testing.T) {
	schema, err := os.ReadFile("../../../../docs/schema/tidemark.progress.1.json")
	if err != nil {
		t.Fatal(err)
	}
	got := show(t, Options{Mode: JSON, What: "cp", Total: 100}, add(0), add(50), add(50))
	n := 0
	for l := range strings.Lines(got) {
		n++
		if err := jsonschema.Check(schema, []byte(l)); err != nil {
			t.Errorf("%s: %v", l, err)
		}
	}
	if n != 4 && n != 3 { // the last second may fall together with Stop
		t.Errorf("%d lines: %s", n, got)
	}
	var last line
	if err := json.Unmarshal([]byte(got[strings.LastIndexByte(strings.TrimSpace(got), '\n')+1:]), &last); err != nil || !last.Done || last.Bytes != 100 || *last.Left != 0 {
		t.Errorf("last line %+v, %v", last, err)
	}
}

func TestNothing(t *testing.T) {
	if got := show(t, Options{Mode: Off, What: "x"}, add(1), add(1)); got != "" {
		t.Errorf("got %q", got)
	}
	var p *Progress
	p.Add(1)
	p.AddTotal(1)
	p.Now("x")
	p.Clear()
	p.Stop()
	if Auto(&bytes.Buffer{}) != Log {
		t.Error("a buffer is taken for a terminal")
	}
}
