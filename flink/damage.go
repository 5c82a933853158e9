package flink

import (
	"context"

	"github.com/tidemark-io/tidemark/checkpoint"
	"github.com/tidemark-io/tidemark/flink/metadata"
)

// Damage is the first thing that verifying the state of one role of a subtask finds,
// of what it has files for; nil if all is well. What cannot be checked is no damage,
// and neither is a file outside the store's root. The operator and the subtask are
// those of the checkpoint's metadata. Errors are those of the store and of the
// context.
func (c *Checkpoint) Damage(ctx context.Context, op *metadata.Operator, task *metadata.Subtask, role metadata.Role) (*checkpoint.Finding, error) {
	if task.State == nil {
		return nil, nil
	}
	var found *checkpoint.Finding
	report := func(f checkpoint.Finding) {
		if found == nil && f.Severity == checkpoint.Error {
			found = &f
		}
	}
	s := structure{c: c, report: report, op: op, task: task}
	s.role(role)
	for ref := range op.Handles() {
		if ref.Role != role || ref.Subtask != task.Index || found != nil {
			continue
		}
		l, err := c.Locate(ctx, *ref.Handle)
		if err != nil {
			return nil, err
		}
		if l.Where == Outside {
			return nil, nil
		}
		if err := c.checkRef(ctx, ref, l, report); err != nil {
			return nil, err
		}
	}
	if found != nil {
		return found, nil
	}
	r := contentCheck{c: c, op: op, subtask: task.Index, level: checkpoint.LevelRecords, report: report}
	return found, r.role(ctx, task.State, role)
}

// checkRef checks that what a handle names exists with its size.
func (c *Checkpoint) checkRef(ctx context.Context, ref metadata.Ref, l Location, report func(checkpoint.Finding)) error {
	switch l.Where {
	case Inline:
		return nil
	case Illegal:
		f := &file{loc: l, ref: ref}
		report(c.finding(f, checkpoint.Error, "the path "+l.URI+" is none that a file of a checkpoint can have", nil))
		return nil
	}
	f := &file{loc: l, ref: ref, size: l.Size, whole: l.Whole && l.Size >= 0 && !ref.Changes, clash: -1}
	if !l.Whole {
		f.size += l.Offset
	}
	return c.checkFile(ctx, f, report)
}

// role checks the structure of one role's state.
func (s *structure) role(role metadata.Role) {
	state := s.task.State
	switch role {
	case metadata.RoleManagedOperator:
		s.operatorState(state.ManagedOperator)
	case metadata.RoleRawOperator:
		s.operatorState(state.RawOperator)
	case metadata.RoleManagedKeyed:
		s.keyed(keyedName, state.ManagedKeyed)
	case metadata.RoleRawKeyed:
		s.keyed(rawKeyedName, state.RawKeyed)
	case metadata.RoleInput:
		s.channels(inputName, state.Input)
	case metadata.RoleOutput:
		s.channels(outputName, state.Output)
	}
}

// role checks the content of one role's state.
func (r *contentCheck) role(ctx context.Context, s *metadata.SubtaskState, role metadata.Role) error {
	switch role {
	case metadata.RoleManagedOperator:
		return r.operator(ctx, s.ManagedOperator)
	case metadata.RoleManagedKeyed:
		return r.keyed(ctx, s.ManagedKeyed)
	case metadata.RoleRawKeyed:
		return r.raw(ctx, s.RawKeyed)
	case metadata.RoleInput:
		return r.sides(ctx, inputName, s.Input)
	case metadata.RoleOutput:
		return r.sides(ctx, outputName, s.Output)
	}
	return nil
}

// sides checks the in-flight data of one side of a subtask.
func (r *contentCheck) sides(ctx context.Context, name string, list []metadata.ChannelHandle) error {
	for i := range list {
		if err := r.channels(ctx, name, &list[i]); err != nil {
			return err
		}
	}
	return nil
}
