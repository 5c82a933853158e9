package format

import (
	"iter"
	"slices"
)

// Operators yields the operators.
func (m *ManifestReader) Operators() iter.Seq2[Operator, error] {
	n := m.counts()
	return tableRows(m, KindOperators, (*Operator).cells, unique("operator",
		func(o *Operator) string { return o.UID }, func(o *Operator) error { return o.check(n) }))
}

// States yields the states.
func (m *ManifestReader) States() iter.Seq2[State, error] {
	n := m.counts()
	return tableRows(m, KindStates, (*State).cells, always(func(s *State) error { return s.check(n) }))
}

// Edges yields the edges.
func (m *ManifestReader) Edges() iter.Seq2[Edge, error] {
	n := m.counts()
	cells := (*Edge).cells
	if m.Header.Revision == 2 {
		cells = (*Edge).cells2
	}
	return tableRows(m, KindEdges, cells, unique("edge",
		func(e *Edge) string { return e.ID }, func(e *Edge) error { return e.check(n) }))
}

// Objects yields the data objects.
func (m *ManifestReader) Objects() iter.Seq2[Object, error] {
	return tableRows(m, KindObjects, (*Object).cells, unique("object",
		func(o *Object) string { return o.Name }, func(o *Object) error { return o.check(m.Summary.Path) }))
}

// Settings yields the configuration.
func (m *ManifestReader) Settings() iter.Seq2[Setting, error] {
	return tableRows(m, KindSettings, (*Setting).cells, unique("setting",
		func(s *Setting) string { return s.Key }, (*Setting).check))
}

// Losses yields the loss report.
func (m *ManifestReader) Losses() iter.Seq2[Loss, error] {
	return tableRows(m, KindLosses, (*Loss).cells, always((*Loss).check))
}

// Schemas yields the schemas.
func (m *ManifestReader) Schemas() iter.Seq2[*Schema, error] {
	return func(yield func(*Schema, error) bool) {
		// The cell aliases the block and does not outlive its row.
		var s *Schema
		check := func(b *[]byte) (err error) {
			s, err = DecodeSchema(*b, &m.lim)
			return err
		}
		rows := tableRows(m, KindSchemas, func(b *[]byte, c *rowCodec) { c.bytes(b) },
			unique("schema", func(b *[]byte) string { return string(*b) }, check))
		for _, err := range rows {
			if err != nil {
				yield(nil, err)
				return
			}
			if !yield(s, nil) {
				return
			}
		}
	}
}

// Slices yields all slices, by state; those of keyed state, timers and floors
// by hash then, others by subtask. Their order and references are checked; that
// they lie within their objects is not.
func (m *ManifestReader) Slices() iter.Seq2[Slice, error] {
	return m.slices(m.tablesOf(KindSlices))
}

// SlicesOf yields the slices of one state, a row of States, and decodes only
// the blocks that hold them.
func (m *ManifestReader) SlicesOf(state int) iter.Seq2[Slice, error] {
	all := m.tablesOf(KindSlices)
	at := uint64(max(state, 0))
	from, _ := slices.BinarySearchFunc(all, at, func(t tableRow, s uint64) int {
		if t.last < s {
			return -1
		}
		return 0
	})
	to := from
	for to < len(all) && all[to].first <= at {
		to++
	}
	return func(yield func(Slice, error) bool) {
		for s, err := range m.slices(all[from:to]) {
			if err == nil && s.State > state {
				return
			}
			if err == nil && s.State < state {
				continue
			}
			if !yield(s, err) {
				return
			}
		}
	}
}

// slices yields the rows of blocks of the table of slices and checks their
// order among themselves, for which it reads the states first.
func (m *ManifestReader) slices(blocks []tableRow) iter.Seq2[Slice, error] {
	return func(yield func(Slice, error) bool) {
		// The rows of a slice's kind decide the order of its slices.
		kinds := make([]Kind, 0, min(m.rows[KindStates], TableBlock))
		for s, err := range m.States() {
			if err != nil {
				yield(Slice{}, err)
				return
			}
			kinds = append(kinds, s.Kind)
		}
		n := m.counts()
		var prev Slice
		some := false
		check := func(s *Slice) error {
			err := s.checkRow(n)
			switch {
			case err != nil:
			case some && prev.State == s.State:
				err = s.checkBehind(&prev, kinds[s.State])
			case some && prev.State > s.State:
				err = invalid("slice of state %d behind one of state %d", s.State, prev.State)
			default:
				err = s.checkBehind(nil, kinds[s.State])
			}
			prev, some = *s, true
			return err
		}
		for i := range blocks {
			t := &blocks[i]
			low, high := -1, -1
			for s, err := range blockRows(m, blocks[i:i+1], (*Slice).cells, check) {
				if err == nil && low < 0 {
					low = s.State
				}
				high = s.State
				if !yield(s, err) || err != nil {
					return
				}
			}
			// SlicesOf trusts the directory to find the blocks of a state; a
			// block with other states than stated would be overlooked.
			if uint64(low) != t.first || uint64(high) != t.last {
				yield(Slice{}, m.damage(t.ref.Offset, "slices block",
					malformed("states %d to %d, the directory states %d to %d", low, high, t.first, t.last)))
				return
			}
		}
	}
}

// Read decodes the whole manifest and applies also the rules that need several
// tables. Decoding a large one takes memory for all its rows.
func (m *ManifestReader) Read() (*Manifest, error) {
	all := &Manifest{Summary: m.Summary}
	all.Slices = m.roomForSlices()
	err := inOrder(
		collect(&all.Operators, m.Operators()),
		collect(&all.States, m.States()),
		collect(&all.Edges, m.Edges()),
		collect(&all.Objects, m.Objects()),
		collect(&all.Slices, m.Slices()),
		collect(&all.Schemas, m.Schemas()),
		collect(&all.Settings, m.Settings()),
		collect(&all.Losses, m.Losses()))
	if err != nil {
		return nil, err
	}
	// The iterators have applied the rules of each table of their own.
	if err := inOrder(all.checkTables, all.checkCross); err != nil {
		return nil, m.damage(0, "manifest", malformed("%v", err))
	}
	return all, nil
}

// roomForSlices reserves memory for the slices, but for no more than their
// encoded bytes can hold; the number that the directory states may be a lie.
func (m *ManifestReader) roomForSlices() []Slice {
	const smallest = 8 // bytes of an encoded slice
	var size uint64
	for _, t := range m.tablesOf(KindSlices) {
		size += uint64(t.ref.Length)
	}
	if n := min(m.rows[KindSlices], size/smallest); n > 0 {
		return make([]Slice, 0, n)
	}
	return nil
}

// collect returns a function that appends the rows of a table to a slice.
func collect[Row any](to *[]Row, rows iter.Seq2[Row, error]) func() error {
	return func() error {
		for row, err := range rows {
			if err != nil {
				return err
			}
			*to = append(*to, row)
		}
		return nil
	}
}
