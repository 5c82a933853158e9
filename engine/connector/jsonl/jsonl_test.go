package jsonl

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/tidemark-io/tidemark/engine/connector/internal/sourcetest"
)

type row struct {
	ID   int    `json:"id"`
	Text string `json:"text"`
}

func file(t testing.TB, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "in.json")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func flatten[T any](s [][]T) []T {
	out := []T{}
	for _, v := range s {
		out = append(out, v...)
	}
	return out
}

func TestForms(t *testing.T) {
	two := []row{{1, "a"}, {2, "b,]}\"\\"}}
	for name, tc := range map[string]struct {
		content string
		want    []row
	}{
		"lines":                  {"{\"id\":1,\"text\":\"a\"}\n{\"id\":2,\"text\":\"b,]}\\\"\\\\\"}\n", two},
		"no last newline":        {"{\"id\":1,\"text\":\"a\"}\n{\"id\":2,\"text\":\"b,]}\\\"\\\\\"}", two},
		"blank lines, CRLF, BOM": {"\xef\xbb\xbf\r\n \t\n{\"id\":1,\"text\":\"a\"}\r\n\r\n  {\"id\":2,\"text\":\"b,]}\\\"\\\\\"}  \r\n\r\n  ", two},
		"array":                  {"[{\"id\":1,\"text\":\"a\"},{\"id\":2,\"text\":\"b,]}\\\"\\\\\"}]", two},
		"array over lines":       {"\xef\xbb\xbf \n[\n {\"id\":1,\n\"text\":\"a\"}\n , {\"id\":2,\"text\":\"b,]}\\\"\\\\\"}\n]\n", two},
		"empty array":            {" [ ] ", []row{}},
		"empty":                  {"", []row{}},
		"only space":             {" \n\n ", []row{}},
		"one":                    {"{\"id\":1,\"text\":\"a\"}", two[:1]},
	} {
		t.Run(name, func(t *testing.T) {
			for _, split := range []int64{0, 1, 5, 1000} {
				got := sourcetest.Replay(t, New[row]([]string{file(t, tc.content)}, Options{SplitBytes: split}))
				if d := cmp.Diff(tc.want, flatten(got)); d != "" {
					t.Fatalf("splits of %d bytes: %s", split, d)
				}
			}
		})
	}
}

func TestScalars(t *testing.T) {
	got := sourcetest.Replay(t, New[any]([]string{file(t, `[1, -2.5e3,true , null,"a\"]",[1,[2]],{"a":[]}]`)}, Options{}))
	want := []any{1.0, -2500.0, true, nil, `a"]`, []any{1.0, []any{2.0}}, map[string]any{"a": []any{}}}
	if d := cmp.Diff(want, flatten(got)); d != "" {
		t.Fatal(d)
	}
	lines := sourcetest.Replay(t, New[[]int]([]string{file(t, "[1]\n[2,3]\n")}, Options{Form: Lines}))
	if d := cmp.Diff([][]int{{1}, {2, 3}}, flatten(lines)); d != "" {
		t.Fatal(d)
	}
}

