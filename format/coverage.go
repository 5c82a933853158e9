package format

import (
	"cmp"
	"fmt"
	"slices"
)

// Extents collects which bytes of a data object are accounted for, to find gaps
// and overlaps. It takes 16 bytes of memory for each block.
type Extents struct{ list []extent }

// extent is a run of bytes.
type extent struct{ offset, end uint64 }

// Add notes the bytes of a block or of an index. One that is noted twice, since
// two slices share it, counts once.
func (e *Extents) Add(ref BlockRef) { e.list = append(e.list, extent{ref.Offset, ref.End()}) }

// Check requires that the extents cover every byte from start to end and do not
// overlap. The error is a cause of the class [ErrMalformed].
func (e *Extents) Check(start, end uint64) error {
	slices.SortFunc(e.list, func(a, b extent) int {
		return cmp.Or(cmp.Compare(a.offset, b.offset), cmp.Compare(a.end, b.end))
	})
	at := start
	for _, x := range slices.Compact(e.list) {
		if x.offset != at {
			return gapOrOverlap(at, x.offset)
		}
		at = x.end
	}
	if at != end {
		return gapOrOverlap(at, end)
	}
	return nil
}

// gapOrOverlap says what lies between the end of one extent and the next.
func gapOrOverlap(at, next uint64) error {
	if next > at {
		return fmt.Errorf("%w: the %d bytes at %d belong to no slice", ErrMalformed, next-at, at)
	}
	return fmt.Errorf("%w: the block at %d begins before the end of another at %d", ErrMalformed, next, at)
}
