package runtime

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// errExpired is the reason why a checkpoint fails that was not committed in time.
var errExpired = errors.New("the checkpoint took longer than its timeout")

// phase is how far a task has come with a checkpoint, those first that may hold
// others up: behind a task that hands over its state no barrier has come yet.
type phase uint8

const (
	inSnapshot phase = iota // user code hands over its state
	aligning                // some barriers have come
	writingPart
	waitingForBarrier
)

// phaseOf is the phase of a task that has not acknowledged.
func (t *Task) phaseOf(id uint64) phase {
	switch s := t.snapshots.barriers.of(id); {
	case !s.first:
		return waitingForBarrier
	case s.handing:
		return inSnapshot
	case !s.last:
		return aligning
	}
	return writingPart
}

// mostNamed is how many tasks the error of a checkpoint that was too slow names.
const mostNamed = 3

// expired is errExpired with what was waited for.
func (c *coordinator) expired(p *pending) error {
	limit := c.a.cfg.Checkpoints.Timeout
	p.mu.Lock()
	missing := make([]int, 0, len(p.missing))
	for number := range p.missing {
		missing = append(missing, number)
	}
	p.mu.Unlock()
	if len(missing) == 0 {
		return fmt.Errorf("%w of %v: it was being published", errExpired, limit)
	}
	type held struct {
		phase phase
		task  *Task
	}
	tasks := make([]held, len(missing))
	for i, number := range missing {
		tasks[i] = held{c.a.tasks[number].phaseOf(p.id), c.a.tasks[number]}
	}
	slices.SortFunc(tasks, func(a, b held) int {
		if a.phase != b.phase {
			return int(a.phase) - int(b.phase)
		}
		return a.task.number - b.task.number
	})
	var named []string
	for _, h := range tasks[:min(len(tasks), mostNamed)] {
		named = append(named, h.task.name+" "+h.phase.text(h.task))
	}
	if more := len(tasks) - len(named); more > 0 {
		named = append(named, fmt.Sprintf("and %d more tasks", more))
	}
	return fmt.Errorf("%w of %v: %s", errExpired, limit, strings.Join(named, "; "))
}

// text says what a task does.
func (p phase) text(t *Task) string {
	switch p {
	case inSnapshot:
		return fmt.Sprintf("is in its snapshot (synchronous phase), in operator %q", t.ops[t.running()].env.UID)
	case aligning:
		return "waits for barriers (alignment)"
	case writingPart:
		return "writes its part (asynchronous phase)"
	default:
		return "has seen no barrier"
	}
}
