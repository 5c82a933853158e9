package jsonl

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/tidemark-io/tidemark/engine/connector/internal/sourcetest"
)

// TestFlights reads the sample of real records, whole and from a position in
// the middle.
func TestFlights(t *testing.T) {
	type flight struct {
		Date        string `json:"date"`
		Delay       int    `json:"delay"`
		Distance    int    `json:"distance"`
		Origin      string `json:"origin"`
		Destination string `json:"destination"`
	}
	src := New[flight]([]string{filepath.Join("..", "..", "..", "testdata", "flights-20k.json")}, Options{})
	splits, err := src.Splits(context.Background())
	if err != nil || len(splits) != 1 {
		t.Fatalf("%d splits, %v", len(splits), err)
	}
	all, positions := sourcetest.ReadAll(t, src, splits[0], nil, 256)
	first := flight{"2001/01/01 00:47", 66, 1750, "DTW", "LAS"}
	if len(all) != 20000 || all[0] != first || all[19999].Destination != "GSO" {
		t.Fatalf("%d flights, the first is %+v", len(all), all[0])
	}
	rest, _ := sourcetest.ReadAll(t, src, splits[0], positions[40], 100)
	if len(rest) != 20000-40*256 || rest[0] != all[40*256] {
		t.Errorf("%d flights from the middle", len(rest))
	}
	t.Logf("RESULT jsonl-flights records=%d replayed=%d", len(all), len(rest))
}
