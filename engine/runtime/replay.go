package runtime

import (
	"context"
	"fmt"
	"slices"

	"github.com/tidemark-io/tidemark/checkpoint"
	"github.com/tidemark-io/tidemark/engine/exchange"
	"github.com/tidemark-io/tidemark/format"
	"github.com/tidemark-io/tidemark/keygroup"
	"github.com/tidemark-io/tidemark/rescale"
)

// replay is the in-flight data of a restored checkpoint that one task has to
// process before it takes anything new (R6). It was cut at record boundaries to
// the records that are this subtask's, so it is as good as data that was sent to
// it; no half record is left in it.
type replay struct {
	generations []*generation // delivered one after the other
	at          *generation   // from which step read last
}

// generation is what was in flight between two restores, with event time on its
// channels.
type generation struct {
	number    uint64
	streams   []*substream // take turns
	turn      int
	receivers []*oldReceiver
	channels  []oldChannel // numbered over all receivers
}

// oldReceiver is a subtask whose in-flight data, or a part of it, this one takes
// over. Each has a valve of its own: what one old subtask had not heard of must
// not hold back what another one had (R3).
type oldReceiver struct {
	subtask  uint32
	interval keygroup.Interval // of the hashes it owned, empty without keys
	valve    *valve
}

// oldChannel is a channel of an old receiver.
type oldChannel struct {
	receiver *oldReceiver
	number   int // in the receiver's valve
	gate     *gateInput
}

// substream is what is left of one old channel.
type substream struct {
	gate       *gateInput
	receiver   uint32 // old subtasks that name it
	sender     uint32
	generation uint64
	channel    int      // of its generation
	chunks     [][]byte // whole frames; the first is read next
	cursor     *exchange.Cursor
	reading    bool
}

// hold adds a channel of an old receiver and returns its number.
func (g *generation) hold(gate *gateInput, subtask uint32, interval keygroup.Interval, c channelTime) int {
	i := slices.IndexFunc(g.receivers, func(r *oldReceiver) bool { return r.subtask == subtask })
	if i < 0 {
		i = len(g.receivers)
		g.receivers = append(g.receivers, &oldReceiver{subtask: subtask, interval: interval, valve: newValve(0)})
	}
	r := g.receivers[i]
	g.channels = append(g.channels, oldChannel{receiver: r, number: r.valve.add(c), gate: gate})
	return len(g.channels) - 1
}

// time is the watermark of a channel.
func (c oldChannel) time() *channelTime { return &c.receiver.valve.channels[c.number] }

// combined is the least event time of the old receivers, and whether all of them
// are idle.
func (g *generation) combined() (w int64, idle bool) {
	w, idle = EndOfTime, true
	for _, r := range g.receivers {
		w = min(w, r.valve.combined)
		idle = idle && r.valve.idle
	}
	return w, idle
}

// control takes a watermark or a status of a replayed channel. What its old
// receiver then knows is the floor of that receiver's keys; the operator as a
// whole is as far as the least of them.
func (g *generation) control(t *Task, channel int, f exchange.Frame) {
	c := g.channels[channel]
	v := c.receiver.valve
	_, wasIdle := g.combined()
	advanced, _ := v.control(c.number, f)
	w, idle := g.combined()
	if idle != wasIdle {
		t.forwardStatus(0, idle)
	}
	if !advanced {
		return
	}
	slot := &t.ops[0]
	if _, ok := slot.op.(CatcherUp); ok && len(g.receivers) > 1 && v.combined > w {
		slot.floors.raise(c.receiver.interval.Intersect(slot.env.Interval), v.combined)
		slot.env.CatchUp(slot.floors.highest())
	}
	if w > slot.watermark {
		t.deliverWatermark(0, w)
	}
}

// next is the stream whose turn it is, nil if all are read.
func (g *generation) next() *substream {
	for range g.streams {
		if s := g.streams[g.turn%len(g.streams)]; s.reading || len(s.chunks) > 0 {
			return s
		}
		g.turn++
	}
	return nil
}

// current is the generation that is delivered now, nil if the replay is over.
func (r *replay) current() *generation {
	for r != nil && len(r.generations) > 0 {
		if g := r.generations[0]; g.next() != nil {
			return g
		}
		r.generations = r.generations[1:]
	}
	return nil
}

