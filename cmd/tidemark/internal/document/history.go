package document

import (
	"math"

	"github.com/tidemark-io/tidemark/history"
)

// Schemas of history: of all attempts of a root, and of one attempt. The records
// that a root keeps are of the second, too. Names and units in them are those of
// Flink's REST documents.
const (
	HistorySchema = "tidemark.history/1"
	AttemptSchema = "tidemark.attempt/1"
)

// History lists the attempts that a root has a record of, oldest first.
type History struct {
	Schema   string          `json:"schema"`
	Root     string          `json:"root"`
	Counts   HistoryCounts   `json:"counts"`
	Summary  history.Summary `json:"summary"` // of those that were completed
	Latest   HistoryLatest   `json:"latest"`
	Attempts []HistoryLine   `json:"history"`
	Damaged  []DamagedRecord `json:"damaged"`
}

// HistoryCounts counts attempts. Records are of those that have ended, so how many
// are in progress is not known. Restored is how often the runs restored a checkpoint,
// as far as a record came after it; nil if records of earlier versions do not say.
type HistoryCounts struct {
	Total      int  `json:"total"`
	InProgress *int `json:"in_progress"`
	Completed  int  `json:"completed"`
	Failed     int  `json:"failed"`
	Restored   *int `json:"restored"`
}

// HistoryLatest are the newest of each kind.
type HistoryLatest struct {
	Completed *HistoryLine      `json:"completed"`
	Savepoint *HistoryLine      `json:"savepoint"`
	Failed    *HistoryLine      `json:"failed"`
	Restored  *history.Restored `json:"restored"` // by the newest attempt's tasks
}

// HistoryLine is an attempt without its tasks.
type HistoryLine struct{ *history.Attempt }

// DamagedRecord is a record that does not read.
type DamagedRecord struct {
	Path    string `json:"path"`
	Problem string `json:"problem"`
}

// NewHistory describes attempts, oldest first, which it keeps, without their
// tasks.
func NewHistory(root string, attempts []*history.Attempt, damaged []DamagedRecord) *History {
	d := &History{Schema: HistorySchema, Root: root, Summary: history.Summarise(attempts), Attempts: []HistoryLine{}, Damaged: []DamagedRecord{}}
	d.Damaged = append(d.Damaged, damaged...)
	d.Counts.Total = len(attempts)
	d.Counts.Restored = restores(attempts)
	for _, a := range attempts {
		a.Schema, a.Tasks = "", nil
		line := HistoryLine{a}
		d.Attempts = append(d.Attempts, line)
		d.Latest.Restored = a.Restored
		switch {
		case a.Status != history.Completed:
			d.Counts.Failed++
			d.Latest.Failed = &line
			continue
		case a.Savepoint:
			d.Latest.Savepoint = &line
		default:
			d.Latest.Completed = &line
		}
		d.Counts.Completed++
	}
	return d
}

// restores adds up what the newest record of each run says; nil if one does not.
func restores(attempts []*history.Attempt) *int {
	byRun := map[history.Count]int{}
	for _, a := range attempts {
		if a.Restored == nil {
			continue
		}
		if a.Restored.Number == nil {
			return nil
		}
		byRun[a.Run] = max(byRun[a.Run], int(min(*a.Restored.Number, math.MaxInt32)))
	}
	sum := 0
	for _, n := range byRun {
		sum += n
	}
	return &sum
}

// Attempt is one attempt with a summary of each task's subtasks.
type Attempt struct {
	history.Attempt
	Tasks []AttemptTask `json:"tasks"`
}

// AttemptTask is a task of it.
type AttemptTask struct {
	history.Task
	Summary  history.TaskSummary `json:"summary"`
	Subtasks *[]history.Subtask  `json:"subtasks,omitempty"` // only if wanted
}

// NewAttempt describes an attempt, with its subtasks if they are wanted.
func NewAttempt(a *history.Attempt, subtasks bool) *Attempt {
	d := &Attempt{Attempt: *a, Tasks: []AttemptTask{}}
	d.Schema = AttemptSchema
	for i := range a.Tasks {
		t := AttemptTask{Task: a.Tasks[i], Summary: a.Tasks[i].Summary()}
		if subtasks {
			list := append([]history.Subtask{}, t.Task.Subtasks...)
			t.Subtasks = &list
		}
		d.Tasks = append(d.Tasks, t)
	}
	return d
}
