package config

import "time"

// Settings is the configuration of a run, parsed, checked and complete.
type Settings struct {
	Job         Job
	Checkpoints Checkpoints
	Restore     Restore
	Restart     Restart
	Network     Network
	Spill       Spill
}

// Job is what concerns the whole graph.
type Job struct {
	Parallelism int           // of operators that name none
	KeyGroups   int           // maximum parallelism of keyed operators; 0 lets the engine choose
	Chaining    bool          // run neighbours in one task where possible
	Input       string        // path the catalogue's job reads, "" for its default
	SinkDir     string        // path the catalogue's job writes to
	Rate        float64       // records per second over all sources; 0 is no limit
	StuckAfter  time.Duration // of one call of user code, when it is reported; 0 is never
}

// Checkpoints is when and where checkpoints are made.
type Checkpoints struct {
	Dir               string        // root, a path; "" is no checkpoints
	Interval          time.Duration // 0 is none by themselves
	Timeout           time.Duration
	MinPause          time.Duration // between the end of one and the start of the next
	TolerableFailures int           // in a row; one more fails the job
	Unaligned         bool          // barriers overtake buffered data
	Forced            bool          // also those of custom partitioners
	PointwiseByKey    bool          // and those of pointwise connections behind a keyed one
	AlignedTimeout    time.Duration // before they do; 0 is at once
	AtLeastOnce       bool          // no channel waits for another; never with Unaligned
	Incremental       bool          // refer to what has not changed
	NumRetained       int
	History           int    // records of ended checkpoints that are kept; 0 is none
	Compression       string // none, s2 or zstd
	StoreFaults       string // fault expression of the store, for tests; "" is none
}

// Restore is where a run starts from.
type Restore struct {
	From             string // path, or "latest"; "" starts afresh
	AllowNonRestored bool   // leave state without a counterpart in the job behind
	Claim            string // NO_CLAIM or CLAIM
	WithoutInFlight  int    // id of the checkpoint whose in-flight data is dropped, -1 for none
	OnCorrupt        string // fail, drop-damaged or drop-all, about damaged in-flight data
	Fallback         bool   // go back to an older checkpoint if the newest is damaged
	RollbackOutput   bool   // withdraw output that is newer than what is restored
}

// Restart is what follows a failure of the job.
type Restart struct {
	Strategy string // "none" or "fixed-delay"
	Attempts int
	Delay    time.Duration
}

// Network is the buffers between tasks.
type Network struct {
	SegmentSize       int64 // bytes of a buffer
	BuffersPerChannel int
	FloatingPerGate   int
	MaxPerChannel     int
	OverdraftPerGate  int
	BufferTimeout     time.Duration // after which a partial buffer is sent; 0 is after each record
	BufferTimeoutOff  bool          // send buffers only when full
	Exchange          string        // "local" or "credit"
	Debloat           Debloat
}

// Debloat lets the size of buffers follow the throughput.
type Debloat struct {
	Enabled   bool
	Target    time.Duration // that the data in flight should take
	Period    time.Duration // between two calculations
	Samples   int           // of the moving average
	Threshold int           // percent of change below which senders are not told
	MinSize   int64         // bytes of a buffer
	StartSize int64         // bytes of the first buffers
}

// Spill is where output goes that does not fit the buffers in the middle of a
// record.
type Spill struct {
	Memory int64 // bytes for each task and edge
	Disk   int64 // bytes for the same, beyond Memory
}
