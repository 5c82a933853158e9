package engine_test

import (
	"testing"
	"time"

	"github.com/tidemark-io/tidemark/engine"
)

// What windows emit at the end of their input is not late for the windows behind
// them, of which every subtask waits for the end of all senders: a split that has
// ended is not idle.
func TestWindowsBehindWindowsSeeTheEnd(t *testing.T) {
	const n = 1000
	for range 5 {
		g, rec, out := engine.NewGraph("windows"), &recorder{}, &plain[windowSum]{}
		byKey := engine.KeyBy(fromNumbers(g, "numbers", 1, n, all), func(r numbered) int64 { return r.Key })
		small := engine.Tumbling(byKey, "small", 10*time.Millisecond, countPerWindow(), engine.Parallelism(4))
		sum := engine.Aggregate[int64, windowSum, int64, windowSum]{
			Add:    func(acc int64, r windowSum) int64 { return acc + r.N },
			Result: func(k int64, w engine.Window, acc int64) windowSum { return windowSum{k, w.Start, acc} },
		}
		again := engine.KeyBy(small, func(r windowSum) int64 { return r.Key })
		engine.Tumbling(again, "large", 100*time.Millisecond, sum, engine.Parallelism(2)).To("out", out)
		run(t, g, engine.Config{Observer: rec})
		checkWindows(t, out.got, 1, n)
		if late := eventsOf[engine.LateRecords](rec); len(late) > 0 {
			t.Fatalf("late records: %v", late)
		}
	}
}
