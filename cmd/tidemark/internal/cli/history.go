package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/tidemark-io/tidemark/checkpoint/layout"
	"github.com/tidemark-io/tidemark/cmd/tidemark/internal/document"
	"github.com/tidemark-io/tidemark/cmd/tidemark/internal/out"
	"github.com/tidemark-io/tidemark/cmd/tidemark/internal/place"
	"github.com/tidemark-io/tidemark/history"
)

func (a *app) history() *cobra.Command {
	var subtasks bool
	var run uint64
	var last int
	cmd := &cobra.Command{
		Use:   "history DIR [ID]",
		Short: "Show how checkpoint attempts went, also failed ones",
		Long: `Show how the checkpoint attempts below a root went, oldest first, or one of
them in detail. The last 1,000 that ended are kept, failed ones too.

  took       from the trigger to the end
  delay      the longest time from the trigger to a subtask's first barrier
  aligned    the longest time from a subtask's first barrier to its last
  in flight  buffered records that became part of the checkpoint: raw, as they
             lay in the buffers; "tidemark ls" shows their size as stored
  size       what was written

The details have these by task, as minimum, mean, percentiles and maximum over
the subtasks, and more: what the inputs took during alignment (processed), how
long the state was handed over (sync) and written (async), the size that
senders fill buffers to, how long buffers would take to be consumed, and what
the task did with the time since the attempt before.

JSON documents have the names and the units of Flink's REST interface: times
are milliseconds since 1970, durations are milliseconds.`,
		Example: "  tidemark history jobs/ck\n  tidemark history jobs/ck 7 --subtasks",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) < 1 || len(args) > 2 {
				return fmt.Errorf("want one DIR, and perhaps an ID, got %d arguments", len(args))
			}
			return nil
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.BoolVar(&subtasks, "subtasks", false, "with ID: list the subtasks")
	flags.Uint64Var(&run, "run", 0, "only attempts of run `n`; if not given, of all")
	flags.IntVar(&last, "last", 0, "only the newest `n`; if not given, all")
	for _, name := range []string{"run", "last"} {
		flags.Lookup(name).DefValue = ""
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if last < 0 {
			return usage("--last %d: it must be 1 or more", last)
		}
		return a.showHistory(cmd.Context(), args, historyWants{subtasks: subtasks, run: run, last: last})
	}
	return cmd
}

// historyWants are the flags of history.
type historyWants struct {
	subtasks bool
	run      uint64
	last     int
}

func (a *app) showHistory(ctx context.Context, args []string, want historyWants) error {
	p, err := place.Open(ctx, args[0], place.Flink{})
	if err != nil {
		return err
	}
	defer p.Close()
	id, one, err := attemptID(p, args)
	switch {
	case err != nil:
		return err
	case one && want.last > 0:
		return usage("--last and an ID exclude each other")
	case !one && want.subtasks:
		return usage("--subtasks needs an ID")
	}
	refs, err := history.List(ctx, p.Store())
	if err != nil {
		return err
	}
	refs = slices.DeleteFunc(refs, func(r history.Ref) bool { return want.run > 0 && r.Run != want.run || one && r.ID != id })
	if len(refs) == 0 {
		if one {
			return codeError{code: exitNone, err: fmt.Errorf("%s: no attempt %d is recorded here; \"tidemark history %s\" lists those that are", p.Root, id, p.Root)}
		}
		return codeError{code: exitNone, err: fmt.Errorf("%s: no attempts are recorded here: the engine writes them into the root of its checkpoints, Flink keeps none", p.Root)}
	}
	if one {
		r, err := history.Read(ctx, p.Store(), refs[len(refs)-1]) // of the newest run
		if err != nil {
			return fmt.Errorf("%s: %w", p.Root, err)
		}
		return a.printAttempt(document.NewAttempt(r, want.subtasks))
	}
	if want.last > 0 {
		refs = refs[max(len(refs)-want.last, 0):]
	}
	attempts, damaged, err := readAttempts(ctx, p, refs)
	if err != nil {
		return err
	}
	if err := a.printHistory(document.NewHistory(p.Root, attempts, damaged)); err != nil {
		return err
	}
	if len(damaged) > 0 {
		return codeError{exitFound, nil}
	}
	return nil
}

