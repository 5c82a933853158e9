package engine_test

import (
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/tidemark-io/tidemark/engine"
)

// This file has the functions of random jobs.

// probe is called for each record by each function of a job. It fails the job
// when it is to fail, and asks for checkpoints now and then.
type probe struct {
	t      topology
	calls  atomic.Int64
	fails  []int64 // numbers of the calls that fail
	panics bool
	every  int64           // calls between two requests for a checkpoint
	asked  chan<- struct{} // takes them; nil if none are wanted
	brake  *brake          // of the gate, nil if it is open
}

func (p *probe) touch() error {
	n := p.calls.Add(1)
	if p.asked != nil && n%p.every == 0 {
		select {
		case p.asked <- struct{}{}:
		default:
		}
	}
	if !slices.Contains(p.fails, n) {
		return nil
	}
	if p.panics {
		panic("the user's function has panicked")
	}
	return errUser
}

// must is touch for functions that cannot return an error.
func (p *probe) must() {
	if err := p.touch(); err != nil {
		panic(err)
	}
}

// mix is a number that depends on two others.
func mix(a, b int64) int64 {
	h := (uint64(a)*0x9E3779B97F4A7C15 ^ uint64(b)) * 0xBF58476D1CE4E5B9
	return int64(h >> 34)
}

// weight is what an item adds to sums.
func (r item) weight() int64 { return mix(mix(r.Split, r.Seq), r.Sum) }

// apply is what an operator without state makes of one record.
func (v vertex) apply(r item) []item {
	switch v.kind {
	case "map", "comap":
		r.Sum = mix(r.Sum, v.salt)
	case "filter":
		if mix(r.Seq, v.salt)%5 == 0 {
			return nil
		}
	case "flatmap":
		var list []item
		for i := range mix(r.Seq, v.salt) % 4 {
			list = append(list, item{r.Split, r.Seq*4 + i, r.Key, r.Sum})
		}
		return list
	case "rekey":
		r.Key = mix(r.Key, v.salt) % keys
	}
	return []item{r}
}

// aside reports whether a "split" sends a record to its side output.
func (v vertex) aside(r item) bool { return mix(r.Seq, v.salt)%3 == 0 }

// pane is the result of a window of one operator.
func pane(operator int, p paneSum) item {
	return item{Split: int64(1000 + operator), Seq: p.Start, Key: p.Key, Sum: mix(mix(p.Sum, p.N), p.End)}
}

// atTheEnd is the time of timers that fire when all input has ended.
const atTheEnd = 1 << 50

// passOn counts the records of a key and lets them through.
type passOn[K any] struct {
	probe *probe
	n     engine.Value[int64]
}

func (p *passOn[K]) Open(b *engine.Binder) error { return p.n.Bind(b, "n") }

func (p *passOn[K]) Process(_ *engine.Context[K], r item, out *engine.Output[item]) error {
	p.n.Set(p.n.Get() + 1)
	out.Emit(r)
	return p.probe.touch()
}

// tallier numbers the records of a key.
type tallier struct {
	probe *probe
	n     engine.Value[int64]
}

func (c *tallier) Open(b *engine.Binder) error { return c.n.Bind(b, "n") }

func (c *tallier) Process(_ *engine.Context[int64], r item, out *engine.Output[tally]) error {
	n := c.n.Get() + 1
	c.n.Set(n)
	out.Emit(tally{r.Split, r.Seq, r.Key, r.Sum, n})
	return c.probe.touch()
}

// brake lets functions wait at their first record.
type brake struct {
	once    sync.Once
	entered chan struct{} // closed when one waits
	off     chan struct{} // closed when they go on
}

func newBrake() *brake { return &brake{entered: make(chan struct{}), off: make(chan struct{})} }

// hold waits while the brake, which may be nil, is on.
func (b *brake) hold() {
	if b == nil {
		return
	}
	select {
	case <-b.off:
	default:
		b.once.Do(func() { close(b.entered) })
		<-b.off
		for range 200 { // the barriers overtake meanwhile
			runtime.Gosched()
		}
	}
}

// delay emits each record of a split when the next one comes, so that the first
// one, at which it may brake, makes no output that would be in flight, too.
type delay struct {
	probe *probe
	brake *brake // nil: none
	last  engine.Value[item]
}

func (d *delay) Open(b *engine.Binder) error { return d.last.Bind(b, "last") }

func (d *delay) Process(ctx *engine.Context[string], r item, out *engine.Output[item]) error {
	if d.brake != nil {
		d.brake.once.Do(func() { close(d.brake.entered) })
		<-d.brake.off
		for range 200 { // the barriers overtake meanwhile; how many records they do is counted
			runtime.Gosched()
		}
		d.brake = nil
	}
	if last, ok := d.last.Lookup(); ok {
		out.Emit(last)
	} else {
		ctx.RegisterTimer(atTheEnd)
	}
	d.last.Set(r)
	return d.probe.touch()
}

func (d *delay) OnTimer(_ *engine.Context[string], _ int64, out *engine.Output[item]) error {
	out.Emit(d.last.Get())
	d.last.Clear()
	return nil
}

// stateKeeper keeps what does not depend on the order of records in every kind of
// keyed state, and tells it when all input has ended.
type stateKeeper struct {
	probe  *probe
	number int
	n      engine.Value[int64]
	list   engine.ListState[int64]
	splits engine.MapState[int64, int64]
	top    engine.ReducingState[int64]
	mean   engine.AggregatingState[int64, [2]int64, int64]
}

