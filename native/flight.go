package native

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/tidemark-io/tidemark/checkpoint"
	"github.com/tidemark-io/tidemark/format"
	"github.com/tidemark-io/tidemark/keygroup"
)

// stream names a sub-stream of an edge.
type stream struct {
	generation       uint64
	receiver, sender uint32
}

// compare is the order in which a restore takes sub-streams up.
func (s stream) compare(o stream) int {
	return cmp.Or(cmp.Compare(s.generation, o.generation), cmp.Compare(s.receiver, o.receiver), cmp.Compare(s.sender, o.sender))
}

// piece is a block that holds buffers of a sub-stream.
type piece struct {
	state int // row of the source's states
	slice int // of the state
	ref   format.BlockRef
}

// flight says where the buffers of an edge's sub-streams lie: an index of blocks,
// so that each sub-stream can be read by itself and the memory does not grow
// with the data.
type flight struct {
	j       *job
	edge    int
	pieces  map[stream][]piece
	streams []stream // in order
	damaged int      // blocks that did not read and were passed over

	block  format.Block
	buf    []byte
	loaded piece // what block holds, if ref.Length > 0
}

// openFlight reads all buffers of an edge once and notes where they lie. Blocks
// that do not read are an error unless their slice is to be dropped anyway.
func (j *job) openFlight(edge int, dropped func(kind format.Kind, subtask uint32) bool) (*flight, error) {
	f := &flight{j: j, edge: edge, pieces: map[stream][]piece{}}
	for _, kind := range channelKinds {
		for _, row := range j.src.statesOf(edge, kind) {
			for i, sl := range j.src.slices[row] {
				if err := f.index(row, i, sl, kind); err != nil {
					if !dropped(kind, sl.Subtask) || !errors.Is(err, format.ErrDamaged) && !errors.Is(err, format.ErrMissing) {
						return nil, err
					}
					f.damaged++
					j.hurt[sl.Object] = true
				}
			}
		}
	}
	for key := range f.pieces {
		f.streams = append(f.streams, key)
	}
	slices.SortFunc(f.streams, stream.compare)
	return f, nil
}

// index notes the blocks of one slice. It returns the first damage, behind which
// nothing is noted.
func (f *flight) index(row, i int, sl format.Slice, kind format.Kind) error {
	if sl.Blocks == 0 {
		return nil
	}
	refs, err := f.j.src.BlockRefs(f.j.ctx, sl, kind)
	if err != nil {
		return err
	}
	rows := format.NewRows[format.Buffer](sl.Interval)
	for _, ref := range refs {
		p := piece{state: row, slice: i, ref: ref}
		if err := f.load(p); err != nil {
			return err
		}
		var last stream
		begun := false
		for b, err := range rows.Of(&f.block) {
			if err != nil {
				return f.damage(p, err)
			}
			key := stream{b.Generation, b.Receiver, b.Sender}
			if !begun || key != last {
				f.pieces[key] = append(f.pieces[key], p)
			}
			last, begun = key, true
		}
	}
	return nil
}

// load decodes a block unless it is the one at hand.
func (f *flight) load(p piece) error {
	if f.loaded == p {
		return nil
	}
	if err := f.j.ctx.Err(); err != nil {
		return err
	}
	f.loaded = piece{}
	sl, kind := f.j.src.slices[p.state][p.slice], f.j.src.states[p.state].Kind
	data, err := f.j.src.ReadBlock(f.j.ctx, sl, kind, p.ref, f.buf)
	if err != nil {
		return err
	}
	f.buf = data
	if err := f.j.src.DecodeBlock(&f.block, sl, kind, p.ref, data); err != nil {
		return err
	}
	f.loaded = p
	return nil
}

// damage names the block in an error about its rows.
func (f *flight) damage(p piece, err error) error {
	sl := f.j.src.slices[p.state][p.slice]
	return format.Damage(f.j.src.objects[sl.Object].Name, f.j.src.states[p.state].Kind, p.ref, err)
}

// buffers yields the buffers of a sub-stream in their order.
func (f *flight) buffers(key stream) func(func(format.Buffer, error) bool) {
	return func(yield func(format.Buffer, error) bool) {
		for _, p := range f.pieces[key] {
			if err := f.load(p); err != nil {
				yield(format.Buffer{}, err)
				return
			}
			rows := format.NewRows[format.Buffer](keygroup.All())
			for b, err := range rows.Of(&f.block) {
				if err != nil {
					yield(format.Buffer{}, f.damage(p, err))
					return
				}
				if (stream{b.Generation, b.Receiver, b.Sender}) == key && !yield(*b, nil) {
					return
				}
			}
		}
	}
}

