package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/tidemark-io/tidemark/engine/runtime"
	"github.com/tidemark-io/tidemark/engine/state"
	"github.com/tidemark-io/tidemark/format"
	"github.com/tidemark-io/tidemark/keygroup"
	"github.com/tidemark-io/tidemark/keygroup/keyhash"
	"github.com/tidemark-io/tidemark/reader"
	"github.com/tidemark-io/tidemark/writer"
)

// keyed is the state of an operator on a keyed stream: its tables, its timers,
// and the current key.
type keyed struct {
	env    *runtime.Env
	width  int    // of encoded keys, state.Variable if they differ
	bytes  []byte // the current key, encoded
	sum    uint64 // its hash
	turn   uint64 // counts changes of the current key
	noKey  bool   // there is no current key: a broadcast record is processed
	tables []*table
	timers *state.Timers
	// timerGenerations are those of timers.
	timerGenerations generations
	clock            *clockTimers // timers of processing time, nil if it has none
	// namespace is the schema of the timers' namespaces, nil without.
	namespace *format.Schema
}

// table is one keyed state.
type table struct {
	*state.Table
	spec        runtime.StateSpec
	generations generations
}

func (k *keyed) init(env *runtime.Env, width int) {
	k.env = env
	k.width = variable(width)
}

// variable is a width as tables want it: 0 from a codec means that lengths
// differ.
func variable(width int) int {
	if width == 0 {
		return state.Variable
	}
	return width
}

// setKey makes key, which is kept, the current key.
func (k *keyed) setKey(key []byte) {
	k.bytes = key
	k.sum = keyhash.Sum64(key)
	k.turn++
}

// setKeyOf makes the key of a timer the current key.
func (k *keyed) setKeyOf(t state.Timer) {
	k.bytes = append(k.bytes[:0], t.Key...)
	k.sum = t.Sum
	k.turn++
}

// withoutKey says whether there is no current key.
func (k *keyed) withoutKey(none bool) {
	k.noKey = none
	k.turn++ // so that states look
}

// CurrentKey is the hash of the current key, for what is emitted while it is that.
func (k *keyed) CurrentKey() (hash uint32, ok bool) {
	return uint32(k.sum >> 32), k.turn > 0 && !k.noKey
}

// needKey fails the job if there is no current key.
func (k *keyed) needKey(what string) {
	if k.noKey {
		k.env.Fail(fmt.Errorf("%s: a broadcast record has no key", what))
	}
}

// cachedState is the size of state, in bytes, that the processor's cache holds
// well enough by itself.
const cachedState = 1 << 20

// warm reports whether touching state ahead of its use is worth while.
func (k *keyed) warm() bool {
	for _, t := range k.tables {
		if t.spec.Namespace == nil && t.Bytes() > cachedState {
			return true
		}
	}
	return false
}

// touch brings the state of keys with these hashes into the cache. The place of
// an entry with a namespace is not known from the key alone.
func (k *keyed) touch(hashes []uint32) {
	for _, t := range k.tables {
		if t.spec.Namespace == nil {
			for _, h := range hashes {
				t.Touch(uint64(h) << 32)
			}
		}
	}
}

// addTable makes and restores the table of one state.
func (k *keyed) addTable(spec runtime.StateSpec, namespaceWidth, valueWidth int) (*table, error) {
	for _, t := range k.tables {
		if t.spec.Name == spec.Name {
			return nil, fmt.Errorf("state %q is bound twice", spec.Name)
		}
	}
	if spec.Name == timersName || spec.Name == clockName {
		return nil, fmt.Errorf("a state cannot have the name %q: the engine's timers have it", spec.Name)
	}
	st, err := state.NewTable(state.Options{Groups: k.env.KeyGroups, Range: k.env.Range, KeyWidth: k.width,
		NamespaceWidth: namespaceWidth, ValueWidth: valueWidth})
	if err != nil {
		return nil, err
	}
	t := &table{Table: st, spec: spec}
	k.tables = append(k.tables, t)
	var l *state.Loader
	err = k.env.RestoreKeyed(spec,
		func(expected int) { l = st.Load(expected) },
		func(sum uint64, b *reader.Batch) error { return l.Append(sum, b.Key, b.Namespace, b.Value) })
	t.generations.restored(k.env.RestoredBase(spec), st.Generation)
	return t, err
}

// Names of the states that hold timers of event time and of processing time.
const (
	timersName = "timers"
	clockName  = "timers.processing"
)

// timerSpec is the state that holds an operator's timers.
func (k *keyed) timerSpec() runtime.StateSpec {
	return runtime.StateSpec{Name: timersName, Kind: format.KindTimer, Namespace: k.namespace}
}

