package runtime

import "github.com/tidemark-io/tidemark/engine/exchange"

// drain is one step of an advance of event time: an operator that has to deal
// with a watermark. While drains wait, no input is processed (R5); barriers and
// mails are.
type drain struct {
	op        int
	watermark int64
	catchUp   bool // only what the restored floors have passed; see CatcherUp
	clock     bool // processing time, not event time; see ClockDrainer
	resume    bool // not time at all: an unfinished record; see Resumer
}

// eventTime reports whether the drain is an advance of event time, which those
// behind the operator are told of.
func (d drain) eventTime() bool { return !d.catchUp && !d.clock && !d.resume }

// endOfInput in place of an operator: all operators finish, and the end of the
// data is sent on.
const endOfInput = -1

// deliverWatermark tells an operator of a watermark. One that has something to
// do is queued, the others pass it on.
func (t *Task) deliverWatermark(op int, w int64) {
	slot := &t.ops[op]
	slot.watermark = max(slot.watermark, w)
	if slot.drainer == nil {
		t.forwardWatermark(op, w)
		return
	}
	t.drains = append(t.drains, drain{op: op, watermark: w})
	t.halted = true
}

// forwardWatermark sends a watermark to what is behind an operator.
func (t *Task) forwardWatermark(op int, w int64) {
	slot := &t.ops[op]
	if w <= slot.emitted {
		return
	}
	slot.emitted = w
	slot.watermark = max(slot.watermark, w) // a source is told by nobody
	if len(slot.parts) > 0 {
		var frame [13]byte
		t.broadcast(op, exchange.AppendWatermark(frame[:0], w))
	}
	for _, c := range slot.children {
		t.deliverWatermark(c, w)
	}
}

// forwardStatus sends a change of status to all that is behind an operator.
func (t *Task) forwardStatus(op int, idle bool) {
	slot := &t.ops[op]
	slot.idle = idle
	status := exchange.StatusActive
	if idle {
		status = exchange.StatusIdle
	}
	if len(slot.parts) > 0 {
		var frame [6]byte
		t.broadcast(op, exchange.AppendStatus(frame[:0], status))
	}
	for _, c := range slot.children {
		t.forwardStatus(c, idle)
	}
}

// broadcast sends a frame on all channels behind an operator.
func (t *Task) broadcast(op int, frame []byte) {
	for _, p := range t.ops[op].parts {
		if err := p.Broadcast(frame); err != nil {
			t.fail(op, err)
		}
	}
}

// drain goes on with the first drain. A drain that is interrupted stays first,
// so that what is behind it waits.
func (t *Task) drain() error {
	t.halted = false
	d := t.drains[0]
	if d.op == endOfInput {
		t.drains = t.drains[:0]
		return t.finish()
	}
	t.current = d.op
	t.place.channel.Store(atTime)
	if d.resume && t.input != nil {
		if err := t.input.look(); err != nil {
			return err
		}
	}
	done, err := t.advance(d)
	if err != nil || !done {
		return err
	}
	t.drains = append(t.drains[:0], t.drains[1:]...)
	if d.eventTime() {
		t.forwardWatermark(d.op, d.watermark)
	}
	t.halted = len(t.drains) > 0
	return nil
}

// advance lets an operator act on the advance of time, for one slice.
func (t *Task) advance(d drain) (bool, error) {
	switch {
	case d.catchUp:
		return t.ops[d.op].op.(CatcherUp).CatchUp(d.watermark)
	case d.resume:
		return t.ops[d.op].op.(Resumer).Resume()
	case d.clock:
		return t.ops[d.op].op.(ClockDrainer).DrainClock(d.watermark)
	default:
		return t.ops[d.op].drainer.Drain(d.watermark)
	}
}

// finish ends the operators after the last record and tells those downstream
// and the coordinator. The task stays, for the final checkpoint.
func (t *Task) finish() error {
	for i := range t.ops {
		t.current = i
		if f, ok := t.ops[i].op.(Finisher); ok {
			if err := f.Finish(); err != nil {
				return err
			}
		}
	}
	t.ended = true
	t.halted = len(t.drains) > 0
	if err := t.emit(exchange.Event{Kind: exchange.EndOfData}); err != nil {
		return err
	}
	if err := t.flush(); err != nil {
		return err
	}
	t.attempt.finishedData(t)
	return nil
}

// Control takes a watermark or a status that stands between the records of a
// channel.
func (t *Task) Control(channel int, f exchange.Frame) {
	if g := t.input.replay.current(); g != nil {
		g.control(t, channel, f)
		return
	}
	v := t.input.valve
	advanced, changed := v.control(channel, f)
	if changed {
		t.forwardStatus(0, v.idle)
	}
	if advanced {
		t.deliverWatermark(0, v.combined)
	}
}
