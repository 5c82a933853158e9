package barrier

import (
	"slices"
	"testing"
	"time"
)

// TestAlternating holds those rows of the field's matrix for handlers that
// alternate between aligned and unaligned whose subject exists here: channels
// are local, there are no announcements. "UUA" are the channels: U may be
// unaligned, A is aligned-only.
func TestAlternating(t *testing.T) {
	for _, c := range []struct{ name, channels, script string }{
		{"a savepoint is aligned, a checkpoint behind it is not", "UU", `
			barrier ch=0 id=1,savepoint -> first id=1 ch=0
			barrier ch=1 id=1,savepoint -> last id=1 ch=1; SNAPSHOT id=1,savepoint; resume ch=0; resume ch=1
			barrier ch=0 id=2,unaligned -> first id=2 ch=0; CAPTURE id=2; done ch=0; SNAPSHOT id=2,unaligned
			barrier ch=1 id=2,unaligned -> done ch=1; last id=2 ch=1; stop id=2`},
		{"a new barrier resets the channels of the one before", "UU", `
			barrier ch=0 id=1,unaligned -> first id=1 ch=0; CAPTURE id=1; done ch=0; SNAPSHOT id=1,unaligned
			barrier ch=0 id=2 -> abort id=1: subsumed; drop id=1; first id=2 ch=0
			barrier ch=1 id=2 -> last id=2 ch=1; SNAPSHOT id=2; resume ch=0; resume ch=1`},
		{"aligned after a timed-out one", "UU", `
			barrier ch=0 id=1,timeout=1s -> first id=1 ch=0; timer id=1 after=1s
			timer id=1 -> CAPTURE id=1; done ch=0; SNAPSHOT id=1,unaligned; resume ch=0
			barrier ch=1 id=1,unaligned -> done ch=1; last id=1 ch=1; stop id=1
			barrier ch=0 id=2,timeout=1s -> first id=2 ch=0; timer id=2 after=1s
			barrier ch=1 id=2,timeout=1s -> last id=2 ch=1; SNAPSHOT id=2,timeout=1s; resume ch=0; resume ch=1`},
		{"without a timeout a barrier never times out", "UU", `
			barrier ch=0 id=1 elapsed=2h -> first id=1 ch=0
			timer id=1
			barrier ch=1 id=1 elapsed=3h -> last id=1 ch=1; SNAPSHOT id=1; resume ch=0; resume ch=1`},
		{"timeout after one barrier: all channels run on, the other's data is captured until its barrier", "UUU", `
			barrier ch=1 id=1,timeout=1s elapsed=400ms -> first id=1 ch=1; timer id=1 after=600ms
			timer id=1 -> CAPTURE id=1; done ch=1; SNAPSHOT id=1,unaligned; resume ch=1
			barrier ch=0 id=1,unaligned -> done ch=0
			barrier ch=2 id=1,timeout=1s -> done ch=2; resume ch=2; last id=1 ch=2; stop id=1`},
		{"timeout on the first barrier, found passively", "UU", `
			barrier ch=0 id=1,timeout=1s elapsed=1001ms -> first id=1 ch=0; CAPTURE id=1; done ch=0; SNAPSHOT id=1,unaligned; resume ch=0
			barrier ch=1 id=1,timeout=1s elapsed=2s -> done ch=1; resume ch=1; last id=1 ch=1; stop id=1`},
		{"at the timeout itself it has not timed out", "UU", `
			barrier ch=0 id=1,timeout=1s elapsed=1s -> first id=1 ch=0; timer id=1 after=0s
			timer id=1 -> CAPTURE id=1; done ch=0; SNAPSHOT id=1,unaligned; resume ch=0`},
		{"a timer before the first barrier does nothing", "UU", `
			timer id=1
			barrier ch=0 id=1,timeout=1s -> first id=1 ch=0; timer id=1 after=1s`},
		{"active timer, then passive check", "UUU", `
			barrier ch=0 id=1,timeout=1s -> first id=1 ch=0; timer id=1 after=1s
			timer id=1 -> CAPTURE id=1; done ch=0; SNAPSHOT id=1,unaligned; resume ch=0
			barrier ch=1 id=1,timeout=1s elapsed=2s -> done ch=1; resume ch=1
			barrier ch=2 id=1,timeout=1s elapsed=2s -> done ch=2; resume ch=2; last id=1 ch=2; stop id=1`},
		{"passive check, then active timer", "UUU", `
			barrier ch=0 id=1,timeout=1s -> first id=1 ch=0; timer id=1 after=1s
			barrier ch=1 id=1,timeout=1s elapsed=2s -> CAPTURE id=1; done ch=0; done ch=1; SNAPSHOT id=1,unaligned; resume ch=0; resume ch=1
			timer id=1
			barrier ch=2 id=1,unaligned -> done ch=2; last id=1 ch=2; stop id=1`},
		{"when the last barrier is late the checkpoint is aligned all the same, and its outputs time out at once", "UU", `
			barrier ch=0 id=1,timeout=1s -> first id=1 ch=0; timer id=1 after=1s
			barrier ch=1 id=1,timeout=1s elapsed=2s -> last id=1 ch=1; SNAPSHOT id=1,timeout=1s; resume ch=0; resume ch=1
			timer id=1`},
		{"the second checkpoint's barrier while the first is captured", "UU", `
			barrier ch=0 id=1,timeout=1s -> first id=1 ch=0; timer id=1 after=1s
			timer id=1 -> CAPTURE id=1; done ch=0; SNAPSHOT id=1,unaligned; resume ch=0
			barrier ch=1 id=1,unaligned -> done ch=1; last id=1 ch=1; stop id=1
			barrier ch=1 id=2,timeout=1s -> first id=2 ch=1; timer id=2 after=1s
			timer id=1
			barrier ch=0 id=2,unaligned -> last id=2 ch=0; CAPTURE id=2; done ch=0; done ch=1; SNAPSHOT id=2,unaligned; stop id=2; resume ch=1`},
		{"the timer has no effect after the last barrier", "UU", `
			barrier ch=0 id=1,timeout=1s -> first id=1 ch=0; timer id=1 after=1s
			barrier ch=1 id=1,timeout=1s -> last id=1 ch=1; SNAPSHOT id=1,timeout=1s; resume ch=0; resume ch=1
			timer id=1`},
		{"the timer has no effect after an abort", "UU", `
			barrier ch=0 id=1,timeout=1s -> first id=1 ch=0; timer id=1 after=1s
			abort id=1 -> abort id=1: aborted by the coordinator; forward cancel id=1; resume ch=0
			timer id=1`},
		{"the timer has no effect after all channels ended", "UU", `
			barrier ch=0 id=1,timeout=1s -> first id=1 ch=0; timer id=1 after=1s
			end ch=1 -> last id=1 ch=1; SNAPSHOT id=1,timeout=1s; resume ch=0
			end ch=0
			timer id=1`},
		{"a single channel starts no timer", "U", `
			barrier ch=0 id=1,timeout=1s -> first id=1 ch=0; last id=1 ch=0; SNAPSHOT id=1,timeout=1s; resume ch=0`},
		{"an unaligned barrier after a processed aligned one begins the capture of the others", "UUU", `
			barrier ch=0 id=1,timeout=1s -> first id=1 ch=0; timer id=1 after=1s
			barrier ch=1 id=1,unaligned -> CAPTURE id=1; done ch=0; done ch=1; SNAPSHOT id=1,unaligned; resume ch=0
			barrier ch=2 id=1,unaligned -> done ch=2; last id=1 ch=2; stop id=1`},
		{"timeout after the end of a channel", "UUU", `
			barrier ch=0 id=1,timeout=1s -> first id=1 ch=0; timer id=1 after=1s
			end ch=1
			timer id=1 -> CAPTURE id=1; done ch=0; done ch=1; SNAPSHOT id=1,unaligned; resume ch=0
			end ch=2 -> done ch=2; last id=1 ch=2; stop id=1`},
		{"the end of a channel finds the timeout passively", "UUU", `
			barrier ch=0 id=1,timeout=1s -> first id=1 ch=0; timer id=1 after=1s
			end ch=1 elapsed=2s -> CAPTURE id=1; done ch=0; done ch=1; SNAPSHOT id=1,unaligned; resume ch=0
			barrier ch=2 id=1,timeout=1s -> done ch=2; resume ch=2; last id=1 ch=2; stop id=1`},
		{"the end of the last missing channel aligns, late or not", "UU", `
			barrier ch=0 id=1,timeout=1s -> first id=1 ch=0; timer id=1 after=1s
			end ch=1 elapsed=2s -> last id=1 ch=1; SNAPSHOT id=1,timeout=1s; resume ch=0`},
		{"an out-of-order barrier is dropped", "UU", `
			barrier ch=0 id=2,unaligned -> first id=2 ch=0; CAPTURE id=2; done ch=0; SNAPSHOT id=2,unaligned
			barrier ch=1 id=1,unaligned
			barrier ch=1 id=1,timeout=1s -> resume ch=1
			barrier ch=1 id=2,unaligned -> done ch=1; last id=2 ch=1; stop id=2`},
		{"the next checkpoint's barrier overtakes a cancel marker", "UU", `
			barrier ch=0 id=1,timeout=1s -> first id=1 ch=0; timer id=1 after=1s
			barrier ch=1 id=2,unaligned -> abort id=1: subsumed; resume ch=0; first id=2 ch=1; CAPTURE id=2; done ch=1; SNAPSHOT id=2,unaligned
			cancel ch=1 id=1
			barrier ch=0 id=2,unaligned -> done ch=0; last id=2 ch=0; stop id=2`},
		{"a source sends on what it was told", "-", `
			trigger id=1,unaligned -> first id=1 ch=-1; last id=1 ch=-1; CAPTURE id=1; SNAPSHOT id=1,unaligned; stop id=1
			trigger id=2,timeout=1s -> first id=2 ch=-1; last id=2 ch=-1; SNAPSHOT id=2,timeout=1s
			trigger id=3,savepoint -> first id=3 ch=-1; last id=3 ch=-1; SNAPSHOT id=3,savepoint`},
	} {
		t.Run(c.name, func(t *testing.T) { playScenario(t, c.channels, c.script) })
	}
}

