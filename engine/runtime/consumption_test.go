package runtime

import (
	"fmt"
	"hash/fnv"
	"maps"
	"runtime"
	"slices"
	"sync"

	"github.com/tidemark-io/tidemark/engine/exchange"
)

// Consumption records in which order tasks take the frames of their channels,
// over a run and the one that is restored from its checkpoint, or makes a run
// take them in that order.
type Consumption struct {
	replaying bool

	mu    sync.Mutex
	tasks map[string]*taken
}

// taken is what one task took.
type taken struct {
	frames []takenFrame
	last   map[[2]int]int64 // watermark by edge and sender
	cuts   map[uint64]cut
	at     int // of the next frame, when replaying
}

// cut is what a task had taken at the snapshot of a checkpoint.
type cut struct {
	frames int
	last   map[[2]int]int64
}

// takenFrame is a record, or a watermark that was news on its channel.
type takenFrame struct {
	edge, sender int
	sum          uint64 // of its bytes
}

// NewConsumption is a recording without anything.
func NewConsumption() *Consumption { return &Consumption{tasks: map[string]*taken{}} }

// Use lets a job's tasks report to c, or follow it.
func (c *Consumption) Use(cfg *Config) { cfg.consumption = c }

// CutAt forgets what was taken behind the snapshots of a checkpoint: the run that
// is restored from it goes on there.
func (c *Consumption) CutAt(id uint64) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for name, t := range c.tasks {
		k, ok := t.cuts[id]
		if !ok {
			return fmt.Errorf("task %s has no snapshot of checkpoint %d", name, id)
		}
		t.frames, t.last = t.frames[:k.frames], k.last
	}
	return nil
}

// Replay makes runs follow the recording from now on.
func (c *Consumption) Replay() {
	c.replaying = true
	for _, t := range c.tasks {
		clear(t.last)
	}
}

// Left is how many frames no run has taken yet, and Frames how many there are.
func (c *Consumption) Left() (left int) {
	for _, t := range c.tasks {
		left += len(t.frames) - t.at
	}
	return left
}

// Frames is how many frames were taken.
func (c *Consumption) Frames() (n int) {
	for _, t := range c.tasks {
		n += len(t.frames)
	}
	return n
}

// Switches is how often a task took a frame of another channel than the one
// before.
func (c *Consumption) Switches() (n int) {
	for _, t := range c.tasks {
		for i := 1; i < len(t.frames); i++ {
			if a, b := t.frames[i-1], t.frames[i]; a.edge != b.edge || a.sender != b.sender {
				n++
			}
		}
	}
	return n
}

func (c *Consumption) of(t *Task) *taken {
	c.mu.Lock()
	defer c.mu.Unlock()
	name := fmt.Sprintf("%s/%d", t.ops[0].env.UID, t.subtask)
	if c.tasks[name] == nil {
		c.tasks[name] = &taken{cuts: map[uint64]cut{}, last: map[[2]int]int64{}}
	}
	return c.tasks[name]
}

func (c *Consumption) snapshot(t *Task, id uint64) {
	if k := c.of(t); !c.replaying {
		c.mu.Lock()
		defer c.mu.Unlock()
		k.cuts[id] = cut{len(k.frames), maps.Clone(k.last)}
	}
}

func (c *Consumption) reader(g *gateInput, r Receiver) Receiver {
	return &orderedReader{c: c, gate: g, inner: r, one: exchange.NewCursor(0)}
}

// orderedReader gives the decoder one frame at a time.
type orderedReader struct {
	c     *Consumption
	gate  *gateInput
	inner Receiver
	one   *exchange.Cursor // has the frame
}

func (r *orderedReader) Run(t *Task, channel int, c *exchange.Cursor) (bool, error) {
	k, sender := r.c.of(t), 0
	if g := t.input.replay.current(); g != nil {
		sender = int(g.next().sender)
	} else {
		sender = r.gate.senders[channel-r.gate.first]
	}
	for {
		follows := r.c.replaying && k.at < len(k.frames)
		if follows && (k.frames[k.at].edge != r.gate.edge || k.frames[k.at].sender != sender) {
			return false, nil
		}
		f, ok := c.Next()
		if !ok {
			return true, c.Err()
		}
		frame := bytesOf(f)
		if k.counts(r.gate.edge, sender, f) {
			h := fnv.New64a()
			_, _ = h.Write(frame)
			now := takenFrame{r.gate.edge, sender, h.Sum64()}
			if follows && now != k.frames[k.at] {
				return false, fmt.Errorf("frame %d of task %s subtask %d is another one than was recorded: %+v", k.at, t.name, t.subtask, f)
			}
			if r.c.replaying {
				k.at++
			} else {
				k.frames = append(k.frames, now)
			}
		}
		r.one.Feed(frame)
		if _, err := r.inner.Run(t, channel, r.one); err != nil {
			return false, err
		}
		if t.Attention() {
			return false, nil
		}
	}
}

// counts reports whether a frame is one of the recording: a watermark that a
// sender repeats after a restore is not.
func (k *taken) counts(edge, sender int, f exchange.Frame) bool {
	if f.Kind() != exchange.TagWatermark {
		return f.Kind() == exchange.TagRecord
	}
	at := [2]int{edge, sender}
	if last, ok := k.last[at]; ok && f.Timestamp <= last {
		return false
	}
	k.last[at] = f.Timestamp
	return true
}

// bytesOf is the frame as it was sent.
func bytesOf(f exchange.Frame) []byte {
	b := append(exchange.AppendFrame(nil, f.Tag, f.Hash, f.Timestamp), f.Payload...)
	exchange.EndFrame(b, 0)
	return b
}

// step, when replaying, takes the next frame of the channel whose turn it was.
// What is polled is copied, so that several channels may have something unread:
// there must be no checkpoint meanwhile.
func (c *Consumption) step(in *input) (bool, error) {
	k := c.of(in.task)
	if !c.replaying || k.at == len(k.frames) {
		return false, nil
	}
	next := k.frames[k.at]
	g := in.gates[slices.IndexFunc(in.gates, func(g *gateInput) bool { return g.edge == next.edge })]
	channel, before := slices.Index(g.senders, next.sender), k.at
	if _, err := g.receiver.Run(in.task, g.first+channel, g.cursors[channel]); err != nil || k.at > before {
		return true, err
	}
	el, ok := g.gate.PollFrom(channel)
	switch {
	case !ok:
		runtime.Gosched()
		return true, in.task.flush()
	case el.Event != nil:
		return true, in.event(g, el.Channel, el.Event)
	}
	g.cursors[el.Channel].Feed(slices.Clone(el.Buffer.Bytes()))
	g.gate.Recycle(el.Buffer)
	return true, nil
}
