package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tidemark-io/tidemark/engine"
	"github.com/tidemark-io/tidemark/engine/connector/collect"
)

// The job under backpressure: a source as quick as it can be, a keyed count with
// state, a rebalance, and a sink that takes a fixed time for each record. All
// buffers between them are full; that is what an aligned barrier has to wait
// behind and an unaligned one overtakes.

// load is a record with a payload of [loadBytes].
type load struct {
	Split, Seq, Key, N int64
	Payload            []byte
}

// receipt is what the sink keeps of a load.
type receipt struct{ Split, Seq, Key, N int64 }

const (
	loadBytes = 1000
	loadKeys  = 1000
	// sinkPause is the time that a sink's subtask sleeps for each record, in
	// portions of sinkPortion records: a sleep of less than a millisecond is
	// not to be had.
	sinkPause   = 120 * time.Microsecond
	sinkPortion = 10
)

// spring is a source of loads whose end is set while it runs.
type spring struct {
	end  atomic.Int64 // records of each split, 0 is no end yet
	made [parallelism]atomic.Int64
}

func (s *spring) Splits(context.Context) ([]engine.Split, error) {
	list := make([]engine.Split, parallelism)
	for i := range list {
		list[i] = engine.Split{ID: fmt.Sprint(i), Data: []byte{byte(i)}}
	}
	return list, nil
}

func (s *spring) Open(_ context.Context, sp engine.Split, position []byte) (engine.SplitReader[load], error) {
	r := &springReader{spring: s, split: int64(sp.Data[0]), noise: make([]byte, 1<<20)}
	chance := rand.NewChaCha8([32]byte{sp.Data[0]})
	_, _ = chance.Read(r.noise) // never fails
	if position != nil {
		r.at = int64(binary.BigEndian.Uint64(position))
	}
	return r, nil
}

type springReader struct {
	spring    *spring
	split, at int64
	noise     []byte // payloads are cut out of it, so that nothing compresses
}

func (r *springReader) Read(_ context.Context, batch []load) (int, error) {
	end := r.spring.end.Load()
	if end > 0 {
		batch = batch[:min(int64(len(batch)), end-r.at)]
	}
	for i := range batch {
		from := r.at * 1009 % int64(len(r.noise)-loadBytes)
		batch[i] = load{Split: r.split, Seq: r.at, Key: (r.at*parallelism + r.split) * 7919 % loadKeys, Payload: r.noise[from : from+loadBytes]}
		r.at++
	}
	r.spring.made[r.split].Store(max(r.at, r.spring.made[r.split].Load()))
	if end > 0 && r.at == end {
		return len(batch), io.EOF
	}
	return len(batch), nil
}

func (r *springReader) Position(dst []byte) []byte {
	return binary.BigEndian.AppendUint64(dst, uint64(r.at))
}

func (r *springReader) Close() error { return nil }

// close sets the end behind everything that was made.
func (s *spring) close() {
	var most int64
	for i := range s.made {
		most = max(most, s.made[i].Load())
	}
	s.end.Store(most + 1000)
}

// numberer numbers the records of each key.
type numberer struct{ n engine.Value[int64] }

func (c *numberer) Open(b *engine.Binder) error { return c.n.Bind(b, "n") }

func (c *numberer) Process(_ *engine.Context[int64], r load, out *engine.Output[load]) error {
	r.N = c.n.Get() + 1
	c.n.Set(r.N)
	out.Emit(r)
	return nil
}

// slowSink takes a fixed time for each record and keeps receipts, exactly once.
type slowSink struct {
	kept  *collect.Sink[receipt]
	pause time.Duration // for each record
	seen  *atomic.Int64
	first sync.Once
	begun chan time.Time // of the first record
}

func newSlowSink(kept *collect.Sink[receipt], pause time.Duration) *slowSink {
	return &slowSink{kept: kept, pause: pause, seen: new(atomic.Int64), begun: make(chan time.Time, 1)}
}

func (s *slowSink) Open(ctx context.Context, sc engine.SinkContext) (engine.SinkWriter[load], error) {
	w, err := s.kept.Open(ctx, sc)
	if err != nil {
		return nil, err
	}
	c, ok := w.(engine.Committer)
	if !ok {
		return nil, errors.New("the sink of receipts publishes nothing")
	}
	return &slowWriter{Committer: c, sink: s, to: w}, nil
}

type slowWriter struct {
	engine.Committer
	sink *slowSink
	to   engine.SinkWriter[receipt]
	n    int
}

func (w *slowWriter) Write(r load, timestamp int64) error {
	w.sink.first.Do(func() { w.sink.begun <- time.Now() })
	if w.n++; w.sink.pause > 0 && w.n%sinkPortion == 0 {
		time.Sleep(sinkPortion * w.sink.pause)
	}
	w.sink.seen.Add(1)
	return w.to.Write(receipt{r.Split, r.Seq, r.Key, r.N}, timestamp)
}

func (w *slowWriter) Flush() error { return w.to.Flush() }
func (w *slowWriter) Close() error { return w.to.Close() }

// pressedGraph is the job.
func pressedGraph(s *spring, sink *slowSink) *engine.Graph {
	g := engine.NewGraph("pressed")
	loads := engine.From(g, "loads", engine.Source[load](s), engine.Watermarks[load]{})
	byKey := engine.KeyBy(loads, func(r load) int64 { return r.Key })
	engine.Apply(byKey, "count", func() engine.Process[int64, load, load] { return &numberer{} }).
		Rebalance().To("sink", sink)
	return g
}

// checkReceipts compares what the sink kept with what was made: each record of
// each split once, and the records of each key numbered from 1 without a gap.
func checkReceipts(kept []receipt, each int64) error {
	seen := [parallelism][]bool{}
	for i := range seen {
		seen[i] = make([]bool, each)
	}
	numbers := map[int64]map[int64]bool{}
	for _, r := range kept {
		if r.Seq >= each || seen[r.Split][r.Seq] {
			return fmt.Errorf("record %d of split %d came twice, or was never made", r.Seq, r.Split)
		}
		seen[r.Split][r.Seq] = true
		if numbers[r.Key] == nil {
			numbers[r.Key] = map[int64]bool{}
		}
		numbers[r.Key][r.N] = true
	}
	if want := each * parallelism; int64(len(kept)) != want {
		return fmt.Errorf("%d records came, %d were made", len(kept), want)
	}
	total := 0
	for key, of := range numbers {
		for n := range of {
			if n < 1 || n > int64(len(of)) {
				return fmt.Errorf("key %d: %d records, and one has the number %d", key, len(of), n)
			}
		}
		total += len(of)
	}
	if total != len(kept) {
		return fmt.Errorf("%d numbers for %d records: the count was wrong", total, len(kept))
	}
	return nil
}
