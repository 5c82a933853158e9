package sst

import (
	"bytes"
	"encoding/binary"
	"io"

	"github.com/tidemark-io/tidemark/flink/wire"
)

// The log in which a MANIFEST is written. On disk.
const (
	logBlock       = 32 << 10
	logHeader      = 7
	logFull   byte = 1
	logFirst  byte = 2
	logMid    byte = 3
	logLast   byte = 4
)

// Tags of version edits. On disk.
const (
	tagComparator    = 1
	tagLogNumber     = 2
	tagNextFile      = 3
	tagLastSequence  = 4
	tagCompactCursor = 5
	tagDeletedFile   = 6
	tagNewFile       = 7
	tagPrevLog       = 9
	tagMinLog        = 10
	tagNewFile2      = 100
	tagNewFile3      = 102
	tagNewFile4      = 103
	tagFamily        = 200
	tagFamilyAdd     = 201
	tagFamilyDrop    = 202
	tagMaxFamily     = 203
	tagInGroup       = 300
	tagIgnorable     = 1 << 13 // a bit: its field may be passed over
	fieldEnd         = 1       // of a new file's fields
)

// maxManifest bounds the bytes of a MANIFEST.
const maxManifest = 64 << 20

// tableMeta is what the MANIFEST says about a table.
type tableMeta struct {
	number                  uint64
	size                    uint64
	smallest, largest       []byte // user keys
	largestExcluded         bool   // largest is the end of a range tombstone
	smallestSeq, largestSeq uint64
}

// clip bounds a tombstone by the keys of its table.
func (m *tableMeta) clip(d tombstone) (tombstone, bool) {
	if bytes.Compare(d.start, m.smallest) < 0 {
		d.start = m.smallest
	}
	if bytes.Compare(d.end, m.largest) > 0 {
		d.end, d.endIncluded = m.largest, !m.largestExcluded
	}
	c := bytes.Compare(d.start, d.end)
	return d, c < 0 || c == 0 && d.endIncluded
}

// columnFamily is a column family and its live tables.
type columnFamily struct {
	name   string
	tables map[uint64]tableMeta
}

// manifest is the state that a MANIFEST's edits add up to.
type manifest struct {
	object   string
	families map[uint64]*columnFamily
}

// readManifest reads the edits of a MANIFEST.
func readManifest(object string, data io.ReaderAt, size int64) (*manifest, error) {
	bad := func(at int, what string, err error) error {
		return &wire.Error{Object: object, Offset: int64(at), What: what, Err: err}
	}
	if size > maxManifest || size < 0 {
		return nil, bad(0, "MANIFEST", wire.OverLimit(uint64(size), maxManifest))
	}
	b := make([]byte, size)
	if n, err := data.ReadAt(b, 0); err != nil && (err != io.EOF || int64(n) < size) {
		return nil, bad(n, "MANIFEST", err)
	}
	m := &manifest{object: object, families: map[uint64]*columnFamily{0: {name: "default", tables: map[uint64]tableMeta{}}}}
	var record []byte
	start := 0
	for at := 0; at < len(b); {
		if room := logBlock - at%logBlock; room < logHeader {
			at += room // padding
			continue
		}
		if len(b)-at < logHeader {
			return nil, bad(at, "record", wire.ErrTruncated)
		}
		kind, n := b[at+6], int(binary.LittleEndian.Uint16(b[at+4:]))
		if n > len(b)-at-logHeader || n > logBlock-logHeader-at%logBlock {
			return nil, bad(at, "record", wire.Malformed("%d bytes", n))
		}
		part := b[at+logHeader : at+logHeader+n]
		if kind == 0 && n == 0 {
			return nil, bad(at, "record", wire.Malformed("zeros"))
		}
		if sum := maskedCRC(b[at+6 : at+logHeader+n]); sum != binary.LittleEndian.Uint32(b[at:]) {
			return nil, bad(at, "record", wire.Malformed("checksum %08x, stored %08x", sum, binary.LittleEndian.Uint32(b[at:])))
		}
		if kind == logFull || kind == logFirst {
			record, start = nil, at
		}
		if kind < logFull || kind > logLast {
			return nil, bad(at, "record", wire.Unsupported("records of kind %d", kind))
		}
		record = append(record, part...)
		if kind == logFull || kind == logLast {
			if err := m.apply(record); err != nil {
				return nil, bad(start, "version edit", err)
			}
			record = nil
		}
		at += logHeader + n
	}
	if record != nil {
		return nil, bad(start, "version edit", wire.ErrTruncated)
	}
	return m, nil
}

