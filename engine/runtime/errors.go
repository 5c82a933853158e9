package runtime

import (
	"errors"
	"fmt"
	"path"
	"strings"
)

// ErrFenced: another run has taken over the checkpoint root; this one may not
// write there any more (R11).
var ErrFenced = errors.New("another run has taken over the checkpoint directory")

// ErrStopped ends a job that was told to stop before it could take a final
// checkpoint.
var ErrStopped = errors.New("the job was stopped")

// TaskError is the failure of one subtask.
type TaskError struct {
	UID     string // of the operator
	Subtask int
	Err     error
	Stack   []byte // of a panic, else nil
}

// Error names the operator, the subtask and the cause.
func (e *TaskError) Error() string {
	return fmt.Sprintf("operator %q, subtask %d: %v", e.UID, e.Subtask, e.Err)
}

// Unwrap returns the cause.
func (e *TaskError) Unwrap() error { return e.Err }

// RestoreError lists all differences between a checkpoint and the job that was
// to be restored from it.
type RestoreError struct {
	Path     string // of the checkpoint
	Problems []Problem
}

// Problem is one reason why a checkpoint cannot be restored into a job.
type Problem struct {
	UID    string // of the operator
	State  string // "" for the operator itself
	What   string
	Remedy string // what to do, as a command where one helps
}

// Error lists the problems, one on each line, with what helps.
func (e *RestoreError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "checkpoint %s does not fit this job:", e.Path)
	for _, p := range e.Problems {
		fmt.Fprintf(&b, "\n  operator %q", p.UID)
		if p.State != "" {
			fmt.Fprintf(&b, ", state %q", p.State)
		}
		fmt.Fprintf(&b, ": %s", p.What)
		if p.Remedy != "" {
			fmt.Fprintf(&b, "\n    try: %s", p.Remedy)
		}
	}
	return b.String()
}

// DamagedError says that the checkpoint to restore is damaged, and which older
// one is intact.
type DamagedError struct {
	Root   string // as people write it, "" if unknown
	Path   string // the damaged checkpoint
	Intact string // the next older intact one, "" if there is none
	// Channels says what it would cost to go on, if in-flight data is damaged;
	// else it is nil.
	Channels *ChannelDamage
	// External says that the checkpoint lies outside the job's root, where no
	// older one was looked for.
	External bool
	Err      error
}

// Error names both checkpoints and what to do.
func (e *DamagedError) Error() string {
	text := e.older()
	if e.Channels == nil {
		return text
	}
	return text + e.Channels.choices()
}

// choices are the ways to go on in spite of the damage.
func (d *ChannelDamage) choices() string {
	var b strings.Builder
	b.WriteString("\n  in-flight data is damaged; once, for a checkpoint restored by its name, it can be left out:")
	if d.Watermarks == nil {
		fmt.Fprintf(&b, "\n  try: --on-corrupt-channel-state drop-damaged, which loses what touches the damage: %v", d.Damaged)
	}
	fmt.Fprintf(&b, "\n  try: --on-corrupt-channel-state drop-all, which loses everything in flight: %v", d.All)
	return b.String()
}

// older names the checkpoints.
func (e *DamagedError) older() string {
	if e.External {
		return e.Err.Error()
	}
	if e.Intact == "" {
		return fmt.Sprintf("%v\n  no older checkpoint is intact\n  try: tidemark verify %s", e.Err, path.Join(e.Root, e.Path))
	}
	return fmt.Sprintf("%v\n  the next older checkpoint, %s, is intact\n  try: --restore-fallback, which goes back to it", e.Err, e.Intact)
}

// Unwrap returns the damage.
func (e *DamagedError) Unwrap() error { return e.Err }

// RollbackError says that going back to an older checkpoint would write output
// twice, since output of later checkpoints is visible.
type RollbackError struct {
	Path    string   // the checkpoint to restore
	Visible []string // output that belongs to later ones
}

// Error lists the output and what to do.
func (e *RollbackError) Error() string {
	return fmt.Sprintf("restoring %s would write output twice: %d visible files belong to later checkpoints (the first is %s)\n  try: --rollback-output, which moves them to .withdrawn",
		e.Path, len(e.Visible), e.Visible[0])
}
