// Package generate is a source that computes its records: record i of split s
// is a function of s and i, so every position can be replayed. Benchmarks use
// it, since it costs little more than that function.
package generate

import (
	"context"
	"encoding/json"
	"fmt"
	"io"

	"github.com/tidemark-io/tidemark/engine"
	"github.com/tidemark-io/tidemark/engine/connector/internal/position"
)

// Fill stores records first, first+1, ... of a split in batch. It must be a
// pure function of split and index, and is called by many goroutines at once.
type Fill[T any] func(split int, first uint64, batch []T)

// Source computes records.
type Source[T any] struct {
	fill   Fill[T]
	splits int
	count  uint64
}

// New makes a source of n >= 1 splits with count records each; count 0 means
// without end.
func New[T any](n int, count uint64, record func(split int, index uint64) T) *Source[T] {
	return NewFill(n, count, func(split int, first uint64, batch []T) {
		for i := range batch {
			batch[i] = record(split, first+uint64(i))
		}
	})
}

// NewFill is [New] with a function that is called once per batch instead of
// once per record.
func NewFill[T any](n int, count uint64, fill Fill[T]) *Source[T] {
	return &Source[T]{fill: fill, splits: max(n, 1), count: count}
}

// splitData is the description of a split.
type splitData struct {
	Index int    `json:"index"`
	Count uint64 `json:"count"` // 0: endless
}

// Splits implements [engine.Source].
func (s *Source[T]) Splits(context.Context) ([]engine.Split, error) {
	out := make([]engine.Split, s.splits)
	for i := range out {
		data, err := json.Marshal(splitData{Index: i, Count: s.count})
		if err != nil {
			return nil, err
		}
		out[i] = engine.Split{ID: fmt.Sprintf("generate-%d", i), Data: data}
	}
	return out, nil
}

// Open implements [engine.Source].
func (s *Source[T]) Open(_ context.Context, split engine.Split, pos []byte) (engine.SplitReader[T], error) {
	var d splitData
	if err := json.Unmarshal(split.Data, &d); err != nil {
		return nil, fmt.Errorf("generate: split %s: description: %w", split.ID, err)
	}
	var next int64
	if err := position.Parse(pos, &next); err != nil {
		return nil, fmt.Errorf("generate: split %s: %w", split.ID, err)
	}
	if d.Count > 0 && uint64(next) > d.Count {
		return nil, fmt.Errorf("generate: split %s: position %d is behind its %d records", split.ID, next, d.Count)
	}
	end := d.Count
	if end == 0 {
		end = 1<<63 - 1
	}
	return &reader[T]{fill: s.fill, split: d.Index, next: uint64(next), end: end}, nil
}

type reader[T any] struct {
	fill  Fill[T]
	split int
	next  uint64
	end   uint64
}

// Read allocates nothing.
func (r *reader[T]) Read(_ context.Context, batch []T) (int, error) {
	n := int(min(uint64(len(batch)), r.end-r.next))
	r.fill(r.split, r.next, batch[:n])
	r.next += uint64(n)
	if r.next == r.end {
		return n, io.EOF
	}
	return n, nil
}

// Position is the index of the next record.
func (r *reader[T]) Position(dst []byte) []byte { return position.Append(dst, r.next) }

func (r *reader[T]) Close() error { return nil }
