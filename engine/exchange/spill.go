package exchange

// Spilled data is what a record produced beyond all credits. Per channel it
// forms a backlog that comes behind the queue, in order, with the events
// among it. Finished buffers stay in memory up to Config.SpillMemory; the
// newest go to the file, so that what is needed next is in memory. When
// credits come back the sender moves the heads of the backlogs on.

// spill is the sender's account of it; no other goroutine uses it.
type spill struct {
	memory   int64 // held by finished buffers without a credit
	file     spillFile
	rotation int // the channel that is served first next time
}

// entry is one element of a backlog: an event, a buffer, or one in the file.
type entry struct {
	ev   *Event
	buf  *Buffer
	at   place // in the file, if both are nil
	seq  uint64
	cont int
}

// backlog is a first-in, first-out list.
type backlog struct {
	list []entry
	head int
}

func (l *backlog) empty() bool   { return l.head == len(l.list) }
func (l *backlog) push(e entry)  { l.list = append(l.list, e) }
func (l *backlog) front() *entry { return &l.list[l.head] }

func (l *backlog) pop() entry {
	e := l.list[l.head]
	l.list[l.head] = entry{}
	l.head++
	if l.head == len(l.list) {
		l.list, l.head = l.list[:0], 0
		if cap(l.list) > 1024 {
			l.list = nil
		}
	}
	return e
}

// newestInMemory returns the last buffer of the backlog that holds spill
// memory, nil if there is none.
func (l *backlog) newestInMemory() *entry {
	for i := len(l.list) - 1; i >= l.head; i-- {
		if e := &l.list[i]; e.buf != nil {
			return e
		}
	}
	return nil
}

// spillBuffer puts a finished buffer without a credit into the channel's
// backlog. (One with a credit never finds a backlog before it: credits are
// given out only when nothing is spilled, or in the order of the backlog.)
func (p *Partition) spillBuffer(c *channel, b *Buffer) {
	p.spill.memory += int64(p.cfg.BufferSize)
	p.count.SpilledBytes += uint64(len(b.data))
	c.behind.push(entry{buf: b})
}

// acquireSpill returns a buffer when no credit was left: a spill buffer, or
// one with a credit if it had to wait for one.
func (p *Partition) acquireSpill(ch int) (*Buffer, error) {
	waiting := false
	defer func() {
		if waiting {
			p.hard.Store(false)
			p.hooks.Hard(false)
		}
	}()
	for {
		p.mu.Lock()
		seen, cancelled := p.returns, p.cancelled
		p.mu.Unlock()
		if cancelled {
			return nil, ErrClosed
		}
		if err := p.drain(); err != nil {
			return nil, err
		}
		if b := p.tryCredit(ch); b != nil {
			return b, nil
		}
		ok, err := p.spillRoom(ch)
		if err != nil {
			return nil, err
		}
		if ok {
			p.mu.Lock()
			p.spilled++
			p.refreshLocked()
			p.mu.Unlock()
			return p.pool.get(), nil
		}
		if !waiting {
			waiting = true
			p.count.HardWaits++
			p.publish()
			p.hard.Store(true)
			p.hooks.Hard(true)
		}
		p.mu.Lock()
		for p.returns == seen && !p.cancelled {
			p.returned.Wait()
		}
		p.mu.Unlock()
	}
}

// spillRoom reports whether one more spill buffer may be filled, after it has
// moved what is finished to the file as far as memory demands.
func (p *Partition) spillRoom(ch int) (bool, error) {
	size := int64(p.cfg.BufferSize)
	for p.spill.memory+size > p.cfg.SpillMemory {
		e := p.channels[ch].behind.newestInMemory()
		for i := 0; e == nil && i < len(p.channels); i++ {
			e = p.channels[i].behind.newestInMemory()
		}
		if e == nil || p.spill.file.used()+int64(len(e.buf.data)) > p.cfg.SpillDisk {
			return p.spill.file.used()+size <= p.cfg.SpillDisk, nil
		}
		if err := p.writeOut(e); err != nil {
			return false, err
		}
	}
	return true, nil
}

// drained moves on what it can and reports whether the partition is available
// then. After an error it says true, so that the next call returns the error.
func (p *Partition) drained() bool {
	if p.err != nil {
		return true
	}
	if p.spilled == 0 { // only the sender changes it
		return p.available.Load()
	}
	if err := p.drain(); err != nil {
		p.fail(err)
		return true
	}
	return p.available.Load()
}

// drain queues the heads of the backlogs as far as ordinary credits reach, no
// channel beyond its cap. Events need no credit.
func (p *Partition) drain() error {
	n := len(p.channels)
	if n == 0 {
		return nil
	}
	p.spill.rotation = (p.spill.rotation + 1) % n
	for i := range n {
		ch := (p.spill.rotation + i) % n
		c := &p.channels[ch]
		if err := p.drainChannel(ch, c); err != nil {
			return err
		}
		// What is being filled is served last: it comes behind its backlog.
		if c.behind.empty() && c.open != nil && !c.open.credit && p.promote(ch) {
			c.open.credit = true
		}
	}
	return nil
}

func (p *Partition) drainChannel(ch int, c *channel) error {
	for !c.behind.empty() {
		e := c.behind.front()
		switch {
		case e.ev != nil:
			c.gate.push(c.index, element{ev: e.ev})
		case !p.promote(ch):
			return nil
		case e.buf != nil:
			p.spill.memory -= int64(p.cfg.BufferSize)
			e.buf.credit = true
			c.gate.push(c.index, element{buf: e.buf})
		default:
			b := p.pool.get()
			b.owner, b.channel, b.credit, b.seq, b.cont = p, ch, true, e.seq, e.cont
			if err := p.readBack(e, b); err != nil {
				p.giveBack(b)
				return err
			}
			c.gate.push(c.index, element{buf: b})
		}
		c.behind.pop()
	}
	return nil
}

// writeOut moves a spilled buffer to the file.
func (p *Partition) writeOut(e *entry) error {
	b := e.buf
	at, err := p.spill.file.write(p.cfg.SpillDir, b.data)
	if err != nil {
		return err
	}
	*e = entry{at: at, seq: b.seq, cont: b.cont}
	p.spill.memory -= int64(p.cfg.BufferSize)
	p.count.SpilledDiskBytes += uint64(at.n)
	b.Release() // it stays counted in spilled, as the entry
	return nil
}

// readBack fills b with a buffer of the file.
func (p *Partition) readBack(e *entry, b *Buffer) error {
	b.data = b.data[:e.at.n]
	if err := p.spill.file.read(e.at, b.data); err != nil {
		return err
	}
	return p.spill.file.drop()
}
