package main

import (
	"maps"

	"github.com/tidemark-io/tidemark/flink/oracle"
)

// kind is one sample of every Flink version.
type kind struct {
	name     string
	request  oracle.Request
	then     *oracle.Request // restores what request wrote; its last snapshot is the sample
	inFlight bool            // whether there must be records in flight
}

const dir = oracle.Bucket + "/checkpoints"

func conf(pairs ...string) map[string]string {
	m := map[string]string{}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = pairs[i+1]
	}
	return m
}

func with(base map[string]string, pairs ...string) map[string]string {
	m := maps.Clone(base)
	maps.Copy(m, conf(pairs...))
	return m
}

var (
	heap        = conf("state.backend.type", "hashmap")
	rocks       = conf("state.backend.type", "rocksdb")
	incremental = with(rocks, "execution.checkpointing.incremental", "true")
	unaligned   = with(heap, "execution.checkpointing.unaligned.enabled", "true")
	changelog   = conf("state.changelog.enabled", "true", "state.changelog.storage", "filesystem",
		"dstl.dfs.base-path", oracle.Bucket+"/changelog", "state.changelog.periodic-materialize.interval", "50 ms")
)

// job is the small job of most samples.
func job(keyType string, states []string) oracle.Job {
	return oracle.Job{Keys: 20, Records: 200, Splits: 4, Parallelism: 2, MaxParallelism: 128, KeyType: keyType, States: states}
}

func aligned(name string, conf map[string]string, j oracle.Job, what string, at ...int64) kind {
	r := oracle.Request{Job: j, Conf: conf, Dir: dir}
	for _, n := range at {
		r.Snapshots = append(r.Snapshots, oracle.Snapshot{At: n, Kind: what})
	}
	return kind{name: name, request: r}
}

// pressed is a job whose keyed operator and sink are too slow: the snapshot is taken
// after so many records, the others are in flight.
func pressed(name string, conf map[string]string, j oracle.Job, after int64) kind {
	j.MaxParallelism, j.States = 128, oracle.BaseStates
	return kind{name: name, inFlight: true, request: oracle.Request{
		Job: j, Conf: with(conf, "taskmanager.network.memory.floating-buffers-per-gate", "1",
			"taskmanager.network.memory.max-buffers-per-channel", "2", "taskmanager.network.memory.max-overdraft-buffers-per-gate", "0"),
		Dir: dir, SlowMicros: 500, SlowSinkMicros: 1000,
		Snapshots: []oracle.Snapshot{{At: j.Records, After: &after}},
	}}
}

func kinds() []kind {
	var all []kind
	for _, k := range []string{"long", "string", "tuple2", "pojo"} {
		at := []int64{120}
		if k == "long" {
			at = []int64{60, 120} // the second uses files of the first; once, as each is large
		}
		all = append(all,
			aligned("heap-"+k, heap, job(k, oracle.BaseStates), oracle.Checkpoint, 120),
			aligned("rocksdb-incremental-"+k, incremental, job(k, oracle.BaseStates), oracle.Checkpoint, at...))
	}
	idea, record := job("pojo-idea", oracle.BaseStates), job("record", oracle.BaseStates)
	idea.Parallelism, record.Parallelism = 3, 3
	all = append(all,
		aligned("heap-pojo-idea", heap, idea, oracle.Checkpoint, 120),
		aligned("rocksdb-canonical-record", rocks, record, oracle.Canonical, 120))
	all = append(all, savepoints()...)
	all = append(all, special()...)
	return append(all, underPressure()...)
}

func savepoints() []kind {
	every := job("string", oracle.AllStates)
	single := job("long", oracle.BaseStates)
	single.Parallelism = 1
	pairs := job("tuple2", oracle.BaseStates)
	pairs.Parallelism = 1
	return []kind{
		aligned("heap-canonical", heap, every, oracle.Canonical, 120),
		aligned("heap-native", heap, every, oracle.Native, 120),
		aligned("rocksdb-canonical", rocks, every, oracle.Canonical, 120),
		aligned("rocksdb-native", rocks, pairs, oracle.Native, 120),
		aligned("rocksdb-full", rocks, single, oracle.Checkpoint, 120),
	}
}

