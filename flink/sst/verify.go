package sst

import (
	"errors"
	"iter"
	"maps"
	"slices"

	"github.com/tidemark-io/tidemark/flink/wire"
)

// Verify reads every block of every live table, filters too, and compares its
// checksum; entries must be in order. It yields each table's name with
// nil or the first error in it, a *wire.Error.
func (db *DB) Verify() iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		tables := map[uint64]tableMeta{}
		for _, f := range db.families {
			maps.Copy(tables, f.tables)
		}
		for _, n := range slices.Sorted(maps.Keys(tables)) {
			if !yield(tableName(n), db.verify(tables[n])) {
				return
			}
		}
	}
}

// errNoSums is the error of a table whose kind of checksums is none.
var errNoSums = wire.Malformed("the table says that it has none")

func (db *DB) verify(m tableMeta) error {
	t, err := db.open(m)
	if err != nil {
		return err
	}
	if t.sum == sumNone { // one bit away from what Flink writes; it would switch the rest off
		return t.bad(0, "kind of checksums", errNoSums)
	}
	for _, h := range t.metas {
		// A compression dictionary or a filter may be of a kind not known here;
		// its checksum was compared before.
		if _, err := t.block(h, "meta block"); err != nil && !errors.Is(err, wire.ErrUnsupported) {
			return err
		}
	}
	c, err := newTableCursor(t)
	if err != nil {
		return err
	}
	for {
		more, err := c.next()
		if err != nil || !more {
			return err
		}
	}
}
