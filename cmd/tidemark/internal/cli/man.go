package cli

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func (a *app) man() *cobra.Command {
	return &cobra.Command{
		Use:   "man [COMMAND]",
		Short: "Print a manual page",
		Long: `Print the manual page of the program or of a command, for man:

  tidemark man verify | man -l -`,
		RunE: func(cmd *cobra.Command, args []string) error {
			about, rest, err := cmd.Root().Find(args)
			if err != nil || len(rest) > 0 || !about.Runnable() {
				return usage("there is no command %q", strings.Join(args, " "))
			}
			return manPage(a.stdout, about)
		},
	}
}

// manPage writes a page in the macros of man(7).
func manPage(w io.Writer, cmd *cobra.Command) error {
	var b strings.Builder
	name := strings.ReplaceAll(cmd.CommandPath(), " ", "-")
	fmt.Fprintf(&b, ".TH %s 1\n.SH NAME\n%s \\- %s\n", strings.ToUpper(roff(name)), roff(name), roff(cmd.Short))
	fmt.Fprintf(&b, ".SH SYNOPSIS\n%s\n.SH DESCRIPTION\n", roff(cmd.UseLine()))
	literal(&b, cmd.Long)
	for _, part := range []struct {
		title string
		flags *pflag.FlagSet
	}{{"OPTIONS", cmd.NonInheritedFlags()}, {"GLOBAL OPTIONS", cmd.InheritedFlags()}} {
		if part.flags.HasAvailableFlags() {
			fmt.Fprintf(&b, ".SH %s\n", part.title)
			literal(&b, strings.TrimRight(part.flags.FlagUsages(), "\n"))
		}
	}
	if cmd.Example != "" {
		b.WriteString(".SH EXAMPLES\n")
		literal(&b, cmd.Example)
	}
	if !cmd.HasParent() {
		b.WriteString(".SH COMMANDS\n")
		for _, c := range cmd.Commands() {
			if c.Runnable() {
				fmt.Fprintf(&b, ".TP\n.B %s\n%s\n", roff(c.Name()), roff(c.Short))
			}
		}
	}
	b.WriteString(".SH EXIT STATUS\n")
	literal(&b, strings.TrimPrefix(exitCodesText, "Exit codes\n\n"))
	_, err := io.WriteString(w, b.String())
	return err
}

// literal writes text as it stands, with its lines and blanks.
func literal(b *strings.Builder, text string) {
	b.WriteString(".nf\n")
	for line := range strings.Lines(text) {
		b.WriteString(roff(strings.TrimRight(line, "\n")) + "\n")
	}
	b.WriteString(".fi\n")
}

// roff escapes what would be a command of the typesetter.
func roff(line string) string {
	line = strings.NewReplacer(`\`, `\e`, "-", `\-`).Replace(line)
	if strings.HasPrefix(line, ".") || strings.HasPrefix(line, "'") {
		line = `\&` + line
	}
	return line
}
