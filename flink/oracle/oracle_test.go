package oracle

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

// each runs the test against every version; in a short run, which looks for races
// on the Go side, against one.
func each(t *testing.T, f func(t *testing.T, s *Server)) {
	versions := Versions
	if testing.Short() {
		versions = versions[len(versions)-1:]
	}
	for _, v := range versions {
		t.Run(string(v), func(t *testing.T) { f(t, Start(t, v)) })
	}
}

// The oracle has to be right itself: what it wrote it restores unchanged, and
// Flink does what the Go side foretells.
func TestHeapCheckpointRestores(t *testing.T) {
	each(t, func(t *testing.T, s *Server) {
		job := Job{Parallelism: 2, KeyType: "string", States: AllStates}
		conf := map[string]string{"state.backend.type": "hashmap"}
		wrote := s.Must(t, Request{Job: job, Conf: conf, Dir: "file:" + t.TempDir(), Snapshots: []Snapshot{{At: 120}}})
		snap := wrote.Snapshots[0]
		start := Job{States: job.States, Records: 120, KeyType: "string"}
		zero := View{Positions: map[int]int64{0: 0, 1: 0, 2: 0, 3: 0}}
		if d := Diff(withTimers(start, start.Expect(zero, nil).Final), snap.State.Keyed); d != "" {
			t.Fatalf("the state after 120 records:\n%s", d)
		}
		got := s.Must(t, Request{Job: job, Conf: conf, From: snap.Path, Finish: true})
		check(t, job, snap, nil, got)
		fmt.Printf("RESULT oracle-heap flink=%s keys=%d outputs=%d\n", s.Flink, len(got.Restored.Keyed), len(got.Outputs))
	})
}

// withTimers undoes the firing of the timers that Expect ends with.
func withTimers(j Job, final []Entry) []Entry {
	for i := range final {
		delete(final[i].Words, "fired")
		for _, id := range final[i].IDs {
			if id%3 == 0 {
				final[i].Timers = insert(final[i].Timers, timerBase+id)
			}
		}
	}
	return final
}

// check compares a run that was restored from snap with what it must do.
func check(t *testing.T, job Job, snap Taken, deliver []int64, got *Report) {
	t.Helper()
	if d := Diff(snap.State.Keyed, got.Restored.Keyed); d != "" {
		t.Errorf("the restored state:\n%s", d)
	}
	want := job.Expect(snap.State, deliver)
	want.Outputs = append(want.Outputs, job.PendingOutputs(snap)...)
	if d := DiffLines(want.Outputs, got.Outputs); d != "" {
		t.Errorf("the outputs:\n%s", d)
	}
	if d := Diff(want.Final, got.Final.Keyed); d != "" {
		t.Errorf("the final state:\n%s", d)
	}
}

// What Flink refuses comes back as its own words, and the JVM serves on; state
// without an operator is left out only if that is asked for.
func TestRefusals(t *testing.T) {
	each(t, func(t *testing.T, s *Server) {
		job := Job{KeyType: "pojo", States: BaseStates}
		snap := s.Must(t, Request{Job: job, Dir: "file:" + t.TempDir(), Snapshots: []Snapshot{{At: 50}}}).Snapshots[0]
		job.UIDs = map[string]string{"keyed": "renamed"}
		_, err := s.Run(t.Context(), Request{Job: job, From: snap.Path, Finish: true})
		var flink *FlinkError
		if !errors.As(err, &flink) || !strings.Contains(err.Error(), "allowNonRestoredState") {
			t.Fatalf("restored under another uid: %v, want Flink's refusal", err)
		}
		got := s.Must(t, Request{Job: job, From: snap.Path, AllowNonRestored: true, Finish: true})
		if len(got.Restored.Keyed) != 0 {
			t.Errorf("restored %d keys of an operator that the job does not have", len(got.Restored.Keyed))
		}
		want := job.Expect(View{Positions: snap.State.Positions}, nil)
		if d := DiffLines(want.Outputs, got.Outputs); d != "" {
			t.Errorf("the outputs:\n%s", d)
		}
	})
}
