package state

import (
	"github.com/tidemark-io/tidemark/flink/serde"
	"github.com/tidemark-io/tidemark/flink/wire"
)

// Entry is one entry of keyed state. Its slices are valid until the iterator's
// next step and must not be changed.
type Entry struct {
	// State is the index of the state in the header.
	State int
	// KeyGroup is the one under which the entry is stored.
	KeyGroup int
	// Composite is the key as canonical files and RocksDB have it, without the
	// key group in front: key, namespace, and what separates them, the map's
	// key at the end. Of a timer it is the whole timer.
	Composite []byte
	// Split says that the parts below could be told apart. They cannot if the
	// key's or namespace's encoding is the user's own.
	Split          bool
	Key, Namespace []byte
	UserKey        []byte // of an entry of a map
	// Value is the value as canonical files have it: of a list the elements
	// joined by commas, of a map's entry one byte that says whether it is null
	// and the value. Timers have none.
	Value []byte
	// Timestamp is a timer's, in milliseconds since 1970.
	Timestamp int64
	// Offset is where the entry begins in its file, in bytes; of decompressed
	// bytes of its key group if the file is compressed.
	Offset int64
}

// separator stands between the elements of a list.
const separator = ','

// splitter takes composite keys apart and puts them together.
type splitter struct {
	key    *serde.Type
	states []Meta
	prefix int // bytes of the key group
	r      wire.Reader
}

// prefixLength is the number of bytes in which keys have their key group.
func prefixLength(maxParallelism int) int {
	if maxParallelism > 128 {
		return 2
	}
	return 1
}

// ambiguous reports whether key and namespace need their lengths: if neither has
// a fixed one.
func ambiguous(key, namespace *serde.Type) bool {
	return key.FixedLength() < 0 && namespace.FixedLength() < 0
}

// split fills the parts of an entry from its composite key, at the given offset
// of the object.
func (s *splitter) split(e *Entry, object string, offset int64) error {
	m := &s.states[e.State]
	r := &s.r
	r.ResetBytes(object, offset, e.Composite)
	e.Split, e.Key, e.Namespace, e.UserKey, e.Timestamp = true, nil, nil, nil, 0
	if m.Kind == PriorityQueue {
		return s.timer(e, m)
	}
	ns := m.Type(SerializerNamespace)
	lengths := ambiguous(s.key, ns)
	e.Key = s.part(r, s.key, lengths, e.Composite)
	e.Namespace = s.part(r, ns, lengths, e.Composite)
	if r.Err() != nil {
		return e.unsplit(r.Err())
	}
	rest := e.Composite[len(e.Composite)-int(r.Left()):]
	if key, _, isMap := m.Map(); isMap {
		e.UserKey = rest
		if err := key.Check(r); err != nil {
			return e.unsplit(err)
		}
		return nil
	}
	return r.End("key")
}

// unsplit says of an entry whose key has an opaque part that it is whole; other
// errors stay.
func (e *Entry) unsplit(err error) error {
	if isOpaque(err) {
		e.Split, e.Key, e.Namespace, e.UserKey = false, nil, nil, nil
		return nil
	}
	return err
}

// part passes over one part of a key and returns its bytes.
func (s *splitter) part(r *wire.Reader, typ *serde.Type, lengths bool, whole []byte) []byte {
	left := int(r.Left())
	typ.Skip(r)
	if r.Err() != nil {
		return nil
	}
	end := len(whole) - int(r.Left())
	b := whole[len(whole)-left : end : end]
	if !lengths {
		return b
	}
	at := r.Offset()
	for n := uint64(len(b)); ; {
		if c := r.U8("length of a part of a key"); c != byte(n) && r.Err() == nil {
			r.FailAt(at, "length of a part of a key", wire.Malformed("it does not say %d", len(b)))
		}
		if n >>= 8; n == 0 || r.Err() != nil {
			return b
		}
	}
}

// timer fills the parts of a timer, whose element is the composite key.
func (s *splitter) timer(e *Entry, m *Meta) error {
	t := plain(m.Type(SerializerValue))
	r := &s.r
	if t.Kind != serde.KindTimer {
		if err := t.Check(r); err != nil {
			return e.unsplit(err)
		}
		return nil
	}
	e.Timestamp = r.I64("timestamp of a timer") ^ (-1 << 63)
	e.Key = s.part(r, t.Args[0], false, e.Composite)
	e.Namespace = s.part(r, t.Args[1], false, e.Composite)
	if r.Err() != nil {
		return e.unsplit(r.Err())
	}
	return r.End("timer")
}

