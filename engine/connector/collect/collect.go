// Package collect is a sink that keeps records in memory, for tests. With
// checkpoints it delivers exactly once, as a sink of the real world does: a
// record counts when the checkpoint that covers it is committed.
package collect

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"

	"github.com/tidemark-io/tidemark/engine"
)

// Entry is a record and where it came from.
type Entry[T any] struct {
	Record    T
	Timestamp int64 // event time in ms
	Subtask   int   // that wrote it
	Run       uint64
	ID        uint64 // of the first checkpoint that covers it, 0 without checkpoints
}

// Sink plays the part of the outside world, so it outlives the attempts and
// runs of a job in one process: give the same Sink to all of them. It is safe
// for concurrent use.
type Sink[T any] struct {
	mu      sync.Mutex
	visible []Entry[T]
	pending map[key][]Entry[T]
	shown   map[key]bool
	writers uint64 // ever opened
}

// key names what one subtask took between two snapshots.
type key struct {
	Lineage string `json:"lineage"`
	UID     string `json:"uid"`
	ID      uint64 `json:"id"`
	Run     uint64 `json:"run"`
	Attempt uint64 `json:"attempt"` // of the writer; makes keys unique
	Subtask int    `json:"subtask"`
}

// New makes an empty sink.
func New[T any]() *Sink[T] {
	return &Sink[T]{pending: map[key][]Entry[T]{}, shown: map[key]bool{}}
}

// Records returns a copy of the visible records, in the order in which they
// became visible. The records of one subtask keep their order.
func (s *Sink[T]) Records() []T {
	entries := s.Entries()
	out := make([]T, len(entries))
	for i, e := range entries {
		out[i] = e.Record
	}
	return out
}

// Entries is [Sink.Records] with what is known besides.
func (s *Sink[T]) Entries() []Entry[T] {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.visible)
}

// Pending is the number of records that await a checkpoint.
func (s *Sink[T]) Pending() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, p := range s.pending {
		n += len(p)
	}
	return n
}

// VisibleAfter lists the visible output of the lineage for checkpoints later
// than id.
func (s *Sink[T]) VisibleAfter(lineage string, id uint64) ([]string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []string
	for k := range s.shown {
		if k.Lineage == lineage && k.ID > id {
			out = append(out, fmt.Sprintf("%+v", k))
		}
	}
	slices.Sort(out)
	return out, nil
}

// Open implements [engine.Sink]. The writer is an [engine.Committer] if the
// run has checkpoints; otherwise records are visible at once.
func (s *Sink[T]) Open(_ context.Context, sc engine.SinkContext) (engine.SinkWriter[T], error) {
	if sc.Run == 0 {
		return &direct[T]{sink: s, subtask: sc.Subtask}, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writers++
	w := &writer[T]{sink: s, sc: sc}
	w.key = key{Lineage: sc.Lineage, UID: sc.UID, Run: sc.Run, Subtask: sc.Subtask, Attempt: s.writers}
	return w, nil
}

type direct[T any] struct {
	sink    *Sink[T]
	subtask int
}

func (d *direct[T]) Write(record T, timestamp int64) error {
	d.sink.mu.Lock()
	defer d.sink.mu.Unlock()
	d.sink.visible = append(d.sink.visible, Entry[T]{Record: record, Timestamp: timestamp, Subtask: d.subtask})
	return nil
}

func (d *direct[T]) Flush() error { return nil }
func (d *direct[T]) Close() error { return nil }

type writer[T any] struct {
	sink    *Sink[T]
	sc      engine.SinkContext
	key     key
	current []Entry[T]
	waiting []key // prepared and not visible
}

func (w *writer[T]) Write(record T, timestamp int64) error {
	w.current = append(w.current, Entry[T]{Record: record, Timestamp: timestamp, Subtask: w.sc.Subtask, Run: w.sc.Run})
	return nil
}

func (w *writer[T]) Flush() error { return nil }
func (w *writer[T]) Close() error { return nil }

// Prepare implements [engine.Committer].
func (w *writer[T]) Prepare(id uint64) (func(context.Context) ([][]byte, error), error) {
	if len(w.current) > 0 {
		k := w.key
		k.ID = id
		for i := range w.current {
			w.current[i].ID = id
		}
		w.sink.mu.Lock()
		w.sink.pending[k] = w.current
		w.sink.mu.Unlock()
		w.current = nil
		w.waiting = append(w.waiting, k)
	}
	waiting := slices.Clone(w.waiting)
	return func(context.Context) ([][]byte, error) {
		items := make([][]byte, len(waiting))
		for i, k := range waiting {
			var err error
			if items[i], err = json.Marshal(k); err != nil {
				return nil, err
			}
		}
		return items, nil
	}, nil
}

// Publish implements [engine.Committer].
func (w *writer[T]) Publish(_ context.Context, id uint64) error {
	var rest []key
	for _, k := range w.waiting {
		if k.ID > id {
			rest = append(rest, k)
			continue
		}
		if err := w.sink.show(k); err != nil {
			return err
		}
	}
	w.waiting = rest
	return nil
}

// show makes what was pending under a key visible, once.
func (s *Sink[T]) show(k key) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.shown[k] {
		return nil
	}
	entries, ok := s.pending[k]
	if !ok {
		return fmt.Errorf("collect: output %+v is neither pending nor visible", k)
	}
	delete(s.pending, k)
	s.shown[k] = true
	s.visible = append(s.visible, entries...)
	return nil
}

// Recover implements [engine.Committer]. Who removes what follows the rule of
// the file sink: subtask i of p answers for the old subtasks j with j mod p = i.
func (w *writer[T]) Recover(_ context.Context, items [][]byte) error {
	for _, item := range items {
		var k key
		if err := json.Unmarshal(item, &k); err != nil {
			return fmt.Errorf("collect: item of the restored checkpoint: %w", err)
		}
		if err := w.sink.show(k); err != nil {
			return err
		}
	}
	w.sink.mu.Lock()
	defer w.sink.mu.Unlock()
	for k := range w.sink.pending {
		if k.Lineage == w.sc.Lineage && k.UID == w.sc.UID && k.ID > w.sc.Restored &&
			k.Run <= w.sc.Run && k.Subtask%w.sc.Parallelism == w.sc.Subtask {
			delete(w.sink.pending, k)
		}
	}
	return nil
}
