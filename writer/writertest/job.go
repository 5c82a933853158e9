// Package writertest writes sample checkpoints for tests: a small keyed job with
// one state of every kind, of any size, and the contents that a reader must
// find in it.
package writertest

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"sync"

	"github.com/tidemark-io/tidemark/checkpoint/layout"
	"github.com/tidemark-io/tidemark/format"
	"github.com/tidemark-io/tidemark/keygroup"
	"github.com/tidemark-io/tidemark/keygroup/keyhash"
	"github.com/tidemark-io/tidemark/store"
	"github.com/tidemark-io/tidemark/writer"
)

// Job is a sample job. The zero value of a field stands for its default.
type Job struct {
	ID          uint64 // of the checkpoint; 1
	Parallelism int    // 2
	Groups      int    // 128
	Keys        int    // 0 writes states without entries
	ValueSize   int    // bytes of a value of keyed state; 8
	Seed        uint64 // of the values
	// Flight is the number of records in flight, of the first so many keys: a
	// stream of frames, some of which cross buffers. 0 leaves buffers in the
	// channels that are no frames.
	Flight    int
	Savepoint bool
	Parallel  bool           // one goroutine for each subtask
	Options   writer.Options // Store, Dir and ID are set by Write
}

// The job's operators, edge and states.
const (
	Source = "flights"
	Count  = "count"
	Edge   = "flights>count#0"
)

// Entry is an entry of keyed state or a timer.
type Entry struct {
	Hash                  keygroup.Hash
	Key, Namespace, Value []byte
	Time                  int64
}

// withDefaults fills in what is zero.
func (j Job) withDefaults() Job {
	j.ID = cmp.Or(j.ID, 1)
	j.Parallelism = cmp.Or(j.Parallelism, 2)
	j.Groups = cmp.Or(j.Groups, 128)
	j.ValueSize = cmp.Or(j.ValueSize, 8)
	return j
}

// Dir is the directory of the checkpoint.
func (j Job) Dir() string {
	if j.Savepoint {
		return layout.Savepoint(j.withDefaults().ID)
	}
	return layout.Checkpoint(j.withDefaults().ID)
}

// Keyed are the entries of the state "counter" in the interval, in the global
// order.
func (j Job) Keyed(iv keygroup.Interval) []Entry {
	j = j.withDefaults()
	return j.entries(iv, func(k int, e Entry) []Entry {
		e.Value = j.value(k)
		return []Entry{e}
	})
}

// Windows are the entries of the state "windows", two namespaces for each key.
func (j Job) Windows(iv keygroup.Interval) []Entry {
	return j.entries(iv, func(k int, e Entry) []Entry {
		a, b := e, e
		a.Namespace, b.Namespace = []byte{0, byte(k)}, []byte{1, byte(k)}
		a.Value, b.Value = fixed(uint64(k)), fixed(uint64(k)+1)
		return []Entry{a, b}
	})
}

// Timers are the timers of the state "due", two for each key.
func (j Job) Timers(iv keygroup.Interval) []Entry {
	return j.entries(iv, func(k int, e Entry) []Entry {
		a, b := e, e
		a.Time, b.Time = int64(k)-5, int64(k)*1000
		if a.Time >= b.Time {
			return []Entry{a}
		}
		return []Entry{a, b}
	})
}

// entries makes the entries of all keys and puts them in order.
func (j Job) entries(iv keygroup.Interval, of func(k int, e Entry) []Entry) []Entry {
	var all []Entry
	for k := range j.Keys {
		key := Key(k)
		if h := keyhash.Of(key); iv.Contains(h) {
			all = append(all, of(k, Entry{Hash: h, Key: key})...)
		}
	}
	slices.SortStableFunc(all, func(a, b Entry) int {
		return cmp.Or(cmp.Compare(a.Hash, b.Hash), bytes.Compare(a.Key, b.Key), bytes.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Time, b.Time))
	})
	return all
}

// Key is the canonical encoding of the k-th key: a string.
func Key(k int) []byte {
	text := fmt.Sprintf("key-%d", k)
	return append(binary.AppendUvarint(nil, uint64(len(text))), text...)
}

// value is the value of the k-th key: bytes of the wanted size that depend on
// the seed. Half of them are easy to compress.
func (j Job) value(k int) []byte {
	n := max(j.ValueSize-1, 0)
	if j.ValueSize > 128 {
		n = j.ValueSize - 2 // the length takes two bytes
	}
	body := make([]byte, n)
	x := uint64(k)*0x9e3779b97f4a7c15 + j.Seed + 1
	for i := range body {
		if i%2 == 0 {
			x ^= x << 13
			x ^= x >> 7
			x ^= x << 17
			body[i] = byte(x)
		}
	}
	return append(binary.AppendUvarint(nil, uint64(n)), body...)
}

