package main

import (
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strconv"
	"sync/atomic"

	"github.com/tidemark-io/tidemark/checkpoint/layout"
	"github.com/tidemark-io/tidemark/format"
	"github.com/tidemark-io/tidemark/keygroup"
	"github.com/tidemark-io/tidemark/keygroup/keyhash"
	"github.com/tidemark-io/tidemark/store/local"
	"github.com/tidemark-io/tidemark/writer"
)

// The checkpoint that the commands are measured with: a job of two operators
// with state of every kind, all of it in proportion to the size of the keyed
// state, so that a command which keeps any part of it in memory is found out.

const (
	sampleTasks  = 4 // parallelism of both operators
	profileSize  = 176
	windowEvery  = 4 // of so many keys one has a window
	timerEvery   = 8 // and one a timer
	flightShare  = 16
	listShare    = 128
	sampleItem   = 64       // bytes of an item of a list, about
	flightBuffer = 32 << 10 // bytes of a buffer in flight
)

// Operators, and the states of the second, of the sample.
const (
	sampleSource = "orders"
	sampleUID    = "profile"
	sampleEdge   = "orders>profile#0"
)

// sample writes one such checkpoint.
type sample struct {
	keys    uint64
	flight  int    // bytes in flight in each channel
	items   int    // of each list and subtask
	salt    uint64 // of the values; another one is a later checkpoint of the job
	m       *format.Manifest
	records atomic.Uint64
}

// prepareSample writes checkpoint number p.Repeat (1 if that is 0) with p.Bytes
// of keyed state before compression.
func prepareSample(ctx context.Context, p params) (figures, error) {
	st, err := local.Open(p.Dir, local.WithCreate())
	if err != nil {
		return nil, err
	}
	defer st.Close()
	id := uint64(max(p.Repeat, 1))
	s := &sample{keys: uint64(p.Bytes) / profileSize, flight: int(p.Bytes / flightShare / (sampleTasks * sampleTasks)),
		items: cmp.Or(p.Items, int(p.Bytes/listShare/sampleItem/sampleTasks)), salt: id}
	s.m = s.manifest(cmp.Or(p.Groups, groups))
	if p.Still {
		s.m.States = slices.DeleteFunc(s.m.States, func(st format.State) bool {
			return st.Kind == format.KindInputChannel || st.Kind == format.KindOutputChannel
		})
	}
	codec := writer.CompressAuto
	if p.Codec == "none" {
		codec = writer.CompressNone
	}
	w, err := writer.New(writer.Options{Store: st, Dir: layout.Checkpoint(id), ID: id, Compression: codec})
	if err != nil {
		return nil, err
	}
	if err = s.data(ctx, w); err == nil {
		err = w.Seal(ctx)
	}
	if err == nil {
		s.m.Edges[0].InFlightRecords = s.records.Load()
		err = w.Commit(ctx, s.m)
	}
	if err != nil {
		_ = w.Abort(ctx) // the first error is the one that matters
		return nil, err
	}
	return figures{"keys": float64(s.keys), "records": float64(s.records.Load())}, nil
}

