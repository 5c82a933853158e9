package parquet

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/parquet-go/parquet-go"

	"github.com/tidemark-io/tidemark/engine"
	"github.com/tidemark-io/tidemark/engine/connector/internal/sourcetest"
)

type flight struct {
	Date   int64   `parquet:"date"`
	Delay  *int32  `parquet:"delay,optional"`
	Origin string  `parquet:"origin,dict"`
	Extra  float64 `parquet:"extra"`
}

// narrow reads some of the columns.
type narrow struct {
	Origin string `parquet:"origin"`
	Date   int64  `parquet:"date"`
}

func write(t *testing.T, rows []flight, perGroup int64) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "in.parquet")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	w := parquet.NewGenericWriter[flight](f, parquet.MaxRowsPerRowGroup(perGroup))
	if _, err := w.Write(rows); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

func rows(n int) []flight {
	out := make([]flight, n)
	for i := range out {
		out[i] = flight{Date: int64(i), Origin: []string{"DTW", "LAS", "OAK"}[i%3], Extra: float64(i) / 2}
		if i%2 == 0 {
			d := int32(-i)
			out[i].Delay = &d
		}
	}
	return out
}

func TestReplay(t *testing.T) {
	want := rows(50)
	path := write(t, want, 20)
	got := sourcetest.Replay(t, New[flight]([]string{path}))
	if d := cmp.Diff([][]flight{want[:20], want[20:40], want[40:]}, got); d != "" {
		t.Fatal(d)
	}
	some := sourcetest.Replay(t, New[narrow]([]string{path, path}))
	if len(some) != 6 || some[5][9] != (narrow{"LAS", 49}) {
		t.Errorf("%d splits, the last is %v", len(some), some[len(some)-1])
	}
}

func TestRefusals(t *testing.T) {
	path := write(t, rows(10), 5)
	src := New[flight]([]string{path})
	splits, err := src.Splits(context.Background())
	if err != nil || len(splits) != 2 {
		t.Fatalf("%d splits, %v", len(splits), err)
	}
	for name, tc := range map[string]struct {
		split    engine.Split
		position []byte
		want     string
	}{
		"position":    {splits[0], []byte{6, 0, 0, 0, 0, 0, 0, 0}, "behind the 5 rows"},
		"length":      {splits[0], []byte{6}, "position has 1 bytes"},
		"description": {engine.Split{Data: []byte("?")}, nil, "description"},
		"rows":        {engine.Split{Data: []byte(strings.Replace(string(splits[0].Data), `"rows":5`, `"rows":6`, 1))}, nil, "has 5 rows, it had 6"},
		"group":       {engine.Split{Data: []byte(strings.Replace(string(splits[0].Data), `"group":0`, `"group":2`, 1))}, nil, "has 2 row groups"},
	} {
		if _, err := src.Open(context.Background(), tc.split, tc.position); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v, want %q", name, err, tc.want)
		}
	}
	text := filepath.Join(t.TempDir(), "text")
	if err := os.WriteFile(text, []byte("this is no parquet file"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{text, filepath.Join(t.TempDir(), "absent")} {
		if _, err := New[flight]([]string{p}).Splits(context.Background()); err == nil {
			t.Errorf("%s was accepted", p)
		}
	}
}
