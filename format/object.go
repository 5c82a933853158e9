package format

import (
	"io"
	"iter"
	"math"

	"github.com/tidemark-io/tidemark/keygroup"
)

// AppendObjectHeader appends the header of a data object to dst. Blocks follow
// it, then the index of each slice somewhere behind the slice's blocks, then
// what [AppendObjectEnd] appends.
func AppendObjectHeader(dst []byte, h Header) ([]byte, error) {
	if h.Length != 0 {
		return dst, invalid("a data object does not state its length at the beginning")
	}
	dst, _, err := appendHeader(dst, objectFile, &h)
	return dst, err
}

// Entry describes one slice in the directory of a data object, with all that is
// needed to rebuild a lost manifest (R13).
type Entry struct {
	Slice           Slice // State and Object are not stored
	Kind            Kind
	Operator        string // uid
	Parallelism     uint32 // of the operator
	KeyGroups       uint32 // of the operator, 0 if not keyed
	State           string // name
	Edge            string // id, of channel state and channel watermarks
	KeySchema       []byte // encoded, empty if none; alias the object's bytes when read
	NamespaceSchema []byte
	ValueSchema     []byte
}

// directoryRow carries one row of the directory. back is the distance from the
// directory to the slice's index.
func directoryRow(c *rowCodec, back *uint64, e *Entry) {
	s := &e.Slice
	c.byte((*byte)(&e.Kind))
	c.str(&e.Operator)
	c.u32(&e.Parallelism)
	c.u32(&e.KeyGroups)
	c.str(&e.State)
	c.str(&e.Edge)
	c.bytes(&e.KeySchema)
	c.bytes(&e.NamespaceSchema)
	c.bytes(&e.ValueSchema)
	c.u32(&s.Subtask)
	c.uint(back)
	c.u32(&s.Length)
	c.fixed32(&s.CRC)
	c.u32(&s.Blocks)
	c.uint(&s.Entries)
	c.uint(&s.Bytes)
	c.uint(&s.Decoded)
	c.uint(&s.Interval.Lo)
	c.uint(&s.Interval.Hi)
}

// AppendObjectEnd appends the directory and the footer of a data object, which
// begin at the offset at, to dst. header is the encoded header, entries are in
// the order of the slices' indexes. The checksum is the one that
// [Object.DirectoryCRC] states.
func AppendObjectEnd(dst []byte, at uint64, header []byte, entries []Entry) ([]byte, uint32, error) {
	b := NewBuilder(KindDirectory)
	b.Compress(CodecZstd)
	var end uint64
	for i := range entries {
		e := entries[i]
		if err := e.check(); err != nil {
			return dst, 0, err
		}
		if e.Slice.Offset < end || e.Slice.Ref().End() > at {
			return dst, 0, invalid("index %d at %d of %d bytes, the one before ends at %d, the directory is at %d",
				i, e.Slice.Offset, e.Slice.Length, end, at)
		}
		end = e.Slice.Ref().End()
		back := at - e.Slice.Offset
		b.encode(func(c *rowCodec) { directoryRow(c, &back, &e) })
	}
	from := len(dst)
	dst, ref, err := b.AppendBlock(dst)
	if err != nil {
		return dst, 0, err
	}
	f := footer{length: at + uint64(len(dst)-from) + FooterSize, directory: at, directoryLen: ref.Length,
		directoryCRC: ref.CRC, decoded: ref.Decoded, rows: ref.Rows}
	_, f.headerCRC, _ = splitChecksum(header)
	dst, crc := appendFooter(dst, objectFile, &f)
	return dst, crc, nil
}

// check applies the rules for the cells of a row of the directory.
func (e *Entry) check() error {
	if !e.Kind.Data() {
		return invalid("slice of kind %d", e.Kind)
	}
	if e.KeyGroups > keygroup.MaxGroups {
		return invalid("%d key groups", e.KeyGroups)
	}
	if err := checkFilled("uid", e.Operator, MaxText); err != nil {
		return err
	}
	if err := checkText("state name", e.State, MaxText); err != nil {
		return err
	}
	if err := checkText("edge id", e.Edge, MaxText); err != nil {
		return err
	}
	return e.Slice.check()
}

