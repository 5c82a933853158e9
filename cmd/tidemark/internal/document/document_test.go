package document

import (
	"context"
	"encoding/json"
	"iter"
	"testing"
	"time"

	"github.com/tidemark-io/tidemark/checkpoint"
	"github.com/tidemark-io/tidemark/keygroup"
)

func TestScalars(t *testing.T) {
	tests := []struct {
		v    any
		want string
	}{
		{Number(0), "0"},
		{Number(1 << 53), "9007199254740992"},
		{Number(1<<53 + 1), `"9007199254740993"`},
		{Number(1<<64 - 2), `"18446744073709551614"`},
		{Number(checkpoint.UnknownCount), "null"},
		{EventTime(checkpoint.UnknownTime), "null"},
		{EventTime(-5), `"-5"`},
		{Moment(time.Time{}), "null"},
		{Moment(time.Unix(1, 5e8).In(time.FixedZone("x", 3600))), `"1970-01-01T00:00:01.5Z"`},
		{Moment(time.Unix(1<<40, 0)), "null"},
		{Text(""), "null"},
		{Text("a>b"), `"a\u003eb"`}, // json.Marshal escapes it again, package out does not
	}
	for _, tt := range tests {
		got, err := json.Marshal(tt.v)
		if err != nil || string(got) != tt.want {
			t.Errorf("%#v: got %s, %v; want %s", tt.v, got, err, tt.want)
		}
	}
}

// fake is a checkpoint of two operators whose parts are given.
type fake struct {
	states []checkpoint.State
	parts  []checkpoint.Part
}

func (fake) Info() checkpoint.Info { return checkpoint.Info{Kind: checkpoint.KindCheckpoint} }
func (fake) Close() error          { return nil }
func (fake) Operators(context.Context) iter.Seq2[checkpoint.Operator, error] {
	return each(checkpoint.Operator{UID: "source", Parallelism: 2}, checkpoint.Operator{UID: "count", Parallelism: 2, KeyGroups: 5, KeyType: "string"})
}
func (f fake) States(context.Context) iter.Seq2[checkpoint.State, error] { return each(f.states...) }
func (fake) Edges(context.Context) iter.Seq2[checkpoint.Edge, error]     { return each[checkpoint.Edge]() }
func (f fake) Parts(_ context.Context, sel checkpoint.Selector) iter.Seq2[checkpoint.Part, error] {
	return func(yield func(checkpoint.Part, error) bool) {
		for _, p := range f.parts {
			if sel.Matches(p.State.Operator, p.State.Name) && !yield(p, nil) {
				return
			}
		}
	}
}
func (fake) Objects(context.Context) iter.Seq2[checkpoint.Object, error] {
	return each(checkpoint.Object{Name: "chk-1/a", CRC: 10, HasCRC: true}, checkpoint.Object{Name: "chk-1/b"})
}

func each[T any](items ...T) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for _, v := range items {
			if !yield(v, nil) {
				return
			}
		}
	}
}

func TestKeyGroups(t *testing.T) {
	state := checkpoint.State{Operator: "count", Name: "counter", Kind: checkpoint.Keyed}
	timers := checkpoint.State{Operator: "count", Name: "due", Kind: checkpoint.Timers}
	list := checkpoint.State{Operator: "count", Name: "list", Kind: checkpoint.SplitList}
	part := func(s checkpoint.State, subtask uint32, n checkpoint.Count) checkpoint.Part {
		return checkpoint.Part{State: s, Subtask: subtask, Entries: n, Bytes: 10 * n, Interval: keygroup.All()}
	}
	c := fake{states: []checkpoint.State{state, timers, list}, parts: []checkpoint.Part{
		part(state, 0, 1), part(state, 1, 2), part(timers, 0, 4), part(timers, 1, checkpoint.UnknownCount), part(list, 0, 100), part(state, 1<<31, 7)}}
	d, err := NewInspect(context.Background(), "p", c)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.AddLists(context.Background(), c, Lists{Settings: true, Subtasks: true, Objects: true, KeyGroups: true}); err != nil {
		t.Fatal(err)
	}
	got, err := json.Marshal(d.KeyGroups)
	if err != nil {
		t.Fatal(err)
	}
	want := `[{"operator":"count","subtask":0,"first":0,"last":2,"entries":5,"bytes":50},` +
		`{"operator":"count","subtask":1,"first":3,"last":4,"entries":null,"bytes":null}]`
	if string(got) != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got, _ := json.Marshal(d.Objects); string(got) != `[{"name":"chk-1/a","bytes":0,"crc32c":"0000000a","shared":false},{"name":"chk-1/b","bytes":0,"crc32c":null,"shared":false}]` {
		t.Errorf("objects %s", got)
	}
	if len(*d.Settings) != 0 || len(*d.Subtasks) != 6 {
		t.Errorf("%d settings, %d subtasks", len(*d.Settings), len(*d.Subtasks))
	}
}

// TestStateWithoutOperator: a manifest that contradicts itself is refused, not
// shown in part.
func TestStateWithoutOperator(t *testing.T) {
	c := fake{states: []checkpoint.State{{Operator: "nobody", Name: "x"}}}
	if _, err := NewInspect(context.Background(), "p", c); err == nil {
		t.Error("no error")
	}
}