// step reads from the replay. It reports false if there is nothing left.
func (r *replay) step(t *Task) (bool, error) {
	g := r.current()
	if g != r.at {
		// The valves of what follows take every channel for active until a status
		// comes, so one that says active is no news to them.
		if r.at = g; t.ops[0].idle {
			t.forwardStatus(0, false)
		}
	}
	if g == nil {
		return false, nil
	}
	t.place.channel.Store(atReplay)
	s := g.next()
	if !s.reading {
		s.cursor.Feed(s.chunks[0])
		s.chunks = s.chunks[1:]
		s.reading = true
	}
	exhausted, err := s.gate.receiver.Run(t, s.channel, s.cursor)
	if err != nil {
		return true, fmt.Errorf("replaying in-flight data of channel %d→%d of edge %s: %w", s.sender, s.receiver, t.attempt.plan.edgeID(s.gate.edge), err)
	}
	if exhausted {
		s.reading = false
		g.turn++
	}
	return true, nil
}

// rest are the bytes of the stream that were not processed yet.
func (s *substream) rest() [][]byte {
	rest := s.chunks
	if s.reading && len(s.cursor.Rest()) > 0 {
		rest = append([][]byte{s.cursor.Rest()}, rest...)
	}
	return rest
}

// left are rows for what a gate has not processed of the replay, for a
// checkpoint that is taken meanwhile. The streams are numbered anew, since
// several old ones may have come to this subtask.
func (r *replay) left(gate *gateInput, receiver uint32) []format.Buffer {
	if r.current() == nil {
		return nil
	}
	var rows []format.Buffer
	for _, g := range r.generations {
		for _, s := range g.streams {
			if s.gate != gate {
				continue
			}
			for i, chunk := range s.rest() {
				rows = append(rows, format.NewBuffer(receiver, uint32(s.channel), g.number, uint64(i), 0, chunk))
			}
		}
	}
	return rows
}

// times are the watermarks of the old channels of a gate, under the names that
// left gives them.
func (r *replay) times(gate *gateInput, receiver int) []format.ChannelWatermark {
	if r.current() == nil {
		return nil
	}
	var rows []format.ChannelWatermark
	for _, g := range r.generations {
		for channel, c := range g.channels {
			if c.gate == gate {
				rows = append(rows, format.ChannelWatermark{Sender: uint32(channel), Receiver: receiver, Generation: g.number,
					Watermark: c.time().watermark, Status: status(c.time().idle)})
			}
		}
	}
	return rows
}

// nextGeneration is larger than the generation of anything that is in flight in
// the checkpoint (R6), and 0 if nothing is. An id would not do: a restore from
// another root goes on with lower ones.
func (r *restored) nextGeneration(ctx context.Context) (next uint64, err error) {
	if !r.inFlight() || r.dropAll {
		return 0, nil
	}
	edges, err := r.ck.Edges()
	if err != nil {
		return 0, err
	}
	for _, e := range edges {
		for row, err := range r.ck.ChannelWatermarks(ctx, e.ID) { // there is one for each channel
			if err != nil {
				return 0, &inFlightError{what: "watermarks", edge: e.ID, err: err}
			}
			next = max(next, row.Row.Generation+1)
		}
	}
	return next, nil
}

// streamKey names a sub-stream within an edge.
type streamKey struct {
	generation       uint64
	receiver, sender uint32
}

// loadReplay reads the in-flight data that this task's gates receive, nil if
// there is none.
func (t *Task) loadReplay() (*replay, error) {
	r := t.attempt.restored
	if !r.inFlight() || r.withoutInFlight(t.attempt.cfg, t.attempt.run()) {
		return nil, nil
	}
	rp := &replay{}
	var receivers []int // of which this subtask takes over anything
	for _, g := range t.input.gates {
		wanted, err := t.loadStreamsOf(rp, g)
		if err != nil {
			return nil, &inFlightError{what: "in-flight data", edge: t.attempt.plan.edgeID(g.edge), err: err}
		}
		receivers = append(receivers, wanted...)
	}
	for _, g := range t.input.gates {
		if err := t.loadTimes(rp, g, receivers); err != nil {
			return nil, &inFlightError{what: "watermarks", edge: t.attempt.plan.edgeID(g.edge), err: err}
		}
	}
	slices.SortFunc(rp.generations, func(a, b *generation) int { return compare(a.number, b.number) })
	if rp.current() == nil {
		return nil, nil
	}
	return rp, nil
}

