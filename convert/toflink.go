package convert

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/tidemark-io/tidemark/checkpoint"
	"github.com/tidemark-io/tidemark/flink"
	"github.com/tidemark-io/tidemark/flink/metadata"
	"github.com/tidemark-io/tidemark/flink/serde"
	"github.com/tidemark-io/tidemark/flink/state"
	"github.com/tidemark-io/tidemark/format"
	"github.com/tidemark-io/tidemark/keygroup"
	"github.com/tidemark-io/tidemark/reader"
	"github.com/tidemark-io/tidemark/store"
)

// toFlink is a conversion to a canonical savepoint.
type toFlink struct {
	*job
	src     *reader.Checkpoint
	schemas []*format.Schema
	states  []format.State
	types   typer
	hashed  map[string]bool // operators whose Options.KeyHash has been used
	ops     []*flinkOperator
	meta    *metadata.Metadata
}

// flinkOperator is an operator of the result.
type flinkOperator struct {
	format.Operator
	id           metadata.OperatorID
	parallelism  int
	groups       int // Flink knows them for every operator
	old          int // parallelism of the source
	key          *match
	hasher       *serde.Hasher      // of the keys
	noKey        bool               // the key is refused already
	header       *state.KeyedHeader // nil without keyed state
	keyed        []*keyedState
	lists, pairs []*operatorState
}

// keyedState is a keyed state, or timers. Its place is that in the header.
type keyedState struct {
	row       int
	st        format.State
	kind      string // of Flink's keyed states, "" for timers
	namespace *match // map's key, or a timer's window; nil without
	value     *match
}

// operatorState is a list or a broadcast state.
type operatorState struct {
	row        int
	st         format.State
	key, value *match
}

// ToFlink makes a canonical savepoint of Flink, which 1.20 and every 2.x restore
// with any state backend, of a checkpoint without in-flight data. dst is the name
// of its folder in the store, in which nothing may be yet.
//
// Types: int64 Long, int32 Integer, int16 Short, int8 Byte, numbers without sign
// the next larger, uint64 Long, bool, float64 and float32, string, []byte byte[],
// slices and arrays List, maps Map, time Instant, duration Long (nanoseconds),
// structs as Options.Structs says, and as keys with the hash code of Options.KeyHash. Value, list and map state, timers of both kinds
// (named "user-timers", as those of a KeyedProcessFunction), split and union lists
// and broadcast state become the same in Flink. Flink keeps no watermarks; they are
// left out.
//
// Errors: *checkpoint.RefusedError, checkpoint.ErrExists, *checkpoint.EditError for
// mistakes in the options, *format.CorruptError for damage in the source.
func ToFlink(ctx context.Context, src *reader.Checkpoint, st store.Store, dst string, opts Options) (*Result, error) {
	j, err := newJob(ctx, st, dst, opts)
	if err != nil {
		return nil, err
	}
	c := &toFlink{job: j, src: src, types: typer{structs: opts.Structs, used: map[string]bool{}}, hashed: map[string]bool{}}
	if err := c.plan(); err != nil {
		return nil, err
	}
	if opts.DryRun {
		return &j.result, nil
	}
	if err := j.sweep(ctx); err != nil {
		return nil, err
	}
	if err := c.write(); err != nil {
		return nil, j.takeBack(classify(err))
	}
	return &j.result, nil
}

// plan decides types and layout of everything, and refuses what cannot be.
func (c *toFlink) plan() error {
	sum := c.src.Summary()
	if sum.InFlightBytes > 0 || sum.InFlightRecords > 0 {
		c.refuse("", "", fmt.Sprintf("%d records are in flight; Flink needs serialisers for them that no checkpoint knows", sum.InFlightRecords),
			"take a savepoint, or leave them out: tidemark strip --in-flight all SRC DST")
	}
	var err error
	if c.schemas, err = c.src.Schemas(); err != nil {
		return err
	}
	if c.states, err = c.src.States(); err != nil {
		return err
	}
	operators, err := c.src.Operators()
	if err != nil {
		return err
	}
	groups := c.opts.KeyGroups
	for _, op := range operators {
		groups = max(groups, op.KeyGroups)
	}
	for i, op := range operators {
		if err := c.planOperator(i, op, groups); err != nil {
			return err
		}
	}
	for path := range c.opts.Structs {
		if !c.types.used[path] && path != "*" {
			return mistake("--struct %q: there is no struct at this path", path)
		}
	}
	for uid := range c.opts.KeyHash {
		if !c.hashed[uid] {
			return mistake("--key-hash %s=…: there is no operator of this uid with POJOs as keys, or in them; --struct %s=CLASS makes them so", uid, uid)
		}
	}
	return c.check()
}

