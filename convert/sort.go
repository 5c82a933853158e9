package convert

import (
	"bufio"
	"bytes"
	"cmp"
	"container/heap"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"

	"github.com/tidemark-io/tidemark/store"
)

// spillSuffix makes the name of the folder for runs of the destination's name.
const spillSuffix = ".spill"

// maxRuns is how many runs are merged at a time, mergeBuffer what is read of each
// at a time.
const (
	maxRuns     = 128
	mergeBuffer = 64 << 10
)

// sorter sorts pairs of key and value by key, in bounded memory: full buffers are
// written as sorted runs below the destination and merged. Pairs of equal keys
// keep no order.
type sorter struct {
	ctx    context.Context
	st     store.Store
	prefix string // of the names of runs
	limit  int
	made   *[]string // objects, to take back

	arena []byte
	items []item
	runs  []string
	count int // of runs that were written
}

// item is a pair in the arena.
type item struct{ at, key, value int }

func (j *job) newSorter() *sorter {
	return &sorter{ctx: j.ctx, st: j.st, prefix: j.dst + spillSuffix + "/", limit: j.opts.Memory, made: &j.made}
}

// sweep removes what an earlier conversion to the same destination, or this one,
// has left of runs.
func (j *job) sweep(ctx context.Context) error {
	var names []string
	for info, err := range j.st.List(ctx, j.dst+spillSuffix+"/") {
		if err != nil {
			return err
		}
		names = append(names, info.Name)
	}
	for _, name := range names {
		if err := j.st.Remove(ctx, name, ""); err != nil && !errors.Is(err, store.ErrNotExist) {
			return err
		}
	}
	return nil
}

// itemCost is about what an item takes besides its bytes.
const itemCost = 24

func (s *sorter) add(key, value []byte) error {
	if len(s.items) > 0 && len(s.arena)+len(key)+len(value)+itemCost*(len(s.items)+1) > s.limit {
		if err := s.spill(); err != nil {
			return err
		}
	}
	// Appending would double it, and have both halves and what was before in
	// memory at once.
	if size := len(key) + len(value); len(s.arena)+size > cap(s.arena) && len(s.arena)+size > s.limit/8 {
		s.arena = slices.Grow(s.arena, max(size, s.limit-len(s.arena)))
	}
	s.items = append(s.items, item{len(s.arena), len(key), len(value)})
	s.arena = append(append(s.arena, key...), value...)
	return nil
}

// sortItems sorts what is in memory.
func (s *sorter) sortItems() {
	slices.SortFunc(s.items, func(a, b item) int {
		return bytes.Compare(s.arena[a.at:a.at+a.key], s.arena[b.at:b.at+b.key])
	})
}

// memory yields what is in memory, which must be sorted.
func (s *sorter) memory() iter.Seq2[pair, error] {
	return func(yield func(pair, error) bool) {
		for _, it := range s.items {
			mid := it.at + it.key
			if !yield(pair{s.arena[it.at:mid:mid], s.arena[mid : mid+it.value : mid+it.value]}, nil) {
				return
			}
		}
	}
}

// pair is a key and its value, valid until the iterator's next step.
type pair struct{ key, value []byte }

// spill writes what is in memory as a run.
func (s *sorter) spill() error {
	s.sortItems()
	if err := s.write(s.memory()); err != nil {
		return err
	}
	s.arena, s.items = s.arena[:0], s.items[:0]
	return nil
}

// write writes sorted pairs as a run.
func (s *sorter) write(pairs iter.Seq2[pair, error]) error {
	name := fmt.Sprintf("%srun-%06d", s.prefix, s.count)
	s.count++
	up, err := s.st.Create(s.ctx, name)
	if err != nil {
		return fmt.Errorf("sorting: %w", err)
	}
	out := bufio.NewWriterSize(up, mergeBuffer)
	var head []byte
	for p, err := range pairs {
		if err == nil {
			err = s.ctx.Err()
		}
		if err == nil {
			head = binary.AppendUvarint(binary.AppendUvarint(head[:0], uint64(len(p.key))), uint64(len(p.value)))
			_, _ = out.Write(head) // errors are sticky
			_, _ = out.Write(p.key)
			_, err = out.Write(p.value)
		}
		if err != nil {
			return errors.Join(fmt.Errorf("sorting: %w", err), up.Abort())
		}
	}
	if err := out.Flush(); err != nil {
		return errors.Join(fmt.Errorf("sorting: %w", err), up.Abort())
	}
	if _, err := up.Commit(); err != nil {
		return fmt.Errorf("sorting: %w", err)
	}
	s.runs, *s.made = append(s.runs, name), append(*s.made, name)
	return nil
}

