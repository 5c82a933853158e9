package oracle

import (
	"fmt"
	"os"
	"testing"
)

func at(n int64) *int64 { return &n }

// What each kind of state backend writes comes back, at the same and at another
// parallelism. Without TIDEMARK_LONG just incremental RocksDB: the samples that
// TestSamplesRestore restores are of all kinds, and each run takes seconds.
func TestKindsRestore(t *testing.T) {
	kinds := []struct {
		name string
		conf map[string]string
		kind string
		at   []int64
		into int // parallelism of the restore
	}{
		{"heap-canonical", map[string]string{"state.backend.type": "hashmap"}, Canonical, []int64{90}, 3},
		{"rocksdb-full", map[string]string{"state.backend.type": "rocksdb"}, Checkpoint, []int64{90}, 2},
		{"rocksdb-incremental", map[string]string{"state.backend.type": "rocksdb", "execution.checkpointing.incremental": "true"}, Checkpoint, []int64{60, 120}, 3},
		{"rocksdb-native", map[string]string{"state.backend.type": "rocksdb"}, Native, []int64{90}, 1},
		{"changelog", map[string]string{"state.backend.type": "hashmap", "state.changelog.enabled": "true", "state.changelog.storage": "filesystem"}, Checkpoint, []int64{60, 120}, 2},
	}
	each(t, func(t *testing.T, s *Server) {
		n := 0
		for _, k := range kinds {
			if os.Getenv("TIDEMARK_LONG") == "" && k.name != "rocksdb-incremental" {
				continue
			}
			n++
			t.Run(k.name, func(t *testing.T) {
				dir := t.TempDir()
				if k.conf["state.changelog.enabled"] != "" {
					k.conf["dstl.dfs.base-path"] = "file:" + dir + "/changelog"
				}
				job := Job{Parallelism: 2, MaxParallelism: 128, KeyType: "tuple2", States: BaseStates}
				r := Request{Job: job, Conf: k.conf, Dir: "file:" + dir}
				for _, n := range k.at {
					r.Snapshots = append(r.Snapshots, Snapshot{At: n, Kind: k.kind})
				}
				wrote := s.Must(t, r)
				snap := wrote.Snapshots[len(wrote.Snapshots)-1]
				job.Parallelism = k.into
				claim := "NO_CLAIM"
				if k.name == "changelog" {
					claim = "CLAIM" // this state backend cannot restore without
				}
				got := s.Must(t, Request{Job: job, Conf: k.conf, Dir: "file:" + t.TempDir(), From: snap.Path, Claim: claim, Finish: true})
				check(t, job, snap, nil, got)
			})
		}
		fmt.Printf("RESULT oracle-kinds flink=%s kinds=%d\n", s.Flink, n)
	})
}

// An unaligned checkpoint under backpressure has records in flight, on both
// edges, and a restore delivers each of them once.
func TestUnalignedCheckpointRestores(t *testing.T) {
	conf := map[string]string{"state.backend.type": "hashmap", "execution.checkpointing.unaligned.enabled": "true"}
	each(t, func(t *testing.T, s *Server) {
		job := Job{Parallelism: 2, Records: 4000, Keys: 24, Payload: 100, KeyType: "long", States: BaseStates, SinkEdge: "rebalance"}
		wrote := s.Must(t, Request{
			Job: job, Conf: conf, Dir: "file:" + t.TempDir(), SlowMicros: 200, SlowSinkMicros: 800,
			Snapshots: []Snapshot{{At: job.Records, After: at(300)}},
		})
		snap := wrote.Snapshots[0]
		flights, pending := job.InFlight(snap.State), job.PendingOutputs(snap)
		if len(flights) == 0 || len(pending) == 0 {
			t.Fatalf("in flight: %d records, %d outputs; want some of both", len(flights), len(pending))
		}
		into := []int{3}
		if os.Getenv("TIDEMARK_LONG") != "" {
			into = []int{1, 2, 3, 5}
		}
		for _, p := range into {
			job.Parallelism = p
			got := s.Must(t, Request{Job: job, Conf: conf, Dir: "file:" + t.TempDir(), From: snap.Path, Finish: true})
			check(t, job, snap, IDs(flights), got)
		}
		fmt.Printf("RESULT oracle-unaligned flink=%s inflight=%d pending=%d\n", s.Flink, len(flights), len(pending))
	})
}
