package runtime

import (
	"sync/atomic"
	"time"

	"github.com/tidemark-io/tidemark/engine/exchange"
)

// debloat lets the size of a gate's buffers follow its throughput. It belongs
// to the task's goroutine, except for what stats read.
type debloat struct {
	clock Clock
	gate  *exchange.Gate
	meter exchange.Throughput
	calc  *exchange.Debloater

	size       atomic.Int64 // bytes
	toConsume  atomic.Int64 // nanoseconds
	throughput atomic.Int64 // bytes per second
}

// newDebloat announces the first size to a gate's senders; nil if the size of
// buffers is fixed.
func newDebloat(cfg *Config, g *exchange.Gate) *debloat {
	x := &cfg.Exchange
	if !x.Debloat.Enabled {
		return nil
	}
	d := &debloat{clock: cfg.Clock, gate: g, calc: exchange.NewDebloater(x.Debloat, x.BufferSize)}
	d.size.Store(int64(d.calc.Size()))
	g.Resize(d.calc.Size())
	return d
}

// polled counts what a poll of the gate brought. The clock is only asked when
// data begins to come or ends.
func (d *debloat) polled(el exchange.Element, ok bool) {
	if ok != d.meter.Running() {
		if now := d.clock.Now(); ok {
			d.meter.Resume(now)
		} else {
			d.meter.Pause(now)
		}
	}
	if el.Buffer != nil {
		d.meter.Add(len(el.Buffer.Bytes()))
	}
}

// tick recalculates the size.
func (d *debloat) tick() {
	rate := d.meter.Rate(d.clock.Now())
	buffers, _ := d.gate.Queued()
	size, announce := d.calc.Next(rate, buffers)
	if announce {
		d.gate.Resize(size)
	}
	d.size.Store(int64(size))
	d.toConsume.Store(int64(d.calc.TimeToConsume()))
	d.throughput.Store(rate)
}

// scheduleDebloat starts the regular recalculation for all gates of a task.
func (t *Task) scheduleDebloat() {
	if t.input == nil || !t.attempt.cfg.Exchange.Debloat.Enabled {
		return
	}
	period := t.attempt.cfg.Exchange.Debloat.Period
	var tick func()
	tick = func() {
		t.mail.post(func() error {
			for _, g := range t.input.gates {
				g.debloat.tick()
			}
			t.stopSize = t.attempt.cfg.Clock.AfterFunc(period, tick)
			return nil
		})
	}
	t.stopSize = t.attempt.cfg.Clock.AfterFunc(period, tick)
}

// GateStats is a picture of one input gate of a subtask.
type GateStats struct {
	Edge          string // "from>to#n", as in checkpoints
	QueuedBuffers int
	QueuedBytes   int64
	// BufferSize is to how many bytes senders fill their buffers: all of the
	// buffer, or what debloating found.
	BufferSize int
	// TimeToConsume estimates how long what is in flight takes to be
	// processed, Throughput is the bytes per second it rests on; both are 0
	// without debloating and before its first period.
	TimeToConsume time.Duration
	Throughput    int64
}

// gateStats returns a picture of the task's gates; nil for a source. Any
// goroutine may ask.
func (t *Task) gateStats() []GateStats {
	if t.input == nil {
		return nil
	}
	stats := make([]GateStats, len(t.input.gates))
	for i, g := range t.input.gates {
		s := &stats[i]
		s.Edge, s.BufferSize = t.attempt.plan.edgeID(g.edge), t.attempt.cfg.Exchange.BufferSize
		s.QueuedBuffers, s.QueuedBytes = g.gate.Queued()
		if d := g.debloat; d != nil {
			s.BufferSize = int(d.size.Load())
			s.TimeToConsume, s.Throughput = time.Duration(d.toConsume.Load()), d.throughput.Load()
		}
	}
	return stats
}

// BufferSize returns the smallest debloated size of the subtask's gates, in
// bytes; 0 for a source.
func (s TaskStats) BufferSize() int {
	size := 0
	for i, g := range s.Gates {
		if i == 0 || g.BufferSize < size {
			size = g.BufferSize
		}
	}
	return size
}

// TimeToConsume returns the longest estimate of the subtask's gates.
func (s TaskStats) TimeToConsume() (longest time.Duration) {
	for _, g := range s.Gates {
		longest = max(longest, g.TimeToConsume)
	}
	return longest
}
