package exchange

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/tidemark-io/tidemark/engine/barrier"
)

// The model: one or two edges of senders (sources) into receivers, one
// goroutine for all, a chooser that says what happens next. A coordinator
// triggers one checkpoint after the other, of any kind, and gives some up.
// Of each that completes, and of each channel, this must hold: what the
// receiver had processed at its snapshot, its input part, the sender's output
// part and what was sent behind the barrier are all records of the channel,
// in order, each once. The parts are joined by sequence and continuation as
// the doc of Piece says.

type simEdge struct {
	alignedOnly bool
	first       int // of its channels at a receiver
	senders     []*simSender
}

type simSender struct {
	part    *Partition
	pool    *SnapshotPool
	edge    *simEdge
	number  int      // in the edge
	sent    []uint64 // records, by receiver
	newest  uint64
	waiting uint64 // id of a timeoutable barrier that may be converted
	ended   bool
}

// simCheckpoint collects the parts of one checkpoint.
type simCheckpoint struct {
	b       barrier.Barrier
	aborted bool
	sent    map[*simSender][]uint64
	output  map[*simSender]map[int][]Captured // by receiver; a channel has at most one part
	done    map[*simSender]bool
	states  map[*simReceiver][]uint64
	input   map[*simReceiver]map[int]Captured // by flat channel
	over    map[*simReceiver]bool
	told    map[*simReceiver]bool // of the abort
}

type simReceiver struct {
	gates    []*Gate
	first    []int // flat number of each gate's channel 0
	caps     []*Capture
	curs     [][]*Cursor
	state    barrier.State
	acts     []barrier.Action
	timer    uint64
	hand     *Buffer
	handGate int
	handCh   int
	counted  []uint64 // records processed, by flat channel
}

type sim struct {
	choose    func(n int) int
	edges     []*simEdge
	senders   []*simSender
	receivers []*simReceiver
	current   *simCheckpoint
	all       []*simCheckpoint
	records   int
	trace     []string

	completed, unaligned, inflight, converted int
	empty, bytes                              int64
}

func (s *sim) logf(format string, args ...any) {
	s.trace = append(s.trace, fmt.Sprintf(format, args...))
}

func newSim(t testing.TB, choose func(n int) int, dir string) (s *sim, finish func()) {
	s = &sim{choose: choose, records: 40 + choose(60)}
	cfg := testConfig()
	cfg.SpillDir = dir
	if choose(2) == 0 {
		cfg.Exchange = Credit
		cfg.BuffersPerChannel, cfg.FloatingPerGate = 1+choose(2), 1+choose(4)
	}
	cfg.SpillMemory, cfg.SpillDisk = int64(choose(3))<<10, 1<<30
	pool := NewPool(cfg.BufferSize)
	snaps := NewSnapshotPool(int64(choose(3))*1500, dir)
	if choose(4) == 0 {
		snaps = nil
	}
	q := 1 + choose(3)
	for range q {
		s.receivers = append(s.receivers, &simReceiver{handGate: -1})
	}
	var modes []bool
	for range 1 + choose(2) {
		e := &simEdge{alignedOnly: choose(3) == 0, first: len(modes)}
		s.edges = append(s.edges, e)
		p := 1 + choose(3)
		for range p {
			modes = append(modes, !e.alignedOnly)
		}
		for _, r := range s.receivers {
			g := cfg.NewGate(p, nil)
			r.gates, r.first = append(r.gates, g), append(r.first, e.first)
			r.caps = append(r.caps, NewCapture(g, snaps))
			curs := make([]*Cursor, p)
			for i := range curs {
				curs[i] = NewCursor(0)
			}
			r.curs = append(r.curs, curs)
		}
		for i := range p {
			var targets []Target
			for _, r := range s.receivers {
				targets = append(targets, Target{Gate: r.gates[len(r.gates)-1], Channel: i})
			}
			snd := &simSender{pool: snaps, edge: e, number: i, sent: make([]uint64, q)}
			part, err := NewPartition(pool, cfg, targets, Hooks{Passed: func(id uint64) { s.passed(snd, id) }})
			if err != nil {
				t.Fatal(err)
			}
			snd.part = part
			e.senders = append(e.senders, snd)
			s.senders = append(s.senders, snd)
		}
	}
	for _, r := range s.receivers {
		r.state = barrier.NewAlternating(modes)
		r.counted = make([]uint64, len(modes))
	}
	return s, func() {
		s.finish(t, pool)
		if err := snaps.Close(); err != nil {
			t.Error(err)
		}
	}
}

