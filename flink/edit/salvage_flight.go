package edit

import (
	"fmt"
	"slices"
	"strings"

	"github.com/tidemark-io/tidemark/checkpoint"
	"github.com/tidemark-io/tidemark/flink/metadata"
)

// flightSalvage decides what is left of the in-flight data.
type flightSalvage struct {
	j     *job
	all   []*strand
	r     channelReader
	edges map[gateOfOperator]partitionOfOperator // as far as records that lie on both sides tell
}

// gateOfOperator and partitionOfOperator are the two ends of an edge.
type (
	gateOfOperator struct {
		op   *metadata.Operator
		gate int32
	}
	partitionOfOperator struct {
		op        *metadata.Operator
		partition int32
		shift     int32 // from the sending subtask to the input channel, not 0 behind a union
	}
)

// salvageFlight finds the damage in in-flight data and takes it out of the metadata,
// with what has to be written anew. Undamaged files stay as they are, but for the
// other halves of records that are lost (R8).
func (j *job) salvageFlight() error {
	all, err := j.channelFiles()
	if err != nil {
		return err
	}
	s := &flightSalvage{j: j, all: all, r: channelReader{ctx: j.ctx, src: j.src}, edges: map[gateOfOperator]partitionOfOperator{}}
	defer s.r.close()
	for _, step := range []func() error{s.follow, s.pair, s.judge} {
		if err := step(); err != nil {
			return err
		}
	}
	j.strands = slices.DeleteFunc(slices.Clone(all), func(x *strand) bool { return !x.anew() || x.file.outside })
	for _, x := range j.strands {
		if x.half.drop = true; x.file.hurt != nil {
			j.damagedObject(x.file.name)
		} else if x.lost > 0 && x.damaged {
			j.damagedObject(x.file.name)
		}
		j.total += uint64(x.total)
	}
	s.report()
	halves := make([]*half, len(all))
	for i := range all {
		halves[i] = all[i].half
	}
	j.cutFlight(halves)
	return nil
}

// follow follows the elements through every strand.
func (s *flightSalvage) follow() error {
	for _, x := range s.all {
		if x.file.outside {
			continue
		}
		err := s.r.pieces(x, func(b []byte) error { _, err := x.end.Write(b); return err }, func() { x.end.Bad, x.damaged = true, true })
		if err != nil {
			return err
		}
	}
	return nil
}

// torn reports whether a strand, taken by itself, is not whole elements.
func (x *strand) torn() bool { return !x.file.outside && !x.end.Whole() }

// pair finds the two halves of records: an input that ends within one, and an output
// to the same subtask that continues it, and is whole elements then. The n-th channel
// of a gate mostly comes from the n-th subtask.
func (s *flightSalvage) pair() error {
	outputs := map[int32][]*strand{} // by receiving subtask
	for _, x := range s.all {
		if x.output && x.torn() && !x.damaged {
			outputs[x.Channel.Channel] = append(outputs[x.Channel.Channel], x)
		}
	}
	for _, same := range []bool{true, false} {
		for _, in := range s.all {
			if in.output || in.mate != nil || in.end.Bad || !in.torn() {
				continue
			}
			for _, out := range outputs[in.subtask] {
				if out.mate != nil || same != (out.subtask == in.Channel.Channel) {
					continue
				}
				f := in.end
				if err := s.r.pieces(out, func(b []byte) error { _, err := f.Write(b); return err }, nil); err != nil {
					return err
				}
				if f.Whole() {
					in.mate, out.mate = out, in
					s.edges[gateOfOperator{in.op, in.Gate}] = partitionOfOperator{out.op, out.Gate, in.Channel.Channel - out.subtask}
					break
				}
			}
		}
	}
	return nil
}

