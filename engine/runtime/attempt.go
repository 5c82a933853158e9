package runtime

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"github.com/tidemark-io/tidemark/engine/exchange"
	"github.com/tidemark-io/tidemark/format"
	"github.com/tidemark-io/tidemark/keygroup"
)

// attempt is one execution of a job's graph, from a restore (or from nothing) to
// the end of the job or its first failure.
type attempt struct {
	job      *Job
	cfg      *Config
	plan     *plan
	root     *root     // nil without checkpoints
	restored *restored // nil if nothing was
	restore  uint64    // which restore of the run that is, from 1
	base     *base     // the restored checkpoint, if the next one may refer to it
	ctx      context.Context
	cancel   context.CancelCauseFunc

	tasks []*Task
	pool  *exchange.Pool
	// captures bounds what checkpoints keep of the channels' buffers (R14).
	captures *exchange.SnapshotPool
	coord    *coordinator
	// generation names the in-flight data that this attempt makes, in its
	// checkpoints.
	generation uint64

	running sync.WaitGroup
	start   chan struct{} // closed when all tasks are open, or one failed to

	mu      sync.Mutex
	open    int // tasks that have opened, or failed to
	failure error
}

// newAttempt builds the tasks and what connects them.
func newAttempt(ctx context.Context, j *Job, p *plan, r *restored) (_ *attempt, err error) {
	a := &attempt{job: j, cfg: &j.cfg, plan: p, root: j.root, restored: r, start: make(chan struct{})}
	if r != nil {
		j.restores++
		a.restore = j.restores
	}
	a.ctx, a.cancel = context.WithCancelCause(ctx)
	defer func() {
		if err != nil {
			a.cancel(err)
		}
	}()
	if a.generation, err = r.nextGeneration(a.ctx); err != nil {
		return nil, err
	}
	if a.base, err = r.baseOf(a.ctx, j); err != nil {
		return nil, err
	}
	a.pool = exchange.NewPool(a.cfg.Exchange.BufferSize)
	a.captures = exchange.NewSnapshotPool(captureMemory, a.cfg.Exchange.SpillDir)
	a.coord = newCoordinator(a)
	first := make([]int, len(p.chains)) // number of each chain's first task
	for i, c := range p.chains {
		first[i] = len(a.tasks)
		for subtask := range p.parallelism[c.nodes[0]] {
			t, err := a.newTask(i, subtask)
			if err != nil {
				return nil, err
			}
			a.tasks = append(a.tasks, t)
		}
	}
	for edge := range p.graph.Edges {
		if p.chained[edge] {
			continue
		}
		if err := a.connect(edge, first); err != nil {
			return nil, err
		}
	}
	return a, nil
}

// newTask builds the operators of one subtask of a chain and connects them.
func (a *attempt) newTask(chainIndex, subtask int) (*Task, error) {
	c := a.plan.chains[chainIndex]
	t := &Task{attempt: a, chain: chainIndex, number: len(a.tasks), subtask: subtask, mail: newMailbox()}
	at := make(map[int]int, len(c.nodes)) // node → index in the chain
	for i, node := range c.nodes {
		n := a.plan.graph.Nodes[node]
		env := &Env{UID: n.UID, Name: n.Name, Subtask: subtask, Parallelism: a.plan.parallelism[node],
			task: t, index: i, attempt: a, node: n}
		if groups := a.plan.keyGroups[node]; groups > 0 {
			env.KeyGroups = groups
			env.Range = keygroup.RangeOf(subtask, groups, env.Parallelism)
			env.Interval = env.Range.Interval(groups)
		}
		op, err := n.instance(subtask)
		if err != nil {
			a.observe(TaskFailed{Err: err})
			return nil, err
		}
		slot := opSlot{op: op, env: env, watermark: NoWatermark, emitted: NoWatermark}
		slot.drainer, _ = slot.op.(Drainer)
		if i == 0 && env.KeyGroups > 0 {
			t.holder, _ = op.(KeyHolder)
		}
		at[node] = i
		t.ops = append(t.ops, slot)
	}
	t.name = fmt.Sprintf("%s (%d/%d)", a.plan.graph.Nodes[c.nodes[0]].UID, subtask+1, t.ops[0].env.Parallelism)
	for i, e := range a.plan.graph.Edges {
		if a.plan.chained[i] && a.plan.chainOf[e.From] == chainIndex {
			from, to := at[e.From], at[e.To]
			e.Chain(t.ops[from].op, t.ops[to].op)
			t.ops[from].children = append(t.ops[from].children, to)
		}
	}
	return t, nil
}

