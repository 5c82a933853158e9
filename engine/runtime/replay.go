package runtime

import (
	"errors"
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
	// generations are delivered one after the other, gate by gate within; the
	// streams of one generation take turns.
	generations [][]*substream
	turn        int
	valve       *valve // of all streams, by number, and of old channels without data
	channels    []replayChannel
}

// replayChannel is what a channel of the replay's valve belongs to.
type replayChannel struct {
	gate       *gateInput
	generation uint64
}

// hold adds a channel to the valve and returns its number.
func (r *replay) hold(g *gateInput, generation uint64, c channelTime) int {
	r.channels = append(r.channels, replayChannel{gate: g, generation: generation})
	return r.valve.add(c)
}

// substream is what is left of one old channel.
type substream struct {
	gate       *gateInput
	receiver   uint32 // old subtasks that name it
	sender     uint32
	generation uint64
	number     int      // channel of the replay's valve
	chunks     [][]byte // whole frames; the first is being read
	cursor     *exchange.Cursor
	reading    bool
}

// current is the next stream to read, nil if the replay is over.
func (r *replay) current() *substream {
	for len(r.generations) > 0 {
		live := r.generations[0]
		for range live {
			s := live[r.turn%len(live)]
			if s.reading || len(s.chunks) > 0 {
				return s
			}
			r.turn++
		}
		r.generations = r.generations[1:]
		r.turn = 0
	}
	return nil
}

