package engine

import (
	"encoding/binary"
	"fmt"
	"iter"
	"sort"

	"github.com/tidemark-io/tidemark/engine/codec"
	"github.com/tidemark-io/tidemark/format"
)

// ListState is a state with a list per key. Its elements are stored one by one,
// so that to add one costs the same whatever the length of the list. Declare it
// as a field of a Process and bind it in Open; from then on it follows the
// current key.
type ListState[V any] struct {
	elements Value[V]
	index    [4]byte // the element that elements stands at

	// n is the length of the list of the current key, valid while turn is
	// what it was.
	n    uint32
	turn uint64
}

// indexSchema is the schema of the namespace of a list: the element's index. It
// is big-endian, so that elements are stored in their order.
var indexSchema = &format.Schema{Type: format.TypeArray, Len: 4, Elems: []*format.Schema{{Type: format.TypeUint8}}}

// Bind declares the state under a name that is unique in its operator, and
// restores it.
func (l *ListState[V]) Bind(b *Binder, name string) error {
	c, err := codec.Of[V]()
	if err != nil {
		return fmt.Errorf("state %q: %w", name, err)
	}
	return l.elements.bind(b, name, c, indexSchema)
}

// move makes an element the one that elements stands at.
func (l *ListState[V]) move(i uint32) {
	binary.BigEndian.PutUint32(l.index[:], i)
	l.elements.within(l.index[:])
}

// has reports whether the list has an element i.
func (l *ListState[V]) has(i uint32) bool {
	l.move(i)
	return l.elements.find()
}

// length is the length of the current key's list. It is not stored: the indexes
// have no gap, so that about 2 log n look-ups find the end.
func (l *ListState[V]) length() uint32 {
	if k := l.elements.keyed; l.turn != k.turn {
		l.n, l.turn = 0, k.turn
		if l.has(0) {
			end := uint32(1)
			for end < maxList && l.has(end) {
				end *= 2
			}
			begin := end/2 + 1
			l.n = begin + uint32(sort.Search(int(end-begin), func(i int) bool { return !l.has(begin + uint32(i)) }))
		}
	}
	return l.n
}

// maxList is the largest length of a list.
const maxList = 1 << 30

// Len is the number of elements of the current key.
func (l *ListState[V]) Len() int { return int(l.length()) }

// Add appends an element to the list of the current key.
func (l *ListState[V]) Add(value V) {
	n := l.length()
	if n == maxList {
		l.elements.keyed.env.Fail(fmt.Errorf("state %q: a list has %d elements, which is the limit", l.elements.table.spec.Name, n))
		return
	}
	l.move(n)
	l.elements.Set(value)
	l.n = n + 1
}

// At returns the element of an index from 0 to Len() − 1, V's zero value for
// another one.
func (l *ListState[V]) At(i int) V {
	var none V
	if i < 0 || i >= l.Len() {
		return none
	}
	l.move(uint32(i))
	return l.elements.Get()
}

// All yields the elements of the current key in the order they were added. What
// is added meanwhile is yielded, too.
func (l *ListState[V]) All() iter.Seq[V] {
	return func(yield func(V) bool) {
		for i := 0; i < l.Len(); i++ {
			if !yield(l.At(i)) {
				return
			}
		}
	}
}

// Set replaces the list of the current key.
func (l *ListState[V]) Set(values ...V) {
	l.truncate(min(l.length(), uint32(min(len(values), maxList))))
	n := l.n
	for i, v := range values[:n] {
		l.move(uint32(i))
		l.elements.Set(v)
	}
	for _, v := range values[n:] {
		l.Add(v)
	}
}

// Clear removes all elements of the current key.
func (l *ListState[V]) Clear() { l.truncate(0) }

// truncate removes the elements from n on, the last first, so that no gap
// arises.
func (l *ListState[V]) truncate(n uint32) {
	for i := l.length(); i > n; i-- {
		l.move(i - 1)
		l.elements.Clear()
	}
	l.n = n
}
