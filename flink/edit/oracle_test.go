package edit_test

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/tidemark-io/tidemark/checkpoint"
	"github.com/tidemark-io/tidemark/flink/oracle"
)

// long reports whether the long parts of tests are wanted.
func long() bool { return os.Getenv("TIDEMARK_LONG") != "" }

// trial is a sample, what a tool does to it, and what a real Flink must make of it.
type trial struct {
	sample string
	edit   checkpoint.Edit
	// adapt changes the job that is restored.
	adapt func(*oracle.Job)
	// conf is on top of the sample's configuration.
	conf map[string]string
	// stripped says that nothing in flight arrives.
	stripped bool
	flinks   []oracle.Version
	short    bool // part of make test
}

// restore runs a trial on one version of Flink.
func restore(t *testing.T, v oracle.Version, s *oracle.Sample, tr trial) {
	j := copied(t, s)
	j.apply(t, tr.edit, "result")
	// The source is gone: the result stands alone.
	must(t, os.RemoveAll(j.root+"/checkpoints"))
	flinkRestores(t, v, j.root, s, tr)
}

// flinkRestores requires that Flink finds the sample's state in "result", and does
// with it what the sample foretells.
func flinkRestores(t *testing.T, v oracle.Version, root string, s *oracle.Sample, tr trial) {
	t.Helper()
	job := s.Request.Job
	if tr.adapt != nil {
		tr.adapt(&job)
	}
	conf := maps.Clone(s.Request.Conf)
	maps.Copy(conf, tr.conf)
	claim := "NO_CLAIM"
	if strings.Contains(s.Name, "changelog") {
		claim = "CLAIM" // this state backend cannot restore without
	}
	got := oracle.Start(t, v).Must(t, oracle.Request{Job: job, Conf: conf, Dir: oracle.Bucket + "/again", S3Root: root, JobID: strings.Repeat("2", 32),
		From: oracle.Bucket + "/result", Claim: claim, Finish: true})
	flights := oracle.IDs(s.InFlight)
	var pending []string
	if tr.stripped {
		flights = nil
	} else if job.SinkEdge != "" {
		pending = job.PendingOutputs(s.Snapshot)
	}
	want := job.Expect(s.Snapshot.State, flights)
	for what, diff := range map[string]string{
		"restored state": oracle.Diff(s.Snapshot.State.Keyed, got.Restored.Keyed),
		"output":         oracle.DiffLines(append(slices.Clone(want.Outputs), pending...), got.Outputs),
		"final state":    oracle.Diff(want.Final, got.Final.Keyed),
	} {
		if diff != "" {
			t.Errorf("%s: %s", what, diff)
		}
	}
}

// run runs the trials that are wanted, and tells how many.
func run(t *testing.T, name string, trials []trial) {
	samples := map[string]*oracle.Sample{}
	for _, s := range oracle.Samples(t) {
		samples[s.Name] = s
	}
	n := 0
	for _, tr := range trials {
		s := samples[tr.sample]
		if s == nil {
			t.Fatalf("there is no sample %s", tr.sample)
		}
		for _, v := range tr.flinks {
			if !long() && !tr.short {
				continue
			}
			if t.Run(fmt.Sprintf("%s %s %v", tr.sample, tr.edit.Command, v), func(t *testing.T) { restore(t, v, s, tr) }) {
				n++
			}
		}
	}
	fmt.Printf("RESULT %s restored=%d\n", name, n)
}

var both = oracle.Versions

var stripAll = checkpoint.Edit{Command: "strip", Drop: []checkpoint.Drop{{Kind: checkpoint.DropInFlight}}}

