package exchange

import "sync"

// SnapshotPool bounds the memory that captured buffers hold while they are
// written (rule R14). What goes beyond the limit is copied to a local spill
// file at once. A pool that is full never stops data or a capture; the
// coordinator is to ask Full before it triggers the next checkpoint.
//
// One pool serves a job. Any goroutine may use it. nil is a pool without a
// limit.
type SnapshotPool struct {
	limit int64
	dir   string
	file  spillFile

	mu    sync.Mutex
	stats SnapshotStats
}

// SnapshotStats are the counts of a SnapshotPool, in bytes.
type SnapshotStats struct {
	Used     int64 // charged now
	Spilled  int64 // in the file, or in those of senders, and not yet released
	Peak     int64 // largest Used
	Total    int64 // ever copied to the file
	Overrun  int64 // largest Used above the limit, since the file failed or there is none
	Failures int   // writes to the file that failed
}

// NewSnapshotPool makes a pool of limit bytes that spills to a file below dir.
// limit 0 or less means none; without dir nothing is spilled, and what is
// beyond the limit stays in memory.
func NewSnapshotPool(limit int64, dir string) *SnapshotPool {
	return &SnapshotPool{limit: limit, dir: dir}
}

// Charge takes n bytes of the pool and reports whether it had them; if not it
// took none. What was charged is given back with Release.
func (p *SnapshotPool) Charge(n int64) bool {
	if p == nil {
		return true
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.limit > 0 && n > p.limit-p.stats.Used {
		return false
	}
	p.stats.Used += n
	p.stats.Peak = max(p.stats.Peak, p.stats.Used)
	return true
}

// Release gives n charged bytes back.
func (p *SnapshotPool) Release(n int64) { p.giveBack(n, 0) }

// Full reports whether the next checkpoint should wait: what earlier ones
// captured still fills the pool, or lies in its file.
func (p *SnapshotPool) Full() bool {
	if p == nil {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.limit > 0 && (p.stats.Used >= p.limit || p.stats.Spilled > 0)
}

// Stats returns the counts.
func (p *SnapshotPool) Stats() SnapshotStats {
	if p == nil {
		return SnapshotStats{}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stats
}

// Close removes the file, at the latest when what lies in it was released.
func (p *SnapshotPool) Close() error {
	if p == nil {
		return nil
	}
	return p.file.close()
}

func (p *SnapshotPool) giveBack(charged, spilled int64) {
	if p == nil {
		return
	}
	p.mu.Lock()
	p.stats.Used -= charged
	p.stats.Spilled -= spilled
	p.mu.Unlock()
}

// hold counts n bytes that lie in a sender's spill file for a checkpoint.
func (p *SnapshotPool) hold(n int64) {
	if p == nil {
		return
	}
	p.mu.Lock()
	p.stats.Spilled += n
	p.mu.Unlock()
}

// force charges what is beyond the limit.
func (p *SnapshotPool) force(n int64) {
	p.mu.Lock()
	p.stats.Used += n
	p.stats.Peak = max(p.stats.Peak, p.stats.Used)
	p.stats.Overrun = max(p.stats.Overrun, p.stats.Used-p.limit)
	p.mu.Unlock()
}

// spill moves the bytes of a piece to the file and lets go of its memory. It
// returns their number, 0 if they stay.
func (p *SnapshotPool) spill(pc *Piece) int64 {
	if p.dir == "" {
		return 0
	}
	data, _ := pc.Bytes(nil) // in memory: no error
	at, err := p.file.write(p.dir, data)
	p.mu.Lock()
	defer p.mu.Unlock()
	if err != nil {
		p.stats.Failures++
		return 0
	}
	moved := &elsewhere{seq: pc.Sequence(), size: at.n, cont: pc.Continuation(), file: &p.file, at: at}
	pc.release()
	pc.ext = moved
	n := int64(at.n)
	p.stats.Spilled += n
	p.stats.Total += n
	return n
}
