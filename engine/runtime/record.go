package runtime

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/tidemark-io/tidemark/checkpoint/layout"
	"github.com/tidemark-io/tidemark/engine/barrier"
	"github.com/tidemark-io/tidemark/format"
	record "github.com/tidemark-io/tidemark/history"
)

// barriers follows how those of the newest checkpoint come to a task. The task
// writes; the coordinator reads of a checkpoint that it gives up how far it came.
type barriers struct {
	mu sync.Mutex
	id uint64
	at time.Time // of the first
	seen
	taken uint64 // bytes that the input had taken at the first
}

// seen is how barriers came.
type seen struct {
	first, last bool          // has it come
	handing     bool          // the operators hand over their state
	startDelay  time.Duration // from the trigger to the first
	alignment   time.Duration // from there to the last
	processed   uint64        // bytes of data that the input took meanwhile
}

// firstBarrier notes that the first barrier of a checkpoint is processed.
func (t *Task) firstBarrier(id uint64) {
	b := &t.snapshots.barriers
	b.mu.Lock()
	defer b.mu.Unlock()
	b.id, b.at, b.taken = id, t.attempt.cfg.Clock.Now(), t.taken()
	b.seen = seen{first: true, startDelay: max(t.attempt.elapsed(id), 0)}
}

// lastBarrier notes that none is missing any more.
func (t *Task) lastBarrier() {
	b := &t.snapshots.barriers
	b.mu.Lock()
	defer b.mu.Unlock()
	b.last = true
	if t.input == nil {
		return // a source waits for nothing
	}
	b.alignment = t.attempt.cfg.Clock.Now().Sub(b.at)
	b.processed = t.taken() - b.taken
}

// hand notes the begin and the end of the synchronous phase.
func (b *barriers) hand(begins bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.handing = begins
}

// taken is how many bytes of data the task's input has taken.
func (t *Task) taken() uint64 {
	if t.input == nil {
		return 0
	}
	return t.input.taken
}

// of is how the barriers of one checkpoint came, or of the newest if id is 0;
// nothing if it is another.
func (b *barriers) of(id uint64) seen {
	b.mu.Lock()
	defer b.mu.Unlock()
	if id != 0 && b.id != id {
		return seen{}
	}
	return b.seen
}

// until is the same, and if barriers are still missing the time they have been.
func (b *barriers) until(id uint64, now time.Time) seen {
	s := b.of(id)
	if s.first && !s.last {
		b.mu.Lock()
		defer b.mu.Unlock()
		s.alignment = max(now.Sub(b.at), 0)
	}
	return s
}

// declinedError says that a task gave a checkpoint up.
type declinedError struct {
	task   string
	reason barrier.Reason
}

func (e *declinedError) Error() string { return fmt.Sprintf("%s: %v", e.task, e.reason) }

// record describes a checkpoint that has ended at a time, with an error unless it
// was completed, and hands that to the historian.
func (c *coordinator) record(p *pending, ended time.Time, reason error) *record.Attempt {
	a := c.a
	r := &record.Attempt{
		Schema: record.Schema, ID: record.Count(p.id), Run: record.Count(a.run()), Lineage: a.lineage(), Job: a.plan.graph.Name,
		Status: record.Completed, Type: record.Checkpoint, Final: p.final, Path: record.Text(p.path),
		Triggered: record.Moment(p.triggered), Duration: record.Millis(ended.Sub(p.triggered)),
	}
	if p.kind == format.Savepoint {
		r.Savepoint, r.Type = true, record.Savepoint
		if p.final {
			r.Type = record.SyncSavepoint
		}
	}
	if reason != nil {
		r.Status, r.Path, r.FailedAt = record.Failed, "", record.Moment(ended)
		r.Cause, r.Message = record.Text(causeOf(reason)), record.Text(reason.Error())
	}
	if from := a.restored; from != nil {
		_, savepoint, _ := layout.ParseDir(from.path)
		r.Restored = &record.Restored{ID: record.Count(from.id), Path: from.path, Savepoint: savepoint, Number: new(record.Count(a.restore))}
	}
	r.Tasks = c.taskRecords(p, ended, reason)
	r.Sum()
	a.job.historian.add(r)
	return r
}

// causeOf puts the reason of a failure into a class.
func causeOf(reason error) record.Cause {
	var declined *declinedError
	var task *TaskError
	switch {
	case errors.Is(reason, ErrFenced):
		return record.Fenced
	case errors.Is(reason, errExpired):
		return record.TimedOut
	case errors.Is(reason, errAttempt), errors.As(reason, &task), errors.Is(reason, context.Canceled):
		return record.JobEnded
	case errors.As(reason, &declined):
		return record.Declined
	}
	return record.Other
}

