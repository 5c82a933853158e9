package canonical

import (
	"bufio"
	"bytes"
	"cmp"
	"container/heap"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
)

const (
	defaultMemory = 32 << 20 // bytes; a process takes about twice that before a collection
	// mergeWidth bounds how many runs are merged at once, each with a buffer of
	// runBuffer bytes.
	mergeWidth = 128
	runBuffer  = 64 << 10
	// rowHead is the length of what stands in front of a row: key group and state,
	// the lengths of composite key and value.
	rowHead = 2 + 2 + 4 + 4
)

// sorter sorts entries by key group, state and key in bounded memory: beyond that,
// sorted runs lie in temporary files, which are merged.
type sorter struct {
	limit int
	dir   string // of temporary files
	arena []byte // rows one behind the other
	rows  []int  // where they begin
	runs  []*os.File
}

func newSorter(memory int, dir string) *sorter {
	return &sorter{limit: cmp.Or(memory, defaultMemory), dir: dir}
}

// add takes an entry. The slices are copied.
func (s *sorter) add(group, state int, composite, value []byte) error {
	if uint64(len(composite)) > math.MaxInt32 || uint64(len(value)) > math.MaxInt32 {
		return fmt.Errorf("an entry of %d and %d bytes", len(composite), len(value))
	}
	size := rowHead + len(composite) + len(value)
	if len(s.rows) > 0 && len(s.arena)+size+8*len(s.rows) > s.limit {
		if err := s.spill(); err != nil {
			return err
		}
	}
	// Appending would double it, and have both halves and what was before in
	// memory at once.
	if need := len(s.arena) + size; need > cap(s.arena) && need > s.limit/8 {
		s.arena = slices.Grow(s.arena, max(size, s.limit-len(s.arena)))
	}
	s.rows = append(s.rows, len(s.arena))
	s.arena = binary.BigEndian.AppendUint16(s.arena, uint16(group))
	s.arena = binary.BigEndian.AppendUint16(s.arena, uint16(state))
	s.arena = binary.BigEndian.AppendUint32(s.arena, uint32(len(composite)))
	s.arena = binary.BigEndian.AppendUint32(s.arena, uint32(len(value)))
	s.arena = append(append(s.arena, composite...), value...)
	return nil
}

// row is one entry: its head, composite key and value.
type row struct{ head, composite, value []byte }

func (r row) order(o row) int {
	return cmp.Or(bytes.Compare(r.head[:4], o.head[:4]), bytes.Compare(r.composite, o.composite))
}

func (r row) emit(add func(group, state int, composite, value []byte) error) error {
	return add(int(binary.BigEndian.Uint16(r.head)), int(binary.BigEndian.Uint16(r.head[2:])), r.composite, r.value)
}

func lengths(head []byte) (composite, value int) {
	return int(binary.BigEndian.Uint32(head[4:])), int(binary.BigEndian.Uint32(head[8:]))
}

// at is the row that begins at a place of the arena.
func (s *sorter) at(i int) row {
	b := s.arena[i:]
	c, v := lengths(b)
	return row{b[:rowHead], b[rowHead : rowHead+c], b[rowHead+c : rowHead+c+v]}
}

// sort sorts what is in memory.
func (s *sorter) sort() {
	slices.SortStableFunc(s.rows, func(a, b int) int { return s.at(a).order(s.at(b)) })
}

// spill writes what is in memory into a run.
func (s *sorter) spill() error {
	s.sort()
	return s.run(func(w io.Writer) error {
		for _, i := range s.rows {
			c, v := lengths(s.arena[i:])
			if _, err := w.Write(s.arena[i : i+rowHead+c+v]); err != nil {
				return err
			}
		}
		s.rows, s.arena = s.rows[:0], s.arena[:0]
		return nil
	})
}

// run writes a run. Too many are merged into one first.
func (s *sorter) run(write func(io.Writer) error) error {
	if len(s.runs) >= mergeWidth {
		if err := s.compact(); err != nil {
			return err
		}
	}
	f, err := os.CreateTemp(s.dir, "tidemark-sort-")
	if err != nil {
		return err
	}
	s.runs = append(s.runs, f)
	w := bufio.NewWriterSize(f, runBuffer)
	if err := write(w); err != nil {
		return err
	}
	return w.Flush()
}

// compact merges all runs into one.
func (s *sorter) compact() error {
	old := s.runs
	s.runs = nil
	err := s.run(func(w io.Writer) error {
		return merge(old, func(r row) error {
			for _, b := range [][]byte{r.head, r.composite, r.value} {
				if _, err := w.Write(b); err != nil {
					return err
				}
			}
			return nil
		})
	})
	return errors.Join(err, remove(old))
}

// each passes on all entries in their order.
func (s *sorter) each(add func(group, state int, composite, value []byte) error) error {
	if len(s.runs) == 0 {
		s.sort()
		for _, i := range s.rows {
			if err := s.at(i).emit(add); err != nil {
				return err
			}
		}
		return nil
	}
	if err := s.spill(); err != nil {
		return err
	}
	s.arena, s.rows = nil, nil
	return merge(s.runs, func(r row) error { return r.emit(add) })
}

// close removes the temporary files.
func (s *sorter) close() error {
	err := remove(s.runs)
	s.runs = nil
	return err
}

func remove(runs []*os.File) error {
	var all error
	for _, f := range runs {
		all = errors.Join(all, f.Close(), os.Remove(f.Name()))
	}
	return all
}

// reader reads a run; it stands at a row.
type reader struct {
	src    *bufio.Reader
	number int // of the run: what was added first comes first
	row    row
	buf    []byte
}

// next goes to the next row; io.EOF if there is none.
func (r *reader) next() error {
	r.buf = slices.Grow(r.buf[:0], rowHead)[:rowHead]
	if _, err := io.ReadFull(r.src, r.buf); err != nil {
		return err
	}
	c, v := lengths(r.buf)
	r.buf = slices.Grow(r.buf, c+v)[:rowHead+c+v]
	if _, err := io.ReadFull(r.src, r.buf[rowHead:]); err != nil {
		return fmt.Errorf("temporary file: %w", err)
	}
	r.row = row{r.buf[:rowHead], r.buf[rowHead : rowHead+c], r.buf[rowHead+c:]}
	return nil
}

// readers is a heap by the rows that its readers stand at.
type readers []*reader

func (h readers) Len() int { return len(h) }
func (h readers) Less(i, j int) bool {
	return cmp.Or(h[i].row.order(h[j].row), h[i].number-h[j].number) < 0
}
func (h readers) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *readers) Push(x any)   { *h = append(*h, x.(*reader)) }
func (h *readers) Pop() any {
	last := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return last
}

// merge passes on the rows of all runs in their order.
func merge(runs []*os.File, emit func(row) error) error {
	var h readers
	for i, f := range runs {
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			return err
		}
		r := &reader{src: bufio.NewReaderSize(f, runBuffer), number: i}
		if err := r.next(); err != nil {
			if errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
				continue
			}
			return err
		}
		h = append(h, r)
	}
	heap.Init(&h)
	for len(h) > 0 {
		if err := emit(h[0].row); err != nil {
			return err
		}
		switch err := h[0].next(); {
		case err == nil:
			heap.Fix(&h, 0)
		case err == io.EOF:
			heap.Pop(&h)
		default:
			return err
		}
	}
	return nil
}
