package runtime

import (
	"time"

	record "github.com/tidemark-io/tidemark/history"
)

// Observer is told what happens to a job. Observe is called by the engine's
// goroutines, one call at a time, and must return soon.
type Observer interface {
	Observe(Event)
}

// ObserverFunc is a function as an Observer.
type ObserverFunc func(Event)

// Observe calls the function.
func (f ObserverFunc) Observe(e Event) { f(e) }

// Event is one of the event types of this package.
type Event interface{ event() }

// RunStarted is the first event of a run, after the restore was planned.
type RunStarted struct {
	Run      uint64 // 0 without checkpoints
	Lineage  string
	Restored string // path of the restored checkpoint, "" if none
	ID       uint64 // of the restored checkpoint
}

// InFlightDropped says that in-flight data of the restored checkpoint was left
// out, as [RestoreConfig] had asked for.
type InFlightDropped struct {
	ID       uint64 // of the checkpoint
	Path     string
	Policy   CorruptPolicy  // "" if all of it was to be left out, damaged or not
	Records  uint64         // over all connections
	Bytes    uint64         // the same
	Channels int            // the same; 0 without Policy, when nobody looked
	Edges    []InFlightLoss // by connection, those that lose anything
}

// CheckpointTriggered says that a checkpoint has begun.
type CheckpointTriggered struct {
	ID   uint64
	Path string
	At   time.Time
}

// CheckpointCompleted says that a checkpoint is committed.
type CheckpointCompleted struct {
	ID       uint64
	Path     string
	Bytes    uint64 // of its data objects
	Entries  uint64
	Duration time.Duration // from trigger to commit
	// MaxAlignment, MaxStartDelay and MaxSync are the largest over the
	// subtasks. Sync is the phase in which a subtask hands its state over and
	// processes no records.
	MaxAlignment, MaxStartDelay, MaxSync time.Duration
	// Record is what history keeps of it. It must not be changed.
	Record *record.Attempt
}

// CheckpointFailed says that a checkpoint was given up. Nothing of it is
// visible.
type CheckpointFailed struct {
	ID     uint64
	Path   string
	Reason error
	Record *record.Attempt // what history keeps of it; must not be changed
}

// CheckpointRemoved says that a checkpoint was deleted since newer ones are
// kept.
type CheckpointRemoved struct {
	ID   uint64
	Path string
}

// TaskFailed says that a subtask failed; the restart strategy decides what
// follows.
type TaskFailed struct{ Err error }

// Restarting says that the job starts again after a failure.
type Restarting struct {
	Attempt int    // 1 is the first restart
	From    string // path of the checkpoint, "" if there is none
}

// LateRecords says that records came behind the watermark and were dropped
// since the last event of this kind.
type LateRecords struct {
	UID     string
	Subtask int
	Count   int64
}

// Place says what a task works at.
type Place string

// Places.
const (
	PlaceSource    Place = "source"    // it reads from its source
	PlaceChannel   Place = "channel"   // it processes a record of a channel
	PlaceTime      Place = "time"      // a timer fires, or unfinished work goes on
	PlaceRecovered Place = "recovered" // it processes recovered in-flight data
)

// FunctionStuck says that one call of user code has not returned for as long as
// [Config.StuckAfter]. It is told once for each such call. No checkpoint
// completes until it returns.
type FunctionStuck struct {
	UID     string // of the operator
	Subtask int
	Since   time.Duration // at least so long
	Place   Place
	// Edge, Sender and Buffer name the buffer that the record lies in: the
	// connection as in checkpoints ("from>to#n"), the sending subtask, and the
	// number of the buffer in their channel. Only with PlaceChannel.
	Edge   string
	Sender int
	Buffer uint64
	Stack  []byte // of the task, nil if there are too many goroutines to find it
}

// FunctionReturned says that a call that was reported stuck has returned.
type FunctionReturned struct {
	UID     string // of the operator that runs now
	Subtask int
	After   time.Duration
}

// Finished is the last event of a run.
type Finished struct{ Err error }

func (RunStarted) event()          {}
func (InFlightDropped) event()     {}
func (CheckpointTriggered) event() {}
func (CheckpointCompleted) event() {}
func (CheckpointFailed) event()    {}
func (CheckpointRemoved) event()   {}
func (TaskFailed) event()          {}
func (Restarting) event()          {}
func (LateRecords) event()         {}
func (FunctionStuck) event()       {}
func (FunctionReturned) event()    {}
func (Finished) event()            {}
