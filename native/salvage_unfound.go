package native

import (
	"fmt"
	"strings"

	"github.com/tidemark-io/tidemark/checkpoint"
	"github.com/tidemark-io/tidemark/checkpoint/layout"
	"github.com/tidemark-io/tidemark/format"
)

// unfound reports what the checkpoint had and the data objects of its directory do
// not have, as far as anything that reads tells.
func (b *rebuilding) unfound() error {
	b.unfoundStates()
	return b.unfoundShared()
}

// unfoundShared reports the objects of shared/. They hold slices of many
// checkpoints, and which of them are this one's only the manifest said: an older
// slice of a key group cannot be told from the one that counts. A savepoint has
// none of them.
func (b *rebuilding) unfoundShared() error {
	if b.m.Summary.Kind == format.Savepoint {
		return nil
	}
	objects, bytes := 0, uint64(0)
	if b.has[format.KindObjects] {
		for _, o := range b.old.Objects {
			if strings.HasPrefix(o.Name, layout.Shared+"/") {
				objects, bytes = objects+1, bytes+o.Length
			}
		}
		if objects > 0 {
			l := b.p.loss(fmt.Sprintf("%d objects of %s/ that the checkpoint used are left out: which of their slices are its own only the manifest said; keyed state and timers that lay there are gone",
				objects, layout.Shared))
			l.Bytes = bytes
			b.p.over.losses = append(b.p.over.losses, l)
		}
		return nil
	}
	for info, err := range b.p.st.List(b.p.ctx, layout.Shared+"/") {
		if err != nil {
			return err
		}
		if layout.DataWriter(info.Name) != "" {
			objects++
		}
	}
	if objects > 0 {
		b.p.over.losses = append(b.p.over.losses, b.p.loss(fmt.Sprintf(
			"%d objects lie in %s/: which slices of them the checkpoint used only the manifest said, so none is taken; if its job takes incremental checkpoints, keyed state and timers that lay there are gone",
			objects, layout.Shared)))
	}
	return nil
}

// unfoundStates reports states of which the old table of states, if it reads,
// states more entries than there are in the slices that were found. In-flight data
// is counted when it is mended, strays are reported by themselves.
func (b *rebuilding) unfoundStates() {
	if !b.has[format.KindStates] || !b.has[format.KindOperators] {
		return
	}
	type id struct {
		operator, name string
		kind           format.Kind
	}
	found := map[id]uint64{}
	for _, sl := range b.m.Slices {
		st := b.m.States[sl.State]
		found[id{b.m.Operators[st.Operator].UID, st.Name, st.Kind}] += sl.Entries
	}
	for _, s := range b.p.over.strays {
		found[id{s.entry.Operator, s.entry.State, s.entry.Kind}] += s.entry.Slice.Entries
	}
	for _, st := range b.old.States {
		if st.Kind > format.KindBroadcast || st.Operator < 0 || st.Operator >= len(b.old.Operators) {
			continue
		}
		uid := b.old.Operators[st.Operator].UID
		is := found[id{uid, st.Name, st.Kind}]
		if is >= st.Entries {
			continue
		}
		l := b.p.loss("the data objects that read do not have these entries")
		l.Operator, l.State, l.Records = uid, st.Name, st.Entries-is
		l.Place = text(checkpoint.Selector{Operator: uid, State: st.Name}.String())
		b.p.over.losses = append(b.p.over.losses, l)
	}
}
