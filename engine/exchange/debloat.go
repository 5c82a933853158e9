package exchange

import (
	"fmt"
	"math"
	"math/bits"
	"time"
)

// Debloat says how the size of buffers follows the throughput of their
// receiver, so that what is in flight takes about Target to consume. The
// number of buffers does not change, only how far they are filled. It is
// Flink's buffer debloating: taskmanager.network.memory.buffer-debloat.*.
type Debloat struct {
	Enabled bool
	Target  time.Duration // to consume what is in flight
	Period  time.Duration // between two recalculations of one gate
	// Samples weighs the newest recalculation in the moving average: with
	// 2/(Samples+1).
	Samples int
	// Threshold is the change, in percent of the announced size, below which
	// senders are not told.
	Threshold int
	MinSize   int // bytes; no buffer is made smaller
	StartSize int // bytes, until the first recalculation; at most the buffer size
}

// DefaultDebloat returns Flink's values, switched off.
func DefaultDebloat() Debloat {
	return Debloat{Target: time.Second, Period: 200 * time.Millisecond, Samples: 20, Threshold: 25, MinSize: 256, StartSize: 1024}
}

// check says what is wrong, "" if nothing. Nothing is while it is off.
func (d Debloat) check(bufferSize int) string {
	switch {
	case !d.Enabled:
		return ""
	case d.Target < time.Millisecond || d.Period < time.Millisecond:
		return fmt.Sprintf("debloating: target %v, period %v: at least 1 ms each", d.Target, d.Period)
	case d.Samples < 1:
		return fmt.Sprintf("debloating: %d samples: at least 1", d.Samples)
	case d.Threshold < 0 || d.Threshold > 100:
		return fmt.Sprintf("debloating: threshold of %d percent is not in [0, 100]", d.Threshold)
	case d.MinSize < 1 || d.MinSize > bufferSize:
		return fmt.Sprintf("debloating: smallest size %d is not in [1, %d]", d.MinSize, bufferSize)
	case d.StartSize < 1:
		return fmt.Sprintf("debloating: first size %d: at least 1", d.StartSize)
	}
	return ""
}

// Start returns the size of the first buffers, in bytes.
func (d Debloat) Start(bufferSize int) int {
	return min(max(d.StartSize, d.MinSize), bufferSize)
}

// Throughput measures how fast a gate's data is consumed while there is any:
// the time during which the gate was asked and had nothing does not count, the
// time during which nobody asks, since the task is busy or backpressured,
// does. It belongs to one goroutine; the zero value is ready and idle.
type Throughput struct {
	bytes   int64
	active  time.Duration
	since   time.Time // of the activity that goes on
	running bool
	last    int64
}

// Running reports whether time counts. Ask before Resume to spare the clock.
func (t *Throughput) Running() bool { return t.running }

// Add counts bytes of a buffer that was taken.
func (t *Throughput) Add(n int) { t.bytes += int64(n) }

// Resume says that there is data.
func (t *Throughput) Resume(now time.Time) {
	if !t.running {
		t.since, t.running = now, true
	}
}

// Pause says that the gate had nothing.
func (t *Throughput) Pause(now time.Time) {
	if t.running {
		t.active += now.Sub(t.since)
		t.running = false
	}
}

// Rate returns the bytes per second since the last call, and the last rate
// again if there was less than a millisecond of activity.
func (t *Throughput) Rate(now time.Time) int64 {
	if t.running {
		t.active += now.Sub(t.since)
		t.since = now
	}
	if t.active >= time.Millisecond {
		t.last = int64(float64(t.bytes) / float64(t.active) * float64(time.Second))
	}
	t.bytes, t.active = 0, 0
	return t.last
}

// Debloater computes buffer sizes from rates. It is pure arithmetic: no clock,
// no lock, no gate. Make one with NewDebloater.
type Debloater struct {
	cfg       Debloat
	largest   int
	average   float64 // size as the moving average has it, not rounded
	announced int
	size      int
	time      time.Duration
}

// NewDebloater returns the debloater of one gate whose buffers have bufferSize
// bytes at most.
func NewDebloater(cfg Debloat, bufferSize int) *Debloater {
	start := cfg.Start(bufferSize)
	return &Debloater{cfg: cfg, largest: bufferSize, average: float64(start), announced: start, size: start}
}

// Size returns the present size, announced or not, in bytes.
func (d *Debloater) Size() int { return d.size }

// TimeToConsume returns how long what is in flight will take, as estimated by
// the last Next.
func (d *Debloater) TimeToConsume() time.Duration { return d.time }

// Next takes the rate in bytes per second and how many buffers are in flight.
// It returns the new size and whether it differs enough to be announced to the
// senders; what it reports so counts as announced.
func (d *Debloater) Next(rate int64, buffers int) (size int, announce bool) {
	rate, buffers = max(rate, 0), max(buffers, 1)
	d.size = d.smooth(mulDiv(rate, d.cfg.Target.Milliseconds(), 1000), buffers)
	inFlight := mulDiv(int64(d.size), int64(buffers), 1)
	d.time = time.Duration(min(mulDiv(inFlight, 1000, max(rate, 1)), math.MaxInt64/int64(time.Millisecond))) * time.Millisecond
	if d.small(d.size) {
		return d.size, false
	}
	d.announced = d.size
	return d.size, true
}

// smooth is the moving average. What is wanted is bounded by twice the last
// size: so it grows and shrinks equally fast.
func (d *Debloater) smooth(total int64, buffers int) int {
	want := min(float64(total)/float64(buffers), 2*d.average)
	d.average += 2 / float64(d.cfg.Samples+1) * (want - d.average)
	d.average = min(max(d.average, float64(d.cfg.MinSize)), float64(d.largest))
	return int(math.Floor(d.average + 0.5))
}

// small reports whether a change is not worth an announcement. The two bounds
// always are, so that a size ends there.
func (d *Debloater) small(size int) bool {
	switch {
	case size == d.announced:
		return true
	case size <= d.cfg.MinSize || size >= d.largest:
		return false
	}
	least := d.announced * d.cfg.Threshold / 100
	return max(size-d.announced, d.announced-size) < least
}

// mulDiv returns a*b/c of numbers that are not negative, c > 0; the largest
// int64 if the result is larger.
func mulDiv(a, b, c int64) int64 {
	hi, lo := bits.Mul64(uint64(a), uint64(b))
	if hi >= uint64(c) {
		return math.MaxInt64
	}
	q, _ := bits.Div64(hi, lo, uint64(c))
	return int64(min(q, math.MaxInt64))
}
