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
	then   []checkpoint.Edit // one after the other, each on the last result
	// adapt changes the job that is restored.
	adapt func(*oracle.Job)
	// conf is on top of the sample's configuration.
	conf map[string]string
	// stripped says that nothing in flight arrives; noFlights that nothing arrives at
	// the keyed operator, noPending that nothing does at the sink.
	stripped, noFlights, noPending bool
	// damage, if it is set, damages the source, and takes what is lost then from what
	// must be found.
	damage func(t *testing.T, j *job, s *oracle.Sample, want *wanted)
	flinks []oracle.Version
	short  bool // part of make test
}

// wanted is what a real Flink must find and do.
type wanted struct {
	state   oracle.View
	flights []int64  // records that arrive at the keyed operator
	pending []string // lines that arrive at the sink
}

// restore runs a trial on one version of Flink.
func restore(t *testing.T, v oracle.Version, s *oracle.Sample, tr trial) {
	j := copied(t, s)
	want := &wanted{state: s.Snapshot.State, flights: oracle.IDs(s.InFlight)}
	if s.Request.Job.SinkEdge != "" {
		want.pending = s.Request.Job.PendingOutputs(s.Snapshot)
	}
	if tr.stripped || tr.noFlights {
		want.flights = nil
	}
	if tr.stripped || tr.noPending {
		want.pending = nil
	}
	if tr.damage != nil {
		tr.damage(t, j, s, want)
	}
	j.apply(t, tr.edit, "result")
	for i, e := range tr.then {
		must(t, os.Rename(j.root+"/result", j.root+"/source"))
		_, err := j.format.Apply(t.Context(), j.open(t, "source"), e, "result", nil)
		must(t, err)
		must(t, os.Rename(j.root+"/source", fmt.Sprintf("%s/old-%d", j.root, i)))
	}
	// The source is gone: the result stands alone.
	must(t, os.RemoveAll(j.root+"/checkpoints"))
	flinkRestores(t, v, j.root, s, tr, want)
}

// flinkRestores requires that Flink finds the sample's state in "result", and does
// with it what the sample foretells.
func flinkRestores(t *testing.T, v oracle.Version, root string, s *oracle.Sample, tr trial, found *wanted) {
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
	want := job.Expect(found.state, found.flights)
	for what, diff := range map[string]string{
		"restored state": oracle.Diff(found.state.Keyed, got.Restored.Keyed),
		"output":         oracle.DiffLines(append(slices.Clone(want.Outputs), found.pending...), got.Outputs),
		"final state":    oracle.Diff(want.Final, got.Final.Keyed),
	} {
		if diff != "" {
			t.Errorf("%s: %s", what, diff)
		}
	}
	sameOps(t, s.Snapshot.State.Ops, got.Restored.Ops, job.Parallelism)
}