// attemptID is the id that the command line names: as an argument, or by the
// directory of a checkpoint.
func attemptID(p *place.Place, args []string) (id uint64, one bool, err error) {
	if len(args) == 1 {
		id, _, one = layout.ParseDir(p.Path)
		return id, one, nil
	}
	if p.Path != "" {
		return 0, false, usage("%s is a checkpoint; name its root with an ID, or nothing besides", args[0])
	}
	if id, err = strconv.ParseUint(args[1], 10, 64); err != nil {
		return 0, false, usage("%q is not the ID of an attempt; \"tidemark history %s\" lists them", args[1], args[0])
	}
	return id, true, nil
}

// readAttempts reads records, and tells those that are damaged apart.
func readAttempts(ctx context.Context, p *place.Place, refs []history.Ref) (attempts []*history.Attempt, damaged []document.DamagedRecord, err error) {
	for _, r := range refs {
		one, err := history.Read(ctx, p.Store(), r)
		switch {
		case errors.Is(err, history.ErrDamaged):
			damaged = append(damaged, document.DamagedRecord{Path: p.Show(r.Name()), Problem: err.Error()})
		case err != nil:
			return nil, nil, err
		default:
			one.Tasks = nil // there may be a thousand records
			attempts = append(attempts, one)
		}
	}
	return attempts, damaged, nil
}

func (a *app) printHistory(d *document.History) error {
	for _, x := range d.Damaged {
		a.say("%s: %s; nothing else depends on it", x.Path, x.Problem)
	}
	switch a.output {
	case asJSON, asYAML:
		return a.document(d)
	case asLines:
		if err := out.JSONLine(a.stdout, map[string]any{"schema": d.Schema, "row": "summary", "root": d.Root, "counts": d.Counts, "summary": d.Summary}); err != nil {
			return err
		}
		return errors.Join(lines(a, "attempt", listed(d.Attempts))(), lines(a, "damaged", listed(d.Damaged))())
	}
	t := table(right("ID"), left("KIND"), left("STATUS"), keep("BEGAN"), right("TOOK"), right("DELAY"), right("ALIGNED"), right("RAW IN FLIGHT"), right("SIZE"))
	if a.output == asWide {
		t.Wide = true
		t.Head = append(t.Head, right("PROCESSED"), right("RUN"), right("ACKNOWLEDGED"), left("MESSAGE"))
	}
	for _, r := range d.Attempts {
		colour, began := "", r.Triggered.Time().UTC().Format("15:04:05")
		if r.Status != history.Completed {
			colour = yellow
		}
		if t.Wide {
			began = out.Short(r.Triggered.Time())
		}
		t.Look(a.paint(colour), fmt.Sprint(uint64(r.ID)), kindOf(r.Attempt), statusOf(r.Attempt), began, took(&r.Duration), took(r.StartDelay), took(r.Alignment),
			out.Bytes(uint64(r.Persisted)), out.Bytes(uint64(r.Checkpointed)), out.Bytes(uint64(r.Processed)), fmt.Sprint(uint64(r.Run)),
			fmt.Sprintf("%d of %d", r.NumAcknowledged, r.NumSubtasks), string(r.Message))
	}
	return t.Write(a.stdout)
}

// kindOf is the type of an attempt for people.
func kindOf(r *history.Attempt) string {
	switch r.Type {
	case history.UnalignedCheckpoint:
		return "unaligned"
	case history.Savepoint:
		return "savepoint"
	case history.SyncSavepoint:
		return "stop"
	}
	return "aligned"
}

// statusOf is how an attempt ended for people: what failed says why in one word.
func statusOf(r *history.Attempt) string {
	switch {
	case r.Status == history.Completed:
		return "done"
	case r.Cause == "" || history.Cause(r.Cause) == history.Other:
		return "failed"
	}
	return string(r.Cause)
}
