package engine

import (
	"errors"
	"fmt"
	"iter"
	"slices"

	"github.com/tidemark-io/tidemark/engine/codec"
	"github.com/tidemark-io/tidemark/engine/runtime"
	"github.com/tidemark-io/tidemark/format"
)

// BroadcastState is a map that is the same in all subtasks of an operator, since
// all see the same broadcast records and change it only by them. Declare it as a
// field of a [BroadcastProcess] or [KeyedBroadcastProcess] and bind it in Open.
// It is read everywhere in the function and written in ProcessBroadcast only.
type BroadcastState[K, V any] struct {
	name    string
	spec    runtime.StateSpec
	key     Codec[K]
	value   Codec[V]
	entries map[string]*broadcastEntry[K, V] // by encoded key
	order   []*broadcastEntry[K, V]          // by encoded key, nil if it is not known
	scratch []byte
}

// broadcastEntry is not changed once it is made, so that a snapshot may refer
// to it.
type broadcastEntry[K, V any] struct {
	key   K
	value V
	pair  format.Pair // both, encoded
}

// Bind declares the state under a name that is unique in its operator, and
// restores it. K must be a type that can be a key; see [KeyBy].
func (s *BroadcastState[K, V]) Bind(b *Binder, name string) error {
	if !b.broadcast {
		return fmt.Errorf("state %q: broadcast state needs an operator with a broadcast input", name)
	}
	key, err := codec.ForKey[K]()
	if err == nil {
		s.key = key
		s.value, err = codec.Of[V]()
	}
	if err != nil {
		return fmt.Errorf("state %q: %w", name, err)
	}
	s.name, s.entries = name, map[string]*broadcastEntry[K, V]{}
	// The map's own key stands where other states have their namespace: the
	// key of the operator is another one.
	s.spec = runtime.StateSpec{Name: name, Kind: format.KindBroadcast, Namespace: s.key.Schema(), Value: s.value.Schema()}
	pairs, err := b.env.RestoreBroadcast(s.spec)
	if err != nil {
		return err
	}
	for _, p := range pairs {
		e := &broadcastEntry[K, V]{pair: p}
		if e.key, _, err = s.key.Decode(p.Key); err == nil {
			e.value, _, err = s.value.Decode(p.Value)
		}
		if err != nil {
			return fmt.Errorf("state %q: restored entry: %w", name, err)
		}
		s.entries[string(p.Key)] = e
	}
	b.lists = append(b.lists, s)
	return nil
}

// Get returns the value of a key, V's zero value if it has none. What the value
// refers to must not be changed.
func (s *BroadcastState[K, V]) Get(key K) V {
	value, _ := s.Lookup(key)
	return value
}

// Lookup returns the value of a key and whether it has one.
func (s *BroadcastState[K, V]) Lookup(key K) (V, bool) {
	s.scratch = s.key.Append(s.scratch[:0], key)
	if e := s.entries[string(s.scratch)]; e != nil {
		return e.value, true
	}
	var none V
	return none, false
}

// Len is the number of keys.
func (s *BroadcastState[K, V]) Len() int { return len(s.entries) }

// All yields the keys and values in the order of the encoded keys, as they were
// when the iteration began.
func (s *BroadcastState[K, V]) All() iter.Seq2[K, V] {
	return func(yield func(K, V) bool) {
		for _, e := range s.sorted() {
			if !yield(e.key, e.value) {
				return
			}
		}
	}
}

// sorted lists the entries by key. The list is not changed once it is made.
func (s *BroadcastState[K, V]) sorted() []*broadcastEntry[K, V] {
	if s.order == nil {
		s.order = make([]*broadcastEntry[K, V], 0, len(s.entries))
		for _, e := range s.entries {
			s.order = append(s.order, e)
		}
		slices.SortFunc(s.order, func(a, b *broadcastEntry[K, V]) int { return slices.Compare(a.pair.Key, b.pair.Key) })
	}
	return s.order
}

// Put gives a key a value. ctx is that of the ProcessBroadcast call.
func (s *BroadcastState[K, V]) Put(ctx *BroadcastContext, key K, value V) {
	if !ctx.writable(s.name) {
		return
	}
	e := &broadcastEntry[K, V]{key: key, value: value}
	e.pair.Key, e.pair.Value = s.key.Append(nil, key), s.value.Append(nil, value)
	s.entries[string(e.pair.Key)] = e
	s.order = nil
}

// Remove removes a key. ctx is that of the ProcessBroadcast call.
func (s *BroadcastState[K, V]) Remove(ctx *BroadcastContext, key K) {
	if ctx.writable(s.name) {
		delete(s.entries, string(s.key.Append(nil, key)))
		s.order = nil
	}
}

func (s *BroadcastState[K, V]) snapshot(snap *runtime.Snapshot) {
	pairs := make([]format.Pair, 0, len(s.entries))
	for _, e := range s.sorted() {
		pairs = append(pairs, e.pair)
	}
	snap.Pairs(s.spec, pairs)
}

// RecordContext is what a function without keys knows while it handles a
// record. It is valid during the call only.
type RecordContext struct {
	env       *runtime.Env
	timestamp int64
}

// Timestamp is the event time of the record in ms, [NoTimestamp] if it has none.
func (c *RecordContext) Timestamp() int64 { return c.timestamp }

// Watermark is event time: no record with an earlier time is expected.
func (c *RecordContext) Watermark() int64 { return c.env.Watermark() }

// BroadcastContext is what a function knows while it handles a broadcast record,
// and what allows it to write broadcast state. It is valid during the call only.
type BroadcastContext struct {
	RecordContext
	active bool
}

var errReadOnly = errors.New("broadcast state is written in ProcessBroadcast only, so that it is the same in all subtasks")

// writable reports whether broadcast state may be written now.
func (c *BroadcastContext) writable(name string) bool {
	if !c.active {
		c.env.Fail(fmt.Errorf("state %q: %w", name, errReadOnly))
	}
	return c.active
}
