package engine

import "context"

// Sink consumes records of type T.
type Sink[T any] interface {
	// Open makes the writer of one subtask. It is called once per subtask and
	// attempt, before the first record.
	Open(ctx context.Context, sc SinkContext) (SinkWriter[T], error)
}

// SinkContext tells a sink's writer where it runs.
type SinkContext struct {
	UID         string
	Subtask     int
	Parallelism int
	Lineage     string // of the run (see checkpoints' lineage); unique among runs that share a root
	Run         uint64 // number of the run on its checkpoint root, 0 without checkpoints
	// Restored is the id of the checkpoint that the run or attempt was
	// restored from, 0 if none.
	Restored uint64
}

// SinkWriter writes the records of one subtask, on the subtask's goroutine.
// A writer that also implements [Committer] delivers exactly once.
type SinkWriter[T any] interface {
	// Write takes one record. timestamp is its event time in ms.
	Write(record T, timestamp int64) error
	// Flush makes what was written visible to others if the writer is not a
	// Committer; it is called at each checkpoint and at the end of input.
	Flush() error
	// Close releases the writer; it publishes nothing.
	Close() error
}

// Committer is the further ability of a SinkWriter that publishes only with
// checkpoints. All methods are called on the subtask's goroutine, except the
// function that Prepare returns.
//
// The order for checkpoint n is: Prepare(n) at the snapshot; the returned
// function, in the background; the checkpoint is committed; Publish with
// everything pending up to n. After a restore the order is: Recover with all
// pending items of the restored state that this subtask was given (each item
// is given to exactly one subtask), then records.
type Committer interface {
	// Prepare ends what is being written. finish makes it durable and returns
	// the items to publish when checkpoint id is committed; each is stored in
	// the checkpoint (split list state). Items of earlier checkpoints that
	// are not yet published must be among them.
	Prepare(id uint64) (finish func(context.Context) (items [][]byte, err error), err error)
	// Publish makes visible all items prepared for checkpoints up to id. It
	// is idempotent.
	Publish(ctx context.Context, id uint64) error
	// Recover publishes items found in the restored checkpoint, idempotently,
	// and then removes what this lineage left unpublished with larger ids.
	// It is called once after Open, with no items if nothing was restored.
	Recover(ctx context.Context, items [][]byte) error
}
