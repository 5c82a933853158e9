package edit

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/tidemark-io/tidemark/checkpoint"
	"github.com/tidemark-io/tidemark/flink"
	"github.com/tidemark-io/tidemark/flink/metadata"
	"github.com/tidemark-io/tidemark/store"
)

// half is the in-flight data of one channel on one of its sides.
type half struct {
	op      *metadata.Operator
	output  bool
	subtask int32
	metadata.Channel
	handle metadata.StreamHandle

	drop bool
	end  flink.Framer // how it ends, begun at a record
	err  error        // it could not be read
	// records counts those that end in it, as far as that is known.
	records uint64
}

// whole reports whether the half, taken by itself, was whole records.
func (h *half) whole() bool { return h.err == nil && h.end.Whole() }

// ends are the subtasks at the two ends of a channel.
type ends struct{ sender, receiver int32 }

// ends are those of the half, as far as it tells: the n-th channel of a gate comes
// from the n-th subtask of the sender, the n-th subpartition goes to the n-th of
// the receiver (all-to-all connections; pointwise ones have no in-flight data).
func (h *half) ends() ends {
	if h.output {
		return ends{h.subtask, h.Channel.Channel}
	}
	return ends{h.Channel.Channel, h.subtask}
}

// flight is all in-flight data of the source, in the order of the metadata.
func (j *job) flight() []*half {
	var all []*half
	for i := range j.m.Operators {
		op := &j.m.Operators[i]
		for k := range op.Subtasks {
			s := op.Subtasks[k].State
			if s == nil {
				continue
			}
			for side, list := range [][]metadata.ChannelHandle{s.Input, s.Output} {
				for _, h := range list {
					for _, c := range h.Channels {
						all = append(all, &half{op: op, output: side == 1, subtask: op.Subtasks[k].Index, Channel: c, handle: h.Delegate})
					}
				}
			}
		}
	}
	return all
}

// dropInFlight decides about in-flight data: what is left out, and whether what
// stays is whole (R8).
func (j *job) dropInFlight() error {
	all := j.flight()
	var partial []checkpoint.Drop
	whole := false
	for _, d := range j.edit.Drop {
		switch {
		case d.Kind == checkpoint.DropInFlight && d.Selector.IsZero():
			whole = true
		case d.Kind == checkpoint.DropInFlight, d.Kind == checkpoint.DropOperator:
			partial = append(partial, d)
		}
	}
	if whole || len(partial) > 0 && len(all) > 0 {
		if err := j.follow(all); err != nil {
			return err
		}
	}
	if whole {
		for _, h := range all {
			h.drop = true
		}
		if _, err := j.complete(all); err != nil && !harmless(err) {
			return err
		}
	} else if err := j.dropPartly(all, partial); err != nil {
		return err
	}
	j.reportFlight(all)
	j.cutFlight(all)
	return nil
}

// follow follows the records through every half. Data that does not read is no
// failure: it may be what is left out.
func (j *job) follow(all []*half) error {
	r := channelReader{ctx: j.ctx, src: j.src}
	defer r.close()
	for _, h := range all {
		h.err = r.read(h.handle, &h.Channel, &h.end)
		switch {
		case h.err != nil && !harmless(h.err):
			return h.err
		case h.whole(), h.err == nil && !h.output:
			h.records = h.end.Data
		}
	}
	return nil
}

// harmless reports whether an error of reading in-flight data does no harm if the
// data is left out.
func harmless(err error) bool {
	return errors.Is(err, errUnreadable) || errors.Is(err, store.ErrNotExist) || errors.Is(err, flink.ErrOutside)
}

// dropPartly selects what the drops name and refuses if a record would be torn.
func (j *job) dropPartly(all []*half, drops []checkpoint.Drop) error {
	why := map[*half]checkpoint.Drop{}
	for _, d := range drops {
		found := 0
		for _, h := range all {
			if j.selects(d, h) {
				h.drop, why[h] = true, d
				found++
			}
		}
		if d.Upstream != "" {
			n, err := j.pair(all, d, why)
			if err != nil {
				return err
			}
			found += n
		}
		if d.Kind == checkpoint.DropInFlight && found == 0 {
			return &checkpoint.EditError{Mistakes: []string{fmt.Sprintf("%v: there is none", d)}}
		}
	}
	paired, err := j.complete(all)
	if err != nil {
		return err
	}
	var refused checkpoint.RefusedError
	for _, h := range all {
		if h.drop && !h.whole() && !paired[h] && len(refused.Reasons) < maxReasons {
			refused.Reasons = append(refused.Reasons, j.straddles(h, why[h]))
		}
	}
	if len(refused.Reasons) > 0 {
		return &refused
	}
	return nil
}

