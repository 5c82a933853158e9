package cli

import (
	"testing"

	"github.com/tidemark-io/tidemark/checkpoint"
	"github.com/tidemark-io/tidemark/cmd/tidemark/internal/document"
)

// TestAlignment: how barriers crossed a connection, in words.
func TestAlignment(t *testing.T) {
	for want, e := range map[string]document.Edge{
		"chained":                     {Alignment: checkpoint.Chained},
		"unaligned":                   {Alignment: checkpoint.Unaligned},
		"unaligned by key of count":   {Alignment: checkpoint.Unaligned, Keys: "count"},
		"aligned":                     {Alignment: checkpoint.Aligned},
		"aligned: unaligned is off":   {Alignment: checkpoint.Aligned, Reason: document.Text(checkpoint.ReasonOff)},
		"aligned: custom partitioner": {Alignment: checkpoint.Aligned, Reason: document.Text(checkpoint.ReasonCustom)},
		"aligned: in time":            {Alignment: checkpoint.Aligned, Reason: document.Text(checkpoint.ReasonInTime)},
	} {
		if got := alignment(e); got != want {
			t.Errorf("%+v: %q, want %q", e, got, want)
		}
	}
}
