package sst

import (
	"fmt"
	"io"
	"iter"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/tidemark-io/tidemark/flink/state"
	"github.com/tidemark-io/tidemark/flink/wire"
	"github.com/tidemark-io/tidemark/keygroup"
)

// File is a file of a RocksDB handle: its name where the backend ran, such as
// 000012.sst or MANIFEST-000004, and its bytes.
type File struct {
	Name   string
	Object string // name for errors
	Data   io.ReaderAt
	Size   int64
}

// Handle is what metadata says about a RocksDB handle.
type Handle struct {
	Object string // name for errors
	// Header is what the handle's meta stream holds.
	Header *state.KeyedHeader
	// Files are the shared and the private ones.
	Files          []File
	Groups         keygroup.Range
	MaxParallelism int
}

// DB is an open RocksDB handle. Each iterator is for one goroutine.
type DB struct {
	handle   Handle
	files    map[string]File
	families []columnFamily // by the index of the state in the header
	// Orphans are the tables in the handle that the MANIFEST does not name.
	Orphans []string
	// bad are the tables that are not there, or not whole; nil unless the handle was
	// opened damaged.
	bad map[uint64]error
}

// Open reads the MANIFEST that CURRENT names. It fails if a table is missing or
// has another size than the MANIFEST says. Errors are *wire.Error.
func Open(h Handle) (*DB, error) { return openDB(&DB{handle: h}) }

func openDB(db *DB) (*DB, error) {
	h := db.handle
	db.files = map[string]File{}
	for _, f := range h.Files {
		db.files[path.Base(f.Name)] = f
	}
	current, err := db.current()
	if err != nil {
		return nil, err
	}
	m, err := readManifest(current.Object, current.Data, current.Size)
	if err != nil {
		return nil, err
	}
	byName := map[string]*columnFamily{}
	for _, f := range m.families {
		byName[f.name] = f
	}
	db.families = make([]columnFamily, len(h.Header.States))
	live := map[string]bool{}
	for i := range h.Header.States {
		f, ok := byName[h.Header.States[i].Name]
		if !ok {
			return nil, &wire.Error{Object: current.Object, What: "column family", Err: wire.Malformed("none of the name %.200q, which the header has as a state", h.Header.States[i].Name)}
		}
		db.families[i] = *f
	}
	for _, f := range m.families {
		for _, t := range f.tables {
			live[tableName(t.number)] = true
			err := db.exists(current.Object, t)
			if err != nil && db.bad == nil {
				return nil, err
			} else if err != nil {
				db.bad[t.number] = err
			}
		}
	}
	for name := range db.files {
		if strings.HasSuffix(name, ".sst") && !live[name] {
			db.Orphans = append(db.Orphans, name)
		}
	}
	slices.Sort(db.Orphans)
	return db, nil
}

// tableName is the name of a table's file.
func tableName(number uint64) string {
	digits := strconv.FormatUint(number, 10)
	return strings.Repeat("0", max(0, 6-len(digits))) + digits + ".sst"
}

// current returns the MANIFEST that CURRENT names.
func (db *DB) current() (File, error) {
	c, ok := db.files["CURRENT"]
	if !ok {
		return File{}, &wire.Error{Object: db.handle.Object, What: "CURRENT", Err: wire.Malformed("the handle has no such file")}
	}
	b := make([]byte, min(c.Size, 1024))
	if n, err := c.Data.ReadAt(b, 0); err != nil && n < len(b) {
		return File{}, &wire.Error{Object: c.Object, What: "CURRENT", Err: err}
	}
	m, ok := db.files[strings.TrimSpace(string(b))]
	if !ok {
		return File{}, &wire.Error{Object: c.Object, What: "CURRENT", Err: wire.Malformed("it names %.100q, which the handle has not", b)}
	}
	return m, nil
}

// exists compares a table of the MANIFEST with the handle's files.
func (db *DB) exists(object string, t tableMeta) error {
	f, ok := db.files[tableName(t.number)]
	switch {
	case !ok:
		return &wire.Error{Object: object, What: "table", Err: wire.Malformed("%s is alive, and the handle has not got it", tableName(t.number))}
	case uint64(f.Size) != t.size:
		return &wire.Error{Object: f.Object, What: "table", Err: wire.Malformed("%d bytes, the MANIFEST says %d", f.Size, t.size)}
	}
	return nil
}