func (s *sim) finish(t testing.TB, pool *Pool) {
	for _, c := range s.all {
		c.release()
	}
	for _, snd := range s.senders {
		if err := snd.part.Close(); err != nil {
			t.Error(err)
		}
	}
	for _, r := range s.receivers {
		for g, c := range r.caps {
			c.Drop()
			if r.hand != nil && r.handGate == g {
				r.gates[g].Recycle(r.hand)
			}
			r.gates[g].Close()
		}
	}
	if n := pool.Outstanding(); n != 0 {
		t.Errorf("%d buffers were not returned", n)
	}
	if snd := s.senders[0]; snd.pool != nil {
		if st := snd.pool.Stats(); st.Used != 0 || st.Spilled != 0 || st.Failures != 0 {
			t.Errorf("snapshot pool at the end: %+v", st)
		}
	}
}

func (c *simCheckpoint) release() {
	for _, m := range c.output {
		for _, parts := range m {
			ReleaseAll(parts)
		}
	}
	for _, m := range c.input {
		for ch := range m {
			part := m[ch]
			part.Release()
		}
	}
	c.output, c.input = nil, nil
}

// passed is Hooks.Passed.
func (s *sim) passed(snd *simSender, id uint64) {
	s.logf("passed %d of sender %d.%d", id, snd.edge.first, snd.number)
	if s.current != nil && s.current.b.ID == id {
		s.current.done[snd] = true
	}
}

// run lets things happen until everything was sent and received.
func (s *sim) run() error {
	for steps := 0; ; steps++ {
		if steps > 200_000 {
			return fmt.Errorf("it does not end")
		}
		var err error
		switch s.choose(8) {
		case 0:
			err = s.coordinate()
		case 1, 2, 3:
			err = s.send(s.senders[s.choose(len(s.senders))])
		default:
			err = s.receive(s.receivers[s.choose(len(s.receivers))])
		}
		if err != nil {
			return err
		}
		if err := s.complete(); err != nil {
			return err
		}
		if s.quiet() {
			return nil
		}
	}
}

// quiet holds when all is sent and received and no checkpoint goes on.
func (s *sim) quiet() bool {
	for _, r := range s.receivers {
		if r.state.Open() > 0 || r.hand != nil {
			return false
		}
	}
	return s.current == nil
}

// coordinate triggers a checkpoint at a sender, gives one up, or tells a
// receiver so.
func (s *sim) coordinate() error {
	if s.current == nil {
		for _, snd := range s.senders {
			if snd.ended {
				return nil // no checkpoint begins any more
			}
		}
		b := barrier.Barrier{ID: uint64(len(s.all) + 1)}
		switch s.choose(4) {
		case 0:
		case 1:
			b.Alignment = barrier.Unaligned
		default:
			b.Timeout = time.Second
		}
		s.current = &simCheckpoint{b: b, sent: map[*simSender][]uint64{}, output: map[*simSender]map[int][]Captured{}, done: map[*simSender]bool{},
			states: map[*simReceiver][]uint64{}, input: map[*simReceiver]map[int]Captured{}, over: map[*simReceiver]bool{}, told: map[*simReceiver]bool{}}
		s.all = append(s.all, s.current)
		s.logf("checkpoint %v", b)
	}
	c := s.current
	if !c.aborted && s.choose(60) == 0 {
		s.logf("abort %d", c.b.ID)
		c.aborted = true
	}
	if c.aborted {
		r := s.receivers[s.choose(len(s.receivers))]
		c.told[r] = true
		return s.handle(r, barrier.Aborted(c.b.ID))
	}
	snd := s.senders[s.choose(len(s.senders))]
	if snd.newest == c.b.ID {
		return s.convert(snd)
	}
	snd.newest, snd.waiting = c.b.ID, 0
	b := c.b
	if snd.edge.alignedOnly {
		b = b.Forced()
	}
	s.logf("barrier %v of sender %d.%d, sent %v", b, snd.edge.first, snd.number, snd.sent)
	c.sent[snd] = append([]uint64(nil), snd.sent...)
	c.done[snd] = !b.Timeoutable()
	if b.Timeoutable() {
		snd.waiting = b.ID
	}
	parts, err := snd.part.EmitBarrier(b, snd.pool)
	s.keep(snd, c, parts)
	return err
}

