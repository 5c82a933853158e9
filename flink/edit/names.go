package edit

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/tidemark-io/tidemark/checkpoint"
	"github.com/tidemark-io/tidemark/flink/metadata"
	"github.com/tidemark-io/tidemark/flink/serde"
	"github.com/tidemark-io/tidemark/keygroup"
)

// find is the operator that a user names: as the checkpoint shows it, by its uid
// if that is in the file, by its hash, or by a uid that has this hash. The
// operators keep their ids until the end of the preparations.
func (j *job) find(name string) *metadata.Operator {
	hash, isHash := metadata.ParseOperatorID(name)
	for _, is := range []func(op *metadata.Operator) bool{
		func(op *metadata.Operator) bool { return j.name(op) == name },
		func(op *metadata.Operator) bool { return op.UID == name && name != "" },
		func(op *metadata.Operator) bool { return isHash && op.ID == hash },
		func(op *metadata.Operator) bool { return op.ID == metadata.IDOfUID(name) },
	} {
		for i := range j.m.Operators {
			if is(&j.m.Operators[i]) {
				return &j.m.Operators[i]
			}
		}
	}
	return nil
}

// mistakes collects what is wrong with an edit.
type mistakes []string

func (m *mistakes) add(format string, args ...any) { *m = append(*m, fmt.Sprintf(format, args...)) }

// known adds a mistake unless there is an operator of the name.
func (j *job) known(m *mistakes, name string) *metadata.Operator {
	op := j.find(name)
	if op != nil {
		return op
	}
	var names []string
	for i := range j.m.Operators {
		names = append(names, j.name(&j.m.Operators[i]))
	}
	if slices.Sort(names); len(names) > 8 {
		names = append(names[:8], "…")
	}
	m.add("there is no operator %q; there are: %s (hashes stand for uids that the file does not have)", name, strings.Join(names, ", "))
	return nil
}

// resolve checks that the edit is possible as far as the metadata tells, and
// replaces the names in it by those that the checkpoint shows.
func (j *job) resolve() error {
	var m mistakes
	layouts := map[string]checkpoint.Layout{}
	for _, name := range slices.Sorted(maps.Keys(j.edit.Layouts)) {
		if op := j.known(&m, name); op != nil {
			layouts[j.name(op)] = j.edit.Layouts[name]
			checkLayout(&m, name, op, j.edit.Layouts[name])
		}
	}
	drops := slices.Clone(j.edit.Drop)
	for i := range drops {
		d := &drops[i]
		if d.Selector.Operator != "" {
			if op := j.known(&m, d.Selector.Operator); op != nil {
				d.Selector.Operator = j.name(op)
			}
		}
		if d.Upstream != "" {
			if op := j.known(&m, d.Upstream); op != nil {
				d.Upstream = j.name(op)
			}
		}
		checkDrop(&m, *d)
	}
	rename := map[string]string{}
	for _, old := range slices.Sorted(maps.Keys(j.edit.Rename)) {
		if op := j.known(&m, old); op != nil {
			if _, twice := rename[j.name(op)]; twice {
				m.add("operator %q is given two new uids", old)
			}
			rename[j.name(op)] = j.edit.Rename[old]
		}
		if j.edit.Rename[old] == "" {
			m.add("the new uid of operator %q is empty", old)
		}
	}
	j.edit.Layouts, j.edit.Drop, j.edit.Rename = layouts, drops, rename
	j.resolveKeyHash(&m)
	j.checkRenames(&m)
	if len(m) > 0 {
		return &checkpoint.EditError{Mistakes: m}
	}
	return nil
}

// resolveKeyHash reads what is said about the hash codes of keys.
func (j *job) resolveKeyHash(m *mistakes) {
	j.hints = map[string]map[string]serde.Formula{}
	for _, name := range slices.Sorted(maps.Keys(j.edit.KeyHash)) {
		op := j.known(m, name)
		if op == nil {
			continue
		}
		formulas, err := serde.ParseFormulas(j.edit.KeyHash[name])
		if err != nil {
			m.add("the hash of the keys of operator %q: %v", name, err)
		}
		j.hints[j.name(op)] = formulas
	}
}