// planOperator decides one operator. groups is the number of key groups of
// operators without keys, for which Flink needs one, too.
func (c *toFlink) planOperator(row int, op format.Operator, groups uint32) error {
	o := &flinkOperator{Operator: op, id: metadata.IDOfUID(op.UID), old: int(op.Parallelism)}
	p, g := c.layout(op.UID, op.Parallelism, op.KeyGroups)
	if g == 0 {
		g = max(groups, uint32(keygroup.DefaultGroups(int(p))))
	}
	o.parallelism, o.groups = int(p), int(g)
	for at, st := range c.states {
		kind, known := kinds[st.Kind]
		if st.Operator != row || !known {
			continue // what the engine keeps of event time, channels
		}
		if c.dropped(checkpoint.State{Operator: op.UID, Name: st.Name, Kind: kind, Entries: checkpoint.Count(st.Entries), Bytes: checkpoint.Count(st.Bytes)}) {
			continue
		}
		if err := c.planState(o, at, st); err != nil && !errors.Is(err, errNoKey) {
			c.refuse(op.UID, st.Name, err.Error(), dropRemedy(op.UID, st.Name))
		}
		if st.Kind == format.KindSplitList {
			if err := c.planExternal(op.UID, at, st); err != nil {
				return err
			}
		}
		c.total += st.Bytes
	}
	if len(o.keyed)+len(o.lists)+len(o.pairs) > 0 {
		c.ops = append(c.ops, o)
	}
	return nil
}

// planExternal refuses a list that refers to files outside, unless it is said what
// to do; see [Options].External.
func (c *toFlink) planExternal(uid string, row int, st format.State) error {
	if c.opts.External == checkpoint.ExternalKeep || c.opts.External == checkpoint.ExternalDrop {
		return nil
	}
	files := 0
	for item, err := range c.src.ItemsIn(c.ctx, row, st.Kind, func(format.Slice) bool { return true }) {
		if err != nil {
			return err
		}
		if external(item.Row.Value) {
			files++
		}
	}
	if files > 0 {
		c.refuse(uid, st.Name, fmt.Sprintf("it refers to %d files of output that may not be published yet, which only our sink can do", files),
			"stop the job with a savepoint, or the same command with --external-files keep or drop")
	}
	return nil
}

// keyOf decides the type of an operator's keys, once.
func (c *toFlink) keyOf(o *flinkOperator) error {
	if o.key != nil {
		return nil
	}
	if o.noKey {
		return errNoKey
	}
	schema := c.schema(o.KeySchema)
	if schema == nil {
		return fmt.Errorf("the operator has no type of keys")
	}
	t, err := c.types.of(schema, o.UID, "")
	if err != nil {
		return fmt.Errorf("the key: %w", err)
	}
	if o.hasher, err = c.hasherOf(o, t); err != nil {
		return err
	}
	if o.key, err = newMatch(schema, t, true); err == nil {
		o.header = &state.KeyedHeader{Key: t}
	}
	return err
}

// planState decides one state.
func (c *toFlink) planState(o *flinkOperator, row int, st format.State) error {
	report := State{Operator: o.UID, Name: st.Name, Kind: kinds[st.Kind]}
	path := o.UID + "/" + st.Name
	var value, namespace *match
	var err error
	if s := c.schema(st.Value); s != nil {
		if value, err = c.matchOf(s, path, false); err != nil {
			return err
		}
		report.From, report.To = s.String(), value.typ.String()
	} else if st.Kind != format.KindTimer {
		return fmt.Errorf("its values have no type")
	}
	ns := c.schema(st.Namespace)
	if ns != nil && !isIndex(ns) && st.Kind != format.KindTimer {
		if namespace, err = c.matchOf(ns, path+"{key}", true); err != nil {
			return err
		}
	}
	switch st.Kind {
	case format.KindKeyed, format.KindTimer:
		if err := c.keyOf(o); err != nil {
			return err
		}
		report.Key = o.key.typ.String()
		c.result.States = append(c.result.States, report)
		k := &keyedState{row: row, st: st, namespace: namespace, value: value}
		meta, err := k.describe(o, ns)
		if err != nil {
			return err
		}
		o.keyed, o.header.States = append(o.keyed, k), append(o.header.States, meta)
	case format.KindBroadcast:
		if namespace == nil {
			return fmt.Errorf("its keys have no type")
		}
		report.Key = namespace.typ.String()
		c.result.States = append(c.result.States, report)
		o.pairs = append(o.pairs, &operatorState{row: row, st: st, key: namespace, value: value})
	default:
		c.result.States = append(c.result.States, report)
		o.lists = append(o.lists, &operatorState{row: row, st: st, value: value})
	}
	return nil
}

