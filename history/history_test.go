package history_test

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tidemark-io/tidemark/history"
	"github.com/tidemark-io/tidemark/store"
	"github.com/tidemark-io/tidemark/store/faults"
	"github.com/tidemark-io/tidemark/store/mem"
)

var update = flag.Bool("update", false, "rewrite the golden files")

const ms = history.Millis(time.Millisecond)

// sample is an attempt that timed out, with one subtask of each kind.
func sample() *history.Attempt {
	at := time.UnixMilli(1_700_000_000_123).UTC()
	a := &history.Attempt{
		ID: 7, Run: 2, Lineage: "00ff", Job: "job", Status: history.Failed, Type: history.Checkpoint, Triggered: history.Moment(at), Duration: 10_000 * ms,
		FailedAt: history.Moment(at.Add(10 * time.Second)), Cause: history.Text(history.TimedOut), Message: `a>b: "too long"`,
		Restored: &history.Restored{ID: 3, Savepoint: true, Path: "savepoint-3"},
		Tasks: []history.Task{
			{ID: "source", Operators: []string{"source", "map-1"}, Subtasks: []history.Subtask{{
				Status: history.Acknowledged, Acked: history.Moment(at.Add(20 * time.Millisecond)), Duration: new(20 * ms), Unaligned: true, Aborted: true,
				Checkpointed: new(history.Count(100)), State: new(history.Count(1<<53 + 1)),
				Phases:     history.Phases{Sync: new(ms / 4), Async: new(3 * ms)},
				Alignment:  history.Alignment{Duration: new(0 * ms), Processed: new(history.Count(0)), Persisted: new(history.Count(4096))},
				StartDelay: new(2 * ms), Busy: 90 * ms, Backpressured: 7 * ms, Idle: 3 * ms,
			}}},
			{ID: "count", Operators: []string{"count"}, Subtasks: []history.Subtask{
				{Status: history.Unfinished, Aborted: true, Alignment: history.Alignment{Duration: new(9_900 * ms)}, StartDelay: new(100 * ms),
					BufferSize: new(history.Count(32 << 10)), TimeToConsume: new(1500 * ms)},
				{Index: 1, Status: history.Unfinished, Aborted: true, BufferSize: new(history.Count(256))},
			}},
		},
	}
	a.Sum()
	return a
}

func TestSum(t *testing.T) {
	a := sample()
	if a.NumSubtasks != 3 || a.NumAcknowledged != 1 || a.Persisted != 4096 || a.State != 1<<53+1 || *a.Alignment != 9_900*ms || *a.StartDelay != 100*ms ||
		a.Type != history.UnalignedCheckpoint || a.Tasks[1].Duration != nil || *a.Tasks[0].Duration != 20*ms {
		t.Errorf("%+v", a)
	}
}

// TestEncoding compares the bytes with a file, and what they decode to with what
// they were made of.
func TestEncoding(t *testing.T) {
	a := sample()
	got, err := history.Encode(a)
	if err != nil {
		t.Fatal(err)
	}
	golden := filepath.Join("testdata", "attempt.json")
	if *update {
		if err := os.WriteFile(golden, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), string(got)); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
	back, err := history.Decode(want)
	if err != nil {
		t.Fatal(err)
	}
	a.Schema = history.Schema
	moments := cmp.Transformer("time", func(m history.Moment) time.Time { return m.Time() })
	if d := cmp.Diff(a, back, moments); d != "" {
		t.Errorf("-made +decoded\n%s", d)
	}
}

func TestLongMessagesAreCut(t *testing.T) {
	a := sample()
	a.Message = history.Text(strings.Repeat("x", 1<<20))
	if data, err := history.Encode(a); err != nil || len(data) > 16<<10 {
		t.Errorf("%d bytes, %v", len(data), err)
	}
}

func TestDamagedRecords(t *testing.T) {
	good, err := history.Encode(sample())
	if err != nil {
		t.Fatal(err)
	}
	change := func(old, now string) string {
		if !strings.Contains(string(good), old) {
			t.Fatalf("no %s in the sample", old)
		}
		return strings.Replace(string(good), old, now, 1)
	}
	for _, test := range []struct{ name, text, says string }{
		{"empty", "", "end of JSON"},
		{"cut", string(good[:len(good)/2]), "end of JSON"},
		{"trailing", string(good) + "{}", "after top-level value"},
		{"not an object", "[]", "cannot unmarshal"},
		{"schema", change("tidemark.attempt/1", "tidemark.attempt/2"), `schema is "tidemark.attempt/2"`},
		{"status", change(`"FAILED"`, `"HALF"`), `status is "HALF"`},
		{"type", change(`"UNALIGNED_CHECKPOINT"`, `"X"`), `type is "X"`},
		{"id", change(`"id":7`, `"id":-7`), `"-7" is not a count`},
		{"count", change(`"9007199254740993"`, `"18446744073709551616"`), "is not a count"},
		{"duration", change(`"end_to_end_duration":10000`, `"end_to_end_duration":1e300`), "duration"},
		{"moment", change(`"trigger_timestamp":1700000000123`, `"trigger_timestamp":9223372036854775807`), "time in milliseconds"},
		{"numbers", change(`"num_acknowledged_subtasks":1`, `"num_acknowledged_subtasks":9`), "9 of 3 subtasks"},
		{"tasks", change(`"tasks":[`, `"tasks":[7,`), "element 0"},
		{"tasks are no list", `{"schema":"tidemark.attempt/1","tasks":{}}`, "not an array"},
		{"many tasks", `{"schema":"tidemark.attempt/1","tasks":[{}` + strings.Repeat(",{}", 10_000) + "]}", "more than 10000"},
		{"many subtasks", `{"schema":"tidemark.attempt/1","tasks":[{"subtasks":[{}` + strings.Repeat(",{}", 60_000) + `]},{"subtasks":[{}` + strings.Repeat(",{}", 60_000) + "]}]}", "more than"},
		{"large", strings.Repeat(" ", 33<<20), "the limit is"},
	} {
		if _, err := history.Decode([]byte(test.text)); !errors.Is(err, history.ErrDamaged) || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: %v, want %q", test.name, err, test.says)
		}
	}
}

