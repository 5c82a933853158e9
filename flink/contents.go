package flink

import (
	"context"
	"errors"
	"iter"
	"slices"
	"strings"

	"github.com/tidemark-io/tidemark/checkpoint"
	"github.com/tidemark-io/tidemark/flink/metadata"
	"github.com/tidemark-io/tidemark/flink/serde"
	"github.com/tidemark-io/tidemark/flink/state"
	"github.com/tidemark-io/tidemark/flink/wire"
	"github.com/tidemark-io/tidemark/keygroup"
	"github.com/tidemark-io/tidemark/store"
)

// Bounds on how many headers are read to learn the names and types of states: all
// of a checkpoint that has at most maxHeaders streams of keyed and operator state,
// else those of the first someHeaders subtasks of each operator.
const (
	maxHeaders  = 4096
	someHeaders = 32
)

// contentRow is a state as the headers of the streams describe it. Streams of
// several subtasks may describe it differently (a POJO's subclasses are those that a
// subtask has seen), so that there may be several types for each thing; bytes are of
// the first that they decode as.
type contentRow struct {
	checkpoint.State
	op   *metadata.Operator
	role metadata.Role
	keys []*serde.Type // of keyed state and timers
	// metas describe managed state.
	metas []*state.Meta
	// Of timers in raw keyed state: the service, its kind of time and the type of
	// the namespace.
	service   string
	eventTime bool
	spaces    []*serde.Type
	// failed says why nothing is known of the state but its bytes.
	failed error
}

// contents are the states of all operators as their headers describe them, and the
// types of the operators' keys by name of the operator. They are read once.
type contents struct {
	rows []*contentRow
	keys map[string]*serde.Type
}