// judge decides what is left of the strands that are neither whole nor a half of
// something whole. A strand whose other half may be in a file out of reach stays.
func (s *flightSalvage) judge() error {
	for _, in := range s.all {
		if in.output || in.mate != nil || !in.torn() {
			continue
		}
		best, err := s.mend(in, nil)
		if err != nil {
			return err
		}
		least := best.lost()
		for _, out := range s.all {
			if !s.mayContinue(in, out) {
				continue
			}
			alone, err := s.mend(nil, out)
			if err != nil {
				return err
			}
			joined, err := s.mend(in, out)
			if err != nil {
				return err
			}
			if more := joined.lost() - alone.lost(); more <= least {
				best, least = joined, more
			}
		}
		if !in.end.Bad && s.outOfReach(in) {
			continue
		}
		best.settle()
	}
	for _, out := range s.all {
		if !out.output || out.mate != nil || !out.torn() || s.outOfReach(out) && !out.damaged {
			continue
		}
		m, err := s.mend(nil, out)
		if err != nil {
			return err
		}
		m.settle()
	}
	return nil
}

// mayContinue reports whether an output may be the other half of a damaged input.
func (s *flightSalvage) mayContinue(in, out *strand) bool {
	if !out.output || out.mate != nil || !out.torn() || out.Channel.Channel != in.subtask {
		return false
	}
	if e, known := s.edges[gateOfOperator{in.op, in.Gate}]; known {
		return out.op == e.op && out.Gate == e.partition && in.Channel.Channel-out.subtask == e.shift
	}
	return out.subtask == in.Channel.Channel
}

// outOfReach reports whether the other half of a strand may be in a file that cannot
// be reached.
func (s *flightSalvage) outOfReach(x *strand) bool {
	return slices.ContainsFunc(s.all, func(o *strand) bool {
		return o.file.outside && o.output != x.output && (x.output && o.subtask == x.Channel.Channel || !x.output && o.Channel.Channel == x.subtask)
	})
}

// mending is what is left of a channel, of one or both of its halves.
type mending struct {
	halves []*strand
	keep   [][]span // by half, of its bytes that are there
	gaps   []uint64 // lost elements by half, at least
	doubt  int
}

// part is a part of a run: where it is in the bytes of a half.
type part struct{ half, from, to int }

// assembly is a channel that is read as runs.
type assembly struct {
	m     *mending
	runs  []run
	parts [][]part // by run
}

// end ends the present run: at the end of an element, or in front of a gap.
func (a *assembly) end(last bool) {
	a.runs[len(a.runs)-1].last = last
	a.runs, a.parts = append(a.runs, run{}), append(a.parts, nil)
}

// read appends the bytes of a half.
func (a *assembly) read(r *channelReader, x *strand) error {
	half, at := len(a.m.halves), 0
	a.m.halves, a.m.keep, a.m.gaps = append(a.m.halves, x), append(a.m.keep, nil), append(a.m.gaps, 0)
	return r.pieces(x, func(b []byte) error {
		i := len(a.runs) - 1
		a.runs[i].data = append(a.runs[i].data, b...)
		list := a.parts[i]
		if n := len(list); n == 0 || list[n-1].half != half {
			list = append(list, part{half, at, at})
		}
		at += len(b)
		list[len(list)-1].to = at
		a.parts[i] = list
		return nil
	}, func() {
		a.m.gaps[half]++
		a.end(false)
	})
}

// maxChannel bounds the bytes of a damaged channel, which is held in memory; of a
// larger one nothing is kept.
const maxChannel = 256 << 20

// mend tells what is left of a channel; in or out may be nil, if they share no record.
func (s *flightSalvage) mend(in, out *strand) (*mending, error) {
	m := &mending{}
	var total int64
	for _, x := range []*strand{in, out} {
		if x != nil {
			m.halves, m.keep, m.gaps = append(m.halves, x), append(m.keep, nil), append(m.gaps, 1)
			total += x.total
		}
	}
	if total > maxChannel {
		return m, nil
	}
	*m = mending{}
	a := assembly{m: m, runs: []run{{first: true}}, parts: [][]part{nil}}
	for _, x := range []*strand{in, out} {
		if x == nil {
			continue
		}
		if err := a.read(&s.r, x); err != nil {
			return nil, err
		}
	}
	a.end(true)
	for i, r := range a.runs[:len(a.runs)-1] {
		kept, doubtful := r.elements()
		m.doubt += doubtful
		end := 0
		for _, e := range kept {
			if e.from > end && (end > 0 || r.first) {
				m.gap(a.parts[i], end)
			}
			end = e.to
			m.add(a.parts[i], e)
		}
		if end < len(r.data) && r.last {
			m.gap(a.parts[i], end)
		}
	}
	return m, nil
}

