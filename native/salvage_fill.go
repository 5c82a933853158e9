package native

import (
	"context"
	"fmt"

	"github.com/tidemark-io/tidemark/checkpoint"
	"github.com/tidemark-io/tidemark/format"
	"github.com/tidemark-io/tidemark/keygroup"
	"github.com/tidemark-io/tidemark/reader"
)

// older is the checkpoint that holes of keyed state are filled from.
type older struct {
	*reader.Checkpoint
	damage error // of it, met while filling
}

// openOlder compares the older checkpoint with the source: only state of the same
// types, under the same hash function, can stand in for what is lost.
func (s *salvage) openOlder(from checkpoint.Checkpoint) error {
	if from == nil {
		return nil
	}
	m, ok := from.(*reader.Model)
	if !ok {
		return checkpoint.Refuse(checkpoint.At(from.Info().Path), "it is of another format, so nothing can be filled from it", "")
	}
	s.older = &older{Checkpoint: m.Checkpoint()}
	sum, was := s.src.Summary(), s.older.Summary()
	switch {
	case was.ID >= sum.ID:
		return &checkpoint.EditError{Mistakes: []string{fmt.Sprintf("checkpoint %d is not older than %d", was.ID, sum.ID)}}
	case was.Hash != sum.Hash:
		return checkpoint.Refuse(checkpoint.At(from.Info().Path), fmt.Sprintf("it hashes keys by %s, not by %s, so nothing can be filled from it", was.Hash, sum.Hash), "")
	}
	return nil
}

// stateOf finds the state in the older checkpoint that has the same operator,
// name and types; none is [format.None].
func (o *older) stateOf(s *salvage, row int) (int, error) {
	st := s.src.states[row]
	uid := s.src.operators[st.Operator].UID
	there, was, err := o.FindState(uid, st.Name, st.Kind)
	if err != nil {
		if damaged(err) {
			o.damage = err
		}
		return format.None, nil // it was added since
	}
	schemas, err := o.Schemas()
	if err == nil {
		var operators []format.Operator
		if operators, err = o.Operators(); err == nil {
			old := &source{schemas: schemas}
			if s.src.schema(st.Value).Equal(old.schema(was.Value)) && s.src.schema(st.Namespace).Equal(old.schema(was.Namespace)) &&
				s.src.schema(s.src.operators[st.Operator].KeySchema).Equal(old.schema(operators[was.Operator].KeySchema)) {
				return there, nil
			}
			return format.None, checkpoint.Refuse(placeOf(uid, st.Name), "in the older checkpoint it has entries of another type", "the same command without --older")
		}
	}
	if damaged(err) {
		o.damage = err
		return format.None, nil
	}
	return format.None, err
}

// placeOf is the place of a state.
func placeOf(uid, state string) checkpoint.Place {
	p := checkpoint.Nowhere()
	p.Operator, p.State = uid, state
	return p
}

// fill calls take for each entry that the older checkpoint has in a hole: behind
// the last entry in front of it and before the first behind it. Damage of the
// older checkpoint ends it, and is noted.
func (s *salvage) fill(ctx context.Context, r *remains, h hole, take func(*reader.Entry) error) error {
	kind := s.src.states[r.row].Kind
	if s.older == nil || kind != format.KindKeyed && kind != format.KindTimer {
		return nil
	}
	found, err := s.older.stateOf(s, r.row)
	if err != nil || found == format.None {
		return err
	}
	after, before, err := s.borders(r, h)
	if err != nil {
		return err
	}
	iv := r.slice.Interval
	if after.occupied {
		iv.Lo = uint64(after.hash)
	}
	if before.occupied {
		iv.Hi = uint64(before.hash) + 1
	}
	st := s.src.states[r.row]
	uid := s.src.operators[st.Operator].UID
	entries := s.older.Keyed(ctx, uid, st.Name, iv)
	if kind == format.KindTimer {
		entries = s.older.Timers(ctx, uid, st.Name, iv)
	}
	for e, err := range entries {
		if damaged(err) {
			s.older.damage = err
			return nil
		}
		if err != nil {
			return err
		}
		if after.occupied && after.compare(e.Hash, e.Key, e.Namespace, e.Time) >= 0 {
			continue
		}
		if before.occupied && before.compare(e.Hash, e.Key, e.Namespace, e.Time) <= 0 {
			return nil
		}
		if err := take(&e); err != nil {
			return err
		}
	}
	return nil
}

// borders are the entries on both sides of a hole.
func (s *salvage) borders(r *remains, h hole) (after, before place, err error) {
	w := s.walkOf(r.row, r.slice.Interval)
	if h.at > 0 {
		if err := s.load(r, r.blocks[h.at-1]); err != nil {
			return after, before, err
		}
		if _, err := w.block(&s.block); err != nil {
			return after, before, err
		}
		after, w.last = w.last, place{}
	}
	if h.at < len(r.blocks) {
		if err := s.load(r, r.blocks[h.at]); err != nil {
			return after, before, err
		}
		if _, err := w.block(&s.block); err != nil {
			return after, before, err
		}
		before = w.first
	}
	return after, before, nil
}

// hashes is the interval in which entries of a hole can lie.
func (s *salvage) hashes(r *remains, h hole) (keygroup.Interval, error) {
	iv := r.slice.Interval
	kind := s.src.states[r.row].Kind
	if kind != format.KindKeyed && kind != format.KindTimer {
		return iv, nil
	}
	after, before, err := s.borders(r, h)
	if after.occupied {
		iv.Lo = uint64(after.hash)
	}
	if before.occupied {
		iv.Hi = uint64(before.hash) + 1
	}
	return iv, err
}
