package engine

import "context"

// Source reads records of type T from splits: parts that are read
// independently, each from a position that can be replayed.
type Source[T any] interface {
	// Splits lists the parts, once per job, when it starts without restored
	// state. The order is the order of assignment to subtasks.
	Splits(ctx context.Context) ([]Split, error)
	// Open returns a reader that continues at a position that Position of an
	// earlier reader of the same split returned; nil is the beginning.
	Open(ctx context.Context, split Split, position []byte) (SplitReader[T], error)
}

// Split is a part of a source. ID is stable across runs; Data is the source's
// own description of it. Both are stored in checkpoints.
type Split struct {
	ID   string
	Data []byte
}

// SplitReader reads one split. It is used by one goroutine.
type SplitReader[T any] interface {
	// Read stores up to len(batch) records in batch and returns how many.
	// The engine owns batch; the records must not be changed by the reader
	// after Read returned. Returning fewer is normal. 0 with a nil error
	// means that there is nothing now (the engine asks again later); io.EOF,
	// possibly together with the last records, ends the split. Read must not
	// block for longer than about 10 ms.
	Read(ctx context.Context, batch []T) (int, error)
	// Position appends to dst the position after the last record read.
	Position(dst []byte) []byte
	// Close releases the reader.
	Close() error
}