// fixed is the encoding of an unsigned 64-bit integer.
func fixed(v uint64) []byte { return binary.LittleEndian.AppendUint64(nil, v) }

// Items are the items that a subtask writes to the lists.
func Items(subtask int) [][]byte {
	var items [][]byte
	for i := range subtask + 1 {
		items = append(items, fixed(uint64(subtask*100+i)))
	}
	return items
}

// Write writes and commits the checkpoint and returns its manifest.
func (j Job) Write(ctx context.Context, st store.Store) (*format.Manifest, error) {
	w, m, err := j.Seal(ctx, st)
	if err != nil {
		return nil, err
	}
	return m, w.Commit(ctx, m)
}

// Seal writes the data objects and returns the writer and the manifest that is
// to be committed. After an error the writer was aborted.
func (j Job) Seal(ctx context.Context, st store.Store) (*writer.Writer, *format.Manifest, error) {
	j = j.withDefaults()
	opts := j.Options
	opts.Store, opts.Dir, opts.ID = st, j.Dir(), j.ID
	w, err := writer.New(opts)
	if err != nil {
		return nil, nil, err
	}
	m := j.manifest()
	if err := j.data(ctx, w, m); err != nil {
		return w, m, err
	}
	return w, m, w.Seal(ctx)
}

// manifest is the manifest without slices.
func (j Job) manifest() *format.Manifest {
	text, number := &format.Schema{Type: format.TypeString}, &format.Schema{Type: format.TypeUint64}
	raw, window := &format.Schema{Type: format.TypeBytes}, &format.Schema{Type: format.TypeUint16}
	kind := format.Checkpoint
	if j.Savepoint {
		kind = format.Savepoint
	}
	p := uint32(j.Parallelism)
	m := &format.Manifest{
		Summary: format.Summary{Kind: kind, Job: "sample", Created: 1_700_000_000_000_000_000, Lineage: "sample", Run: 1,
			Software: "writertest", Hash: keyhash.Name},
		Operators: []format.Operator{
			{UID: Source, Name: "flights", Parallelism: p, KeySchema: format.None, MinWatermark: 10, MaxWatermark: 20},
			{UID: Count, Name: "count by origin", Parallelism: p, KeyGroups: uint32(j.Groups), KeySchema: 0, Task: 1, MinWatermark: 5, MaxWatermark: 15},
		},
		Edges:    []format.Edge{{ID: Edge, From: 0, To: 1, Partitioner: format.Keyed, Alignment: format.Unaligned, InFlightRecords: 2 * uint64(j.Parallelism), Keys: format.None}},
		Schemas:  []*format.Schema{text, number, raw, window},
		Settings: []format.Setting{{Key: "execution.checkpointing.interval", Value: "10 s", Origin: "default"}},
	}
	add := func(op int, kind format.Kind, name string, edge, namespace, value int) {
		m.States = append(m.States, format.State{Operator: op, Name: name, Kind: kind, Edge: edge, Namespace: namespace, Value: value})
	}
	const none = format.None
	add(0, format.KindSplitList, "splits", none, none, 1)
	add(0, format.KindUnionList, "offsets", none, none, 1)
	add(0, format.KindSplitWatermark, "", none, none, none)
	add(0, format.KindOutputChannel, "", 0, none, none)
	add(1, format.KindKeyed, "counter", none, none, 2)
	add(1, format.KindKeyed, "windows", none, 3, 1)
	add(1, format.KindTimer, "due", none, 3, none)
	add(1, format.KindBroadcast, "rules", none, none, 1)
	add(1, format.KindFloor, "", none, none, none)
	add(1, format.KindSubtaskWatermark, "", none, none, none)
	add(1, format.KindChannelWatermark, "", 0, none, none)
	add(1, format.KindInputChannel, "", 0, none, none)
	if j.Flight > 0 {
		m.Schemas, m.Edges[0].InFlightRecords = append(m.Schemas, flightSchema()), uint64(j.Flight)
		for i := range m.States {
			if m.States[i].Kind.Channel() {
				m.States[i].Value = len(m.Schemas) - 1
			}
		}
	}
	return m
}

