package config

import (
	"fmt"
	"strings"
	"time"
)

// networkOptions are about buffers between tasks.
var networkOptions = []Option{
	{Key: "taskmanager.memory.segment-size", Aliases: []string{"taskmanager.memory.page-size"}, Type: Memory, Default: "32 kb", Status: Supported, Help: "size of a buffer",
		store: field(parseSegment, func(s *Settings) *int64 { return &s.Network.SegmentSize })},
	{Key: "taskmanager.network.memory.buffers-per-channel", Type: Int, Default: "2", Status: Supported, Help: "buffers that each channel has for itself",
		store: field(atLeast(1, parseInt), func(s *Settings) *int { return &s.Network.BuffersPerChannel })},
	{Key: "taskmanager.network.memory.floating-buffers-per-gate", Type: Int, Default: "8", Status: Supported, Help: "buffers that the channels of a gate share",
		store: field(atLeast(0, parseInt), func(s *Settings) *int { return &s.Network.FloatingPerGate })},
	{Key: "taskmanager.network.memory.max-buffers-per-channel", Type: Int, Default: "10", Status: Supported, Help: "most buffers that one channel may use at the sender",
		store: field(atLeast(2, parseInt), func(s *Settings) *int { return &s.Network.MaxPerChannel })},
	{Key: "taskmanager.network.memory.max-overdraft-buffers-per-gate", Type: Int, Default: "5", Status: Supported,
		Help:  "buffers beyond the limit to finish a record with",
		store: field(atLeast(0, parseInt), func(s *Settings) *int { return &s.Network.OverdraftPerGate })},
	{Key: "execution.buffer-timeout.interval", Aliases: []string{"execution.buffer-timeout"}, Type: Duration, Default: "100 ms", Status: Supported,
		Help:  "time after which a buffer that is not full is sent; 0 sends each record",
		store: field(ParseDuration, func(s *Settings) *time.Duration { return &s.Network.BufferTimeout })},
	{Key: "execution.buffer-timeout.enabled", Type: Bool, Default: "true", Status: Supported, Help: "false sends buffers only when they are full",
		store: func(s *Settings, text string) error {
			on, err := parseBool(text)
			s.Network.BufferTimeoutOff = !on
			return err
		}},
	{Key: "taskmanager.network.memory.buffer-debloat.enabled", Type: Bool, Default: "false", Status: Supported,
		Help:  "let the size of buffers follow the throughput, so that what is in flight takes the target time to process",
		store: field(parseBool, func(s *Settings) *bool { return &s.Network.Debloat.Enabled })},
	{Key: "taskmanager.network.memory.buffer-debloat.target", Type: Duration, Default: "1 s", Status: Supported,
		Help:  "with debloating: time that the data in flight before a task should take",
		store: field(atLeast(time.Millisecond, ParseDuration), func(s *Settings) *time.Duration { return &s.Network.Debloat.Target })},
	{Key: "taskmanager.network.memory.buffer-debloat.period", Type: Duration, Default: "200 ms", Status: Supported,
		Help:  "with debloating: time between two calculations of the size",
		store: field(atLeast(time.Millisecond, ParseDuration), func(s *Settings) *time.Duration { return &s.Network.Debloat.Period })},
	{Key: "taskmanager.network.memory.buffer-debloat.samples", Type: Int, Default: "20", Status: Supported,
		Help:  "with debloating: calculations that the moving average of the size covers; fewer follow faster",
		store: field(atLeast(1, parseInt), func(s *Settings) *int { return &s.Network.Debloat.Samples })},
	{Key: "taskmanager.network.memory.buffer-debloat.threshold-percentages", Type: Int, Default: "25", Status: Supported,
		Help:  "with debloating: change of the size, in percent, below which senders are not told",
		store: field(parsePercent, func(s *Settings) *int { return &s.Network.Debloat.Threshold })},
	{Key: "taskmanager.memory.min-segment-size", Type: Memory, Default: "256", Status: Supported,
		Help:  "with debloating: smallest size of a buffer",
		store: field(atLeast(1, ParseMemory), func(s *Settings) *int64 { return &s.Network.Debloat.MinSize })},
	{Key: "taskmanager.memory.starting-segment-size", Type: Memory, Default: "1 kb", Status: Supported,
		Help:  "with debloating: size of the first buffers, at most the size of a buffer",
		store: field(atLeast(1, ParseMemory), func(s *Settings) *int64 { return &s.Network.Debloat.StartSize })},
	{Key: "taskmanager.memory.network.fraction", Aliases: []string{"taskmanager.network.memory.fraction"}, Type: Float, Default: "0.1", Status: NoEffect, Reason: noPool},
	{Key: "taskmanager.memory.network.min", Aliases: []string{"taskmanager.network.memory.min"}, Type: Memory, Default: "64 mb", Status: NoEffect, Reason: noPool},
	{Key: "taskmanager.memory.network.max", Aliases: []string{"taskmanager.network.memory.max"}, Type: Memory, Status: NoEffect, Reason: noPool},
	{Key: "taskmanager.network.numberOfBuffers", Type: Int, Status: NoEffect, Reason: noPool},
	{Key: "taskmanager.network.memory.read-buffer.required-per-gate.max", Type: Int, Status: NoEffect, Reason: noPool},
	{Key: "taskmanager.network.memory.buffers-request-timeout", Aliases: []string{"taskmanager.network.memory.exclusive-buffers-request-timeout-ms"},
		Type: Duration, Default: "30 s", Status: NoEffect, Reason: noPool},
	{Key: "taskmanager.network.request-backoff.initial", Type: Int, Default: "100", Status: NoEffect, Reason: oneProcess},
	{Key: "taskmanager.network.request-backoff.max", Type: Int, Default: "10000", Status: NoEffect, Reason: oneProcess},
	{Key: "taskmanager.network.partition-request-timeout", Type: Duration, Default: "10 s", Status: NoEffect, Reason: oneProcess},
	{Key: "taskmanager.network.retries", Type: Int, Default: "0", Status: NoEffect, Reason: oneProcess},
	{Key: "taskmanager.network.detailed-metrics", Type: Bool, Default: "false", Status: NoEffect, Reason: oneProcess},
	{Key: "taskmanager.network.compression.codec", Type: String, Default: "LZ4", Status: NoEffect, Reason: oneProcess},
	{Key: "taskmanager.network.tcp-connection.enable-reuse-across-jobs", Type: Bool, Default: "true", Status: NoEffect, Reason: oneProcess},
	{Key: "taskmanager.numberOfTaskSlots", Type: Int, Default: "1", Status: NoEffect, Reason: oneProcess},
}

