package native

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/tidemark-io/tidemark/checkpoint"
	"github.com/tidemark-io/tidemark/format"
	"github.com/tidemark-io/tidemark/rescale"
)

// decideDrops finds the states that are left out on request.
func (j *job) decideDrops() error {
	for row, st := range j.src.states {
		uid := j.src.operators[st.Operator].UID
		why := ""
		for _, d := range j.edit.Drop {
			switch {
			case d.Kind == checkpoint.DropOperator && d.Selector.Operator == uid:
				why = "the operator was left out as asked for"
			case d.Kind == checkpoint.DropState && d.Selector.Operator == uid && d.Selector.State == st.Name:
				if why = "the state was left out as asked for"; st.Kind > format.KindBroadcast {
					return &checkpoint.EditError{Mistakes: []string{fmt.Sprintf("%v: it is %v, which is the engine's own", d, st.Kind)}}
				}
			}
		}
		if why == "" {
			continue
		}
		j.fates[row] = dropped
		if st.Kind <= format.KindBroadcast && st.Entries > 0 {
			l := j.loss(uid, why)
			l.State, l.Bytes, l.Records = st.Name, st.Bytes, st.Entries
			l.Place = checkpoint.Selector{Operator: uid, State: st.Name}.String()
			j.losses = append(j.losses, l)
		}
	}
	return nil
}

// loss is a row of the loss report of this edit.
func (j *job) loss(uid, why string) format.Loss {
	return format.Loss{Tool: text(cmp.Or(j.edit.Command, "edit")), Created: time.Now().UnixNano(), Operator: uid, Reason: text(why),
		MinTime: format.Unknown, MaxTime: format.Unknown}
}

// gone reports whether an operator is left out.
func (j *job) gone(operator int) bool {
	for _, d := range j.edit.Drop {
		if d.Kind == checkpoint.DropOperator && d.Selector.Operator == j.src.operators[operator].UID {
			return true
		}
	}
	return false
}

// decideLists finds the states whose slices depend on the parallelism. Union
// lists and broadcast state do not: whoever reads them reads all, or any, of
// the old slices. Keyed state, timers and floors are found by hash.
func (j *job) decideLists() error {
	for row, st := range j.src.states {
		old, next := j.layoutOf(st.Operator)
		if j.fates[row] != kept || old.Parallelism == next.Parallelism {
			continue
		}
		if st.Kind == format.KindSplitList || st.Kind == format.KindSubtaskWatermark {
			j.fates[row] = anew
		}
	}
	return nil
}

// channel is what becomes of the in-flight data of one edge.
type channel struct {
	bytes        uint64 // as stored in the source
	drop         func(receiver, sender uint32) bool
	dropsSlice   func(kind format.Kind, subtask uint32) bool // all that the subtask wrote is dropped
	whole        bool                                        // all of it is dropped
	partly       bool                                        // some sub-streams are
	gone         bool                                        // the edge itself is
	redistribute bool                                        // the receiver has another layout
	keyed        bool                                        // receivers follow from hashes in the records
	down         rescale.Mapper
	mapping      rescale.Mapping
	old, next    rescale.Layout // of the receiver, or of the operator whose keys its records have
	flight       *flight        // where its buffers lie; nil unless they are looked at
	lost         tally
	records      uint64 // in the result
}

// fate is the word for what becomes of the data.
func (c *channel) fate() checkpoint.ChannelFate {
	switch {
	case c.bytes == 0:
		return checkpoint.ChannelsEmpty
	case c.whole:
		return checkpoint.ChannelsDropped
	case c.partly:
		return checkpoint.ChannelsPartly
	case c.redistribute:
		return checkpoint.ChannelsRedistributed
	default:
		return checkpoint.ChannelsVerbatim
	}
}

// after is the size of what is left of the data: exactly once it is written, as
// it is before otherwise.
func (c *channel) after(before checkpoint.Totals) checkpoint.Totals {
	switch {
	case c.whole:
		return checkpoint.Totals{}
	case c.partly:
		return checkpoint.Totals{Bytes: checkpoint.UnknownCount, Records: checkpoint.Count(c.records)}
	default:
		return before
	}
}

