package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Keys that rules between several keys name.
const (
	keyMode          = "execution.checkpointing.mode"
	keyUnaligned     = "execution.checkpointing.unaligned.enabled"
	keyMaxConcurrent = "execution.checkpointing.max-concurrent-checkpoints"
	keyRestore       = "execution.state-recovery.path"
	keyFallback      = "tidemark.restore.fallback"
	keyOnCorrupt     = "tidemark.restore.on-corrupt-channel-state"
)

// table holds every key. Its parts are grouped by what they configure.
var table = slices.Concat(checkpointOptions, unalignedOptions, recoveryOptions, jobOptions, networkOptions, ownOptions)

// checkpointOptions say when and where checkpoints are made.
var checkpointOptions = []Option{
	{Key: "execution.checkpointing.interval", Type: Duration, Default: "10 s", Status: Supported, off: true,
		Help: "time from the start of one checkpoint to the start of the next; 0 or none for no periodic ones", Flink: "none",
		Reason: "a job started with a checkpoint directory is meant to be checkpointed",
		store:  field(offOr(10*time.Millisecond), func(s *Settings) *time.Duration { return &s.Checkpoints.Interval })},
	{Key: "execution.checkpointing.timeout", Type: Duration, Default: "10 min", Status: Supported,
		Help:  "a checkpoint not complete by then is given up",
		store: field(atLeast(10*time.Millisecond, ParseDuration), func(s *Settings) *time.Duration { return &s.Checkpoints.Timeout })},
	{Key: "execution.checkpointing.min-pause", Type: Duration, Default: "0 s", Status: Supported,
		Help:  "least time between the end of one checkpoint and the start of the next",
		store: field(ParseDuration, func(s *Settings) *time.Duration { return &s.Checkpoints.MinPause })},
	{Key: keyMaxConcurrent, Type: Int, Default: "1", Status: NotYet,
		Help: "checkpoints in progress at a time", Reason: "one checkpoint at a time is what this version does",
		store: atLeastOne},
	{Key: "execution.checkpointing.tolerable-failed-checkpoints", Type: Int, Default: "0", Status: Supported,
		Help:  "failed checkpoints in a row that do not fail the job",
		store: field(atLeast(0, parseInt), func(s *Settings) *int { return &s.Checkpoints.TolerableFailures })},
	{Key: "execution.checkpointing.externalized-checkpoint-retention", Type: Enum, Default: "RETAIN_ON_CANCELLATION", Status: NotYet,
		Values: []string{"DELETE_ON_CANCELLATION", "RETAIN_ON_CANCELLATION", "NO_EXTERNALIZED_CHECKPOINTS"},
		Help:   "what becomes of the checkpoints when the job has ended", Flink: "NO_EXTERNALIZED_CHECKPOINTS",
		Reason: "checkpoints are kept, because one that is gone cannot be looked at"},
	{Key: "execution.checkpointing.num-retained", Aliases: []string{"state.checkpoints.num-retained"}, Type: Int, Default: "3", Status: Supported,
		Help: "completed checkpoints to keep", Flink: "1", Reason: "if the newest one is damaged there is one to go back to",
		store: field(atLeast(1, parseInt), func(s *Settings) *int { return &s.Checkpoints.NumRetained })},
	{Key: "execution.checkpointing.dir", Aliases: []string{"state.checkpoints.dir", "state.backend.fs.checkpointdir"}, Type: String, Status: Supported,
		Help:  "directory of the checkpoints, a path or file:// address; without it there are none",
		store: field(parseDir, func(s *Settings) *string { return &s.Checkpoints.Dir })},
	{Key: "execution.checkpointing.create-subdir", Aliases: []string{"state.checkpoints.create-subdir"}, Type: Bool, Default: "false", Status: NotYet,
		Help: "put checkpoints below a directory named by the job's id", Flink: "true",
		Reason: "checkpoints lie at DIR/chk-N, where the next run finds them"},
	{Key: keyMode, Type: Enum, Values: []string{"EXACTLY_ONCE", "AT_LEAST_ONCE"}, Default: "EXACTLY_ONCE", Status: Supported,
		Help: "guarantee of the state: with AT_LEAST_ONCE no channel waits for another at a checkpoint, and after a restore records may count twice; never unaligned",
		store: func(s *Settings, text string) error {
			s.Checkpoints.AtLeastOnce = strings.EqualFold(text, "AT_LEAST_ONCE")
			return nil
		}},
	{Key: "execution.checkpointing.checkpoints-after-tasks-finish", Aliases: []string{"execution.checkpointing.checkpoints-after-tasks-finish.enabled"},
		Type: Bool, Default: "true", Status: NotYet, Help: "go on when some tasks have ended, and take a final checkpoint at the end of input",
		Reason: "there is always a final checkpoint"},
	{Key: "execution.checkpointing.storage", Aliases: []string{"state.checkpoint-storage"}, Type: Enum,
		Values: []string{"filesystem", "jobmanager"}, Default: "filesystem", Status: NotYet, Reason: "checkpoints are kept in a directory"},
	{Key: "execution.checkpointing.incremental", Aliases: []string{"state.backend.incremental"}, Type: Bool, Default: "false", Status: Supported,
		Help:  "store only the key groups that changed since the last checkpoint, and refer to the others in the folder shared; savepoints stay whole",
		store: field(parseBool, func(s *Settings) *bool { return &s.Checkpoints.Incremental })},
	{Key: "execution.checkpointing.snapshot-compression", Type: Bool, Default: "false", Status: NoEffect,
		Reason: "tidemark.snapshot.compression chooses the compression"},
	{Key: "execution.checkpointing.interval-during-backlog", Type: Duration, Status: NoEffect, Reason: "no source reports a backlog"},
	{Key: "execution.checkpointing.savepoint-dir", Aliases: []string{"state.savepoints.dir", "savepoints.state.backend.fs.dir"}, Type: String,
		Status: NoEffect, Reason: "savepoints lie beside the checkpoints"},
	{Key: "execution.checkpointing.data-inline-threshold", Aliases: []string{"state.storage.fs.memory-threshold", "state.backend.fs.memory-threshold"},
		Type: Memory, Default: "20 kb", Status: NoEffect, Reason: "many subtasks share one data object, so small state needs no inlining"},
	{Key: "execution.checkpointing.write-buffer-size", Aliases: []string{"state.storage.fs.write-buffer-size", "state.backend.fs.write-buffer-size"},
		Type: Int, Default: "4096", Status: NoEffect, Reason: "data is written block by block"},
	{Key: "execution.checkpointing.local-backup.enabled", Aliases: []string{"state.backend.local-recovery"}, Type: Bool, Default: "false",
		Status: NoEffect, Reason: "all state is on this machine"},
	{Key: "execution.checkpointing.local-backup.dirs", Aliases: []string{"taskmanager.state.local.root-dirs"}, Type: String,
		Status: NoEffect, Reason: "all state is on this machine"},
	{Key: "execution.checkpointing.cleaner.parallel-mode", Aliases: []string{"state.checkpoint.cleaner.parallel-mode"}, Type: Bool, Default: "true",
		Status: NoEffect, Reason: "a checkpoint is few files"},
	{Key: "state.backend.type", Aliases: []string{"state.backend"}, Type: Enum, Values: []string{"hashmap", "filesystem", "rocksdb", "forst"},
		Default: "hashmap", Status: NotYet, only: []string{"hashmap", "filesystem"},
		Help: "where state lives while the job runs", Reason: "state is kept in memory"},
	{Key: "state.backend.async", Type: Bool, Default: "true", Status: NoEffect, Reason: "snapshots are always asynchronous"},
	{Key: "state.backend.latency-track.keyed-state-enabled", Type: Bool, Default: "false", Status: NoEffect, Reason: "latency of state is not tracked"},
	{Key: "state.backend.changelog.enabled", Aliases: []string{"state.changelog.enabled"}, Type: Bool, Default: "false", Status: NotYet, Reason: "there is no change log"},
}

