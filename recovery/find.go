package recovery

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"reflect"

	"github.com/tidemark-io/tidemark/checkpoint"
)

// ErrKey: the text is a key of no operator.
var ErrKey = errors.New("no operator has such a key")

// Find yields everything that concerns one key, given as text: its entries in
// keyed state and timers, found by its hash; items of lists and of broadcast
// state that are the key or contain it; and in-flight records of its hash, of
// which in theory one in 2^32 may be of another key, or, where they were not sent
// by key, those that contain it. Lists and in-flight data are read whole.
//
// The key is parsed for each operator by the schema of its keys. If no operator
// can parse it, the error is [ErrKey].
func Find(ctx context.Context, c checkpoint.Checkpoint, sel checkpoint.Selector, text string) iter.Seq2[Content, error] {
	return func(yield func(Content, error) bool) {
		finder, ok := c.(checkpoint.Finder)
		if !ok {
			yield(Content{}, ErrNotReadable)
			return
		}
		f := &finding{c: c, finder: finder, sel: sel, keys: map[string]checkpoint.Key{}, hashes: map[uint32]bool{}}
		if err := f.parse(ctx, text); err != nil {
			yield(Content{}, err)
			return
		}
		err := f.run(ctx, yield)
		if err != nil && !errors.Is(err, errEnough) {
			yield(Content{}, err)
		}
	}
}

// errEnough: the consumer wants no more.
var errEnough = errors.New("enough")

// finding is a search for one key.
type finding struct {
	c      checkpoint.Checkpoint
	finder checkpoint.Finder
	sel    checkpoint.Selector
	keys   map[string]checkpoint.Key // by operator
	hashes map[uint32]bool
	values []any // the key as a JSON value, in each operator's way
}

// parse encodes the key for each keyed operator.
func (f *finding) parse(ctx context.Context, text string) error {
	var refused []error
	for o, err := range f.c.Operators(ctx) {
		if err != nil {
			return err
		}
		if o.KeyGroups == 0 {
			continue
		}
		key, err := f.finder.ParseKey(ctx, o.UID, text)
		if err != nil {
			refused = append(refused, err)
			continue
		}
		f.keys[o.UID] = key
		f.hashes[uint32(key.Hash)] = true
	}
	if len(f.keys) == 0 {
		return errors.Join(append([]error{fmt.Errorf("%q: %w", text, ErrKey)}, refused...)...)
	}
	return f.printKeys(ctx)
}

// printKeys prints the keys as values, to compare list items with.
func (f *finding) printKeys(ctx context.Context) error {
	printer, ok := f.c.(checkpoint.Printer)
	if !ok {
		return nil
	}
	done := map[string]bool{}
	for st, err := range f.c.States(ctx) {
		if err != nil {
			return err
		}
		key, ok := f.keys[st.Operator]
		if !ok || done[st.Operator] || !fieldsOf(st.Kind).hash && st.Kind != checkpoint.Floors { // which each keyed operator has
			continue
		}
		done[st.Operator] = true
		text, err := printer.AppendValue(nil, st, checkpoint.FieldKey, key.Encoded)
		if err != nil {
			return err
		}
		var v any
		if err := unmarshal(text, &v); err == nil {
			f.values = append(f.values, v)
		}
	}
	return nil
}

// run walks the states.
func (f *finding) run(ctx context.Context, yield func(Content, error) bool) error {
	for st, err := range f.c.States(ctx) {
		if err != nil {
			return err
		}
		if !f.sel.Takes(st) {
			continue
		}
		switch st.Kind {
		case checkpoint.Keyed, checkpoint.Timers:
			err = f.keyed(ctx, st, yield)
		case checkpoint.SplitList, checkpoint.UnionList, checkpoint.BroadcastState:
			err = f.list(ctx, st, yield)
		}
		if err != nil {
			return err
		}
	}
	return f.inFlight(ctx, yield)
}

func (f *finding) keyed(ctx context.Context, st checkpoint.State, yield func(Content, error) bool) error {
	key, ok := f.keys[st.Operator]
	if !ok || key.KeyGroup != checkpoint.NoKeyGroup && !f.sel.KeyGroups.Contains(uint64(key.KeyGroup)) {
		return nil
	}
	for e, err := range f.finder.Lookup(ctx, st, key) {
		if err != nil {
			return err
		}
		if f.sel.Subtasks.Contains(uint64(e.Subtask)) && f.sel.KeyGroups.Contains(uint64(e.KeyGroup)) && !yield(Content{Entry: &e}, nil) {
			return errEnough
		}
	}
	return nil
}

// list compares the items of a list with the key.
func (f *finding) list(ctx context.Context, st checkpoint.State, yield func(Content, error) bool) error {
	printer, ok := f.c.(checkpoint.Printer)
	if !ok {
		return nil
	}
	var text []byte
	for e, err := range Entries(ctx, f.c, st, f.sel) {
		if err != nil {
			return err
		}
		hit := f.encodes(e.Key) || f.encodes(e.Value)
		if text, err = printer.AppendValue(text[:0], st, checkpoint.FieldValue, e.Value); err == nil && !hit {
			var v any
			hit = unmarshal(text, &v) == nil && f.contains(v)
		}
		if hit && !yield(Content{Entry: &e}, nil) {
			return errEnough
		}
	}
	return nil
}

// encodes tells whether bytes are the key as one of the operators encodes it.
func (f *finding) encodes(data []byte) bool {
	for _, key := range f.keys {
		if len(data) > 0 && bytes.Equal(key.Encoded, data) {
			return true
		}
	}
	return false
}

// contains looks for the key in a value of any depth that AppendValue bounds.
func (f *finding) contains(v any) bool {
	for _, want := range f.values {
		if reflect.DeepEqual(v, want) {
			return true
		}
	}
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			if f.contains(e) {
				return true
			}
		}
	case map[string]any:
		for _, e := range v {
			if f.contains(e) {
				return true
			}
		}
	}
	return false
}

func (f *finding) inFlight(ctx context.Context, yield func(Content, error) bool) error {
	joiner, ok := f.c.(checkpoint.Joiner)
	if !ok || f.sel.Kind != "" && !f.sel.Kind.InFlight() {
		return nil
	}
	printer, prints := f.c.(checkpoint.Printer)
	var text []byte
	if told, err := f.tells(ctx); err != nil || !told {
		return err
	}
	for r, err := range joiner.Records(ctx, f.sel) {
		if err != nil {
			return err
		}
		hit := r.HasHash && f.hashes[uint32(r.Hash)]
		if !r.HasHash && r.Element == checkpoint.ElementRecord && prints && r.State.ValueType != "" {
			var v any
			if text, err = printer.AppendValue(text[:0], r.State, checkpoint.FieldValue, r.Payload); err == nil {
				hit = unmarshal(text, &v) == nil && f.contains(v)
			}
		}
		if hit && !yield(Content{Record: &r}, nil) {
			return errEnough
		}
	}
	return nil
}

// tells reports whether anything says of records in flight what their keys are: an edge,
// whose sender hashed them, or their type. Without, reading them would find none.
func (f *finding) tells(ctx context.Context) (bool, error) {
	for s, err := range f.c.States(ctx) {
		if err != nil {
			return false, err
		}
		if s.Kind.InFlight() && (s.Edge != "" || s.ValueType != "") {
			return true, nil
		}
	}
	return false, nil
}

// unmarshal decodes JSON with its numbers as text, so that none is rounded.
func unmarshal(text []byte, v *any) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	return d.Decode(v)
}