// sameOps requires that operator state was redistributed as Flink does it: each
// element of a list once, all of a union list and of broadcast state everywhere.
func sameOps(t *testing.T, want, got []oracle.Ops, parallelism int) {
	t.Helper()
	if len(want) == 0 {
		return
	}
	var had, has []int64
	var union []string
	for _, o := range want {
		had = append(had, o.List...)
	}
	for _, o := range got {
		has = append(has, o.List...)
		union = append(union, fmt.Sprint(o.Union, o.Broadcast))
	}
	slices.Sort(had)
	slices.Sort(has)
	if !slices.Equal(had, has) {
		t.Errorf("the list had %v and has %v", had, has)
	}
	var all []string
	for _, o := range want {
		all = append(all, o.Union...)
	}
	slices.Sort(all)
	// At the snapshot a subtask shows what it had itself or what it had restored.
	all = slices.Compact(all)
	if len(got) != parallelism || len(slices.Compact(union)) != 1 || union[0] != fmt.Sprint(all, want[0].Broadcast) {
		t.Errorf("union and broadcast of %d subtasks: %v; at the snapshot %v %v", len(got), union, all, want[0].Broadcast)
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
		{sample: "1.20/compressed", edit: cp, flinks: both},
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

// to is a job at another parallelism, and with another number of key groups if
// that is not 0.
func to(parallelism, groups int) func(*oracle.Job) {
	return func(j *oracle.Job) {
		j.Parallelism = parallelism
		if groups != 0 {
			j.MaxParallelism = groups
		}
	}
}

// layouts is the edit that rescales all operators of the oracle's job; groups are
// those of the keyed one.
func layouts(parallelism, groups uint32) checkpoint.Edit {
	e := checkpoint.Edit{Command: fmt.Sprintf("rescale-%d-%d", parallelism, groups), Layouts: map[string]checkpoint.Layout{}}
	for _, uid := range []string{"source", "keyed", "sink"} {
		e.Layouts[uid] = checkpoint.Layout{Parallelism: parallelism}
	}
	e.Layouts["keyed"] = checkpoint.Layout{Parallelism: parallelism, KeyGroups: groups}
	return e
}

// rescaleStripped rescales a checkpoint without its in-flight data.
func rescaleStripped(parallelism, groups uint32) checkpoint.Edit {
	e := layouts(parallelism, groups)
	e.Drop = stripAll.Drop
	return e
}

// A real Flink restores what was rescaled offline, at another parallelism and with
// other numbers of key groups, whatever the state backend and the type of the keys.
func TestFlinkRestoresRescaled(t *testing.T) {
	two := []oracle.Version{oracle.Flink2}
	withOps := func(e checkpoint.Edit) checkpoint.Edit {
		e.Layouts["ops"] = checkpoint.Layout{Parallelism: e.Layouts["keyed"].Parallelism}
		return e
	}
	run(t, "flink-restores-rescaled", []trial{
		{sample: "1.20/rocksdb-incremental-tuple2", edit: layouts(5, 256), adapt: to(5, 256), flinks: both, short: true},
		{sample: "1.20/heap-string", edit: layouts(3, 96), adapt: to(3, 96), flinks: both},
		{sample: "2.2/rocksdb-incremental-long", edit: layouts(3, 96), adapt: to(3, 96), flinks: two, short: true},
		{sample: "1.20/unaligned-3", edit: rescaleStripped(5, 256), then: []checkpoint.Edit{layouts(2, 96)}, adapt: to(2, 96), stripped: true, flinks: both, short: true},
		{sample: "1.20/unaligned-3", edit: rescaleStripped(5, 0), adapt: to(5, 0), stripped: true, flinks: both},
		{sample: "1.20/rocksdb-incremental-tuple2", edit: layouts(3, 0), then: []checkpoint.Edit{layouts(5, 256), layouts(2, 96)}, adapt: to(2, 96), flinks: both},
		{sample: "1.20/heap-tuple2", edit: layouts(5, 0), adapt: to(5, 0), flinks: both},
		{sample: "1.20/heap-pojo", edit: layouts(1, 0), adapt: to(1, 0), flinks: both},
		{sample: "1.20/heap-pojo-idea", edit: layouts(5, 256), then: []checkpoint.Edit{layouts(2, 96)}, adapt: to(2, 96), flinks: both, short: true},
		{sample: "1.20/rocksdb-canonical-record", edit: layouts(5, 256), then: []checkpoint.Edit{layouts(2, 96)}, adapt: to(2, 96), flinks: both},
		{sample: "2.2/rocksdb-canonical-record", edit: layouts(5, 256), then: []checkpoint.Edit{layouts(2, 96)}, adapt: to(2, 96), flinks: two},
		{sample: "2.2/rocksdb-incremental-pojo", edit: layouts(5, 256), then: []checkpoint.Edit{layouts(2, 96)}, adapt: to(2, 96), flinks: two},
		{sample: "1.20/rocksdb-incremental-pojo", edit: layouts(5, 0), adapt: to(5, 0), flinks: both},
		{sample: "1.20/rocksdb-incremental-string", edit: layouts(3, 256), adapt: to(3, 256), flinks: both},
		{sample: "1.20/heap-canonical", edit: withOps(layouts(5, 256)), adapt: to(5, 256), flinks: both},
		{sample: "2.2/rocksdb-canonical", edit: withOps(layouts(1, 96)), adapt: to(1, 96), flinks: two},
		{sample: "1.20/rocksdb-native", edit: withOps(layouts(3, 0)), adapt: to(3, 0), flinks: both},
		{sample: "1.20/compressed", edit: withOps(layouts(3, 200)), adapt: to(3, 200), flinks: both},
		{sample: "1.20/key-groups-300", edit: layouts(3, 128), adapt: to(3, 128), flinks: both},
		{sample: "1.20/parallelism-8", edit: layouts(5, 0), adapt: to(5, 0), flinks: both},
		{sample: "1.20/rocksdb-rescaled", edit: layouts(2, 256), adapt: to(2, 256), flinks: both},
		{sample: "1.20/changelog-heap", edit: layouts(3, 256), adapt: to(3, 256), flinks: both},
		{sample: "1.20/changelog-rocksdb", edit: layouts(3, 0), adapt: to(3, 0), flinks: both},
		{sample: "2.2/file-merging-rocksdb", edit: layouts(3, 96), adapt: to(3, 96), flinks: two},
		{sample: "2.2/rocksdb-incremental-tuple2", edit: checkpoint.Edit{Command: "cp", Version: "4"}, flinks: []oracle.Version{oracle.Flink1}},
	})
}
