package barrier

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// The model: a task with up to four channels, each with a script of barriers,
// cancellations and an end, in front of a handler. A channel whose barrier
// blocks delivers nothing until it is resumed, as at its sender. Beside them
// the coordinator gives checkpoints up and triggers. A chooser picks what
// happens next; the model checks each action against what it knows itself.

// chooser picks one of n possibilities.
type chooser func(n int) int

// fromBytes choose by the bytes of a fuzzer, always the first when they end.
func fromBytes(data []byte) chooser {
	return func(n int) int {
		if len(data) == 0 || n <= 1 {
			return 0
		}
		x := int(data[0]) % n
		data = data[1:]
		return x
	}
}

type model struct {
	state   State
	scripts [][]Event // what each channel still delivers
	orders  []Event   // what the coordinator still says, at any time
	trace   []string

	blocked   []bool
	delivered []uint64 // newest id whose barrier the channel delivered
	ended     []bool
	seen      map[uint64]bool // ids of which a barrier or trigger arrived
	begun     map[uint64]bool // ids with a First
	dead      map[uint64]bool // ids that must not be snapshotted any more
	first     uint64          // id of the last First
	last      uint64          // id of the last Last
	sent      uint64          // newest id that went to the outputs, either way
	snapshots map[uint64]int
	aborts    map[uint64]int
}

// newModel makes up scripts. Each channel speaks of the ids in order, leaves
// some out, cancels some, and ends, sometimes early. All n channels together.
func newModel(choose chooser) *model {
	n := 1 + choose(4)
	ids := 1 + choose(4)
	m := &model{state: New(n), scripts: make([][]Event, n), blocked: make([]bool, n), delivered: make([]uint64, n),
		ended: make([]bool, n), seen: map[uint64]bool{}, begun: map[uint64]bool{}, dead: map[uint64]bool{}, snapshots: map[uint64]int{}, aborts: map[uint64]int{}}
	for ch := range n {
		for id := uint64(1); id <= uint64(ids); id++ {
			switch choose(12) {
			case 1:
			case 2:
				m.scripts[ch] = append(m.scripts[ch], Cancelled(ch, id))
			case 3:
				m.scripts[ch] = append(m.scripts[ch], Arrived(ch, Barrier{ID: id, Alignment: ForcedAligned}))
			default:
				m.scripts[ch] = append(m.scripts[ch], Arrived(ch, Barrier{ID: id}))
			}
			if choose(12) == 1 {
				break
			}
		}
		m.scripts[ch] = append(m.scripts[ch], Ended(ch))
	}
	for id := uint64(1); id <= uint64(ids); id++ {
		switch choose(8) {
		case 1:
			m.orders = append(m.orders, Aborted(id))
		case 2:
			m.orders = append(m.orders, Triggered(Barrier{ID: id}))
		}
	}
	return m
}

// run lets things happen until nothing is left. It returns what went wrong.
func (m *model) run(choose chooser) error {
	var acts []Action
	for {
		var next []int // channels that can deliver; -1 stands for an order
		for ch, s := range m.scripts {
			if len(s) > 0 && !m.blocked[ch] {
				next = append(next, ch)
			}
		}
		if len(m.orders) > 0 {
			next = append(next, -1)
		}
		if len(next) == 0 {
			break
		}
		var e Event
		if ch := next[choose(len(next))]; ch < 0 {
			i := choose(len(m.orders))
			e = m.orders[i]
			m.orders = append(m.orders[:i:i], m.orders[i+1:]...)
		} else {
			e, m.scripts[ch] = m.scripts[ch][0], m.scripts[ch][1:]
		}
		before := m.state
		m.expect(e)
		m.state, acts = Step(before, e, acts[:0])
		m.trace = append(m.trace, fmt.Sprintf("> %v", e))
		for _, a := range acts {
			m.trace = append(m.trace, fmt.Sprintf("  %v", a))
			if err := m.check(a); err != nil {
				return err
			}
		}
		m.trace = append(m.trace, fmt.Sprintf("  = %v", m.state))
		if again, more := Step(before, e, nil); again != m.state || len(more) != len(acts) {
			return fmt.Errorf("the same step twice gives %v and %v", m.state, again)
		}
	}
	return m.finally()
}

// expect notes what the event means, before the handler sees it.
func (m *model) expect(e Event) {
	switch e.Kind {
	case BarrierArrived:
		m.blocked[e.Channel] = true
		m.delivered[e.Channel] = e.ID
		m.seen[e.ID] = true
	case TriggerOrdered:
		m.seen[e.ID] = true
	case PartitionEnded:
		m.ended[e.Channel] = true
	case CancelArrived, AbortOrdered:
		m.dead[e.ID] = true
	}
}