// manifest is the manifest without slices.
func (s *sample) manifest(keyGroups int) *format.Manifest {
	text, number, signed := &format.Schema{Type: format.TypeString}, uint64Schema, &format.Schema{Type: format.TypeInt64}
	profile := &format.Schema{Type: format.TypeStruct, Name: "Profile", Fields: []format.Field{{Name: "name", Schema: text},
		{Name: "city", Schema: text}, {Name: "orders", Schema: signed}, {Name: "spent", Schema: &format.Schema{Type: format.TypeFloat64}},
		{Name: "last", Schema: signed}, {Name: "note", Schema: text}}}
	order := &format.Schema{Type: format.TypeStruct, Name: "Order", Fields: []format.Field{{Name: "user", Schema: text},
		{Name: "cents", Schema: signed}, {Name: "item", Schema: text}}}
	m := &format.Manifest{
		Summary: format.Summary{Kind: format.Checkpoint, Job: "bench", Created: 1_700_000_000_000_000_000, Lineage: "bench", Run: 1,
			Software: "tidemark bench", Hash: keyhash.Name},
		Operators: []format.Operator{
			{UID: sampleSource, Name: sampleSource, Parallelism: sampleTasks, KeySchema: format.None, MinWatermark: 10, MaxWatermark: 20},
			{UID: sampleUID, Name: sampleUID, Parallelism: sampleTasks, KeyGroups: uint32(keyGroups), Task: 1, MinWatermark: 5, MaxWatermark: 15}},
		Edges:   []format.Edge{{ID: sampleEdge, From: 0, To: 1, Partitioner: format.Keyed, Alignment: format.Unaligned, Keys: format.None}},
		Schemas: []*format.Schema{text, number, signed, profile, order},
	}
	const none = format.None
	m.States = []format.State{
		{Operator: 0, Name: "splits", Kind: format.KindSplitList, Edge: none, Namespace: none, Value: 0},
		{Operator: 0, Name: "offsets", Kind: format.KindUnionList, Edge: none, Namespace: none, Value: 0},
		{Operator: 0, Kind: format.KindOutputChannel, Edge: 0, Namespace: none, Value: 4},
		{Operator: 1, Name: "profiles", Kind: format.KindKeyed, Edge: none, Namespace: none, Value: 3},
		{Operator: 1, Name: "windows", Kind: format.KindKeyed, Edge: none, Namespace: 2, Value: 2},
		{Operator: 1, Name: "timers", Kind: format.KindTimer, Edge: none, Namespace: none, Value: none},
		{Operator: 1, Name: "rules", Kind: format.KindBroadcast, Edge: none, Namespace: 0, Value: 0},
		{Operator: 1, Kind: format.KindFloor, Edge: none, Namespace: none, Value: none},
		{Operator: 1, Kind: format.KindSubtaskWatermark, Edge: none, Namespace: none, Value: none},
		{Operator: 1, Kind: format.KindChannelWatermark, Edge: 0, Namespace: none, Value: none},
		{Operator: 1, Kind: format.KindInputChannel, Edge: 0, Namespace: none, Value: 4},
	}
	return m
}

// data writes the slices of all subtasks, one subtask after the other, so that
// only the keys of one are in memory.
func (s *sample) data(ctx context.Context, w *writer.Writer) error {
	for subtask := range sampleTasks {
		iv := keygroup.IntervalOf(subtask, int(s.m.Operators[1].KeyGroups), sampleTasks)
		keys := s.sorted(iv)
		for state := range s.m.States {
			if err := ctx.Err(); err != nil {
				return err
			}
			row, err := s.slice(ctx, w, state, subtask, keys)
			if err != nil {
				return err
			}
			s.m.Slices = append(s.m.Slices, row)
		}
	}
	return nil
}

// place is a key by its hash and its number.
type place struct{ hash, number uint32 }

// sorted are the keys of an interval in the order of a checkpoint.
func (s *sample) sorted(iv keygroup.Interval) []place {
	var all []place
	var key []byte
	for i := range s.keys {
		key = appendKey(key[:0], i)
		if h := keyhash.Of(key); iv.Contains(h) {
			all = append(all, place{uint32(h), uint32(i)})
		}
	}
	// Keys are of one length, so that their numbers are in the order of their bytes.
	slices.SortFunc(all, func(a, b place) int { return cmp.Or(cmp.Compare(a.hash, b.hash), cmp.Compare(a.number, b.number)) })
	return all
}

// appendKey appends the i-th key in its canonical encoding, a string.
func appendKey(dst []byte, i uint64) []byte {
	return strconv.AppendUint(append(dst, 15, 'u', 's', 'e', 'r', '-'), 1_000_000_000+i, 10)
}

// appendText appends a string.
func appendText(dst []byte, text string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(text))), text...)
}

var (
	cities = []string{"Amsterdam", "Bergen", "Coimbra", "Dublin", "Edinburgh", "Ferrara", "Gdansk", "Helsinki"}
	notes  = []string{"prefers delivery in the evening, rings twice", "newsletter since the spring sale", "returned one parcel, was content with the refund", "ordered by telephone"}
)

// appendProfile appends a value of about 160 bytes, some of it random and most
// of it as compressible as text is.
func (s *sample) appendProfile(dst []byte, i uint64) []byte {
	x := keyOf(i + 1)
	spent := x
	if i%100 == 0 {
		spent ^= s.salt << 50 // this is what the next checkpoint has changed
	}
	at := len(dst)
	dst = appendText(dst, "customer number "+strconv.FormatUint(i, 10))
	dst = appendText(dst, cities[x%8])
	dst = binary.LittleEndian.AppendUint64(dst, x>>54)
	dst = binary.LittleEndian.AppendUint64(dst, math.Float64bits(float64(spent>>40)/100))
	dst = binary.LittleEndian.AppendUint64(dst, 1_700_000_000_000+x>>32)
	note := len(dst) - at
	rest := max(profileSize-16-note-1, 1) // what is left for the note, with a length of one byte
	dst = append(dst, byte(rest))
	for n := x >> 8; rest > 0; n >>= 2 {
		part := notes[n%4]
		part = part[:min(len(part), rest)]
		dst, rest = append(dst, part...), rest-len(part)
	}
	return dst
}