// unalignedOptions belong to checkpoints that overtake data.
var unalignedOptions = []Option{
	{Key: keyUnaligned, Aliases: []string{"execution.checkpointing.unaligned"}, Type: Bool, Default: "false", Status: Supported,
		Help:  "let barriers overtake buffered data, which becomes part of the checkpoint",
		store: field(parseBool, func(s *Settings) *bool { return &s.Checkpoints.Unaligned })},
	{Key: "execution.checkpointing.unaligned.forced", Type: Bool, Default: "false", Status: Supported,
		Help:  "let barriers overtake the data of custom partitioners, too, which must be pure functions; broadcast connections stay aligned, pointwise ones see tidemark.unaligned.pointwise",
		store: field(parseBool, func(s *Settings) *bool { return &s.Checkpoints.Forced })},
	{Key: "tidemark.unaligned.pointwise", Type: Enum, Values: []string{"aligned", "by-key"}, Default: "aligned", Status: Supported,
		Help:  "how barriers pass pointwise connections: aligned waits for the data before them; by-key overtakes it where all of it comes from one keyed operator, subtask by subtask",
		store: field(func(v string) (bool, error) { return v == "by-key", nil }, func(s *Settings) *bool { return &s.Checkpoints.PointwiseByKey })},
	{Key: "execution.checkpointing.aligned-checkpoint-timeout", Aliases: []string{"execution.checkpointing.alignment-timeout"}, Type: Duration, Default: "0 s",
		Status: Supported, Help: "with unaligned checkpoints: alignment that takes longer goes on unaligned",
		store: field(ParseDuration, func(s *Settings) *time.Duration { return &s.Checkpoints.AlignedTimeout })},
	{Key: "execution.checkpointing.unaligned.interruptible-timers.enabled", Type: Bool, Default: "false", Status: NoEffect,
		Reason: "timers of all operators can be interrupted"},
	{Key: "execution.checkpointing.unaligned.max-subtasks-per-channel-state-file",
		Aliases: []string{"execution.checkpointing.max-subtasks-per-channel-state-file"}, Type: Int, Default: "5", Status: NoEffect,
		Reason: "the format packs subtasks into objects by itself"},
	{Key: "execution.checkpointing.unaligned.recover-output-on-downstream.enabled", Type: Bool, Default: "false", Status: NoEffect,
		Reason: "recovered data is always handed to its receiver"},
	{Key: "execution.checkpointing.unaligned.during-recovery.enabled", Type: Bool, Default: "false", Status: NoEffect,
		Reason: "unaligned checkpoints are always possible while recovered data is processed"},
	{Key: "execution.checkpointing.file-merging.enabled", Aliases: []string{"state.checkpoints.file-merging.enabled"}, Type: Bool, Default: "false", Status: NoEffect,
		Reason: "the format packs subtasks into objects by itself"},
	{Key: "execution.checkpointing.file-merging.across-checkpoint-boundary", Aliases: []string{"state.checkpoints.file-merging.across-checkpoint-boundary"},
		Type: Bool, Default: "false", Status: NoEffect, Reason: "the format packs subtasks into objects by itself"},
	{Key: "execution.checkpointing.file-merging.max-file-size", Aliases: []string{"state.checkpoints.file-merging.max-file-size"},
		Type: Memory, Default: "32 mb", Status: NoEffect, Reason: "the format packs subtasks into objects by itself"},
	{Key: "execution.checkpointing.file-merging.pool-blocking", Aliases: []string{"state.checkpoints.file-merging.pool-blocking"},
		Type: Bool, Default: "false", Status: NoEffect, Reason: "the format packs subtasks into objects by itself"},
	{Key: "execution.checkpointing.file-merging.max-space-amplification", Aliases: []string{"state.checkpoints.file-merging.max-space-amplification"},
		Type: Float, Default: "2", Status: NoEffect, Reason: "the format packs subtasks into objects by itself"},
	{Key: "execution.checkpointing.file-merging.max-subtasks-per-file", Aliases: []string{"state.checkpoints.file-merging.max-subtasks-per-file"},
		Type: Int, Default: "4", Status: NoEffect, Reason: "the format packs subtasks into objects by itself"},
}