func special() []kind {
	many := job("long", oracle.BaseStates)
	many.Parallelism, many.Splits, many.Keys = 8, 8, 40
	wide := job("row", oracle.BaseStates)
	wide.MaxParallelism = 300
	single := job("long", oracle.BaseStates)
	single.Parallelism = 1
	short := job("string", oracle.BaseStates) // no union list: Flink refuses it in a task that is partly finished
	short.ShortSplits = []int{0, 2}           // all that reader 0 of 2 has
	base := job("string", append([]string{"ops"}, oracle.BaseStates...))
	entropy := aligned("entropy", heap, job("long", oracle.BaseStates), oracle.Checkpoint, 120)
	entropy.request.Dir = oracle.Bucket + "/_entropy_/checkpoints"
	rescaled := aligned("rocksdb-rescaled", incremental, job("long", oracle.BaseStates), oracle.Checkpoint, 100)
	second := aligned("", incremental, job("long", oracle.BaseStates), oracle.Checkpoint, 160).request
	second.Job.Parallelism, second.Claim, second.JobID = 1, "CLAIM", "00000000000000000000000000000002"
	rescaled.then = &second
	return []kind{
		aligned("parallelism-8", heap, many, oracle.Checkpoint, 120),
		aligned("key-groups-300", heap, wide, oracle.Checkpoint, 120),
		aligned("compressed", with(heap, "execution.checkpointing.snapshot-compression", "true"), base, oracle.Checkpoint, 120),
		aligned("compressed-canonical", with(rocks, "execution.checkpointing.snapshot-compression", "true"), base, oracle.Canonical, 120),
		aligned("finished-subtask", heap, short, oracle.Checkpoint, 120),
		aligned("inline", with(heap, "execution.checkpointing.data-inline-threshold", "20 kb"), base, oracle.Checkpoint, 120),
		aligned("file-merging-heap", with(heap, "execution.checkpointing.file-merging.enabled", "true"), base, oracle.Checkpoint, 120),
		aligned("file-merging-rocksdb", with(incremental, "execution.checkpointing.file-merging.enabled", "true",
			"execution.checkpointing.file-merging.across-checkpoint-boundary", "true"),
			single, oracle.Checkpoint, 60, 120),
		aligned("changelog-heap", with(changelog, "state.backend.type", "hashmap"), base, oracle.Checkpoint, 60, 120),
		aligned("changelog-rocksdb", with(changelog, "state.backend.type", "rocksdb", "execution.checkpointing.incremental", "true"),
			single, oracle.Checkpoint, 60, 120),
		entropy, rescaled,
	}
}

func underPressure() []kind {
	one := oracle.Job{Keys: 12, Records: 500, Splits: 2, Parallelism: 1, Payload: 20, KeyType: "long"}
	three := oracle.Job{Keys: 24, Records: 600, Splits: 6, Parallelism: 3, Payload: 60, KeyType: "string"}
	edges := oracle.Job{Keys: 12, Records: 600, Splits: 4, Parallelism: 2, Payload: 40, KeyType: "tuple2", OpsEdge: "forward", SinkEdge: "rebalance"}
	long := oracle.Job{Keys: 8, Records: 60, Splits: 4, Parallelism: 2, Payload: 6000, KeyType: "long"}
	return []kind{
		pressed("unaligned-1", unaligned, one, 100),
		pressed("unaligned-3", unaligned, three, 200),
		pressed("unaligned-edges", unaligned, edges, 150),
		pressed("unaligned-long-records", unaligned, long, 30),
		pressed("unaligned-rocksdb", with(incremental, "execution.checkpointing.unaligned.enabled", "true"), one, 100),
		pressed("unaligned-own-files", with(unaligned, "execution.checkpointing.unaligned.max-subtasks-per-channel-state-file", "1"), edges, 150),
		pressed("unaligned-file-merging", with(unaligned, "execution.checkpointing.file-merging.enabled", "true"), edges, 150),
	}
}
