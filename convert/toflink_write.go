package convert

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/tidemark-io/tidemark/checkpoint"
	"github.com/tidemark-io/tidemark/flink/metadata"
	"github.com/tidemark-io/tidemark/flink/serde"
	"github.com/tidemark-io/tidemark/flink/state"
	"github.com/tidemark-io/tidemark/flink/wire"
	"github.com/tidemark-io/tidemark/format"
	"github.com/tidemark-io/tidemark/keygroup"
	"github.com/tidemark-io/tidemark/reader"
	"github.com/tidemark-io/tidemark/store"
)

// writeKeyed sorts the keyed state and timers of an operator by Flink's key groups
// and writes one file for each subtask.
func (c *toFlink) writeKeyed(number int, o *flinkOperator, subtasks []metadata.Subtask) error {
	if o.header == nil {
		return nil
	}
	s := c.newSorter()
	for at, k := range o.keyed {
		g := gatherer{toFlink: c, o: o, k: k, sorter: s, state: at, report: c.counted(o.UID, k.st.Name, kinds[k.st.Kind])}
		read := c.src.KeyedBatches
		if k.st.Kind == format.KindTimer {
			read = c.src.TimerBatches
		}
		for b, err := range read(c.ctx, o.UID, k.st.Name, keygroup.All()) {
			if err == nil {
				err = g.batch(b)
			}
			if err != nil {
				return fmt.Errorf("operator %q, state %q: %w", o.UID, k.st.Name, err)
			}
		}
		if err := g.flush(); err != nil {
			return err
		}
	}
	return c.writeSorted(number, o, s, subtasks)
}

// gatherer encodes the entries of one state and hands them to the sorter.
type gatherer struct {
	*toFlink
	o       *flinkOperator
	k       *keyedState
	sorter  *sorter
	state   int
	report  *State
	last    []byte // the key of the entry before, native
	key     []byte // the same, in Java's encoding
	group   int
	scratch []byte
	user    []byte
	sortKey []byte
	value   []byte // of a list, its elements so far
	pending bool   // a list is not handed over yet
}

func (g *gatherer) batch(b *reader.Batch) error {
	before := g.done
	for b.Next() {
		if err := g.entry(b); err != nil {
			return err
		}
		g.report.Entries++
	}
	if err := b.Err(); err != nil {
		return err
	}
	if g.done == before {
		g.advance(b.Max * 16)
	}
	return g.ctx.Err()
}

// entry encodes one entry. Those of one key follow each other.
func (g *gatherer) entry(b *reader.Batch) (err error) {
	if g.last == nil || !bytes.Equal(b.Key, g.last) {
		if err := g.flush(); err != nil {
			return err
		}
		g.last = append(g.last[:0], b.Key...)
		if g.key, err = g.o.key.toJava(g.key[:0], b.Key); err != nil {
			return fmt.Errorf("key: %w", err)
		}
		code, err := g.o.hasher.HashKey(g.key)
		if err != nil {
			return fmt.Errorf("key: %w", err)
		}
		g.group = serde.KeyGroup(code, g.o.groups)
	}
	if g.k.kind == "" {
		return g.timer(b)
	}
	switch g.k.kind {
	case state.StateTypeList:
		if g.pending {
			g.value = append(g.value, ',')
		}
		g.pending = true
		g.value, err = g.k.value.toJava(g.value, b.Value)
		return err
	case state.StateTypeMap:
		if g.user, err = g.k.namespace.toJava(g.user[:0], b.Namespace); err != nil {
			return fmt.Errorf("key of the map: %w", err)
		}
		null := byte(0)
		if g.k.value.schema.Type == format.TypeOptional && len(b.Value) > 0 && b.Value[0] == 0 {
			null = 1
		}
		g.value = append(g.value[:0], null)
	default:
		g.user, g.value = nil, g.value[:0]
	}
	if g.value, err = g.k.value.toJava(g.value, b.Value); err != nil {
		return err
	}
	return g.add(g.user)
}

// flush hands over the list of the key before.
func (g *gatherer) flush() error {
	if !g.pending {
		return nil
	}
	err := g.add(nil)
	g.pending, g.value = false, g.value[:0]
	return err
}

// add hands over the entry of the current key.
func (g *gatherer) add(user []byte) error {
	g.sortKey = binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(g.sortKey[:0], uint16(g.group)), uint16(g.state))
	g.sortKey = state.AppendComposite(g.sortKey, g.o.header.Key, serde.Of(serde.KindVoidNamespace), g.key, []byte{0}, user)
	return g.sorter.add(g.sortKey, g.value)
}

