package barrier

import (
	"fmt"
	"strings"
	"testing"
)

// TestScenarios holds the aligned rows of the field's test matrix. A script
// is a list of events; behind each "->" stands what the handler answers.
func TestScenarios(t *testing.T) {
	for _, c := range []struct {
		name     string
		channels int
		script   string
	}{
		{"without barriers nothing happens", 2, `
			end ch=0
			end ch=1`},
		{"a single channel snapshots at each barrier and goes on at once", 1, `
			barrier ch=0 id=1 -> first id=1 ch=0; last id=1 ch=0; SNAPSHOT id=1; resume ch=0
			barrier ch=0 id=2 -> first id=2 ch=0; last id=2 ch=0; SNAPSHOT id=2; resume ch=0`},
		{"several channels wait for the last barrier", 3, `
			barrier ch=1 id=1 -> first id=1 ch=1
			barrier ch=2 id=1
			barrier ch=0 id=1 -> last id=1 ch=0; SNAPSHOT id=1; resume ch=0; resume ch=1; resume ch=2`},
		{"ids may be skipped", 2, `
			barrier ch=0 id=5 -> first id=5 ch=0
			barrier ch=1 id=5 -> last id=5 ch=1; SNAPSHOT id=5; resume ch=0; resume ch=1
			barrier ch=1 id=9 -> first id=9 ch=1
			barrier ch=0 id=9 -> last id=9 ch=0; SNAPSHOT id=9; resume ch=0; resume ch=1`},
		{"a newer barrier gives the pending checkpoint up, without a cancel marker", 2, `
			barrier ch=0 id=1 -> first id=1 ch=0
			barrier ch=1 id=2 -> abort id=1: subsumed; resume ch=0; first id=2 ch=1
			barrier ch=0 id=2 -> last id=2 ch=0; SNAPSHOT id=2; resume ch=0; resume ch=1`},
		{"an obsolete barrier resumes its channel and does nothing else", 3, `
			barrier ch=0 id=2 -> first id=2 ch=0
			barrier ch=1 id=1 -> resume ch=1
			barrier ch=1 id=2
			barrier ch=2 id=2 -> last id=2 ch=2; SNAPSHOT id=2; resume ch=0; resume ch=1; resume ch=2
			barrier ch=2 id=2 -> resume ch=2`},
		{"an obsolete barrier on one channel does not disturb a newer one on another", 2, `
			barrier ch=0 id=1 -> first id=1 ch=0
			cancel ch=0 id=2  -> abort id=1: subsumed; resume ch=0; abort id=2: cancelled upstream; forward cancel id=2
			barrier ch=0 id=3 -> first id=3 ch=0
			barrier ch=1 id=1 -> resume ch=1
			cancel ch=1 id=2
			barrier ch=1 id=3 -> last id=3 ch=1; SNAPSHOT id=3; resume ch=0; resume ch=1`},
		{"a barrier that comes twice from a channel counts once", 2, `
			barrier ch=0 id=1 -> first id=1 ch=0
			barrier ch=0 id=1
			barrier ch=1 id=1 -> last id=1 ch=1; SNAPSHOT id=1; resume ch=0; resume ch=1`},
		{"channels that ended before are not waited for", 3, `
			end ch=0
			end ch=2
			barrier ch=1 id=1 -> first id=1 ch=1; last id=1 ch=1; SNAPSHOT id=1; resume ch=1`},
		{"the end of the last missing channel completes a checkpoint", 2, `
			barrier ch=0 id=1 -> first id=1 ch=0
			end ch=1          -> last id=1 ch=1; SNAPSHOT id=1; resume ch=0`},
		{"the end of a channel that is not the last missing one does not", 3, `
			barrier ch=0 id=1 -> first id=1 ch=0
			end ch=1
			barrier ch=2 id=1 -> last id=1 ch=2; SNAPSHOT id=1; resume ch=0; resume ch=2`},
		{"barrier and end of one channel count once", 2, `
			barrier ch=0 id=1 -> first id=1 ch=0
			end ch=0
			end ch=0
			barrier ch=1 id=1 -> last id=1 ch=1; SNAPSHOT id=1; resume ch=1`},
		{"a cancellation before any barrier is forwarded, and its barriers pass", 2, `
			cancel ch=0 id=1  -> abort id=1: cancelled upstream; forward cancel id=1
			barrier ch=1 id=1 -> resume ch=1
			barrier ch=0 id=2 -> first id=2 ch=0
			barrier ch=1 id=2 -> last id=2 ch=1; SNAPSHOT id=2; resume ch=0; resume ch=1`},
		{"a cancellation after a barrier releases the channels", 2, `
			barrier ch=0 id=1 -> first id=1 ch=0
			cancel ch=1 id=1  -> abort id=1: cancelled upstream; forward cancel id=1; resume ch=0
			cancel ch=0 id=1`},
		{"a cancellation of a single channel counts once", 1, `
			cancel ch=0 id=1  -> abort id=1: cancelled upstream; forward cancel id=1
			cancel ch=0 id=1
			barrier ch=0 id=2 -> first id=2 ch=0; last id=2 ch=0; SNAPSHOT id=2; resume ch=0`},
		{"a cancellation of a subsumed checkpoint is ignored", 2, `
			barrier ch=0 id=1 -> first id=1 ch=0
			barrier ch=1 id=2 -> abort id=1: subsumed; resume ch=0; first id=2 ch=1
			cancel ch=0 id=1
			barrier ch=0 id=2 -> last id=2 ch=0; SNAPSHOT id=2; resume ch=0; resume ch=1`},
		{"a cancellation after the snapshot is ignored", 1, `
			barrier ch=0 id=1 -> first id=1 ch=0; last id=1 ch=0; SNAPSHOT id=1; resume ch=0
			cancel ch=0 id=1`},
		{"a newer cancellation gives the pending checkpoint up too", 2, `
			barrier ch=0 id=1 -> first id=1 ch=0
			cancel ch=1 id=3  -> abort id=1: subsumed; resume ch=0; abort id=3: cancelled upstream; forward cancel id=3
			barrier ch=1 id=2 -> resume ch=1`},
		{"an order to abort before the barrier turns it into a cancellation", 2, `
			abort id=1
			barrier ch=0 id=1 -> forward cancel id=1; resume ch=0
			barrier ch=1 id=1 -> resume ch=1`},
		{"an order to abort between the barriers releases the channels", 2, `
			barrier ch=0 id=1 -> first id=1 ch=0
			abort id=1        -> abort id=1: aborted by the coordinator; forward cancel id=1; resume ch=0
			barrier ch=1 id=1 -> resume ch=1`},
		{"an order to abort after the snapshot is not the handler's business", 1, `
			barrier ch=0 id=1 -> first id=1 ch=0; last id=1 ch=0; SNAPSHOT id=1; resume ch=0
			abort id=1`},
		{"an order to abort and a cancellation make one cancellation", 2, `
			abort id=1
			cancel ch=0 id=1  -> forward cancel id=1
			cancel ch=1 id=1`},
		{"an aborted checkpoint still subsumes an older pending one", 2, `
			barrier ch=0 id=1 -> first id=1 ch=0
			abort id=2
			barrier ch=1 id=2 -> abort id=1: subsumed; resume ch=0; forward cancel id=2; resume ch=1
			barrier ch=1 id=3 -> first id=3 ch=1
			barrier ch=0 id=3 -> last id=3 ch=0; SNAPSHOT id=3; resume ch=0; resume ch=1`},
		{"a source snapshots at each trigger", 0, `
			trigger id=1 -> first id=1 ch=-1; last id=1 ch=-1; SNAPSHOT id=1
			trigger id=1
			trigger id=2,savepoint -> first id=2 ch=-1; last id=2 ch=-1; SNAPSHOT id=2,savepoint`},
		{"a source that was told to abort forwards the cancellation", 0, `
			abort id=1
			trigger id=1 -> forward cancel id=1`},
		{"a trigger after all channels ended snapshots at once", 2, `
			end ch=0
			end ch=1
			trigger id=1,final -> first id=1 ch=-1; last id=1 ch=-1; SNAPSHOT id=1,final`},
		{"a trigger before the channels ended waits for their ends", 2, `
			trigger id=1 -> first id=1 ch=-1
			end ch=1
			end ch=0 -> last id=1 ch=0; SNAPSHOT id=1`},
		{"a trigger and a barrier of one checkpoint belong together", 2, `
			barrier ch=0 id=1 -> first id=1 ch=0
			trigger id=1
			end ch=1 -> last id=1 ch=1; SNAPSHOT id=1; resume ch=0`},
		{"the snapshot carries kind and options of the barrier", 1, `
			barrier ch=0 id=7,savepoint,final,forced-aligned,timeout=1s -> first id=7 ch=0; last id=7 ch=0; SNAPSHOT id=7,savepoint,final,forced-aligned,timeout=1s; resume ch=0`},
		{"an unaligned barrier is declined by the aligned machine", 2, `
			barrier ch=0 id=1,unaligned -> abort id=1: alignment not supported; forward cancel id=1
			barrier ch=1 id=1,unaligned`},
		{"events of channels that are not there are ignored", 1, `
			barrier ch=1 id=1
			barrier ch=-1 id=1
			end ch=7
			cancel ch=2 id=1
			barrier ch=0 id=0 -> resume ch=0`},
	} {
		t.Run(c.name, func(t *testing.T) { runScenario(t, New(c.channels), c.script) })
	}
}

