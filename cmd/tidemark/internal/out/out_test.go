package out

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"
)

func TestEscape(t *testing.T) {
	tests := map[string]string{
		"plain": "plain", "Größe 東京": "Größe 東京", "a\x1b[31mb": `a\x1b[31mb`, "a\nb\tc": `a\nb\tc`, "\x7f\u0085\u009b": `\x7f\u0085\u009b`,
		"\u202eabc": `\u202eabc`, "\xff\xfe": `\xff\xfe`, "\ufffd": "\ufffd", "\U000e0001": `\U000e0001`, "\x00": `\x00`, "": "",
	}
	for in, want := range tests {
		if got := Escape(in); got != want {
			t.Errorf("%q: got %s, want %s", in, got, want)
		}
	}
}

func TestTable(t *testing.T) {
	tab := Table{Head: []Column{{"PATH", Path}, {"STATUS", Left}, {"BYTES", Right}}}
	tab.Row("/a/very/long/path/"+strings.Repeat("x", 80)+"/chk-12", "complete", "1.5 KiB")
	tab.Row("chk-3", "damaged", "9 B")
	tab.Row("東京\x1b", "", "")
	var b bytes.Buffer
	if err := tab.Write(&b); err != nil {
		t.Fatal(err)
	}
	want := "PATH" + strings.Repeat(" ", 59) + "STATUS      BYTES\n" +
		"…" + strings.Repeat("x", 53) + "/chk-12  complete  1.5 KiB\n" +
		"chk-3" + strings.Repeat(" ", 58) + "damaged       9 B\n" +
		"東京\\x1b\n"
	if d := cmp.Diff(want, b.String()); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
	for line := range strings.Lines(b.String()) {
		if n := width(strings.TrimRight(line, "\n")); n > Columns {
			t.Errorf("%d columns: %s", n, line)
		}
	}
	tab.Wide = true
	b.Reset()
	if err := tab.Write(&b); err != nil || strings.Contains(b.String(), "…") {
		t.Errorf("wide: %v\n%s", err, b.String())
	}
	b.Reset()
	if err := (&Table{Head: tab.Head}).Write(&b); err != nil || b.Len() > 0 {
		t.Errorf("an empty table wrote %q, %v", b.String(), err)
	}
}

func TestUnits(t *testing.T) {
	for n, want := range map[uint64]string{0: "0 B", 1023: "1023 B", 1024: "1.0 KiB", 1536: "1.5 KiB", 102348: "99.9 KiB", 102349: "100 KiB",
		1<<20 - 1: "1.0 MiB", 1 << 30: "1.0 GiB", 1<<64 - 1: "16.0 EiB"} {
		if got := Bytes(n); got != want {
			t.Errorf("%d: got %s, want %s", n, got, want)
		}
	}
	for n, want := range map[uint64]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567"} {
		if got := Number(n); got != want {
			t.Errorf("%d: got %s, want %s", n, got, want)
		}
	}
	if got := Time(time.Time{}); got != Unknown {
		t.Errorf("zero time: %s", got)
	}
}

// sample has every shape that a document has.
type sample struct {
	Schema string     `json:"schema"`
	Text   []string   `json:"text"`
	None   *int       `json:"none"`
	Empty  []int      `json:"empty"`
	Deep   []sample   `json:"deep,omitempty"`
	Object *sample    `json:"object,omitempty"`
	Number uint64     `json:"number"`
	Lists  [][]string `json:"lists,omitempty"`
}

func TestYAML(t *testing.T) {
	doc := sample{Schema: "tidemark.x/1", Text: []string{"no", "12", "a b", "", "x\x1by", "\U000e0001", `q"\`, "- a", "2001-01-01"}, Empty: []int{},
		Deep:   []sample{{Schema: "a", Deep: []sample{{Schema: "b", Empty: []int{1, 2}}}}, {Schema: "c"}},
		Object: &sample{Text: []string{}}, Number: 1 << 60}
	var y, j bytes.Buffer
	if err := YAML(&y, doc); err != nil {
		t.Fatal(err)
	}
	if err := JSON(&j, doc); err != nil {
		t.Fatal(err)
	}
	var fromYAML, fromJSON sample
	if err := yaml.Unmarshal(y.Bytes(), &fromYAML); err != nil {
		t.Fatalf("%v\n%s", err, y.String())
	}
	if err := json.Unmarshal(j.Bytes(), &fromJSON); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(doc, fromJSON); d != "" {
		t.Errorf("JSON: -want +got\n%s", d)
	}
	if d := cmp.Diff(doc, fromYAML); d != "" {
		t.Errorf("YAML: -want +got\n%s\n%s", d, y.String())
	}
}

// FuzzInspectPrint: whatever stands in a checkpoint, no control character and
// no change of writing direction reaches the terminal, in any output format.
func FuzzInspectPrint(f *testing.F) {
	for _, seed := range []string{"plain", "\x1b[2J", "\u009b31m", "\x7f", "\u202eevil", "\xff", "a\rb", "\u2028", "\U000e0020", "\\", "\"", "\x00"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		doc := sample{Schema: text, Text: []string{text}}
		tab := Table{Head: []Column{{"A", Left}, {"B", Path}, {"C", Right}}}
		tab.Row(text, text, text)
		writers := map[string]func(*bytes.Buffer) error{
			"table":  func(b *bytes.Buffer) error { return tab.Write(b) },
			"fields": func(b *bytes.Buffer) error { return Fields(b, [2]string{"name", text}) },
			"json":   func(b *bytes.Buffer) error { return JSON(b, doc) },
			"jsonl":  func(b *bytes.Buffer) error { return JSONLine(b, doc) },
			"yaml":   func(b *bytes.Buffer) error { return YAML(b, doc) },
		}
		for name, write := range writers {
			var b bytes.Buffer
			if err := write(&b); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			for _, r := range b.String() {
				if r != '\n' && !unicode.IsPrint(r) {
					t.Errorf("%s: %q reaches the terminal in %q", name, r, b.String())
				}
			}
		}
		var b bytes.Buffer
		if err := JSON(&b, doc); err != nil || !json.Valid(b.Bytes()) {
			t.Errorf("no JSON: %v %s", err, b.String())
		}
	})
}