// TestSplitsCoverEverything: any text in any cut gives each record once, in
// order.
func TestSplitsCoverEverything(t *testing.T) {
	dir := t.TempDir()
	n := 0
	rapid.Check(t, func(t *rapid.T) {
		var b strings.Builder
		var want []row
		for range rapid.IntRange(0, 12).Draw(t, "records") {
			r := row{rapid.Int().Draw(t, "id"), rapid.String().Draw(t, "text")}
			want = append(want, r)
			line, _ := json.Marshal(r)
			b.Write(line)
			b.WriteString(rapid.SampledFrom([]string{"\n", "\r\n", "\n\n", " \n \n"}).Draw(t, "end"))
		}
		n++
		path := filepath.Join(dir, fmt.Sprint(n))
		if err := os.WriteFile(path, []byte(b.String()), 0o600); err != nil {
			t.Fatal(err)
		}
		src := New[row]([]string{path}, Options{SplitBytes: rapid.Int64Range(1, 200).Draw(t, "split")})
		splits, err := src.Splits(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		var got []row
		for _, s := range splits {
			r, err := src.Open(context.Background(), s, nil)
			if err != nil {
				t.Fatal(err)
			}
			batch := make([]row, 5)
			for err == nil {
				var k int
				k, err = r.Read(context.Background(), batch)
				got = append(got, batch[:k]...)
			}
			r.Close()
			if err != io.EOF {
				t.Fatal(err)
			}
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Fatal(d)
		}
	})
}

func readErr(t *testing.T, content string, opts Options) (n int, err error) {
	t.Helper()
	src := New[row]([]string{file(t, content)}, opts)
	splits, err := src.Splits(context.Background())
	if err != nil {
		return 0, err
	}
	for _, s := range splits {
		r, err := src.Open(context.Background(), s, nil)
		if err != nil {
			return n, err
		}
		defer r.Close()
		batch := make([]row, 1)
		for err == nil {
			var k int
			k, err = r.Read(context.Background(), batch)
			n += k
		}
		if err != io.EOF {
			return n, err
		}
	}
	return n, nil
}

func TestErrors(t *testing.T) {
	good := `{"id":1,"text":"a"}`
	for name, tc := range map[string]struct {
		content string
		opts    Options
		records int
		line    int64
		offset  int64
		want    string
	}{
		"bad line":          {good + "\n\n{\"id\":oops}\n", Options{}, 1, 3, 21, "invalid character 'o'"},
		"wrong type":        {good + "\n{\"id\":\"x\"}\n", Options{}, 1, 2, 20, "cannot unmarshal string"},
		"line too long":     {good + "\n" + strings.Repeat(" ", 30) + good, Options{MaxRecord: 25}, 1, 2, 20, "the limit is 25: record is too long"},
		"last line long":    {good + "\n" + `{"id":1,"text":"` + strings.Repeat("x", 80) + `"}`, Options{MaxRecord: 40}, 1, 2, 20, "record is too long"},
		"element too long":  {"[" + good + ",\n" + `{"id":1,"text":"` + strings.Repeat("x", 80) + `"}]`, Options{MaxRecord: 40}, 1, 2, 22, "record is too long"},
		"array cut":         {"[" + good + ",\n", Options{}, 1, 2, 22, "unexpected EOF"},
		"array cut inside":  {"[" + good + ",{\"id\":", Options{}, 1, 1, 21, "unexpected EOF"},
		"array not closed":  {"[" + good, Options{}, 1, 1, 20, "the array is not closed"},
		"no comma":          {"[" + good + good + "]", Options{}, 1, 1, 20, "where a comma or the end"},
		"two commas":        {"[" + good + ",," + good + "]", Options{}, 1, 1, 21, "where a record is expected"},
		"comma at the end":  {"[" + good + ",]", Options{}, 1, 1, 21, "where a record is expected"},
		"comma first":       {"[," + good + "]", Options{}, 0, 1, 1, "where a record is expected"},
		"text behind array": {"[" + good + "]\nx", Options{}, 1, 2, 22, "follows the array"},
		"not an array":      {good, Options{Form: Array}, 0, 1, 0, "not a JSON array"},
		"empty, not array":  {"", Options{Form: Array}, 0, 1, 0, "the file is empty"},
		"unbalanced":        {"[{\"id\":1]", Options{}, 0, 1, 1, "invalid character ']'"},
		"brace":             {"[}]", Options{}, 0, 1, 1, "unexpected end of JSON input"},
		"unknown line":      {good + "\n" + good + "\n{", Options{SplitBytes: 39}, 2, 0, 40, "in.json: record at offset 40"},
	} {
		t.Run(name, func(t *testing.T) {
			n, err := readErr(t, tc.content, tc.opts)
			var e *Error
			if !errors.As(err, &e) || !strings.Contains(err.Error(), tc.want) {
				t.Fatalf("%v, want %q", err, tc.want)
			}
			if n != tc.records || e.Line != tc.line || e.Offset != tc.offset || filepath.Base(e.File) != "in.json" {
				t.Errorf("after %d records: %v (offset %d), want %d records, line %d, offset %d", n, err, e.Offset, tc.records, tc.line, tc.offset)
			}
		})
	}
}

// TestLineAfterReplay: a reader that continues in the middle still knows the
// line.
func TestLineAfterReplay(t *testing.T) {
	src := New[row]([]string{file(t, "{\"id\":1}\n\n{\"id\":2}\n{\"id\":x}\n")}, Options{})
	splits, _ := src.Splits(context.Background())
	r, err := src.Open(context.Background(), splits[0], nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Read(context.Background(), make([]row, 2)); err != nil {
		t.Fatal(err)
	}
	p := r.Position(nil)
	r.Close()
	if r, err = src.Open(context.Background(), splits[0], p); err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	_, err = r.Read(context.Background(), make([]row, 2))
	var e *Error
	if !errors.As(err, &e) || e.Line != 4 {
		t.Errorf("%v, want line 4", err)
	}
}

func TestOpenRefusals(t *testing.T) {
	path := file(t, "{}\n{}\n")
	src := New[row]([]string{path}, Options{})
	splits, _ := src.Splits(context.Background())
	for name, p := range map[string][]byte{
		"short position":  {1, 2},
		"behind the end":  {7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0},
		"negative offset": {0, 0, 0, 0, 0, 0, 0, 0x80, 0, 0, 0, 0, 0, 0, 0, 0},
	} {
		if _, err := src.Open(context.Background(), splits[0], p); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
	if err := os.Truncate(path, 2); err != nil {
		t.Fatal(err)
	}
	if _, err := src.Open(context.Background(), splits[0], nil); err == nil || !strings.Contains(err.Error(), "has 2 bytes") {
		t.Errorf("a file that became shorter: %v", err)
	}
	if _, err := New[row]([]string{filepath.Join(t.TempDir(), "absent")}, Options{}).Splits(context.Background()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("absent file: %v", err)
	}
	if _, err := New[row]([]string{t.TempDir()}, Options{}).Splits(context.Background()); err == nil {
		t.Error("a directory was accepted")
	}
}

// FuzzReader: no input makes the reader panic, hang or return a record twice.
func FuzzReader(f *testing.F) {
	f.Add([]byte("{\"id\":1}\n{\"id\":2}\n"), uint8(3))
	f.Add([]byte("[{\"id\":1},{\"id\":2}]"), uint8(0))
	f.Add([]byte("[1,\"\\\"]\",[[]],{}"), uint8(1))
	path := filepath.Join(f.TempDir(), "in.json") // of this process alone
	f.Fuzz(func(t *testing.T, content []byte, split uint8) {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		src := New[json.RawMessage]([]string{path}, Options{SplitBytes: int64(split), MaxRecord: 64})
		splits, err := src.Splits(context.Background())
		if err != nil {
			return
		}
		for _, s := range splits {
			r, err := src.Open(context.Background(), s, nil)
			if err != nil {
				return
			}
			defer r.Close()
			batch := make([]json.RawMessage, 4)
			for n := 0; err == nil; {
				var k int
				if k, err = r.Read(context.Background(), batch); k == 0 && err == nil {
					t.Fatal("neither records nor the end")
				}
				if n += k; n > len(content) {
					t.Fatalf("%d records in %d bytes", n, len(content))
				}
			}
		}
	})
}
