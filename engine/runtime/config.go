package runtime

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/tidemark-io/tidemark/engine/exchange"
	"github.com/tidemark-io/tidemark/format"
	"github.com/tidemark-io/tidemark/keygroup"
	"github.com/tidemark-io/tidemark/store"
)

// Config says how a job runs. The zero value runs it with parallelism 1 and
// without checkpoints; every field's zero value is its default.
type Config struct {
	// Parallelism is the number of subtasks of operators that name none; 0 is 1.
	Parallelism int
	// KeyGroups is the number of key groups of keyed operators. 0 takes that
	// of the restored checkpoint, or [keygroup.DefaultGroups].
	KeyGroups int
	// DisableChaining gives every operator a task of its own.
	DisableChaining bool

	Checkpoints CheckpointConfig
	Restore     RestoreConfig
	Restart     RestartConfig

	// Exchange sizes the buffers between tasks.
	Exchange exchange.Config
	// BufferTimeout is how long a record may wait in a buffer that is not
	// full; 0 is 100 ms, negative is for ever.
	BufferTimeout time.Duration

	// StuckAfter is how long one call of user code may take before it is reported
	// as stuck, at most half as long again after that; 0 is never. It goes on.
	StuckAfter time.Duration

	// Settings are written into checkpoints, secrets already redacted.
	Settings []format.Setting
	// Logger receives what the engine has to say; nil is silent.
	Logger *slog.Logger
	// Observer receives typed events; nil is nobody.
	Observer Observer
	// Clock is where time comes from; nil is the machine's.
	Clock Clock

	consumption consumption // of tests, else nil
}

// CheckpointConfig says where and how often a job's state is checkpointed.
type CheckpointConfig struct {
	// Store is the root that checkpoints lie in; nil is no checkpoints.
	Store store.Store
	// Interval is the time between triggers; 0 takes none by itself, apart
	// from the final one.
	Interval time.Duration
	// Timeout is when a checkpoint is given up; 0 is 10 minutes.
	Timeout time.Duration
	// MinPause is the least time between the end of one checkpoint and the
	// trigger of the next.
	MinPause time.Duration
	// TolerableFailures is how many checkpoints in a row may fail before the
	// job does.
	TolerableFailures int
	// Unaligned lets barriers overtake the data on connections that allow it
	// (keyed, rebalance, shuffle, global); that data then is part of the
	// checkpoint. Savepoints stay aligned.
	Unaligned bool
	// AtLeastOnce lets no input wait for another at a checkpoint: records
	// behind a barrier may get into the state, and count twice after a
	// restore; none is lost. Unaligned is ignored then, with a warning.
	AtLeastOnce bool
	// ForceUnaligned lets barriers overtake the data of custom partitioners,
	// too, which then must be pure functions: a restore runs them again (R16).
	ForceUnaligned bool
	// PointwiseByKey lets barriers overtake the data of pointwise connections,
	// too, if all of it comes from one keyed operator, from subtask to subtask:
	// each record then carries the hash of the key that it was emitted for,
	// and a restore brings it to the subtask that owns this key (R7). Records
	// of one key keep their order, those of two may not. The plan says which
	// connections these are.
	PointwiseByKey bool
	// AlignedTimeout is how long an unaligned checkpoint is tried aligned
	// first; 0 is not at all.
	AlignedTimeout time.Duration
	// Incremental lets a checkpoint refer to what an earlier one has stored of
	// key groups that have not changed since, in the root's folder "shared".
	// Savepoints stay whole.
	Incremental bool
	// Retained is how many completed checkpoints are kept; 0 is 3.
	Retained int
	// History is of how many ended attempts a record is kept below history/ of
	// the root; 0 is 1,000, negative writes none.
	History int
	// Objects is how many data objects a checkpoint is written to in
	// parallel; 0 is the writer's default.
	Objects int
	// Compression is "none", "s2", "zstd", or "" for the writer's choice.
	Compression string
	// NoLock leaves the store's own lock alone: for stores shared by hand-over
	// only, where a new process may start before the old one has ended. The
	// old one is fenced.
	NoLock bool
	// Software names the program in manifests.
	Software string
	// Location is the root as people write it, for messages.
	Location string
}

// RestoreConfig says what state a job starts from.
type RestoreConfig struct {
	// From is "" for none, "latest" for the newest checkpoint of the newest
	// lineage (none if the root has no checkpoint), or the path of a
	// checkpoint below the root.
	From string
	// External is the store that From lies in, if it is not the job's root.
	External store.Store
	// Fallback allows to go back to an older intact checkpoint (R9).
	Fallback bool
	// RollbackOutput withdraws visible output of checkpoints later than the
	// restored one (R9).
	RollbackOutput bool
	// Claim says whose the restored checkpoint is, if From names it. "latest" goes
	// on with the job's own, whatever Claim says.
	Claim ClaimMode
	// WithoutInFlight is the id of a checkpoint whose in-flight data is
	// dropped if it is the one restored, since it is damaged: a last resort,
	// those records are lost. Other checkpoints are not touched; 0 is none.
	WithoutInFlight uint64
	// OnCorruptChannelState says what happens if in-flight data of the
	// checkpoint is damaged; "" is [FailOnCorrupt]. Anything else needs a From
	// that names one checkpoint, and holds for that one only: going back to a
	// checkpoint of the run itself never drops anything.
	OnCorruptChannelState CorruptPolicy
	// AllowNonRestoredState accepts state for which the job has no operator.
	AllowNonRestoredState bool
}

