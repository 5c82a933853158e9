// Package history keeps what became of checkpoint attempts: one small immutable
// object for each attempt that has ended, whether it was completed or given up,
// below history/ of the checkpoint root.
//
// An object is a JSON document, [Schema], whose names and units are those of
// Flink's REST documents /jobs/:id/checkpoints/details/:checkpointid and
// …/subtasks/:vertexid, so that what reads those reads these: times are
// milliseconds since 1970, durations milliseconds (here with decimals), sizes
// bytes, and what is not known is null. What Flink has as metrics only (buffer
// size, time to consume, busy, backpressured and idle time) is added to each
// subtask. The objects say nothing that a checkpoint needs: to lose them is to
// lose history only.
//
// A run writes through a [Log], which removes the oldest beyond a number; tools
// read with [List] and [Read]. What is read is not trusted: [Decode] bounds the
// bytes, the tasks and the subtasks.
//
// Non-goals: attempts that have not ended, and history of Flink's own jobs,
// which Flink does not store in its checkpoints.
package history

import (
	"time"
)

// Schema names the encoding.
const Schema = "tidemark.attempt/1"

// Status says how an attempt ended.
type Status string

// The ways to end, in Flink's words.
const (
	Completed Status = "COMPLETED"
	Failed    Status = "FAILED"
)

// Type says what was taken.
type Type string

// The types, in Flink's words. An attempt is UnalignedCheckpoint as soon as
// barriers overtook data at one subtask.
const (
	Checkpoint          Type = "CHECKPOINT"
	UnalignedCheckpoint Type = "UNALIGNED_CHECKPOINT"
	Savepoint           Type = "SAVEPOINT"
	SyncSavepoint       Type = "SYNC_SAVEPOINT" // the job stopped with it
)

// Cause says why an attempt failed.
type Cause string

// The causes.
const (
	TimedOut Cause = "timeout"  // it took longer than the checkpoint timeout
	Declined Cause = "declined" // a subtask could not take part
	JobEnded Cause = "job"      // a task failed, or the job was cancelled
	Fenced   Cause = "fenced"   // another run has taken the root over
	Other    Cause = "error"    // the store, or user code that writes state
)

// Attempt is what became of one attempt.
type Attempt struct {
	Schema string `json:"schema,omitempty"`
	ID     Count  `json:"id"`
	// Run is the number of the run that made the attempt: an id that was not
	// committed may be used again by a later run.
	Run     Count  `json:"run"`
	Lineage string `json:"lineage"`
	Job     string `json:"job"`

	Status    Status `json:"status"`
	Savepoint bool   `json:"is_savepoint"`
	Type      Type   `json:"checkpoint_type"`
	Final     bool   `json:"final"` // the job was to end with it
	// Path is below the root, "" if nothing was committed.
	Path Text `json:"external_path"`

	Triggered Moment `json:"trigger_timestamp"`
	LatestAck Moment `json:"latest_ack_timestamp"`
	Duration  Millis `json:"end_to_end_duration"` // from the trigger to the end
	Sizes

	// Alignment and StartDelay are the longest over the subtasks; null if no
	// barrier has come anywhere.
	Alignment  *Millis `json:"alignment_duration"`
	StartDelay *Millis `json:"start_delay"`

	FailedAt Moment `json:"failure_timestamp"`
	Cause    Text   `json:"failure_cause"` // a Cause
	Message  Text   `json:"failure_message"`

	Restored *Restored `json:"restored"` // what the tasks were restored from

	NumSubtasks     int    `json:"num_subtasks"`
	NumAcknowledged int    `json:"num_acknowledged_subtasks"`
	Tasks           []Task `json:"tasks,omitempty"` // in the order of the job
}

// Restored names a checkpoint that a job was restored from.
type Restored struct {
	ID        Count  `json:"id"`
	Savepoint bool   `json:"is_savepoint"`
	Path      string `json:"external_path"` // below the root that it lies in
	// Number is how many restores the run had done, this one included: the one it
	// began with, and one for each restart from a checkpoint. nil in records of
	// versions that did not count.
	Number *Count `json:"restore_number,omitempty"`
}

// Sizes are sums over subtasks that have acknowledged.
type Sizes struct {
	Checkpointed Count `json:"checkpointed_size"` // written by this attempt
	State        Count `json:"state_size"`        // used by the checkpoint
	// Processed is what inputs took while barriers were missing; Persisted is
	// the in-flight data that is part of the checkpoint.
	Processed Count `json:"processed_data"`
	Persisted Count `json:"persisted_data"`
}

func (s *Sizes) add(t Sizes) {
	s.Checkpointed += t.Checkpointed
	s.State += t.State
	s.Processed += t.Processed
	s.Persisted += t.Persisted
}

