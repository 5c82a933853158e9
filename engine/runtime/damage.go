package runtime

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"unicode/utf8"

	"github.com/tidemark-io/tidemark/format"
	"github.com/tidemark-io/tidemark/reader"
)

// CorruptPolicy says what a restore does if in-flight data of the checkpoint is
// damaged. Damage elsewhere is an error always.
type CorruptPolicy string

// The policies.
const (
	// FailOnCorrupt refuses the restore and says what the others would cost; ""
	// is the same.
	FailOnCorrupt CorruptPolicy = "fail"
	// DropDamaged loses the records that touch damaged data.
	DropDamaged CorruptPolicy = "drop-damaged"
	// DropAll loses everything in flight, if any of it is damaged.
	DropAll CorruptPolicy = "drop-all"
)

// InFlightLoss is how much in-flight data is lost.
type InFlightLoss struct {
	Edge     string // id of the connection, "" for all of them
	Channels int    // that lose anything; one is a sender, a receiver and a generation
	Records  uint64
	Bytes    uint64 // decoded
}

// String is the loss for people.
func (l InFlightLoss) String() string {
	return fmt.Sprintf("%d records (%d bytes) of %d channels", l.Records, l.Bytes, l.Channels)
}

// add sums losses up.
func (l *InFlightLoss) add(o InFlightLoss) {
	l.Channels, l.Records, l.Bytes = l.Channels+o.Channels, l.Records+o.Records, l.Bytes+o.Bytes
}

// ChannelDamage is what the ways to go on in spite of damaged in-flight data
// would cost.
type ChannelDamage struct {
	Damaged InFlightLoss   // what drop-damaged loses
	All     InFlightLoss   // what drop-all loses
	Edges   []InFlightLoss // Damaged by connection, those that lose anything
	First   error          // the first damage found
	// Watermarks is damage to event time of channels: without it what was in
	// flight cannot be processed at the time it was to be, so only drop-all helps.
	Watermarks error

	all []InFlightLoss // by connection
}

// inFlightError says that in-flight data could not be restored.
type inFlightError struct {
	what, edge string
	err        error
}

func (e *inFlightError) Error() string {
	return fmt.Sprintf("restoring %s of edge %s: %v", e.what, e.edge, e.err)
}

func (e *inFlightError) Unwrap() error { return e.err }

// buffers yields the in-flight buffers of one side of an edge, past damage if it
// is to be salvaged.
func (r *restored) buffers(ctx context.Context, edge string, side format.Kind, lost func(reader.LostBuffers)) iter.Seq2[reader.Row[format.Buffer], error] {
	if !r.salvage {
		return r.ck.Buffers(ctx, edge, side)
	}
	if lost == nil {
		lost = func(reader.LostBuffers) {}
	}
	return r.ck.SurvivingBuffers(ctx, edge, side, lost)
}

// assess reads all in-flight data of the checkpoint and says what of it is
// damaged, nil if nothing is.
func (r *restored) assess(ctx context.Context) (*ChannelDamage, error) {
	if !r.inFlight() {
		return nil, nil
	}
	edges, err := r.ck.Edges()
	if err != nil {
		return nil, err
	}
	d := &ChannelDamage{}
	for _, e := range edges {
		for _, err := range r.ck.ChannelWatermarks(ctx, e.ID) {
			if err != nil && !damaged(err) {
				return nil, err
			}
			d.Watermarks = cmp.Or(d.Watermarks, err)
		}
		s := survey{joiners: map[streamKey]*joiner{}, hurt: map[streamKey]bool{}}
		if err := s.read(ctx, r.ck, e.ID); err != nil {
			return nil, fmt.Errorf("restoring in-flight data of edge %s: %w", e.ID, err)
		}
		lost, all := s.result(e)
		d.First = cmp.Or(d.First, s.first)
		if all.Channels > 0 {
			d.all = append(d.all, all)
		}
		if lost.Channels > 0 {
			d.Edges = append(d.Edges, lost)
		}
		d.Damaged.add(lost)
		d.All.add(all)
	}
	if d.First = cmp.Or(d.First, d.Watermarks); d.First == nil {
		return nil, nil
	}
	return d, nil
}

// survey finds out what is readable of the in-flight data of one edge.
type survey struct {
	joiners map[streamKey]*joiner
	hurt    map[streamKey]bool // channels that lose records
	unnamed int                // channels of which nothing tells the name
	bytes   uint64             // that were read
	lost    uint64             // bytes that were not
	first   error

	prev    streamKey // of the row before, in the same part
	some    bool      // there is one
	gaps    []reader.LostBuffers
	subtask uint32
}

// read reads both sides of the edge.
func (s *survey) read(ctx context.Context, ck *reader.Checkpoint, edge string) error {
	for _, side := range []format.Kind{format.KindInputChannel, format.KindOutputChannel} {
		s.some = false
		for row, err := range ck.SurvivingBuffers(ctx, edge, side, s.gap) {
			if err != nil {
				return err
			}
			b := row.Row
			key := streamKey{b.Generation, b.Receiver, b.Sender}
			s.blame(&b)
			j := s.joiners[key]
			if j == nil {
				j = &joiner{lenient: true}
				s.joiners[key] = j
			}
			s.bytes += uint64(len(b.Payload))
			if err := j.add(b); err != nil {
				return fmt.Errorf("channel %d→%d, buffer %d: %w", b.Sender, b.Receiver, b.Sequence, err)
			}
			s.prev, s.some, s.subtask = key, true, row.Subtask
		}
		s.blame(nil)
	}
	for _, j := range s.joiners {
		_ = j.end() // a lenient one has no errors
	}
	return nil
}

