package document

import (
	"math"

	"github.com/tidemark-io/tidemark/checkpoint"
	"github.com/tidemark-io/tidemark/recovery"
)

// DuSchema names the document of du.
const DuSchema = "tidemark.du/1"

// Du says what the checkpoints of a root take.
type Du struct {
	Schema      string      `json:"schema"`
	Root        string      `json:"root"`
	Total       DuTotal     `json:"total"`
	Checkpoints []DuLine    `json:"checkpoints"`
	Orphans     []DuOrphan  `json:"orphans"`
	KeyGroups   *[]DuGroups `json:"keyGroups,omitempty"` // with --key-groups
}

// DuTotal is the root as a whole. Stored is the sum of the others.
type DuTotal struct {
	Stored     Number `json:"stored"`
	Referenced Number `json:"referenced"`
	Orphaned   Number `json:"orphaned"`
	Incomplete Number `json:"incomplete"`
	Unreadable Number `json:"unreadable"`
	Other      Number `json:"other"`
	// Certain is false if a checkpoint does not read, which may use what is
	// counted as orphaned.
	Certain bool `json:"certain"`
}

// DuLine is one checkpoint. Sizes are null if it does not read.
type DuLine struct {
	Path       string            `json:"path"`
	Status     checkpoint.Status `json:"status"`
	Objects    Number            `json:"objects"`
	Referenced Number            `json:"referenced"`
	Shared     Number            `json:"shared"`
	Exclusive  Number            `json:"exclusive"`
	InFlight   Number            `json:"inFlight"`
	Metadata   Number            `json:"metadata"`
	Orphaned   Number            `json:"orphaned"`
	Missing    Number            `json:"missing"` // objects that are not there
	Problem    Text              `json:"problem"`
}

// DuOrphan is an object that no checkpoint uses.
type DuOrphan struct {
	Path     string `json:"path"`
	Bytes    Number `json:"bytes"`
	Modified Moment `json:"modified"`
}

// DuGroups are the sizes of the key groups of a state, decoded.
type DuGroups struct {
	Operator string               `json:"operator"`
	State    string               `json:"state"`
	Kind     checkpoint.StateKind `json:"kind"`
	Of       uint32               `json:"of"` // key groups of the operator
	// Skew is how many times the largest is as large as the mean.
	Skew   float64   `json:"skew"`
	Groups []DuGroup `json:"groups"` // those with entries
}

// DuGroup is one key group.
type DuGroup struct {
	Group   uint32 `json:"group"`
	Entries Number `json:"entries"`
	Bytes   Number `json:"bytes"`
}

// NewDu describes a measurement. show makes paths below the root ones that lead
// there from where the command was called.
func NewDu(root string, u *recovery.Usage, show func(string) string) *Du {
	d := &Du{Schema: DuSchema, Root: root, Checkpoints: []DuLine{}, Orphans: []DuOrphan{},
		Total: DuTotal{Number(u.Stored), Number(u.Referenced), Number(u.Orphaned), Number(u.Incomplete), Number(u.Unreadable), Number(u.Other), u.Certain}}
	for i := range u.Checkpoints {
		c := &u.Checkpoints[i]
		l := DuLine{Path: show(c.Info.Path), Status: c.Info.Status, Objects: Number(c.Objects), Referenced: Number(c.Referenced), Shared: Number(c.Shared),
			Exclusive: Number(c.Exclusive), InFlight: Number(c.InFlight), Metadata: Number(c.Metadata), Orphaned: Number(c.Orphaned), Missing: Number(c.Missing)}
		if c.Problem != nil {
			unknown := Number(checkpoint.UnknownCount)
			l.Objects, l.Referenced, l.Shared, l.Exclusive, l.InFlight, l.Metadata, l.Orphaned, l.Missing = unknown, unknown, unknown, unknown, unknown, unknown, unknown, unknown
			l.Problem = Text(c.Problem.Error())
		}
		d.Checkpoints = append(d.Checkpoints, l)
	}
	for _, o := range u.Orphans {
		d.Orphans = append(d.Orphans, DuOrphan{show(o.Name), Number(max(o.Size, 0)), Moment(o.Modified)})
	}
	return d
}

// NewDuGroups describes the key groups of one state.
func NewDuGroups(g *recovery.GroupSizes) DuGroups {
	d := DuGroups{Operator: g.State.Operator, State: g.State.Name, Kind: g.State.Kind, Of: g.Of, Skew: math.Round(g.Skew()*100) / 100, Groups: []DuGroup{}}
	for _, x := range g.Groups {
		d.Groups = append(d.Groups, DuGroup{x.Group, Number(x.Entries), Number(x.Bytes)})
	}
	return d
}
