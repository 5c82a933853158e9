package native

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/tidemark-io/tidemark/checkpoint/layout"
	"github.com/tidemark-io/tidemark/format"
	"github.com/tidemark-io/tidemark/keygroup/keyhash"
)

// footed is a data object of which header, directory and footer read.
type footed struct {
	name string
	size int64
	*format.ObjectReader
}

// rebuild makes the tables of a manifest of what the data objects say of
// themselves. Only objects of one checkpoint and one writer are put together,
// or those that the manifest's own table of objects names if that reads; the
// others, and slices that overlap, go to the lost-and-found (R13).
func (p *pieces) rebuild() error {
	all, unreadable, err := p.footers()
	if err != nil {
		return err
	}
	own, others := p.own(all)
	if len(own) == 0 {
		return fmt.Errorf("%s: %w", p.dir, errNothing)
	}
	for _, f := range others {
		p.strays(f, "its object is of another writer or checkpoint")
	}
	b := rebuilding{p: p, old: p.m, has: p.has, operators: map[string]int{}, states: map[string]int{}, edges: map[string]int{}, schemas: map[string]int{}}
	b.m.Summary, b.m.Settings, b.m.Losses = p.m.Summary, p.m.Settings, p.m.Losses
	if !p.has[format.KindSummary] {
		b.summary(own[0])
	}
	for _, f := range own {
		if err := b.object(f); err != nil {
			return err
		}
	}
	b.connect()
	b.separate()
	if err := b.unfound(); err != nil {
		return err
	}
	why := fmt.Sprintf("the manifest and its copy are lost: %d data objects were put together by what they say of themselves; names, configuration and what was only in the manifest are gone", len(own))
	if unreadable > 0 {
		why += fmt.Sprintf("; of %d objects the directory does not read, and what they hold is lost", unreadable)
	}
	p.over.losses = slices.Insert(p.over.losses, 0, p.loss(why))
	p.m, p.over.rebuilt = b.m, true
	return nil
}

// footers opens the data objects of the directory.
func (p *pieces) footers() (all []footed, unreadable int, err error) {
	for info, err := range p.st.List(p.ctx, p.dir+"/") {
		if err != nil {
			return nil, 0, err
		}
		if layout.DataWriter(info.Name) == "" {
			continue
		}
		r, err := peek(p.ctx, p.st, info.Name, info.Size)
		if err != nil {
			return nil, 0, err
		}
		if r == nil {
			unreadable++
			continue
		}
		all = append(all, footed{info.Name, info.Size, r})
	}
	return all, unreadable, nil
}

// own chooses the objects of the checkpoint.
func (p *pieces) own(all []footed) (own, others []footed) {
	type origin struct {
		id     uint64
		writer string
	}
	bytes := map[origin]int64{}
	seen := map[string]bool{}
	kept := all[:0]
	// An object may lie there twice, under its own name and under another.
	slices.SortStableFunc(all, func(a, b footed) int { return cmp.Compare(rightName(b), rightName(a)) })
	for _, f := range all {
		twin := fmt.Sprintf("%s %08x", f.Header.Name, f.EndCRC)
		if seen[twin] {
			continue
		}
		seen[twin] = true
		kept = append(kept, f)
		if id, _, ok := layout.ParseDir(p.dir); !ok || id == f.Header.Checkpoint {
			bytes[origin{f.Header.Checkpoint, f.Header.Writer}] += f.size
		}
	}
	var best origin
	for o, n := range bytes {
		if n > bytes[best] || n == bytes[best] && (o.id > best.id || o.id == best.id && o.writer < best.writer) {
			best = o
		}
	}
	if p.has[format.KindSummary] {
		best = origin{p.m.Summary.ID, p.m.Summary.WriterID}
	}
	named := map[uint32]bool{}
	if p.has[format.KindObjects] {
		for _, o := range p.m.Objects {
			named[o.DirectoryCRC] = true
		}
	}
	slices.SortFunc(kept, func(a, b footed) int { return cmp.Compare(a.name, b.name) })
	for _, f := range kept {
		if named[f.EndCRC] || (origin{f.Header.Checkpoint, f.Header.Writer}) == best {
			own = append(own, f)
		} else {
			others = append(others, f)
		}
	}
	return own, others
}

// rightName is 1 for an object that lies under the name that it states.
func rightName(f footed) int {
	if path.Base(f.name) == path.Base(f.Header.Name) {
		return 1
	}
	return 0
}

