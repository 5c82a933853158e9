package checkpoint

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestSelectorPrintsCanonically(t *testing.T) {
	cases := map[string]string{
		"": "",
		"operator=U,state=S,subtask=2-4,keygroup=0-31,channel=gate0/3": "operator=U,state=S,subtask=2-4,keygroup=0-31,channel=gate0/3",
		" subtask=7 , operator=count ":                                 "operator=count,subtask=7",
		`operator="a,b",state="x=y"`:                                   `operator="a,b",state="x=y"`,
		"kind=timers,operator=a":                                       "operator=a,kind=timers",
		"channel=gate1":                                                "channel=gate1",
		"channel=a>b#0/2-5":                                            "channel=a>b#0/2-5",
		`state="plain"`:                                                "state=plain",
	}
	for in, want := range cases {
		s, err := ParseSelector(in)
		if err != nil || s.String() != want {
			t.Errorf("ParseSelector(%q) = %q, %v; want %q", in, s, err, want)
		}
	}
}

func TestSelectorRefusals(t *testing.T) {
	cases := map[string]string{
		"count":                     "not of the form name=value",
		"operator":                  "not of the form name=value",
		"operator=":                 "empty",
		"operator=a,":               "nothing follows the last comma",
		"operator=a,,state=b":       "no field \",state\"",
		"operator=a,operator=b":     "given twice",
		"colour=red":                "fields are operator, state, kind, subtask, keygroup, channel",
		"kind=heap":                 "none of [keyed timers",
		"subtask=x":                 "not a number",
		"subtask=4-2":               "is empty",
		"subtask=-2":                "not a number",
		"keygroup=1-4294967296":     "not a number",
		"channel=/3":                "names no gate",
		"channel=gate0/":            "not a number",
		`operator="a`:               "does not end",
		`operator="a"b`:             "a comma is expected",
		"operator=a=b":              "must be quoted",
		"subtask=1-2-3":             "not a number",
		"keygroup=0x10,operator=ab": "not a number",
	}
	for in, want := range cases {
		s, err := ParseSelector(in)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("ParseSelector(%q) = %q, %v; want an error with %q", in, s, err, want)
		}
	}
}

func TestSelectorReadsBack(t *testing.T) {
	spans := rapid.Custom(func(t *rapid.T) *Span {
		first := rapid.Uint32().Draw(t, "first")
		return &Span{First: uint64(first), Last: rapid.Uint64Range(uint64(first), 1<<32-1).Draw(t, "last")}
	})
	rapid.Check(t, func(t *rapid.T) {
		var s Selector
		s.Operator = rapid.String().Draw(t, "operator")
		s.State = rapid.String().Draw(t, "state")
		if rapid.Bool().Draw(t, "has subtasks") {
			s.Subtasks = spans.Draw(t, "subtasks")
		}
		if rapid.Bool().Draw(t, "has groups") {
			s.KeyGroups = spans.Draw(t, "groups")
		}
		if rapid.Bool().Draw(t, "has channel") {
			s.Channel = &Channel{Gate: rapid.StringN(1, 20, -1).Draw(t, "gate"), Index: spans.Draw(t, "index")}
		}
		text := s.String()
		back, err := ParseSelector(text)
		if err != nil || back.String() != text {
			t.Fatalf("%q reads back as %q, %v", text, back, err)
		}
		if back.Operator != s.Operator || back.State != s.State || back.IsZero() != s.IsZero() {
			t.Fatalf("%q reads back as another selector: %+v", text, back)
		}
	})
}

func TestSelectorMatches(t *testing.T) {
	s := Selector{Operator: "count", Subtasks: &Span{2, 4}}
	if !s.Matches("count", "any") || s.Matches("other", "any") || (Selector{State: "x"}).Matches("count", "y") {
		t.Error("Matches does not follow operator and state")
	}
	timers := Selector{Kind: Timers}
	if !timers.Takes(State{Kind: Timers}) || timers.Takes(State{Kind: Keyed}) || !s.Takes(State{Operator: "count", Kind: Keyed}) || s.Takes(State{}) {
		t.Error("Takes does not follow the kind")
	}
	if s.Subtasks.Contains(1) || !s.Subtasks.Contains(2) || !s.Subtasks.Contains(4) || s.Subtasks.Contains(5) {
		t.Error("2-4 does not contain exactly 2 to 4")
	}
	if !s.KeyGroups.Contains(99) {
		t.Error("no span does not contain everything")
	}
}