// generation finds or adds a generation.
func (r *replay) generation(number uint64) *generation {
	for _, g := range r.generations {
		if g.number == number {
			return g
		}
	}
	g := &generation{number: number}
	r.generations = append(r.generations, g)
	return g
}

// loadStreamsOf reads the in-flight data that one gate receives, and returns the
// old subtasks it was meant for.
func (t *Task) loadStreamsOf(rp *replay, gate *gateInput) ([]int, error) {
	wanted, accept, err := t.wantedStreams(gate)
	if err != nil || len(wanted) == 0 {
		return nil, err
	}
	streams, err := t.loadStreams(gate, wanted, accept)
	if err != nil {
		return nil, err
	}
	for _, s := range streams {
		g := rp.generation(s.generation)
		s.channel = g.hold(gate, s.receiver, t.oldInterval(s.receiver), channelTime{watermark: NoWatermark})
		g.streams = append(g.streams, s)
	}
	return wanted, nil
}

// loadTimes gives the valves a channel for each old channel of the receivers,
// also for those that had nothing in flight: they hold event time back as they
// did, with the watermark they had before the first stored byte (R3 iii).
func (t *Task) loadTimes(rp *replay, gate *gateInput, receivers []int) error {
	byKey := map[streamKey]*substream{}
	for _, g := range rp.generations {
		for _, s := range g.streams {
			if s.gate == gate {
				byKey[streamKey{s.generation, s.receiver, s.sender}] = s
			}
		}
	}
	for row, err := range t.attempt.restored.ck.ChannelWatermarks(t.attempt.ctx, t.attempt.plan.edgeID(gate.edge)) {
		if err != nil {
			return err
		}
		w := row.Row
		if !slices.Contains(receivers, w.Receiver) {
			continue
		}
		g, seed := rp.generation(w.Generation), channelTime{watermark: w.Watermark, idle: w.Status == format.StatusIdle}
		receiver := uint32(w.Receiver)
		if s := byKey[streamKey{w.Generation, receiver, w.Sender}]; s != nil {
			*g.channels[s.channel].time() = seed
		} else {
			g.hold(gate, receiver, t.oldInterval(receiver), seed)
		}
	}
	return nil
}

// oldInterval is the interval of hashes that a subtask of the task's first
// operator owned in the restored checkpoint, empty without keys.
func (t *Task) oldInterval(subtask uint32) keygroup.Interval {
	old := t.attempt.restored.ops[t.ops[0].env.UID]
	if old.KeyGroups == 0 {
		return keygroup.Interval{}
	}
	return keygroup.IntervalOf(int(subtask), int(old.KeyGroups), int(old.Parallelism))
}

// loadStreams reads the sub-streams of one edge: first the receiving side's part
// of each, then the sending side's, which continues it.
func (t *Task) loadStreams(g *gateInput, wanted []int, accept acceptance) ([]*substream, error) {
	r := t.attempt.restored
	joiners := map[streamKey]*joiner{}
	types, err := r.recordType(t.attempt.plan, g.edge)
	if err != nil {
		return nil, err
	}
	for _, side := range []format.Kind{format.KindInputChannel, format.KindOutputChannel} {
		for row, err := range r.buffers(t.attempt.ctx, t.attempt.plan.edgeID(g.edge), side, nil) {
			if err != nil {
				return nil, err
			}
			b := row.Row
			if !slices.Contains(wanted, int(b.Receiver)) {
				continue
			}
			key := streamKey{b.Generation, b.Receiver, b.Sender}
			j := joiners[key]
			if j == nil {
				j = &joiner{accept: accept, limit: t.attempt.cfg.Exchange.BufferSize, lenient: r.salvage, migrate: types.migrate}
				joiners[key] = j
			}
			if err := j.add(b); err != nil {
				return nil, fmt.Errorf("channel %d→%d, buffer %d: %w", b.Sender, b.Receiver, b.Sequence, err)
			}
		}
	}
	var streams []*substream
	for key, j := range joiners {
		if err := j.end(); err != nil {
			return nil, fmt.Errorf("channel %d→%d: %w", key.sender, key.receiver, err)
		}
		streams = append(streams, &substream{gate: g, receiver: key.receiver, sender: key.sender, generation: key.generation,
			chunks: j.chunks, cursor: exchange.NewCursor(t.attempt.cfg.Exchange.MaxFrame)})
	}
	slices.SortFunc(streams, func(a, b *substream) int {
		return slices.Compare([]uint64{a.generation, uint64(a.receiver), uint64(a.sender)}, []uint64{b.generation, uint64(b.receiver), uint64(b.sender)})
	})
	return streams, nil
}

