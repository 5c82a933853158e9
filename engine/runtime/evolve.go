package runtime

import (
	"fmt"
	"slices"

	"github.com/tidemark-io/tidemark/engine/codec"
	"github.com/tidemark-io/tidemark/format"
)

// migration rewrites the values of a state whose type has changed since the
// checkpoint. A nil one leaves them as they are.
type migration struct{ m *codec.Migration }

// migration is that of a state which find has found to fit, nil if its values are
// as the job expects them.
func (r *restored) migration(uid string, spec StateSpec) *migration {
	for _, s := range r.states[uid] {
		if s.Name == spec.Name && s.Kind == spec.Kind {
			if m, _ := codec.Migrate(r.schema(s.Value), spec.Value); m != nil {
				return &migration{m}
			}
		}
	}
	return nil
}

// value appends what a stored value is for the job to dst.
func (m *migration) value(dst, stored []byte) ([]byte, error) {
	if m == nil {
		if dst == nil {
			return slices.Clone(stored), nil
		}
		return append(dst, stored...), nil
	}
	return m.m.Append(dst, stored)
}

// sameValue reports whether values of a state are what the job expects, or can be
// made so, and notes every difference by itself.
func (r *restored) sameValue(uid string, spec StateSpec, was *format.Schema) bool {
	m, differences := codec.Migrate(was, spec.Value)
	if m != nil || len(differences) == 0 {
		return true
	}
	for _, d := range differences {
		r.problem(Problem{UID: uid, State: spec.Name, What: "its value cannot be taken over: " + d.String(),
			Remedy: fmt.Sprintf("restore a job with the old type; or tidemark strip %s DST --state operator=%s,state=%s, which drops this state; a field of another type needs another name", r.path, uid, spec.Name)})
	}
	return false
}
