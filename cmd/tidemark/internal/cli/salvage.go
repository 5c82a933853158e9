package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/tidemark-io/tidemark/checkpoint"
	"github.com/tidemark-io/tidemark/cmd/tidemark/internal/document"
	"github.com/tidemark-io/tidemark/cmd/tidemark/internal/out"
	"github.com/tidemark-io/tidemark/cmd/tidemark/internal/place"
	"github.com/tidemark-io/tidemark/recovery"
)

// salvager is one call of salvage.
type salvager struct {
	*app
	act    bool
	repair bool
	older  string
}

func (a *app) salvage() *cobra.Command {
	s := &salvager{app: a}
	var dry bool
	cmd := &cobra.Command{
		Use:   "salvage SRC DST",
		Short: "Make a checkpoint of all that reads of a damaged one",
		Long: `Make a checkpoint of everything that reads of a damaged one. Without --apply say
only what would be lost, after reading all of it. SRC is never changed.

A damaged block costs only its entries, a damaged buffer in flight only the
records that touch it. Objects that lie under each other's names are found. A
lost manifest is replaced by its copy; if both are lost, by what the data
objects say of themselves, as far as they are of one writer and do not
contradict each other. What reads but belongs to no operator for certain
(pieces of records in flight, entries of foreign objects) goes to
DST/lost-and-found.jsonl.

--older fills holes of keyed state and timers from an older checkpoint of the
job: these keys are then as of the older checkpoint, and what happened to them
since is lost. Without it they are gone, as if never seen.

--repair-bits turns a bit back where that alone explains why a block has not its
checksum, and names it. Every error of one bit is repaired so; but damage to
more bits can look like one (of random damage one block in 8,000 at least), and
then a wrong value may pass all other checks. So the result counts as one with
losses even if nothing is lost.

Of Flink's checkpoints the records in flight, list elements, entries and key
groups are kept that still frame and decode. Flink has checksums only in tables
of RocksDB and in compressed state: elsewhere a changed byte that still decodes
is kept as it is. Keyed state of an operator with damage is written as in a
canonical savepoint, all else stays as it is. Without _metadata nothing can be
rebuilt, and neither --older nor --repair-bits can be used there.

DST must not exist. The result is a savepoint of the same snapshot: call it
savepoint-N or anything else but chk-N; a job goes on from it with "tidemark
run JOB --restore DST". What was lost is printed, and stands in the result:
"tidemark inspect DST" shows it.

Exit codes: 0 if nothing was lost, 1 for a plan with losses, 3 with --apply for
a result with losses.`,
		Example: "  tidemark salvage jobs/ck/chk-7 jobs/ck/savepoint-8\n" +
			"  tidemark salvage jobs/ck/chk-7 jobs/ck/savepoint-8 --apply\n" +
			"  tidemark salvage --older jobs/ck/chk-6 jobs/ck/chk-7 rescued --apply",
		Args: exactly(2, "SRC and DST"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if s.act && dry {
				return usage("--apply and --dry-run exclude each other")
			}
			return s.run(cmd.Context(), args[0], args[1])
		},
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.BoolVar(&s.act, "apply", false, "write DST, not only a plan")
	f.StringVar(&s.older, "older", "", "fill holes of keyed state from the checkpoint at `PATH`")
	f.BoolVar(&s.repair, "repair-bits", false, "turn single flipped bits back")
	f.BoolVarP(&dry, "dry-run", "n", false, "say what would be done, as without --apply")
	s.flinkFlags(cmd)
	return cmd
}

// run opens both ends, and the older checkpoint, and salvages.
func (s *salvager) run(ctx context.Context, src, dst string) (err error) {
	p, err := place.Open(ctx, src, s.flink)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.Close()) }()
	if p.Path == "" {
		return usage("%s is a root: name one of the checkpoints that \"tidemark ls %s\" lists", src, out.Word(src))
	}
	c, err := p.OpenDamaged(ctx, p.Path)
	if errors.Is(err, checkpoint.ErrDamaged) {
		return fmt.Errorf("%w\n  try: tidemark ls %s", err, out.Word(p.Root))
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	var older checkpoint.Checkpoint
	if s.older != "" {
		o, err := s.openNewest(ctx, s.older)
		if err != nil {
			return fmt.Errorf("--older: %w", err)
		}
		defer o.Close()
		older = o.c
	}
	to, err := p.Destination(ctx, p.Path, dst)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, to.Close()) }()
	bar := s.watchBytes("salvage "+p.Show(p.Path), 0)
	defer bar.Stop()
	options := checkpoint.Salvage{Older: older, LostAndFound: recovery.LostAndFound, RepairBits: s.repair}
	r, err := recovery.SalvageWith(ctx, c, options, recovery.Target{Format: to.Format, Path: to.Path, DryRun: !s.act,
		Software: "tidemark " + newVersion().Version + " salvage", Progress: follow(bar)})
	bar.Stop()
	if err != nil {
		return err
	}
	d := document.NewSalvage(p.Show(p.Path), to.Shown, s.act, r)
	for i, name := range d.Damaged {
		d.Damaged[i] = p.Show(name)
	}
	for i := range d.Repaired {
		d.Repaired[i].Object = p.Show(d.Repaired[i].Object)
	}
	if err := s.print(&d); err != nil {
		return err
	}
	switch {
	case len(d.Losses) == 0:
		return nil
	case s.act:
		s.say("the result is partial; \"tidemark inspect %s\" shows what is lost", out.Word(to.Shown))
		return codeError{code: exitPartial}
	default:
		return codeError{code: exitFound}
	}
}

