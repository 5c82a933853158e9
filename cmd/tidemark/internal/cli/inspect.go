package cli

import (
	"context"
	"fmt"
	"iter"
	"math"
	"time"

	"github.com/spf13/cobra"

	"github.com/tidemark-io/tidemark/checkpoint"
	"github.com/tidemark-io/tidemark/cmd/tidemark/internal/document"
	"github.com/tidemark-io/tidemark/cmd/tidemark/internal/out"
	"github.com/tidemark-io/tidemark/cmd/tidemark/internal/place"
)

func (a *app) inspect() *cobra.Command {
	var want document.Lists
	cmd := &cobra.Command{
		Use:   "inspect PATH",
		Short: "Show what is in a checkpoint",
		Long: `Show what is in a checkpoint: operators, states with their types and sizes,
connections with the alignment they really had, in-flight data, watermarks, and
what tools have removed from it. Only the manifest is read.

If PATH is a root, the newest complete checkpoint is shown.`,
		Example: "  tidemark inspect jobs/ck\n  tidemark inspect jobs/ck/chk-7 --subtasks -o jsonl",
		Args:    exactly(1, "one PATH"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.inspectPath(cmd.Context(), args[0], want)
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.BoolVar(&want.Subtasks, "subtasks", false, "list what each subtask wrote of each state")
	flags.BoolVar(&want.Objects, "objects", false, "list the stored objects")
	flags.BoolVar(&want.KeyGroups, "key-groups", false, "list the key groups of each subtask")
	flags.BoolVar(&want.Settings, "settings", false, "list the job's configuration")
	a.flinkFlags(cmd)
	return cmd
}

func (a *app) inspectPath(ctx context.Context, path string, want document.Lists) error {
	p, err := place.Open(ctx, path, a.flink)
	if err != nil {
		return err
	}
	defer p.Close()
	below, skipped, err := p.Newest(ctx)
	if err != nil {
		return err
	}
	if p.Path == "" {
		a.say("%s is the newest complete checkpoint", p.Show(below))
	}
	if skipped > 0 {
		a.say("%d newer one(s) are not complete; \"tidemark ls %s\" shows them", skipped, out.Word(path))
	}
	c, err := p.Open(ctx, below)
	if err != nil {
		return err
	}
	defer c.Close()
	d, err := document.NewInspect(ctx, p.Show(below), c)
	if err != nil {
		return err
	}
	if a.output == asLines {
		return a.inspectLines(ctx, d, c, want)
	}
	if err := d.AddLists(ctx, c, want); err != nil {
		return err
	}
	if a.output == asJSON || a.output == asYAML {
		return a.document(d)
	}
	return a.inspectTables(d)
}

// inspectLines streams: one line for the head, then one for each row, each
// with what it is.
func (a *app) inspectLines(ctx context.Context, d *document.Inspect, c checkpoint.Checkpoint, want document.Lists) error {
	head := struct {
		Schema string `json:"schema"`
		Row    string `json:"row"`
		document.Head
	}{d.Schema, "checkpoint", d.Head}
	if err := out.JSONLine(a.stdout, head); err != nil {
		return err
	}
	rows := []func() error{
		lines(a, "operator", listed(d.Operators)), lines(a, "edge", listed(d.Edges)),
		lines(a, "loss", listed(d.Losses)), lines(a, "finding", listed(d.Findings)),
	}
	if want.Settings {
		rows = append(rows, lines(a, "setting", document.Settings(ctx, c)))
	}
	if want.Subtasks {
		rows = append(rows, lines(a, "subtask", document.Subtasks(ctx, c)))
	}
	if want.Objects {
		rows = append(rows, lines(a, "object", document.Objects(ctx, c)))
	}
	if want.KeyGroups {
		rows = append(rows, lines(a, "keyGroup", d.KeyGroupRows(ctx, c)))
	}
	for _, write := range rows {
		if err := write(); err != nil {
			return err
		}
	}
	return nil
}

// lines returns a function that writes each item as a line of JSON under the
// name of what it is.
func lines[T any](a *app, row string, items iter.Seq2[T, error]) func() error {
	return func() error {
		for v, err := range items {
			if err == nil {
				err = out.JSONLine(a.stdout, map[string]any{"row": row, row: v})
			}
			if err != nil {
				return err
			}
		}
		return nil
	}
}

func listed[T any](items []T) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for _, v := range items {
			if !yield(v, nil) {
				return
			}
		}
	}
}

