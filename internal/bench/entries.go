package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/tidemark-io/tidemark/checkpoint/layout"
	"github.com/tidemark-io/tidemark/engine/state"
	"github.com/tidemark-io/tidemark/format"
	"github.com/tidemark-io/tidemark/keygroup"
	"github.com/tidemark-io/tidemark/keygroup/keyhash"
	"github.com/tidemark-io/tidemark/store"
	"github.com/tidemark-io/tidemark/writer"
)

// What the tasks on state have in common: tables of entries with keys and
// values of eight bytes, and checkpoints with one keyed state.

const (
	groups    = 128
	entrySize = 16
	uid       = "count"
	stateName = "n"
)

// keyOf is the i-th key, as random bytes; no two are equal.
func keyOf(i uint64) uint64 {
	x := i * 0x9e3779b97f4a7c15
	x ^= x >> 32
	return x * 0xd6e8feb86659fd93
}

// pair is an entry in the order of hashes.
type pair struct{ sum, key uint64 }

// sortedPairs are the first n keys in the order in which a checkpoint has them.
func sortedPairs(n int) []pair {
	all := make([]pair, n)
	var k [8]byte
	for i := range all {
		key := keyOf(uint64(i))
		binary.LittleEndian.PutUint64(k[:], key)
		all[i] = pair{keyhash.Sum64(k[:]), key}
	}
	slices.SortFunc(all, func(a, b pair) int {
		if x, y := a.sum>>32, b.sum>>32; x != y {
			if x < y {
				return -1
			}
			return 1
		}
		var x, y [8]byte
		binary.LittleEndian.PutUint64(x[:], a.key)
		binary.LittleEndian.PutUint64(y[:], b.key)
		return slices.Compare(x[:], y[:])
	})
	return all
}

// newTable makes an empty table of one subtask of p.
func newTable(subtask, p int) (*state.Table, error) {
	return state.NewTable(state.Options{Groups: groups, Range: keygroup.RangeOf(subtask, groups, p), KeyWidth: 8, ValueWidth: 8})
}

// fill puts n entries into the tables of p subtasks, in random order. Values
// are below 1000, as counts often are.
func fill(n, p int) ([]*state.Table, error) {
	tables := make([]*state.Table, p)
	for i := range tables {
		var err error
		if tables[i], err = newTable(i, p); err != nil {
			return nil, err
		}
	}
	var k, v [8]byte
	for i := range uint64(n) {
		key := keyOf(i)
		binary.LittleEndian.PutUint64(k[:], key)
		binary.LittleEndian.PutUint64(v[:], key%1000)
		sum := keyhash.Sum64(k[:])
		t := tables[keygroup.OwnerOfHash(keygroup.Hash(sum>>32), groups, p)]
		if _, err := t.Set(sum, k[:], nil, v[:]); err != nil {
			return nil, err
		}
	}
	return tables, nil
}

// manifest describes a checkpoint with one operator and some keyed states.
func manifest(p, keyGroups, states int, key, value *format.Schema) *format.Manifest {
	m := &format.Manifest{
		Summary: format.Summary{Kind: format.Checkpoint, Job: "bench", Created: 1_700_000_000_000_000_000, Lineage: "bench", Run: 1,
			Software: "tidemark bench", Hash: keyhash.Name},
		Operators: []format.Operator{{UID: uid, Name: uid, Parallelism: uint32(p), KeyGroups: uint32(keyGroups), KeySchema: 0,
			MinWatermark: 1, MaxWatermark: 1}},
		Schemas: []*format.Schema{key},
	}
	row := 0
	if value.Type != key.Type {
		m.Schemas = append(m.Schemas, value)
		row = 1
	}
	for i := range states {
		m.States = append(m.States, format.State{Name: nameOf(i), Kind: format.KindKeyed, Edge: format.None, Namespace: format.None, Value: row})
	}
	return m
}

// nameOf is the name of the i-th state.
func nameOf(i int) string {
	if i == 0 {
		return stateName
	}
	return fmt.Sprintf("%s%d", stateName, i)
}

// sliceOf describes what a subtask writes of a state.
func sliceOf(m *format.Manifest, state, subtask int) writer.SliceSpec {
	op := m.Operators[0]
	return writer.SliceSpec{
		State: state, Operator: op.UID, Name: m.States[state].Name, Parallelism: op.Parallelism, KeyGroups: op.KeyGroups,
		Kind: format.KindKeyed, Key: m.Schemas[0], Value: m.Schemas[m.States[state].Value], Subtask: uint32(subtask),
		Interval: keygroup.IntervalOf(subtask, int(op.KeyGroups), int(op.Parallelism)),
	}
}

// publish writes a whole checkpoint: data is called with the open writer and
// returns the slices. What a failure leaves is removed.
func publish(ctx context.Context, st store.Store, id uint64, c writer.Compression, m *format.Manifest, data func(*writer.Writer) ([]format.Slice, error)) error {
	w, err := writer.New(writer.Options{Store: st, Dir: layout.Checkpoint(id), ID: id, Compression: c})
	if err != nil {
		return err
	}
	if m.Slices, err = data(w); err == nil {
		err = w.Seal(ctx)
	}
	if err == nil {
		err = w.Commit(ctx, m)
	}
	if err != nil {
		_ = w.Abort(ctx) // the directory is temporary, and the first error is the one that matters
	}
	return err
}

// uint64Schema is the type of keys, and of values of eight bytes.
var uint64Schema = &format.Schema{Type: format.TypeUint64}
