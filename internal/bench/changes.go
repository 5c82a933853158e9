package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// The rows that measure the commands which make a checkpoint of another. What
// they are compared with is `cp -r` and `sync` of the same files; the sync is
// that of the copied files, as the commands do it for theirs. A result in the
// root of the source links its data objects, one in another root copies them.

const (
	// changeRounds is how often at most the copies are made: each writes as much
	// as the whole source.
	changeRounds = 5
	// linkRuns is how often in each round a checkpoint is made by links, which
	// takes milliseconds.
	linkRuns = 5
	// stillItems is the length of each list in a subtask of the checkpoints that
	// rescale by reference is measured with, as of a source with 1,000 splits. It
	// is the same at each size: what is in lists is dealt anew and written again,
	// and does not become more when keyed state does.
	stillItems = 256
	// rescaled is the parallelism that is asked for; the sample has another one.
	rescaled = "7"
)

// change is one command line; the destination comes after its last argument.
type change struct {
	name   string // in the table
	args   []string
	copies bool
}

// changes are the measurements of one row.
type changes struct {
	b       *bench
	command string
	other   string // a root of its own, where nothing can be linked to
	roots   []string
}

// begin builds the command and makes the other root; the caller calls end.
func (b *bench) begin(ctx context.Context) (*changes, error) {
	command, err := b.tidemark(ctx)
	if err != nil {
		return nil, err
	}
	c := &changes{b: b, command: command, other: b.fresh()}
	c.roots = []string{c.other}
	return c, os.MkdirAll(c.other, 0o700)
}

func (c *changes) end() {
	for _, root := range c.roots {
		os.RemoveAll(root)
	}
}

// source writes a sample into a root of its own and returns its path.
func (c *changes) source(ctx context.Context, p params) (string, error) {
	p.Task, p.Dir, p.Codec = "sample", c.b.fresh(), "none"
	c.roots = append(c.roots, p.Dir)
	fmt.Fprintf(c.b.progress, "change: write %d MiB of state\n", p.Bytes>>20)
	_, err := c.b.once(ctx, p)
	return filepath.Join(p.Dir, "chk-1"), err
}

// run measures one command and removes what it has made.
func (c *changes) run(ctx context.Context, what change, source string) (ran, error) {
	dst := filepath.Join(filepath.Dir(source), "result")
	if what.copies {
		dst = filepath.Join(c.other, "result")
	}
	r, err := execute(ctx, c.command, append(slices.Clone(what.args), source, dst)...)
	if err != nil {
		return ran{}, err
	}
	return r, os.RemoveAll(dst)
}

// settle waits until the file system has done what it still has to do about
// files made and removed before, so that it is not counted for what comes next.
func (b *bench) settle(ctx context.Context) error {
	if !b.settled {
		return nil
	}
	_, err := execute(ctx, "sync")
	return err
}

// series are the figures of one kind of run.
type series struct{ wall, peak []float64 }

func (s *series) add(r ran) { s.wall, s.peak = append(s.wall, r.wall), append(s.peak, r.peak) }

// rounds measures the copies in each round, in alternating order, and with them
// cp -r and sync; the figures of that are the last. Each round begins with before,
// on a file system at rest.
func (c *changes) rounds(ctx context.Context, source string, list []change, before func() error) ([]series, error) {
	all := make([]series, len(list)+1)
	for round := range min(c.b.pairs, changeRounds) {
		fmt.Fprintf(c.b.progress, "change: %d of %d\n", round+1, min(c.b.pairs, changeRounds))
		if err := c.b.settle(ctx); err != nil {
			return nil, err
		}
		if err := before(); err != nil {
			return nil, err
		}
		for i := range all {
			if round%2 == 1 {
				i = len(list) - i
			}
			if err := c.b.settle(ctx); err != nil {
				return nil, err
			}
			var r ran
			var err error
			if i == len(list) {
				r.wall, err = copyAndSync(ctx, source, filepath.Join(c.other, "plain"))
			} else {
				r, err = c.run(ctx, list[i], source)
			}
			if err != nil {
				return nil, err
			}
			all[i].add(r)
		}
	}
	return all, nil
}

