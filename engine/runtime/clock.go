package runtime

import "time"

// Clock is where the engine takes time from, so that tests own it.
type Clock interface {
	Now() time.Time
	// AfterFunc calls f in its own goroutine after d; stop prevents that if
	// it is not too late.
	AfterFunc(d time.Duration, f func()) (stop func() bool)
}

// SystemClock is the clock of the machine. Inside a testing/synctest bubble it
// is the bubble's.
type SystemClock struct{}

// Now is the current time.
func (SystemClock) Now() time.Time { return time.Now() }

// AfterFunc is [time.AfterFunc].
func (SystemClock) AfterFunc(d time.Duration, f func()) func() bool {
	return time.AfterFunc(d, f).Stop
}

// Sequencer is an ability of a [Clock]: it decides when a goroutine of the engine
// that was woken goes on. One that lets a single goroutine go on at a time, in an
// order of its choice, makes a run of a job a function of that choice; the machine's
// clock does not have the ability, and all go on at once.
type Sequencer interface {
	// Turn returns when the goroutine that calls it may go on. It is called, with
	// no lock held, when the goroutine has begun or after it has waited for another.
	// The number tells those of one role apart.
	Turn(role Role, number int)
}

// Role is what a goroutine of a job is there for.
type Role string

// The roles. Of each but RoleTask and RolePart there is one at a time.
const (
	RoleJob         Role = "job"
	RoleTask        Role = "task" // numbered through the attempt
	RolePart        Role = "part" // writes a task's part of a checkpoint; the task's number
	RoleCoordinator Role = "coordinator"
	RoleCommit      Role = "commit"   // publishes a checkpoint
	RoleComplete    Role = "complete" // ends one that was published
	RoleAbort       Role = "abort"    // cleans up one that was given up
	RoleCancel      Role = "cancel"   // passes a cancellation on to the tasks
	RoleHistory     Role = "history"  // writes records of checkpoints
)

// turn waits for the turn of a goroutine, if there are turns.
func (c *Config) turn(role Role, number int) {
	if s, ok := c.Clock.(Sequencer); ok {
		s.Turn(role, number)
	}
}
