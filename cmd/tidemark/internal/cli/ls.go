package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/tidemark-io/tidemark/checkpoint"
	"github.com/tidemark-io/tidemark/cmd/tidemark/internal/document"
	"github.com/tidemark-io/tidemark/cmd/tidemark/internal/out"
	"github.com/tidemark-io/tidemark/cmd/tidemark/internal/place"
)

func (a *app) ls() *cobra.Command {
	recursive := false
	cmd := &cobra.Command{
		Use:   "ls PATH...",
		Short: "List the checkpoints in a directory",
		Long: `List the checkpoints in a directory, oldest first, with their status; with -r
those in all directories below it too:

  complete    its manifest reads
  incomplete  data without a manifest: being written, or never committed
  damaged     its manifest does not read
  unreadable  too new for this program, or not permitted

BYTES and IN FLIGHT are sizes as stored; "tidemark inspect" shows data in flight
also as it was in the buffers, as "tidemark history" counts it.`,
		Example: "  tidemark ls jobs/ck\n  tidemark ls --json jobs/ck\n  tidemark ls -r gs://bucket",
		Args:    atLeast(1, "one PATH or more"),
		RunE: func(cmd *cobra.Command, args []string) error {
			args, err := roots(cmd.Context(), args, recursive)
			if err != nil {
				return err
			}
			lines, err := list(cmd.Context(), args)
			if len(lines) == 0 && err != nil {
				return err
			}
			return errors.Join(a.printList(lines), err)
		},
	}
	recursiveFlag(cmd, &recursive)
	return cmd
}

// recursiveFlag gives a command the flag that makes each of its paths stand for
// all roots below it.
func recursiveFlag(cmd *cobra.Command, recursive *bool) {
	cmd.Flags().BoolVarP(recursive, "recursive", "r", false, "all directories below PATH too")
}

// roots replaces paths by the roots at and below them, if that is asked for.
func roots(ctx context.Context, paths []string, recursive bool) ([]string, error) {
	if !recursive {
		return paths, nil
	}
	var all []string
	for _, path := range paths {
		below, err := place.Roots(ctx, path)
		if err != nil {
			return nil, err
		}
		all = append(all, below...)
	}
	return all, nil
}

// list describes the checkpoints of all paths. What some paths have is returned
// even if others fail.
func list(ctx context.Context, paths []string) ([]document.Line, error) {
	var lines []document.Line
	var errs []error
	var codes []int
	for _, path := range paths {
		found, err := listOne(ctx, path)
		lines = append(lines, found...)
		codes = append(codes, exitCode(err))
		errs = append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		return lines, codeError{worst(codes), err}
	}
	return lines, nil
}

func listOne(ctx context.Context, path string) ([]document.Line, error) {
	p, err := place.Open(ctx, path, place.Flink{})
	if err != nil {
		return nil, err
	}
	defer p.Close()
	all, err := p.List(ctx)
	if err != nil {
		return nil, err
	}
	if len(all) == 0 {
		return nil, p.None(ctx)
	}
	var lines []document.Line
	for _, info := range all {
		lines = append(lines, document.NewLine(p.Show(info.Path), info))
	}
	return lines, nil
}

func (a *app) printList(lines []document.Line) error {
	switch a.output {
	case asJSON, asYAML:
		return a.document(document.Ls{Schema: document.LsSchema, Checkpoints: append([]document.Line{}, lines...)})
	case asLines:
		for _, l := range lines {
			if err := out.JSONLine(a.stdout, struct {
				Schema string `json:"schema"`
				document.Line
			}{document.LsSchema, l}); err != nil {
				return err
			}
		}
		return nil
	}
	// The name of the directory tells the kind too, so the narrow table has no
	// column for it and more room for the path.
	t := table(path("PATH"), right("ID"), keep("CREATED (UTC)"), right("BYTES"), right("IN FLIGHT"), keep("STATUS"))
	if a.output == asWide {
		t.Wide = true
		t.Head = append(t.Head, left("KIND"), left("REASON"))
	}
	for _, l := range lines {
		info := l.Info()
		t.Look(a.paint(statusColour[info.Status]), l.Path, fmt.Sprint(info.ID), out.Short(info.Created), bytesOf(info.Bytes),
			bytesOf(info.InFlight.Bytes), string(info.Status), string(info.Kind), string(l.Reason))
	}
	return t.Write(a.stdout)
}

var statusColour = map[checkpoint.Status]string{checkpoint.Incomplete: yellow, checkpoint.Damaged: red, checkpoint.Unreadable: red}

// bytesOf and countOf write numbers for people.
func bytesOf(c checkpoint.Count) string {
	if n, ok := c.Known(); ok {
		return out.Bytes(n)
	}
	return out.Unknown
}

func countOf(c checkpoint.Count) string {
	if n, ok := c.Known(); ok {
		return out.Number(n)
	}
	return out.Unknown
}
