package runtime

import (
	"fmt"

	"github.com/tidemark-io/tidemark/engine/exchange"
	"github.com/tidemark-io/tidemark/format"
	"github.com/tidemark-io/tidemark/keygroup"
	"github.com/tidemark-io/tidemark/rescale"
)

// A record behind a keyed operator belongs to the key for which it was emitted,
// as long as it only passes operators that share a task or are connected subtask
// by subtask: it has never left the subtask number that owns the key. So data in
// flight on a pointwise connection there can be redistributed as if it were keyed,
// if its records carry the hash of that key, which is inherited and never computed
// anew (R7).

// lineage is whose keys the records have that an operator emits.
type lineage struct {
	keys int    // node of the keyed operator, noKeys if there is none
	why  string // there is none
}

const noKeys = -1

// lineages follows the keys through the graph, whose nodes come after their
// inputs.
func (p *plan) lineages() []lineage {
	all := make([]lineage, len(p.graph.Nodes))
	for node, n := range p.graph.Nodes {
		switch {
		case n.KeySchema != nil:
			all[node].keys = node
		case n.Holds:
			all[node] = lineage{noKeys, fmt.Sprintf("operator %q keeps unfinished records, which have no key", n.UID)}
		case n.Source:
			all[node] = lineage{noKeys, fmt.Sprintf("there is no keyed operator between it and the source %q", n.UID)}
		default:
			all[node] = p.inherited(node, all)
		}
	}
	return all
}

// inherited is the lineage of an operator without keys of its own: that of all its
// inputs, if they agree.
func (p *plan) inherited(node int, all []lineage) lineage {
	l := lineage{noKeys, ""}
	for i, e := range p.graph.Edges {
		if e.To != node {
			continue
		}
		from := p.along(i, all)
		switch {
		case from.keys == noKeys:
			return from
		case l.keys != noKeys && l.keys != from.keys:
			return lineage{noKeys, fmt.Sprintf("operator %q mixes the keys of %q and %q", p.graph.Nodes[node].UID,
				p.graph.Nodes[l.keys].UID, p.graph.Nodes[from.keys].UID)}
		}
		l = from
	}
	if l.keys == noKeys {
		l.why = fmt.Sprintf("operator %q has no input", p.graph.Nodes[node].UID)
	}
	return l
}

// along is whose keys the records have that arrive through an edge.
func (p *plan) along(edge int, all []lineage) lineage {
	e := p.graph.Edges[edge]
	from, to := p.graph.Nodes[e.From], p.graph.Nodes[e.To]
	switch {
	case e.Partitioner != format.Forward && e.Partitioner != format.Rescale:
		return lineage{noKeys, fmt.Sprintf("the %s connection %s before it clears the keys", partitionerNames[e.Partitioner], p.edgeID(edge))}
	case p.parallelism[e.From] != p.parallelism[e.To]:
		return lineage{noKeys, fmt.Sprintf("%q has parallelism %d and %q has %d", from.UID, p.parallelism[e.From], to.UID, p.parallelism[e.To])}
	}
	return all[e.From]
}

// traceKeys finds for each pointwise connection the operator whose keys its
// records have, or why there is none.
func (p *plan) traceKeys() {
	all := p.lineages()
	for i, e := range p.graph.Edges {
		p.keys[i] = noKeys
		if p.chained[i] || e.Partitioner != format.Forward && e.Partitioner != format.Rescale {
			continue
		}
		l := p.along(i, all)
		if to := p.graph.Nodes[e.To]; l.keys != noKeys && to.Holds {
			l = lineage{noKeys, fmt.Sprintf("operator %q keeps unfinished records, which have no key", to.UID)}
		}
		p.keys[i], p.noKeys[i] = l.keys, l.why
	}
}

// byKey reports whether the records of a connection carry the hash of the key that
// they inherited, so that barriers may overtake them.
func (p *plan) byKey(edge int) bool { return p.unaligned[edge] && pointwise(p.partitioner[edge]) }

// keysUID is the uid of the operator whose keys the records of an edge inherit, ""
// if none.
func (p *plan) keysUID(edge int) string {
	if p.keys[edge] == noKeys {
		return ""
	}
	return p.graph.Nodes[p.keys[edge]].UID
}

// keysRow is what a manifest says of it, only if the records carry hashes.
func (p *plan) keysRow(edge int) int {
	if !p.byKey(edge) {
		return format.None
	}
	return p.keys[edge]
}

// lowest is the lowest hash that a subtask of the operator owns whose keys an edge
// has: what is emitted without a current key goes where it goes.
func (p *plan) lowest(edge, subtask int) uint32 {
	k := p.keys[edge]
	return uint32(keygroup.IntervalOf(subtask, p.keyGroups[k], p.parallelism[k]).Lo)
}

