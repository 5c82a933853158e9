package canonical

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/tidemark-io/tidemark/checkpoint"
	"github.com/tidemark-io/tidemark/flink"
	"github.com/tidemark-io/tidemark/flink/metadata"
	"github.com/tidemark-io/tidemark/flink/serde"
	"github.com/tidemark-io/tidemark/flink/state"
	"github.com/tidemark-io/tidemark/flink/wire"
	"github.com/tidemark-io/tidemark/keygroup"
)

// Options say how state is written.
type Options struct {
	Parallelism int
	KeyGroups   int
	Without     []string // keyed states that are left out
	// KeyHash says how the hash codes of users' classes among the keys are
	// computed, by class or under "" for all. What it leaves open is found out from
	// the keys and the key groups that they are in; what it says is checked so.
	KeyHash map[string]serde.Formula
	// Memory bounds what sorting keeps in memory, in bytes; 32 MiB if it is 0.
	Memory int
	// TempDir is for what sorting keeps on disk; that of the system if it is "".
	TempDir string
	// Create begins a file of the result.
	Create func() (Output, error)
	// Lost, if it is set, is told by [Keyed.Survey] of what does not read, which is
	// left out then. It needs the old number of key groups.
	Lost func(Hole)
}

// Output is a file being written. Exactly one of its last two methods ends it.
type Output interface {
	Write(p []byte) (int, error)
	// Commit completes the file and returns its name beside the metadata.
	Commit() (name string, err error)
	Abort() error
}

// Volume is a number of entries and the bytes of their keys and values.
type Volume struct{ Entries, Bytes uint64 }

// Keyed is the keyed state of an operator that is to be written anew.
type Keyed struct {
	ctx     context.Context
	src     *flink.Checkpoint
	op      *metadata.Operator
	o       Options
	list    []part
	header  *state.KeyedHeader // of all parts, without what is left out
	indexes [][]int            // by part: from its states to those of the header; negative: left out
	timers  map[string]int     // states of raw timers
	hasher  *serde.Hasher      // set if keys change their key groups
	user    map[string]serde.Formula
	// unordered says that a part does not have its entries by key groups.
	unordered bool
	surveyed  bool
	// Dropped is what was left out, by the name of the state. States that are left
	// out are in it from the beginning.
	Dropped map[string]Volume
}

// OpenKeyed reads the headers of an operator's keyed state and decides whether it
// can be written anew: with a *checkpoint.RefusedError if not. The operator is one of
// the checkpoint's, perhaps with fewer handles; it is not changed.
func OpenKeyed(ctx context.Context, src *flink.Checkpoint, op *metadata.Operator, o Options) (*Keyed, error) {
	k := &Keyed{ctx: ctx, src: src, op: op, o: o, Dropped: map[string]Volume{}, timers: map[string]int{}}
	list, err := k.parts()
	if err != nil {
		return nil, err
	}
	k.list = list
	for i := range k.list {
		p := &k.list[i]
		if err := k.readHeader(p); err != nil && k.o.Lost == nil {
			return nil, err
		} else if err != nil {
			p.broken = err
		}
	}
	if err := k.lendHeaders(); err != nil {
		return nil, err
	}
	for i := range k.list {
		p := &k.list[i]
		if p.header == nil {
			k.indexes = append(k.indexes, nil)
			continue
		}
		if err := k.merge(p); err != nil {
			return nil, err
		}
	}
	if err := k.rawTimers(); err != nil {
		return nil, err
	}
	if k.header == nil || !k.rehashed() {
		return k, nil
	}
	if k.hasher, err = k.findHash(); err != nil {
		return nil, err
	}
	return k, nil
}

// rehashed reports whether keys change their key groups.
func (k *Keyed) rehashed() bool { return k.o.KeyGroups != int(k.op.MaxParallelism) }

// States are the names of the states that are written.
func (k *Keyed) States() []string {
	if k.header == nil {
		return nil
	}
	names := make([]string, len(k.header.States))
	for i := range names {
		names[i] = k.header.States[i].Name
	}
	return names
}

// alone is the header of one state, to compare descriptions by their bytes.
func alone(key *serde.Type, states ...state.Meta) ([]byte, error) {
	return (&state.KeyedHeader{Key: key, States: states}).Append(nil)
}

