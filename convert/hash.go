package convert

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/tidemark-io/tidemark/flink/serde"
)

// errNoKey: the keys of an operator are refused, which is noted once and not for
// each state.
var errNoKey = errors.New("the key is refused")

// hasherOf decides how Flink computes the hash codes of an operator's keys, which
// choose their key groups. Of users' classes Options.KeyHash has to say it: a
// checkpoint of ours has no key groups of Flink's that could prove a formula, so
// fields are never guessed.
func (c *toFlink) hasherOf(o *flinkOperator, t *serde.Type) (*serde.Hasher, error) {
	classes := t.UserClasses()
	if len(classes) == 0 {
		h, err := t.Hasher(nil)
		if err != nil {
			return nil, fmt.Errorf("the key: %w", err)
		}
		return h, nil
	}
	c.hashed[o.UID] = true
	formulas := map[string]serde.Formula{}
	if text := c.opts.KeyHash[o.UID]; text != "" {
		var err error
		if formulas, err = formulasOf(text, classes); err != nil {
			return nil, c.refuseKey(o, t, err)
		}
	}
	h, err := t.Hasher(formulas)
	if err == nil {
		err = h.Complete()
	}
	if err != nil {
		return nil, c.refuseKey(o, t, err)
	}
	return h, nil
}

// formulasOf are the formulas of users' classes by their names. One without a
// class is that of all that are not named.
func formulasOf(text string, classes []*serde.Type) (map[string]serde.Formula, error) {
	all, err := serde.ParseFormulas(text)
	if err != nil {
		return nil, err
	}
	formulas := map[string]serde.Formula{}
	for _, class := range classes {
		f, named := all[class.Name]
		if !named {
			if f, named = all[""]; !named {
				continue
			}
		}
		formulas[class.Name] = f
		delete(all, class.Name)
	}
	delete(all, "")
	for _, class := range slices.Sorted(maps.Keys(all)) {
		return nil, fmt.Errorf("there is no class %s in it", class)
	}
	return formulas, nil
}

// refuseKey notes that an operator's keys have no hash code that is known.
func (c *toFlink) refuseKey(o *flinkOperator, t *serde.Type, err error) error {
	o.noKey = true
	c.refuse(o.UID, "", fmt.Sprintf("the key of type %s: %v", t, err),
		fmt.Sprintf(`the same command with --key-hash "%s=STYLE(FIELD, FIELD)" ("tidemark help key-hash" lists the styles); or with --struct %s=tuple or row, if the job has such keys`, o.UID, o.UID))
	return errNoKey
}
