package rescale

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"github.com/tidemark-io/tidemark/keygroup"
)

func TestShares(t *testing.T) {
	half := keygroup.Interval{Lo: 0, Hi: 1 << 31}
	cases := []struct {
		weights []Weight
		layout  Layout
		want    string
		skew    float64
	}{
		{[]Weight{{keygroup.All(), 100}}, Layout{128, 2}, "[50 50]", 1},
		{[]Weight{{keygroup.All(), 100}}, Layout{128, 4}, "[25 25 25 25]", 1},
		{[]Weight{{half, 100}}, Layout{128, 2}, "[100 0]", 2},
		{[]Weight{{half, 90}, {keygroup.All(), 10}}, Layout{128, 4}, "[47 48 2 3]", 1.92},
		{[]Weight{{half, 1<<64 - 1}, {half, 5}}, Layout{1, 1}, "[18446744073709551615]", 1},
		{nil, Layout{128, 2}, "[0 0]", 0},
		{[]Weight{{half, 1}}, Layout{}, "[]", 0},
	}
	for _, c := range cases {
		got := Shares(c.weights, c.layout)
		if fmt.Sprint(got) != c.want || fmt.Sprintf("%.2f", Skew(got)) != fmt.Sprintf("%.2f", c.skew) {
			t.Errorf("Shares(%v, %v) = %v with skew %.2f, want %s with %.2f", c.weights, c.layout, got, Skew(got), c.want, c.skew)
		}
	}
}

func TestSharesAddUp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := layouts(t, "layout")
		var weights []Weight
		var sum uint64
		for range rapid.IntRange(0, 5).Draw(t, "weights") {
			lo := rapid.Uint64Range(0, keygroup.All().Hi-1).Draw(t, "lo")
			w := Weight{keygroup.Interval{Lo: lo, Hi: rapid.Uint64Range(lo+1, keygroup.All().Hi).Draw(t, "hi")}, rapid.Uint64Range(0, 1<<50).Draw(t, "amount")}
			weights, sum = append(weights, w), sum+w.Amount
		}
		var got uint64
		for _, s := range Shares(weights, l) {
			got += s
		}
		if got != sum {
			t.Fatalf("the shares add up to %d, the weights to %d", got, sum)
		}
	})
}
