package exchange

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/tidemark-io/tidemark/engine/barrier"
)

// inflight is a shuffle on real goroutines, with checkpoints of all kinds, one
// after the other. Its mutex guards what the coordinator would know.
type inflight struct {
	senders, receivers, checkpoints int
	maxSize                         int
	snaps                           *SnapshotPool

	mu      sync.Mutex
	id      uint64 // checkpoint that goes on
	missing int    // parts of it that are still to come
	stop    bool
	sent    [][]uint64   // [sender][receiver], before the barrier
	output  [][]Captured // by sender
	state   [][]uint64   // [receiver][sender], at the snapshot
	input   [][]Captured // by receiver
	records int          // in flight, in sum
	errs    []error
}

// barrier returns the barrier of the checkpoint that goes on.
func (f *inflight) barrier() (b barrier.Barrier, stop bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	b = barrier.Barrier{ID: f.id}
	switch f.id % 4 {
	case 0:
	case 1:
		b.Alignment = barrier.Unaligned
	default:
		b.Timeout = time.Second
	}
	return b, f.stop
}

// begin starts the next checkpoint. f.mu is held.
func (f *inflight) begin() {
	f.id++
	f.missing = f.senders + f.receivers
	f.sent, f.output = make([][]uint64, f.senders), make([][]Captured, f.senders)
	f.state, f.input = make([][]uint64, f.receivers), make([][]Captured, f.receivers)
	f.stop = f.stop || f.id > uint64(f.checkpoints)
}

// arrived says that one part is there; the last one is checked, all together.
func (f *inflight) arrived(note func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	note()
	if f.missing--; f.missing > 0 || f.stop {
		return
	}
	for s := range f.senders {
		for r := range f.receivers {
			if err := f.verify(s, r); err != nil {
				f.errs = append(f.errs, fmt.Errorf("checkpoint %d, sender %d, receiver %d: %w", f.id, s, r, err))
				f.stop = true
			}
		}
	}
	for _, parts := range append(f.output, f.input...) {
		ReleaseAll(parts)
	}
	f.begin()
}

func (f *inflight) verify(s, r int) error {
	var pieces []Piece
	for _, p := range f.input[r] {
		if p.Channel == s {
			pieces = append(pieces, p.Pieces...)
		}
	}
	for _, p := range f.output[s] {
		if p.Channel == r {
			pieces = append(pieces, p.Pieces...)
		}
	}
	numbers, err := joinPieces(pieces)
	if err != nil {
		return err
	}
	next := f.state[r][s]
	for _, n := range numbers {
		if n != next {
			return fmt.Errorf("record %d where %d was due", n, next)
		}
		next++
	}
	f.records += len(numbers)
	if next != f.sent[s][r] {
		return fmt.Errorf("state and parts reach to %d, sent %d", next, f.sent[s][r])
	}
	return nil
}

func (f *inflight) send(s int, p *Partition, pk parker, passed *sync.Map) error {
	rng := rand.New(rand.NewPCG(uint64(s), 9))
	counts := make([]uint64, f.receivers)
	var newest, waiting uint64
	patience := 0
	for {
		b, stop := f.barrier()
		if stop {
			break
		}
		if b.ID != newest && rng.IntN(3) == 0 {
			newest = b.ID
			cut := append([]uint64(nil), counts...)
			parts, err := p.EmitBarrier(b, f.snaps)
			if err != nil {
				return err
			}
			if b.Timeoutable() {
				waiting, patience = b.ID, rng.IntN(20)
				f.mu.Lock()
				f.sent[s] = cut
				f.mu.Unlock()
			} else {
				f.arrived(func() { f.sent[s], f.output[s] = cut, parts })
			}
		}
		if patience--; waiting != 0 {
			var parts []Captured
			_, over := passed.Load(waiting)
			if !over && patience < 0 {
				var err error
				if parts, err = p.Convert(waiting, time.Second, f.snaps); err != nil {
					return err
				}
				over = true
			}
			if over {
				waiting = 0
				f.arrived(func() { f.output[s] = parts })
			}
		}
		if !p.Available() {
			if waiting == 0 && b.ID == newest {
				pk.park()
			}
			continue
		}
		ch := rng.IntN(f.receivers)
		n := rng.IntN(40)
		if rng.IntN(20) == 0 {
			n = rng.IntN(f.maxSize)
		}
		counts[ch]++
		if err := send(p, ch, counts[ch]-1, n); err != nil {
			return err
		}
	}
	if err := p.Emit(Event{Kind: EndOfPartition}); err != nil {
		return err
	}
	for !p.Drained() {
		pk.park()
	}
	return p.Err()
}

