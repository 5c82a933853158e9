package runtime

import (
	"context"
	"fmt"

	"github.com/tidemark-io/tidemark/format"
)

// resumeTime gives the operators back what they knew of event time. Where each
// subtask still stands for the same records that is exactly what it was;
// otherwise operators with keys have their floors, and the others learn it again.
func (t *Task) resumeTime() error {
	r := t.attempt.restored
	if r == nil {
		return nil
	}
	for i := range t.ops {
		rows, own, err := t.timesOf(t.attempt.plan.chains[t.chain].nodes[i])
		if err != nil {
			return err
		}
		if own {
			t.ops[i].watermark = rows[t.subtask].Current
		}
	}
	return nil
}

// repeatTime sends on what was sent on before the restore, so that receivers
// whose valves begin anew are not behind (R3): where subtasks stand for other
// records than before, the least that any active predecessor had sent.
func (t *Task) repeatTime() error {
	r := t.attempt.restored
	if r == nil {
		return nil
	}
	for i := range t.ops {
		rows, own, err := t.timesOf(t.attempt.plan.chains[t.chain].nodes[i])
		if err != nil {
			return err
		}
		if w := emittedTime(rows, t.subtask, own); w > NoWatermark {
			t.forwardWatermark(i, w)
		}
		if own && t.ops[i].drainer != nil && rows[t.subtask].Drain > t.ops[i].emitted {
			t.drains = append(t.drains, drain{op: i, watermark: rows[t.subtask].Drain})
			t.halted = true
		}
	}
	return nil
}

// seed gives the channels of a task's input the watermarks that their senders
// repeat, once the recovered data is processed. A valve that learnt them one by
// one would stay behind meanwhile: records would see less of event time than
// without the restore (R3, promise W1).
func (in *input) seed() error {
	t := in.task
	if t.attempt.restored == nil {
		return nil
	}
	for _, g := range in.gates {
		rows, own, err := t.timesOf(t.attempt.plan.graph.Edges[g.edge].From)
		if err != nil {
			return err
		}
		for c, sender := range g.senders {
			if w := emittedTime(rows, sender, own); w > NoWatermark {
				in.valve.watermark(g.first+c, w)
			}
		}
	}
	if w := in.valve.combined; w > t.ops[0].watermark {
		t.deliverWatermark(0, w)
	}
	return nil
}

// emittedTime is the watermark that a subtask repeats. A subtask that was at its
// end holds nothing back, but only all of them together make an end.
func emittedTime(rows []format.SubtaskWatermark, subtask int, own bool) int64 {
	if own {
		return rows[subtask].Emitted
	}
	low, active, ended := EndOfTime, false, len(rows) > 0
	for _, row := range rows {
		if row.Emitted == EndOfTime {
			continue
		}
		ended = false
		if row.Status == format.StatusActive {
			low, active = min(low, row.Emitted), true
		}
	}
	if !active && !ended {
		return NoWatermark
	}
	return low
}

// timesOf is what each subtask of an operator knew of event time, nil if the
// operator is not in the checkpoint, and whether each subtask still stands for
// the same records.
func (t *Task) timesOf(node int) (rows []format.SubtaskWatermark, own bool, err error) {
	r, p := t.attempt.restored, t.attempt.plan
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.own == nil {
		if r.own, err = r.ownTimes(p); err != nil {
			return nil, false, err
		}
	}
	rows, err = r.subtaskTimes(t.attempt.ctx, p.graph.Nodes[node].UID)
	return rows, r.own[node], err
}

// ownTimes says for each operator whether what a subtask had emitted, and no
// more, holds for what the subtask of the same number emits now. That is so at an
// unchanged parallelism if its inputs come from everywhere: then it had heard of
// all that may still come. Behind a pointwise connection it had heard of some
// subtasks only, so these must be the same, too.
func (r *restored) ownTimes(p *plan) ([]bool, error) {
	edges, err := r.ck.Edges()
	if err != nil {
		return nil, fmt.Errorf("restoring watermarks: %w", err)
	}
	was := map[string]format.Partitioner{}
	for _, e := range edges {
		was[e.ID] = e.Partitioner
	}
	own := make([]bool, len(p.graph.Nodes))
	for node, n := range p.graph.Nodes { // inputs come before
		old, known := r.ops[n.UID]
		own[node] = known && int(old.Parallelism) == p.parallelism[node]
		for i, e := range p.graph.Edges {
			if e.To != node {
				continue
			}
			by, there := was[p.edgeID(i)]
			if !there || pointwise(by) && !(pointwise(p.partitioner[i]) && own[e.From]) {
				own[node] = false
			}
		}
	}
	return own, nil
}

// subtaskTimes reads what each subtask of an operator knew of event time, by
// subtask; nil if the operator is not in the checkpoint. r.mu is held.
func (r *restored) subtaskTimes(ctx context.Context, uid string) ([]format.SubtaskWatermark, error) {
	old, known := r.ops[uid]
	if !known {
		return nil, nil
	}
	if rows, ok := r.times[uid]; ok {
		return rows, nil
	}
	rows := make([]format.SubtaskWatermark, old.Parallelism)
	for i := range rows {
		rows[i] = format.SubtaskWatermark{Subtask: uint32(i), Current: NoWatermark, Emitted: NoWatermark, Drain: NoWatermark, Status: format.StatusIdle}
	}
	for row, err := range r.ck.SubtaskWatermarks(ctx, uid) {
		if err != nil {
			return nil, fmt.Errorf("restoring watermarks: %w", err)
		}
		if int(row.Row.Subtask) < len(rows) {
			rows[row.Row.Subtask] = row.Row
		}
	}
	r.times[uid] = rows
	return rows, nil
}
