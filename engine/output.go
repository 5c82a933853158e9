package engine

import (
	"github.com/tidemark-io/tidemark/engine/exchange"
	"github.com/tidemark-io/tidemark/engine/runtime"
	"github.com/tidemark-io/tidemark/keygroup"
	"github.com/tidemark-io/tidemark/keygroup/keyhash"
)

// NoTimestamp is the timestamp of a record that has no event time.
const NoTimestamp = runtime.NoWatermark

// receiver takes records of type T. timestamp is event time in ms.
type receiver[T any] interface {
	push(record T, timestamp int64)
}

// producer is an operator instance with an output of type T.
type producer[T any] interface {
	addConsumer(receiver[T])
}

// Output is where an operator's records go. It is used on the subtask's
// goroutine only, during a call of the operator.
type Output[T any] struct {
	env       *runtime.Env
	only      receiver[T] // the consumer, if there is just one
	consumers []receiver[T]
	timestamp int64 // of the record or timer being processed
	sides     []sideOutput
}

// Emit sends a record with the timestamp of the record (or timer) being
// processed. It never blocks.
func (o *Output[T]) Emit(record T) { o.EmitAt(record, o.timestamp) }

// EmitAt sends a record with a timestamp, event time in ms.
func (o *Output[T]) EmitAt(record T, timestamp int64) {
	if o.only != nil {
		o.only.push(record, timestamp)
	} else {
		for _, c := range o.consumers {
			c.push(record, timestamp)
		}
	}
	o.env.Enter() // from here on a panic is this operator's again
}

func (o *Output[T]) addConsumer(r receiver[T]) {
	o.consumers = append(o.consumers, r)
	o.only = nil
	if len(o.consumers) == 1 {
		o.only = r
	}
}

// keyedSender encodes records into the channel of the subtask that owns the
// key's group.
type keyedSender[K, T any] struct {
	env      *runtime.Env
	part     *exchange.Partition
	codec    Codec[T]
	key      func(T) K
	keyCodec Codec[K]
	groups   int
	owner    []int32
	scratch  []byte
}

func (s *keyedSender[K, T]) push(record T, timestamp int64) {
	s.scratch = s.keyCodec.Append(s.scratch[:0], s.key(record))
	hash := keyhash.Of(s.scratch)
	channel := int(s.owner[keygroup.Of(hash, s.groups)])
	b := s.codec.Append(exchange.AppendKeyed(s.part.Begin(channel), uint32(hash), timestamp), record)
	exchange.EndFrame(b, 0)
	if err := s.part.End(channel, b); err != nil {
		s.env.Fail(err)
	}
}

// decoder is the receiving end of an exchange: it decodes the records of a
// buffer and pushes them into the first operator of the chain.
type decoder[T any] struct {
	codec Codec[T]
	next  receiver[T]
	ahead *prefetcher // nil if the operator has no state that is worth it
}

// newDecoder makes the decoder in front of an input of an operator instance.
func newDecoder[T any](c Codec[T], in receiver[T], down runtime.Operator) runtime.Receiver {
	d := &decoder[T]{codec: c, next: in}
	if w, ok := down.(warmer); ok {
		d.ahead = &prefetcher{state: w}
	}
	return d
}

func (d *decoder[T]) Run(t *runtime.Task, channel int, c *exchange.Cursor) (bool, error) {
	for {
		if d.ahead != nil {
			d.ahead.next(c)
		}
		payload, timestamp, hash, tag, ok := c.Read()
		if !ok {
			return true, c.Err()
		}
		if tag&exchange.TagKindMask != exchange.TagRecord {
			t.Control(channel, exchange.Frame{Tag: tag, Timestamp: timestamp, Payload: payload})
		} else {
			record, n, err := d.codec.Decode(payload)
			if err != nil {
				return false, err
			}
			if n != len(payload) {
				return false, errTrailing(n, len(payload))
			}
			t.Inherit(hash, tag)
			d.next.push(record, timestamp)
		}
		if t.Attention() {
			return false, nil
		}
	}
}

// warmer is an operator that can bring the state of keys into the cache.
type warmer interface {
	// warm reports whether that is worth while now, which it is not for state
	// that lies in the cache anyway.
	warm() bool
	touch(hashes []uint32)
}

// aheadRecords is how many records the prefetcher looks ahead: enough for the
// memory accesses to overlap, few enough for the lines to stay in the cache.
const aheadRecords = 32

// prefetcher touches the state of the next records together, so that the cache
// misses of a large state overlap instead of following each other.
type prefetcher struct {
	state  warmer
	left   int // records until it looks again
	hashes [aheadRecords]uint32
}

func (p *prefetcher) next(c *exchange.Cursor) {
	if p.left > 0 {
		p.left--
		return
	}
	p.look(c)
}

func (p *prefetcher) look(c *exchange.Cursor) {
	p.left = aheadRecords - 1
	if !p.state.warm() {
		return
	}
	hashes := c.Ahead(p.hashes[:0])
	p.left = max(len(hashes)-1, 0)
	p.state.touch(hashes)
}
