package native

import (
	"fmt"
	"slices"
	"strings"

	"github.com/tidemark-io/tidemark/checkpoint"
	"github.com/tidemark-io/tidemark/format"
	"github.com/tidemark-io/tidemark/keygroup"
)

// report makes the loss report: a row for each state and each edge that has lost
// anything, and one for each state that was filled.
func (s *salvage) report() error {
	s.losses = append(s.losses, s.over.losses...)
	for row, st := range s.src.states {
		if st.Kind.Channel() {
			continue
		}
		if err := s.reportState(row, st); err != nil {
			return err
		}
	}
	for edge := range s.src.edges {
		if m := s.mends[edge]; m != nil {
			s.reportChannel(edge, m)
		}
	}
	s.reportStrays()
	s.reportRepairs()
	return nil
}

// reportState reports one state.
func (s *salvage) reportState(row int, st format.State) error {
	uid := s.src.operators[st.Operator].UID
	var rows, bytes uint64
	var blocks, all int
	var groups []checkpoint.Span
	var first error
	for _, r := range s.remains {
		if r.row != row || r.rows == 0 {
			continue
		}
		rows, bytes, blocks, all = rows+r.rows, bytes+r.bytes, blocks+r.damage, all+int(r.slice.Blocks)
		if first == nil {
			first = r.err
		}
		for _, h := range r.holes {
			iv, err := s.hashes(r, h)
			if err != nil {
				return err
			}
			if n := s.src.operators[st.Operator].KeyGroups; st.Kind.ByHash() && n > 0 && !iv.Empty() {
				groups = append(groups, groupsOf(iv, int(n)))
			}
		}
	}
	if rows == 0 {
		return nil
	}
	sel := checkpoint.Selector{Operator: uid, State: st.Name}
	why := fmt.Sprintf("%d of %d blocks did not read: %v", blocks, all, first)
	if list := merge(groups); len(list) > 0 {
		sel.KeyGroups = &checkpoint.Span{First: list[0].First, Last: list[len(list)-1].Last}
		why += "; entries are missing in key groups " + spans(list)
	}
	if n := s.filled[row]; n > 0 {
		sum := s.older.Summary()
		why += fmt.Sprintf("; %d entries of checkpoint %d stand in for them: these keys are as of then, and what changed since is lost", n, sum.ID)
	} else if s.older != nil && (st.Kind == format.KindKeyed || st.Kind == format.KindTimer) {
		why += "; the older checkpoint has nothing there"
	}
	if s.older != nil && s.older.damage != nil {
		why += fmt.Sprintf("; the older checkpoint is damaged too: %v", s.older.damage)
	}
	l := s.loss(uid, why)
	l.State, l.Records, l.Bytes, l.Place = st.Name, rows, bytes, text(sel.String())
	if st.Edge != format.None {
		l.Edge = s.src.edges[st.Edge].ID
	}
	s.losses = append(s.losses, l)
	return nil
}

// reportChannel reports the in-flight data of one edge.
func (s *salvage) reportChannel(edge int, m *mending) {
	e := s.src.edges[edge]
	uid := s.src.operators[e.To].UID
	var bytes uint64
	blocks := 0
	var first error
	for _, r := range m.slices {
		bytes, blocks = bytes+r.bytes, blocks+r.damage
		if first == nil && r.damage > 0 {
			first = r.err
		}
	}
	gone := e.InFlightRecords - min(m.records, e.InFlightRecords)
	if s.over.unsure[e.ID] {
		gone = m.torn
	}
	if bytes+m.tornBytes+gone == 0 {
		return // its records are only counted anew
	}
	why := fmt.Sprintf("%d buffers did not read: %v", blocks, first)
	if blocks == 0 {
		why = "buffers are missing"
	}
	if m.torn > 0 {
		why += fmt.Sprintf("; %d records lost their end", m.torn)
	}
	if list := m.channels(); len(list) > 0 {
		names := make([]string, 0, maxNamed)
		for _, key := range list[:min(len(list), maxNamed)] {
			names = append(names, fmt.Sprintf("%d→%d", key.sender, key.receiver))
		}
		if len(list) > maxNamed {
			names = append(names, "…")
		}
		why += fmt.Sprintf("; %d channels: %s", len(list), strings.Join(names, " "))
	}
	l := s.loss(uid, why)
	l.Edge, l.Bytes, l.Records = e.ID, bytes+m.tornBytes, gone
	l.Place = text(checkpoint.Selector{Operator: uid, Channel: &checkpoint.Channel{Gate: e.ID}}.String())
	s.losses = append(s.losses, l)
}

// reportStrays reports what belongs to nothing.
func (s *salvage) reportStrays() {
	if len(s.over.strays) == 0 {
		return
	}
	var rows, bytes uint64
	whys := map[string]bool{}
	for _, st := range s.over.strays {
		rows, bytes = rows+st.entry.Slice.Entries, bytes+st.entry.Slice.Bytes
		whys[st.why] = true
	}
	list := make([]string, 0, len(whys))
	for why := range whys {
		list = append(list, why)
	}
	slices.Sort(list)
	l := s.loss("", fmt.Sprintf("%d slices cannot be told to belong to the checkpoint: %s", len(s.over.strays), strings.Join(list, "; ")))
	l.Records, l.Bytes = rows, bytes
	s.losses = append(s.losses, l)
}

// maxNamed is how many channels or key groups are listed by name.
const maxNamed = 12

// groupsOf are the key groups that an interval of hashes touches.
func groupsOf(iv keygroup.Interval, groups int) checkpoint.Span {
	return checkpoint.Span{First: uint64(keygroup.Of(keygroup.Hash(iv.Lo), groups)), Last: uint64(keygroup.Of(keygroup.Hash(iv.Hi-1), groups))}
}

// merge joins spans that touch.
func merge(list []checkpoint.Span) (merged []checkpoint.Span) {
	slices.SortFunc(list, func(a, b checkpoint.Span) int { return int(int64(a.First) - int64(b.First)) })
	for _, sp := range list {
		if n := len(merged); n > 0 && sp.First <= merged[n-1].Last+1 {
			merged[n-1].Last = max(merged[n-1].Last, sp.Last)
			continue
		}
		merged = append(merged, sp)
	}
	return merged
}

// spans writes spans, the first of them if there are many.
func spans(list []checkpoint.Span) string {
	words := make([]string, 0, maxNamed)
	for _, sp := range list[:min(len(list), maxNamed)] {
		if sp.First == sp.Last {
			words = append(words, fmt.Sprint(sp.First))
		} else {
			words = append(words, fmt.Sprintf("%d-%d", sp.First, sp.Last))
		}
	}
	if len(list) > maxNamed {
		words = append(words, "…")
	}
	return strings.Join(words, ", ")
}
