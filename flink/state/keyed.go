package state

import (
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"

	"github.com/klauspost/compress/s2"

	"github.com/tidemark-io/tidemark/flink/serde"
	"github.com/tidemark-io/tidemark/flink/wire"
	"github.com/tidemark-io/tidemark/keygroup"
)

// Layout is how a file of keyed state holds its entries.
type Layout uint8

// The layouts.
const (
	// Canonical is that of canonical savepoints, and of full RocksDB
	// checkpoints up to Flink 1.15.
	Canonical Layout = iota + 1
	// Heap is that of checkpoints and native savepoints of the heap backend.
	Heap
)

// String is a name for messages.
func (l Layout) String() string {
	if l == Heap {
		return "heap"
	}
	return "canonical"
}

// KeyedFile is what metadata says about a file of keyed state.
type KeyedFile struct {
	Object string // name for errors
	Data   io.ReaderAt
	Size   int64 // of Data, in bytes
	Groups keygroup.Range
	// Offsets has one offset for each key group; 0 means empty in the
	// canonical layout.
	Offsets []int64
	// MaxParallelism is the operator's number of key groups.
	MaxParallelism int
	// Savepoint says that the handle is that of a canonical savepoint (tag 7).
	// The layout of other handles is recognised.
	Savepoint bool
	// Damaged opens a file that may be: key groups that lie outside it are errors
	// of their own, and the layout is that of most of them.
	Damaged bool
	// Header, if it is set, stands in for the file's own.
	Header *KeyedHeader
}

// Keyed is an open file of keyed state. It may be used by one goroutine at a time
// for each iterator.
type Keyed struct {
	Header *KeyedHeader
	Layout Layout
	file   KeyedFile
}

// OpenKeyed reads the header of a file of keyed state and recognises its layout.
// Errors are *wire.Error.
func OpenKeyed(f KeyedFile) (*Keyed, error) {
	if f.Groups.Len() != len(f.Offsets) || !keygroup.Valid(f.MaxParallelism) || f.Groups.First < 0 || f.Groups.Last >= f.MaxParallelism {
		return nil, &wire.Error{Object: f.Object, What: "key groups", Err: wire.Malformed("%d offsets for the groups %v of %d", len(f.Offsets), f.Groups, f.MaxParallelism)}
	}
	h, err := f.Header, error(nil)
	if h == nil {
		if h, err = ReadKeyedHeader(section(f.Object, f.Data, 0, f.Size)); err != nil {
			return nil, err
		}
	}
	k := &Keyed{Header: h, file: f}
	if f.Damaged {
		k.Layout = k.guess()
		return k, nil
	}
	for i, off := range f.Offsets {
		switch {
		case off > f.Size:
			return nil, &wire.Error{Object: f.Object, Offset: f.Size, What: "key group", Err: wire.Truncated("group %d begins at %d", f.Groups.First+i, off)}
		case off != 0 && off < h.Size:
			return nil, &wire.Error{Object: f.Object, Offset: max(off, 0), What: "key group", Err: wire.Malformed("group %d begins at %d, within the header of %d bytes", f.Groups.First+i, off, h.Size)}
		}
	}
	k.Layout, err = k.recognise()
	return k, err
}

// section is a reader of a part of a file.
func section(object string, data io.ReaderAt, from, to int64) *wire.Reader {
	return wire.NewStream(object, from, io.NewSectionReader(data, from, to-from), to-from)
}