// taskRecords describes what each subtask had to do with a checkpoint, and what it
// has done with its time since the checkpoint before.
func (c *coordinator) taskRecords(p *pending, ended time.Time, reason error) []record.Task {
	a := c.a
	tasks := make([]record.Task, len(a.plan.chains))
	for i, chain := range a.plan.chains {
		for _, node := range chain.nodes {
			tasks[i].Operators = append(tasks[i].Operators, a.plan.graph.Nodes[node].UID)
		}
		tasks[i].ID = tasks[i].Operators[0]
	}
	acks := make(map[int]*ack, len(p.acks))
	for i := range p.acks {
		acks[p.acks[i].task] = &p.acks[i]
	}
	if c.spent == nil {
		c.spent = make([]spent, len(a.tasks))
	}
	for i, t := range a.tasks {
		s := record.Subtask{Index: t.subtask, Status: record.Unfinished, Aborted: reason != nil}
		if k := acks[t.number]; k != nil {
			k.fill(&s, p)
		} else {
			fillSeen(&s, t.snapshots.barriers.until(p.id, ended))
		}
		if t.input != nil {
			stats := TaskStats{Gates: t.gateStats()}
			s.BufferSize = new(record.Count(stats.BufferSize()))
			if a.cfg.Exchange.Debloat.Enabled {
				s.TimeToConsume = new(record.Millis(stats.TimeToConsume()))
			}
		}
		now := t.times.until(ended)
		doing := now.minus(c.spent[i])
		c.spent[i] = now
		s.Busy, s.Backpressured, s.Idle = record.Millis(doing[busy]), record.Millis(doing[backpressured]), record.Millis(doing[idle])
		tasks[t.chain].Subtasks = append(tasks[t.chain].Subtasks, s)
	}
	return tasks
}

// fill describes the part of a subtask that has acknowledged.
func (k *ack) fill(s *record.Subtask, p *pending) {
	s.Status, s.Acked, s.Unaligned = record.Acknowledged, record.Moment(k.at), k.unaligned
	s.Duration = new(record.Millis(k.at.Sub(p.triggered)))
	written := sizeOf(k.slices)
	s.Checkpointed, s.State = new(written), new(written+sizeOf(k.kept))
	s.Phases = record.Phases{Sync: new(record.Millis(k.sync)), Async: new(record.Millis(k.async))}
	fillSeen(s, k.seen)
	s.Alignment.Processed, s.Alignment.Persisted = new(record.Count(k.seen.processed)), new(record.Count(k.persisted))
}

func sizeOf(slices []format.Slice) (size record.Count) {
	for i := range slices {
		size += record.Count(slices[i].Bytes)
	}
	return size
}

func fillSeen(s *record.Subtask, b seen) {
	if b.first {
		s.StartDelay, s.Alignment.Duration = new(record.Millis(b.startDelay)), new(record.Millis(b.alignment))
	}
}

// historian writes the records of a job's checkpoints, in the background: what
// the store does with them delays no checkpoint and fails none.
type historian struct {
	cfg    *Config
	log    *record.Log
	queue  chan *record.Attempt
	done   chan struct{}
	ctx    context.Context
	cancel context.CancelFunc
}

const (
	// historyBacklog is how many records may wait; more are dropped.
	historyBacklog = 64
	// historyGrace is how long the end of a job waits for those that do.
	historyGrace = 10 * time.Second
)

// newHistorian starts a historian; nil if no history is wanted.
func newHistorian(ctx context.Context, cfg *Config) *historian {
	if cfg.Checkpoints.Store == nil || cfg.Checkpoints.History < 0 {
		return nil
	}
	h := &historian{cfg: cfg, log: record.NewLog(cfg.Checkpoints.Store, cfg.Checkpoints.History),
		queue: make(chan *record.Attempt, historyBacklog), done: make(chan struct{})}
	h.ctx, h.cancel = context.WithCancel(context.WithoutCancel(ctx)) // how a cancelled job ended is history, too
	go h.run()
	return h
}

func (h *historian) run() {
	defer close(h.done)
	for r := range h.queue {
		h.cfg.turn(RoleHistory, 0)
		if err := h.log.Add(h.ctx, r); err != nil {
			h.cfg.Logger.Warn("history of a checkpoint not kept", "id", uint64(r.ID), "error", err)
		}
	}
}

// add hands a record over; it never waits.
func (h *historian) add(r *record.Attempt) {
	if h == nil {
		return
	}
	select {
	case h.queue <- r:
	default:
		h.cfg.Logger.Warn("history of a checkpoint not kept: too many wait to be written", "id", uint64(r.ID))
	}
}

// close waits until everything is written, for a limited time. No attempt runs
// any more.
func (h *historian) close() {
	if h == nil {
		return
	}
	close(h.queue)
	stop := h.cfg.Clock.AfterFunc(historyGrace, h.cancel)
	<-h.done
	stop()
	h.cancel()
}
