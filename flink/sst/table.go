package sst

import (
	"encoding/binary"

	"github.com/tidemark-io/tidemark/flink/wire"
)

// The footer. On disk.
const (
	footerSize  = 53
	tableMagic  = 0x88E241B785F4CFF7
	handleSpace = 40 // of two block handles, padded
)

// Kinds of entries. On disk.
const (
	kindDelete       byte = 0
	kindPut          byte = 1
	kindMerge        byte = 2
	kindSingleDelete byte = 7
	kindRangeDelete  byte = 15
)

// Names of meta blocks and properties. On disk.
const (
	metaProperties  = "rocksdb.properties"
	metaRangeDelete = "rocksdb.range_del"
	propIndexType   = "rocksdb.block.based.table.index.type"
	propIndexDelta  = "rocksdb.index.value.is.delta.encoded"
	propComparator  = "rocksdb.comparator"
	propExternal    = "rocksdb.external_sst_file.version"
	propUserKeys    = "rocksdb.index.key.is.user.key"
)

// Kinds of indexes. On disk.
const (
	indexBinary   = 0
	indexHash     = 1
	indexTwoLevel = 2
)

// byteOrder is the comparator whose order is that of bytes.
const byteOrder = "leveldb.BytewiseComparator"

// table is an open table.
type table struct {
	file
	index      handle
	twoLevel   bool
	delta      bool
	external   bool // ingested: all entries have the sequence number of the manifest
	userKeys   bool // no two blocks have entries of one key
	tombstones []tombstone
	metas      []handle // of the meta blocks, filters among them
}

// tombstone deletes the keys from start up to end that are older than it.
type tombstone struct {
	start, end []byte
	// endIncluded: a table's last key bounds its tombstones.
	endIncluded bool
	sequence    uint64
}

// openTable reads footer, properties and range tombstones.
func openTable(f file) (*table, error) {
	t := &table{file: f}
	if f.size < footerSize {
		return nil, f.bad(0, "table", wire.Malformed("%d bytes, a footer takes %d", f.size, footerSize))
	}
	var b [footerSize]byte
	at := uint64(f.size - footerSize)
	if _, err := f.data.ReadAt(b[:], int64(at)); err != nil {
		return nil, f.bad(at, "footer", err)
	}
	if m := binary.LittleEndian.Uint64(b[45:]); m != tableMagic {
		return nil, f.bad(at, "footer", wire.Malformed("magic %016x, expected %016x", m, uint64(tableMagic)))
	}
	if v := binary.LittleEndian.Uint32(b[41:]); v < 2 || v > 5 {
		return nil, f.bad(at, "footer", wire.Unsupported("table format version %d, 2 to 5 are known", v))
	}
	t.sum = b[0]
	meta, rest, ok := parseHandle(b[1 : 1+handleSpace])
	if ok {
		t.index, _, ok = parseHandle(rest)
	}
	if !ok {
		return nil, f.bad(at, "footer", wire.Malformed("no block handles"))
	}
	return t, t.meta(meta)
}

// parseHandle decodes a block handle from the front of b.
func parseHandle(b []byte) (h handle, rest []byte, ok bool) {
	offset, n := binary.Uvarint(b)
	if n <= 0 {
		return h, nil, false
	}
	size, m := binary.Uvarint(b[n:])
	if m <= 0 {
		return h, nil, false
	}
	return handle{offset, size}, b[n+m:], true
}

// each calls do for every entry of a block of keys and values.
func (t *table) each(h handle, what string, do func(key, value []byte) error) error {
	b, err := t.block(h, what)
	if err != nil {
		return err
	}
	r, err := newBlockReader(b, false)
	for err == nil {
		var more bool
		if more, err = r.next(); err != nil || !more {
			break
		}
		err = do(r.key, r.value)
	}
	if err != nil {
		return t.bad(h.offset, what, err)
	}
	return nil
}