func (s *sim) convert(snd *simSender) error {
	c := s.current
	if snd.waiting == 0 || c == nil || c.aborted || snd.waiting != c.b.ID {
		return nil
	}
	parts, err := snd.part.Convert(snd.waiting, time.Second, snd.pool)
	s.logf("convert %d at sender %d.%d: %d parts", snd.waiting, snd.edge.first, snd.number, len(parts))
	snd.waiting = 0
	c.done[snd] = true
	s.converted++
	s.keep(snd, c, parts)
	return err
}

func (s *sim) keep(snd *simSender, c *simCheckpoint, parts []Captured) {
	for _, p := range parts {
		if c.output[snd] == nil {
			c.output[snd] = map[int][]Captured{}
		}
		c.output[snd][p.Channel] = append(c.output[snd][p.Channel], p)
	}
}

func (s *sim) send(snd *simSender) error {
	if snd.ended {
		snd.part.Drained()
		return snd.part.Err()
	}
	if s.choose(8) == 0 {
		return snd.part.Flush()
	}
	if !snd.part.Available() && s.choose(8) > 0 {
		return snd.part.Err()
	}
	total := uint64(0)
	for _, n := range snd.sent {
		total += n
	}
	// Sources end when all have sent enough and no checkpoint goes on: what a
	// task that ended does about a checkpoint is not the matter of this test.
	if total >= uint64(s.records) {
		if s.current == nil {
			snd.ended = true
			return snd.part.Emit(Event{Kind: EndOfPartition})
		}
		return nil
	}
	ch := s.choose(len(snd.sent))
	n := s.choose(40)
	if s.choose(12) == 0 {
		n = s.choose(1500)
	}
	seq := snd.sent[ch]
	snd.sent[ch]++
	return send(snd.part, ch, seq, n)
}

// receive does one thing at a receiver.
func (s *sim) receive(r *simReceiver) error {
	if s.choose(8) == 0 {
		g := s.choose(len(r.gates))
		if el, ok := r.gates[g].PollPriority(); ok {
			return s.element(r, g, el)
		}
	}
	if r.timer != 0 && s.choose(8) == 0 {
		id := r.timer
		r.timer = 0
		return s.handle(r, barrier.TimerFired(id))
	}
	if r.hand != nil {
		return s.read(r, 1+s.choose(4))
	}
	g := s.choose(len(r.gates))
	el, ok := r.gates[g].Poll()
	if !ok {
		return nil
	}
	return s.element(r, g, el)
}

func (s *sim) element(r *simReceiver, g int, el Element) error {
	flat := r.first[g] + el.Channel
	if el.Buffer != nil {
		if r.state.Blocked(flat) || r.state.Held(flat) {
			return fmt.Errorf("channel %d delivers data, state %v", flat, r.state)
		}
		if r.caps[g].Active() {
			r.caps[g].Note(el.Channel, el.Buffer)
		}
		r.hand, r.handGate, r.handCh = el.Buffer, g, el.Channel
		r.curs[g][el.Channel].Feed(el.Buffer.Bytes())
		return nil
	}
	late := time.Duration(s.choose(3)) * time.Second // may be overdue
	switch el.Event.Kind {
	case BarrierEvent:
		return s.handle(r, barrier.Arrived(flat, el.Event.Barrier).After(late))
	case EndOfPartition:
		return s.handle(r, barrier.Ended(flat).After(late))
	}
	return fmt.Errorf("unexpected %v", el.Event.Kind)
}

func (s *sim) read(r *simReceiver, n int) error {
	cur := r.curs[r.handGate][r.handCh]
	flat := r.first[r.handGate] + r.handCh
	for range n {
		f, ok := cur.Next()
		if !ok {
			r.gates[r.handGate].Recycle(r.hand)
			r.hand, r.handGate = nil, -1
			return cur.Err()
		}
		if uint64(f.Timestamp) != r.counted[flat] {
			return fmt.Errorf("channel %d: record %d where %d was due", flat, f.Timestamp, r.counted[flat])
		}
		r.counted[flat]++
	}
	return nil
}

