package convert

import (
	"github.com/tidemark-io/tidemark/flink/serde"
	"github.com/tidemark-io/tidemark/format"
	"github.com/tidemark-io/tidemark/reader"
)

// stateKey names a state of a checkpoint.
type stateKey struct {
	operator, name string
	kind           format.Kind
}

// stateTypes are the schemas of a state, nil where there are none.
type stateTypes struct{ namespace, value *format.Schema }

// likeness is which types another checkpoint has.
type likeness struct {
	keys   map[string]*format.Schema // by operator
	states map[stateKey]stateTypes
	// nullable makes fields of rows and POJOs optional, where there is no like.
	nullable bool
}

func newLikeness(ck *reader.Checkpoint, nullable bool) (*likeness, error) {
	l := &likeness{keys: map[string]*format.Schema{}, states: map[stateKey]stateTypes{}, nullable: nullable}
	if ck == nil {
		return l, nil
	}
	schemas, err := ck.Schemas()
	if err != nil {
		return nil, err
	}
	row := func(i int) *format.Schema {
		if i < 0 || i >= len(schemas) {
			return nil
		}
		return schemas[i]
	}
	operators, err := ck.Operators()
	if err != nil {
		return nil, err
	}
	for _, op := range operators {
		l.keys[op.UID] = row(op.KeySchema)
	}
	states, err := ck.States()
	if err != nil {
		return nil, err
	}
	for _, s := range states {
		if s.Operator >= 0 && s.Operator < len(operators) {
			l.states[stateKey{operators[s.Operator].UID, s.Name, s.Kind}] = stateTypes{row(s.Namespace), row(s.Value)}
		}
	}
	return l, nil
}

// or is the schema that the other checkpoint has, else the one that follows from the
// type. That values can be converted is checked.
func (l *likeness) or(like *format.Schema, t *serde.Type, key bool) (*format.Schema, error) {
	if like == nil {
		var err error
		if like, err = schemaOf(t, l.nullable && !key); err != nil {
			return nil, err
		}
	}
	if err := like.Check(); err != nil {
		return nil, err
	}
	if key {
		if err := checkKey(like); err != nil {
			return nil, err
		}
	}
	_, err := newMatch(like, t, key)
	return like, err
}
