package export

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go"
	"pgregory.net/rapid"

	"github.com/tidemark-io/tidemark/checkpoint"
	"github.com/tidemark-io/tidemark/reader"
	"github.com/tidemark-io/tidemark/store/mem"
	"github.com/tidemark-io/tidemark/writer/writertest"
)

// sample writes a checkpoint and opens it.
func sample(t *testing.T) checkpoint.Checkpoint {
	t.Helper()
	st := mem.New()
	j := writertest.Job{Keys: 40, Flight: 15}
	if _, err := j.Write(t.Context(), st); err != nil {
		t.Fatal(err)
	}
	c, err := reader.Open(t.Context(), st, j.Dir())
	if err != nil {
		t.Fatal(err)
	}
	m := reader.NewModel(c)
	t.Cleanup(func() { m.Close() })
	return m
}

func export(t *testing.T, c checkpoint.Checkpoint, f Format, selector string) (string, uint64) {
	t.Helper()
	sel, err := checkpoint.ParseSelector(selector)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	n, err := Write(t.Context(), c, &b, Options{Format: f, Select: sel})
	if err != nil {
		t.Fatal(err)
	}
	return b.String(), n
}

func TestText(t *testing.T) {
	c := sample(t)
	got, n := export(t, c, JSONL, "state=windows,keygroup=0-11")
	want := `{"operator":"count","state":"windows","kind":"keyed","subtask":0,"key_group":3,"hash":113438706,"key":"key-25","namespace":6400,"value":"25"}`
	if first, _, _ := strings.Cut(got, "\n"); uint64(strings.Count(got, "\n")) != n || first != want {
		t.Errorf("got %d rows, the first %s\nwant %s", n, first, want)
	}
	got, n = export(t, c, CSV, "kind=input-channel")
	rows, err := csv.NewReader(strings.NewReader(got)).ReadAll()
	if err != nil || uint64(len(rows)) != n+1 {
		t.Fatalf("%d rows of %d, %v", len(rows), n, err)
	}
	if head := "[operator state kind edge subtask key_group hash key namespace value.origin value.n time detail]"; fmt.Sprint(rows[0]) != head {
		t.Errorf("head %v", rows[0])
	}
	if r := rows[2]; r[9] != "key-0" || r[10] != "0" || r[11] != "1000" || !strings.Contains(r[12], `"element":"record"`) {
		t.Errorf("row %q", r)
	}
}

// torn is a checkpoint in which a piece of a record is left in flight.
type torn struct{ *reader.Model }

func (m torn) Records(ctx context.Context, sel checkpoint.Selector) iter.Seq2[checkpoint.Record, error] {
	return func(yield func(checkpoint.Record, error) bool) {
		for r, err := range m.Model.Records(ctx, sel) {
			if r.Element == checkpoint.ElementRecord {
				r.Element, r.Payload = checkpoint.ElementTorn, r.Payload[:2]
			}
			if !yield(r, err) || err != nil {
				return
			}
		}
	}
}

// A piece of a record has no place in the columns of its type.
func TestTornRecord(t *testing.T) {
	c := torn{sample(t).(*reader.Model)}
	for _, f := range Formats {
		got, n := export(t, c, f, "kind=input-channel")
		if n == 0 || f == JSONL && !strings.Contains(got, `"element":"torn"`) || f == JSONL && !strings.Contains(got, `"bytes":"`) {
			t.Errorf("%s: %d rows\n%s", f, n, got)
		}
	}
}