// rawOf says how large stored in-flight data is when it is not compressed, which
// is what a restore has to hold and what "tidemark history" counts; "" if that is
// not known, or nothing is in flight.
func rawOf(d *document.Inspect) string {
	var raw uint64
	for _, o := range d.Operators {
		for _, s := range o.States {
			if !s.Kind.InFlight() {
				continue
			}
			n, known := checkpoint.Count(s.Decoded).Known()
			if !known {
				return ""
			}
			raw += n
		}
	}
	if raw == 0 {
		return ""
	}
	return " stored, " + out.Bytes(raw) + " raw"
}

// inspectTables prints the head as fields and the rest as tables.
func (a *app) inspectTables(d *document.Inspect) error {
	info := d.Info()
	fields := [][2]string{
		{"path", d.Path}, {"kind", string(d.Kind)}, {"id", fmt.Sprint(info.ID)}, {"job", info.Job}, {"created", out.Time(info.Created)},
		{"status", string(d.Status)}, {"format", "version " + info.Version + ", written by " + info.Software},
		{"run", runOf(info)}, {"state", countOf(info.Entries) + " entries, " + bytesOf(info.Bytes)},
		{"in flight", countOf(info.InFlight.Records) + " records, " + bytesOf(info.InFlight.Bytes) + rawOf(d)},
		{"watermarks", span(info.Watermarks)},
	}
	if info.Finished {
		fields = append(fields, [2]string{"finished", "yes: the job had ended, a restore emits nothing"})
	}
	if err := out.Fields(a.stdout, fields...); err != nil {
		return err
	}
	tables := []*out.Table{a.operatorTable(d), a.stateTable(d), a.edgeTable(d), a.lossTable(d)}
	tables = append(tables, a.listTables(d)...)
	for _, f := range info.Notes {
		a.say("%s", f)
	}
	for _, t := range tables {
		if err := a.printTable(t); err != nil {
			return err
		}
	}
	return nil
}

// printTable writes a table below an empty line, and nothing if it has no rows.
func (a *app) printTable(t *out.Table) error {
	if t.Len() == 0 {
		return nil
	}
	if _, err := fmt.Fprintln(a.stdout); err != nil {
		return err
	}
	t.Wide = a.output == asWide
	return t.Write(a.stdout)
}

func runOf(info checkpoint.Info) string {
	text := "unknown"
	if info.Run > 0 {
		text = fmt.Sprint(info.Run)
	}
	if info.Lineage != "" {
		text += " of lineage " + info.Lineage
	}
	if info.Parent > 0 {
		text += fmt.Sprintf(", from checkpoint %d", info.Parent)
	}
	return text
}

// span writes the range of watermarks.
func span(w checkpoint.Watermarks) string {
	if w.Min == w.Max {
		return moment(w.Min)
	}
	return moment(w.Min) + " to " + moment(w.Max)
}

// moment writes an event time.
func moment(ms int64) string {
	switch {
	case ms == checkpoint.UnknownTime:
		return out.Unknown
	case ms == math.MaxInt64:
		return "end of input"
	}
	if t := time.UnixMilli(ms).UTC(); t.Year() >= 0 && t.Year() <= 9999 {
		return t.Format("2006-01-02T15:04:05.999Z")
	}
	return fmt.Sprintf("%d ms", ms)
}