// decideChannels decides about the in-flight data of every edge, and refuses
// all that cannot be redistributed at once.
func (j *job) decideChannels() error {
	var reasons []checkpoint.Finding
	j.channels = make([]channel, len(j.src.edges))
	for i, e := range j.src.edges {
		c := &j.channels[i]
		c.bytes, c.records = j.src.inFlightBytes(i), e.InFlightRecords
		c.old, c.next = j.layoutOf(e.To)
		c.down, _ = rescale.MappersOf(partitioners[e.Partitioner])
		if e.Keys != format.None {
			c.old, c.next = j.layoutOf(e.Keys)
			c.down = rescale.Range
		}
		c.keyed = c.down == rescale.Range
		j.decideDropped(i, c)
		was, is := j.layoutOf(e.From)
		same := c.old.Parallelism == c.next.Parallelism
		if c.keyed {
			same = rescale.SameCuts(c.old, c.next)
		}
		fixed := c.down == rescale.Unsupported || e.Partitioner == format.Custom
		if fixed && c.bytes > 0 && !c.whole && !(same && was.Parallelism == is.Parallelism) {
			reasons = append(reasons, j.cannot(e))
			continue
		}
		if e.Keys != format.None && c.bytes > 0 && !c.whole && !j.inherits(i) {
			reasons = append(reasons, j.cannotByKey(e))
			continue
		}
		c.redistribute = !same && !c.gone
		if c.redistribute && c.down != rescale.Unsupported {
			c.mapping = rescale.Plan(c.down, c.old, c.next)
		}
	}
	if len(reasons) > 0 {
		return &checkpoint.RefusedError{Reasons: reasons}
	}
	for i := range j.channels {
		if err := j.decideChannel(i); err != nil {
			return err
		}
	}
	return nil
}

// cannot says why the in-flight data of an edge cannot get another receiver.
func (j *job) cannot(e format.Edge) checkpoint.Finding {
	why := "a receiver follows from nothing in its records"
	switch e.Partitioner {
	case format.Broadcast:
		why = "all its receivers must see the same records"
	case format.Custom:
		why = "only the job's own partitioner knows the receiver of a record"
	}
	uid := j.src.operators[e.To].UID
	place := checkpoint.Nowhere()
	place.Operator, place.Edge = uid, e.ID
	sel := checkpoint.Selector{Operator: uid, Channel: &checkpoint.Channel{Gate: e.ID}}
	return checkpoint.Finding{Severity: checkpoint.Error, Place: place,
		Problem: fmt.Sprintf("%d records are in flight on the %s connection %s and cannot be redistributed: %s", e.InFlightRecords, partitioners[e.Partitioner], e.ID, why),
		Remedy:  "the same command with --strip '" + sel.String() + "', which drops these records"}
}

// cannotByKey says why the in-flight data of an edge cannot follow the keys of its
// records any more.
func (j *job) cannotByKey(e format.Edge) checkpoint.Finding {
	f, keyed := j.cannot(e), j.src.operators[e.Keys].UID
	why := fmt.Sprintf("they go to the subtask that owns their key at the operator %q, but then it and the ends of the connection would differ in parallelism", keyed)
	if j.gone(e.Keys) {
		why = fmt.Sprintf("they go to the subtask that owns their key at the operator %q, which is left out", keyed)
	}
	f.Problem = fmt.Sprintf("%d records are in flight on the %s connection %s and cannot be redistributed: %s", e.InFlightRecords, partitioners[e.Partitioner], e.ID, why)
	return f
}

// decideDropped finds the sub-streams of an edge that are to be left out.
func (j *job) decideDropped(edge int, c *channel) {
	e := j.src.edges[edge]
	c.gone = j.gone(e.From) || j.gone(e.To)
	c.whole = c.gone
	edges := make([]checkpoint.Edge, len(j.src.edges))
	for i, o := range j.src.edges {
		edges[i] = checkpoint.Edge{ID: o.ID, From: j.src.operators[o.From].UID, To: j.src.operators[o.To].UID}
	}
	var of []checkpoint.Selector
	for _, d := range j.edit.Drop {
		if d.Kind != checkpoint.DropInFlight || !checkpoint.InFlightOf(d.Selector, edges[edge], edges) {
			continue
		}
		of = append(of, d.Selector)
		c.whole = c.whole || d.Selector.Subtasks == nil && (d.Selector.Channel == nil || d.Selector.Channel.Index == nil)
	}
	c.partly = len(of) > 0 && !c.whole && c.bytes > 0
	whole := c.whole
	c.drop = func(receiver, sender uint32) bool {
		if whole {
			return true
		}
		for _, sel := range of {
			if sel.Subtasks.Contains(uint64(receiver)) && (sel.Channel == nil || sel.Channel.Index.Contains(uint64(sender))) {
				return true
			}
		}
		return false
	}
	// A receiver's own half is all to itself, a sender's all from itself.
	c.dropsSlice = func(kind format.Kind, subtask uint32) bool {
		return whole || slices.ContainsFunc(of, func(sel checkpoint.Selector) bool {
			from := sel.Channel != nil && sel.Channel.Index != nil
			if kind == format.KindOutputChannel {
				return sel.Subtasks == nil && from && sel.Channel.Index.Contains(uint64(subtask))
			}
			return !from && sel.Subtasks.Contains(uint64(subtask))
		})
	}
}

