package main

import (
	"math"
	"slices"
)

// estimate is a median of repeated measurements with an interval that covers
// the true median with at least 95 % probability, whatever the distribution.
type estimate struct {
	median, low, high float64
	n                 int
}

// estimateOf summarises measurements. The interval is made of two order
// statistics, so that it assumes nothing but independence; below six
// measurements no such interval reaches 95 % and it is the whole range.
func estimateOf(values []float64) estimate {
	n := len(values)
	if n == 0 {
		return estimate{median: math.NaN(), low: math.NaN(), high: math.NaN()}
	}
	sorted := slices.Clone(values)
	slices.Sort(sorted)
	k := rank(n)
	return estimate{median: (sorted[(n-1)/2] + sorted[n/2]) / 2, low: sorted[k-1], high: sorted[n-k], n: n}
}

// rank is the greatest k >= 1 for which the k-th smallest and the k-th largest
// of n measurements enclose the median with 95 % probability; 1 if there is
// none. The number of measurements below the median is binomial (n, ½), so the
// interval misses on one side with P(X < k).
func rank(n int) int {
	const miss = 0.025
	k, tail := 1, 0.0
	for x := 0; x < n/2; x++ {
		tail += choose(n, x) * math.Pow(0.5, float64(n))
		if tail > miss {
			break
		}
		k = x + 1
	}
	return k
}

// choose is the number of ways to take k of n.
func choose(n, k int) float64 {
	c := 1.0
	for i := range k {
		c = c * float64(n-i) / float64(i+1)
	}
	return c
}

// ratios divides pairwise.
func ratios(a, b []float64) []float64 {
	out := make([]float64, min(len(a), len(b)))
	for i := range out {
		out[i] = a[i] / b[i]
	}
	return out
}
