package state

import (
	"bytes"
	"cmp"
	"iter"
	"slices"

	"github.com/tidemark-io/tidemark/flink/wire"
)

// Over yields the entries of a state that was written before, with the changes
// applied, and then those that are new. The State of an entry is its index in the
// overlay's header, see [Overlay.Index]. It is for one use.
func (o *Overlay) Over(before iter.Seq2[*Entry, error], maxParallelism int) iter.Seq2[*Entry, error] {
	return func(yield func(*Entry, error) bool) {
		var value, head []byte
		for e, err := range before {
			if err != nil {
				if !yield(nil, err) {
					return
				}
				continue
			}
			index := e.State
			m := &o.Header.States[index]
			if _, _, isMap := m.Map(); isMap && e.Split && len(o.maps) > 0 {
				head = AppendComposite(head[:0], o.Header.Key, m.Type(SerializerNamespace), e.Key, e.Namespace, nil)
				if o.maps[id(e.KeyGroup, index, head)] {
					continue
				}
			}
			name := id(e.KeyGroup, index, e.Composite)
			if c := o.entries[name]; c != nil {
				if c.set || c.cleared {
					continue // its present value comes with the new ones
				}
				value = append(append(append(value[:0], e.Value...), separator), c.value...)
				e.Value = value
				delete(o.entries, name)
			}
			if !yield(e, nil) {
				return
			}
		}
		o.rest(maxParallelism, yield)
	}
}

// Index is the index of a state in the overlay's header, to which it is added if
// it is new.
func (o *Overlay) Index(m *Meta) int { return o.state(*m) }

// rest yields what only the changes have.
func (o *Overlay) rest(maxParallelism int, yield func(*Entry, error) bool) {
	left := make([]*change, 0, len(o.entries))
	for _, c := range o.entries {
		if !c.cleared {
			left = append(left, c)
		}
	}
	slices.SortFunc(left, func(a, b *change) int {
		return cmp.Or(cmp.Compare(a.group, b.group), cmp.Compare(a.state, b.state), bytes.Compare(a.key, b.key))
	})
	s := splitter{key: o.Header.Key, states: o.Header.States, prefix: prefixLength(maxParallelism)}
	for _, c := range left {
		e := &Entry{State: c.state, KeyGroup: c.group, Composite: c.key, Value: c.value}
		if err := s.split(e, "changes", 0); err != nil {
			if !yield(nil, err) {
				return
			}
			continue
		}
		if !yield(e, nil) {
			return
		}
	}
}

// Described is a description of a state in the changes.
func Described(object string, c Change) (m Meta, ok bool, err error) {
	if c.KeyGroup != noGroup || len(c.Data) == 0 || c.Data[0] != opMetadata {
		return Meta{}, false, nil
	}
	r := wire.NewBytes(object+", a change", 1, c.Data[1:])
	_, m = description(r)
	return m, true, r.Err()
}