// instance makes the operator, which calls a factory of the user's.
func (n *Node) instance(subtask int) (op Operator, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &TaskError{UID: n.UID, Subtask: subtask, Err: fmt.Errorf("panic: %v", v), Stack: debug.Stack()}
		}
	}()
	return n.New(), nil
}

// connect builds the exchange of one edge.
func (a *attempt) connect(edge int, first []int) error {
	e := a.plan.graph.Edges[edge]
	from, to := a.plan.chainOf[e.From], a.plan.chainOf[e.To]
	senders, receivers := a.plan.wiring(edge)
	gates := make([]*exchange.Gate, a.plan.parallelism[e.To])
	for i := range gates {
		t := a.tasks[first[to]+i]
		if t.input == nil {
			t.input = &input{task: t}
			t.alternating = a.cfg.Checkpoints.Unaligned
		}
		gates[i] = a.cfg.Exchange.NewGate(len(senders[i]), t.mail.wake)
		t.input.add(edge, gates[i], senders[i], e.Receive(t.ops[0].op), a.cfg.Exchange.MaxFrame)
	}
	for i := range a.plan.parallelism[e.From] {
		t := a.tasks[first[from]+i]
		var targets []exchange.Target
		for _, r := range receivers[i] {
			targets = append(targets, exchange.Target{Gate: gates[r], Channel: i - senders[r][0]})
		}
		slot := t.slotOf(e.From)
		out := &outEdge{edge: edge, op: slot.env.index, receivers: receivers[i], unaligned: a.plan.unaligned[edge]}
		part, err := exchange.NewPartition(a.pool, a.cfg.Exchange, targets, exchange.Hooks{Wake: t.mail.wake, Passed: out.passed})
		if err != nil {
			return fmt.Errorf("edge %s: %w", a.plan.edgeID(edge), err)
		}
		out.part = part
		slot.parts = append(slot.parts, part)
		t.partsOut = append(t.partsOut, part)
		t.outs = append(t.outs, out)
		e.Send(slot.op, a.route(edge, slot.env, part, i))
	}
	return nil
}

// route tells a sender where its records go.
func (a *attempt) route(edge int, env *Env, part *exchange.Partition, subtask int) Route {
	e := a.plan.graph.Edges[edge]
	r := Route{Env: env, Edge: a.plan.edgeID(edge), Partition: part, Partitioner: a.plan.partitioner[edge], Channels: part.Channels(), Subtask: subtask}
	if a.plan.byKey(edge) {
		r.ByKey, r.Lowest = true, a.plan.lowest(edge, subtask)
	}
	if r.Partitioner == format.Keyed {
		r.KeyGroups = a.plan.keyGroups[e.To]
		r.Owner = make([]int32, r.KeyGroups)
		for g := range r.Owner {
			r.Owner[g] = int32(keygroup.Owner(g, r.KeyGroups, a.plan.parallelism[e.To]))
		}
	}
	return r
}

// slotOf is the slot of a node in the task's chain.
func (t *Task) slotOf(node int) *opSlot {
	n := t.attempt.plan.graph.Nodes[node]
	for i := range t.ops {
		if t.ops[i].env.node == n {
			return &t.ops[i]
		}
	}
	return nil
}

