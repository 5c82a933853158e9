package runtime

import (
	"fmt"
	"strings"

	"github.com/tidemark-io/tidemark/format"
)

// Plan is how a graph will run: the tasks, and how barriers cross the connections
// between them.
type Plan struct {
	Tasks []PlanTask
	Edges []PlanEdge // in the order of the graph, chained ones too
}

// PlanTask is a chain of operators that share a task.
type PlanTask struct {
	UIDs        []string // in the order of the chain
	Parallelism int
}

// PlanEdge is a connection.
type PlanEdge struct {
	ID          string
	Partitioner format.Partitioner // the effective one
	// Alignment is Chained, Aligned, or Unaligned: barriers may overtake its
	// data. Whether they did, a checkpoint says.
	Alignment format.Alignment
	Reason    string // why it is aligned, else ""
	// Keys is the uid of the keyed operator whose key hashes the records of an
	// unaligned pointwise connection carry, else "".
	Keys string
}

// Explain plans a graph without running it, as it would run without restored
// state.
func Explain(g *Graph, cfg Config) (Plan, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return Plan{}, err
	}
	p, err := newPlan(g, cfg, func(string) int { return 0 })
	if err != nil {
		return Plan{}, err
	}
	var out Plan
	for _, c := range p.chains {
		t := PlanTask{Parallelism: p.parallelism[c.nodes[0]]}
		for _, n := range c.nodes {
			t.UIDs = append(t.UIDs, g.Nodes[n].UID)
		}
		out.Tasks = append(out.Tasks, t)
	}
	for i := range g.Edges {
		e := PlanEdge{ID: p.edgeID(i), Partitioner: p.partitioner[i], Alignment: format.Aligned, Reason: p.reason[i]}
		switch {
		case p.chained[i]:
			e.Alignment = format.Chained
		case p.unaligned[i]:
			e.Alignment = format.Unaligned
			if p.byKey(i) {
				e.Keys = p.keysUID(i)
			}
		}
		out.Edges = append(out.Edges, e)
	}
	return out, nil
}

// String is the plan for people, a line for each task and each connection.
func (p Plan) String() string {
	var b strings.Builder
	for _, t := range p.Tasks {
		fmt.Fprintf(&b, "task  %s  ×%d\n", strings.Join(t.UIDs, " → "), t.Parallelism)
	}
	for _, e := range p.Edges {
		fmt.Fprintf(&b, "edge  %s  %s  %s", e.ID, partitionerNames[e.Partitioner], alignmentNames[e.Alignment])
		if e.Keys != "" {
			fmt.Fprintf(&b, " by key of %s", e.Keys)
		}
		if e.Reason != "" {
			fmt.Fprintf(&b, ": %s", e.Reason)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// Names for people.
var (
	partitionerNames = map[format.Partitioner]string{
		format.Forward: "forward", format.Keyed: "keyed", format.Rebalance: "rebalance", format.Shuffle: "shuffle",
		format.Global: "global", format.Rescale: "rescale", format.Broadcast: "broadcast", format.Custom: "custom",
	}
	alignmentNames = map[format.Alignment]string{
		format.Chained: "chained", format.Aligned: "aligned", format.Unaligned: "unaligned", format.Mixed: "mixed",
	}
)