// contents reads the headers. Headers that cannot be read leave a row with what the
// metadata says; an error is one of the context or the storage.
func (c *Checkpoint) contents(ctx context.Context) (*contents, error) {
	c.mu.Lock()
	known := c.known
	c.mu.Unlock()
	if known != nil {
		return known, nil
	}
	all := &contents{keys: map[string]*serde.Type{}}
	limit := len(c.m.Operators) + 1<<30
	if c.streams() > maxHeaders {
		limit = someHeaders
	}
	rest := c.states()
	for i := range c.m.Operators {
		op := &c.m.Operators[i]
		n := 0
		for n < len(rest) && rest[n].Operator == c.names[op.ID] {
			n++
		}
		h := headers{c: c, op: op, limit: limit, rows: map[rowID]*contentRow{}, seen: map[string]bool{}}
		if err := h.read(ctx, rest[:n]); err != nil {
			return nil, err
		}
		rest = rest[n:]
		if len(h.keys) > 0 {
			all.keys[c.names[op.ID]] = h.keys[0]
		}
		all.rows = append(all.rows, h.sorted()...)
	}
	for i, r := range all.rows {
		r.Row = i
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.known = all
	return all, nil
}

// streams counts the streams that have headers.
func (c *Checkpoint) streams() (n int) {
	for i := range c.m.Operators {
		for j := range c.m.Operators[i].Subtasks {
			if s := c.m.Operators[i].Subtasks[j].State; s != nil && (s.ManagedKeyed != nil || s.ManagedOperator != nil || s.RawKeyed != nil) {
				n++
			}
		}
	}
	return n
}

// rowID tells the rows of an operator apart.
type rowID struct {
	role metadata.Role
	name string
}

// headers gathers what the headers of one operator say.
type headers struct {
	c      *Checkpoint
	op     *metadata.Operator
	limit  int // subtasks of which they are read
	rows   map[rowID]*contentRow
	keys   []*serde.Type
	seen   map[string]bool // headers, whole
	sizes  bool            // all keyed streams said how large each state is
	failed error           // of the first keyed stream that could not be read
}

// read goes over the subtasks.
func (h *headers) read(ctx context.Context, pieces []stateRow) error {
	h.sizes = true
	count := 0
	for i := range h.op.Subtasks {
		s := h.op.Subtasks[i].State
		if s == nil {
			continue
		}
		if count++; count > h.limit {
			break
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		for _, err := range []error{h.keyed(ctx, s.ManagedKeyed), h.operator(ctx, s.ManagedOperator), h.raw(ctx, s.RawKeyed)} {
			if err != nil {
				return err
			}
		}
	}
	h.sizes = h.sizes && count <= h.limit
	h.merge(pieces)
	return nil
}

// merge adds what the metadata alone says: the rows that no header describes, and
// bytes.
func (h *headers) merge(pieces []stateRow) {
	keyed := 0
	for id := range h.rows {
		if id.role == metadata.RoleManagedKeyed {
			keyed++
		}
	}
	for i := range pieces {
		p := &pieces[i]
		id := rowID{p.role, p.Name}
		switch {
		case p.role == metadata.RoleManagedKeyed && keyed > 0:
			for other, r := range h.rows {
				if other.role == p.role && keyed == 1 {
					r.Bytes = p.Bytes
				}
				if other.role == p.role && keyed > 1 && !h.sizes {
					r.Bytes = checkpoint.UnknownCount
				}
			}
			continue
		case p.role == metadata.RoleRawKeyed && h.timers() > 0:
			for other, r := range h.rows {
				if other.role == p.role && h.timers() == 1 {
					r.Bytes = p.Bytes
				}
			}
			continue
		}
		r := h.row(id, p.State)
		r.State = p.State
		r.describe()
		if p.role == metadata.RoleManagedKeyed || len(r.metas) == 0 && p.role == metadata.RoleManagedOperator {
			r.failed = h.failed
		}
	}
}

// timers counts the rows of timers in raw keyed state.
func (h *headers) timers() (n int) {
	for id := range h.rows {
		if id.role == metadata.RoleRawKeyed {
			n++
		}
	}
	return n
}

// sorted are the rows by role, then name.
func (h *headers) sorted() []*contentRow {
	list := make([]*contentRow, 0, len(h.rows))
	for _, r := range h.rows {
		list = append(list, r)
	}
	slices.SortFunc(list, func(a, b *contentRow) int {
		if a.role != b.role {
			return int(a.role) - int(b.role)
		}
		return strings.Compare(a.Name, b.Name)
	})
	return list
}

// row returns the row of a state, made if it is new.
func (h *headers) row(id rowID, like checkpoint.State) *contentRow {
	r := h.rows[id]
	if r == nil {
		like.Operator, like.Name = h.c.names[h.op.ID], id.name
		like.Entries, like.Decoded = checkpoint.UnknownCount, checkpoint.UnknownCount
		r = &contentRow{State: like, op: h.op, role: id.role}
		h.rows[id] = r
	}
	return r
}

// tolerable reports whether an error of reading a header leaves the rest readable:
// the file is not there, or not understood.
func tolerable(err error) bool {
	var bad *wire.Error
	var failed *store.Error
	if errors.As(err, &failed) && !absentError(err) {
		return false // the storage failed, or a read was cancelled: the file may be good
	}
	return errors.As(err, &bad) || absentError(err)
}

// absentError reports whether an error says that a file is not there.
func absentError(err error) bool {
	return errors.Is(err, store.ErrNotExist) || errors.Is(err, store.ErrNotObject) || errors.Is(err, ErrOutside)
}

// fail keeps the first tolerable error.
func (h *headers) fail(err error) error {
	if err == nil || !tolerable(err) {
		return err
	}
	h.sizes = false
	if h.failed == nil {
		h.failed = err
	}
	return nil
}

// keyed adds the states of a keyed handle.
func (h *headers) keyed(ctx context.Context, k metadata.KeyedHandle) error {
	switch k := k.(type) {
	case *metadata.KeyGroupsHandle:
		h.sizes = false
		return h.fail(h.keyedHeader(ctx, k.Delegate))
	case *metadata.IncrementalHandle:
		if err := h.keyedHeader(ctx, k.Meta); err != nil {
			return h.fail(err)
		}
		return h.fail(h.families(ctx, k))
	case *metadata.ChangelogHandle:
		h.sizes = false
		for _, m := range k.Materialized {
			if err := h.keyed(ctx, m); err != nil {
				return err
			}
		}
		header, err := h.c.changedStates(ctx, k)
		if err == nil && header != nil {
			h.add(header)
		}
		return h.fail(err)
	}
	return nil
}

// keyedHeader reads a header of keyed state.
func (h *headers) keyedHeader(ctx context.Context, s metadata.StreamHandle) error {
	header, err := h.c.keyedHeader(ctx, s)
	if err == nil && header != nil {
		h.add(header)
	}
	return err
}

// keyedHeader reads the header at the beginning of a stream; nil of one without
// bytes.
func (c *Checkpoint) keyedHeader(ctx context.Context, s metadata.StreamHandle) (*state.KeyedHeader, error) {
	src, err := c.OpenHandle(ctx, s)
	if err != nil {
		return nil, err
	}
	defer src.Close()
	if src.Size() == 0 {
		return nil, nil
	}
	return state.ReadKeyedHeader(wire.NewStream(src.Object, 0, src, src.Size()))
}

// add adds the states of a header.
func (h *headers) add(header *state.KeyedHeader) {
	whole, err := header.Append(nil)
	if err == nil {
		if h.seen[string(whole)] {
			return
		}
		h.seen[string(whole)] = true
	}
	h.key(header.Key)
	for i := range header.States {
		m := &header.States[i]
		kind := checkpoint.Keyed
		if m.Kind == state.PriorityQueue {
			kind = checkpoint.Timers
		}
		r := h.row(rowID{metadata.RoleManagedKeyed, m.Name}, checkpoint.State{Kind: kind})
		r.metas = append(r.metas, m)
		r.keys = appendType(r.keys, header.Key)
		r.describe()
	}
}

// appendType appends a type that is not among those that there are.
func appendType(list []*serde.Type, t *serde.Type) []*serde.Type {
	for _, other := range list {
		if string(other.Raw()) == string(t.Raw()) {
			return list
		}
	}
	return append(list, t)
}

func (h *headers) key(t *serde.Type) { h.keys = appendType(h.keys, t) }

// families adds the bytes of the states of RocksDB, as the MANIFEST has them.
func (h *headers) families(ctx context.Context, k *metadata.IncrementalHandle) error {
	if !h.sizes {
		return nil
	}
	files := newFileSet(ctx, h.c)
	defer files.Close()
	db, err := h.c.openRocks(ctx, h.op, k, files)
	if err != nil {
		return err
	}
	for i, n := range db.Sizes() {
		r := h.rows[rowID{metadata.RoleManagedKeyed, db.Header().States[i].Name}]
		r.Bytes = sum(r.Bytes, checkpoint.Count(n))
	}
	return nil
}

// operator adds the types of operator state.
func (h *headers) operator(ctx context.Context, k *metadata.OperatorHandle) error {
	if k == nil || k.Empty {
		return nil
	}
	src, err := h.c.OpenHandle(ctx, k.Delegate)
	if err != nil {
		return h.fail(err)
	}
	defer src.Close()
	header, err := state.ReadOperatorHeader(wire.NewStream(src.Object, 0, src, src.Size()))
	if err != nil {
		return h.fail(err)
	}
	for _, list := range [][]state.Meta{header.Lists, header.Broadcasts} {
		for i := range list {
			m := &list[i]
			r := h.row(rowID{metadata.RoleManagedOperator, m.Name}, checkpoint.State{Kind: kindOfOperator(m)})
			if !slices.ContainsFunc(r.metas, func(o *state.Meta) bool { return sameMeta(o, m) }) {
				r.metas = append(r.metas, m)
			}
			r.describe()
		}
	}
	return nil
}

// kindOfOperator is the kind of a state that the metadata does not list, because it
// is empty.
func kindOfOperator(m *state.Meta) checkpoint.StateKind {
	switch {
	case m.Kind == state.Broadcast:
		return checkpoint.BroadcastState
	case m.Option(state.OptionDistribution) == state.DistributionUnion:
		return checkpoint.UnionList
	}
	return checkpoint.SplitList
}

// sameMeta reports whether two descriptions name the same serialisers.
func sameMeta(a, b *state.Meta) bool {
	return slices.EqualFunc(a.Serializers, b.Serializers, func(x, y state.Serializer) bool {
		return x.Key == y.Key && string(x.Type.Raw()) == string(y.Type.Raw())
	})
}

// raw adds the timers of raw keyed state, if that is what it holds.
func (h *headers) raw(ctx context.Context, k metadata.KeyedHandle) error {
	handle, ok := k.(*metadata.KeyGroupsHandle)
	if !ok {
		return nil
	}
	src, err := h.c.OpenHandle(ctx, handle.Delegate)
	if absentError(err) {
		return nil
	} else if err != nil {
		return err
	}
	defer src.Close()
	services, err := state.RawServices(keyedFile(h.op, handle, src))
	if err != nil {
		if tolerable(err) {
			return nil // an operator's own bytes
		}
		return err
	}
	for _, s := range services {
		h.key(s.KeyType)
		for _, eventTime := range []bool{true, false} {
			r := h.row(rowID{metadata.RoleRawKeyed, rawTimersName(s.Name, eventTime)}, checkpoint.State{Kind: checkpoint.Timers})
			r.Bytes, r.service, r.eventTime = checkpoint.UnknownCount, s.Name, eventTime
			r.keys, r.spaces = appendType(r.keys, s.KeyType), appendType(r.spaces, s.NamespaceType)
			r.NamespaceType = spaceName(s.NamespaceType)
		}
	}
	return nil
}

// rawTimersName names the timers of a service in raw keyed state: managed ones are
// called _timer_state/event_SERVICE.
func rawTimersName(service string, eventTime bool) string {
	if eventTime {
		return rawKeyedName + "/event_" + service
	}
	return rawKeyedName + "/processing_" + service
}

// keyedFile is what the metadata says of a stream with keyed state.
func keyedFile(op *metadata.Operator, k *metadata.KeyGroupsHandle, src *Source) state.KeyedFile {
	return state.KeyedFile{Object: src.Object, Data: src, Size: src.Size(), Groups: rangeOf(k.Range), Offsets: k.Offsets,
		MaxParallelism: int(op.MaxParallelism), Savepoint: k.Tag == metadata.TagSavepoint}
}

// rangeOf is a range of key groups in the form of package keygroup.
func rangeOf(r metadata.KeyGroupRange) keygroup.Range {
	return keygroup.Range{First: int(r.Start), Last: int(r.Start) + int(r.Count) - 1}
}

// describe prints the types.
func (r *contentRow) describe() {
	if len(r.metas) == 0 {
		return
	}
	m := r.metas[0]
	value := m.Type(state.SerializerValue)
	switch m.Kind {
	case state.PriorityQueue:
		if t := plainType(value); t.Kind == serde.KindTimer && len(t.Args) == 2 {
			r.NamespaceType = spaceName(t.Args[1])
		}
		return
	case state.Broadcast:
		r.ValueType = "Map<" + m.Type(state.SerializerKey).String() + ", " + value.String() + ">"
		return
	case state.KeyValue, state.KeyValueV2:
		r.NamespaceType = spaceName(m.Type(state.SerializerNamespace))
		if key, of, ok := m.Map(); ok { // the rows are the map's entries
			value = of
			r.NamespaceType = strings.TrimPrefix(r.NamespaceType+", MapKey<"+key.String()+">", ", ")
		}
	}
	r.ValueType = value.String()
}

// plainType is the type below wrappers that add no bytes.
func plainType(t *serde.Type) *serde.Type {
	for t != nil && (t.Kind == serde.KindTTLAware || t.Kind == serde.KindExternal) && len(t.Args) == 1 {
		t = t.Args[0]
	}
	return t
}

// spaceName prints the type of a namespace; "" if there is but one of it.
func spaceName(t *serde.Type) string {
	if t == nil || t.Kind == serde.KindVoidNamespace || t.Kind == serde.KindVoid {
		return ""
	}
	return t.String()
}

// Operators yields the operators in the order of the file. The types of keys are
// read from the headers of keyed state.
func (c *Checkpoint) Operators(ctx context.Context) iter.Seq2[checkpoint.Operator, error] {
	return func(yield func(checkpoint.Operator, error) bool) {
		known, err := c.contents(ctx)
		if err != nil {
			yield(checkpoint.Operator{}, err)
			return
		}
		for i := range c.m.Operators {
			op := &c.m.Operators[i]
			to := checkpoint.Operator{UID: c.names[op.ID], Name: op.Name, Parallelism: uint32(op.Parallelism), Task: uint32(i), Watermarks: unknownTimes}
			if keyed(op) {
				to.KeyGroups = uint32(op.MaxParallelism)
			}
			if key := known.keys[to.UID]; key != nil {
				to.KeyType = key.String()
			}
			if !yield(to, nil) {
				return
			}
		}
	}
}

// States yields the states of all operators. Names and types of keyed state are
// read from headers; where these cannot be read, all of it is one state.
func (c *Checkpoint) States(ctx context.Context) iter.Seq2[checkpoint.State, error] {
	return func(yield func(checkpoint.State, error) bool) {
		known, err := c.contents(ctx)
		if err != nil {
			yield(checkpoint.State{}, err)
			return
		}
		for _, r := range known.rows {
			if !yield(r.State, nil) {
				return
			}
		}
	}
}