// rescaleRow measures rescale and cp of state without data in flight, and
// compares rescale by reference at two sizes: key groups are in proportion to
// the size, so that each group has equally many blocks.
func rescaleRow(ctx context.Context, b *bench) ([]result, error) {
	c, err := b.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer c.end()
	small, large, size := b.size.compared[0], b.size.compared[1], b.size.tools
	keyGroups := map[int64]int{size: groups, small: groups, large: int(groups * large / small)}
	sources, linked := map[int64]string{}, map[int64]*series{}
	order := slices.Sorted(maps.Keys(keyGroups))
	for _, n := range order {
		if sources[n], err = c.source(ctx, params{Bytes: n, Groups: keyGroups[n], Still: true, Items: stillItems}); err != nil {
			return nil, err
		}
		linked[n] = &series{}
	}
	byReference := change{args: []string{"rescale", "--parallelism", rescaled}}
	var first []float64 // ms by reference of what is copied, the median of each round
	links := func() error {
		for range linkRuns {
			for _, n := range order {
				r, err := c.run(ctx, byReference, sources[n])
				if err != nil {
					return err
				}
				linked[n].add(r)
			}
			slices.Reverse(order) // pairs in alternating order
		}
		of := linked[size].wall
		first = append(first, estimateOf(of[len(of)-linkRuns:]).median)
		return nil
	}
	copies := []change{{args: byReference.args, copies: true}, {args: []string{"cp", "--external-files", "keep"}, copies: true}}
	copied, err := c.rounds(ctx, sources[size], copies, links)
	if err != nil {
		return nil, err
	}
	plain := copied[len(copies)].wall
	return []result{
		atMost("rescale by reference : cp -r + sync", 0.01, ratios(first, plain), 1),
		atMost(fmt.Sprintf("  %s : %s, equal blocks/group", sizeText(large), sizeText(small)), 1.2, ratios(linked[large].wall, linked[small].wall), 1),
		atMost("rescale with copying : cp -r + sync", 1.2, ratios(copied[0].wall, plain), 1),
		atMost("cp : cp -r + sync", 1.2, ratios(copied[1].wall, plain), 1),
		shown("  rescale by reference, "+sizeText(small)+", ms", linked[small].wall, 1),
		shown("  rescale by reference, "+sizeText(large)+", ms", linked[large].wall, 1),
		shown("  rescale with copying, ms", copied[0].wall, 1),
		shown("  cp, ms", copied[1].wall, 1),
		shown("  cp -r + sync, ms", plain, 1),
		atMost("  peak of rescale by reference, MiB", 256, linked[large].peak, 1.0/(1<<20)),
		atMost("  peak of rescale with copying, MiB", 256, copied[0].peak, 1.0/(1<<20)),
		atMost("  peak of cp, MiB", 256, copied[1].peak, 1.0/(1<<20)),
	}, nil
}

// editRow measures the other commands, on a checkpoint with data in flight and
// without damage; no goal is set for them.
func editRow(ctx context.Context, b *bench) ([]result, error) {
	c, err := b.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer c.end()
	source, err := c.source(ctx, params{Bytes: b.size.tools})
	if err != nil {
		return nil, err
	}
	var list []change
	for _, what := range []change{
		{name: "rescale", args: []string{"rescale", "--parallelism", rescaled}},
		{name: "strip", args: []string{"strip", "--in-flight", "all"}},
		{name: "remap", args: []string{"remap", "--uid", sampleUID + "=customer"}},
		{name: "salvage", args: []string{"salvage", "--apply"}},
	} {
		linked := what
		linked.name += " by reference"
		what.name, what.copies = what.name+" with copying", true
		list = append(list, linked, what)
	}
	found, err := c.rounds(ctx, source, list, func() error { return nil })
	if err != nil {
		return nil, err
	}
	plain := found[len(list)].wall
	results := []result{shown("with data in flight, cp -r + sync, ms", plain, 1)}
	for i, what := range list {
		results = append(results, shown("  "+what.name+", ms", found[i].wall, 1),
			shown("    : cp -r + sync", ratios(found[i].wall, plain), 1))
	}
	return results, nil
}

// copyAndSync copies a directory with cp, makes the copy durable and removes it.
// It returns the ms of copying and syncing.
func copyAndSync(ctx context.Context, from, to string) (float64, error) {
	began := time.Now()
	if _, err := execute(ctx, "cp", "-r", from, to); err != nil {
		return 0, err
	}
	files, err := filepath.Glob(filepath.Join(to, "*"))
	if err != nil {
		return 0, err
	}
	if _, err := execute(ctx, "sync", append(files, to)...); err != nil {
		return 0, err
	}
	took := time.Since(began)
	return took.Seconds() * 1e3, os.RemoveAll(to)
}