// recognise tells the layouts apart. The heap layout has every key group, each
// beginning with its number; where a canonical file has the number of a state and
// the length of a key, the number of group 0 stands often and that of another one
// only in front of a key of 64 KiB or more; so three groups are looked at, and if
// group 0 is the only one, it is read.
func (k *Keyed) recognise() (Layout, error) {
	if k.file.Savepoint || slices.Contains(k.file.Offsets, 0) {
		return Canonical, nil
	}
	for i, off := range k.file.Offsets[:min(3, len(k.file.Offsets))] {
		var b [4]byte
		if _, err := k.file.Data.ReadAt(b[:], off); err != nil {
			if errors.Is(err, io.EOF) {
				return Canonical, nil
			}
			return 0, &wire.Error{Object: k.file.Object, Offset: off, What: "key group", Err: err}
		}
		if wire.NewBytes("", 0, b[:]).I32("") != int32(k.file.Groups.First+i) {
			return Canonical, nil
		}
	}
	if len(k.file.Offsets) == 1 && k.file.Groups.First == 0 {
		for _, err := range k.group(0, Canonical) {
			if err != nil {
				return Heap, nil
			}
		}
		return Canonical, nil
	}
	return Heap, nil
}

// guess recognises the layout of a file that may be damaged: the one that most key
// groups begin as.
func (k *Keyed) guess() Layout {
	if k.file.Savepoint || slices.Contains(k.file.Offsets, 0) {
		return Canonical
	}
	heap := 0
	for i, off := range k.file.Offsets {
		var b [4]byte
		if _, err := k.file.Data.ReadAt(b[:], max(off, 0)); err == nil && wire.NewBytes("", 0, b[:]).I32("") == int32(k.file.Groups.First+i) {
			heap++
		}
	}
	if len(k.file.Offsets) == 1 && k.file.Groups.First == 0 || heap*2 < len(k.file.Offsets) {
		if l, err := k.recognise(); err == nil {
			return l
		}
	}
	if heap*2 < len(k.file.Offsets) {
		return Canonical
	}
	return Heap
}

// Entries yields the entries of all key groups, ascending. An error is one of a
// key group; a consumer that goes on gets the groups behind it.
func (k *Keyed) Entries() iter.Seq2[*Entry, error] {
	return func(yield func(*Entry, error) bool) {
		for g := k.file.Groups.First; g <= k.file.Groups.Last; g++ {
			for e, err := range k.Group(g) {
				if !yield(e, err) {
					return
				}
			}
		}
	}
}

// Group yields the entries of one key group, in the order of the file. An error
// ends them; it is a *wire.Error.
func (k *Keyed) Group(g int) iter.Seq2[*Entry, error] { return k.group(g, k.Layout) }

// Extent is where a key group lies: [from, to); both 0 if it is empty.
func (k *Keyed) Extent(g int) (from, to int64) {
	from = k.file.Offsets[g-k.file.Groups.First]
	if from == 0 {
		return 0, 0
	}
	to = k.file.Size
	for _, off := range k.file.Offsets {
		if off > from && off < to {
			to = off
		}
	}
	return from, to
}

func (k *Keyed) group(g int, layout Layout) iter.Seq2[*Entry, error] {
	return func(yield func(*Entry, error) bool) {
		if !k.file.Groups.Contains(g) {
			yield(nil, fmt.Errorf("%s has the key groups %v, not %d", k.file.Object, k.file.Groups, g))
			return
		}
		from, to := k.Extent(g)
		if from == 0 {
			return
		}
		if from < 0 || from > k.file.Size {
			yield(nil, &wire.Error{Object: k.file.Object, Offset: max(from, 0), What: "key group", Err: wire.Truncated("group %d lies outside the file of %d bytes", g, k.file.Size)})
			return
		}
		c := &cursor{k: k, group: g, entry: Entry{KeyGroup: g}, yield: yield,
			split: splitter{key: k.Header.Key, states: k.Header.States, prefix: prefixLength(k.file.MaxParallelism)}}
		c.r = section(k.file.Object, k.file.Data, from, to)
		if layout == Heap {
			c.heap()
		} else {
			c.canonical()
		}
		if !c.stopped && c.r.Err() == nil {
			c.r.End(fmt.Sprintf("key group %d", g))
		}
		if !c.stopped && c.r.Err() != nil {
			yield(nil, c.r.Err())
		}
	}
}

// cursor goes through one key group.
type cursor struct {
	k       *Keyed
	r       *wire.Reader
	group   int
	entry   Entry
	split   splitter
	yield   func(*Entry, error) bool
	stopped bool
	// Buffers for parts that are put together.
	composite, value, key, namespace []byte
}

