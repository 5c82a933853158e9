package cli

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tidemark-io/tidemark/checkpoint"
	"github.com/tidemark-io/tidemark/cmd/tidemark/internal/document"
	"github.com/tidemark-io/tidemark/cmd/tidemark/internal/out"
	"github.com/tidemark-io/tidemark/cmd/tidemark/internal/place"
	"github.com/tidemark-io/tidemark/recovery"
)

func (a *app) verify() *cobra.Command {
	var level string
	cmd := &cobra.Command{
		Use:   "verify PATH...",
		Short: "Check checkpoints",
		Long: `Check checkpoints and say OK, or what was found, where, and what to try next.
If PATH is a root, all its checkpoints are checked, except those that were never
committed. Each level includes those before it:

  structure  the manifest and its copy read and agree
  refs       every object is there with its length
  checksums  every byte is under its checksum
  records    every entry reads, is in order and in its place

Exit code 1 says that something was found. With several paths it is the first
of 70, 7, 5, 4 and 1 that occurred.`,
		Example: "  tidemark verify jobs/ck\n  tidemark verify --level refs jobs/ck/chk-7",
		Args:    atLeast(1, "one PATH or more"),
		RunE: func(cmd *cobra.Command, args []string) error {
			l, ok := checkpoint.ParseLevel(level)
			if !ok {
				return usage("--level %q is none of structure, refs, checksums, records", level)
			}
			v := verifier{app: a, level: l, verbs: verbs(cmd.Root()), doc: document.Verify{Schema: document.VerifySchema, Level: l.String(), Paths: []document.Result{}}}
			return v.run(cmd.Context(), args)
		},
	}
	cmd.Flags().StringVar(&level, "level", checkpoint.LevelRecords.String(), "`level`: structure, refs, checksums, records (if not given)")
	cmd.Flags().Lookup("level").DefValue = ""
	a.uidFlag(cmd)
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
		v.instead = [2]string{below, "tidemark ls " + p.Root}
		if older, err := p.Before(ctx, below); err == nil && older != "" {
			v.instead[1] = "tidemark verify " + p.Show(older) + "  # and restore from that one"
		}
	}
	return v.instead[1]
}

func (v *verifier) run(ctx context.Context, paths []string) error {
	for _, path := range paths {
		if err := v.path(ctx, path); err != nil {
			if ctx.Err() != nil {
				return err
			}
			v.codes = append(v.codes, exitCode(err))
			v.complain(err)
		}
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
	p, err := place.Open(path, v.uids...)
	if err != nil {
		return err
	}
	defer p.Close()
	if p.Path != "" {
		return v.one(ctx, p, p.Path)
	}
	all, err := p.List(ctx)
	if err != nil {
		return err
	}
	checked := 0
	for _, info := range all {
		if info.Status == checkpoint.Incomplete {
			v.say("%s: never committed, not checked", p.Show(info.Path))
			continue
		}
		checked++
		if err := v.one(ctx, p, info.Path); err != nil {
			return err
		}
	}
	if checked == 0 {
		return fmt.Errorf("%s: %w", path, checkpoint.ErrNone)
	}
	return nil
}

// one checks one checkpoint and reports it. The error is that of the context or
// of the output; everything else is part of the result, so that one checkpoint
// that cannot be read does not keep the others from being checked.
func (v *verifier) one(ctx context.Context, p *place.Place, below string) error {
	r := document.Result{Path: p.Show(below), Findings: []document.Finding{}}
	code, err := v.check(ctx, p, below, &r)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		r.Error = document.Text(err.Error())
		code = exitCode(err)
		v.complain(err)
	}
	r.OK = code == exitGood
	v.codes = append(v.codes, code)
	return v.report(r)
}

// check fills the result. A panic of the library is an error of this checkpoint
// only, so that the others are still checked.
func (v *verifier) check(ctx context.Context, p *place.Place, below string, r *document.Result) (code int, err error) {
	defer func() {
		if x := recover(); x != nil {
			err = codeError{exitInternal, fmt.Errorf("%s: internal error: %v\n%s", r.Path, x, debug.Stack())}
		}
	}()
	found := func(f checkpoint.Finding) error {
		if f.Severity > checkpoint.Note {
			code = exitFound
		}
		if f.Severity > checkpoint.Note {
			f.Remedy = v.remedy(ctx, p, below, f.Remedy)
		}
		r.Findings = append(r.Findings, document.NewFinding(f))
		return v.finding(r.Path, r.Findings[len(r.Findings)-1])
	}
	c, err := p.Open(ctx, below)
	if errors.Is(err, checkpoint.ErrDamaged) {
		return code, found(checkpoint.Finding{Severity: checkpoint.Error, Place: checkpoint.At(below), Problem: "the checkpoint does not open", Err: err})
	}
	if err != nil {
		return code, err
	}
	defer c.Close()
	opts := recovery.Options{Level: v.level, Progress: func(c checkpoint.Check) { r.Checks++; r.Bytes += document.Number(c.Bytes) }}
	for f, err := range recovery.Verify(ctx, c, opts) {
		if err == nil {
			err = found(f)
		}
		if err != nil {
			return code, err
		}
	}
	return code, nil
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
			"findings": len(r.Findings), "error": r.Error, "checks": r.Checks, "bytes": r.Bytes})
	}
	verdict, colour := "OK     ", green
	switch {
	case r.Error != "":
		verdict, colour = "FAILED ", red
	case !r.OK:
		verdict, colour = "DAMAGED", red
	}
	did := fmt.Sprintf("level %s, %d checks, %s read", v.doc.Level, r.Checks, out.Bytes(uint64(r.Bytes)))
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
