package cli

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/tidemark-io/tidemark/checkpoint"
	"github.com/tidemark-io/tidemark/cmd/tidemark/internal/document"
	"github.com/tidemark-io/tidemark/cmd/tidemark/internal/out"
	"github.com/tidemark-io/tidemark/cmd/tidemark/internal/place"
	"github.com/tidemark-io/tidemark/recovery"
)

func (a *app) du() *cobra.Command {
	var groups, orphans bool
	cmd := &cobra.Command{
		Use:   "du PATH",
		Short: "Show what checkpoints take, and why",
		Long: `Show what checkpoints take. PATH is a root or one checkpoint; what is shared is
known from all checkpoints of the root in either case.

  referenced  all objects that a checkpoint uses, and its manifests
  shared      of these, what another checkpoint uses too
  exclusive   of these, what no other uses: deleting it frees that much
  in flight   stored records that were under way between tasks
  orphaned    what no checkpoint uses

--key-groups reads the state of the one checkpoint, or of the newest, and shows
how evenly it is spread over the key groups.`,
		Example: "  tidemark du jobs/ck\n  tidemark du --key-groups jobs/ck/chk-7",
		Args:    exactly(1, "one PATH"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.measure(cmd.Context(), args[0], groups, orphans)
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.BoolVar(&groups, "key-groups", false, "read the state and show the sizes of its key groups")
	flags.BoolVar(&orphans, "orphans", false, "list the orphaned objects (documents always do)")
	a.flinkFlags(cmd)
	return cmd
}

func (a *app) measure(ctx context.Context, path string, groups, orphans bool) error {
	p, err := place.Open(ctx, path, a.flink)
	if err != nil {
		return err
	}
	defer p.Close()
	infos, err := p.All(ctx)
	if err != nil {
		return err
	}
	chosen, err := p.List(ctx)
	if err != nil {
		return err
	}
	if len(chosen) == 0 {
		return p.None(ctx)
	}
	usage, err := recovery.MeasureUsage(ctx, p.Store(), infos, p.Open)
	if err != nil {
		return err
	}
	d := document.NewDu(p.Root, usage, p.Show)
	if p.Path != "" {
		d.Checkpoints = slices.DeleteFunc(d.Checkpoints, func(l document.DuLine) bool { return l.Path != p.Show(p.Path) })
	}
	if groups {
		if err := a.measureGroups(ctx, p, d); err != nil {
			return err
		}
	}
	switch a.output {
	case asJSON, asYAML:
		return a.document(d)
	case asLines:
		return a.duLines(d)
	}
	return a.duTables(d, orphans)
}

// measureGroups fills in the sizes of the key groups.
func (a *app) measureGroups(ctx context.Context, p *place.Place, d *document.Du) error {
	below, _, err := p.Newest(ctx)
	if err != nil {
		return err
	}
	c, err := p.Open(ctx, below)
	if err != nil {
		return err
	}
	defer c.Close()
	if p.Path == "" {
		a.say("the key groups are those of %s", p.Show(below))
	}
	progress := a.watchBytes("du --key-groups "+p.Show(below), bytesOfStates(ctx, c))
	defer progress.Stop()
	list := []document.DuGroups{}
	d.KeyGroups = &list
	return recovery.MeasureGroups(ctx, c, checkpoint.Selector{}, progress.Add, func(g recovery.GroupSizes) { list = append(list, document.NewDuGroups(&g)) })
}

func (a *app) duLines(d *document.Du) error {
	rows := []func() error{lines(a, "checkpoint", listed(d.Checkpoints)), lines(a, "orphan", listed(d.Orphans))}
	if d.KeyGroups != nil {
		rows = append(rows, lines(a, "keyGroups", listed(*d.KeyGroups)))
	}
	if err := out.JSONLine(a.stdout, map[string]any{"schema": d.Schema, "row": "total", "root": d.Root, "total": d.Total}); err != nil {
		return err
	}
	for _, write := range rows {
		if err := write(); err != nil {
			return err
		}
	}
	return nil
}

// size writes a number of bytes for people.
func size(n document.Number) string { return bytesOf(checkpoint.Count(n)) }

func (a *app) duTables(d *document.Du, orphans bool) error {
	t := table(path("PATH"), right("REFERENCED"), right("SHARED"), right("EXCLUSIVE"), right("IN FLIGHT"), right("ORPHANED"))
	if a.output == asWide {
		t.Wide = true
		t.Head = append(t.Head, right("METADATA"), right("OBJECTS"), right("MISSING"), left("STATUS"), left("PROBLEM"))
	}
	for _, l := range d.Checkpoints {
		t.Look(a.paint(statusColour[l.Status]), l.Path, size(l.Referenced), size(l.Shared), size(l.Exclusive), size(l.InFlight), size(l.Orphaned),
			size(l.Metadata), countOf(checkpoint.Count(l.Objects)), countOf(checkpoint.Count(l.Missing)), string(l.Status), string(l.Problem))
	}
	if err := t.Write(a.stdout); err != nil {
		return err
	}
	fmt.Fprintln(a.stdout)
	fields := [][2]string{{"root", d.Root}, {"stored", size(d.Total.Stored)}, {"referenced", size(d.Total.Referenced)}, {"orphaned", orphaned(d)}}
	for _, f := range []struct {
		name string
		n    document.Number
	}{{"never committed", d.Total.Incomplete}, {"does not read", d.Total.Unreadable}, {"other", d.Total.Other}} {
		if f.n > 0 {
			fields = append(fields, [2]string{f.name, size(f.n)})
		}
	}
	if err := out.Fields(a.stdout, fields...); err != nil {
		return err
	}
	if orphans {
		t := table(path("ORPHAN"), right("BYTES"), keep("MODIFIED (UTC)"))
		for _, o := range d.Orphans {
			t.Row(o.Path, size(o.Bytes), out.Short(o.Modified.Time()))
		}
		if err := a.printTable(t); err != nil {
			return err
		}
	}
	return a.groupTables(d)
}

// orphaned says how much is orphaned, and how sure that is.
func orphaned(d *document.Du) string {
	text := fmt.Sprintf("%s in %d objects", size(d.Total.Orphaned), len(d.Orphans))
	if !d.Total.Certain && len(d.Orphans) > 0 {
		text += ", unless a checkpoint that does not read uses them"
	}
	return text
}

// heaviest is how many key groups are shown for each state.
const heaviest = 5

// groupTables shows the spread of each state and its heaviest key groups.
func (a *app) groupTables(d *document.Du) error {
	if d.KeyGroups == nil {
		return nil
	}
	spread := table(keep("OPERATOR"), keep("STATE"), right("KEY GROUPS"), right("EMPTY"), right("MEAN"), right("LARGEST"), right("SKEW"))
	top := table(keep("OPERATOR"), keep("STATE"), right("KEY GROUP"), right("ENTRIES"), right("BYTES"))
	for _, g := range *d.KeyGroups {
		groups := slices.Clone(g.Groups)
		slices.SortStableFunc(groups, func(a, b document.DuGroup) int { return cmp.Compare(b.Bytes, a.Bytes) })
		sum := uint64(0)
		for i, x := range groups {
			sum += uint64(x.Bytes)
			if i < heaviest || a.output == asWide {
				top.Row(g.Operator, g.State, fmt.Sprint(x.Group), out.Number(uint64(x.Entries)), size(x.Bytes))
			}
		}
		largest := uint64(0)
		if len(groups) > 0 {
			largest = uint64(groups[0].Bytes)
		}
		spread.Row(g.Operator, g.State, out.Number(uint64(g.Of)), out.Number(uint64(max(int(g.Of)-len(groups), 0))), out.Bytes(sum/uint64(max(g.Of, 1))), out.Bytes(largest), fmt.Sprintf("%.1f", g.Skew))
	}
	if err := a.printTable(spread); err != nil {
		return err
	}
	return a.printTable(top)
}
