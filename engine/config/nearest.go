package config

import (
	"fmt"
	"strings"
)

// unknown is the error for a key that is in no table, with the nearest one.
func unknown(key string) error {
	best, _ := nearest(key, len(key)/3+1)
	if best == "" {
		return fmt.Errorf("%w; \"tidemark help configuration\" lists them", ErrUnknownKey)
	}
	return fmt.Errorf("%w; did you mean %s?", ErrUnknownKey, best)
}

// nearest returns the spelling in the table that is nearest to the key and how
// far it is, or "" and the limit if none is nearer than that.
func nearest(key string, limit int) (string, int) {
	best := ""
	key = strings.ToLower(key)
	for i := range table {
		for _, known := range append([]string{table[i].Key}, table[i].Aliases...) {
			if d := editDistance(key, known, limit); d < limit {
				best, limit = known, d
			}
		}
	}
	return best, limit
}

// editDistance counts the insertions, deletions, changes and swaps of
// neighbours between a and b. It gives up at the limit and returns it.
func editDistance(a, b string, limit int) int {
	if len(a)-len(b) >= limit || len(b)-len(a) >= limit {
		return limit
	}
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := range len(a) {
		row[0] = i + 1
		least := row[0]
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			row[j+1] = min(last[j]+cost, last[j+1]+1, row[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
			least = min(least, row[j+1])
		}
		if least > limit {
			return limit
		}
		before, last, row = last, row, before
	}
	return min(last[len(b)], limit)
}
