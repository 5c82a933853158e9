package serde

import (
	"errors"
	"fmt"
	"testing"

	"github.com/tidemark-io/tidemark/flink/wire"
)

// A snapshot or a value that is cut at any byte is an error with its place, never a
// shorter value: lists, maps and strings state how much there is of them. Only where
// the user's own bytes end the value nothing says where they do.
func TestCutValues(t *testing.T) {
	cuts, opaque := 0, 0
	for _, p := range goldenPairs(t) {
		typ, err := ReadSnapshot(wire.NewBytes(p.name, 0, p.snapshot))
		if err != nil {
			t.Fatal(err)
		}
		for n := 0; n < len(p.snapshot) && n < 4096; n++ {
			r := wire.NewBytes(p.name, 0, p.snapshot[:n])
			if _, err := ReadSnapshot(r); !located(err) {
				t.Errorf("%s: the snapshot cut at %d of %d: %v", p.name, n, len(p.snapshot), err)
			}
			cuts++
		}
		v, err := typ.Decode(p.data)
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := opaqueIn(v); ok {
			opaque++
			continue
		}
		for n := range min(len(p.data), 4096) {
			if v, err := typ.Decode(p.data[:n]); !located(err) {
				t.Errorf("%s, %s: the value cut at %d of %d: %v, %v", p.name, typ, n, len(p.data), v, err)
				break
			}
			cuts++
		}
	}
	fmt.Printf("RESULT flink-cut-values cuts=%d opaque=%d\n", cuts, opaque)
}

// located reports whether an error says where it is.
func located(err error) bool { return errors.As(err, new(*wire.Error)) }
