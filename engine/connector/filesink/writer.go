package filesink

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
)

// errClosed is the answer of a writer that was closed, to a background phase
// that comes too late in particular.
var errClosed = errors.New("filesink: the writer is closed")

// writer writes the parts of one subtask.
type writer[T any] struct {
	disk        *disk
	opts        Options[T]
	id          Part // what all its parts have in common
	parallelism int
	restored    uint64

	line    []byte
	current *part  // being written, nil before the first record
	opened  uint64 // parts opened so far
	counter uint64 // of the next part of counted
	counted uint64 // the id that counter belongs to

	// settling is held while parts are made durable, in the background, and
	// by Close, which so waits for that: after Close nothing of this writer
	// touches the directory, and the next attempt may clean up.
	settling sync.Mutex

	mu     sync.Mutex // guards what follows
	parts  []*part    // ended and not visible, oldest first
	failed error      // the first failure; nothing works after it
	closed bool
}

// Write takes one record. After an error the writer is useless.
func (w *writer[T]) Write(record T, _ int64) error {
	line, err := w.opts.Marshal(w.line[:0], record)
	if err != nil {
		return fmt.Errorf("filesink: encoding a record: %w", err)
	}
	if bytes.IndexByte(line, '\n') >= 0 {
		return fmt.Errorf("filesink: the line of a record contains a newline at byte %d", bytes.IndexByte(line, '\n'))
	}
	w.line = append(line, '\n')
	if w.current == nil {
		if err := w.err(); err != nil {
			return err
		}
		id := w.id
		id.Counter = w.opened
		if w.current, err = w.disk.newPart(id); err != nil {
			return w.fail(err)
		}
		w.opened++
	}
	if _, err := w.current.buf.Write(w.line); err != nil {
		return w.fail(fmt.Errorf("filesink: %s: %w", w.disk.dir, err))
	}
	if w.opts.RollBytes > 0 && w.current.size() >= w.opts.RollBytes {
		w.endPart()
	}
	return nil
}

// Flush does nothing: a Committer publishes with checkpoints only.
func (w *writer[T]) Flush() error { return w.err() }

// endPart moves the current part to those that await a checkpoint.
func (w *writer[T]) endPart() {
	if w.current == nil {
		return
	}
	w.mu.Lock()
	w.parts = append(w.parts, w.current)
	w.mu.Unlock()
	w.current = nil
}

// Prepare ends the current part for checkpoint id. All parts that ended since
// the last call get id; see [engine.Committer].
func (w *writer[T]) Prepare(id uint64) (func(context.Context) ([][]byte, error), error) {
	w.endPart()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.failed != nil {
		return nil, w.failed
	}
	if id != w.counted { // in a run without checkpoints all have id 0
		w.counted, w.counter = id, 0
	}
	for _, p := range w.parts {
		if !p.prepared {
			p.prepared = true
			p.id.ID, p.id.Counter = id, w.counter
			w.counter++
		}
	}
	return func(ctx context.Context) ([][]byte, error) { return w.finish(ctx, id) }, nil
}

// finish makes the parts up to id durable, those included whose own checkpoint
// was given up before its background phase, and returns their items.
func (w *writer[T]) finish(ctx context.Context, id uint64) ([][]byte, error) {
	w.settling.Lock()
	defer w.settling.Unlock()
	parts, err := w.upTo(id)
	if err != nil {
		return nil, err
	}
	settled := false
	for _, p := range parts {
		if p.durable {
			continue
		}
		// Giving up between parts is harmless: a later finish continues.
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if err := p.settle(); err != nil {
			return nil, w.fail(err)
		}
		settled = true
		w.mu.Lock()
		p.durable = true
		w.mu.Unlock()
	}
	if settled {
		if err := w.disk.syncDir(pendingDir); err != nil {
			return nil, w.fail(err)
		}
	}
	items := make([][]byte, len(parts))
	for i, p := range parts {
		if items[i], err = p.item().encode(); err != nil {
			return nil, w.fail(err)
		}
	}
	return items, nil
}

// upTo returns the parts prepared for checkpoints up to id and not visible.
func (w *writer[T]) upTo(id uint64) ([]*part, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return nil, errClosed
	}
	if w.failed != nil {
		return nil, w.failed
	}
	var out []*part
	for _, p := range w.parts {
		if p.prepared && p.id.ID <= id {
			out = append(out, p)
		}
	}
	return out, nil
}

// Publish makes visible what was prepared up to id.
func (w *writer[T]) Publish(_ context.Context, id uint64) error {
	parts, err := w.upTo(id)
	if err != nil {
		return err
	}
	items := make([]Item, len(parts))
	for i, p := range parts {
		w.mu.Lock()
		durable := p.durable
		w.mu.Unlock()
		if !durable {
			return w.fail(fmt.Errorf("filesink: checkpoint %d is to be published, but %s is not durable", id, p.open))
		}
		items[i] = p.item()
	}
	if err := w.disk.publish(items, false); err != nil {
		return w.fail(err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	rest := w.parts[:0]
	for _, p := range w.parts {
		if !p.prepared || p.id.ID > id {
			rest = append(rest, p)
		}
	}
	clear(w.parts[len(rest):])
	w.parts = rest
	return nil
}

// Close releases the writer. Parts that are not durable are abandoned.
func (w *writer[T]) Close() error {
	w.settling.Lock()
	defer w.settling.Unlock()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return nil
	}
	w.closed = true
	if w.current != nil {
		w.current.abandon()
		w.current = nil
	}
	for _, p := range w.parts {
		p.abandon()
	}
	return w.disk.root.Close()
}

func (w *writer[T]) err() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return errClosed
	}
	return w.failed
}

// fail keeps the first error: after it the content of the parts is not known,
// so the attempt must end and replay from the last checkpoint.
func (w *writer[T]) fail(err error) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.failed == nil {
		w.failed = err
	}
	return w.failed
}
