package metadata

import "iter"

// Role says what a handle is for.
type Role byte

// Roles of handles.
const (
	RoleCoordinator Role = iota + 1
	RoleManagedOperator
	RoleRawOperator
	RoleManagedKeyed
	RoleRawKeyed
	RoleInput
	RoleOutput
)

// String is the role in plain words.
func (r Role) String() string {
	switch r {
	case RoleCoordinator:
		return "coordinator state"
	case RoleManagedOperator:
		return "operator state"
	case RoleRawOperator:
		return "raw operator state"
	case RoleManagedKeyed:
		return "keyed state"
	case RoleRawKeyed:
		return "raw keyed state"
	case RoleInput:
		return "input channel state"
	case RoleOutput:
		return "output channel state"
	}
	return "unknown state"
}

// NoSubtask is the subtask of a handle that belongs to no single one.
const NoSubtask int32 = -1

// Ref is a stream handle in its place.
type Ref struct {
	Operator *Operator
	Subtask  int32 // NoSubtask for coordinator state
	Role     Role
	// Handle points into the model: assigning to it replaces the handle.
	Handle *StreamHandle
	// SharedFile says that it is one of the files that checkpoints share, in an
	// incremental handle.
	SharedFile bool
	// Name is the file's name at the backend, in an incremental handle.
	Name string
	// Changes says that it is a file of a changelog: such a file has one byte
	// more, its first, than its handle states.
	Changes bool
}

// Handles yields all stream handles, in the order of the file, with null handles
// left out. Of handles within stream handles (tag 3) the innermost is yielded.
func (m *Metadata) Handles() iter.Seq[Ref] {
	return func(yield func(Ref) bool) {
		for i := range m.Operators {
			if !m.Operators[i].handles(yield) {
				return
			}
		}
	}
}

// Handles yields the stream handles of one operator, as [Metadata.Handles] does.
func (op *Operator) Handles() iter.Seq[Ref] {
	return func(yield func(Ref) bool) { op.handles(yield) }
}

// walker goes over the handles of an operator; ok is false once the consumer has
// had enough.
type walker struct {
	ref   Ref
	yield func(Ref) bool
	ok    bool
}

func (op *Operator) handles(yield func(Ref) bool) bool {
	w := walker{ref: Ref{Operator: op, Subtask: NoSubtask}, yield: yield, ok: true}
	w.stream(RoleCoordinator, &op.Coordinator)
	for i := range op.Subtasks {
		s := op.Subtasks[i].State
		if s == nil || !w.ok {
			continue
		}
		w.ref.Subtask = op.Subtasks[i].Index
		if s.ManagedOperator != nil {
			w.stream(RoleManagedOperator, &s.ManagedOperator.Delegate)
		}
		if s.RawOperator != nil {
			w.stream(RoleRawOperator, &s.RawOperator.Delegate)
		}
		w.keyed(RoleManagedKeyed, s.ManagedKeyed)
		w.keyed(RoleRawKeyed, s.RawKeyed)
		for j := range s.Input {
			w.stream(RoleInput, &s.Input[j].Delegate)
		}
		for j := range s.Output {
			w.stream(RoleOutput, &s.Output[j].Delegate)
		}
	}
	return w.ok
}

func (w *walker) stream(role Role, h *StreamHandle) {
	for {
		inner, ok := (*h).(*KeyGroupsStream)
		if !ok {
			break
		}
		h = &inner.Delegate
	}
	if !w.ok || *h == nil {
		return
	}
	w.ref.Role, w.ref.Handle = role, h
	w.ok = w.yield(w.ref)
}

func (w *walker) keyed(role Role, h KeyedHandle) {
	switch h := h.(type) {
	case *KeyGroupsHandle:
		w.stream(role, &h.Delegate)
	case *IncrementalHandle:
		w.stream(role, &h.Meta)
		w.files(role, h.Shared, true)
		w.files(role, h.Private, false)
	case *ChangelogHandle:
		for _, k := range h.Materialized {
			w.keyed(role, k)
		}
		for _, k := range h.Deltas {
			w.keyed(role, k)
		}
	case *StreamChangelog:
		w.ref.Changes = true
		for i := range h.Streams {
			w.stream(role, &h.Streams[i].Handle)
		}
		w.ref.Changes = false
	}
}

func (w *walker) files(role Role, list []NamedFile, shared bool) {
	for i := range list {
		w.ref.SharedFile, w.ref.Name = shared, list[i].Name
		w.stream(role, &list[i].Handle)
	}
	w.ref.SharedFile, w.ref.Name = false, ""
}
