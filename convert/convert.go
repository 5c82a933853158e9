// Package convert makes savepoints of Apache Flink of Tidemark's checkpoints, and
// the other way round, so that a job can move either way.
//
// Both sides keep values under keys, but hash keys differently: Flink takes Java's
// hash code modulo the number of key groups, Tidemark the order of a hash of the
// encoded key. So every entry is decoded, encoded anew and sorted, outside memory
// if need be: memory is bounded by [Options].Memory, what does not fit lies below
// the destination while the conversion runs.
//
// Types correspond by their structure; see [ToFlink] and [ToNative]. What has no
// counterpart is refused, all of it at once and by name, before anything is
// written; what is left out because the caller asked for it is in the result's
// losses.
//
// Non-goals: in-flight data, whose serialisers no checkpoint of Flink knows;
// positions of sources and files of sinks, which mean something to one connector
// only.
package convert

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/tidemark-io/tidemark/checkpoint"
	"github.com/tidemark-io/tidemark/flink/wire"
	"github.com/tidemark-io/tidemark/format"
	"github.com/tidemark-io/tidemark/keygroup"
	"github.com/tidemark-io/tidemark/reader"
	"github.com/tidemark-io/tidemark/store"
)

// Options configure a conversion. Zero values stand for the defaults.
type Options struct {
	// Parallelism is that of all operators; 0 keeps theirs.
	Parallelism uint32
	// KeyGroups is the number of key groups, Flink's maximum parallelism; 0 keeps
	// that of the source.
	KeyGroups uint32
	// Structs says what Flink has for structs, by path: "uid" is the key of an
	// operator, "uid/state" the value of a state, "uid/state.field" a field inside,
	// "*" all others. The choices are "row" (the default), "tuple", and otherwise
	// the name of the Java class of a POJO.
	Structs map[string]string
	// KeyHash says how the classes of an operator's keys compute their hash code, by
	// uid: formulas as [serde.ParseFormulas] reads them. Where Structs makes a key, or
	// a part of one, a POJO nothing else tells, and no key of ours can prove it: with a
	// formula that is not the class's own Flink does not find the state. For ToFlink
	// only.
	KeyHash map[string]string
	// Like is a checkpoint of the job that is to go on from the result: its schemas
	// say which types its states have, where Flink's are less precise (names of
	// fields in rows, numbers without sign, values that may be null). nil derives
	// schemas from Flink's types alone. For ToNative only.
	Like *reader.Checkpoint
	// Nullable makes fields of rows and POJOs optional (pointers in Go), which
	// Flink's files do not tell from those that are never null. For ToNative only.
	Nullable bool
	// Drop leaves out state, by operator, name and kind.
	Drop []checkpoint.Selector
	// External says what to do with a sink's files that are not published yet.
	External checkpoint.ExternalFiles
	// Memory bounds what is sorted at a time, in bytes; 32 MiB. Merging takes as
	// much again at most.
	Memory   int
	DryRun   bool      // decide and report everything, write nothing
	Software string    // name and version of the program
	Created  time.Time // of the result; now if it is zero
	Progress func(checkpoint.Progress)
}

// Result is what a conversion did, or with DryRun would do.
type Result struct {
	States  []State
	Losses  []checkpoint.Loss
	Written checkpoint.Volume
}

// State is one state that was converted.
type State struct {
	Operator string // uid
	Name     string // of the source
	Kind     checkpoint.StateKind
	// Key, From and To are the types: of the key in the result ("" if there is
	// none), of the value in the source and in the result.
	Key, From, To string
	Entries       uint64 // 0 with DryRun; elements of lists, entries of maps
}

// defaultMemory is what is sorted at a time.
const defaultMemory = 32 << 20

// job is what both directions share.
type job struct {
	ctx     context.Context
	opts    Options
	st      store.Store // of the destination
	dst     string
	result  Result
	refused []checkpoint.Finding
	made    []string // objects, to take back
	done    uint64
	total   uint64
}

func newJob(ctx context.Context, st store.Store, dst string, opts Options) (*job, error) {
	opts.Memory = cmp.Or(max(opts.Memory, 0), defaultMemory)
	if opts.Created.IsZero() {
		opts.Created = time.Now()
	}
	j := &job{ctx: ctx, opts: opts, st: st, dst: dst}
	if opts.KeyGroups != 0 && !keygroup.Valid(int(min(opts.KeyGroups, keygroup.MaxGroups+1))) {
		return nil, mistake("%d key groups: 1 to %d are possible", opts.KeyGroups, keygroup.MaxGroups)
	}
	if opts.Parallelism > keygroup.MaxGroups {
		return nil, mistake("parallelism %d: 1 to %d are possible", opts.Parallelism, keygroup.MaxGroups)
	}
	if err := store.CheckName(dst); err != nil {
		return nil, mistake("%q cannot be the name of a checkpoint: lower-case letters, digits, dots, hyphens and underscores can", dst)
	}
	for info, err := range st.List(ctx, dst+"/") {
		if err != nil {
			return nil, err
		}
		return nil, fmt.Errorf("%s: %w", info.Name, checkpoint.ErrExists)
	}
	return j, nil
}

func mistake(text string, args ...any) error {
	return &checkpoint.EditError{Mistakes: []string{fmt.Sprintf(text, args...)}}
}

