// Package recovery is the toolkit for checkpoints of any format: it works on the
// model of package checkpoint and decides, the formats do the reading and the
// writing.
//
// So far it verifies ([Verify]). What the engine does with a checkpoint is
// called restore and is not here.
package recovery

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"runtime"
	"sync"

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
}

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
		for j := range start(work, &group, v.Checks(work, opts.Level), opts.Workers) {
			<-j.done
			if !j.deliver(yield) {
				return
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

// job is one check on its way through the workers.
type job struct {
	check    checkpoint.Check
	done     chan struct{} // closed when the rest is set
	findings []checkpoint.Finding
	dropped  uint64 // findings beyond maxFindings
	err      error
}

// start runs the checks on some workers. The channel yields them in their order;
// it is short, so that a slow consumer holds the workers back.
func start(ctx context.Context, group *sync.WaitGroup, checks iter.Seq2[checkpoint.Check, error], workers int) <-chan *job {
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
			work <- j // a worker takes it even if ctx has ended: Run says so
		}
	})
	for range workers {
		group.Go(func() {
			for j := range work {
				j.run(ctx)
			}
		})
	}
	return ordered
}

// run does the check.
func (j *job) run(ctx context.Context) {
	defer close(j.done)
	if j.err = ctx.Err(); j.err != nil {
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