// step reads from the replay. It reports false if there is nothing left.
func (r *replay) step(t *Task) (bool, error) {
	s := r.current()
	if s == nil {
		return false, nil
	}
	if !s.reading {
		s.cursor.Feed(s.chunks[0])
		s.chunks = s.chunks[1:]
		s.reading = true
	}
	exhausted, err := s.gate.receiver.Run(t, s.number, s.cursor)
	if err != nil {
		return true, fmt.Errorf("replaying in-flight data of channel %d→%d of edge %s: %w", s.sender, s.receiver, t.attempt.plan.edgeID(s.gate.edge), err)
	}
	if exhausted {
		s.reading = false
		r.turn++
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
func (r *replay) left(g *gateInput, receiver uint32) []format.Buffer {
	if r == nil {
		return nil
	}
	var rows []format.Buffer
	for _, streams := range r.generations {
		for _, s := range streams {
			if s.gate != g {
				continue
			}
			for i, chunk := range s.rest() {
				rows = append(rows, format.NewBuffer(receiver, uint32(s.number), s.generation, uint64(i), 0, chunk))
			}
		}
	}
	return rows
}

// times are the watermarks of the old channels of a gate, under the names that
// left gives them, apart from those of generations that are over.
func (r *replay) times(g *gateInput, receiver int) []format.ChannelWatermark {
	if r == nil || r.current() == nil {
		return nil
	}
	var rows []format.ChannelWatermark
	for number, c := range r.channels {
		if c.gate == g && c.generation >= r.generations[0][0].generation {
			time := r.valve.channels[number]
			rows = append(rows, format.ChannelWatermark{Sender: uint32(number), Receiver: receiver, Generation: c.generation,
				Watermark: time.watermark, Status: status(time.idle)})
		}
	}
	return rows
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
	if r == nil || r.summary.InFlightRecords == 0 && r.summary.InFlightBytes == 0 {
		return nil, nil
	}
	rp := &replay{valve: newValve(0)}
	byGeneration := map[uint64][]*substream{}
	for _, g := range t.input.gates {
		wanted, accept, err := t.wantedStreams(g)
		if err == nil && len(wanted) > 0 {
			err = t.loadGate(rp, g, wanted, accept, byGeneration)
		}
		if err != nil {
			return nil, fmt.Errorf("restoring in-flight data of edge %s: %w", t.attempt.plan.edgeID(g.edge), err)
		}
	}
	if len(byGeneration) == 0 {
		return nil, nil
	}
	for _, generation := range sortedKeys(byGeneration) {
		rp.generations = append(rp.generations, byGeneration[generation])
	}
	return rp, nil
}

// loadGate reads what one gate receives. The valve gets a channel for each old
// channel of the old receivers, also for those that had nothing in flight: they
// hold event time back as they did, with the watermark they had before the first
// stored byte (R3 iii).
func (t *Task) loadGate(rp *replay, g *gateInput, wanted []int, accept func(hash uint32) bool, byGeneration map[uint64][]*substream) error {
	streams, err := t.loadStreams(g, wanted, accept)
	if err != nil {
		return err
	}
	numbers := map[streamKey]int{}
	for _, s := range streams {
		s.number = rp.hold(g, s.generation, channelTime{watermark: NoWatermark})
		numbers[streamKey{s.generation, s.receiver, s.sender}] = s.number
		byGeneration[s.generation] = append(byGeneration[s.generation], s)
	}
	for row, err := range t.attempt.restored.ck.ChannelWatermarks(t.attempt.ctx, t.attempt.plan.edgeID(g.edge)) {
		if err != nil {
			return fmt.Errorf("watermarks: %w", err)
		}
		w := row.Row
		if !slices.Contains(wanted, w.Receiver) {
			continue
		}
		seed := channelTime{watermark: w.Watermark, idle: w.Status == format.StatusIdle}
		if number, ok := numbers[streamKey{w.Generation, uint32(w.Receiver), w.Sender}]; ok {
			rp.valve.channels[number] = seed
		} else {
			rp.hold(g, w.Generation, seed)
		}
	}
	return nil
}

func sortedKeys[V any](m map[uint64]V) []uint64 {
	keys := make([]uint64, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// loadStreams reads the sub-streams of one edge: first the receiving side's part
// of each, then the sending side's, which continues it.
func (t *Task) loadStreams(g *gateInput, wanted []int, accept func(hash uint32) bool) ([]*substream, error) {
	joiners := map[streamKey]*joiner{}
	for _, side := range []format.Kind{format.KindInputChannel, format.KindOutputChannel} {
		for row, err := range t.attempt.restored.ck.Buffers(t.attempt.ctx, t.attempt.plan.edgeID(g.edge), side) {
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
				j = &joiner{accept: accept, limit: t.attempt.cfg.Exchange.BufferSize}
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
func (t *Task) wantedStreams(g *gateInput) ([]int, func(hash uint32) bool, error) {
	p, e := t.attempt.plan, t.attempt.plan.graph.Edges[g.edge]
	old, ok := t.attempt.restored.ops[p.graph.Nodes[e.To].UID]
	if !ok {
		return nil, nil, nil
	}
	was := rescale.Layout{Groups: int(old.KeyGroups), Parallelism: int(old.Parallelism)}
	is := rescale.Layout{Groups: p.keyGroups[e.To], Parallelism: p.parallelism[e.To]}
	if p.partitioner[g.edge] == format.Keyed {
		interval := t.ops[0].env.Interval
		return rescale.Plan(rescale.Range, was, is)[t.subtask],
			func(hash uint32) bool { return interval.Contains(keygroup.Hash(hash)) }, nil
	}
	down, _ := rescale.MappersOf(checkpointPartitioner(p.partitioner[g.edge]))
	plan := rescale.Plan(down, was, is)
	if plan == nil {
		return nil, nil, t.noStreams(g)
	}
	return plan[t.subtask], func(uint32) bool { return true }, nil
}

// noStreams makes sure that the checkpoint has no in-flight data of an edge that
// could not take it over. Other edges may have some.
func (t *Task) noStreams(g *gateInput) error {
	for _, side := range []format.Kind{format.KindInputChannel, format.KindOutputChannel} {
		for _, err := range t.attempt.restored.ck.Buffers(t.attempt.ctx, t.attempt.plan.edgeID(g.edge), side) {
			if err != nil {
				return err
			}
			return errors.New("a connection of its kind cannot take over in-flight data")
		}
	}
	return nil
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