// decideChannel decides about the states of one edge and counts what is lost.
func (j *job) decideChannel(edge int) error {
	c := &j.channels[edge]
	data, times := kept, kept
	switch {
	case c.gone:
		data, times = dropped, dropped
	case c.whole:
		data = dropped
		c.records = 0
	case c.bytes > 0 && (c.redistribute || c.partly):
		data = anew
	}
	// Watermarks of channels are of use while in-flight data is replayed only.
	if !c.gone && (c.redistribute || c.partly || c.whole) {
		if times = anew; !j.flies() {
			times = dropped
		}
	}
	for row, st := range j.src.states {
		switch {
		case st.Edge != edge || j.fates[row] == dropped:
		case st.Kind.Channel():
			j.fates[row] = data
		case st.Kind == format.KindChannelWatermark:
			j.fates[row] = times
		}
	}
	if c.bytes == 0 || !(c.whole || c.partly || c.redistribute) {
		return nil
	}
	var err error
	if c.flight, err = j.openFlight(edge, c.dropsSlice); err != nil {
		return err
	}
	if !c.whole && !c.partly {
		return nil
	}
	if err := c.flight.tally(c); err != nil {
		return err
	}
	if c.lost.channels > 0 {
		j.losses = append(j.losses, j.channelLoss(edge, c))
	}
	return nil
}

// flies reports whether anything is in flight in the result.
func (j *job) flies() bool {
	for i := range j.channels {
		if c := &j.channels[i]; c.bytes > 0 && !c.whole {
			return true
		}
	}
	return false
}

// channelLoss is the row of the loss report for the sub-streams of an edge that
// are left out.
func (j *job) channelLoss(edge int, c *channel) format.Loss {
	e := j.src.edges[edge]
	uid := j.src.operators[e.To].UID
	why := fmt.Sprintf("in-flight data of %d channels was left out as asked for", c.lost.channels)
	if c.lost.groups != nil {
		why += fmt.Sprintf("; key groups %v", c.lost.groups)
	}
	if c.flight.damaged > 0 {
		why += fmt.Sprintf("; %d blocks of it were damaged and are not counted by the record", c.flight.damaged)
	}
	l := j.loss(uid, why)
	l.Edge, l.Records, l.Bytes = e.ID, c.lost.records, c.lost.bytes
	if c.whole {
		l.Records, l.Bytes = e.InFlightRecords, c.bytes
	} else {
		if c.lost.uncounted {
			l.Records = c.records - min(c.records, c.lost.kept)
		}
		c.records -= min(c.records, l.Records)
	}
	if c.lost.timed {
		l.MinTime, l.MaxTime = c.lost.minTime, c.lost.maxTime
	}
	l.Place = checkpoint.Selector{Operator: uid, Channel: &checkpoint.Channel{Gate: e.ID}}.String()
	return l
}

// partitioners are the model's names of the format's constants.
var partitioners = map[format.Partitioner]checkpoint.Partitioner{
	format.Forward: checkpoint.PartitionForward, format.Keyed: checkpoint.PartitionKeyed,
	format.Rebalance: checkpoint.PartitionRebalance, format.Shuffle: checkpoint.PartitionShuffle,
	format.Global: checkpoint.PartitionGlobal, format.Rescale: checkpoint.PartitionRescale,
	format.Broadcast: checkpoint.PartitionBroadcast, format.Custom: checkpoint.PartitionCustom,
}