// timer hands over a timer: its time in an order without sign, its key, its
// namespace.
func (g *gatherer) timer(b *reader.Batch) error {
	g.sortKey = binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(g.sortKey[:0], uint16(g.group)), uint16(g.state))
	g.sortKey = append(wire.AppendI64(g.sortKey, b.Time^math.MinInt64), g.key...)
	if g.k.namespace == nil {
		g.sortKey = append(g.sortKey, 0)
	} else {
		var err error
		if g.scratch, err = g.k.namespace.toJava(g.scratch[:0], b.Namespace); err != nil {
			return fmt.Errorf("window: %w", err)
		}
		g.sortKey = append(g.sortKey, g.scratch...)
	}
	return g.sorter.add(g.sortKey, nil)
}

// object is a file of the result that is being written.
type object struct {
	name string
	up   store.Upload
	out  *bufio.Writer
	size int64
}

func (c *toFlink) create(name string) (*object, error) {
	up, err := c.st.Create(c.ctx, c.dst+"/"+name)
	if err != nil {
		return nil, err
	}
	return &object{name: name, up: up, out: bufio.NewWriterSize(up, 256<<10)}, nil
}

func (f *object) Write(b []byte) (int, error) {
	n, err := f.out.Write(b)
	f.size += int64(n)
	return n, err
}

// commit makes the file visible and returns its handle, relative to the metadata.
func (c *toFlink) commit(f *object) (*metadata.RelativeFile, error) {
	if err := f.out.Flush(); err != nil {
		return nil, errors.Join(err, f.up.Abort())
	}
	if _, err := f.up.Commit(); err != nil {
		return nil, err
	}
	c.made = append(c.made, c.dst+"/"+f.name)
	c.wrote(uint64(f.size))
	return &metadata.RelativeFile{Path: f.name, Size: f.size}, nil
}

// writeSorted writes the sorted entries of an operator, subtask by subtask.
func (c *toFlink) writeSorted(number int, o *flinkOperator, s *sorter, subtasks []metadata.Subtask) error {
	var f *object
	var w *state.CanonicalWriter
	subtask := -1
	// next ends the file of a subtask and begins that of the next.
	next := func() error {
		if f != nil {
			offsets, _, err := w.Finish()
			if err != nil {
				return errors.Join(err, f.up.Abort())
			}
			handle, err := c.commit(f)
			if err != nil {
				return err
			}
			r := keygroup.RangeOf(subtask, o.groups, o.parallelism)
			subtasks[subtask].State.ManagedKeyed = &metadata.KeyGroupsHandle{Tag: metadata.TagSavepoint,
				Range: metadata.KeyGroupRange{Start: int32(r.First), Count: int32(r.Len())}, Offsets: offsets, Delegate: handle}
			f = nil
		}
		if subtask++; subtask == o.parallelism {
			return nil
		}
		var err error
		if f, err = c.create(fmt.Sprintf("keyed-%d-%d", number, subtask)); err != nil {
			return err
		}
		if w, err = state.NewCanonicalWriter(f, o.header, keygroup.RangeOf(subtask, o.groups, o.parallelism), o.groups); err != nil {
			return errors.Join(err, f.up.Abort())
		}
		return nil
	}
	err := next()
	for p, perr := range s.sorted() {
		if err == nil {
			err = perr
		}
		if err == nil {
			err = c.ctx.Err()
		}
		if err != nil {
			break
		}
		group := int(binary.BigEndian.Uint16(p.key))
		for err == nil && !keygroup.RangeOf(subtask, o.groups, o.parallelism).Contains(group) {
			err = next()
		}
		if err == nil {
			err = w.Add(group, int(binary.BigEndian.Uint16(p.key[2:])), p.key[4:], p.value)
		}
	}
	for err == nil && subtask < o.parallelism {
		err = next()
	}
	if err != nil && f != nil {
		_ = f.up.Abort() // the cause is what matters
	}
	return err
}