// Reasons that several keys share.
const (
	noPool     = "buffers are counted for each channel and gate; there is no pool for the whole process"
	oneProcess = "the job runs in one process"
)

// ownOptions are this project's own keys.
var ownOptions = []Option{
	{Key: "tidemark.spill.memory", Type: Memory, Default: "64 mb", Status: Supported,
		Help:  "memory of an exchange for output that fits no buffer in the middle of a record",
		store: field(ParseMemory, func(s *Settings) *int64 { return &s.Spill.Memory })},
	{Key: "tidemark.spill.disk", Type: Memory, Default: "1 gb", Status: Supported,
		Help:  "disk for the same when that memory is full; then the task waits",
		store: field(ParseMemory, func(s *Settings) *int64 { return &s.Spill.Disk })},
	{Key: "tidemark.exchange", Type: Enum, Values: []string{"local", "credit"}, Default: "local", Status: Supported,
		Help:  "local: one queue for each channel, at the sender; credit: a second queue at the receiver, as between machines",
		store: field(lower, func(s *Settings) *string { return &s.Network.Exchange })},
	{Key: "tidemark.history.size", Type: Int, Default: "1000", Status: Supported,
		Help:  "newest ended checkpoints, also failed ones, of which a record is kept in the folder history; 0 writes none",
		store: field(atLeast(0, parseInt), func(s *Settings) *int { return &s.Checkpoints.History })},
	{Key: "tidemark.snapshot.compression", Type: Enum, Values: []string{"none", "s2", "zstd"}, Default: "s2", Status: Supported,
		Help:  "compression of checkpoints: s2 is fast, zstd is small",
		store: field(lower, func(s *Settings) *string { return &s.Checkpoints.Compression })},
	{Key: "tidemark.store.faults", Type: String, Status: Supported,
		Help:  "fault expression for the checkpoint store, to try what happens",
		store: field(parseString, func(s *Settings) *string { return &s.Checkpoints.StoreFaults })},
	{Key: keyFallback, Type: Bool, Default: "false", Status: Supported,
		Help:  "restore the next older intact checkpoint if the newest is damaged",
		store: field(parseBool, func(s *Settings) *bool { return &s.Restore.Fallback })},
	{Key: keyOnCorrupt, Type: Enum, Values: []string{"fail", "drop-damaged", "drop-all"}, Default: "fail", Status: Supported,
		Help:  "what a restore from a checkpoint given by its path does about damaged in-flight data: drop-damaged loses the records that touch the damage, drop-all all that is in flight",
		store: field(lower, func(s *Settings) *string { return &s.Restore.OnCorrupt })},
	{Key: "tidemark.restore.rollback-output", Type: Bool, Default: "false", Status: Supported,
		Help:  "withdraw published output that is newer than the restored checkpoint",
		store: field(parseBool, func(s *Settings) *bool { return &s.Restore.RollbackOutput })},
	{Key: "tidemark.task.stuck-after", Type: Duration, Default: "1 min", Status: Supported, off: true,
		Help:  "a call of user code that takes longer is reported with its operator and place, since no checkpoint completes meanwhile; 0 or none for never",
		store: field(offOr(time.Millisecond), func(s *Settings) *time.Duration { return &s.Job.StuckAfter })},
	{Key: "tidemark.run.input", Type: String, Status: Supported, Help: "file that the catalogue's job reads",
		store: field(parseString, func(s *Settings) *string { return &s.Job.Input })},
	{Key: "tidemark.run.sink-dir", Type: String, Status: Supported, Help: "directory that the catalogue's job writes to",
		store: field(parseString, func(s *Settings) *string { return &s.Job.SinkDir })},
	{Key: "tidemark.run.rate", Type: Float, Default: "0", Status: Supported, Help: "records per second over all sources; 0 is no limit",
		store: field(parseRate, func(s *Settings) *float64 { return &s.Job.Rate })},
}

