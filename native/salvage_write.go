package native

import (
	"fmt"
	"slices"

	"github.com/tidemark-io/tidemark/checkpoint"
	"github.com/tidemark-io/tidemark/format"
	"github.com/tidemark-io/tidemark/reader"
	"github.com/tidemark-io/tidemark/writer"
)

// writeRemains writes the slices of damaged objects, block by block, in-flight
// data of mended edges apart.
func (s *salvage) writeRemains() error {
	for _, r := range s.remains {
		st := s.src.states[r.row]
		if st.Edge != format.None && s.mends[st.Edge] != nil {
			continue
		}
		if err := s.write(r, func(sl *writer.Slice) error { return s.writeBlocks(sl, r) }); err != nil {
			return err
		}
	}
	return nil
}

// write writes a slice in place of what is left of one.
func (s *salvage) write(r *remains, fill func(*writer.Slice) error) error {
	spec := s.spec(s.states[r.row], r.slice.Subtask)
	spec.Interval = r.slice.Interval
	done, err := writeSlice(s.ctx, s.w, spec, fill)
	if err != nil {
		return err
	}
	s.manifest.Slices = append(s.manifest.Slices, done)
	s.rewritten.Bytes += done.Bytes
	return nil
}

// writeBlocks writes the blocks that are left of a slice, and in its holes what the
// older checkpoint has.
func (s *salvage) writeBlocks(sl *writer.Slice, r *remains) error {
	kind := s.src.states[r.row].Kind
	holes := r.holes
	for at := 0; at <= len(r.blocks); at++ {
		for len(holes) > 0 && holes[0].at == at {
			err := s.fill(s.ctx, r, holes[0], func(e *reader.Entry) error {
				if kind == format.KindTimer {
					return sl.Timer(e.Hash, e.Key, e.Namespace, e.Time)
				}
				return sl.Keyed(e.Hash, e.Key, e.Namespace, e.Value)
			})
			if err != nil {
				return err
			}
			holes = holes[1:]
		}
		if at == len(r.blocks) {
			break
		}
		ref := r.blocks[at]
		data, err := s.read(r, ref)
		if err != nil {
			return err
		}
		if err := sl.Raw(data, ref); err != nil {
			return err
		}
	}
	return nil
}

// writeMended writes in-flight data of which a part is lost, and the watermarks of
// its channels: those behind a gap are active from there on, since what would
// have said otherwise may be lost (R8).
func (s *salvage) writeMended() error {
	for edge := range s.src.edges {
		m := s.mends[edge]
		if m == nil {
			continue
		}
		if err := m.write(); err != nil {
			return err
		}
		for _, r := range s.marks[edge] {
			if err := s.write(r, func(sl *writer.Slice) error { return s.writeMarks(sl, r, m) }); err != nil {
				return err
			}
		}
	}
	return nil
}

// writeMarks writes the channel watermarks that are left of a slice.
func (s *salvage) writeMarks(sl *writer.Slice, r *remains, m *mending) error {
	rows := format.NewRows[format.ChannelWatermark](r.slice.Interval)
	for _, ref := range r.blocks {
		if err := s.load(r, ref); err != nil {
			return err
		}
		for row, err := range rows.Of(&s.block) {
			if err != nil {
				return format.Damage(s.src.objects[r.slice.Object].Name, format.KindChannelWatermark, ref, err)
			}
			w := *row
			if w.Receiver != format.AllReceivers {
				st := m.streams[stream{w.Generation, uint32(w.Receiver), w.Sender}]
				if st != nil && st.hurt || st == nil && (m.hurtIn[uint32(w.Receiver)] || m.hurtOut[w.Sender]) {
					w.Status = format.StatusActive
				}
			}
			if err := sl.ChannelWatermark(w); err != nil {
				return err
			}
		}
	}
	return nil
}

// keepSlices takes over the slices that stay as they are, and their objects,
// behind what was written.
func (s *salvage) keepSlices() {
	m := s.manifest
	m.Objects = s.w.Objects()
	s.rewritten.Objects = len(m.Objects)
	rows := make([]int, len(s.moves))
	for i := range s.moves {
		if s.moves[i].uses > 0 {
			rows[i] = len(m.Objects)
			o := s.src.objects[i]
			o.Name = s.moves[i].name
			m.Objects = append(m.Objects, o)
		}
	}
	for row, list := range s.src.slices {
		for _, sl := range list {
			if s.anew[idOf(row, sl)] != nil {
				continue
			}
			sl.State, sl.Object = s.states[row], rows[sl.Object]
			m.Slices = append(m.Slices, sl)
		}
	}
}

// outcome describes what the salvage does or has done.
func (s *salvage) outcome() checkpoint.Outcome {
	out := checkpoint.Outcome{Rewritten: s.rewritten, Salvaged: &checkpoint.Salvaged{Rebuilt: s.over.rebuilt, Found: s.found.pending()}}
	if s.w == nil { // planned only
		for _, r := range s.remains {
			out.Rewritten.Objects, out.Rewritten.Bytes = 1, out.Rewritten.Bytes+r.slice.Bytes-min(r.bytes, r.slice.Bytes)
		}
	}
	for _, l := range s.losses {
		out.Losses = append(out.Losses, modelLoss(l))
	}
	for i, m := range s.moves {
		v := &out.Copied
		if m.linked {
			v = &out.Linked
		}
		if m.uses > 0 {
			v.Objects, v.Bytes = v.Objects+1, v.Bytes+s.src.objects[i].Length
		}
	}
	for _, r := range s.repairs() {
		out.Salvaged.Repaired = append(out.Salvaged.Repaired, r.Repair)
	}
	for i, o := range s.src.objects {
		if !s.clean[i] {
			out.Salvaged.Damaged = append(out.Salvaged.Damaged, o.Name)
		}
		if at := s.over.place(o.Name); at != o.Name {
			out.Salvaged.Moved = append(out.Salvaged.Moved, fmt.Sprintf("%s, which lay at %s", o.Name, at))
		}
	}
	for row, n := range s.filled {
		st := s.src.states[row]
		out.Salvaged.Filled = append(out.Salvaged.Filled, checkpoint.Filled{Operator: s.src.operators[st.Operator].UID, State: st.Name, Entries: n,
			Older: s.older.Dir(), ID: s.older.Summary().ID})
	}
	slices.SortFunc(out.Salvaged.Filled, func(a, b checkpoint.Filled) int {
		return slices.Compare([]string{a.Operator, a.State}, []string{b.Operator, b.State})
	})
	for i, e := range s.src.edges {
		o := checkpoint.ChannelOutcome{Edge: e.ID, From: s.src.operators[e.From].UID, To: s.src.operators[e.To].UID, Fate: checkpoint.ChannelsVerbatim,
			Before: checkpoint.Totals{Bytes: checkpoint.Count(s.channels[i].bytes), Records: checkpoint.Count(e.InFlightRecords)}}
		o.After = o.Before
		switch m := s.mends[i]; {
		case m != nil:
			o.Fate, o.After = checkpoint.ChannelsPartly, checkpoint.Totals{Bytes: checkpoint.UnknownCount, Records: checkpoint.Count(m.records)}
			if s.over.unsure[e.ID] {
				o.Before.Records = checkpoint.UnknownCount
			}
		case s.channels[i].bytes == 0:
			o.Fate = checkpoint.ChannelsEmpty
		}
		out.Channels = append(out.Channels, o)
	}
	return out
}
