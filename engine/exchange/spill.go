package exchange

import (
	"errors"
	"fmt"
	"hash/crc32"
	"os"
)

// Spilled data is what a record produced beyond all credits. Per channel it
// forms a backlog that comes behind the queue, in order, with the events
// among it. Finished buffers stay in memory up to Config.SpillMemory; the
// newest go to the file, so that what is needed next is in memory. When
// credits come back the sender moves the heads of the backlogs on.

// ErrSpill is the cause of errors of the spill file.
var ErrSpill = errors.New("exchange spill file")

// spill is the sender's account of it; no other goroutine uses it.
type spill struct {
	memory   int64 // held by finished buffers without a credit
	file     *os.File
	size     int64 // of what was written since the file was last empty
	inFile   int   // buffers in the file that are still needed
	rotation int   // the channel that is served first next time
}

// entry is one element of a backlog: an event, a buffer, or one in the file.
type entry struct {
	ev   *Event
	buf  *Buffer
	off  int64 // in the file, if both are nil
	n    int
	sum  uint32
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
		if e == nil || p.spill.size+int64(len(e.buf.data)) > p.cfg.SpillDisk {
			return p.spill.size+size <= p.cfg.SpillDisk, nil
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

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// writeOut moves a spilled buffer to the file.
func (p *Partition) writeOut(e *entry) error {
	s := &p.spill
	if s.file == nil {
		if err := os.MkdirAll(p.cfg.SpillDir, 0o700); err != nil {
			return fmt.Errorf("%w: %w", ErrSpill, err)
		}
		f, err := os.CreateTemp(p.cfg.SpillDir, "exchange-*.spill")
		if err != nil {
			return fmt.Errorf("%w: %w", ErrSpill, err)
		}
		s.file = f
	}
	b := e.buf
	if _, err := s.file.WriteAt(b.data, s.size); err != nil {
		return fmt.Errorf("%w: write %d bytes at offset %d: %w", ErrSpill, len(b.data), s.size, err)
	}
	*e = entry{off: s.size, n: len(b.data), sum: crc32.Checksum(b.data, castagnoli), seq: b.seq, cont: b.cont}
	s.size += int64(e.n)
	s.inFile++
	s.memory -= int64(p.cfg.BufferSize)
	p.count.SpilledDiskBytes += uint64(e.n)
	b.Release() // it stays counted in spilled, as the entry
	return nil
}

// readBack fills b with a buffer of the file, and empties the file when it
// was the last.
func (p *Partition) readBack(e *entry, b *Buffer) error {
	s := &p.spill
	b.data = b.data[:e.n]
	if _, err := s.file.ReadAt(b.data, e.off); err != nil {
		return fmt.Errorf("%w: read %d bytes at offset %d: %w", ErrSpill, e.n, e.off, err)
	}
	if sum := crc32.Checksum(b.data, castagnoli); sum != e.sum {
		return fmt.Errorf("%w: %d bytes at offset %d: checksum %08x, written was %08x", ErrSpill, e.n, e.off, sum, e.sum)
	}
	s.inFile--
	if s.inFile == 0 {
		s.size = 0
		if err := s.file.Truncate(0); err != nil {
			return fmt.Errorf("%w: %w", ErrSpill, err)
		}
	}
	return nil
}

// close removes the file.
func (s *spill) close() error {
	if s.file == nil {
		return nil
	}
	f := s.file
	s.file = nil
	err := errors.Join(f.Close(), os.Remove(f.Name()))
	if err != nil {
		return fmt.Errorf("%w: %w", ErrSpill, err)
	}
	return nil
}