// meta reads the meta blocks that matter.
func (t *table) meta(h handle) error {
	var properties, ranges *handle
	err := t.each(h, "meta index", func(key, value []byte) error {
		at, _, ok := parseHandle(value)
		switch name := string(key); {
		case !ok:
			return wire.Malformed("no block handle under %.60q", key)
		case name == metaProperties:
			properties = &at
		case name == metaRangeDelete:
			ranges = &at
		}
		t.metas = append(t.metas, at)
		return nil
	})
	if err != nil {
		return err
	}
	if properties == nil {
		return t.bad(h.offset, "meta index", wire.Malformed("it names no properties"))
	}
	if err := t.each(*properties, "properties", t.property); err != nil {
		return err
	}
	if ranges == nil {
		return nil
	}
	return t.each(*ranges, "range tombstones", func(key, value []byte) error {
		user, sequence, kind, ok := parseKey(key)
		if !ok || kind != kindRangeDelete {
			return wire.Malformed("a range tombstone with the key %x", key)
		}
		t.tombstones = append(t.tombstones, tombstone{start: append([]byte{}, user...), end: append([]byte{}, value...), sequence: sequence})
		return nil
	})
}

func (t *table) property(key, value []byte) error {
	switch string(key) {
	case propComparator:
		if string(value) != byteOrder {
			return wire.Unsupported("the comparator %.100q", value)
		}
	case propIndexType:
		if len(value) != 4 {
			return wire.Malformed("an index type of %d bytes", len(value))
		}
		switch n := binary.LittleEndian.Uint32(value); n {
		case indexBinary, indexHash:
		case indexTwoLevel:
			t.twoLevel = true
		default:
			return wire.Unsupported("indexes of kind %d", n)
		}
	case propIndexDelta:
		n, _ := binary.Uvarint(value)
		t.delta = n != 0
	case propUserKeys:
		n, _ := binary.Uvarint(value)
		t.userKeys = n != 0
	case propExternal:
		t.external = len(value) == 4 && binary.LittleEndian.Uint32(value) >= 2
	}
	return nil
}

// parseKey takes an internal key apart.
func parseKey(key []byte) (user []byte, sequence uint64, kind byte, ok bool) {
	n := len(key) - 8
	if n < 0 {
		return nil, 0, 0, false
	}
	packed := binary.LittleEndian.Uint64(key[n:])
	return key[:n], packed >> 8, byte(packed), true
}

// indexReader goes through the handles of an index block.
type indexReader struct {
	r    *blockReader
	last handle
}

// openIndex reads an index block.
func (t *table) openIndex(h handle) (*indexReader, error) {
	b, err := t.block(h, "index")
	if err != nil {
		return nil, err
	}
	r, err := newBlockReader(b, t.delta)
	if err != nil {
		return nil, t.bad(h.offset, "index", err)
	}
	return &indexReader{r: r}, nil
}

// next returns the next handle. In a delta index only keys without a shared prefix
// have a whole one; the others have the difference in size to the block before,
// behind which they lie.
func (x *indexReader) next() (h handle, more bool, err error) {
	if more, err = x.r.next(); !more || err != nil {
		return h, false, err
	}
	value := x.r.value
	if x.r.delta {
		value = x.r.data[x.r.pos:]
	}
	if x.r.delta && x.r.shared {
		diff, n := binary.Varint(value)
		if n <= 0 {
			return h, false, wire.Malformed("no size at %d of the index", x.r.pos)
		}
		x.r.pos += n
		h = handle{x.last.offset + x.last.size + trailerSize, x.last.size + uint64(diff)}
	} else {
		var rest []byte
		var ok bool
		if h, rest, ok = parseHandle(value); !ok {
			return h, false, wire.Malformed("no block handle at %d of the index", x.r.pos)
		}
		if x.r.delta {
			x.r.pos = len(x.r.data) - len(rest)
		}
	}
	x.last = h
	return h, true, nil
}
