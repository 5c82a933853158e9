package engine

import (
	"context"
	"fmt"

	"github.com/tidemark-io/tidemark/engine/codec"
	"github.com/tidemark-io/tidemark/engine/runtime"
	"github.com/tidemark-io/tidemark/format"
)

// To ends a stream in a sink. A sink whose writer publishes with checkpoints
// keeps state, so each has a uid.
func (s Stream[T]) To(uid string, sink Sink[T], opts ...Option) {
	n := &runtime.Node{UID: uid, Name: uid, Stateful: true,
		New: func() runtime.Operator { return &sinkOp[T]{sink: sink} }}
	if r, ok := any(sink).(OutputRoller); ok {
		n.Output = r
	}
	attach(s, n, opts)
}

// itemCodec frames what a sink wants to remember.
var itemCodec = codec.Raw()

// pendingSpec is the state that holds what a sink has yet to publish.
func pendingSpec() runtime.StateSpec {
	return runtime.StateSpec{Name: "pending", Kind: format.KindSplitList, Value: itemCodec.Schema()}
}

// sinkOp runs the writer of a sink in one subtask.
type sinkOp[T any] struct {
	sink      Sink[T]
	env       *runtime.Env
	writer    SinkWriter[T]
	committer Committer // nil if the writer has no such ability
	items     [][]byte  // pending in the restored checkpoint
}

func (s *sinkOp[T]) Open(env *runtime.Env) error {
	s.env = env
	w, err := s.sink.Open(env.Context(), SinkContext{
		UID: env.UID, Subtask: env.Subtask, Parallelism: env.Parallelism,
		Lineage: env.Lineage(), Run: env.Run(), Restored: env.RestoredID(),
	})
	if err != nil {
		return fmt.Errorf("opening sink: %w", err)
	}
	s.writer = w
	s.committer, _ = w.(Committer)
	framed, _, err := env.RestoreList(pendingSpec())
	if err != nil {
		return err
	}
	s.items, err = decodeItems(itemCodec, "pending", framed)
	if err == nil && s.committer == nil && len(s.items) > 0 {
		return fmt.Errorf("%d pending items of the restored checkpoint: this sink cannot publish them", len(s.items))
	}
	return err
}

// Start publishes what the restored checkpoint left pending.
func (s *sinkOp[T]) Start() error {
	if s.committer == nil {
		return nil
	}
	if err := s.env.CheckFence(); err != nil {
		return err
	}
	if err := s.committer.Recover(s.env.Context(), s.items); err != nil {
		return fmt.Errorf("publishing what the restored checkpoint left pending: %w", err)
	}
	s.items = nil
	return nil
}

func (s *sinkOp[T]) push(record T, timestamp int64) {
	s.env.Enter()
	if err := s.writer.Write(record, timestamp); err != nil {
		s.env.Fail(fmt.Errorf("writing to sink: %w", err))
	}
}

func (s *sinkOp[T]) Snapshot(snap *runtime.Snapshot) error {
	if s.committer == nil {
		snap.List(pendingSpec(), nil)
		return s.writer.Flush()
	}
	finish, err := s.committer.Prepare(snap.ID())
	if err != nil {
		return fmt.Errorf("ending the sink's output for checkpoint %d: %w", snap.ID(), err)
	}
	snap.ListLater(pendingSpec(), func(ctx context.Context) ([][]byte, error) {
		items, err := finish(ctx)
		return encodeItems(itemCodec, items), err
	})
	return nil
}

// CheckpointComplete publishes. A savepoint does not come here (R10).
func (s *sinkOp[T]) CheckpointComplete(id uint64) error {
	if s.committer == nil {
		return nil
	}
	if err := s.env.CheckFence(); err != nil {
		return err
	}
	if err := s.committer.Publish(s.env.Context(), id); err != nil {
		return fmt.Errorf("publishing the output of checkpoint %d: %w", id, err)
	}
	return nil
}

func (s *sinkOp[T]) Finish() error { return s.writer.Flush() }

func (s *sinkOp[T]) Close() error {
	if s.writer == nil {
		return nil
	}
	return s.writer.Close()
}
