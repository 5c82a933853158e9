package exchange

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"

	"github.com/tidemark-io/tidemark/engine/barrier"
)

// parker lets a goroutine wait for a wake-up that may come first.
type parker chan struct{}

func newParker() parker { return make(parker, 1) }
func (p parker) wake() {
	select {
	case p <- struct{}{}:
	default:
	}
}
func (p parker) park() { <-p }

// flow is a shuffle of senders to receivers with barriers in it.
type flow struct {
	cfg                Config
	senders, receivers int
	records, every     int // per sender: how many, and how many between barriers
	maxSize            int
	slow               bool // receivers yield to the senders after each record
}

// record sizes: mostly small, some of many buffers.
func (f flow) size(rng *rand.Rand) int {
	if rng.IntN(20) == 0 {
		return rng.IntN(f.maxSize + 1)
	}
	return rng.IntN(40)
}

// TestFlow sends records of 0 B to 10 buffers through shuffles and checks per
// channel that all arrive, in order, and that at each checkpoint a receiver
// has from each sender just the records that were sent before its barrier.
func TestFlow(t *testing.T) {
	small := testConfig()
	small.SpillMemory = 8 << 10
	disk := small
	disk.SpillMemory, disk.SpillDisk = 1<<10, 1<<30
	hard := small
	hard.SpillMemory, hard.MaxOverdraft = 0, 0
	n := 3000
	if testing.Short() {
		n = 600
	}
	for _, c := range []struct {
		name string
		f    flow
	}{
		{"1x1", flow{small, 1, 1, n, 100, 2560, false}},
		{"1x3", flow{small, 1, 3, n, 70, 2560, false}},
		{"3x1", flow{small, 3, 1, n, 50, 2560, true}},
		{"2x2 spilling to disk", flow{disk, 2, 2, n, 100, 25600, true}},
		{"2x2 without any spill", flow{hard, 2, 2, n, 100, 2560, true}},
		{"4x4 default buffers", flow{DefaultConfig(), 4, 4, n, 100, 100 << 10, true}},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.f.cfg.SpillDir = t.TempDir()
			c.f.run(t)
			mustBeEmpty(t, c.f.cfg.SpillDir)
		})
	}
}

