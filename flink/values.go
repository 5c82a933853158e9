package flink

import (
	"context"
	"encoding/base64"
	"fmt"

	"github.com/tidemark-io/tidemark/checkpoint"
	"github.com/tidemark-io/tidemark/flink/metadata"
	"github.com/tidemark-io/tidemark/flink/serde"
	"github.com/tidemark-io/tidemark/flink/state"
	"github.com/tidemark-io/tidemark/flink/wire"
)

var (
	_ checkpoint.Enumerator = (*Checkpoint)(nil)
	_ checkpoint.Printer    = (*Checkpoint)(nil)
	_ checkpoint.Tabular    = (*Checkpoint)(nil)
	_ checkpoint.Finder     = (*Checkpoint)(nil)
)

// row is the row of a state.
func (c *Checkpoint) row(st checkpoint.State) (*contentRow, error) {
	known, err := c.contents(context.Background()) // read before, or nobody had the state
	if err != nil {
		return nil, err
	}
	if st.Row < 0 || st.Row >= len(known.rows) {
		return nil, fmt.Errorf("there is no state %d, there are %d", st.Row, len(known.rows))
	}
	return known.rows[st.Row], nil
}

// AppendValue appends a field as JSON, by the serialisers that the checkpoint
// names; see [serde.Type.AppendValueJSON]. Bytes that only a user's class or an
// operator can read are an object with @bytes and, where it is known, @class.
func (c *Checkpoint) AppendValue(dst []byte, st checkpoint.State, field checkpoint.Field, value []byte) ([]byte, error) {
	r, err := c.row(st)
	if err != nil {
		return dst, err
	}
	switch field {
	case checkpoint.FieldKey:
		return r.appendKey(dst, value)
	case checkpoint.FieldNamespace:
		return r.appendNamespace(dst, value)
	}
	switch r.role {
	case metadata.RoleManagedKeyed:
		return each(dst, r.metas, func(m *state.Meta) ([]byte, error) { return m.AppendValueJSON(dst, value) })
	case metadata.RoleManagedOperator:
		return each(dst, r.metas, func(m *state.Meta) ([]byte, error) {
			t := m.Type(state.SerializerValue)
			v, err := t.Decode(value)
			if b, ok := v.([]byte); ok && err == nil {
				if out, ok := appendKnown(dst, r.Name, b); ok {
					return out, nil
				}
			}
			if err != nil {
				return dst, err
			}
			return t.AppendValueJSON(dst, v), nil
		})
	case metadata.RoleCoordinator:
		if out, ok := appendCoordinator(dst, value); ok {
			return out, nil
		}
	}
	return appendOpaque(dst, "", value), nil
}

// each tries one description of a state after the other; the error is that of the
// first.
func each[T any](dst []byte, list []T, try func(T) ([]byte, error)) ([]byte, error) {
	var first error
	for _, x := range list {
		out, err := try(x)
		if err == nil {
			return out, nil
		}
		if first == nil {
			first = err
		}
	}
	if first == nil {
		first = wire.Unsupported("nothing says how the bytes are encoded")
	}
	return dst, first
}

// appendOpaque appends bytes that nothing here can read.
func appendOpaque(dst []byte, class string, b []byte) []byte {
	dst = append(dst, '{')
	if class != "" {
		dst = append(serde.AppendString(append(dst, `"@class":`...), class), ',')
	}
	dst = base64.StdEncoding.AppendEncode(append(dst, `"@bytes":"`...), b)
	return append(dst, '"', '}')
}

// appendKey appends a key. If one of its parts is of the user's encoding, nothing
// tells where it ends, and its namespace is among its bytes.
func (r *contentRow) appendKey(dst, key []byte) ([]byte, error) {
	if r.Kind == checkpoint.BroadcastState {
		return each(dst, r.metas, func(m *state.Meta) ([]byte, error) { return m.Type(state.SerializerKey).AppendJSON(dst, key) })
	}
	out, err := each(dst, r.keys, func(t *serde.Type) ([]byte, error) {
		if class, opaque := t.Opaque(); opaque {
			return appendOpaque(dst, class, key), nil
		}
		return t.AppendJSON(dst, key)
	})
	if err == nil {
		return out, nil
	}
	for _, m := range r.metas {
		for _, t := range []*serde.Type{m.Type(state.SerializerNamespace), m.Type(state.SerializerValue)} {
			if class, opaque := t.Opaque(); opaque {
				return appendOpaque(dst, class, key), nil
			}
		}
	}
	return dst, err
}

