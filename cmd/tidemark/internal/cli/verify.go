package cli

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/tidemark-io/tidemark/checkpoint"
	"github.com/tidemark-io/tidemark/cmd/tidemark/internal/document"
	"github.com/tidemark-io/tidemark/cmd/tidemark/internal/out"
	"github.com/tidemark-io/tidemark/cmd/tidemark/internal/place"
	"github.com/tidemark-io/tidemark/cmd/tidemark/internal/progress"
	"github.com/tidemark-io/tidemark/recovery"
)

func (a *app) verify() *cobra.Command {
	var level, sample string
	var recursive bool
	v := verifier{app: a}
	cmd := &cobra.Command{
		Use:   "verify PATH...",
		Short: "Check checkpoints",
		Long: `Check checkpoints and say OK, or what was found, where, and what to try next.
If PATH is a root, all its checkpoints are checked, except those that were never
committed. Each level includes those before it:

  structure  the manifest and its copy read and agree
  refs       every object is there with its length; in a bucket also with its
             checksum, as the service keeps it: no data is read
  checksums  every byte is under its checksum
  records    every entry reads, is in order and in its place; records in flight
             are whole and of the type of their connection, where it is stored

--sample checks a part of the data, chosen at random; metadata is checked whole.
--max-duration ends checking after a time, with exit code 3 if nothing was found
until then. --resume FILE remembers in a file what was found intact, and goes on
from there when the same command is called again.

Most of Flink's files have no checksums. --write-manifest FILE writes those of
all objects to a new file; a later call with --manifest FILE and the same PATH
compares the objects with it.

Exit code 1 says that something was found. With several paths it is the first
of 70, 7, 5, 4 and 1 that occurred.`,
		Example: "  tidemark verify jobs/ck\n  tidemark verify --level refs jobs/ck/chk-7\n  tidemark verify --max-duration 1h --resume ck.state jobs/ck",
		Args:    atLeast(1, "one PATH or more"),
		RunE: func(cmd *cobra.Command, args []string) error {
			l, ok := checkpoint.ParseLevel(level)
			if !ok {
				return usage("--level %q is none of structure, refs, checksums, records", level)
			}
			share, err := parseShare(sample)
			if err != nil {
				return err
			}
			if v.limit < 0 {
				return usage("--max-duration %v is negative", v.limit)
			}
			v.level, v.share, v.verbs = l, share, verbs(cmd.Root())
			v.doc = document.Verify{Schema: document.VerifySchema, Level: l.String(), Sample: share, Paths: []document.Result{}}
			args, err = roots(cmd.Context(), args, recursive)
			if err != nil {
				return err
			}
			return v.run(cmd.Context(), args)
		},
	}
	recursiveFlag(cmd, &recursive)
	cmd.Flags().StringVar(&level, "level", checkpoint.LevelRecords.String(), "`level`: structure, refs, checksums, records")
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.Lookup("level").DefValue = ""
	flags.StringVar(&sample, "sample", "", "check this `share` of the data only, as in 10%")
	flags.DurationVar(&v.limit, "max-duration", 0, "end after this `time`, as in 30m")
	flags.StringVar(&v.sumsOut, "write-manifest", "", "write checksums of all objects to a `file`")
	flags.StringVar(&v.sumsIn, "manifest", "", "compare all objects with such a `file`")
	flags.StringVar(&v.stateFile, "resume", "", "remember in a `file` what is intact; go on there")
	flags.Lookup("max-duration").DefValue = "0s"
	a.flinkFlags(cmd)
	return cmd
}

// verifier checks one path after the other and reports as it goes, so that a
// check of terabytes shows its first finding early. Only the documents that are
// printed whole (json, yaml) are gathered.
type verifier struct {
	*app
	level checkpoint.Level
	verbs []string // that this program has
	// instead is what to try next if a remedy names another verb, and for which
	// checkpoint.
	instead [2]string
	doc     document.Verify
	codes   []int

	share     float64       // of the data to check, 0 for all
	limit     time.Duration // 0 for none
	until     time.Time
	stateFile string
	state     *verifyState // nil without --resume

	sumsIn, sumsOut string
	sums            *recovery.Checksums // to compare with; nil without --manifest
	written         *recovery.Checksums // nil without --write-manifest
	progress        *progress.Progress
}

// parseShare reads "10%" or "0.1"; "" is 0.
func parseShare(text string) (float64, error) {
	if text == "" {
		return 0, nil
	}
	digits, percent := strings.CutSuffix(text, "%")
	f, err := strconv.ParseFloat(digits, 64)
	if percent {
		f /= 100
	}
	if err != nil || !(f > 0 && f <= 1) {
		return 0, usage("--sample %q is no share of more than 0 %% and at most 100 %%", text)
	}
	if f == 1 {
		return 0, nil
	}
	return f, nil
}

// verbs are the names of the commands.
func verbs(root *cobra.Command) []string {
	var names []string
	for _, c := range root.Commands() {
		if c.Runnable() {
			names = append(names, c.Name())
		}
	}
	return names
}