func FuzzDecode(f *testing.F) {
	good, err := history.Encode(sample())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte(`{"schema":"tidemark.attempt/1","status":"COMPLETED","checkpoint_type":"SAVEPOINT","tasks":[{"subtasks":[{}]}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		a, err := history.Decode(data)
		if err != nil {
			if !errors.Is(err, history.ErrDamaged) {
				t.Fatalf("%v is not ErrDamaged", err)
			}
			return
		}
		// What was read can be written, and is then read as the same.
		first, err := history.Encode(a)
		if err != nil {
			t.Fatal(err)
		}
		again, err := history.Decode(first)
		if err != nil {
			t.Fatal(err)
		}
		if second, err := history.Encode(again); err != nil || !bytes.Equal(first, second) {
			t.Fatalf("%v\n%s\n%s", err, first, second)
		}
		for i := range a.Tasks {
			a.Tasks[i].Summary()
		}
		a.Sum()
	})
}

// TestLog: the newest are kept, whatever the order of the names; what cannot be
// removed now is removed later.
func TestLog(t *testing.T) {
	st, err := faults.Wrap(mem.New(), `(error EIO (op remove) (name "history/1-2") (count 1))`)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"history/readme", "history/1-x", "chk-1/MANIFEST"} {
		if _, err := store.WriteAll(t.Context(), st, name, []byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	add := func(l *history.Log, run, id history.Count) error {
		a := sample()
		a.Run, a.ID = run, id
		return l.Add(t.Context(), a)
	}
	first := history.NewLog(st, 1000)
	for id := range history.Count(1001) {
		if err := add(first, 1, id+1); err != nil {
			t.Fatal(err)
		}
	}
	second := history.NewLog(st, 0) // the default is the same
	if err := add(second, 2, 900); err == nil {
		t.Error("a record that could not be removed is no error")
	}
	if err := add(second, 2, 901); err != nil {
		t.Error(err)
	}
	if err := add(second, 2, 901); !errors.Is(err, store.ErrExist) {
		t.Errorf("twice: %v", err)
	}
	if err := add(second, 2, 902); err != nil {
		t.Error(err)
	}
	refs, err := history.List(t.Context(), st)
	if err != nil {
		t.Fatal(err)
	}
	oldest, newest := refs[0], refs[len(refs)-1]
	if len(refs) != 1000 || oldest != (history.Ref{Run: 1, ID: 5}) || newest != (history.Ref{Run: 2, ID: 902}) {
		t.Errorf("%d records, from %v to %v", len(refs), oldest, newest)
	}
	if a, err := history.Read(t.Context(), st, newest); err != nil || a.ID != 902 {
		t.Errorf("%v, %v", a, err)
	}
	if _, err := history.Read(t.Context(), st, history.Ref{Run: 9, ID: 9}); !errors.Is(err, store.ErrNotExist) {
		t.Errorf("absent: %v", err)
	}
	t.Logf("RESULT TestLog records=%d", len(refs))
}

func TestDistribution(t *testing.T) {
	var list []history.Count
	for i := history.Count(100); i > 0; i-- {
		list = append(list, i)
	}
	want := &history.Distribution[history.Count]{Min: 1, Max: 100, Avg: 51, P50: 51, P90: 91, P95: 96, P99: 100, P999: 100}
	if d := cmp.Diff(want, history.Distribute(list)); d != "" { // 50.5, 90.9, 95.95 and 99.99 are rounded
		t.Error(d)
	}
	if d := history.Distribute([]history.Millis{7}); d == nil || *d != (history.Distribution[history.Millis]{7, 7, 7, 7, 7, 7, 7, 7}) {
		t.Errorf("of one value: %+v", d)
	}
	if history.Distribute[history.Count](nil) != nil {
		t.Error("of no value there is a distribution")
	}
	if d := history.Distribute([]history.Count{1<<64 - 1, 1<<64 - 1}); d.Max != 1<<64-1 {
		t.Errorf("the largest: %+v", d)
	}
}

func TestSummarise(t *testing.T) {
	ok := sample()
	ok.Status = history.Completed
	s := history.Summarise([]*history.Attempt{sample(), ok})
	if s.Persisted.Max != 4096 || s.Duration.P50 != 10_000*ms || s.Alignment.Min != 9_900*ms {
		t.Errorf("%+v", s)
	}
	if s := history.Summarise([]*history.Attempt{sample()}); s != (history.Summary{}) {
		t.Errorf("of failed ones: %+v", s)
	}
	task := sample().Tasks[1].Summary()
	if task.Checkpointed != nil || task.StartDelay.Max != 100*ms || task.BufferSize.Min != 256 || task.BufferSize.Avg != 16512 {
		t.Errorf("%+v", task)
	}
}
