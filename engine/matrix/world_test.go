package matrix_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tidemark-io/tidemark/engine"
)

// This file is the scheduler of simulations. They run in a testing/synctest bubble,
// where time passes only when nobody has anything left to do. A world gives everything
// that is to happen a moment of its own, so one thing happens at a time: a goroutine
// that was woken, a timer, an answer of the store, a call of user code that takes
// time. Which moment follows from the seed, so the order does, and all that comes of
// it: other seeds let the same goroutines go on in other orders.

// Moments are nanoseconds. The place of one within its slot says what it is for, so
// that goroutines that were woken at one moment, and ask for theirs in any order, get
// different ones: the first places belong to the turns of goroutines, some to each
// member, the next to data objects, which are written at once, and the others to what
// is asked for by one goroutine at a time.
const (
	slot       = 1024
	maxMembers = 8
	turnPlaces = 96 // of each member
	dataPlaces = 24 // of each member
	dataPlace  = maxMembers * turnPlaces
	freePlace  = dataPlace + maxMembers*dataPlaces
)

// world is time and chance in a simulation.
type world struct {
	seed  uint64
	begin time.Time

	mu         sync.Mutex
	taken      map[time.Duration]bool // moments since the begin
	count      map[string]uint64
	trace      []string
	violations []string
}

func newWorld(seed uint64) *world {
	return &world{seed: seed, begin: time.Now(), taken: map[time.Duration]bool{}, count: map[string]uint64{}}
}

// now is the time since the begin.
func (w *world) now() time.Duration { return time.Since(w.begin) }

// note adds a line to the trace.
func (w *world) note(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.trace = append(w.trace, fmt.Sprintf("%012d ", w.now())+fmt.Sprintf(format, args...))
}

// violation notes that something happened that never may.
func (w *world) violation(format string, args ...any) {
	w.note("VIOLATION "+format, args...)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.violations = append(w.violations, fmt.Sprintf(format, args...))
}

// chance is what happens to something when it happens once more.
func (w *world) chance(what string) *rand.Rand {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.count[what]++
	h := w.seed
	for i := range len(what) { // FNV-1a
		h = (h ^ uint64(what[i])) * 1099511628211
	}
	return rand.New(rand.NewPCG(h, w.count[what]))
}

// moment takes the first free moment from at on, in the places that are not for
// turns.
func (w *world) moment(at time.Duration) time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	for ; ; at++ {
		if place := at % slot; place < freePlace {
			at += freePlace - place
		}
		if !w.taken[at] {
			w.taken[at] = true
			return at
		}
	}
}

// place takes the first free moment behind now, and from at on, in one place.
func (w *world) place(at time.Duration, place int) time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	at = max(at, w.now())/slot*slot + slot + time.Duration(place)
	for w.taken[at] {
		at += slot
	}
	w.taken[at] = true
	return at
}

// until sleeps up to a moment.
func (w *world) until(at time.Duration) { time.Sleep(at - w.now()) }

// sleep is time.Sleep to a moment of its own.
func (w *world) sleep(d time.Duration) { w.until(w.moment(w.now() + d)) }

// member is one of the processes of a simulation: a job, its clock, and whether it
// is there. From frozen to thawed nothing of it happens, as if it had been stopped
// by SIGSTOP and continued. When it is dead nothing it asks of the store has an
// effect.
type member struct {
	w      *world
	number int
	name   string
	dead   atomic.Bool

	limit  time.Duration // of its checkpoints
	ctx    context.Context
	cancel context.CancelCauseFunc
	over   chan struct{}
	err    error // valid when over is closed

	mu        sync.Mutex
	frozen    time.Duration
	thawed    time.Duration
	run       uint64 // 0 until it has begun
	restored  uint64 // what it began with
	newest    uint64 // what it completed
	ended     bool
	triggered map[string]time.Duration // when, by path
}

// settled reports whether the member has begun, or never will.
func (m *member) settled() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.run != 0 || m.ended
}

var _ engine.Sequencer = (*member)(nil)

// thaw puts off what would happen while the member stands still.
func (m *member) thaw(at time.Duration) time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	if at >= m.frozen && at < m.thawed {
		at = m.thawed + (at-m.frozen)/16
	}
	return at
}

// halt stops the member now.
func (m *member) halt(d time.Duration) {
	now := m.w.now()
	m.w.note("%s stands still for %v", m.name, d)
	m.mu.Lock()
	defer m.mu.Unlock()
	if now >= m.thawed {
		m.frozen, m.thawed = now, now+d
	}
}

// settle waits on while the member stands still.
func (m *member) settle() {
	for now := m.w.now(); m.thaw(now) != now; now = m.w.now() {
		m.w.until(m.w.moment(m.thaw(now)))
	}
}

// sleep is what takes a while: code of the user, or of the machine.
func (m *member) sleep(d time.Duration) {
	m.w.sleep(d)
	m.settle()
}

// Now is the time of the bubble.
func (m *member) Now() time.Time { return time.Now() }

// AfterFunc calls f at a moment of its own.
func (m *member) AfterFunc(d time.Duration, f func()) func() bool {
	at := m.w.moment(m.w.now() + max(d, 0) + 1)
	return time.AfterFunc(at-m.w.now(), func() {
		m.settle()
		f()
	}).Stop
}

// places are those of roles of which there is one each.
var places = map[engine.Role]int{"job": 0, "coordinator": 1, "commit": 2, "complete": 3, "abort": 4, "cancel": 5, "history": 6}

const (
	taskPlaces = 8 // begin here
	partPlaces = taskPlaces + (turnPlaces-taskPlaces)/2
)

// Turn lets a goroutine go on soon, in an order that nobody can rely on: within
// microseconds mostly, and sometimes a millisecond later. Writing a part of a
// checkpoint often takes that long.
func (m *member) Turn(role engine.Role, number int) {
	place, one := places[role]
	if !one {
		place = map[engine.Role]int{"task": taskPlaces, "part": partPlaces}[role] + number
		if place < taskPlaces || number >= partPlaces-taskPlaces {
			panic(fmt.Sprintf("no place for %s %d", role, number))
		}
	}
	r := m.w.chance(fmt.Sprint(m.number, role, number))
	wait := time.Duration(r.IntN(16)) * slot
	if r.IntN(64) == 0 || role == "part" && r.IntN(2) == 0 {
		wait = time.Duration(r.IntN(2_000_000))
	}
	for at := m.w.now() + wait; ; {
		m.w.until(m.w.place(m.thaw(at), m.number*turnPlaces+place))
		if at = m.w.now(); m.thaw(at) == at {
			return
		}
	}
}
