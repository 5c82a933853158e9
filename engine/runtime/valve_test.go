package runtime

import (
	"fmt"
	"strings"
	"testing"
)

// Scripts: "0:5" is watermark 5 on channel 0, "0:idle" and "0:active" its
// status. What follows is the combined watermark, with "i" if all are idle.
func TestValve(t *testing.T) {
	for _, test := range []struct{ script, want string }{
		{"0:5 1:3 1:4 1:9 0:6", "- 3 4 5 6"},
		{"0:5 0:4 1:7", "- - 5"},                            // a watermark that falls is ignored
		{"0:5 1:idle", "- 5"},                               // an idle channel does not hold time back
		{"0:5 1:3 1:idle 0:8", "- 3 5 8"},                   // nor what it said before
		{"0:5 1:idle 1:active 0:9 1:7", "- 5 5 5 7"},        // active again, behind: time does not fall
		{"0:idle 1:idle", "- -i"},                           // nothing known at all
		{"0:5 1:3 0:idle 1:idle", "- 3 3 5i"},               // all idle: the largest, …
		{"0:5 1:3 1:idle 0:idle", "- 3 5 5i"},               // … in whichever order
		{"0:5 0:idle 1:idle 0:active", "- - 5i 5"},          //
		{"0:end 1:3 1:end", "- 3 end"},                      // the end of time is that of the last channel, …
		{"0:end 1:3 1:idle 1:active 1:end", "- 3 3i 3 end"}, // … also if that is idle
		{"1:3 1:idle 0:end 1:end", "- - 3i end"},            // the end ends idleness
		{"0:5 1:3 0:idle 0:end 1:4 1:end", "- 3 3 3 4 end"}, // and leaves the other one alone
		{"0:end 1:idle", "- -i"},                            //
	} {
		v := newValve(2)
		var got []string
		for _, step := range strings.Fields(test.script) {
			var channel int
			var what string
			if _, err := fmt.Sscanf(strings.Replace(step, ":", " ", 1), "%d %s", &channel, &what); err != nil {
				t.Fatal(err)
			}
			before := v.combined
			var advanced bool
			switch what {
			case "idle", "active":
				advanced, _ = v.status(channel, what == "idle")
			case "end":
				advanced, _ = v.watermark(channel, EndOfTime)
			default:
				var w int64
				if _, err := fmt.Sscan(what, &w); err != nil {
					t.Fatal(err)
				}
				advanced, _ = v.watermark(channel, w)
			}
			if advanced != (v.combined > before) || v.combined < before {
				t.Errorf("%s: from %d to %d, said %v", test.script, before, v.combined, advanced)
			}
			now := fmt.Sprint(v.combined)
			switch v.combined {
			case NoWatermark:
				now = "-"
			case EndOfTime:
				now = "end"
			}
			if v.idle {
				now += "i"
			}
			got = append(got, now)
		}
		if s := strings.Join(got, " "); s != test.want {
			t.Errorf("%s\n gives %s\n want  %s", test.script, s, test.want)
		}
	}
}