// recoveryOptions say where a run starts and what follows a failure.
var recoveryOptions = []Option{
	{Key: keyRestore, Aliases: []string{"execution.savepoint.path"}, Type: String, Status: Supported,
		Help:  "checkpoint to restore: a path, or latest for the newest one below the checkpoint directory",
		store: field(parseDir, func(s *Settings) *string { return &s.Restore.From })},
	{Key: "execution.state-recovery.ignore-unclaimed-state", Aliases: []string{"execution.savepoint.ignore-unclaimed-state"}, Type: Bool, Default: "false", Status: Supported,
		Help:  "leave state behind that has no counterpart in the job",
		store: field(parseBool, func(s *Settings) *bool { return &s.Restore.AllowNonRestored })},
	{Key: "execution.state-recovery.claim-mode", Aliases: []string{"execution.restore-mode", "execution.savepoint-restore-mode"}, Type: Enum,
		Values: []string{"NO_CLAIM", "CLAIM", "LEGACY"}, Default: "NO_CLAIM", Status: Supported,
		Help:  "whose a checkpoint is that is restored by its path: with NO_CLAIM it is never removed and the first checkpoint is whole, with CLAIM retention removes it when enough later ones are there; latest goes on with the job's own",
		store: field(parseClaim, func(s *Settings) *string { return &s.Restore.Claim })},
	{Key: "execution.state-recovery.from-local", Type: Bool, Default: "false", Status: NoEffect, Reason: "all state is on this machine"},
	{Key: "execution.state-recovery.without-channel-state.checkpoint-id", Aliases: []string{"execution.checkpointing.recover-without-channel-state.checkpoint-id"},
		Type: Int, Default: "-1", Status: Supported,
		Help:  "last resort: drop the in-flight data of the checkpoint of this id if it is the one restored; -1 for none",
		store: field(atLeast(-1, parseInt), func(s *Settings) *int { return &s.Restore.WithoutInFlight })},
	{Key: "restart-strategy.type", Aliases: []string{"restart-strategy"}, Type: Enum, Default: "fixed-delay", Status: NotYet,
		Values: []string{"none", "off", "disable", "fixed-delay", "fixeddelay", "exponential-delay", "exponentialdelay", "failure-rate", "failurerate"},
		only:   []string{"fixed-delay", "fixeddelay", "none", "off", "disable"},
		Help:   "what follows a failure of the job", Flink: "exponential-delay with checkpoints", Reason: "the other strategies come later",
		store: field(parseStrategy, func(s *Settings) *string { return &s.Restart.Strategy })},
	{Key: "restart-strategy.fixed-delay.attempts", Type: Int, Default: "1", Status: Supported, Help: "restarts after failures before the job fails",
		store: field(atLeast(0, parseInt), func(s *Settings) *int { return &s.Restart.Attempts })},
	{Key: "restart-strategy.fixed-delay.delay", Type: Duration, Default: "1 s", Status: Supported, Help: "time from a failure to the restart",
		store: field(ParseDuration, func(s *Settings) *time.Duration { return &s.Restart.Delay })},
}