// ClaimMode says whose a checkpoint is that a run was told by name to restore.
type ClaimMode string

// Claim modes, as Flink has them; "" is NoClaim. Its third one, LEGACY, where the
// job refers to files that nobody owns, does not exist here.
const (
	// NoClaim: it, and what earlier runs have left besides, belongs to somebody
	// else. Retention never removes it, and no later checkpoint refers to it: the
	// first of the run is whole.
	NoClaim ClaimMode = "NO_CLAIM"
	// Claim: it belongs to the run from now on. Retention removes it when enough
	// later ones are there, also if it is a savepoint.
	Claim ClaimMode = "CLAIM"
)

// RestartConfig is the fixed-delay restart strategy.
type RestartConfig struct {
	Attempts int           // restarts before the job fails; 0 is none
	Delay    time.Duration // before each; 0 is 1 s
}

// Defaults of the zero Config.
const (
	defaultTimeout       = 10 * time.Minute
	defaultRetained      = 3
	defaultRestartDelay  = time.Second
	defaultBufferTimeout = 100 * time.Millisecond
)

// withDefaults fills in the zero fields, or says what is wrong with the others.
func (c Config) withDefaults() (Config, error) {
	var errs []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	check(c.Parallelism >= 0 && c.Parallelism <= keygroup.MaxGroups,
		"parallelism is %d, it must be 1 to %d", c.Parallelism, keygroup.MaxGroups)
	check(c.KeyGroups == 0 || keygroup.Valid(c.KeyGroups),
		"number of key groups is %d, it must be 1 to %d", c.KeyGroups, keygroup.MaxGroups)
	check(c.Restore.From != "latest" || c.Restore.External == nil,
		"\"latest\" is a checkpoint of the job's own directory; name the one to restore from elsewhere")
	policy := c.Restore.OnCorruptChannelState
	check(slices.Contains([]CorruptPolicy{"", FailOnCorrupt, DropDamaged, DropAll}, policy),
		"%q is not what can be done about damaged in-flight data: %s, %s or %s", string(policy), FailOnCorrupt, DropDamaged, DropAll)
	if policy != "" && policy != FailOnCorrupt {
		check(c.Restore.From != "" && c.Restore.From != "latest",
			"%s for damaged in-flight data needs the name of the checkpoint to restore, not %q: it is for that one only", policy, c.Restore.From)
		check(!c.Restore.Fallback, "%s for damaged in-flight data and falling back to an older checkpoint exclude each other", policy)
	}
	check(slices.Contains([]ClaimMode{"", NoClaim, Claim}, c.Restore.Claim), "%q is no claim mode: %s or %s", string(c.Restore.Claim), NoClaim, Claim)
	check(c.Restore.Claim != Claim || c.Restore.External == nil,
		"%s is for checkpoints of the job's own directory: one of another is never referred to or removed, so use %s", Claim, NoClaim)
	check(c.Checkpoints.Store != nil || c.Restore.From == "" || c.Restore.External != nil,
		"restoring %q needs a checkpoint directory", c.Restore.From)
	if c.Parallelism == 0 {
		c.Parallelism = 1
	}
	if c.Checkpoints.Timeout == 0 {
		c.Checkpoints.Timeout = defaultTimeout
	}
	if c.Checkpoints.Retained == 0 {
		c.Checkpoints.Retained = defaultRetained
	}
	if c.Restart.Delay == 0 {
		c.Restart.Delay = defaultRestartDelay
	}
	if c.Exchange == (exchange.Config{}) {
		c.Exchange = exchange.DefaultConfig()
	}
	check(c.Exchange.Check() == nil, "%w", c.Exchange.Check())
	if c.BufferTimeout == 0 {
		c.BufferTimeout = defaultBufferTimeout
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Checkpoints.AtLeastOnce && c.Checkpoints.Unaligned { // as Flink does
		c.Checkpoints.Unaligned = false
		c.Logger.Warn("unaligned checkpoints are switched off: in at-least-once mode no input waits, so there is nothing to overtake")
	}
	if c.Observer == nil {
		c.Observer = ObserverFunc(func(Event) {})
	}
	if c.Clock == nil {
		c.Clock = SystemClock{}
	}
	return c, errors.Join(errs...)
}