// merge adds the states of a part to the header. What subtasks say of one state
// must be the same, since the values are not converted.
func (k *Keyed) merge(p *part) error {
	if k.header == nil {
		k.header = &state.KeyedHeader{Key: p.header.Key}
	}
	mine, err := alone(k.header.Key)
	if err != nil {
		return err
	}
	theirs, err := alone(p.header.Key)
	if err != nil {
		return err
	}
	if !bytes.Equal(mine, theirs) {
		return k.refuse(p.subtask, fmt.Sprintf("its keys are of type %s, those of other subtasks of type %s", p.header.Key, k.header.Key), "take a canonical savepoint with the job")
	}
	index := make([]int, len(p.header.States))
	for i, m := range p.header.States {
		if slices.Contains(k.o.Without, m.Name) {
			k.Dropped[m.Name] = Volume{}
			index[i] = -1
			continue
		}
		index[i] = k.state(m.Name)
		if index[i] < 0 {
			index[i] = len(k.header.States)
			k.header.States = append(k.header.States, m)
			continue
		}
		have, err := alone(k.header.Key, k.header.States[index[i]])
		if err != nil {
			return err
		}
		comes, err := alone(k.header.Key, m)
		if err != nil {
			return err
		}
		if !bytes.Equal(have, comes) {
			return k.refuse(p.subtask, fmt.Sprintf("state %s is described otherwise than by other subtasks", m.Name), "take a canonical savepoint with the job")
		}
	}
	k.indexes = append(k.indexes, index)
	return nil
}

// state is the index of a state in the header, negative if there is none.
func (k *Keyed) state(name string) int {
	return slices.IndexFunc(k.header.States, func(m state.Meta) bool { return m.Name == name })
}

// Write writes a file for each subtask of the new layout, and returns their
// handles, nil if there is no state to write. What was written before an error is
// for the caller to remove.
func (k *Keyed) Write() ([]metadata.KeyedHandle, error) {
	if k.header == nil || len(k.header.States) == 0 {
		return nil, k.dropAll()
	}
	c := &cutter{k: k}
	if !k.rehashed() && len(k.timers) == 0 && !k.unordered {
		err := k.each(c.add)
		return c.finish(err)
	}
	s := newSorter(k.o.Memory, k.o.TempDir)
	err := k.each(s.add)
	if err == nil {
		err = k.eachTimer(s.add)
	}
	if err == nil {
		err = s.each(c.add)
	}
	return c.finish(errors.Join(err, s.close()))
}

// dropAll counts what is left out where nothing else is there.
func (k *Keyed) dropAll() error {
	if k.header == nil {
		return nil
	}
	return k.each(func(int, int, []byte, []byte) error { return nil })
}

// each passes on the entries by their new key groups, in the order of the old ones.
func (k *Keyed) each(add func(group, state int, composite, value []byte) error) error {
	for i := range k.list {
		if err := k.eachOf(i, add); err != nil {
			return damaged(k.src.Dir(), err)
		}
	}
	return nil
}

func (k *Keyed) eachOf(i int, add func(group, state int, composite, value []byte) error) error {
	p := &k.list[i]
	if k.o.Lost != nil {
		return k.salvageOf(i, add)
	}
	return k.walk(p, func(e *state.Entry) error {
		name := p.header.States[e.State].Name
		to := k.indexes[i][e.State]
		if to < 0 {
			v := k.Dropped[name]
			k.Dropped[name] = Volume{v.Entries + 1, v.Bytes + uint64(len(e.Composite)+len(e.Value))}
			return nil
		}
		group := e.KeyGroup
		if k.rehashed() {
			if !e.Split {
				return k.refuse(p.subtask, fmt.Sprintf("a key of state %s cannot be told from its namespace", name), "the same command without --key-groups for this operator")
			}
			var err error
			if group, err = k.group(e.KeyGroup, e.Key, name); err != nil {
				return err
			}
		}
		return add(group, to, e.Composite, e.Value)
	})
}

// group is the new key group of a key. The old one must follow from the hash too:
// else the class of the key hashes in another way than is known here.
func (k *Keyed) group(old int, key []byte, name string) (int, error) {
	hash, err := k.hasher.HashKey(key)
	var unknown *serde.HashError
	if errors.As(err, &unknown) {
		return 0, k.refuse(checkpoint.NoSubtask, fmt.Sprintf("the number of its key groups cannot change: a key of state %s: %v", name, err), "the same command without --key-groups for this operator")
	}
	if err != nil {
		return 0, err
	}
	if g := serde.KeyGroup(hash, int(k.op.MaxParallelism)); g != old {
		return 0, k.refuse(checkpoint.NoSubtask, fmt.Sprintf("the number of its key groups cannot change: a key of state %s is in key group %d, and by its hash it were in %d", name, old, g),
			`"tidemark verify" of the source`)
	}
	return serde.KeyGroup(hash, k.o.KeyGroups), nil
}

