package state

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/tidemark-io/tidemark/flink/metadata"
	"github.com/tidemark-io/tidemark/flink/serde"
	"github.com/tidemark-io/tidemark/flink/wire"
	"github.com/tidemark-io/tidemark/internal/testkit"
	"github.com/tidemark-io/tidemark/keygroup"
)

// tally counts what was read of the fixtures.
type tally struct {
	t                                        *testing.T
	checkpoints, keyed, operators, raw       int
	entries, elements, timers, values        int
	canonical, heap, compressed, incremental int
	groups, mismatches, unhashed             int
	refused                                  map[string]int
	noHash                                   map[string]int
	where                                    string
}

func (y *tally) refuse(err error) {
	var e *wire.Error
	if !errors.As(err, &e) {
		y.t.Errorf("%s: an error without place: %v", y.where, err)
	}
	if !errors.Is(err, wire.ErrUnsupported) {
		y.t.Errorf("%s: %v", y.where, err)
	}
	cause := err
	if e != nil {
		cause = e.Err
	}
	y.refused[cause.Error()]++
}

// open returns the bytes of a handle.
func (y *tally) open(dir string, h metadata.StreamHandle) (string, io.ReaderAt, int64) {
	switch h := h.(type) {
	case *metadata.ByteStream:
		return h.Name, bytes.NewReader(h.Data), int64(len(h.Data))
	case *metadata.RelativeFile:
		data, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(h.Path)))
		if err != nil {
			y.t.Fatal(err)
		}
		return h.Path, bytes.NewReader(data), int64(len(data))
	}
	y.t.Fatalf("%s: a handle of type %T", y.where, h)
	return "", nil, 0
}

