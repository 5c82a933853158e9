package reader_test

import (
	"bytes"
	"errors"
	"fmt"
	"iter"
	"strings"
	"testing"

	"github.com/tidemark-io/tidemark/checkpoint"
	"github.com/tidemark-io/tidemark/format"
	"github.com/tidemark-io/tidemark/keygroup"
	"github.com/tidemark-io/tidemark/reader"
	"github.com/tidemark-io/tidemark/rescale"
	"github.com/tidemark-io/tidemark/writer/writertest"
)

// all collects rows as text.
func all[R any](t *testing.T, rows iter.Seq2[reader.Row[R], error]) string {
	t.Helper()
	var parts []string
	for r, err := range rows {
		if err != nil {
			t.Fatal(err)
		}
		parts = append(parts, fmt.Sprintf("%d:%v", r.Subtask, r.Row))
	}
	return strings.Join(parts, " ")
}

func TestListsByPlan(t *testing.T) {
	job := writertest.Job{Parallelism: 3}
	c := open(t, write(t, job), job.Dir())
	for _, state := range []string{"splits", "offsets"} {
		counts, err := c.ItemCounts(t.Context(), writertest.Source, state)
		if err != nil || fmt.Sprint(counts) != "[1 2 3]" {
			t.Fatalf("%s: counts %v, %v", state, counts, err)
		}
		var want [][]byte
		for subtask := range 3 {
			want = append(want, writertest.Items(subtask)...)
		}
		for p := 1; p < 8; p++ {
			plan, _ := rescale.Split(counts, p, 0)
			var got [][]byte
			for _, runs := range plan {
				for _, run := range runs {
					for r, err := range c.ItemsOf(t.Context(), writertest.Source, state, uint32(run.Old), run.First, run.Count) {
						if err != nil {
							t.Fatal(err)
						}
						got = append(got, bytes.Clone(r.Row.Value))
					}
				}
			}
			if !bytes.Equal(bytes.Join(got, nil), bytes.Join(want, nil)) || len(got) != len(want) {
				t.Errorf("%s to %d subtasks: %x, want %x", state, p, got, want)
			}
		}
		n := 0
		for _, err := range c.Items(t.Context(), writertest.Source, state) {
			if n++; err != nil {
				t.Fatal(err)
			}
		}
		if n != len(want) {
			t.Errorf("%s: %d items of %d", state, n, len(want))
		}
	}
}

func TestOtherStates(t *testing.T) {
	job := writertest.Job{Parallelism: 2}
	c := open(t, write(t, job), job.Dir())
	ctx := t.Context()
	half := uint64(1) << 31
	cases := map[string]struct{ got, want string }{
		"pairs":  {all(t, c.Pairs(ctx, writertest.Count, "rules", 1)), fmt.Sprintf("1:{%v %v} 1:{%v %v}", writertest.Key(0), []byte{1, 0, 0, 0, 0, 0, 0, 0}, writertest.Key(1), []byte{2, 0, 0, 0, 0, 0, 0, 0})},
		"floors": {all(t, c.Floors(ctx, writertest.Count, keygroup.Interval{Lo: half - 1, Hi: half + 2})), fmt.Sprintf("0:{[7fffffff,80000000) 0 %d} 1:{[80000000,80000002) 1 %d}", format.Unknown, format.Unknown)},
		"subtask watermarks": {all(t, c.SubtaskWatermarks(ctx, writertest.Count)),
			fmt.Sprintf("0:{0 7 6 %d 1} 1:{1 7 6 %d 1}", format.Unknown, format.Unknown)},
		"channel watermarks":  {all(t, c.ChannelWatermarks(ctx, writertest.Edge)), "0:{0 0 0 0 1} 0:{1 0 0 1 1} 1:{0 1 0 0 1} 1:{1 1 0 1 1}"},
		"split watermarks":    {all(t, c.SplitWatermarks(ctx, writertest.Source)), fmt.Sprintf("0:{%v 3 2 []} 1:{%v 3 2 []}", []byte("split-000"), []byte("split-001"))},
		"of another operator": {all(t, c.Floors(ctx, "nobody", keygroup.All())), ""},
	}
	for name, c := range cases {
		if c.got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", name, c.got, c.want)
		}
	}
	for _, side := range []format.Kind{format.KindInputChannel, format.KindOutputChannel} {
		n := 0
		for r, err := range c.Buffers(ctx, writertest.Edge, side) {
			if err != nil || r.Row.Sequence != uint64(n%3)+10 || len(r.Row.Payload) != 60 {
				t.Fatalf("%v: buffer %d is %+v, %v", side, n, r.Row, err)
			}
			n++
		}
		if n != 6 {
			t.Errorf("%v: %d buffers of 6", side, n)
		}
	}
	if copies, err := c.Copies(ctx, writertest.Count, "rules"); err != nil || fmt.Sprint(copies) != "[0 1]" {
		t.Errorf("copies %v, %v", copies, err)
	}
}

