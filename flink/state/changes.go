package state

import (
	"fmt"
	"io"
	"iter"

	"github.com/klauspost/compress/s2"

	"github.com/tidemark-io/tidemark/flink/serde"
	"github.com/tidemark-io/tidemark/flink/wire"
	"github.com/tidemark-io/tidemark/keygroup"
)

// Operations of the changelog backend (StateChangeOperation, by code). On disk.
const (
	opClear              = 0
	opSet                = 1
	opSetInternal        = 2
	opAdd                = 3
	opMergeNamespaces    = 4
	opAddElement         = 5
	opAddOrUpdateElement = 6
	opRemoveElement      = 7
	opMetadata           = 8
)

// noGroup is the key group of changes that describe states. On disk.
const noGroup = -1

// ChangeFile is what metadata says about a file of changes.
type ChangeFile struct {
	Object string // name for errors
	Data   io.ReaderAt
	Size   int64 // of Data, in bytes
	Offset int64 // of the changes in what follows the first byte, decompressed
}

// Change is one change as it is stored. Its bytes are valid until the next step.
type Change struct {
	KeyGroup int32 // -1 for the description of a state
	Data     []byte
}

// Changes yields the changes of a file, in order. An error, a *wire.Error, ends
// them.
func Changes(f ChangeFile) iter.Seq2[Change, error] {
	return func(yield func(Change, error) bool) {
		head := section(f.Object, f.Data, 0, f.Size)
		compressed := head.Bool("whether changes are compressed")
		if head.Err() != nil {
			yield(Change{}, head.Err())
			return
		}
		r := section(f.Object, f.Data, 1, f.Size)
		if compressed {
			src := s2.NewReader(io.NewSectionReader(f.Data, 1, f.Size-1), s2.ReaderMaxBlockSize(64<<10), s2.ReaderAllocBlock(64<<10))
			r = wire.NewStream(f.Object+" (decompressed)", 0, src, -1)
			r.SetDecoded()
		}
		if f.Offset < 0 {
			r.Fail("changes", wire.Malformed("offset %d", f.Offset))
		}
		r.Skip(uint64(max(f.Offset, 0)), "changes")
		for range r.Count(8, "key groups with changes") {
			n := r.Count(4, "changes")
			c := Change{KeyGroup: r.I32("key group")}
			for i := 0; i < n && r.Err() == nil; i++ {
				c.Data = r.Bytes32("change")
				if r.Err() == nil && !yield(c, nil) {
					return
				}
			}
			if r.Err() != nil {
				break
			}
		}
		if r.Err() != nil {
			yield(Change{}, r.Err())
		}
	}
}

// description reads the description of a state: an operation METADATA without its
// first byte.
func description(r *wire.Reader) (id int16, m Meta) {
	at := r.Offset()
	if v := r.I32("version of a description"); r.Err() == nil && v != 6 && v != 7 {
		r.FailAt(at, "version of a description", wire.Unsupported("%d, only 6 and 7 are known", v))
	}
	m = readMeta(r)
	if m.Keyed() && r.Err() == nil {
		if r.Bool("whether the state has a time to live") {
			at := r.Offset()
			r.FailAt(at, "configuration of a time to live", wire.Unsupported("a Java object"))
		}
		if r.Bool("whether the state has a default value") {
			m.Type(SerializerValue).Skip(r)
		}
	}
	id = r.I16("number of a state")
	r.U8("kind of a state")
	return id, m
}

// change is what is known of the present value of one entry.
type change struct {
	group   int
	state   int // index in the overlay's header
	key     []byte
	cleared bool   // nothing of what was stored before counts
	set     bool   // the value is all there is; else it is appended to
	value   []byte // canonical form
}

// Overlay is the changes since a state was written, by entry. It is made by
// applying changes in order, and is in memory.
type Overlay struct {
	// Header describes the states that changed and those that did not, as far as
	// the changes say.
	Header *KeyedHeader
	// Limit bounds the bytes of keys and values; more is an error.
	Limit   uint64
	groups  keygroup.Range
	ids     map[int16]int // index in the header
	entries map[string]*change
	maps    map[string]bool // maps of which the old entries do not count
	used    uint64
}

// NewOverlay returns an overlay of no changes. The header, of which a copy is made,
// is that of the state written before; groups are the key groups that count.
func NewOverlay(h *KeyedHeader, groups keygroup.Range) *Overlay {
	o := &Overlay{groups: groups, Limit: wire.DefaultLimit, ids: map[int16]int{}, entries: map[string]*change{}, maps: map[string]bool{}}
	o.Header = &KeyedHeader{Version: keyedVersion}
	if h != nil {
		o.Header.Key = h.Key
		o.Header.States = append(o.Header.States, h.States...)
	}
	return o
}

// state is the index of a state in the header; it is added if it is new.
func (o *Overlay) state(m Meta) int {
	for i := range o.Header.States {
		if o.Header.States[i].Name == m.Name {
			return i
		}
	}
	o.Header.States = append(o.Header.States, m)
	return len(o.Header.States) - 1
}

