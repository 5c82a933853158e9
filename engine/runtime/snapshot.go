package runtime

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"sync"

	"github.com/tidemark-io/tidemark/engine/barrier"
	"github.com/tidemark-io/tidemark/format"
	"github.com/tidemark-io/tidemark/keygroup"
	"github.com/tidemark-io/tidemark/writer"
)

// StateSpec describes one named state of an operator.
type StateSpec struct {
	Name      string
	Kind      format.Kind
	Namespace *format.Schema // nil if the state has no namespaces
	Value     *format.Schema
}

// SplitTime is the watermark generator of one source split (R3).
type SplitTime struct {
	Split   string
	Largest int64 // event time in ms, NoWatermark if no record was seen
	Idle    bool
}

// Names of the states that hold watermarks.
const (
	floorState   = "watermark.floor"
	subtaskState = "watermark.subtask"
	channelState = "watermark.channel"
	splitState   = "watermark.split"
)

// Snapshot collects one task's part of a checkpoint. What an operator hands
// over is written in the background, while the task goes on.
type Snapshot struct {
	task    *Task
	pending *pending
	op      int
	id      uint64
	parts   []part
}

// part is one slice to be written.
type part struct {
	env     *Env
	spec    StateSpec
	edge    int // index in the graph, or format.None
	write   func(context.Context, *writer.Slice) error
	release func() // called in any case; may be nil
	// rows, in place of write, waits for in-flight data and returns its rows;
	// without rows there is no slice.
	rows     func(context.Context) ([]inFlight, error)
	inFlight uint64 // bytes of the rows, when they are written
	// groups, in place of write, writes a slice for each key group that inc does
	// not keep.
	groups func(context.Context, func(group int) (*writer.Slice, error)) error
	inc    *Increment
}

// ID is the id of the checkpoint.
func (s *Snapshot) ID() uint64 { return s.id }

// Add hands over a state that write will write. release is called when write
// has returned or will not be called; it may be nil.
func (s *Snapshot) Add(spec StateSpec, write func(context.Context, *writer.Slice) error, release func()) {
	s.parts = append(s.parts, part{env: s.task.ops[s.op].env, spec: spec, edge: format.None, write: write, release: release})
}

// List hands over the items of a list state.
func (s *Snapshot) List(spec StateSpec, items [][]byte) {
	s.ListLater(spec, func(context.Context) ([][]byte, error) { return items, nil })
}

// ListLater hands over a list state whose items are only known in the
// background.
func (s *Snapshot) ListLater(spec StateSpec, items func(context.Context) ([][]byte, error)) {
	s.Add(spec, func(ctx context.Context, sl *writer.Slice) error {
		list, err := items(ctx)
		if err != nil {
			return err
		}
		for _, item := range list {
			if err := sl.Item(item); err != nil {
				return err
			}
		}
		return nil
	}, nil)
}

// SplitTimes hands over the watermark generators of a source, in any order.
func (s *Snapshot) SplitTimes(times []SplitTime) {
	slices.SortFunc(times, func(a, b SplitTime) int { return cmp.Compare(a.Split, b.Split) })
	s.Add(StateSpec{Name: splitState, Kind: format.KindSplitWatermark}, func(_ context.Context, sl *writer.Slice) error {
		for _, t := range times {
			if err := sl.SplitWatermark(format.SplitWatermark{Split: []byte(t.Split), Watermark: t.Largest, Status: status(t.Idle)}); err != nil {
				return err
			}
		}
		return nil
	}, nil)
}

// snapshots follows the checkpoints of one task.
type snapshots struct {
	barriers barriers
	cancel   context.CancelFunc // of the one being written
	writing  sync.WaitGroup
}

// wait waits until nothing is written any more.
func (s *snapshots) wait() { s.writing.Wait() }