// complete finds the halves that are left out together with their other half: an
// input that ends within a record, and the output between the same subtasks that
// continues it to the end of one.
func (j *job) complete(all []*half) (map[*half]bool, error) {
	torn := map[ends][]*half{}
	for _, h := range all {
		if h.drop && !h.output && h.err == nil && !h.whole() {
			torn[h.ends()] = append(torn[h.ends()], h)
		}
	}
	paired := map[*half]bool{}
	reader := channelReader{ctx: j.ctx, src: j.src}
	defer reader.close()
	for _, h := range all {
		if !h.drop || !h.output || h.err != nil || h.whole() {
			continue
		}
		for _, in := range torn[h.ends()] {
			f := in.end
			if err := reader.read(h.handle, &h.Channel, &f); err != nil {
				return nil, err
			}
			if !paired[in] && f.Whole() {
				h.records = f.Data - in.end.Data
				paired[in], paired[h] = true, true
				break
			}
		}
	}
	return paired, nil
}

// maxReasons bounds how many channels a refusal names.
const maxReasons = 20

// selects reports whether a drop names a half. An operator's going takes both
// what comes to it and what it sent.
func (j *job) selects(d checkpoint.Drop, h *half) bool {
	sel := d.Selector
	if j.name(h.op) != sel.Operator {
		return false
	}
	if d.Kind == checkpoint.DropOperator {
		return true
	}
	return !h.output && j.within(sel, h) && (sel.Channel == nil || int32(gateOf(sel)) == h.Gate)
}

// within reports whether a half's ends are selected, whatever its gate.
func (j *job) within(sel checkpoint.Selector, h *half) bool {
	e := h.ends()
	return sel.Subtasks.Contains(uint64(e.receiver)) && (sel.Channel == nil || sel.Channel.Index.Contains(uint64(e.sender)))
}

// gateOf is the number of the gate that a selector names, -1 if it is none.
func gateOf(sel checkpoint.Selector) int {
	if sel.Channel == nil {
		return 0
	}
	digits, ok := strings.CutPrefix(sel.Channel.Gate, "gate")
	n, err := strconv.ParseUint(digits, 10, 31)
	if !ok || err != nil {
		return -1
	}
	return int(n)
}

// pair finds out which partition of the named sender leads to which gate of the
// receiver: the one in which both halves of every channel together are whole
// records. It drops the sender's halves, and returns how many these are.
func (j *job) pair(all []*half, d checkpoint.Drop, why map[*half]checkpoint.Drop) (int, error) {
	var inputs, outputs []*half
	gates, partitions := map[int32]bool{}, map[int32]bool{}
	for _, h := range all {
		switch {
		case h.drop && !h.output && j.selects(d, h):
			inputs, gates[h.Gate] = append(inputs, h), true
		case h.output && j.name(h.op) == d.Upstream && j.within(d.Selector, h):
			outputs, partitions[h.Gate] = append(outputs, h), true
		}
	}
	if len(gates) == 0 {
		gates[-1] = true // nothing on the receiver's side
	}
	if len(partitions) == 0 {
		partitions[-1] = true
	}
	var fits [][2]int32
	for gate := range gates {
		for partition := range partitions {
			ok, err := j.fits(inputs, outputs, gate, partition)
			if err != nil {
				return 0, err
			}
			if ok {
				fits = append(fits, [2]int32{gate, partition})
			}
		}
	}
	if len(fits) != 1 {
		place := checkpoint.Nowhere()
		place.Operator = d.Selector.Operator
		problem := fmt.Sprintf("what operator %s sent does not continue what is on its way to it", d.Upstream)
		if len(fits) > 1 {
			problem = fmt.Sprintf("operator %s has several outputs, and more than one may lead to it", d.Upstream)
		}
		return 0, checkpoint.Refuse(place, problem, `the same command with --in-flight all, or another --with-upstream`)
	}
	n := 0
	for _, h := range outputs {
		if h.Gate == fits[0][1] {
			h.drop, why[h] = true, d
			n++
		}
	}
	return n, nil
}

// fits reports whether a partition continues a gate.
func (j *job) fits(inputs, outputs []*half, gate, partition int32) (bool, error) {
	states := map[ends]flink.Framer{}
	for _, h := range inputs {
		if h.Gate == gate {
			states[h.ends()] = h.end
		}
	}
	reader := channelReader{ctx: j.ctx, src: j.src}
	defer reader.close()
	for _, h := range outputs {
		if h.Gate != partition {
			continue
		}
		f := states[h.ends()]
		if err := reader.read(h.handle, &h.Channel, &f); err != nil {
			return false, err
		}
		states[h.ends()] = f
	}
	for _, f := range states {
		if !f.Whole() {
			return false, nil
		}
	}
	return true, nil
}

