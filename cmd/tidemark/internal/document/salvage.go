package document

import (
	"github.com/tidemark-io/tidemark/checkpoint"
	"github.com/tidemark-io/tidemark/recovery"
)

// SalvageSchema names the document of salvage.
const SalvageSchema = "tidemark.salvage/1"

// Salvage is what a salvage did, or without --apply would do.
type Salvage struct {
	Schema      string   `json:"schema"`
	Source      string   `json:"source"`
	Destination string   `json:"destination"`
	Applied     bool     `json:"applied"`
	Damaged     []string `json:"damaged"` // objects of which not all reads
	Moved       []string `json:"moved"`   // objects found under another name
	Rebuilt     bool     `json:"rebuiltManifest"`
	Filled      []Filled `json:"filled"`
	Repaired    []Repair `json:"repaired"` // bits that were turned back
	// LostAndFound counts what reads and belongs to no operator for certain.
	LostAndFound Number           `json:"lostAndFound"`
	Channels     []Channel        `json:"channels"`
	Objects      Volumes          `json:"objects"`
	Losses       []Loss           `json:"losses"`
	Result       *recovery.Result `json:"-"`
}

// Filled is what came from the older checkpoint.
type Filled struct {
	Operator string `json:"operator"`
	State    string `json:"state"`
	Entries  Number `json:"entries"`
	Older    string `json:"older"`
	ID       Number `json:"id"`
}

// Repair is one bit of an object that was turned back.
type Repair struct {
	Object string `json:"object"`
	Offset Number `json:"offset"`
	Bit    int    `json:"bit"`
}

// NewSalvage describes a result.
func NewSalvage(source, destination string, applied bool, r *recovery.Result) Salvage {
	c := NewChange("salvage", source, destination, !applied, r)
	d := Salvage{Schema: SalvageSchema, Source: source, Destination: destination, Applied: applied, Damaged: []string{}, Moved: []string{},
		Filled: []Filled{}, Repaired: []Repair{}, Channels: c.Channels, Objects: c.Objects, Losses: c.Losses, Result: r}
	s := r.Salvaged
	if s == nil {
		s = &checkpoint.Salvaged{}
	}
	d.Damaged, d.Moved = append(d.Damaged, s.Damaged...), append(d.Moved, s.Moved...)
	d.Rebuilt, d.LostAndFound = s.Rebuilt, Number(s.Found)
	for _, f := range s.Filled {
		d.Filled = append(d.Filled, Filled{f.Operator, f.State, Number(f.Entries), f.Older, Number(f.ID)})
	}
	for _, p := range s.Repaired {
		d.Repaired = append(d.Repaired, Repair{p.Object, Number(p.Offset), p.Bit})
	}
	return d
}
