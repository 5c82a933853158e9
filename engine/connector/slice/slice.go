// Package slice is a source of records in memory. It is meant for tests, for
// examples, and for inputs that must be sorted before they are sent.
package slice

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"

	"github.com/tidemark-io/tidemark/engine"
	"github.com/tidemark-io/tidemark/engine/connector/internal/position"
)

// Dealing is how records are spread over splits. Either way each split keeps
// the order of the records it has.
type Dealing string

// Dealings.
const (
	// RoundRobin gives record i to split i mod n: splits advance together, so
	// that sending at an even pace keeps the overall order nearly.
	RoundRobin Dealing = "round-robin"
	// Contiguous cuts the records into n runs of about equal length.
	Contiguous Dealing = "contiguous"
)

// Source holds the records. It is read-only and may be used by many jobs.
type Source[T any] struct {
	records []T
	splits  int
	dealing Dealing
}

// New makes a source of n >= 1 splits, dealt round-robin. It keeps records,
// which must not change while jobs run.
func New[T any](records []T, n int) *Source[T] {
	return &Source[T]{records: records, splits: max(n, 1), dealing: RoundRobin}
}

// NewContiguous is New with contiguous splits.
func NewContiguous[T any](records []T, n int) *Source[T] {
	return &Source[T]{records: records, splits: max(n, 1), dealing: Contiguous}
}

// SortedBy returns a copy of records in ascending order of key; records with
// equal keys keep their order. Sorted by the time of arrival, a source shows
// the real disorder of event times.
func SortedBy[T any, K cmp.Ordered](records []T, key func(T) K) []T {
	out := slices.Clone(records)
	slices.SortStableFunc(out, func(a, b T) int { return cmp.Compare(key(a), key(b)) })
	return out
}

// splitData is the description of a split. It carries all that dealing depends
// on, so that a restored split is the same although the job now asks for
// another number of splits.
type splitData struct {
	Index   int     `json:"index"`
	Splits  int     `json:"splits"`
	Dealing Dealing `json:"dealing"`
	Records int     `json:"records"`
}

// Splits implements [engine.Source].
func (s *Source[T]) Splits(context.Context) ([]engine.Split, error) {
	out := make([]engine.Split, s.splits)
	for i := range out {
		data, err := json.Marshal(splitData{Index: i, Splits: s.splits, Dealing: s.dealing, Records: len(s.records)})
		if err != nil {
			return nil, err
		}
		out[i] = engine.Split{ID: fmt.Sprintf("slice-%d-of-%d", i, s.splits), Data: data}
	}
	return out, nil
}

// Open implements [engine.Source]. It refuses a split of a source that held
// another number of records: positions would mean other records.
func (s *Source[T]) Open(_ context.Context, split engine.Split, pos []byte) (engine.SplitReader[T], error) {
	var d splitData
	if err := json.Unmarshal(split.Data, &d); err != nil {
		return nil, fmt.Errorf("slice: split %s: description: %w", split.ID, err)
	}
	if d.Records != len(s.records) {
		return nil, fmt.Errorf("slice: split %s is of %d records, this source has %d", split.ID, d.Records, len(s.records))
	}
	if d.Splits < 1 || d.Index < 0 || d.Index >= d.Splits {
		return nil, fmt.Errorf("slice: split %s: index %d of %d splits", split.ID, d.Index, d.Splits)
	}
	r := &reader[T]{}
	switch d.Dealing {
	case RoundRobin:
		r.first, r.step = d.Index, d.Splits
		r.records = s.records
	case Contiguous:
		n := uint64(len(s.records))
		from, to := n*uint64(d.Index)/uint64(d.Splits), n*(uint64(d.Index)+1)/uint64(d.Splits)
		r.records, r.step = s.records[from:to], 1
	default:
		return nil, fmt.Errorf("slice: split %s: dealing %q is unknown", split.ID, d.Dealing)
	}
	r.count = max(0, (len(r.records)-r.first+r.step-1)/r.step)
	var next int64
	if err := position.Parse(pos, &next); err != nil {
		return nil, fmt.Errorf("slice: split %s: %w", split.ID, err)
	}
	if next > int64(r.count) {
		return nil, fmt.Errorf("slice: split %s: position %d is behind its %d records", split.ID, next, r.count)
	}
	r.next = int(next)
	return r, nil
}

// reader reads records[first + i*step] for i in next..count-1.
type reader[T any] struct {
	records     []T
	first, step int
	next, count int
}

func (r *reader[T]) Read(_ context.Context, batch []T) (int, error) {
	n := min(len(batch), r.count-r.next)
	for i := range n {
		batch[i] = r.records[r.first+(r.next+i)*r.step]
	}
	r.next += n
	if r.next == r.count {
		return n, io.EOF
	}
	return n, nil
}

// Position is the number of records of the split that were read.
func (r *reader[T]) Position(dst []byte) []byte { return position.Append(dst, uint64(r.next)) }

func (r *reader[T]) Close() error { return nil }
