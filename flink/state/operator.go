package state

import (
	"fmt"
	"io"
	"iter"
	"slices"

	"github.com/klauspost/compress/s2"

	"github.com/tidemark-io/tidemark/flink/wire"
)

// Partitions is what metadata says about one operator state in a file: where its
// elements begin.
type Partitions struct {
	Name    string
	Offsets []int64
}

// OperatorFile is what metadata says about a file of operator state.
type OperatorFile struct {
	Object string // name for errors
	Data   io.ReaderAt
	Size   int64 // of Data, in bytes
	States []Partitions
	// Header, if it is set, stands in for the file's own.
	Header *OperatorHeader
}

// Operators is an open file of operator state.
type Operators struct {
	Header *OperatorHeader
	file   OperatorFile
	starts []int64 // of all elements, ascending
}

// OpenOperator reads the header of a file of operator state. Errors are
// *wire.Error.
func OpenOperator(f OperatorFile) (*Operators, error) {
	h, err := f.Header, error(nil)
	if h == nil {
		if h, err = ReadOperatorHeader(section(f.Object, f.Data, 0, f.Size)); err != nil {
			return nil, err
		}
	}
	o := &Operators{Header: h, file: f}
	for _, p := range f.States {
		if o.Meta(p.Name) == nil {
			return nil, &wire.Error{Object: f.Object, Offset: h.Size, What: "state", Err: wire.Malformed("the file has no state %.200q", p.Name)}
		}
		for _, off := range p.Offsets {
			if off < h.Size || off > f.Size {
				return nil, &wire.Error{Object: f.Object, Offset: off, What: "element", Err: wire.Malformed("state %.200q has an element there, the file has a header of %d and %d bytes in all", p.Name, h.Size, f.Size)}
			}
		}
		o.starts = append(o.starts, p.Offsets...)
	}
	slices.Sort(o.starts)
	return o, nil
}

// Meta returns what the header says about a state, nil if there is none of the
// name.
func (o *Operators) Meta(name string) *Meta {
	for _, list := range [][]Meta{o.Header.Lists, o.Header.Broadcasts} {
		for i := range list {
			if list[i].Name == name {
				return &list[i]
			}
		}
	}
	return nil
}

// Element is one element of operator state: of a list its value, of broadcast
// state one entry of the map. Slices are valid until the iterator's next step.
type Element struct {
	State  string
	Index  int    // among those of the file, from 0
	Key    []byte // of broadcast state
	Value  []byte
	Offset int64 // in the file; of a compressed one where the element's chunk begins
}

// Elements yields the elements of one state, in the order of the file. An error,
// a *wire.Error, concerns one element; a consumer that goes on gets those behind
// it.
func (o *Operators) Elements(name string) iter.Seq2[*Element, error] {
	return func(yield func(*Element, error) bool) {
		m := o.Meta(name)
		if m == nil {
			yield(nil, fmt.Errorf("%s has no state %q", o.file.Object, name))
			return
		}
		for _, p := range o.file.States {
			if p.Name != name {
				continue
			}
			for i, off := range p.Offsets {
				if !o.partition(m, i, off, yield) {
					return
				}
			}
		}
	}
}

// partition yields what lies at one offset. It returns false if the consumer has
// had enough.
func (o *Operators) partition(m *Meta, index int, off int64, yield func(*Element, error) bool) bool {
	r := o.reader(off)
	e := &Element{State: m.Name, Index: index, Offset: off}
	if m.Kind == Broadcast {
		return o.broadcast(m, r, e, yield)
	}
	r.Mark()
	err := m.Type(SerializerValue).Check(r)
	e.Value = r.Marked()
	if err != nil {
		return yield(nil, err)
	}
	return yield(e, nil)
}

// reader returns a reader of what lies between an offset and the next one. In a
// compressed file every element has its own chunks; what identifies the stream
// stands only at the beginning.
func (o *Operators) reader(off int64) *wire.Reader {
	end := o.file.Size
	if i, found := slices.BinarySearch(o.starts, off+1); found || i < len(o.starts) {
		end = o.starts[i]
	}
	if !o.Header.Compressed {
		return section(o.file.Object, o.file.Data, off, end)
	}
	src := s2.NewReader(io.NewSectionReader(o.file.Data, off, end-off), s2.ReaderMaxBlockSize(64<<10), s2.ReaderAllocBlock(64<<10), s2.ReaderIgnoreStreamIdentifier())
	r := wire.NewStream(fmt.Sprintf("%s (decompressed from %d)", o.file.Object, off), 0, src, -1)
	r.SetDecoded()
	return r
}

// broadcast yields the entries of a map: their number, then keys and values.
func (o *Operators) broadcast(m *Meta, r *wire.Reader, e *Element, yield func(*Element, error) bool) bool {
	key, value := m.Type(SerializerKey), m.Type(SerializerValue)
	n := r.Count(0, "entries of broadcast state")
	for e.Index = 0; e.Index < n && r.Err() == nil; e.Index++ {
		if !o.Header.Compressed {
			e.Offset = r.Offset()
		}
		from := r.Offset()
		r.Mark()
		key.Skip(r)
		middle := r.Offset() - from
		value.Skip(r)
		b := r.Marked()
		r.Unmark()
		if r.Err() != nil {
			break
		}
		e.Key, e.Value = b[:middle:middle], b[middle:]
		if !yield(e, nil) {
			return false
		}
	}
	if err := r.End("broadcast state"); err != nil {
		return yield(nil, err)
	}
	return true
}