// appendNamespace appends a namespace, and the key of a map behind it.
func (r *contentRow) appendNamespace(dst, space []byte) ([]byte, error) {
	if r.role == metadata.RoleRawKeyed {
		return each(dst, r.spaces, func(t *serde.Type) ([]byte, error) { return t.AppendJSON(dst, space) })
	}
	return each(dst, r.metas, func(m *state.Meta) ([]byte, error) {
		t := m.Type(state.SerializerNamespace)
		if m.Kind == state.PriorityQueue {
			if timer := plainType(m.Type(state.SerializerValue)); len(timer.Args) == 2 {
				t = timer.Args[1]
			}
		}
		key, _, isMap := m.Map()
		if t == nil || !isMap {
			return t.AppendJSON(dst, space)
		}
		rd := wire.NewBytes("namespace", 0, space)
		ns := t.Next(rd)
		k, err := key.Rest(rd)
		if err != nil {
			return dst, err
		}
		out := append(dst, '{')
		if spaceName(t) != "" {
			out = append(t.AppendValueJSON(append(out, `"namespace":`...), ns), ',')
		}
		out = key.AppendValueJSON(append(out, `"mapKey":`...), k)
		return append(out, '}'), nil
	})
}

// Columns are the columns that a field falls into: one for each field of a tuple's
// or POJO's, else one.
func (c *Checkpoint) Columns(st checkpoint.State, field checkpoint.Field) ([]checkpoint.Column, error) {
	r, err := c.row(st)
	if err != nil {
		return nil, err
	}
	whole := []checkpoint.Column{{Type: checkpoint.ColumnJSON}}
	var t *serde.Type
	switch {
	case field == checkpoint.FieldNamespace && r.NamespaceType == "":
		return nil, nil
	case field == checkpoint.FieldNamespace:
		return whole, nil
	case field == checkpoint.FieldKey && len(r.keys) > 0:
		t = r.keys[0]
	case field == checkpoint.FieldKey && r.Kind == checkpoint.BroadcastState && len(r.metas) > 0:
		t = r.metas[0].Type(state.SerializerKey)
	case field == checkpoint.FieldKey || r.Kind == checkpoint.Timers:
		return nil, nil
	case len(r.metas) > 0:
		m := r.metas[0]
		t = m.Type(state.SerializerValue)
		if _, v, ok := m.Map(); ok {
			t = v
		}
	}
	return columnsOf(t), nil
}

// columnsOf are the columns of a type.
func columnsOf(t *serde.Type) []checkpoint.Column {
	t = plainType(t)
	if t == nil {
		return []checkpoint.Column{{Type: checkpoint.ColumnJSON}}
	}
	if t.Kind != serde.KindPojo || len(t.Fields) == 0 || len(t.Registered)+len(t.Other) > 0 {
		return []checkpoint.Column{columnOf("", t)}
	}
	columns := make([]checkpoint.Column, 0, len(t.Fields))
	for _, f := range t.Fields {
		col := columnOf(f.Name, f.Type)
		col.Optional = true
		columns = append(columns, col)
	}
	return columns
}

// columnOf is the column of a value. What may be null, or prints as several things,
// is JSON.
func columnOf(name string, t *serde.Type) checkpoint.Column {
	col := checkpoint.Column{Name: name, Type: checkpoint.ColumnJSON}
	if t = plainType(t); t == nil {
		return col
	}
	switch t.Kind {
	case serde.KindLong, serde.KindInt, serde.KindShort, serde.KindByte:
		col.Type = checkpoint.ColumnInt
	case serde.KindBoolean:
		col.Type = checkpoint.ColumnBool
	case serde.KindString:
		col.Type = checkpoint.ColumnString
	}
	return col
}