func (k *stateKeeper) Open(b *engine.Binder) error {
	return errors.Join(k.n.Bind(b, "n"), k.list.Bind(b, "list"), k.splits.Bind(b, "splits"),
		k.top.Bind(b, "top", func(a, b int64) int64 { return max(a, b) }),
		k.mean.Bind(b, "mean", func(acc [2]int64, v int64) [2]int64 { return [2]int64{acc[0] + v, acc[1] + 1} },
			func(acc [2]int64) int64 { return mix(acc[0], acc[1]) }))
}

func (k *stateKeeper) Process(ctx *engine.Context[int64], r item, out *engine.Output[item]) error {
	w := r.weight()
	k.n.Set(k.n.Get() + 1)
	if w%8 == 0 {
		k.list.Add(w)
	}
	k.splits.Put(r.Split, k.splits.Get(r.Split)+w)
	k.top.Add(w)
	k.mean.Add(w)
	ctx.RegisterTimer(atTheEnd)
	out.Emit(r)
	return k.probe.touch()
}

func (k *stateKeeper) OnTimer(ctx *engine.Context[int64], _ int64, out *engine.Output[item]) error {
	kept := kept{n: k.n.Get(), splits: maps.Collect(k.splits.All()), list: slices.Collect(k.list.All()), top: k.top.Get(), mean: k.mean.Get()}
	if k.list.Len() != len(kept.list) || k.splits.Len() != len(kept.splits) {
		return fmt.Errorf("key %d: lengths %d and %d, there are %d and %d", ctx.Key(), k.list.Len(), k.splits.Len(), len(kept.list), len(kept.splits))
	}
	out.Emit(kept.item(k.number, ctx.Key()))
	k.n.Clear()
	k.list.Clear()
	k.splits.Clear()
	k.top.Clear()
	k.mean.Clear()
	return nil
}

// kept is what a stateKeeper has of a key.
type kept struct {
	n, top, mean int64
	list         []int64
	splits       map[int64]int64
}

// item is the record that tells it.
func (k kept) item(operator int, key int64) item {
	sum := mix(mix(k.n, k.top), k.mean)
	slices.Sort(k.list)
	for _, v := range k.list {
		sum = mix(sum, v)
	}
	for _, s := range slices.Sorted(maps.Keys(k.splits)) {
		sum = mix(mix(sum, s), k.splits[s])
	}
	return item{Split: int64(2000 + operator), Key: key, Sum: sum}
}

// meetItems adds up the records of two streams by key and tells the sums when
// all input has ended.
type meetItems struct {
	probe  *probe
	number int
	sums   engine.Value[[4]int64]
}

func (m *meetItems) Open(b *engine.Binder) error { return m.sums.Bind(b, "sums") }

func (m *meetItems) take(input int, ctx *engine.Context[int64], r item, out *engine.Output[item]) error {
	s := m.sums.Get()
	s[2*input]++
	s[2*input+1] += r.weight()
	m.sums.Set(s)
	ctx.RegisterTimer(atTheEnd)
	out.Emit(r)
	return m.probe.touch()
}

func (m *meetItems) Process1(ctx *engine.Context[int64], r item, out *engine.Output[item]) error {
	return m.take(0, ctx, r, out)
}

func (m *meetItems) Process2(ctx *engine.Context[int64], r item, out *engine.Output[item]) error {
	return m.take(1, ctx, r, out)
}

func (m *meetItems) OnTimer(ctx *engine.Context[int64], _ int64, out *engine.Output[item]) error {
	out.Emit(metItem(m.number, ctx.Key(), m.sums.Get()))
	m.sums.Clear()
	return nil
}

// metItem is the record that tells the sums of a key.
func metItem(operator int, key int64, s [4]int64) item {
	return item{Split: int64(2000 + operator), Key: key, Sum: mix(mix(s[0], s[1]), mix(s[2], s[3]))}
}

// rules checks that each broadcast record comes once and those of a split in
// order, in every subtask. The first subtask lets them through.
type rules struct {
	probe   *probe
	subtask int
	next    engine.BroadcastState[int64, int64] // number that comes next, by split
}

func (p *rules) Open(b *engine.Binder) error {
	p.subtask = b.Subtask()
	return p.next.Bind(b, "next")
}

func (p *rules) ProcessBroadcast(ctx *engine.BroadcastContext, r item, out *engine.Output[item]) error {
	if next := p.next.Get(r.Split); r.Seq != next {
		return fmt.Errorf("broadcast record %d of split %d came in place of %d", r.Seq, r.Split, next)
	}
	p.next.Put(ctx, r.Split, r.Seq+1)
	if p.subtask == 0 {
		out.Emit(r)
	}
	return p.probe.touch()
}

type ruled struct{ rules }

func (p *ruled) Process(_ *engine.RecordContext, r item, out *engine.Output[item]) error {
	out.Emit(r)
	return p.probe.touch()
}

type keyedRuled struct {
	rules
	n engine.Value[int64]
}

func (p *keyedRuled) Open(b *engine.Binder) error {
	return errors.Join(p.rules.Open(b), p.n.Bind(b, "n"))
}

func (p *keyedRuled) Process(_ *engine.Context[int64], r item, out *engine.Output[item]) error {
	p.n.Set(p.n.Get() + 1)
	out.Emit(r)
	return p.probe.touch()
}
