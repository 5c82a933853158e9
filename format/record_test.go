package format

import (
	"errors"
	"math"
	"testing"
)

// TestCellsFit reads cells whose values do not fit the fields that they go to.
func TestCellsFit(t *testing.T) {
	wide := []uint64{math.MaxInt32 + 1, math.MaxUint32, math.MaxUint32 + 1, math.MaxUint64}
	for _, v := range wide {
		block := func(kind Kind, col int) *rowReader {
			b := NewBuilder(kind)
			for i, c := range Columns(kind) {
				switch {
				case c.Type == ColDelta:
					b.putDelta(i, uint32(min(v, math.MaxUint32)))
				case c.Type == ColByte:
					b.putByte(i, 2)
				case c.Type == ColFixed32:
					b.putFixed32(i, 0)
				case c.Type == ColBytes:
					b.putBytes(i, nil)
				case i == col:
					b.putUvarint(i, v)
				default:
					b.putUvarint(i, 0)
				}
			}
			b.endRow()
			var r rowReader
			r.start(decoded(t, b))
			return &r
		}
		for name, err := range map[string]error{
			"row of a state": block(KindSlices, -1).next((&Slice{}).cells),
			"operator":       block(KindStates, 0).next((&State{}).cells),
			"optional edge":  block(KindStates, 3).next((&State{}).cells),
		} {
			if !errors.Is(err, ErrMalformed) {
				t.Errorf("%s of %d: %v", name, v, err)
			}
		}
		err := block(KindOperators, 2).next((&Operator{}).cells)
		if fits := v <= math.MaxUint32; fits != (err == nil) {
			t.Errorf("parallelism %d: %v", v, err)
		}
	}
	for name, cells := range map[string]func(*rowCodec){
		"negative state": (&Slice{State: -1}).cells, "negative object": (&Slice{Object: -1}).cells,
		"negative operator": (&State{Operator: math.MinInt32}).cells, "edge below None": (&State{Edge: -2}).cells,
	} {
		kind := KindStates
		if name == "negative state" || name == "negative object" {
			kind = KindSlices
		}
		b := NewBuilder(kind)
		b.encode(cells)
		if _, _, err := b.AppendBlock(nil); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