// execute runs the attempt to its end.
func (a *attempt) execute() error {
	defer a.cancel(nil)
	stop := context.AfterFunc(a.ctx, func() {
		a.cfg.turn(RoleCancel, 0)
		a.fail(context.Cause(a.ctx))
	})
	defer stop()
	for _, t := range a.tasks {
		a.running.Add(1)
		go t.run()
	}
	<-a.start
	a.cfg.turn(RoleJob, 0)
	go a.coord.run()
	a.running.Wait()
	a.cfg.turn(RoleJob, 0)
	a.coord.close()
	a.cfg.turn(RoleJob, 0)
	for _, t := range a.tasks {
		t.release()
	}
	if err := a.captures.Close(); err != nil {
		a.cfg.Logger.Warn("spill file of checkpoints not removed", "error", err)
	}
	if n := a.pool.Outstanding(); n != 0 {
		a.cfg.Logger.Error("buffers were not given back", "buffers", n)
	}
	return a.failed()
}

// opened notes that a task has opened its operators, or failed to, and waits
// for the others. It reports whether the attempt goes on.
func (a *attempt) opened(t *Task, err error) bool {
	if err != nil {
		a.fail(err)
	}
	a.mu.Lock()
	a.open++
	last := a.open == len(a.tasks)
	a.mu.Unlock()
	if last {
		if a.failed() == nil && a.restored != nil {
			if err := a.restored.check(a); err != nil {
				a.fail(err)
			}
		}
		if a.failed() == nil && a.root != nil {
			if err := a.root.begin(a.ctx); err != nil {
				a.fail(err)
			}
		}
		close(a.start)
	}
	<-a.start
	t.turn()
	return a.failed() == nil
}

// ended notes that a task is over.
func (a *attempt) ended(t *Task, err error) {
	if err != nil {
		a.fail(err)
	}
	a.running.Done()
}

// fail ends the attempt. The first error counts; all tasks stop.
func (a *attempt) fail(err error) {
	a.mu.Lock()
	first := a.failure == nil
	if first {
		// What tasks report because the job was cancelled is not the cause.
		if cause := context.Cause(a.ctx); cause != nil {
			err = cause
		}
		a.failure = err
	}
	a.mu.Unlock()
	if !first {
		return
	}
	var task *TaskError
	if errors.As(err, &task) {
		a.observe(TaskFailed{Err: err})
	}
	a.cancel(err)
	for _, t := range a.tasks {
		t.mail.post(func() error { t.done = true; return nil })
		for _, p := range t.partsOut {
			p.Cancel()
		}
	}
}

func (a *attempt) failed() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.failure
}

// finishedData notes that a task has processed all its data.
func (a *attempt) finishedData(*Task) { a.coord.post(func() { a.coord.ended++ }) }

// elapsed is the time since the trigger of a checkpoint, 0 if it is over.
func (a *attempt) elapsed(id uint64) time.Duration {
	if p := a.coord.current.Load(); p != nil && p.id == id {
		return a.cfg.Clock.Now().Sub(p.triggered)
	}
	return 0
}

// overtaking is the id of the checkpoint under way if its barriers overtake data
// from the beginning, else 0.
func (a *attempt) overtaking() uint64 {
	if p := a.coord.current.Load(); p != nil && p.overtaking {
		return p.id
	}
	return 0
}

// captureMemory bounds the buffers that checkpoints hold while they are written.
const captureMemory = 256 << 20

// acknowledge passes a task's part on to the coordinator.
func (a *attempt) acknowledge(p *pending, k ack) {
	a.coord.post(func() { a.coord.acknowledge(p, k) })
}

// decline says that a task gave a checkpoint up.
func (a *attempt) decline(id uint64, err error) {
	a.coord.post(func() {
		if p := a.coord.current.Load(); p != nil && p.id == id {
			a.coord.abort(p, err)
		}
	})
}

func (a *attempt) observe(e Event) { a.job.observe(e) }

func (a *attempt) lineage() string { return a.job.lineage }

func (a *attempt) run() uint64 {
	if a.root == nil {
		return 0
	}
	return a.root.run
}

func (a *attempt) restoredID() uint64 {
	if a.restored == nil {
		return 0
	}
	return a.restored.id
}
