package engine

import (
	"bytes"
	"fmt"
	"iter"
	"slices"

	"github.com/tidemark-io/tidemark/engine/codec"
	"github.com/tidemark-io/tidemark/engine/state"
)

// MapState is a state with a map per key, whose entries are stored one by one:
// to read or write one costs the same whatever the size of the map. To iterate,
// or to clear the map, reads all entries of the key group that the key is in.
// Declare it as a field of a Process and bind it in Open; from then on it
// follows the current key.
type MapState[K, V any] struct {
	entries Value[V]
	key     Codec[K]
	at      []byte // the map's key that entries stands at, encoded
	next    []byte
}

// Bind declares the state under a name that is unique in its operator, and
// restores it. K must be a type that can be a key; see [KeyBy].
func (m *MapState[K, V]) Bind(b *Binder, name string) error {
	key, err := codec.ForKey[K]()
	if err != nil {
		return fmt.Errorf("state %q: %w", name, err)
	}
	value, err := codec.Of[V]()
	if err != nil {
		return fmt.Errorf("state %q: %w", name, err)
	}
	m.key = key
	return m.entries.bind(b, name, value, key.Schema())
}

// move makes an entry of the map the one that entries stands at.
func (m *MapState[K, V]) move(key K) {
	m.next = m.key.Append(m.next[:0], key)
	if !bytes.Equal(m.next, m.at) {
		m.at, m.next = m.next, m.at
		m.entries.within(m.at)
	}
}

// Get returns the value of an entry, V's zero value if it is not there.
func (m *MapState[K, V]) Get(key K) V {
	m.move(key)
	return m.entries.Get()
}

// Lookup returns the value of an entry and whether it is there.
func (m *MapState[K, V]) Lookup(key K) (V, bool) {
	m.move(key)
	return m.entries.Lookup()
}

// Put adds an entry or replaces its value.
func (m *MapState[K, V]) Put(key K, value V) {
	m.move(key)
	m.entries.Set(value)
}

// Remove removes an entry if it is there.
func (m *MapState[K, V]) Remove(key K) {
	m.move(key)
	m.entries.Clear()
}

// All yields the entries of the current key in the order of the bytes of their
// encoded keys, as they were when the iteration began. The map may be changed
// meanwhile.
func (m *MapState[K, V]) All() iter.Seq2[K, V] {
	return func(yield func(K, V) bool) {
		for _, e := range m.list() {
			key, _, err := m.key.Decode(e.Namespace)
			if err != nil {
				m.entries.keyed.env.Fail(fmt.Errorf("state %q: key of an entry: %w", m.entries.table.spec.Name, err))
				return
			}
			value, _, err := m.entries.codec.Decode(e.Value)
			if err != nil {
				m.entries.keyed.env.Fail(fmt.Errorf("state %q: %w", m.entries.table.spec.Name, err))
				return
			}
			if !yield(key, value) {
				return
			}
		}
	}
}

// list copies the entries of the current key, in order.
func (m *MapState[K, V]) list() []state.Entry {
	k := m.entries.keyed
	k.needKey("iterating over a map")
	var list []state.Entry
	for _, e := range m.entries.table.Namespaces(k.sum, k.bytes) {
		both := append(slices.Clone(e.Namespace), e.Value...)
		n := len(e.Namespace)
		list = append(list, state.Entry{Namespace: both[:n:n], Value: both[n:]})
	}
	slices.SortFunc(list, func(a, b state.Entry) int { return bytes.Compare(a.Namespace, b.Namespace) })
	return list
}

// Len is the number of entries of the current key. It costs an iteration.
func (m *MapState[K, V]) Len() int {
	k, n := m.entries.keyed, 0
	k.needKey("counting the entries of a map")
	for range m.entries.table.Namespaces(k.sum, k.bytes) {
		n++
	}
	return n
}

// Clear removes all entries of the current key.
func (m *MapState[K, V]) Clear() {
	for _, e := range m.list() {
		m.entries.within(e.Namespace)
		m.entries.Clear()
	}
	m.at = m.at[:0]
	m.entries.within(nil)
}
