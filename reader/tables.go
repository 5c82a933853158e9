package reader

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"sync"

	"github.com/tidemark-io/tidemark/checkpoint/layout"
	"github.com/tidemark-io/tidemark/format"
)

// lazy is a table of the manifest, read when first asked for.
type lazy[Row any] struct {
	mu   sync.Mutex
	rows []Row
	done bool
}

// get reads the table, once unless that fails.
func (l *lazy[Row]) get(rows iter.Seq2[Row, error]) ([]Row, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.done {
		return l.rows, nil
	}
	var list []Row
	for row, err := range rows {
		if err != nil {
			return nil, err
		}
		list = append(list, row)
	}
	l.rows, l.done = list, true
	return list, nil
}

// rows yields the rows of a table. If a block of it is damaged in the manifest
// the rest comes from the copy, which holds the same bytes.
func rows[Row any](c *Checkpoint, table func(*format.ManifestReader) iter.Seq2[Row, error]) iter.Seq2[Row, error] {
	return func(yield func(Row, error) bool) {
		n := 0
		var damage error
		for row, err := range table(c.manifest) {
			if errors.Is(err, format.ErrDamaged) {
				damage = err
				break
			}
			if !yield(row, err) || err != nil {
				return
			}
			n++
		}
		if damage == nil {
			return
		}
		second, err := c.secondManifest(damage)
		if err != nil {
			var none Row
			yield(none, err)
			return
		}
		for row, err := range table(second) {
			if n > 0 && err == nil {
				n--
				continue
			}
			if !yield(row, err) || err != nil {
				return
			}
		}
	}
}

// secondManifest opens the copy after a damage was found in the manifest. It
// must describe the same checkpoint, word for word.
func (c *Checkpoint) secondManifest(damage error) (*format.ManifestReader, error) {
	name := layout.Join(c.dir, layout.ManifestCopy)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.second != nil {
		return c.second, nil
	}
	if c.from == name {
		return nil, damage
	}
	object, err := c.st.Open(context.Background(), name)
	if err != nil {
		return nil, fmt.Errorf("%w (and the copy: %w)", damage, err)
	}
	m, err := format.OpenManifest(object, object.Info().Size, format.ManifestOptions{Object: name, Limits: &c.limits})
	if err == nil && m.Summary != c.manifest.Summary {
		err = &format.CorruptError{Object: name, Unit: "summary", Err: fmt.Errorf("%w: it is not a copy of the manifest", format.ErrMalformed)}
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%w (and the copy: %w)", damage, err), object.Close())
	}
	c.second, c.secondObject = m, object
	c.note(damage)
	return m, nil
}

// Operators are the nodes of the job graph.
func (c *Checkpoint) Operators() ([]format.Operator, error) {
	return c.operators.get(rows(c, (*format.ManifestReader).Operators))
}

// States are the states of all operators.
func (c *Checkpoint) States() ([]format.State, error) {
	return c.states.get(rows(c, (*format.ManifestReader).States))
}

// Edges are the connections of the job graph.
func (c *Checkpoint) Edges() ([]format.Edge, error) {
	return c.edges.get(rows(c, (*format.ManifestReader).Edges))
}

// Schemas are the schemas that operators and states refer to.
func (c *Checkpoint) Schemas() ([]*format.Schema, error) {
	return c.schemas.get(rows(c, (*format.ManifestReader).Schemas))
}

// Settings are the configuration of the job, secrets redacted.
func (c *Checkpoint) Settings() ([]format.Setting, error) {
	return c.settings.get(rows(c, (*format.ManifestReader).Settings))
}

// Losses are what tools removed.
func (c *Checkpoint) Losses() ([]format.Loss, error) {
	return c.losses.get(rows(c, (*format.ManifestReader).Losses))
}

// Objects are the data objects. For a savepoint that was moved their names are
// the present ones.
func (c *Checkpoint) Objects() ([]format.Object, error) {
	path := c.manifest.Summary.Path
	return c.objects.get(func(yield func(format.Object, error) bool) {
		for o, err := range rows(c, (*format.ManifestReader).Objects) {
			if rest, own := strings.CutPrefix(o.Name, path+"/"); err == nil && own {
				o.Name = layout.Join(c.dir, rest)
			}
			if !yield(o, err) {
				return
			}
		}
	})
}

// objectRow is one row of Objects.
func (c *Checkpoint) objectRow(row int) (format.Object, error) {
	objects, err := c.Objects()
	if err != nil {
		return format.Object{}, err
	}
	if row < 0 || row >= len(objects) {
		return format.Object{}, &format.CorruptError{Object: c.from, Unit: "slices",
			Err: fmt.Errorf("%w: reference to object %d of %d", format.ErrMalformed, row, len(objects))}
	}
	return objects[row], nil
}

// Slices yields the slices of one state, a row of States, in the order of the
// file: by hash for keyed state, timers and floors, by subtask otherwise. A
// negative row yields all slices.
func (c *Checkpoint) Slices(ctx context.Context, state int) iter.Seq2[format.Slice, error] {
	all := rows(c, func(m *format.ManifestReader) iter.Seq2[format.Slice, error] {
		if state < 0 {
			return m.Slices()
		}
		return m.SlicesOf(state)
	})
	return func(yield func(format.Slice, error) bool) {
		for s, err := range all {
			if err == nil && ctx.Err() != nil {
				s, err = format.Slice{}, context.Cause(ctx)
			}
			if !yield(s, err) || err != nil {
				return
			}
		}
	}
}

// FindState is the row and the description of a state, by the operator's uid,
// the state's name and kind. The error is [ErrNoState] if there is none.
func (c *Checkpoint) FindState(uid, name string, kind format.Kind) (int, format.State, error) {
	found, err := c.statesOf(uid, kind)
	if err != nil {
		return 0, format.State{}, err
	}
	states, err := c.States()
	if err != nil {
		return 0, format.State{}, err
	}
	for _, row := range found {
		if states[row].Name == name {
			return row, states[row], nil
		}
	}
	return 0, format.State{}, fmt.Errorf("%s: operator %q, %v state %q: %w", c.dir, uid, kind, name, ErrNoState)
}

// statesOf lists the states of a kind that an operator has, as rows of States.
func (c *Checkpoint) statesOf(uid string, kind format.Kind) ([]int, error) {
	operators, err := c.Operators()
	if err != nil {
		return nil, err
	}
	states, err := c.States()
	if err != nil {
		return nil, err
	}
	var found []int
	for row, s := range states {
		if s.Kind == kind && s.Operator < len(operators) && operators[s.Operator].UID == uid {
			found = append(found, row)
		}
	}
	return found, nil
}
