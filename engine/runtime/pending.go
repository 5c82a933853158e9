package runtime

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/tidemark-io/tidemark/checkpoint/layout"
	"github.com/tidemark-io/tidemark/format"
	"github.com/tidemark-io/tidemark/keygroup/keyhash"
	"github.com/tidemark-io/tidemark/writer"
)

// pending is a checkpoint that has been triggered and not yet ended.
type pending struct {
	id    uint64
	kind  format.CheckpointKind
	path  string
	final bool // the job ends with it
	// overtaking says that its barriers overtake data from the beginning.
	overtaking bool
	finished   bool // all data was processed before it
	triggered  time.Time
	writer     *writer.Writer
	ctx        context.Context // ends when the checkpoint does
	cancel     context.CancelCauseFunc
	stopTimer  func() bool
	requests   []*request
	// incremental says that keyed state is written by key group, and referred to
	// where it is as in base, nil if there is none.
	incremental bool
	base        *base
	// committing and ending belong to the coordinator: all parts are written;
	// the checkpoint is given up, or committed.
	committing, ending bool

	// writing counts those that use the writer: tasks that write their part,
	// and the commit. committed may be read when it is down.
	writing   sync.WaitGroup
	committed *format.Manifest

	mu      sync.Mutex
	over    bool // no task may begin to write any more
	rows    map[stateKey]int
	states  []stateRow
	missing map[int]bool   // tasks that have not acknowledged
	records map[int]uint64 // in flight, by edge
	acks    []ack
}

// stateKey tells the states of a checkpoint apart.
type stateKey struct {
	node *Node
	edge int
	name string
	kind format.Kind
}

type stateRow struct {
	key  stateKey
	spec StateSpec
}

// ack is what a task says when its part is written, or could not be.
type ack struct {
	task       int
	slices     []format.Slice
	kept       []format.Slice // of the base, State renumbered, Object a row of the base's
	err        error
	watermarks []int64 // by operator of the chain
	at         time.Time
	seen       seen
	sync       time.Duration
	async      time.Duration // from there to the end of writing
	persisted  uint64        // bytes of in-flight data
	unaligned  bool          // barriers overtook the data on the inputs that allow it
}

// begin lets somebody use the writer, until they call writing.Done. It returns
// false if the checkpoint has ended.
func (p *pending) begin() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.over {
		return false
	}
	p.writing.Add(1)
	return true
}

// end refuses further use of the writer and waits for the present one.
func (p *pending) end(cause error) {
	p.refuse(cause)
	p.writing.Wait()
}

// refuse refuses further use of the writer and asks the present one to end.
func (p *pending) refuse(cause error) {
	p.mu.Lock()
	p.over = true
	p.mu.Unlock()
	p.stopTimer()
	p.cancel(cause)
}

// reply answers those who asked for the checkpoint.
func (p *pending) reply(err error) {
	for _, r := range p.requests {
		r.reply <- Result{ID: p.id, Path: p.path, Err: err}
	}
}

// row is the number of a state. Numbers are given in the order of asking;
// manifest puts them in the order of the operators.
func (p *pending) row(n *Node, edge int, spec StateSpec) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	key := stateKey{node: n, edge: edge, name: spec.Name, kind: spec.Kind}
	row, ok := p.rows[key]
	if !ok {
		row = len(p.states)
		p.rows[key] = row
		p.states = append(p.states, stateRow{key: key, spec: spec})
	}
	return row
}

// ends says whether the run ends with the checkpoint.
func (p *pending) ends() format.Ending {
	switch {
	case p.finished:
		return format.Finished
	case p.final:
		return format.Stopped
	default:
		return format.WentOn
	}
}

// inFlight counts records in flight on an edge.
func (p *pending) inFlight(edge int, records uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.records[edge] += records
}

// acknowledge takes a task's part and reports whether it was the last missing.
func (p *pending) acknowledge(a ack) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.missing[a.task] {
		return false
	}
	delete(p.missing, a.task)
	p.acks = append(p.acks, a)
	return len(p.missing) == 0
}

// manifest describes the checkpoint once all parts are written.
func (p *pending) manifest(a *attempt) *format.Manifest {
	m := &format.Manifest{
		Summary: format.Summary{
			Kind: p.kind, ID: p.id, Path: p.path, Job: a.plan.graph.Name,
			Created: p.triggered.UnixNano(), Lineage: a.lineage(), Run: a.run(),
			WriterID: p.writer.ID(), Software: a.cfg.Checkpoints.Software, Hash: keyhash.Name,
			Ending: p.ends(), Subtasks: uint64(len(a.tasks)),
			MinWatermark: format.Unknown, MaxWatermark: format.Unknown,
		},
		Settings: a.cfg.Settings,
	}
	if r := a.restored; r != nil && !r.external { // ids of another root mean nothing here
		m.Summary.Parent, m.Summary.ParentDir = r.id, r.path
	}
	if r := a.restored; r != nil && a.job.first() {
		m.Losses = r.losses
	}
	schemas := schemaTable{m: m}
	p.operators(a, m, &schemas)
	for i, e := range a.plan.graph.Edges {
		m.Edges = append(m.Edges, format.Edge{ID: a.plan.edgeID(i), From: e.From, To: e.To,
			Partitioner: a.plan.partitioner[i], Alignment: p.alignment(a, i), InFlightRecords: p.records[i], Keys: a.plan.keysRow(i), Reason: a.plan.why[i]})
	}
	p.stateTables(a, m, &schemas)
	return m
}

