package state

import (
	"runtime"
	"sync/atomic"
)

// The state word of a page is the epoch of the last snapshot that touched it,
// shifted, and below it what happened. A word with an older epoch means that
// the page is untouched, so that beginning a snapshot does not have to visit
// the pages.
const (
	pageSaving  = 1 // the owner of the table copies the page
	pageSaved   = 2 // its pre-image lies in saved; the page may change
	pageReading = 3 // the reader of the snapshot copies the page
	pageRead    = 4 // read; the page may change
	epochShift  = 3
)

// Snapshot is the content of a table at one moment. It is read by one goroutine
// while the owner goes on changing the table.
type Snapshot struct {
	layout layout
	groups []snapGroup
	first  int
	epoch  uint64
	n      int
	read   bool
	done   atomic.Bool
}

// snapGroup is what a snapshot notes of a group.
type snapGroup struct {
	slab  []byte
	arena []byte
	pages []atomic.Uint64
	// saved has the pre-images by page. The owner of the table writes an
	// element, and the slice itself, before it stores pageSaved; the reader
	// looks only after it has loaded that.
	saved [][]byte
	n     uint32
}

// Snapshot begins a snapshot. The call, on the goroutine that owns the table,
// takes time in proportion to the number of owned key groups only. There can
// be one snapshot at a time: it fails with [ErrSnapshotActive] until the
// previous one is released.
func (t *Table) Snapshot() (*Snapshot, error) { return t.SnapshotOf(nil) }

// SnapshotOf is [Table.Snapshot] of the key groups for which take, called for
// each that has entries, returns true. It is told the number of the group and
// the generation of its last change, see [Table.Generation]. What is left out
// costs nothing while the snapshot is active.
func (t *Table) SnapshotOf(take func(group int, changed uint64) bool) (*Snapshot, error) {
	if t.snap != nil && t.active() {
		return nil, ErrSnapshotActive
	}
	t.snapshots++
	s := &Snapshot{layout: t.layout, first: int(t.first), epoch: t.snapshots}
	s.groups, t.spare = t.spare, nil
	for i := range t.groups {
		g, sg := &t.groups[i], &s.groups[i]
		if g.n == 0 || take != nil && !take(s.first+i, t.changed[i]) {
			continue
		}
		s.n += int(g.n)
		sg.slab, sg.arena, sg.pages, sg.n = g.slab, g.arena, g.pages, g.n
		g.frozen, g.epoch = len(g.arena), s.epoch
	}
	t.snap = s
	return s, nil
}

// active forgets the snapshot if it has been released and reports whether it is
// still there. Only the owner of the table drops what the snapshot noted, since
// it may be about to save a page when the reader releases.
func (t *Table) active() bool {
	if !t.snap.done.Load() {
		return true
	}
	clear(t.snap.groups)
	t.spare, t.snap.groups, t.snap = t.snap.groups, nil, nil
	return false
}

// Generation is the number of the generation of changes that begins with the
// snapshot; see [Table.Generation].
func (s *Snapshot) Generation() uint64 { return s.epoch }

// Len is the number of entries in the snapshot.
func (s *Snapshot) Len() int { return s.n }

// Release ends the snapshot: the table keeps no pre-images from now on, and
// drops those it has with its next update. It must follow the last step of the
// iteration, or stand in its place. Calling it again has no effect.
func (s *Snapshot) Release() { s.done.Store(true) }

// guard saves the pre-images of the pages of the slots from … to of group i
// before they change. Without a snapshot it is one comparison.
func (t *Table) guard(i uint32, from, to int) {
	if t.snap != nil {
		t.save(i, from, to)
	}
}

func (t *Table) save(i uint32, from, to int) {
	g, epoch := &t.groups[i], t.snap.epoch
	if !t.active() || g.epoch != epoch {
		return // the snapshot has never seen this slab, or is gone
	}
	saved, read := epoch<<epochShift|pageSaved, epoch<<epochShift|pageRead
	for p := from >> t.pageShift; p <= to>>t.pageShift; p++ {
		if w := g.pages[p].Load(); w != saved && w != read {
			t.savePage(&t.snap.groups[i], p)
		}
	}
}

// savePage copies one page, unless the reader is quicker; then it waits until
// the reader has its copy.
func (t *Table) savePage(sg *snapGroup, p int) {
	epoch := t.snap.epoch << epochShift
	for {
		w := sg.pages[p].Load()
		switch {
		case w>>epochShift != t.snap.epoch:
			if !sg.pages[p].CompareAndSwap(w, epoch|pageSaving) {
				continue
			}
			if sg.saved == nil {
				sg.saved = make([][]byte, len(sg.pages))
			}
			sg.saved[p] = append([]byte(nil), t.page(sg.slab, p)...)
			sg.pages[p].Store(epoch | pageSaved)
			return
		case w == epoch|pageReading:
			runtime.Gosched()
		default:
			return
		}
	}
}

// page is the part of a slab that is page p.
func (l *layout) page(slab []byte, p int) []byte {
	size := l.stride << l.pageShift
	return slab[p*size : min((p+1)*size, len(slab))]
}

// load returns page p of a group as it was at the snapshot: its pre-image, or a
// copy in *buf.
func (s *Snapshot) load(sg *snapGroup, p int, buf *[]byte) []byte {
	epoch := s.epoch << epochShift
	for {
		w := sg.pages[p].Load()
		switch {
		case w>>epochShift != s.epoch:
			if !sg.pages[p].CompareAndSwap(w, epoch|pageReading) {
				continue
			}
			*buf = append((*buf)[:0], s.layout.page(sg.slab, p)...)
			sg.pages[p].Store(epoch | pageRead)
			return *buf
		case w == epoch|pageSaving:
			runtime.Gosched()
		default:
			return sg.saved[p]
		}
	}
}