// remedy is the command to try next for a finding in a checkpoint. A library may
// name a tool that this program does not have; then what helps is the newest
// older checkpoint.
func (v *verifier) remedy(ctx context.Context, p *place.Place, below, command string) string {
	words := strings.Fields(command)
	if len(words) > 1 && words[0] == "tidemark" && slices.Contains(v.verbs, words[1]) {
		return p.Remedy(command, below)
	}
	if v.instead[0] != below { // the same for all findings of a checkpoint
		v.instead = [2]string{below, "tidemark ls " + out.Word(p.Root)}
		if older, err := p.Before(ctx, below); err == nil && older != "" {
			v.instead[1] = "tidemark verify " + out.Word(p.Show(older)) + "  # and restore from that one"
		}
	}
	return v.instead[1]
}

func (v *verifier) run(ctx context.Context, paths []string) (err error) {
	if v.limit > 0 {
		v.until = time.Now().Add(v.limit)
	}
	if v.stateFile != "" {
		if v.state, err = readVerifyState(v.stateFile, v.level, v.share); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, v.state.save()) }()
	}
	if err := v.readSums(); err != nil {
		return err
	}
	v.progress = v.watchBytes("verify "+strings.Join(paths, " "), 0)
	defer v.progress.Stop()
	for _, path := range paths {
		if err := v.path(ctx, path); err != nil {
			if ctx.Err() != nil {
				return err
			}
			v.codes = append(v.codes, exitCode(err))
			v.complain(err)
		}
	}
	v.progress.Stop()
	if err := v.writeSums(); err != nil {
		return err
	}
	if v.output == asJSON || v.output == asYAML {
		if err := v.document(v.doc); err != nil {
			return err
		}
	}
	if code := worst(v.codes); code != exitGood {
		return codeError{code: code}
	}
	return nil
}

// path checks the checkpoints that a path means.
func (v *verifier) path(ctx context.Context, path string) error {
	p, err := place.Open(ctx, path, v.flink)
	if err != nil {
		return err
	}
	defer p.Close()
	if p.Path != "" {
		return v.several(ctx, p, p.Path)
	}
	all, err := p.List(ctx)
	if err != nil {
		return err
	}
	var chosen []string
	for _, info := range all {
		if info.Status == checkpoint.Incomplete {
			v.say("%s: never committed, not checked", p.Show(info.Path))
			continue
		}
		chosen = append(chosen, info.Path)
	}
	if len(chosen) == 0 {
		return p.None(ctx)
	}
	return v.several(ctx, p, chosen...)
}

// event is something that the check of one checkpoint tells.
type event struct {
	finding *checkpoint.Finding
	checked *checkpoint.Check
	skipped *checkpoint.Check // not done to its end
	known   *checkpoint.Check // done in an earlier call
	err     error
}

// several checks checkpoints, some at the same time, and reports them in their
// order. The error is that of the context or of the output; everything else is
// part of the result, so that one checkpoint that cannot be read does not keep
// the others from being checked.
func (v *verifier) several(ctx context.Context, p *place.Place, paths ...string) error {
	ctx, cancel := context.WithCancel(ctx)
	running := make(chan struct{}, min(runtime.GOMAXPROCS(0), maxAtOnce))
	events := make([]chan event, len(paths))
	var group sync.WaitGroup
	defer group.Wait()
	defer cancel()
	for i := range events {
		events[i] = make(chan event, 64)
	}
	group.Go(func() { // in order, so that the one that is reported runs
		for i, below := range paths {
			running <- struct{}{}
			group.Go(func() {
				defer func() { <-running }()
				defer close(events[i])
				v.check(ctx, p, below, func(e event) {
					select {
					case events[i] <- e:
					case <-ctx.Done():
					}
				})
			})
		}
	})
	for i, below := range paths {
		if err := v.one(ctx, p, below, events[i]); err != nil {
			return err
		}
	}
	return nil
}

// maxAtOnce bounds how many checkpoints are checked at the same time, each with
// several workers.
const maxAtOnce = 4

