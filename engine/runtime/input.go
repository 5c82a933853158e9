package runtime

import (
	"fmt"

	"github.com/tidemark-io/tidemark/engine/barrier"
	"github.com/tidemark-io/tidemark/engine/exchange"
)

// input is what a task reads: its gates, of which it numbers the channels
// through, the state of the barrier handler, and event time on the channels.
type input struct {
	task     *Task
	gates    []*gateInput
	channels int
	valve    *valve
	handler  barrier.State
	tracker  *barrier.Tracker // in its place in at-least-once mode, else nil
	actions  []barrier.Action

	replay *replay // recovered in-flight data, nil when it is processed

	consumption consumption // of tests, else nil

	taken uint64     // bytes of data, since the start
	turn  int        // gate that is asked next
	open  *gateInput // gate of the buffer being read, nil if none
	ended int        // channels that sent the end of data
}

// gateInput is one gate with what decodes its buffers.
type gateInput struct {
	edge     int
	gate     *exchange.Gate
	senders  []int // subtask that sends on each channel
	receiver Receiver
	capture  *exchange.Capture // nil if barriers do not overtake its data
	cursors  []*exchange.Cursor
	debloat  *debloat // nil if the size of buffers is fixed
	first    int      // number of the gate's first channel in the task
	channel  int      // channel of the buffer being read
	buffer   *exchange.Buffer
}

// add appends a gate, on channel i of which the subtask senders[i] sends. All
// gates are added before the task runs.
func (in *input) add(edge int, g *exchange.Gate, senders []int, r Receiver, maxFrame int) {
	gi := &gateInput{edge: edge, gate: g, senders: senders, receiver: r, first: in.channels, debloat: newDebloat(in.task.attempt.cfg, g)}
	for range g.Channels() {
		gi.cursors = append(gi.cursors, exchange.NewCursor(maxFrame))
	}
	if c := in.task.attempt.cfg.consumption; c != nil {
		in.consumption, gi.receiver = c, c.reader(gi, r)
	}
	in.channels += g.Channels()
	in.gates = append(in.gates, gi)
	in.valve = newValve(in.channels)
	in.handler = barrier.New(in.channels)
	a := in.task.attempt
	if a.cfg.Checkpoints.AtLeastOnce {
		in.tracker = barrier.NewTracker(in.channels)
	}
	if !a.cfg.Checkpoints.Unaligned {
		return
	}
	if a.plan.unaligned[edge] {
		gi.capture = exchange.NewCapture(g, a.captures)
	}
	unaligned := make([]bool, in.channels)
	for _, g := range in.gates {
		for c := range g.cursors {
			unaligned[g.first+c] = g.capture != nil
		}
	}
	in.handler = barrier.NewAlternating(unaligned)
}

// ready reports whether step has something to do.
func (in *input) ready() bool { return in.waits(false) }

// waits reports whether there is something to read, on request counting only
// gates whose barriers do not overtake.
func (in *input) waits(aligned bool) bool {
	if in.open != nil || in.replay != nil {
		return true
	}
	for _, g := range in.gates {
		if !(aligned && g.capture != nil) && g.gate.Ready() {
			return true
		}
	}
	return false
}

// step processes what is left of the current buffer, or takes the next buffer
// or event. It reports whether there was anything.
func (in *input) step() (bool, error) {
	if in.consumption != nil {
		if handled, err := in.consumption.step(in); handled || err != nil {
			return true, err
		}
	}
	if in.replay != nil {
		progress, err := in.replay.step(in.task)
		if progress || err != nil {
			return true, err
		}
		in.replay = nil
		if err := in.seed(); err != nil {
			return true, err
		}
		if in.task.halted { // event time comes first
			return true, nil
		}
	}
	if in.open != nil {
		return true, in.read(in.open)
	}
	progress, err := in.poll(false)
	if err == nil && in.open != nil {
		err = in.read(in.open)
	}
	return progress, err
}

// pressing reports whether a snapshot waits for barriers that must not overtake.
// The task may not know it yet: what comes by such channels is not announced.
func (in *input) pressing() bool {
	return in.handler.Phase() == barrier.U0 || in.handler.Newest() < in.task.attempt.overtaking()
}

// pressed reports whether press has something to do.
func (in *input) pressed() bool { return in.waits(true) }

// press is step for a task whose outputs are full: beyond what was begun it takes
// only what stands before the barriers that the snapshot waits for, so that it
// ends.
func (in *input) press() error {
	if in.open != nil || in.replay != nil {
		_, err := in.step()
		return err
	}
	_, err := in.poll(true)
	return err
}

