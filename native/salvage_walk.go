package native

import (
	"fmt"
	"iter"
	"slices"

	"github.com/tidemark-io/tidemark/format"
	"github.com/tidemark-io/tidemark/keygroup"
	"github.com/tidemark-io/tidemark/keygroup/keyhash"
)

// place is where an entry stands in the global order of a state by hash.
type place struct {
	hash     keygroup.Hash
	key, ns  []byte
	time     int64
	occupied bool // there is an entry
}

// compare is the global order.
func (p *place) compare(hash keygroup.Hash, key, ns []byte, time int64) int {
	switch {
	case p.hash != hash:
		if p.hash < hash {
			return -1
		}
		return 1
	}
	if c := slices.Compare(p.key, key); c != 0 {
		return c
	}
	if c := slices.Compare(p.ns, ns); c != 0 {
		return c
	}
	switch {
	case p.time < time:
		return -1
	case p.time > time:
		return 1
	}
	return 0
}

// set copies an entry's place.
func (p *place) set(r *format.KeyedRows, kind format.Kind) {
	p.hash, p.occupied, p.time = r.Hash, true, 0
	p.key, p.ns = append(p.key[:0], r.Key...), append(p.ns[:0], r.Namespace...)
	if kind == format.KindTimer {
		p.time = r.Time
	}
}

// walk goes over the blocks of one slice, one after the other, and looks at every
// entry: its order, its interval, its hash and its types. A block in which
// anything is wrong would not verify in the result either.
type walk struct {
	rows  func(b *format.Block) (first uint64, err error)
	begin func()
	// first and last are the places of the first and last entry of the block,
	// for state by hash.
	first, last place
}

// types are the schemas of a slice's entries and whether its hashes are those of
// [keyhash].
type types struct {
	key, namespace, value *format.Schema
	hashed                bool
}

// newWalk returns a walk over a slice.
func newWalk(kind format.Kind, iv keygroup.Interval, t types) *walk {
	w := &walk{}
	switch kind {
	case format.KindKeyed, format.KindTimer:
		w.begin = func() { rows := format.NewKeyedRows(iv); w.rows = w.keyed(rows, kind, t) }
	case format.KindSplitList, format.KindUnionList:
		w.begin = func() {
			w.rows = rowsOf(format.NewRows[format.Item](iv).Of, func(r *format.Item) (uint64, error) { return 0, validate(t.value, r.Value) })
		}
	case format.KindBroadcast:
		w.begin = func() {
			w.rows = rowsOf(format.NewRows[format.Pair](iv).Of, func(r *format.Pair) (uint64, error) { return 0, validate(t.value, r.Value) })
		}
	case format.KindFloor:
		w.begin = func() {
			w.rows = rowsOf(format.NewRows[format.Floor](iv).Of, func(r *format.Floor) (uint64, error) { return r.Interval.Lo, nil })
		}
	case format.KindSubtaskWatermark:
		w.begin = func() { w.rows = rowsOf(format.NewRows[format.SubtaskWatermark](iv).Of, none) }
	case format.KindChannelWatermark:
		w.begin = func() { w.rows = rowsOf(format.NewRows[format.ChannelWatermark](iv).Of, none) }
	case format.KindSplitWatermark:
		w.begin = func() { w.rows = rowsOf(format.NewRows[format.SplitWatermark](iv).Of, none) }
	default:
		w.begin = func() {
			w.rows = rowsOf(format.NewRows[format.Buffer](iv).Of, func(b *format.Buffer) (uint64, error) { return b.Sequence, nil })
		}
	}
	w.begin()
	return w
}

// block looks at a block and returns what an index states as the first of it: a
// hash, a sequence number, 0 for other kinds.
func (w *walk) block(b *format.Block) (uint64, error) {
	first, err := w.rows(b)
	if err != nil {
		w.begin() // the order begins anew behind a gap
	}
	return first, err
}

// keyed looks at keyed state and timers.
func (w *walk) keyed(rows *format.KeyedRows, kind format.Kind, t types) func(*format.Block) (uint64, error) {
	return func(b *format.Block) (uint64, error) {
		w.first.occupied, w.last.occupied = false, false
		rows.Start(b)
		for rows.Next() {
			if t.hashed && keyhash.Of(rows.Key) != rows.Hash {
				return 0, fmt.Errorf("%w: a key has another hash than is stored", format.ErrMalformed)
			}
			for _, v := range [...]struct {
				schema *format.Schema
				value  []byte
				skip   bool
			}{{t.key, rows.Key, false}, {t.namespace, rows.Namespace, false}, {t.value, rows.Value, kind == format.KindTimer}} {
				if v.skip {
					continue
				}
				if err := validate(v.schema, v.value); err != nil {
					return 0, err
				}
			}
			if !w.first.occupied {
				w.first.set(rows, kind)
			}
			w.last.set(rows, kind)
		}
		return uint64(w.first.hash), rows.Err()
	}
}

// rowsOf looks at the rows of other kinds.
func rowsOf[R any](of func(*format.Block) iter.Seq2[*R, error], look func(*R) (uint64, error)) func(*format.Block) (uint64, error) {
	return func(b *format.Block) (first uint64, err error) {
		begun := false
		for row, err := range of(b) {
			if err != nil {
				return 0, err
			}
			v, err := look(row)
			if err != nil {
				return 0, err
			}
			if !begun {
				first, begun = v, true
			}
		}
		return first, nil
	}
}

// none is for rows whose own rules are all there are.
func none[R any](*R) (uint64, error) { return 0, nil }

// validate requires a value of a schema, if one is stored.
func validate(s *format.Schema, value []byte) error {
	if s == nil {
		return nil
	}
	return s.Validate(value)
}