// KeyHolder is a keyed operator, which knows the current key. It is always the
// first of its task.
type KeyHolder interface {
	// CurrentKey is the hash of the current key, false if there is none.
	CurrentKey() (hash uint32, ok bool)
}

// Inherit notes the hash that stood with a record, if its tag says that one did.
func (t *Task) Inherit(hash uint32, tag byte) { t.hash, t.tag = hash, tag }

// CurrentKey is the hash of the key that what is emitted now belongs to: that of
// the keyed operator that begins the task, or else the one that the record at hand
// inherited. It is false if there is none.
func (e *Env) CurrentKey() (hash uint32, ok bool) {
	t := e.task
	if t.holder != nil {
		return t.holder.CurrentKey()
	}
	return t.hash, t.tag&(exchange.FlagHash|exchange.FlagNoKey) == exchange.FlagHash
}

// wantedByKey says which old receivers' streams of a connection that inherited the
// keys of an operator this subtask takes over, and which of their records: those
// whose hash it would own as a subtask of that operator.
func (t *Task) wantedByKey(edge int, keys string) ([]int, acceptance, error) {
	p := t.attempt.plan
	k := p.keys[edge]
	old := t.attempt.restored.ops[keys]
	was := rescale.Layout{Groups: int(old.KeyGroups), Parallelism: int(old.Parallelism)}
	is := rescale.Layout{Groups: p.keyGroups[k], Parallelism: p.parallelism[k]}
	interval, plan := is.Interval(t.subtask), rescale.Plan(rescale.Range, was, is)
	if plan == nil {
		return nil, nil, fmt.Errorf("%w: operator %q, whose keys the records have, was not keyed", format.ErrMalformed, keys)
	}
	return plan[t.subtask], func(f *exchange.Frame) (bool, error) {
		if f.Tag&exchange.FlagHash == 0 {
			return false, fmt.Errorf("%w: a record without the hash of its key", exchange.ErrFrame)
		}
		return interval.Contains(keygroup.Hash(f.Hash)), nil
	}, nil
}

// cannotTakeOver says why a connection of the job cannot take over what was in
// flight on it, "" if it can. What a key was said to own can go to its owner only;
// what a function chose the receiver of, only that function can send again (R16);
// what was spread may go anywhere, as long as each old channel stays in order; and
// what has no hash is nobody's on a keyed connection.
func (p *plan) cannotTakeOver(edge int, was format.Edge, keys string) string {
	is, e := p.partitioner[edge], p.graph.Edges[edge]
	from, to := partitionerNames[was.Partitioner], partitionerNames[is]
	changed := fmt.Sprintf("it was %s and is %s", from, to)
	switch {
	case is == format.Keyed || is == format.Custom:
		if was.Partitioner != is {
			return changed
		}
		return ""
	case is == format.Broadcast || was.Partitioner == format.Broadcast || was.Partitioner == format.Custom:
		return changed
	case pointwise(is) && was.Partitioner == format.Keyed:
		return changed + ", where the owner of a key is no receiver"
	case pointwise(was.Partitioner) && keys == "":
		return "its records carry no hash of a key" // and none can be in flight
	case pointwise(is) && keys != "":
		switch {
		case p.keys[edge] == noKeys:
			return fmt.Sprintf("its records have the keys of %q, but now %s", keys, p.noKeys[edge])
		case p.keysUID(edge) != keys:
			return fmt.Sprintf("its records have the keys of %q and would have those of %q", keys, p.keysUID(edge))
		}
		return ""
	case keys != "" && e.Partitioner == format.Forward:
		return fmt.Sprintf("its records have the keys of %q, and its ends now differ in parallelism", keys)
	}
	return ""
}

// keysOf is the uid of the operator whose keys the records of a restored edge
// carry, "" if they carry none.
func (r *restored) keysOf(e format.Edge) (string, error) {
	if e.Keys == format.None {
		return "", nil
	}
	operators, err := r.ck.Operators()
	if err != nil || e.Keys >= len(operators) {
		return "", err
	}
	return operators[e.Keys].UID, nil
}

// edge finds a connection in the restored checkpoint.
func (r *restored) edge(id string) (e format.Edge, keys string, ok bool, err error) {
	edges, err := r.ck.Edges()
	if err != nil {
		return e, "", false, err
	}
	for _, e := range edges {
		if e.ID == id {
			keys, err := r.keysOf(e)
			return e, keys, true, err
		}
	}
	return e, "", false, nil
}