// TestParquetReads: an independent library reads the file and finds what JSON
// lines have.
func TestParquetReads(t *testing.T) {
	c := sample(t)
	for _, selector := range []string{"", "state=windows", "kind=output-channel", "state=counter", "kind=floors"} {
		lines, n := export(t, c, JSONL, selector)
		text, m := export(t, c, Parquet, selector)
		f, err := parquet.OpenFile(strings.NewReader(text), int64(len(text)))
		if err != nil {
			t.Fatalf("%q: %v", selector, err)
		}
		if n != m || uint64(f.NumRows()) != n {
			t.Errorf("%q: %d rows as JSON, %d as Parquet, %d read", selector, n, m, f.NumRows())
		}
		want := strings.Split(strings.TrimSpace(lines), "\n")
		for i, row := range readParquet(t, f) {
			var line map[string]any
			d := json.NewDecoder(strings.NewReader(want[i]))
			d.UseNumber()
			if err := d.Decode(&line); err != nil {
				t.Fatal(err)
			}
			delete(line, "value") // bytes and unsigned integers are printed in another way
			for _, name := range slices.Sorted(maps.Keys(line)) {
				if name == "detail" || name == "namespace" {
					continue
				}
				if got := strings.Trim(row[name], `"`); got != fmt.Sprint(line[name]) { // quoted where keys of several types are JSON
					t.Fatalf("%q, row %d, %s: %q, want %v", selector, i, name, got, line[name])
				}
			}
		}
	}
}

