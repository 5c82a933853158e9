package exchange

import "sync/atomic"

// Stats are the counts of a partition since it was made.
type Stats struct {
	Frames           uint64 // sent, watermarks and statuses included, once per channel
	Bytes            uint64 // of these frames
	Buffers          uint64 // handed over or spilled
	SpilledBytes     uint64 // that went through the spill queue
	SpilledDiskBytes uint64 // of these, through the file
	HardWaits        uint64 // times that the sender waited in the middle of a record
}

// counters is what the sender counts, without atomic operations.
type counters struct {
	frames, bytes, buffers, spilled, spilledDisk, hardWaits uint64
}

// published is what others may read.
type published struct {
	frames, bytes, buffers, spilled, spilledDisk, hardWaits atomic.Uint64
}

// publish makes the sender's counts visible, once per buffer.
func (p *Partition) publish() {
	p.stats.frames.Store(p.count.frames)
	p.stats.bytes.Store(p.count.bytes)
	p.stats.buffers.Store(p.count.buffers)
	p.stats.spilled.Store(p.count.spilled)
	p.stats.spilledDisk.Store(p.count.spilledDisk)
	p.stats.hardWaits.Store(p.count.hardWaits)
}

// Stats returns the counts as of the last buffer that was handed over or the
// last Flush. Any goroutine may ask.
func (p *Partition) Stats() Stats {
	return Stats{
		Frames:           p.stats.frames.Load(),
		Bytes:            p.stats.bytes.Load(),
		Buffers:          p.stats.buffers.Load(),
		SpilledBytes:     p.stats.spilled.Load(),
		SpilledDiskBytes: p.stats.spilledDisk.Load(),
		HardWaits:        p.stats.hardWaits.Load(),
	}
}

// InUse returns the credits in use and the buffers that were spilled and are
// still waiting. Any goroutine may ask.
func (p *Partition) InUse() (credits, spilled int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.inUse, p.spilled
}
