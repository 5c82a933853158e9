package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/tidemark-io/tidemark/checkpoint"
	"github.com/tidemark-io/tidemark/checkpoint/layout"
	"github.com/tidemark-io/tidemark/cmd/tidemark/internal/document"
	"github.com/tidemark-io/tidemark/cmd/tidemark/internal/out"
	"github.com/tidemark-io/tidemark/cmd/tidemark/internal/place"
	"github.com/tidemark-io/tidemark/recovery"
)

// writing is how recently a checkpoint without a manifest must have changed to
// be taken for one that is being written.
const writing = 10 * time.Minute

func (a *app) doctor() *cobra.Command {
	var level string
	cmd := &cobra.Command{
		Use:   "doctor DIR",
		Short: "One page about a whole directory of checkpoints",
		Long: `One page about a directory of checkpoints: the newest intact one, damaged ones,
what is being written or was never committed, what is orphaned, sizes, and what
to do next, as commands. Nothing is changed.

Exit code 1 says that something is damaged, 4 that no checkpoint is intact.`,
		Example: "  tidemark doctor jobs/ck\n  tidemark doctor --level records jobs/ck",
		Args:    exactly(1, "one DIR"),
		RunE: func(cmd *cobra.Command, args []string) error {
			l, ok := checkpoint.ParseLevel(level)
			if !ok {
				return usage("--level %q is none of structure, refs, checksums, records", level)
			}
			return a.examine(cmd.Context(), args[0], l, time.Now())
		},
	}
	cmd.Flags().StringVar(&level, "level", checkpoint.LevelRefs.String(), "`level` of verify, refs if not given")
	cmd.Flags().Lookup("level").DefValue = ""
	a.pathFlag(cmd)
	return cmd
}

func (a *app) examine(ctx context.Context, path string, level checkpoint.Level, now time.Time) error {
	p, err := place.Open(ctx, path, a.flink)
	if err != nil {
		return err
	}
	defer p.Close()
	infos, err := p.All(ctx)
	if err != nil {
		return err
	}
	if len(infos) == 0 {
		return p.None(ctx)
	}
	d := &document.Doctor{Schema: document.DoctorSchema, Root: p.Root, Level: level.String(), Checkpoints: []document.DoctorLine{}, Next: []string{}}
	progress := a.watchBytes("doctor "+p.Root, 0)
	defer progress.Stop()
	changed := map[string]time.Time{}
	var started time.Time // the newest run
	for o, err := range p.Store().List(ctx, "") {
		if err != nil {
			return err
		}
		if n, ok := layout.ParseRun(o.Name); ok {
			if n >= d.Runs {
				d.Runs, started = n, o.Modified
			}
		}
		for i, c := range o.Name { // each folder above it
			if c == '/' && o.Modified.After(changed[o.Name[:i]]) {
				changed[o.Name[:i]] = o.Modified
			}
		}
	}
	for _, info := range infos {
		l := document.DoctorLine{Path: p.Show(info.Path), State: "intact"}
		l.Flink = info.Kind == checkpoint.KindFlinkCheckpoint || info.Kind == checkpoint.KindFlinkSavepoint
		switch info.Status {
		case checkpoint.Complete, checkpoint.Damaged:
			if err := a.examineOne(ctx, p, info, level, &l); err != nil {
				return err
			}
		case checkpoint.Incomplete:
			l.State = "never committed"
			// Nothing tells for certain. Whoever began before the newest run has
			// been replaced; and what did not change for long has been given up.
			if at := changed[info.Path]; now.Sub(at) < writing && !at.Before(started) {
				l.State, l.Problem = "being written", "perhaps: it changed less than 10 minutes ago"
			}
		default:
			l.State, l.Problem = "unreadable", document.Text(fmt.Sprint(info.Reason))
		}
		d.Checkpoints = append(d.Checkpoints, l)
	}
	usage, err := recovery.MeasureUsage(ctx, p.Store(), infos, p.Open)
	if err != nil {
		return err
	}
	d.Usage = document.NewDu(p.Root, usage, p.Show).Total
	progress.Stop()
	d.Advise()
	if err := a.reportDoctor(d); err != nil {
		return err
	}
	switch {
	case d.Intact == "":
		return codeError{code: exitNone}
	case d.Damaged > 0:
		return codeError{code: exitFound}
	}
	return nil
}

// examineOne verifies one checkpoint.
func (a *app) examineOne(ctx context.Context, p *place.Place, info checkpoint.Info, level checkpoint.Level, l *document.DoctorLine) error {
	c, err := p.Open(ctx, info.Path)
	if err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		l.State, l.Problem = "damaged", document.Text(err.Error())
		return nil
	}
	defer c.Close()
	for f, err := range recovery.Verify(ctx, c, recovery.Options{Level: level}) {
		if err != nil {
			return err
		}
		if f.Severity > checkpoint.Note {
			l.Findings++
		}
		if f.Severity > checkpoint.Note && l.State == "intact" {
			l.State = "damaged"
			f.Remedy = ""
			l.Problem = document.Text(f.String())
		}
	}
	return nil
}

var doctorColour = map[string]string{"intact": green, "damaged": red, "unreadable": red, "never committed": yellow, "being written": yellow}

func (a *app) reportDoctor(d *document.Doctor) error {
	switch a.output {
	case asJSON, asYAML:
		return a.document(d)
	case asLines:
		return out.JSONLine(a.stdout, d)
	}
	intact := string(d.Intact)
	if intact == "" {
		intact = "none"
	}
	runs := out.Unknown
	if d.Runs > 0 {
		runs = fmt.Sprintf("%d; an older run that still writes is fenced", d.Runs)
	}
	if err := out.Fields(a.stdout, [2]string{"root", d.Root}, [2]string{"newest intact", intact}, [2]string{"checked to level", d.Level},
		[2]string{"last run", runs}, [2]string{"stored", size(d.Usage.Stored)}, [2]string{"orphaned", size(d.Usage.Orphaned)}); err != nil {
		return err
	}
	t := table(path("PATH"), keep("STATE"), right("FINDINGS"), left("PROBLEM"))
	for _, l := range d.Checkpoints {
		t.Look(a.paint(doctorColour[l.State]), l.Path, l.State, fmt.Sprint(l.Findings), dash(l.Problem))
	}
	if err := a.printTable(t); err != nil {
		return err
	}
	fmt.Fprintln(a.stdout, "\nWhat to do next:")
	for _, line := range d.Next {
		if _, err := fmt.Fprintln(a.stdout, "  "+out.Escape(line)); err != nil {
			return err
		}
	}
	return nil
}
