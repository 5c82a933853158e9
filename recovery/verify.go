// Package recovery is the toolkit for checkpoints of any format: it works on the
// model of package checkpoint and decides, the formats do the reading and the
// writing.
//
// It verifies ([Verify]), and makes one checkpoint of another ([Rescale],
// [Strip], [Remap], [Copy]): a result is always a new checkpoint. What the engine
// does with a checkpoint is called restore and is not here.
package recovery

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"runtime"
	"runtime/debug"
	"sync"
	"time"

	"github.com/tidemark-io/tidemark/checkpoint"
)

// ErrNotVerifiable is the error of verifying a checkpoint whose format cannot
// check itself.
var ErrNotVerifiable = errors.New("this format cannot be verified")

// maxFindings is how many findings of one check are kept; what a completely
// damaged object yields beyond that is counted only.
const maxFindings = 1000

// Options configure Verify.
type Options struct {
	Level   checkpoint.Level // default: LevelRecords, the deepest
	Workers int              // checks at the same time; default GOMAXPROCS
	// Progress is called after each check, in order, on the goroutine that
	// iterates; nil is none.
	Progress func(checkpoint.Check)
	// Sample, if above 0 and below 1, checks about that share of the data,
	// chosen at random by Seed: blocks where the format can, else objects.
	Sample float64
	Seed   uint64
	// Until, if not zero, is when checking ends, also in the middle of a check.
	// What was not checked to its end is passed to Skipped.
	Until time.Time
	// Skip chooses checks that are left out, for example because they were done
	// before; nil is none. It is called on another goroutine.
	Skip func(checkpoint.Check) bool
	// Skipped is called, in order, for checks that were left out or not done to
	// their end; nil is none. Progress is not called for them.
	Skipped func(checkpoint.Check)
}

// errTime ends checks when their time is over.
var errTime = errors.New("the time for checking is over")

// Verify checks a checkpoint and yields what it finds, in an order that does not
// depend on timing. A checkpoint without findings of severity
// [checkpoint.Error] is intact as far as the level goes.
//
// An error means that checking itself failed: the storage is unreachable, ctx
// has ended, or the format cannot be verified. It ends the iteration, and
// nothing is known about what was not yet checked. Memory is bounded by what
// each worker needs, whatever the size of the checkpoint. When the iteration
// ends, for whatever reason, no goroutine is left.
func Verify(ctx context.Context, c checkpoint.Checkpoint, opts Options) iter.Seq2[checkpoint.Finding, error] {
	return func(yield func(checkpoint.Finding, error) bool) {
		v, ok := c.(checkpoint.Verifiable)
		if !ok {
			yield(checkpoint.Finding{}, ErrNotVerifiable)
			return
		}
		for _, note := range c.Info().Notes {
			if !yield(note, nil) {
				return
			}
		}
		if opts.Level == 0 {
			opts.Level = checkpoint.LevelRecords
		}
		if opts.Workers < 1 {
			opts.Workers = runtime.GOMAXPROCS(0)
		}
		work, cancel := context.WithCancel(ctx)
		var group sync.WaitGroup
		defer group.Wait()
		defer cancel()
		limited := work
		if !opts.Until.IsZero() {
			var stop context.CancelFunc
			limited, stop = context.WithDeadlineCause(work, opts.Until, errTime)
			defer stop()
		}
		for j := range start(work, limited, &group, checksOf(work, v, opts), opts) {
			<-j.done
			if late := errors.Is(j.err, errTime) || errors.Is(j.err, context.DeadlineExceeded) && limited.Err() != nil; late && ctx.Err() == nil {
				j.skipped, j.err = true, nil
			}
			if !j.deliver(yield) {
				return
			}
			if j.skipped {
				if opts.Skipped != nil {
					opts.Skipped(j.check)
				}
				continue
			}
			if opts.Progress != nil {
				opts.Progress(j.check)
			}
		}
		if err := ctx.Err(); err != nil { // the checks may have ended early
			yield(checkpoint.Finding{}, context.Cause(ctx))
		}
	}
}

// checksOf are the checks, or those of a sample.
func checksOf(ctx context.Context, v checkpoint.Verifiable, opts Options) iter.Seq2[checkpoint.Check, error] {
	if opts.Sample <= 0 || opts.Sample >= 1 {
		return v.Checks(ctx, opts.Level)
	}
	if s, ok := v.(checkpoint.Sampled); ok {
		return s.SampledChecks(ctx, opts.Level, opts.Sample, opts.Seed)
	}
	return func(yield func(checkpoint.Check, error) bool) {
		r := rand.New(rand.NewPCG(opts.Seed, 0))
		for c, err := range v.Checks(ctx, opts.Level) {
			if err == nil && c.Bytes > 0 && r.Float64() >= opts.Sample {
				continue
			}
			if !yield(c, err) {
				return
			}
		}
	}
}

// job is one check on its way through the workers.
type job struct {
	check    checkpoint.Check
	done     chan struct{} // closed when the rest is set
	findings []checkpoint.Finding
	dropped  uint64 // findings beyond maxFindings
	err      error
	skipped  bool
}

// start runs the checks on some workers. The channel yields them in their order;
// it is short, so that a slow consumer holds the workers back.
func start(ctx, limited context.Context, group *sync.WaitGroup, checks iter.Seq2[checkpoint.Check, error], opts Options) <-chan *job {
	workers := opts.Workers
	ordered, work := make(chan *job, 2*workers), make(chan *job)
	group.Go(func() {
		defer close(ordered)
		defer close(work)
		for check, err := range checks {
			j := &job{check: check, done: make(chan struct{}), err: err}
			select {
			case ordered <- j:
			case <-ctx.Done():
				return
			}
			if err != nil {
				close(j.done)
				return
			}
			if opts.Skip != nil && opts.Skip(check) {
				j.skipped = true
				close(j.done)
				continue
			}
			work <- j // a worker takes it even if ctx has ended: Run says so
		}
	})
	for range workers {
		group.Go(func() {
			for j := range work {
				j.run(limited)
			}
		})
	}
	return ordered
}

// run does the check. A panic is an error of this check: nobody who calls Verify
// could catch it on the goroutine of a worker, and it would end the program.
func (j *job) run(ctx context.Context) {
	defer close(j.done)
	defer func() {
		if x := recover(); x != nil {
			j.err = fmt.Errorf("check of %s: internal error: %v\n%s", j.check.Name, x, debug.Stack())
		}
	}()
	if ctx.Err() != nil {
		j.err = context.Cause(ctx)
		return
	}
	j.err = j.check.Run(ctx, func(f checkpoint.Finding) {
		if len(j.findings) < maxFindings {
			j.findings = append(j.findings, f)
		} else {
			j.dropped++
		}
	})
}

// deliver yields what the check found.
func (j *job) deliver(yield func(checkpoint.Finding, error) bool) bool {
	for _, f := range j.findings {
		if !yield(f, nil) {
			return false
		}
	}
	if j.dropped > 0 {
		more := checkpoint.Finding{Severity: checkpoint.Error, Place: checkpoint.At(j.check.Name),
			Problem: fmt.Sprintf("%d further findings here are not listed", j.dropped)}
		if !yield(more, nil) {
			return false
		}
	}
	if j.err != nil {
		yield(checkpoint.Finding{}, j.err)
		return false
	}
	return true
}
