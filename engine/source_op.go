package engine

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/tidemark-io/tidemark/engine/codec"
	"github.com/tidemark-io/tidemark/engine/runtime"
	"github.com/tidemark-io/tidemark/format"
)

// From adds a source to a graph. Its splits are dealt to the subtasks in turn;
// their positions are part of every checkpoint, so a source is stateful and
// needs a uid.
func From[T any](g *Graph, uid string, src Source[T], w Watermarks[T], opts ...Option) Stream[T] {
	node := g.add(&runtime.Node{
		UID: uid, Name: uid, Stateful: true, Source: true,
		New: func() runtime.Operator { return &sourceOp[T]{src: src, marks: w} },
	}, opts)
	return newStream[T](g, node)
}

// batchSize is how many records a source hands over at a time.
const batchSize = 256

// splitState is what a checkpoint says of one split. Skip records follow the
// position that were emitted already: a snapshot may be taken in the middle of a
// batch, of which the reader knows only the end.
type splitState struct {
	ID       string `tidemark:"id"`
	Data     []byte `tidemark:"data"`
	Position []byte `tidemark:"position"`
	Skip     uint32 `tidemark:"skip"`
	Ended    bool   `tidemark:"ended"`
	// Since is how many records came since the watermark was looked at: after a
	// restore it is looked at behind the same records as without one (R3).
	Since uint32 `tidemark:"since"`
}

var splitCodec = codec.MustOf[splitState]()

// openSplit is a split being read.
type openSplit[T any] struct {
	state  splitState
	reader SplitReader[T]
	time   splitTime
	over   bool // the reader said io.EOF and must not be asked again
}

// sourceOp reads the splits of one subtask, one batch of one split after the
// other.
type sourceOp[T any] struct {
	src    Source[T]
	marks  Watermarks[T]
	env    *runtime.Env
	out    Output[T]
	splits []*openSplit[T]

	batch   []T
	taken   int // records of the batch already emitted
	filled  int // records in the batch
	current int // split the batch came from

	watermark int64
	idle      bool
}

func (s *sourceOp[T]) addConsumer(r receiver[T]) { s.out.addConsumer(r) }

func (s *sourceOp[T]) Open(env *runtime.Env) error {
	s.env, s.out.env = env, env
	s.batch = make([]T, batchSize)
	s.watermark = NoTimestamp
	states, err := s.assigned()
	if err != nil {
		return err
	}
	times, err := env.RestoredSplitTimes()
	if err != nil {
		return err
	}
	for _, st := range states {
		sp := &openSplit[T]{state: st, time: splitTime{largest: NoTimestamp, ended: st.Ended, active: env.Now()}}
		if t, ok := times[st.ID]; ok {
			sp.time.largest, sp.time.idle = t.Largest, t.Idle
		}
		if !st.Ended {
			if err := s.open(env.Context(), sp); err != nil {
				return err
			}
		}
		s.splits = append(s.splits, sp)
	}
	// The watermark is told where it would have been without the restore, and
	// the task repeats the last one; the status holds from the beginning.
	_, idle := s.progress()
	s.tell(idle)
	return nil
}

// assigned is the part of the source this subtask reads: what the checkpoint
// gives it, or its share of all splits if nothing was restored.
func (s *sourceOp[T]) assigned() ([]splitState, error) {
	items, restored, err := s.env.RestoreList(splitsSpec())
	if err != nil {
		return nil, err
	}
	var states []splitState
	for _, item := range items {
		st, _, err := splitCodec.Decode(item)
		if err != nil {
			return nil, fmt.Errorf("restored split: %w", err)
		}
		states = append(states, st)
	}
	if restored {
		return states, nil
	}
	all, err := s.src.Splits(s.env.Context())
	if err != nil {
		return nil, fmt.Errorf("listing splits: %w", err)
	}
	for i, sp := range all {
		if i%s.env.Parallelism == s.env.Subtask {
			states = append(states, splitState{ID: sp.ID, Data: sp.Data})
		}
	}
	return states, nil
}

// open starts reading a split at its position and skips what was emitted.
func (s *sourceOp[T]) open(ctx context.Context, sp *openSplit[T]) error {
	var err error
	position := sp.state.Position
	if len(position) == 0 {
		position = nil
	}
	sp.reader, err = s.src.Open(ctx, Split{ID: sp.state.ID, Data: sp.state.Data}, position)
	if err != nil {
		return fmt.Errorf("split %q: %w", sp.state.ID, err)
	}
	for left := int(sp.state.Skip); left > 0; {
		n, err := sp.reader.Read(ctx, s.batch[:min(left, len(s.batch))])
		left -= n
		if err == io.EOF && left == 0 {
			sp.over = true
		} else if err != nil {
			return fmt.Errorf("split %q: replaying %d records after the restored position: %w", sp.state.ID, sp.state.Skip, err)
		}
		if n == 0 {
			if err := s.env.Sleep(ctx, replayPause); err != nil {
				return err
			}
		}
	}
	return nil
}

// replayPause is how long a source is left alone that has nothing yet to replay,
// one limited in its rate for example.
const replayPause = 10 * time.Millisecond

