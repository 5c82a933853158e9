package flink

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"math/big"
	"strconv"
	"strings"

	"github.com/tidemark-io/tidemark/checkpoint"
	"github.com/tidemark-io/tidemark/flink/metadata"
	"github.com/tidemark-io/tidemark/flink/serde"
	"github.com/tidemark-io/tidemark/flink/state"
	"github.com/tidemark-io/tidemark/keygroup"
)

// errKeyText: keys of a type cannot be given as text.
var errKeyText = errors.New("keys of this type cannot be given as text")

// ParseKey encodes a key that is given as it is printed: numbers and strings as
// bare text or JSON, tuples and rows as arrays, POJOs as objects with all fields.
// The key group is checkpoint.NoKeyGroup if Java's hash code of such keys cannot be
// computed; Lookup then reads all of a state.
func (c *Checkpoint) ParseKey(ctx context.Context, operator, text string) (checkpoint.Key, error) {
	known, err := c.contents(ctx)
	if err != nil {
		return checkpoint.Key{}, err
	}
	t := known.keys[operator]
	if t == nil {
		return checkpoint.Key{}, fmt.Errorf("operator %q: the type of its keys is not known", operator)
	}
	v, err := parseText(t, text)
	if err != nil {
		return checkpoint.Key{}, fmt.Errorf("a key of operator %q, %s: %w", operator, t, err)
	}
	enc, err := t.Append(nil, v)
	if err != nil {
		return checkpoint.Key{}, fmt.Errorf("a key of operator %q: %w", operator, err)
	}
	key := checkpoint.Key{Encoded: enc, KeyGroup: checkpoint.NoKeyGroup}
	if t.Hashable() == nil {
		h, err := t.HashKey(enc)
		if err != nil {
			return checkpoint.Key{}, fmt.Errorf("a key of operator %q: %w", operator, err)
		}
		key.Hash = keygroup.Hash(uint32(h))
		for i := range c.m.Operators {
			if op := &c.m.Operators[i]; c.names[op.ID] == operator {
				key.KeyGroup = uint32(serde.KeyGroup(h, int(op.MaxParallelism)))
			}
		}
	}
	return key, nil
}

// parseText reads a key given as text: the bare text of a string or a number, else
// JSON.
func parseText(t *serde.Type, text string) (any, error) {
	p := plainType(t)
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	var v any
	err := d.Decode(&v)
	if err == nil && d.More() {
		err = errors.New("more than one value")
	}
	switch v.(type) {
	case string, []any, map[string]any:
	default: // a bare number or word is as good as a string
		if err == nil || p.Kind == serde.KindString {
			return fromJSON(p, strings.TrimSpace(text), 0)
		}
	}
	if err != nil {
		return fromJSON(p, text, 0)
	}
	out, err := fromJSON(p, v, 0)
	if err != nil && p.Kind == serde.KindString {
		return text, nil
	}
	return out, err
}

// maxKeyDepth is how deep the parts of a key may nest.
const maxKeyDepth = 16

// fromJSON makes a value of a type of its printed form. Numbers may be written as
// strings, as those of 64 bits are printed.
func fromJSON(t *serde.Type, v any, depth int) (any, error) {
	t = plainType(t)
	if t == nil || depth > maxKeyDepth {
		return nil, errKeyText
	}
	text := ""
	switch x := v.(type) {
	case string:
		text = x
	case json.Number:
		text = x.String()
	case bool:
		text = strconv.FormatBool(x)
	}
	switch t.Kind {
	case serde.KindString:
		s, ok := v.(string)
		if !ok {
			return nil, fmt.Errorf("%v is no string", v)
		}
		return s, nil
	case serde.KindLong, serde.KindInt, serde.KindShort, serde.KindByte, serde.KindChar:
		return strconv.ParseInt(text, 10, 64)
	case serde.KindBoolean:
		return strconv.ParseBool(text)
	case serde.KindDouble:
		return strconv.ParseFloat(text, 64)
	case serde.KindFloat:
		f, err := strconv.ParseFloat(text, 32)
		return float32(f), err
	case serde.KindBigInteger:
		n, ok := new(big.Int).SetString(text, 10)
		if !ok {
			return nil, fmt.Errorf("%q is no whole number", text)
		}
		return n, nil
	case serde.KindEnum:
		return text, nil
	case serde.KindTuple, serde.KindRow:
		return structFromJSON(t, v, depth)
	case serde.KindPojo:
		return pojoFromJSON(t, v, depth)
	}
	return nil, fmt.Errorf("%s: %w", t, errKeyText)
}

// structFromJSON makes a tuple or a row of an array, or of a row's printed form.
func structFromJSON(t *serde.Type, v any, depth int) (any, error) {
	s := &serde.Struct{Type: t, RowKind: -1}
	if t.Kind == serde.KindRow && t.Flag {
		s.RowKind = 0
	}
	if m, ok := v.(map[string]any); ok && t.Kind == serde.KindRow {
		v = m["fields"]
	}
	list, ok := v.([]any)
	if !ok || len(list) != len(t.Args) {
		return nil, fmt.Errorf("want an array of %d parts", len(t.Args))
	}
	for i, x := range list {
		if x == nil {
			s.Values = append(s.Values, nil)
			continue
		}
		part, err := fromJSON(t.Args[i], x, depth+1)
		if err != nil {
			return nil, err
		}
		s.Values = append(s.Values, part)
	}
	return s, nil
}

// pojoFromJSON makes a POJO of an object; fields that it lacks are null.
func pojoFromJSON(t *serde.Type, v any, depth int) (any, error) {
	m, ok := v.(map[string]any)
	if !ok {
		return nil, errors.New("want an object with the fields")
	}
	s := &serde.Struct{Type: t, RowKind: -1}
	used := 0
	for _, f := range t.Fields {
		x, there := m[f.Name]
		if there {
			used++
		}
		var part any
		if x != nil {
			var err error
			if part, err = fromJSON(f.Type, x, depth+1); err != nil {
				return nil, fmt.Errorf("field %s: %w", f.Name, err)
			}
		}
		s.Names, s.Values = append(s.Names, f.Name), append(s.Values, part)
	}
	if used < len(m) {
		return nil, errors.New("the object has fields that the class has not")
	}
	return s, nil
}

// Lookup yields the entries of one key of a keyed state or of timers. Of heap and
// canonical state the key's group is read, of RocksDB the state's tables in the
// subtask that has the group; if the group is not known, all.
func (c *Checkpoint) Lookup(ctx context.Context, st checkpoint.State, key checkpoint.Key) iter.Seq2[checkpoint.Entry, error] {
	return func(yield func(checkpoint.Entry, error) bool) {
		r, err := c.row(st)
		if err != nil {
			yield(checkpoint.Entry{}, err)
			return
		}
		if r.role != metadata.RoleManagedKeyed && r.Kind != checkpoint.Timers {
			return
		}
		x := enumeration{c: c, row: r, yield: yield, key: func(e *state.Entry) bool {
			return e.Split && bytes.Equal(e.Key, key.Encoded)
		}}
		if key.KeyGroup != checkpoint.NoKeyGroup {
			x.sel.KeyGroups = &checkpoint.Span{First: uint64(key.KeyGroup), Last: uint64(key.KeyGroup)}
		}
		if err := x.run(ctx); err != nil && !errors.Is(err, errEnough) {
			yield(checkpoint.Entry{}, err)
		}
	}
}
