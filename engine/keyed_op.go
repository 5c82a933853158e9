package engine

import (
	"fmt"

	"github.com/tidemark-io/tidemark/engine/codec"
	"github.com/tidemark-io/tidemark/engine/runtime"
	"github.com/tidemark-io/tidemark/engine/state"
)

// keyedOp is what the operators share that run a function of the user's on keyed
// input: its states, its timers and its output.
type keyedOp[K, Out any] struct {
	keyed
	function any // the user's; its abilities are found by type
	timer    TimerHandler[K, Out]
	clocked  ProcessingTimerHandler[K, Out]
	codec    Codec[K]
	ctx      Context[K]
	out      Output[Out]
	lists    []snapshotList
}

func (p *keyedOp[K, Out]) addConsumer(r receiver[Out]) { p.out.addConsumer(r) }

func (p *keyedOp[K, Out]) sideOutputs() *[]sideOutput { return &p.out.sides }

func (p *keyedOp[K, Out]) Open(env *runtime.Env) error {
	return p.open(&Binder{env: env, keyed: &p.keyed})
}

// open lets the function bind its states, and restores the timers.
func (p *keyedOp[K, Out]) open(b *Binder) error {
	p.out.env = b.env
	p.ctx.keyed = &p.keyed
	p.timer, _ = p.function.(TimerHandler[K, Out])
	p.keyed.init(b.env, codec.Width(p.codec))
	if o, ok := p.function.(Opener); ok {
		if err := o.Open(b); err != nil {
			return err
		}
	}
	p.lists = b.lists
	if p.clocked, _ = p.function.(ProcessingTimerHandler[K, Out]); p.clocked != nil {
		if err := p.restoreClock(); err != nil {
			return err
		}
	}
	return p.keyed.restore(p.timer != nil)
}

// begin makes key and timestamp the current ones.
func (p *keyedOp[K, Out]) begin(key K, timestamp int64) {
	p.setKey(p.codec.Append(p.bytes[:0], key))
	p.ctx.key, p.ctx.timestamp, p.out.timestamp = key, timestamp, timestamp
}

// Drain fires the timers that a watermark has reached.
func (p *keyedOp[K, Out]) Drain(watermark int64) (bool, error) {
	return p.drain(watermark, p.fire)
}

// CatchUp fires the timers that the restored floors have passed.
func (p *keyedOp[K, Out]) CatchUp(highest int64) (bool, error) {
	return p.catchUp(highest, p.fire)
}

func (p *keyedOp[K, Out]) fire(t state.Timer) error {
	if err := p.beginTimer(t, t.Time); err != nil {
		return err
	}
	return p.timer.OnTimer(&p.ctx, t.Time, &p.out)
}

// DrainClock fires the timers of processing time that are due.
func (p *keyedOp[K, Out]) DrainClock(now int64) (bool, error) {
	return p.clock.drain(now, func(t state.Timer) error {
		if err := p.beginTimer(t, NoTimestamp); err != nil {
			return err
		}
		return p.clocked.OnProcessingTimer(&p.ctx, t.Time, &p.out)
	})
}

// Finish ends processing time: a job that is restored from its end does nothing
// more.
func (p *keyedOp[K, Out]) Finish() error {
	if p.clock != nil {
		p.clock.finish()
	}
	return nil
}

// beginTimer makes the key of a timer the current one.
func (p *keyedOp[K, Out]) beginTimer(t state.Timer, timestamp int64) error {
	key, _, err := p.codec.Decode(t.Key)
	if err != nil {
		return fmt.Errorf("key of a timer: %w", err)
	}
	p.setKeyOf(t)
	p.ctx.key, p.ctx.timestamp, p.out.timestamp = key, timestamp, timestamp
	return nil
}

func (p *keyedOp[K, Out]) Snapshot(s *runtime.Snapshot) error {
	for _, l := range p.lists {
		l.snapshot(s)
	}
	return p.keyed.snapshot(s)
}

func (p *keyedOp[K, Out]) Close() error {
	if p.clock != nil {
		p.clock.disarm()
	}
	if c, ok := p.function.(Closer); ok {
		return c.Close()
	}
	return nil
}
