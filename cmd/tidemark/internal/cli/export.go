package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/tidemark-io/tidemark/checkpoint"
	"github.com/tidemark-io/tidemark/recovery/export"
)

func (a *app) export() *cobra.Command {
	var format, to string
	cmd := &cobra.Command{
		Use:   "export PATH [SELECTOR]",
		Short: "Write state and in-flight records as JSON lines, CSV or Parquet",
		Long: `Write the entries of states and the in-flight records as rows of a table, for
other programs: operator, state, kind, edge, subtask, key_group, hash, key,
namespace, value, time, detail. If all that is selected has keys or values of
one struct type, its fields have columns of their own ("value.count").

A cell of CSV is the value as text; one with control characters, or changes of
the writing direction, is the JSON string, in its quotes and with escapes.

The result goes to stdout, or to a new file that appears when it is complete.`,
		Example: "  tidemark export jobs/ck operator=count --format parquet --to counts.parquet\n" +
			"  tidemark export jobs/ck/chk-7 kind=input-channel --format csv",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) < 1 || len(args) > 2 {
				return fmt.Errorf("want one PATH and at most one SELECTOR, got %d arguments", len(args))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if !slices.Contains(export.Formats, export.Format(format)) {
				return usage("--format %q is none of jsonl, csv, parquet", format)
			}
			args = append(args, "")
			return a.exportPath(cmd.Context(), args[0], args[1], export.Format(format), to)
		},
		ValidArgsFunction: a.completeSelector,
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVar(&format, "format", string(export.JSONL), "`format`: jsonl (if not given), csv, parquet")
	flags.StringVar(&to, "to", "", "write a new `file` instead of stdout")
	flags.Lookup("format").DefValue = ""
	a.flinkFlags(cmd)
	return cmd
}

func (a *app) exportPath(ctx context.Context, path, selector string, format export.Format, to string) error {
	sel, err := checkpoint.ParseSelector(selector)
	if err != nil {
		return usageError{err}
	}
	if f, ok := a.stdout.(*os.File); to == "" && format == export.Parquet && ok && term.IsTerminal(int(f.Fd())) {
		return usage("Parquet is nothing for a terminal; name a file with --to")
	}
	o, err := a.openNewest(ctx, path)
	if err != nil {
		return err
	}
	defer o.Close()
	if err := selects(ctx, o.c, sel); err != nil {
		return err
	}
	p := a.watchBytes("export "+o.shown, bytesOfStates(ctx, o.c))
	defer p.Stop()
	var rows uint64
	write := func(w io.Writer) (err error) {
		rows, err = export.Write(ctx, o.c, w, export.Options{Format: format, Select: sel, Progress: p.Add})
		return err
	}
	if to == "" {
		return write(a.stdout)
	}
	if err := newFile(to, write); err != nil {
		return err
	}
	p.Stop()
	a.say("%s: %d rows", to, rows)
	return nil
}

// newFile writes a file that appears when it is complete, and refuses one that is
// there already.
func newFile(name string, write func(io.Writer) error) (err error) {
	f, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+".tmp-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, ignoreMissing(os.Remove(f.Name()))) }()
	err = write(f)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	switch err := os.Link(f.Name(), name); {
	case err == nil:
		return nil
	case errors.Is(err, fs.ErrExist):
		return codeError{exitRefused, fmt.Errorf("%s exists; name another file, or remove it first", name)}
	}
	// No hard links here. Nobody else is expected to make the file meanwhile.
	if _, err := os.Lstat(name); err == nil {
		return codeError{exitRefused, fmt.Errorf("%s exists; name another file, or remove it first", name)}
	}
	return os.Rename(f.Name(), name)
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
