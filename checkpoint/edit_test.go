package checkpoint

import (
	"strings"
	"testing"
)

// A job of two operators and two connections between them.
var (
	editOperators = []Operator{{UID: "src", Parallelism: 2}, {UID: "count", Parallelism: 2, KeyGroups: 128}}
	editStates    = []State{{Operator: "count", Name: "counter", Kind: Keyed}, {Operator: "src", Name: "splits", Kind: SplitList}}
	editEdges     = []Edge{{ID: "src>count#0", From: "src", To: "count"}, {ID: "src>count#1", From: "src", To: "count"}}
)

func inFlight(t *testing.T, text string) Drop {
	sel, err := ParseSelector(text)
	if err != nil {
		t.Fatal(err)
	}
	return Drop{Kind: DropInFlight, Selector: sel}
}

func TestEditCheck(t *testing.T) {
	one := func(d Drop) Edit { return Edit{Drop: []Drop{d}} }
	layout := func(uid string, l Layout) Edit { return Edit{Layouts: map[string]Layout{uid: l}} }
	rename := func(pairs ...string) Edit {
		e := Edit{Rename: map[string]string{}}
		for i := 0; i < len(pairs); i += 2 {
			e.Rename[pairs[i]] = pairs[i+1]
		}
		return e
	}
	cases := []struct {
		name string
		edit Edit
		want string // part of the error, "" for none
	}{
		{"a copy", Edit{}, ""},
		{"parallelism", layout("count", Layout{Parallelism: 128}), ""},
		{"more than groups", layout("count", Layout{Parallelism: 129}), "more than its 128 key groups"},
		{"both", layout("count", Layout{Parallelism: 129, KeyGroups: 129}), ""},
		{"too many groups", layout("count", Layout{KeyGroups: 40000}), "40000 key groups are not between"},
		{"too parallel", layout("src", Layout{Parallelism: 40000}), "parallelism 40000 is not between"},
		{"groups without keys", layout("src", Layout{KeyGroups: 12}), "is not keyed"},
		{"unknown", layout("cuont", Layout{Parallelism: 1}), `no operator "cuont"; there are: count, src`},
		{"all in flight", one(Drop{Kind: DropInFlight}), ""},
		{"of an operator", one(inFlight(t, "operator=count")), ""},
		{"of a gate", one(inFlight(t, "operator=count,channel=gate1/0")), ""},
		{"of an edge", one(inFlight(t, `channel="src>count#1"`)), ""},
		{"of no gate", one(inFlight(t, "operator=count,channel=gate2")), "no connection is selected"},
		{"of a source", one(inFlight(t, "operator=src")), "no connection is selected"},
		{"in flight by state", one(inFlight(t, "state=counter")), "selected by operator, subtask and channel"},
		{"a state", one(Drop{Kind: DropState, Selector: Selector{Operator: "count", State: "counter"}}), ""},
		{"no state", one(Drop{Kind: DropState, Selector: Selector{Operator: "count", State: "x"}}), "no such state"},
		{"part of a state", one(Drop{Kind: DropState, Selector: Selector{Operator: "count", State: "counter", Subtasks: &Span{0, 0}}}), "only whole states"},
		{"an operator", one(Drop{Kind: DropOperator, Selector: Selector{Operator: "count"}}), ""},
		{"nobody", one(Drop{Kind: DropOperator}), "an operator must be named"},
		{"rename", rename("src", "source"), ""},
		{"swap", rename("src", "count", "count", "src"), ""},
		{"clash", rename("src", "count"), `would both have the uid "count"`},
		{"to nothing", rename("src", ""), "is empty"},
	}
	for _, c := range cases {
		err := c.edit.Check(editOperators, editStates, editEdges)
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%s: %v", c.name, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s: error %v, want one with %q", c.name, err, c.want)
		}
	}
}

func TestEditCheckNamesAllMistakes(t *testing.T) {
	e := Edit{Layouts: map[string]Layout{"x": {}, "count": {Parallelism: 200}}, Rename: map[string]string{"y": "z"}}
	err := e.Check(editOperators, editStates, editEdges)
	if err == nil || strings.Count(err.Error(), "\n") != 2 {
		t.Errorf("error %q, want three lines", err)
	}
}

func TestRefusedErrorSaysWhatToTry(t *testing.T) {
	p := Nowhere()
	p.Operator = "count"
	err := Refuse(p, "it cannot be done", "tidemark strip SRC DST")
	if got, want := err.Error(), "refused: operator=count: it cannot be done (try: tidemark strip SRC DST)"; got != want {
		t.Errorf("error %q, want %q", got, want)
	}
}