// AppendComposite appends the composite key of an entry, without key group, from
// its parts: the inverse of what iterators do. userKey is nil unless the state is
// a map.
func AppendComposite(dst []byte, keyType, namespaceType *serde.Type, key, namespace, userKey []byte) []byte {
	lengths := ambiguous(keyType, namespaceType)
	for _, part := range [][]byte{key, namespace} {
		dst = append(dst, part...)
		if lengths {
			dst = appendLength(dst, len(part))
		}
	}
	return append(dst, userKey...)
}

// appendLength appends a length to the base 256, the low byte first.
func appendLength(dst []byte, n int) []byte {
	for {
		dst = append(dst, byte(n))
		if n >>= 8; n == 0 {
			return dst
		}
	}
}

// CheckValue decodes a value of a state as entries have it, and requires that
// every byte belongs to it. The error is a *wire.Error.
func (m *Meta) CheckValue(object string, offset int64, value []byte) error {
	return m.checkValue(wire.NewBytes(object, offset, value))
}

func (m *Meta) checkValue(r *wire.Reader) error {
	if m.Kind == PriorityQueue {
		return r.End("value of a timer")
	}
	if elem, ok := m.List(); ok {
		return checkList(r, elem)
	}
	if _, value, ok := m.Map(); ok {
		// The serialiser writes a value for null too: what is there decides.
		if null := r.Bool("whether a value is null"); null {
			r.Skip(uint64(max(r.Left(), 0)), "null")
			return r.Err()
		}
		return value.Check(r)
	}
	return m.Type(SerializerValue).Check(r)
}

func checkList(r *wire.Reader, elem *serde.Type) error {
	if _, opaque := elem.Opaque(); opaque {
		return elem.Check(r)
	}
	for {
		elem.Skip(r)
		if r.Err() != nil || r.AtEnd() {
			return r.Err()
		}
		separated(r)
	}
}

// separated reads what stands between the elements of a list.
func separated(r *wire.Reader) {
	if c := r.U8("separator of a list"); c != separator && r.Err() == nil {
		r.Fail("separator of a list", wire.Malformed("byte %d", c))
	}
}

// AppendValueJSON appends a value of a state, as entries have it, as JSON. On an
// error, a *wire.Error, dst is as it was.
func (m *Meta) AppendValueJSON(dst, value []byte) ([]byte, error) {
	r := wire.NewBytes("value of state "+m.Name, 0, value)
	if m.Kind == PriorityQueue {
		return append(dst, "null"...), r.End("value of a timer")
	}
	if elem, ok := m.List(); ok {
		return appendListJSON(dst, r, elem)
	}
	t := m.Type(SerializerValue)
	if _, v, ok := m.Map(); ok {
		if r.Bool("whether a value is null") {
			return append(dst, "null"...), nil
		}
		t = v
	}
	v, err := t.Rest(r)
	if err != nil {
		return dst, err
	}
	return t.AppendValueJSON(dst, v), nil
}

func appendListJSON(dst []byte, r *wire.Reader, elem *serde.Type) ([]byte, error) {
	out := append(dst, '[')
	_, opaque := elem.Opaque()
	for first := true; first || !r.AtEnd(); first = false {
		if !first {
			separated(r)
			out = append(out, ',')
		}
		var v any
		if opaque {
			v, _ = elem.Rest(r)
		} else {
			v = elem.Next(r)
		}
		if r.Err() != nil {
			return dst, r.Err()
		}
		out = elem.AppendValueJSON(out, v)
	}
	return append(out, ']'), r.Err()
}

// clone copies into a buffer that is used again.
func clone(buf *[]byte, b []byte) []byte {
	*buf = append((*buf)[:0], b...)
	return *buf
}

// Splitter takes apart keys of a source that is not a file of this package, such
// as RocksDB. It is for one goroutine.
type Splitter struct{ s splitter }

// Splitter returns one for keys of the header's states.
func (h *KeyedHeader) Splitter(maxParallelism int) *Splitter {
	return &Splitter{splitter{key: h.Key, states: h.States, prefix: prefixLength(maxParallelism)}}
}

// Group is the key group in front of a stored key; ok is false if it is too short.
func (s *Splitter) Group(stored []byte) (group int, ok bool) {
	if len(stored) < s.s.prefix {
		return 0, false
	}
	group = int(stored[0])
	if s.s.prefix == 2 {
		group = group<<8 | int(stored[1])
	}
	return group, true
}

// Split fills the parts of an entry, whose State is set, from a stored key, key
// group in front. Its slices alias stored. Errors are *wire.Error with the given
// object and offsets from the beginning of the key.
func (s *Splitter) Split(e *Entry, stored []byte, object string) error {
	group, ok := s.Group(stored)
	if !ok {
		return &wire.Error{Object: object, What: "key", Err: wire.Malformed("%d bytes", len(stored))}
	}
	e.KeyGroup, e.Composite = group, stored[s.s.prefix:]
	return s.s.split(e, object, int64(s.s.prefix))
}