// frames calls take for each frame of a sub-stream, joined over the borders of
// buffers (R8). raw is the encoded frame; both are valid during the call.
func (f *flight) frames(key stream, take func(fr *format.Frame, raw []byte) error) error {
	var jn joiner
	for b, err := range f.buffers(key) {
		if err == nil {
			err = jn.add(&b, take)
		}
		if err != nil {
			return f.torn(key, err)
		}
	}
	if n := len(jn.open); n > 0 {
		return f.torn(key, fmt.Errorf("%w: %d bytes of a record without the rest", format.ErrTruncated, n))
	}
	return nil
}

// torn names the channel in an error.
func (f *flight) torn(key stream, err error) error {
	e := f.j.src.edges[f.edge]
	var corrupt *format.CorruptError
	if !errors.As(err, &corrupt) && (errors.Is(err, format.ErrMalformed) || errors.Is(err, format.ErrTruncated)) {
		err = &format.CorruptError{Object: f.j.src.Dir(), Unit: "in-flight data", Err: err}
	}
	return fmt.Errorf("channel %d→%d of %s: %w", key.sender, key.receiver, e.ID, err)
}

// maxFrame bounds a record in flight, in bytes: the largest that a job can be
// configured for.
const maxFrame = 1 << 30

// joiner puts the frames of one sub-stream together.
type joiner struct {
	open  []byte // of a frame that is not complete yet
	next  uint64
	begun bool
}

// add takes the next buffer.
func (j *joiner) add(b *format.Buffer, take func(*format.Frame, []byte) error) error {
	switch {
	case j.begun && b.Sequence != j.next:
		return fmt.Errorf("%w: buffer %d follows buffer %d", format.ErrMalformed, b.Sequence, j.next-1)
	case !j.begun && b.Continuation > 0:
		return fmt.Errorf("%w: it begins with %d bytes of an earlier record", format.ErrMalformed, b.Continuation)
	}
	j.begun, j.next = true, b.Sequence+1
	data := b.Payload
	if len(j.open) > 0 {
		data = append(j.open, data...)
	}
	whole := len(data)
	for len(data) > 0 {
		fr, n, err := format.DecodeFrame(data)
		if errors.Is(err, format.ErrTruncated) {
			if n > maxFrame {
				return fmt.Errorf("%w: record of %d bytes", format.ErrLimit, n)
			}
			break
		}
		if err != nil {
			return err
		}
		if err := take(&fr, data[:n]); err != nil {
			return err
		}
		data = data[n:]
	}
	if len(data) == whole && len(j.open) > 0 {
		j.open = data // a long record: it lies there already
	} else {
		j.open = append(j.open[:0], data...)
	}
	return nil
}

// tally counts what is dropped.
type tally struct {
	channels         int
	records, bytes   uint64
	kept             uint64 // records that stay, if not all that go could be counted
	uncounted        bool
	timed            bool
	minTime, maxTime int64
	groups           *checkpoint.Span // of keys, nil if none is known
}

// record counts one.
func (t *tally) record(fr *format.Frame, groups int) {
	t.records++
	if fr.HasTime {
		if !t.timed || fr.Time < t.minTime {
			t.minTime = fr.Time
		}
		if !t.timed || fr.Time > t.maxTime {
			t.maxTime = fr.Time
		}
		t.timed = true
	}
	if !fr.HasHash || groups == 0 {
		return
	}
	g := uint64(keygroup.Of(fr.Hash, groups))
	if t.groups == nil {
		t.groups = &checkpoint.Span{First: g, Last: g}
	}
	t.groups.First, t.groups.Last = min(t.groups.First, g), max(t.groups.Last, g)
}

// tally counts the sub-streams that are dropped. What does not read is passed
// over: it is dropped anyway.
func (f *flight) tally(c *channel) error {
	for _, key := range f.streams {
		if !c.drop(key.receiver, key.sender) {
			continue
		}
		c.lost.channels++
		err := f.frames(key, func(fr *format.Frame, raw []byte) error {
			c.lost.bytes += uint64(len(raw))
			if fr.Element == format.ElementRecord {
				c.lost.record(fr, c.old.Groups)
			}
			return nil
		})
		switch {
		case err == nil:
		case errors.Is(err, format.ErrDamaged) || errors.Is(err, format.ErrMissing):
			f.damaged++
		default:
			return err
		}
	}
	if f.damaged > 0 && c.lost.channels == 0 {
		c.lost.channels = 1 // at least
	}
	if c.lost.uncounted = f.damaged > 0 && !c.whole; !c.lost.uncounted {
		return nil
	}
	return f.countKept(c)
}

// countKept counts the records of the sub-streams that stay.
func (f *flight) countKept(c *channel) error {
	for _, key := range f.streams {
		if c.drop(key.receiver, key.sender) {
			continue
		}
		err := f.frames(key, func(fr *format.Frame, _ []byte) error {
			if fr.Element == format.ElementRecord {
				c.lost.kept++
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}
