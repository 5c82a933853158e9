package native

import (
	"context"
	"slices"

	"github.com/tidemark-io/tidemark/format"
	"github.com/tidemark-io/tidemark/rescale"
	"github.com/tidemark-io/tidemark/writer"
)

// bufferTarget is the size at which redistributed frames are cut into buffers:
// that of the engine's own, in bytes.
const bufferTarget = 32 << 10

// seed is the watermark of a channel before its first byte.
type seed struct {
	watermark int64
	status    format.Status
}

// writeChannels writes the in-flight data and the watermarks of channels that do
// not stay as they are.
func (j *job) writeChannels() error {
	if !j.flies() {
		return nil
	}
	for edge := range j.src.edges {
		c := &j.channels[edge]
		var err error
		switch {
		case c.gone:
		case c.redistribute:
			err = j.redistribute(edge)
		case c.partly || c.whole:
			if err = j.thin(edge); err == nil {
				err = j.activate(edge)
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// receivers are the old subtasks of an operator whose in-flight data the new
// subtask takes over, on any of its inputs: event time on all channels of these
// counts while their data is replayed (R3).
func (j *job) receivers(operator, subtask int) []uint32 {
	var list []uint32
	for edge, e := range j.src.edges {
		c := &j.channels[edge]
		if e.To != operator || c.gone {
			continue
		}
		mapping := c.mapping
		if mapping == nil && !c.redistribute {
			mapping = rescale.Plan(c.down, c.old, c.next)
		}
		if subtask < len(mapping) {
			for _, old := range mapping[subtask] {
				list = append(list, uint32(old))
			}
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// redistribute writes the in-flight data of an edge for its new receivers: each
// sub-stream that a new subtask takes over, cut at record boundaries to the
// records that are its own. Watermarks and statuses go to all. Sub-streams are
// numbered anew by receiver, since several old ones may come together there,
// and keep their generation (R6).
func (j *job) redistribute(edge int) error {
	c := &j.channels[edge]
	seeds, err := j.seeds(edge)
	if err != nil {
		return err
	}
	var records uint64
	for subtask := range c.next.Parallelism {
		list := j.streamsFor(edge, subtask, seeds)
		if c.flight != nil && c.mapping != nil && !c.whole {
			n, err := j.writeStreams(edge, subtask, list)
			if err != nil {
				return err
			}
			records += n
		}
		if err := j.writeSeeds(edge, uint32(subtask), list, seeds); err != nil {
			return err
		}
	}
	c.records = records
	j.manifest.Edges[j.edges[edge]].InFlightRecords = records
	return nil
}

// streamsFor lists the sub-streams of an edge that a new subtask takes over,
// those included that hold nothing but a watermark.
func (j *job) streamsFor(edge, subtask int, seeds map[stream]seed) []stream {
	c := &j.channels[edge]
	wanted := j.receivers(j.src.edges[edge].To, subtask)
	var list []stream
	for key := range seeds {
		if slices.Contains(wanted, key.receiver) {
			list = append(list, key)
		}
	}
	if c.flight != nil && c.mapping != nil && !c.whole {
		for _, key := range c.flight.streams {
			if _, known := seeds[key]; !known && slices.Contains(c.mapping[subtask], int(key.receiver)) {
				list = append(list, key)
			}
		}
	}
	slices.SortFunc(list, stream.compare)
	return list
}

// writeStreams writes the input slice of a new subtask and counts its records.
func (j *job) writeStreams(edge, subtask int, list []stream) (records uint64, err error) {
	c := &j.channels[edge]
	own := c.next.Interval(subtask)
	var begun *writer.Slice
	out := cutter{target: bufferTarget, emit: func(b format.Buffer) error {
		if begun == nil {
			if begun, err = j.w.Slice(j.ctx, j.spec(j.stateOfEdge(edge, format.KindInputChannel), uint32(subtask))); err != nil {
				return err
			}
		}
		return begun.Buffer(b)
	}}
	for i, key := range list {
		if !slices.Contains(c.mapping[subtask], int(key.receiver)) || c.flight.pieces[key] == nil || c.drop(key.receiver, key.sender) {
			continue
		}
		out.start(uint32(subtask), uint32(i), key.generation)
		err := c.flight.frames(key, func(fr *format.Frame, raw []byte) error {
			if fr.Element == format.ElementRecord {
				if c.keyed && !own.Contains(fr.Hash) {
					return nil
				}
				records++
			}
			return out.add(raw)
		})
		if err == nil {
			err = out.end()
		}
		if err != nil {
			if begun != nil {
				begun.Abandon()
			}
			return 0, err
		}
	}
	if begun == nil {
		return records, nil
	}
	done, err := begun.Close()
	if err != nil {
		return 0, err
	}
	j.manifest.Slices = append(j.manifest.Slices, done)
	j.rewritten.Bytes += done.Bytes
	j.advance(done.Bytes)
	return records, nil
}

// cutter makes buffers of whole frames.
type cutter struct {
	target int
	emit   func(format.Buffer) error

	receiver, sender uint32
	generation       uint64
	sequence         uint64
	open             []byte
}

// start begins a sub-stream.
func (c *cutter) start(receiver, sender uint32, generation uint64) {
	c.receiver, c.sender, c.generation, c.sequence, c.open = receiver, sender, generation, 0, c.open[:0]
}

// add appends a frame.
func (c *cutter) add(frame []byte) error {
	if len(c.open) > 0 && len(c.open)+len(frame) > c.target {
		if err := c.end(); err != nil {
			return err
		}
	}
	c.open = append(c.open, frame...)
	return nil
}

// end writes what is left.
func (c *cutter) end() error {
	for at := 0; at < len(c.open); at += maxPayload {
		part, start := c.open[at:min(at+maxPayload, len(c.open))], 0
		if at > 0 {
			start = format.None // the rest of one huge record
		}
		if err := c.emit(format.NewBuffer(c.receiver, c.sender, c.generation, c.sequence, start, part)); err != nil {
			return err
		}
		c.sequence++
	}
	c.open = c.open[:0]
	return nil
}

// maxPayload bounds a buffer, in bytes: a larger record is cut, since a block
// must hold a buffer whole.
const maxPayload = 16 << 20

// seeds reads the watermarks of an edge's channels.
func (j *job) seeds(edge int) (map[stream]seed, error) {
	c := &j.channels[edge]
	seeds := map[stream]seed{}
	for w, err := range j.src.ChannelWatermarks(j.ctx, j.src.edges[edge].ID) {
		if err != nil {
			return nil, err
		}
		if w.Row.Receiver == format.AllReceivers {
			continue // a restore does not take them up either
		}
		key := stream{w.Row.Generation, uint32(w.Row.Receiver), w.Row.Sender}
		s := seed{w.Row.Watermark, w.Row.Status}
		if c.drop(key.receiver, key.sender) {
			s.status = format.StatusActive // it may have been stripped behind a change (R8)
		}
		seeds[key] = s
	}
	return seeds, nil
}

// writeSeeds writes the channel watermarks of a new subtask: a row for each
// sub-stream, under the number that it has in the in-flight data.
func (j *job) writeSeeds(edge int, subtask uint32, list []stream, seeds map[stream]seed) error {
	row := j.stateOfEdge(edge, format.KindChannelWatermark)
	if row == format.None || len(list) == 0 {
		return nil
	}
	return j.write(row, subtask, func(sl *writer.Slice) error {
		for i, key := range list {
			s, ok := seeds[key]
			if !ok {
				s = seed{format.Unknown, format.StatusActive}
			}
			if err := sl.ChannelWatermark(format.ChannelWatermark{Sender: uint32(i), Receiver: int(subtask), Generation: key.generation,
				Watermark: s.watermark, Status: s.status}); err != nil {
				return err
			}
		}
		return nil
	})
}

// thin writes both halves of an edge's in-flight data again, buffer by buffer,
// without the sub-streams that are dropped.
func (j *job) thin(edge int) error {
	c := &j.channels[edge]
	if !c.partly {
		return nil
	}
	for _, kind := range channelKinds {
		for _, row := range j.src.statesOf(edge, kind) {
			for _, old := range j.src.slices[row] {
				if err := j.thinSlice(c, row, old); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// thinSlice is thin for one slice.
func (j *job) thinSlice(c *channel, row int, old format.Slice) error {
	if c.dropsSlice(j.src.states[row].Kind, old.Subtask) {
		return nil // it need not read
	}
	var begun *writer.Slice
	var err error
	rows := j.src.BuffersOf(j.ctx, row, j.src.states[row].Kind, func(s format.Slice) bool { return s == old })
	for b, e := range rows {
		if err = e; err == nil && c.drop(b.Row.Receiver, b.Row.Sender) {
			continue
		}
		if err == nil && begun == nil {
			begun, err = j.w.Slice(j.ctx, j.spec(j.states[row], old.Subtask))
		}
		if err == nil {
			err = begun.Buffer(b.Row)
		}
		if err != nil {
			break
		}
	}
	if begun == nil {
		return err
	}
	if err != nil {
		begun.Abandon()
		return err
	}
	done, err := begun.Close()
	if err != nil {
		return err
	}
	j.manifest.Slices = append(j.manifest.Slices, done)
	j.rewritten.Bytes += done.Bytes
	return nil
}

// activate writes the channel watermarks of an edge again with the sub-streams
// that are dropped active: what they would have said of it is gone (R8).
func (j *job) activate(edge int) error {
	c := &j.channels[edge]
	for _, row := range j.src.statesOf(edge, format.KindChannelWatermark) {
		for _, old := range j.src.slices[row] {
			err := j.write(j.states[row], old.Subtask, func(sl *writer.Slice) error {
				return j.copyWatermarks(j.ctx, sl, row, old, c)
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// copyWatermarks is activate for one slice.
func (j *job) copyWatermarks(ctx context.Context, sl *writer.Slice, row int, old format.Slice, c *channel) error {
	for w, err := range j.src.ChannelWatermarksOf(ctx, row, func(s format.Slice) bool { return s == old }) {
		if err != nil {
			return err
		}
		if w.Row.Receiver != format.AllReceivers && c.drop(uint32(w.Row.Receiver), w.Row.Sender) {
			w.Row.Status = format.StatusActive
		}
		if err := sl.ChannelWatermark(w.Row); err != nil {
			return err
		}
	}
	return nil
}