func runScenario(t *testing.T, s State, script string) {
	for line := range strings.Lines(script) {
		text, want, _ := strings.Cut(strings.TrimSpace(line), "->")
		if text == "" {
			continue
		}
		e, err := parseEvent(text)
		if err != nil {
			t.Fatal(err)
		}
		before := s
		next, acts := Step(s, e, nil)
		if s != before {
			t.Fatalf("%v changed the state that it was given", e)
		}
		var got []string
		for _, a := range acts {
			got = append(got, a.String())
		}
		if g := strings.Join(got, "; "); g != strings.TrimSpace(want) {
			t.Fatalf("%v in state %v:\n got %s\nwant %s", e, s, g, strings.TrimSpace(want))
		}
		s = next
	}
}

// TestRowsAreComplete compares the table of the machine with this picture:
// lines are phases; columns whether the checkpoint is aligned in time or
// overdue, and what is missing (channels of A, only channels of U, none).
func TestRowsAreComplete(t *testing.T) {
	const want = `
    time:A time:U    time:none    overdue:A overdue:U overdue:none abort
A0  ->A1   ->A1      snap+->A0    ->U0      cap,snap+->U1 cap,snap,stop+->A0 +->A0
A1  ->A1   ->A1      snap+->A0    ->U0      cap,snap+->U1 cap,snap,stop+->A0 +->A0
U0  ->U0   cap,snap+->U1 cap,snap,stop+->A0 ->U0      cap,snap+->U1 cap,snap,stop+->A0 +->A0
U1  ->U1   ->U1      stop->A0     ->U1      ->U1      stop->A0     drop->A0
`
	var sb strings.Builder
	sb.WriteString("\n    time:A time:U    time:none    overdue:A overdue:U overdue:none abort\n")
	for p, cells := range rows {
		fmt.Fprintf(&sb, "%-3v", Phase(p))
		for in, r := range cells {
			var does []string
			for _, d := range []struct {
				on   bool
				name string
			}{{r.capture, "cap"}, {r.snapshot, "snap"}, {r.stop, "stop"}, {r.drop, "drop"}} {
				if d.on {
					does = append(does, d.name)
				}
			}
			c := strings.Join(does, ",")
			if r.release {
				c += "+"
			}
			fmt.Fprintf(&sb, " %-*s", []int{6, 9, 12, 9, 9, 12, 0}[in], c+"->"+r.next.String())
		}
		sb.WriteString("\n")
	}
	if sb.String() != want {
		t.Errorf("got %s\nwant %s", sb.String(), want)
	}
}