// strays sends all slices of an object to the lost-and-found.
func (p *pieces) strays(f footed, why string) {
	for e, err := range f.Entries() {
		if err == nil && e.Slice.Entries > 0 {
			p.over.strays = append(p.over.strays, stray{f.name, e, why})
		}
	}
}

// rebuilding is a manifest that is being made of directories.
type rebuilding struct {
	p   *pieces
	m   format.Manifest
	old format.Manifest // the tables that read
	has map[format.Kind]bool

	operators, states, edges, schemas map[string]int
	from                              []rebuiltSlice
}

// rebuiltSlice is where a slice came from.
type rebuiltSlice struct {
	slice format.Slice
	f     footed
	entry format.Entry
}

// summary makes the summary of what a header and the directory's name tell.
func (b *rebuilding) summary(f footed) {
	kind := format.Savepoint
	if _, savepoint, ok := layout.ParseDir(b.p.dir); ok && !savepoint {
		kind = format.Checkpoint
	}
	b.m.Summary = format.Summary{Kind: kind, ID: max(1, f.Header.Checkpoint), Path: b.p.dir, WriterID: f.Header.Writer, Hash: keyhash.Name}
}

// object takes the slices of an object.
func (b *rebuilding) object(f footed) error {
	crc, err := b.p.checksum(f.name, f.size)
	if err != nil {
		return err
	}
	row := len(b.m.Objects)
	b.m.Objects = append(b.m.Objects, format.Object{Name: f.name, Length: uint64(f.size), CRC: crc, DirectoryCRC: f.EndCRC})
	for e, err := range f.Entries() {
		if err != nil {
			return err
		}
		state, ok := b.state(&e)
		if !ok {
			b.p.over.strays = append(b.p.over.strays, stray{f.name, e, "what it says of itself contradicts the other slices"})
			continue
		}
		sl := e.Slice
		sl.State, sl.Object = state, row
		b.from = append(b.from, rebuiltSlice{sl, f, e})
	}
	return nil
}

// schema is the row of a schema.
func (b *rebuilding) schema(data []byte) int {
	if len(data) == 0 {
		return format.None
	}
	if row, ok := b.schemas[string(data)]; ok {
		return row
	}
	s, err := format.DecodeSchema(slices.Clone(data), nil)
	if err != nil {
		return format.None
	}
	b.m.Schemas = append(b.m.Schemas, s)
	b.schemas[string(data)] = len(b.m.Schemas) - 1
	return len(b.m.Schemas) - 1
}

// operator is the row of an operator. ok is false if it is known as another one.
func (b *rebuilding) operator(uid string, parallelism, groups uint32, key []byte) (row int, ok bool) {
	row, known := b.operators[uid]
	if !known {
		op := format.Operator{UID: uid, Parallelism: max(1, parallelism), KeyGroups: groups, KeySchema: format.None, Task: uint32(len(b.m.Operators)),
			MinWatermark: format.Unknown, MaxWatermark: format.Unknown}
		if b.has[format.KindOperators] {
			for _, was := range b.old.Operators {
				if was.UID == uid {
					op.Name, op.Task, op.MinWatermark, op.MaxWatermark = was.Name, was.Task, was.MinWatermark, was.MaxWatermark
				}
			}
		}
		row = len(b.m.Operators)
		b.m.Operators = append(b.m.Operators, op)
		b.operators[uid] = row
	}
	op := &b.m.Operators[row]
	if parallelism != op.Parallelism || groups != op.KeyGroups || groups > 0 && groups < parallelism {
		return row, false
	}
	if s := b.schema(key); s != format.None {
		op.KeySchema = s
	}
	return row, true
}

// state is the row of a slice's state.
func (b *rebuilding) state(e *format.Entry) (int, bool) {
	op, ok := b.operator(e.Operator, e.Parallelism, e.KeyGroups, e.KeySchema)
	edged := e.Kind.Channel() || e.Kind == format.KindChannelWatermark
	if !ok || edged != (e.Edge != "") || e.Kind.ByHash() && (e.KeyGroups == 0 || e.Slice.Interval.Empty()) || e.Kind <= format.KindBroadcast && e.State == "" {
		return 0, false
	}
	edge := format.None
	if edged {
		if edge, ok = b.edge(e); !ok {
			return 0, false
		}
	}
	id := fmt.Sprintf("%d %d %d %s", op, e.Kind, edge, e.State)
	if row, ok := b.states[id]; ok {
		return row, true
	}
	b.m.States = append(b.m.States, format.State{Operator: op, Name: e.State, Kind: e.Kind, Edge: edge, Namespace: b.schema(e.NamespaceSchema), Value: b.schema(e.ValueSchema)})
	b.states[id] = len(b.m.States) - 1
	return len(b.m.States) - 1, true
}