// data writes the slices of all subtasks.
func (j Job) data(ctx context.Context, w *writer.Writer, m *format.Manifest) error {
	var mu sync.Mutex
	var group sync.WaitGroup
	var failed error
	one := func(subtask int) {
		for state := range m.States {
			row, err := j.slice(ctx, w, m, state, subtask)
			mu.Lock()
			if err == nil {
				m.Slices = append(m.Slices, row)
			} else if failed == nil {
				failed = err
			}
			mu.Unlock()
			if err != nil {
				return
			}
		}
	}
	for subtask := range j.Parallelism {
		if j.Parallel {
			group.Go(func() { one(subtask) })
		} else if failed == nil {
			one(subtask)
		}
	}
	group.Wait()
	return failed
}

// slice writes one slice.
func (j Job) slice(ctx context.Context, w *writer.Writer, m *format.Manifest, state, subtask int) (format.Slice, error) {
	st := m.States[state]
	op := m.Operators[st.Operator]
	spec := writer.SliceSpec{State: state, Operator: op.UID, Parallelism: op.Parallelism, KeyGroups: op.KeyGroups, Name: st.Name,
		Kind: st.Kind, Subtask: uint32(subtask), Interval: keygroup.All(), Key: schema(m, op.KeySchema), Namespace: schema(m, st.Namespace), Value: schema(m, st.Value)}
	if st.Edge != format.None {
		spec.Edge = m.Edges[st.Edge].ID
	}
	if st.Kind.ByHash() {
		spec.Interval = keygroup.IntervalOf(subtask, j.Groups, j.Parallelism)
	}
	s, err := w.Slice(ctx, spec)
	if err != nil {
		return format.Slice{}, err
	}
	if err := j.fill(s, st, subtask, spec.Interval); err != nil {
		s.Abandon()
		return format.Slice{}, err
	}
	return s.Close()
}

// schema is a row of the manifest's schemas, nil for None.
func schema(m *format.Manifest, row int) *format.Schema {
	if row == format.None {
		return nil
	}
	return m.Schemas[row]
}

// fill writes the entries of a slice.
func (j Job) fill(s *writer.Slice, st format.State, subtask int, iv keygroup.Interval) (err error) {
	each := func(list []Entry, write func(Entry) error) {
		for _, e := range list {
			if err == nil {
				err = write(e)
			}
		}
	}
	keyed := func(e Entry) error { return s.Keyed(e.Hash, e.Key, e.Namespace, e.Value) }
	switch st.Kind {
	case format.KindKeyed:
		if st.Name == "windows" {
			each(j.Windows(iv), keyed)
		} else {
			each(j.Keyed(iv), keyed)
		}
	case format.KindTimer:
		each(j.Timers(iv), func(e Entry) error { return s.Timer(e.Hash, e.Key, []byte{0, 0}, e.Time) })
	case format.KindSplitList, format.KindUnionList:
		for _, item := range Items(subtask) {
			if err == nil {
				err = s.Item(item)
			}
		}
	case format.KindBroadcast:
		if err = s.Pair(Key(0), fixed(1)); err == nil {
			err = s.Pair(Key(1), fixed(2))
		}
	default:
		err = j.fillMarks(s, st, subtask, iv)
	}
	return err
}

// fillMarks writes watermarks and in-flight buffers.
func (j Job) fillMarks(s *writer.Slice, st format.State, subtask int, iv keygroup.Interval) error {
	switch st.Kind {
	case format.KindFloor:
		return s.Floor(format.Floor{Interval: iv, Watermark: int64(subtask), Drain: format.Unknown})
	case format.KindSubtaskWatermark:
		return s.SubtaskWatermark(format.SubtaskWatermark{Subtask: uint32(subtask), Current: 7, Emitted: 6, Drain: format.Unknown, Status: format.StatusActive})
	case format.KindChannelWatermark:
		for sender := range j.Parallelism {
			row := format.ChannelWatermark{Sender: uint32(sender), Receiver: subtask, Watermark: int64(sender), Status: format.StatusActive}
			if err := s.ChannelWatermark(row); err != nil {
				return err
			}
		}
	case format.KindSplitWatermark:
		return s.SplitWatermark(format.SplitWatermark{Split: fmt.Appendf(nil, "split-%03d", subtask), Watermark: 3, Status: format.StatusIdle})
	case format.KindInputChannel, format.KindOutputChannel:
		if j.Flight > 0 {
			return j.fillFlight(s, st.Kind, subtask)
		}
		other := uint32(0)
		receiver, sender := uint32(subtask), other
		if st.Kind == format.KindOutputChannel {
			receiver, sender = other, uint32(subtask)
		}
		for seq := range uint64(3) {
			payload := bytes.Repeat([]byte{byte(subtask), byte(seq), 0xee}, 20)
			if err := s.Buffer(format.NewBuffer(receiver, sender, 0, seq+10, 3, payload)); err != nil {
				return err
			}
		}
	}
	return nil
}
