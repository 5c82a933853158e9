package sst

import (
	"bytes"
	"context"
	"iter"

	"github.com/tidemark-io/tidemark/flink/state"
)

// Hole is a range of keys of a state, key groups in front, in which a block or a
// table does not read. Which version of these keys counts cannot be told, whatever
// other tables have of them.
type Hole struct {
	State    int    // index in the header
	From, To []byte // keys as they are stored
	// FromOut and ToOut say that From, and that To, is outside.
	FromOut, ToOut bool
	Bytes          uint64 // as stored, of what does not read
	Err            error
}

// contains reports whether a key is in the hole.
func (h *Hole) contains(key []byte) bool {
	from, to := bytes.Compare(key, h.From), bytes.Compare(key, h.To)
	return (from > 0 || from == 0 && !h.FromOut) && (to < 0 || to == 0 && !h.ToOut)
}

// OpenDamaged is Open for a handle whose tables may be missing, cut or damaged: what
// of them does not read are holes. The MANIFEST must read.
func OpenDamaged(h Handle) (*DB, error) { return openDB(&DB{handle: h, bad: map[uint64]error{}}) }

// Holes reads all tables of the header's states and returns the ranges of keys in
// which some do not read. Errors are those of the context.
func (db *DB) Holes(ctx context.Context) ([]Hole, error) {
	var all []Hole
	for i := range db.families {
		for _, m := range db.tables(i) {
			if ctx.Err() != nil {
				return nil, context.Cause(ctx)
			}
			all = append(all, db.holesOf(i, m)...)
		}
	}
	return all, nil
}

// holesOf reads one table.
func (db *DB) holesOf(state int, m tableMeta) (holes []Hole) {
	whole := func(err error) []Hole {
		return []Hole{{State: state, From: m.smallest, To: m.largest, ToOut: m.largestExcluded, Bytes: m.size, Err: err}}
	}
	if err := db.bad[m.number]; err != nil {
		return whole(err)
	}
	t, err := db.open(m)
	if err == nil && t.sum == sumNone {
		err = t.bad(0, "kind of checksums", errNoSums)
	}
	var c *tableCursor
	if err == nil {
		c, err = newTableCursor(t)
	}
	if err != nil {
		db.fail(m, err)
		return whole(err)
	}
	var open *Hole
	c.broken = func(h handle, err error) {
		if open == nil {
			open = &Hole{State: state, From: m.smallest, Err: err}
			if c.started {
				open.From, open.FromOut = bytes.Clone(c.last), t.userKeys
			}
		}
		open.Bytes += h.size
	}
	for {
		more, err := c.next()
		if err != nil { // the index itself
			db.fail(m, err)
			return whole(err)
		}
		if !more {
			break
		}
		if open != nil {
			open.To, open.ToOut = bytes.Clone(c.user), t.userKeys
			holes, open = append(holes, *open), nil
		}
	}
	if open != nil {
		open.To, open.ToOut = m.largest, m.largestExcluded
		holes = append(holes, *open)
	}
	return holes
}

// fail notes that nothing of a table is read.
func (db *DB) fail(m tableMeta, err error) {
	if db.bad != nil {
		db.bad[m.number] = err
	}
}

// EntriesAround is Entries without the keys in holes, which Holes has returned. It
// does not end at what does not read. lost is called at the end, for each state with
// the number of keys in holes that other tables have an entry of, which count for
// nothing.
func (db *DB) EntriesAround(holes []Hole, lost func(state int, entries uint64)) iter.Seq2[*state.Entry, error] {
	return func(yield func(*state.Entry, error) bool) {
		families := make([]*family, len(db.families))
		for i := range families {
			var tables []tableMeta
			for _, m := range db.tables(i) {
				if db.bad[m.number] == nil {
					tables = append(tables, m)
				}
			}
			f := newFamily(tables, db.open)
			f.broken = func(handle, error) {}
			for _, h := range holes {
				if h.State == i {
					f.holes = append(f.holes, h)
				}
			}
			families[i] = f
			if err := f.next(); err != nil { // no damage: that was found before
				yield(nil, err)
				return
			}
		}
		db.merge(families, yield)
		for i, f := range families {
			if f.passed > 0 {
				lost(i, f.passed)
			}
		}
	}
}

// inHole reports whether the present key is in a hole.
func (f *family) inHole() bool {
	for i := range f.holes {
		if f.holes[i].contains(f.key) {
			return true
		}
	}
	return false
}