// edge is the row of a slice's edge. Its other end is in its id, "from>to#n".
func (b *rebuilding) edge(e *format.Entry) (int, bool) {
	if row, ok := b.edges[e.Edge]; ok {
		end := b.m.Edges[row].To
		if e.Kind == format.KindOutputChannel {
			end = b.m.Edges[row].From
		}
		known := b.operators[e.Operator]
		if end == format.None { // seen from the other end only, so far
			if e.Kind == format.KindOutputChannel {
				b.m.Edges[row].From = known
			} else {
				b.m.Edges[row].To = known
			}
			end = known
		}
		return row, end == known
	}
	edge := format.Edge{ID: e.Edge, From: format.None, To: format.None, Alignment: format.Unaligned, Keys: format.None}
	if e.Kind == format.KindOutputChannel {
		edge.From = b.operators[e.Operator]
	} else {
		edge.To = b.operators[e.Operator]
	}
	b.m.Edges = append(b.m.Edges, edge)
	b.edges[e.Edge] = len(b.m.Edges) - 1
	return len(b.m.Edges) - 1, true
}

// connect completes the edges: ends that no slice named, and partitioners.
func (b *rebuilding) connect() {
	for i := range b.m.Edges {
		e := &b.m.Edges[i]
		pair, _, _ := strings.Cut(e.ID, "#")
		from, to := "", ""
		if e.To != format.None {
			to = b.m.Operators[e.To].UID
			from = strings.TrimSuffix(pair, ">"+to)
		} else {
			from = b.m.Operators[e.From].UID
			to = strings.TrimPrefix(pair, from+">")
		}
		other := max(e.From, e.To)
		if e.From == format.None {
			e.From = b.end(from, other)
		}
		if e.To == format.None {
			e.To = b.end(to, other)
		}
		e.Partitioner = format.Rebalance
		if b.m.Operators[e.To].KeyGroups > 0 {
			e.Partitioner = format.Keyed
		}
		if b.has[format.KindEdges] {
			for _, was := range b.old.Edges {
				if was.ID == e.ID {
					e.Partitioner, e.Alignment, e.Reason, e.InFlightRecords = was.Partitioner, was.Alignment, was.Reason, was.InFlightRecords
					e.Keys = b.keysOf(e, was.Keys)
				}
			}
		}
		b.p.over.unsure[e.ID] = !b.has[format.KindEdges]
	}
}

// keysOf is the row of the operator whose keys the records of an edge have, None
// if it is not known or does not fit.
func (b *rebuilding) keysOf(e *format.Edge, was int) int {
	if was < 0 || was >= len(b.old.Operators) {
		return format.None
	}
	row, ok := b.operators[b.old.Operators[was].UID]
	if !ok || b.m.Operators[row].KeyGroups == 0 {
		return format.None
	}
	p := b.m.Operators[row].Parallelism
	if p != b.m.Operators[e.From].Parallelism || p != b.m.Operators[e.To].Parallelism {
		return format.None
	}
	return row
}

// end is an operator of which no slice is known; it is taken to be as parallel as
// the other end.
func (b *rebuilding) end(uid string, other int) int {
	if row, ok := b.operators[uid]; ok {
		return row
	}
	row, _ := b.operator(cmp.Or(uid, "unknown"), b.m.Operators[other].Parallelism, 0, nil)
	return row
}

// separate takes the slices that do not overlap.
func (b *rebuilding) separate() {
	slices.SortStableFunc(b.from, func(x, y rebuiltSlice) int {
		return cmp.Or(cmp.Compare(x.slice.State, y.slice.State), cmp.Compare(x.slice.Interval.Lo, y.slice.Interval.Lo), cmp.Compare(x.slice.Subtask, y.slice.Subtask))
	})
	state, end := format.None, uint64(0)
	for _, r := range b.from {
		if r.slice.State != state {
			state, end = r.slice.State, 0
		}
		if b.m.States[state].Kind.ByHash() {
			if r.slice.Interval.Lo < end {
				b.p.over.strays = append(b.p.over.strays, stray{r.f.name, r.entry, "its interval of hashes overlaps that of another slice"})
				continue
			}
			end = r.slice.Interval.Hi
		}
		b.m.Slices = append(b.m.Slices, r.slice)
		if st := b.m.States[state]; st.Kind.Channel() {
			b.m.Edges[st.Edge].InFlightBytes += r.slice.Bytes
		}
	}
}
