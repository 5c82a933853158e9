package native

import (
	"math"
	"slices"

	"github.com/tidemark-io/tidemark/format"
	"github.com/tidemark-io/tidemark/keygroup"
	"github.com/tidemark-io/tidemark/rescale"
	"github.com/tidemark-io/tidemark/writer"
)

// everything is the interval of slices that are not in hash order.
var everything = keygroup.All()

// writeLists writes the split lists that are split differently, or lose items.
func (j *job) writeLists() error {
	for row, st := range j.src.states {
		if j.fates[row] != anew || st.Kind != format.KindSplitList {
			continue
		}
		_, next := j.layoutOf(st.Operator)
		plan, _ := rescale.Split(j.src.counts(row), next.Parallelism, j.splitStart(row))
		for subtask, runs := range plan {
			if len(runs) == 0 {
				continue
			}
			err := j.write(j.states[row], uint32(subtask), func(sl *writer.Slice) error {
				for _, run := range runs {
					if err := j.copyItems(sl, row, run); err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// splitStart is where the odd items of a split list begin: it rotates over the
// operator's split lists in the order of their names, as at a restore.
func (j *job) splitStart(row int) int {
	me := j.src.states[row]
	_, next := j.layoutOf(me.Operator)
	var before []int
	for other, st := range j.src.states {
		if st.Operator == me.Operator && st.Kind == format.KindSplitList && st.Name < me.Name && j.fates[other] != dropped {
			before = append(before, other)
		}
	}
	slices.SortFunc(before, func(a, b int) int {
		if j.src.states[a].Name < j.src.states[b].Name {
			return -1
		}
		return 1
	})
	start := 0
	for _, other := range before {
		_, start = rescale.Split(j.src.counts(other), next.Parallelism, start)
	}
	return start
}

// copyItems writes a run of the items that one subtask wrote.
func (j *job) copyItems(sl *writer.Slice, row int, run rescale.Run) error {
	skip, left := run.First, run.Count
	mine := func(s format.Slice) bool { return int(s.Subtask) == run.Old }
	for item, err := range j.src.ItemsIn(j.ctx, row, format.KindSplitList, mine) {
		if err != nil {
			return err
		}
		if skip > 0 {
			skip--
			continue
		}
		if left == 0 {
			return nil
		}
		left--
		value, err := j.reference(j.src.states[row].Operator, item.Row.Value)
		if err != nil {
			return err
		}
		if value == nil {
			continue
		}
		if err := sl.Item(value); err != nil {
			return err
		}
	}
	return nil
}

// writeTimes writes the watermarks by subtask of operators with another
// parallelism: what each new subtask would repeat if the job were restored from
// the source at that parallelism. What it had heard itself it learns anew; with
// keys it has its floors.
func (j *job) writeTimes() error {
	for row, st := range j.src.states {
		if j.fates[row] != anew || st.Kind != format.KindSubtaskWatermark {
			continue
		}
		var rows []format.SubtaskWatermark
		for w, err := range j.src.SubtaskWatermarks(j.ctx, j.src.operators[st.Operator].UID) {
			if err != nil {
				return err
			}
			rows = append(rows, w.Row)
		}
		emitted, status := repeated(rows)
		_, next := j.layoutOf(st.Operator)
		err := j.write(j.states[row], 0, func(sl *writer.Slice) error {
			for i := range next.Parallelism {
				if err := sl.SubtaskWatermark(format.SubtaskWatermark{Subtask: uint32(i), Current: format.Unknown, Emitted: emitted,
					Drain: format.Unknown, Status: status}); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// endOfTime is the watermark of a subtask that was at its end.
const endOfTime = math.MaxInt64

// repeated is the watermark and the status that all subtasks together repeat: a
// subtask that was at its end holds nothing back, but only all of them together
// make an end.
func repeated(rows []format.SubtaskWatermark) (emitted int64, status format.Status) {
	low, active, ended := int64(endOfTime), false, len(rows) > 0
	for _, row := range rows {
		if row.Emitted == endOfTime {
			continue
		}
		ended = false
		if row.Status == format.StatusActive {
			low, active = min(low, row.Emitted), true
		}
	}
	if !active && !ended {
		return format.Unknown, format.StatusIdle
	}
	return low, format.StatusActive
}
