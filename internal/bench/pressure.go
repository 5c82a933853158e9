package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/tidemark-io/tidemark/engine"
	"github.com/tidemark-io/tidemark/engine/connector/collect"
	"github.com/tidemark-io/tidemark/engine/exchange"
	"github.com/tidemark-io/tidemark/reader"
	"github.com/tidemark-io/tidemark/store/local"
)

// Modes of checkpoints.
const (
	modeAligned   = "aligned"
	modeUnaligned = "unaligned"
	modeTimedOut  = "timed out"
)

// alignedTimeout is how long a checkpoint is tried aligned in modeTimedOut.
const alignedTimeout = 100 * time.Millisecond

// debloatTarget is that of the rows with debloating, debloatPeriod likewise.
const (
	debloatTarget = 200 * time.Millisecond
	debloatPeriod = 50 * time.Millisecond
)

// pressureConfig is the configuration of the job under backpressure.
func pressureConfig(p params) engine.Config {
	x := exchange.DefaultConfig()
	x.BuffersPerChannel = p.Buffers
	x.MaxPerChannel = max(x.MaxPerChannel, p.Buffers+x.FloatingPerGate)
	x.Debloat.Enabled = p.Debloat
	x.Debloat.Target, x.Debloat.Period = debloatTarget, debloatPeriod
	cfg := engine.Config{Parallelism: parallelism, Exchange: x}
	cfg.Checkpoints.Unaligned = p.Mode != modeAligned
	if p.Mode == modeTimedOut {
		cfg.Checkpoints.AlignedTimeout = alignedTimeout
	}
	return cfg
}

// takenUnder is what one checkpoint under backpressure was like.
type takenUnder struct {
	total, capture, delay float64 // ms
	stored                float64 // bytes
}

// underPressure runs the job until all buffers are full, measures the sink
// without checkpoints and with one after the other, kills the job, restores it
// with a quick sink and compares the output of both runs with what was made.
func underPressure(ctx context.Context, p params) (_ figures, err error) {
	st, err := local.Open(p.Dir, local.WithCreate())
	if err != nil {
		return nil, err
	}
	defer st.Close()
	source, kept := &spring{}, collect.New[receipt]()
	slow := newSlowSink(kept, sinkPause)
	var completed engine.CheckpointCompleted
	cfg := pressureConfig(p)
	cfg.Checkpoints.Store = st
	cfg.Observer = engine.ObserverFunc(func(e engine.Event) { // one call at a time, and before the reply
		if e, ok := e.(engine.CheckpointCompleted); ok {
			completed = e
		}
	})
	job, err := engine.Start(ctx, pressedGraph(source, slow), cfg)
	if err != nil {
		return nil, err
	}
	found, err := func() (figures, error) {
		queued, err := fillUp(ctx, job, p.Debloat)
		if err != nil {
			return nil, err
		}
		from, began := slow.seen.Load(), time.Now()
		if err := wait(ctx, p.Section); err != nil {
			return nil, err
		}
		alone := float64(slow.seen.Load()-from) / time.Since(began).Seconds()
		var taken []takenUnder
		from, began = slow.seen.Load(), time.Now()
		for until := began.Add(2 * p.Section); len(taken) < 2 || len(taken) < p.Repeat && time.Now().Before(until); {
			done, err := job.Checkpoint(ctx)
			if err != nil {
				return nil, err
			}
			e := completed
			ck, err := reader.Open(ctx, st, done.Path)
			if err != nil {
				return nil, err
			}
			taken = append(taken, takenUnder{total: ms(e.Duration), capture: ms(e.MaxStartDelay + e.MaxAlignment + e.MaxSync),
				delay: ms(e.MaxStartDelay), stored: float64(ck.Summary().InFlightBytes)})
			if err := errors.Join(ck.Close(), wait(ctx, 50*time.Millisecond)); err != nil {
				return nil, err
			}
		}
		with := float64(slow.seen.Load()-from) / time.Since(began).Seconds()
		return summary(taken, queued, alone, with), nil
	}()
	job.Cancel(errKilled)
	if werr := job.Wait(); !errors.Is(werr, errKilled) {
		return nil, errors.Join(err, werr)
	}
	if err != nil {
		return nil, err
	}
	source.close()
	found["restore"], err = restorePressed(ctx, cfg, source, kept)
	return found, err
}

var errKilled = errors.New("the job is killed, to restore it")

func ms(d time.Duration) float64 { return d.Seconds() * 1e3 }

// fillUp waits until what is queued grows no more, and returns how many bytes
// that is.
func fillUp(ctx context.Context, job *engine.Job, debloat bool) (float64, error) {
	steady := 6
	if debloat { // sizes follow a moving average of 20 periods
		steady = 30
	}
	var queued int64
	for same, n := 0, 0; same < steady && n < 150; n++ {
		if err := wait(ctx, 100*time.Millisecond); err != nil {
			return 0, err
		}
		var now int64
		for _, t := range job.Stats().Tasks {
			for _, g := range t.Gates {
				now += g.QueuedBytes
			}
		}
		if same++; now > queued+queued/20 && !debloat {
			same = 0
		}
		queued = now
	}
	return float64(queued), nil
}