func (s *sim) handle(r *simReceiver, e barrier.Event) error {
	r.state, r.acts = barrier.Step(r.state, e, r.acts[:0])
	s.logf("%v at receiver: %v", e, r.acts)
	for _, a := range r.acts {
		g := len(r.gates) - 1
		for g > 0 && a.Channel < r.first[g] {
			g--
		}
		ch := a.Channel - r.first[g]
		c := s.current
		switch a.Kind {
		case barrier.Resume:
			r.gates[g].Resume(ch)
		case barrier.Hold:
			r.gates[g].Hold(ch)
		case barrier.Unhold:
			r.gates[g].Unhold(ch)
		case barrier.StartTimer:
			r.timer = a.ID
		case barrier.BeginCapture:
			for i, cp := range r.caps {
				if s.edges[i].alignedOnly {
					continue
				}
				var hand *Buffer
				if r.handGate == i {
					hand = r.hand
				}
				cp.Start(a.ID, r.curs[i], hand, r.handCh)
			}
		case barrier.ChannelDone:
			r.caps[g].Done(ch)
		case barrier.Snapshot:
			c.states[r] = append([]uint64(nil), r.counted...)
			c.over[r] = a.Barrier.Alignment != barrier.Unaligned
		case barrier.StopCapture:
			c.over[r] = true
			c.input[r] = map[int]Captured{}
			s.unaligned++
			for i, cp := range r.caps {
				if cp.Active() {
					return fmt.Errorf("capture of gate %d is not complete", i)
				}
				for _, part := range cp.Stop() {
					c.input[r][r.first[i]+part.Channel] = part
				}
			}
		case barrier.DropCapture:
			for _, cp := range r.caps {
				cp.Drop()
			}
		}
	}
	return nil
}

// complete checks the current checkpoint when all its parts are there.
func (s *sim) complete() error {
	c := s.current
	if c == nil {
		return nil
	}
	if c.aborted {
		for _, r := range s.receivers {
			if !c.told[r] {
				return nil
			}
		}
		c.release()
		s.current = nil
		return nil
	}
	for _, snd := range s.senders {
		if !c.done[snd] {
			return nil
		}
	}
	for _, r := range s.receivers {
		if !c.over[r] {
			return nil
		}
	}
	s.completed++
	for _, snd := range s.senders {
		for i, r := range s.receivers {
			if err := s.verify(c, snd, i, r); err != nil {
				return fmt.Errorf("checkpoint %v, sender %d.%d to receiver %d: %w", c.b, snd.edge.first, snd.number, i, err)
			}
		}
	}
	c.release()
	s.current = nil
	return nil
}

func (s *sim) report(t testing.TB, err error) {
	t.Helper()
	text := ""
	for _, l := range s.trace[max(0, len(s.trace)-60):] {
		text += l + "\n"
	}
	t.Fatalf("%v\n%s", err, text)
}

// TestInFlightModel runs many random interleavings.
func TestInFlightModel(t *testing.T) {
	runs := 1500
	if testing.Short() {
		runs = 300
	}
	dir := t.TempDir()
	var sum sim
	var checkpoints, spilled int
	for seed := range runs {
		rng := rand.New(rand.NewPCG(uint64(seed), 7))
		s, finish := newSim(t, rng.IntN, dir)
		if err := s.run(); err != nil {
			t.Logf("seed %d", seed)
			s.report(t, err)
		}
		finish()
		checkpoints += len(s.all)
		sum.completed += s.completed
		sum.unaligned += s.unaligned
		sum.converted += s.converted
		sum.inflight += s.inflight
		sum.bytes += s.bytes
		sum.empty += s.empty
		if p := s.senders[0].pool; p != nil {
			spilled += int(p.Stats().Total)
		}
	}
	mustBeEmpty(t, dir)
	if sum.completed < runs || sum.unaligned < runs || sum.converted < runs/4 || sum.inflight < 10*runs || spilled == 0 {
		t.Errorf("the model does not reach what it is for")
	}
	t.Logf("RESULT exchange-inflight-model runs=%d checkpoints=%d completed=%d unaligned_captures=%d conversions=%d inflight_records=%d inflight_bytes=%d empty_channels=%d pool_spilled=%d lost=0 duplicated=0 disordered=0",
		runs, checkpoints, sum.completed, sum.unaligned, sum.converted, sum.inflight, sum.bytes, sum.empty, spilled)
}

// FuzzInFlight lets the fuzzer choose, first by its bytes, then by a generator
// that they seed.
func FuzzInFlight(f *testing.F) {
	f.Add([]byte{}, uint64(1))
	f.Add([]byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 0, 0, 0, 0, 7, 7, 7}, uint64(2))
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, data []byte, seed uint64) {
		rng := rand.New(rand.NewPCG(seed, 8))
		s, finish := newSim(t, func(n int) int {
			if len(data) == 0 {
				return rng.IntN(n)
			}
			x := int(data[0]) % n
			data = data[1:]
			return x
		}, dir)
		if err := s.run(); err != nil {
			s.report(t, err)
		}
		finish()
	})
}
