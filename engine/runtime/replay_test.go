package runtime

import (
	"testing"

	"github.com/tidemark-io/tidemark/engine/exchange"
	"github.com/tidemark-io/tidemark/keygroup"
)

// statusReader hands every watermark and status to the task.
type statusReader struct{}

func (statusReader) Run(t *Task, channel int, c *exchange.Cursor) (bool, error) {
	for {
		f, ok := c.Next()
		if !ok {
			return true, c.Err()
		}
		if f.Kind() != exchange.TagRecord {
			t.Control(channel, f)
		}
	}
}

// TestIdlenessEndsWithRecoveredData: recovered data may end behind the status
// idle. What follows counts as active until a sender says otherwise, the next
// generation as well as new data, and those behind the operator are told so: a
// sender that has become active since says active to a channel that is.
func TestIdlenessEndsWithRecoveredData(t *testing.T) {
	idle, active := exchange.AppendStatus(nil, exchange.StatusIdle), exchange.AppendStatus(nil, exchange.StatusActive)
	record := exchange.AppendRecord(nil, 1)
	exchange.EndFrame(record, 0)
	for name, test := range map[string]struct {
		generations [][]byte
		want        []bool // the status of the operator behind each, then at the end
	}{
		"one":           {[][]byte{idle}, []bool{true, false}},
		"two":           {[][]byte{idle, record}, []bool{true, false, false}},
		"idle in both":  {[][]byte{idle, idle}, []bool{true, true, false}},
		"active in two": {[][]byte{idle, active}, []bool{true, false, false}},
	} {
		t.Run(name, func(t *testing.T) {
			task := &Task{attempt: &attempt{cfg: &Config{}}, ops: make([]opSlot, 2)}
			task.ops[0].children = []int{1}
			task.input = &input{task: task, valve: newValve(1), replay: &replay{}}
			gate := &gateInput{receiver: statusReader{}}
			for i, bytes := range test.generations {
				g := task.input.replay.generation(uint64(i))
				s := &substream{gate: gate, chunks: [][]byte{bytes}, cursor: exchange.NewCursor(0)}
				s.channel = g.hold(gate, 0, keygroup.Interval{}, channelTime{watermark: NoWatermark})
				g.streams = append(g.streams, s)
			}
			for i, want := range test.want {
				if _, err := task.input.step(); err != nil {
					t.Fatal(err)
				}
				if task.ops[0].idle != want || task.ops[1].idle != want {
					t.Errorf("after step %d the operators are idle: %v, %v; want %v", i, task.ops[0].idle, task.ops[1].idle, want)
				}
			}
			task.Control(0, exchange.Frame{Tag: exchange.TagStatus, Payload: []byte{exchange.StatusActive}})
			if task.ops[1].idle {
				t.Error("active is not sent on")
			}
		})
	}
}
