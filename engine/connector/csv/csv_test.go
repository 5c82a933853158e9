package csv

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tidemark-io/tidemark/engine/connector/internal/sourcetest"
)

type row struct {
	Name  string
	Count int16         `csv:"n"`
	Ratio float64       `csv:"ratio"`
	OK    bool          `csv:"ok"`
	At    time.Time     `csv:"at"`
	Took  time.Duration `csv:"took"`
	Size  uint8         `csv:"size"`
	Note  string        `csv:"-"`
}

const header = "took,ignored,n,Name,ratio,ok,at,size\n"

func file(t testing.TB, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "in.csv")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func source(t testing.TB, content string) *Source[row] {
	t.Helper()
	src, err := New[row]([]string{file(t, content)}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	return src
}

func TestRead(t *testing.T) {
	at := time.Date(2001, 1, 1, 0, 47, 0, 0, time.UTC)
	want := []row{
		{Name: "a", Count: -1, Ratio: 0.5, OK: true, At: at, Took: time.Second, Size: 255},
		{Name: "two\nlines, \"quoted\"", Count: 2, At: at},
		{Count: 3, At: at, Took: time.Minute},
	}
	for name, content := range map[string]string{
		"plain": header + "1s,x,-1,a,0.5,true,2001-01-01T00:47:00Z,255\n" +
			"0s,\"y\nz\",2,\"two\nlines, \"\"quoted\"\"\",0,false,2001-01-01T01:47:00+01:00,0\n\n" +
			"1m,,3,,0,0,2001-01-01T00:47:00Z,0",
		"mark, CRLF": "\xef\xbb\xbf" + strings.ReplaceAll(header, "\n", "\r\n") + "1s,x,-1,a,0.5,true,2001-01-01T00:47:00Z,255\r\n" +
			"0s,\"y\nz\",2,\"two\r\nlines, \"\"quoted\"\"\",0,false,2001-01-01T01:47:00+01:00,0\r\n\r\n" +
			"1m,,3,,0,0,2001-01-01T00:47:00Z,0\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			got := sourcetest.Replay(t, source(t, content))
			if d := cmp.Diff([][]row{want}, got); d != "" {
				t.Fatal(d)
			}
		})
	}
	if got := sourcetest.Replay(t, source(t, header)); len(got[0]) != 0 {
		t.Errorf("%d rows in a file with a header only", len(got[0]))
	}
}

func TestErrors(t *testing.T) {
	good := "1s,x,1,a,0.5,true,2001-01-01T00:47:00Z,255\n"
	for name, tc := range map[string]struct {
		content string
		line    int64
		column  int
		want    string
	}{
		"integer":        {header + good + "\n" + "1s,x,many,a,0,true,2001-01-01T00:47:00Z,1\n", 4, 6, `in.csv:4:6: column "n": strconv.ParseInt: parsing "many": invalid syntax`},
		"range":          {header + good + "1s,x,1,a,0.5,true,2001-01-01T00:47:00Z,256\n", 3, 40, "value out of range"},
		"empty":          {header + good + "1s,x,,a,0.5,true,2001-01-01T00:47:00Z,2\n", 3, 6, "invalid syntax"},
		"time":           {header + good + "1s,x,1,a,0.5,true,yesterday,2\n", 3, 19, `column "at": parsing time`},
		"after newlines": {header + "1s,\"x\n\n\",1,a,0.5,maybe,2001-01-01T00:47:00Z,2\n", 4, 11, `column "ok"`},
		"short row":      {header + good + "1s,x\n", 3, 0, "wrong number of fields"},
		"quote":          {header + good + "1s,x\"y,1,a,0.5,true,2001-01-01T00:47:00Z,2\n", 3, 0, `bare "`},
	} {
		// Read through, and from the position in front of the bad row: the
		// place must be the same.
		for _, replay := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				src := source(t, tc.content)
				splits, _ := src.Splits(context.Background())
				var p []byte
				var err error
				for range 2 {
					r, openErr := src.Open(context.Background(), splits[0], p)
					if openErr != nil {
						t.Fatal(openErr)
					}
					for err = nil; err == nil; {
						p = r.Position(nil)
						_, err = r.Read(context.Background(), make([]row, 1))
					}
					r.Close()
					if !replay {
						break
					}
				}
				var e *Error
				if !errors.As(err, &e) || e.Line != tc.line || e.Column != tc.column || !strings.Contains(err.Error(), tc.want) {
					t.Errorf("%v, want line %d, column %d, %q", err, tc.line, tc.column, tc.want)
				}
			})
		}
	}
}

func openErr(t *testing.T, content string, position []byte) error {
	t.Helper()
	src := source(t, content)
	splits, _ := src.Splits(context.Background())
	r, err := src.Open(context.Background(), splits[0], position)
	if err == nil {
		r.Close()
	}
	return err
}

func TestOpenRefusals(t *testing.T) {
	if err := openErr(t, "Name,n\n", nil); !errors.Is(err, ErrMissingColumn) || !strings.Contains(err.Error(), `"ratio"`) {
		t.Errorf("missing column: %v", err)
	}
	if err := openErr(t, strings.Replace(header, "ignored", "n", 1), nil); err == nil || !strings.Contains(err.Error(), "two columns") {
		t.Errorf("column twice: %v", err)
	}
	if err := openErr(t, "", nil); err == nil || errors.Is(err, io.EOF) {
		t.Errorf("empty file: %v", err)
	}
	if err := openErr(t, header, make([]byte, 16)); err == nil {
		t.Error("a position in the header was accepted")
	}
	if err := openErr(t, header, make([]byte, 15)); err == nil {
		t.Error("a position of 15 bytes was accepted")
	}
	for name, err := range map[string]error{
		"is no struct":      newErr[int](),
		"not supported":     newErr[struct{ A []int }](),
		"no exported field": newErr[struct{ a int }](),
		"two fields": newErr[struct {
			A int `csv:"x"`
			B int `csv:"x"`
		}](),
	} {
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%v, want %q", err, name)
		}
	}
}

func newErr[T any]() error {
	_, err := New[T](nil, Options{})
	return err
}

func TestOptions(t *testing.T) {
	type flight struct {
		Date  time.Time `csv:"date"`
		Delay int       `csv:"delay"`
	}
	src, err := New[flight]([]string{file(t, "date;delay\n2001/01/01 00:47;66\n")}, Options{Comma: ';', TimeLayout: "2006/01/02 15:04"})
	if err != nil {
		t.Fatal(err)
	}
	got := sourcetest.Replay(t, src)
	if d := cmp.Diff([][]flight{{{time.Date(2001, 1, 1, 0, 47, 0, 0, time.UTC), 66}}}, got); d != "" {
		t.Fatal(d)
	}
}
