package reader

import (
	"context"
	"fmt"
	"iter"

	"github.com/tidemark-io/tidemark/format"
	"github.com/tidemark-io/tidemark/keygroup"
	"github.com/tidemark-io/tidemark/keygroup/keyhash"
)

// Entry is an entry of keyed state or a timer. Its slices are valid until the
// iterator's next step and must not be changed.
type Entry struct {
	Subtask        uint32 // that wrote it
	Hash           keygroup.Hash
	Key, Namespace []byte
	Value          []byte // of keyed state
	Time           int64  // of timers, event time in ms
}

// Batch is a run of entries of one slice that follow each other: what one block
// holds of the wanted interval. It is a cursor:
//
//	for b.Next() {
//		use(b.Hash, b.Key, b.Namespace, b.Value, b.Time)
//	}
//
// The fields' slices are valid until the next call of Next. A batch is valid
// until the iterator's next step; it need not be read to its end. What stops
// Next early is yielded by the iterator's next step, as an error.
type Batch struct {
	*format.KeyedRows
	Subtask uint32 // that wrote the slice
	// Max is the number of entries of the block, an upper bound for what Next
	// will yield.
	Max int

	interval keygroup.Interval
	first    uint64 // hash that the block must begin with
	begun    bool
	err      error
}

// Next moves to the next entry.
func (b *Batch) Next() bool {
	for b.err == nil && b.KeyedRows.Next() {
		h := uint64(b.Hash)
		if !b.begun {
			b.begun = true
			if h != b.first {
				b.err = fmt.Errorf("%w: the block begins with hash %08x, its index says %08x", format.ErrMalformed, h, b.first)
				return false
			}
		}
		if h >= b.interval.Hi {
			return false
		}
		if h >= b.interval.Lo {
			return true
		}
	}
	return false
}

// Err is what stopped Next before the end.
func (b *Batch) Err() error {
	if b.err != nil {
		return b.err
	}
	return b.KeyedRows.Err()
}

// KeyedBatches yields the entries of a keyed state whose hashes lie in the
// interval, block by block, in the global order (hash, key, namespace). Only
// blocks that can hold such entries are read. It is the fastest way to read.
func (c *Checkpoint) KeyedBatches(ctx context.Context, uid, state string, iv keygroup.Interval) iter.Seq2[*Batch, error] {
	return c.batches(ctx, uid, state, format.KindKeyed, iv)
}

// TimerBatches is KeyedBatches for timers, in the order (hash, key, namespace,
// time).
func (c *Checkpoint) TimerBatches(ctx context.Context, uid, state string, iv keygroup.Interval) iter.Seq2[*Batch, error] {
	return c.batches(ctx, uid, state, format.KindTimer, iv)
}

// batches finds the state and walks its slices. The slices of a state do not
// overlap and come in the order of their hashes, which the manifest's reader
// has checked, so one after the other is the global order.
func (c *Checkpoint) batches(ctx context.Context, uid, state string, kind format.Kind, iv keygroup.Interval) iter.Seq2[*Batch, error] {
	return func(yield func(*Batch, error) bool) {
		row, _, err := c.FindState(uid, state, kind)
		if err != nil {
			yield(nil, err)
			return
		}
		c.stateBatches(ctx, row, kind, iv, every)(yield)
	}
}

// stateBatches walks those slices of a state, a row of States, that overlap the
// interval and that accept chooses.
func (c *Checkpoint) stateBatches(ctx context.Context, row int, kind format.Kind, iv keygroup.Interval, accept func(format.Slice) bool) iter.Seq2[*Batch, error] {
	return func(yield func(*Batch, error) bool) {
		for s, err := range c.Slices(ctx, row) {
			if err != nil {
				yield(nil, err)
				return
			}
			if s.Blocks == 0 || !s.Interval.Overlaps(iv) || !accept(s) {
				continue
			}
			if !c.sliceBatches(ctx, s, kind, iv, yield) {
				return
			}
		}
	}
}

// sliceBatches yields the batches of one slice. It returns false when the
// iteration is over.
func (c *Checkpoint) sliceBatches(ctx context.Context, s format.Slice, kind format.Kind, iv keygroup.Interval, yield func(*Batch, error) bool) bool {
	st, err := c.openStream(ctx, s, kind, iv)
	if err != nil {
		yield(nil, err)
		return false
	}
	defer st.close()
	b := &Batch{KeyedRows: format.NewKeyedRows(s.Interval), Subtask: s.Subtask, interval: iv}
	for {
		ok, err := st.next(ctx)
		if err != nil {
			yield(nil, err)
			return false
		}
		if !ok {
			return true
		}
		b.Start(&st.block)
		b.Max, b.first, b.begun = st.block.Rows(), st.ref.First, false
		if !yield(b, nil) {
			return false
		}
		if b.Err() != nil {
			yield(nil, format.Damage(st.h.name, kind, st.ref, b.Err()))
			return false
		}
	}
}

// Keyed yields the entries of a keyed state whose hashes lie in the interval,
// in the global order (hash, key, namespace).
func (c *Checkpoint) Keyed(ctx context.Context, uid, state string, iv keygroup.Interval) iter.Seq2[Entry, error] {
	return entries(c.KeyedBatches(ctx, uid, state, iv))
}

// Timers yields the timers whose hashes lie in the interval, in the order (hash,
// key, namespace, time).
func (c *Checkpoint) Timers(ctx context.Context, uid, state string, iv keygroup.Interval) iter.Seq2[Entry, error] {
	return entries(c.TimerBatches(ctx, uid, state, iv))
}

// Lookup yields what a keyed state holds for one canonically encoded key, one
// entry for each namespace. It reads the blocks that can hold the key only.
func (c *Checkpoint) Lookup(ctx context.Context, uid, state string, key []byte) iter.Seq2[Entry, error] {
	h := uint64(keyhash.Of(key))
	all := c.Keyed(ctx, uid, state, keygroup.Interval{Lo: h, Hi: h + 1})
	return func(yield func(Entry, error) bool) {
		for e, err := range all {
			if err == nil && string(e.Key) != string(key) {
				continue
			}
			if !yield(e, err) || err != nil {
				return
			}
		}
	}
}

// entries flattens batches.
func entries(batches iter.Seq2[*Batch, error]) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		for b, err := range batches {
			if err != nil {
				yield(Entry{}, err)
				return
			}
			for b.Next() {
				e := Entry{Subtask: b.Subtask, Hash: b.Hash, Key: b.Key, Namespace: b.Namespace, Value: b.Value, Time: b.Time}
				if !yield(e, nil) {
					return
				}
			}
		}
	}
}
