// Package cli is the command line of tidemark. A command reads its flags, makes
// one call of the library, prints, and returns an error that [exitCode] maps to
// the exit code. Data goes to stdout, everything else to stderr.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/tidemark-io/tidemark/cmd/tidemark/internal/out"
	"github.com/tidemark-io/tidemark/cmd/tidemark/internal/place"
	"github.com/tidemark-io/tidemark/cmd/tidemark/internal/progress"
)

// app is one call of the command.
type app struct {
	stdout, stderr io.Writer

	output string // -o
	json   bool
	quiet  bool
	flink  place.Flink // --uid and --path, of commands that have them
	color  string
	// progress is --progress, live what shows it, nil if nothing does.
	progress string
	live     *progress.Progress
	verb     string // of the command that ran, "" for none

	// started says that a command's own code has begun. Errors before that are
	// those of the parser, which are mistakes in the command line and have no
	// type to tell them by.
	started bool
}

// Main runs the command line and returns the exit code. It recovers panics of
// the calling goroutine.
func Main(args []string, stdout, stderr io.Writer) int { return run(args, stdout, stderr) }

// run is Main with further commands, for tests.
func run(args []string, stdout, stderr io.Writer, more ...func(*app) *cobra.Command) (code int) {
	a := &app{stdout: stdout, stderr: stderr}
	defer func() {
		if r := recover(); r != nil {
			fmt.Fprintf(stderr, "tidemark: internal error: %s\n%s", out.Escape(fmt.Sprint(r)), debug.Stack())
			code = exitInternal
		}
	}()
	ctx, stop := untilSignal()
	defer stop()
	root := a.root()
	for _, m := range more {
		root.AddCommand(m(a))
	}
	root.SetArgs(args)
	printed := &printer{w: stdout}
	root.SetOut(printed)
	ran, err := root.ExecuteContextC(ctx)
	if ran != nil && ran.HasParent() {
		a.verb = ran.Name()
	}
	if err != nil && !a.started {
		err = usageError{err}
	}
	if err == nil {
		err = printed.err
	}
	// What a cancelled call returns says only that it was cancelled; the cause
	// says by which signal.
	if cause := context.Cause(ctx); err != nil && errors.Is(err, context.Canceled) && cause != nil {
		err = cause
	}
	a.complain(err)
	return exitCode(err)
}

// printer remembers the first error of printing what cobra prints itself, help,
// and drops.
type printer struct {
	w   io.Writer
	err error
}

func (p *printer) Write(b []byte) (int, error) {
	n, err := p.w.Write(b)
	if p.err == nil {
		p.err = err
	}
	return n, err
}

// untilSignal returns a context that ends with the first SIGINT or SIGTERM. The
// second one ends the process.
func untilSignal() (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		if sig, ok := <-signals; ok {
			cancel(signalError{sig})
		}
		if sig, ok := <-signals; ok {
			os.Exit(signalCode(sig))
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		close(signals)
		cancel(nil)
	}
}

// complain prints an error, each of its lines escaped: it may quote names and
// values out of a checkpoint or a file.
func (a *app) complain(err error) {
	var known codeError
	if err == nil || errors.As(err, &known) && known.err == nil {
		return
	}
	a.live.Clear()
	for line := range strings.Lines(err.Error()) {
		fmt.Fprintf(a.stderr, "tidemark: %s\n", out.Escape(strings.TrimRight(line, "\n")))
	}
	var bad usageError
	if errors.As(err, &bad) {
		fmt.Fprintf(a.stderr, "tidemark: see \"%s\"\n", strings.Join(strings.Fields("tidemark help "+a.verb), " "))
	}
}

// say prints a message for people, unless --quiet.
func (a *app) say(format string, args ...any) {
	if !a.quiet {
		a.live.Clear()
		fmt.Fprintln(a.stderr, "tidemark: "+out.Escape(fmt.Sprintf(format, args...)))
	}
}

// Output formats.
const (
	asTable = "table"
	asWide  = "wide"
	asJSON  = "json"
	asLines = "jsonl"
	asYAML  = "yaml"
)

