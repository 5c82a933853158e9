package cli

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tidemark-io/tidemark/cmd/tidemark/internal/out"
	"github.com/tidemark-io/tidemark/engine/config"
)

// topics are help texts that belong to no command.
func topics() []*cobra.Command {
	return []*cobra.Command{
		topic("exit-codes", "Exit codes", fixed(exitCodesText)),
		topic("formats", "Output formats", fixed(formatsText)),
		topic("selectors", "Naming a part of a checkpoint", fixed(selectorsText)),
		topic("key-hash", "Hash codes of keys in Flink's checkpoints", fixed(keyHashText)),
		topic("configuration", "Configuration keys", configurationText),
	}
}

// topic makes a help topic, which for cobra is a command that does nothing. Its
// text is made when it is asked for.
func topic(name, short string, text func(io.Writer)) *cobra.Command {
	cmd := &cobra.Command{Use: name, Short: short}
	cmd.SetHelpFunc(func(cmd *cobra.Command, _ []string) { text(cmd.OutOrStdout()) })
	return cmd
}

func fixed(text string) func(io.Writer) {
	return func(w io.Writer) { _, _ = io.WriteString(w, text) }
}

const exitCodesText = `Exit codes

    0  good; also: a job ended or was stopped gracefully
    1  something was found: damage (a damaged manifest too), a difference
    2  a mistake in the command line or the configuration
    3  a partial result; a report of the losses was written
    4  no checkpoint there
    5  a format or version that this program does not know
    6  refused for safety: the destination exists, another run holds the root
    7  storage failed, or permission was denied
    8  the job failed
   70  an internal error: a defect of this program
  130  ended by SIGINT before it was done; 143 by SIGTERM

With several paths it is the first of 70, 7, 5, 4 and 1 that occurred.
`

const formatsText = `Output formats

  -o table   tables for people, 80 columns wide; what does not fit is cut ("…")
  -o wide    the same, nothing cut, and more columns
  -o json    one document; --json is short for it
  -o jsonl   JSON, one row on each line, written as it is found
  -o yaml    the same document as json

Documents begin with their schema, as in "tidemark.inspect/1"; the JSON Schemas
are in docs/schema. Within a number after the slash, fields are only added.

  times        RFC 3339, UTC
  sizes        bytes
  event times  milliseconds since 1970, as strings
  unknown      null, never 0
  integers above 2^53, which many readers round, are strings

Text out of a checkpoint is escaped before it is printed: control characters
and changes of the writing direction never reach the terminal.

Checkpoints of these formats are read:

  tidemark     version 0, the revision that "tidemark version" shows. Until the
               first release a program reads only the revision that it writes.
`

const keyHashText = `Hash codes of keys in Flink's checkpoints

Flink puts a key into a key group by Java's hashCode. Where a class of the job's
computes that (a POJO or a case class as key) another number of key groups takes
the formula. "tidemark rescale" finds it from the keys and the key groups that
they lie in, and checks every key against it. Too few keys do not tell; then

  --key-hash UID=STYLE(FIELD,FIELD,...)

names the style and the fields in the order in which the class takes them. With
a style alone the fields are found. CLASS:STYLE(...);CLASS:STYLE(...) names
several classes. "tidemark convert --to flink" takes the same flag, always with
fields, for POJOs as keys; there no key groups can prove it.

  objects-hash          Objects.hash, Arrays.hashCode, Eclipse
  record                record, data class of Kotlin, IntelliJ IDEA; one field
  idea                  IntelliJ IDEA: true is 1, false 0
  start-17              r = 17; r = 31*r + field
  start-17-idea         the same, true is 1, false 0
  start-7               r = 7; r = 31*r + field
  commons-lang          HashCodeBuilder, primitive booleans
  commons-lang-objects  HashCodeBuilder, Boolean objects
  lombok                @Data, @EqualsAndHashCode, primitive booleans
  lombok-objects        the same, Boolean objects
  xor                   the fields' hash codes joined by ^
  scala-2.12            case class (Scala 2.12); takes no fields
  scala-2.13            case class (Scala 2.13 and 3)
`

const selectorsText = `Selectors

A selector names a part of a checkpoint, everywhere in the same way:

  operator=U,state=S,kind=timers,subtask=2-4,keygroup=0-31,channel=gate0/3

  operator   uid of an operator
  state      name of a state
  kind       keyed, timers, split-list, union-list, broadcast, floors,
             subtask-watermarks, channel-watermarks, split-watermarks,
             input-channel, output-channel
  subtask    one subtask, or first-last
  keygroup   one key group, or first-last
  channel    a gate, one channel of it (gate0/3), or several (gate0/2-5)

What is not named is not restricted. A value with a comma, a quote, an equals
sign or a blank at its end is written in quotes: operator="a,b".

verify prints the place of a finding as a selector.
`

// configurationText lists all keys, from the table that also reads them.
func configurationText(w io.Writer) {
	var b strings.Builder
	b.WriteString(configurationHead)
	section := func(title string, want func(config.Option) bool, show func(config.Option)) {
		b.WriteString("\n" + title + "\n\n")
		for _, o := range config.Options() {
			if want(o) {
				show(o)
			}
		}
	}
	section("Differences from Flink's defaults", func(o config.Option) bool { return o.Flink != "" }, func(o config.Option) {
		fmt.Fprintf(&b, "  %s\n", o.Key)
		wrap(&b, "      ", fmt.Sprintf("%s instead of %s: %s", o.Default, o.Flink, o.Reason))
	})
	section("Keys", func(o config.Option) bool { return o.Status == config.Supported }, func(o config.Option) { describe(&b, o) })
	section("Not yet supported, except with the value shown", func(o config.Option) bool { return o.Status == config.NotYet }, func(o config.Option) {
		fmt.Fprintf(&b, "  %s\n", o.Key)
		wrap(&b, "      ", fmt.Sprintf("%s: %s", o.Default, o.Reason))
	})
	section("Known to Flink, without effect here", func(o config.Option) bool { return o.Status == config.NoEffect }, func(o config.Option) {
		fmt.Fprintf(&b, "  %s\n", o.Key)
		wrap(&b, "      ", o.Reason)
	})
	_, _ = io.WriteString(w, b.String())
}

const configurationHead = `Configuration

Keys are Flink's, in their new or old spelling; those of this program begin with
"tidemark.". A value comes from, in this order: a flag, -D key=value, the YAML
file of --config (keys nested or dotted), the default. "run --print-config"
shows each value and where it comes from.

  duration  10 s, 1min, 500 ms, PT10S; a number alone is milliseconds
  memory    32kb, 64 mb; a number alone is bytes

An unknown key is an error that names the nearest one.
`

// describe writes one supported key.
func describe(b *strings.Builder, o config.Option) {
	fmt.Fprintf(b, "  %s\n", o.Key)
	kind := string(o.Type)
	if len(o.Values) > 0 {
		kind = strings.Join(o.Values, " | ")
	}
	if o.Default != "" {
		kind += ", default " + o.Default
	}
	wrap(b, "      ", kind)
	wrap(b, "      ", o.Help)
	for _, alias := range o.Aliases {
		wrap(b, "      ", "old spelling: "+alias)
	}
}

// wrap writes text in lines of at most 80 columns.
func wrap(b *strings.Builder, indent, text string) {
	for _, line := range out.Wrap(text, out.Columns-len(indent)) {
		b.WriteString(indent + line + "\n")
	}
}
