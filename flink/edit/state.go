package edit

import (
	"fmt"
	"slices"

	"github.com/tidemark-io/tidemark/checkpoint"
	"github.com/tidemark-io/tidemark/flink/metadata"
)

// Names under which the tools show what has no name in Flink (package flink).
const (
	coordinatorName = "coordinator"
	rawOperatorName = "raw-operator-state"
	rawKeyedName    = "raw-keyed-state"
	keyedName       = "keyed-state"
)

// dropOperators leaves out operators with everything they have. What was in
// flight from or to them is gone already.
func (j *job) dropOperators() error {
	for _, d := range j.edit.Drop {
		if d.Kind != checkpoint.DropOperator {
			continue
		}
		name := d.Selector.Operator
		l := j.loss(name, "", "the operator was left out as asked for")
		for s, err := range j.src.States(j.ctx) {
			if err != nil {
				return err
			}
			if n, known := s.Bytes.Known(); known && s.Operator == name && !s.Kind.InFlight() {
				l.Bytes += n
			}
			if n, known := s.Entries.Known(); known && s.Operator == name && !s.Kind.InFlight() {
				l.Records += n
			}
		}
		j.losses = append(j.losses, l)
		j.m.Operators = slices.DeleteFunc(j.m.Operators, func(op metadata.Operator) bool { return j.name(&op) == name })
	}
	return nil
}

// dropStates leaves out states that are named: operator state by the metadata
// alone, states of a keyed backend by writing the others again.
func (j *job) dropStates() error {
	for _, d := range j.edit.Drop {
		if d.Kind != checkpoint.DropState {
			continue
		}
		op := j.find(d.Selector.Operator)
		if op == nil {
			continue // the operator is left out as a whole
		}
		own, err := j.hasState(op, d.Selector.State)
		if err != nil {
			return err
		}
		if !own && j.dropFromMetadata(op, d.Selector.State) {
			j.lose(d)
			continue
		}
		if err := j.dropKeyed(op, d.Selector.State); err != nil {
			return err
		}
	}
	return nil
}

// hasState reports whether a keyed state has a name under which the tools show all that
// an operator has of some kind; what is meant then is the state.
func (j *job) hasState(op *metadata.Operator, name string) (bool, error) {
	switch name {
	case coordinatorName, rawOperatorName, rawKeyedName, keyedName:
	default:
		return false, nil
	}
	for s, err := range j.src.States(j.ctx) {
		if err != nil {
			return false, err
		}
		if s.Operator == j.name(op) && s.Name == name && s.Kind == checkpoint.Keyed && s.ValueType != "" {
			return true, nil
		}
	}
	return false, nil
}

// lose reports a state as the tools show it.
func (j *job) lose(d checkpoint.Drop) {
	l := j.loss(d.Selector.Operator, d.Selector.State, "the state was left out as asked for")
	for s, err := range j.src.States(j.ctx) {
		if err != nil || s.Operator != d.Selector.Operator || s.Name != d.Selector.State || s.Kind.InFlight() {
			continue
		}
		if n, known := s.Bytes.Known(); known {
			l.Bytes += n
		}
		if n, known := s.Entries.Known(); known {
			l.Records += n
		}
	}
	j.losses = append(j.losses, l)
}

// dropFromMetadata leaves out a state that the metadata names. It reports whether
// there was one. The description of an operator state stays in its file; Flink
// then has the state without elements.
func (j *job) dropFromMetadata(op *metadata.Operator, name string) bool {
	found := false
	if name == coordinatorName && op.Coordinator != nil {
		op.Coordinator, found = nil, true
	}
	for i := range op.Subtasks {
		s := op.Subtasks[i].State
		if s == nil {
			continue
		}
		if h := s.ManagedOperator; h != nil {
			before := len(h.States)
			h.States = slices.DeleteFunc(h.States, func(st metadata.OperatorState) bool { return st.Name == name })
			found = found || len(h.States) < before
		}
		if name == rawOperatorName && s.RawOperator != nil {
			s.RawOperator, found = nil, true
		}
		if name == rawKeyedName && s.RawKeyed != nil {
			s.RawKeyed, found = nil, true
		}
		if name == keyedName && s.ManagedKeyed != nil {
			s.ManagedKeyed, found = nil, true
		}
	}
	return found
}

// noState is the mistake of naming a state that is not there.
func noState(op, name string) error {
	return &checkpoint.EditError{Mistakes: []string{fmt.Sprintf("operator %q has no state %q", op, name)}}
}
