package document

import (
	"github.com/tidemark-io/tidemark/checkpoint"
	"github.com/tidemark-io/tidemark/recovery"
)

// DiffSchema names the document of diff.
const DiffSchema = "tidemark.diff/1"

// Diff is the comparison of two checkpoints.
type Diff struct {
	Schema string      `json:"schema"`
	A      string      `json:"a"`
	B      string      `json:"b"`
	Equal  bool        `json:"equal"`
	States []StateDiff `json:"states"`
	// Differences are listed with --keys or --values; More says that some were
	// left out.
	Differences []Difference `json:"differences"`
	More        bool         `json:"more"`
}

// StateDiff counts what was compared of one state, or of the in-flight records
// of one edge.
type StateDiff struct {
	Operator  string               `json:"operator"`
	State     string               `json:"state"`
	Kind      checkpoint.StateKind `json:"kind"` // "" for the operator itself
	Edge      Text                 `json:"edge"`
	A         Number               `json:"a"`
	B         Number               `json:"b"`
	Equal     Number               `json:"equal"`
	OnlyA     Number               `json:"onlyA"`
	OnlyB     Number               `json:"onlyB"`
	Changed   Number               `json:"changed"`
	Problems  Number               `json:"problems"`
	KeyGroups []GroupCount         `json:"keyGroups"` // that have differences
}

// GroupCount is the number of differences in a key group.
type GroupCount struct {
	Group uint32 `json:"group"`
	Count Number `json:"count"`
}

// Difference is one entry, record or property in which two checkpoints differ.
type Difference struct {
	Change  recovery.Change `json:"change"`
	Problem Text            `json:"problem"`
	Count   Number          `json:"count"`
	A       *Row            `json:"a"`
	B       *Row            `json:"b"`
}
