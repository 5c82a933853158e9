package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/tidemark-io/tidemark/checkpoint"
	"github.com/tidemark-io/tidemark/cmd/tidemark/internal/document"
	"github.com/tidemark-io/tidemark/cmd/tidemark/internal/out"
	"github.com/tidemark-io/tidemark/cmd/tidemark/internal/progress"
	"github.com/tidemark-io/tidemark/recovery"
)

// changer is one call of a command that makes a checkpoint of another.
type changer struct {
	*app
	dry bool
	dst string // as it was given
	// work is the call of the library.
	work func(ctx context.Context, src checkpoint.Checkpoint, to recovery.Target) (*recovery.Result, error)
}

// changeHelp is what the help of these commands ends with.
const changeHelp = `

SRC is a checkpoint, or a root, which stands for its newest complete one. DST
must not exist, and the directory that it is in must. The result is a savepoint
of the same snapshot: call it savepoint-N or anything else but chk-N; a job goes
on from it with "tidemark run JOB --restore DST". Below SRC's root it takes
little space, since data objects are linked and not copied. If the command fails
or is interrupted, nothing is left at DST.`

// changing completes a command that makes a checkpoint of another.
func (c *changer) changing(cmd *cobra.Command) *cobra.Command {
	cmd.Args = exactly(2, "SRC and DST")
	cmd.Long += changeHelp
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return c.run(cmd.Context(), cmd.Name(), args[0], args[1])
	}
	cmd.Flags().SortFlags = false
	cmd.Flags().BoolVarP(&c.dry, "dry-run", "n", false, "say what would be done and do nothing")
	if cmd.Name() == "remap" { // which has another --uid
		c.pathFlag(cmd)
	} else {
		c.flinkFlags(cmd)
	}
	return cmd
}

// run opens both ends, does the work and prints what was done.
func (c *changer) run(ctx context.Context, verb, src, dst string) (err error) {
	c.dst = dst
	o, err := c.openNewest(ctx, src)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, o.Close()) }()
	to, err := o.place.Destination(ctx, o.below, dst)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, to.Close()) }()
	p := c.watchBytes(verb+" "+o.shown, 0)
	defer p.Stop()
	r, err := c.work(ctx, o.c, recovery.Target{Format: to.Format, Path: to.Path, DryRun: c.dry, Software: "tidemark " + newVersion().Version + " " + verb,
		Progress: follow(p)})
	p.Stop()
	if err != nil {
		return err
	}
	d := document.NewChange(verb, o.shown, to.Shown, c.dry, r)
	switch c.output {
	case asJSON, asYAML:
		return c.document(d)
	case asLines:
		return out.JSONLine(c.stdout, d)
	}
	return c.changeTables(&d)
}

// follow shows what a library call reports: it says how far it is, and the bar
// wants how much was added.
func follow(p *progress.Progress) func(checkpoint.Progress) {
	var last checkpoint.Progress
	return func(now checkpoint.Progress) {
		p.AddTotal(now.Total - min(now.Total, last.Total))
		p.Add(now.Done - last.Done)
		last = now
	}
}

// changeTables prints a result for people.
func (c *changer) changeTables(d *document.Change) error {
	fields := [][2]string{{"source", d.Source}, {"destination", d.Destination}}
	fields = append(fields, volumeFields(d.Result.Linked, d.Result.Copied, d.Result.Rewritten)...)
	for _, o := range d.Operators {
		if o.KeyHash != nil {
			fields = append(fields, [2]string{"key hash", o.Operator + ": " + *o.KeyHash})
		}
	}
	if d.DryRun {
		fields = append(fields, [2]string{"dry run", "nothing was written"})
	}
	if err := out.Fields(c.stdout, fields...); err != nil {
		return err
	}
	for _, t := range []*out.Table{
		relayoutTable(d), c.subtaskTable(d), channelTable(d), c.lossTable(&document.Inspect{Losses: d.Losses}), externalTable(d),
	} {
		if err := c.printTable(t); err != nil {
			return err
		}
	}
	return nil
}

// volumeFields says what became of the objects, without what there is none of.
func volumeFields(linked, copied, rewritten checkpoint.Volume) (fields [][2]string) {
	for _, v := range []struct {
		name   string
		volume checkpoint.Volume
	}{{"linked", linked}, {"copied", copied}, {"rewritten", rewritten}} {
		if v.volume.Objects > 0 {
			fields = append(fields, [2]string{v.name, fmt.Sprintf("%d objects, %s", v.volume.Objects, out.Bytes(v.volume.Bytes))})
		}
	}
	return fields
}

func relayoutTable(d *document.Change) *out.Table {
	t := table(left("OPERATOR"), right("PARALLELISM"), right("KEY GROUPS"), right("SKEW"))
	for _, o := range d.Operators {
		groups, skew := out.Unknown, out.Unknown
		if o.KeyGroups != nil {
			groups = change(o.KeyGroups[0], o.KeyGroups[1])
		}
		if o.Skew != nil {
			skew = change(o.Skew.Before, o.Skew.After)
		}
		t.Row(o.Operator, change(o.Parallelism[0], o.Parallelism[1]), groups, skew)
	}
	return t
}

// change writes what was and what will be, once if they are equal.
func change[T int | float64](was, is T) string {
	if was == is {
		return fmt.Sprint(is)
	}
	return fmt.Sprintf("%v → %v", was, is)
}

// subtaskTable lists the new subtasks of a plan, of a result only with -o wide.
func (c *changer) subtaskTable(d *document.Change) *out.Table {
	columns := []out.Column{left("OPERATOR"), right("SUBTASK"), left("KEY GROUPS"), left("HASHES"), right("ABOUT BYTES")}
	hashed := slices.ContainsFunc(d.Operators, func(o document.Relayout) bool {
		return slices.ContainsFunc(o.Subtasks, func(s document.Shared) bool { return s.Hashes != nil })
	})
	if !hashed { // Flink's key groups are no intervals of hashes
		columns = slices.Delete(columns, 3, 4)
	}
	t := table(columns...)
	if !d.DryRun && c.output != asWide {
		return t
	}
	for _, o := range d.Operators {
		for _, s := range o.Subtasks {
			row := []string{o.Operator, fmt.Sprint(s.Subtask), fmt.Sprintf("%d-%d", s.FirstGroup, s.LastGroup)}
			switch {
			case s.Hashes != nil:
				row = append(row, *s.Hashes)
			case hashed:
				row = append(row, out.Unknown)
			}
			t.Row(append(row, bytesOf(checkpoint.Count(s.Bytes)))...)
		}
	}
	return t
}

func channelTable(d *document.Change) *out.Table {
	t := table(left("IN FLIGHT TO"), left("FROM"), left("FATE"), right("RECORDS"), right("BYTES"))
	for _, ch := range d.Channels {
		if ch.Fate != checkpoint.ChannelsEmpty {
			t.Row(ch.To, ch.From, string(ch.Fate), countOf(checkpoint.Count(ch.Before.Records)), bytesOf(checkpoint.Count(ch.Before.Bytes)))
		}
	}
	return t
}

func externalTable(d *document.Change) *out.Table {
	t := table(path("FILE OUTSIDE"))
	for _, f := range d.External {
		t.Row(f)
	}
	return t
}
