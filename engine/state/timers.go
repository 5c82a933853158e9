package state

import (
	"encoding/binary"
	"iter"

	"github.com/tidemark-io/tidemark/keygroup"
)

// Timers are the event-time timers of one subtask: a set of (key, namespace,
// time) that fires in the order (time, hash, key bytes, namespace bytes),
// whatever the order of registration. It belongs to one goroutine.
//
// The set is a [Table], so that snapshots and restores are those of tables; a
// heap per key group gives the order.
type Timers struct {
	set   *Table
	heaps []timerHeap
	// tree is a tournament over the key groups: tree[1] is the group with the
	// earliest timer, tree[len(heaps)+i] is group i.
	tree   []int32
	number uint64 // of the last registration
	ns     []byte // scratch: namespace and time
	value  [8]byte
}

// timeSize is the size of a time behind the namespace in the set.
const timeSize = 8

// Timer is one timer that fires.
type Timer struct {
	Sum            uint64 // 64-bit hash of Key
	Key, Namespace []byte
	Time           int64
}

// TimerEntry is one timer of a snapshot.
type TimerEntry struct {
	Hash           keygroup.Hash
	Key, Namespace []byte
	Time           int64
}

// NewTimers makes an empty set of timers; ValueWidth of the options is not
// used.
func NewTimers(o Options) (*Timers, error) {
	o.ValueWidth = 8 // number of the registration
	if o.NamespaceWidth >= 0 {
		o.NamespaceWidth += timeSize
	}
	set, err := NewTable(o)
	if err != nil {
		return nil, err
	}
	set.suffix = timeSize
	t := &Timers{set: set, heaps: make([]timerHeap, len(set.groups))}
	t.tree = make([]int32, 2*len(t.heaps))
	t.replay()
	return t, nil
}

// spaceTime is the namespace followed by the time, ascending as bytes. It is
// valid until the next call.
func (t *Timers) spaceTime(ns []byte, time int64) []byte {
	t.ns = append(t.ns[:0], ns...)
	t.ns = binary.BigEndian.AppendUint64(t.ns, uint64(time)^1<<63)
	return t.ns
}

// splitTime undoes spaceTime.
func splitTime(b []byte) (ns []byte, time int64) {
	end := len(b) - timeSize
	return b[:end:end], int64(binary.BigEndian.Uint64(b[end:]) ^ 1<<63)
}

// Len is the number of timers.
func (t *Timers) Len() int { return t.set.Len() }

// Bytes is the memory of the set, the heaps and their arenas.
func (t *Timers) Bytes() int64 {
	n := t.set.Bytes()
	for i := range t.heaps {
		n += int64(cap(t.heaps[i].arena)) + int64(cap(t.heaps[i].entries))*24
	}
	return n
}

// Register adds a timer and reports whether it is new. sum is the 64-bit hash
// of key. It fails, changing nothing, with [ErrWidth] or [ErrNotOwned].
func (t *Timers) Register(sum uint64, key, ns []byte, time int64) (bool, error) {
	space := t.spaceTime(ns, time)
	r, ok := t.set.Find(sum, key, space)
	if ok {
		return false, nil
	}
	binary.LittleEndian.PutUint64(t.value[:], t.number+1)
	r, err := t.set.Insert(r, sum, key, space, t.value[:])
	if err != nil {
		return false, err
	}
	t.number++
	h := &t.heaps[r.group]
	h.add(time, timerRecord{sum, t.number, key, ns})
	h.up(len(h.entries) - 1)
	t.play(int(r.group))
	return true, nil
}

// Delete removes a timer and reports whether it was there.
func (t *Timers) Delete(sum uint64, key, ns []byte, time int64) bool {
	r, ok := t.set.Find(sum, key, t.spaceTime(ns, time))
	if !ok {
		return false
	}
	t.set.Remove(r)
	t.tidy(int(r.group))
	return true
}

// Next is the time of the timer that fires first.
func (t *Timers) Next() (time int64, ok bool) {
	if t.set.Len() == 0 {
		return 0, false
	}
	h, _ := t.top()
	return h.entries[0].time, true
}

// Pop removes and returns the timer that fires first, if its time is at most
// upTo. The slices are valid until the next Pop; registering and deleting
// timers leaves them alone.
func (t *Timers) Pop(upTo int64) (Timer, bool) {
	if t.set.Len() == 0 {
		return Timer{}, false
	}
	h, r := t.top()
	e := h.entries[0]
	if e.time > upTo {
		return Timer{}, false
	}
	record := h.record(e.off)
	t.set.Remove(r)
	h.pop()
	t.play(int(r.group))
	t.tidy(int(r.group))
	return Timer{Sum: record.sum, Key: record.key, Namespace: record.ns, Time: e.time}, true
}

