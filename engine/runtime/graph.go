// Package runtime executes a job graph in one process: subtasks are goroutines
// with a mailbox, operators on forward edges are chained into one task, and a
// coordinator takes checkpoints.
//
// The graph is plain data plus factories for the typed parts, which package
// engine makes; nothing here knows a record's type. The hot path is typed from
// end to end: a receiver decodes a buffer and pushes records through a chain
// without coming back here.
package runtime

import (
	"github.com/tidemark-io/tidemark/engine/exchange"
	"github.com/tidemark-io/tidemark/format"
)

// Graph is a job: operators and the edges between them. It is not changed while
// it runs, and may run several times.
type Graph struct {
	Name  string
	Nodes []*Node
	Edges []*Edge
}

// Node is one operator of the graph.
type Node struct {
	UID         string // identifies the operator's state in checkpoints
	Name        string
	Parallelism int // 0: the job's
	Stateful    bool
	Source      bool
	// KeySchema is the schema of the key of a keyed operator, else nil.
	KeySchema *format.Schema
	// New makes the operator's instance for one subtask.
	New func() Operator
	// Alone says that the operator is not chained behind another one.
	Alone bool
	// Holds says that an operator without keys keeps records that it has not
	// finished: these do not follow a key at a restore.
	Holds bool
	// Output is set for a sink whose visible output can be withdrawn (R9).
	Output OutputRoller
}

// Edge connects two operators.
type Edge struct {
	From, To    int // indexes of Nodes
	Partitioner format.Partitioner
	// Record is the schema of the records, by which checkpoints describe those
	// in flight; nil if it is unknown.
	Record *format.Schema
	// Chain connects two instances in the same task.
	Chain func(up, down Operator)
	// Send connects an instance to the sending end of an exchange.
	Send func(up Operator, route Route)
	// Choose, of a custom partitioner, decodes a record and returns the subtask
	// of n that it goes to; nil for others.
	Choose func(payload []byte, n int) (int, error)
	// Receive makes the receiving end of an exchange for an instance.
	Receive func(down Operator) Receiver
}

// Route is where a sender's records go.
type Route struct {
	Env         *Env   // of the sending operator
	Edge        string // its id
	Partition   *exchange.Partition
	Partitioner format.Partitioner
	Channels    int
	Subtask     int // of the sender
	// ByKey says that records carry the hash of the key that they inherit
	// ([Env.CurrentKey]); those without have the flag for it, and Lowest.
	ByKey  bool
	Lowest uint32
	// KeyGroups and Owner are set for keyed edges: Owner maps a key group to
	// the channel of the subtask that owns it.
	KeyGroups int
	Owner     []int32
}

// Receiver decodes what arrives on a channel and hands the records to the first
// operator of a chain.
type Receiver interface {
	// Run takes frames from the cursor until it has no more or the task asks
	// for attention ([Task.Attention]), whichever is first. It returns true
	// if the cursor needs another buffer.
	Run(t *Task, channel int, c *exchange.Cursor) (exhausted bool, err error)
}

// Operator is the instance of an operator in one subtask. All methods run on
// the subtask's goroutine. What else an operator can do is an ability: see
// [Snapshotter], [Starter], [Drainer], [Resumer], [Poller], [Finisher],
// [Notified].
type Operator interface {
	// Open prepares the instance and restores its state.
	Open(env *Env) error
	// Close releases the instance, after an error too.
	Close() error
}

// Snapshotter is an operator with state.
type Snapshotter interface {
	// Snapshot is the synchronous phase: it captures the state as it is and
	// hands over, through s, the functions that write it in the background.
	Snapshot(s *Snapshot) error
}

// Starter is an operator that acts when all operators of the job are open and
// the restore is accepted: what cannot be taken back waits for that.
type Starter interface {
	// Start is called once, before the first record.
	Start() error
}

// Drainer is an operator that acts when event time advances.
type Drainer interface {
	// Drain acts on the advance of event time to watermark, in slices: it
	// returns false if it stopped because the task asks for attention, and is
	// called again with the same watermark. At least one timer fires in each
	// call if any is due.
	Drain(watermark int64) (done bool, err error)
}

// Resumer is an operator whose work for one record has no bound. While it is
// unfinished the task takes no other input and event time waits; barriers and
// mails are served (R4).
type Resumer interface {
	// Resume goes on with the work that [Env.Resume] announced, for one
	// bounded piece, and reports whether all of it is done.
	Resume() (done bool, err error)
}

// CatcherUp is an operator that may be restored behind the floors of event time
// of its keys (R3): what they have passed is due before the first record.
type CatcherUp interface {
	// CatchUp acts, in slices like Drain, on what the floors have passed;
	// highest is the highest floor.
	CatchUp(highest int64) (done bool, err error)
}

// Poller is a source: the first operator of a task without inputs.
type Poller interface {
	// Poll emits some records.
	Poll() (PollResult, error)
}

// PollResult says what a source may do next.
type PollResult uint8

// Results of Poll.
const (
	PollMore  PollResult = iota // call again soon
	PollEmpty                   // nothing now
	PollEnd                     // nothing ever again
)

// Finisher is an operator that acts at the end of its input.
type Finisher interface {
	// Finish is called once, after the last record and watermark.
	Finish() error
}

// Notified is an operator that acts when a checkpoint is committed.
type Notified interface {
	CheckpointComplete(id uint64) error
}

// OutputRoller is a sink whose visible output is known by checkpoint (R9).
type OutputRoller interface {
	// VisibleAfter lists the visible output of the lineage that belongs to
	// checkpoints later than id.
	VisibleAfter(lineage string, id uint64) ([]string, error)
	// Withdraw moves that output out of sight and returns what it moved.
	Withdraw(lineage string, id uint64) ([]string, error)
}