// summary makes figures of the checkpoints of one run.
func summary(taken []takenUnder, queued, alone, with float64) figures {
	column := func(of func(takenUnder) float64) []float64 {
		var values []float64
		for _, t := range taken {
			values = append(values, of(t))
		}
		slices.Sort(values)
		return values
	}
	median := func(of func(takenUnder) float64) float64 { return estimateOf(column(of)).median }
	total := column(func(t takenUnder) float64 { return t.total })
	return figures{
		"n": float64(len(taken)), "queued": queued, "alone": alone, "with": with, "lost": 1 - with/alone,
		"p50": estimateOf(total).median, "p99": total[(len(total)*99+99)/100-1],
		"capture": median(func(t takenUnder) float64 { return t.capture }),
		"delay":   median(func(t takenUnder) float64 { return t.delay }),
		"stored":  median(func(t takenUnder) float64 { return t.stored }),
	}
}

// restorePressed restores the newest checkpoint, with a quick sink, runs the job
// to its end and checks the output. It returns the ms from the start to the
// first record at the sink.
func restorePressed(ctx context.Context, cfg engine.Config, source *spring, kept *collect.Sink[receipt]) (float64, error) {
	cfg.Restore.From, cfg.Observer = "latest", nil
	quick := newSlowSink(kept, 0)
	began := time.Now()
	if err := engine.Run(ctx, pressedGraph(source, quick), cfg); err != nil {
		return 0, fmt.Errorf("restored: %w", err)
	}
	first := <-quick.begun
	if err := checkReceipts(kept.Records(), source.end.Load()); err != nil {
		return 0, fmt.Errorf("restored: %w", err)
	}
	return ms(first.Sub(began)), nil
}

// pressureMain measures all combinations and writes the document and its plot.
func (b *bench) pressureMain(ctx context.Context, folder string) (err error) {
	if b.dir, err = os.MkdirTemp("", "tidemark-bench-"); err != nil {
		return err
	}
	defer os.RemoveAll(b.dir)
	d := &pressureDocument{pairs: b.pairs, where: machine(), date: time.Now().UTC()}
	var of []params
	for _, debloat := range []bool{false, true} {
		for _, buffers := range []int{2, 16, 128} {
			for _, mode := range []string{modeAligned, modeUnaligned, modeTimedOut} {
				of = append(of, params{Task: "pressure", Mode: mode, Debloat: debloat, Buffers: buffers, Repeat: 100, Section: b.size.pressure})
			}
		}
	}
	found, err := b.repeated(ctx, "backpressure", of...)
	if err != nil {
		return err
	}
	for i, p := range of {
		d.rows = append(d.rows, pressureRow{p, found[i]})
	}
	if d.goals, err = b.pressureGoals(ctx); err != nil {
		return err
	}
	d.ended = loadAverage()
	for _, g := range d.goals {
		fmt.Fprintln(b.progress, g)
	}
	return d.write(folder)
}

// Buffers per channel with which the eight channels of the job hold about 1 MiB
// and about 64 MiB.
const (
	fewBuffers  = 2
	manyBuffers = 352
)

// goalPairs is the least number of repetitions that a goal is judged by.
const goalPairs = 5

// pressureGoals measures what the goals compare, in pairs.
func (b *bench) pressureGoals(ctx context.Context) ([]result, error) {
	p := params{Task: "pressure", Mode: modeUnaligned, Buffers: fewBuffers, Repeat: 20, Section: b.size.pressure}
	many, unaligned, aligned := p, p, p
	many.Buffers = manyBuffers
	unaligned.Buffers = 128
	aligned.Buffers, aligned.Mode, aligned.Repeat = 128, modeAligned, 2
	often := *b
	often.pairs = max(b.pairs, goalPairs)
	found, err := often.repeated(ctx, "goals under backpressure", p, many, unaligned, aligned)
	if err != nil {
		return nil, err
	}
	const mib = 1.0 / (1 << 20)
	return []result{
		atMost("unaligned capture, many bytes : few", 2, ratios(found[1]["capture"], found[0]["capture"]), 1),
		shown("  capture with few bytes in flight, ms", found[0]["capture"], 1),
		shown("  stored in flight, MiB", found[0]["stored"], mib),
		shown("  capture with many bytes in flight, ms", found[1]["capture"], 1),
		shown("  stored in flight, MiB", found[1]["stored"], mib),
		atLeast("aligned : unaligned capture, 128 buffers", 100, ratios(found[3]["delay"], found[2]["capture"]), 1),
		shown("  aligned, start delay alone, ms", found[3]["delay"], 1),
		shown("  unaligned, all of the capture, ms", found[2]["capture"], 1),
	}, nil
}