// Names of the states in which timers are (InternalTimeServiceManagerImpl).
const (
	eventTimers      = "_timer_state/event_"
	processingTimers = "_timer_state/processing_"
)

// rawFiles yields the raw keyed state of the operator.
func (k *Keyed) rawFiles(yield func(p int32, f state.KeyedFile) error) error {
	for i := range k.op.Subtasks {
		s := k.op.Subtasks[i].State
		if s == nil || s.RawKeyed == nil {
			continue
		}
		h, ok := s.RawKeyed.(*metadata.KeyGroupsHandle)
		if !ok {
			return k.refuse(k.op.Subtasks[i].Index, fmt.Sprintf("its raw keyed state lies in a handle of the kind %T", s.RawKeyed), "take a canonical savepoint")
		}
		src, err := k.src.OpenHandle(k.ctx, h.Delegate)
		if err != nil {
			return err
		}
		err = yield(k.op.Subtasks[i].Index, state.KeyedFile{Object: src.Object, Data: src, Size: src.Size(), Groups: rangeOf(h.Range), Offsets: h.Offsets,
			MaxParallelism: int(k.op.MaxParallelism)})
		if err = errors.Join(err, src.Close()); err != nil {
			return err
		}
	}
	return nil
}

// timerState is the name of the state that a raw timer goes to.
func timerState(t *state.RawTimer) string {
	if t.EventTime {
		return eventTimers + t.Service
	}
	return processingTimers + t.Service
}

// rawTimers describes the timers of raw keyed state as states. Other raw keyed
// state is an operator's own, and is refused.
func (k *Keyed) rawTimers() error {
	return k.rawFiles(func(subtask int32, f state.KeyedFile) error {
		for t, err := range state.RawTimers(f) {
			if errors.Is(err, wire.ErrUnsupported) {
				return k.refuse(subtask, fmt.Sprintf("its raw keyed state is its own, and cannot be written anew: %v", err), "strip it: --state operator="+k.name()+",state=raw-keyed-state")
			}
			if err != nil && k.tolerates(err) {
				continue // eachTimer tells
			}
			if err != nil {
				return damaged(k.src.Dir(), err)
			}
			if k.header == nil {
				k.header = &state.KeyedHeader{Key: t.KeyType}
			}
			name := timerState(t)
			if _, known := k.timers[name]; known {
				continue
			}
			typ, err := serde.TimerOf(t.KeyType, t.NamespaceType)
			if err != nil {
				return err
			}
			if k.timers[name] = k.state(name); k.timers[name] < 0 {
				k.timers[name] = len(k.header.States)
				k.header.States = append(k.header.States, state.Meta{Name: name, Kind: state.PriorityQueue, Serializers: []state.Serializer{{Key: state.SerializerValue, Type: typ}}})
			}
		}
		return nil
	})
}

// eachTimer passes on the timers of raw keyed state, in the encoding of timers of
// managed state: the time with its sign turned, key, namespace.
func (k *Keyed) eachTimer(add func(group, state int, composite, value []byte) error) error {
	if len(k.timers) == 0 {
		return nil
	}
	return k.rawFiles(func(subtask int32, f state.KeyedFile) error {
		var b []byte
		for t, err := range state.RawTimers(f) {
			if err != nil && k.tolerates(err) {
				k.loseTimers(subtask, f, err)
				continue
			}
			if err != nil {
				return damaged(k.src.Dir(), err)
			}
			name := timerState(t)
			group := t.KeyGroup
			if k.rehashed() {
				if group, err = k.group(t.KeyGroup, t.Key, name); err != nil {
					return err
				}
			}
			b = wire.AppendI64(b[:0], t.Timestamp^(-1<<63))
			b = append(append(b, t.Key...), t.Namespace...)
			if err := add(group, k.timers[name], b, nil); err != nil {
				return err
			}
		}
		return nil
	})
}

// groupsOf are the key groups of a new subtask.
func (k *Keyed) groupsOf(subtask int) keygroup.Range {
	return keygroup.RangeOf(subtask, k.o.KeyGroups, k.o.Parallelism)
}
