package checkpoint

import (
	"errors"
	"fmt"
	"strings"
)

// Severity orders findings.
type Severity uint8

// Severities.
const (
	Note    Severity = iota + 1 // worth knowing, nothing is wrong
	Warning                     // a restore works, something is not as it should be
	Error                       // data is missing or damaged
)

// String is the severity's name.
func (s Severity) String() string {
	switch s {
	case Note:
		return "info"
	case Warning:
		return "warning"
	case Error:
		return "error"
	default:
		return "unknown"
	}
}

// NoOffset is the offset of a finding that concerns an object as a whole.
const NoOffset int64 = -1

// NoSubtask is the subtask of a finding that concerns no single one.
const NoSubtask = -1

// Place says where something was found. Empty fields are not known or do not
// apply.
type Place struct {
	Object   string // name below the store's root
	Offset   int64  // byte in the object, NoOffset if none
	Length   int64  // bytes from Offset that are concerned, 0 if not known
	Operator string // uid
	State    string
	Subtask  int // NoSubtask if none
	Edge     string
}

// Nowhere is a place with nothing known.
func Nowhere() Place { return Place{Offset: NoOffset, Subtask: NoSubtask} }

// At is the place of an object.
func At(object string) Place {
	p := Nowhere()
	p.Object = object
	return p
}

// String names object and offset, then operator, state and subtask in the
// syntax of selectors.
func (p Place) String() string {
	var parts []string
	if p.Object != "" {
		where := p.Object
		if p.Offset != NoOffset {
			where = fmt.Sprintf("%s at %d", p.Object, p.Offset)
		}
		parts = append(parts, where)
	}
	if s := p.Selector().String(); s != "" {
		parts = append(parts, s)
	}
	return strings.Join(parts, ", ")
}

// Selector selects what the place names.
func (p Place) Selector() Selector {
	sel := Selector{Operator: p.Operator, State: p.State}
	if p.Subtask != NoSubtask && p.Subtask >= 0 {
		sel.Subtasks = &Span{First: uint64(p.Subtask), Last: uint64(p.Subtask)}
	}
	return sel
}

// Finding is something a check found.
type Finding struct {
	Severity Severity
	Place    Place
	Problem  string // one sentence, without the place
	Err      error  // cause, nil if there is none
	Remedy   string // the exact command to try next
}

// String is the finding on one line.
func (f Finding) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: ", f.Severity)
	if place := f.Place.String(); place != "" {
		fmt.Fprintf(&b, "%s: ", place)
	}
	b.WriteString(f.Problem)
	if f.Err != nil {
		fmt.Fprintf(&b, ": %v", f.Err)
	}
	if f.Remedy != "" {
		fmt.Fprintf(&b, " (try: %s)", f.Remedy)
	}
	return b.String()
}

// Why a checkpoint could not be opened, asked with errors.Is. Every error of
// [Format.Open] that is none of these is a failure of the storage.
var (
	// ErrNone: there is no checkpoint at the path.
	ErrNone = errors.New("no checkpoint here")
	// ErrIncomplete: there is data, but no manifest. The checkpoint was never
	// committed, or is being written now.
	ErrIncomplete = errors.New("checkpoint is incomplete: it was never committed")
	// ErrDamaged: the metadata does not read.
	ErrDamaged = errors.New("checkpoint is damaged")
	// ErrUnsupported: the metadata is of a version or has a feature that this
	// program does not know.
	ErrUnsupported = errors.New("checkpoint needs a newer version of this program")
)

// StatusOf is the status of a checkpoint whose opening ended with err.
func StatusOf(err error) Status {
	switch {
	case err == nil:
		return Complete
	case errors.Is(err, ErrIncomplete):
		return Incomplete
	case errors.Is(err, ErrDamaged):
		return Damaged
	default:
		return Unreadable
	}
}
