package reader_test

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"testing"

	"github.com/tidemark-io/tidemark/checkpoint"
	"github.com/tidemark-io/tidemark/format"
	"github.com/tidemark-io/tidemark/keygroup"
	"github.com/tidemark-io/tidemark/reader"
	"github.com/tidemark-io/tidemark/store"
	"github.com/tidemark-io/tidemark/store/mem"
	"github.com/tidemark-io/tidemark/writer"
	"github.com/tidemark-io/tidemark/writer/writertest"
)

// openJob writes a job's checkpoint and opens it.
func openJob(t *testing.T, j writertest.Job) *reader.Model {
	t.Helper()
	st := mem.New()
	if _, err := j.Write(t.Context(), st); err != nil {
		t.Fatal(err)
	}
	return openModel(t, st, j.Dir())
}

func openModel(t *testing.T, st store.Store, dir string) *reader.Model {
	t.Helper()
	c, err := reader.Open(t.Context(), st, dir)
	if err != nil {
		t.Fatal(err)
	}
	m := reader.NewModel(c)
	t.Cleanup(func() { m.Close() })
	return m
}

// elementsOf lists the elements of each sub-stream.
func elementsOf(t *testing.T, records iter.Seq2[checkpoint.Record, error]) map[string][]string {
	t.Helper()
	got := map[string][]string{}
	for r, err := range records {
		if err != nil {
			t.Fatal(err)
		}
		at := fmt.Sprintf("%d>%d/%d", r.Sender, r.Receiver, r.Generation)
		got[at] = append(got[at], fmt.Sprintf("%s %v %08x %d %x", r.Element, r.HasHash, r.Hash, r.Time, r.Payload))
	}
	return got
}

// TestRecordsAreJoined: what the tools see in flight is what was written, record
// by record, wherever the buffers and the two sides cut it.
func TestRecordsAreJoined(t *testing.T) {
	for p := 1; p <= 4; p++ {
		j := writertest.Job{Parallelism: p, Flight: 60}
		got := elementsOf(t, openJob(t, j).Records(t.Context(), checkpoint.Selector{}))
		total := 0
		for s := range p {
			for r := range p {
				var want []string
				for _, f := range j.InFlight(s, r) {
					e := checkpoint.ElementRecord
					if f.Element == format.ElementWatermark {
						e = checkpoint.ElementWatermark
					}
					want = append(want, fmt.Sprintf("%s %v %08x %d %x", e, f.HasHash, f.Hash, f.Time, f.Payload))
				}
				at := fmt.Sprintf("%d>%d/0", s, r)
				if !slices.Equal(got[at], want) {
					t.Errorf("parallelism %d, channel %s: got %q, want %q", p, at, got[at], want)
				}
				total += len(want)
			}
		}
		if want := 60 + p*p; total != want {
			t.Errorf("parallelism %d: %d elements, want %d", p, total, want)
		}
	}
}

// TestRecordsBySelector: the sides add up to the whole, and a channel and a
// range of key groups select from it.
func TestRecordsBySelector(t *testing.T) {
	m := openJob(t, writertest.Job{Parallelism: 3, Flight: 60})
	count := func(selector string) (n int) {
		sel, err := checkpoint.ParseSelector(selector)
		if err != nil {
			t.Fatal(err)
		}
		for r, err := range m.Records(t.Context(), sel) {
			if err != nil || r.Element == checkpoint.ElementTorn {
				t.Fatalf("%s: %+v, %v", selector, r, err)
			}
			n++
		}
		return n
	}
	all := count("")
	if got := count("operator=flights") + count("operator=count"); got != all {
		t.Errorf("the sides have %d of %d", got, all)
	}
	if got := count("channel=gate0/0") + count("channel=gate0/1-2"); got != all {
		t.Errorf("the channels have %d of %d", got, all)
	}
	if got := count("keygroup=0-63") + count("keygroup=64-127"); got != 60 {
		t.Errorf("the key groups have %d records, want 60", got)
	}
	if got := count("subtask=0"); got == 0 || got >= all {
		t.Errorf("subtask 0 has %d of %d", got, all)
	}
	if got := count("operator=other") + count("channel=gate7"); got != 0 {
		t.Errorf("what does not exist has %d", got)
	}
	for range m.Records(t.Context(), checkpoint.Selector{}) {
		break
	}
}