func playScenario(t *testing.T, channels, script string) {
	s, err := parseState(channels)
	if err != nil {
		t.Fatal(err)
	}
	runScenario(t, s, script)
}

// TestUnaligned holds the rows for unaligned barriers.
func TestUnaligned(t *testing.T) {
	for _, c := range []struct{ name, channels, script string }{
		{"without barriers nothing happens", "UU", `
			end ch=0
			end ch=1`},
		{"a single channel", "U", `
			barrier ch=0 id=1,unaligned -> first id=1 ch=0; last id=1 ch=0; CAPTURE id=1; done ch=0; SNAPSHOT id=1,unaligned; stop id=1
			barrier ch=0 id=2,unaligned -> first id=2 ch=0; last id=2 ch=0; CAPTURE id=2; done ch=0; SNAPSHOT id=2,unaligned; stop id=2`},
		{"several channels: the snapshot at the first barrier, complete at the last; ids may be skipped", "UUU", `
			barrier ch=1 id=4,unaligned -> first id=4 ch=1; CAPTURE id=4; done ch=1; SNAPSHOT id=4,unaligned
			barrier ch=2 id=4,unaligned -> done ch=2
			barrier ch=0 id=4,unaligned -> done ch=0; last id=4 ch=0; stop id=4
			barrier ch=0 id=7,unaligned -> first id=7 ch=0; CAPTURE id=7; done ch=0; SNAPSHOT id=7,unaligned`},
		{"a newer barrier drops the capture that goes on: missing cancel barriers", "UU", `
			barrier ch=0 id=1,unaligned -> first id=1 ch=0; CAPTURE id=1; done ch=0; SNAPSHOT id=1,unaligned
			barrier ch=0 id=2,unaligned -> abort id=1: subsumed; drop id=1; first id=2 ch=0; CAPTURE id=2; done ch=0; SNAPSHOT id=2,unaligned
			barrier ch=1 id=1,unaligned
			barrier ch=1 id=2,unaligned -> done ch=1; last id=2 ch=1; stop id=2`},
		{"start with channels that ended", "UUU", `
			end ch=0
			end ch=1
			barrier ch=2 id=1,unaligned -> first id=1 ch=2; last id=1 ch=2; CAPTURE id=1; done ch=0; done ch=1; done ch=2; SNAPSHOT id=1,unaligned; stop id=1`},
		{"the end of the stream during a checkpoint completes it", "UUU", `
			barrier ch=0 id=1,unaligned -> first id=1 ch=0; CAPTURE id=1; done ch=0; SNAPSHOT id=1,unaligned
			end ch=1 -> done ch=1
			end ch=2 -> done ch=2; last id=1 ch=2; stop id=1`},
		{"barrier and end of one channel count once", "UUU", `
			barrier ch=0 id=1,unaligned -> first id=1 ch=0; CAPTURE id=1; done ch=0; SNAPSHOT id=1,unaligned
			end ch=0
			barrier ch=1 id=1,unaligned -> done ch=1
			end ch=1
			end ch=2 -> done ch=2; last id=1 ch=2; stop id=1`},
		{"a trigger after the end of all channels", "UU", `
			end ch=0
			end ch=1
			trigger id=1,unaligned -> first id=1 ch=-1; last id=1 ch=-1; CAPTURE id=1; done ch=0; done ch=1; SNAPSHOT id=1,unaligned; stop id=1`},
		{"a trigger before the end of the channels: what comes until then is captured", "UU", `
			trigger id=1,unaligned -> first id=1 ch=-1; CAPTURE id=1; SNAPSHOT id=1,unaligned
			end ch=0 -> done ch=0
			end ch=1 -> done ch=1; last id=1 ch=1; stop id=1`},
		{"a trigger that may time out", "UU", `
			trigger id=1,timeout=1s -> first id=1 ch=-1; timer id=1 after=1s
			end ch=0
			timer id=1 -> CAPTURE id=1; done ch=0; SNAPSHOT id=1,unaligned
			end ch=1 -> done ch=1; last id=1 ch=1; stop id=1`},
		{"a cancellation before the barrier", "UU", `
			cancel ch=0 id=1 -> abort id=1: cancelled upstream; forward cancel id=1
			barrier ch=1 id=1,unaligned
			barrier ch=1 id=2,unaligned -> first id=2 ch=1; CAPTURE id=2; done ch=1; SNAPSHOT id=2,unaligned`},
		{"a cancellation after the snapshot drops the capture; the barrier is out", "UU", `
			barrier ch=0 id=1,unaligned -> first id=1 ch=0; CAPTURE id=1; done ch=0; SNAPSHOT id=1,unaligned
			cancel ch=1 id=1 -> abort id=1: cancelled upstream; drop id=1
			cancel ch=0 id=1`},
		{"a cancellation of a subsumed checkpoint is ignored", "UU", `
			barrier ch=0 id=1,unaligned -> first id=1 ch=0; CAPTURE id=1; done ch=0; SNAPSHOT id=1,unaligned
			barrier ch=1 id=2,unaligned -> abort id=1: subsumed; drop id=1; first id=2 ch=1; CAPTURE id=2; done ch=1; SNAPSHOT id=2,unaligned
			cancel ch=0 id=1
			barrier ch=0 id=2,unaligned -> done ch=0; last id=2 ch=0; stop id=2`},
		{"a single channel is aborted before its barrier", "U", `
			abort id=1
			barrier ch=0 id=1,unaligned -> forward cancel id=1
			barrier ch=0 id=2,unaligned -> first id=2 ch=0; last id=2 ch=0; CAPTURE id=2; done ch=0; SNAPSHOT id=2,unaligned; stop id=2`},
		{"several channels are aborted while they are captured", "UU", `
			barrier ch=0 id=1,unaligned -> first id=1 ch=0; CAPTURE id=1; done ch=0; SNAPSHOT id=1,unaligned
			abort id=1 -> abort id=1: aborted by the coordinator; drop id=1
			barrier ch=1 id=1,unaligned
			timer id=1`},
		{"early cleanup: after the last barrier nothing is left to abort", "UU", `
			barrier ch=0 id=1,unaligned -> first id=1 ch=0; CAPTURE id=1; done ch=0; SNAPSHOT id=1,unaligned
			barrier ch=1 id=1,unaligned -> done ch=1; last id=1 ch=1; stop id=1
			abort id=1
			cancel ch=0 id=1`},
	} {
		t.Run(c.name, func(t *testing.T) { playScenario(t, c.channels, c.script) })
	}
}

