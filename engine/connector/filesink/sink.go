package filesink

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/tidemark-io/tidemark/engine"
)

// Options of a sink. The zero value is good.
type Options[T any] struct {
	// RollBytes ends a part when it has this many bytes, between two records;
	// 0 means that only checkpoints end parts.
	RollBytes int64
	// Marshal appends the line of a record, without the newline, to dst. The
	// default is encoding/json's Marshal. A line must not contain a newline.
	Marshal func(dst []byte, record T) ([]byte, error)
}

// Sink writes JSON Lines to a directory, exactly once.
type Sink[T any] struct {
	dir  string
	opts Options[T]
	hook func(step) error // tests
}

var _ engine.Sink[int] = (*Sink[int])(nil)

// NewJSONL makes a sink that writes records as JSON Lines to files in dir,
// which is created with mode 0700 when the job starts. Several sinks of a job,
// and several jobs, may share a directory. In a job without checkpoints
// (SinkContext.Run is 0) parts become visible at each Flush.
func NewJSONL[T any](dir string, opts Options[T]) *Sink[T] {
	if opts.Marshal == nil {
		opts.Marshal = func(dst []byte, record T) ([]byte, error) {
			b, err := json.Marshal(record)
			return append(dst, b...), err
		}
	}
	return &Sink[T]{dir: dir, opts: opts}
}

// Open implements [engine.Sink]. The writer is an [engine.Committer] if the
// run has checkpoints.
func (s *Sink[T]) Open(_ context.Context, sc engine.SinkContext) (engine.SinkWriter[T], error) {
	id := Part{Lineage: sc.Lineage, UID: sc.UID, Run: sc.Run, Subtask: sc.Subtask}
	if id.Lineage == "" && sc.Run == 0 {
		id.Lineage = "none"
	}
	if _, ok := ParseName(id.Name()); !ok {
		return nil, fmt.Errorf("filesink: lineage %q and uid %q make no file name of up to %d bytes", id.Lineage, id.UID, maxName)
	}
	if sc.Parallelism < 1 || sc.Subtask < 0 || sc.Subtask >= sc.Parallelism {
		return nil, fmt.Errorf("filesink: subtask %d of %d", sc.Subtask, sc.Parallelism)
	}
	d, err := openDisk(s.dir, s.hook)
	if err != nil {
		return nil, err
	}
	w := &writer[T]{disk: d, opts: s.opts, id: id, parallelism: sc.Parallelism, restored: sc.Restored}
	if sc.Run == 0 {
		return w.direct()
	}
	return w, nil
}

// VisibleAfter is [VisibleAfter] for the sink's directory.
func (s *Sink[T]) VisibleAfter(lineage string, id uint64) ([]string, error) {
	return VisibleAfter(s.dir, lineage, id)
}

// Withdraw is [WithdrawAfter] for the sink's directory and one lineage.
func (s *Sink[T]) Withdraw(lineage string, id uint64) ([]string, error) {
	return WithdrawAfter(s.dir, []string{lineage}, id)
}

// direct is the writer of a job without checkpoints: there is nothing to wait
// for, so each Flush publishes.
type direct[T any] struct {
	w *writer[T]
}

// direct makes the writer direct. Names of parts are free only if no run wrote
// to the directory under the same lineage, and nothing could tell later whose
// records are whose: so such a directory is refused.
func (w *writer[T]) direct() (engine.SinkWriter[T], error) {
	taken, err := w.disk.list(".")
	if err == nil {
		for _, name := range taken {
			if p, ok := ParseName(name); ok && w.mine(p) {
				err = fmt.Errorf("filesink: %s holds output of an earlier run without checkpoints (%s)", w.disk.dir, name)
				break
			}
		}
	}
	if err == nil {
		err = w.sweep(w.mine)
	}
	if err != nil {
		w.disk.root.Close()
		return nil, err
	}
	return &direct[T]{w: w}, nil
}

func (d *direct[T]) Write(record T, timestamp int64) error { return d.w.Write(record, timestamp) }

func (d *direct[T]) Flush() error {
	ctx := context.Background()
	finish, err := d.w.Prepare(0)
	if err != nil {
		return err
	}
	if _, err := finish(ctx); err != nil {
		return err
	}
	return d.w.Publish(ctx, 0)
}

func (d *direct[T]) Close() error { return d.w.Close() }