// snapshot is the one moment at which a task's state belongs to a checkpoint:
// the barrier goes to all outputs, and the operators hand over their state.
func (t *Task) snapshot(b barrier.Barrier) error {
	fl, err := t.emitBarrier(b)
	if t.snapshots.cancel != nil { // of an aborted one that may still be writing
		t.snapshots.cancel()
		t.snapshots.wait()
		t.turn()
	}
	if t.flight != nil {
		t.flight.release() // nobody reads it any more; if it was written this does nothing
	}
	t.flight = fl
	if err != nil {
		return err
	}
	p := t.attempt.coord.current.Load()
	if p == nil || p.id != b.ID {
		fl.release()
		return nil // given up meanwhile; those downstream find that out too
	}
	if c := t.attempt.cfg.consumption; c != nil {
		c.snapshot(t, b.ID)
	}
	var ack ack
	began := t.attempt.cfg.Clock.Now()
	t.snapshots.barriers.hand(true)
	s, err := t.capture(b.ID, p)
	t.snapshots.barriers.hand(false)
	if err != nil {
		return err
	}
	if !p.begin() { // not before: who gives the checkpoint up does not wait for user code
		s.release()
		fl.release()
		return nil
	}
	overtaken := b.Alignment == barrier.Unaligned && t.input != nil
	seen := t.snapshots.barriers.of(b.ID)
	if overtaken {
		t.inputParts(fl)
		ack.unaligned = true
	}
	s.parts = append(s.parts, fl.parts...)
	ctx, cancel := context.WithCancel(p.ctx)
	t.snapshots.cancel = cancel
	ack.task, ack.seen = t.number, seen
	handed := t.attempt.cfg.Clock.Now()
	ack.sync = handed.Sub(began)
	for i := range t.ops {
		ack.watermarks = append(ack.watermarks, t.ops[i].watermark)
	}
	t.snapshots.writing.Add(1)
	go func() {
		defer t.snapshots.writing.Done()
		defer p.writing.Done()
		defer cancel()
		t.attempt.cfg.turn(RolePart, t.number)
		ack.err = s.write(ctx, p, &ack)
		if overtaken && ack.err == nil && fl.awaited() {
			ack.seen = fl.seen
		}
		ack.at = t.attempt.cfg.Clock.Now()
		ack.async = ack.at.Sub(handed)
		t.attempt.acknowledge(p, ack)
		var panicked *TaskError
		if errors.As(ack.err, &panicked) {
			t.attempt.fail(panicked) // not a failure of the store, which might pass
		}
	}()
	return nil
}

// capture collects the state of all operators. Unless it succeeds it gives back
// what it took hold of, even if an operator panics.
func (t *Task) capture(id uint64, p *pending) (s *Snapshot, err error) {
	s = &Snapshot{task: t, pending: p, id: id}
	captured := false
	defer func() {
		if !captured {
			s.release()
		}
	}()
	t.reportLate()
	for i := range t.ops {
		t.current, s.op = i, i
		if op, ok := t.ops[i].op.(Snapshotter); ok {
			if err := op.Snapshot(s); err != nil {
				return nil, err
			}
		}
		t.snapshotTime(s)
	}
	captured = true
	return s, nil
}

// snapshotTime hands over event time as the current operator knows it (R3).
func (t *Task) snapshotTime(s *Snapshot) {
	slot := &t.ops[s.op]
	env := slot.env
	target := NoWatermark
	for _, d := range t.drains {
		if d.op == s.op && d.eventTime() {
			target = max(target, d.watermark)
		}
	}
	row := format.SubtaskWatermark{Subtask: uint32(t.subtask), Current: slot.watermark, Emitted: slot.emitted, Drain: target, Status: status(slot.idle)}
	s.Add(StateSpec{Name: subtaskState, Kind: format.KindSubtaskWatermark}, func(_ context.Context, sl *writer.Slice) error {
		return sl.SubtaskWatermark(row)
	}, nil)
	if env.KeyGroups > 0 {
		floors := slot.floors.snapshot(env.Interval, slot.watermark, target)
		s.Add(StateSpec{Name: floorState, Kind: format.KindFloor}, func(_ context.Context, sl *writer.Slice) error {
			for _, f := range floors {
				if err := sl.Floor(f); err != nil {
					return err
				}
			}
			return nil
		}, nil)
	}
	if s.op == 0 && t.input != nil {
		t.snapshotChannels(s)
	}
}

func status(idle bool) format.Status {
	if idle {
		return format.StatusIdle
	}
	return format.StatusActive
}

// snapshotChannels hands over the watermark of each input channel.
func (t *Task) snapshotChannels(s *Snapshot) {
	for _, g := range t.input.gates {
		rows := make([]format.ChannelWatermark, len(g.cursors))
		for c := range rows {
			ct := t.input.valve.channels[g.first+c]
			rows[c] = format.ChannelWatermark{Sender: uint32(g.senders[c]), Receiver: t.subtask, Generation: t.attempt.generation,
				Watermark: ct.watermark, Status: status(ct.idle)}
		}
		rows = append(rows, t.input.replay.times(g, t.subtask)...)
		slices.SortFunc(rows, func(a, b format.ChannelWatermark) int {
			return cmp.Or(cmp.Compare(a.Sender, b.Sender), cmp.Compare(a.Generation, b.Generation))
		})
		s.Add(StateSpec{Name: channelState, Kind: format.KindChannelWatermark}, func(_ context.Context, sl *writer.Slice) error {
			for _, r := range rows {
				if err := sl.ChannelWatermark(r); err != nil {
					return err
				}
			}
			return nil
		}, nil)
		s.parts[len(s.parts)-1].edge = g.edge
	}
}

