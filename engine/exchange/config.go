// Package exchange moves encoded records between the subtasks of one process.
//
// A sender owns one [Partition] per outgoing edge, a receiver one [Gate] per
// incoming edge; a channel connects one subtask of each side. Records, as
// frames, are appended to pooled buffers, and whole buffers change hands:
//
//	b := p.Begin(ch)                          // sender, per record
//	b = exchange.AppendRecord(b, timestamp)
//	b = codec.Append(b, value)
//	exchange.EndFrame(b, 0)
//	err := p.End(ch, b)
//
//	el, ok := gate.Poll()                     // receiver, per buffer
//	cur[el.Channel].Feed(el.Buffer.Bytes())
//	for f, ok := cur.Next(); ok; f, ok = cur.Next() { ... }
//	gate.Recycle(el.Buffer)                   // gives the credit back
//
// Rules that the package keeps:
//
//   - There is one queue per channel. It belongs to the sender and lies under
//     the lock of the receiver's gate (rule R14), so what is queued is output
//     state of the sender. In the mode Credit there is a second one at the
//     receiver (remote.go), whose content is the receiver's state.
//   - A buffer in use is a credit of its partition. A record never waits for
//     a credit in the middle (rule R4): it takes overdraft buffers, then
//     spills to memory, then to disk; only if all that is full does End wait,
//     and says so. The sender asks Available before it takes up a record.
//   - A barrier never stands inside a record, and a blocking one stops its
//     channel at the sender until Resume.
//   - Each buffer knows its number in the channel and where records start in
//     it (rule R8), and is counted by references, so that a checkpoint can
//     keep it while it travels on.
//   - An unaligned barrier goes to the front of every queue. What it overtakes
//     is the sender's part of the checkpoint ([Partition.EmitBarrier],
//     [Partition.Convert]); what the receiver has taken and not processed, or
//     takes until the barrier, is the receiver's ([Capture]). No buffer is
//     copied, and the memory is bounded by a [SnapshotPool].
//
// How to read the source: frame.go (bytes of a record), buffer.go, queue.go,
// gate.go, partition.go (sender), credit.go and spill.go (where its buffers
// come from), cursor.go (frames out of buffers); for checkpoints overtake.go
// and pin.go (sender), capture.go (receiver), piece.go (what both return and
// how it is joined), snapshotpool.go and spillfile.go.
package exchange

import (
	"errors"
	"fmt"
)

// Mode says how a receiver gets its buffers.
type Mode string

const (
	// Local receivers take buffers from the sender's queue.
	Local Mode = "local"
	// Credit receivers have a queue of their own that is fed by credits, as
	// over a network.
	Credit Mode = "credit"
)

// Config sets the sizes of all exchanges of a job. Sizes are in bytes.
type Config struct {
	Exchange          Mode
	BufferSize        int // of one buffer
	BuffersPerChannel int // credits that each channel adds to its partition
	FloatingPerGate   int // credits that the channels of a partition share besides
	MaxPerChannel     int // a channel with this many buffers in use makes its partition unavailable
	MaxOverdraft      int // further buffers for the record that is being emitted
	// SpillMemory bounds, per partition, what of a record lies in memory
	// beyond all that, SpillDisk what lies in a file below SpillDir behind it.
	// Not counted is the one buffer per channel that is being filled.
	SpillMemory int64
	SpillDisk   int64
	SpillDir    string
	// MaxFrame bounds one frame.
	MaxFrame int
	// Debloat lets the size of buffers follow the throughput.
	Debloat Debloat
}

// DefaultConfig returns Flink's sizes, 64 MiB of spill memory and no spill
// to disk.
func DefaultConfig() Config {
	return Config{
		Exchange:          Local,
		BufferSize:        32 << 10,
		BuffersPerChannel: 2,
		FloatingPerGate:   8,
		MaxPerChannel:     10,
		MaxOverdraft:      5,
		SpillMemory:       64 << 20,
		MaxFrame:          512 << 20,
		Debloat:           DefaultDebloat(),
	}
}

// minBufferSize is Flink's smallest; below it the cost per buffer dominates.
const minBufferSize = 256

// ErrConfig is the cause of all errors of Check.
var ErrConfig = errors.New("exchange configuration")

// Check says what is wrong with the configuration, nil if nothing.
func (c Config) Check() error {
	bad := func(format string, args ...any) error {
		return fmt.Errorf("%w: %s", ErrConfig, fmt.Sprintf(format, args...))
	}
	switch {
	case c.Exchange != Local && c.Exchange != Credit:
		return bad("exchange %q is unknown, use %q or %q", c.Exchange, Local, Credit)
	case c.BufferSize < minBufferSize || c.BufferSize > 1<<30:
		return bad("buffer size %d is not in [%d, %d]", c.BufferSize, minBufferSize, 1<<30)
	case c.BuffersPerChannel < 1 || c.FloatingPerGate < 0:
		return bad("%d buffers per channel, %d floating: at least 1 and 0", c.BuffersPerChannel, c.FloatingPerGate)
	case c.BuffersPerChannel == 1 && c.FloatingPerGate == 0:
		// Each channel may hold one partly filled buffer; without one more
		// the partition could stay unavailable until somebody flushes.
		return bad("1 buffer per channel needs at least 1 floating buffer")
	case c.MaxPerChannel < 2:
		return bad("at most %d buffers per channel: at least 2", c.MaxPerChannel)
	case c.MaxOverdraft < 0 || c.SpillMemory < 0 || c.SpillDisk < 0:
		return bad("negative limit (overdraft %d, spill memory %d, spill disk %d)", c.MaxOverdraft, c.SpillMemory, c.SpillDisk)
	case c.SpillDisk > 0 && c.SpillDir == "":
		return bad("spilling to disk (%d bytes) needs a directory", c.SpillDisk)
	case c.MaxFrame < minBufferSize || c.MaxFrame > 1<<30:
		return bad("frame limit %d is not in [%d, %d]", c.MaxFrame, minBufferSize, 1<<30)
	}
	if text := c.Debloat.check(c.BufferSize); text != "" {
		return bad("%s", text)
	}
	return nil
}
