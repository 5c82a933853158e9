package native

import (
	"errors"
	"slices"

	"github.com/tidemark-io/tidemark/format"
	"github.com/tidemark-io/tidemark/writer"
)

// mending is what becomes of the in-flight data of an edge of which a part is
// lost: both halves of every sub-stream are trimmed to whole records wherever
// something is missing (R8), and what remains is numbered without gaps. It
// holds a few numbers for each buffer and one unfinished record for each
// sub-stream, whatever the size of the data.
type mending struct {
	s       *salvage
	edge    int
	slices  []*remains // input side first
	cuts    []cut      // by buffer, in the order of the slices' rows
	streams map[stream]*mended
	hurtIn  map[uint32]bool // receivers whose own side has lost something
	hurtOut map[uint32]bool // senders whose own side has

	records   uint64 // whole ones that are left
	torn      uint64 // pieces of records that are left out
	tornBytes uint64
}

// cut is the part of a buffer's payload that is kept: from it begins a record, or
// goes on with one whose beginning is kept.
type cut struct{ from, to int }

// mended is how far a sub-stream has been walked.
type mended struct {
	begun bool
	next  uint64 // sequence number that continues it
	open  []byte // of a record that is not complete yet
	in    []int  // buffers that hold it
	at    int    // where it begins in the first of them
	hurt  bool

	numbered bool   // for writing: a buffer was written
	number   uint64 // of the next
}

// mend decides about every buffer of an edge.
func (s *salvage) mend(edge int, slices []*remains) (*mending, error) {
	m := &mending{s: s, edge: edge, slices: slices, streams: map[stream]*mended{}, hurtIn: map[uint32]bool{}, hurtOut: map[uint32]bool{}}
	for _, r := range slices {
		if r.damage > 0 {
			if s.src.states[r.row].Kind == format.KindInputChannel {
				m.hurtIn[r.slice.Subtask] = true
			} else {
				m.hurtOut[r.slice.Subtask] = true
			}
		}
		if err := s.buffers(r, func(b *format.Buffer) error { m.take(b); return nil }); err != nil {
			return nil, err
		}
	}
	for _, st := range m.streams {
		m.tear(st)
	}
	return m, nil
}

// buffers calls take for each buffer that is left of a slice.
func (s *salvage) buffers(r *remains, take func(*format.Buffer) error) error {
	rows := format.NewRows[format.Buffer](r.slice.Interval)
	for _, ref := range r.blocks {
		if err := s.load(r, ref); err != nil {
			return err
		}
		for b, err := range rows.Of(&s.block) {
			if err != nil {
				return format.Damage(s.src.objects[r.slice.Object].Name, s.src.states[r.row].Kind, ref, err)
			}
			if err := take(b); err != nil {
				return err
			}
		}
	}
	return nil
}

// load reads and decodes a block that was found intact.
func (s *salvage) load(r *remains, ref format.BlockRef) error {
	if err := s.ctx.Err(); err != nil {
		return err
	}
	kind := s.src.states[r.row].Kind
	data, err := s.read(r, ref)
	if err != nil {
		return err
	}
	return s.src.DecodeBlock(&s.block, r.slice, kind, ref, data)
}

// take walks the next buffer of a sub-stream.
func (m *mending) take(b *format.Buffer) {
	key := stream{b.Generation, b.Receiver, b.Sender}
	st := m.streams[key]
	if st == nil {
		st = &mended{hurt: m.hurtIn[b.Receiver] || m.hurtOut[b.Sender]}
		m.streams[key] = st
	}
	i := len(m.cuts)
	m.cuts = append(m.cuts, cut{0, len(b.Payload)})
	gap := st.begun && b.Sequence != st.next
	st.begun, st.next = true, b.Sequence+1
	st.hurt = st.hurt || gap
	head := b.Payload[:b.Continuation]
	if len(st.open) > 0 && (gap || len(head) == 0) {
		m.tear(st)
	}
	if len(st.open) == 0 && len(head) > 0 { // its beginning is lost
		m.discard(st, i, head)
	} else if len(head) > 0 {
		if m.join(st, i, head, b.Start == format.None) {
			return
		}
	}
	if b.Start != format.None {
		m.frames(st, i, b.Payload, int(b.Continuation))
	}
}

