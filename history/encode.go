package history

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Limits of an object. An attempt of the largest job that the engine runs fits;
// what is beyond them was not written by this package.
const (
	maxBytes    = 32 << 20
	maxTasks    = 10_000
	maxSubtasks = 100_000 // of all tasks together
	maxMessage  = 4 << 10 // bytes of a failure's text, which Encode cuts
)

// ErrDamaged is the error for an object that is not a record of an attempt.
var ErrDamaged = errors.New("damaged record of an attempt")

// Encode returns the object of an attempt, which is the caller's. The schema
// stands in it, and a failure's text is cut. The attempt is not changed: others
// may be reading it.
func Encode(a *Attempt) ([]byte, error) {
	stored := *a
	stored.Schema = Schema
	if len(stored.Message) > maxMessage {
		stored.Message = Text(strings.ToValidUTF8(string(stored.Message[:maxMessage]), "")) + "…"
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(&stored); err != nil {
		return nil, err
	}
	if b.Len() > maxBytes {
		return nil, fmt.Errorf("the record has %d bytes, the limit is %d", b.Len(), maxBytes)
	}
	return b.Bytes(), nil
}

// Decode reads an object. Its errors are [ErrDamaged] and say where; it panics on
// no input, and takes memory in proportion to the limits above. Fields that it
// does not know are passed over: a later version may have added them.
func Decode(data []byte) (*Attempt, error) {
	if len(data) > maxBytes {
		return nil, fmt.Errorf("%w: %d bytes, the limit is %d", ErrDamaged, len(data), maxBytes)
	}
	var a struct {
		Attempt
		Tasks json.RawMessage `json:"tasks"` // read apart, so that their number is bounded
	}
	if err := json.Unmarshal(data, &a); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if a.Schema != Schema {
		return nil, fmt.Errorf("%w: its schema is %.40q, want %q", ErrDamaged, a.Schema, Schema)
	}
	budget := maxSubtasks
	tasks, err := list(a.Tasks, maxTasks, func(raw json.RawMessage) (Task, error) {
		var t struct {
			Task
			Subtasks json.RawMessage `json:"subtasks"`
		}
		err := json.Unmarshal(raw, &t)
		if err != nil {
			return Task{}, err
		}
		t.Task.Subtasks, err = list(t.Subtasks, budget, func(raw json.RawMessage) (s Subtask, err error) {
			return s, json.Unmarshal(raw, &s)
		})
		budget -= len(t.Task.Subtasks)
		return t.Task, err
	})
	if err != nil {
		return nil, fmt.Errorf("%w: tasks: %w", ErrDamaged, err)
	}
	a.Attempt.Tasks = tasks
	if err := a.check(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return &a.Attempt, nil
}

// list reads an array of at most so many elements; nothing and null are none.
func list[T any](raw json.RawMessage, most int, read func(json.RawMessage) (T, error)) ([]T, error) {
	if len(raw) == 0 || string(raw) == "null" {
		return nil, nil
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	if open, err := dec.Token(); err != nil || open != json.Delim('[') {
		return nil, errors.Join(errors.New("not an array"), err)
	}
	var out []T
	for dec.More() {
		if len(out) == most {
			return nil, fmt.Errorf("more than %d elements", most)
		}
		var one json.RawMessage
		if err := dec.Decode(&one); err != nil {
			return nil, fmt.Errorf("element %d: %w", len(out), err)
		}
		v, err := read(one)
		if err != nil {
			return nil, fmt.Errorf("element %d: %w", len(out), err)
		}
		out = append(out, v)
	}
	if _, err := dec.Token(); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return out, nil
}

// check compares what has few values with those.
func (a *Attempt) check() error {
	switch a.Status {
	case Completed, Failed:
	default:
		return fmt.Errorf("its status is %.40q, want %s or %s", a.Status, Completed, Failed)
	}
	switch a.Type {
	case Checkpoint, UnalignedCheckpoint, Savepoint, SyncSavepoint:
	default:
		return fmt.Errorf("its type is %.40q", a.Type)
	}
	if a.NumSubtasks < 0 || a.NumAcknowledged < 0 || a.NumAcknowledged > a.NumSubtasks {
		return fmt.Errorf("%d of %d subtasks acknowledged", a.NumAcknowledged, a.NumSubtasks)
	}
	return nil
}