// pieces writes a checkpoint whose input channel holds the buffers.
func pieces(t *testing.T, buffers ...format.Buffer) *reader.Model {
	t.Helper()
	st := mem.New()
	writePieces(t, st, nil, buffers, nil)
	return openModel(t, st, "chk-1")
}

// writePieces writes a checkpoint whose channel holds buffers on both sides, of
// records of a type, nil if it is not known.
func writePieces(t *testing.T, st store.Store, schema *format.Schema, input, output []format.Buffer) {
	t.Helper()
	w, err := writer.New(writer.Options{Store: st, Dir: "chk-1", ID: 1, WriterID: "w"})
	if err != nil {
		t.Fatal(err)
	}
	const none = format.None
	m := &format.Manifest{
		Summary:   format.Summary{Kind: format.Checkpoint, Job: "j", Lineage: "l", Run: 1, Software: "test", Hash: "xxh3-64/0"},
		Operators: []format.Operator{{UID: "a", Name: "a", Parallelism: 1, KeySchema: none}, {UID: "b", Name: "b", Parallelism: 1, KeySchema: none, Task: 1}},
		Edges:     []format.Edge{{ID: "a>b#0", From: 0, To: 1, Partitioner: format.Rebalance, Alignment: format.Unaligned, Keys: format.None}},
	}
	value := none
	if schema != nil {
		value, m.Schemas = 0, []*format.Schema{schema}
	}
	for op, buffers := range [][]format.Buffer{output, input} {
		kind := []format.Kind{format.KindOutputChannel, format.KindInputChannel}[op]
		if len(buffers) == 0 {
			continue
		}
		m.States = append(m.States, format.State{Operator: op, Kind: kind, Edge: 0, Namespace: none, Value: value})
		s, err := w.Slice(t.Context(), writer.SliceSpec{State: len(m.States) - 1, Operator: m.Operators[op].UID, Parallelism: 1, Kind: kind,
			Edge: "a>b#0", Interval: keygroup.All(), Value: schema})
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range buffers {
			if err := s.Buffer(b); err != nil {
				t.Fatal(err)
			}
		}
		row, err := s.Close()
		if err != nil {
			t.Fatal(err)
		}
		m.Slices = append(m.Slices, row)
	}
	if err := w.Seal(context.Background()); err != nil {
		t.Fatal(err)
	}
	if err := w.Commit(t.Context(), m); err != nil {
		t.Fatal(err)
	}
}

