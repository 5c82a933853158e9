package cli

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/term"

	"github.com/tidemark-io/tidemark/cmd/tidemark/internal/out"
	"github.com/tidemark-io/tidemark/engine"
)

// How often the state of a running job is shown.
const (
	liveEvery = time.Second      // on a terminal, on one line
	logEvery  = 10 * time.Second // elsewhere, a line each
)

// noneYet stands for the last completed checkpoint before there is one.
const noneYet = "no checkpoint yet"

// watcher shows on stderr how a job is doing. It is the job's observer.
type watcher struct {
	app  *app
	w    io.Writer
	live bool

	mu        sync.Mutex
	last      string // the last completed checkpoint, for people
	late      int64
	cleared   bool // no live line stands on the terminal
	failed    bool // the job ended with an error
	records   uint64
	pressured time.Duration
	ended     endedAttempts
}

func newWatcher(a *app) *watcher {
	f, ok := a.stderr.(*os.File)
	return &watcher{app: a, w: a.stderr, live: ok && term.IsTerminal(int(f.Fd())), last: noneYet, cleared: true}
}

// Observe takes an event of the engine.
func (w *watcher) Observe(e engine.Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch e := e.(type) {
	case engine.RunStarted:
		if e.Restored != "" {
			w.line("run %d: restored %s (lineage %s)", e.Run, e.Restored, e.Lineage)
		} else if e.Run > 0 {
			w.line("run %d: starting without state (lineage %s)", e.Run, e.Lineage)
		}
	case engine.InFlightDropped:
		if e.Policy == "" {
			w.line("%s: its in-flight data is dropped as configured: %d records, %s, are lost", e.Path, e.Records, out.Bytes(e.Bytes))
			break
		}
		w.line("%s: in-flight data is damaged, %s as configured: %d records, %s, of %d channels are lost", e.Path, e.Policy, e.Records, out.Bytes(e.Bytes), e.Channels)
		for _, l := range e.Edges {
			w.line("  %s: %d records, %s, of %d channels", l.Edge, l.Records, out.Bytes(l.Bytes), l.Channels)
		}
	case engine.CheckpointCompleted:
		w.last = fmt.Sprintf("%s: %s in %s", e.Path, out.Bytes(e.Bytes), e.Duration.Round(time.Millisecond))
		w.record(e.Record)
	case engine.CheckpointFailed:
		w.line("%s failed: %v", e.Path, e.Reason)
		w.record(e.Record)
	case engine.TaskFailed:
		w.line("%v", e.Err)
	case engine.Restarting:
		from := e.From
		if from == "" {
			from = "the beginning"
		}
		w.line("restart %d, from %s", e.Attempt, from)
	case engine.FunctionStuck:
		w.line("operator %q, subtask %d: a call has not returned for %v, at %s; no checkpoint completes meanwhile",
			e.UID, e.Subtask, e.Since.Round(time.Second), placeOf(e))
	case engine.FunctionReturned:
		w.line("operator %q, subtask %d: the call has returned, after %v", e.UID, e.Subtask, e.After.Round(time.Second))
	case engine.Finished:
		w.failed = e.Err != nil
	case engine.LateRecords:
		w.late += e.Count
	}
}

// placeOf says where the record lies that a call does not return with.
func placeOf(e engine.FunctionStuck) string {
	switch e.Place {
	case engine.PlaceChannel:
		return fmt.Sprintf("a record of buffer %d from subtask %d on %s", e.Buffer, e.Sender, e.Edge)
	case engine.PlaceTime:
		return "a timer, or unfinished work"
	case engine.PlaceRecovered:
		return "recovered in-flight data"
	default:
		return "its source"
	}
}

// line prints a message of its own.
func (w *watcher) line(format string, args ...any) {
	w.clear()
	w.app.say(format, args...)
}

// clear removes the live line.
func (w *watcher) clear() {
	if !w.cleared {
		fmt.Fprint(w.w, "\r\x1b[K")
		w.cleared = true
	}
}

// watch shows the state of the job until done.
func (w *watcher) watch(job *engine.Job, done <-chan struct{}) {
	if w.app.quiet {
		return
	}
	every := logEvery
	if w.live {
		every = liveEvery
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	begin := time.Now()
	for {
		select {
		case <-tick.C:
			w.show(job.Stats(), time.Since(begin), every)
		case <-done:
			w.mu.Lock()
			w.clear()
			for _, l := range w.ended.summary() {
				w.app.say("%s", l)
			}
			w.app.say("%s", summary(w.failed, time.Since(begin), w.last, w.late))
			w.mu.Unlock()
			return
		}
	}
}

// show prints one line about the time since the last one.
func (w *watcher) show(s engine.Stats, running, since time.Duration) {
	records, pressured, tasks := totals(s)
	w.mu.Lock()
	defer w.mu.Unlock()
	share := 0.0
	if tasks > 0 && pressured > w.pressured {
		share = min(1, (pressured-w.pressured).Seconds()/(since.Seconds()*float64(tasks)))
	}
	rate := float64(records-min(records, w.records)) / since.Seconds()
	w.records, w.pressured = records, pressured
	text := status(running, rate, w.last, share)
	if !w.live {
		w.app.say("%s", text)
		return
	}
	fmt.Fprint(w.w, "\r\x1b[K"+out.Escape(text))
	w.cleared = false
}

// totals sums up the tasks. The records are those of the task that has sent
// most: the source, or a flat map behind it.
func totals(s engine.Stats) (records uint64, pressured time.Duration, tasks int) {
	sent := map[string]uint64{}
	for _, t := range s.Tasks {
		sent[t.UID] += t.FramesOut
		records = max(records, sent[t.UID])
		pressured += t.Backpressured
	}
	return records, pressured, len(s.Tasks)
}

// status is the line about a running job; it fits 80 columns.
func status(running time.Duration, rate float64, last string, pressured float64) string {
	return fmt.Sprintf("%s  %s records/s  %s  backpressure %.0f%%", running.Round(time.Second), out.Number(uint64(rate)), last, 100*pressured)
}

// summary is the line about a job that has ended.
func summary(failed bool, took time.Duration, last string, late int64) string {
	verb := "ended"
	if failed {
		verb = "failed"
	}
	if last == noneYet {
		last = "no checkpoint"
	}
	return fmt.Sprintf("%s after %s, %s, late records dropped: %d", verb, took.Round(100*time.Millisecond), last, late)
}
