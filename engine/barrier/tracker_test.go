package barrier

import (
	"fmt"
	"strings"
	"testing"
)

// trackerRun is what a script of events makes a tracker do: the ids of
// checkpoints taken and, negative, of those given up, in order; how many events
// lay between First and Last of the newest one taken; and what is still counted.
type trackerRun struct {
	ids       string
	alignment int
	pending   string
}

// playTracker runs a script of words: b3@1 is the barrier of checkpoint 3 in
// channel 1, c3@1 its cancellation, e1 the end of channel 1, a3 the order to
// abort it, t3 the order to take it, d a buffer.
func playTracker(t *testing.T, channels int, script string) trackerRun {
	t.Helper()
	tr := NewTracker(channels)
	var ids []int64
	var r trackerRun
	begun, given := map[uint64]int{}, map[uint64]bool{}
	var owed uint64 // was given up: those behind are to be told
	for i, word := range strings.Fields(script) {
		var id uint64
		var ch int
		var e Event
		switch word[0] {
		case 'd':
			continue
		case 'e':
			fmt.Sscanf(word, "e%d", &ch)
			e = Ended(ch)
		case 'a':
			fmt.Sscanf(word, "a%d", &id)
			e, given[id] = Aborted(id), true
		case 't':
			fmt.Sscanf(word, "t%d", &id)
			e = Triggered(Barrier{ID: id, Alignment: Passing})
		case 'b':
			fmt.Sscanf(word, "b%d@%d", &id, &ch)
			e = Arrived(ch, Barrier{ID: id, Alignment: Passing})
		case 'c':
			fmt.Sscanf(word, "c%d@%d", &id, &ch)
			e = Cancelled(ch, id)
		default:
			t.Fatalf("word %q", word)
		}
		for _, a := range tr.Step(e, nil) {
			switch a.Kind {
			case First:
				begun[a.ID] = i
			case Last:
				r.alignment = i - begun[a.ID]
			case Snapshot:
				if a.Barrier.ID != a.ID || a.Barrier.Alignment != Passing {
					t.Errorf("%s: snapshot of %d sends %v on", word, a.ID, a.Barrier)
				}
				ids = append(ids, int64(a.ID))
			case Abort:
				ids, owed = append(ids, -int64(a.ID)), a.ID
			case ForwardCancel:
				if owed != a.ID && !given[a.ID] {
					t.Errorf("%s: cancels %d behind it, which it did not give up", word, a.ID)
				}
				owed = 0
			default:
				t.Errorf("%s: a tracker blocks nothing, but says %v", word, a)
			}
		}
		if owed != 0 {
			t.Errorf("%s: gives %d up and does not say so behind it", word, owed)
		}
	}
	r.ids, r.pending = strings.Trim(fmt.Sprint(ids), "[]"), strings.Trim(fmt.Sprint(tr.Pending()), "[]")
	return r
}