// Task is one task of the job: operators that are chained, at some parallelism.
type Task struct {
	ID        string   `json:"id"`        // uid of the first operator
	Operators []string `json:"operators"` // uids, in the order of the chain
	Sizes
	Duration        *Millis   `json:"end_to_end_duration"` // until the last acknowledgement; null if none
	LatestAck       Moment    `json:"latest_ack_timestamp"`
	NumSubtasks     int       `json:"num_subtasks"`
	NumAcknowledged int       `json:"num_acknowledged_subtasks"`
	Subtasks        []Subtask `json:"subtasks,omitempty"` // by index
}

// States of a subtask's part.
const (
	Acknowledged = "completed"
	Unfinished   = "pending_or_failed"
)

// Subtask is what one subtask had to do with an attempt. What it had not reached
// when the attempt ended is nil.
type Subtask struct {
	Index    int     `json:"index"`
	Status   string  `json:"status"` // Acknowledged or Unfinished
	Acked    Moment  `json:"ack_timestamp"`
	Duration *Millis `json:"end_to_end_duration"` // from the trigger to the acknowledgement

	Checkpointed *Count `json:"checkpointed_size"`
	State        *Count `json:"state_size"`

	Phases    Phases    `json:"checkpoint"`
	Alignment Alignment `json:"alignment"`
	// StartDelay is the time from the trigger to the first barrier.
	StartDelay *Millis `json:"start_delay"`
	Unaligned  bool    `json:"unaligned_checkpoint"` // barriers overtook its input
	Aborted    bool    `json:"aborted"`              // it was told to give the attempt up

	// BufferSize is to how many bytes senders fill its buffers, debloated or
	// not; nil for a source. TimeToConsume is what debloating estimates.
	BufferSize    *Count  `json:"debloated_buffer_size"`
	TimeToConsume *Millis `json:"estimated_time_to_consume_buffers"`

	// Busy, Backpressured and Idle add up to the time since the attempt before
	// this one ended, or since the start.
	Busy          Millis `json:"busy_time"`
	Backpressured Millis `json:"backpressured_time"`
	Idle          Millis `json:"idle_time"`
}

// Phases are how long a subtask needed to hand its state over, during which it
// processed nothing, and then to write it in the background.
type Phases struct {
	Sync  *Millis `json:"sync"`
	Async *Millis `json:"async"`
}

// Alignment is the time from the first to the last barrier at a subtask, and
// what came meanwhile. For a subtask that was still waiting when the attempt
// ended it is what had passed by then.
type Alignment struct {
	Duration  *Millis `json:"duration"`
	Processed *Count  `json:"processed"`
	Persisted *Count  `json:"persisted"` // input and output side
}

// Sum fills in what follows from the subtasks: the sums of the tasks and of the
// attempt, the latest acknowledgement, and the longest alignment and start delay.
func (a *Attempt) Sum() {
	a.Sizes, a.NumSubtasks, a.NumAcknowledged = Sizes{}, 0, 0
	a.LatestAck, a.Alignment, a.StartDelay = Moment{}, nil, nil
	for i := range a.Tasks {
		t := &a.Tasks[i]
		t.sum()
		a.add(t.Sizes)
		a.NumSubtasks += t.NumSubtasks
		a.NumAcknowledged += t.NumAcknowledged
		a.LatestAck = later(a.LatestAck, t.LatestAck)
		for k := range t.Subtasks {
			s := &t.Subtasks[k]
			a.Alignment = longer(a.Alignment, s.Alignment.Duration)
			a.StartDelay = longer(a.StartDelay, s.StartDelay)
			if s.Unaligned && a.Type == Checkpoint {
				a.Type = UnalignedCheckpoint
			}
		}
	}
}

func (t *Task) sum() {
	t.Sizes, t.NumSubtasks, t.NumAcknowledged = Sizes{}, len(t.Subtasks), 0
	t.Duration, t.LatestAck = nil, Moment{}
	for i := range t.Subtasks {
		s := &t.Subtasks[i]
		if s.Status != Acknowledged {
			continue
		}
		t.NumAcknowledged++
		t.LatestAck = later(t.LatestAck, s.Acked)
		t.Duration = longer(t.Duration, s.Duration)
		t.add(Sizes{Checkpointed: value(s.Checkpointed), State: value(s.State),
			Processed: value(s.Alignment.Processed), Persisted: value(s.Alignment.Persisted)})
	}
}

func value(c *Count) Count {
	if c == nil {
		return 0
	}
	return *c
}

func later(a, b Moment) Moment {
	if time.Time(b).After(time.Time(a)) {
		return b
	}
	return a
}

func longer(a, b *Millis) *Millis {
	if a == nil || b != nil && *b > *a {
		return b
	}
	return a
}