// readParquet reads all rows as text by column.
func readParquet(t *testing.T, f *parquet.File) (all []map[string]string) {
	t.Helper()
	names := f.Schema().Columns()
	for _, g := range f.RowGroups() {
		rows := g.Rows()
		buf := make([]parquet.Row, 64)
		for {
			n, err := rows.ReadRows(buf)
			for _, r := range buf[:n] {
				row := map[string]string{}
				for _, v := range r {
					if !v.IsNull() {
						row[strings.Join(names[v.Column()], ".")] = v.String()
					}
				}
				all = append(all, row)
			}
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		rows.Close()
	}
	return all
}

// TestParquetTypes writes values of every type, in several row groups.
func TestParquetTypes(t *testing.T) {
	columns := []column{{"b", checkpoint.ColumnBool}, {"i", checkpoint.ColumnInt}, {"u", checkpoint.ColumnUint}, {"f", checkpoint.ColumnFloat}, {"s", checkpoint.ColumnString},
		{"y", checkpoint.ColumnBytes}, {"t", checkpoint.ColumnTime}, {"j", checkpoint.ColumnJSON}, {"h", checkpoint.ColumnHex}}
	var b bytes.Buffer
	s, err := newParquet(&b, columns)
	if err != nil {
		t.Fatal(err)
	}
	row := func(cells ...string) {
		list := make([][]byte, len(columns))
		for i, c := range cells {
			if c != "" {
				list[i] = []byte(c)
			}
		}
		if err := s.row(list); err != nil {
			t.Fatal(err)
		}
	}
	row("true", `"-9223372036854775808"`, `"18446744073709551615"`, `"NaN"`, `"\u001b"`, `"/wA="`, `"1970-01-01T00:00:00.000000001Z"`, `{"a":[1]}`, `"ff00"`)
	row()
	row("false", "-1", "1", "1.5", `"x"`)
	if err := s.flush(); err != nil {
		t.Fatal(err)
	}
	row("true")
	if err := s.end(); err != nil {
		t.Fatal(err)
	}
	f, err := parquet.OpenFile(bytes.NewReader(b.Bytes()), int64(b.Len()))
	if err != nil {
		t.Fatal(err)
	}
	got := readParquet(t, f)
	want := []map[string]string{
		{"b": "true", "i": "-9223372036854775808", "u": "18446744073709551615", "f": "NaN", "s": "\x1b", "y": "\xff\x00", "t": "1", "j": `{"a":[1]}`, "h": "\xff\x00"},
		{}, {"b": "false", "i": "-1", "u": "1", "f": "1.5", "s": "x"}, {"b": "true"}}
	// The library prints unsigned integers and times in ways of its own.
	for i := range want {
		for name, v := range want[i] {
			if g := got[i][name]; g != v && name != "u" && name != "t" {
				t.Errorf("row %d, %s: %q, want %q", i, name, g, v)
			}
		}
		if len(got[i]) != len(want[i]) {
			t.Errorf("row %d: %q", i, got[i])
		}
	}
	if len(f.RowGroups()) != 2 || !strings.Contains(f.Schema().String(), "TIMESTAMP") {
		t.Errorf("%d groups, %s", len(f.RowGroups()), f.Schema())
	}
	for i, bad := range []string{"", `"x"`, `"-1"`, `"x"`, "", `"!"`, `"yesterday"`, "", `"x"`} {
		if bad == "" {
			continue
		}
		cells := make([][]byte, len(columns))
		cells[i] = []byte(bad)
		if err := s.row(cells); err == nil {
			t.Errorf("column %s takes %s", columns[i].name, bad)
		}
	}
}

func TestSplitObject(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOfN(rapid.SampledFrom([]any{1, "a,b", `"}`, `\`, []any{1, "]"}, map[string]any{"x:": "{,"}, true}), 1, 5).Draw(t, "values")
		text, want := "{", []string{}
		for i, v := range values {
			cell, err := json.Marshal(v)
			if err != nil {
				t.Fatal(err)
			}
			if i > 0 {
				text += ","
			}
			text += fmt.Sprintf("%q:%s", fmt.Sprintf(`f:%d"`, i), cell)
			want = append(want, string(cell))
		}
		var got []string
		for _, cell := range splitObject(nil, []byte(text+"}")) {
			got = append(got, string(cell))
		}
		if !slices.Equal(got, want) {
			t.Fatalf("%s}: got %q", text, got)
		}
	})
	if got := splitObject(nil, []byte(`{"a":null,"b":1}`)); len(got) != 2 || got[0] != nil {
		t.Errorf("null is %q", got)
	}
}

// failing takes some bytes only.
type failing struct{ left int }

var errFull = errors.New("disk full")

func (f *failing) Write(p []byte) (int, error) {
	if f.left -= len(p); f.left < 0 {
		return 0, errFull
	}
	return len(p), nil
}

func TestErrors(t *testing.T) {
	c := sample(t)
	for _, f := range Formats {
		if _, err := Write(t.Context(), c, &failing{3}, Options{Format: f}); !errors.Is(err, errFull) {
			t.Errorf("%s: %v", f, err)
		}
	}
	if _, err := Write(t.Context(), c, io.Discard, Options{Format: "xml"}); !errors.Is(err, ErrFormat) {
		t.Errorf("got %v", err)
	}
}

// TestCells compares cells of CSV with those of encoding/csv, of every kind of
// text that needs care.
func TestCells(t *testing.T) {
	for _, text := range []string{"", "plain", "a,b", `"`, `say "no"`, "two\nlines", "\r", " leading", "\tleading", "trailing ", `\.`, `\`, "\u00a0x", "é", "\xff"} {
		var want bytes.Buffer
		w := csv.NewWriter(&want)
		if err := w.Write([]string{"x", text}); err != nil {
			t.Fatal(err)
		}
		w.Flush()
		if got := string(appendCell([]byte("x,"), []byte(text))) + "\n"; got != want.String() {
			t.Errorf("%q is written %q, want %q", text, got, &want)
		}
	}
}

// TestHiddenCharacters: what a terminal would act upon is never written as it is,
// and a reader of JSON or CSV gets it back.
func TestHiddenCharacters(t *testing.T) {
	for _, tt := range []struct{ cell, json, csv string }{
		{`"plain"`, `"plain"`, `plain`},
		{`"two\nlines\t"`, `"two\nlines\t"`, "two\nlines\t"},
		{`"\u001b[31mred\u0007"`, `"\u001b[31mred\u0007"`, `"\u001b[31mred\u0007"`},
		{"\"c1 \u009b31m, del \u007f, turned \u202e, \U000e0041\"", `"c1 \u009b31m, del \u007f, turned \u202e, \udb40\udc41"`, `"c1 \u009b31m, del \u007f, turned \u202e, \udb40\udc41"`},
		{`12`, `12`, `12`},
	} {
		if got := string(printable([]byte(tt.cell))); got != tt.json {
			t.Errorf("%q as JSON: %s, want %s", tt.cell, got, tt.json)
		}
		if got := string(plain([]byte(tt.cell))); got != tt.csv {
			t.Errorf("%q in CSV: %s, want %s", tt.cell, got, tt.csv)
		}
		var was, is string
		if tt.cell[0] == '"' && (json.Unmarshal([]byte(tt.cell), &was) != nil || json.Unmarshal(printable([]byte(tt.cell)), &is) != nil || was != is) {
			t.Errorf("%q reads as %q", tt.cell, is)
		}
	}
}
