package engine

import (
	"fmt"
	"strconv"

	"github.com/tidemark-io/tidemark/engine/codec"
	"github.com/tidemark-io/tidemark/engine/runtime"
	"github.com/tidemark-io/tidemark/engine/state"
	"github.com/tidemark-io/tidemark/format"
)

// Value is a state with one value per key. Declare it as a field of a Process
// and bind it in Open; from then on it follows the current key. Use it only
// during calls of the Process it is bound in.
type Value[V any] struct {
	keyed *keyed
	table *table
	codec Codec[V]
	fixed bool // all encodings have the same length
	bytes []byte
	ns    []byte // current namespace; windows only

	// slot is where the entry of the current key lies, valid while turn and
	// epoch are what they were.
	slot        state.Ref
	found       bool
	turn, epoch uint64
}

// Bind declares the state under a name that is unique in its operator, and
// restores it. The codec is derived from V.
func (v *Value[V]) Bind(b *Binder, name string) error {
	c, err := codec.Of[V]()
	if err != nil {
		return fmt.Errorf("state %q: %w", name, err)
	}
	return v.BindCodec(b, name, c)
}

// BindCodec is Bind with a codec of the caller's.
func (v *Value[V]) BindCodec(b *Binder, name string, c Codec[V]) error {
	return v.bind(b, name, c, nil)
}

func (v *Value[V]) bind(b *Binder, name string, c Codec[V], namespace *format.Schema) error {
	if b.keyed == nil {
		return fmt.Errorf("state %q: a Value needs a keyed stream", name)
	}
	width := variable(codec.Width(c))
	namespaceWidth := 0
	if namespace != nil {
		namespaceWidth = variable(namespace.Width())
	}
	t, err := b.keyed.addTable(runtime.StateSpec{Name: name, Kind: format.KindKeyed, Namespace: namespace, Value: c.Schema()}, namespaceWidth, width)
	if err != nil {
		return fmt.Errorf("state %q: %w", name, err)
	}
	v.keyed, v.table, v.codec, v.fixed = b.keyed, t, c, width > 0
	return nil
}

// find locates the entry of the current key, with one probe per key and change
// of the table.
func (v *Value[V]) find() bool {
	k := v.keyed
	if v.turn != k.turn || v.epoch != v.table.Epoch() {
		if k.noKey {
			k.needKey("state " + strconv.Quote(v.table.spec.Name))
		}
		v.slot, v.found = v.table.Find(k.sum, k.bytes, v.ns)
		v.turn, v.epoch = k.turn, v.table.Epoch()
	}
	return v.found
}

// Get returns the value of the current key, V's zero value if it has none.
func (v *Value[V]) Get() V {
	value, _ := v.Lookup()
	return value
}

// Lookup returns the value of the current key and whether it has one.
func (v *Value[V]) Lookup() (V, bool) {
	if !v.find() {
		var none V
		return none, false
	}
	value, _, err := v.codec.Decode(v.table.Value(v.slot))
	if err != nil {
		v.keyed.env.Fail(fmt.Errorf("state %q: %w", v.table.spec.Name, err))
	}
	return value, true
}

// Set gives the current key a value.
func (v *Value[V]) Set(value V) {
	if v.find() && v.fixed {
		if b := v.table.Mutable(v.slot); len(v.codec.Append(b[:0:len(b)], value)) == len(b) {
			return
		}
	}
	v.store(value)
}

// store inserts, or replaces a value whose length may differ.
func (v *Value[V]) store(value V) {
	v.bytes = v.codec.Append(v.bytes[:0], value)
	var err error
	if v.found {
		v.slot, err = v.table.SetValue(v.slot, v.bytes)
	} else {
		v.slot, err = v.table.Insert(v.slot, v.keyed.sum, v.keyed.bytes, v.ns, v.bytes)
	}
	if err != nil {
		v.keyed.env.Fail(fmt.Errorf("state %q: %w", v.table.spec.Name, err))
		v.turn = 0
		return
	}
	v.found, v.turn, v.epoch = true, v.keyed.turn, v.table.Epoch()
}

// Clear removes the value of the current key.
func (v *Value[V]) Clear() {
	if v.find() {
		v.table.Remove(v.slot)
		v.turn = 0
	}
}

// within makes the value follow a namespace besides the key.
func (v *Value[V]) within(namespace []byte) {
	v.ns = namespace
	v.turn = 0
}
