package runtime

import (
	"errors"
	"fmt"

	"github.com/tidemark-io/tidemark/format"
	"github.com/tidemark-io/tidemark/keygroup"
)

// plan is a graph as it will run: which operators share a task, how parallel
// each is, and how each edge partitions. It is pure data, computed from the
// graph and the configuration.
type plan struct {
	graph       *Graph
	parallelism []int // by node
	keyGroups   []int // by node; 0 if not keyed
	partitioner []format.Partitioner
	chained     []bool          // by edge
	unaligned   []bool          // by edge: barriers may overtake its data
	why         []format.Reason // by edge: why they may not
	reason      []string        // the same in words, "" if they may or it is chained
	keys        []int           // by edge: node whose keys the records of a pointwise exchange inherit, or noKeys
	noKeys      []string        // by edge: why a pointwise exchange has none
	chains      []chain
	chainOf     []int // by node
}

// chain is the operators that run in one task, in an order in which each comes
// after the one it is chained to.
type chain struct {
	nodes []int
	in    []int // edges that end at the first operator
	out   []int // edges that leave any of the operators
}

// newPlan plans a graph. groups gives the number of key groups that the
// restored checkpoint has for a uid, 0 if unknown.
func newPlan(g *Graph, cfg Config, groups func(uid string) int) (*plan, error) {
	p := &plan{
		graph:       g,
		parallelism: make([]int, len(g.Nodes)),
		keyGroups:   make([]int, len(g.Nodes)),
		partitioner: make([]format.Partitioner, len(g.Edges)),
		chained:     make([]bool, len(g.Edges)),
		unaligned:   make([]bool, len(g.Edges)),
		why:         make([]format.Reason, len(g.Edges)),
		reason:      make([]string, len(g.Edges)),
		keys:        make([]int, len(g.Edges)),
		noKeys:      make([]string, len(g.Edges)),
		chainOf:     make([]int, len(g.Nodes)),
	}
	var errs []error
	for i, n := range g.Nodes {
		p.parallelism[i] = n.Parallelism
		if n.Parallelism == 0 {
			p.parallelism[i] = cfg.Parallelism
		}
		if n.KeySchema == nil {
			continue
		}
		p.keyGroups[i] = groupsFor(cfg.KeyGroups, groups(n.UID), p.parallelism[i])
		if p.keyGroups[i] < p.parallelism[i] {
			errs = append(errs, fmt.Errorf("operator %q: parallelism %d is more than its %d key groups", n.UID, p.parallelism[i], p.keyGroups[i]))
		}
	}
	if len(g.Nodes) == 0 {
		errs = append(errs, errors.New("the job has no operators"))
	}
	p.chainEdges(!cfg.DisableChaining)
	p.buildChains()
	p.traceKeys()
	for i := range p.unaligned {
		// A forward edge is rebalanced only while its ends differ in
		// parallelism; after a rescale it may be chained, and then nobody
		// could take its data over.
		p.why[i], p.reason[i] = p.whyAligned(i, cfg.Checkpoints)
		p.unaligned[i] = p.reason[i] == "" && !p.chained[i]
	}
	return p, errors.Join(errs...)
}

// groupsFor chooses a number of key groups: the configured one, else the
// restored one, else the default.
func groupsFor(configured, restored, parallelism int) int {
	switch {
	case configured != 0:
		return configured
	case restored != 0:
		return restored
	default:
		return keygroup.DefaultGroups(parallelism)
	}
}

// chainEdges decides for each edge how it partitions and whether its ends share
// a task: they do if every record goes to the same subtask and the receiving
// operator has no other input and may be chained.
func (p *plan) chainEdges(chaining bool) {
	inputs := make([]int, len(p.graph.Nodes))
	for _, e := range p.graph.Edges {
		inputs[e.To]++
	}
	for i, e := range p.graph.Edges {
		p.partitioner[i] = e.Partitioner
		same := p.parallelism[e.From] == p.parallelism[e.To]
		if e.Partitioner == format.Forward && !same {
			p.partitioner[i] = format.Rebalance
		}
		p.chained[i] = chaining && p.partitioner[i] == format.Forward && inputs[e.To] == 1 && e.Chain != nil && !p.graph.Nodes[e.To].Alone
	}
}

// whyAligned says why barriers may not overtake data on a connection, "" if they
// may or if there is no exchange. Where the receiver of a record follows from
// nothing in it (pointwise) or where all receivers must see the same (broadcast),
// the data could not be redistributed after a restore, so barriers are aligned
// there (as in Flink). A custom partitioner has to be a pure function for it,
// which only the user can say (R16).
func (p *plan) whyAligned(edge int, c CheckpointConfig) (format.Reason, string) {
	e := p.graph.Edges[edge]
	switch {
	case p.chained[edge]:
		return format.NoReason, ""
	case !c.Unaligned:
		return format.ReasonOff, "unaligned checkpoints are off"
	case e.Partitioner == format.Forward && p.partitioner[edge] == format.Rebalance:
		return format.ReasonParallelism, "rebalanced only while its ends differ in parallelism; ask for it with Rebalance"
	case (e.Partitioner == format.Forward || e.Partitioner == format.Rescale) && !c.PointwiseByKey:
		return format.ReasonPointwise, "pointwise: nothing in a record says who receives it at another parallelism"
	case (e.Partitioner == format.Forward || e.Partitioner == format.Rescale) && p.keys[edge] == noKeys:
		return format.ReasonPointwise, "pointwise, and not by key: " + p.noKeys[edge]
	case e.Partitioner == format.Broadcast:
		return format.ReasonBroadcast, "broadcast: all receivers must have seen the same"
	case e.Partitioner == format.Custom && !c.ForceUnaligned:
		return format.ReasonCustom, "custom partitioner, and execution.checkpointing.unaligned.forced is false"
	}
	return format.NoReason, ""
}

// buildChains gathers the operators of each task. Nodes are in topological
// order, since an operator is added after its inputs.
func (p *plan) buildChains() {
	for node := range p.graph.Nodes {
		p.chainOf[node] = -1
		for i, e := range p.graph.Edges {
			if e.To == node && p.chained[i] {
				p.chainOf[node] = p.chainOf[e.From]
			}
		}
		if p.chainOf[node] < 0 {
			p.chainOf[node] = len(p.chains)
			p.chains = append(p.chains, chain{})
		}
		c := &p.chains[p.chainOf[node]]
		c.nodes = append(c.nodes, node)
	}
	for i, e := range p.graph.Edges {
		if p.chained[i] {
			continue
		}
		from, to := &p.chains[p.chainOf[e.From]], &p.chains[p.chainOf[e.To]]
		from.out = append(from.out, i)
		to.in = append(to.in, i)
	}
}

// edgeID names an edge, stably as long as the graph is: "from>to#n", n telling
// apart several edges between the same two operators.
func (p *plan) edgeID(edge int) string {
	e := p.graph.Edges[edge]
	n := 0
	for _, o := range p.graph.Edges[:edge] {
		if o.From == e.From && o.To == e.To {
			n++
		}
	}
	return fmt.Sprintf("%s>%s#%d", p.graph.Nodes[e.From].UID, p.graph.Nodes[e.To].UID, n)
}
