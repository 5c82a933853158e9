package sst

import (
	"bytes"
	"container/heap"
	"slices"

	"github.com/tidemark-io/tidemark/flink/wire"
)

// joiner stands between merge operands, as Flink's merge operator puts it.
const joiner = ','

// family merges the tables of one column family into its visible entries.
type family struct {
	sources    sources
	tombstones []tombstone
	// The present entry. Valid until the next step.
	key, value []byte
	operands   [][]byte // newest first
	ok         bool
	// holes are passed over, and so are blocks that do not read, if it is set.
	holes  []Hole
	broken func(h handle, err error)
	passed uint64 // entries in holes
}

func newFamily(tables []tableMeta, open func(tableMeta) (*table, error)) *family {
	f := &family{}
	for _, m := range tables {
		f.sources = append(f.sources, &source{meta: m, open: open})
	}
	heap.Init(&f.sources)
	return f
}

// top makes the first source an open one, so that its entry is the smallest.
func (f *family) top() (*source, error) {
	for len(f.sources) > 0 {
		s := f.sources[0]
		if s.cursor != nil {
			return s, nil
		}
		t, err := s.open(s.meta)
		if err != nil {
			return nil, err
		}
		for _, d := range t.tombstones {
			if t.external {
				d.sequence = s.meta.largestSeq
			}
			if d, ok := s.meta.clip(d); ok {
				f.tombstones = append(f.tombstones, d)
			}
		}
		if s.cursor, err = newTableCursor(t); err != nil {
			return nil, err
		}
		s.cursor.broken = f.broken
		if err := f.step(s); err != nil {
			return nil, err
		}
	}
	return nil, nil
}

// step takes the first source to its next entry.
func (f *family) step(s *source) error {
	more, err := s.cursor.next()
	if err != nil {
		return err
	}
	if !more {
		heap.Pop(&f.sources)
		return nil
	}
	if s.cursor.t.external {
		s.cursor.sequence = s.meta.largestSeq
	}
	heap.Fix(&f.sources, 0)
	return nil
}

// next steps to the next visible entry; ok is false behind the last one.
func (f *family) next() error {
	for {
		s, err := f.top()
		if err != nil || s == nil {
			f.ok = false
			return err
		}
		f.key = append(f.key[:0], s.cursor.user...)
		f.forget()
		visible, err := f.resolve()
		if err != nil {
			f.ok = false
			return err
		}
		if visible && f.inHole() {
			f.passed++
		} else if visible {
			f.ok = true
			return nil
		}
	}
}

// resolve reads all versions of the key, newest first, and makes its value.
func (f *family) resolve() (visible bool, err error) {
	f.operands = f.operands[:0]
	settled := false
	for {
		s, err := f.top()
		if err != nil {
			return false, err
		}
		if s == nil || !bytes.Equal(s.cursor.user, f.key) {
			break
		}
		c := s.cursor
		if !settled {
			switch {
			case f.deleted(c.user, c.sequence), c.kind == kindDelete, c.kind == kindSingleDelete:
				settled = true
			case c.kind == kindPut:
				settled = true
				f.operands = append(f.operands, bytes.Clone(c.value))
			case c.kind == kindMerge:
				f.operands = append(f.operands, bytes.Clone(c.value))
			default:
				return false, c.t.bad(c.at, "entry", wire.Unsupported("entries of kind %d", c.kind))
			}
		}
		if err := f.step(s); err != nil {
			return false, err
		}
	}
	if len(f.operands) == 0 {
		return false, nil
	}
	slices.Reverse(f.operands)
	f.value = append(f.value[:0], f.operands[0]...)
	for _, o := range f.operands[1:] {
		f.value = append(append(f.value, joiner), o...)
	}
	return true, nil
}

// deleted reports whether a tombstone covers a version of a key.
func (f *family) deleted(user []byte, sequence uint64) bool {
	for _, d := range f.tombstones {
		if d.sequence <= sequence || bytes.Compare(d.start, user) > 0 {
			continue
		}
		if c := bytes.Compare(user, d.end); c < 0 || c == 0 && d.endIncluded {
			return true
		}
	}
	return false
}

// forget drops the tombstones that end before the present key.
func (f *family) forget() {
	f.tombstones = slices.DeleteFunc(f.tombstones, func(d tombstone) bool { return bytes.Compare(d.end, f.key) < 0 })
}