// wantedStreams says which old receivers' streams of an edge this subtask takes
// over, and which of their records.
func (t *Task) wantedStreams(g *gateInput) ([]int, acceptance, error) {
	p, e := t.attempt.plan, t.attempt.plan.graph.Edges[g.edge]
	old, ok := t.attempt.restored.ops[p.graph.Nodes[e.To].UID]
	if !ok || t.attempt.restored.refused(p, g.edge) {
		return nil, nil, nil
	}
	if pointwise(p.partitioner[g.edge]) {
		return t.wantedPointwise(g.edge)
	}
	was := rescale.Layout{Groups: int(old.KeyGroups), Parallelism: int(old.Parallelism)}
	is := rescale.Layout{Groups: p.keyGroups[e.To], Parallelism: p.parallelism[e.To]}
	if p.partitioner[g.edge] == format.Keyed {
		if was.Groups == 0 { // it was not keyed: see checkInFlight
			return nil, nil, nil
		}
		interval := t.ops[0].env.Interval
		return rescale.Plan(rescale.Range, was, is)[t.subtask],
			func(f *exchange.Frame) (bool, error) { return interval.Contains(keygroup.Hash(f.Hash)), nil }, nil
	}
	if p.partitioner[g.edge] == format.Custom {
		return rescale.Plan(rescale.Full, was, is)[t.subtask], func(f *exchange.Frame) (bool, error) {
			subtask, err := e.Choose(f.Payload, is.Parallelism)
			return subtask == t.subtask, err
		}, nil
	}
	down, _ := rescale.MappersOf(checkpointPartitioner(p.partitioner[g.edge]))
	plan := rescale.Plan(down, was, is)
	if plan == nil { // what is in flight on it is refused, see checkInFlight
		return nil, nil, nil
	}
	return plan[t.subtask], every, nil
}

// every accepts all records.
func every(*exchange.Frame) (bool, error) { return true, nil }

// wantedPointwise is wantedStreams for a pointwise edge. What was spread before,
// or not sent by key, is taken over channel by channel.
func (t *Task) wantedPointwise(edge int) ([]int, acceptance, error) {
	p, r := t.attempt.plan, t.attempt.restored
	e, keys, _, err := r.edge(p.edgeID(edge))
	if err != nil {
		return nil, nil, err
	}
	if keys != "" {
		return t.wantedByKey(edge, keys)
	}
	if e.InFlightBytes == 0 {
		return nil, nil, nil
	}
	to := p.graph.Edges[edge].To
	old := r.ops[p.graph.Nodes[to].UID]
	plan := rescale.Plan(rescale.RoundRobin, rescale.Layout{Parallelism: int(old.Parallelism)}, rescale.Layout{Parallelism: p.parallelism[to]})
	if !p.byKey(edge) {
		return plan[t.subtask], every, nil
	}
	// What this subtask has not processed by the next checkpoint is in flight by
	// key, so it needs a hash that the subtask owns. One that it has already is
	// from before it was spread.
	lowest := p.lowest(edge, t.subtask)
	return plan[t.subtask], func(f *exchange.Frame) (bool, error) {
		f.Tag, f.Hash = f.Tag|exchange.FlagHash|exchange.FlagNoKey, lowest
		return true, nil
	}, nil
}

func checkpointPartitioner(p format.Partitioner) checkpoint.Partitioner {
	switch p {
	case format.Keyed:
		return checkpoint.PartitionKeyed
	case format.Rebalance:
		return checkpoint.PartitionRebalance
	case format.Shuffle:
		return checkpoint.PartitionShuffle
	case format.Global:
		return checkpoint.PartitionGlobal
	default:
		return checkpoint.PartitionForward
	}
}