// TestMixedGates: rule R2, channels of both kinds at one task.
func TestMixedGates(t *testing.T) {
	for _, c := range []struct{ name, channels, script string }{
		{"an unaligned channel is held until the aligned-only one is there", "UUA", `
			barrier ch=0 id=1,unaligned -> first id=1 ch=0; hold ch=0
			barrier ch=2 id=1,forced-aligned -> CAPTURE id=1; done ch=0; SNAPSHOT id=1,unaligned; unhold ch=0; resume ch=2
			barrier ch=1 id=1,unaligned -> done ch=1; last id=1 ch=1; stop id=1`},
		{"the aligned-only channel alone begins the snapshot of an unaligned checkpoint", "UA", `
			barrier ch=1 id=1,forced-aligned -> first id=1 ch=1; CAPTURE id=1; SNAPSHOT id=1,unaligned; resume ch=1
			barrier ch=0 id=1,unaligned -> done ch=0; last id=1 ch=0; stop id=1`},
		{"all unaligned channels first: nothing arrives after the snapshot", "UUA", `
			barrier ch=1 id=1,unaligned -> first id=1 ch=1; hold ch=1
			barrier ch=0 id=1,unaligned -> hold ch=0
			barrier ch=2 id=1,forced-aligned -> last id=1 ch=2; CAPTURE id=1; done ch=0; done ch=1; SNAPSHOT id=1,unaligned; stop id=1; unhold ch=0; unhold ch=1; resume ch=2`},
		{"forced and timeoutable: aligned in time, and timeoutable again on the way out", "UA", `
			barrier ch=1 id=1,forced-aligned,timeout=1s -> first id=1 ch=1; timer id=1 after=1s
			barrier ch=0 id=1,timeout=1s -> last id=1 ch=0; SNAPSHOT id=1,timeout=1s; resume ch=0; resume ch=1`},
		{"forced and timed out: only the others need not be waited for", "UAA", `
			barrier ch=1 id=1,forced-aligned,timeout=1s -> first id=1 ch=1; timer id=1 after=1s
			timer id=1
			barrier ch=2 id=1,forced-aligned,timeout=1s -> CAPTURE id=1; SNAPSHOT id=1,unaligned; resume ch=1; resume ch=2
			barrier ch=0 id=1,timeout=1s -> done ch=0; resume ch=0; last id=1 ch=0; stop id=1`},
		{"aligned-only channels restore the kind for the outputs", "AA", `
			barrier ch=0 id=1,forced-aligned -> first id=1 ch=0
			barrier ch=1 id=1,forced-aligned -> last id=1 ch=1; CAPTURE id=1; SNAPSHOT id=1,unaligned; stop id=1; resume ch=0; resume ch=1
			barrier ch=0 id=2,forced-aligned,timeout=1s -> first id=2 ch=0
			barrier ch=1 id=2,forced-aligned,timeout=1s elapsed=2s -> last id=2 ch=1; SNAPSHOT id=2,timeout=1s; resume ch=0; resume ch=1
			barrier ch=0 id=3,savepoint -> first id=3 ch=0
			barrier ch=1 id=3,savepoint -> last id=3 ch=1; SNAPSHOT id=3,savepoint; resume ch=0; resume ch=1`},
		{"a savepoint waits for all", "UA", `
			barrier ch=1 id=1,savepoint -> first id=1 ch=1
			barrier ch=0 id=1,savepoint -> last id=1 ch=0; SNAPSHOT id=1,savepoint; resume ch=0; resume ch=1`},
		{"the end of the aligned-only channel releases the held ones", "UA", `
			barrier ch=0 id=1,unaligned -> first id=1 ch=0; hold ch=0
			end ch=1 -> last id=1 ch=1; CAPTURE id=1; done ch=0; SNAPSHOT id=1,unaligned; stop id=1; unhold ch=0`},
		{"an abort releases held and blocked channels", "UUA", `
			barrier ch=0 id=1,unaligned -> first id=1 ch=0; hold ch=0
			barrier ch=1 id=1,timeout=1s
			abort id=1 -> abort id=1: aborted by the coordinator; forward cancel id=1; unhold ch=0; resume ch=1
			barrier ch=2 id=1,forced-aligned -> resume ch=2`},
		{"a cancellation releases held channels", "UA", `
			barrier ch=0 id=1,unaligned -> first id=1 ch=0; hold ch=0
			cancel ch=1 id=1 -> abort id=1: cancelled upstream; forward cancel id=1; unhold ch=0`},
		{"a newer barrier on a held channel releases it and holds it again", "UA", `
			barrier ch=0 id=1,unaligned -> first id=1 ch=0; hold ch=0
			barrier ch=0 id=2,unaligned -> abort id=1: subsumed; unhold ch=0; first id=2 ch=0; hold ch=0
			barrier ch=1 id=1,forced-aligned -> resume ch=1
			barrier ch=1 id=2,forced-aligned -> last id=2 ch=1; CAPTURE id=2; done ch=0; SNAPSHOT id=2,unaligned; stop id=2; unhold ch=0; resume ch=1`},
		{"a newer unaligned barrier on a blocked channel", "UA", `
			barrier ch=0 id=1,timeout=1s -> first id=1 ch=0; timer id=1 after=1s
			barrier ch=0 id=2,unaligned -> abort id=1: subsumed; resume ch=0; first id=2 ch=0; hold ch=0`},
		{"a barrier of an obsolete checkpoint does not release a held channel", "UA", `
			barrier ch=0 id=2,unaligned -> first id=2 ch=0; hold ch=0
			barrier ch=0 id=1,unaligned
			barrier ch=1 id=1,forced-aligned -> resume ch=1`},
		{"a barrier with priority on an aligned-only channel is declined", "UA", `
			barrier ch=1 id=1,unaligned -> abort id=1: alignment not supported; forward cancel id=1
			barrier ch=0 id=2,unaligned -> first id=2 ch=0; hold ch=0
			barrier ch=1 id=2,unaligned -> abort id=2: alignment not supported; forward cancel id=2; unhold ch=0`},
		{"a barrier twice from a channel counts once", "UUA", `
			barrier ch=0 id=1,unaligned -> first id=1 ch=0; hold ch=0
			barrier ch=0 id=1,unaligned
			barrier ch=2 id=1,forced-aligned -> CAPTURE id=1; done ch=0; SNAPSHOT id=1,unaligned; unhold ch=0; resume ch=2
			barrier ch=0 id=1,timeout=1s -> resume ch=0
			barrier ch=1 id=1,unaligned -> done ch=1; last id=1 ch=1; stop id=1`},
	} {
		t.Run(c.name, func(t *testing.T) { playScenario(t, c.channels, c.script) })
	}
}

