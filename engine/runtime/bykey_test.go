package runtime

import (
	"fmt"
	"strings"
	"testing"

	"github.com/tidemark-io/tidemark/format"
)

// TestTakingOver: which kinds of connections can take over what was in flight on
// which, at equal parallelism. What was sent by key (k: with the keys of the
// operator before) only goes to an owner of the key, or anywhere; what was spread
// goes anywhere; what a function sent only that function sends again; and what has
// no hash never becomes keyed.
func TestTakingOver(t *testing.T) {
	kinds := []format.Partitioner{format.Forward, format.Keyed, format.Rebalance, format.Shuffle, format.Global, format.Rescale, format.Broadcast, format.Custom}
	var got strings.Builder
	row := func(name string, was format.Partitioner, keys string) {
		fmt.Fprintf(&got, "%-11s", name)
		for _, is := range kinds {
			g := &Graph{Nodes: []*Node{{UID: "a", Source: true}, {UID: "k", KeySchema: &format.Schema{Type: format.TypeInt64}}, {UID: "b"}},
				Edges: []*Edge{{From: 0, To: 1, Partitioner: format.Keyed}, {From: 1, To: 2, Partitioner: is}}}
			p, err := newPlan(g, Config{Parallelism: 2, DisableChaining: true}, func(string) int { return 0 })
			if err != nil {
				t.Fatal(err)
			}
			mark := " -"
			if p.cannotTakeOver(1, format.Edge{Partitioner: was}, keys) == "" {
				mark = " y"
			}
			got.WriteString(mark)
		}
		got.WriteByte('\n')
	}
	for _, was := range kinds {
		row(partitionerNames[was], was, "")
	}
	row("forward k", format.Forward, "k")
	row("rescale k", format.Rescale, "k")
	row("forward x", format.Forward, "x")
	//            fo ke re sh gl re br cu
	const want = `forward     - - - - - - - -
keyed       - y y y y - - -
rebalance   y - y y y y - -
shuffle     y - y y y y - -
global      y - y y y y - -
rescale     - - - - - - - -
broadcast   - - - - - - - -
custom      - - - - - - - y
forward k   y - y y y y - -
rescale k   y - y y y y - -
forward x   - - y y y - - -
`
	if got.String() != want {
		t.Errorf("got\n%swant\n%s", got.String(), want)
	}
}