// Poll emits the records of one batch, or what is left of it.
func (s *sourceOp[T]) Poll() (runtime.PollResult, error) {
	s.env.Enter()
	if s.taken == s.filled {
		result, err := s.fill()
		if result != runtime.PollMore || err != nil {
			return result, err
		}
	}
	s.emit(s.splits[s.current])
	return runtime.PollMore, nil
}

// emit sends records of the batch until it is empty or the task wants to do
// something else.
func (s *sourceOp[T]) emit(sp *openSplit[T]) {
	task := s.env.Task()
	for s.taken < s.filled {
		record := s.batch[s.taken]
		s.taken++
		sp.state.Skip++
		timestamp := NoTimestamp
		if s.marks.time != nil {
			timestamp = s.marks.time(record)
			sp.time.largest = max(sp.time.largest, timestamp)
			if sp.state.Since++; int(sp.state.Since) >= s.marks.every {
				sp.state.Since = 0
				s.out.EmitAt(record, timestamp)
				s.advance()
				if task.Attention() {
					return
				}
				continue
			}
		}
		s.out.EmitAt(record, timestamp)
		if task.Attention() {
			return
		}
	}
}

// fill reads the next batch from the splits in turn.
func (s *sourceOp[T]) fill() (runtime.PollResult, error) {
	open := false
	for range s.splits {
		s.current = (s.current + 1) % len(s.splits)
		sp := s.splits[s.current]
		if sp.state.Ended {
			continue
		}
		n, err := s.read(sp)
		if err != nil {
			return 0, fmt.Errorf("split %q: %w", sp.state.ID, err)
		}
		open = open || !sp.state.Ended
		if n > 0 {
			s.taken, s.filled = 0, n
			return runtime.PollMore, nil
		}
	}
	if !open { // the end of time follows
		return runtime.PollEnd, nil
	}
	s.advance()
	return runtime.PollEmpty, nil
}

// read fills the batch from one split.
func (s *sourceOp[T]) read(sp *openSplit[T]) (int, error) {
	n, err := 0, io.EOF
	if !sp.over {
		sp.state.Position = sp.reader.Position(sp.state.Position[:0])
		sp.state.Skip = 0
		n, err = sp.reader.Read(s.env.Context(), s.batch)
	}
	sp.over = err == io.EOF
	switch {
	case sp.over && n == 0:
		sp.state.Ended, sp.time.ended = true, true
		return 0, nil
	case err != nil && !sp.over:
		return 0, err
	case n > 0:
		if s.marks.idle > 0 {
			sp.time.active = s.env.Now()
		}
		if sp.time.idle { // said before its records, so that they are not overtaken
			sp.time.idle = false
			s.advance()
		}
	case s.marks.idle > 0 && s.env.Now().Sub(sp.time.active) >= s.marks.idle:
		sp.time.idle = true
	}
	return n, nil
}

// advance emits the watermark of the subtask if it rose, and its status if that
// changed.
func (s *sourceOp[T]) advance() {
	w, idle := s.progress()
	if w > s.watermark {
		s.watermark = w
		s.env.EmitWatermark(w)
	}
	s.tell(idle)
}

// tell emits the status of the subtask if it changed.
func (s *sourceOp[T]) tell(idle bool) {
	if idle != s.idle {
		s.idle = idle
		s.env.EmitStatus(idle)
	}
}

// progress is the least watermark of the active splits, and whether all splits
// are idle, those that have ended aside. Then the watermark is the largest of
// theirs, whichever was the last to become idle. A subtask all of whose splits
// have ended is not idle: it would let event time pass those behind it that act
// at the end of time, which comes next.
func (s *sourceOp[T]) progress() (watermark int64, idle bool) {
	low, high, active := runtime.EndOfTime, NoTimestamp, false
	for _, sp := range s.splits {
		switch w := sp.time.watermark(s.marks.disorder); {
		case sp.time.ended:
		case sp.time.idle:
			idle = true
			high = max(high, w)
		default:
			active = true
			low = min(low, w)
		}
	}
	if active {
		return low, false
	}
	return high, idle
}

func splitsSpec() runtime.StateSpec {
	return runtime.StateSpec{Name: "splits", Kind: format.KindSplitList, Value: splitCodec.Schema()}
}

func (s *sourceOp[T]) Snapshot(snap *runtime.Snapshot) error {
	items := make([][]byte, len(s.splits))
	times := make([]runtime.SplitTime, len(s.splits))
	for i, sp := range s.splits {
		items[i] = splitCodec.Append(nil, sp.state)
		times[i] = runtime.SplitTime{Split: sp.state.ID, Largest: sp.time.largest, Idle: sp.time.idle}
	}
	snap.List(splitsSpec(), items)
	snap.SplitTimes(times)
	return nil
}

func (s *sourceOp[T]) Close() error {
	var first error
	for _, sp := range s.splits {
		if sp.reader != nil {
			if err := sp.reader.Close(); err != nil && first == nil {
				first = err
			}
		}
	}
	return first
}