// one reports the check of one checkpoint.
func (v *verifier) one(ctx context.Context, p *place.Place, below string, events <-chan event) error {
	r := document.Result{Path: p.Show(below), Findings: []document.Finding{}}
	code := exitGood
	found := 0 // by the check that is reported next
	for e := range events {
		switch {
		case e.err != nil:
			if ctx.Err() != nil {
				return ctx.Err()
			}
			r.Error = document.Text(e.err.Error())
			code = exitCode(e.err)
			v.complain(e.err)
		case e.finding != nil:
			f := *e.finding
			if f.Severity > checkpoint.Note {
				code = exitFound
				f.Remedy = v.remedy(ctx, p, below, f.Remedy)
			}
			found++
			r.Findings = append(r.Findings, document.NewFinding(f))
			v.progress.Clear()
			if err := v.finding(r.Path, r.Findings[len(r.Findings)-1]); err != nil {
				return err
			}
		case e.skipped != nil:
			r.Unchecked++
		case e.known != nil:
			r.Known++
		default:
			r.Checks++
			r.Bytes += document.Number(e.checked.Bytes)
			v.progress.Add(e.checked.Bytes)
			if found == 0 {
				v.state.done(r.Path, e.checked.Name)
			}
			found = 0
		}
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if code == exitGood && r.Unchecked > 0 {
		code = exitPartial
	}
	r.OK = code == exitGood
	v.codes = append(v.codes, code)
	v.progress.Clear()
	return v.report(r)
}

// check checks one checkpoint. A panic of the library is an error of this
// checkpoint only, so that the others are still checked.
func (v *verifier) check(ctx context.Context, p *place.Place, below string, tell func(event)) {
	defer func() {
		if x := recover(); x != nil {
			tell(event{err: codeError{exitInternal, fmt.Errorf("%s: internal error: %v\n%s", p.Show(below), x, debug.Stack())}})
		}
	}()
	c, err := p.Open(ctx, below)
	if errors.Is(err, checkpoint.ErrDamaged) {
		f := checkpoint.Finding{Severity: checkpoint.Error, Place: checkpoint.At(below), Problem: "the checkpoint does not open", Err: err}
		if p.Salvages(ctx, below) {
			f.Remedy = "tidemark salvage " + below + " DST --apply"
		} else {
			f.Remedy = "tidemark ls " + out.Word(p.Root)
		}
		tell(event{finding: &f})
		return
	}
	if err != nil {
		tell(event{err: err})
		return
	}
	defer c.Close()
	known := v.state.of(p.Show(below), c.Info())
	opts := recovery.Options{Level: v.level, Sample: v.share, Seed: rand.Uint64(), Until: v.until,
		Progress: func(c checkpoint.Check) { tell(event{checked: &c}) },
		Skip:     func(c checkpoint.Check) bool { return known[c.Name] },
		Skipped: func(c checkpoint.Check) {
			if known[c.Name] {
				tell(event{known: &c})
			} else {
				tell(event{skipped: &c})
			}
		}}
	for f, err := range recovery.Verify(ctx, c, opts) {
		if err != nil {
			tell(event{err: err})
			return
		}
		tell(event{finding: &f})
	}
	v.compareSums(ctx, p, c, tell)
}

// finding reports one finding as it comes. All text is escaped: the problem may
// quote bytes of the checkpoint.
func (v *verifier) finding(path string, f document.Finding) error {
	switch v.output {
	case asJSON, asYAML:
		return nil
	case asLines:
		return out.JSONLine(v.stdout, map[string]any{"schema": document.VerifySchema, "row": "finding", "path": path, "finding": f})
	}
	colour := map[string]string{checkpoint.Error.String(): red, checkpoint.Warning.String(): yellow}[f.Severity]
	head := f.Severity + ": "
	if f.Object != "" {
		head += string(f.Object)
		if n, ok := checkpoint.Count(f.Offset).Known(); ok {
			head += fmt.Sprintf(" at %d", n)
		}
		head += ": "
	}
	text := v.painted(colour, out.Escape(head+f.Problem)) + "\n"
	for _, line := range [][2]string{{"place", string(f.Place)}, {"edge", string(f.Edge)}, {"cause", string(f.Cause)}, {"try", string(f.Remedy)}} {
		if line[1] != "" {
			text += "  " + line[0] + ": " + out.Escape(line[1]) + "\n"
		}
	}
	_, err := fmt.Fprint(v.stdout, text)
	return err
}

// report ends a checkpoint's result.
func (v *verifier) report(r document.Result) error {
	switch v.output {
	case asJSON, asYAML:
		v.doc.Paths = append(v.doc.Paths, r)
		return nil
	case asLines:
		return out.JSONLine(v.stdout, map[string]any{"schema": document.VerifySchema, "row": "result", "path": r.Path, "ok": r.OK,
			"unchecked": r.Unchecked, "known": r.Known, "findings": len(r.Findings), "error": r.Error, "checks": r.Checks, "bytes": r.Bytes})
	}
	verdict, colour := "OK     ", green
	switch {
	case r.Error != "":
		verdict, colour = "FAILED ", red
	case r.Unchecked > 0 && len(r.Findings) == 0:
		verdict, colour = "PARTIAL", yellow
	case !r.OK:
		verdict, colour = "DAMAGED", red
	}
	did := fmt.Sprintf("level %s, %d checks, %s read", v.doc.Level, r.Checks, out.Bytes(uint64(r.Bytes)))
	if v.share > 0 {
		did += fmt.Sprintf(", a sample of %g %%", 100*v.share)
	}
	if r.Known > 0 {
		did += fmt.Sprintf(", %d done before", r.Known)
	}
	if r.Unchecked > 0 {
		did += fmt.Sprintf(", %d not done in time", r.Unchecked)
	}
	if n := len(r.Findings); n > 0 {
		did = fmt.Sprintf("%d finding(s), %s", n, did)
	}
	_, err := fmt.Fprintf(v.stdout, "%s %s: %s\n", v.painted(colour, verdict), out.Escape(r.Path), did)
	return err
}

// painted colours a piece of a line.
func (a *app) painted(colour, text string) string {
	if paint := a.paint(colour); paint != nil {
		return paint(text)
	}
	return text
}