// check applies the rules for a slice that need no other table.
func (s *Slice) check() error {
	switch {
	case s.Interval.Lo > s.Interval.Hi || s.Interval.Hi > keygroup.All().Hi:
		return invalid("interval of hashes %v", s.Interval)
	case s.Offset > math.MaxInt64-math.MaxUint32:
		return invalid("offset %d", s.Offset)
	case uint64(s.Blocks) > s.Entries || s.Blocks == 0 && (s.Entries|s.Bytes|s.Decoded) != 0:
		return invalid("%d entries in %d blocks of %d (decoded %d) bytes", s.Entries, s.Blocks, s.Bytes, s.Decoded)
	case s.Bytes > s.Offset || s.Entries > s.Decoded || s.Decoded > uint64(s.Blocks)*math.MaxUint32:
		return invalid("%d entries in %d blocks of %d (decoded %d) bytes before offset %d",
			s.Entries, s.Blocks, s.Bytes, s.Decoded, s.Offset)
	case s.Length <= crcSize:
		return invalid("block index of %d bytes", s.Length)
	}
	return nil
}

// OpenOptions say what a file is expected to be.
type OpenOptions struct {
	Object string  // name in errors; for a data object also the name that its header must state, if Check
	Check  bool    // whether the header's name is compared
	Limits *Limits // nil: the defaults
}

// ObjectReader reads a data object without its manifest: to verify it, or to
// rebuild a lost manifest. A reader that has the manifest reads the index of a
// slice directly.
type ObjectReader struct {
	Header    Header
	EndCRC    uint32 // checksum of the footer, as [Object.DirectoryCRC] states it
	HeaderLen int    // blocks begin here
	Directory uint64 // and end here

	object string
	dir    Block
}

// OpenObject reads header, footer and directory of a data object of size bytes.
// Errors of r are passed on; what is wrong with the bytes is a [*CorruptError].
func OpenObject(r io.ReaderAt, size int64, opt OpenOptions) (*ObjectReader, error) {
	lim := opt.Limits.orDefault()
	o := &ObjectReader{object: opt.Object}
	head, f, err := openFile(r, size, objectFile, opt.Object)
	if err != nil {
		return nil, err
	}
	o.Header, o.HeaderLen, o.EndCRC, o.Directory = head.Header, head.length, f.crc, f.directory
	if opt.Check && head.Name != opt.Object {
		return nil, &CorruptError{opt.Object, 0, "header", malformed("the object says that it is %q", head.Name)}
	}
	if o.Header.Length != 0 {
		return nil, &CorruptError{opt.Object, 0, "header", malformed("length %d in a data object", head.Length)}
	}
	if f.directory < uint64(head.length) {
		return nil, &CorruptError{opt.Object, size - FooterSize, "footer", malformed("directory at %d", f.directory)}
	}
	if err := o.readDirectory(r, f, &lim); err != nil {
		return nil, err
	}
	for _, err := range o.Entries() {
		if err != nil {
			return nil, err
		}
	}
	return o, nil
}

// readDirectory reads and decodes the directory that the footer points to.
func (o *ObjectReader) readDirectory(r io.ReaderAt, f openFooter, lim *Limits) error {
	data, err := readBlock(r, o.object, KindDirectory, f.ref(), lim)
	if err != nil {
		return err
	}
	return o.dir.Decode(o.object, data, KindDirectory, f.ref(), lim)
}

// Entries yields the slices in the order of their indexes. Schemas alias the
// reader's memory.
func (o *ObjectReader) Entries() iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		var r rowReader
		r.start(&o.dir)
		end := uint64(o.HeaderLen)
		for row := 0; r.left > 0; row++ {
			var e Entry
			var back uint64
			err := r.next(func(c *rowCodec) { directoryRow(c, &back, &e) })
			e.Slice.Offset = o.Directory - back
			if err == nil && (back > o.Directory || uint64(e.Slice.Length) > back || e.Slice.Offset < end) {
				err = malformed("index of %d bytes, %d before the directory at %d, behind one that ends at %d",
					e.Slice.Length, back, o.Directory, end)
			}
			if err == nil {
				err = asDamage(e.check())
			}
			if err != nil {
				yield(Entry{}, &CorruptError{o.object, int64(o.Directory), rowUnit(KindDirectory, row), err})
				return
			}
			end = e.Slice.Ref().End()
			if !yield(e, nil) {
				return
			}
		}
	}
}

// Len is the number of slices.
func (o *ObjectReader) Len() int { return o.dir.rows }
