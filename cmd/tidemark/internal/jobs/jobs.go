// Package jobs is the catalogue of jobs that `tidemark run` knows.
package jobs

import (
	"fmt"
	"strings"

	"github.com/tidemark-io/tidemark/engine"
)

// Params are what a job of the catalogue can be told.
type Params struct {
	Input   string  // path of the input
	SinkDir string  // directory of the output
	Rate    float64 // records per second over all sources, 0 is no limit
}

// Job is an entry of the catalogue.
type Job struct {
	Name    string
	Summary string // one line
	Input   string // what it reads, one line
	Output  string // what it writes, one line
	Build   func(Params) (*engine.Graph, error)
}

// All lists the catalogue by name.
func All() []Job {
	return []Job{flights()}
}

// Find returns the job of a name.
func Find(name string) (Job, error) {
	var names []string
	for _, j := range All() {
		if j.Name == name {
			return j, nil
		}
		names = append(names, j.Name)
	}
	return Job{}, fmt.Errorf("there is no job %q; the catalogue has: %s", name, strings.Join(names, ", "))
}