// Apply applies a change. Errors are *wire.Error.
func (o *Overlay) Apply(object string, c Change) error {
	r := wire.NewBytes(object+", a change", 0, c.Data)
	op := r.U8("operation")
	if op == opMetadata {
		id, m := description(r)
		if err := r.End("description of a state"); err != nil {
			return err
		}
		o.ids[id] = o.state(m)
		// Changes name no type of keys, but timers have one.
		if t := plain(m.Type(SerializerValue)); o.Header.Key == nil && t.Kind == serde.KindTimer && len(t.Args) == 2 {
			o.Header.Key = t.Args[0]
		}
		return nil
	}
	if r.Err() == nil && (c.KeyGroup == noGroup || !o.groups.Contains(int(c.KeyGroup))) {
		return nil // of another subtask, whose range this once was
	}
	id := r.I16("number of a state")
	index, ok := o.ids[id]
	if !ok && r.Err() == nil {
		r.Fail("number of a state", wire.Malformed("no description of state %d came before", id))
	}
	if o.Header.Key == nil && r.Err() == nil {
		r.Fail("change", wire.Unsupported("nothing says how keys are encoded"))
	}
	if r.Err() != nil {
		return r.Err()
	}
	a := applying{o: o, r: r, m: &o.Header.States[index], state: index, group: int(c.KeyGroup)}
	a.apply(op)
	if err := r.End("change"); err != nil {
		return err
	}
	if o.used > o.Limit {
		return &wire.Error{Object: object, What: "changes", Err: wire.OverLimit(o.used, o.Limit)}
	}
	return nil
}

// applying is one change being applied.
type applying struct {
	o     *Overlay
	r     *wire.Reader
	m     *Meta
	state int
	group int
}

// take passes over a value and returns its bytes.
func (a *applying) take(typ *serde.Type) []byte {
	a.r.Mark()
	typ.Skip(a.r)
	b := append([]byte(nil), a.r.Marked()...)
	a.r.Unmark()
	return b
}

func (a *applying) apply(op byte) {
	value := a.m.Type(SerializerValue)
	if a.m.Kind == PriorityQueue {
		switch op {
		case opAddElement:
			for range a.r.Count(1, "elements of a queue") {
				if timer := a.take(value); a.r.Err() == nil {
					a.put(timer, change{set: true})
				}
			}
		case opRemoveElement:
			a.put(a.take(value), change{cleared: true})
		default:
			a.unknown(op)
		}
		return
	}
	ns := a.m.Type(SerializerNamespace)
	key := a.take(a.o.Header.Key)
	space := a.take(ns)
	if a.r.Err() != nil {
		return
	}
	composite := AppendComposite(nil, a.o.Header.Key, ns, key, space, nil)
	mapKey, mapValue, isMap := a.m.Map()
	elem, isList := a.m.List()
	switch {
	case isMap:
		a.mapChange(op, composite, mapKey, mapValue)
	case op == opClear:
		a.put(composite, change{cleared: true})
	case isList && (op == opSet || op == opSetInternal || op == opAdd):
		items := a.items(elem)
		c := change{set: op != opAdd, value: items, cleared: op != opAdd && len(items) == 0}
		if op == opAdd && len(items) == 0 {
			return
		}
		a.put(composite, c)
	case isList && op == opAddElement:
		a.put(composite, change{value: a.take(elem)})
	case !isList && (op == opSet || op == opSetInternal):
		a.put(composite, change{set: true, value: a.take(value)})
	default:
		a.unknown(op)
	}
}

func (a *applying) unknown(op byte) {
	a.r.Fail("operation", wire.Unsupported("%d on state %.200q of kind %s %s", op, a.m.Name, a.m.Kind, a.m.StateType()))
}

// items reads a list and joins its elements as canonical files do.
func (a *applying) items(elem *serde.Type) []byte {
	var out []byte
	n := a.r.Count(0, "elements of a list")
	for i := 0; i < n && a.r.Err() == nil; i++ {
		if i > 0 {
			out = append(out, separator)
		}
		out = append(out, a.take(elem)...)
	}
	return out
}

// mapChange applies a change of a map.
func (a *applying) mapChange(op byte, composite []byte, key, value *serde.Type) {
	head := len(composite)
	switch op {
	case opClear, opSet, opSetInternal, opAdd:
		if op != opAdd {
			a.clearMap(composite)
		}
		if op == opClear {
			return
		}
		for range a.r.Count(1, "entries of a map") {
			k := a.take(key)
			a.r.Mark()
			if !a.r.Bool("whether a value is null") {
				value.Skip(a.r)
			}
			v := append([]byte(nil), a.r.Marked()...)
			a.r.Unmark()
			if a.r.Err() != nil {
				return
			}
			a.put(append(composite[:head:head], k...), change{set: true, value: v})
		}
	case opAddOrUpdateElement:
		k := a.take(key)
		v := append([]byte{0}, a.take(value)...)
		a.put(append(composite[:head:head], k...), change{set: true, value: v})
	case opRemoveElement:
		a.put(append(composite[:head:head], a.take(key)...), change{cleared: true})
	default:
		a.unknown(op)
	}
}

// id is the name of an entry in the overlay.
func id(group, state int, composite []byte) string {
	return fmt.Sprintf("%d/%d/%s", group, state, composite)
}

// clearMap drops the entries of a map. Those stored before are passed over by
// [Overlay.Over]; those in the overlay begin with the same composite key. Since
// keys of maps follow without a mark, every entry whose own split says so is meant.
func (a *applying) clearMap(composite []byte) {
	a.o.maps[id(a.group, a.state, composite)] = true
	for name, c := range a.o.entries {
		if c.group == a.group && c.state == a.state && len(c.key) >= len(composite) && string(c.key[:len(composite)]) == string(composite) {
			delete(a.o.entries, name)
		}
	}
}

// put merges a change into what is known of its entry.
func (a *applying) put(composite []byte, c change) {
	if a.r.Err() != nil {
		return
	}
	c.group, c.state, c.key = a.group, a.state, composite
	name := id(a.group, a.state, composite)
	a.o.used += uint64(len(composite) + len(c.value) + 64)
	old := a.o.entries[name]
	if old == nil || c.set || c.cleared {
		a.o.entries[name] = &c
		return
	}
	switch {
	case old.cleared && len(old.value) == 0:
		old.set, old.cleared, old.value = true, false, c.value
	default:
		old.value = append(append(old.value, separator), c.value...)
	}
}