// edit decodes the fields of a version edit.
type edit struct {
	b   []byte
	err error
}

func (e *edit) number() uint64 {
	v, n := binary.Uvarint(e.b)
	if n <= 0 {
		if e.err == nil {
			e.err = wire.Malformed("no number where %d bytes are left", len(e.b))
		}
		e.b = nil
		return 0
	}
	e.b = e.b[n:]
	return v
}

func (e *edit) bytes() []byte {
	n := e.number()
	if n > uint64(len(e.b)) {
		if e.err == nil {
			e.err = wire.Malformed("a field of %d bytes where %d are left", n, len(e.b))
		}
		e.b = nil
		return nil
	}
	v := e.b[:n]
	e.b = e.b[n:]
	return v
}

// apply applies one edit. All of its changes are to one column family.
func (m *manifest) apply(record []byte) error {
	e := &edit{b: record}
	var family uint64
	var added, dropped bool
	var name string
	var files []tableMeta
	var deleted []uint64
	for len(e.b) > 0 && e.err == nil {
		switch tag := e.number(); tag {
		case tagComparator:
			if c := e.bytes(); e.err == nil && string(c) != byteOrder {
				return wire.Unsupported("the comparator %.100q", c)
			}
		case tagLogNumber, tagNextFile, tagLastSequence, tagPrevLog, tagMinLog, tagMaxFamily, tagInGroup:
			e.number()
		case tagCompactCursor:
			e.number()
			e.bytes()
		case tagDeletedFile:
			e.number()
			deleted = append(deleted, e.number())
		case tagNewFile, tagNewFile2, tagNewFile3, tagNewFile4:
			files = append(files, e.file(tag))
		case tagFamily:
			family = e.number()
		case tagFamilyAdd:
			added, name = true, string(e.bytes())
		case tagFamilyDrop:
			dropped = true
		default:
			if tag&tagIgnorable == 0 {
				return wire.Unsupported("the tag %d", tag)
			}
			e.bytes()
		}
	}
	if e.err != nil {
		return e.err
	}
	if added {
		m.families[family] = &columnFamily{name: name, tables: map[uint64]tableMeta{}}
	}
	f := m.families[family]
	switch {
	case f == nil:
		return wire.Malformed("an edit of the unknown column family %d", family)
	case dropped:
		delete(m.families, family)
		return nil
	}
	for _, n := range deleted {
		delete(f.tables, n)
	}
	for _, t := range files {
		f.tables[t.number] = t
	}
	return nil
}

// file reads what an edit says about a new file.
func (e *edit) file(tag uint64) tableMeta {
	e.number() // level
	t := tableMeta{number: e.number()}
	if tag == tagNewFile3 {
		e.number() // path
	}
	t.size = e.number()
	var ok1, ok2 bool
	var packed uint64
	var kind byte
	t.smallest, _, _, ok1 = parseKey(e.bytes())
	t.largest, packed, kind, ok2 = parseKey(e.bytes())
	if e.err == nil && !(ok1 && ok2) {
		e.err = wire.Malformed("a file without smallest and largest key")
	}
	t.largestExcluded = kind == kindRangeDelete && packed == 1<<56-1
	if tag != tagNewFile {
		t.smallestSeq, t.largestSeq = e.number(), e.number()
	}
	for tag == tagNewFile4 && e.err == nil {
		if e.number() == fieldEnd {
			break
		}
		e.bytes()
	}
	return t
}