// print prints the result.
func (s *salvager) print(d *document.Salvage) error {
	switch s.output {
	case asJSON, asYAML:
		return s.document(*d)
	case asLines:
		return out.JSONLine(s.stdout, d)
	}
	fields := [][2]string{{"source", d.Source}, {"destination", d.Destination}}
	fields = append(fields, volumeFields(d.Result.Linked, d.Result.Copied, d.Result.Rewritten)...)
	if d.Rebuilt {
		fields = append(fields, [2]string{"manifest", "lost; put together from the data objects"})
	}
	if d.LostAndFound > 0 {
		fields = append(fields, [2]string{"lost and found", fmt.Sprintf("%d pieces: %s", uint64(d.LostAndFound), place.Join(d.Destination, recovery.LostAndFound))})
	}
	if len(d.Losses) == 0 {
		fields = append(fields, [2]string{"lost", "nothing"})
	}
	if !d.Applied {
		fields = append(fields, [2]string{"plan", "nothing was written; --apply does it"})
	}
	if err := out.Fields(s.stdout, fields...); err != nil {
		return err
	}
	damaged, moved := table(path("DAMAGED")), table(path("FOUND UNDER ANOTHER NAME"))
	for _, name := range d.Damaged {
		damaged.Row(name)
	}
	for _, name := range d.Moved {
		moved.Row(name)
	}
	filled := table(left("FILLED"), left("STATE"), right("ENTRIES"), left("AS OF"))
	for _, f := range d.Filled {
		filled.Row(f.Operator, f.State, fmt.Sprint(uint64(f.Entries)), fmt.Sprintf("%s, id %d", f.Older, uint64(f.ID)))
	}
	repaired := table(path("REPAIRED BY ONE BIT"), right("BYTE"), right("BIT"))
	for _, r := range d.Repaired {
		repaired.Row(r.Object, fmt.Sprint(uint64(r.Offset)), fmt.Sprint(r.Bit))
	}
	channels := &document.Change{Channels: d.Channels}
	for _, t := range []*out.Table{damaged, moved, filled, repaired, channelTable(channels), s.lossTable(&document.Inspect{Losses: d.Losses})} {
		if err := s.printTable(t); err != nil {
			return err
		}
	}
	for i := range d.Losses {
		l := d.Losses[i]
		if _, err := fmt.Fprintln(s.stdout); err != nil {
			return err
		}
		if err := s.explain(&l); err != nil {
			return err
		}
	}
	return nil
}

// explain prints why something is lost in full, which no column of a table can
// hold.
func (s *salvager) explain(l *document.Loss) error {
	line := ""
	for _, word := range strings.Fields(out.Escape(cmp.Or(string(l.Place), string(l.Edge), "checkpoint") + ": " + l.Reason)) {
		if line != "" && utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > textWidth {
			if _, err := fmt.Fprintln(s.stdout, line); err != nil {
				return err
			}
			line = " "
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	_, err := fmt.Fprintln(s.stdout, line)
	return err
}

// textWidth is the width of running text, in columns.
const textWidth = 79
