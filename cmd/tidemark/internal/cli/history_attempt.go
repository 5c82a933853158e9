package cli

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/tidemark-io/tidemark/cmd/tidemark/internal/document"
	"github.com/tidemark-io/tidemark/cmd/tidemark/internal/out"
	"github.com/tidemark-io/tidemark/history"
)

func (a *app) printAttempt(d *document.Attempt) error {
	switch a.output {
	case asJSON, asYAML:
		return a.document(d)
	case asLines:
		head := d.Attempt
		head.Tasks, head.Schema = nil, ""
		if err := out.JSONLine(a.stdout, map[string]any{"schema": d.Schema, "row": "attempt", "attempt": head}); err != nil {
			return err
		}
		return lines(a, "task", listed(d.Tasks))()
	}
	if err := out.Fields(a.stdout, attemptFields(d)...); err != nil {
		return err
	}
	for i := range d.Tasks {
		if err := a.printTask(&d.Tasks[i]); err != nil {
			return err
		}
	}
	return nil
}

func attemptFields(d *document.Attempt) [][2]string {
	r := &d.Attempt
	fields := [][2]string{
		{"attempt", fmt.Sprintf("%d of run %d (lineage %s)", r.ID, r.Run, r.Lineage)},
		{"job", r.Job},
		{"kind", kindOf(r)},
		{"status", statusOf(r)},
	}
	add := func(name, value string) {
		if value != "" {
			fields = append(fields, [2]string{name, value})
		}
	}
	add("reason", string(r.Message))
	add("path", string(r.Path))
	if r.Restored != nil {
		add("restored from", r.Restored.Path)
	}
	add("began", out.Time(r.Triggered.Time()))
	add("took", took(&r.Duration))
	add("acknowledged", fmt.Sprintf("%d of %d subtasks", r.NumAcknowledged, r.NumSubtasks))
	add("start delay", took(r.StartDelay)+" at most")
	add("aligned", took(r.Alignment)+" at most")
	add("processed", out.Bytes(uint64(r.Processed)))
	add("in flight, raw", out.Bytes(uint64(r.Persisted)))
	add("size", out.Bytes(uint64(r.Checkpointed)))
	return fields
}

// printTask prints what its subtasks have in common, and them if they are wanted.
func (a *app) printTask(t *document.AttemptTask) error {
	name := strings.Join(t.Operators, " → ")
	if name == "" {
		name = t.ID
	}
	head := fmt.Sprintf("%s: %d of %d subtasks acknowledged", name, t.NumAcknowledged, t.NumSubtasks)
	if _, err := fmt.Fprintln(a.stdout); err != nil {
		return err
	}
	for _, line := range out.Wrap(out.Escape(head), out.Columns) {
		if a.output != asWide {
			line = clip(line)
		}
		if _, err := fmt.Fprintln(a.stdout, line); err != nil {
			return err
		}
	}
	s := &t.Summary
	f := table(keep("FIGURE"), right("MIN"), right("MEAN"), right("P50"), right("P90"), right("P95"), right("P99"), right("MAX"))
	f.Wide = a.output == asWide
	spread(f, "took", s.Duration, millis)
	spread(f, "start delay", s.StartDelay, millis)
	spread(f, "aligned", s.Alignment.Duration, millis)
	spread(f, "processed", s.Alignment.Processed, short)
	spread(f, "in flight, raw", s.Alignment.Persisted, short)
	spread(f, "sync", s.Phases.Sync, millis)
	spread(f, "async", s.Phases.Async, millis)
	spread(f, "size", s.Checkpointed, short)
	spread(f, "buffer size", s.BufferSize, short)
	spread(f, "to consume", s.TimeToConsume, millis)
	spread(f, "busy", s.Busy, millis)
	spread(f, "backpressured", s.Backpressured, millis)
	spread(f, "idle", s.Idle, millis)
	if err := f.Write(a.stdout); err != nil {
		return err
	}
	if t.Subtasks == nil {
		return nil
	}
	return errors.Join(a.printTable(a.subtaskTable(*t.Subtasks)))
}

// clip cuts a line that has a word longer than it.
func clip(line string) string {
	if runes := []rune(line); len(runes) > out.Columns {
		return string(runes[:out.Columns-1]) + "…"
	}
	return line
}

// spread adds a row of a figure, unless it is known of no subtask.
func spread[T ~int64 | ~uint64](t *out.Table, name string, d *history.Distribution[T], write func(T) string) {
	if d != nil {
		t.Row(name, write(d.Min), write(d.Avg), write(d.P50), write(d.P90), write(d.P95), write(d.P99), write(d.Max))
	}
}

func (a *app) subtaskTable(subtasks []history.Subtask) *out.Table {
	t := table(right("SUBTASK"), left("STATUS"), right("TOOK"), right("DELAY"), right("ALIGNED"), right("SYNC"), right("ASYNC"), right("RAW IN FLIGHT"), right("SIZE"))
	if a.output == asWide {
		t.Head = append(t.Head, left("BARRIERS"), right("PROCESSED"), right("BUFFER"), right("TO CONSUME"), right("BUSY"), right("BACKPRESSURED"), right("IDLE"))
	}
	for i := range subtasks {
		s := &subtasks[i]
		status, colour, barriers := "done", "", "aligned"
		if s.Status != history.Acknowledged {
			status, colour = "missing", yellow
		}
		if s.Unaligned {
			barriers = "unaligned"
		}
		t.Look(a.paint(colour), fmt.Sprint(s.Index), status, took(s.Duration), took(s.StartDelay), took(s.Alignment.Duration), took(s.Phases.Sync), took(s.Phases.Async),
			amount(s.Alignment.Persisted), amount(s.Checkpointed), barriers, amount(s.Alignment.Processed), amount(s.BufferSize), took(s.TimeToConsume),
			millis(s.Busy), millis(s.Backpressured), millis(s.Idle))
	}
	return t
}

// took writes a duration in six columns or fewer.
func took(m *history.Millis) string {
	if m == nil {
		return out.Unknown
	}
	return millis(*m)
}

func millis(m history.Millis) string {
	switch d := m.Duration(); {
	case d == 0:
		return "0s"
	case d < time.Millisecond:
		return fmt.Sprintf("%dµs", d.Microseconds())
	case d < 10*time.Millisecond:
		return fmt.Sprintf("%.1fms", d.Seconds()*1000)
	case d < time.Second:
		return fmt.Sprintf("%dms", d.Milliseconds())
	case d < time.Minute:
		return fmt.Sprintf("%.1fs", d.Seconds())
	case d < time.Hour:
		return fmt.Sprintf("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
	default:
		return fmt.Sprintf("%dh%02dm", int(d.Hours()), int(d.Minutes())%60)
	}
}

// amount writes a size, short one in six columns.
func amount(c *history.Count) string {
	if c == nil {
		return out.Unknown
	}
	return out.Bytes(uint64(*c))
}

func short(c history.Count) string {
	text, _ := strings.CutSuffix(strings.Replace(out.Bytes(uint64(c)), " ", "", 1), "B")
	return text
}
