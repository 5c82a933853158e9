package cli

import (
	"fmt"

	"github.com/tidemark-io/tidemark/cmd/tidemark/internal/out"
	"github.com/tidemark-io/tidemark/history"
)

// endedAttempts are the checkpoint attempts of a run that have ended: numbers of
// all, and the newest in more detail.
type endedAttempts struct {
	completed, failed int
	newest            []*history.Attempt // without tasks
	busy, pressured   history.Millis     // of all tasks together
	idle              history.Millis
}

// record prints what became of a checkpoint and keeps it for the end of the job.
// A failure has been printed with its reason.
func (w *watcher) record(r *history.Attempt) {
	if r == nil {
		return
	}
	w.ended.add(r)
	if r.Status == history.Completed {
		w.line("%s", attemptLine(r))
	}
}

// attemptLine is the line about a completed checkpoint; it fits 80 columns.
func attemptLine(r *history.Attempt) string {
	return fmt.Sprintf("%s in %s: %s, delay %s, aligned %s, in flight %s", r.Path, millis(r.Duration), out.Bytes(uint64(r.Checkpointed)),
		took(r.StartDelay), took(r.Alignment), out.Bytes(uint64(r.Persisted)))
}

func (e *endedAttempts) add(r *history.Attempt) {
	if r.Status == history.Completed {
		e.completed++
	} else {
		e.failed++
	}
	for i := range r.Tasks {
		for k := range r.Tasks[i].Subtasks {
			s := &r.Tasks[i].Subtasks[k]
			e.busy, e.pressured, e.idle = e.busy+s.Busy, e.pressured+s.Backpressured, e.idle+s.Idle
		}
	}
	short := *r
	short.Tasks = nil
	e.newest = append(e.newest, &short)
	if len(e.newest) > history.Kept {
		e.newest = append(e.newest[:0], e.newest[1:]...)
	}
}

// summary are the lines about all checkpoints of a run; none if there was none.
func (e *endedAttempts) summary() []string {
	if e.completed+e.failed == 0 {
		return nil
	}
	list := []string{fmt.Sprintf("checkpoints: %d completed, %d failed", e.completed, e.failed)}
	if s := history.Summarise(e.newest); s.Duration != nil {
		list[0] += fmt.Sprintf("; took %s (median), %s at most", millis(s.Duration.P50), millis(s.Duration.Max))
		text := "at most:"
		if s.StartDelay != nil && s.Alignment != nil {
			text += fmt.Sprintf(" start delay %s, aligned %s,", millis(s.StartDelay.Max), millis(s.Alignment.Max))
		}
		list = append(list, text+" in flight "+out.Bytes(uint64(s.Persisted.Max)))
	}
	if sum := float64(e.busy + e.pressured + e.idle); sum > 0 {
		list = append(list, fmt.Sprintf("tasks: busy %.0f%%, backpressured %.0f%%, idle %.0f%%", 100*float64(e.busy)/sum, 100*float64(e.pressured)/sum, 100*float64(e.idle)/sum))
	}
	return list
}
