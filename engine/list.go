package engine

import (
	"fmt"

	"github.com/tidemark-io/tidemark/engine/codec"
	"github.com/tidemark-io/tidemark/engine/runtime"
	"github.com/tidemark-io/tidemark/format"
)

// SplitList is operator state of items that are dealt out anew when parallelism
// changes: each item is restored by exactly one subtask. Bind it in Open; what
// Items holds at a snapshot is stored.
type SplitList[V any] struct {
	// Items may be changed at any time on the subtask's goroutine.
	Items []V
	codec Codec[V]
	spec  runtime.StateSpec
}

// Bind declares the list under a name that is unique in its operator, and
// restores this subtask's items.
func (l *SplitList[V]) Bind(b *Binder, name string) error {
	spec, c, err := listSpec[V](name, format.KindSplitList)
	if err != nil {
		return err
	}
	items, _, err := b.env.RestoreList(spec)
	if err != nil {
		return err
	}
	l.codec, l.spec = c, spec
	b.lists = append(b.lists, l)
	l.Items, err = decodeItems(c, name, items)
	return err
}

func (l *SplitList[V]) snapshot(s *runtime.Snapshot) { s.List(l.spec, encodeItems(l.codec, l.Items)) }

// UnionList is operator state of items that every subtask gets all of when the
// job is restored. Own holds what this subtask contributes.
type UnionList[V any] struct {
	// Restored is what all subtasks had contributed.
	Restored []V
	// Own may be changed at any time on the subtask's goroutine.
	Own   []V
	codec Codec[V]
	spec  runtime.StateSpec
}

// Bind declares the list under a name that is unique in its operator, and
// restores all items into Restored. Own begins empty.
func (l *UnionList[V]) Bind(b *Binder, name string) error {
	spec, c, err := listSpec[V](name, format.KindUnionList)
	if err != nil {
		return err
	}
	items, err := b.env.RestoreUnion(spec)
	if err != nil {
		return err
	}
	l.codec, l.spec = c, spec
	b.lists = append(b.lists, l)
	l.Restored, err = decodeItems(c, name, items)
	return err
}

func (l *UnionList[V]) snapshot(s *runtime.Snapshot) { s.List(l.spec, encodeItems(l.codec, l.Own)) }

// snapshotList is a list that a snapshot includes.
type snapshotList interface {
	snapshot(s *runtime.Snapshot)
}

func listSpec[V any](name string, kind format.Kind) (runtime.StateSpec, Codec[V], error) {
	c, err := codec.Of[V]()
	if err != nil {
		return runtime.StateSpec{}, nil, fmt.Errorf("state %q: %w", name, err)
	}
	return runtime.StateSpec{Name: name, Kind: kind, Value: c.Schema()}, c, nil
}

func decodeItems[V any](c Codec[V], name string, items [][]byte) ([]V, error) {
	var values []V
	for _, item := range items {
		v, _, err := c.Decode(item)
		if err != nil {
			return nil, fmt.Errorf("state %q: restored item: %w", name, err)
		}
		values = append(values, v)
	}
	return values, nil
}

func encodeItems[V any](c Codec[V], values []V) [][]byte {
	items := make([][]byte, len(values))
	for i, v := range values {
		items[i] = c.Append(nil, v)
	}
	return items
}