// decompress makes the reader one of the decompressed bytes of what follows.
func (c *cursor) decompress(identified bool) {
	from := c.r.Offset()
	left := c.r.Left()
	options := []s2.ReaderOption{s2.ReaderMaxBlockSize(64 << 10), s2.ReaderAllocBlock(64 << 10)}
	if !identified {
		options = append(options, s2.ReaderIgnoreStreamIdentifier())
	}
	src := s2.NewReader(io.NewSectionReader(c.k.file.Data, from, left), options...)
	c.r = wire.NewStream(c.k.file.Object+" (decompressed)", 0, src, -1)
	c.r.SetDecoded()
}

// state checks a state's number.
func (c *cursor) state(at int64, n int16) bool {
	if c.r.Err() == nil && (n < 0 || int(n) >= len(c.k.Header.States)) {
		c.r.FailAt(at, "number of a state", wire.Malformed("%d of %d states", n, len(c.k.Header.States)))
	}
	c.entry.State = int(n)
	return c.r.Err() == nil
}

// endOfGroup stands where the number of the next state would. On disk.
const endOfGroup = -1

// lastOfState is set in the first byte of the key of the last entry of a state in
// a key group. On disk.
const lastOfState byte = 0x80

// canonical reads the layout of savepoints: the number of a state, its entries,
// the last one marked, and so on up to the end of the group.
func (c *cursor) canonical() {
	if c.k.Header.Compressed {
		c.decompress(true)
	}
	at := c.r.Offset()
	state := c.r.I16("number of a state")
	for c.state(at, state) {
		e := &c.entry
		e.Offset = c.r.Offset()
		c.r.Mark()
		c.r.Bytes32("key")
		keyEnd := c.r.Offset()
		value := c.r.Bytes32("value")
		marked := c.r.Marked()
		c.r.Unmark()
		if c.r.Err() != nil {
			return
		}
		key := marked[4 : keyEnd-e.Offset]
		e.Value = marked[len(marked)-len(value):]
		if len(key) < c.split.prefix {
			c.r.FailAt(e.Offset, "key", wire.Malformed("%d bytes, the key group takes %d", len(key), c.split.prefix))
			return
		}
		last := key[0]&lastOfState != 0
		group := int(key[0] &^ lastOfState)
		if c.split.prefix == 2 {
			group = group<<8 | int(key[1])
		}
		if group != c.group {
			c.r.FailAt(e.Offset, "key", wire.Malformed("it is of key group %d, in the place of group %d", group, c.group))
			return
		}
		e.Composite = key[c.split.prefix:]
		if err := c.split.split(e, c.r.Object(), e.Offset+4+int64(c.split.prefix)); err != nil {
			fail(c.r, err)
			return
		}
		if c.stopped = !c.yield(e, nil); c.stopped {
			return
		}
		if last {
			at = c.r.Offset()
			if state = c.r.I16("number of a state"); state == endOfGroup {
				return
			}
		}
	}
}

// heap reads the layout of the heap backend: the group's number, and for each
// state its number, the number of entries, and the entries without any length.
func (c *cursor) heap() {
	at := c.r.Offset()
	if g := c.r.I32("number of the key group"); c.r.Err() == nil && int64(g) != int64(c.group) {
		c.r.FailAt(at, "number of the key group", wire.Malformed("%d, expected %d", g, c.group))
		return
	}
	if c.k.Header.Compressed && len(c.k.Header.States) > 0 {
		c.decompress(true)
	}
	for range c.k.Header.States {
		at := c.r.Offset()
		if !c.state(at, c.r.I16("number of a state")) {
			return
		}
		m := &c.k.Header.States[c.entry.State]
		for range c.r.Count(1, "entries of a state") {
			if m.Kind == PriorityQueue {
				c.heapTimer(m)
			} else {
				c.heapEntry(m)
			}
			if c.stopped || c.r.Err() != nil {
				return
			}
		}
	}
}