// A real Flink restores stripped unaligned checkpoints without the records that
// were in flight, and with everything else.
func TestFlinkRestoresStripped(t *testing.T) {
	run(t, "flink-restores-stripped", []trial{
		{sample: "1.20/unaligned-edges", edit: stripAll, stripped: true, flinks: both, short: true},
		{sample: "1.20/unaligned-3", edit: stripAll, stripped: true, flinks: both},
		{sample: "1.20/unaligned-rocksdb", edit: stripAll, stripped: true, flinks: both},
		{sample: "1.20/unaligned-file-merging", edit: stripAll, stripped: true, flinks: both},
		{sample: "2.2/unaligned-edges", edit: stripAll, stripped: true, flinks: []oracle.Version{oracle.Flink2}},
		{sample: "2.2/unaligned-3", edit: stripAll, stripped: true, flinks: []oracle.Version{oracle.Flink2}, short: true},
		{sample: "2.2/unaligned-rocksdb", edit: stripAll, stripped: true, flinks: []oracle.Version{oracle.Flink2}},
	})
}

// A real Flink restores copies elsewhere, of checkpoints that share files with
// others, have absolute paths, segments and in-flight data.
func TestFlinkRestoresCopies(t *testing.T) {
	cp := checkpoint.Edit{Command: "cp"}
	two := []oracle.Version{oracle.Flink2}
	run(t, "flink-restores-copies", []trial{
		{sample: "1.20/rocksdb-incremental-long", edit: cp, flinks: both, short: true},
		{sample: "2.2/rocksdb-incremental-tuple2", edit: cp, flinks: two},
		{sample: "1.20/rocksdb-incremental-pojo", edit: cp, flinks: both},
		{sample: "1.20/rocksdb-incremental-string", edit: cp, flinks: both},
		{sample: "1.20/file-merging-rocksdb", edit: cp, flinks: both},
		{sample: "1.20/file-merging-heap", edit: cp, flinks: both},
		{sample: "2.2/file-merging-rocksdb", edit: cp, flinks: two, short: true},
		{sample: "1.20/entropy", edit: cp, flinks: both},
		{sample: "2.2/inline", edit: cp, flinks: two},
		{sample: "1.20/unaligned-file-merging", edit: cp, flinks: both},
		{sample: "2.2/unaligned-edges", edit: cp, flinks: two},
		{sample: "1.20/finished-subtask", edit: cp, flinks: both},
		{sample: "1.20/changelog-heap", edit: cp, flinks: both},
		{sample: "2.2/changelog-rocksdb", edit: cp, flinks: two},
	})
}

// A job whose operator has another uid finds its state after remap, in metadata
// with names and without.
func TestFlinkRestoresRemapped(t *testing.T) {
	renamed := func(j *oracle.Job) { j.UIDs = map[string]string{"keyed": "new-uid", "source": "src"} }
	remap := checkpoint.Edit{Command: "remap", Rename: map[string]string{"keyed": "new-uid", "source": "src"}}
	run(t, "flink-restores-remapped", []trial{
		{sample: "1.20/rocksdb-incremental-tuple2", edit: remap, adapt: renamed, flinks: both, short: true},
		{sample: "2.2/heap-string", edit: remap, adapt: renamed, flinks: []oracle.Version{oracle.Flink2}},
		{sample: "1.20/unaligned-3", edit: remap, adapt: renamed, flinks: both},
	})
}

// Flink 1.20 restores what Flink 2.2 wrote, once it is copied into metadata of an
// older version.
func TestOlderFlinkRestoresCopies(t *testing.T) {
	one := []oracle.Version{oracle.Flink1}
	run(t, "older-flink-restores", []trial{
		{sample: "2.2/unaligned-edges", edit: checkpoint.Edit{Command: "cp", Version: "4"}, flinks: one, short: true},
		{sample: "2.2/unaligned-3", edit: checkpoint.Edit{Command: "cp", Version: "3"}, flinks: one},
		{sample: "2.2/heap-canonical", edit: checkpoint.Edit{Command: "cp", Version: "4"}, flinks: one},
		{sample: "2.2/finished-subtask", edit: checkpoint.Edit{Command: "cp", Version: "3"}, flinks: one},
	})
}
