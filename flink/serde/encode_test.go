package serde

import (
	"bytes"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/tidemark-io/tidemark/flink/wire"
)

// What is written again is what Flink wrote: snapshots made from their parts, and
// values from what was decoded.
func TestGoldenPairsWrittenAgain(t *testing.T) {
	snapshots, values := 0, 0
	cannot := map[string]int{}
	for _, p := range goldenPairs(t) {
		typ, err := ReadSnapshot(wire.NewBytes(p.name, 0, p.snapshot))
		if err != nil {
			t.Error(err)
			continue
		}
		if got := typ.AppendSnapshot(nil); !bytes.Equal(got, p.snapshot) {
			t.Errorf("%s: the snapshot kept is not the one read", p.name)
		}
		made, err := typ.encode(nil)
		switch {
		case err == nil && !bytes.Equal(made, p.snapshot[4:]) && (typ.Kind != KindRow || typ.Outer == 4):
			t.Errorf("%s: snapshot\n%q, made\n%q", p.name, p.snapshot[4:], made)
		case err == nil:
			snapshots++
		case !errors.Is(err, wire.ErrUnsupported):
			t.Errorf("%s: %v", p.name, err)
		}
		v, err := typ.Decode(p.data)
		if err != nil {
			t.Error(err)
			continue
		}
		again, err := typ.Append(nil, v)
		switch {
		case errors.Is(err, wire.ErrUnsupported):
			cannot[typ.Kind.String()]++
		case err != nil:
			t.Errorf("%s: %v", p.name, err)
		case !bytes.Equal(again, p.data):
			t.Errorf("%s: value %x became %x (%v)", p.name, p.data, again, v)
		default:
			values++
		}
	}
	if snapshots == 0 || values == 0 {
		t.Error("nothing was written again")
	}
	t.Logf("RESULT TestGoldenPairsWrittenAgain snapshots=%d values=%d kinds_that_cannot=%s", snapshots, values, strings.Join(slices.Sorted(maps.Keys(cannot)), ","))
}
