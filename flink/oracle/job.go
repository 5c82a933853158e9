package oracle

import "strings"

// Job is the deterministic job: record id belongs to key id mod Keys, which
// comes from split (id mod Keys) mod Splits, so that a key's records come from
// one split, in ascending order. Zero fields take the defaults that are stated.
type Job struct {
	Keys           int    `json:"keys,omitempty"`            // number of keys; 10
	Records        int64  `json:"records,omitempty"`         // ids 0 … Records-1; 200
	Splits         int    `json:"splits,omitempty"`          // source splits; 4
	Parallelism    int    `json:"parallelism,omitempty"`     // of every operator; 1
	MaxParallelism int    `json:"max_parallelism,omitempty"` // number of key groups; Flink's choice, or what the checkpoint has
	Payload        int    `json:"payload,omitempty"`         // bytes of text per record, at least; 0
	KeyType        string `json:"key_type,omitempty"`        // long, int, string, tuple2, pojo, pojo-idea, record, row; long

	// States chooses the state: count ids words sum mean ttl pojo row tuple avro
	// timers proc-timers (all keyed), ops (list, union and broadcast).
	States []string `json:"states,omitempty"`
	// ShortSplits end after a quarter of the records: a reader with only such
	// splits finishes early.
	ShortSplits []int `json:"short_splits,omitempty"`
	// OpsEdge leads from the source to the operator with operator state, SinkEdge
	// from the keyed operator to the sink: chain, forward, rebalance or rescale; chain.
	OpsEdge  string `json:"ops_edge,omitempty"`
	SinkEdge string `json:"sink_edge,omitempty"`
	// UIDs renames operators: source, ops, keyed, sink.
	UIDs map[string]string `json:"uids,omitempty"`
}

// AllStates is every state the job can have.
var AllStates = strings.Fields("count ids words sum mean ttl pojo row tuple avro timers proc-timers ops")

// BaseStates is value, list and map state and timers of both kinds.
var BaseStates = strings.Fields("count ids words timers proc-timers")

// The kinds of Snapshot.
const (
	Checkpoint = "checkpoint" // as configured: aligned or unaligned, full or incremental
	Canonical  = "canonical"  // savepoint in the format common to all state backends
	Native     = "native"     // savepoint in the state backend's own format
)

// Snapshot asks for one checkpoint or savepoint.
type Snapshot struct {
	// At holds the sources before this id.
	At int64 `json:"at"`
	// After, if not nil, takes the snapshot as soon as so many records were
	// processed, and not when all of them were: with a slow operator the others
	// are in flight.
	After *int64 `json:"after,omitempty"`
	Kind  string `json:"kind,omitempty"` // Checkpoint if empty
	Type  string `json:"type,omitempty"` // of a checkpoint: CONFIGURED, FULL or INCREMENTAL
}

// Request is one run of the job on a cluster of its own.
type Request struct {
	Job Job `json:"job"`
	// Conf is Flink's configuration, on top of the oracle's own (Runner.java).
	Conf map[string]string `json:"conf,omitempty"`
	// Dir is where checkpoints and savepoints go, as a URL: file:/… or s3://flink/….
	Dir string `json:"dir,omitempty"`
	// S3Root is the local directory that holds the bucket of s3:// paths.
	S3Root string `json:"s3_root,omitempty"`
	// JobID is 32 hex digits; the default ends in 1.
	JobID string `json:"job_id,omitempty"`

	// From restores this checkpoint or savepoint (the directory with _metadata).
	From             string `json:"from,omitempty"`
	Claim            string `json:"claim,omitempty"` // NO_CLAIM (default), CLAIM
	AllowNonRestored bool   `json:"allow_non_restored,omitempty"`

	Snapshots []Snapshot `json:"snapshots,omitempty"`
	// SlowMicros and SlowSinkMicros delay every record in the keyed operator and
	// in the sink, until the last snapshot is taken.
	SlowMicros     int64 `json:"slow_micros,omitempty"`
	SlowSinkMicros int64 `json:"slow_sink_micros,omitempty"`
	// Finish runs the job to the end of its input; Flink then deletes the
	// checkpoints of this run (savepoints stay). Otherwise the job is cancelled.
	Finish bool `json:"finish,omitempty"`
	// TimeoutMS limits the run, in milliseconds; 60,000 if 0.
	TimeoutMS int64 `json:"timeout_ms,omitempty"`
}

// Report is what happened.
type Report struct {
	Snapshots []Taken `json:"snapshots"`
	// Restored is the state that the operators found when they were opened.
	Restored View `json:"restored"`
	// Final is the keyed state after the last record and timer; only if the job
	// ran to its end.
	Final View `json:"final"`
	// Outputs are the lines of this run, sorted; only if the job ran to its end.
	Outputs []string `json:"outputs,omitempty"`
}

// Taken is one checkpoint or savepoint with its exact content.
type Taken struct {
	Checkpoint int64  `json:"checkpoint"` // its number
	Path       string `json:"path"`       // its directory, below Request.Dir
	State      View   `json:"state"`
	// Outputs are the lines that the sinks had got when they took part, sorted.
	Outputs []string `json:"outputs,omitempty"`
}

// View is the state of all operators at one moment.
type View struct {
	Keyed []Entry `json:"keyed,omitempty"` // by Key
	Ops   []Ops   `json:"ops,omitempty"`   // by subtask
	// Positions has the next id of each split that a reader holds, Readers the
	// reader's subtask. A split without reader is finished.
	Positions map[int]int64 `json:"positions,omitempty"`
	Readers   map[int]int   `json:"readers,omitempty"`
	// Sinks has the number of outputs per sink subtask.
	Sinks map[int]int `json:"sinks,omitempty"`
}

// Entry is the keyed state of one key. State that is absent has the zero value.
type Entry struct {
	Key        string            `json:"key"`
	Subtask    int               `json:"subtask"` // of the keyed operator
	Count      int64             `json:"count,omitempty"`
	IDs        []int64           `json:"ids,omitempty"`
	Words      map[string]int64  `json:"words,omitempty"`
	Sum        int64             `json:"sum,omitempty"`
	Mean       int64             `json:"mean,omitempty"`
	Values     map[string]string `json:"values,omitempty"` // the structured states, as text
	Timers     []int64           `json:"timers,omitempty"` // event time
	ProcTimers []int64           `json:"proc_timers,omitempty"`
}

// Ops is the operator state of one subtask of "ops".
type Ops struct {
	Subtask   int              `json:"subtask"`
	List      []int64          `json:"list"`  // ascending
	Union     []string         `json:"union"` // sorted
	Broadcast map[string]int64 `json:"broadcast"`
}