// gap counts a gap that begins at a place of a run.
func (m *mending) gap(parts []part, at int) {
	for _, p := range parts {
		if at -= p.to - p.from; at < 0 {
			m.gaps[p.half]++
			return
		}
	}
}

// add keeps an element of a run.
func (m *mending) add(parts []part, e span) {
	base := 0
	for _, p := range parts {
		from, to := max(e.from, base), min(e.to, base+p.to-p.from)
		if from < to {
			m.keepBytes(p.half, from-base+p.from, to-base+p.from)
		}
		base += p.to - p.from
	}
}

// keepBytes keeps bytes of a half.
func (m *mending) keepBytes(half, from, to int) {
	list := m.keep[half]
	if n := len(list); n > 0 && list[n-1].to == from {
		list[n-1].to = to
		return
	}
	m.keep[half] = append(list, span{from, to})
}

// lost is how many bytes are lost.
func (m *mending) lost() (n int64) {
	for i, x := range m.halves {
		n += x.total - size(m.keep[i])
	}
	return n
}

func size(list []span) (n int64) {
	for _, s := range list {
		n += int64(s.to - s.from)
	}
	return n
}

// settle makes the mending what becomes of its halves.
func (m *mending) settle() {
	for i, x := range m.halves {
		x.mate = x // it has been dealt with
		x.lost = x.total - size(m.keep[i])
		x.keep, x.records = m.keep[i], m.gaps[i]
		if x.lost > 0 {
			x.damaged = true
		}
		if i == 0 {
			x.doubt = m.doubt
			x.records += uint64(m.doubt)
		}
	}
}

// report makes the rows about in-flight data, one for each side of each operator.
func (s *flightSalvage) report() {
	for from := 0; from < len(s.all); {
		to := from
		for to < len(s.all) && s.all[to].op == s.all[from].op {
			to++
		}
		for _, output := range []bool{false, true} {
			s.reportSide(s.all[from:to], output)
		}
		from = to
	}
}

// maxNamed is how many channels or key groups a loss names.
const maxNamed = 12

func (s *flightSalvage) reportSide(list []*strand, output bool) {
	j := s.j
	name := j.name(list[0].op)
	o := checkpoint.ChannelOutcome{Edge: "input", To: name, Fate: checkpoint.ChannelsVerbatim}
	if output {
		o.Edge, o.From, o.To = "output", name, ""
	}
	o.Before.Records, o.After.Records = checkpoint.UnknownCount, checkpoint.UnknownCount
	l := j.loss(name, o.Edge, "")
	l.Edge = o.Edge
	var channels []string
	count, doubt := 0, 0
	var first error
	for _, x := range list {
		if x.output != output {
			continue
		}
		count++
		o.Before.Bytes += checkpoint.Count(max(x.Size, 0))
		o.After.Bytes += checkpoint.Count(max(x.Size-x.lost, 0))
		if x.lost == 0 {
			continue
		}
		l.Bytes, l.Records, doubt = l.Bytes+uint64(x.lost), l.Records+x.records, doubt+x.doubt
		channels = append(channels, fmt.Sprintf("%d: gate%d/%d", x.subtask, x.Gate, x.Channel.Channel))
		if first == nil {
			first = x.file.hurt
		}
	}
	if count == 0 {
		return
	}
	if len(channels) > 0 {
		o.Fate = checkpoint.ChannelsPartly
		l.Reason = fmt.Sprintf("in-flight data that no longer is whole records, %d or more of them; subtask and channel %s", l.Records, named(channels))
		if first != nil {
			l.Reason += fmt.Sprintf("; %v", first)
		}
		if doubt > 0 {
			l.Reason += fmt.Sprintf("; %d of the records may be whole, but could not be told from damaged ones", doubt)
		}
		j.losses = append(j.losses, l)
	}
	j.channels = append(j.channels, o)
}

// named lists some words.
func named(list []string) string {
	if len(list) > maxNamed {
		return strings.Join(list[:maxNamed], ", ") + ", …"
	}
	return strings.Join(list, ", ")
}