func (f *inflight) receive(r int, g *Gate, pk parker) error {
	cp := NewCapture(g, f.snaps)
	defer cp.Drop()
	rng := rand.New(rand.NewPCG(uint64(r), 10))
	curs := make([]*Cursor, f.senders)
	modes := make([]bool, f.senders)
	for i := range curs {
		curs[i], modes[i] = NewCursor(0), true
	}
	counts := make([]uint64, f.senders)
	state := barrier.NewAlternating(modes)
	var acts []barrier.Action
	var hand *Buffer
	at := 0
	act := func(e barrier.Event) {
		state, acts = barrier.Step(state, e, acts[:0])
		for _, a := range acts {
			switch a.Kind {
			case barrier.Resume:
				g.Resume(a.Channel)
			case barrier.BeginCapture:
				cp.Start(a.ID, curs, hand, at)
			case barrier.ChannelDone:
				cp.Done(a.Channel)
			case barrier.Snapshot:
				seen := append([]uint64(nil), counts...)
				if a.Barrier.Alignment == barrier.Unaligned {
					f.mu.Lock()
					f.state[r] = seen
					f.mu.Unlock()
				} else {
					f.arrived(func() { f.state[r] = seen })
				}
			case barrier.StopCapture:
				parts := cp.Stop()
				f.arrived(func() { f.input[r] = parts })
			}
		}
	}
	event := func(el Element) {
		if el.Event.Kind == EndOfPartition {
			act(barrier.Ended(el.Channel))
		} else {
			act(barrier.Arrived(el.Channel, el.Event.Barrier))
		}
	}
	for state.Open() > 0 {
		if id := state.Pending(); id != 0 && rng.IntN(100) == 0 {
			act(barrier.TimerFired(id))
		}
		if el, ok := g.PollPriority(); ok {
			event(el)
			continue
		}
		if hand == nil {
			el, ok := g.Poll()
			switch {
			case !ok:
				pk.park()
			case el.Event != nil:
				event(el)
			default:
				if cp.Active() {
					cp.Note(el.Channel, el.Buffer)
				}
				hand, at = el.Buffer, el.Channel
				curs[at].Feed(hand.Bytes())
			}
			continue
		}
		fr, ok := curs[at].Next()
		if !ok {
			g.Recycle(hand)
			hand = nil
			if err := curs[at].Err(); err != nil {
				return err
			}
			continue
		}
		if uint64(fr.Timestamp) != counts[at] {
			return fmt.Errorf("channel %d: record %d where %d was due", at, fr.Timestamp, counts[at])
		}
		counts[at]++
	}
	return nil
}

// TestInFlightOnGoroutines runs checkpoints of all kinds through shuffles.
func TestInFlightOnGoroutines(t *testing.T) {
	n := 400
	if testing.Short() {
		n = 100
	}
	for _, c := range []struct {
		senders, receivers, maxSize int
		memory, limit               int64
	}{{1, 1, 1000, 1 << 20, 0}, {2, 3, 3000, 2 << 10, 8 << 10}, {3, 2, 20000, 0, 1 << 10}} {
		t.Run(fmt.Sprintf("%dx%d", c.senders, c.receivers), func(t *testing.T) {
			cfg := testConfig()
			cfg.SpillMemory, cfg.SpillDisk, cfg.SpillDir = c.memory, 1<<30, t.TempDir()
			f := &inflight{senders: c.senders, receivers: c.receivers, checkpoints: n, maxSize: c.maxSize, snaps: NewSnapshotPool(c.limit, cfg.SpillDir)}
			f.begin()
			pool := NewPool(cfg.BufferSize)
			var gates []*Gate
			var wg sync.WaitGroup
			errs := make([]error, c.senders+c.receivers)
			var parkers []parker
			for range c.receivers {
				pk := newParker()
				parkers = append(parkers, pk)
				gates = append(gates, NewGate(c.senders, pk.wake))
			}
			for s := range c.senders {
				var targets []Target
				for _, g := range gates {
					targets = append(targets, Target{Gate: g, Channel: s})
				}
				pk, passed := newParker(), &sync.Map{}
				p, err := NewPartition(pool, cfg, targets, Hooks{Wake: pk.wake, Passed: func(id uint64) { passed.Store(id, true); pk.wake() }})
				if err != nil {
					t.Fatal(err)
				}
				wg.Go(func() { errs[s] = errors.Join(f.send(s, p, pk, passed), p.Close()) })
			}
			for r := range gates {
				wg.Go(func() { errs[c.senders+r] = f.receive(r, gates[r], parkers[r]) })
			}
			wg.Wait()
			for _, parts := range append(f.output, f.input...) {
				ReleaseAll(parts)
			}
			for _, g := range gates {
				g.Close()
			}
			if err := errors.Join(append(append(errs, f.errs...), f.snaps.Close())...); err != nil {
				t.Error(err)
			}
			mustBeEmpty(t, cfg.SpillDir)
			if n := pool.Outstanding(); n != 0 {
				t.Errorf("%d buffers were not returned", n)
			}
			t.Logf("RESULT exchange-inflight-flow senders=%d receivers=%d checkpoints=%d inflight_records=%d pool_spilled=%d lost=0 duplicated=0",
				c.senders, c.receivers, f.id-1, f.records, f.snaps.Stats().Total)
		})
	}
}