// poll takes the next buffer, which is open then, or deals with the next event,
// on request only of gates whose barriers do not overtake. It reports whether
// there was anything.
func (in *input) poll(aligned bool) (bool, error) {
	for range in.gates {
		g := in.gates[in.turn]
		in.turn = (in.turn + 1) % len(in.gates)
		if aligned && g.capture != nil {
			continue
		}
		el, ok := g.gate.Poll()
		if g.debloat != nil {
			g.debloat.polled(el, ok)
		}
		if !ok {
			continue
		}
		if el.Event != nil {
			return true, in.event(g, el.Channel, el.Event)
		}
		in.taken += uint64(len(el.Buffer.Bytes()))
		g.channel, g.buffer = el.Channel, el.Buffer
		if g.capture != nil && g.capture.Active() {
			g.capture.Note(el.Channel, el.Buffer)
		}
		g.cursors[el.Channel].Feed(el.Buffer.Bytes())
		in.open = g
		return true, nil
	}
	return false, nil
}

// look deals with the next event, while an unfinished record keeps data from
// being read. A buffer that stands before it is taken and left unread.
func (in *input) look() error {
	if in.replay != nil {
		return nil
	}
	if g := in.open; g != nil {
		if len(g.cursors[g.channel].Rest()) > 0 {
			return nil
		}
		g.gate.Recycle(g.buffer)
		g.buffer, in.open = nil, nil
	}
	_, err := in.poll(false)
	return err
}

// read runs the receiver over the current buffer of a gate.
func (in *input) read(g *gateInput) error {
	in.task.current = 0
	in.task.place.record(g.first+g.channel, g.buffer.Sequence())
	exhausted, err := g.receiver.Run(in.task, g.first+g.channel, g.cursors[g.channel])
	if err != nil {
		return fmt.Errorf("reading channel %d of edge %s: %w", g.channel, in.task.attempt.plan.edgeID(g.edge), err)
	}
	if exhausted {
		g.gate.Recycle(g.buffer)
		g.buffer, in.open = nil, nil
	}
	return nil
}

// event deals with an element that is not data.
func (in *input) event(g *gateInput, channel int, e *exchange.Event) error {
	flat := g.first + channel
	switch e.Kind {
	case exchange.BarrierEvent:
		return in.handle(barrier.Arrived(flat, e.Barrier).After(in.task.attempt.elapsed(e.ID)))
	case exchange.CancelBarrier:
		return in.handle(barrier.Cancelled(flat, e.ID))
	case exchange.EndOfPartition:
		return in.handle(barrier.Ended(flat))
	case exchange.EndOfData:
		in.ended++
		if in.ended == in.channels {
			in.task.drains = append(in.task.drains, drain{op: endOfInput})
			in.task.halted = true
		}
		return nil
	default:
		return fmt.Errorf("channel %d of edge %s: unexpected event %v", channel, in.task.attempt.plan.edgeID(g.edge), e.Kind)
	}
}

// handle asks the barrier handler and does what it says.
func (in *input) handle(e barrier.Event) error {
	if in.tracker != nil {
		in.actions = in.tracker.Step(e, in.actions[:0])
	} else {
		in.handler, in.actions = barrier.Step(in.handler, e, in.actions[:0])
	}
	return in.task.act(in.actions)
}

// urgent reports whether a barrier waits that overtook the data.
func (in *input) urgent() bool {
	for _, g := range in.gates {
		if g.capture != nil && g.gate.Urgent() {
			return true
		}
	}
	return false
}

// serveUrgent deals with the barriers that overtook the data. That is possible
// between any two records, also while the outputs are full, timers fire or
// recovered data is replayed.
func (in *input) serveUrgent() error {
	for _, g := range in.gates {
		if g.capture == nil {
			continue
		}
		for g.gate.Urgent() {
			el, ok := g.gate.PollPriority()
			if !ok {
				break
			}
			if err := in.event(g, el.Channel, el.Event); err != nil {
				return err
			}
		}
	}
	return nil
}

// release gives back what is still queued.
func (in *input) release() {
	for _, g := range in.gates {
		if g.capture != nil {
			g.capture.Drop()
		}
		if g.buffer != nil {
			g.gate.Recycle(g.buffer)
			g.buffer = nil
		}
		g.gate.Close()
	}
}
