package edit_test

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/tidemark-io/tidemark/checkpoint"
	"github.com/tidemark-io/tidemark/flink"
	"github.com/tidemark-io/tidemark/flink/metadata"
	"github.com/tidemark-io/tidemark/flink/state"
	"github.com/tidemark-io/tidemark/keygroup"
)

// piece is where some bytes lie.
type piece struct {
	name     string
	from, to int64
}

// item is a thing that a checkpoint has: an entry, an element, a record in flight.
type item struct {
	text  string // all of it, and whose it is
	where []piece
	// vague says that where is more than the thing itself: its key group, or nothing.
	vague bool
	// Of a record: the operators at the ends of its channel, as far as they are known,
	// and the channel.
	from, to, channel string
	straddles         bool // it lies in both halves of the channel
}

// contents is everything that a checkpoint has.
type contents struct{ keyed, lists, flight []item }

// contentsOf reads a checkpoint that is not damaged.
func contentsOf(t testing.TB, c *flink.Checkpoint) *contents {
	t.Helper()
	all := &contents{}
	m := c.Metadata()
	for i := range m.Operators {
		op := &m.Operators[i]
		for _, s := range op.Subtasks {
			if s.State == nil {
				continue
			}
			if s.State.ManagedKeyed != nil {
				all.keyed = append(all.keyed, keyedItems(t, c, op, s.State.ManagedKeyed)...)
			}
			if s.State.ManagedOperator != nil {
				all.lists = append(all.lists, listItems(t, c, op, s.State.ManagedOperator)...)
			}
		}
	}
	all.flight = flightItems(t, c)
	return all
}

// keyedItems lists the entries of a keyed handle.
func keyedItems(t testing.TB, c *flink.Checkpoint, op *metadata.Operator, h metadata.KeyedHandle) (all []item) {
	header, seq, done := keyedEntries(t, c, op, h)
	defer done()
	var file *state.Keyed
	var at flink.Location
	if k, ok := h.(*metadata.KeyGroupsHandle); ok {
		src, err := c.OpenHandle(t.Context(), k.Delegate)
		must(t, err)
		defer src.Close()
		at, err = c.Locate(t.Context(), k.Delegate)
		must(t, err)
		file, err = state.OpenKeyed(state.KeyedFile{Data: src, Size: src.Size(), Groups: keygroup.Range{First: int(k.Range.Start), Last: int(k.Range.Start+k.Range.Count) - 1},
			Offsets: k.Offsets, MaxParallelism: int(op.MaxParallelism), Savepoint: k.Tag == metadata.TagSavepoint})
		must(t, err)
	}
	for e, err := range seq {
		must(t, err)
		x := item{text: fmt.Sprintf("%s %s %d %x %x", c.OperatorName(op.ID), header.States[e.State].Name, e.KeyGroup, e.Composite, e.Value), vague: true}
		if file != nil && at.Name != "" {
			from, to := file.Extent(e.KeyGroup)
			x.where = []piece{{at.Name, at.Offset, at.Offset + file.Header.Size}, {at.Name, at.Offset + from, at.Offset + to}}
		}
		all = append(all, x)
	}
	return all
}

// listItems lists the elements of operator state.
func listItems(t testing.TB, c *flink.Checkpoint, op *metadata.Operator, h *metadata.OperatorHandle) (all []item) {
	if h.Empty {
		return nil
	}
	src, err := c.OpenHandle(t.Context(), h.Delegate)
	must(t, err)
	defer src.Close()
	at, err := c.Locate(t.Context(), h.Delegate)
	must(t, err)
	f := state.OperatorFile{Data: src, Size: src.Size()}
	var starts []int64
	for _, s := range h.States {
		f.States = append(f.States, state.Partitions{Name: s.Name, Offsets: s.Offsets})
		starts = append(starts, s.Offsets...)
	}
	slices.Sort(starts)
	ops, err := state.OpenOperator(f)
	must(t, err)
	for _, s := range h.States {
		for e, err := range ops.Elements(s.Name) {
			must(t, err)
			to := src.Size()
			if s.Mode != metadata.Broadcast {
				if i, _ := slices.BinarySearch(starts, e.Offset+1); i < len(starts) {
					to = starts[i]
				}
			}
			x := item{text: fmt.Sprintf("%s %s %x %x", c.OperatorName(op.ID), s.Name, e.Key, e.Value), vague: s.Mode == metadata.Broadcast}
			if at.Name != "" && !x.vague {
				x.where = []piece{{at.Name, at.Offset, at.Offset + starts[0]}, {at.Name, at.Offset + e.Offset, at.Offset + to}}
			}
			all = append(all, x)
		}
	}
	return all
}

// channel is one half of the in-flight data of a channel.
type channel struct {
	op               string
	output           bool
	subtask, gate, n int32
	data             []byte
	where            []piece // of the data, byte ranges in order
	split            int     // where the other half begins, 0 if there is none
}