// alignment is how the barriers really crossed an edge.
func (p *pending) alignment(a *attempt, edge int) format.Alignment {
	if a.plan.chained[edge] {
		return format.Chained
	}
	var aligned, overtaken bool
	to := a.plan.chainOf[a.plan.graph.Edges[edge].To]
	for _, k := range p.acks {
		if a.tasks[k.task].chain == to {
			unaligned := k.unaligned && a.plan.unaligned[edge]
			aligned, overtaken = aligned || !unaligned, overtaken || unaligned
		}
	}
	switch {
	case aligned && overtaken:
		return format.Mixed
	case overtaken:
		return format.Unaligned
	default:
		return format.Aligned
	}
}

// operators fills in the operators and the bounds of event time.
func (p *pending) operators(a *attempt, m *format.Manifest, schemas *schemaTable) {
	for i, n := range a.plan.graph.Nodes {
		m.Operators = append(m.Operators, format.Operator{
			UID: n.UID, Name: n.Name, Parallelism: uint32(a.plan.parallelism[i]), KeyGroups: uint32(a.plan.keyGroups[i]),
			KeySchema: schemas.row(n.KeySchema), Task: uint32(a.plan.chainOf[i]),
			MinWatermark: EndOfTime, MaxWatermark: format.Unknown,
		})
	}
	low := EndOfTime
	for _, k := range p.acks {
		for i, w := range k.watermarks {
			op := &m.Operators[a.plan.chains[a.tasks[k.task].chain].nodes[i]]
			op.MinWatermark, op.MaxWatermark = min(op.MinWatermark, w), max(op.MaxWatermark, w)
			low = min(low, w)
			m.Summary.MaxWatermark = max(m.Summary.MaxWatermark, w)
		}
	}
	m.Summary.MinWatermark = low
}

// stateTables fills in states and slices, ordered by operator, state and
// subtask.
func (p *pending) stateTables(a *attempt, m *format.Manifest, schemas *schemaTable) {
	node := make(map[*Node]int, len(a.plan.graph.Nodes))
	for i, n := range a.plan.graph.Nodes {
		node[n] = i
	}
	order := make([]int, len(p.states))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(x, y int) int {
		a, b := p.states[x].key, p.states[y].key
		return cmp.Or(node[a.node]-node[b.node], int(a.kind)-int(b.kind), cmp.Compare(a.name, b.name), a.edge-b.edge)
	})
	renumbered := make([]int, len(order))
	for row, old := range order {
		renumbered[old] = row
		s := p.states[old]
		m.States = append(m.States, format.State{Operator: node[s.key.node], Name: s.spec.Name, Kind: s.spec.Kind,
			Edge: s.key.edge, Namespace: schemas.row(s.spec.Namespace), Value: schemas.row(s.spec.Value)})
	}
	for _, k := range p.acks {
		for _, sl := range k.slices {
			sl.State = renumbered[sl.State]
			m.Slices = append(m.Slices, sl)
		}
	}
	p.refer(m, renumbered)
	slices.SortStableFunc(m.Slices, func(x, y format.Slice) int {
		return cmp.Or(x.State-y.State, int(x.Subtask)-int(y.Subtask))
	})
}

// schemaTable numbers schemas, equal ones once.
type schemaTable struct {
	m    *format.Manifest
	seen map[string][]int // by text, which is cut where it is long
}

func (t *schemaTable) row(s *format.Schema) int {
	if s == nil {
		return format.None
	}
	if t.seen == nil {
		t.seen = map[string][]int{}
	}
	text := s.String()
	for _, row := range t.seen[text] {
		if t.m.Schemas[row].Equal(s) {
			return row
		}
	}
	row := len(t.m.Schemas)
	t.seen[text] = append(t.seen[text], row)
	t.m.Schemas = append(t.m.Schemas, s)
	return row
}

// pathOf is the directory of a checkpoint below the root.
func pathOf(kind format.CheckpointKind, id uint64) string {
	if kind == format.Savepoint {
		return layout.Savepoint(id)
	}
	return layout.Checkpoint(id)
}
