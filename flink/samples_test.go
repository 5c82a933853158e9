package flink_test

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/tidemark-io/tidemark/checkpoint"
	"github.com/tidemark-io/tidemark/flink"
	"github.com/tidemark-io/tidemark/flink/oracle"
	"github.com/tidemark-io/tidemark/recovery"
	"github.com/tidemark-io/tidemark/store/local"
)

// sampleUIDs are the uids of the oracle's job, of which older metadata has hashes.
var sampleUIDs = []string{"source", "ops", "keyed", "sink"}

// openSample opens a sample in its bucket.
func openSample(t testing.TB, s *oracle.Sample) *flink.Checkpoint {
	t.Helper()
	st, err := local.Open(filepath.Join(s.Dir, "s3"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	below, err := filepath.Rel(filepath.Join(s.Dir, "s3"), s.Metadata())
	if err != nil {
		t.Fatal(err)
	}
	c, err := flink.NewFormat(st, flink.WithBase(oracle.Bucket), flink.WithUIDs(sampleUIDs...)).OpenCheckpoint(t.Context(), filepath.ToSlash(below))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// value decodes printed JSON with numbers as text.
func value(t *testing.T, text []byte) any {
	t.Helper()
	var v any
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return v
}

// number is a number that was printed as such or as a string.
func number(t *testing.T, v any) int64 {
	t.Helper()
	n, err := strconv.ParseInt(fmt.Sprint(v), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// flat writes the parts of a key as the oracle does: name,number.
func flat(v any) string {
	switch v := v.(type) {
	case []any:
		parts := make([]string, len(v))
		for i, x := range v {
			parts[i] = flat(x)
		}
		return strings.Join(parts, ",")
	case map[string]any:
		if fields, ok := v["fields"]; ok {
			return flat(fields)
		}
		return flat([]any{v["name"], v["number"]})
	}
	return fmt.Sprint(v)
}

// keyedView makes the oracle's view of the keyed operator of the rows.
type keyedView struct {
	t       *testing.T
	entries map[string]*oracle.Entry
	rows    int
}

func (k *keyedView) add(r *recovery.Row) {
	k.t.Helper()
	k.rows++
	key := flat(value(k.t, r.Key))
	e := k.entries[key]
	if e == nil {
		e = &oracle.Entry{Key: key, Subtask: int(r.Subtask)}
		k.entries[key] = e
	}
	if e.Subtask != int(r.Subtask) {
		k.t.Errorf("key %s is in the subtasks %d and %d", key, e.Subtask, r.Subtask)
	}
	var v any
	if r.Value != nil {
		v = value(k.t, r.Value)
	}
	switch name := r.State.Name; {
	case name == "count":
		e.Count = number(k.t, v)
	case name == "sum":
		e.Sum = number(k.t, v)
	case name == "mean":
		acc := v.([]any)
		e.Mean = number(k.t, acc[0]) / number(k.t, acc[1])
	case name == "ids":
		for _, x := range v.([]any) {
			e.IDs = append(e.IDs, number(k.t, x))
		}
	case name == "words":
		if e.Words == nil {
			e.Words = map[string]int64{}
		}
		e.Words[value(k.t, r.Namespace).(map[string]any)["mapKey"].(string)] = number(k.t, v)
	case strings.HasSuffix(name, "event_user-timers"):
		e.Timers = append(e.Timers, r.Time)
		slices.Sort(e.Timers)
	case strings.HasSuffix(name, "processing_user-timers"):
		e.ProcTimers = append(e.ProcTimers, r.Time)
		slices.Sort(e.ProcTimers)
	case name == "tuple":
		k.text(e, name, strings.ReplaceAll(flat(v), ",", " "))
	case name == "ttl":
		k.text(e, name, fmt.Sprint(v.(map[string]any)["value"]))
	}
}

func (k *keyedView) text(e *oracle.Entry, state, text string) {
	if e.Values == nil {
		e.Values = map[string]string{}
	}
	e.Values[state] = text
}

// sorted are the entries by key.
func (k *keyedView) sorted() []oracle.Entry {
	var list []oracle.Entry
	for _, e := range k.entries {
		list = append(list, *e)
	}
	slices.SortFunc(list, func(a, b oracle.Entry) int { return cmp.Compare(a.Key, b.Key) })
	return list
}

// compared are the entries that the oracle told, with the texts that the test
// compares.
func compared(list []oracle.Entry) []oracle.Entry {
	list = slices.Clone(list)
	for i := range list {
		kept := map[string]string{}
		for _, name := range []string{"tuple", "ttl"} {
			if text, ok := list[i].Values[name]; ok {
				kept[name] = text
			}
		}
		if list[i].Values = kept; len(kept) == 0 {
			list[i].Values = nil
		}
	}
	slices.SortFunc(list, func(a, b oracle.Entry) int { return cmp.Compare(a.Key, b.Key) })
	return list
}

// The entries of every sample, whatever wrote it, are those that Flink itself saw
// when it took it: keyed state and timers for each key, and operator state.
func TestSampleEntries(t *testing.T) {
	rows, samples := 0, 0
	for _, s := range oracle.Samples(t) {
		t.Run(s.Name, func(t *testing.T) {
			c := openSample(t, s)
			view := keyedView{t: t, entries: map[string]*oracle.Entry{}}
			ops := map[int]*oracle.Ops{}
			for r, err := range recovery.Rows(t.Context(), c, checkpoint.Selector{}, recovery.RowOptions{}) {
				if err == nil {
					err = r.Problem
				}
				if err != nil {
					t.Fatal(err)
				}
				rows++
				switch r.State.Operator {
				case "keyed":
					if !r.State.Kind.InFlight() {
						view.add(&r)
					}
				case "ops":
					addOps(t, ops, &r)
				}
			}
			if diff := oracle.Diff(compared(s.Snapshot.State.Keyed), view.sorted()); diff != "" {
				t.Errorf("keyed state: %s", diff)
			}
			want := map[int]*oracle.Ops{}
			for _, o := range s.Snapshot.State.Ops {
				want[o.Subtask] = &o
			}
			for _, o := range ops {
				slices.Sort(o.List)
			}
			if a, b := fmt.Sprint(flatOps(want)), fmt.Sprint(flatOps(ops)); len(want) > 0 && a != b {
				t.Errorf("operator state:\nFlink has %s\nread     %s", a, b)
			}
		})
		samples++
	}
	t.Logf("RESULT TestSampleEntries samples=%d rows=%d", samples, rows)
}

// addOps adds an element of the operator "ops".
func addOps(t *testing.T, ops map[int]*oracle.Ops, r *recovery.Row) {
	o := ops[int(r.Subtask)]
	if o == nil {
		o = &oracle.Ops{Subtask: int(r.Subtask), Broadcast: map[string]int64{}}
		ops[o.Subtask] = o
	}
	switch r.State.Name {
	case "list":
		o.List = append(o.List, number(t, value(t, r.Value)))
	case "union":
		o.Union = append(o.Union, flat(value(t, r.Value)))
	case "broadcast":
		o.Broadcast[value(t, r.Key).(string)] = number(t, value(t, r.Value))
	}
}

// flatOps prints operator state: what is distributed anew, of all subtasks.
func flatOps(ops map[int]*oracle.Ops) string {
	var list []int64
	var maps []string
	for _, o := range ops {
		list = append(list, o.List...)
		maps = append(maps, fmt.Sprint(o.Broadcast))
	}
	slices.Sort(list)
	slices.Sort(maps)
	return fmt.Sprint(list, slices.Compact(maps))
}
