package native

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/tidemark-io/tidemark/format"
)

// What an incremental checkpoint had in shared/ cannot be put together without its
// manifest. The loss report says so, and counts what the tables that read state.
func TestSalvageReportsWhatWasNotFound(t *testing.T) {
	st := files{"shared/w1-0.data": {1}, "shared/gc-1.probe": {1}, "chk-7/w7-0.data": {1}}.put(t)
	operators := []format.Operator{{UID: "count"}}
	old := format.Manifest{
		Objects:   []format.Object{{Name: "chk-7/w7-0.data", Length: 1}, {Name: "shared/w1-0.data", Length: 30}, {Name: "shared/w2-0.data", Length: 12}},
		Operators: operators,
		States: []format.State{{Name: "counter", Kind: format.KindKeyed, Entries: 10}, {Name: "whole", Kind: format.KindKeyed, Entries: 3},
			{Name: "moved", Kind: format.KindKeyed, Entries: 4}},
	}
	found := format.Manifest{
		Operators: operators,
		States:    []format.State{{Name: "whole", Kind: format.KindKeyed}, {Name: "counter", Kind: format.KindKeyed}},
		Slices:    []format.Slice{{State: 0, Entries: 3}, {State: 1, Entries: 4}, {State: 1, Entries: 1}},
	}
	foreign := stray{entry: format.Entry{Operator: "count", State: "moved", Kind: format.KindKeyed, Slice: format.Slice{Entries: 4}}}
	all := map[format.Kind]bool{format.KindObjects: true, format.KindOperators: true, format.KindStates: true}
	for _, c := range []struct {
		name string
		kind format.CheckpointKind
		has  map[format.Kind]bool
		want string
	}{
		{"tables read", format.Checkpoint, all,
			"count/counter 5 0 the data objects that read do not have these entries\n/ 0 42 2 objects of shared/ that the checkpoint used are left out"},
		{"nothing reads", format.Checkpoint, nil, "/ 0 0 1 objects lie in shared/"},
		{"a savepoint", format.Savepoint, nil, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := &pieces{ctx: context.Background(), st: st, dir: "chk-7", over: &overlay{strays: []stray{foreign}}}
			b := rebuilding{p: p, old: old, has: c.has, m: found}
			b.m.Summary.Kind = c.kind
			must(t, b.unfound())
			var lines []string
			for _, l := range p.over.losses {
				why, _, _ := strings.Cut(l.Reason, ":")
				lines = append(lines, fmt.Sprintf("%s/%s %d %d %s", l.Operator, l.State, l.Records, l.Bytes, why))
			}
			if got := strings.Join(lines, "\n"); got != c.want {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
		})
	}
}