// slice writes one slice.
func (s *sample) slice(ctx context.Context, w *writer.Writer, state, subtask int, keys []place) (format.Slice, error) {
	st := s.m.States[state]
	op := s.m.Operators[st.Operator]
	schema := func(row int) *format.Schema {
		if row == format.None {
			return nil
		}
		return s.m.Schemas[row]
	}
	spec := writer.SliceSpec{State: state, Operator: op.UID, Parallelism: op.Parallelism, KeyGroups: op.KeyGroups, Name: st.Name, Kind: st.Kind,
		Subtask: uint32(subtask), Interval: keygroup.All(), Key: schema(op.KeySchema), Namespace: schema(st.Namespace), Value: schema(st.Value)}
	if st.Edge != format.None {
		spec.Edge = s.m.Edges[st.Edge].ID
	}
	if st.Kind.ByHash() {
		spec.Interval = keygroup.IntervalOf(subtask, int(op.KeyGroups), int(op.Parallelism))
	}
	sl, err := w.Slice(ctx, spec)
	if err != nil {
		return format.Slice{}, err
	}
	if err := s.fill(sl, st, subtask, spec.Interval, keys); err != nil {
		sl.Abandon()
		return format.Slice{}, err
	}
	return sl.Close()
}

// fill writes the entries of a slice.
func (s *sample) fill(sl *writer.Slice, st format.State, subtask int, iv keygroup.Interval, keys []place) error {
	switch st.Kind {
	case format.KindKeyed, format.KindTimer:
		return s.fillKeyed(sl, st, keys)
	case format.KindInputChannel, format.KindOutputChannel:
		return s.fillFlight(sl, st.Kind, subtask)
	case format.KindFloor:
		return sl.Floor(format.Floor{Interval: iv, Watermark: 5, Drain: format.Unknown})
	case format.KindSubtaskWatermark:
		return sl.SubtaskWatermark(format.SubtaskWatermark{Subtask: uint32(subtask), Current: 7, Emitted: 6, Drain: format.Unknown, Status: format.StatusActive})
	case format.KindChannelWatermark:
		for sender := range sampleTasks {
			if err := sl.ChannelWatermark(format.ChannelWatermark{Sender: uint32(sender), Receiver: subtask, Watermark: 5, Status: format.StatusActive}); err != nil {
				return err
			}
		}
		return nil
	case format.KindBroadcast:
		for i := range s.items / 8 {
			key := appendKey(nil, uint64(i))
			if err := sl.Pair(key, appendText(nil, fmt.Sprintf("rule %d of the shop", i))); err != nil {
				return err
			}
		}
		return nil
	}
	for i := range s.items {
		offset := keyOf(uint64(i))
		if i%100 == 0 {
			offset += s.salt
		}
		text := fmt.Sprintf("%s of subtask %d, partition %08d, offset %016x", st.Name, subtask, i, offset)
		if err := sl.Item(appendText(nil, text)); err != nil {
			return err
		}
	}
	return nil
}

// fillKeyed writes keyed state or timers.
func (s *sample) fillKeyed(sl *writer.Slice, st format.State, keys []place) error {
	var key, value, namespace []byte
	for _, p := range keys {
		i := uint64(p.number)
		key = appendKey(key[:0], i)
		var err error
		switch {
		case st.Name == "profiles":
			value = s.appendProfile(value[:0], i)
			err = sl.Keyed(keygroup.Hash(p.hash), key, nil, value)
		case st.Name == "windows" && i%windowEvery == 0:
			namespace = binary.LittleEndian.AppendUint64(namespace[:0], 3_600_000*(i%24))
			value = binary.LittleEndian.AppendUint64(value[:0], i%1000)
			err = sl.Keyed(keygroup.Hash(p.hash), key, namespace, value)
		case st.Kind == format.KindTimer && i%timerEvery == 0:
			err = sl.Timer(keygroup.Hash(p.hash), key, nil, int64(3_600_000*(i%24+1)))
		}
		if err != nil {
			return err
		}
	}
	return nil
}