// TestManyBarriersOnManyChannels: 123 checkpoints over 123 channels, the
// channels in another order each time.
func TestManyBarriersOnManyChannels(t *testing.T) {
	const n = 123
	s := New(n)
	var acts []Action
	snapshots, resumes := 0, 0
	for id := uint64(1); id <= n; id++ {
		for i := range n {
			ch := (i*int(id) + 5) % n
			if id%3 == 0 || id%41 == 0 { // not coprime to 123: walk in order
				ch = (i + int(id)) % n
			}
			s, acts = Step(s, Arrived(ch, Barrier{ID: id}), acts[:0])
			for _, a := range acts {
				switch a.Kind {
				case Snapshot:
					snapshots++
					if i != n-1 || a.ID != id {
						t.Fatalf("snapshot %d after %d of %d barriers of %d", a.ID, i+1, n, id)
					}
				case Resume:
					resumes++
				}
			}
			if i < n-1 && !s.Blocked(ch) {
				t.Fatalf("channel %d runs on behind barrier %d", ch, id)
			}
		}
	}
	if snapshots != n || resumes != n*n || s.Pending() != 0 || s.Newest() != n {
		t.Fatalf("%d snapshots, %d resumes, state %v", snapshots, resumes, s)
	}
}

// TestForgettingOrdersToAbort: the set of remembered ids is bounded and keeps
// the newest.
func TestForgettingOrdersToAbort(t *testing.T) {
	s := New(1)
	for id := uint64(100); id >= 1; id-- {
		s, _ = Step(s, Aborted(id), nil)
	}
	if s.aborted.len() != rememberedIDs || s.aborted[0] != 100-rememberedIDs+1 || s.aborted[rememberedIDs-1] != 100 {
		t.Fatalf("remembered %v", s.aborted)
	}
	s, acts := Step(s, Arrived(0, Barrier{ID: 3}), nil)
	if len(acts) != 4 {
		t.Fatalf("a forgotten id: %v", acts)
	}
	s, acts = Step(s, Arrived(0, Barrier{ID: 99}), nil)
	if len(acts) != 2 || acts[0].Kind != ForwardCancel || s.aborted.len() != 1 {
		t.Fatalf("a remembered id: %v, state %v", acts, s)
	}
}
