package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/tidemark-io/tidemark/checkpoint"
	"github.com/tidemark-io/tidemark/cmd/tidemark/internal/document"
	"github.com/tidemark-io/tidemark/cmd/tidemark/internal/out"
	"github.com/tidemark-io/tidemark/cmd/tidemark/internal/place"
	"github.com/tidemark-io/tidemark/engine/config"
	"github.com/tidemark-io/tidemark/recovery"
)

func (a *app) gc() *cobra.Command {
	var apply, dry bool
	var age string
	cmd := &cobra.Command{
		Use:   "gc ROOT",
		Short: "Find, and with --apply delete, what no checkpoint uses",
		Long: `Find, and with --apply delete, the objects below ROOT that no checkpoint uses:
in the folder shared, in directories that were never committed, and strays in
those of checkpoints. Without --apply nothing is changed.

Jobs may run meanwhile. An object stays if it is younger than --min-age, which
is never below twice the longest checkpoint timeout found, or not older than
the newest run on the root: that run may be about to use it. If one checkpoint
does not read nothing is deleted (exit code 6), since it may use anything.

In folders of Flink jobs only files go that Flink has named (by a random UUID),
from shared and from chk-N, never from taskowned or a savepoint. Flink does not
store its checkpoint timeout: keep --min-age above twice that. Name a ROOT that
has all jobs whose checkpoints may use each other's files: a job restored from a
checkpoint without claiming it goes on using the files of the other job.`,
		Example: "  tidemark gc jobs/ck\n  tidemark gc --apply --min-age 48h jobs/ck",
		Args:    exactly(1, "one ROOT"),
		RunE: func(cmd *cobra.Command, args []string) error {
			d, err := config.ParseDuration(age)
			if err != nil || d <= 0 {
				return usage("--min-age %q is not a duration above 0, such as 24h", age)
			}
			return a.collect(cmd.Context(), args[0], apply && !dry, d)
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.BoolVar(&apply, "apply", false, "delete what was found")
	flags.BoolVarP(&dry, "dry-run", "n", false, "delete nothing, in spite of --apply")
	flags.StringVar(&age, "min-age", "24h", "how old an object must be")
	a.flinkFlags(cmd)
	return cmd
}

func (a *app) collect(ctx context.Context, path string, apply bool, age time.Duration) error {
	p, err := place.Open(ctx, path, a.flink)
	if err != nil {
		return err
	}
	defer p.Close()
	if p.Path != "" {
		return usage("%s is a checkpoint: name the root, %s, since what is not used is known from all of them", path, p.Root)
	}
	g, err := recovery.GC(ctx, p.Store(), recovery.GCOptions{List: p.All, Open: p.Open, Apply: apply, MinAge: age, ParseTimeout: config.ParseDuration})
	if err != nil {
		if g.Deleted > 0 {
			a.say("%d objects were deleted before that", g.Deleted)
		}
		if errors.Is(err, recovery.ErrUncertain) {
			// The damage itself would be another code.
			return codeError{code: exitRefused, err: fmt.Errorf("%w\n  try: tidemark verify %s", err, out.Word(path))}
		}
		if errors.Is(err, recovery.ErrBeyond) {
			return codeError{code: exitRefused, err: fmt.Errorf("%s: %w\n  try: tidemark gc on each root that \"tidemark ls -r %s\" shows", path, err, out.Word(path))}
		}
		if errors.Is(err, checkpoint.ErrNone) {
			return p.None(ctx)
		}
		return fmt.Errorf("%s: %w", path, err)
	}
	if g.MinAge > age {
		a.say("--min-age is raised to %v, twice the longest checkpoint timeout", g.MinAge)
	}
	d := document.NewGC(p.Root, apply, g, p.Show)
	switch a.output {
	case asJSON, asYAML:
		return a.document(d)
	case asLines:
		if err := out.JSONLine(a.stdout, map[string]any{"schema": d.Schema, "row": "total", "root": d.Root, "applied": d.Applied, "minAgeSeconds": d.MinAge,
			"bytes": d.Bytes, "deleted": d.Deleted, "young": d.Young, "newestRun": d.Newest}); err != nil {
			return err
		}
		return lines(a, "object", listed(d.Objects))()
	}
	again := out.Word(path)
	if age != defaultAge {
		again = "--min-age " + age.String() + " " + again
	}
	for i := len(a.flink.Paths) - 1; i >= 0; i-- {
		again = "--path " + out.Word(a.flink.Paths[i]) + " " + again
	}
	return a.gcTables(d, again)
}

// defaultAge is how old an object must be unless --min-age says otherwise.
const defaultAge = 24 * time.Hour

// gcTables prints the result. again are the arguments with which --apply finds
// the same.
func (a *app) gcTables(d *document.GC, again string) error {
	t := table(path("OBJECT"), right("BYTES"), keep("MODIFIED (UTC)"))
	for _, o := range d.Objects {
		t.Row(o.Path, size(o.Bytes), out.Short(o.Modified.Time()))
	}
	if err := a.printTable(t); err != nil {
		return err
	}
	fields := [][2]string{{"root", d.Root}, {"unused", fmt.Sprintf("%s in %d objects", size(d.Bytes), len(d.Objects))}}
	if d.Applied {
		fields = append(fields, [2]string{"deleted", fmt.Sprint(d.Deleted)})
	}
	if d.Young > 0 {
		fields = append(fields, [2]string{"too young", fmt.Sprint(d.Young)})
	}
	if d.Newest > 0 {
		fields = append(fields, [2]string{"of the newest run", fmt.Sprint(d.Newest)})
	}
	if err := out.Fields(a.stdout, fields...); err != nil {
		return err
	}
	if !d.Applied && len(d.Objects) > 0 {
		a.say("nothing was deleted; try: tidemark gc --apply %s", again)
	}
	return nil
}