// parseSegment reads the size of a buffer, which must hold a frame's head.
func parseSegment(text string) (int64, error) {
	n, err := ParseMemory(text)
	if err == nil && (n < 256 || n > 1<<30) {
		err = fmt.Errorf("%q is not between 256 bytes and 1 gb", text)
	}
	return n, err
}

func parsePercent(text string) (int, error) {
	n, err := parseInt(text)
	if err == nil && (n < 0 || n > 100) {
		err = fmt.Errorf("%q is not between 0 and 100", text)
	}
	return n, err
}

func parseRate(text string) (float64, error) {
	f, err := parseFloat(text)
	if err == nil && f < 0 {
		err = fmt.Errorf("%q is negative", text)
	}
	return f, err
}

func lower(text string) (string, error) { return strings.ToLower(text), nil }

// families are the beginnings of Flink's keys that configure a cluster, a JVM or
// another part that does not exist here.
var families = []string{
	"akka.", "blob.", "classloader.", "client.", "cluster.", "containerized.", "env.", "execution.attached", "execution.batch.",
	"execution.shutdown-on-attached-exit", "execution.target", "external-resource", "fs.", "heartbeat.", "high-availability", "historyserver.",
	"io.tmp.dirs", "io.manager.", "job-result-store.", "jobmanager.", "jobstore.", "kubernetes.", "metrics.", "pekko.",
	"pipeline.auto-generate-uids", "pipeline.cached-files", "pipeline.classpaths", "pipeline.closure-cleaner-level",
	"pipeline.default-kryo", "pipeline.force-", "pipeline.generic-types", "pipeline.global-job-parameters", "pipeline.jars",
	"pipeline.registered-", "pipeline.serialization-", "pipeline.vertex-", "pipeline.watermark-alignment.", "plugin.", "presto.", "process.", "python.", "queryable-state.", "resourcemanager.", "rest.", "restart-strategy.exponential-delay.",
	"restart-strategy.failure-rate.", "s3.", "security.", "shuffle-service-factory.", "slot.", "slotmanager.", "sql-gateway.", "state.backend.changelog.",
	"state.backend.forst.", "state.backend.heap.", "state.backend.latency-track.", "state.backend.rocksdb.", "state.changelog.", "table.",
	"taskmanager.bind-", "taskmanager.cpu.", "taskmanager.data.", "taskmanager.debug.", "taskmanager.host", "taskmanager.jvm-", "taskmanager.log.",
	"taskmanager.memory.flink.", "taskmanager.memory.framework.", "taskmanager.memory.jvm-", "taskmanager.memory.managed.",
	"taskmanager.memory.process.", "taskmanager.memory.task.", "taskmanager.network.bind-", "taskmanager.network.blocking-",
	"taskmanager.network.netty.", "taskmanager.network.sort-shuffle.", "taskmanager.registration.", "taskmanager.resource-id", "taskmanager.rpc.",
	"taskmanager.runtime.", "taskmanager.slot.", "task.cancellation.", "user.artifacts.", "web.", "yarn.", "zookeeper.",
}

// family reports whether the key belongs to a part of Flink that does not exist
// here. A key that is one or two letters away from one of the table is a slip,
// whatever its beginning.
func family(key string) bool {
	if _, distance := nearest(key, 3); distance < 3 {
		return false
	}
	for _, f := range families {
		if strings.HasPrefix(key, f) {
			return true
		}
	}
	return false
}
