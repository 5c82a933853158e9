package exchange

// credits are what a partition and its receivers share, under Partition.mu.
// A credit is one buffer in use: being filled, queued, or in the receiver's
// hands. Up to target they are ordinary; the overdraft beyond serves only the
// record that is being emitted and makes the partition unavailable.
type credits struct {
	target  int
	inUse   int
	used    []int // of inUse, by channel
	capped  int   // channels with used >= MaxPerChannel
	spilled int   // buffers without a credit: in backlogs, on disk, being filled

	free      []*Buffer // kept for this partition, so that the pool is rarely asked
	returns   uint64    // credits ever returned
	cancelled bool
	closed    bool
}

// acquire gives the channel a new open buffer: with a credit if there is one
// (overdraft included) and nothing is spilled that comes first, else a spill
// buffer. It is filled as far as the receiver announced, but has room for the
// rest of the frame, of which there are n bytes, if a buffer can have it.
func (p *Partition) acquire(ch, n int) error {
	b := p.tryCredit(ch)
	if b == nil {
		var err error
		if b, err = p.acquireSpill(ch); err != nil {
			return err
		}
	}
	b.owner, b.channel = p, ch
	c := &p.channels[ch]
	if size := c.gate.size(); size > 0 {
		b.limit(max(size, n))
	}
	c.open = b
	return nil
}

// tryCredit returns a buffer with a credit, nil if none is left or if spilled
// data waits for the next one.
func (p *Partition) tryCredit(ch int) *Buffer {
	p.mu.Lock()
	p.published = p.count
	if p.spilled > 0 || p.inUse >= p.target+p.cfg.MaxOverdraft {
		p.mu.Unlock()
		return nil
	}
	p.takeLocked(ch)
	var b *Buffer
	if n := len(p.free); n > 0 {
		b, p.free[n-1] = p.free[n-1], nil
		p.free = p.free[:n-1]
	}
	p.mu.Unlock()
	if b == nil {
		b = p.pool.get()
	} else {
		b.refs.Store(1)
	}
	b.credit = true
	return b
}

// promote gives a spilled buffer of the channel an ordinary credit, if one is
// free and the channel is below its cap.
func (p *Partition) promote(ch int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.inUse >= p.target || p.used[ch] >= p.cfg.MaxPerChannel {
		return false
	}
	p.spilled--
	p.takeLocked(ch)
	return true
}

func (p *Partition) takeLocked(ch int) {
	p.inUse++
	p.used[ch]++
	if p.used[ch] == p.cfg.MaxPerChannel {
		p.capped++
	}
	p.refreshLocked()
}

func (p *Partition) refreshLocked() {
	now := p.inUse < p.target && p.capped == 0 && p.spilled == 0
	if now != p.available.Load() { // an atomic load is free, a store is not
		p.available.Store(now)
	}
}

// returnCredit frees the credit of a buffer that was moved to its receiver.
func (p *Partition) returnCredit(ch int) {
	p.mu.Lock()
	wake := p.returnLocked(ch)
	p.mu.Unlock()
	p.returned.Signal()
	if wake {
		p.hooks.Wake()
	}
}

// returnLocked frees a credit and reports whether the sender is to be woken.
func (p *Partition) returnLocked(ch int) bool {
	p.inUse--
	p.used[ch]--
	if p.used[ch] == p.cfg.MaxPerChannel-1 {
		p.capped--
	}
	p.returns++
	before := p.available.Load()
	p.refreshLocked()
	return !before && p.inUse < p.target && (p.spilled > 0 || p.capped == 0)
}

// giveBack ends the use of a buffer: its credit is free again, and so is its
// memory if nobody retained it. Any goroutine may call it.
func (p *Partition) giveBack(b *Buffer) {
	ch, credit := b.channel, b.credit
	last := b.refs.Add(-1) == 0
	p.mu.Lock()
	wake := false
	if credit {
		wake = p.returnLocked(ch)
	} else {
		p.spilled--
		p.refreshLocked()
	}
	if last && !p.closed && len(p.free) < p.target {
		b.reset()
		p.free = append(p.free, b)
		last = false
	}
	p.mu.Unlock()
	if last {
		p.pool.put(b)
	}
	if credit {
		p.returned.Signal()
	}
	if wake {
		p.hooks.Wake()
	}
}
