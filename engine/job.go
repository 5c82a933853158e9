package engine

import (
	"context"

	"github.com/tidemark-io/tidemark/engine/runtime"
)

// What a job is configured with, and what it tells; see package runtime for the
// fields.
type (
	// Config says how a job runs; its zero value runs without checkpoints.
	Config = runtime.Config
	// CheckpointConfig says where and how often checkpoints are taken.
	CheckpointConfig = runtime.CheckpointConfig
	// RestoreConfig says what state a job starts from.
	RestoreConfig = runtime.RestoreConfig
	// CorruptPolicy says what happens if in-flight data to restore is damaged.
	CorruptPolicy = runtime.CorruptPolicy
	// ClaimMode says whose a checkpoint is that is restored by its name.
	ClaimMode = runtime.ClaimMode
	// InFlightLoss is how much in-flight data is lost, ChannelDamage what each
	// way to go on in spite of damage costs.
	InFlightLoss  = runtime.InFlightLoss
	ChannelDamage = runtime.ChannelDamage
	// Plan is how a graph will run; see [Explain].
	Plan     = runtime.Plan
	PlanTask = runtime.PlanTask
	PlanEdge = runtime.PlanEdge
	// RestartConfig says what happens after a failure.
	RestartConfig = runtime.RestartConfig
	// Clock is where the engine takes time from.
	Clock = runtime.Clock
	// SystemClock is the clock of the machine.
	SystemClock = runtime.SystemClock
	// Sequencer is the ability of a clock to say who goes on when, Role whom.
	Sequencer = runtime.Sequencer
	Role      = runtime.Role
	// Job is a running job.
	Job = runtime.Job
	// Result is how a requested checkpoint ended.
	Result = runtime.Result
	// Stats is a picture of a running job, TaskStats of one subtask.
	Stats     = runtime.Stats
	TaskStats = runtime.TaskStats
	// GateStats is a picture of one input gate of a subtask.
	GateStats = runtime.GateStats
	// OutputRoller is the ability of a sink to say and withdraw what is
	// visible of its output.
	OutputRoller = runtime.OutputRoller
)

// Claim modes; see package runtime.
const (
	NoClaim = runtime.NoClaim
	Claim   = runtime.Claim
)

// What can be done about damaged in-flight data; see package runtime.
const (
	FailOnCorrupt = runtime.FailOnCorrupt
	DropDamaged   = runtime.DropDamaged
	DropAll       = runtime.DropAll
)

// Errors of a job.
type (
	// TaskError is the failure of one subtask.
	TaskError = runtime.TaskError
	// RestoreError lists why a checkpoint does not fit a job.
	RestoreError = runtime.RestoreError
	// DamagedError says that the checkpoint to restore is damaged.
	DamagedError = runtime.DamagedError
	// RollbackError says that restoring would write output twice.
	RollbackError = runtime.RollbackError
)

// ErrFenced: another run has taken over the checkpoint directory.
var ErrFenced = runtime.ErrFenced

// Observer is told what happens to a job; the events are below.
type (
	Observer            = runtime.Observer
	ObserverFunc        = runtime.ObserverFunc
	Event               = runtime.Event
	RunStarted          = runtime.RunStarted
	InFlightDropped     = runtime.InFlightDropped
	CheckpointTriggered = runtime.CheckpointTriggered
	CheckpointCompleted = runtime.CheckpointCompleted
	CheckpointFailed    = runtime.CheckpointFailed
	CheckpointRemoved   = runtime.CheckpointRemoved
	TaskFailed          = runtime.TaskFailed
	Restarting          = runtime.Restarting
	LateRecords         = runtime.LateRecords
	FunctionStuck       = runtime.FunctionStuck
	FunctionReturned    = runtime.FunctionReturned
	Place               = runtime.Place
	Finished            = runtime.Finished
)

// Places that a function can be stuck at; see package runtime.
const (
	PlaceSource    = runtime.PlaceSource
	PlaceChannel   = runtime.PlaceChannel
	PlaceTime      = runtime.PlaceTime
	PlaceRecovered = runtime.PlaceRecovered
)

// Start begins to run a graph. The job ends when its input does, when it fails
// for good, when it is stopped, or when ctx is cancelled; a cancelled job takes
// no checkpoint and leaves no goroutine.
func Start(ctx context.Context, g *Graph, cfg Config) (*Job, error) {
	if err := g.Err(); err != nil {
		return nil, err
	}
	return runtime.Start(ctx, &g.plan, cfg)
}

// Explain says how a graph would run: which operators share a task, and for each
// connection whether barriers may overtake its data, with the reason if not.
func Explain(g *Graph, cfg Config) (Plan, error) {
	if err := g.Err(); err != nil {
		return Plan{}, err
	}
	return runtime.Explain(&g.plan, cfg)
}

// Run runs a graph to its end.
func Run(ctx context.Context, g *Graph, cfg Config) error {
	job, err := Start(ctx, g, cfg)
	if err != nil {
		return err
	}
	return job.Wait()
}