// write writes all parts, one after the other, and notes them in the
// acknowledgement.
func (s *Snapshot) write(ctx context.Context, p *pending, to *ack) error {
	defer s.release()
	for i := range s.parts {
		pt := &s.parts[i]
		written, err := pt.run(ctx, p, s.task.subtask)
		to.persisted += pt.inFlight
		if err != nil {
			return fmt.Errorf("operator %q, subtask %d, state %q: %w", pt.env.UID, s.task.subtask, pt.spec.Name, err)
		}
		to.slices = append(to.slices, written...)
		if pt.inc == nil {
			continue
		}
		row := p.row(pt.env.node, pt.edge, pt.spec)
		for _, sl := range pt.inc.kept {
			sl.State = row
			to.kept = append(to.kept, sl)
		}
	}
	return nil
}

// run writes one part as a slice; there is none for channels that held nothing,
// and one for each key group in an incremental checkpoint. What an operator hands
// over may run its code, whose panic ends the task and not the process.
func (pt *part) run(ctx context.Context, p *pending, subtask int) (_ []format.Slice, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &TaskError{UID: pt.env.UID, Subtask: subtask, Err: fmt.Errorf("panic: %v", v), Stack: debug.Stack()}
		}
	}()
	if err := ctx.Err(); err != nil {
		return nil, context.Cause(ctx)
	}
	if pt.groups != nil {
		return pt.runGroups(ctx, p, subtask)
	}
	write := pt.write
	if pt.rows != nil {
		rows, err := pt.rows(ctx)
		if err != nil || len(rows) == 0 {
			return nil, err
		}
		write = func(_ context.Context, sl *writer.Slice) error {
			n, bytes, err := writeBuffers(sl, rows)
			p.inFlight(pt.edge, n)
			pt.inFlight = bytes
			return err
		}
	}
	sl, err := p.writer.Slice(ctx, pt.slice(p, subtask))
	if err != nil {
		return nil, err
	}
	if err := write(ctx, sl); err != nil {
		sl.Abandon()
		return nil, err
	}
	slice, err := sl.Close()
	return []format.Slice{slice}, err
}

// slice describes the slice that the part becomes.
func (pt *part) slice(p *pending, subtask int) writer.SliceSpec {
	interval := keygroup.All()
	if pt.spec.Kind == format.KindKeyed || pt.spec.Kind == format.KindTimer || pt.spec.Kind == format.KindFloor {
		interval = pt.env.Interval
	}
	return writer.SliceSpec{
		State: p.row(pt.env.node, pt.edge, pt.spec), Operator: pt.env.UID, Name: pt.spec.Name,
		Parallelism: uint32(pt.env.Parallelism), KeyGroups: uint32(pt.env.KeyGroups), Edge: pt.edgeID(),
		Key: pt.env.node.KeySchema, Namespace: pt.spec.Namespace, Value: pt.spec.Value,
		Kind: pt.spec.Kind, Subtask: uint32(subtask), Interval: interval,
	}
}

// edgeID names the edge that the part belongs to, "" if none.
func (pt *part) edgeID() string {
	if pt.edge == format.None {
		return ""
	}
	return pt.env.attempt.plan.edgeID(pt.edge)
}

// release gives back what the parts hold.
func (s *Snapshot) release() {
	for i := range s.parts {
		if r := s.parts[i].release; r != nil {
			s.parts[i].release = nil
			r()
		}
	}
}

// triggered begins a checkpoint at a source.
func (t *Task) triggered(b barrier.Barrier) error {
	t.firstBarrier(b.ID)
	t.lastBarrier()
	return t.snapshot(b)
}

// checkpointComplete tells the operators that a checkpoint is committed.
func (t *Task) checkpointComplete(id uint64) error {
	for i := range t.ops {
		t.current = i
		if op, ok := t.ops[i].op.(Notified); ok {
			if err := op.CheckpointComplete(id); err != nil {
				return err
			}
		}
	}
	return nil
}

// abortCheckpoint forgets a checkpoint that the coordinator gave up.
func (t *Task) abortCheckpoint(id uint64) error {
	if t.input == nil {
		return nil
	}
	return t.input.handle(barrier.Aborted(id))
}