// restore restores the timers and the floors of event time. Timers that a key
// has already passed are due at once.
func (k *keyed) restore(timers bool) error {
	highest, err := k.env.RestoreFloors()
	if err != nil {
		return err
	}
	if !timers {
		return nil
	}
	width := 0
	if k.namespace != nil {
		width = variable(k.namespace.Width())
	}
	k.timers, err = state.NewTimers(state.Options{Groups: k.env.KeyGroups, Range: k.env.Range, KeyWidth: k.width, NamespaceWidth: width})
	if err != nil {
		return err
	}
	var l *state.TimerLoader
	err = k.env.RestoreKeyed(k.timerSpec(),
		func(expected int) { l = k.timers.Load(expected) },
		func(sum uint64, b *reader.Batch) error { return l.Append(sum, b.Key, b.Namespace, b.Time) })
	if err != nil {
		return err
	}
	l.Finish()
	k.timerGenerations.restored(k.env.RestoredBase(k.timerSpec()), k.timers.Generation)
	if highest > NoTimestamp {
		k.env.CatchUp(highest)
	}
	return nil
}

func (k *keyed) register(namespace []byte, at int64) {
	k.needKey("registering a timer")
	if k.timers == nil {
		k.env.Fail(errors.New("a timer was registered by a function without OnTimer"))
		return
	}
	if _, err := k.timers.Register(k.sum, k.bytes, namespace, at); err != nil {
		k.env.Fail(fmt.Errorf("registering a timer: %w", err))
	}
}

func (k *keyed) unregister(namespace []byte, at int64) {
	if k.timers != nil {
		k.timers.Delete(k.sum, k.bytes, namespace, at)
	}
}

// drain fires timers up to a watermark, at least one, until the task asks for
// attention.
func (k *keyed) drain(watermark int64, fire func(state.Timer) error) (bool, error) {
	if k.timers == nil {
		k.env.FloorsPassed(watermark)
		return true, nil
	}
	for fired := false; ; {
		at, ok := k.timers.Next()
		if !ok || at > watermark {
			k.env.FloorsPassed(watermark)
			return true, nil
		}
		if fired && k.env.Task().Attention() {
			return false, nil
		}
		t, _ := k.timers.Pop(watermark)
		if err := fire(t); err != nil {
			return false, err
		}
		fired = true
	}
}

// catchUp fires the timers up to highest that the floor of their own key has
// reached, at least one if any has, until the task asks for attention (R3). The
// others are put back before it returns, so that a snapshot finds them.
func (k *keyed) catchUp(highest int64, fire func(state.Timer) error) (done bool, err error) {
	if k.timers == nil {
		return true, nil
	}
	var later []state.Timer
	defer func() {
		for _, t := range later {
			if _, rerr := k.timers.Register(t.Sum, t.Key, t.Namespace, t.Time); rerr != nil {
				err = errors.Join(err, rerr)
			}
		}
	}()
	for fired := false; ; {
		if fired && k.env.Task().Attention() {
			return false, nil
		}
		t, ok := k.timers.Pop(highest)
		if !ok {
			return true, nil
		}
		if t.Time > k.env.WatermarkOf(keygroup.Hash(t.Sum>>32)) {
			t.Key, t.Namespace = slices.Clone(t.Key), slices.Clone(t.Namespace)
			later = append(later, t)
			continue
		}
		if err := fire(t); err != nil {
			return false, err
		}
		fired = true
	}
}

// snapshot hands the tables and the timers over.
func (k *keyed) snapshot(s *runtime.Snapshot) error {
	for _, t := range k.tables {
		inc, take := t.generations.begin(s, t.spec)
		snap, err := t.SnapshotOf(take)
		if err != nil {
			return fmt.Errorf("state %q: %w", t.spec.Name, err)
		}
		if inc != nil {
			t.generations.note(s, inc, snap.Generation())
			s.AddGroups(t.spec, inc, writeGroups(snap, k.env.KeyGroups), snap.Release)
			continue
		}
		s.Add(t.spec, func(ctx context.Context, sl *writer.Slice) error {
			for b := range snap.Batches() { // nothing unless widths are fixed
				if err := sl.KeyedBatch(b.Hashes, b.Keys, b.Values); err != nil {
					return err
				}
			}
			if snap.Fixed() {
				return nil
			}
			for e := range snap.Entries() {
				if err := sl.Keyed(e.Hash, e.Key, e.Namespace, e.Value); err != nil {
					return err
				}
			}
			return nil
		}, snap.Release)
	}
	if k.clock != nil {
		if err := k.clock.snapshot(s); err != nil {
			return err
		}
	}
	if k.timers == nil {
		return nil
	}
	return addTimers(s, k.timerSpec(), k.timers, &k.timerGenerations, k.env.KeyGroups)
}