// open opens a table.
func (db *DB) open(m tableMeta) (*table, error) {
	f := db.files[tableName(m.number)]
	return openTable(file{object: f.Object, data: f.Data, size: f.Size})
}

// Sizes are the bytes of the tables of each state, by its index in the header, as
// the MANIFEST has them.
func (db *DB) Sizes() []uint64 {
	sizes := make([]uint64, len(db.families))
	for i := range db.families {
		for _, t := range db.families[i].tables {
			sizes[i] += t.size
		}
	}
	return sizes
}

// Object is what errors call the handle.
func (db *DB) Object() string { return db.handle.Object }

// Header is that of the handle.
func (db *DB) Header() *state.KeyedHeader { return db.handle.Header }

// Entries yields the entries of the handle's key groups, in the order of canonical
// savepoints: by key group, state and key. Entries of other key groups, which a
// task that took over only a part of a database may have left behind, are passed
// over: Flink does not restore them either. The first error ends the entries; it
// is a *wire.Error.
func (db *DB) Entries() iter.Seq2[*state.Entry, error] { return db.EntriesOf(nil) }

// EntriesOf is Entries of the states for which take, given the state's index in the
// header, is true; the tables of others are not read. A nil take takes all.
func (db *DB) EntriesOf(take func(state int) bool) iter.Seq2[*state.Entry, error] {
	return func(yield func(*state.Entry, error) bool) {
		families := make([]*family, len(db.families))
		for i := range db.families {
			if take != nil && !take(i) {
				families[i] = &family{}
				continue
			}
			families[i] = newFamily(db.tables(i), db.open)
			if err := families[i].next(); err != nil {
				yield(nil, err)
				return
			}
		}
		db.merge(families, yield)
	}
}

// tables are those of a column family, by number.
func (db *DB) tables(i int) []tableMeta {
	return slices.SortedFunc(maps.Values(db.families[i].tables), func(a, b tableMeta) int { return int(a.number) - int(b.number) })
}

// merge yields the entries of column families, each of which stands at its first.
func (db *DB) merge(families []*family, yield func(*state.Entry, error) bool) {
	splitter := db.handle.Header.Splitter(db.handle.MaxParallelism)
	for {
		group, found, err := db.lowest(families, splitter)
		if err != nil {
			yield(nil, err)
			return
		}
		if !found || !db.group(families, splitter, group, yield) {
			return
		}
	}
}

// lowest is the lowest key group that any column family has next.
func (db *DB) lowest(families []*family, s *state.Splitter) (group int, found bool, err error) {
	for i, f := range families {
		if !f.ok {
			continue
		}
		g, ok := s.Group(f.key)
		if !ok {
			return 0, false, &wire.Error{Object: db.handle.Object, What: "key", Err: wire.Malformed("%x of state %.200q is too short for a key group", f.key, db.handle.Header.States[i].Name)}
		}
		if !found || g < group {
			group, found = g, true
		}
	}
	return group, found, nil
}

// group yields the entries of one key group. It returns false if the consumer has
// had enough or after an error.
func (db *DB) group(families []*family, s *state.Splitter, group int, yield func(*state.Entry, error) bool) bool {
	e := &state.Entry{KeyGroup: group}
	for i, f := range families {
		for f.ok {
			if g, ok := s.Group(f.key); !ok || g != group {
				break
			}
			if db.handle.Groups.Contains(group) {
				e.State, e.Value = i, f.value
				object := fmt.Sprintf("%s, state %s, key %x", db.handle.Object, db.handle.Header.States[i].Name, f.key)
				if err := s.Split(e, f.key, object); err != nil {
					yield(nil, err)
					return false
				}
				if !yield(e, nil) {
					return false
				}
			}
			if err := f.next(); err != nil {
				yield(nil, err)
				return false
			}
		}
	}
	return true
}
