package cli

import (
	"context"
	"errors"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tidemark-io/tidemark/checkpoint"
	"github.com/tidemark-io/tidemark/cmd/tidemark/internal/out"
	"github.com/tidemark-io/tidemark/cmd/tidemark/internal/place"
)

// opened is a checkpoint and the place that it lies in. It does not embed the
// checkpoint, which would hide its abilities.
type opened struct {
	c     checkpoint.Checkpoint
	place *place.Place
	below string // path of the checkpoint below the place's root
	shown string // path that leads to it from here
}

// Close closes both.
func (o *opened) Close() error { return errors.Join(o.c.Close(), o.place.Close()) }

// flinkFlags gives a command the flags about checkpoints of Flink: names of
// operators and places of files.
func (a *app) flinkFlags(cmd *cobra.Command) {
	a.pathFlag(cmd)
	cmd.Flags().StringArrayVar(&a.flink.UIDs, "uid", nil, "show a Flink operator by its `uid`, not hash")
}

// pathFlag gives a command the flag for places of Flink's files.
func (a *app) pathFlag(cmd *cobra.Command) {
	cmd.Flags().StringArrayVar(&a.flink.Paths, "path", nil, "`old=new`: where files of a URI are (Flink)")
}

// openNewest opens the checkpoint that a path means, the newest complete one if
// it is a root, and says which that is. The caller closes it.
func (a *app) openNewest(ctx context.Context, path string) (*opened, error) {
	p, err := place.Open(ctx, path, a.flink)
	if err != nil {
		return nil, err
	}
	below, skipped, err := p.Newest(ctx)
	if err != nil {
		return nil, errors.Join(err, p.Close())
	}
	if p.Path == "" {
		a.say("%s is the newest complete checkpoint", p.Show(below))
	}
	if skipped > 0 {
		a.say("%d newer one(s) are not complete; \"tidemark ls %s\" shows them", skipped, out.Word(path))
	}
	c, err := p.Open(ctx, below)
	if err != nil {
		return nil, errors.Join(err, p.Close())
	}
	return &opened{c: c, place: p, below: below, shown: p.Show(below)}, nil
}

// completeSelector completes a path with files, and behind it a selector with
// the operators and the states of that checkpoint.
func (a *app) completeSelector(cmd *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective) {
	if len(args) == 0 {
		return nil, cobra.ShellCompDirectiveFilterDirs
	}
	a.quiet = true
	o, err := a.openNewest(cmd.Context(), args[0])
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	defer o.Close()
	return selectorsOf(cmd.Context(), o.c, toComplete), cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
}

// selectorsOf lists the selectors that begin with a text.
func selectorsOf(ctx context.Context, c checkpoint.Checkpoint, begin string) []string {
	seen := map[string]bool{}
	var all []string
	add := func(s checkpoint.Selector) {
		if text := s.String(); text != "" && strings.HasPrefix(text, begin) && !seen[text] {
			seen[text] = true
			all = append(all, text)
		}
	}
	for o, err := range c.Operators(ctx) {
		if err != nil {
			return all
		}
		add(checkpoint.Selector{Operator: o.UID})
	}
	for s, err := range c.States(ctx) {
		if err != nil {
			return all
		}
		if s.Name != "" {
			add(checkpoint.Selector{Operator: s.Operator, State: s.Name})
			add(checkpoint.Selector{State: s.Name})
		}
		add(checkpoint.Selector{Operator: s.Operator, Kind: s.Kind})
		add(checkpoint.Selector{Kind: s.Kind})
	}
	return all
}
