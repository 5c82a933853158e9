package engine

import (
	"fmt"
	"hash/fnv"
	"math/bits"
	"math/rand/v2"

	"github.com/tidemark-io/tidemark/engine/exchange"
	"github.com/tidemark-io/tidemark/engine/runtime"
	"github.com/tidemark-io/tidemark/format"
)

// Rebalance spreads the records evenly over the subtasks of the next operator,
// in turn.
func (s Stream[T]) Rebalance() Stream[T] { return s.by(format.Rebalance) }

// Shuffle spreads the records at random over the subtasks of the next operator.
// The sequence of choices of a subtask is the same in each run.
func (s Stream[T]) Shuffle() Stream[T] { return s.by(format.Shuffle) }

// Global sends all records to the first subtask of the next operator.
func (s Stream[T]) Global() Stream[T] { return s.by(format.Global) }

// Rescale spreads the records in turn over some subtasks of the next operator
// only: with 2 subtasks before 4, the first sends to the first two. It costs
// fewer connections than [Stream.Rebalance], and the load is even only if the
// parallelism of one side is a multiple of the other's.
func (s Stream[T]) Rescale() Stream[T] { return s.by(format.Rescale) }

// Broadcast sends each record to every subtask of the next operator.
func (s Stream[T]) Broadcast() Stream[T] { return s.by(format.Broadcast) }

// PartitionCustom sends each record to the subtask that choose returns, from 0
// to n − 1 for a next operator of n subtasks; another number fails the job.
// choose must be a pure function of the record and n: it may be run again on
// records of a checkpoint, with another n (R16). It is called by several
// goroutines at once.
func (s Stream[T]) PartitionCustom(choose func(record T, n int) int) Stream[T] {
	return s.with(func(l *leg[T]) { l.partitioner, l.choose = format.Custom, choose })
}

// by returns the stream with a partitioner that needs no function.
func (s Stream[T]) by(p format.Partitioner) Stream[T] {
	return s.with(func(l *leg[T]) { l.partitioner, l.choose = p, nil })
}

// newSender makes the sending end of an exchange without keys. The partitioner
// is the planned one: what was to be forwarded to another number of subtasks is
// rebalanced.
func newSender[T any](l leg[T], r runtime.Route) receiver[T] {
	if r.ByKey {
		return &inheritingSender[T]{env: r.Env, part: r.Partition, codec: l.codec, lowest: r.Lowest}
	}
	s := sender[T]{env: r.Env, part: r.Partition, codec: l.codec, channels: r.Channels}
	switch r.Partitioner {
	case format.Rebalance:
		s.next = r.Subtask % r.Channels // spread the first records, too
	case format.Global:
		s.channels = 1
	case format.Broadcast:
		return &broadcastSender[T]{sender: s}
	case format.Shuffle:
		random := shuffler(r)
		return &choosingSender[T]{sender: s, choose: func(_ T, n int) int {
			high, _ := bits.Mul64(random.Uint64(), uint64(n))
			return int(high)
		}}
	case format.Custom:
		return &choosingSender[T]{sender: s, choose: l.choose}
	}
	return &s
}

// shuffler is the source of random numbers of one subtask on one edge.
func shuffler(r runtime.Route) *rand.PCG {
	h := fnv.New64a()
	_, _ = h.Write([]byte(r.Edge)) // never fails
	return rand.NewPCG(h.Sum64(), uint64(r.Subtask))
}

// sender encodes records into the channels of an exchange, in turn.
type sender[T any] struct {
	env      *runtime.Env
	part     *exchange.Partition
	codec    Codec[T]
	channels int
	next     int
}

func (s *sender[T]) push(record T, timestamp int64) {
	channel := s.next
	if s.next++; s.next == s.channels {
		s.next = 0
	}
	b := s.codec.Append(exchange.AppendRecord(s.part.Begin(channel), timestamp), record)
	exchange.EndFrame(b, 0)
	if err := s.part.End(channel, b); err != nil {
		s.env.Fail(err)
	}
}

// send encodes a record into one channel.
func (s *sender[T]) send(channel int, record T, timestamp int64) {
	b := s.codec.Append(exchange.AppendRecord(s.part.Begin(channel), timestamp), record)
	exchange.EndFrame(b, 0)
	if err := s.part.End(channel, b); err != nil {
		s.env.Fail(err)
	}
}

// inheritingSender sends records to the subtask of the same number, with the hash
// of the key that they were emitted for (R7).
type inheritingSender[T any] struct {
	env    *runtime.Env
	part   *exchange.Partition
	codec  Codec[T]
	lowest uint32 // stands for no key
}

func (s *inheritingSender[T]) push(record T, timestamp int64) {
	hash, ok := s.env.CurrentKey()
	tag := exchange.TagRecord | exchange.FlagHash | exchange.FlagTimestamp
	if !ok {
		hash, tag = s.lowest, tag|exchange.FlagNoKey
	}
	b := s.codec.Append(exchange.AppendFrame(s.part.Begin(0), tag, hash, timestamp), record)
	exchange.EndFrame(b, 0)
	if err := s.part.End(0, b); err != nil {
		s.env.Fail(err)
	}
}

// choosingSender lets a function choose the channel of each record.
type choosingSender[T any] struct {
	sender[T]
	choose func(record T, n int) int
}

func (s *choosingSender[T]) push(record T, timestamp int64) {
	channel := s.choose(record, s.channels)
	if channel < 0 || channel >= s.channels {
		s.env.Fail(fmt.Errorf("the partitioner chose subtask %d of %d", channel, s.channels))
		return
	}
	s.send(channel, record, timestamp)
}

// broadcastSender encodes each record once and copies it into all channels.
type broadcastSender[T any] struct {
	sender[T]
	frame []byte
}

func (s *broadcastSender[T]) push(record T, timestamp int64) {
	s.frame = s.codec.Append(exchange.AppendRecord(s.frame[:0], timestamp), record)
	exchange.EndFrame(s.frame, 0)
	if err := s.part.Broadcast(s.frame); err != nil {
		s.env.Fail(err)
	}
}
