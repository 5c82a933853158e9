package state

import (
	"slices"
	"strconv"

	"github.com/tidemark-io/tidemark/flink/serde"
	"github.com/tidemark-io/tidemark/flink/wire"
)

// Kind is Flink's BackendStateType. The numbers are on disk.
type Kind int32

// The kinds of states.
const (
	KeyValue      Kind = 0
	Operator      Kind = 1
	Broadcast     Kind = 2
	PriorityQueue Kind = 3
	KeyValueV2    Kind = 4 // since 2.0
)

// String is Flink's name of the kind.
func (k Kind) String() string {
	names := [...]string{"KEY_VALUE", "OPERATOR", "BROADCAST", "PRIORITY_QUEUE", "KEY_VALUE_V2"}
	if k >= 0 && int(k) < len(names) {
		return names[k]
	}
	return strconv.Itoa(int(k))
}

// Keys of options and of serialisers in meta information. They are on disk.
const (
	OptionStateType       = "KEYED_STATE_TYPE"
	OptionDistribution    = "OPERATOR_STATE_DISTRIBUTION_MODE"
	SerializerKey         = "KEY_SERIALIZER"
	SerializerNamespace   = "NAMESPACE_SERIALIZER"
	SerializerValue       = "VALUE_SERIALIZER"
	StateTypeList         = "LIST"
	StateTypeMap          = "MAP"
	StateTypeValue        = "VALUE"
	DistributionSplit     = "SPLIT_DISTRIBUTE"
	DistributionUnion     = "UNION"
	DistributionBroadcast = "BROADCAST"
)

// Option is a setting of a state.
type Option struct{ Key, Value string }

// Serializer is one of a state's serialisers under its key.
type Serializer struct {
	Key  string
	Type *serde.Type
}

// Meta is what a file says about one state.
type Meta struct {
	Name        string
	Kind        Kind
	Options     []Option
	Serializers []Serializer
}

// Option returns the value of an option, "" if it is not set.
func (m *Meta) Option(key string) string {
	for _, o := range m.Options {
		if o.Key == key {
			return o.Value
		}
	}
	return ""
}

// Type returns the type under a serialiser's key, nil if there is none.
func (m *Meta) Type(key string) *serde.Type {
	for _, s := range m.Serializers {
		if s.Key == key {
			return s.Type
		}
	}
	return nil
}

// StateType is VALUE, LIST, MAP, REDUCING, AGGREGATING and so on; "" for timers
// and operator state.
func (m *Meta) StateType() string { return m.Option(OptionStateType) }

// Keyed reports whether the state holds values under keys.
func (m *Meta) Keyed() bool { return m.Kind == KeyValue || m.Kind == KeyValueV2 }

// plain is the type below wrappers that add no bytes.
func plain(t *serde.Type) *serde.Type {
	for t != nil && (t.Kind == serde.KindTTLAware || t.Kind == serde.KindExternal) && len(t.Args) == 1 {
		t = t.Args[0]
	}
	return t
}

// List returns the type of the elements, if this is a state of lists.
func (m *Meta) List() (elem *serde.Type, ok bool) {
	v := plain(m.Type(SerializerValue))
	if m.StateType() != StateTypeList || v == nil || v.Kind != serde.KindList && v.Kind != serde.KindLinkedList {
		return nil, false
	}
	return v.Args[0], true
}

// Map returns the types of keys and values, if this is a state of maps.
func (m *Meta) Map() (key, value *serde.Type, ok bool) {
	v := plain(m.Type(SerializerValue))
	if m.StateType() != StateTypeMap || v == nil || v.Kind != serde.KindMap && v.Kind != serde.KindSortedMap {
		return nil, nil, false
	}
	return v.Args[0], v.Args[1], true
}

// maxStates is how many states a header may have.
const maxStates = 1<<15 - 1

// readMeta reads the meta information of one state, of MetaInfo versions 6 and 7,
// which are equal on disk.
func readMeta(r *wire.Reader) Meta {
	at := r.Offset()
	m := Meta{Name: r.UTF("name of a state"), Kind: Kind(r.I32("kind of a state"))}
	if r.Err() == nil && (m.Kind < KeyValue || m.Kind > KeyValueV2) {
		r.FailAt(at, "kind of a state", wire.Unsupported("%d of state %.200q", m.Kind, m.Name))
	}
	for range r.Count(4, "options of a state") {
		m.Options = append(m.Options, Option{r.UTF("option"), r.UTF("value of an option")})
		if r.Err() != nil {
			return m
		}
	}
	for range r.Count(12, "serialisers of a state") {
		key := r.UTF("key of a serialiser")
		t, err := serde.ReadSnapshot(r)
		if err != nil {
			return m
		}
		m.Serializers = append(m.Serializers, Serializer{key, t})
	}
	if r.Err() == nil {
		m.check(r, at)
	}
	return m
}

// check requires the serialisers that the entries of the state need.
func (m *Meta) check(r *wire.Reader, at int64) {
	need := []string{SerializerValue}
	switch m.Kind {
	case KeyValue, KeyValueV2:
		need = append(need, SerializerNamespace)
	case Broadcast:
		need = append(need, SerializerKey)
	}
	for _, key := range need {
		if m.Type(key) == nil {
			r.FailAt(at, "serialisers of a state", wire.Malformed("state %.200q has no %s", m.Name, key))
		}
	}
	// Flink fails on what is not one of these (StateDescriptor.Type,
	// OperatorStateHandle.Mode), and on keyed state without a type.
	kind, mode := m.StateType(), m.Option(OptionDistribution)
	if !slices.Contains(stateTypes, kind) && (kind != "" || m.Keyed()) {
		r.FailAt(at, "options of a state", wire.Malformed("state %.200q is of the type %.40q", m.Name, kind))
	}
	if mode != "" && mode != DistributionSplit && mode != DistributionUnion && mode != DistributionBroadcast {
		r.FailAt(at, "options of a state", wire.Malformed("state %.200q is distributed as %.40q", m.Name, mode))
	}
}

// stateTypes are the values of OptionStateType.
var stateTypes = []string{"UNKNOWN", StateTypeValue, StateTypeList, "REDUCING", "FOLDING", "AGGREGATING", StateTypeMap}

// appendMeta appends meta information as readMeta reads it.
func appendMeta(dst []byte, m *Meta) ([]byte, error) {
	dst, err := wire.AppendUTF(dst, m.Name)
	if err != nil {
		return dst, err
	}
	dst = wire.AppendI32(dst, int32(m.Kind))
	dst = wire.AppendI32(dst, int32(len(m.Options)))
	for _, o := range m.Options {
		for _, text := range []string{o.Key, o.Value} {
			if dst, err = wire.AppendUTF(dst, text); err != nil {
				return dst, err
			}
		}
	}
	dst = wire.AppendI32(dst, int32(len(m.Serializers)))
	for _, s := range m.Serializers {
		if dst, err = wire.AppendUTF(dst, s.Key); err != nil {
			return dst, err
		}
		dst = s.Type.AppendSnapshot(dst)
	}
	return dst, nil
}