// TestAlternatingManyBarriersOnManyChannels: 123 checkpoints over 123
// channels, by turns aligned, unaligned and timed out; each third channel is
// aligned-only.
func TestAlternatingManyBarriersOnManyChannels(t *testing.T) {
	const n = 123
	modes := make([]bool, n)
	for ch := range modes {
		modes[ch] = ch%3 != 2
	}
	for _, modes := range [][]bool{slices.Repeat([]bool{true}, n), modes} {
		s := NewAlternating(modes)
		var acts []Action
		count := map[ActionKind]int{}
		for id := uint64(1); id <= n; id++ {
			b := Barrier{ID: id}
			switch id % 3 {
			case 1:
				b.Alignment = Unaligned
			case 2:
				b.Timeout = time.Second
			}
			for i := range n {
				ch := (i + int(id)*7) % n
				e := Arrived(ch, b)
				if !modes[ch] {
					e = Arrived(ch, b.Forced())
				}
				if id%3 == 2 && i == n/2 {
					e = e.After(2 * time.Second)
				}
				s, acts = Step(s, e, acts[:0])
				for _, a := range acts {
					count[a.Kind]++
				}
			}
			if s.Pending() != 0 || s.Phase() != A0 {
				t.Fatalf("after checkpoint %d: %v", id, s)
			}
		}
		if count[Snapshot] != n || count[BeginCapture] != 2*n/3 || count[StopCapture] != 2*n/3 || count[Hold] != count[Unhold] || count[StartTimer] != n/3 || count[DropCapture] != 0 {
			t.Errorf("actions by kind: %v", count)
		}
	}
}

// TestForcedAndBack: a barrier that crosses aligned-only edges keeps its kind.
func TestForcedAndBack(t *testing.T) {
	for _, b := range []Barrier{
		{ID: 1}, {ID: 1, Kind: Savepoint}, {ID: 1, Timeout: time.Second}, {ID: 1, Alignment: Unaligned},
	} {
		f := b.Forced()
		if f.Priority() || f.Timeoutable() || f.Original() != b || f.Forced() != f || b.Original() != b {
			t.Errorf("%v: forced %v, and back %v", b, f, f.Original())
		}
		if plain := b.Alignment == Aligned && b.Timeout == 0; plain != (f == b) {
			t.Errorf("%v: forced %v", b, f)
		}
	}
	if b := (Barrier{ID: 1, Timeout: time.Second}).Overtaking(); !b.Priority() || b.Timeout != 0 {
		t.Errorf("overtaking %v", b)
	}
}