// skipped passes over one value and returns its bytes in a buffer of their own.
func (c *cursor) skipped(buf *[]byte, typ *serde.Type) []byte {
	c.r.Mark()
	typ.Skip(c.r)
	b := clone(buf, c.r.Marked())
	c.r.Unmark()
	return b
}

func (c *cursor) heapTimer(m *Meta) {
	e := &c.entry
	e.Offset = c.r.Offset()
	e.Composite, e.Value = c.skipped(&c.composite, m.Type(SerializerValue)), nil
	if c.r.Err() != nil {
		return
	}
	if err := c.split.split(e, c.r.Object(), e.Offset); err != nil {
		fail(c.r, err)
		return
	}
	c.stopped = !c.yield(e, nil)
}

// heapEntry reads a namespace, a key and a value. A map gives an entry for each of
// its own.
func (c *cursor) heapEntry(m *Meta) {
	e := &c.entry
	e.Offset = c.r.Offset()
	e.Split, e.Timestamp, e.UserKey = true, 0, nil
	ns := m.Type(SerializerNamespace)
	e.Namespace = c.skipped(&c.namespace, ns)
	e.Key = c.skipped(&c.key, c.k.Header.Key)
	e.Composite = AppendComposite(c.composite[:0], c.k.Header.Key, ns, e.Key, e.Namespace, nil)
	c.composite = e.Composite
	if elem, ok := m.List(); ok {
		c.heapList(plain(m.Type(SerializerValue)), elem)
		return
	}
	if key, value, ok := m.Map(); ok {
		c.heapMap(key, value)
		return
	}
	e.Value = c.skipped(&c.value, m.Type(SerializerValue))
	c.emit()
}

// emit yields the entry unless reading it failed.
func (c *cursor) emit() {
	if c.r.Err() == nil {
		c.stopped = !c.yield(&c.entry, nil)
	}
}

// heapList joins the elements of a list with commas. An empty list is no entry.
func (c *cursor) heapList(list, elem *serde.Type) {
	if list.Kind != serde.KindList {
		c.r.Fail("list", wire.Unsupported("lists of %s in a state of lists", list.Class))
		return
	}
	n := c.r.Count(0, "elements of a list")
	c.value = c.value[:0]
	for i := 0; i < n && c.r.Err() == nil; i++ {
		if i > 0 {
			c.value = append(c.value, separator)
		}
		c.r.Mark()
		elem.Skip(c.r)
		c.value = append(c.value, c.r.Marked()...)
		c.r.Unmark()
		if uint64(len(c.value)) > wire.DefaultLimit {
			c.r.Fail("list", wire.OverLimit(uint64(len(c.value)), wire.DefaultLimit))
		}
	}
	if c.entry.Value = c.value; n > 0 {
		c.emit()
	}
}

// heapMap gives an entry for each entry of a map. An empty map is none.
func (c *cursor) heapMap(key, value *serde.Type) {
	e := &c.entry
	head := len(e.Composite)
	for range c.r.Count(1, "entries of a map") {
		e.Offset = c.r.Offset()
		c.r.Mark()
		key.Skip(c.r)
		c.composite = append(c.composite[:head], c.r.Marked()...)
		c.r.Unmark()
		c.r.Mark()
		if !c.r.Bool("whether a value is null") {
			value.Skip(c.r)
		}
		e.Value = clone(&c.value, c.r.Marked())
		c.r.Unmark()
		e.Composite, e.UserKey = c.composite, c.composite[head:]
		if c.emit(); c.stopped || c.r.Err() != nil {
			return
		}
	}
}

// fail records in r the failure of a part's own reader.
func fail(r *wire.Reader, err error) {
	var e *wire.Error
	if errors.As(err, &e) {
		r.FailAt(e.Offset, e.What, e.Err)
		return
	}
	r.Fail("entry", err)
}

// isOpaque reports whether an error means that an encoding is the user's own.
func isOpaque(err error) bool {
	var e *serde.OpaqueError
	return errors.As(err, &e)
}
