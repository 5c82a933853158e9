package runtime

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/tidemark-io/tidemark/checkpoint/layout"
	"github.com/tidemark-io/tidemark/format"
	"github.com/tidemark-io/tidemark/reader"
	"github.com/tidemark-io/tidemark/store"
)

// history is what a root says of its runs and their checkpoints.
type history struct {
	newest uint64      // number of the newest run, begun or not
	runs   []runRecord // that have begun, ascending
	points []point     // committed checkpoints and savepoints, ascending by id
}

// point is a committed checkpoint or savepoint.
type point struct {
	restorePoint
	savepoint bool   // a plain one: a run that ended with it continues there
	run       uint64 // that wrote it; 0 if its manifest cannot be read
	lineage   string // "" likewise
}

// loadHistory reads the records of all runs and the summaries of all
// checkpoints. A checkpoint that cannot be read counts, so that damage to the
// newest is noticed and not passed over.
func loadHistory(ctx context.Context, st store.Store) (*history, error) {
	h := &history{}
	for info, err := range st.List(ctx, layout.Runs+"/") {
		if err != nil {
			return nil, fmt.Errorf("listing runs: %w", err)
		}
		if n, ok := layout.ParseRun(info.Name); ok {
			h.newest = max(h.newest, n)
		} else if _, ok := layout.ParseRun(strings.TrimSuffix(info.Name, begunSuffix)); ok {
			rec, err := readRun(ctx, st, info.Name)
			if err != nil {
				return nil, err
			}
			h.runs = append(h.runs, *rec)
		}
	}
	slices.SortFunc(h.runs, func(a, b runRecord) int { return compare(a.Run, b.Run) })
	dirs, err := reader.Dirs(ctx, st, "")
	if err != nil {
		return nil, err
	}
	for _, d := range dirs {
		if !d.Manifest {
			continue
		}
		p := point{restorePoint: restorePoint{id: d.ID, path: d.Path}, savepoint: d.Savepoint}
		if ck, err := reader.Open(ctx, st, d.Path); err == nil {
			s := ck.Summary()
			// A savepoint that a tool made has the id of the snapshot that it was
			// made of: that is what output and the line of checkpoints go by.
			p.id, p.run, p.lineage = s.ID, s.Run, s.Lineage
			p.savepoint = d.Savepoint && s.Ending == format.WentOn
			if err := ck.Close(); err != nil {
				return nil, err
			}
		} else if err := ctx.Err(); err != nil {
			return nil, context.Cause(ctx)
		}
		h.points = append(h.points, p)
	}
	return h, nil
}

func compare(a, b uint64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	default:
		return 0
	}
}

// last is the record of the newest run that has begun, nil if there is none.
func (h *history) last() *runRecord {
	if len(h.runs) == 0 {
		return nil
	}
	return &h.runs[len(h.runs)-1]
}

// latest is the line of checkpoints that the newest run continues, oldest
// first. Without records of runs (a root that was put together by hand) it is
// all checkpoints.
func (h *history) latest() []point {
	if last := h.last(); last != nil {
		return h.line(*last)
	}
	return slices.DeleteFunc(slices.Clone(h.points), func(p point) bool { return p.savepoint })
}

// line is the line of checkpoints that leads to where a run stands, oldest
// first: its own, the one it was restored from, those before it of the run that
// wrote that one, and so on. What a run wrote after a later run had taken over
// from an earlier checkpoint is not part of it.
func (h *history) line(rec runRecord) []point {
	var line []point
	for below := uint64(math.MaxUint64); ; {
		for _, p := range slices.Backward(h.points) {
			if !p.savepoint && p.id < below && h.owner(p) == rec.Run {
				line = append(line, p)
			}
		}
		from, ok := h.at(rec.Restored)
		if rec.External || !ok {
			break
		}
		line = append(line, from)
		below = from.id
		next := slices.IndexFunc(h.runs, func(r runRecord) bool { return r.Run == h.owner(from) })
		if next < 0 || h.runs[next].Run >= rec.Run {
			break
		}
		rec = h.runs[next]
	}
	slices.Reverse(line)
	return line
}

// at is the point of a path.
func (h *history) at(path string) (point, bool) {
	i := slices.IndexFunc(h.points, func(p point) bool { return p.path == path })
	if i < 0 {
		return point{}, false
	}
	return h.points[i], true
}

// owner is the run that wrote a checkpoint. If it cannot be read it is the
// newest that may have used the id.
func (h *history) owner(p point) uint64 {
	if p.run != 0 {
		return p.run
	}
	for _, r := range slices.Backward(h.runs) {
		if r.First <= p.id {
			return r.Run
		}
	}
	return 0
}

// lineages are those of all runs and checkpoints, each once.
func (h *history) lineages() []string {
	var list []string
	for _, r := range h.runs {
		list = append(list, r.Lineage)
	}
	for _, p := range h.points {
		if p.lineage != "" {
			list = append(list, p.lineage)
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}