// gap notes a loss. Which channel it concerns shows by what stands around it.
func (s *survey) gap(l reader.LostBuffers) {
	s.first = cmp.Or(s.first, l.Err)
	s.lost += l.Bytes
	s.gaps = append(s.gaps, l)
}

// blame says whose the buffers are that were lost since the last row: those of
// the channel before if the numbers go on from there, else those of the channel
// behind if they go on to there. Blocks of one channel follow each other.
func (s *survey) blame(next *format.Buffer) {
	var at uint64
	if s.some {
		at = s.joiners[s.prev].next
	}
	var unknown uint64 // the number behind the last gap that is nobody's yet
	open := false
	for _, g := range s.gaps {
		switch {
		case g.Known && s.some && g.First == at && g.Subtask == s.subtask:
			s.hurt[s.prev] = true
			at = g.First + g.Rows
		case g.Known && open && g.First == unknown:
			unknown = g.First + g.Rows
		default:
			if open {
				s.unnamed++
			}
			open, unknown = true, g.First+g.Rows
		}
	}
	if open {
		if next != nil && next.Sequence == unknown {
			s.hurt[streamKey{next.Generation, next.Receiver, next.Sender}] = true
		} else {
			s.unnamed++
		}
	}
	s.gaps = s.gaps[:0]
}

// result is what drop-damaged and drop-all lose on the edge.
func (s *survey) result(e format.Edge) (lost, all InFlightLoss) {
	var kept uint64
	lost = InFlightLoss{Edge: e.ID, Bytes: s.lost}
	for key, j := range s.joiners {
		kept += j.records
		lost.Bytes += j.skipped
		if j.gaps > 0 {
			s.hurt[key] = true
			if s.first == nil { // the data is intact, but a part is missing
				s.first = fmt.Errorf("channel %d→%d: %w", key.sender, key.receiver, errHalfRecord)
			}
		}
	}
	lost.Channels = len(s.hurt) + s.unnamed
	if lost.Channels > 0 && e.InFlightRecords > kept {
		lost.Records = e.InFlightRecords - kept
	}
	return lost, InFlightLoss{Edge: e.ID, Channels: len(s.joiners) + s.unnamed, Records: e.InFlightRecords, Bytes: s.bytes + s.lost}
}

// decide applies the policy for damaged in-flight data to the checkpoint that the
// run was told to start from.
func (r *restored) decide(ctx context.Context, policy CorruptPolicy) error {
	if r == nil || policy == "" || policy == FailOnCorrupt {
		return nil
	}
	d, err := r.assess(ctx)
	if err != nil || d == nil {
		return err
	}
	r.damage = d
	switch {
	case policy == DropAll:
		r.dropAll = true
	case d.Watermarks != nil:
		return &DamagedError{Path: r.path, External: true, Channels: d,
			Err: fmt.Errorf("restoring %s: event time of its channels is damaged, without which what was in flight cannot be processed: %w", r.path, d.Watermarks)}
	default:
		r.salvage = true
	}
	return nil
}

// follow takes over what was decided about the same checkpoint for an earlier
// attempt: going back to it loses the same again, not more.
func (r *restored) follow(began *restored) {
	if began != nil && r.path == began.path && r.external == began.external {
		r.salvage, r.dropAll, r.damage, r.losses = began.salvage, began.dropAll, began.damage, began.losses
	}
}

// report says what of the in-flight data is dropped, nil if nothing is, and notes
// it for the next manifest.
func (r *restored) report(ctx context.Context, cfg *Config, run uint64) (*InFlightDropped, error) {
	if r == nil {
		return nil, nil
	}
	e := &InFlightDropped{ID: r.id, Path: r.path}
	var cause error
	switch {
	case r.salvage:
		e.Policy, e.Edges, cause = DropDamaged, r.damage.Edges, r.damage.First
	case r.dropAll:
		e.Policy, e.Edges, cause = DropAll, r.damage.all, r.damage.First
	case r.withoutInFlight(cfg, run):
		cause = errors.New("asked for by its id")
		edges, err := r.ck.Edges()
		if err != nil {
			return nil, err
		}
		for _, ed := range edges {
			if ed.InFlightRecords > 0 || ed.InFlightBytes > 0 {
				e.Edges = append(e.Edges, InFlightLoss{Edge: ed.ID, Records: ed.InFlightRecords, Bytes: ed.InFlightBytes})
			}
		}
	default:
		return nil, nil
	}
	r.losses = nil
	for _, l := range e.Edges {
		e.Records, e.Bytes, e.Channels = e.Records+l.Records, e.Bytes+l.Bytes, e.Channels+l.Channels
		r.losses = append(r.losses, format.Loss{Tool: "run", Created: cfg.Clock.Now().UnixNano(), Edge: l.Edge, Place: "edge=" + l.Edge,
			Reason: plainText(fmt.Sprintf("in-flight data of %s left out at restore (%s): %v", r.path, cmp.Or(string(e.Policy), "without channel state"), cause)),
			Bytes:  l.Bytes, Records: l.Records, MinTime: format.Unknown, MaxTime: format.Unknown})
	}
	return e, nil
}

// plainText makes a text fit for a manifest: valid, on one line, not too long.
func plainText(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
	for len(s) > format.MaxText/4 {
		_, n := utf8.DecodeLastRuneInString(s)
		s = s[:len(s)-n]
	}
	return s
}