func eachCheckpoint(t *testing.T, do func(dir string, m *metadata.Metadata)) {
	t.Helper()
	err := filepath.WalkDir(testkit.FlinkFixtures(t), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.Name() != "_metadata" {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		m, err := metadata.Decode(path, data, nil)
		if err != nil {
			return err
		}
		do(filepath.Dir(path), m)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Every state file of every checkpoint is read to the last byte, or refused with
// place and reason; key groups computed from keys are those the keys lie under.
func TestFixtures(t *testing.T) {
	y := &tally{t: t, refused: map[string]int{}, noHash: map[string]int{}}
	eachCheckpoint(t, func(dir string, m *metadata.Metadata) {
		y.checkpoints++
		for _, op := range m.Operators {
			for _, sub := range op.Subtasks {
				if sub.State == nil {
					continue
				}
				y.where = fmt.Sprintf("%s operator %v subtask %d", dir, op.ID, sub.Index)
				y.operator(dir, sub.State.ManagedOperator)
				y.keyedHandle(dir, int(op.MaxParallelism), sub.State.ManagedKeyed)
				y.rawKeyed(dir, int(op.MaxParallelism), sub.State.RawKeyed)
			}
		}
	})
	for _, reason := range slices.Sorted(maps.Keys(y.refused)) {
		t.Logf("refused %d times: %s", y.refused[reason], reason)
	}
	for _, reason := range slices.Sorted(maps.Keys(y.noHash)) {
		t.Logf("no hash code, %d entries: %s", y.noHash[reason], reason)
	}
	refusals := 0
	for _, n := range y.refused {
		refusals += n
	}
	if y.mismatches > 0 || y.entries == 0 || y.elements == 0 || y.timers == 0 || y.raw == 0 || y.compressed == 0 {
		t.Error("nothing of a kind was read, or key groups differ")
	}
	t.Logf("RESULT TestFixtures checkpoints=%d keyed_files=%d canonical=%d heap=%d incremental_headers=%d compressed=%d operator_files=%d entries=%d timers=%d raw_timers=%d elements=%d values=%d key_groups_equal=%d unequal=%d without_hash=%d refused=%d",
		y.checkpoints, y.keyed, y.canonical, y.heap, y.incremental, y.compressed, y.operators, y.entries, y.timers, y.raw, y.elements, y.values, y.groups, y.mismatches, y.unhashed, refusals)
}

func (y *tally) operator(dir string, h *metadata.OperatorHandle) {
	if h == nil {
		return
	}
	object, data, size := y.open(dir, h.Delegate)
	f := OperatorFile{Object: object, Data: data, Size: size}
	for _, s := range h.States {
		f.States = append(f.States, Partitions{s.Name, s.Offsets})
	}
	o, err := OpenOperator(f)
	if err != nil {
		y.refuse(err)
		return
	}
	y.operators++
	if o.Header.Compressed {
		y.compressed++
	}
	for _, s := range h.States {
		m := o.Meta(s.Name)
		for e, err := range o.Elements(s.Name) {
			if err != nil {
				y.refuse(err)
				continue
			}
			y.elements++
			if _, err := m.Type(SerializerValue).AppendJSON(nil, e.Value); err != nil {
				y.t.Errorf("%s state %s: %v", y.where, s.Name, err)
			}
		}
	}
}

func (y *tally) keyedHandle(dir string, maxParallelism int, h metadata.KeyedHandle) {
	switch h := h.(type) {
	case nil:
	case *metadata.KeyGroupsHandle:
		object, data, size := y.open(dir, h.Delegate)
		y.keyedFile(KeyedFile{Object: object, Data: data, Size: size, Groups: rangeOf(h.Range), Offsets: h.Offsets, MaxParallelism: maxParallelism, Savepoint: h.Tag == 7})
	case *metadata.IncrementalHandle:
		object, data, size := y.open(dir, h.Meta)
		r := wire.NewStream(object, 0, io.NewSectionReader(data, 0, size), size)
		if _, err := ReadKeyedHeader(r); err != nil {
			y.refuse(err)
			return
		}
		if err := r.End("header"); err != nil {
			y.t.Error(y.where, err)
		}
		y.incremental++
	case *metadata.ChangelogHandle:
		for _, part := range h.Materialized {
			y.keyedHandle(dir, maxParallelism, part)
		}
	default:
		y.t.Errorf("%s: a keyed handle of type %T", y.where, h)
	}
}

func (y *tally) keyedFile(f KeyedFile) {
	k, err := OpenKeyed(f)
	if err != nil {
		y.refuse(err)
		return
	}
	y.keyed++
	if k.Header.Compressed {
		y.compressed++
	}
	if k.Layout == Heap {
		y.heap++
	} else {
		y.canonical++
	}
	for e, err := range k.Entries() {
		if err != nil {
			y.refuse(err)
			continue
		}
		y.entry(k, e)
	}
}

func (y *tally) entry(k *Keyed, e *Entry) {
	m := &k.Header.States[e.State]
	y.entries++
	if m.Kind == PriorityQueue {
		y.timers++
	}
	if _, err := m.AppendValueJSON(nil, e.Value); err != nil {
		y.t.Errorf("%s state %s at %d: %v", y.where, m.Name, e.Offset, err)
	}
	if err := m.CheckValue("value", 0, e.Value); err != nil {
		y.t.Errorf("%s state %s at %d: %v", y.where, m.Name, e.Offset, err)
	}
	y.values++
	if !e.Split || e.Key == nil {
		return
	}
	if m.Keyed() {
		again := AppendComposite(nil, k.Header.Key, m.Type(SerializerNamespace), e.Key, e.Namespace, e.UserKey)
		if !bytes.Equal(again, e.Composite) {
			y.t.Errorf("%s state %s: key %x became %x", y.where, m.Name, e.Composite, again)
		}
	}
	y.group(k.Header.Key, e.Key, e.KeyGroup, k.file.MaxParallelism)
}

func (y *tally) group(t *serde.Type, key []byte, stored, maxParallelism int) {
	h, err := t.HashKey(key)
	if err != nil {
		y.unhashed++
		y.noHash[err.Error()]++
		return
	}
	if g := serde.KeyGroup(h, maxParallelism); g != stored {
		y.mismatches++
		y.t.Errorf("%s: key %x of %v has hash code %d, group %d; it is stored in %d", y.where, key, t, h, g, stored)
		return
	}
	y.groups++
}

func (y *tally) rawKeyed(dir string, maxParallelism int, h metadata.KeyedHandle) {
	if h == nil {
		return
	}
	g := h.(*metadata.KeyGroupsHandle)
	object, data, size := y.open(dir, g.Delegate)
	f := KeyedFile{Object: object, Data: data, Size: size, Groups: rangeOf(g.Range), Offsets: g.Offsets, MaxParallelism: maxParallelism}
	for timer, err := range RawTimers(f) {
		if err != nil {
			y.refuse(err)
			continue
		}
		y.raw++
		y.group(timer.KeyType, timer.Key, timer.KeyGroup, maxParallelism)
	}
}

func rangeOf(r metadata.KeyGroupRange) keygroup.Range {
	return keygroup.Range{First: int(r.Start), Last: int(r.Start) + int(r.Count) - 1}
}
