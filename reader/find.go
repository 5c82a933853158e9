package reader

import (
	"context"
	"fmt"
	"iter"

	"github.com/tidemark-io/tidemark/checkpoint"
	"github.com/tidemark-io/tidemark/format"
	"github.com/tidemark-io/tidemark/keygroup"
	"github.com/tidemark-io/tidemark/keygroup/keyhash"
)

var (
	_ checkpoint.Joiner  = (*Model)(nil)
	_ checkpoint.Finder  = (*Model)(nil)
	_ checkpoint.Tabular = (*Model)(nil)
	_ checkpoint.Ordered = (*Model)(nil)
)

// ParseKey encodes a key by the schema of an operator's keys; see
// [format.ParseText].
func (m *Model) ParseKey(_ context.Context, operator, text string) (checkpoint.Key, error) {
	operators, err := m.c.Operators()
	if err != nil {
		return checkpoint.Key{}, err
	}
	if name := m.c.Summary().Hash; name != keyhash.Name {
		return checkpoint.Key{}, fmt.Errorf("keys are hashed by %q, which this program does not know", name)
	}
	for _, o := range operators {
		if o.UID != operator {
			continue
		}
		schema, err := m.c.schema(o.KeySchema)
		if err != nil {
			return checkpoint.Key{}, err
		}
		if schema == nil || o.KeyGroups == 0 {
			return checkpoint.Key{}, fmt.Errorf("operator %q is not keyed", operator)
		}
		enc, err := format.ParseText(nil, schema, text)
		if err != nil {
			return checkpoint.Key{}, fmt.Errorf("a key of operator %q: %w", operator, err)
		}
		h := keyhash.Of(enc)
		return checkpoint.Key{Encoded: enc, Hash: h, KeyGroup: uint32(keygroup.Of(h, int(o.KeyGroups)))}, nil
	}
	return checkpoint.Key{}, fmt.Errorf("operator %q: %w", operator, ErrNoState)
}

// Lookup yields the entries of one key, reading only the blocks that can hold
// it.
func (m *Model) Lookup(ctx context.Context, state checkpoint.State, key checkpoint.Key) iter.Seq2[checkpoint.Entry, error] {
	return func(yield func(checkpoint.Entry, error) bool) {
		states, err := m.c.States()
		if err == nil && (state.Row < 0 || state.Row >= len(states)) {
			err = fmt.Errorf("state %d of %d: %w", state.Row, len(states), ErrNoState)
		}
		if err != nil {
			yield(checkpoint.Entry{}, err)
			return
		}
		fs := states[state.Row]
		if fs.Kind != format.KindKeyed && fs.Kind != format.KindTimer {
			return
		}
		h := uint64(key.Hash)
		for e, err := range m.stateEntries(ctx, state.Row, fs, scope{iv: keygroup.Interval{Lo: h, Hi: h + 1}}) {
			e.State = state
			if err == nil && string(e.Key) != string(key.Encoded) {
				continue
			}
			if !yield(e, err) || err != nil {
				return
			}
		}
	}
}

// hasField tells which fields the entries of a kind have.
func hasField(kind format.Kind, field checkpoint.Field) bool {
	switch field {
	case checkpoint.FieldKey:
		return kind == format.KindKeyed || kind == format.KindTimer || kind == format.KindBroadcast || kind == format.KindSplitWatermark
	case checkpoint.FieldNamespace:
		return kind == format.KindKeyed || kind == format.KindTimer
	}
	switch kind {
	case format.KindTimer, format.KindFloor, format.KindSubtaskWatermark, format.KindChannelWatermark:
		return false
	}
	return true
}

// Columns are the columns that a field of a state's entries falls into.
func (m *Model) Columns(state checkpoint.State, field checkpoint.Field) ([]checkpoint.Column, error) {
	states, err := m.c.States()
	if err != nil {
		return nil, err
	}
	schema, err := m.c.fieldSchema(state.Row, field)
	if err != nil || !hasField(states[state.Row].Kind, field) {
		return nil, err
	}
	if schema == nil {
		if field == checkpoint.FieldNamespace {
			return nil, nil
		}
		return []checkpoint.Column{{Type: checkpoint.ColumnHex}}, nil
	}
	if schema.Type != format.TypeStruct {
		return []checkpoint.Column{columnOf("", schema)}, nil
	}
	columns := make([]checkpoint.Column, 0, len(schema.Fields))
	for _, f := range schema.Fields {
		columns = append(columns, columnOf(f.Name, f.Schema))
	}
	return columns, nil
}

var columnTypes = map[format.Type]checkpoint.ColumnType{
	format.TypeBool: checkpoint.ColumnBool,
	format.TypeInt8: checkpoint.ColumnInt, format.TypeInt16: checkpoint.ColumnInt, format.TypeInt32: checkpoint.ColumnInt,
	format.TypeInt64: checkpoint.ColumnInt, format.TypeDuration: checkpoint.ColumnInt,
	format.TypeUint8: checkpoint.ColumnInt, format.TypeUint16: checkpoint.ColumnInt, format.TypeUint32: checkpoint.ColumnInt,
	format.TypeUint64:  checkpoint.ColumnUint,
	format.TypeFloat32: checkpoint.ColumnFloat, format.TypeFloat64: checkpoint.ColumnFloat,
	format.TypeString: checkpoint.ColumnString, format.TypeTime: checkpoint.ColumnTime,
	format.TypeOpaque: checkpoint.ColumnHex,
	format.TypeBytes:  checkpoint.ColumnBytes, format.TypeProtobuf: checkpoint.ColumnBytes, format.TypeRaw: checkpoint.ColumnBytes,
}

// columnOf is the column of a value.
func columnOf(name string, s *format.Schema) checkpoint.Column {
	c := checkpoint.Column{Name: name}
	for s.Type == format.TypeOptional {
		c.Optional, s = true, s.Elems[0]
	}
	var ok bool
	if c.Type, ok = columnTypes[s.Type]; !ok {
		c.Type = checkpoint.ColumnJSON
	}
	return c
}

// InOrder is true for keyed state and timers.
func (m *Model) InOrder(state checkpoint.State) bool {
	return state.Kind == checkpoint.Keyed || state.Kind == checkpoint.Timers
}
