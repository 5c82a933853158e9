package convert

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/tidemark-io/tidemark/checkpoint"
	"github.com/tidemark-io/tidemark/checkpoint/layout"
	"github.com/tidemark-io/tidemark/flink"
	"github.com/tidemark-io/tidemark/flink/metadata"
	"github.com/tidemark-io/tidemark/flink/serde"
	"github.com/tidemark-io/tidemark/flink/state"
	"github.com/tidemark-io/tidemark/format"
	"github.com/tidemark-io/tidemark/keygroup/keyhash"
	"github.com/tidemark-io/tidemark/store"
	"github.com/tidemark-io/tidemark/writer"
)

// toNative is a conversion of a checkpoint of Flink.
type toNative struct {
	*job
	src      *flink.Checkpoint
	like     *likeness
	manifest *format.Manifest
	schemas  map[uint64]int // rows of the manifest by fingerprint
	ops      []*nativeOperator
	w        *writer.Writer
}

// nativeOperator is an operator of the result.
type nativeOperator struct {
	src    *metadata.Operator
	uid    string
	row    int // in the manifest
	key    *format.Schema
	states map[string]*nativeState // by the name in Flink
	order  []*nativeState
	files  []keyedFile // of its subtasks
}

// nativeState is a state of the result.
type nativeState struct {
	flink     string // its name there
	name      string
	kind      format.Kind
	row       int // in the manifest
	namespace *format.Schema
	value     *format.Schema
	from      string // the type in Flink
	dropped   bool
	report    int // in the result
}