// sorted yields all pairs in the order of their keys, once, and removes the runs.
func (s *sorter) sorted() iter.Seq2[pair, error] {
	if len(s.runs) == 0 {
		s.sortItems()
		return s.memory()
	}
	return func(yield func(pair, error) bool) {
		err := s.spill()
		s.arena, s.items = nil, nil
		for err == nil && len(s.runs) > maxRuns {
			first := slices.Clone(s.runs[:maxRuns])
			s.runs = s.runs[maxRuns:]
			err = s.write(s.merge(first))
		}
		if err != nil {
			yield(pair{}, err)
			return
		}
		for p, err := range s.merge(s.runs) {
			if !yield(p, err) || err != nil {
				return
			}
		}
		s.runs = nil
	}
}

// merge yields the pairs of sorted runs in order, and removes the runs at the end.
func (s *sorter) merge(runs []string) iter.Seq2[pair, error] {
	return func(yield func(pair, error) bool) {
		var h runHeap
		defer func() {
			for _, r := range h {
				_ = r.object.Close() // only read
			}
		}()
		for i, name := range runs {
			o, err := s.st.Open(s.ctx, name)
			if err != nil {
				yield(pair{}, fmt.Errorf("sorting: %w", err))
				return
			}
			size := o.Info().Size
			r := &run{number: i, object: o, in: bufio.NewReaderSize(io.NewSectionReader(o, 0, size), mergeBuffer)}
			if err := r.next(); err != nil {
				_ = o.Close()
				yield(pair{}, fmt.Errorf("sorting: %s: %w", name, err))
				return
			}
			h = append(h, r)
		}
		heap.Init(&h)
		for len(h) > 0 {
			if !yield(h[0].pair, nil) {
				return
			}
			switch err := h[0].next(); {
			case errors.Is(err, io.EOF):
				_ = heap.Pop(&h).(*run).object.Close()
			case err != nil:
				yield(pair{}, fmt.Errorf("sorting: %w", err))
				return
			default:
				heap.Fix(&h, 0)
			}
		}
		for _, name := range runs {
			if err := s.st.Remove(s.ctx, name, ""); err != nil {
				yield(pair{}, fmt.Errorf("sorting: %w", err))
				return
			}
		}
	}
}

// run is a sorted run that is read.
type run struct {
	pair
	number int
	object store.Object
	in     *bufio.Reader
}

// next reads the next pair; io.EOF is the end.
func (r *run) next() error {
	key, err := binary.ReadUvarint(r.in)
	if err != nil {
		return err
	}
	value, err := binary.ReadUvarint(r.in)
	if err == nil {
		// The run is our own: its lengths are those of pairs that were in memory.
		both := slices.Grow(r.key[:0], int(key+value))[:key+value]
		if _, err = io.ReadFull(r.in, both); err == nil {
			r.pair = pair{both[:key], both[key:]}
			return nil
		}
	}
	return fmt.Errorf("a run ends in a pair: %w", io.ErrUnexpectedEOF)
}

type runHeap []*run

func (h runHeap) Len() int { return len(h) }
func (h runHeap) Less(a, b int) bool {
	return cmp.Or(bytes.Compare(h[a].key, h[b].key), cmp.Compare(h[a].number, h[b].number)) < 0
}
func (h runHeap) Swap(a, b int) { h[a], h[b] = h[b], h[a] }
func (h *runHeap) Push(x any)   { *h = append(*h, x.(*run)) }
func (h *runHeap) Pop() any {
	last := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return last
}