// straddles is the reason for which a part cannot be left out.
func (j *job) straddles(h *half, d checkpoint.Drop) checkpoint.Finding {
	place := checkpoint.Nowhere()
	place.Operator, place.Subtask = j.name(h.op), int(h.subtask)
	what := fmt.Sprintf("channel gate%d/%d: a record begins in what is to be left out and ends in what its sender has", h.Gate, h.Channel.Channel)
	remedy := "the same command with --with-upstream UID, where UID is the sender, or with --in-flight all"
	if h.output {
		what = fmt.Sprintf("partition %d, subpartition %d: what is to be left out does not begin and end with a record; the rest is at its receiver", h.Gate, h.Channel.Channel)
		remedy = "the same command with --in-flight all"
	}
	if h.err != nil {
		what += ": " + h.err.Error()
	}
	if d.Kind == checkpoint.DropOperator || d.Upstream != "" {
		remedy = "the same command with --in-flight all"
	}
	return checkpoint.Finding{Severity: checkpoint.Error, Place: place, Problem: what, Remedy: remedy}
}

// reportFlight makes the rows about in-flight data, one for each side of each
// operator, and the losses.
func (j *job) reportFlight(all []*half) {
	for from := 0; from < len(all); {
		to := from
		for to < len(all) && all[to].op == all[from].op {
			to++
		}
		for _, output := range []bool{false, true} {
			j.reportSide(all[from:to], output)
		}
		from = to
	}
}

// reportSide reports on one side of one operator.
func (j *job) reportSide(list []*half, output bool) {
	name := j.name(list[0].op)
	o := checkpoint.ChannelOutcome{Edge: "input", To: name}
	if output {
		o = checkpoint.ChannelOutcome{Edge: "output", From: name}
	}
	o.Before.Records, o.After.Records = checkpoint.UnknownCount, checkpoint.UnknownCount
	l := j.loss(name, o.Edge, "in-flight data was left out as asked for")
	l.Edge = o.Edge
	count, dropped := 0, 0
	for _, h := range list {
		if h.output != output {
			continue
		}
		count++
		o.Before.Bytes += checkpoint.Count(max(h.Size, 0))
		if h.drop {
			dropped++
			l.Bytes += uint64(max(h.Size, 0))
			l.Records += h.records
			continue
		}
		o.After.Bytes += checkpoint.Count(max(h.Size, 0))
	}
	switch {
	case count == 0:
		return
	case dropped == 0:
		o.Fate = checkpoint.ChannelsVerbatim
	case dropped == count:
		o.Fate, o.After.Records = checkpoint.ChannelsDropped, 0
	default:
		o.Fate = checkpoint.ChannelsPartly
	}
	j.channels = append(j.channels, o)
	if dropped > 0 {
		j.losses = append(j.losses, l)
	}
}

// cutFlight takes what is left out of the metadata.
func (j *job) cutFlight(all []*half) {
	type key struct {
		op            *metadata.Operator
		output        bool
		subtask       int32
		gate, channel int32
	}
	gone := map[key]bool{}
	for _, h := range all {
		if h.drop {
			gone[key{h.op, h.output, h.subtask, h.Gate, h.Channel.Channel}] = true
		}
	}
	if len(gone) == 0 {
		return
	}
	for i := range j.m.Operators {
		op := &j.m.Operators[i]
		for k := range op.Subtasks {
			s := op.Subtasks[k].State
			if s == nil {
				continue
			}
			for side, list := range []*[]metadata.ChannelHandle{&s.Input, &s.Output} {
				*list = cutHandles(*list, func(c metadata.Channel) bool {
					return gone[key{op, side == 1, op.Subtasks[k].Index, c.Gate, c.Channel}]
				})
			}
		}
	}
}

// cutHandles removes channels from handles, and handles without any.
func cutHandles(list []metadata.ChannelHandle, gone func(metadata.Channel) bool) []metadata.ChannelHandle {
	var rest []metadata.ChannelHandle
	for _, h := range list {
		before := len(h.Channels)
		h.Channels = slices.DeleteFunc(h.Channels, func(c metadata.Channel) bool {
			if !gone(c) {
				return false
			}
			h.Size -= c.Size
			return true
		})
		if len(h.Channels) > 0 || before == 0 {
			rest = append(rest, h)
		}
	}
	return rest
}

// inFlight names an operator that has in-flight data, "" if none has.
func (j *job) inFlight() string {
	var names []string
	for i := range j.m.Operators {
		for k := range j.m.Operators[i].Subtasks {
			if s := j.m.Operators[i].Subtasks[k].State; s != nil && len(s.Input)+len(s.Output) > 0 {
				names = append(names, j.name(&j.m.Operators[i]))
			}
		}
	}
	return cmp.Or(append(slices.Compact(names), "")[0], "")
}
