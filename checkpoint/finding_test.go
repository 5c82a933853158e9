package checkpoint

import (
	"errors"
	"fmt"
	"testing"
)

func TestFindingString(t *testing.T) {
	place := At("chk-7/ab-0.data")
	place.Offset, place.Operator, place.State, place.Subtask = 4096, "count", "n", 3
	f := Finding{Severity: Error, Place: place, Problem: "block is damaged", Err: errors.New("checksum differs"), Remedy: "tidemark salvage chk-7 DST"}
	want := "error: chk-7/ab-0.data at 4096, operator=count,state=n,subtask=3: block is damaged: checksum differs (try: tidemark salvage chk-7 DST)"
	if got := f.String(); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got := (Finding{Severity: Note, Place: Nowhere(), Problem: "all is well"}).String(); got != "info: all is well" {
		t.Errorf("got %s", got)
	}
	if got := At("x").String(); got != "x" {
		t.Errorf("got %s", got)
	}
}

func TestNamesOfLevelsAndSeverities(t *testing.T) {
	for l := LevelStructure; l <= LevelRecords; l++ {
		if back, ok := ParseLevel(l.String()); !ok || back != l {
			t.Errorf("level %d prints as %q and reads back as %d, %v", l, l, back, ok)
		}
	}
	for _, bad := range []string{"", "unknown", "Refs"} {
		if l, ok := ParseLevel(bad); ok {
			t.Errorf("%q is level %d", bad, l)
		}
	}
	if got := fmt.Sprint(Level(0), Level(99), Note, Warning, Error, Severity(9)); got != "unknown unknown info warning error unknown" {
		t.Errorf("got %s", got)
	}
}

func TestStatusOf(t *testing.T) {
	cases := map[Status]error{
		Complete:   nil,
		Incomplete: fmt.Errorf("x: %w", ErrIncomplete),
		Damaged:    fmt.Errorf("x: %w", ErrDamaged),
		Unreadable: fmt.Errorf("x: %w", ErrUnsupported),
	}
	for want, err := range cases {
		if got := StatusOf(err); got != want {
			t.Errorf("StatusOf(%v) = %s, want %s", err, got, want)
		}
	}
	if n, ok := Count(3).Known(); n != 3 || !ok {
		t.Error("a known count is unknown")
	}
	if _, ok := UnknownCount.Known(); ok {
		t.Error("the unknown count is known")
	}
	if !InputChannel.InFlight() || !OutputChannel.InFlight() || Keyed.InFlight() {
		t.Error("in-flight kinds are not the two channel states")
	}
}