func (f flow) run(t *testing.T) {
	pool := NewPool(f.cfg.BufferSize)
	gates, parkers := make([]*Gate, f.receivers), make([]parker, f.receivers)
	for r := range gates {
		parkers[r] = newParker()
		gates[r] = NewGate(f.senders, parkers[r].wake)
	}
	errs := make(chan error, f.senders+f.receivers)
	var stats Stats
	var mu sync.Mutex
	var wg sync.WaitGroup
	// cuts[s][id][r] is how many records sender s sent to r before barrier id.
	cuts := make([][][]uint64, f.senders)
	for s := range f.senders {
		var targets []Target
		for _, g := range gates {
			targets = append(targets, Target{Gate: g, Channel: s})
		}
		pk := newParker()
		p, err := NewPartition(pool, f.cfg, targets, Hooks{Wake: pk.wake})
		if err != nil {
			t.Fatal(err)
		}
		wg.Go(func() {
			err := f.send(p, pk, rand.New(rand.NewPCG(uint64(s), 1)), &cuts[s])
			if err == nil {
				err = p.Close()
			}
			errs <- err
			mu.Lock()
			defer mu.Unlock()
			st := p.Stats()
			stats.Frames += st.Frames
			stats.Buffers += st.Buffers
			stats.SpilledBytes += st.SpilledBytes
			stats.SpilledDiskBytes += st.SpilledDiskBytes
			stats.HardWaits += st.HardWaits
		})
	}
	got := make([][][]uint64, f.receivers) // [r][id][s]
	for r, g := range gates {
		wg.Go(func() { errs <- f.receive(g, parkers[r], &got[r]) })
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
	for r := range f.receivers {
		for s := range f.senders {
			if len(got[r]) != len(cuts[s]) {
				t.Fatalf("receiver %d took %d checkpoints, sender %d sent %d", r, len(got[r]), s, len(cuts[s]))
			}
			for id := range got[r] {
				if got[r][id][s] != cuts[s][id][r] {
					t.Errorf("checkpoint %d: receiver %d has %d records of sender %d, %d were sent before", id+1, r, got[r][id][s], s, cuts[s][id][r])
				}
			}
		}
	}
	for _, g := range gates {
		g.Close()
	}
	if n := pool.Outstanding(); n != 0 {
		t.Errorf("%d buffers were not returned", n)
	}
	t.Logf("RESULT exchange-flow senders=%d receivers=%d frames=%d buffers=%d allocated=%d spilled=%d disk=%d hardwaits=%d checkpoints=%d",
		f.senders, f.receivers, stats.Frames, stats.Buffers, pool.Allocated(), stats.SpilledBytes, stats.SpilledDiskBytes, stats.HardWaits, len(got[0]))
}

func (f flow) send(p *Partition, pk parker, rng *rand.Rand, cuts *[][]uint64) error {
	counts := make([]uint64, f.receivers)
	for i := range f.records {
		for !p.Available() {
			pk.park()
		}
		ch := rng.IntN(f.receivers)
		if err := send(p, ch, counts[ch], f.size(rng)); err != nil {
			return err
		}
		counts[ch]++
		if rng.IntN(30) == 0 {
			if err := p.Flush(); err != nil {
				return err
			}
		}
		if (i+1)%f.every == 0 {
			id := uint64((i + 1) / f.every)
			*cuts = append(*cuts, append([]uint64(nil), counts...))
			if err := p.Emit(NewBarrier(barrier.Barrier{ID: id})); err != nil {
				return err
			}
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

func (f flow) receive(g *Gate, pk parker, got *[][]uint64) error {
	curs := make([]Cursor, f.senders)
	next := make([]uint64, f.senders)
	handler := barrier.New(f.senders)
	var acts []barrier.Action
	for handler.Open() > 0 {
		el, ok := g.Poll()
		if !ok {
			pk.park()
			continue
		}
		if el.Buffer != nil {
			if handler.Blocked(el.Channel) {
				return fmt.Errorf("channel %d delivers data behind its barrier", el.Channel)
			}
			c := &curs[el.Channel]
			c.Feed(el.Buffer.Bytes())
			for fr, ok := c.Next(); ok; fr, ok = c.Next() {
				if uint64(fr.Timestamp) != next[el.Channel] {
					return fmt.Errorf("channel %d: record %d where %d was due", el.Channel, fr.Timestamp, next[el.Channel])
				}
				for i, x := range fr.Payload {
					if x != byte(fr.Timestamp)+byte(i) {
						return fmt.Errorf("channel %d: record %d: byte %d of %d is wrong", el.Channel, fr.Timestamp, i, len(fr.Payload))
					}
				}
				next[el.Channel]++
				if f.slow {
					runtime.Gosched()
				}
			}
			g.Recycle(el.Buffer)
			if err := c.Err(); err != nil {
				return err
			}
			continue
		}
		ev := barrier.Ended(el.Channel)
		if el.Event.Kind == BarrierEvent {
			ev = barrier.Arrived(el.Channel, el.Event.Barrier)
		}
		if n := len(curs[el.Channel].Partial()); n != 0 {
			return fmt.Errorf("channel %d: %v inside a record (%d bytes of it)", el.Channel, el.Event.Kind, n)
		}
		handler, acts = barrier.Step(handler, ev, acts[:0])
		for _, a := range acts {
			switch a.Kind {
			case barrier.Snapshot:
				*got = append(*got, append([]uint64(nil), next...))
			case barrier.Resume:
				g.Resume(a.Channel)
			}
		}
	}
	return nil
}