// jobOptions concern the graph.
var jobOptions = []Option{
	{Key: "parallelism.default", Type: Int, Default: "1", Status: Supported, Help: "subtasks of each operator",
		store: field(atLeast(1, parseInt), func(s *Settings) *int { return &s.Job.Parallelism })},
	{Key: "pipeline.max-parallelism", Type: Int, Default: "-1", Status: Supported, Help: "number of key groups, at most 32768; -1 chooses by the parallelism",
		store: field(parseKeyGroups, func(s *Settings) *int { return &s.Job.KeyGroups })},
	{Key: "pipeline.name", Type: String, Status: NoEffect, Reason: "a job of the catalogue has its name"},
	{Key: "pipeline.operator-chaining.enabled", Aliases: []string{"pipeline.operator-chaining"}, Type: Bool, Default: "true", Status: Supported,
		Help:  "run neighbouring operators in one task where that is possible",
		store: field(parseBool, func(s *Settings) *bool { return &s.Job.Chaining })},
	{Key: "pipeline.auto-watermark-interval", Type: Duration, Default: "200 ms", Status: NoEffect, Reason: "watermarks come by the number of records"},
	{Key: "pipeline.object-reuse", Type: Bool, Default: "false", Status: NoEffect, Reason: "records between tasks are bytes"},
	{Key: "execution.runtime-mode", Type: Enum, Values: []string{"STREAMING", "BATCH", "AUTOMATIC"}, Default: "STREAMING", Status: NotYet,
		only: []string{"STREAMING", "AUTOMATIC"}, Reason: "jobs are streams"},
	{Key: "web.checkpoints.history", Type: Int, Default: "10", Status: NoEffect, Reason: "there is no web server; tidemark.history.size says how many records of checkpoints are kept"},
}

// parseDir takes a path or a file address. Other addresses are refused by name
// rather than taken for odd paths.
func parseDir(text string) (string, error) {
	scheme, rest, ok := strings.Cut(text, "://")
	switch {
	case text == "":
		return "", errors.New("the path is empty")
	case !ok:
		if path, ok := strings.CutPrefix(text, "file:/"); ok {
			return "/" + path, nil
		}
		return text, nil
	case scheme == "file" && strings.HasPrefix(rest, "/"):
		return rest, nil
	case scheme == "gs" && strings.Trim(rest, "/") != "":
		return text, nil
	case scheme == "file":
		return "", fmt.Errorf("%q names a host; write file:///path or the path alone", text)
	}
	return "", fmt.Errorf("%q: addresses of %s are %w; use a directory or gs://BUCKET/PREFIX", text, scheme, ErrNotYet)
}

// atLeastOne checks a number that is kept nowhere.
func atLeastOne(_ *Settings, text string) error {
	_, err := atLeast(1, parseInt)(text)
	return err
}

// parseClaim refuses Flink's third mode with the reason: it is deprecated there,
// too.
func parseClaim(text string) (string, error) {
	mode := strings.ToUpper(text)
	if mode == "LEGACY" {
		return "", errors.New("LEGACY is deprecated in Flink and refused here: it lets checkpoints refer to a restored one that nobody owns, so that nothing may ever be deleted; use NO_CLAIM (it stays, the first checkpoint is whole) or CLAIM (the job owns it)")
	}
	return mode, nil
}

func parseStrategy(text string) (string, error) {
	switch strings.ToLower(text) {
	case "none", "off", "disable":
		return "none", nil
	}
	return "fixed-delay", nil
}

func parseKeyGroups(text string) (int, error) {
	n, err := parseInt(text)
	switch {
	case err != nil:
		return 0, err
	case n == -1:
		return 0, nil
	case n < 1 || n > 1<<15:
		return 0, fmt.Errorf("%q is not between 1 and 32768", text)
	}
	return n, nil
}
