package rescale

import (
	"math/bits"

	"github.com/tidemark-io/tidemark/keygroup"
)

// Weight is an amount, of bytes or entries, that lies somewhere in an interval
// of hashes.
type Weight struct {
	Interval keygroup.Interval
	Amount   uint64
}

// Shares tells how much of some weights each subtask of a layout gets, taking
// each weight as spread evenly over its interval. The shares add up to the
// amounts; the result is nil for an invalid layout. Sums that exceed 64 bits
// stay at the largest number.
func Shares(weights []Weight, l Layout) []uint64 {
	if !l.Valid() {
		return nil
	}
	shares := make([]uint64, l.Parallelism)
	for _, w := range weights {
		if w.Interval.Empty() || w.Interval.Hi > keygroup.All().Hi {
			continue
		}
		first := keygroup.OwnerOfHash(keygroup.Hash(w.Interval.Lo), l.Groups, l.Parallelism)
		given := uint64(0)
		for i := first; i < l.Parallelism && given < w.Amount; i++ {
			upTo := portion(w, min(l.Interval(i).Hi, w.Interval.Hi))
			if sum, carry := bits.Add64(shares[i], upTo-given, 0); carry == 0 {
				shares[i] = sum
			} else {
				shares[i] = ^uint64(0)
			}
			given = upTo
		}
	}
	return shares
}

// portion is how much of a weight lies below a hash of its interval, which is
// not below the interval.
func portion(w Weight, hash uint64) uint64 {
	width := w.Interval.Hi - w.Interval.Lo
	hi, lo := bits.Mul64(w.Amount, hash-w.Interval.Lo)
	q, _ := bits.Div64(hi, lo, width) // hash−Lo ≤ width, so that the quotient fits
	return q
}

// Skew is the largest of some shares divided by their mean: 1 if all are equal,
// 0 if there is nothing to share.
func Skew(shares []uint64) float64 {
	var sum, most float64
	for _, s := range shares {
		sum += float64(s)
		most = max(most, float64(s))
	}
	if sum == 0 {
		return 0
	}
	return most * float64(len(shares)) / sum
}
