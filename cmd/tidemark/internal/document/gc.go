package document

import (
	"time"

	"github.com/tidemark-io/tidemark/recovery"
)

// GCSchema names the document of gc.
const GCSchema = "tidemark.gc/1"

// GC says what gc deletes, or would delete.
type GC struct {
	Schema  string     `json:"schema"`
	Root    string     `json:"root"`
	Applied bool       `json:"applied"`
	MinAge  int64      `json:"minAgeSeconds"` // that was applied
	Bytes   Number     `json:"bytes"`         // of Objects
	Deleted Number     `json:"deleted"`       // objects
	Young   Number     `json:"young"`         // objects that nothing uses but that are too young
	Newest  Number     `json:"newestRun"`     // objects that the newest run may have written
	Objects []DuOrphan `json:"objects"`
}

// NewGC describes garbage. show makes paths below the root ones that lead there
// from where the command was called.
func NewGC(root string, applied bool, g *recovery.Garbage, show func(string) string) *GC {
	d := &GC{Schema: GCSchema, Root: root, Applied: applied, MinAge: int64(g.MinAge / time.Second), Bytes: Number(g.Bytes),
		Deleted: Number(g.Deleted), Young: Number(g.Young), Newest: Number(g.Newest), Objects: []DuOrphan{}}
	for _, o := range g.Objects {
		d.Objects = append(d.Objects, DuOrphan{show(o.Name), Number(max(o.Size, 0)), Moment(o.Modified)})
	}
	return d
}