// TestTornRecords: at a gap the open head is dropped, and what follows begins at
// the next record start (R8); what was dropped is told, not returned as data.
func TestTornRecords(t *testing.T) {
	frame := func(text string) []byte {
		b, err := format.AppendFrame(nil, &format.Frame{Payload: []byte(text)})
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	a, b, c := frame("aaaa"), frame("bbbb"), frame("cccc")
	buffer := func(sequence uint64, start int, data ...byte) format.Buffer {
		return format.NewBuffer(0, 0, 0, sequence, start, data)
	}
	join := func(parts ...[]byte) []byte { return slices.Concat(parts...) }
	record := func(text string) string {
		return fmt.Sprintf("record false 00000000 %d %x", checkpoint.UnknownTime, text)
	}
	torn := func(data []byte) string {
		return fmt.Sprintf("torn false 00000000 %d %x", checkpoint.UnknownTime, data)
	}
	tests := []struct {
		name    string
		buffers []format.Buffer
		want    []string
	}{
		{"whole", []format.Buffer{buffer(0, 0, join(a, b[:3])...), buffer(1, 6, join(b[3:], c)...)}, []string{record("aaaa"), record("bbbb"), record("cccc")}},
		{"over three buffers", []format.Buffer{buffer(0, 0, b[:2]...), buffer(1, format.None, b[2:5]...), buffer(2, 4, join(b[5:], c)...)}, []string{record("bbbb"), record("cccc")}},
		{"a gap", []format.Buffer{buffer(0, 0, join(a, b[:3])...), buffer(2, 6, join(b[3:], c)...)}, []string{record("aaaa"), torn(b[:3]), torn(b[3:]), record("cccc")}},
		{"the beginning is missing", []format.Buffer{buffer(4, 6, join(b[3:], c)...)}, []string{torn(b[3:]), record("cccc")}},
		{"the end is missing", []format.Buffer{buffer(0, 0, join(a, b[:3])...)}, []string{record("aaaa"), torn(b[:3])}},
		{"the continuation is too short", []format.Buffer{buffer(0, 0, b[:3]...), buffer(1, 2, join(b[3:5], c)...)}, []string{torn(b[:5]), record("cccc")}},
		{"no continuation", []format.Buffer{buffer(0, 0, b[:3]...), buffer(1, 0, c...)}, []string{torn(b[:3]), record("cccc")}},
		{"no frame", []format.Buffer{buffer(0, 0, 1, 0, 0, 0, 0x0f)}, []string{torn([]byte{1, 0, 0, 0, 0x0f})}},
	}
	for _, tt := range tests {
		got := elementsOf(t, pieces(t, tt.buffers...).Records(t.Context(), checkpoint.Selector{}))["0>0/0"]
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
}

// TestFind: every key is found by its text, in state and timers, and no other.
func TestFind(t *testing.T) {
	j := writertest.Job{Parallelism: 3, Keys: 300}
	m := openJob(t, j)
	var states []checkpoint.State
	for s, err := range m.States(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		states = append(states, s)
	}
	for k := range j.Keys {
		key, err := m.ParseKey(t.Context(), writertest.Count, fmt.Sprintf("key-%d", k))
		if err != nil || string(key.Encoded) != string(writertest.Key(k)) {
			t.Fatalf("key %d is %x, %v", k, key.Encoded, err)
		}
		found := map[checkpoint.StateKind]int{}
		for _, s := range states {
			for e, err := range m.Lookup(t.Context(), s, key) {
				if err != nil || e.KeyGroup != key.KeyGroup || e.State != s {
					t.Fatalf("%+v, %v", e, err)
				}
				found[s.Kind]++
			}
		}
		if want := 2; found[checkpoint.Keyed] != 3 || found[checkpoint.Timers] < 1 || found[checkpoint.Timers] > want || len(found) != 2 {
			t.Fatalf("key %d: found %v", k, found)
		}
	}
	for _, op := range []string{writertest.Source, "nobody"} {
		if _, err := m.ParseKey(t.Context(), op, "x"); err == nil {
			t.Errorf("operator %s has a key", op)
		}
	}
	for _, err := range m.Lookup(t.Context(), checkpoint.State{Row: 99}, checkpoint.Key{}) {
		if err == nil {
			t.Error("a state that is not there yields entries")
		}
	}
}

// TestColumns shows the columns of every kind of state.
func TestColumns(t *testing.T) {
	m := openJob(t, writertest.Job{Flight: 10})
	want := map[string]string{
		"splits": "[] [] [{ int false}]", "offsets": "[] [] [{ uint false}]",
		"split-watermarks": "[{ hex false}] [] [{ hex false}]", "output-channel": "[] [] [{origin string false} {n uint false}]",
		"counter": "[{ string false}] [] [{ bytes false}]", "windows": "[{ string false}] [{ int false}] [{ uint false}]",
		"due": "[{ string false}] [{ int false}] []", "rules": "[{ hex false}] [] [{ uint false}]",
		"floors": "[] [] []", "subtask-watermarks": "[] [] []", "channel-watermarks": "[] [] []", "input-channel": "[] [] [{origin string false} {n uint false}]",
	}
	want["splits"] = want["offsets"]
	n := 0
	for s, err := range m.States(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		name := s.Name
		if name == "" {
			name = string(s.Kind)
		}
		var got [3][]checkpoint.Column
		for i := range got {
			if got[i], err = m.Columns(s, checkpoint.Field(i+1)); err != nil {
				t.Fatal(err)
			}
		}
		if text := fmt.Sprint(got[0], got[1], got[2]); text != want[name] {
			t.Errorf("%s: %s, want %s", name, text, want[name])
		}
		n++
	}
	if n != len(want) {
		t.Errorf("%d states, want %d", n, len(want))
	}
}
