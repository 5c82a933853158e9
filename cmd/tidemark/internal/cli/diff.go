package cli

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tidemark-io/tidemark/checkpoint"
	"github.com/tidemark-io/tidemark/cmd/tidemark/internal/document"
	"github.com/tidemark-io/tidemark/cmd/tidemark/internal/out"
	"github.com/tidemark-io/tidemark/recovery"
)

// comparer is one call of diff.
type comparer struct {
	*app
	summary, keys, values, groups bool
	limit                         uint64
	selector                      string

	printA, printB *recovery.RowPrinter
	doc            document.Diff
	listed         uint64
}

func (a *app) diff() *cobra.Command {
	c := comparer{app: a}
	cmd := &cobra.Command{
		Use:   "diff A B",
		Short: "Compare the contents of two checkpoints",
		Long: `Compare the contents of two checkpoints, not their layout: a checkpoint and a
rescaled copy of it are equal. Compared are keyed state and timers by key, lists
as sets of items that may repeat, broadcast state, floors, the watermarks of
splits, and in-flight records, edge by edge. Watermarks of subtasks and channels
belong to the layout; --select kind=channel-watermarks compares them too.

Exit code 0: equal; 1: different.`,
		Example: "  tidemark diff jobs/ck/chk-7 jobs/ck/chk-8\n  tidemark diff --values --select state=counter jobs/ck/chk-7 other/chk-7",
		Args:    exactly(2, "two checkpoints, A and B"),
		RunE:    func(cmd *cobra.Command, args []string) error { return c.run(cmd.Context(), args[0], args[1]) },
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	a.flinkFlags(cmd)
	flags.BoolVar(&c.summary, "summary", false, "counts of all states, equal ones too; nothing single")
	flags.BoolVar(&c.keys, "keys", false, "list what differs, without values")
	flags.BoolVar(&c.values, "values", false, "list what differs, with the values of both sides")
	flags.BoolVar(&c.groups, "key-groups", false, "the number of differences in each key group")
	flags.Uint64Var(&c.limit, "limit", 100, "list at most `n` differences; 0: all")
	flags.StringVar(&c.selector, "select", "", "compare only what the `selector` names")
	return cmd
}

func (c *comparer) run(ctx context.Context, pathA, pathB string) error {
	sel, err := checkpoint.ParseSelector(c.selector)
	if err != nil {
		return usageError{err}
	}
	if c.summary && (c.keys || c.values) || c.keys && c.values {
		return usage("--summary, --keys and --values exclude each other")
	}
	if sel.Subtasks != nil || sel.Channel != nil {
		return usage("--select takes operator, state, kind and keygroup: subtasks and channels are layout")
	}
	a, err := c.openNewest(ctx, pathA)
	if err != nil {
		return err
	}
	defer a.Close()
	b, err := c.openNewest(ctx, pathB)
	if err != nil {
		return err
	}
	defer b.Close()
	if err := selects(ctx, a.c, sel); err != nil && selects(ctx, b.c, sel) != nil {
		return err
	}
	c.printA, c.printB = recovery.NewRowPrinter(a.c, recovery.RowOptions{}), recovery.NewRowPrinter(b.c, recovery.RowOptions{})
	c.doc = document.Diff{Schema: document.DiffSchema, A: a.shown, B: b.shown, States: []document.StateDiff{}, Differences: []document.Difference{}}
	p := c.watchBytes("diff "+a.shown+" "+b.shown, bytesOfStates(ctx, a.c))
	defer p.Stop()
	different := false
	opts := recovery.DiffOptions{Select: sel, Progress: p.Add, Done: func(s recovery.StateDiff) { c.doc.States = append(c.doc.States, newStateDiff(&s)) }}
	for d, err := range recovery.Diff(ctx, a.c, b.c, opts) {
		if err != nil {
			return err
		}
		different = true
		if err := c.difference(&d); err != nil {
			return err
		}
	}
	p.Stop()
	c.doc.Equal = !different
	if err := c.report(); err != nil {
		return err
	}
	if different {
		return codeError{code: exitFound}
	}
	return nil
}

// bytesOfStates estimates what reading the contents of a checkpoint will count.
func bytesOfStates(ctx context.Context, c checkpoint.Checkpoint) (n uint64) {
	for s, err := range c.States(ctx) {
		if err != nil {
			return 0
		}
		if size, known := s.Decoded.Known(); known {
			n += size
		}
	}
	return n
}

func newStateDiff(s *recovery.StateDiff) document.StateDiff {
	d := document.StateDiff{Operator: s.State.Operator, State: s.State.Name, Kind: s.State.Kind, Edge: document.Text(s.State.Edge),
		A: document.Number(s.A), B: document.Number(s.B), Equal: document.Number(s.Equal), OnlyA: document.Number(s.OnlyA), OnlyB: document.Number(s.OnlyB),
		Changed: document.Number(s.Changed), Problems: document.Number(s.Problems), KeyGroups: []document.GroupCount{}}
	for _, g := range slices.Sorted(maps.Keys(s.Groups)) {
		d.KeyGroups = append(d.KeyGroups, document.GroupCount{Group: g, Count: document.Number(s.Groups[g])})
	}
	return d
}

// difference lists one difference, if that is wanted. What is no entry is always
// listed: there are few of these, and the counts do not say what they are.
func (c *comparer) difference(d *recovery.Difference) error {
	if d.Problem == "" && !c.keys && !c.values || c.summary {
		return nil
	}
	if c.limit > 0 && c.listed >= c.limit {
		c.doc.More = true
		return nil
	}
	c.listed++
	x := document.Difference{Change: d.Change, Problem: document.Text(d.Problem), Count: document.Number(d.Count),
		A: c.row(c.printA, d.A), B: c.row(c.printB, d.B)}
	if x.A == nil && x.B == nil {
		x.A = &document.Row{Operator: d.State.Operator, State: d.State.Name, Kind: d.State.Kind, Edge: document.Text(d.State.Edge), Time: document.EventTime(checkpoint.UnknownTime)}
	}
	switch c.output {
	case asJSON, asYAML:
		c.doc.Differences = append(c.doc.Differences, x)
		return nil
	case asLines:
		return out.JSONLine(c.stdout, map[string]any{"schema": document.DiffSchema, "row": "difference", "difference": x})
	}
	return c.print(&x)
}

// row prints an entry or a record; without --values the value stays away.
func (c *comparer) row(p *recovery.RowPrinter, content recovery.Content) *document.Row {
	var r recovery.Row
	switch {
	case content.Entry != nil:
		r = p.Entry(content.Entry)
	case content.Record != nil:
		r = p.Record(content.Record)
	default:
		return nil
	}
	// An item or a record has no key: its value is what it is.
	if !c.values && r.Key != nil {
		r.Value = nil
	}
	d := document.NewRow(&r)
	return &d
}

var signs = map[recovery.Change]string{recovery.OnlyA: "-", recovery.OnlyB: "+", recovery.Changed: "~"}

// print writes a difference for people: "-" only in A, "+" only in B, "~" in
// both.
func (c *comparer) print(x *document.Difference) error {
	row := cmp.Or(x.A, x.B)
	text := signs[x.Change] + " " + named(row.Operator, row.State, row.Kind, string(row.Edge))
	if x.Problem != "" {
		text += ": " + string(x.Problem)
	}
	for _, part := range [][2]string{{"key", printed(row.Key)}, {"namespace", printed(row.Namespace)}} {
		if part[1] != "" {
			text += ", " + part[0] + " " + part[1]
		}
	}
	if row.Time != document.EventTime(checkpoint.UnknownTime) && x.Problem == "" {
		text += ", time " + moment(int64(row.Time))
	}
	if n := uint64(x.Count); n > 1 {
		text += fmt.Sprintf(", %d times", n)
	}
	c.live.Clear()
	lines := []string{text}
	for _, side := range []struct {
		name string
		row  *document.Row
	}{{"A", x.A}, {"B", x.B}} {
		if side.row != nil && side.row.Value != nil {
			lines = append(lines, "    "+side.name+" "+printed(side.row.Value))
		}
	}
	for i := range lines {
		lines[i] = out.Escape(lines[i])
	}
	_, err := fmt.Fprintln(c.stdout, strings.Join(lines, "\n"))
	return err
}

// named is what a state is called in a line of text.
func named(operator, state string, kind checkpoint.StateKind, edge string) string {
	switch {
	case kind == "":
		return operator
	case kind.InFlight() && edge != "":
		return "in flight on " + edge
	case state == "":
		return operator + "/" + string(kind)
	}
	return operator + "/" + state
}

// report prints the counts.
func (c *comparer) report() error {
	switch c.output {
	case asJSON, asYAML:
		return c.document(c.doc)
	case asLines:
		for _, s := range c.doc.States {
			if err := out.JSONLine(c.stdout, map[string]any{"schema": document.DiffSchema, "row": "state", "state": s}); err != nil {
				return err
			}
		}
		return out.JSONLine(c.stdout, map[string]any{"schema": document.DiffSchema, "row": "result", "a": c.doc.A, "b": c.doc.B, "equal": c.doc.Equal})
	}
	if c.doc.More {
		c.say("the first %d differences are listed; --limit 0 lists all", c.limit)
	}
	if c.listed > 0 {
		fmt.Fprintln(c.stdout)
	}
	t := table(keep("OPERATOR"), keep("STATE"), right("EQUAL"), right("ONLY A"), right("ONLY B"), right("CHANGED"))
	groups := table(keep("OPERATOR"), keep("STATE"), right("KEY GROUP"), right("DIFFERENCES"))
	for _, s := range c.doc.States {
		same := s.OnlyA+s.OnlyB+s.Changed+s.Problems == 0
		name := cmp.Or(s.State, string(s.Kind))
		if s.Kind.InFlight() && s.Edge != "" {
			name = "in flight"
		}
		for _, g := range s.KeyGroups {
			groups.Row(s.Operator, name, fmt.Sprint(g.Group), out.Number(uint64(g.Count)))
		}
		if s.Kind == "" || same && !c.summary {
			continue
		}
		colour := ""
		if !same {
			colour = yellow
		}
		t.Look(c.paint(colour), s.Operator, name, out.Number(uint64(s.Equal)), out.Number(uint64(s.OnlyA)), out.Number(uint64(s.OnlyB)), out.Number(uint64(s.Changed)))
	}
	t.Wide = c.output == asWide
	if err := t.Write(c.stdout); err != nil {
		return err
	}
	if c.groups {
		if err := c.printTable(groups); err != nil {
			return err
		}
	}
	return c.verdict()
}

// verdict is the last line.
func (c *comparer) verdict() error {
	text := c.painted(green, "EQUAL    ")
	if !c.doc.Equal {
		text = c.painted(red, "DIFFERENT")
	}
	_, err := fmt.Fprintf(c.stdout, "%s %s\n", text, out.Escape(c.doc.A+" and "+c.doc.B))
	return err
}