func (c *toFlink) schema(row int) *format.Schema {
	if row < 0 || row >= len(c.schemas) {
		return nil
	}
	return c.schemas[row]
}

func (c *toFlink) matchOf(s *format.Schema, path string, key bool) (*match, error) {
	t, err := c.types.of(s, path, "")
	if err != nil {
		return nil, err
	}
	return newMatch(s, t, key)
}

// describe decides what a keyed state is for Flink.
func (k *keyedState) describe(o *flinkOperator, ns *format.Schema) (state.Meta, error) {
	void := serde.Of(serde.KindVoidNamespace)
	if k.st.Kind == format.KindTimer {
		return k.describeTimers(o, ns)
	}
	if k.st.Name == "default" || strings.HasPrefix(k.st.Name, flinkTimers) {
		return state.Meta{}, fmt.Errorf("the name is one that Flink keeps for itself")
	}
	t, err := k.value.typ, error(nil)
	switch {
	case ns == nil:
		k.kind = state.StateTypeValue
	case isIndex(ns):
		k.kind = state.StateTypeList
		t, err = serde.ListOf(t)
	default:
		k.kind = state.StateTypeMap
		t, err = serde.MapOf(k.namespace.typ, t)
	}
	return state.Meta{Name: k.st.Name, Kind: state.KeyValue, Options: []state.Option{{Key: state.OptionStateType, Value: k.kind}},
		Serializers: []state.Serializer{{Key: state.SerializerNamespace, Type: void}, {Key: state.SerializerValue, Type: t}}}, err
}

func (k *keyedState) describeTimers(o *flinkOperator, ns *format.Schema) (state.Meta, error) {
	t := serde.Of(serde.KindVoidNamespace)
	if ns != nil {
		if !ns.Equal(windowSchema()) {
			return state.Meta{}, fmt.Errorf("these are timers of windows, of which Flink keeps more than is stored here (%v)", ns)
		}
		var err error
		t = serde.Of(serde.KindTimeWindow)
		if k.namespace, err = newMatch(ns, t, true); err != nil {
			return state.Meta{}, err
		}
	}
	t, err := serde.TimerOf(o.key.typ, t)
	name := flinkEvent + userTimers
	switch k.st.Name {
	case eventTimers:
	case clockTimers:
		name = flinkProcessing + userTimers
	default:
		return state.Meta{}, fmt.Errorf("these are no timers of a process function")
	}
	return state.Meta{Name: name, Kind: state.PriorityQueue, Serializers: []state.Serializer{{Key: state.SerializerValue, Type: t}}}, err
}

// write writes the files of all operators, and the metadata at the end.
func (c *toFlink) write() error {
	c.meta = &metadata.Metadata{Version: metadata.Version3, CheckpointID: int64(c.src.Summary().ID)}
	for i, o := range c.ops {
		m := metadata.Operator{ID: o.id, Parallelism: int32(o.parallelism), MaxParallelism: int32(o.groups), ChainLength: 1}
		for s := range o.parallelism {
			m.Subtasks = append(m.Subtasks, metadata.Subtask{Index: int32(s), State: &metadata.SubtaskState{}})
		}
		if err := c.writeKeyed(i, o, m.Subtasks); err != nil {
			return err
		}
		if err := c.writeLists(i, o, m.Subtasks); err != nil {
			return err
		}
		c.meta.Operators = append(c.meta.Operators, m)
	}
	slices.SortFunc(c.meta.Operators, func(a, b metadata.Operator) int { return strings.Compare(a.ID.String(), b.ID.String()) })
	data, err := metadata.Append(nil, c.meta)
	if err != nil {
		return err
	}
	if err := c.sweep(c.ctx); err != nil {
		return err
	}
	if err := c.ctx.Err(); err != nil {
		return err
	}
	info, err := store.WriteAll(c.ctx, c.st, c.dst+"/"+flink.MetadataName, data)
	if err != nil {
		return err
	}
	c.wrote(uint64(info.Size))
	return nil
}

// counted finds the report of a state.
func (j *job) counted(operator, name string, kind checkpoint.StateKind) *State {
	for i := range j.result.States {
		if s := &j.result.States[i]; s.Operator == operator && s.Name == name && s.Kind == kind {
			return s
		}
	}
	return &State{}
}
