package checkpoint

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/tidemark-io/tidemark/keygroup"
)

// editCheck collects what is wrong with an edit.
type editCheck struct {
	operators map[string]Operator
	states    []State
	edges     []Edge
	mistakes  []string
}

// add notes a mistake.
func (c *editCheck) add(format string, args ...any) {
	c.mistakes = append(c.mistakes, fmt.Sprintf(format, args...))
}

// known reports whether there is an operator of this uid and notes it if there
// is none, with the ones there are.
func (c *editCheck) known(uid string) bool {
	if _, ok := c.operators[uid]; ok {
		return true
	}
	uids := slices.Sorted(maps.Keys(c.operators))
	if len(uids) > 8 {
		uids = append(uids[:8], "…")
	}
	c.add("there is no operator %q; there are: %s", uid, strings.Join(uids, ", "))
	return false
}

// layouts checks that every subtask would own a key group.
func (c *editCheck) layouts(layouts map[string]Layout) {
	for _, uid := range slices.Sorted(maps.Keys(layouts)) {
		if !c.known(uid) {
			continue
		}
		op := c.operators[uid]
		l := layouts[uid].Of(op)
		switch {
		case op.KeyGroups == 0 && layouts[uid].KeyGroups != 0:
			c.add("operator %q is not keyed, so it has no key groups to change", uid)
		case l.Parallelism < 1 || l.Parallelism > keygroup.MaxGroups:
			c.add("operator %q: parallelism %d is not between 1 and %d", uid, l.Parallelism, keygroup.MaxGroups)
		case op.KeyGroups == 0:
		case !keygroup.Valid(int(l.KeyGroups)):
			c.add("operator %q: %d key groups are not between 1 and %d", uid, l.KeyGroups, keygroup.MaxGroups)
		case l.KeyGroups < l.Parallelism:
			c.add("operator %q: parallelism %d is more than its %d key groups; give it more with --key-groups %s=%d", uid,
				l.Parallelism, l.KeyGroups, uid, keygroup.DefaultGroups(int(l.Parallelism)))
		}
	}
}

// Of completes the layout with what an operator has.
func (l Layout) Of(op Operator) Layout {
	l.Parallelism = cmp.Or(l.Parallelism, op.Parallelism)
	l.KeyGroups = cmp.Or(l.KeyGroups, op.KeyGroups)
	return l
}

// drops checks that what is to be left out is there.
func (c *editCheck) drops(drops []Drop) {
	for _, d := range drops {
		sel := d.Selector
		if sel.Operator != "" && !c.known(sel.Operator) {
			continue
		}
		switch {
		case d.Kind != DropInFlight && sel.Operator == "":
			c.add("%v: an operator must be named", d)
		case d.Kind != DropInFlight && (sel.Subtasks != nil || sel.KeyGroups != nil || sel.Channel != nil):
			c.add("%v: only whole states and whole operators can be left out", d)
		case d.Kind == DropOperator && sel.State != "":
			c.add("%v: a state is named where an operator is meant", d)
		case d.Kind == DropState && !slices.ContainsFunc(c.states, func(s State) bool { return s.Operator == sel.Operator && s.Name == sel.State }):
			c.add("%v: there is no such state", d)
		case d.Kind == DropInFlight && (sel.State != "" || sel.KeyGroups != nil):
			c.add("%v: in-flight data is selected by operator, subtask and channel", d)
		case d.Kind == DropInFlight && !slices.ContainsFunc(c.edges, func(e Edge) bool { return InFlightOf(sel, e, c.edges) }):
			c.add("%v: no connection is selected", d)
		}
	}
}

// InFlightOf reports whether a selector of in-flight data covers channels of an
// edge, one of all edges of the job graph in their order. Subtasks and the
// index of the channel select among the edge's sub-streams and are for the
// caller.
func InFlightOf(sel Selector, e Edge, all []Edge) bool {
	if sel.Operator != "" && sel.Operator != e.To {
		return false
	}
	if sel.Channel == nil || sel.Channel.Gate == e.ID {
		return true
	}
	gate := 0
	for _, o := range all {
		if o.ID == e.ID {
			break
		}
		if o.To == e.To {
			gate++
		}
	}
	return sel.Operator != "" && sel.Channel.Gate == fmt.Sprintf("gate%d", gate)
}

// renames checks that uids stay unique.
func (c *editCheck) renames(rename map[string]string, operators []Operator) {
	for _, old := range slices.Sorted(maps.Keys(rename)) {
		c.known(old)
		if rename[old] == "" {
			c.add("the new uid of operator %q is empty", old)
		}
	}
	taken := map[string]string{}
	for _, op := range operators {
		uid := cmp.Or(rename[op.UID], op.UID)
		if other, ok := taken[uid]; ok {
			c.add("operators %q and %q would both have the uid %q", other, op.UID, uid)
		}
		taken[uid] = op.UID
	}
}
