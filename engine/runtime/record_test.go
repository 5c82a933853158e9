package runtime

import (
	"strings"
	"testing"
	"time"

	"github.com/tidemark-io/tidemark/engine/barrier"
	"github.com/tidemark-io/tidemark/format"
	record "github.com/tidemark-io/tidemark/history"
)

// records are those of the events so far, oldest first.
func (r *rig) records() (list []*record.Attempt) {
	for _, e := range r.events {
		switch e := e.(type) {
		case CheckpointCompleted:
			list = append(list, e.Record)
		case CheckpointFailed:
			list = append(list, e.Record)
		}
	}
	return list
}

// begin triggers a checkpoint.
func (r *rig) begin(t *testing.T) (*pending, chan Result) {
	t.Helper()
	answer := make(chan Result, 1)
	r.ask(&request{kind: format.Checkpoint, reply: answer})
	r.turn()
	p := r.current.Load()
	if p == nil {
		t.Fatal("nothing was triggered")
	}
	return p, answer
}

// TestDeclined: what a task declines fails, and its record says which task and why.
func TestDeclined(t *testing.T) {
	for _, reason := range []barrier.Reason{barrier.ReasonSubsumed, barrier.ReasonCancelled, barrier.ReasonUnsupported} {
		r := newRig(t, CheckpointConfig{TolerableFailures: 1})
		p, answer := r.begin(t)
		r.clock.advance(time.Second)
		r.a.decline(p.id, &declinedError{task: "task (1/1)", reason: reason})
		r.until(func() bool { return r.current.Load() == nil })
		list := r.records()
		if len(list) != 1 {
			t.Fatalf("%d records", len(list))
		}
		a := list[0]
		if a.Status != record.Failed || record.Cause(a.Cause) != record.Declined || a.Duration.Duration() != time.Second ||
			string(a.Message) != "task (1/1): "+reason.String() {
			t.Errorf("%v: %s, %s after %v: %s", reason, a.Status, a.Cause, a.Duration.Duration(), a.Message)
		}
		if s := a.Tasks[0].Subtasks[0]; !s.Aborted || s.Status != record.Unfinished {
			t.Errorf("%v: %+v", reason, s)
		}
		if res := <-answer; res.Err == nil || !strings.Contains(res.Err.Error(), reason.String()) {
			t.Errorf("%v: the answer is %v", reason, res.Err)
		}
	}
}

// TestSubsumed: a task that comes to a newer checkpoint before it is done with an
// older one, which has expired, declines the older one. That is history by then: the
// newer one completes, whatever is still said of the older.
func TestSubsumed(t *testing.T) {
	r := newRig(t, CheckpointConfig{TolerableFailures: 1, Timeout: time.Minute})
	old, _ := r.begin(t)
	r.a.tasks[0].name = "task (1/1)"
	r.a.tasks[0].snapshots.barriers.seen = seen{first: true}
	r.a.tasks[0].snapshots.barriers.id = old.id
	r.clock.advance(time.Minute)
	r.until(func() bool { return r.current.Load() == nil })
	newer, answer := r.begin(t)
	r.a.decline(old.id, &declinedError{task: "task (1/1)", reason: barrier.ReasonSubsumed})
	r.a.acknowledge(old, ack{task: 0, watermarks: []int64{NoWatermark}})
	r.turn()
	if r.current.Load() != newer {
		t.Fatal("what was said of the older checkpoint ended the newer one")
	}
	r.acknowledge(newer, ack{task: 0, watermarks: []int64{NoWatermark}})
	r.until(func() bool { return r.current.Load() == nil })
	if res := <-answer; res.Err != nil || res.ID != newer.id {
		t.Errorf("the newer one: %+v", res)
	}
	list := r.records()
	if len(list) != 2 || record.Cause(list[0].Cause) != record.TimedOut || list[1].Status != record.Completed {
		t.Fatalf("%+v", list)
	}
	if !strings.Contains(string(list[0].Message), "of 1m0s: task (1/1) waits for barriers (alignment)") {
		t.Errorf("the older one: %s", list[0].Message)
	}
}
