package document

import (
	"testing"

	"github.com/tidemark-io/tidemark/history"
)

// TestHistoryCounts: restores are those of each run's newest record, which may be a
// restart's; a record that does not say how many makes the sum unknown.
func TestHistoryCounts(t *testing.T) {
	attempt := func(run history.Count, status history.Status, restores history.Count) *history.Attempt {
		a := &history.Attempt{Run: run, Status: status}
		if restores > 0 {
			a.Restored = &history.Restored{ID: 7, Number: &restores}
		}
		return a
	}
	list := []*history.Attempt{
		attempt(1, history.Completed, 0), attempt(1, history.Failed, 1), attempt(1, history.Completed, 3),
		attempt(2, history.Completed, 1), attempt(3, history.Failed, 1), attempt(3, history.Failed, 2),
	}
	c := NewHistory("root", list, nil).Counts
	if c.Total != 6 || c.Completed != 3 || c.Failed != 3 || c.Restored == nil || *c.Restored != 3+1+2 || c.InProgress != nil {
		t.Errorf("%+v", c)
	}
	if c := NewHistory("root", nil, nil).Counts; c.Restored == nil || *c.Restored != 0 {
		t.Errorf("of nothing: %+v", c)
	}
	list[1].Restored.Number = nil // written by an earlier version
	if c := NewHistory("root", list, nil).Counts; c.Restored != nil {
		t.Errorf("unknown: %d", *c.Restored)
	}
}