// flightItems lists the records in flight, of both halves of a channel together if a
// record lies in both.
func flightItems(t testing.TB, c *flink.Checkpoint) (all []item) {
	var halves []*channel
	m := c.Metadata()
	for i := range m.Operators {
		op := &m.Operators[i]
		for _, s := range op.Subtasks {
			if s.State == nil {
				continue
			}
			for side, list := range [][]metadata.ChannelHandle{s.State.Input, s.State.Output} {
				for _, h := range list {
					for _, ch := range h.Channels {
						halves = append(halves, readChannel(t, c, h.Delegate, channel{op: c.OperatorName(op.ID), output: side == 1, subtask: s.Index, gate: ch.Gate, n: ch.Channel}, ch.Offsets))
					}
				}
			}
		}
	}
	done := map[*channel]bool{}
	for _, in := range halves {
		if in.output {
			continue
		}
		items, whole := in.records()
		for _, out := range halves {
			if whole || !out.output || done[out] || out.n != in.subtask || out.subtask != in.n {
				continue
			}
			if _, alone := out.records(); alone {
				continue
			}
			both := *in
			both.data, both.where = append(slices.Clone(in.data), out.data...), append(slices.Clone(in.where), out.where...)
			both.split = len(in.data)
			if joined, ok := both.records(); ok {
				items, whole, done[out] = joined, true, true
			}
		}
		if !whole {
			t.Fatalf("%+v does not end with a record", in)
		}
		all, done[in] = append(all, items...), true
	}
	for _, out := range halves {
		if done[out] {
			continue
		}
		items, whole := out.records()
		if !whole {
			t.Fatalf("output of %s, %d to %d, is not whole records", out.op, out.subtask, out.n)
		}
		all = append(all, items...)
	}
	return all
}

func readChannel(t testing.TB, c *flink.Checkpoint, h metadata.StreamHandle, x channel, offsets []int64) *channel {
	src, err := c.OpenHandle(t.Context(), h)
	must(t, err)
	defer src.Close()
	l, err := c.Locate(t.Context(), h)
	must(t, err)
	for _, at := range offsets {
		var head [4]byte
		_, err := src.ReadAt(head[:], at)
		must(t, err)
		b := make([]byte, binary.BigEndian.Uint32(head[:]))
		if len(b) > 0 {
			_, err = src.ReadAt(b, at+4)
			must(t, err)
		}
		x.data = append(x.data, b...)
		x.where = append(x.where, piece{l.Name, l.Offset + at + 4, l.Offset + at + 4 + int64(len(b))})
	}
	return &x
}

// records cuts the data into records, by their lengths; whole says that nothing is
// left.
func (x *channel) records() (all []item, whole bool) {
	for at := 0; at < len(x.data); {
		if len(x.data)-at < 5 {
			return all, false
		}
		end := at + 4 + int(int32(binary.BigEndian.Uint32(x.data[at:])))
		if end <= at+4 || end > len(x.data) || x.data[at+4] > 6 {
			return all, false
		}
		e := item{text: fmt.Sprintf("to %d: %x", x.receiver(), x.data[at:end]), channel: fmt.Sprint(x.op, x.output, x.subtask, x.gate, x.n)}
		e.straddles = at < x.split && x.split < end
		if e.to = x.op; x.output {
			e.from, e.to = x.op, ""
		}
		base := 0
		for _, p := range x.where {
			from, to := max(at, base), min(end, base+int(p.to-p.from))
			if from < to {
				e.where = append(e.where, piece{p.name, p.from + int64(from-base), p.from + int64(to-base)})
			}
			base += int(p.to - p.from)
		}
		all = append(all, e)
		at = end
	}
	return all, true
}

func (x *channel) receiver() int32 {
	if x.output {
		return x.n
	}
	return x.subtask
}

// compare requires that a salvaged checkpoint has what was there.
func (c *contents) compare(t *testing.T, got *contents, h hurt, out checkpoint.Outcome, total *salvageTotals) {
	t.Helper()
	for _, x := range []struct {
		name              string
		want, got         []item
		kept, miss, alter *int
	}{
		{"entries", c.keyed, got.keyed, &total.kept, &total.missing, &total.altered},
		{"elements", c.lists, got.lists, &total.kept, &total.missing, &total.altered},
		{"records", c.flight, got.flight, &total.records, &total.recordsMissing, &total.recordsAltered},
	} {
		count := map[string]int{}
		for _, i := range x.got {
			count[i.text]++
		}
		missing, spared := 0, 0
		for _, i := range x.want {
			if count[i.text] > 0 {
				count[i.text]--
				*x.kept++
				continue
			}
			missing++
			if !i.touched(h) {
				spared++
				if spared > 3 || x.name != "records" {
					t.Errorf("%s: %.200s is missing, and no damage touches it", x.name, i.text)
				}
			}
		}
		altered := 0
		keys := map[string]bool{}
		for _, i := range x.want {
			keys[i.text[:strings.LastIndexByte(i.text, ' ')]] = true
		}
		for text, n := range count {
			if n > 0 && x.name == "entries" && !keys[text[:strings.LastIndexByte(text, ' ')]] {
				total.invented += n
				t.Logf("invented %s after %v", text, h)
			}
		}
		for text, n := range count {
			if altered += n; n > 0 && x.name == "entries" && checked(t.Name()) {
				t.Errorf("%s: %.200s was not there", x.name, text)
			}
		}
		if altered > missing {
			t.Errorf("%s: %d are there that were not, %d are missing", x.name, altered, missing)
		}
		*x.miss += missing
		*x.alter += altered
		lost := uint64(0)
		for _, l := range out.Losses {
			if (x.name == "records") == (l.Edge != "") {
				lost += l.Records
			}
		}
		if x.name == "records" && (missing > altered) != (lost > 0) {
			t.Errorf("%s: %d are missing, %d other ones are there, %d are told as lost", x.name, missing, altered, lost)
		}
	}
}

// checked reports whether the entries of a sample are under checksums, so that none may
// be another than it was.
func checked(name string) bool {
	return strings.Contains(name, "/compressed") || strings.Contains(name, "/rocksdb-") && !strings.Contains(name, "canonical")
}

// touched reports whether damage may have touched an item.
func (x item) touched(h hurt) bool {
	if len(x.where) == 0 {
		return true // nobody knows where it is
	}
	return slices.ContainsFunc(x.where, func(p piece) bool { return p.name == h.name && h.touched(p.from, p.to) })
}