// check compares an action with what may happen.
func (m *model) check(a Action) error {
	switch a.Kind {
	case First:
		if !m.seen[a.ID] || a.ID <= m.first {
			return fmt.Errorf("first of %d after first of %d", a.ID, m.first)
		}
		m.first = a.ID
		m.begun[a.ID] = true
	case Last:
		if a.ID != m.first || a.ID <= m.last {
			return fmt.Errorf("last of %d after first of %d, last of %d", a.ID, m.first, m.last)
		}
		m.last = a.ID
	case Snapshot:
		m.snapshots[a.ID]++
		if m.snapshots[a.ID] > 1 || m.dead[a.ID] || a.ID <= m.sent || a.ID != m.last {
			return fmt.Errorf("snapshot %d: taken %d times, dead %v, newest sent %d, last of %d", a.ID, m.snapshots[a.ID], m.dead[a.ID], m.sent, m.last)
		}
		for ch := range m.delivered {
			if !m.ended[ch] && m.delivered[ch] != a.ID {
				return fmt.Errorf("snapshot %d without the barrier of channel %d", a.ID, ch)
			}
		}
		m.sent = a.ID
	case ForwardCancel:
		if a.ID <= m.sent {
			return fmt.Errorf("cancellation of %d sent behind %d", a.ID, m.sent)
		}
		m.sent = a.ID
	case Resume:
		if !m.blocked[a.Channel] {
			return fmt.Errorf("channel %d resumed, it was not blocked", a.Channel)
		}
		if id := m.delivered[a.Channel]; id == m.state.Pending() {
			return fmt.Errorf("channel %d resumed before checkpoint %d was over", a.Channel, id)
		}
		m.blocked[a.Channel] = false
	case Abort:
		m.aborts[a.ID]++
		if m.aborts[a.ID] > 1 || m.snapshots[a.ID] > 0 {
			return fmt.Errorf("checkpoint %d aborted %d times, snapshots %d", a.ID, m.aborts[a.ID], m.snapshots[a.ID])
		}
		m.dead[a.ID] = true
	}
	return nil
}

// finally holds when all channels have ended.
func (m *model) finally() error {
	for ch, s := range m.scripts {
		if len(s) > 0 || m.blocked[ch] {
			return fmt.Errorf("channel %d stands still for ever, with %d elements", ch, len(s))
		}
	}
	if id := m.state.Pending(); id != 0 {
		return fmt.Errorf("checkpoint %d is pending for ever", id)
	}
	if m.state.Open() != 0 {
		return fmt.Errorf("%d channels open at the end", m.state.Open())
	}
	newest := uint64(0)
	for id := range m.seen {
		newest = max(newest, id)
		if m.begun[id] && m.snapshots[id] == 0 && !m.dead[id] {
			return fmt.Errorf("checkpoint %d was begun, but neither taken nor given up", id)
		}
	}
	if newest > m.sent {
		return fmt.Errorf("nothing was sent on for checkpoint %d", newest)
	}
	return nil
}

func (m *model) report(t *testing.T, err error) {
	t.Helper()
	text := fmt.Sprintf("channels %d\n", m.state.channels)
	for _, l := range m.trace {
		text += l + "\n"
	}
	t.Fatalf("%v\n%s", err, text)
}

// TestModel runs many random interleavings. Failures print a transcript that
// can be put into testdata.
func TestModel(t *testing.T) {
	runs := 15000
	if testing.Short() {
		runs = 3000
	}
	rng := rand.New(rand.NewPCG(1, 2))
	var snapshots, aborts int
	for range runs {
		m := newModel(rng.IntN)
		if err := m.run(rng.IntN); err != nil {
			m.report(t, err)
		}
		snapshots += len(m.snapshots)
		aborts += len(m.aborts)
	}
	if snapshots < runs/2 || aborts < runs/10 {
		t.Errorf("%d snapshots and %d aborts in %d runs: the model does not reach what it is for", snapshots, aborts, runs)
	}
	t.Logf("RESULT barrier-model runs=%d snapshots=%d aborts=%d", runs, snapshots, aborts)
}

// TestModelExhaustive runs every interleaving of small scripts: two channels,
// checkpoints 1 and 2, each channel delivering, skipping or cancelling each,
// and one order to abort or trigger at any moment.
func TestModelExhaustive(t *testing.T) {
	runs := 0
	var path []int // the choices of this run, and out of how many
	var width []int
	for {
		at := 0
		choose := func(n int) int {
			if at == len(path) {
				path, width = append(path, 0), append(width, n)
			}
			at++
			return path[at-1]
		}
		m := exhaustiveModel(choose)
		if err := m.run(choose); err != nil {
			m.report(t, err)
		}
		runs++
		// Next path: count up the last choice that has more to offer.
		i := len(path) - 1
		for ; i >= 0 && path[i]+1 == width[i]; i-- {
		}
		if i < 0 {
			break
		}
		path[i]++
		path, width = path[:i+1], width[:i+1]
	}
	t.Logf("RESULT barrier-exhaustive interleavings=%d", runs)
}

func exhaustiveModel(choose chooser) *model {
	m := newModel(func(n int) int { return min(1, n-1) }) // two channels, two ids
	m.orders = nil
	for ch := range m.scripts {
		m.scripts[ch] = nil
		for id := uint64(1); id <= 2; id++ {
			switch choose(3) {
			case 0:
				m.scripts[ch] = append(m.scripts[ch], Arrived(ch, Barrier{ID: id}))
			case 1:
				m.scripts[ch] = append(m.scripts[ch], Cancelled(ch, id))
			}
		}
		m.scripts[ch] = append(m.scripts[ch], Ended(ch))
	}
	switch id := uint64(1 + choose(2)); choose(3) {
	case 1:
		m.orders = append(m.orders, Aborted(id))
	case 2:
		m.orders = append(m.orders, Triggered(Barrier{ID: id}))
	}
	return m
}

// FuzzModel lets the fuzzer choose.
func FuzzModel(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1, 0, 1})
	f.Add([]byte{3, 3, 2, 0, 1, 0, 3, 0, 4, 1, 5, 0, 6, 0, 0, 0, 1, 2, 1, 2, 3, 4, 5, 6, 7, 8, 9})
	f.Fuzz(func(t *testing.T, data []byte) {
		choose := fromBytes(data)
		m := newModel(choose)
		if err := m.run(choose); err != nil {
			m.report(t, err)
		}
	})
}
