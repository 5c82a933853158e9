package exchange

// Stats are the counts of a partition since it was made.
type Stats struct {
	Frames           uint64 // sent, watermarks and statuses included, once per channel
	Bytes            uint64 // of these frames
	Buffers          uint64 // handed over or spilled
	SpilledBytes     uint64 // that went through the spill queue
	SpilledDiskBytes uint64 // of these, through the file
	HardWaits        uint64 // times that the sender waited in the middle of a record
}

// publish makes the sender's counts visible.
func (p *Partition) publish() {
	p.mu.Lock()
	p.published = p.count
	p.mu.Unlock()
}

// Stats returns the counts as of the last buffer that was begun or the last
// Flush. Any goroutine may ask.
func (p *Partition) Stats() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.published
}

// InUse returns the credits in use and the buffers that were spilled and are
// still waiting. Any goroutine may ask.
func (p *Partition) InUse() (credits, spilled int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.inUse, p.spilled
}