// root makes the tree of commands.
func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "tidemark",
		Short: "List, inspect and verify checkpoints; run jobs that make them",
		Long: `Tidemark works on the checkpoints of streaming jobs, its own and those of Apache
Flink: it shows what is in them, checks every byte, mends and changes them. It
also runs the jobs of its catalogue.

A PATH is a checkpoint's directory (jobs/ck/chk-7), its MANIFEST or _metadata,
or the root that holds the checkpoints (jobs/ck), which stands for all of them
or for the newest, as the command says. It may be in a bucket: gs://b/jobs/ck.`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.NoArgs,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.PersistentPreRunE = func(*cobra.Command, []string) error { return a.begin() }
	root.CompletionOptions.DisableDefaultCmd = true
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	flags := root.PersistentFlags()
	flags.SortFlags = false
	flags.StringVarP(&a.output, "output", "o", asTable, "`format`: table (if not given), wide, json, jsonl, yaml")
	flags.BoolVar(&a.json, "json", false, "the same as -o json")
	flags.BoolVarP(&a.quiet, "quiet", "q", false, "no messages on stderr, only errors")
	flags.StringVar(&a.color, "color", "auto", "`when`: auto (if not given), always, never; and NO_COLOR")
	flags.StringVar(&a.progress, "progress", "auto", "`how`: auto (if not given), json, none; on stderr")
	for _, name := range []string{"output", "color", "progress"} {
		flags.Lookup(name).DefValue = "" // said already, and the line has 80 columns
	}
	root.AddCommand(a.run(), a.jobs(), a.ls(), a.inspect(), a.show(), a.diff(), a.du(), a.export(), a.gc(), a.doctor(), a.history(), a.verify(), a.version(), a.completion(), a.man())
	root.AddCommand(a.rescale(), a.strip(), a.remap(), a.cp(), a.salvage(), a.convert())
	root.AddCommand(topics()...)
	root.SetHelpCommand(help())
	return root
}

// help replaces cobra's command of that name, which takes an unknown topic for
// success.
func help() *cobra.Command {
	return &cobra.Command{
		Use:   "help [COMMAND or TOPIC]",
		Short: "Explain a command or a topic",
		RunE: func(cmd *cobra.Command, args []string) error {
			about, rest, err := cmd.Root().Find(args)
			if err != nil || len(rest) > 0 {
				return usage("there is no command or topic %q", strings.Join(args, " "))
			}
			about.InitDefaultHelpFlag()
			return about.Help()
		},
	}
}

// begin checks the flags that all commands share.
func (a *app) begin() error {
	a.started = true
	if a.json {
		if a.output != asTable && a.output != asJSON {
			return usage("--json and -o %s exclude each other", a.output)
		}
		a.output = asJSON
	}
	switch a.output {
	case asTable, asWide, asJSON, asLines, asYAML:
	default:
		return usage("-o %q is none of table, wide, json, jsonl, yaml", a.output)
	}
	switch a.color {
	case "auto", "always", "never":
	default:
		return usage("--color %q is none of auto, always, never", a.color)
	}
	switch a.progress {
	case "auto", "json", "none":
	default:
		return usage("--progress %q is none of auto, json, none", a.progress)
	}
	return nil
}

// watchBytes begins to show how far a command is; total is in bytes, 0 if it is
// not known yet. The caller calls Stop of what it returns. Messages of the app
// push the line away; what is written to stdout meanwhile calls Clear before.
func (a *app) watchBytes(what string, total uint64) *progress.Progress {
	mode := progress.Auto(a.stderr)
	switch {
	case a.progress == "json":
		mode = progress.JSON
	case a.progress == "none" || a.quiet:
		mode = progress.Off
	}
	a.live = progress.Start(progress.Options{W: a.stderr, Mode: mode, What: what, Total: total})
	return a.live
}

// document prints a document in the formats that take it whole.
func (a *app) document(v any) error {
	if a.output == asYAML {
		return out.YAML(a.stdout, v)
	}
	return out.JSON(a.stdout, v)
}

// coloured tells whether stdout gets colours: on request, or if it is a terminal
// that has not asked for none (no-color.org).
func (a *app) coloured() bool {
	switch {
	case a.color == "always":
		return true
	case a.color == "never" || os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb":
		return false
	}
	f, ok := a.stdout.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// Colours.
const (
	red    = "31"
	green  = "32"
	yellow = "33"
)

// paint returns a function that colours a line, nil without colours.
func (a *app) paint(colour string) func(string) string {
	if colour == "" || !a.coloured() {
		return nil
	}
	return func(line string) string { return "\x1b[" + colour + "m" + line + "\x1b[0m" }
}

// exactly and atLeast check the number of arguments and name what is missing;
// cobra's own functions only count.
func exactly(n int, what string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) != n {
			return fmt.Errorf("want %s, got %d arguments", what, len(args))
		}
		return nil
	}
}

func atLeast(n int, what string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) < n {
			return fmt.Errorf("want %s, got %d arguments", what, len(args))
		}
		return nil
	}
}