// checkLayout checks that every subtask would own a key group.
func checkLayout(m *mistakes, name string, op *metadata.Operator, l checkpoint.Layout) {
	groups := l.KeyGroups
	if groups == 0 {
		groups = uint32(op.MaxParallelism)
	}
	switch {
	case groups > keygroup.MaxGroups:
		m.add("operator %q: %d key groups are not between 1 and %d", name, groups, keygroup.MaxGroups)
	case l.Parallelism > groups:
		m.add("operator %q: parallelism %d is more than its maximum parallelism, the number of its key groups, which is %d; give it more with --key-groups %s=%d",
			name, l.Parallelism, groups, name, keygroup.DefaultGroups(int(min(l.Parallelism, keygroup.MaxGroups))))
	case l.Parallelism == 0 && uint32(op.Parallelism) > groups:
		m.add("operator %q: %d key groups are less than its parallelism, %d", name, groups, op.Parallelism)
	}
}

// checkDrop checks that what is to be left out is named as it has to be.
func checkDrop(m *mistakes, d checkpoint.Drop) {
	sel := d.Selector
	switch {
	case d.Kind != checkpoint.DropInFlight && sel.Operator == "":
		m.add("%v: an operator must be named", d)
	case d.Kind != checkpoint.DropInFlight && (sel.Subtasks != nil || sel.KeyGroups != nil || sel.Channel != nil):
		m.add("%v: only whole states and whole operators can be left out", d)
	case d.Kind == checkpoint.DropOperator && sel.State != "":
		m.add("%v: a state is named where an operator is meant", d)
	case d.Kind == checkpoint.DropState && sel.State == "":
		m.add("%v: a state must be named", d)
	case d.Kind == checkpoint.DropInFlight && (sel.State != "" || sel.KeyGroups != nil):
		m.add("%v: in-flight data is selected by operator, subtask and channel", d)
	case d.Kind == checkpoint.DropInFlight && !sel.IsZero() && sel.Operator == "":
		m.add("%v: the operator must be named that receives it; Flink does not store the job graph", d)
	case sel.Channel != nil && gateOf(sel) < 0:
		m.add("%v: channels are named gate0, gate1/3 and so on", d)
	case d.Kind == checkpoint.DropInFlight && sel.IsZero() && d.Upstream != "":
		m.add("%v: all of it is left out, so that no sender can be named", d)
	}
}

// identity is the id that a name stands for: a hash if it has the form of one,
// else that of the uid.
func identity(name string) (id metadata.OperatorID, uid string) {
	if id, ok := metadata.ParseOperatorID(name); ok {
		return id, ""
	}
	return metadata.IDOfUID(name), name
}

// checkRenames checks that ids stay unique.
func (j *job) checkRenames(m *mistakes) {
	taken := map[metadata.OperatorID]string{}
	for i := range j.m.Operators {
		op := &j.m.Operators[i]
		id := op.ID
		if to := j.edit.Rename[j.name(op)]; to != "" {
			id, _ = identity(to)
		}
		if other, ok := taken[id]; ok {
			m.add("operators %q and %q would both have the hash %s", other, j.name(op), id)
		}
		taken[id] = j.name(op)
	}
}

// rename gives operators their new ids. It is the last step, since names are
// looked up by the old ones.
func (j *job) rename() error {
	for i := range j.m.Operators {
		op := &j.m.Operators[i]
		to, ok := j.edit.Rename[j.name(op)]
		if !ok {
			continue
		}
		op.ID, op.UID = identity(to)
		if j.m.Version < metadata.Version5 {
			op.UID = ""
		}
	}
	return nil
}