// writeLists writes one file of operator state for each subtask.
func (c *toFlink) writeLists(number int, o *flinkOperator, subtasks []metadata.Subtask) error {
	if len(o.lists)+len(o.pairs) == 0 {
		return nil
	}
	h := &state.OperatorHeader{Version: 6}
	for _, l := range o.lists {
		mode := state.DistributionSplit
		if l.st.Kind == format.KindUnionList {
			mode = state.DistributionUnion
		}
		h.Lists = append(h.Lists, state.Meta{Name: l.st.Name, Kind: state.Operator, Options: []state.Option{{Key: state.OptionDistribution, Value: mode}},
			Serializers: []state.Serializer{{Key: state.SerializerValue, Type: l.value.typ}}})
	}
	for _, b := range o.pairs {
		h.Broadcasts = append(h.Broadcasts, state.Meta{Name: b.st.Name, Kind: state.Broadcast, Options: []state.Option{{Key: state.OptionDistribution, Value: state.DistributionBroadcast}},
			Serializers: []state.Serializer{{Key: state.SerializerKey, Type: b.key.typ}, {Key: state.SerializerValue, Type: b.value.typ}}})
	}
	head, err := h.Append(nil)
	if err != nil {
		return err
	}
	for i := range subtasks {
		f, err := c.create(fmt.Sprintf("operator-%d-%d", number, i))
		if err != nil {
			return err
		}
		_, _ = f.Write(head) // errors are sticky
		handle := &metadata.OperatorHandle{Tag: metadata.TagOperator}
		if err := c.fillLists(f, o, i, handle); err != nil {
			return errors.Join(err, f.up.Abort())
		}
		file, err := c.commit(f)
		if err != nil {
			return err
		}
		handle.Delegate = file
		subtasks[i].State.ManagedOperator = handle
	}
	return nil
}

// fillLists writes the elements that one subtask of the result has.
func (c *toFlink) fillLists(f *object, o *flinkOperator, subtask int, handle *metadata.OperatorHandle) error {
	for _, l := range o.lists {
		mode := metadata.SplitDistribute
		if l.st.Kind == format.KindUnionList {
			mode = metadata.Union
		}
		// Flink deals the elements out anew when the job has another parallelism.
		mine := func(s format.Slice) bool { return int(s.Subtask)*o.parallelism/max(o.old, 1) == subtask }
		report := c.counted(o.UID, l.st.Name, kinds[l.st.Kind])
		states := metadata.OperatorState{Name: l.st.Name, Mode: mode}
		var value []byte
		for item, err := range c.src.ItemsIn(c.ctx, l.row, l.st.Kind, mine) {
			if err == nil {
				if c.opts.External == checkpoint.ExternalDrop && external(item.Row.Value) {
					continue
				}
				value, err = l.value.toJava(value[:0], item.Row.Value)
			}
			if err != nil {
				return fmt.Errorf("operator %q, state %q: %w", o.UID, l.st.Name, err)
			}
			states.Offsets = append(states.Offsets, f.size)
			report.Entries++
			if _, err := f.Write(value); err != nil {
				return err
			}
		}
		handle.States = append(handle.States, states)
	}
	for _, b := range o.pairs {
		data, n, err := c.pairs(o, b, subtask)
		if err != nil {
			return fmt.Errorf("operator %q, state %q: %w", o.UID, b.st.Name, err)
		}
		if subtask == 0 {
			c.counted(o.UID, b.st.Name, checkpoint.BroadcastState).Entries = uint64(n)
		}
		handle.States = append(handle.States, metadata.OperatorState{Name: b.st.Name, Mode: metadata.Broadcast, Offsets: []int64{f.size}})
		if _, err := f.Write(data); err != nil {
			return err
		}
	}
	return nil
}

// pairs is the copy of a broadcast state that a subtask of the result has: its
// own, or the first there is.
func (c *toFlink) pairs(o *flinkOperator, b *operatorState, subtask int) ([]byte, int, error) {
	copies, err := c.src.Copies(c.ctx, o.UID, b.st.Name)
	if err != nil {
		return nil, 0, err
	}
	data, n := make([]byte, 4), 0
	if len(copies) == 0 {
		return data, 0, nil
	}
	from := copies[0]
	for _, have := range copies {
		if int(have) == subtask {
			from = have
		}
	}
	for p, err := range c.src.Pairs(c.ctx, o.UID, b.st.Name, from) {
		if err == nil {
			data, err = b.key.toJava(data, p.Row.Key)
		}
		if err == nil {
			data, err = b.value.toJava(data, p.Row.Value)
		}
		if err != nil {
			return nil, 0, err
		}
		n++
	}
	binary.BigEndian.PutUint32(data, uint32(n))
	return data, n, nil
}
