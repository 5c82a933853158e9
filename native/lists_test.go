package native

import (
	"testing"

	"github.com/tidemark-io/tidemark/format"
)

// TestRepeatedTime: what subtasks repeat after a rescale. One at its end beside an
// idle one does not end event time, or what the idle one says later would be late.
func TestRepeatedTime(t *testing.T) {
	row := func(emitted int64, status format.Status) format.SubtaskWatermark {
		return format.SubtaskWatermark{Emitted: emitted, Status: status}
	}
	active, idle := format.StatusActive, format.StatusIdle
	for _, tt := range []struct {
		name    string
		rows    []format.SubtaskWatermark
		emitted int64
		status  format.Status
	}{
		{"none", nil, format.Unknown, idle},
		{"the least", []format.SubtaskWatermark{row(7, active), row(5, active)}, 5, active},
		{"idle ones hold nothing back", []format.SubtaskWatermark{row(7, active), row(5, idle)}, 7, active},
		{"all idle", []format.SubtaskWatermark{row(7, idle), row(5, idle)}, format.Unknown, idle},
		{"ended beside active", []format.SubtaskWatermark{row(endOfTime, active), row(5, active)}, 5, active},
		{"ended beside idle", []format.SubtaskWatermark{row(endOfTime, active), row(5, idle)}, format.Unknown, idle},
		{"all ended", []format.SubtaskWatermark{row(endOfTime, active), row(endOfTime, idle)}, endOfTime, active},
	} {
		if emitted, status := repeated(tt.rows); emitted != tt.emitted || status != tt.status {
			t.Errorf("%s: %d %v, want %d %v", tt.name, emitted, status, tt.emitted, tt.status)
		}
	}
}