// TestCheckpointBarrierTracker are the cases of Flink's test of this name. In
// those about metrics an event is a unit of time.
func TestCheckpointBarrierTracker(t *testing.T) {
	const any = -1 // alignment
	for _, c := range []struct {
		name     string
		channels int
		script   string
		want     trackerRun
	}{
		{"SingleChannelNoBarriers", 1, "d d d", trackerRun{"", 0, ""}},
		{"MultiChannelNoBarriers", 4, "d d d d", trackerRun{"", 0, ""}},
		{"SingleChannelWithBarriers", 1, "d b1@0 d b2@0 b3@0 d b4@0 b5@0 b6@0 d", trackerRun{"1 2 3 4 5 6", 0, ""}},
		{"SingleChannelWithSkippedBarriers", 1, "b1@0 b3@0 b4@0 b6@0 d b7@0 b10@0", trackerRun{"1 3 4 6 7 10", 0, ""}},
		{"MultiChannelWithBarriers", 3, "b1@1 b1@2 d b1@0 b2@0 b2@1 b2@2 d b3@2 d b3@0 b3@1 b4@1 b4@2 b4@0", trackerRun{"1 2 3 4", 2, ""}},
		{"MultiChannelSkippingCheckpoints", 3, "b1@1 b1@2 b1@0 b2@0 b2@1 b2@2 b3@2 b4@0 b4@1 b4@2", trackerRun{"1 2 4", 2, ""}},
		{"CompleteCheckpointsOnLateBarriers", 3, `b2@1 b2@0 b2@2 b3@1 b3@2 b4@2 b4@1 b3@0 b4@0 b5@1 b5@0 b5@2 b6@1 b6@0
			b7@1 b7@2 b8@2 b8@1 b9@1 b7@0 b9@2 b10@2 b8@0 b9@0 b10@0 b10@1`, trackerRun{"2 3 4 5 7 8 9 10", any, ""}},
		{"NextFirstCheckpointBarrierOvertakesCancellationBarrier", 2, "b1@1 b2@1 c1@0 b2@0", trackerRun{"-1 2", 2, ""}},
		{"SingleChannelAbortCheckpoint", 1, "b1@0 d b2@0 c4@0 b5@0 d c6@0", trackerRun{"1 2 -4 5 -6", 0, ""}},
		{"MultiChannelAbortCheckpoint", 3, `b1@1 b1@2 b1@0 b2@0 b2@2 c2@1 b3@1 b3@2 b3@0 c4@1 b4@2 b4@0
			b5@2 b5@1 b5@0 c6@1 c6@2 b6@0`, trackerRun{"1 -2 3 -4 5 -6", any, ""}},
		{"InterleavedCancellationBarriers", 3, "b1@0 c2@0 c1@1 c2@1 c1@2 c2@2", trackerRun{"-1 -2", 0, ""}},
		{"Metrics", 3, "d d d b1@1 d d b1@0 d d b1@2 d d d e0 e1 e2", trackerRun{"1", 6, ""}},
		{"SingleChannelMetrics", 1, "d b1@0 d e0", trackerRun{"1", 0, ""}},
		{"TriggerCheckpointsWithEndOfPartition", 3, "b1@0 b2@0 b2@1 b3@0 b4@0 b4@1 b5@1 e2", trackerRun{"4", any, "5"}},
		{"DeduplicateChannelsWithBothBarrierAndEndOfPartition, open", 3, "b2@0 b2@1 e1", trackerRun{"", 0, "2"}},
		{"DeduplicateChannelsWithBothBarrierAndEndOfPartition", 3, "b2@0 b2@1 e1 b2@2", trackerRun{"2", 3, ""}},
		{"TriggerCheckpointsAfterReceivedEndOfPartition", 3, "e2 b5@0 b6@0 b6@1 e1 b7@0", trackerRun{"6 7", 0, ""}},
		{"NoFastPathWithChannelFinishedDuringCheckpoints", 2, "b1@0 e0 b1@1", trackerRun{"1", 2, ""}},
		{"CompleteAndRemoveAbortedCheckpointWithEndOfPartition", 3, "c4@0 b4@1 b5@1 e2", trackerRun{"-4", 0, "5"}},
		{"AbortCheckpointsAfterEndOfPartitionReceived", 3, "e2 b5@0 b6@0 c6@1 e1 c7@0", trackerRun{"-5 -6 -7", 0, ""}},
		{"NoFastPathWithChannelFinishedDuringCheckpointsCancel", 2, "b1@0 e0 c1@1", trackerRun{"-1", 0, ""}},
		{"TwoLastBarriersOneByOne", 2, "b1@1 b2@1 b1@0 b2@0", trackerRun{"1 2", 2, ""}},

		// What Flink leaves to other classes.
		{"the coordinator aborts", 2, "b1@0 a1 b1@1 b2@0 b2@1", trackerRun{"-1 2", 1, ""}},
		{"it aborts before the barrier", 2, "a1 b1@0 b1@1 b2@0 b2@1", trackerRun{"2", 1, ""}},
		{"it aborts before the cancellation", 2, "a1 c1@0 c1@1", trackerRun{"", 0, ""}},
		{"it aborts what is over", 2, "b1@0 b1@1 a1", trackerRun{"1", 1, ""}},
		{"a source", 0, "t1 t2", trackerRun{"1 2", 0, ""}},
		{"an order while inputs end", 2, "e0 t1 e1 t2", trackerRun{"1 2", 0, ""}},
		{"a barrier twice", 2, "b1@0 b1@0 b1@1 b1@1", trackerRun{"1", 2, ""}},
		{"of no channel", 2, "b1@2 e5 b1@0 e0 b1@0 b1@1", trackerRun{"1", 3, ""}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := playTracker(t, c.channels, c.script)
			if c.want.alignment == any {
				got.alignment = any
			}
			if got != c.want {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
		})
	}
}

// TestTrackerForgets: of more than 50 unfinished checkpoints the oldest are not
// counted any more.
func TestTrackerForgets(t *testing.T) {
	var script strings.Builder
	for id := 1; id <= 60; id++ {
		fmt.Fprintf(&script, "b%d@0 ", id)
	}
	got := playTracker(t, 2, script.String()+"b5@1 b10@1 b11@1 b60@1")
	if want := "11 60"; got.ids != want || got.pending != "" {
		t.Errorf("took %s (want %s), counts %s", got.ids, want, got.pending)
	}
}

// TestTrackerRefuses: a barrier that overtook data is given up, and one that
// blocks its channel at least lets it go on.
func TestTrackerRefuses(t *testing.T) {
	tr := NewTracker(2)
	acts := tr.Step(Arrived(0, Barrier{ID: 1, Alignment: Unaligned}), nil)
	if got := fmt.Sprint(acts); got != "[first id=1 ch=0 abort id=1: alignment not supported forward cancel id=1]" {
		t.Errorf("unaligned: %s", got)
	}
	acts = tr.Step(Arrived(0, Barrier{ID: 2}), nil)
	if got := fmt.Sprint(acts); got != "[resume ch=0 first id=2 ch=0]" {
		t.Errorf("aligned: %s", got)
	}
	if got := tr.String(); got != "newest=2 1:{0},aborted 2:{0}" || tr.Newest() != 2 {
		t.Error(got)
	}
}