// discard leaves the continuation out at the front of a buffer.
func (m *mending) discard(st *mended, i int, head []byte) {
	m.cuts[i].from = len(head)
	m.tornBytes += uint64(len(head))
	st.hurt = true
}

// join continues the open record by the front of a buffer. It reports whether the
// record goes on behind the whole buffer.
func (m *mending) join(st *mended, i int, head []byte, whole bool) bool {
	st.open = append(st.open, head...)
	fr, n, err := format.DecodeFrame(st.open)
	switch {
	case err == nil && n == uint64(len(st.open)):
		m.count(&fr)
		st.open, st.in = st.open[:0], st.in[:0]
	case errors.Is(err, format.ErrTruncated) && whole && n <= maxFrame:
		st.in = append(st.in, i)
		return true
	default:
		st.open = st.open[:len(st.open)-len(head)]
		m.tear(st)
		m.discard(st, i, head)
	}
	return false
}

// frames walks the records that begin in a buffer.
func (m *mending) frames(st *mended, i int, payload []byte, at int) {
	for at < len(payload) {
		fr, n, err := format.DecodeFrame(payload[at:])
		switch {
		case err == nil:
			m.count(&fr)
			at += int(n)
			continue
		case errors.Is(err, format.ErrTruncated) && n <= maxFrame:
			st.open, st.in, st.at = append(st.open[:0], payload[at:]...), append(st.in[:0], i), at
		default: // no records: nothing can be said of the rest
			m.cuts[i].to = at
			m.torn, m.tornBytes, st.hurt = m.torn+1, m.tornBytes+uint64(len(payload)-at), true
		}
		return
	}
}

// count notes a whole record.
func (m *mending) count(fr *format.Frame) {
	if fr.Element == format.ElementRecord {
		m.records++
	}
}

// tear leaves the open record out, whose rest is lost.
func (m *mending) tear(st *mended) {
	if len(st.open) == 0 {
		return
	}
	for n, i := range st.in {
		if n == 0 {
			m.cuts[i].to = st.at
		} else {
			m.cuts[i].from = m.cuts[i].to
		}
	}
	m.torn, m.tornBytes, st.hurt = m.torn+1, m.tornBytes+uint64(len(st.open)), true
	st.open, st.in = st.open[:0], st.in[:0]
}

// channels are the sub-streams that have lost something, in order.
func (m *mending) channels() (list []stream) {
	for key, st := range m.streams {
		if st.hurt {
			list = append(list, key)
		}
	}
	slices.SortFunc(list, stream.compare)
	return list
}

// write writes what is left of the edge's buffers, and what was cut off them to
// the lost-and-found.
func (m *mending) write() error {
	next := 0
	for _, r := range m.slices {
		err := m.s.write(r, func(sl *writer.Slice) error {
			return m.s.buffers(r, func(b *format.Buffer) error {
				c := m.cuts[next]
				next++
				if err := m.s.found.pieces(m.edge, b, c); err != nil || c.from >= c.to {
					return err
				}
				st := m.streams[stream{b.Generation, b.Receiver, b.Sender}]
				if !st.numbered {
					st.numbered, st.number = true, b.Sequence
				}
				start := format.None
				if b.Start != format.None && b.Start < c.to {
					start = b.Start - c.from
				}
				st.number++
				return sl.Buffer(format.NewBuffer(b.Receiver, b.Sender, b.Generation, st.number-1, start, b.Payload[c.from:c.to]))
			})
		})
		if err != nil {
			return err
		}
	}
	return nil
}
