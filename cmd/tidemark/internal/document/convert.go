package document

import (
	"github.com/tidemark-io/tidemark/checkpoint"
	conversion "github.com/tidemark-io/tidemark/convert"
)

// ConvertSchema names the document of convert.
const ConvertSchema = "tidemark.convert/1"

// Convert is what convert did, or with --dry-run would do.
type Convert struct {
	Schema      string      `json:"schema"`
	Source      string      `json:"source"`
	Destination string      `json:"destination"`
	To          string      `json:"to"` // flink or tidemark
	DryRun      bool        `json:"dryRun"`
	States      []Converted `json:"states"`
	Losses      []Loss      `json:"losses"`
	Written     Volume      `json:"written"`
}

// Converted is a state that was converted: its types in the source and in the
// result. Entries is null with --dry-run.
type Converted struct {
	Operator string               `json:"operator"`
	State    string               `json:"state"`
	Kind     checkpoint.StateKind `json:"kind"`
	Key      string               `json:"key"` // type in the result, "" without keys
	From     string               `json:"from"`
	Into     string               `json:"into"`
	Entries  Number               `json:"entries"`
}

// NewConvert describes a result.
func NewConvert(source, destination, to string, dry bool, r *conversion.Result) Convert {
	d := Convert{Schema: ConvertSchema, Source: source, Destination: destination, To: to, DryRun: dry,
		States: []Converted{}, Losses: []Loss{}, Written: volume(r.Written)}
	for _, s := range r.States {
		n := Number(s.Entries)
		if dry {
			n = Number(checkpoint.UnknownCount)
		}
		d.States = append(d.States, Converted{s.Operator, s.Name, s.Kind, s.Key, s.From, s.To, n})
	}
	for _, l := range r.Losses {
		d.Losses = append(d.Losses, newLoss(l))
	}
	return d
}