// ToNative makes a savepoint of Tidemark of a checkpoint or savepoint of Flink: of
// canonical savepoints and of checkpoints of the heap and the RocksDB state backend,
// full or incremental. dst is the name of its folder in the store, in which nothing
// may be yet. Name the operators' uids when opening the source, since a job finds
// state by uid and older checkpoints have hashes of them only.
//
// Types: Long int64, Integer int32, Short int16, Byte int8, Boolean, Character
// uint16, Double, Float, String, byte[] []byte, other arrays, List and Set slices,
// Map maps, Instant, Date and timestamps time, tuples, rows, POJOs and
// Avro's records structs, values of the table runtime what their SQL types are in
// Java, values with a time to live structs of last access and value; or what
// Options.Like says. Reducing and aggregating state becomes value state. Watermarks
// are not known, and stay so until the job's sources tell.
//
// Errors: *checkpoint.RefusedError, checkpoint.ErrExists, *checkpoint.EditError for
// mistakes in the options, *wire.Error for damage in the source.
func ToNative(ctx context.Context, src *flink.Checkpoint, st store.Store, dst string, opts Options) (*Result, error) {
	j, err := newJob(ctx, st, dst, opts)
	if err != nil {
		return nil, err
	}
	c := &toNative{job: j, src: src, schemas: map[uint64]int{}}
	if c.like, err = newLikeness(opts.Like, opts.Nullable); err != nil {
		return nil, err
	}
	if err := c.plan(); err != nil {
		return nil, classify(err)
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
func (c *toNative) plan() error {
	m := c.src.Metadata()
	info := c.src.Info()
	id, savepoint, named := layout.ParseDir(c.dst)
	if named && !savepoint {
		return mistake("%q is the name of a checkpoint that a job takes; the result is a savepoint, so call it %s or something else", c.dst, layout.Savepoint(max(id, 1)))
	}
	if !named { // a job that goes on counts from the names in its own root
		id = uint64(max(m.CheckpointID, 1))
	}
	c.manifest = &format.Manifest{Summary: format.Summary{Kind: format.Savepoint, ID: id, Path: c.dst, Job: cmp.Or(info.Job, "converted"),
		Created: c.opts.Created.UnixNano(), Lineage: "flink", Run: 1, Software: cmp.Or(c.opts.Software, "tidemark convert"), Hash: keyhash.Name,
		MinWatermark: format.Unknown, MaxWatermark: format.Unknown}}
	for _, s := range m.MasterStates {
		if !c.dropped(checkpoint.State{Name: s.Name, Kind: checkpoint.Coordinator, Bytes: checkpoint.Count(len(s.Data)), Entries: checkpoint.UnknownCount}) {
			c.refuse("", s.Name, "it is state of a hook of Flink's master", dropRemedy("", s.Name))
		}
	}
	for i := range m.Operators {
		if err := c.planOperator(&m.Operators[i]); err != nil {
			return err
		}
	}
	return c.check()
}

// planOperator reads the headers of an operator's files and decides its states.
func (c *toNative) planOperator(op *metadata.Operator) error {
	o := &nativeOperator{src: op, uid: c.src.OperatorName(op.ID), row: len(c.manifest.Operators), states: map[string]*nativeState{}}
	c.planRaw(o)
	if err := c.planKeyed(o); err != nil {
		return err
	}
	if err := c.planLists(o); err != nil {
		return err
	}
	o.order = slices.DeleteFunc(o.order, func(s *nativeState) bool { return s.dropped })
	if len(o.order) == 0 {
		return nil
	}
	groups := uint32(0)
	if o.key != nil {
		groups = uint32(op.MaxParallelism)
	}
	p, g := c.layout(o.uid, uint32(op.Parallelism), groups)
	c.manifest.Operators = append(c.manifest.Operators, format.Operator{UID: o.uid, Name: cmp.Or(op.Name, o.uid), Parallelism: p, KeyGroups: g,
		KeySchema: c.schema(o.key), Task: uint32(o.row), MinWatermark: format.Unknown, MaxWatermark: format.Unknown})
	names := map[string]string{}
	for _, s := range o.order {
		if other, taken := names[s.name]; taken {
			c.refuse(o.uid, s.flink, fmt.Sprintf("it would have the name %q here, as %q has", s.name, other), dropRemedy(o.uid, s.flink))
		}
		names[s.name] = s.flink
		s.row = len(c.manifest.States)
		c.manifest.States = append(c.manifest.States, format.State{Operator: o.row, Name: s.name, Kind: s.kind, Edge: format.None,
			Namespace: c.schema(s.namespace), Value: c.schema(s.value)})
		s.report = len(c.result.States)
		report := State{Operator: o.uid, Name: s.flink, Kind: kinds[s.kind], From: s.from}
		if s.value != nil {
			report.To = s.value.String()
		}
		switch {
		case s.kind == format.KindBroadcast:
			report.Key = s.namespace.String()
		case o.key != nil && s.kind.ByHash():
			report.Key = o.key.String()
		}
		c.result.States = append(c.result.States, report)
	}
	c.ops = append(c.ops, o)
	return nil
}

// planRaw refuses what an operator, its coordinator or its channels hold that is
// no state with a name and a type.
func (c *toNative) planRaw(o *nativeOperator) {
	type raw struct {
		kind checkpoint.StateKind
		name string
		what string
	}
	found := map[raw]bool{}
	if o.src.Coordinator != nil {
		found[raw{checkpoint.Coordinator, "coordinator", "the operator's coordinator has state of its own (splits that no reader has yet)"}] = true
	}
	for _, s := range o.src.Subtasks {
		if s.State == nil {
			continue
		}
		if len(s.State.Input)+len(s.State.Output) > 0 {
			found[raw{checkpoint.InputChannel, "", "records are in flight, whose types no checkpoint of Flink knows"}] = true
		}
		if s.State.RawOperator != nil {
			found[raw{checkpoint.RawOperator, "raw-operator", "the operator wrote bytes of its own"}] = true
		}
		if s.State.RawKeyed != nil {
			found[raw{checkpoint.RawKeyed, "raw-keyed", "timers were kept on the heap beside RocksDB, or the operator wrote bytes of its own"}] = true
		}
	}
	for r := range found {
		if c.dropped(checkpoint.State{Operator: o.uid, Name: r.name, Kind: r.kind, Entries: checkpoint.UnknownCount, Bytes: checkpoint.UnknownCount}) {
			continue
		}
		sel := checkpoint.Selector{Operator: o.uid, Kind: r.kind}
		remedy := "the same command with --drop " + sel.String() + ", which leaves it out; or take a canonical savepoint"
		if r.kind == checkpoint.InputChannel {
			remedy = "take a savepoint, or leave them out: tidemark strip --in-flight all " + c.src.Dir() + " DST"
		}
		c.refuse(o.uid, r.name, r.what, remedy)
	}
	slices.SortFunc(c.refused, func(a, b checkpoint.Finding) int {
		return strings.Compare(a.Place.Operator+a.Problem, b.Place.Operator+b.Problem)
	})
}

// schema is the row of a schema in the manifest, None for none.
func (c *toNative) schema(s *format.Schema) int {
	if s == nil {
		return format.None
	}
	row, ok := c.schemas[s.Fingerprint()]
	if !ok {
		row = len(c.manifest.Schemas)
		c.schemas[s.Fingerprint()] = row
		c.manifest.Schemas = append(c.manifest.Schemas, s)
	}
	return row
}

// planKeyed decides keyed state and timers.
func (c *toNative) planKeyed(o *nativeOperator) error {
	var err error
	if o.files, err = c.keyedFiles(o.src); err != nil {
		c.refuse(o.uid, "", err.Error(), "take a canonical savepoint, or the same command with --drop operator="+o.uid)
		return nil
	}
	for _, f := range o.files {
		h, err := c.header(f)
		if err != nil {
			if c.ctx.Err() != nil {
				return err
			}
			if c.dropped(checkpoint.State{Operator: o.uid, Kind: checkpoint.Keyed, Entries: checkpoint.UnknownCount, Bytes: checkpoint.UnknownCount}) {
				o.files = nil
				return nil
			}
			c.refuse(o.uid, "", "its keyed state: "+err.Error(), "the same command with --drop operator="+o.uid)
			return nil
		}
		c.total += uint64(max(f.size, 0))
		for i := range h.States {
			meta := &h.States[i]
			if o.states[meta.Name] != nil {
				continue
			}
			s, err := c.keyedState(o, h, meta)
			if s.dropped = c.dropped(checkpoint.State{Operator: o.uid, Name: meta.Name, Kind: kinds[s.kind], Entries: checkpoint.UnknownCount, Bytes: checkpoint.UnknownCount}); err != nil && !s.dropped {
				c.refuse(o.uid, meta.Name, err.Error(), dropRemedy(o.uid, meta.Name))
			}
			o.states[meta.Name], o.order = s, append(o.order, s)
		}
	}
	return nil
}

// keyedState decides one keyed state or the timers of one service. With an error
// it still tells name and kind.
func (c *toNative) keyedState(o *nativeOperator, h *state.KeyedHeader, meta *state.Meta) (*nativeState, error) {
	s := &nativeState{flink: meta.Name, name: meta.Name, kind: format.KindKeyed}
	if meta.Kind == state.PriorityQueue {
		s.kind = format.KindTimer
	}
	if o.key == nil {
		key, err := c.like.or(c.like.keys[o.uid], h.Key, true)
		if err != nil {
			return s, fmt.Errorf("the key: %w", err)
		}
		o.key = key
	}
	if meta.Kind == state.PriorityQueue {
		return s, c.timers(o, s, meta)
	}
	if strings.HasPrefix(s.name, "watermark.") || s.name == eventTimers || s.name == clockTimers {
		return s, fmt.Errorf("the engine keeps the name for itself")
	}
	like := c.like.states[stateKey{o.uid, s.name, s.kind}]
	ns, value := meta.Type(state.SerializerNamespace), meta.Type(state.SerializerValue)
	if ns == nil || value == nil {
		return s, fmt.Errorf("serialisers are missing")
	}
	s.from = value.String()
	var err error
	if elem, ok := meta.List(); ok {
		value, s.namespace = elem, indexSchema()
	} else if key, v, ok := meta.Map(); ok {
		value = v
		if s.namespace, err = c.like.or(like.namespace, key, true); err != nil {
			return s, fmt.Errorf("the map's key: %w", err)
		}
	}
	if ns.Kind != serde.KindVoidNamespace {
		if s.namespace != nil {
			return s, fmt.Errorf("it is a list or a map in windows (%s)", ns)
		}
		if s.namespace, err = c.like.or(like.namespace, ns, true); err != nil {
			return s, fmt.Errorf("the namespace: %w", err)
		}
	}
	s.value, err = c.like.or(like.value, value, false)
	return s, err
}

// timers decides the timers of a service.
func (c *toNative) timers(o *nativeOperator, s *nativeState, meta *state.Meta) error {
	t := meta.Type(state.SerializerValue)
	if t == nil || t.Kind != serde.KindTimer {
		return fmt.Errorf("it is a queue of something else than timers")
	}
	s.from = t.String()
	switch {
	case strings.HasPrefix(meta.Name, flinkEvent):
		s.name = eventTimers
	case strings.HasPrefix(meta.Name, flinkProcessing):
		s.name = clockTimers
	default:
		return fmt.Errorf("these are timers of no known service")
	}
	if t.Args[1].Kind == serde.KindVoidNamespace {
		return nil
	}
	var err error
	s.namespace, err = c.like.or(c.like.states[stateKey{o.uid, s.name, s.kind}].namespace, t.Args[1], true)
	return err
}

// planLists decides lists and broadcast state.
func (c *toNative) planLists(o *nativeOperator) error {
	for _, sub := range o.src.Subtasks {
		if sub.State == nil || sub.State.ManagedOperator == nil || sub.State.ManagedOperator.Empty {
			continue
		}
		h, err := c.operatorHeader(sub.State.ManagedOperator)
		if err != nil {
			if c.ctx.Err() != nil {
				return err
			}
			if !c.dropped(checkpoint.State{Operator: o.uid, Kind: checkpoint.SplitList, Entries: checkpoint.UnknownCount, Bytes: checkpoint.UnknownCount}) {
				c.refuse(o.uid, "", "its operator state: "+err.Error(), "the same command with --drop operator="+o.uid)
			}
			return nil
		}
		for _, list := range [][]state.Meta{h.Lists, h.Broadcasts} {
			for i := range list {
				meta := &list[i]
				if o.states[meta.Name] != nil {
					continue
				}
				s, err := c.operatorState(o, meta)
				if s.dropped = c.dropped(checkpoint.State{Operator: o.uid, Name: meta.Name, Kind: kinds[s.kind], Entries: checkpoint.UnknownCount, Bytes: checkpoint.UnknownCount}); err != nil && !s.dropped {
					c.refuse(o.uid, meta.Name, err.Error(), dropRemedy(o.uid, meta.Name))
				}
				o.states[meta.Name], o.order = s, append(o.order, s)
			}
		}
	}
	return nil
}

// operatorState decides one list or broadcast state.
func (c *toNative) operatorState(o *nativeOperator, meta *state.Meta) (*nativeState, error) {
	s := &nativeState{flink: meta.Name, name: meta.Name, kind: format.KindSplitList}
	switch {
	case meta.Kind == state.Broadcast:
		s.kind = format.KindBroadcast
	case meta.Option(state.OptionDistribution) == state.DistributionUnion:
		s.kind = format.KindUnionList
	}
	value := meta.Type(state.SerializerValue)
	if value == nil {
		return s, fmt.Errorf("its serialiser is missing")
	}
	s.from = value.String()
	like := c.like.states[stateKey{o.uid, s.name, s.kind}]
	var err error
	if s.kind == format.KindBroadcast {
		key := meta.Type(state.SerializerKey)
		if key == nil {
			return s, fmt.Errorf("the serialiser of its keys is missing")
		}
		if s.namespace, err = c.like.or(like.namespace, key, true); err != nil {
			return s, fmt.Errorf("the key: %w", err)
		}
	}
	s.value, err = c.like.or(like.value, value, false)
	return s, err
}

// scale is the subtask of the result that takes over the lists of a subtask.
func scale(subtask int32, old int32, parallelism uint32) uint32 {
	return uint32(min(uint64(max(subtask, 0))*uint64(parallelism)/uint64(max(old, 1)), math.MaxUint32))
}
