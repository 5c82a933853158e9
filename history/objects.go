package history

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/tidemark-io/tidemark/checkpoint/layout"
	"github.com/tidemark-io/tidemark/store"
)

// Kept is how many attempts a root keeps unless something else is said.
const Kept = 1000

// Ref names the record of an attempt below a root.
type Ref struct{ Run, ID uint64 }

// Name is the object's name below the root.
func (r Ref) Name() string { return layout.Attempt(r.Run, r.ID) }

// compare orders refs by age.
func compare(a, b Ref) int {
	if a.Run != b.Run {
		return order(a.Run, b.Run)
	}
	return order(a.ID, b.ID)
}

func order(a, b uint64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// List names the attempts that a root has a record of, oldest first. Objects
// with other names are passed over.
func List(ctx context.Context, st store.Store) ([]Ref, error) {
	var refs []Ref
	for info, err := range st.List(ctx, layout.History+"/") {
		if err != nil {
			return nil, fmt.Errorf("listing %s: %w", layout.History, err)
		}
		if run, id, ok := layout.ParseAttempt(info.Name); ok {
			refs = append(refs, Ref{run, id})
		}
	}
	slices.SortFunc(refs, compare)
	return refs, nil
}

// Read reads one record. The error is [ErrDamaged] if it is not what the name
// says, and the store's if it cannot be read.
func Read(ctx context.Context, st store.Store, r Ref) (*Attempt, error) {
	data, err := store.ReadAll(ctx, st, r.Name(), maxBytes)
	if errors.Is(err, store.ErrTooLarge) {
		return nil, fmt.Errorf("%s: %w: %w", r.Name(), ErrDamaged, err)
	}
	if err != nil {
		return nil, err
	}
	a, err := Decode(data)
	if err == nil && (uint64(a.ID) != r.ID || uint64(a.Run) != r.Run) {
		err = fmt.Errorf("%w: it is of attempt %d of run %d", ErrDamaged, a.ID, a.Run)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", r.Name(), err)
	}
	return a, nil
}

// Log writes the records of one run. It belongs to one goroutine.
type Log struct {
	store  store.Store
	keep   int
	refs   []Ref // that are there, oldest first
	listed bool
}

// NewLog returns a log that keeps so many attempts; 0 or less is [Kept].
func NewLog(st store.Store, keep int) *Log {
	if keep <= 0 {
		keep = Kept
	}
	return &Log{store: st, keep: keep}
}

// Add writes a record and then removes the oldest beyond the number that is kept.
// If something could not be removed that is the error, although the record is
// there; the next Add tries again.
func (l *Log) Add(ctx context.Context, a *Attempt) error {
	r := Ref{uint64(a.Run), uint64(a.ID)}
	data, err := Encode(a)
	if err != nil {
		return fmt.Errorf("%s: %w", r.Name(), err)
	}
	if !l.listed {
		if l.refs, err = List(ctx, l.store); err != nil {
			return err
		}
		l.listed = true
	}
	if _, err := store.WriteAll(ctx, l.store, r.Name(), data); err != nil {
		l.listed = false // it may be there all the same
		return err
	}
	at, _ := slices.BinarySearchFunc(l.refs, r, compare)
	l.refs = slices.Insert(l.refs, at, r)
	for len(l.refs) > l.keep {
		if err := l.store.Remove(ctx, l.refs[0].Name(), ""); err != nil && !errors.Is(err, store.ErrNotExist) {
			return fmt.Errorf("removing an old record: %w", err)
		}
		l.refs = slices.Delete(l.refs, 0, 1)
	}
	return nil
}