// top is the heap with the first timer, and that timer's place in the set.
// There must be a timer.
func (t *Timers) top() (*timerHeap, Ref) {
	for {
		i := t.tree[1]
		h := &t.heaps[i]
		e := &h.entries[0]
		if r, ok := t.live(e, h.record(e.off)); ok {
			return h, r
		}
		h.pop()
		t.play(int(i))
	}
}

// live finds the timer of a heap entry in the set, unless it has been deleted
// (and possibly registered again, under another number).
func (t *Timers) live(e *heapEntry, r timerRecord) (Ref, bool) {
	ref, ok := t.set.Find(r.sum, r.key, t.spaceTime(r.ns, e.time))
	return ref, ok && binary.LittleEndian.Uint64(t.set.Value(ref)) == r.number
}

// tidy compacts the heap of a group when most of it is of the past. It never
// overwrites a record: those of fired timers are in the caller's hands.
func (t *Timers) tidy(i int) {
	h := &t.heaps[i]
	dead := len(h.entries) - int(t.set.groups[i].n)
	if dead <= len(h.entries)/2+32 && (h.waste <= wasteAllowed || h.waste <= len(h.arena)/2) {
		return
	}
	h.compact(func(e *heapEntry, r timerRecord) bool {
		_, ok := t.live(e, r)
		return ok
	})
	t.play(i)
}

// play renews the tournament after a change of group i.
func (t *Timers) play(i int) {
	for k := (i + len(t.heaps)) / 2; k > 0; k /= 2 {
		t.tree[k] = t.winner(t.tree[2*k], t.tree[2*k+1])
	}
}

// replay plays the whole tournament.
func (t *Timers) replay() {
	n := len(t.heaps)
	for i := range n {
		t.tree[n+i] = int32(i)
	}
	for k := n - 1; k > 0; k-- {
		t.tree[k] = t.winner(t.tree[2*k], t.tree[2*k+1])
	}
}

// winner is the group whose first timer is earlier. Groups lie in the order of
// hashes, so the lower one wins a tie.
func (t *Timers) winner(a, b int32) int32 {
	x, y := t.heaps[a].entries, t.heaps[b].entries
	switch {
	case len(x) == 0:
		return b
	case len(y) == 0:
		return a
	case x[0].time != y[0].time:
		if x[0].time < y[0].time {
			return a
		}
		return b
	}
	return min(a, b)
}

// TimerSnapshot is the set of timers at one moment; see [Snapshot].
type TimerSnapshot struct{ set *Snapshot }

// Generation is [Table.Generation] for timers.
func (t *Timers) Generation() uint64 { return t.set.Generation() }

// Snapshot begins a snapshot, under the conditions of [Table.Snapshot].
func (t *Timers) Snapshot() (*TimerSnapshot, error) { return t.SnapshotOf(nil) }

// SnapshotOf is [Table.SnapshotOf] for timers.
func (t *Timers) SnapshotOf(take func(group int, changed uint64) bool) (*TimerSnapshot, error) {
	s, err := t.set.SnapshotOf(take)
	if err != nil {
		return nil, err
	}
	return &TimerSnapshot{s}, nil
}

// Generation is [Snapshot.Generation] for timers.
func (s *TimerSnapshot) Generation() uint64 { return s.set.Generation() }

// Len is the number of timers in the snapshot.
func (s *TimerSnapshot) Len() int { return s.set.Len() }

// Release ends the snapshot; see [Snapshot.Release].
func (s *TimerSnapshot) Release() { s.set.Release() }

// Entries yields the timers in ascending order of (hash, key bytes, namespace
// bytes, time). The rules of [Snapshot.Entries] hold.
func (s *TimerSnapshot) Entries() iter.Seq[TimerEntry] {
	return func(yield func(TimerEntry) bool) {
		for e := range s.set.Entries() {
			ns, time := splitTime(e.Namespace)
			if !yield(TimerEntry{Hash: e.Hash, Key: e.Key, Namespace: ns, Time: time}) {
				return
			}
		}
	}
}

// TimerLoader restores timers; see [Loader].
type TimerLoader struct {
	t   *Timers
	set *Loader
}

// Load begins a restore of about expected timers. Until Finish the timers must
// not be used.
func (t *Timers) Load(expected int) *TimerLoader {
	return &TimerLoader{t: t, set: t.set.Load(expected)}
}

// Append adds one timer, in any order; the errors are those of
// [Loader.Append].
func (l *TimerLoader) Append(sum uint64, key, ns []byte, time int64) error {
	t := l.t
	binary.LittleEndian.PutUint64(t.value[:], t.number+1)
	if err := l.set.Append(sum, key, t.spaceTime(ns, time), t.value[:]); err != nil {
		return err
	}
	t.number++
	i, _ := t.set.locate(sum)
	t.heaps[i].add(time, timerRecord{sum, t.number, key, ns})
	return nil
}

// Finish makes the restored timers ready for use.
func (l *TimerLoader) Finish() {
	for i := range l.t.heaps {
		l.t.heaps[i].order()
	}
	l.t.replay()
}