func TestStatesThatAreNotThere(t *testing.T) {
	job := writertest.Job{}
	c := open(t, write(t, job), job.Dir())
	ctx := t.Context()
	check := func(what string, err error) {
		if !errors.Is(err, reader.ErrNoState) {
			t.Errorf("%s: %v", what, err)
		}
	}
	for _, err := range c.Keyed(ctx, writertest.Count, "due", keygroup.All()) { // a timer, not keyed state
		check("keyed", err)
	}
	for _, err := range c.Pairs(ctx, "nobody", "rules", 0) {
		check("pairs", err)
	}
	for _, err := range c.Items(ctx, writertest.Source, "x") {
		check("items", err)
	}
	_, err := c.ItemCounts(ctx, writertest.Source, "x")
	check("counts", err)
	_, err = c.Copies(ctx, writertest.Source, "x")
	check("copies", err)
}

func TestEntriesBySelector(t *testing.T) {
	job := writertest.Job{Parallelism: 2, Keys: 50}
	st := write(t, job)
	opened, err := reader.NewFormat(st).Open(t.Context(), job.Dir())
	if err != nil {
		t.Fatal(err)
	}
	defer opened.Close()
	m := opened.(*reader.Model)
	group := func(e writertest.Entry) int { return keygroup.Of(e.Hash, 128) }
	inGroups := 0
	for _, e := range job.Keyed(keygroup.All()) {
		if group(e) < 32 {
			inGroups++
		}
	}
	cases := map[string]int{
		"":                                         3 + 3 + 2 + 6 + 50 + 100 + len(job.Timers(keygroup.All())) + 4 + 2 + 2 + 4 + 6,
		"state=counter":                            50,
		"operator=count,state=counter":             50,
		"operator=flights,state=counter":           0,
		"operator=count,state=windows":             100,
		"state=counter,keygroup=0-31":              inGroups,
		"state=counter,keygroup=200":               0,
		"state=splits,keygroup=0-31":               0,
		"state=splits,subtask=1":                   2,
		"state=rules,subtask=0":                    2,
		"channel=gate0/1":                          2 + 0 + 3, // channel watermarks of sender 1; input from sender 1: none; output to receiver 1: none
		"operator=count,channel=gate0/0":           2 + 6,
		"operator=flights,channel=gate0/0":         6,
		"operator=count,channel=gate1":             0,
		`operator=count,channel="flights>count#0"`: 4 + 6,
	}
	cases["channel=gate0/1"] = 2
	for text, want := range cases {
		sel, err := checkpoint.ParseSelector(text)
		if err != nil {
			t.Fatal(err)
		}
		got := 0
		for e, err := range m.Entries(t.Context(), sel) {
			if err != nil {
				t.Fatalf("%s: %v", text, err)
			}
			if _, err := m.AppendValue(nil, e.State, checkpoint.FieldValue, e.Value); err != nil {
				t.Errorf("%s: value %x of %s: %v", text, e.Value, e.State.Name, err)
			}
			got++
		}
		if got != want {
			t.Errorf("%q selects %d entries, want %d", text, got, want)
		}
	}
}

func TestValuesArePrintedByTheirSchema(t *testing.T) {
	job := writertest.Job{Keys: 1}
	st := write(t, job)
	opened, err := reader.NewFormat(st).Open(t.Context(), job.Dir())
	if err != nil {
		t.Fatal(err)
	}
	defer opened.Close()
	m := opened.(*reader.Model)
	var lines []string
	for e, err := range m.Entries(t.Context(), checkpoint.Selector{Operator: writertest.Count}) {
		if err != nil {
			t.Fatal(err)
		}
		line := []byte(string(e.State.Kind) + " ")
		for i, part := range [][]byte{e.Key, e.Namespace, e.Value} {
			if line, err = m.AppendValue(line, e.State, checkpoint.Field(i+1), part); err != nil && len(part) > 0 {
				t.Fatal(err)
			}
			line = append(line, ' ')
		}
		lines = append(lines, fmt.Sprintf("%s%d %v", line, e.Time, e.Detail))
	}
	golden(t, "entries.txt", strings.Join(lines, "\n")+"\n")
}