// refuse notes a reason not to convert. All reasons are found before the first is
// returned.
func (j *job) refuse(operator, state, problem, remedy string) {
	place := checkpoint.Nowhere()
	place.Operator, place.State = operator, state
	j.refused = append(j.refused, checkpoint.Finding{Severity: checkpoint.Error, Place: place, Problem: problem, Remedy: remedy})
}

// check returns the refusal if there are reasons for one.
func (j *job) check() error {
	if len(j.refused) == 0 {
		return nil
	}
	return &checkpoint.RefusedError{Reasons: j.refused}
}

// dropped reports whether a state is to be left out, and notes the loss. entries
// and bytes may be unknown.
func (j *job) dropped(s checkpoint.State) bool {
	for _, sel := range j.opts.Drop {
		if !sel.Takes(s) {
			continue
		}
		l := checkpoint.Loss{Tool: "convert", Created: j.opts.Created, Operator: s.Operator, State: s.Name, Place: sel.String(),
			Reason: "left out as asked for", MinTime: checkpoint.UnknownTime, MaxTime: checkpoint.UnknownTime}
		if s.Entries != checkpoint.UnknownCount {
			l.Records = uint64(s.Entries)
		}
		if s.Bytes != checkpoint.UnknownCount {
			l.Bytes = uint64(s.Bytes)
		}
		j.result.Losses = append(j.result.Losses, l)
		return true
	}
	return false
}

// dropRemedy is the option that leaves a state out.
func dropRemedy(operator, state string) string {
	return "the same command with --drop " + checkpoint.Selector{Operator: operator, State: state}.String() + ", which leaves it out"
}

// advance reports progress in bytes of the source.
func (j *job) advance(n int) {
	j.done += uint64(n)
	if j.opts.Progress != nil {
		j.opts.Progress(checkpoint.Progress{Done: min(j.done, j.total), Total: j.total})
	}
}

// wrote counts an object of the result.
func (j *job) wrote(size uint64) {
	j.result.Written.Objects++
	j.result.Written.Bytes += size
}

// errUnfit is the class of values that the other side has no place for.
var errUnfit = errors.New("the value has no counterpart")

// classify gives an error of the data its class: damage, what is not supported, or a
// refusal of a value that does not fit.
func classify(err error) error {
	var bad *wire.Error
	var refused *checkpoint.RefusedError
	switch {
	case err == nil || errors.As(err, &refused):
		return err
	case errors.Is(err, errUnfit):
		return checkpoint.Refuse(checkpoint.Nowhere(), err.Error(), "the same command with --drop, which leaves the state out; or with --nullable or --like, for another type")
	case !errors.As(err, &bad):
		return err
	case errors.Is(err, wire.ErrUnsupported), errors.Is(err, wire.ErrLimit):
		return fmt.Errorf("%w: %w", checkpoint.ErrUnsupported, err)
	}
	return fmt.Errorf("%w: %w", checkpoint.ErrDamaged, err)
}

// takeBack removes what this conversion has made after a failure, also if the
// context has ended. What another one made at the same place is left alone.
func (j *job) takeBack(cause error) error {
	ctx := context.WithoutCancel(j.ctx)
	errs := []error{cause}
	for _, name := range j.made {
		if err := j.st.Remove(ctx, name, ""); err != nil && !errors.Is(err, store.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	if len(errs) == 1 {
		return cause
	}
	return errors.Join(errs...)
}

// layout is parallelism and number of key groups of an operator in the result.
func (j *job) layout(operator string, parallelism, groups uint32) (uint32, uint32) {
	p, g := cmp.Or(j.opts.Parallelism, parallelism), groups
	if g > 0 {
		g = cmp.Or(j.opts.KeyGroups, g)
	}
	if g > 0 && p > g {
		j.refuse(operator, "", fmt.Sprintf("%d subtasks cannot share %d key groups", p, g), fmt.Sprintf("the same command with --key-groups %d or more", p))
	}
	return p, g
}

// externalKind begins the items by which a sink remembers a file that it has
// completed and not yet published (R10).
const externalKind = `{"kind":"tidemark.filesink/`

// external reports whether an item of a list refers to a file outside. In front
// of the JSON stands at most its length.
func external(item []byte) bool {
	return strings.Contains(string(item[:min(len(item), 10+len(externalKind))]), externalKind)
}

// kinds are the model's names of the kinds that are converted.
var kinds = map[format.Kind]checkpoint.StateKind{
	format.KindKeyed: checkpoint.Keyed, format.KindTimer: checkpoint.Timers, format.KindSplitList: checkpoint.SplitList,
	format.KindUnionList: checkpoint.UnionList, format.KindBroadcast: checkpoint.BroadcastState,
}

// Names of the states in which the engine keeps timers, and what Flink calls those
// of a keyed process function. They are on disk.
const (
	eventTimers     = "timers"
	clockTimers     = "timers.processing"
	flinkTimers     = "_timer_state/"
	flinkEvent      = flinkTimers + "event_"
	flinkProcessing = flinkTimers + "processing_"
	userTimers      = "user-timers"
)

// isIndex reports whether a namespace is the index of an element, by which the
// engine keeps lists: four bytes, big-endian.
func isIndex(s *format.Schema) bool {
	return s != nil && s.Type == format.TypeArray && s.Len == 4 && s.Elems[0].Type == format.TypeUint8
}

func indexSchema() *format.Schema {
	return &format.Schema{Type: format.TypeArray, Len: 4, Elems: []*format.Schema{{Type: format.TypeUint8}}}
}
